"""This file owns the one time loop of the house."""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wflow.arrays import count, finite, positive, rounded_down
from wflow.errors import EnergyRose, LostDensity, NotConverged, Refused, StepTooLarge
from wflow.flow import Flow
from wflow.measure import Density, Measure, Quantiles
from wflow.solver import Solver, State, Step
from wflow.trajectory import Trajectory
from wflow.transport import w2

SAVED = 64
"""Stretches between saved times when none are asked for."""
ENERGY_SLACK = 1e-13
EDGE = 1e-10
"""Most mass within two cells of a wall that stands for infinity: beyond, the run is refused."""
_ROWS = ("time", "energy", "dissipated", "step", "residual", "edge")
_DEFAULT_STEPS = 200
_SHORTEST = 1e-12

Progress = bool | Callable[[float], None]


def solve(
    flow: Flow,
    solver: Solver,
    *,
    steps: int | None = None,
    dt: float | None = None,
    tolerance: float | None = None,
    times: Sequence[float] | None = None,
    until: float | Callable[[State], bool] | None = None,
    progress: Progress = False,
) -> Trajectory:
    """Solve a flow by a solver; the only time loop.

    At most one of: steps, equal ones over the horizon; dt, an upper bound of the step; tolerance, the sum of the
    steps' W2 errors over the horizon, by step doubling with the solver's order. None: min(0.9 largest_step,
    horizon/200), or where the solver has a smallest_step at the start equal steps of at least that.
    times: saved times (0 is always saved; each is hit exactly by equal steps). until: an earlier end, or a function
    of the state asked after every step. progress: True writes to stderr; a function receives the fraction done.

    Raises Refused where the solver refuses the flow, StepTooLarge for a given step above its stability bound (asked at
    every saved time; explicit schemes look at their CFL bound themselves at every step), EnergyRose where a promised
    decrease fails by more than 1e-13 max(1, |F_0|), LostDensity where a window's walls are felt (asked at saved times),
    NotConverged from inner iterations.
    """
    if not isinstance(flow, Flow):
        raise TypeError(
            f"solve flow: got {type(flow).__name__}; pass a Flow (of a problem of the catalogue: problem.flow)"
        )
    if not isinstance(solver, Solver):
        raise TypeError(f"solve solver: got {solver!r}; pass an instance with its resolution, such as Muscl(cells=256)")
    reason = solver.refusal(flow)
    if reason is not None:
        raise Refused(f"{solver} refuses this flow: {reason}")
    end = _end(flow, until)
    start = solver.init(flow)
    pace = _pace(flow, solver, start, {"steps": steps, "dt": dt, "tolerance": tolerance})
    saved = _saved_times(times, end, pace)
    watch = _Watch(flow, solver, start, _reporter(progress, end))
    stop = until if callable(until) else None
    for target in saved:
        watch.stretch()
        pace.refuse(flow, solver, watch.state)
        while watch.state.time < target:
            watch.accept(pace.advance(flow, solver, watch.state, target), target)
            if stop is not None and stop(watch.state):
                watch.save()
                return watch.trajectory()
        watch.save()
    return watch.trajectory()


def _end(flow: Flow, until: float | Callable[[State], bool] | None) -> float:
    if until is None or callable(until):
        return flow.horizon
    if np.ndim(until) or np.asarray(until).dtype.kind not in "iuf":
        raise TypeError(f"until: {until!r} is neither a time nor a function of the state; give one of them")
    end = float(until)
    if not 0.0 < end <= flow.horizon:
        raise ValueError(f"until: {end} lies outside (0, {flow.horizon}]; give an earlier end or raise the horizon")
    return end


