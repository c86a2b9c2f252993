"""This file owns the initial value problem: an energy on a domain, started from a law, up to a horizon."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import finite, positive
from wflow.charged import Charged
from wflow.domain import Box, Domain
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.law import Law
from wflow.measure import Density, Measure
from wflow.mesh_density import MeshDensity
from wflow.signed_density import SignedDensity

SHEETS = 2
"""Cells on a frozen axis."""
Window = tuple[float, float] | Sequence[tuple[float, float] | None]


@dataclass(frozen=True, eq=False)
class Flow:
    """d_t pi = div(pi grad V[pi]) + temperature Laplace pi, pi(0) = initial, 0 <= t <= horizon.

    window: where infinite axes keep their mass until the horizon; grids stand on it. One (lower, upper) an axis, None
    for an axis that is bounded; on one axis the pair itself. Held as a tuple with one entry an axis.
    densest: a density on cells that grows beyond it ends a run with Concentrated; where it is finite, so does one of
    which a cell of a grid holds more than a tenth, with what its cells can resolve.
    """

    energy: Energy
    domain: Domain
    initial: Law
    horizon: float
    window: Window | None = None
    densest: float = math.inf

    def __post_init__(self) -> None:
        positive("Flow horizon", self.horizon)
        if self.densest != math.inf:
            positive("Flow densest", self.densest)
        if not isinstance(self.energy, Energy):
            raise TypeError(f"Flow energy: got {type(self.energy).__name__}; wrap the terms, Energy(term, ...)")
        if not isinstance(self.initial, Law):
            raise TypeError(
                f"Flow initial: got {type(self.initial).__name__}; give a law (for points: Atoms(domain, points))"
            )
        if not self.domain.moving:
            raise ValueError(f"Flow domain: every axis of {self.domain} is frozen; leave one free to move along")
        for home in self.energy.homes:
            if not home.alike(self.domain):
                raise ValueError(
                    f"Flow energy: a term lives on {home}, the flow on {self.domain}; give the same domain"
                )
        if self.initial.domain != self.domain:
            raise ValueError(
                f"Flow: the domain is {self.domain} but the initial law lives on {self.initial.domain}; give the same"
            )
        if self.window is not None:
            object.__setattr__(self, "window", windows_of("Flow window", self.window, self.domain))

    @property
    def charged(self) -> bool:
        """The start is a measure of any mass and sign, and masses change: d_t pi has a source besides transport."""
        return isinstance(self.initial, Charged)

    @property
    def conserved(self) -> bool:
        """Masses change, but not their sum: sources and sinks add up to nothing."""
        return isinstance(self.initial, Charged) and self.initial.conserved

    def grid(self, cells: int, window: Window | None = None) -> Grid:
        """`cells` equal cells an axis (two on a frozen one) on the domain, or on the window where it is infinite.

        Refused on a domain that is no box.
        """
        if not isinstance(self.domain, Box):
            raise Refused(f"Flow: the domain {self.domain} is no box and has no grid; use a method on meshes")
        shape = tuple(SHEETS if still else cells for still in self.domain.frozen)
        if self.domain.bounded and window is None:
            return Grid(self.domain, shape)
        chosen = self.window if window is None else window
        cuts = [None] * self.domain.dim if chosen is None else windows_of("window", chosen, self.domain)
        whole = zip(self.domain.lower, self.domain.upper, strict=True)
        ends = [
            (low, high) if cut is None else (max(cut[0], low), min(cut[1], high))
            for (low, high), cut in zip(whole, cuts, strict=True)
        ]
        if not np.all(np.isfinite(ends)):
            raise Refused(
                "Flow: a grid on an infinite axis needs a window; set Flow(window=(lower, upper)) or the solver's own"
            )
        lower, upper = zip(*ends, strict=True)
        return Grid(Box(lower, upper, self.domain.periodic, self.domain.frozen), shape)

    def open_ends(self, grid: Grid) -> tuple[tuple[bool, bool], ...]:
        """For each axis whether the grid's lower and upper wall stand for a part of the domain further out."""
        own, cut = self.domain, grid.domain
        return tuple((cut.lower[k] > own.lower[k], cut.upper[k] < own.upper[k]) for k in range(own.dim))

    def at_edges(self, pi: Measure) -> float:
        """Mass of a density within two cells of a wall that stands for infinity; 0 for other measures."""
        if isinstance(pi, MeshDensity):
            return self._at_ends(pi)
        if not isinstance(pi, Density | SignedDensity) or pi.domain == self.domain:
            return 0.0
        heights = pi.values if isinstance(pi, Density) else pi.heights
        edge = 0.0
        for axis, (lower, upper) in enumerate(self.open_ends(pi.grid)):
            across = np.moveaxis(heights.reshape(pi.grid.shape), axis, 0)
            edge += (float(across[:2].sum()) if lower else 0.0) + (float(across[-2:].sum()) if upper else 0.0)
        return edge * pi.grid.cell_volume

    def _at_ends(self, pi: MeshDensity) -> float:
        """The same on a mesh: of cells whose centre is within two of its widths of such a wall."""
        own, cut, near = self.domain, pi.domain, 2.0 * pi.mesh.width
        felt = np.zeros(pi.mesh.size, dtype=bool)
        for axis, place in enumerate(pi.mesh.centres.T):
            if cut.lower[axis] > own.lower[axis]:
                felt |= place < cut.lower[axis] + near
            if cut.upper[axis] < own.upper[axis]:
                felt |= place > cut.upper[axis] - near
        return pi.ranks.total(float((pi.averages * pi.mesh.volumes)[felt].sum()))


def windows_of(name: str, window: Window, domain: Domain) -> tuple[tuple[float, float] | None, ...]:
    """One entry an axis; ValueError naming an entry that is no bounded interval, or that belongs to a periodic axis."""
    if not isinstance(window, Sequence | np.ndarray):
        raise TypeError(f"{name}: {window!r} is not a window; give (lower, upper), or one such pair or None an axis")
    entries = (window,) if domain.dim == 1 and len(window) == 2 and not isinstance(window[0], tuple | list) else window
    if len(entries) != domain.dim:
        raise ValueError(f"{name}: {window} has not one entry (lower, upper) or None for each of {domain.dim} axes")
    out: list[tuple[float, float] | None] = []
    for axis, entry in enumerate(entries):
        if entry is None:
            out.append(None)
            continue
        bounds = finite(name, entry)  # type: ignore[arg-type]
        if bounds.shape != (2,) or not bounds[0] < bounds[1]:
            raise ValueError(f"{name}: {entry} is not a bounded interval (lower, upper)")
        if domain.periodic[axis]:
            raise ValueError(f"{name}: axis {axis} is periodic and needs no window; give None there")
        out.append((float(bounds[0]), float(bounds[1])))
    return tuple(out)
