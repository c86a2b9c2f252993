"""This file owns the study of chaos: m noisy particles against their limit, over long times.

    fluctuation   E |f_m(t) - f(t)|^2, f the mean (line) or c_1 (circle): what the loss is off by, times 2/a
    distance      E W2^2(m particles, limit), of WATCHED runs
    coupling      E |X_i - Y_i|^2, Y_i moved by the limit's own field with the same start and noise, from the minimiser

On the line all are known (derived): with kappa = a + lam, v the variance of the start, each particle drawn on its own,

    fluctuation = (1/m) (v e^{-2 kappa t} + (T/kappa)(1 - e^{-2 kappa t}))
    coupling   -> a^2 T/(m lam kappa (kappa + lam))

The second: D = X - Y is the same for all particles, D' = -kappa D - a (mean Y - w*), mean Y a process of Ornstein
and Uhlenbeck of rate lam and variance T/(lam m). Uniform in time: neither grows, and both are O(1/m). On the circle X
and Y are compared the short way round, and the coupling is another matter: V has a maximum, from which a pair with one
noise now and then goes down on two sides. So it grows, and falls more slowly in m, while the laws stay O(1/m) apart:
one noise is no good coupling for long times where V is not convex. Before, until t = 8, it is O(1/m).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from solvers.ensemble import ensemble
from solvers.langevin import Langevin2
from solvers.particles import Sampled
from solvers.spectral import Fourier
from wflow import problems
from wflow.app.studies.intervals import power
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.flow import Flow
from wflow.fourier import FourierDensity
from wflow.grid import Grid
from wflow.law import Law
from wflow.loop import solve
from wflow.measure import Density, Measure, Particles
from wflow.problems import Problem
from wflow.transport import w2

LINE, CIRCLE = "gaussian_langevin", "von_mises_langevin"
SIZES = (10, 20, 40, 80, 160)
HORIZON = {LINE: 16.0, CIRCLE: 64.0}
START: dict[str, dict[str, object]] = {LINE: {}, CIRCLE: {"modes": {1: -0.5, 2: 0.3}}}
TIMES = 7
PARTICLES, WATCHED, STEP, SEED = 100_000, 64, 0.05, 11
STANDARD_ERRORS, SLOPE = 4.0, 0.12
EARLY, PARTED = 3, 2.0
"""The saved time (t = 8 on the circle) until which pairs stay together, and by how much they have parted at the end."""
_CELLS = 2000


def cells(quick: bool) -> list[Cell]:
    """One a problem and a number of particles."""
    return [{"problem": name, "particles": m} for name in (LINE, CIRCLE) for m in (SIZES[:3] if quick else SIZES)]


def measure(problem: str, particles: int) -> Record:
    """Means over runs with their standard errors, at doubling times."""
    posed = problems.build(problem, horizon=HORIZON[problem], **START[problem])
    flow, horizon = posed.flow, HORIZON[problem]
    times = [horizon * 2.0**-k for k in range(TIMES - 1, -1, -1)]
    runs, method = PARTICLES // particles, Langevin2(particles, start=Sampled(0))
    steps = math.ceil(horizon / STEP)
    limit = _limits(posed, times)
    f = np.array([_seen(flow, pi.points[None], pi.weights)[0] for pi in limit])

    def seen(w: Array) -> Array:
        return _seen(flow, w, np.full(particles, 1.0 / particles))

    found = ensemble(flow, method, runs=runs, seed=SEED, steps=steps, times=times, observe=seen).values
    square = np.sum((found[1:] - f[:, None]) ** 2, axis=2)
    # the first runs of the same ensemble
    watched = ensemble(flow, method, runs=min(WATCHED, runs), seed=SEED, steps=steps, times=times).values[1:]
    apart = [
        [w2(Particles(flow.domain, w), pi) ** 2 for w in clouds] for clouds, pi in zip(watched, limit, strict=True)
    ]
    coupled = _coupling(posed, method, runs, steps, times)
    record: dict[str, object] = {"times": times, "runs": runs}
    for name, values in (("fluctuation", square), ("distance", np.array(apart)), ("coupling", coupled)):
        record[name] = values.mean(axis=1).tolist()
        record[f"{name}_error"] = (values.std(axis=1, ddof=1) / math.sqrt(values.shape[1])).tolist()
    return record


def _seen(flow: Flow, w: Array, weights: Array) -> Array:
    """f (r, 1) or (r, 2): the mean, or c_1 by its two parts."""
    x = w[:, :, 0]
    if flow.domain.is_circle:
        return np.stack([np.cos(x) @ weights, np.sin(x) @ weights], axis=1)
    return np.asarray(x @ weights)[:, None]


def _limits(posed: Problem, times: Sequence[float]) -> list[Measure]:
    """The density at each time, on fine cells."""
    flow = posed.flow
    laws: Sequence[Law | Measure | None]
    if posed.exact(0.0) is not None:
        laws = [posed.exact(t) for t in times]
    else:
        laws = solve(flow, Fourier(modes=32), times=times).measures[1:]
    grid = flow.grid(_CELLS)
    return [_on_cells(grid, law) for law in laws]


def _on_cells(grid: Grid, law: Law | Measure | None) -> Density:
    assert isinstance(law, Law | FourierDensity)
    return Density(grid, np.maximum(law.averages(grid), 0.0))


def _coupling(posed: Problem, method: Langevin2, runs: int, steps: int, times: Sequence[float]) -> Array:
    """|X_i - Y_i|^2 averaged over the particles of a run (k, runs), from the minimiser, whose V is at rest."""
    assert posed.minimiser is not None
    flow = replace(posed.flow, initial=posed.minimiser)
    rest = _on_cells(flow.grid(_CELLS), posed.minimiser)

    def field(w: Array) -> Array:
        return flow.energy.velocity(rest, w.reshape(-1, 1)).reshape(w.shape)

    few = max(2, runs // 4)
    both = [
        ensemble(flow, method, runs=few, seed=SEED, steps=steps, times=times, field=given).values[1:]
        for given in (None, field)
    ]
    return np.asarray(np.mean(flow.domain.difference(both[0], both[1])[..., 0] ** 2, axis=2))


def known(entry: Entry, name: str) -> Array | None:
    """The closed form at the cell's times (k,); of the coupling at the last alone."""
    if entry["problem"] != LINE:
        return None
    given = problems.parameters_of(LINE)
    a, lam, temperature, var = (float(given[key]) for key in ("a", "lam", "temperature", "var"))
    kappa, t = a + lam, np.array(entry["times"])
    if name == "fluctuation":
        fade = np.exp(-2.0 * kappa * t)
        return np.asarray((var * fade + temperature / kappa * (1.0 - fade)) / entry["particles"])
    if name == "coupling":
        return np.full(1, a * a * temperature / (entry["particles"] * lam * kappa * (kappa + lam)))
    return None


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Closed forms in standard errors, slopes in m at the first and last times, and that nothing grows."""
    for name in ("fluctuation", "coupling"):
        yield Certificate(f"{LINE}: {name} against its closed form, in standard errors", "at most", _off(entries, name),
                          0.0, STANDARD_ERRORS)  # fmt: skip
    for problem in (LINE, CIRCLE):
        of = sorted((e for e in entries if e["problem"] == problem), key=lambda e: int(e["particles"]))
        for name in ("fluctuation", "distance", "coupling"):
            parted = problem == CIRCLE and name == "coupling"
            yield _slope(of, problem, name, EARLY if parted else TIMES - 1)
            if not parted:
                yield _growth(of, problem, name)
    late = min(float(e["coupling"][-1] / e["coupling"][EARLY]) for e in of)
    before = f"t = {of[0]['times'][EARLY]:g}"
    claim = f"{CIRCLE}: coupling at the end over that at {before}, the least: one noise lets pairs part"
    yield Certificate(claim, "at least", late, PARTED)


def _slope(of: Sequence[Entry], problem: str, name: str, k: int) -> Certificate:
    fitted = power([e["particles"] for e in of], [e[name][k] for e in of])
    at = f"t = {of[0]['times'][k]:g}"
    claim = f"{problem}: slope of log {name} in log m, {at} (95 %: {fitted.low:.3f} to {fitted.high:.3f})"
    return Certificate(claim, "equal", fitted.slope, -1.0, SLOPE)


def _growth(of: Sequence[Entry], problem: str, name: str) -> Certificate:
    late, late_error, half, half_error = (
        np.array([e[key][k] for e in of])
        for key, k in ((name, -1), (f"{name}_error", -1), (name, -2), (f"{name}_error", -2))
    )
    growth = float(np.max((late - half) / np.hypot(late_error, half_error)))
    claim = f"{problem}: {name} at the end less that at half the time, in standard errors"
    return Certificate(claim, "at most", growth, 0.0, STANDARD_ERRORS)


def _off(entries: Sequence[Entry], name: str) -> float:
    """Of all cells on the line and times of which a closed form is known."""
    worst = 0.0
    for entry in entries:
        exact = known(entry, name)
        if exact is not None:
            measured, error = (np.array(entry[key])[-len(exact) :] for key in (name, f"{name}_error"))
            worst = max(worst, float(np.max(np.abs(measured - exact) / error)))
    return worst


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """m times each, over time, a panel each problem; and all at the end against m."""
    from wflow.picture import chaos, save

    tables = {
        problem: {
            int(e["particles"]): (e["times"], e["fluctuation"], e["distance"], e["coupling"])
            for e in entries
            if e["problem"] == problem
        }
        for problem in (LINE, CIRCLE)
    }
    first = next(e for e in entries if e["problem"] == LINE)
    exact = known(first, "fluctuation")
    assert exact is not None
    return save(chaos(tables, {LINE: (first["times"], exact * first["particles"])}), path)


CHAOS = Study("chaos", "do m noisy particles stay O(1/m) from their limit at all times?", cells, measure, claims, draw)
