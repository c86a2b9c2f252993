"""This file owns conic particles: charges whose masses grow and shrink while they move."""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from solvers._conic_bound import largest_step
from solvers._conic_rates import Rates, Speeds, moved
from solvers.starts import Quantised, Sampled, check, refusal_of_start
from wflow.arrays import count, positive
from wflow.charged import Charged
from wflow.cone import Cone
from wflow.errors import NotConverged
from wflow.flow import Flow
from wflow.measure import Measure, Particles, SignedParticles
from wflow.shapes import Planar
from wflow.solver import Order, Promise, Solver, State, Step

_STEEPEST = 50.0
"""Largest exponent of a mass in one step that is tried at all."""
_ROUNDING = 1e-14
_SHARE = 0.5
_SHORTEST = 1e-12


@dataclass(frozen=True)
class _Conic(Solver):
    """Masses by m' = -4 alpha m (s V + lambda), positions by theta' = -beta s grad V (solvers._conic_rates).

    alpha = 0: equal or other masses that stay, moved by transport alone; beta = 0: charges that stay where they are.
    """

    particles: int
    alpha: float = 1.0
    beta: float = 1.0
    start: Quantised | Sampled = field(default_factory=Quantised)
    resolution: ClassVar[str] = "particles"
    shaped: ClassVar[bool] = True
    charged: ClassVar[bool] = True
    stages: ClassVar[float] = 1.0
    """Order in time."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} particles", self.particles)
        Speeds.checked(name, self.alpha, self.beta)
        check(name, self.start)

    @property
    def needs(self) -> Literal["quantile", "sample"]:  # type: ignore[override]
        """Quantised points, or samples."""
        return "quantile" if isinstance(self.start, Quantised) else "sample"

    @property
    def speeds(self) -> Speeds:
        """alpha and beta."""
        return Speeds(self.alpha, self.beta)

    def order(self, flow: Flow) -> Order:
        """Time: the method's, or less where V bends or walls are round. No order in the number of particles is claimed.

        A sparse answer has few charges; what more particles change is whether they find it.
        """
        rough = flow.energy.kinked or isinstance(flow.domain, Planar)
        return Order(1.0 if rough else min(self.stages, flow.energy.jumps))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Energy below the stability bound, checked by the loop; positivity where no charge starts negative.

        Mass where its sum is conserved, and at alpha = 0: the transport of charges whose masses stay as they are.
        """
        one_sign = isinstance(flow.initial, Charged) and flow.initial.negative is None
        kept: set[Promise] = {"energy", "positivity"} if one_sign else {"energy"}
        return frozenset(kept | {"mass"} if flow.conserved or not self.alpha else kept)

    def _refusal(self, flow: Flow) -> str | None:
        if not flow.charged:
            return (
                "the start is a probability law, whose mass other methods keep; to let masses change give Charged(law)"
            )
        if flow.energy.internal:
            return "particles move by grad V alone and atoms have no entropy; give an energy without internal terms"
        if flow.energy.singular:
            return "charges of two signs fall into each other where the interaction is singular; give a bounded kernel"
        return refusal_of_start(flow, self.start)

    def init(self, flow: Flow) -> State:
        """From Atoms on every sheet those atoms, whatever `particles`."""
        assert isinstance(flow.initial, Charged)
        points = self.start.points(flow, self.particles)
        return State(0.0, _kept(flow, SignedParticles(flow.domain, points, flow.initial.weights(len(points)))))

    def largest_step(self, flow: Flow, state: State) -> float:
        """2/L with L a bound of the second derivative of F along unit speed (solvers._conic_bound)."""
        return largest_step(flow, _charges(state), self.speeds)

    def _first(self, flow: Flow, state: State) -> Rates:
        """The rates at the state, as the step before left them or anew."""
        growth, velocity = state.memory.get("growth"), state.memory.get("velocity")
        if isinstance(growth, np.ndarray) and isinstance(velocity, np.ndarray):
            return Rates(growth, velocity)
        return Rates.at(flow, _charges(state), self.speeds)

    def _ended(self, flow: Flow, state: State, dt: float, end: SignedParticles, first: Rates) -> Step:
        """The step to `end`. dissipated: by the trapezoidal rule, order 2."""
        last = Rates.at(flow, end, self.speeds)
        spent = 0.5 * dt * (first.power(_charges(state), self.speeds) + last.power(end, self.speeds))
        return Step(state.after(dt, _kept(flow, end), growth=last.growth, velocity=last.velocity), dissipated=spent)


