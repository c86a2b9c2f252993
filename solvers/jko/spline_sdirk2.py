"""This file owns two JKO steps a step that are of second order, on grids: Alexander's SDIRK2 by the spline dual."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from solvers.jko._taken import Taken
from solvers.jko.spline import SLACK, Spline
from wflow.errors import NotConverged
from wflow.flow import Flow
from wflow.measure import Density
from wflow.solver import Order, Promise

if TYPE_CHECKING:
    from solvers.jko._stage import Stage

GAMMA = 1.0 - 1.0 / math.sqrt(2.0)
_SWITCHED, _OPEN = 4e-3, 2e-2
"""Of a squared cell, and of a cell: see SplineSdirk2.waves and resolved."""
_FOLDED = 1e-2
"""Share of the mass at which the anchor's map may fold: at an edge p has a kink."""


@dataclass(frozen=True)
class SplineSdirk2(Spline):
    """L-stable second order by two minimisations of length tau = gamma dt, gamma = 1 - 1/sqrt 2.

        rho_1 = argmin F + W2^2(rho_0, .)/(2 tau),  p its potential,   mu = (id + (2 gamma - 1) dt grad p)_# rho_1
        rho_2 = argmin F + W2^2(mu, .)/(2 tau),     the end of the step

    mu is rho_0 carried on by (1 - gamma) dt of the first stage's velocity, atoms that need not lie on the grid. Mass,
    sign and W2 are treated as in Spline. The map must be monotone: where it folds at more than a hundredth of the mass,
    where a stage does not converge, the first is no certified JKO step, or F rises, the step is one of Spline instead,
    and Trajectory.diagnostics "fallbacks" counts it. The energy usually falls; nobody has proved it, and the fallback
    sees to it.
    Order 2 in time with entropy; 3/2 declared where the density has an edge.
    dissipated: dt ((1 - gamma) |v_1|^2 + gamma |v_2|^2), |v_i| the distance moved in a stage over tau.
    Source: Alexander 1977, SIAM J. Numer. Anal. 14(6), 1006-1021; the anchor as a measure: derived here.
    """

    tolerance: float = 1e-4
    variational: ClassVar[bool] = False
    limited: ClassVar[bool] = False

    def order(self, flow: Flow) -> Order:
        """(2, 2), the energy identity 3/2; in space 1, in time 3/2 and no identity where the density has an edge.

        There F is that of cells, which an edge crosses one by one.
        """
        if flow.energy.temperature:
            return Order(2.0, 2.0, identity=1.5)
        return Order(1.5, 1.0, identity=0.0)

    def resolved(self, flow: Flow) -> float:
        """As Spline's, and with edges a share of a cell: what their kinks leave open."""
        h = float(flow.grid(self.cells, self.window).widths.max())
        return super().resolved(flow) + (0.0 if flow.energy.temperature else _OPEN * h)

    def waves(self, flow: Flow) -> float:
        """O(h^2) by which a fine spline differs from a coarse one, and by waves that its atoms do not feel; dt chooses.

        Seen also in runs on fine splines alone: of N(2, 1/4) on cells of .4, W2 1.6e-4 from 40 steps to 80, where the
        mean changes by 1.5e-5.
        """
        h = float(flow.grid(self.cells, self.window).widths.max())
        return _SWITCHED * h * h if flow.energy.temperature else 0.0

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity, and energy by its fallback."""
        return frozenset({"mass", "positivity", "energy"})

    def attempt(self, stage: "Stage", start: Density, dt: float, time: float) -> Taken:
        """One step of second order, or of first."""
        try:
            found = self._second(stage, start, dt, time)
        except NotConverged:
            found = None
        return replace(super().attempt(stage, start, dt, time), fallback=True) if found is None else found

    def _second(self, stage: "Stage", start: Density, dt: float, time: float) -> Taken | None:
        """None where the map folds or F rises."""
        tau, energy = GAMMA * dt, stage.flow.energy
        mu, guess = stage.atoms(start), stage.first_guess(start)
        first = stage.minimised(mu, tau, start, guess, self.tolerance, self.limit)
        self.check(stage.flow, first, time, dt)
        self.certified(stage, start, first, tau, time)
        anchor, lost = stage.carried(first, (2.0 * GAMMA - 1.0) * dt)
        if lost > _FOLDED:
            return None
        last = stage.minimised(anchor, tau, first.end, stage.nodal(first), self.tolerance, self.limit)
        self.check(stage.flow, last, time, dt)
        before = energy.value(start)
        if not energy.value(last.end) <= before + SLACK * max(1.0, abs(before)):
            return None
        spent = dt * ((1.0 - GAMMA) * (first.moved / tau) ** 2 + GAMMA * (last.moved / tau) ** 2)
        return Taken(last.end, spent, max(first.off, last.off), last.dual)
