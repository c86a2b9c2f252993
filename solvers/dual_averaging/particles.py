"""This file owns particle dual averaging: noisy particles in a potential that is a mean of past first variations.

Outer step t = 1, 2, ..: g_t at the particles as they are, gbar_t = (t/(t+2)) gbar_{t-1} + (2 t/((t+1)(t+2))) g_t; then
`inner` steps  w <- w + dt velocity + (2 T dt)^(1/2) xi,  velocity = -grad(gbar_t + r), from where the particles are.

gbar_t = (2/((t+1)(t+2))) sum_{s<=t} s g_s as in the exact iteration (solvers.dual_averaging.exact), of which this is
the unadjusted Langevin version. What is averaged are dual vectors (wflow.slopes), one number for each datum or mode:
memory does not grow with t.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from solvers.dual_averaging.exact import refusal
from solvers.starts import Quantised, Sampled, check, first, refusal_of_start, space_order
from wflow.arrays import Array, count
from wflow.domain import Box
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.flow import Flow
from wflow.measure import Particles
from wflow.slopes import Slopes, loss_and_linear
from wflow.solver import Order, Promise, Solver, State, Step

_STABLE = 1.9


@dataclass(frozen=True)
class ParticleDualAveraging(Solver):
    """m particles, a new potential every `inner` steps; time is that of the inner Langevin runs.

    batch: g_t from that many rows of data alone, drawn without replacement and scaled, None for all. seed: of noise
    and batches, drawn anew for each step from default_rng([seed, step]) and [seed, 1, t]. At walls points are mirrored.
    A particle and step costs one gradient of V, as in Langevin, and f at the data once in `inner` steps.
    For inner -> infinity, dt -> 0, m -> infinity it is the exact iteration from q_1 = the start; at fixed `inner` the
    particles lag behind their Gibbs laws. Runs are compared with those of the same `inner` and `batch` alone.
    F of atoms is not defined: energies are nan. Source: Nitanda, Wu & Suzuki 2020, arXiv:2012.15477 (read by abstract).
    """

    particles: int
    inner: int = 10
    batch: int | None = None
    seed: int = 0
    start: Quantised | Sampled = field(default_factory=Quantised)
    resolution: ClassVar[str] = "particles"
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} particles", self.particles)
        count(f"{name} inner", self.inner)
        count(f"{name} seed", self.seed, least=0)
        if self.batch is not None:
            count(f"{name} batch", self.batch)
        check(name, self.start)

    @property
    def needs(self) -> Literal["quantile", "sample"]:  # type: ignore[override]
        """Quantiles, or samples."""
        return "quantile" if isinstance(self.start, Quantised) else "sample"

    @property
    def equation(self) -> tuple[object, ...]:
        return ("particle dual averaging", self.inner, self.batch)

    def order(self, flow: Flow) -> Order:
        """Space: of draws. In time a step is Euler and Maruyama's, of weak order 1."""
        return Order(1.0, space_order(flow, Sampled(0)))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity."""
        return frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        """As the exact iteration; losses without a dual vector; batches without enough data."""
        if (reason := refusal(flow)) is not None:
            return reason
        try:
            rows = _slopes(flow.energy).rows
        except Refused as error:
            return str(error)
        if self.batch is not None and self.batch > rows:
            return f"a batch of {self.batch} is larger than the {rows} rows of data; pass batch <= {rows} or None"
        return refusal_of_start(flow, self.start)

    def init(self, flow: Flow) -> State:
        begun = first(flow, self.start, self.particles)
        return State(0.0, begun.measure, memory={"average": np.zeros(_slopes(flow.energy).size)})

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi, average = state.measure, state.memory["average"]
        assert isinstance(pi, Particles) and isinstance(average, np.ndarray) and isinstance(flow.domain, Box)
        if state.count % self.inner == 0:
            average = self._averaged(flow, pi, average, 1 + state.count // self.inner)
        force = _slopes(flow.energy).potential(average, pi.points, 1) - _linear(flow.energy).velocity(pi, pi.points)
        rng = np.random.default_rng([self.seed, state.count + 1])
        noise = np.sqrt(2.0 * flow.energy.temperature * dt) * rng.standard_normal(pi.points.shape)
        along = np.where(flow.domain.frozen, 0.0, noise - dt * force)
        return Step(state.after(dt, pi.moved(flow.domain.mirrored(pi.points + along)), average=average))

    def _averaged(self, flow: Flow, pi: Particles, before: Array, t: int) -> Array:
        """gbar_t from gbar_{t-1} and g_t."""
        slopes, drawn = _slopes(flow.energy), None
        if self.batch is not None:
            drawn = np.random.default_rng([self.seed, 1, t]).permutation(slopes.rows)[: self.batch]
        share = t / (t + 2.0)
        return np.asarray(share * before + (2.0 * share / (t + 1.0)) * slopes.at(pi, drawn))

    def largest_step(self, flow: Flow, state: State) -> float:
        """1.9/max|V''| at the particles, V the mean potential or today's: others do not move it within a step.

        Langevin's bound has the coupling of V[pi] to the particles besides. inf where the neuron has no Hessian.
        """
        w, average = state.measure.points, state.memory["average"]
        if not flow.energy.curved:
            return math.inf
        assert isinstance(average, np.ndarray)
        mean = _slopes(flow.energy).potential(average, w, 2) + _linear(flow.energy).curvature(state.measure, w)
        both = np.concatenate([mean, flow.energy.curvature(state.measure, w)])
        steepest = math.sqrt(float(np.max(np.sum(both * both, axis=(1, 2)))))
        return _STABLE / steepest if steepest > 0.0 else math.inf


@lru_cache(maxsize=8)
def _slopes(energy: Energy) -> Slopes:
    return Slopes.of(energy)


@lru_cache(maxsize=8)
def _linear(energy: Energy) -> Energy:
    return loss_and_linear(energy)[1]
