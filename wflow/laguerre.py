"""This file owns Laguerre (power) cells in a rectangle, and what a piecewise constant density has in them.

    L_i = { z in the rectangle : z.x_i - phi_i >= z.x_j - phi_j for all j },    phi_i = (|x_i|^2 - g_i)/2

Each cell is the rectangle cut by the bisectors of its neighbours (wflow.cell_integrals). Which cells are neighbours
says the lower convex hull of (x_i, phi_i). phi (m, 2) are sums of two numbers each (wflow.intercepts).

Along a periodic axis of length L atoms and density are repeated. L_i, next to x_i, has the bisectors with its own
repetitions as walls, so it lies within L/2 of x_i, and its neighbours within L: three of each atom are enough.
Source: Aurenhammer 1987, SIAM J. Comput. 16, 78-96 (power diagrams and hulls).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import ConvexHull

from wflow.arrays import Array
from wflow.bordering import Borders, repaired
from wflow.cell_integrals import integrals, standing
from wflow.clipping import Indices, runs
from wflow.grid import Grid
from wflow.intercepts import repeated_intercepts

_CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
_DOUBLE = 1e-11
"""Mass that cells found from a diagram nearby may hold twice."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Integrals over the cells of m atoms; e edges, the first atom's number below the second's.

    mass, area (m,): int rho and int dz/|box|. moment (m, 2): int z rho. spread (m,): int |z - b_i|^2 rho, b_i the
    barycentre, whatever the atom's distance; cost (m,): int |z - x_i|^2 rho.
    pairs (e, 2): atoms with a common edge. walls (3, e): along, int rho ds over it; length, int ds/|box|; apart, the
    distance of the two. borders: who borders whom, among all repetitions. phi (m, 2): their intercepts. On periodic
    axes moments are lifted, next to the atom, and two atoms may share several edges.
    """

    mass: Array
    moment: Array
    spread: Array
    cost: Array
    area: Array
    pairs: Indices
    walls: Array
    borders: Borders
    phi: Array

    @property
    def along(self) -> Array:
        """int rho ds over each wall (e,)."""
        return np.asarray(self.walls[0])

    @property
    def length(self) -> Array:
        """int ds/|box| (e,)."""
        return np.asarray(self.walls[1])

    @property
    def apart(self) -> Array:
        """The distance of the two atoms of each wall (e,)."""
        return np.asarray(self.walls[2])

    @property
    def size(self) -> Array:
        """The root of each cell's variance; 0 of those that hold nothing."""
        return np.sqrt(self.spread / np.where(self.mass > 0.0, self.mass, 1.0))


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
    if near is not None:
        found = overlapping(x, phi, rho, grid, near)
        if tiling(found, rho, grid):
            return found
        if not any(grid.domain.periodic):
            # one that nothing has touched may have been too large before
            found = _anew(x, phi, rho, grid, found)
            if tiling(found, rho, grid):
                return found
    found = _by_hull(x, phi, rho, grid)
    if any(grid.domain.periodic) or tiling(found, rho, grid):
        return found
    # all contain the atoms' own: who holds less has fewer that are too large
    return min(_anew(x, phi, rho, grid, found), found, key=lambda one: float(one.area.sum()))


def _anew(x: Array, phi: Array, rho: Array, grid: Grid, near: Cells) -> Cells:
    """The cells as far as walks among the borders of others find them, all of them looked at."""
    borders = repaired(x, phi, _corners(grid), near.borders, loose=True)
    return near if borders is None else _measured(x, x, phi, borders, rho, grid)


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
    lower = np.where(turns, grid.domain.lower - grid.domain.lengths, grid.domain.lower)
    frame = np.array([*lower, *grid.widths, 1.0 / float(np.prod(grid.domain.lengths))])
    tiled = np.tile(rho, np.where(turns, 3, 1)) if turns.any() else rho
    asked = np.arange(m) if near is None or borders.fresh is None else np.flatnonzero(borders.fresh)
    out, all_phi = np.zeros((len(asked), 5)), repeated_intercepts(x, phi, grid, every)
    pairs, walls = integrals(
        every, all_phi, borders.seen, borders.start, borders.other, tiled, runs(tiled), frame, asked, m, out
    )
    walls[1] *= frame[4]
    away = out[:, 1:3] / np.where(out[:, :1] > 0.0, out[:, :1], 1.0) - x[asked]
    cost = out[:, 3] + out[:, 0] * np.sum(away**2, axis=1)
    found = Cells(out[:, 0], out[:, 1:3], out[:, 3], cost, out[:, 4], pairs, walls, borders, phi)
    return found if near is None or len(asked) == m else _joined(near, found, asked)


def _joined(near: Cells, found: Cells, asked: Indices) -> Cells:
    """Integrals of the cells asked for as found, of the others as before; a wall is its lower atom's."""
    stands = np.ones(len(near.mass), bool)
    stands[asked] = False

    def of_atoms(fresh: Array, before: Array) -> Array:
        every = before.copy()
        every[asked] = fresh
        return every

    pairs, walls = standing(stands, near.pairs, near.walls, found.pairs, found.walls)
    return Cells(
        of_atoms(found.mass, near.mass),
        of_atoms(found.moment, near.moment),
        of_atoms(found.spread, near.spread),
        of_atoms(found.cost, near.cost),
        of_atoms(found.area, near.area),
        pairs,
        walls,
        found.borders,
        found.phi,
    )


def repeated(x: Array, grid: Grid) -> Array:
    """x (m, 2), then x moved by all combinations of -1, 0, 1 lengths along the grid's periodic axes."""
    along = [(0, 1, -1) if turns else (0,) for turns in grid.domain.periodic]
    return np.concatenate([x + (i, j) * grid.domain.lengths for i in along[0] for j in along[1]])
