"""This file owns potentials raised, atom by atom, until no Laguerre cell is empty: where Newton's method can begin.

Where rho vanishes between two regions, cells of atoms that sit between them may lie in the void. Such an atom's g is
raised, the others standing still, until its cell holds a stated part of its mass: mass is an increasing function of g,
and the cell is cut anew at each trial by whom walks among neighbours find (wflow.bordering). What it takes it takes
from neighbours, some of whom may be in want afterwards, and are raised in turn.
Atoms that hold far too much are brought down likewise. Neither lowers Phi, whose slope in g_i is mu_i - rho(L_i): no
one in want is given more than mu_i, no one else left with less.
Source: Oliker & Prussner 1989, Numer. Math. 54, 271-293 (potentials that only rise, one at a time).
"""

from functools import partial

import numpy as np

from wflow import bordering, clipping, intercepts
from wflow.arrays import Array
from wflow.bordering import Borders, Links, linked, polygon
from wflow.clipping import Indices, over_grid, runs
from wflow.compiled import kernel
from wflow.intercepts import moved, repeated_intercepts
from wflow.laguerre import Cells, repeated
from wflow.laguerre_dual import Dual

_kernel = partial(kernel, uses=(clipping, intercepts, bordering))
_WANT = 0.01
"""Of its mass: below that an atom is in want."""
Bounds = tuple[float, float, float]
"""Of mu_i: who holds less than the first is raised, to the second at least; who holds too much goes to the third."""
FEEDING: Bounds = (_WANT, 0.25, 2.0)
EVENING: Bounds = (0.3, 0.6, 1.3)
_FINER: Bounds = (0.9, 0.95, 1.05)
_EVEN, _FEW = ((1.6, EVENING), (1.1, _FINER)), 2e-3
"""Where so few of the atoms hold more than 1.6 mu_i, or less than .3, they are evened out one by one as well; and then
those that are off by a tenth. Near a kink of the map these are what Newton's next step would misjudge: each has
gone over, or not, or in part."""
_SWEEPS = 30
_TRIALS = 200
_BIDS = 4
"""Raises in a sweep, for each in want at its beginning: where too little mass is near, prices would rise for ever."""
_ROOM, _MORE = 128, 64
"""For new neighbours of each, and for how many more."""


def raised(
    dual: Dual, g: Array, found: Cells, sweeps: int = _SWEEPS, glut: float = np.inf, bounds: Bounds = FEEDING
) -> tuple[Array, Cells]:
    """g (m,), raised where the cell of x_i holds less than a hundredth of mu_i, to mu_i/4 at least; and the cells.

    found: the cells of g. glut: cells that hold more than so many mu_i are brought down to 2 mu_i at most, and first.
    At most so many sweeps over those atoms: whoever is one of them after that is left so. Other shares: `bounds`.
    """
    for _ in range(sweeps):
        wanting = amiss(dual, found, glut, bounds)
        if not len(wanting):
            break
        g = _swept(dual, g, wanting[np.argsort(-(found.mass / dual.mu)[wanting])], found.borders, bounds)
        found = dual.overlapping(g, found)
    return g, found if dual.tiling(found) else dual.cells(g, found)


def lowered(dual: Dual, g: Array, found: Cells, near: Cells, sweeps: int, glut: float) -> tuple[Array, Cells]:
    """g (m,), where it has left the potentials of `near` at one leap; and the cells. found: its overlapping cells.

    Where cells change sides of a gap some come to hold what a hundred others should. These are brought down first, the
    worst before the others, each among its neighbours in `near`, where it still has them all; only then it is seen who
    is in want, and they are raised. Phi does not fall by any of this.
    """
    for _ in range(sweeps):
        share = found.mass / dual.mu
        gluts = np.flatnonzero(share > glut)
        if not len(gluts):
            break
        g = _swept(dual, g, gluts[np.argsort(-share[gluts])], near.borders, FEEDING)
        found = dual.overlapping(g, found)
    g, found = raised(dual, g, found, sweeps, glut)
    for most, bounds in _EVEN:
        if len(amiss(dual, found, most, bounds)) > _FEW * len(g):
            break
        g, found = raised(dual, g, found, sweeps, most, bounds)
    return g, found


def _swept(dual: Dual, g: Array, wanting: Indices, borders: Borders, bounds: Bounds) -> Array:
    """g after one sweep over these atoms, in this order, begun among these neighbours."""
    grid, m, mu = dual.grid, len(dual.mu), dual.mu
    turns = np.asarray(grid.domain.periodic)
    lower = np.where(turns, grid.domain.lower - grid.domain.lengths, grid.domain.lower)
    frame = np.array([*lower, *grid.widths, 0.0])
    every, tiled = repeated(dual.x, grid), np.tile(dual.rho, np.where(turns, 3, 1))
    phi, rise = repeated_intercepts(dual.x, dual.intercepts(g), grid, every).copy(), np.zeros(m)
    links = linked(borders.start, borders.other, _ROOM * (len(wanting) + _MORE))
    least = _WANT * float(mu.max() / dual.rho.max())
    _sweep(every, phi, rise, wanting, mu, least, bounds, tiled, runs(tiled), frame, links, borders.seed.copy())
    return g + rise


