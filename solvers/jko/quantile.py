"""This file owns the JKO step of a one-dimensional measure known by its quantiles."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, solve

from solvers._tridiagonal import solve_tridiagonal
from wflow.arrays import Array, count, positive
from wflow.errors import NotConverged
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.measure import Quantiles
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step
from wflow.transport import finite_quantiles

_ARMIJO = 1e-4
_HALVINGS = 60
_KEEP_GAP = 0.95
"""Share of the way to the first crossing that a Newton step may go."""


@dataclass(frozen=True)
class Quantile(Solver):
    """Backward Euler in W2 (the JKO step) for edges x of equal mass 1/m between neighbours.

    Minimises  G(x) = sum_i w_i |x_i - x0_i|^2 / (2 dt) + F(x)  over increasing x, w the trapezoidal weights, with
    int rho log rho = -mean log(m gap). Fully implicit Newton: tridiagonal (cyclic on the circle) plus low rank, the
    coupling of V[pi] to the moving edges; backtracking keeps the order. On an interval an end pressed against its
    wall stays there. The answer is a stationary point of G below the start: the minimiser where G is convex (with
    V'' >= -1/dt and a positive semidefinite coupling it is). Order 1 in dt; space order 2 on bounded support, about
    1/2 in W2 with Gaussian tails.
    Raises NotConverged if the optimality residual, as a displacement dt sqrt(sum_i g_i^2 / w_i), exceeds `tolerance`.
    Source: Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1), 1-17.
    """

    points: int
    tolerance: float = 1e-9
    limit: int = 200
    resolution: ClassVar[str] = "points"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "quantile"
    variational: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("Quantile points", self.points, least=4)
        positive("Quantile tolerance", self.tolerance)
        count("Quantile limit", self.limit)

    def order(self, flow: Flow) -> Order:
        """Time 1; space 2 where the support is bounded, 3/2 if the density jumps, else (tails, gaps) 1/2."""
        if not (flow.domain.bounded and flow.initial.connected):
            return Order(1.0, 0.5)
        return Order(1.0, 2.0 if flow.initial.regularity == "smooth" else 1.5)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and energy for every dt."""
        return EVERY_PROMISE

    def refusal(self, flow: Flow) -> str | None:
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
        edges = finite_quantiles(law, m)
        return State(0.0, Quantiles(flow.domain, edges))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Quantiles)
        problem = _Problem(flow, start, dt)
        here = problem.at(start)
        for _ in range(self.limit):
            if here.residual <= 1e-3 * self.tolerance:
                break
            moved = problem.newton(here)
            if moved is None or (moved.residual >= 0.5 * here.residual and moved.residual <= self.tolerance):
                here = moved if moved is not None and moved.residual < here.residual else here
                break  # rounding: no further decrease to be had
            here = moved
        if here.residual > self.tolerance:
            raise NotConverged(
                f"{self}: JKO step stopped at residual {here.residual:.3g} > {self.tolerance:g} after at most "
                f"{self.limit} Newton iterations at t = {state.time:g}, dt = {dt:.3g}; halve dt or raise `limit`",
                here.residual,
            )
        return Step(state.after(dt, here.pi), dissipated=problem.distance(here.pi), residual=here.residual)


@dataclass(frozen=True, eq=False)
class _Point:
    """An iterate: the measure, G, and the gradient of G per unit weight with pinned ends removed."""

    pi: Quantiles
    objective: float
    gradient: Array
    free: NDArray[np.bool_]
    residual: float


