"""This file owns the JKO step of a one-dimensional measure known by its quantiles."""

from dataclasses import dataclass
from typing import ClassVar

from solvers.jko._quantiles import QuantileSolver, space_order
from wflow.flow import Flow
from wflow.measure import Quantiles
from wflow.solver import EVERY_PROMISE, Order, Promise, State, Step


@dataclass(frozen=True)
class Quantile(QuantileSolver):
    """Backward Euler in W2 (the JKO step) for edges x of equal mass 1/m between neighbours.

    Minimises  G(x) = sum_i w_i |x_i - x0_i|^2 / (2 dt) + F(x)  over increasing x, w the trapezoidal weights, with
    int rho log rho = -mean log(m gap) and int rho^p = mean (m gap)^(1 - p). Fully implicit Newton: tridiagonal (cyclic
    on the circle) plus the low-rank coupling of V[pi] to the moving edges; backtracking keeps the order. On an
    interval an end pressed against its wall stays there. The answer is a stationary point of G below the start: the
    minimiser where G is convex (with V'' >= -1/dt and a positive semidefinite coupling it is). Order 1 in dt; in space
    see `space_order`.
    Raises NotConverged if the optimality residual, as a displacement dt sqrt(sum_i g_i^2 / w_i), exceeds `tolerance`.
    Source: Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1), 1-17.
    """

    variational: ClassVar[bool] = True

    def order(self, flow: Flow) -> Order:
        """Time 1."""
        return Order(1.0, space_order(flow))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and energy for every dt."""
        return EVERY_PROMISE

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Quantiles)
        end = self.stage(flow, state.time, start.edges, dt, start)
        return Step(state.after(dt, end.pi), dissipated=0.5 * dt * end.dissipation, residual=end.residual)
