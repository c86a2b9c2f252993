"""This file owns particle methods: the finite network itself, and its noisy relatives."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from solvers.starts import Quantised, Sampled, check, first, refusal_of_start, space_order
from wflow.arrays import Array, count
from wflow.flow import Flow
from wflow.measure import Particles
from wflow.shapes import Planar
from wflow.solver import EVERY_PROMISE, RK4_REAL, Order, Promise, Solver, State, Step, explicit_bound

__all__ = ["DormandPrince", "GradientFlow", "Quantised", "Sampled"]


@dataclass(frozen=True)
class _ParticleFlow(Solver):
    """w_j' = -grad V[pi_m](w_j), pi_m = (1/m) sum_j delta_{w_j}; angles stay lifted, at a wall the velocity slides.

    From Atoms the particles are those atoms, and pi_m solves the PDE itself (no limit).
    """

    particles: int
    start: Quantised | Sampled = field(default_factory=Quantised)
    resolution: ClassVar[str] = "particles"
    shaped: ClassVar[bool] = True
    stages: ClassVar[float]
    """Order of the Runge-Kutta method in time."""
    stable: ClassVar[float]
    """A little inside its stability interval on the negative axis, where a gradient flow's rates are."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} particles", self.particles)
        check(name, self.start)

    @property
    def needs(self) -> Literal["quantile", "sample"]:  # type: ignore[override]
        """Quantiles, or samples."""
        return "quantile" if isinstance(self.start, Quantised) else "sample"

    def order(self, flow: Flow) -> Order:
        """Time: the method's, or the lowest derivative of V that jumps. Space: that of the start (solvers.starts).

        Where the loss has a kink, time 1: it bends V where a residual passes, and at a time t* the error of a step dt
        is of the order dt min(dt, t*). In a region of the plane it is 1 too: beside a round wall some stage is
        off it by O(dt^2) and goes straight into it, by O(dt), and the way back turns its direction by that share.
        """
        walled = isinstance(flow.domain, Planar)
        time = 1.0 if flow.energy.kinked or walled else min(self.stages, flow.energy.jumps)
        return Order(time, space_order(flow, self.start))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity exactly; energy below the stability bound, checked by the loop."""
        return EVERY_PROMISE

    def _refusal(self, flow: Flow) -> str | None:
        """Entropy (atoms have none); quantile starts without quantiles."""
        if flow.energy.internal:
            return "particles move by grad V alone and atoms have no entropy; use a method with a density"
        return refusal_of_start(flow, self.start)

    def init(self, flow: Flow) -> State:
        return first(flow, self.start, self.particles)

    def largest_step(self, flow: Flow, state: State) -> float:
        """The stability interval over max|V''| + coupling."""
        return self.stable * explicit_bound(flow.energy, state.measure)


def _velocity(flow: Flow, pi: Particles, at: Array) -> Array:
    """-grad V (m, d) with the particles of pi moved to the given points, each to the nearest point of the domain first.

    On the sphere this is the field X(y/|y|) on R^3: it keeps |y|, so that every Runge-Kutta method has its order for it
    there, and bringing the end back to the sphere at most doubles its distance to a point of the sphere.
    """
    here = flow.domain.retract(at)
    return flow.domain.slide(here, flow.energy.velocity(pi.moved(here), here))


def _first(flow: Flow, state: State) -> tuple[Particles, Array]:
    """The particles, and their velocity as the step before left it."""
    pi = state.measure
    assert isinstance(pi, Particles)
    known = state.memory.get("velocity")
    return pi, known if isinstance(known, np.ndarray) else _velocity(flow, pi, pi.points)


@dataclass(frozen=True)
class GradientFlow(_ParticleFlow):
    """w_j' = -grad V[pi_m](w_j), pi_m = (1/m) sum_j delta_{w_j}: gradient descent on a finite network, exactly.

    Classical Runge-Kutta of order 4, V[pi_m] recomputed at each stage; angles stay lifted; at a wall the velocity is
    projected. From Atoms the particles are those atoms, and pi_m solves the PDE itself (no limit).
    dissipated: Simpson's rule for int |grad V|^2 dpi with the midpoint of the cubic through both ends, order 4; the
    velocity at the end is the next step's first stage.
    """

    stages: ClassVar[float] = 4.0
    stable: ClassVar[float] = RK4_REAL

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi, k1 = _first(flow, state)
        w = pi.points
        k2 = _velocity(flow, pi, w + 0.5 * dt * k1)
        k3 = _velocity(flow, pi, w + 0.5 * dt * k2)
        k4 = _velocity(flow, pi, w + dt * k3)
        end = flow.domain.retract(w + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))
        last = _velocity(flow, pi, end)
        middle = _velocity(flow, pi, 0.5 * (w + end) + dt / 8.0 * (k1 - last))
        power = [float(pi.weights @ np.sum(v * v, axis=1)) for v in (k1, middle, last)]
        spent = dt / 6.0 * (power[0] + 4.0 * power[1] + power[2])
        return Step(state.after(dt, pi.moved(end), velocity=last), dissipated=spent)


_NODES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_EMBEDDED = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


@dataclass(frozen=True)
class DormandPrince(_ParticleFlow):
    """The same particles by Dormand and Prince's Runge-Kutta pair of orders 5 and 4; `solve(tolerance=)` adapts dt.

    error: (sum_j weights_j |w_j - w^_j|^2)^(1/2) of the two orders, an upper bound of their W2 distance, O(dt^5). The
    answer is that of order 5. Without a tolerance it is a method of order 5 with fixed steps.
    dissipated: int |grad V|^2 dpi as one more component of the system, order 5.
    Source: Dormand & Prince 1980, J. Comput. Appl. Math. 6(1), 19-26.
    """

    stages: ClassVar[float] = 5.0
    stable: ClassVar[float] = 3.2
    embedded: ClassVar[float | None] = 4.0

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi, k1 = _first(flow, state)
        w, k = pi.points, [k1]
        for row in _NODES:
            k.append(_velocity(flow, pi, w + dt * _combined(row, k)))
        end = flow.domain.retract(w + dt * _combined(_NODES[-1], k))
        apart = dt * _combined(_EMBEDDED, k)
        power = [float(pi.weights @ np.sum(v * v, axis=1)) for v in k]
        spent = dt * sum(b * p for b, p in zip(_NODES[-1], power, strict=False))
        error = float(np.sqrt(pi.weights @ np.sum(apart * apart, axis=1)))
        return Step(state.after(dt, pi.moved(end), velocity=k[-1]), dissipated=spent, error=error)


def _combined(row: tuple[float, ...], k: list[Array]) -> Array:
    """sum_i row_i k_i."""
    total = row[0] * k[0]
    for a, v in zip(row[1:], k[1:], strict=False):
        if a:
            total = total + a * v
    return total
