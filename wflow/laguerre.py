"""This file owns Laguerre (power) cells in a rectangle, compiled: integrals of a piecewise constant density over them.

    L_i = { z in the rectangle : z.x_i - phi_i >= z.x_j - phi_j for all j },    phi_i = (|x_i|^2 - g_i)/2

Each cell is the rectangle cut by the bisectors of its neighbours, then cut into the grid's cells it meets, in which the
density is constant: polygons have exact moments. Sums have positive terms only, so a small mass is right to rounding.
Which cells are neighbours says the lower convex hull of (x_i, phi_i). phi (m, 2) are sums of two numbers each
(wflow.intercepts).

Along a periodic axis of length L atoms and density are repeated. L_i, next to x_i, has the bisectors with its own
repetitions as walls, so it lies within L/2 of x_i, and its neighbours within L: three of each atom are enough.
Source: Aurenhammer 1987, SIAM J. Comput. 16, 78-96 (power diagrams and hulls); Sutherland & Hodgman 1974, Commun. ACM
17, 32-42 (clipping).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import ConvexHull

from wflow import bordering, clipping, intercepts
from wflow.arrays import Array
from wflow.bordering import Borders, repaired
from wflow.clipping import WALL, Indices, cut, over_grid, runs
from wflow.compiled import kernel
from wflow.grid import Grid
from wflow.intercepts import gap, repeated_intercepts

_kernel = partial(kernel, uses=(clipping, intercepts, bordering))
_CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
_DOUBLE = 1e-11
"""Mass that cells found from a diagram nearby may hold twice."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Integrals over the cells of m atoms; e edges, the first atom's number below the second's.

    mass, area (m,): int rho and int dz/|box|. moment (m, 2): int z rho. spread (m,): int |z - b_i|^2 rho, b_i the
    barycentre, whatever the atom's distance; cost (m,): int |z - x_i|^2 rho.
    pairs (e, 2): atoms with a common edge. along, length (e,): int rho ds over it and int ds/|box|. apart (e,): the
    distance of the two. borders: who borders whom, among all repetitions. phi (m, 2): their intercepts. On periodic
    axes moments are lifted, next to the atom, and two atoms may share several edges.
    """

    mass: Array
    moment: Array
    spread: Array
    cost: Array
    area: Array
    pairs: Indices
    along: Array
    length: Array
    apart: Array
    borders: Borders
    phi: Array

    @property
    def size(self) -> Array:
        """The root of each cell's variance; 0 of those that hold nothing."""
        return np.sqrt(self.spread / np.where(self.mass > 0.0, self.mass, 1.0))


@_kernel
def _next(at: float, step: float, lower: float, width: float) -> float:
    """Share of the step after which the next grid line is met, from a place already beyond rounding; inf if none."""
    u = (at - lower) / width
    if step > 0.0:
        return float((np.floor(u) + 1.0 - u) * width / step)
    if step < 0.0:
        return float((np.ceil(u) - 1.0 - u) * width / step)
    return np.inf


@_kernel
def _along(p0: float, p1: float, q0: float, q1: float, rho: Array, frame: Array) -> float:
    """int rho ds over the segment from p to q, cell by cell."""
    n0, n1 = rho.shape
    d0, d1 = q0 - p0, q1 - p1
    size = np.hypot(d0, d1)
    t, total = 0.0, 0.0
    first, second = _next(p0, d0, frame[0], frame[2]), _next(p1, d1, frame[1], frame[3])
    step0 = frame[2] / abs(d0) if d0 != 0.0 else np.inf
    step1 = frame[3] / abs(d1) if d1 != 0.0 else np.inf
    while t < 1.0:
        end = min(first, second, 1.0)
        middle = 0.5 * (t + end)
        i = min(max(int((p0 + middle * d0 - frame[0]) / frame[2]), 0), n0 - 1)
        j = min(max(int((p1 + middle * d1 - frame[1]) / frame[3]), 0), n1 - 1)
        total += rho[i, j] * (end - t)
        t = end
        if first <= t:
            first += step0
        if second <= t:
            second += step1
    return float(total * size)


