"""This file owns potentials raised, atom by atom, until no Laguerre cell is empty: where Newton's method can begin.

Where rho vanishes between two regions, cells of atoms that sit between them may lie in the void. Such an atom's g is
raised, the others standing still, until its cell holds a stated part of its mass: mass is an increasing function of g,
and the cell is cut anew by all atoms at each trial, without a hull. What it takes it takes from neighbours, some of
whom may be in want afterwards, and are raised in turn.
Source: Oliker & Prussner 1989, Numer. Math. 54, 271-293 (potentials that only rise, one at a time).
"""

from functools import partial

import numpy as np

from wflow import laguerre
from wflow.arrays import Array
from wflow.compiled import kernel
from wflow.grid import Grid
from wflow.laguerre import WALL, Cells, Indices, cells, cut, over_grid, repeated

_kernel = partial(kernel, uses=(laguerre,))
_WANT, _GIVEN = 0.01, 0.5
"""Of its mass: below the first an atom is in want, at about the second it is content."""
_SWEEPS = 30
_TRIALS = 200


def raised(x: Array, mu: Array, g: Array, rho: Array, grid: Grid) -> tuple[Array, Cells]:
    """g (m,), raised where the cell of x_i holds less than a hundredth of mu_i, to about mu_i/2; and the cells.

    At most 30 sweeps over the atoms in want: whoever is so after them is left so.
    """
    turns = np.asarray(grid.domain.periodic)
    lower = np.where(turns, grid.domain.lower - grid.domain.lengths, grid.domain.lower)
    frame = np.array([*lower, *grid.widths, 0.0])
    every, tiled = repeated(x, grid), np.tile(rho, np.where(turns, 3, 1))
    least = _WANT * float(mu.max() / rho.max())
    for _ in range(_SWEEPS):
        found = cells(x, g, rho, grid)
        wanting = np.flatnonzero(found.mass < _WANT * mu)
        if not len(wanting):
            return g, found
        g = g.copy()
        for i in wanting:
            g[i] = _raise(every, g, int(i), _GIVEN * mu[i], least, tiled, frame)
    return g, cells(x, g, rho, grid)


@_kernel
def _mass(x: Array, g: Array, i: int, height: float, rho: Array, frame: Array, room: Array, names: Indices) -> float:
    """rho(L_i) for g_i = height; x holds all repetitions of the atoms, the atoms themselves first."""
    n0, n1 = rho.shape
    m = len(g)
    upper0, upper1 = frame[0] + n0 * frame[2], frame[1] + n1 * frame[3]
    p, q, labels, kept = room[4], room[5], names[0], names[1]
    p[0, 0], p[0, 1], p[1, 0], p[1, 1] = frame[0], frame[1], upper0, frame[1]
    p[2, 0], p[2, 1], p[3, 0], p[3, 1] = upper0, upper1, frame[0], upper1
    labels[:4] = WALL
    n = 4
    for j in range(len(x)):
        if j == i:
            continue
        other = g[j % m] if j % m != i else height
        d0, d1 = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1]
        reach = 0.5 * (d0 * d0 + d1 * d1 - (other - height)) + d0 * x[i, 0] + d1 * x[i, 1]
        beyond = False
        for k in range(n):
            beyond = beyond or p[k, 0] * d0 + p[k, 1] * d1 > reach
        if beyond:
            n = cut(p, labels, n, (d0, d1, reach), j, q, kept)
            p, q, labels, kept = q, p, kept, labels
            if n < 3:
                return 0.0
    out = np.zeros(5)
    over_grid(p, n, rho, frame, x[i], room, out)
    return float(out[0])


@_kernel
def _raise(x: Array, g: Array, i: int, given: float, least: float, rho: Array, frame: Array) -> float:
    """g_i at which the cell holds `given`, to a factor of two: found by doubling the rise, then by halves."""
    room, names = np.empty((6, len(x) + 16, 2)), np.empty((2, len(x) + 16), np.int64)
    low, high, rise = g[i], np.inf, least
    for _ in range(_TRIALS):
        at = low + rise if high == np.inf else 0.5 * (low + high)
        mass = _mass(x, g, i, at, rho, frame, room, names)
        if 0.5 * given <= mass <= 2.0 * given or at in (low, high):
            break
        if mass < given:
            low, rise = at, 2.0 * rise
        else:
            high = at
    return float(at)
