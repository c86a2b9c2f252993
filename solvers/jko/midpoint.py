"""This file owns the implicit midpoint rule on quantiles: a JKO step of half the length, continued as far again."""

from dataclasses import dataclass, replace

import numpy as np

from solvers.jko._quantiles import QuantileSolver, admissible, atom_at_wall, second_order, starts_with_fronts
from wflow.errors import LostDensity
from wflow.flow import Flow
from wflow.measure import Quantiles
from wflow.solver import Order, State, Step


@dataclass(frozen=True)
class Midpoint(QuantileSolver):
    """Second order by one JKO step of dt/2 and extrapolation: x = argmin |x - x0|^2/dt + F,  x1 = 2 x - x0.

    A-stable, not L-stable: what is too fast for dt is mirrored, not damped. For quadratic F, F_0 - F_1 = dt |v|^2 to
    the digit; in general the energy is not promised.
    dissipated: dt |v|^2 with v the velocity at the middle.
    Raises LostDensity where the extrapolated edges cross or leave the walls: dt is too long for it there.
    """

    def order(self, flow: Flow) -> Order:
        """Time 2, also from compact starts, where the energy identity has order 1/2; 1 where V' bends like a root."""
        found = second_order(flow)
        return replace(found, time=2.0) if starts_with_fronts(flow) else found

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Quantiles)
        middle = self.stage(flow, state.time, start.edges, 0.5 * dt, start)
        edges = start.edges + dt * middle.velocity
        if not flow.domain.is_circle:
            for end, wall in ((0, flow.domain.lower[0]), (-1, flow.domain.upper[0])):
                if middle.pi.edges[end] == wall:
                    edges[end] = wall  # pressed against it: it stays
        if not admissible(start, edges):
            gathers = atom_at_wall(flow, edges, middle.velocity, 0.0)
            raise LostDensity(
                f"{self}: the edges extrapolated from the middle of the step cross or leave the walls, at t = "
                f"{state.time:g} with dt = {dt:.3g} (least gap {np.min(np.diff(edges)):.3g}, ends {edges[0]:.6g}, "
                f"{edges[-1]:.6g}); {gathers or 'halve dt, or use Sdirk2, whose last stage is a minimisation'}"
            )
        return Step(state.after(dt, start.moved(edges)), dt * middle.dissipation, 2.0 * middle.residual)