def _saved_times(times: Sequence[float] | None, end: float, pace: "_Pace") -> list[float]:
    if times is None:
        n = pace.steps_over(end)
        marks = np.unique(np.round(np.linspace(0, n, min(n, SAVED) + 1)).astype(int))
        return [end * (int(k) / n) for k in marks[1:]]
    given = np.unique(finite("times", times))
    if given.ndim != 1 or not len(given) or given[0] < 0.0 or given[-1] > end * (1 + 1e-12):
        raise ValueError(f"times: {given.tolist()} must lie in [0, {end}], the run's horizon; give at least one there")
    return [float(t) for t in given if t > 0.0]


class _Watch:
    """The run so far: the state, what was saved, and the promise checked at every step."""

    def __init__(self, flow: Flow, solver: Solver, state: State, report: Callable[[float], None]) -> None:
        self.flow, self.solver, self.state, self.report = flow, solver, state, report
        self.keeps_energy = "energy" in solver.keeps(flow)
        self.energy = self._energy(state.measure)
        self.slack = ENERGY_SLACK * max(1.0, abs(self.energy) if math.isfinite(self.energy) else 1.0)
        self.dissipated: float = 0.0
        self.rows: dict[str, list[float]] = {name: [] for name in _ROWS}
        self.measures: list[Measure] = []
        self.stretch()
        self.save()

    def stretch(self) -> None:
        """Begin a new stretch between saved times."""
        self.smallest, self.residual = math.inf, 0.0

    def accept(self, step: Step, target: float) -> None:
        """Take over an accepted step, the promised energy decrease checked first."""
        new = step.state
        if abs(new.time - target) <= _SHORTEST * self.flow.horizon:
            new = replace(new, time=target)
        dt = new.time - self.state.time
        if self.keeps_energy:
            energy = self._energy(new.measure)
            if not energy <= self.energy + self.slack:
                raise EnergyRose(
                    f"{self.solver}: the energy rose from {self.energy:.15g} to {energy:.15g} in step {new.count} "
                    f"(t = {self.state.time:g}, dt = {dt:.3g}); use a shorter step, say dt = {dt / 4:.2g}"
                )
            self.energy = energy
        self.dissipated = math.nan if step.dissipated is None else self.dissipated + step.dissipated
        self.smallest, self.residual = min(self.smallest, dt), max(self.residual, step.residual)
        self.state = new
        self.report(new.time)

    def save(self) -> None:
        """Keep the present state."""
        edge = self.flow.at_edges(self.state.measure)
        if not edge <= EDGE:
            raise LostDensity(
                f"{self.solver}: {edge:.3g} of the mass lies within two cells of a wall that stands for infinity, at "
                f"t = {self.state.time:g}; allowed: {EDGE:g}. Widen the window or use more cells"
            )
        energy = self.energy if self.keeps_energy else self._energy(self.state.measure)
        values = (self.state.time, energy, self.dissipated, self.smallest, self.residual, edge)
        for row, value in zip(self.rows.values(), values, strict=True):
            row.append(value)
        self.measures.append(self.state.measure)

    def trajectory(self) -> Trajectory:
        """What `solve` returns."""
        rows = {name: np.array(row) for name, row in self.rows.items()}
        diagnostics = {
            "step": rows["step"],
            "residual": rows["residual"],
            "edge": rows["edge"],
            "mass": np.array([pi.mass for pi in self.measures]),
            "least": np.array([least(pi) for pi in self.measures]),
        }
        return Trajectory(
            self.flow, self.solver, rows["time"], tuple(self.measures), rows["energy"], rows["dissipated"],
            diagnostics, self.state.count,
        )  # fmt: skip

    def _energy(self, pi: Measure) -> float:
        undefined = pi.atomic and bool(self.flow.energy.internal)
        return math.nan if undefined else self.flow.energy.value(pi)


def least(pi: Measure) -> float:
    """The smallest density (cells, quantile gaps) or weight of a measure."""
    if isinstance(pi, Density):
        return pi.least
    if isinstance(pi, Quantiles):
        return float(1.0 / (len(pi.gaps) * pi.gaps.max()))
    return float(pi.weights.min())