@_kernel
def _integrals(
    x: Array,
    phi: Array,
    seen: NDArray[np.bool_],
    start: Indices,
    other: Indices,
    rho: Array,
    ends: Indices,
    frame: Array,
    asked: Indices,
    out: Array,
    edges: Array,
) -> None:
    """out (m, 5) as in _add, about their barycentres, of those asked for.

    edges (len(other), 2): int rho ds and int ds, to higher numbers.
    """
    n0, n1 = rho.shape
    most = 0
    for i in asked:
        most = max(most, start[i + 1] - start[i])
    room, names = np.empty((6, most + 16, 2)), np.empty((2, most + 16), np.int64)
    corner = np.empty(2)
    upper0, upper1 = frame[0] + n0 * frame[2], frame[1] + n1 * frame[3]
    for i in asked:
        if not seen[i]:
            continue
        p, q, labels, kept = room[4], room[5], names[0], names[1]
        p[0, 0], p[0, 1], p[1, 0], p[1, 1] = frame[0], frame[1], upper0, frame[1]
        p[2, 0], p[2, 1], p[3, 0], p[3, 1] = upper0, upper1, frame[0], upper1
        labels[:4] = WALL
        n = 4
        for k in range(start[i], start[i + 1]):
            j = other[k]
            n = cut(p, labels, n, (x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], gap(phi, i, j)), k, q, kept)
            p, q, labels, kept = q, p, kept, labels
            if n < 3:
                break
        if n < 3:
            continue
        for k in range(n):
            if labels[k] >= 0 and other[labels[k]] > i:
                to = k + 1 if k + 1 < n else 0
                edges[labels[k], 0] += _along(p[k, 0], p[k, 1], p[to, 0], p[to, 1], rho, frame)
                edges[labels[k], 1] += np.hypot(p[to, 0] - p[k, 0], p[to, 1] - p[k, 1])
        corner[0], corner[1] = p[0, 0], p[0, 1]
        over_grid(p, n, rho, ends, frame, corner, room, out[i])
        if out[i, 0] > 0.0:
            b0, b1 = out[i, 1] / out[i, 0] - corner[0], out[i, 2] / out[i, 0] - corner[1]
            out[i, 3] = max(out[i, 3] - out[i, 0] * (b0 * b0 + b1 * b1), 0.0)


def _neighbours(x: Array, phi: Array, lower: Array, upper: Array) -> tuple[NDArray[np.bool_], csr_array]:
    """Which atoms (m,) have a cell in the plane, and the pattern (m, m) of those that may share an edge there.

    Four ghosts, two widths out and too high to have a cell that meets the rectangle, keep the hull from being flat: one
    atom, or atoms on a line, need no other treatment. An affine function taken off the lift moves no cell.
    """
    middle, half = 0.5 * (lower + upper), 0.5 * (upper - lower)
    centre = 0.5 * (x.min(axis=0) + x.max(axis=0))
    reach = max(float(np.ptp(x, axis=0).max()), 1e-12 * float(half.max()))
    y = (x - centre) / reach
    # atom i has z where lift_i - 2 (z - middle).x_i is least
    lift = 2.0 * ((phi[:, 0] - (x - centre) @ middle) + phi[:, 1])
    lift -= lift.min()
    ghosts = 2.0 * _CORNERS
    # a ghost loses to the lowest atom at every z
    high = 2.02 * reach * (np.abs(ghosts - y[int(np.argmin(lift))]) @ half)
    heights = np.append(lift, high)
    hull = ConvexHull(np.column_stack([np.vstack([y, ghosts]), heights / heights.max()]))
    low = hull.simplices[hull.equations[:, 2] < 0.0]
    first = low[:, [0, 1, 2, 1, 2, 0]].ravel()
    second = low[:, [1, 2, 0, 0, 1, 2]].ravel()
    real = (first < len(x)) & (second < len(x))
    first, second = first[real], second[real]
    found = csr_array((np.ones(len(first), np.int8), (first, second)), shape=(len(x), len(x)))
    found.sum_duplicates()
    seen = np.zeros(len(heights), dtype=bool)
    seen[low] = True
    return seen[: len(x)], found


def cells(x: Array, phi: Array, rho: Array, grid: Grid, near: Cells | None = None) -> Cells:
    """The cells of atoms x (m, 2) with intercepts phi (m, 2) and what rho (n0, n1) on the grid has in them.

    Along periodic axes x lies in the grid's box. near: the cells of other intercepts, from whose borders those of phi
    are found, faster the nearer they are; where that does not lead to a tiling, and on periodic axes, by the hull. The
    hull may lose atoms whose distances from each other are a rounding of the cloud's width: walks find these again.
    """
    found = overlapping(x, phi, rho, grid, near) if near is not None else None
    if found is not None and tiling(found, rho, grid):
        return found
    found = _by_hull(x, phi, rho, grid)
    if any(grid.domain.periodic) or tiling(found, rho, grid):
        return found
    borders = repaired(x, phi, _corners(grid), found.borders, loose=True)
    mended = found if borders is None else _measured(x, x, phi, borders, rho, grid)
    # all contain the atoms' own: who holds less has fewer that are too large
    return min(mended, found, key=lambda one: float(one.area.sum()))


def overlapping(x: Array, phi: Array, rho: Array, grid: Grid, near: Cells) -> Cells:
    """The cells as far as they can be found from others nearby; each contains the atom's own, some may be larger."""
    if any(grid.domain.periodic):
        return _by_hull(x, phi, rho, grid)
    before = near.area * float(np.prod(grid.domain.lengths))
    borders = repaired(x, phi, _corners(grid), near.borders, np.any(phi != near.phi, axis=1), before, loose=True)
    return _by_hull(x, phi, rho, grid) if borders is None else _measured(x, x, phi, borders, rho, grid, near)


