"""This file owns two JKO steps a step that are of second order: Alexander's SDIRK2 on quantiles."""

import math
from dataclasses import dataclass

from solvers.jko._quantiles import QuantileSolver, Stage, ahead, second_order
from wflow.flow import Flow
from wflow.measure import Quantiles
from wflow.solver import Order, State, Step

GAMMA = 1.0 - 1.0 / math.sqrt(2.0)


@dataclass(frozen=True)
class Sdirk2(QuantileSolver):
    """L-stable second order by two implicit stages of length tau = gamma dt, gamma = 1 - 1/sqrt 2.

        x1 = argmin |x - x0|^2/(2 tau) + F,     y = x0 + (1 - gamma)/gamma (x1 - x0)
        x2 = argmin |x - y|^2/(2 tau) + F,      the end of the step

    The last stage is a minimisation over increasing edges, so the answer is one; the anchor y need not be increasing.
    The energy usually falls; nobody has proved it, and it is not promised.
    dissipated: dt ((1 - gamma) |v1|^2 + gamma |v2|^2), the stages' own quadrature of int |grad V|^2 dpi dt.
    Source: Alexander 1977, SIAM J. Numer. Anal. 14(6), 1006-1021.
    """

    def order(self, flow: Flow) -> Order:
        """Time 2; 3/2, and 1/2 for the energy identity, where fronts set off from a compact start."""
        return second_order(flow)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        first, second = stages(self, flow, state, dt)
        residual = max(first.residual, second.residual)
        return Step(state.after(dt, second.pi), spent(first, second, dt), residual)


def stages(method: QuantileSolver, flow: Flow, state: State, dt: float) -> tuple[Stage, Stage]:
    """Both stages of a step of length dt, taken by `method`: failures are reported in its name."""
    start, tau = state.measure, GAMMA * dt
    assert isinstance(start, Quantiles)
    first = method.stage(flow, state.time, start.edges, tau, start)
    anchor = start.edges + (1.0 - GAMMA) * dt * first.velocity
    guess = ahead(first.pi, (1.0 - GAMMA) * dt * first.velocity)
    return first, method.stage(flow, state.time, anchor, tau, guess)


def spent(first: Stage, second: Stage, dt: float) -> float:
    """What the stages dissipate."""
    return dt * ((1.0 - GAMMA) * first.dissipation + GAMMA * second.dissipation)
