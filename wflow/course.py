"""This file owns the course of a run, whatever it moves: where it ends, what is saved, what is told on the way."""

import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from wflow.arrays import finite
from wflow.errors import WflowError
from wflow.ranks import current

SAVED = 64
"""Stretches between saved times when none are asked for."""
SLACK = 1e-13
"""Times max(1, |F_0|): what an energy that is promised to fall may rise by in a step."""

Progress = bool | Callable[[float], None]


def end_of[State](horizon: float, until: float | Callable[[State], bool] | None) -> float:
    """The last time, from `until` as `solve` takes it."""
    if until is None or callable(until):
        return horizon
    if np.ndim(until) or np.asarray(until).dtype.kind not in "iuf":
        raise TypeError(f"until: {until!r} is neither a time nor a function of the state; give one of them")
    end = float(until)
    if not 0.0 < end <= horizon:
        raise ValueError(f"until: {end} lies outside (0, {horizon}]; give an earlier end or raise the horizon")
    return end


def saved_times(times: Sequence[float] | None, end: float, steps: Callable[[], int]) -> list[float]:
    """Those after 0, increasing; where none are asked for, at most SAVED of `steps()` equal steps' ends."""
    if times is None:
        n = steps()
        marks = np.unique(np.round(np.linspace(0, n, min(n, SAVED) + 1)).astype(int))
        return [end * (int(k) / n) for k in marks[1:]]
    given = np.unique(finite("times", times))
    if given.ndim != 1 or not len(given) or given[0] < 0.0 or given[-1] > end * (1 + 1e-12):
        raise ValueError(f"times: {given.tolist()} must lie in [0, {end}], the run's horizon; give at least one there")
    return [float(t) for t in given if t > 0.0]


def plan(solver: object, pace: object, saved: Sequence[float]) -> str:
    """What is run, but for the flow."""
    digest = hashlib.sha256(repr(saved).encode()).hexdigest()
    return f"{solver!r} by {pace!r}, {len(saved)} saved times up to {saved[-1] if saved else 0.0!r} ({digest[:16]})"


def reporter(progress: Progress, end: float) -> Callable[[float], None]:
    """What is told of a run that has come to a time, from `progress` as `solve` takes it."""
    if callable(progress):  # told on every rank
        return lambda t: progress(t / end)
    if not progress or current().number:
        return lambda t: None
    last = [time.monotonic()]

    def write(t: float) -> None:
        if time.monotonic() - last[0] > 0.5 or t >= end:
            last[0] = time.monotonic()
            sys.stderr.write(f"\r{100.0 * t / end:5.1f} %  t = {t:.4g}" + ("\n" if t >= end else ""))
            sys.stderr.flush()

    return write


class Keeper[Run](Protocol):
    """Where a run may be kept as it goes."""

    def offer(self, now: Run) -> None:
        """Told after every step; keeps some of them."""

    def keep(self, now: Run) -> None:
        """Told where the run is interrupted or fails: `now` is its last good step."""


def followed[Run](course: Iterable[Run], begun: Run, tell: Callable[[Run], None], store: Keeper[Run] | None) -> Run:
    """The end of a course, told and offered to a store after every step; what ends it early keeps what there is."""
    now = begun
    try:
        for now in course:
            tell(now)
            if store is not None:
                store.offer(now)
    except (KeyboardInterrupt, WflowError):
        if store is not None:
            store.keep(now)
        raise
    return now
