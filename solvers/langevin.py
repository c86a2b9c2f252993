"""This file owns noisy particles: mean-field Langevin dynamics, the entropic flow of finitely many neurons.

    dw_j = -grad V[pi_m](w_j) dt + (2 T)^(1/2) dB_j,     pi_m = (1/m) sum_j delta_{w_j},  V of F without its entropy

As m -> infinity the law of a particle follows d_t pi = div(pi grad V[pi]) + T Laplace pi. At finite m the empirical
measure fluctuates by O(m^-1/2), and means of it are off by O(1/m): docs/langevin.md.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from solvers.starts import Quantised, Sampled, check, first, refusal_of_start, space_order
from wflow.arrays import Array, count
from wflow.domain import Box
from wflow.flow import Flow
from wflow.many import Velocity
from wflow.measure import Particles
from wflow.shapes import Sphere
from wflow.solver import Order, Promise, Solver, State, Step, explicit_bound

__all__ = ["Langevin", "Langevin2"]


@dataclass(frozen=True)
class Langevin(Solver):
    """w <- w + dt velocity(w) + (2 T dt)^(1/2) xi, xi standard normal: Euler-Maruyama, weak order 1.

    Step number k draws xi (m, d) from default_rng([seed, k]), k = 1, 2, ...: a repeated step repeats itself. Angles
    stay lifted. Weak order 1 means |E g(w_t) - E g(exact)| = O(dt) for smooth g; each path errs by O(dt) too, since the
    noise is additive.

    walls     a point beyond a wall is mirrored back: the symmetrised Euler scheme, weak order 1 (Bossy, Gobet & Talay
              2004, J. Appl. Probab. 41(3), 877-889); boxes, where mirroring is exact
    sphere    w <- exp_w(dt velocity + P_w noise), P_w the tangent part: a geodesic step, weak order 1. Without drift a
              harmonic of degree l is multiplied in the mean by E P_l(cos r), r of density (r/s^2) e^{-r^2/(2 s^2)},
              s^2 = 2 T dt, instead of e^{-l(l+1) s^2/2}: the same to O(s^4) (derived)
    regions   refused: a mirror at a curved wall is another scheme

    F of the particles is not defined (atoms have no entropy): energies are nan. Nothing but mass is kept.
    """

    particles: int
    seed: int = 0
    start: Quantised | Sampled = field(default_factory=Quantised)
    resolution: ClassVar[str] = "particles"
    random: ClassVar[bool] = True
    shaped: ClassVar[bool] = True
    weak: ClassVar[float] = 1.0
    """Weak order in time."""
    stable: ClassVar[float] = 1.9
    """A little inside the interval in which moments of a linear drift stay bounded, 0 < rate dt < 2."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} particles", self.particles)
        count(f"{name} seed", self.seed, least=0)
        check(name, self.start)

    @property
    def needs(self) -> Literal["quantile", "sample"]:  # type: ignore[override]
        """Quantiles, or samples."""
        return "quantile" if isinstance(self.start, Quantised) else "sample"

    def order(self, flow: Flow) -> Order:
        """Time: the weak order. Space: W2 of draws, m^(-1/max(2, d)), whatever the start: noise soon makes draws."""
        return Order(self.weak, space_order(flow, Sampled(0)))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity."""
        return frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        """Without a temperature, with other internal energies, in regions; quantile starts without quantiles."""
        if not flow.energy.temperature:
            return "there is no entropy and hence no noise in this flow; GradientFlow moves its particles"
        if len(flow.energy.internal) > 1:
            return "the energy has an internal term besides the entropy, which atoms have no force of; use a grid"
        if not isinstance(flow.domain, Box | Sphere):
            return "noise beyond a curved wall would need a scheme of its own there; use boxes, or cells on meshes"
        return refusal_of_start(flow, self.start)

    def init(self, flow: Flow) -> State:
        return first(flow, self.start, self.particles)

    def largest_step(self, flow: Flow, state: State) -> float:
        """The stability interval of linear drifts over max|V''| + coupling."""
        return self.stable * explicit_bound(flow.energy, state.measure)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Particles)
        rng = np.random.default_rng([self.seed, state.count + 1])
        kick = np.sqrt(2.0 * flow.energy.temperature * dt) * rng.standard_normal(pi.points.shape)

        def velocity(w: Array) -> Array:
            return flow.energy.velocity(pi if w is pi.points else pi.moved(w), w)

        return Step(state.after(dt, pi.moved(self.moved(flow, velocity, pi.points, dt, kick))))

    def moved(self, flow: Flow, velocity: Velocity, w: Array, dt: float, kick: Array) -> Array:
        """Points (..., m, d) a step later, kick the noise (2 T dt)^(1/2) xi; velocity(w) of the same shape."""
        return carried(flow, w, dt * velocity(w) + kick)


@dataclass(frozen=True)
class Langevin2(Langevin):
    """Heun's scheme with one noise for both stages, weak order 2 for additive noise; on flat domains without walls.

        w* = w + dt velocity(w) + noise        w <- w + (dt/2) (velocity(w) + velocity(w*)) + noise

    Both velocities are those of the whole cloud, moved.   Source: Kloeden & Platen 1992, section 15.1 (their simplified
    order 2.0 weak Taylor and Runge-Kutta schemes; with additive noise they become this one).
    """

    weak: ClassVar[float] = 2.0

    def _refusal(self, flow: Flow) -> str | None:
        """Walls and the sphere as well."""
        if isinstance(flow.domain, Sphere) or (isinstance(flow.domain, Box) and flow.domain.walled):
            return "a wall, or the curvature of the sphere, costs this scheme its second order; use Langevin"
        return super()._refusal(flow)

    def moved(self, flow: Flow, velocity: Velocity, w: Array, dt: float, kick: Array) -> Array:
        """As for Langevin."""
        v = velocity(w)
        return carried(flow, w, 0.5 * dt * (v + velocity(carried(flow, w, dt * v + kick))) + kick)


def carried(flow: Flow, w: Array, along: Array) -> Array:
    """w (..., m, d) moved along a displacement: straight and mirrored at walls, on the sphere along a great circle."""
    domain = flow.domain
    if isinstance(domain, Sphere):
        return _exponential(w, along)
    assert isinstance(domain, Box)
    return domain.mirrored(w + (np.where(domain.frozen, 0.0, along) if any(domain.frozen) else along))


def _exponential(w: Array, along: Array) -> Array:
    """exp_w of the tangent part: cos(r) w + sin(r)/r v, r = |v|."""
    v = along - np.sum(along * w, axis=-1, keepdims=True) * w
    r = np.linalg.norm(v, axis=-1, keepdims=True)
    end = np.cos(r) * w + np.sinc(r / np.pi) * v
    return np.asarray(end / np.linalg.norm(end, axis=-1, keepdims=True))
