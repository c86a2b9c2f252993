"""This file owns the minimising movement of a tabulated energy as a problem: its energy, its dual, what proves an end.

The tabulated energy of any measure gamma is F of the cells that get its mass by hats, F_h(gamma) = F(P gamma); its
first variation is V[P gamma] by hats. Over couplings of the start's atoms mu_i, the step is

    min over gamma of  F(P gamma) + sum of mass |y - x|^2/(2 tau),
    D(rho) = F(rho) - sum_k V_k rho_k + sum_i mu_i min_y [ V(y) + |y - x_i|^2/(2 tau) ],     V = V[rho],

D(rho) <= the minimum for every rho where F is convex (its tangent lies below it), and rho = P gamma at the optimum,
gamma the atoms at their minima.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.hats.settled import Settled, Sheets, settled
from wflow.measure import Density

_SMALLEST = 1e-5
"""Of max(1, |F|): gains below it count as that much."""


@dataclass(frozen=True, eq=False)
class Minimum:
    """The end, the cost of its coupling over 2 tau, and how far F + cost is above the least, as a share of the gain.

    dual: F + cost less that distance; where F is convex a bound of the least value from below.
    """

    end: Density
    spent: float
    dual: float
    gap: float


@dataclass(frozen=True, eq=False)
class Point:
    """D at rho (m,), which need not be a measure: field V[rho], base = F(rho) - V . rho, and where mass goes."""

    rho: Array
    field: Array
    base: float
    settled: Settled

    def moved(self, step: Array, bend: Array, share: float) -> "Point":
        """At rho + share step, bend = K step; mass is not settled anew."""
        base = self.base - share * float(self.rho @ bend) - 0.5 * share**2 * float(step @ bend)
        return Point(self.rho + share * step, self.field + share * bend, base, self.settled)

    @property
    def value(self) -> float:
        """D, with softened minima."""
        return self.base + self.settled.soft

    @cached_property
    def ahead(self) -> Array:
        """P gamma - rho."""
        return self.settled.masses - self.rho


@dataclass(frozen=True, eq=False)
class Movement:
    """A step of length tau of an energy from a density; F without internal terms, quadratic in the density."""

    energy: Energy
    start: Density
    tau: float

    @cached_property
    def sheets(self) -> Sheets:
        """The grid's cells."""
        return Sheets(self.start.grid, self.tau)

    @cached_property
    def before(self) -> float:
        """F of the start."""
        return self.energy.value(self.start)

    def density(self, masses: Array) -> Density:
        """Masses (m,) >= 0, of the start's mass but for rounding."""
        return Density(self.start.grid, masses * (self.start.mass / (masses.sum() * self.start.grid.cell_volume)))

    def field(self, pi: Density) -> Array:
        """V (m,) at the centres."""
        return self.energy.potential(pi, pi.points)

    def curved(self, change: Array) -> Array:
        """K change (m,) for a change of masses of sum 0: V is affine in the density."""
        up, down = np.maximum(change, 0.0), np.maximum(-change, 0.0)
        size = float(up.sum())
        if not size > 0.0 or not down.sum() > 0.0:
            return np.zeros_like(change)
        return size * (self.field(self.density(up)) - self.field(self.density(down)))

    def settle(self, field: Array, width: float) -> Settled:
        """The start's mass in a field."""
        return settled(self.sheets, self.start.weights, field, width)

    def widened(self, here: Point, width: float) -> Point:
        """With mass settled in the field of the point, minima softened over the width."""
        return Point(here.rho, here.field, here.base, self.settle(here.field, width))

    def at(self, pi: Density, width: float) -> Point:
        """D at a density."""
        field = self.field(pi)
        return Point(pi.weights, field, self.energy.value(pi) - float(field @ pi.weights), self.settle(field, width))

    def scale(self, dual: float) -> float:
        """What gaps are shares of: at least what the step gains."""
        return max(self.before - dual, _SMALLEST * max(1.0, abs(self.before)))

    def ended(self, masses: Array, spent: float) -> Minimum:
        """Masses (m,) by a coupling of that cost, with the gap of their own field: what they pay in it less the minima.

        If F + cost did not fall, the start.
        """
        end = self.density(masses)
        after = self.energy.value(end)
        if after + spent >= self.before:
            end, spent, after = self.start, 0.0, self.before
        field = self.field(end)
        gap = max(float(field @ end.weights) + spent - self.settle(field, 0.0).least, 0.0)
        dual = after + spent - gap
        return Minimum(end, spent, dual, gap / self.scale(dual))
