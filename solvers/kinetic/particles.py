"""This file owns momentum on particles: the network whose neurons have velocities, with and without noise."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from solvers.kinetic._equation import check, equation, largest_step, refusal, speed_of
from solvers.starts import Quantised, Sampled, first, refusal_of_start, space_order
from solvers.starts import check as check_start
from wflow.arrays import Array, count
from wflow.domain import Box
from wflow.flow import Flow
from wflow.law import Atoms, Gaussian
from wflow.measure import Particles
from wflow.solver import Order, Promise, Solver, State, Step

_NEAR = 1e-5


@dataclass(frozen=True)
class HeavyBall(Solver):
    """w_j' = v_j, v_j' = -friction v_j - grad V[pi_m](w_j): gradient descent with momentum, on a finite network.

    speed: standard deviation of each velocity at the start, 0 (None at T = 0) for rest. With a speed and quantised
    starts (w, v) are quantiles at Hammersley's points, with Sampled(seed) independent draws. At a wall v turns about.
    Order 2 in time, or the lowest derivative of V that jumps; 1, and no order of the identity, where the force between
    two neurons jumps as they meet, which with momentum they do on a line too. Space: that of the start, or 1/2.
    Energies of the run are H = F + sum_j weights_j |v_j|^2/2; dissipated: what friction takes of it, exactly, so that
    H_0 - H - dissipated is what kicks and drifts miss, O(dt^2). H may rise by as much where friction is weak.
    Raises Refused with entropy (`KineticLangevin` has the noise). Source: Wu, Kungurtsev & Mondelli 2022 (the title:
    mean-field analysis of the stochastic heavy ball method); Polyak 1964, USSR Comput. Math. Math. Phys. 4(5), 1-17.
    """

    particles: int
    friction: float = 1.0
    speed: float | None = None
    start: Quantised | Sampled = field(default_factory=Quantised)
    resolution: ClassVar[str] = "particles"

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} particles", self.particles)
        check_start(name, self.start)
        check(name, self.friction, self.speed)

    @property
    def needs(self) -> Literal["quantile", "sample"]:  # type: ignore[override]
        """Quantiles, or samples."""
        return "quantile" if isinstance(self.start, Quantised) else "sample"

    @property
    def equation(self) -> tuple[object, ...]:
        return equation(self.friction, self.speed)

    def order(self, flow: Flow) -> Order:
        moving = speed_of(flow, self.speed) > 0.0
        space = space_order(flow, self.start)
        space = min(space, 0.5) if moving else space
        return Order(1.0, space, identity=0.0) if _bouncing(flow) else Order(min(2.0, flow.energy.jumps), space)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity, exactly."""
        return frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        if flow.energy.temperature:
            return "entropy needs noise; use KineticLangevin, or PhaseSpace for its density"
        return self._refusal_of_start(flow)

    def _refusal_of_start(self, flow: Flow) -> str | None:
        moving = speed_of(flow, self.speed) > 0.0
        if moving and isinstance(self.start, Quantised) and not _quantised(flow):
            return "(w, v) have quantised points on one axis, from a law with quantiles; pass start=Sampled(seed)"
        return refusal(flow) or refusal_of_start(flow, self.start)

    def energy(self, flow: Flow, state: State) -> float:
        """F + int |v|^2/2."""
        return super().energy(flow, state) + _kinetic(state)

    def init(self, flow: Flow) -> State:
        speed, m = speed_of(flow, self.speed), self.particles
        if speed > 0.0 and isinstance(self.start, Quantised):
            places = flow.initial.quantile((np.arange(m) + 0.5) / m)[:, None]
            velocities = Gaussian(0.0, speed).quantile(_halved(m) + 0.5 / m)[:, None]
            return State(0.0, Particles(flow.domain, places), memory={"velocities": velocities})
        state = first(flow, self.start, m)
        velocities = np.zeros_like(state.measure.points)
        if isinstance(self.start, Sampled):
            velocities = speed * np.random.default_rng([self.start.seed, 1]).standard_normal(velocities.shape)
        return State(0.0, state.measure, memory={"velocities": velocities})

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi, v, domain = state.measure, state.memory["velocities"], flow.domain
        assert isinstance(pi, Particles) and isinstance(v, np.ndarray) and isinstance(domain, Box)
        force = state.memory.get("force")
        w = pi.points
        v = v + 0.5 * dt * (force if isinstance(force, np.ndarray) else flow.energy.velocity(pi, w))
        w, v = drifted(domain, w, v, 0.5 * dt)
        slowed = self._rubbed(flow, state, v, dt)
        spent = 0.5 * float(pi.weights @ np.sum(v * v - slowed * slowed, axis=1))
        w, v = drifted(domain, w, slowed, 0.5 * dt)
        moved = pi.moved(w)
        force = flow.energy.velocity(moved, w)
        return Step(state.after(dt, moved, velocities=v + 0.5 * dt * force, force=force), dissipated=spent)

    def _rubbed(self, flow: Flow, state: State, v: Array, dt: float) -> Array:
        """Velocities after friction for dt."""
        return math.exp(-self.friction * dt) * v

    def largest_step(self, flow: Flow, state: State) -> float:
        """1.9/omega, omega^2 = max|V''| + coupling."""
        return largest_step(flow, state)