def amiss(dual: Dual, found: Cells, glut: float = np.inf, bounds: Bounds = FEEDING) -> Indices:
    """The atoms whose cells hold less than a hundredth of mu_i, or what else is want, or more than `glut` of it."""
    return np.flatnonzero((found.mass < bounds[0] * dual.mu) | (found.mass > glut * dual.mu))


@_kernel
def _mass(
    x: Array,
    phi: Array,
    m: int,
    i: int,
    rho: Array,
    ends: Indices,
    frame: Array,
    links: Links,
    seed: Indices,
    room: Array,
    names: Indices,
) -> tuple[float, int, int]:
    """rho(L_i), the cell's number of corners, and in which of names[0], names[1] its neighbours are.

    x holds all repetitions of the m atoms, the atoms themselves first.
    """
    n0, n1 = rho.shape
    box = (frame[0], frame[1], frame[0] + n0 * frame[2], frame[1] + n1 * frame[3])
    n, side, seed[i] = polygon(i, x, phi, links, seed[i], box, room[4:], names)
    out = np.zeros(5)
    if n >= 3:
        over_grid(room[4 + side], n, rho, ends, frame, x[i], room, out)
    return out[0], n, side


@_kernel
def _sweep(
    x: Array,
    phi: Array,
    rise: Array,
    wanting: Indices,
    mu: Array,
    least: float,
    bounds: Bounds,
    rho: Array,
    ends: Indices,
    frame: Array,
    links: Links,
    seed: Indices,
) -> None:
    """Raise g_i, by rise_i, for those in want, one after the other, to between `bounds` and mu_i.

    Who holds more than mu_i is brought down likewise.

    Each is then made known to its new neighbours, and those it has put in want are queued. Ends early where the room
    for that does.
    """
    room, names = np.empty((6, len(x) + 16, 2)), np.empty((2, len(x) + 16), np.int64)
    m, used, densest = len(mu), 0, rho.max()
    head, after, item = links[2], links[3], links[4]
    queue, queued = np.empty(len(item), np.int64), np.zeros(m, np.bool_)
    queue[: len(wanting)] = wanting
    queued[wanting] = True
    first, last = 0, len(wanting)
    most = _BIDS * (len(wanting) + _MORE)
    while first < min(last, most):
        i = queue[first]
        first, queued[i] = first + 1, False
        within = (bounds[1] * mu[i], mu[i])
        held = _mass(x, phi, m, i, rho, ends, frame, links, seed, room, names)[0]
        if held > mu[i]:
            within = (mu[i], bounds[2] * mu[i])
        # the square of a cell's radius follows its height
        way = max(least, 0.25 * (held - mu[i]) / densest)
        n, side, up = _brought(x, phi, m, i, within, way, rho, ends, frame, links, seed, room, names)
        rise[i] += up
        near = names[side, :n].copy()
        if used + 2 * n > len(item) or last + n > len(queue):
            return
        for j in near:
            if j >= 0:
                for one, two in ((i, j), (j, i)):
                    item[used], after[used] = two, head[one]
                    head[one] = used
                    used += 1
        for k in near:
            j = k % m
            if k < 0 or j == i or queued[j]:
                continue
            if _mass(x, phi, m, j, rho, ends, frame, links, seed, room, names)[0] < bounds[0] * mu[j]:
                queue[last], queued[j] = j, True
                last += 1


@_kernel
def _brought(
    x: Array,
    phi: Array,
    m: int,
    i: int,
    within: tuple[float, float],
    way: float,
    rho: Array,
    ends: Indices,
    frame: Array,
    links: Links,
    seed: Indices,
    room: Array,
    names: Indices,
) -> tuple[int, int, float]:
    """g_i, by phi_i and its repetitions', such that the cell's mass is within bounds: the way is doubled, then halved.

    Returns the cell's number of corners, in which of names[0], names[1] its neighbours are, and by what g_i has risen.
    """
    low, high, at = -np.inf, np.inf, 0.0
    n, side, up, first = 0, 0, 0.0, phi[i::m].copy()
    for _ in range(_TRIALS):
        for k in range(len(first)):
            phi[i + k * m, 0], phi[i + k * m, 1] = moved(first[k, 0], first[k, 1], -0.5 * at)
        up = at
        mass, n, side = _mass(x, phi, m, i, rho, ends, frame, links, seed, room, names)
        if within[0] <= mass <= within[1]:
            break
        if mass < within[0]:
            low = at
        else:
            high = at
        if low == -np.inf or high == np.inf:
            at, way = at + (way if high == np.inf else -way), 2.0 * way
        else:
            at = 0.5 * (low + high)
        if at in (low, high):
            break
    return n, side, up
