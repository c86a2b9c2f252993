"""This file owns the time loop of multilayer networks, with the verbs of `wflow.solve`, and what it returns."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wflow.arrays import Array, count, finite, positive
from wflow.deep.flow import DeepFlow
from wflow.deep.network import Network
from wflow.deep.solver import DeepSolver, DeepState
from wflow.errors import EnergyRose, NotConverged, Refused

SLACK = 1e-13
SAVED = 64
_SHORTEST = 1e-12


@dataclass(frozen=True, eq=False)
class DeepTrajectory:
    """Saved times (k,) with their networks, F (k,) and dissipation summed since 0 (k,; nan where there is none).

    diagnostics: name -> (k,): "residual" the largest of an inner iteration since the last saved time, "discarded" what
    recompressions left out since 0, in L2(P).   steps: how many were taken.
    """

    flow: DeepFlow
    solver: DeepSolver
    times: Array
    networks: tuple[Network, ...]
    energies: Array
    dissipated: Array
    diagnostics: dict[str, Array]
    steps: int

    @property
    def final(self) -> Network:
        """The last network."""
        return self.networks[-1]

    def at(self, t: float) -> Network:
        """The network at a saved time; raises ValueError naming the nearest saved one otherwise."""
        nearest = int(np.argmin(np.abs(self.times - t)))
        if abs(self.times[nearest] - t) > 1e-9 * max(1.0, abs(t)):
            raise ValueError(
                f"DeepTrajectory.at: t = {t:g} was not saved, the nearest is {self.times[nearest]:g}; "
                "pass it in solve(times=[...])"
            )
        return self.networks[nearest]


@dataclass(frozen=True, eq=False)
class _Reached:
    """The state, F there (nan where it is not asked at every step), what was dissipated since 0, the largest residual
    since the last saved time, and whether this is one.
    """

    state: DeepState
    energy: float
    dissipated: float
    residual: float
    saved: bool = False


def solve(
    flow: DeepFlow,
    solver: DeepSolver,
    *,
    steps: int | None = None,
    dt: float | None = None,
    times: Sequence[float] | None = None,
    until: float | Callable[[DeepState], bool] | None = None,
    progress: Callable[[float], None] | None = None,
) -> DeepTrajectory:
    """Solve a multilayer flow by a method; the arguments are those of `wflow.solve` that make sense here.

    Exactly one of: steps, equal ones over the horizon; dt, an upper bound of the step.   times: saved times (0 is
    always saved; each is hit exactly by equal steps); SAVED equal stretches otherwise.   until: an earlier end, or a
    function of the state asked after every step.   progress: receives the fraction done.
    Raises Refused where the method refuses the flow; EnergyRose where a method that descends raised F by more than
    1e-13 max(1, |F_0|), nan included; NotConverged from inner iterations and where the descent inequality fails.
    """
    if not isinstance(flow, DeepFlow) or not isinstance(solver, DeepSolver):
        raise TypeError(f"solve: got {type(flow).__name__} and {type(solver).__name__}; pass a DeepFlow and a method")
    reason = solver.refusal(flow)
    if reason is not None:
        raise Refused(f"{solver} refuses this flow: {reason}")
    end = _end(flow, until)
    longest = _longest(flow, steps, dt)
    saved = _saved_times(times, end, longest)
    state = solver.init(flow)
    kept = [_Reached(state, state.energy(flow), 0.0, 0.0)]
    for now in _course(flow, solver, kept[0], saved, longest, until if callable(until) else None):
        if progress is not None:
            progress(now.state.time / end)
        if now.saved:
            kept.append(now)
    return _trajectory(flow, solver, kept)


def _course(
    flow: DeepFlow,
    solver: DeepSolver,
    now: _Reached,
    saved: Sequence[float],
    longest: float,
    stop: Callable[[DeepState], bool] | None,
) -> Iterator[_Reached]:
    """The run after every step; at a saved time, and at an end that `stop` asks for, it is marked as saved."""
    slack = SLACK * max(1.0, abs(now.energy))
    for target in saved:
        pieces = max(1, math.ceil((target - now.state.time) / longest * (1.0 - 1e-9)))
        for left in range(pieces, 0, -1):
            now = _after(flow, solver, now, (target - now.state.time) / left, slack)
            if left == 1:
                now = replace(now, state=replace(now.state, time=target))
            ended = stop is not None and bool(stop(now.state))
            if ended or left == 1:
                now = replace(now, saved=True, energy=now.state.energy(flow))
            yield now
            if ended:
                return


def _after(flow: DeepFlow, solver: DeepSolver, now: _Reached, dt: float, slack: float) -> _Reached:
    """One step further, its promises looked at."""
    step = solver.step(flow, now.state, dt)
    energy = step.state.energy(flow) if solver.descends or solver.variational else math.nan
    spent = math.nan if step.dissipated is None else step.dissipated
    if solver.descends and not energy <= now.energy + slack:
        raise EnergyRose(
            f"{solver}: F rose from {now.energy:.15g} to {energy:.15g} in step {step.state.count} "
            f"(t = {now.state.time:g}, dt = {dt:.3g}); use a shorter step, say dt = {dt / 4:.2g}"
        )
    if solver.variational and not energy + spent <= now.energy + slack:
        raise NotConverged(
            f"{solver}: F + movement = {energy + spent:.15g} is above F = {now.energy:.15g} before step "
            f"{step.state.count}: the minimisation found no minimum; use a shorter step, say dt = {dt / 4:.2g}",
            step.residual,
        )
    residual = step.residual if now.saved else max(now.residual, step.residual)
    return _Reached(step.state, energy, now.dissipated + spent, residual)


def _end(flow: DeepFlow, until: float | Callable[[DeepState], bool] | None) -> float:
    if until is None or callable(until):
        return flow.horizon
    end = positive("until", until)
    if end > flow.horizon:
        raise ValueError(f"until: {end} lies beyond the horizon {flow.horizon}; give an earlier end or raise it")
    return end


def _longest(flow: DeepFlow, steps: int | None, dt: float | None) -> float:
    """The upper bound of a step."""
    if (steps is None) == (dt is None):
        raise ValueError(f"solve: steps = {steps!r} and dt = {dt!r}; give exactly one of them")
    return flow.horizon / count("steps", steps) if steps is not None else positive("dt", dt or 0.0)


def _saved_times(times: Sequence[float] | None, end: float, longest: float) -> list[float]:
    if times is None:
        n = max(1, math.ceil(end / longest * (1.0 - 1e-9)))
        marks = np.unique(np.round(np.linspace(0, n, min(n, SAVED) + 1)).astype(int))
        return [end * (int(k) / n) for k in marks[1:]]
    given = np.unique(finite("times", times))
    if given.ndim != 1 or not len(given) or given[0] < 0.0 or given[-1] > end * (1 + _SHORTEST):
        raise ValueError(f"times: {given.tolist()} must lie in [0, {end}], the run's horizon; give at least one there")
    return [float(t) for t in given if t > 0.0]


def _trajectory(flow: DeepFlow, solver: DeepSolver, kept: Sequence[_Reached]) -> DeepTrajectory:
    return DeepTrajectory(
        flow,
        solver,
        np.array([k.state.time for k in kept]),
        tuple(k.state.network for k in kept),
        np.array([k.energy for k in kept]),
        np.array([k.dissipated for k in kept]),
        {
            "residual": np.array([k.residual for k in kept]),
            "discarded": np.array([k.state.discarded for k in kept]),
        },
        kept[-1].state.count,
    )
