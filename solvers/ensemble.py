"""This file owns ensembles: thousands of independent runs of one particle method at once, observed at saved times.

    found = ensemble(flow, Langevin(100), runs=10_000, seed=1, steps=1000, observe=lambda w: w[:, :, 0].mean(axis=1))
    found.times (k,)   found.values (k, runs, ...)   found.mean, found.error: over runs, with its standard error

Runs go in groups of a size that depends on the network alone, each group in a processor's cache from the start to the
end of the flow and with numbers of its own: default_rng([seed, group]) draws its starts, and what run r of it gets at
step k is at a place of the stream [seed, group, 1] (wflow.normals) that depends on r and k alone. So the first R runs
of a larger ensemble are the same, to the bit on the circle and to the rounding of sums over data; the number of threads
changes no bit.
This is a time loop besides `wflow.solve`, for equal steps and without states: an ensemble is not stored, paced or
certified (docs/decisions.md).
"""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from solvers.starts import Quantised, Sampled
from wflow.arrays import Array, count, finite
from wflow.course import Progress, reporter
from wflow.errors import Refused
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.many import Many, Velocity
from wflow.normals import Stream

_GROUP = 1 << 13
"""Coordinates of a group: 64 kB, which the second cache holds with its noise and its forces."""
_NOISE = 1
"""The third number of a group's stream of noise: its starts have two."""
_MOST = 1 << 28
"""Numbers that are kept (2 GB)."""


@runtime_checkable
class Method(Protocol):
    """A particle method that moves rows of points: GradientFlow, GradientDescent, Langevin, Langevin2."""

    @property
    def particles(self) -> int:
        """m."""

    @property
    def start(self) -> Quantised | Sampled:
        """Where rows begin: the same quantised points, or draws of their own."""

    def refusal(self, flow: Flow) -> str | None:
        """Why not, or None."""

    def moved(self, flow: Flow, velocity: Velocity, w: Array, dt: float, kick: Array) -> Array:
        """Points (R, m, d) a step later."""


Observable = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """times (k,), values (k, R, ...): what was observed of each run at each saved time."""

    times: Array
    values: Array

    @cached_property
    def mean(self) -> Array:
        """Over runs (k, ...)."""
        return np.asarray(self.values.mean(axis=1))

    @cached_property
    def error(self) -> Array:
        """Standard error of the mean (k, ...), from the spread of the runs; nan for one run."""
        runs = self.values.shape[1]
        if runs < 2:
            return np.full(self.mean.shape, math.nan)
        return np.asarray(self.values.std(axis=1, ddof=1) / math.sqrt(runs))