def _charges(state: State) -> SignedParticles:
    pi = state.measure
    return pi if isinstance(pi, SignedParticles) else SignedParticles(pi.domain, pi.points, pi.weights)


def _kept(flow: Flow, nu: SignedParticles) -> Measure:
    """Charges as the state holds them: a probability measure where the sum of masses is conserved."""
    return Particles(nu.domain, nu.points, nu.weights) if flow.conserved else nu


@dataclass(frozen=True)
class ConicParticles(_Conic):
    """Conic particle gradient descent: m <- m exp(-4 alpha dt (s V + lambda)), theta <- theta - beta dt s grad V.

    The mirror step, of first order in dt; one step of length dt with speeds (alpha, beta) is a published iteration with
    (alpha dt, beta dt). Signs cannot change and no mass reaches 0.
    Source: Chizat 2022, Sparse optimization on measures with over-parameterized gradient descent, Math. Program. 194.
    """

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        first = self._first(flow, state)
        return self._ended(flow, state, dt, moved(flow, _charges(state), first, dt), first)


@dataclass(frozen=True)
class ConicHeun(_Conic):
    """The same flow by Heun's rule in (log m, theta): rates averaged over both ends of a mirror step. Order 2.

    error: the cone distance between both ends, an estimate of order dt^2, by which `solve(tolerance=)` paces.
    """

    stages: ClassVar[float] = 2.0
    embedded: ClassVar[float | None] = 1.0

    def __post_init__(self) -> None:
        """The cone metric, by which it paces, needs both speeds."""
        super().__post_init__()
        positive("ConicHeun alpha", self.alpha)
        positive("ConicHeun beta", self.beta)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi, first = _charges(state), self._first(flow, state)
        ahead = moved(flow, pi, first, dt)
        end = moved(flow, pi, first.mean(Rates.at(flow, ahead, self.speeds)), dt)
        error = Cone(self.alpha, self.beta).coupled(ahead, end)
        return replace(self._ended(flow, state, dt, end, first), error=error)

    def largest_step(self, flow: Flow, state: State) -> float:
        """Two fifths of it: beyond, charges cross a feature in a few of the first steps, and order 2 is not seen."""
        return 0.4 * super().largest_step(flow, state)


@dataclass(frozen=True)
class ConicDescent(_Conic):
    """Mirror steps that share each dt among them: a part is halved unless F falls by half of what it dissipates.

    The next one tried is twice it. F falls for every dt; the longer dt, the fewer evaluations until charges have
    gathered. Of first order as dt -> 0. (Were any fall enough, the first parts would throw charges over their spikes:
    three of ten signed deconvolutions then end far from the minimum, measured.)
    Raises NotConverged where no part above 1e-12 dt lowers F so.
    Source: Armijo 1966, Pacific J. Math. 16(1), 1-3.
    """

    judged: ClassVar[bool] = True

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        now, rates, part, spent = _charges(state), self._first(flow, state), dt, 0.0
        done, energy = 0.0, flow.energy.value(now)
        while done < dt:
            part = min(part, dt - done)
            end, reached = self._tried(flow, now, rates, part)
            promised = _SHARE * part * rates.power(now, self.speeds)
            if not reached <= energy - promised + _ROUNDING * max(1.0, abs(energy)):
                part *= 0.5
                if part < _SHORTEST * dt:
                    raise NotConverged(f"{self}: no step from t = {state.time + done:g} lowers F = {energy:.15g}", part)
                continue
            after = Rates.at(flow, end, self.speeds)
            spent += 0.5 * part * (rates.power(now, self.speeds) + after.power(end, self.speeds))
            done = dt if part == dt - done else done + part
            now, rates, energy, part = end, after, reached, 2.0 * part
        return Step(state.after(dt, _kept(flow, now), growth=rates.growth, velocity=rates.velocity), dissipated=spent)

    def largest_step(self, flow: Flow, state: State) -> float:
        """None: parts of a step are as short as they must be."""
        return math.inf

    @staticmethod
    def _tried(flow: Flow, pi: SignedParticles, rates: Rates, dt: float) -> tuple[SignedParticles, float]:
        """A mirror step with its F; infinite where a mass would grow beyond all measure."""
        if dt * float(rates.growth.max()) > _STEEPEST:
            return pi, math.inf
        end = moved(flow, pi, rates, dt)
        return end, flow.energy.value(end)
