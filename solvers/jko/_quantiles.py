"""This file owns what the methods on quantiles have in common: resolution, refusals, the start, and one implicit stage.

Stage:  x = argmin sum_i w_i |x_i - y_i|^2 / (2 tau) + F(x);   the methods differ in their anchors y and lengths tau.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers.jko._movement import Movement
from solvers.jko._newton import minimise
from wflow.arrays import Array, count, positive
from wflow.errors import NotConverged
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.measure import Quantiles
from wflow.solver import Order, Solver, State
from wflow.transport import finite_quantiles

_NEAR_WALL = 1e-4
"""A start that comes nearer to a wall than this share of its length is taken to reach it."""


@dataclass(frozen=True, eq=False)
class Stage:
    """The answer x of a stage with its velocity (x - y)/tau = -grad F(x)/w (zero at ends that walls hold)."""

    pi: Quantiles
    velocity: Array
    residual: float

    @property
    def dissipation(self) -> float:
        """sum_i w_i velocity_i^2, a unit of time."""
        return float(self.pi.weights @ self.velocity**2)


@dataclass(frozen=True)
class QuantileSolver(Solver):
    """Base of the methods that move edges x of equal mass 1/m between neighbours by implicit stages.

    tolerance: of a stage's residual, the displacement tau sqrt(sum_i g_i^2 / w_i) that its gradient g would still
    cause; limit: Newton iterations a stage.
    """

    points: int
    tolerance: float = 1e-9
    limit: int = 200
    resolution: ClassVar[str] = "points"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "quantile"

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} points", self.points, least=4)
        positive(f"{name} tolerance", self.tolerance)
        count(f"{name} limit", self.limit)

    def resolved(self, flow: Flow) -> float:
        """The tolerance of a stage."""
        return self.tolerance

    def _refusal(self, flow: Flow) -> str | None:
        """More than one axis; laws without quantiles or with atoms."""
        if flow.domain.dim != 1:
            return f"the domain has {flow.domain.dim} axes; quantiles need one"
        if flow.domain.periodic[0] and not flow.domain.is_circle:
            return f"the periodic axis has length {flow.domain.lengths[0]:g}, not 2 pi; scale it to the circle"
        if not flow.initial.has_quantile:
            return "the initial law has no quantiles"
        if isinstance(flow.initial, Atoms):
            return "the initial law has atoms, whose quantile gaps vanish; use particles"
        return None

    def init(self, flow: Flow) -> State:
        m, law = self.points, flow.initial
        if flow.domain.is_circle:
            return State(0.0, Quantiles(flow.domain, law.quantile(np.arange(m) / m)))
        return State(0.0, Quantiles(flow.domain, finite_quantiles(law, m)))

    def stage(self, flow: Flow, time: float, anchor: Array, tau: float, guess: Quantiles) -> Stage:
        """argmin_x sum_i w_i |x_i - anchor_i|^2 / (2 tau) + F(x), searched from the guess; raises NotConverged."""
        found = minimise(Movement(flow, anchor, tau), guess, self.tolerance, self.limit)
        if found.residual > self.tolerance:
            gathers = atom_at_wall(flow, found.pi.edges, -found.gradient, self.tolerance)
            raise NotConverged(
                f"{self}: JKO step stopped at residual {found.residual:.3g} > {self.tolerance:g} after at most "
                f"{self.limit} Newton iterations at t = {time:g}, tau = {tau:.3g}; "
                f"{gathers or 'halve dt or raise `limit`'}",
                found.residual,
            )
        return Stage(found.pi, (found.pi.edges - anchor) / tau, found.residual)


def space_order(flow: Flow) -> float:
    """Order of the W2 error in 1/m: 2, 3/2, 3/2 - 1/p or 1/2.

    2 where the axis is bounded and the density stays positive, 3/2 if it jumps, 1/2 if its support has gaps. Where it
    vanishes like d^(1/(p - 1)) at a front, as the power p makes it, the last gap is h^(1 - 1/p) of h = 1/m and the
    error in it sqrt(h) times that. 1/2 (or more) on infinite axes otherwise: an infinite tail of mass h is off by about
    its length; and where heat draws such a front out into a tail.
    """
    energy = flow.energy
    ends = np.isfinite(flow.initial.quantile(np.array([0.0, 1.0])))
    if energy.power is not None and not energy.temperature and np.all(ends):
        return 1.5 - 1.0 / energy.power.exponent
    if energy.power is not None or not (flow.domain.bounded and flow.initial.connected):
        return 0.5
    return 2.0 if flow.initial.regularity == "smooth" else 1.5


def second_order(flow: Flow) -> Order:
    """What L-stable methods of second order have: 2 and 2; from compact starts 3/2 and 1/2 (measured).

    1 where V' bends like a root (Energy.jumps).
    """
    if starts_with_fronts(flow):
        return Order(1.5, space_order(flow), identity=0.5)
    rooted = flow.energy.continuous and flow.energy.jumps < 2.0
    return Order(1.0 if rooted else 2.0, space_order(flow))


def starts_with_fronts(flow: Flow) -> bool:
    """An internal energy, and a start that ends inside the domain: its ends set off with infinite or sudden speed."""
    if flow.domain.is_circle or not flow.energy.internal:
        return False
    first, last = flow.initial.quantile(np.array([0.0, 1.0]))
    slack = _NEAR_WALL * (last - first) if np.isfinite(last - first) else 0.0
    low, high = flow.domain.lower[0] + slack, flow.domain.upper[0] - slack
    return bool((np.isfinite(first) and first > low) or (np.isfinite(last) and last < high))


def atom_at_wall(flow: Flow, edges: Array, force: Array, slack: float) -> str | None:
    """What to say where two edges have met at a wall that their force presses them to; None where they have not.

    The minimum over edges x_0 <= x_1 <= ... is then at x_0 = x_1 = the wall: an atom. Without an internal energy mass
    that drifts into a wall is one from the time that 1/m has arrived, so that a shorter dt only comes there later.
    """
    if flow.energy.internal or flow.domain.is_circle:
        return None
    for wall, inward, near in ((flow.domain.lower[0], 1.0, edges[:2]), (flow.domain.upper[0], -1.0, edges[:-3:-1])):
        pushed = force[1] if inward > 0.0 else force[-2]
        if np.all(inward * (near - wall) <= slack) and inward * pushed < 0.0:
            return (
                f"no internal energy spreads what drifts there: the minimiser has an atom at the wall {wall:g}, which "
                "quantiles cannot hold whatever dt and `limit`; use particles, or add Entropy or Power"
            )
    return None


def ahead(pi: Quantiles, displacement: Array) -> Quantiles:
    """The measure moved that far, where it stays increasing and inside the walls; else as it is. A guess, no answer."""
    edges = pi.edges + displacement
    return pi.moved(edges) if admissible(pi, edges) else pi


def admissible(pi: Quantiles, edges: Array) -> bool:
    """Edges on the domain of pi increase and stay inside its walls."""
    box = pi.domain
    if box.periodic[0]:
        return bool(np.all(np.diff(edges, append=edges[0] + box.lengths[0]) > 0.0))
    return bool(np.all(np.diff(edges) > 0.0)) and box.lower[0] <= edges[0] and edges[-1] <= box.upper[0]
