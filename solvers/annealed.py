"""This file owns annealing: a method whose temperature falls in time.

    d_t pi = div(pi grad V[pi]) + T(t) Laplace pi,        V of F without its entropy, T(t) a schedule (wflow.schedules)

    dF_{T(t)}/dt = -int |grad(V + T log pi)|^2 dpi + T'(t) int pi log pi,    F_T = F less its entropy + T int pi log pi

Source: Chizat 2022, arXiv:2202.01009 (abstract: with a noise decaying like 1/log t the value tends to the least of F
without entropy).
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.schedules import Schedule
from wflow.solver import Order, Promise, Solver, State, Step

_TAKEN = (
    "resolution", "random", "needs", "variational", "most", "costly", "optimality", "limited", "shaped", "charged",
    "distributed", "judged", "remapping", "recalled",
)  # fmt: skip
"""What the method says of itself is true of it annealed."""
_NOW = "temperature"
"""Of a state: kept, since at a jump of T the time of a state is not known to rounding."""


@dataclass(frozen=True)
class Annealed(Solver):
    """`method`, each of whose steps from t to t + dt is taken at the mean of T over [t, t + dt].

    Order min(2, the method's own), at schedules with jumps too: with L(t) = A + T(t) B the first term of Magnus's
    series is the step at the mean of T, the second int int [L(s), L(r)] = O(dt^3 T'), and O(dt^2) in the one step that
    holds a jump (derived: docs/annealing.md; with T of the middle a jump would cost O(dt)). Heat alone is exact.

    T(t) stands in place of the temperature of the flow, if it has one. Energies of the run are those of the method at
    T(t), F_{T(t)}; `dissipated` is what the method dissipates and, by its own difference, the work -int T' Ent dt, so
    that F_0 - F - dissipated is what steps miss. F_{T(t)} may rise: energy is not kept.
    Raises ValueError for a method of several steps (its last measures belong to other temperatures).
    """

    method: Solver
    schedule: Schedule

    def __post_init__(self) -> None:
        if not isinstance(self.method, Solver) or isinstance(self.method, Annealed):
            raise TypeError(f"Annealed method: {self.method!r} is no plain method; pass one, as Langevin(100)")
        if not isinstance(self.schedule, Schedule):
            raise TypeError(f"Annealed schedule: {self.schedule!r} is no schedule; pass one, as Logarithmic(0.1)")
        if self.method.multistep:
            raise ValueError(
                f"Annealed method: {self.method} is a method of several steps, of several temperatures; take one of one"
            )
        for name in (*_TAKEN, self.method.resolution):
            object.__setattr__(self, name, getattr(self.method, name))
        if isinstance(seed := getattr(self.method, "seed", None), int):
            object.__setattr__(self, "seed", seed)

    @property
    def equation(self) -> tuple[object, ...]:
        return ("annealed", self.schedule, *self.method.equation)

    def refined(self, factor: float) -> Self:
        return replace(self, method=self.method.refined(factor))

    def order(self, flow: Flow) -> Order:
        own = self.method.order(_begun(flow, self.schedule))
        identity = None if own.identity is None else min(own.identity, 2.0)
        return Order(min(2.0, own.time), own.space, identity)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """What the method keeps but for energy: where int pi log pi < 0 cooling raises F_T."""
        return self.method.keeps(_begun(flow, self.schedule)) - {"energy"}

    def refusal(self, flow: Flow) -> str | None:
        """The method's own at T(0), and a temperature of 0 in the machine's numbers before the horizon."""
        if not self.schedule(flow.horizon) > 0.0:
            return f"T = {self.schedule} is 0 in the machine's numbers by t = {flow.horizon:g}; cool more slowly"
        return self.method.refusal(_begun(flow, self.schedule))

    def _refusal(self, flow: Flow) -> str | None:
        return self.refusal(flow)

    def room(self, flow: Flow) -> float:
        return self.method.room(_begun(flow, self.schedule))

    def resolved(self, flow: Flow) -> float:
        return self.method.resolved(_begun(flow, self.schedule))

    def waves(self, flow: Flow) -> float:
        return self.method.waves(_begun(flow, self.schedule))

    def resolves(self, flow: Flow) -> bool:
        return self.method.resolves(_begun(flow, self.schedule))

    def energy(self, flow: Flow, state: State) -> float:
        """The method's at the temperature of the state: F_{T(t)}."""
        return self.method.energy(at_temperature(flow, float(state.memory[_NOW])), state)  # type: ignore[arg-type]

    def init(self, flow: Flow) -> State:
        return _warm(self.method.init(_begun(flow, self.schedule)), self.schedule(0.0))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        at = at_temperature(flow, self.schedule.mean(state.time, state.time + dt))
        kept = {name: entry for name, entry in state.memory.items() if name not in self.method.recalled}
        before = replace(state, memory=kept)
        done = self.method.step(at, before, dt)
        done = replace(done, state=_warm(done.state, self.schedule(done.state.time)), error=None)
        return replace(done, dissipated=self._spent(flow, at, before, done))

    def _spent(self, flow: Flow, at: Flow, before: State, done: Step) -> float | None:
        """Dissipated at the step's temperature, and what the changes of T at its two ends take of the energy."""
        if done.dissipated is None:
            return None
        energy, new = self.method.energy, done.state
        heated = energy(at, before) - self.energy(flow, before)
        cooled = self.energy(flow, new) - energy(at, new)
        return done.dissipated - heated - cooled

    def largest_step(self, flow: Flow, state: State) -> float:
        """The method's at T(t): later ones are colder."""
        return self.method.largest_step(at_temperature(flow, self.schedule(state.time)), state)

    def smallest_step(self, flow: Flow) -> float:
        return self.method.smallest_step(_begun(flow, self.schedule))

    def __str__(self) -> str:
        return f"Annealed({self.method}, T = {self.schedule})"


@lru_cache(maxsize=8)
def at_temperature(flow: Flow, temperature: float) -> Flow:
    """The same flow at another temperature, above 0; the same object for the same question."""
    terms = (t for t in flow.energy.internal if not isinstance(t, Entropy))
    return replace(flow, energy=Energy(*flow.energy.terms, *terms, *flow.energy.limits, Entropy(temperature)))


def _warm(state: State, temperature: float) -> State:
    return replace(state, memory={**state.memory, _NOW: temperature})


def _begun(flow: Flow, schedule: Schedule) -> Flow:
    return at_temperature(flow, schedule(0.0))