def ensemble(
    flow: Flow,
    method: Method,
    *,
    runs: int,
    seed: int = 0,
    steps: int,
    times: Sequence[float] | None = None,
    observe: Observable | None = None,
    field: Velocity | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> Ensemble:
    """R = runs independent runs of `method`, in at least `steps` equal steps over the horizon.

    times: saved times (0 is always saved; each is hit exactly by equal steps); the horizon unless given, which ends a
    run at the last of them. observe: from points (r, m, d) of some runs to one value each (r, ...), float; the points
    themselves unless given. field: a velocity (r, m, d) -> (r, m, d) to use instead of the flow's own, as that of the
    limit. Starts: Quantised() begins every run at the same points, Sampled draws anew for each (its own seed is not
    used); from Atoms those atoms, with their weights. threads: one a processor unless given.
    Raises Refused where the method does, ValueError for times outside of (0, horizon] or too much to be kept, and
    FloatingPointError with the time where a run leaves the numbers (a step beyond the stability bound).
    """
    _check(flow, method, runs, seed, steps)
    saved = _saved(flow, times)
    plan = [_stretch(flow, a, b, steps) for a, b in pairwise([0.0, *saved])]
    group = _Group.of(flow, method, observe or (lambda w: w.copy()), field, plan)
    sizes = [min(group.rows, runs - start) for start in range(0, runs, group.rows)]
    values = _room(group.observed(group.first(seed, 0, sizes[0])), 1 + len(saved), runs)
    report = reporter(progress, 1.0)
    with ThreadPoolExecutor(threads or _processors()) as pool:
        jobs = {pool.submit(group.run, seed, k, size): k for k, size in enumerate(sizes)}
        left = set(jobs)
        while left:
            done, left = wait(left, return_when=FIRST_EXCEPTION, timeout=0.5)
            for job in done:
                found, k = job.result(), jobs[job]
                values[:, k * group.rows : k * group.rows + found.shape[1]] = found
            report(1.0 - len(left) / len(jobs))
    return Ensemble(np.array([0.0, *saved]), values)


@dataclass(frozen=True, eq=False)
class _Group:
    """What one thread does with one group of runs."""

    flow: Flow
    method: Method
    observe: Observable
    many: Many
    given: Velocity | None
    rows: int
    begun: Array | None
    plan: Sequence[tuple[int, float]]

    @classmethod
    def of(
        cls, flow: Flow, method: Method, observe: Observable, field: Velocity | None, plan: Sequence[tuple[int, float]]
    ) -> "_Group":
        m = method.particles
        begun, weights = None, np.full(m, 1.0 / m)
        if isinstance(flow.initial, Atoms):
            begun, weights = flow.initial.points, flow.initial.weights
        elif isinstance(method.start, Quantised):
            begun = method.start.points(flow, m)
        rows = max(1, _GROUP // (len(weights) * flow.domain.dim))
        return cls(flow, method, observe, Many(flow.energy, flow.domain, weights), field, rows, begun, plan)

    def run(self, seed: int, number: int, size: int) -> Array:
        """(k, size, ...) what is observed of the first `size` runs of a group."""
        w = self.first(seed, number, size).copy()
        stream, each = Stream.of(seed, number, _NOISE), _even(self.rows * w[0].size)
        numbers = np.zeros(_even(w.size))
        kick, kept = numbers[: w.size].reshape(w.shape), [self.observed(w)]
        time, done = 0.0, 0
        for steps, dt in self.plan:
            scale = math.sqrt(2.0 * self.flow.energy.temperature * dt)
            with np.errstate(over="ignore", invalid="ignore"):  # it is looked at below, and said with its time
                for k in range(done, done + steps):
                    if scale:
                        stream.fill(k * each, numbers, scale)
                    w = self.method.moved(self.flow, self._velocity, w, dt, kick)
            time, done = time + steps * dt, done + steps
            if not math.isfinite(float(np.sum(w))):
                raise FloatingPointError(f"ensemble: a run has left the numbers by t = {time:g}; use more steps")
            kept.append(self.observed(w))
        return np.stack(kept)

    def first(self, seed: int, number: int, size: int) -> Array:
        """Where the runs of a group begin (size, m, d)."""
        return self._begun(np.random.default_rng([seed, number]))[:size]

    def observed(self, w: Array) -> Array:
        """(r, ...), ValueError where there is not one entry a run."""
        found = np.asarray(self.observe(w), dtype=np.float64)
        if not found.ndim or len(found) != len(w):
            raise ValueError(
                f"ensemble observe: {found.shape} of points {w.shape}; return one entry a run, as w.mean(axis=1) does"
            )
        return found

    def _begun(self, rng: np.random.Generator) -> Array:
        if self.begun is not None:
            return np.broadcast_to(self.begun, (self.rows, *self.begun.shape))
        m, d = self.method.particles, self.flow.domain.dim
        return self.flow.initial.sample(self.rows * m, rng).reshape(self.rows, m, d)

    def _velocity(self, w: Array) -> Array:
        return self.many.velocity(w) if self.given is None else self.given(w)


def _even(numbers: int) -> int:
    """They come in pairs."""
    return numbers + numbers % 2


def _check(flow: Flow, method: Method, runs: int, seed: int, steps: int) -> None:
    count("ensemble runs", runs)
    count("ensemble seed", seed, least=0)
    count("ensemble steps", steps)
    if not isinstance(method, Method):
        raise TypeError(
            f"ensemble method: {method!r} does not move rows of points; give GradientFlow, GradientDescent or Langevin"
        )
    if (reason := method.refusal(flow)) is not None:
        raise Refused(f"{method} refuses this flow: {reason}")


def _saved(flow: Flow, times: Sequence[float] | None) -> list[float]:
    given = np.unique(finite("times", [flow.horizon] if times is None else times))
    if given.ndim != 1 or not len(given) or given[0] < 0.0 or not 0.0 < given[-1] <= flow.horizon * (1 + 1e-12):
        raise ValueError(f"times: {given.tolist()} must lie in [0, {flow.horizon}], the horizon, one of them above 0")
    return [float(t) for t in given if t > 0.0]


def _stretch(flow: Flow, a: float, b: float, steps: int) -> tuple[int, float]:
    """Number and length of the steps from a to b."""
    n = max(1, math.ceil(steps * (b - a) / flow.horizon * (1.0 - 1e-12)))
    return n, (b - a) / n


def _room(found: Array, times: int, runs: int) -> Array:
    shape = (times, runs, *found.shape[1:])
    if math.prod(shape) > _MOST:
        raise ValueError(f"ensemble observe: {shape} numbers are more than {_MOST}; observe less, or at fewer times")
    return np.empty(shape)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