@dataclass(frozen=True)
class KineticLangevin(HeavyBall):
    """The same with noise, v' = .. + sqrt(2 friction T) B': underdamped Langevin; the law of w tends to e^{-V/T}/Z.

    speed: None begins with velocities at the temperature. seed: of the noise, drawn anew for each step from
    default_rng([seed, 2, step]). Weak order 2. Atoms have no entropy: energies of the run are nan.
    Raises Refused at temperature 0.
    """

    seed: int = 0
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        count("KineticLangevin seed", self.seed, least=0)

    def _refusal(self, flow: Flow) -> str | None:
        if not flow.energy.temperature:
            return "the temperature is 0, there is no noise; use HeavyBall"
        return self._refusal_of_start(flow)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        return Step(super().step(flow, state, dt).state)

    def _rubbed(self, flow: Flow, state: State, v: Array, dt: float) -> Array:
        """Exactly: an Ornstein-Uhlenbeck process for dt."""
        slower = math.exp(-self.friction * dt)
        noise = np.random.default_rng([self.seed, 2, state.count]).standard_normal(v.shape)
        return slower * v + math.sqrt(flow.energy.temperature * (1.0 - slower * slower)) * noise


def drifted(domain: Box, w: Array, v: Array, dt: float) -> tuple[Array, Array]:
    """w + dt v and v (m, d); beyond a wall both are its mirror images, as often as it takes. Angles stay lifted."""
    free, turned = w + dt * v, v.copy()
    for axis, (low, high) in enumerate(zip(domain.lower, domain.upper, strict=True)):
        if not domain.periodic[axis]:
            turned[:, axis] = np.where(_back(free[:, axis], low, high), -v[:, axis], v[:, axis])
    return domain.mirrored(free), turned


def _back(x: Array, low: float, high: float) -> NDArray[np.bool_]:
    """After an odd number of mirrors."""
    if math.isfinite(low) and math.isfinite(high):
        return np.mod(x - low, 2.0 * (high - low)) > high - low
    return (x < low) | (x > high)


def _quantised(flow: Flow) -> bool:
    """(w, v) of the start have quantised points."""
    return flow.domain.dim == 1 and flow.initial.has_quantile and not isinstance(flow.initial, Atoms)


def _halved(m: int) -> Array:
    """Van der Corput's points: the ranks (m,) of 0, .., m - 1 by their binary digits read backwards, over m.

    Source: Hammersley 1960, Ann. N. Y. Acad. Sci. 86(3), 844-874.
    """
    left, value, digit = np.arange(m), np.zeros(m), 0.5
    while left.any():
        value += digit * (left % 2)
        left, digit = left // 2, 0.5 * digit
    return np.asarray(np.argsort(np.argsort(value)) / m)


def _bouncing(flow: Flow) -> bool:
    """On one axis: the force of a neuron on another jumps where they meet, at ever smaller distances by as much."""
    if flow.domain.dim > 1 or not flow.energy.interacting:
        return False
    atom = Particles(flow.domain, flow.initial.sample(1, np.random.default_rng(0)))
    wide, narrow = (
        float(np.ptp(flow.energy.velocity(atom, atom.points + np.array([[-apart], [apart]]))))
        for apart in (_NEAR, 0.1 * _NEAR)
    )
    return narrow > 0.5 * wide > 0.0


def _kinetic(state: State) -> float:
    v = state.memory["velocities"]
    assert isinstance(v, np.ndarray)
    return 0.5 * float(state.measure.weights @ np.sum(v * v, axis=1))
