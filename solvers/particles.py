"""This file owns particle methods: the finite network itself, and its noisy relatives."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from wflow.arrays import Array, count
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.measure import Particles
from wflow.solver import EVERY_PROMISE, RK4_REAL, Order, Promise, Solver, State, Step, explicit_bound


@dataclass(frozen=True)
class Quantised:
    """Start at `Law.quantised`: deterministic; W2 error O(1/m) on one axis, about m^(-1/d) on d."""

    def points(self, flow: Flow, m: int) -> Array:
        """(m, d)."""
        return flow.initial.quantised(m)


@dataclass(frozen=True)
class Sampled:
    """Start at m independent draws with this seed: E W2^2 = O(1/m) in one dimension."""

    seed: int

    def __post_init__(self) -> None:
        count("Sampled seed", self.seed, least=0)

    def points(self, flow: Flow, m: int) -> Array:
        """(m, d)."""
        return flow.initial.sample(m, np.random.default_rng([self.seed, 0]))


@dataclass(frozen=True)
class GradientFlow(Solver):
    """w_j' = -grad V[pi_m](w_j), pi_m = (1/m) sum_j delta_{w_j}: gradient descent on a finite network, exactly.

    Classical Runge-Kutta of order 4, V[pi_m] recomputed at each stage; angles stay lifted; at a wall the velocity is
    projected. From Atoms the particles are those atoms, and pi_m solves the PDE itself (no limit).
    dissipated: Simpson's rule for int |grad V|^2 dpi with the midpoint of the cubic through both ends, order 4; the
    velocity at the end is the next step's first stage.
    """

    particles: int
    start: Quantised | Sampled = field(default_factory=Quantised)
    resolution: ClassVar[str] = "particles"

    def __post_init__(self) -> None:
        count("GradientFlow particles", self.particles)
        if not isinstance(self.start, Quantised | Sampled):
            raise TypeError(f"GradientFlow start: {self.start!r} is not a start; give Quantised() or Sampled(seed)")

    @property
    def needs(self) -> Literal["quantile", "sample"]:  # type: ignore[override]
        """Quantiles, or samples."""
        return "quantile" if isinstance(self.start, Quantised) else "sample"

    def order(self, flow: Flow) -> Order:
        """Time 4, or the lowest derivative of V that jumps. Space: 1 from quantiles on one bounded axis, else 1/2, 1/d.

        A gap in the support costs 1/2: the particle in whose mass it falls stands for both sides.
        """
        time = min(4.0, flow.energy.jumps)
        first = isinstance(self.start, Quantised) and flow.domain.bounded and flow.domain.dim == 1
        whole = first and (flow.initial.connected or isinstance(flow.initial, Atoms))
        return Order(time, 1.0 if whole else 1.0 / max(2, flow.domain.dim))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity exactly; energy below the stability bound, checked by the loop."""
        return EVERY_PROMISE

    def refusal(self, flow: Flow) -> str | None:
        """Entropy (atoms have none); quantile starts without quantiles."""
        if flow.energy.internal:
            return "particles move by grad V alone and atoms have no entropy; use a method with a density"
        if isinstance(self.start, Quantised) and not (flow.initial.has_quantised or isinstance(flow.initial, Atoms)):
            return "the initial law has no quantised points; pass start=Sampled(seed)"
        return None

    def init(self, flow: Flow) -> State:
        if isinstance(flow.initial, Atoms):
            return State(0.0, Particles(flow.domain, flow.initial.points, flow.initial.weights))
        return State(0.0, Particles(flow.domain, self.start.points(flow, self.particles)))

    def largest_step(self, flow: Flow, state: State) -> float:
        """2.7/(max|V''| + coupling): RK4 is stable to 2.785 on the negative axis, where a gradient flow's rates are."""
        return RK4_REAL * explicit_bound(flow.energy, state.measure)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Particles)
        w = pi.points

        def velocity(at: Array) -> Array:
            here = flow.domain.retract(at)
            return flow.domain.slide(here, flow.energy.velocity(pi.moved(here), here))

        k1 = state.memory.get("velocity")
        k1 = velocity(w) if not isinstance(k1, np.ndarray) else k1
        k2 = velocity(w + 0.5 * dt * k1)
        k3 = velocity(w + 0.5 * dt * k2)
        k4 = velocity(w + dt * k3)
        end = flow.domain.retract(w + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))
        last = velocity(end)
        middle = velocity(0.5 * (w + end) + dt / 8.0 * (k1 - last))
        power = [float(pi.weights @ np.sum(v * v, axis=1)) for v in (k1, middle, last)]
        spent = dt / 6.0 * (power[0] + 4.0 * power[1] + power[2])
        return Step(state.after(dt, pi.moved(end), velocity=last), dissipated=spent)
