"""This file owns how long the next step is: given, bounded by stability, or chosen by its error."""

import math
from dataclasses import dataclass, replace

from wflow.arrays import count, positive, rounded_down
from wflow.cone import Cone, weak
from wflow.errors import NotConverged, Refused, StepTooLarge
from wflow.flow import Flow
from wflow.measure import Measure, SignedParticles
from wflow.ranks import current
from wflow.signed_density import SignedDensity
from wflow.solver import Solver, State, Step
from wflow.transport import w2

SHORTEST = 1e-12
"""Times closer than this part of the horizon are one time."""
_DEFAULT_STEPS = 200


@dataclass(frozen=True)
class Pace:
    """At most `bound`; None asks the solver's stability bound."""

    bound: float | None
    default: float

    def steps_over(self, length: float) -> int:
        """About how many steps a stretch takes."""
        return max(1, math.ceil(length / (self.bound or self.default) - 1e-9))

    def refuse(self, flow: Flow, solver: Solver, state: State) -> None:
        """Raise StepTooLarge for a bound above the stability bound, asked where a stretch begins."""
        if self.bound is None:
            return
        largest = solver.largest_step(flow, state)
        if self.bound > largest * (1.0 + 1e-9):
            raise StepTooLarge(
                f"{solver}: dt = {self.bound:.4g} is above the largest stable step {largest:.4g} at t = "
                f"{state.time:g}; pass dt <= {rounded_down(largest)}, more steps, or neither (then 0.9 of it is used)",
                largest,
            )

    def advance(self, flow: Flow, solver: Solver, state: State, target: float) -> Step:
        """One step that does not pass the target; equal steps up to it."""
        dt = self.bound or min(0.9 * solver.largest_step(flow, state), self.default)
        remaining = target - state.time
        n = max(1, math.ceil(remaining / dt - 1e-9))
        # dt as it is where it fits but for rounding: a solver may hold factors for that very number
        fits = abs(remaining - n * dt) <= 0.5 * SHORTEST * flow.horizon
        return solver.step(flow, state, dt if fits else remaining / n)


@dataclass(frozen=True)
class Controlled(Pace):
    """The W2 error of a step stays under tolerance dt/horizon, estimated by an embedded method or by step doubling."""

    tolerance: float = 0.0
    order: float = 1.0

    def advance(self, flow: Flow, solver: Solver, state: State, target: float) -> Step:
        """The longest accepted step; the next one's length travels in the state's memory."""
        remaining = target - state.time
        guess = state.memory.get("proposed", self.default)
        assert isinstance(guess, float)
        dt = min(guess, 0.9 * solver.largest_step(flow, state), remaining)
        order = solver.embedded or self.order
        while dt > SHORTEST * flow.horizon:
            step = solver.step(flow, state, dt) if solver.embedded else self._doubled(flow, solver, state, dt)
            assert step.error is not None
            factor = 0.9 * (self.tolerance * dt / flow.horizon / max(step.error, 1e-300)) ** (1.0 / order)
            if step.error <= self.tolerance * dt / flow.horizon:
                proposed = dt * min(factor, 4.0) if dt < remaining or factor < 1.0 else max(guess, dt)
                memory = {**step.state.memory, "proposed": proposed}
                return replace(step, state=replace(step.state, memory=memory))
            dt *= max(0.1, min(factor, 0.9))
        raise NotConverged(
            f"{solver}: the step fell below {SHORTEST:g} of the horizon at t = {state.time:g} without meeting the "
            f"tolerance {self.tolerance:g}; raise it or refine the resolution",
            dt,
        )

    def _doubled(self, flow: Flow, solver: Solver, state: State, dt: float) -> Step:
        """Two half steps; error: their W2 distance to one whole step, scaled by the order."""
        whole, half = solver.step(flow, state, dt), solver.step(flow, state, 0.5 * dt)
        second = solver.step(flow, half.state, 0.5 * dt)
        spent = None if half.dissipated is None else half.dissipated + (second.dissipated or 0.0)
        error = _apart(whole.state.measure, second.state.measure) / (2.0**self.order - 1.0)
        error = current().told(error)  # so that all ranks take the same steps
        return replace(second, dissipated=spent, residual=max(half.residual, second.residual), error=error)


def _apart(a: Measure, b: Measure) -> float:
    """W2; of charges, which have none, the cone distance of each to itself, of sheets on cells the dual norm."""
    if isinstance(a, SignedDensity) and isinstance(b, SignedDensity):
        return weak(a, b)
    if isinstance(a, SignedParticles) and isinstance(b, SignedParticles):
        return Cone().coupled(a, b)
    return w2(a, b)


def pace_of(flow: Flow, solver: Solver, steps: int | None, dt: float | None, tolerance: float | None) -> Pace:
    """The pace that at most one of steps, dt and tolerance asks for."""
    given = [name for name, v in (("steps", steps), ("dt", dt), ("tolerance", tolerance)) if v is not None]
    if len(given) > 1:
        raise ValueError(f"solve: {' and '.join(given)} are given; pass at most one of steps, dt, tolerance")
    smallest = solver.smallest_step(flow)
    most = math.floor(flow.horizon / smallest) if smallest else _DEFAULT_STEPS
    default = flow.horizon / max(1, min(most, _DEFAULT_STEPS))
    if steps is not None:
        return Pace(flow.horizon / count("steps", steps), default)
    if dt is not None:
        return Pace(positive("dt", dt), default)
    if tolerance is not None:
        if solver.random:
            raise Refused(f"{solver} is random: step doubling compares noise; pass steps or dt")
        if solver.multistep:
            raise Refused(f"{solver} is a two-step method: step doubling misjudges its error; pass steps or dt")
        if smallest:
            raise Refused(
                f"{solver} does not resolve steps below {smallest:.3g}: doubling would take rest for accuracy; "
                "pass steps or dt"
            )
        return Controlled(None, default, positive("tolerance", tolerance), solver.order(flow).time)
    return Pace(None, default)
