"""This file owns couplings of two densities on a grid, whose costs bound W2^2 from above."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from solvers.jko._atoms import Atoms
from wflow.arrays import Array
from wflow.grid import Grid
from wflow.knothe import squared_bound
from wflow.measure import Density
from wflow.repaired import Boxes, repaired_bound
from wflow.spline.lattice import Sides, refined

_FINER = 4
MOST = 1 << 23
"""How often cells are halved for a coupling's bound, and up to how many."""


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


def repaired(atoms: Atoms, ends: Array, end: Density, split: int) -> float:
    """From atoms of a density, split^2 a cell, that go to `ends` (m, 2), in cells, to a density on two axes."""
    widths = end.grid.widths / split
    fine = np.repeat(np.repeat(end.values.reshape(end.grid.plane), split, axis=0), split, axis=1)
    boxes = Boxes(atoms.places * split, ends * split, atoms.masses)
    return repaired_bound(boxes, fine, (float(widths[0]), float(widths[1])), _sides(end))


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
