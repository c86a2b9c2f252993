"""This file owns couplings of two densities on a grid, whose costs bound W2^2 from above."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from solvers.jko._atoms import Atoms
from wflow.arrays import Array
from wflow.grid import Grid
from wflow.knothe import squared_bound
from wflow.measure import Density
from wflow.repaired import Boxes, repaired_bound
from wflow.spline.halved import refined
from wflow.spline.lattice import Sides

_FINER = 4
MOST = 1 << 23
"""How often cells are halved for a coupling's bound, and up to how many."""
_NEAR = 1.01
"""Cells: how far from the end's mass a light atom may land."""


class Coupled(NamedTuple):
    """Two densities, those given or smoother readings of both, and a bound of their W2^2 from above."""

    start: Density
    end: Density
    square: float


def couplings(start: Density, end: Density) -> Iterator[Coupled]:
    """Those of Knothe, exact on a line: of the densities given, then of smoother readings.

    A reading is sum rho_j B_j, B_j the spline, on cells half as wide each time (which is how to cut corners). It
    has the same mass, and away from walls the same mean.
    """
    yield Coupled(start, end, _square(start, end))
    for k in range(1, _FINER):
        if start.grid.size << (k * start.grid.domain.dim) > MOST:
            return
        start, end = _smoother(start), _smoother(end)
        yield Coupled(start, end, _square(start, end))


def repaired(
    atoms: Atoms, ends: Array, end: Density, split: int, potential: Array | None = None, thin: float = 0.0
) -> float:
    """From atoms of a density, split^2 a cell, that go to `ends` (m, 2), in cells, to a density on two axes.

    potential: tau p at the middles of split^2 parts of each cell, of which the map has the gradient. thin: below this
    share of the largest density nothing passes between what is thin and what is not but by being carried.
    """
    widths = end.grid.widths / split
    fine = np.repeat(np.repeat(end.values.reshape(end.grid.plane), split, axis=0), split, axis=1)
    boxes = Boxes(atoms.places * split, ends * split, atoms.masses)
    return repaired_bound(boxes, fine, (float(widths[0]), float(widths[1])), _sides(end), potential, thin)


def kept_near(atoms: Atoms, ends: Array, end: Density) -> Array:
    """Ends (m, 2), in cells, of which none is further from where a density has mass than a cell is wide.

    Where it has none, in obstacles too, p is hardly felt and may have holes for atoms lighter than those for which it
    was found: such atoms go the way of the nearest that does not fall into one.
    """
    empty = end.values.reshape(end.grid.plane) <= 0.0
    depth = distance_transform_edt(empty, sampling=end.grid.widths)
    cells = np.floor(ends).astype(np.int64) % np.asarray(empty.shape)
    lost = depth[cells[:, 0], cells[:, 1]] > float(end.grid.widths.max()) * _NEAR
    if not np.any(lost) or np.all(lost):
        return ends
    near = np.flatnonzero(~lost)[KDTree(atoms.places[~lost]).query(atoms.places[lost])[1]]
    out = ends.copy()
    out[lost] = atoms.places[lost] + (ends - atoms.places)[near]
    return out


def _sides(pi: Density) -> Sides:
    periodic = pi.grid.domain.periodic
    return Sides(periodic[0], len(periodic) > 1 and periodic[1])


def _square(start: Density, end: Density) -> float:
    shape = start.grid.plane
    widths = start.grid.widths.tolist()
    h = (widths[0], widths[1] if len(widths) > 1 else 1.0)
    return squared_bound(start.values.reshape(shape), end.values.reshape(shape), h, _sides(start))


def _smoother(pi: Density) -> Density:
    values = refined(pi.values.reshape(pi.grid.plane), _sides(pi))
    return Density(Grid(pi.grid.domain, tuple(2 * n for n in pi.grid.shape)), values.ravel())