@dataclass(frozen=True)
class _Pace:
    """How long the next step is: at most `bound`; None asks the solver's stability bound."""

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
        fits = abs(remaining - n * dt) <= 0.5 * _SHORTEST * flow.horizon
        return solver.step(flow, state, dt if fits else remaining / n)


@dataclass(frozen=True)
class _Controlled(_Pace):
    """Step doubling: the W2 distance of one step and two halves, scaled by the order, stays under the tolerance."""

    tolerance: float = 0.0
    order: float = 1.0

    def advance(self, flow: Flow, solver: Solver, state: State, target: float) -> Step:
        """The two half steps of the longest accepted step."""
        remaining = target - state.time
        guess = state.memory.get("proposed", self.default)
        assert isinstance(guess, float)
        dt = min(guess, 0.9 * solver.largest_step(flow, state), remaining)
        while dt > _SHORTEST * flow.horizon:
            whole = solver.step(flow, state, dt)
            half = solver.step(flow, state, 0.5 * dt)
            second = solver.step(flow, half.state, 0.5 * dt)
            error = w2(whole.state.measure, second.state.measure) / (2.0**self.order - 1.0)
            allowed = self.tolerance * dt / flow.horizon
            factor = 0.9 * (allowed / max(error, 1e-300)) ** (1.0 / self.order)
            if error <= allowed:
                proposed = dt * min(factor, 4.0) if dt < remaining or factor < 1.0 else max(guess, dt)
                memory = {**second.state.memory, "proposed": proposed}
                spent = None if half.dissipated is None else half.dissipated + (second.dissipated or 0.0)
                return replace(
                    second,
                    state=replace(second.state, memory=memory),
                    dissipated=spent,
                    residual=max(half.residual, second.residual),
                    error=error,
                )
            dt *= max(0.1, min(factor, 0.9))
        raise NotConverged(
            f"{solver}: the step fell below {_SHORTEST:g} of the horizon at t = {state.time:g} without meeting the "
            f"tolerance {self.tolerance:g}; raise it or refine the resolution",
            dt,
        )


def _pace(flow: Flow, solver: Solver, start: State, asked: Mapping[str, float | None]) -> _Pace:
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) > 1:
        raise ValueError(f"solve: {' and '.join(given)} are given; pass at most one of steps, dt, tolerance")
    smallest = solver.smallest_step(flow, start)
    most = math.floor(flow.horizon / smallest) if smallest else _DEFAULT_STEPS
    default = flow.horizon / max(1, min(most, _DEFAULT_STEPS))
    match given:
        case {"steps": steps}:
            return _Pace(flow.horizon / count("steps", steps), default)  # type: ignore[arg-type]
        case {"dt": dt}:
            return _Pace(positive("dt", dt), default)
        case {"tolerance": tolerance}:
            _refuse_doubling(solver, smallest)
            return _Controlled(None, default, positive("tolerance", tolerance), solver.order(flow).time)
    return _Pace(None, default)


def _refuse_doubling(solver: Solver, smallest: float) -> None:
    """Refused where one step and two halves differ by noise, or not at all because neither moves anything."""
    if solver.random:
        raise Refused(f"{solver} is random: step doubling compares noise; pass steps or dt")
    if smallest:
        raise Refused(
            f"{solver} does not resolve steps below {smallest:.3g}: doubling would take rest for accuracy; "
            "pass steps or dt"
        )


def _reporter(progress: Progress, end: float) -> Callable[[float], None]:
    if callable(progress):
        return lambda t: progress(t / end)
    if not progress:
        return lambda t: None
    last = [time.monotonic()]

    def write(t: float) -> None:
        if time.monotonic() - last[0] > 0.5 or t >= end:
            last[0] = time.monotonic()
            sys.stderr.write(f"\r{100.0 * t / end:5.1f} %  t = {t:.4g}" + ("\n" if t >= end else ""))
            sys.stderr.flush()

    return write
