"""This file owns transport between two measures on two axes of which one or both are densities, at their full size.

A density enters as atoms at the middles of its cells. That moves its mass by the root of (h_0^2 + h_1^2)/12, the floor;
of two smooth densities on the same cells it errs by a share h^2 of W2, and it leaves translations exact.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wflow.arrays import Array
from wflow.compiled import available
from wflow.domain import Box
from wflow.errors import NotConverged
from wflow.grid import Grid
from wflow.law import Atoms, Law
from wflow.measure import Density, Measure, Particles
from wflow.plans import AtomsOf, on_grid, optimal_plan

if TYPE_CHECKING:
    from wflow.spline.transport import Cloud, Lattice

TOLERANCE = 1e-3
_LIMIT = 200
_COARSEST = 16
_FAINT = 1e-15
_FEW = 4_000_000
"""Pairs of atoms that POT takes in seconds."""


@dataclass(frozen=True, eq=False)
class Moved:
    """Atoms (m, d) of the first measure, by how much they move (m, d), their weights (m,), and W2^2."""

    start: Array
    shift: Array
    weights: Array
    squared: float


def densities(a: Measure | Law, b: Measure | Law) -> tuple[Density, Density] | None:
    """The pair as densities on two moving axes, laws by their averages on 256^2 cells; None where it is no such pair.

    None also without numba.
    """
    if a.domain.dim != 2 or any(a.domain.frozen) or any(b.domain.frozen) or not available():
        return None
    found = [_density(pi) for pi in (a, b)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _density(pi: Measure | Law) -> Density | None:
    if isinstance(pi, Density):
        return pi
    return on_grid(pi) if isinstance(pi, Law) and pi.has_averages and not isinstance(pi, Atoms) else None


def atoms_and_density(a: Measure | Law, b: Measure | Law) -> tuple[Particles, Density] | None:
    """Atoms and a density on two axes with walls, in this order whichever is which; None where it is no such pair.

    A law enters by its averages on 256^2 cells. None also without numba.
    """
    if a.domain.dim != 2 or not available():
        return None
    if any((*a.domain.periodic, *b.domain.periodic, *a.domain.frozen, *b.domain.frozen)):
        return None
    atoms = [pi for pi in (a, b) if isinstance(pi, Particles | Atoms)]
    found = [pi for pi in (_density(one) for one in (a, b)) if pi is not None]
    if len(atoms) != 1 or len(found) != 1:
        return None
    (pi,) = atoms
    return pi if isinstance(pi, Particles) else Particles(pi.domain, pi.points, pi.weights), found[0]


def spread(grid: Grid) -> float:
    """How far, in the mean, even mass in cells stands from their middles."""
    return math.sqrt(float(np.sum(grid.widths**2)) / 12.0)


def between(a: Density, b: Density, tolerance: float = TOLERANCE) -> Moved:
    """W2^2 of the masses at the middles of cells, and who goes where.

    By the dual with a spline as potential (wflow.spline.transport), the measure that is spread out being moved: from
    below, W2 of smooth densities to a tenth of the tolerance or better, of any to the tolerance and one spread. Where
    the dual stops earlier, as for noise, by POT if the pairs of cells with mass are at most four millions; else
    NotConverged.
    """
    try:
        return _by_splines(a, b, tolerance)
    except NotConverged:
        first, second = _atoms(a), _atoms(b)
        if len(first.weights) * len(second.weights) > _FEW:
            raise
    plan = optimal_plan(first, second, a.domain)
    i, j = np.nonzero(plan.masses)
    shift = a.domain.difference(second.points[j], first.points[i])
    return Moved(first.points[i], shift, plan.masses[i, j], plan.cost)


def _atoms(pi: Density) -> AtomsOf:
    """Cells with mass; faint ones are left out."""
    kept = pi.values > _FAINT * pi.values.max()
    masses = pi.weights[kept]
    return AtomsOf(pi.points[kept], masses / masses.sum())


def _by_splines(a: Density, b: Density, tolerance: float) -> Moved:
    from wflow.spline.transport import transported

    frame = _Frame(a.grid, b.grid)
    first, second = frame.cloud(a), frame.cloud(b)
    turned = first.crowding > second.crowding
    source, target = (second, first) if turned else (first, second)
    found = transported(source, target, frame.lattice, tolerance, _LIMIT)
    widths = np.asarray(frame.widths)
    here, there = (frame.lower + places * widths for places in (source.places, found.ends))
    start, end = (there, here) if turned else (here, there)
    return Moved(start, end - start, source.masses, found.squared)


@dataclass(frozen=True, eq=False)
class _Frame:
    """The lattice for two grids: the cells of the coarser, as many as cover both.

    Axes with walls are lengthened to a number of cells that can be halved: W2 knows no walls.
    """

    first: Grid
    second: Grid

    @cached_property
    def grid(self) -> Grid:
        """The one with the larger cells."""
        return max(self.first, self.second, key=lambda one: one.cell_volume)

    @property
    def widths(self) -> tuple[float, float]:
        h = self.grid.widths.tolist()
        return h[0], h[1]

    @cached_property
    def _before(self) -> Array:
        """Cells added before the grid's first, on each axis."""
        ends = np.minimum(self.first.domain.lower, self.second.domain.lower)
        gap = np.where(self.grid.domain.periodic, 0.0, (np.asarray(self.grid.domain.lower) - ends) / self.grid.widths)
        return np.ceil(np.round(gap, 9))

    @cached_property
    def lower(self) -> Array:
        """The lattice's corner."""
        return np.asarray(np.asarray(self.grid.domain.lower) - self._before * self.grid.widths)

    @cached_property
    def lattice(self) -> "Lattice":
        from wflow.spline.lattice import Sides
        from wflow.spline.transport import Lattice

        domain: Box = self.grid.domain
        ends = np.maximum(self.first.domain.upper, self.second.domain.upper)
        gap = np.where(domain.periodic, 0.0, (ends - np.asarray(domain.upper)) / self.grid.widths)
        counts = np.asarray(self.grid.shape) + self._before + np.ceil(np.round(gap, 9))
        shape = [_halvable(int(n), turns) for n, turns in zip(counts, domain.periodic, strict=True)]
        return Lattice((shape[0], shape[1]), Sides(*domain.periodic), self.widths)

    def cloud(self, pi: Density) -> "Cloud":
        from wflow.spline.transport import Cloud

        atoms = _atoms(pi)
        return Cloud((atoms.points - self.lower) / self.grid.widths, atoms.weights)


def _halvable(n: int, turns: bool) -> int:
    """n, or the next multiple of a power of two that leaves at least 16 cells; a circle cannot be lengthened."""
    if turns or n <= _COARSEST:
        return n
    block = 1 << int(math.log2(n / _COARSEST))
    return block * math.ceil(n / block)
