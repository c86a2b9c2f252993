"""This file owns the two-step backward differentiation formula on quantiles, with steps of any lengths."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from solvers.jko._quantiles import QuantileSolver, Stage, ahead, second_order
from solvers.jko.sdirk2 import spent, stages
from wflow.flow import Flow
from wflow.measure import Quantiles
from wflow.solver import Order, State, Step

LARGEST_RATIO = 1.0 + math.sqrt(2.0)
"""A step longer than the last one by more than this starts afresh: beyond it the formula is not zero-stable."""
_STARTED = 1.5


@dataclass(frozen=True)
class Bdf2(QuantileSolver):
    """Second order by one implicit stage a step, from the last two measures x_{k-1}, x_k and the ratio r of the steps:

        x_{k+1} = argmin |x - y|^2/(2 tau) + F,   y = x_k + r^2/(1 + 2r) (x_k - x_{k-1}),   tau = (1 + r)/(1 + 2r) dt

    (equal steps: y = (4 x_k - x_{k-1})/3, tau = 2 dt/3). L-stable for equal steps, zero-stable for r <= 1 + sqrt 2. The
    first step, and any that is longer than the last by more than that, is one of Sdirk2. Energy is not promised.
    dissipated: dt (|v_k|^2 + |v_{k+1}|^2)/2, the trapezoidal rule; Sdirk2's own in its steps.
    Source: Hairer, Norsett & Wanner 1993, Solving Ordinary Differential Equations I, section III.5 (variable steps);
    Matthes & Plazotta, arXiv:1711.02935 (as a minimising movement).
    """

    multistep: ClassVar[bool] = True

    def order(self, flow: Flow) -> Order:
        """2, of the energy identity 3/2 (its first step has another rule); 3/2 and 1/2 for fronts of compact starts."""
        order = second_order(flow)
        return replace(order, identity=_STARTED) if order.identity is None else order

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        past = state.memory.get("length")
        if not isinstance(past, float) or dt > LARGEST_RATIO * past:
            return self._started(flow, state, dt)
        pi, before, rate = state.measure, state.memory["before"], state.memory["dissipation"]
        assert isinstance(pi, Quantiles) and isinstance(before, np.ndarray) and isinstance(rate, float)
        ratio, way = dt / past, pi.edges - before
        anchor = pi.edges + ratio**2 / (1.0 + 2.0 * ratio) * way
        tau = (1.0 + ratio) / (1.0 + 2.0 * ratio) * dt
        end = self.stage(flow, state.time, anchor, tau, ahead(pi, ratio * way))
        return self._left(state, dt, end, 0.5 * dt * (rate + end.dissipation), end.residual)

    def _started(self, flow: Flow, state: State, dt: float) -> Step:
        """A step that knows no past."""
        first, second = stages(self, flow, state, dt)
        return self._left(state, dt, second, spent(first, second, dt), max(first.residual, second.residual))

    def _left(self, state: State, dt: float, end: Stage, spent: float, residual: float) -> Step:
        """The step, and for the next one where it began, its length and |v|^2 at its end."""
        assert isinstance(state.measure, Quantiles)
        after = state.after(dt, end.pi, before=state.measure.edges, length=dt, dissipation=end.dissipation)
        return Step(after, spent, residual)