def _corners(grid: Grid) -> tuple[float, float, float, float]:
    """Lower and upper corner of the grid's box."""
    (a, b), (c, d) = grid.domain.lower, grid.domain.upper
    return float(a), float(b), float(c), float(d)


def tiling(found: Cells, rho: Array, grid: Grid) -> bool:
    """Whether they are the cells: none holds anything twice."""
    whole = float(rho.sum()) * grid.cell_volume
    twice = max(float(found.area.sum()) - 1.0, abs(float(found.mass.sum()) / whole - 1.0))
    return twice <= _DOUBLE


def _by_hull(x: Array, phi: Array, rho: Array, grid: Grid) -> Cells:
    """The cells, by the hull of all repetitions."""
    domain = grid.domain
    turns, lengths = np.asarray(domain.periodic), domain.lengths
    lower, upper = np.where(turns, domain.lower - lengths, domain.lower), np.where(turns, lengths, 0.0) + domain.upper
    every = repeated(x, grid)
    seen, found = _neighbours(every, repeated_intercepts(x, phi, grid, every), lower, upper)
    # of an atom without a cell, the last before it that has one
    last = np.maximum.accumulate(np.where(seen, np.arange(len(every)), np.argmax(seen)))
    borders = Borders(found.indptr.astype(np.int64), found.indices.astype(np.int64), last, seen)
    return _measured(x, every, phi, borders, rho, grid)


def _measured(
    x: Array, every: Array, phi: Array, borders: Borders, rho: Array, grid: Grid, near: Cells | None = None
) -> Cells:
    """The cells of the atoms x, the first of `every`, from who borders whom among the latter.

    near: the cells before, of those that stand as they did.
    """
    m, turns = len(x), np.asarray(grid.domain.periodic)
    start, other = borders.start[: m + 1], borders.other[: borders.start[m]]
    lower = np.where(turns, grid.domain.lower - grid.domain.lengths, grid.domain.lower)
    frame = np.array([*lower, *grid.widths, 1.0 / float(np.prod(grid.domain.lengths))])
    fresh = np.ones(m, bool) if near is None or borders.fresh is None else borders.fresh
    out, edges = np.zeros((m, 5)), np.zeros((len(other), 2))
    tiled = np.tile(rho, np.where(turns, 3, 1)) if turns.any() else rho
    asked, all_phi = np.flatnonzero(fresh), repeated_intercepts(x, phi, grid, every)
    _integrals(every, all_phi, borders.seen, start, other, tiled, runs(tiled), frame, asked, out, edges)
    first = np.repeat(np.arange(m), np.diff(start))
    # of a wall between repetitions both atoms know; that with an atom's own does not move
    met = (edges[:, 1] > 0.0) & (first < other % m)
    apart = every[other[met]] - x[first[met]]
    away = out[:, 1:3] / np.where(out[:, :1] > 0.0, out[:, :1], 1.0) - x
    cost = out[:, 3] + out[:, 0] * np.sum(away**2, axis=1)
    found = Cells(
        out[:, 0], out[:, 1:3], out[:, 3], cost, out[:, 4], np.stack([first[met], other[met] % m], axis=1),
        edges[met, 0], edges[met, 1] * frame[4], np.hypot(apart[:, 0], apart[:, 1]), borders, phi,
    )  # fmt: skip
    return found if near is None or fresh.all() else _joined(near, found, fresh)


def _joined(near: Cells, found: Cells, fresh: NDArray[np.bool_]) -> Cells:
    """Integrals of the cells that are `fresh` (m,) as found, of the others as before; a wall is its lower atom's."""
    stood = ~fresh[near.pairs[:, 0]]

    def of_atoms(one: Array, other: Array) -> Array:
        return np.where(fresh.reshape((-1,) + (1,) * (one.ndim - 1)), one, other)

    return Cells(
        of_atoms(found.mass, near.mass),
        of_atoms(found.moment, near.moment),
        of_atoms(found.spread, near.spread),
        of_atoms(found.cost, near.cost),
        of_atoms(found.area, near.area),
        np.concatenate([near.pairs[stood], found.pairs]),
        np.concatenate([near.along[stood], found.along]),
        np.concatenate([near.length[stood], found.length]),
        np.concatenate([near.apart[stood], found.apart]),
        found.borders,
        found.phi,
    )


def repeated(x: Array, grid: Grid) -> Array:
    """x (m, 2), then x moved by all combinations of -1, 0, 1 lengths along the grid's periodic axes."""
    along = [(0, 1, -1) if turns else (0,) for turns in grid.domain.periodic]
    return np.concatenate([x + (i, j) * grid.domain.lengths for i in along[0] for j in along[1]])