class _Problem:
    """G for one step and its Newton iteration."""

    def __init__(self, flow: Flow, start: Quantiles, dt: float) -> None:
        self.flow, self.start, self.dt = flow, start, dt
        self.weights, self.cyclic = start.weights, flow.domain.is_circle
        self.share = flow.energy.temperature / len(start.gaps)

    def distance(self, pi: Quantiles) -> float:
        """sum_i w_i |x_i - x0_i|^2 / (2 dt)."""
        return float(self.weights @ (pi.edges - self.start.edges) ** 2) / (2.0 * self.dt)

    def at(self, pi: Quantiles) -> _Point:
        """G and its gradient at a measure."""
        force = -self.flow.energy.velocity(pi, pi.points)[:, 0]
        gradient = self.weights * ((pi.edges - self.start.edges) / self.dt + force)
        before, after = self._neighbours(1.0 / pi.gaps)
        gradient += self.share * (after - before)
        free = ~self._pinned(pi.edges, gradient)
        gradient = np.where(free, gradient, 0.0)
        residual = self.dt * float(np.sqrt(np.sum(gradient**2 / self.weights)))
        return _Point(pi, self.distance(pi) + self.flow.energy.value(pi), gradient, free, residual)

    def newton(self, here: _Point) -> _Point | None:
        """The next iterate, or None where no step decreases G beyond rounding."""
        direction = self._direction(here)
        slope = float(here.gradient @ direction)
        if slope >= 0.0:
            return None
        t = min(1.0, self._room(here.pi, direction))
        noise = 1e-15 * max(1.0, abs(here.objective))
        for _ in range(_HALVINGS):
            edges = here.pi.edges + t * direction
            if np.all(np.diff(edges) > 0.0):
                there = self.at(here.pi.moved(edges))
                if there.objective <= here.objective + _ARMIJO * t * slope + noise:
                    return there
            t *= 0.5
        return None

    def _direction(self, here: _Point) -> Array:
        """-(A + U C U^T)^{-1} g by Woodbury, A tridiagonal, U = diag(w) factor."""
        x, free = here.pi, here.free
        energy = self.flow.energy
        curved = energy.curvature(x, x.points)[:, 0, 0] if energy.curved else np.zeros(len(x.edges))
        if np.any(1.0 / self.dt + curved <= 0.0):
            curved = np.maximum(curved, 0.0)  # majorise: a descent direction where dt V'' < -1
        before, after = self._neighbours(self.share / x.gaps**2)
        diagonal = self.weights * (1.0 / self.dt + curved) + before + after
        lower, upper = -before * free * np.roll(free, 1), -after * free * np.roll(free, -1)
        diagonal = np.where(free, diagonal, 1.0)
        factor, core = energy.coupling(x, x.points)
        wide = (self.weights * free)[:, None] * factor[:, core != 0.0]
        right = np.concatenate([here.gradient[:, None], wide], axis=1)
        solved = solve_tridiagonal(lower, diagonal, upper, right, self.cyclic)
        plain, spread = solved[:, 0], solved[:, 1:]
        if not wide.shape[1]:
            return -plain
        try:
            inner = np.diag(1.0 / core[core != 0.0]) + wide.T @ spread
            newton = spread @ solve(inner, wide.T @ plain) - plain
        except LinAlgError:  # the coupling is an indefinite truncation here: without it the direction still descends
            return -plain
        return newton if here.gradient @ newton < 0.0 else -plain

    def _neighbours(self, a_gap: Array) -> tuple[Array, Array]:
        """The gap quantity before and after each edge; nothing beyond the ends of a line."""
        if self.cyclic:
            return np.roll(a_gap, 1), a_gap
        return np.insert(a_gap, 0, 0.0), np.append(a_gap, 0.0)

    def _pinned(self, edges: Array, gradient: Array) -> NDArray[np.bool_]:
        """Ends at a wall that G would push through it."""
        pinned = np.zeros(len(edges), dtype=bool)
        if not self.cyclic:
            low, high = self.flow.domain.lower[0], self.flow.domain.upper[0]
            pinned[0] = edges[0] <= low and gradient[0] > 0.0
            pinned[-1] = edges[-1] >= high and gradient[-1] < 0.0
        return pinned

    def _room(self, pi: Quantiles, direction: Array) -> float:
        """How far the direction can be followed before neighbours cross or an end meets its wall."""
        closing = -np.diff(direction, append=direction[:1]) if self.cyclic else -np.diff(direction)
        rooms = [np.inf]
        if np.any(closing > 0.0):
            rooms.append(_KEEP_GAP * float(np.min(pi.gaps[closing > 0.0] / closing[closing > 0.0])))
        if not self.cyclic:
            low, high = self.flow.domain.lower[0], self.flow.domain.upper[0]
            if direction[0] < 0.0:
                rooms.append((pi.edges[0] - low) / -direction[0])
            if direction[-1] > 0.0:
                rooms.append((high - pi.edges[-1]) / direction[-1])
        return float(min(rooms))
