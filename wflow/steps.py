"""This file owns laws of one axis whose density is constant between given edges: boxes, arcs, histograms."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array, shaped, weights_of_mass_one
from wflow.domain import Box
from wflow.law import Law, Regularity


@dataclass(frozen=True, eq=False)
class Steps(Law):
    """Mass masses_k uniformly between edges_k and edges_{k+1}; none outside. On the circle edges lie in [0, 2 pi].

    edges: (n+1,) increasing, inside the domain; masses: (n,) of sum 1, of which some may be 0 (a gap).
    """

    domain: Box
    edges: Array
    masses: Array

    def __post_init__(self) -> None:
        edges = shaped("Steps edges", self.edges, (None,))
        if self.domain.dim != 1:
            raise ValueError(f"Steps: the domain has {self.domain.dim} axes; make a Product of laws of one axis")
        if len(edges) < 2 or np.any(np.diff(edges) <= 0.0):
            raise ValueError(f"Steps edges: {edges.tolist()} are not increasing; give at least two, in order")
        if edges[0] < self.domain.lower[0] or edges[-1] > self.domain.upper[0]:
            raise ValueError(
                f"Steps edges: {edges[0]:g}..{edges[-1]:g} leave the domain {self.domain.lower[0]:g}.."
                f"{self.domain.upper[0]:g}; cut them"
            )
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "masses", weights_of_mass_one("Steps masses", self.masses, len(edges) - 1))

    @property
    def regularity(self) -> Regularity:
        """A jump, unless all of the domain has one density."""
        whole = self.edges[0] == self.domain.lower[0] and self.edges[-1] == self.domain.upper[0]
        return "smooth" if whole and np.ptp(self._heights) <= 1e-12 * self._heights.max() else "jump"

    @property
    def connected(self) -> bool:
        """No empty step between two full ones, counted round the circle too."""
        empty = np.ones(len(self.masses) + 2, dtype=bool)
        empty[1:-1] = self.masses == 0.0
        ends_at_seam = self.edges[0] == self.domain.lower[0] and self.edges[-1] == self.domain.upper[0]
        if self.domain.periodic[0]:
            return bool(ends_at_seam and not empty[1:-1].any())
        return int(np.sum(np.diff(empty.astype(int)) == -1)) == 1

    @property
    def support(self) -> tuple[float, float]:
        """The outermost edges; on the circle one turn."""
        if self.domain.periodic[0]:
            return self.domain.lower[0], self.domain.upper[0]
        return float(self.edges[0]), float(self.edges[-1])

    def density(self, w: Array) -> Array:
        """At an edge that of the step to its right."""
        x = self.domain.wrap(w)[:, 0]
        step = np.searchsorted(self.edges, x, side="right") - 1
        inside = (step >= 0) & (step < len(self.masses))
        return np.where(inside, self._heights[np.clip(step, 0, len(self.masses) - 1)], 0.0)

    def cdf(self, w: Array) -> Array:
        x = np.asarray(w, dtype=np.float64)
        turns, length = self._turns(x)
        return np.asarray(turns + np.interp(x - turns * length, self.edges, self._cumulated))

    def quantile(self, s: Array) -> Array:
        s = np.asarray(s, dtype=np.float64)
        turns = np.floor(s) if self.domain.periodic[0] else np.zeros_like(s)
        full = np.flatnonzero(self.masses > 0.0)
        inside = s - turns
        step = full[np.minimum(np.searchsorted(self._cumulated[full + 1], inside, side="left"), len(full) - 1)]
        share = (inside - self._cumulated[step]) / self.masses[step]
        place = self.edges[step] + share * np.diff(self.edges)[step]
        return np.asarray(place + turns * float(self.domain.lengths[0]) if self.domain.periodic[0] else place)

    def _turns(self, x: Array) -> tuple[Array, float]:
        if not self.domain.periodic[0]:
            return np.zeros_like(x), 0.0
        length = float(self.domain.lengths[0])
        return np.floor((x - self.domain.lower[0]) / length), length

    @cached_property
    def _heights(self) -> Array:
        return np.asarray(self.masses / np.diff(self.edges))

    @cached_property
    def _cumulated(self) -> Array:
        cumulated = np.concatenate([[0.0], np.cumsum(self.masses)])
        cumulated[-1] = 1.0
        return cumulated
