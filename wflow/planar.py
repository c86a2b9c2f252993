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
from wflow.clusters import AtomsOf
from wflow.compiled import available
from wflow.domain import Domain
from wflow.errors import NotConverged
from wflow.grid import Grid
from wflow.law import Atoms, Law
from wflow.measure import Density, Measure, Particles
from wflow.plans import on_grid, optimal_plan

if TYPE_CHECKING:
    from wflow.spline.transport import Cloud, Lattice

TOLERANCE = 1e-3
_LIMIT = 80
_COARSEST, _LEAST = 16, 8
_FAINT = 1e-15
_FEW = 4_000_000
"""Pairs of atoms that POT takes in seconds."""
_MANY = 20_000
"""Cells with mass of one grid that wflow.nodal takes in some ten seconds."""


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
    """Atoms and a density on two moving axes, in this order whichever is which; None where it is no such pair.

    A law enters by its averages on 256^2 cells. None also without numba.
    """
    if a.domain.dim != 2 or not available():
        return None
    if any((*a.domain.frozen, *b.domain.frozen)):
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

    By the dual with a spline as potential (wflow.spline.transport), the measure that is spread out being moved: W2 of
    smooth densities on the same cells to a tenth of the tolerance or better, of any to the tolerance and about one
    spread, and to 1e-7 of the mass's own extent. Where the cells differ, an axis has fewer than eight, they are eight
    times as long as wide, or the dual stops early, as for noise, the plan of the masses at the middles: by wflow.nodal
    on one grid, if at most 20000 cells have mass, by POT on two, if the pairs are at most four millions. Else
    NotConverged.
    """
    first, second = _atoms(a), _atoms(b)
    alike = a.domain == b.domain and a.grid.shape == b.grid.shape
    counts = len(first.weights), len(second.weights)
    few = max(counts) <= _MANY if alike else math.prod(counts) <= _FEW
    if not few or _fit(a.grid, b.grid):
        try:
            frame = _Frame(a.grid, b.grid, first, second)
            return _by_splines(first, second, frame, tolerance)
        except NotConverged:
            if not few:
                raise
    return _on_nodes(a, b) if alike else _by_pairs(first, second, a.domain)


def _on_nodes(a: Density, b: Density) -> Moved:
    from wflow.nodal import nodal

    found = nodal(a, b)
    start = a.grid.centres[found.source]
    return Moved(start, a.domain.difference(a.grid.centres[found.target], start), found.masses, found.squared)


def _by_pairs(a: AtomsOf, b: AtomsOf, domain: Domain) -> Moved:
    plan = optimal_plan(a, b, domain)
    i, j = np.nonzero(plan.masses)
    return Moved(a.points[i], domain.difference(b.points[j], a.points[i]), plan.masses[i, j], plan.cost)


def _fit(a: Grid, b: Grid) -> bool:
    """The cells are those for which splines are made: alike, some on each axis, and not much longer than wide."""
    alike = np.allclose(a.widths, b.widths, rtol=1e-9) and min(*a.shape, *b.shape) >= _LEAST
    return bool(alike and a.widths.max() <= _LEAST * a.widths.min())


def _atoms(pi: Density) -> AtomsOf:
    """Cells with mass; faint ones are left out."""
    kept = pi.values > _FAINT * pi.values.max()
    masses = pi.weights[kept]
    return AtomsOf(pi.points[kept], masses / masses.sum())


def _by_splines(a: AtomsOf, b: AtomsOf, frame: "_Frame", tolerance: float) -> Moved:
    from wflow.spline.transport import transported

    first, second = frame.cloud(a), frame.cloud(b, frame.apart)
    turned = first.crowding > second.crowding
    source, target = (second, first) if turned else (first, second)
    found = transported(source, target, frame.lattice, tolerance, _LIMIT, frame.saved)
    widths = np.asarray(frame.widths)
    here, there = (frame.lower + places * widths for places in (source.places, found.ends))
    start, end = (there, here) if turned else (here, there)
    # the lattice is longer than the boxes, and what it lets land beyond a wall is little
    start, end = frame.first.domain.retract(start), frame.second.domain.retract(end + frame.apart)
    return Moved(start, end - start, source.masses, found.squared + frame.saved)


@dataclass(frozen=True, eq=False)
class _Frame:
    """The lattice on which the second measure is brought next to the first: the cells of the coarser of two grids.

    On axes with walls the second is moved by whole cells until the means are less than half a cell apart, which
    W2^2 - |difference of means|^2 does not notice, and the lattice is as long as the mass needs, and some cells more,
    so that their number can be halved: W2 knows no walls.
    """

    first: Grid
    second: Grid
    a: AtomsOf
    b: AtomsOf

    @cached_property
    def grid(self) -> Grid:
        """The one with the larger cells."""
        return max(self.first, self.second, key=lambda one: one.cell_volume)

    @property
    def widths(self) -> tuple[float, float]:
        h = self.grid.widths.tolist()
        return h[0], h[1]

    @cached_property
    def _means(self) -> Array:
        """Of both measures (2, d), 0 along periodic axes."""
        means = np.stack([atoms.weights @ atoms.points for atoms in (self.a, self.b)])
        return np.where(self.grid.domain.periodic, 0.0, means)

    @cached_property
    def apart(self) -> Array:
        """By how much the second measure is brought nearer (d,)."""
        return np.asarray(np.round((self._means[1] - self._means[0]) / self.grid.widths) * self.grid.widths)

    @property
    def saved(self) -> float:
        """What that takes from W2^2."""
        before = self._means[1] - self._means[0]
        return float(np.sum(before**2 - (before - self.apart) ** 2))

    @cached_property
    def _ends(self) -> Array:
        """Cells (2, d) of the grid, counted from its corner, between which both measures lie; all of a circle."""
        places = np.concatenate([self.a.points, self.b.points - self.apart])
        cells = (places - np.asarray(self.grid.domain.lower)) / self.grid.widths
        ends = np.stack([np.floor(cells.min(axis=0) + 1e-9), np.ceil(cells.max(axis=0) - 1e-9)])
        whole = np.stack([np.zeros(2), np.asarray(self.grid.shape)])
        return np.where(self.grid.domain.periodic, whole, ends)

    @cached_property
    def lower(self) -> Array:
        """The lattice's corner."""
        return np.asarray(np.asarray(self.grid.domain.lower) + self._ends[0] * self.grid.widths)

    @cached_property
    def lattice(self) -> "Lattice":
        from wflow.spline.lattice import Sides
        from wflow.spline.transport import Lattice

        counts = self._ends[1] - self._ends[0]
        shape = [_halvable(max(int(n), 2), turns) for n, turns in zip(counts, self.grid.domain.periodic, strict=True)]
        return Lattice((shape[0], shape[1]), Sides(*self.grid.domain.periodic), self.widths)

    def cloud(self, atoms: AtomsOf, back: Array | float = 0.0) -> "Cloud":
        from wflow.spline.transport import Cloud

        return Cloud((atoms.points - back - self.lower) / self.grid.widths, atoms.weights)


def _halvable(n: int, turns: bool) -> int:
    """n, or the next multiple of a power of two that leaves at least 16 cells; a circle cannot be lengthened."""
    if turns or n <= _COARSEST:
        return n
    block = 1 << int(math.log2(n / _COARSEST))
    return block * math.ceil(n / block)
