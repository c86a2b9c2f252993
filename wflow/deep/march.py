"""This file owns the time loop of deep networks, multilayer and residual alike: promises, saved times, a store."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from wflow.arrays import Array, count, positive
from wflow.course import SLACK, Progress, end_of, followed, plan, reporter, saved_times
from wflow.data import Data
from wflow.errors import EnergyRose, NotConverged, Refused


class Weights(Protocol):
    """A network, as a store sees it."""

    def arrays(self) -> dict[str, Array]:
        """What a flow moves, by name."""

    def holding(self, arrays: dict[str, Array]) -> Any:
        """The same network with these in their place."""


class State(Protocol):
    """What a method carries from step to step, a frozen dataclass."""

    time: float
    network: Any
    count: int
    gradient: Any

    def energy(self, flow: Any) -> float:
        """F."""

    def tally(self) -> float:
        """What the method counts beside F since 0."""

    def tallied(self, tally: float) -> Any:
        """The same with that count."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept at a saved time, after `count` steps.

    residual: the largest since the saved time before.   tally: that of the state.
    """

    time: float
    network: Any
    count: int
    energy: float
    dissipated: float
    residual: float
    tally: float


@dataclass(frozen=True, eq=False)
class Marched:
    """A run after one of its steps: solved on from here it ends with the same bits as if it had never stopped.

    plan: what is run, in words that another run does not have.   energy: nan between saved times where no promise of
    the method needs it.   dissipated: since 0 (nan where there is none).   residual: the largest since the last saved.
    """

    plan: str
    state: Any
    energy: float
    dissipated: float
    residual: float
    kept: tuple[Kept, ...]

    @property
    def at_saved_time(self) -> bool:
        """Nothing was done since the last saved time."""
        return bool(self.state.time == self.kept[-1].time)

    def saved(self, energy: float) -> "Marched":
        """The present state kept."""
        state = self.state
        kept = Kept(
            state.time, state.network, state.count, energy, self.dissipated, self.residual, state.tally()
        )  # fmt: skip
        return replace(self, energy=energy, kept=(*self.kept, kept))


class Store(Protocol):
    """Where a run may be kept so that `solve` continues it. `wflow.store.DeepCheckpoints` is one on a disk."""

    def latest(self) -> Any:
        """The furthest Marched that is kept of this run, its networks as arrays; None at its beginning."""

    def offer(self, now: Any) -> None:
        """Told after every step; keeps some of them."""

    def keep(self, now: Any) -> None:
        """Told where the run is interrupted or fails: `now` is its last good step."""


def march(
    flow: Any,
    solver: Any,
    *,
    steps: int | None,
    dt: float | None,
    times: Sequence[float] | None,
    until: float | Callable[[Any], bool] | None,
    progress: Progress,
    store: Store | None,
) -> Marched:
    """The run at its end; the arguments are those of `wflow.deep.solve`, which says what is raised.

    flow: data, horizon, speeds_at(t).   solver: refusal, init, step, and its promises `descends` and `variational`.
    """
    reason = solver.refusal(flow)
    if reason is not None:
        raise Refused(f"{solver} refuses this flow: {reason}")
    end, longest = end_of(flow.horizon, until), _longest(flow.horizon, steps, dt)
    saved = saved_times(times, end, lambda: max(1, math.ceil(end / longest * (1.0 - 1e-9))))
    report, stop = reporter(progress, end), until if callable(until) else None
    begun = _begun(flow, solver, f"{plan(solver, longest, saved)}, {_mark(flow, saved)}")
    if store is not None:
        begun = _resumed(begun, store.latest())
    # what overflows is seen as an energy that is no number
    with np.errstate(over="ignore", invalid="ignore"):
        course = _course(flow, solver, begun, saved, longest, stop)
        found: Marched = followed(course, begun, lambda now: report(now.state.time), store)
    return found


def _longest(horizon: float, steps: int | None, dt: float | None) -> float:
    """The upper bound of a step."""
    if (steps is None) == (dt is None):
        raise ValueError(f"solve: steps = {steps!r} and dt = {dt!r}; give exactly one of them")
    return horizon / count("steps", steps) if steps is not None else positive("dt", dt or 0.0)


def _mark(flow: Any, saved: Sequence[float]) -> str:
    """A digest of the data and of the rates at saved times: F of a start does not tell all of them apart."""
    data: Data = flow.data
    arrays = [data.inputs, data.targets, data.weights, *(np.asarray(flow.speeds_at(t)) for t in (0.0, *saved))]
    return "data and rates " + hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()[:16]


def _begun(flow: Any, solver: Any, words: str) -> Marched:
    state = solver.init(flow)
    energy = state.energy(flow)
    first = Kept(state.time, state.network, state.count, energy, 0.0, 0.0, state.tally())
    return Marched(words, state, energy, 0.0, 0.0, (first,))


def _resumed(start: Marched, found: Marched | None) -> Marched:
    """Where the run is to go on: at what was found, ValueError if that is another run, or else at the start."""
    if found is None:
        return start
    if found.plan != start.plan:
        raise ValueError(f"store: it keeps {found.plan}; this run is {start.plan}: give it a store of its own")
    net: Weights = start.state.network
    mine, its = net.arrays(), found.kept[0].network
    same = mine.keys() == its.keys() and all(_alike(mine[name], its[name]) for name in mine)
    if not (same and _alike(np.array(start.energy), np.array(found.kept[0].energy))):
        raise ValueError("store: it keeps a run with another start or energy; give this one a store of its own")
    kept = tuple(replace(k, network=net.holding(k.network)) for k in found.kept)
    last: Kept = found.state
    state = replace(start.state, time=last.time, network=net.holding(last.network), count=last.count)
    return replace(found, state=state.tallied(last.tally), kept=kept)


def _alike(a: Array, b: Array) -> bool:
    """Equal but for the rounding of another machine."""
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)


def _course(
    flow: Any, solver: Any, now: Marched, saved: Sequence[float], longest: float, stop: Callable[[Any], bool] | None
) -> Iterator[Marched]:
    """The run from `now` on, after every step; at a saved time, and at an end that `stop` asks for, it is kept."""
    if now.state.count and stop is not None and stop(now.state):
        return  # it was stored where it had ended
    slack = SLACK * max(1.0, abs(now.kept[0].energy))
    for target in saved[len(now.kept) - 1 :]:
        last = now.kept[-1]
        pieces = max(1, math.ceil((target - last.time) / longest * (1.0 - 1e-9)))
        for left in range(pieces - (now.state.count - last.count), 0, -1):
            now = _after(flow, solver, now, (target - now.state.time) / left, slack)
            if left == 1:
                now = replace(now, state=replace(now.state, time=target))
            ended = stop is not None and bool(stop(now.state))
            if ended or left == 1:
                now = _saved(flow, solver, now)
            yield now
            if ended:
                return


def _after(flow: Any, solver: Any, now: Marched, dt: float, slack: float) -> Marched:
    """One step further, its promises looked at."""
    step = solver.step(flow, now.state, dt)
    energy = step.state.energy(flow) if solver.descends or solver.variational else math.nan
    spent = math.nan if step.dissipated is None else step.dissipated
    shorter = f"use a shorter step, say dt = {dt / 4:.2g}"
    if solver.descends and not energy <= now.energy + slack:
        raise EnergyRose(
            f"{solver}: F rose from {now.energy:.15g} to {energy:.15g} in step {step.state.count} "
            f"(t = {now.state.time:g}, dt = {dt:.3g}); {shorter}"
        )
    if solver.variational and not energy + spent <= now.energy + slack:
        raise NotConverged(
            f"{solver}: F + movement = {energy + spent:.15g} is above F = {now.energy:.15g} before step "
            f"{step.state.count}: the minimisation found no minimum; {shorter}",
            step.residual,
        )
    residual = step.residual if now.at_saved_time else max(now.residual, step.residual)
    return replace(now, state=step.state, energy=energy, dissipated=now.dissipated + spent, residual=residual)


def _saved(flow: Any, solver: Any, now: Marched) -> Marched:
    """Kept with F, NotConverged where that is no number: methods without a promise are looked at here."""
    energy = now.state.energy(flow)
    if not math.isfinite(energy):
        raise NotConverged(
            f"{solver}: F = {energy} at t = {now.state.time:g}, step {now.state.count}; use shorter steps", energy
        )
    return now.saved(energy)
