"""This file owns entropic fictitious play: the law drifts towards the best answer to itself."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells
from wflow.arrays import Array, count, positive
from wflow.flow import Flow, Window
from wflow.measure import Density
from wflow.solver import Order, Promise, Solver, State, Step

_ROUNDED = 1e-9


@dataclass(frozen=True)
class FictitiousPlay(Solver):
    """d_t pi = rate (Phi(pi) - pi), Phi(pi) = e^{-V_0[pi]/T}/Z, V_0 the first variation without its entropy, on cells.

    Not a Wasserstein flow: mass jumps to where V_0 is low. Its fixed points are those of the entropic flow. With F
    convex along mixtures (proved: dF/dt = -rate T (KL(pi | Phi) + KL(Phi | pi)), and F - inf F <= T KL(pi | Phi))

        F - inf F <= e^{-rate t} (F_0 - inf F)     with no constant of the domain or the temperature

    A step mixes pi with Phi of a mixture half a step ahead: order 2 in time, positive and of mass 1 at any length.
    Phi by V_0 at the middles of cells: order 2 in space. dissipated: the rate above at the middle, order 2.
    Raises Refused at temperature 0, with other internal energies, and on what cells cannot take.
    Source: Chen, Ren & Wang 2022, Entropic fictitious play for mean field optimization problem (by title); Nitanda et
    al. 2023, arXiv:2303.02957 (by abstract).
    """

    cells: int
    rate: float = 1.0
    window: Window | None = None
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density"]] = "density"

    def __post_init__(self) -> None:
        count("FictitiousPlay cells", self.cells, least=4)
        positive("FictitiousPlay rate", self.rate)

    @property
    def equation(self) -> tuple[object, ...]:
        """Fictitious play at a rate."""
        return ("fictitious play", float(self.rate))

    def decay(self, flow: Flow) -> float | None:
        """The rate, where F is convex along mixtures."""
        return self.rate if flow.energy.convex else None

    def order(self, flow: Flow) -> Order:
        """2 and 2, and 1 in W2 from a jump or an atom, whose place in its cell is lost.

        Where pi_0 is far below Phi, on an axis without end or outside a support, the ledger has a KL that jumps from
        near infinity as mass appears: identity 1.
        """
        rough = not flow.domain.bounded or flow.initial.regularity != "smooth"
        return Order(2.0, 2.0 if flow.initial.edge > 0.0 else 1.0, identity=1.0 if rough else None)

    def resolved(self, flow: Flow) -> float:
        """Without interaction a step is exact in time, but for the root of rounding in W2."""
        return 0.0 if flow.energy.interacting else _ROUNDED

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity."""
        return frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        """No temperature, another internal energy, or no cells."""
        if not flow.energy.temperature:
            return "at temperature 0 the best answer is an atom; use a flow with Entropy(temperature)"
        if len(flow.energy.internal) > 1:
            return "the best answer is a Gibbs law for entropy alone; leave Power out"
        return refusal_of_cells(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Density)
        half = _mixed(pi, _log_answer(flow, pi), 0.5 * self.rate * dt)
        best = _log_answer(flow, half)
        apart = half.logarithms - best
        spent = float((half.weights - np.exp(best) * pi.grid.cell_volume) @ np.where(half.values > 0.0, apart, 0.0))
        end = _mixed(pi, best, self.rate * dt)
        return Step(state.after(dt, end), dissipated=dt * self.rate * flow.energy.temperature * spent)


def _log_answer(flow: Flow, pi: Density) -> Array:
    """log Phi(pi) (m,), Phi = e^{-V_0[pi]/T}/Z by V_0 at the middles of the cells of pi."""
    v: Array = flow.energy.potential(pi, pi.grid.centres) / flow.energy.temperature
    least = float(v.min())
    return least - v - math.log(float(np.sum(np.exp(least - v))) * pi.grid.cell_volume)


def _mixed(pi: Density, log_other: Array, gone: float) -> Density:
    """e^{-gone} pi + (1 - e^{-gone}) e^{log other}."""
    return Density(pi.grid, math.exp(-gone) * pi.values - math.expm1(-gone) * np.exp(log_other))
