"""This file owns particle methods: the finite network itself, and its noisy relatives."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from solvers.starts import Quantised, Sampled, check, first, refusal_of_start, space_order
from wflow.activation import Activation
from wflow.arrays import Array, count
from wflow.coupling import Probe, norm
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.flow import Flow
from wflow.many import Velocity
from wflow.measure import Particles
from wflow.neuron import RidgeNeuron
from wflow.plane_kernel import ReluPlaneKernel
from wflow.shapes import Planar
from wflow.solver import EVERY_PROMISE, RK4_REAL, Order, Promise, Solver, State, Step, explicit_bound
from wflow.space_kernel import ReluSpaceKernel
from wflow.terms import Interaction, Risk

__all__ = ["DormandPrince", "GradientDescent", "GradientFlow", "NormDescent", "Quantised", "Sampled"]


Quadrature = tuple[tuple[float, ...], tuple[float, ...]]
"""Weights and nodes, in a step, of what a method counts as dissipated."""


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
    quadrature: ClassVar[Quadrature] = ((1 / 6, 4 / 6, 1 / 6), (0.0, 0.5, 1.0))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi, k1 = _first(flow, state)
        w = pi.points
        end = flow.domain.retract(_runge_kutta(lambda at: _velocity(flow, pi, at), w, k1, dt))
        last = _velocity(flow, pi, end)
        middle = _velocity(flow, pi, 0.5 * (w + end) + dt / 8.0 * (k1 - last))
        power = [float(pi.weights @ np.sum(v * v, axis=1)) for v in (k1, middle, last)]
        spent = dt / 6.0 * (power[0] + 4.0 * power[1] + power[2])
        return Step(state.after(dt, pi.moved(end), velocity=last), dissipated=spent)

    def moved(self, flow: Flow, velocity: Velocity, w: Array, dt: float, kick: Array) -> Array:
        """Points (..., m, d) a step later, on lifted angles, for solvers.ensemble; kick is not used."""
        return _retracted(flow, _runge_kutta(velocity, w, velocity(w), dt))


def _retracted(flow: Flow, w: Array) -> Array:
    return flow.domain.retract(w.reshape(-1, w.shape[-1])).reshape(w.shape)


def _runge_kutta(velocity: Velocity, w: Array, k1: Array, dt: float) -> Array:
    k2 = velocity(w + 0.5 * dt * k1)
    k3 = velocity(w + 0.5 * dt * k2)
    k4 = velocity(w + dt * k3)
    return w + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


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
    quadrature: ClassVar[Quadrature] = (_NODES[-1], (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0))
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


@dataclass(frozen=True)
class GradientDescent(_ParticleFlow):
    """w_j <- w_j - dt grad V[pi_m](w_j): gradient descent as it is run, explicit Euler on the flow. Order 1.

    dissipated: the trapezoidal rule for int |grad V|^2 dpi; the velocity at the end is that of the next step.
    """

    stages: ClassVar[float] = 1.0
    stable: ClassVar[float] = 1.9

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi, velocity = _first(flow, state)
        scale = self._scales(pi.points)
        end = flow.domain.retract(pi.points + dt * scale * velocity)
        last, then = _velocity(flow, pi, end), self._scales(end)
        power = [float(pi.weights @ np.sum(s * v * v, axis=1)) for s, v in ((scale, velocity), (then, last))]
        return Step(state.after(dt, pi.moved(end), velocity=last), dissipated=0.5 * dt * sum(power))

    def moved(self, flow: Flow, velocity: Velocity, w: Array, dt: float, kick: Array) -> Array:
        """As for GradientFlow."""
        scale = self._scales(w.reshape(-1, w.shape[-1])).reshape(w.shape)
        return _retracted(flow, w + dt * scale * velocity(w))

    def _scales(self, w: Array) -> Array:
        """By what the step of each coordinate (m, d) is longer."""
        return np.ones_like(w)


@dataclass(frozen=True)
class NormDescent(GradientDescent):
    """Neurons a relu(b . x) by a step that depends on their norms: dt |a|/|b| for a, dt |b|/|a| for b.

    With V(a, b) = a |b| K(b/|b|), s the sign of a and a ridge lam (a^2 + |b|^2)/2

        a <- a (1 - dt (s K + lam |a|/|b|))       b <- b (1 - dt (s K + lam |b|/|a|)) - dt s |b| grad K

    so that b/|b| turns by dt s grad K whatever |a| and |b|, and to first order, once |a| = |b|, the charge |a| |b|
    grows by exp(-2 dt (s K + lam)): the conic flow's mirror step with alpha = 1/2, beta = 1 (derived; solvers.conic).
    Plain descent turns b by dt (a/|b|) grad K instead. (log |a|/|b|)' = -lam (|a|/|b| - |b|/|a|): it tends to 0.
    It is the gradient flow of F in another metric: only from |a| = |b| on does it go the way of `GradientFlow`.
    Akiyama & Suzuki 2021, arXiv:2106.06251, prove learning by "a norm dependent stepsize" (their abstract, which is all
    of them that was read): the rule here is this project's, named after that, not theirs.
    Raises Refused at a neuron with a = 0 or b = 0, where the step has no length.
    """

    @property
    def equation(self) -> tuple[object, ...]:
        """The gradient flow in the metric of its scales."""
        return ("steps by norms",)

    def _refusal(self, flow: Flow) -> str | None:
        """Neurons of another kind."""
        if not _homogeneous(flow.energy):
            return "the step scales with |a| and |b| of neurons a relu(b . x); use relu_teacher_space or such neurons"
        return super()._refusal(flow)

    def _scales(self, w: Array) -> Array:
        outer, inner = np.abs(w[:, 0]), np.linalg.norm(w[:, 1:], axis=1)
        if not (np.all(outer > 0.0) and np.all(inner > 0.0)):
            raise Refused("NormDescent: a neuron has a = 0 or b = 0, where the step has no length; start away from it")
        scale = np.broadcast_to((inner / outer)[:, None], w.shape).copy()
        scale[:, 0] = outer / inner
        return scale

    def largest_step(self, flow: Flow, state: State) -> float:
        """As for plain descent, of the Hessian between the roots of the scales."""
        pi = state.measure
        assert isinstance(pi, Particles)
        energy, root = flow.energy, np.sqrt(self._scales(pi.points))
        factor, core = energy.coupling(pi, pi.points)
        worst = norm(factor * root.reshape(-1, 1), core, Probe(pi.points, pi.weights, False))
        if energy.curved:
            bent = energy.curvature(pi, pi.points) * root[:, :, None] * root[:, None, :]
            worst += float(np.sqrt(np.max(np.sum(bent * bent, axis=(1, 2)))))
        return self.stable / worst if worst > 0.0 else np.inf


def _homogeneous(energy: Energy) -> bool:
    """One risk of neurons a sigma(b . X), sigma positively homogeneous: of data or by a closed kernel."""
    kernels = [t.kernel for t in energy.terms if isinstance(t, Interaction)]
    neurons = [t.neuron for t in energy.terms if isinstance(t, Risk)]
    return bool(kernels or neurons) and all(
        [isinstance(k, ReluPlaneKernel | ReluSpaceKernel) for k in kernels]
        + [isinstance(n, RidgeNeuron) and n.outer and _piecewise(n.activation) for n in neurons]
    )


def _piecewise(sigma: Activation) -> bool:
    """sigma(c z) = c sigma(z) for c > 0."""
    return sigma.name in ("linear", "leaky_relu") or (sigma.name == "relu" and sigma.parameter is None)
