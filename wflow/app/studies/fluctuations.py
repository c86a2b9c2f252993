"""This file owns the study of fluctuations: finite networks about their limit, and samples about their law.

`networks` of m independent neurons on the circle that start at their teacher, the uniform law, are moved by gradient
flow, thousands at once; E|f_m(t) - f|^2 is held against the closed sum of wflow.fluctuations, and its slope in m to -1.
`samples` of the uniform law on [0, 1] and on the circle: E W2^2 against 1/(6m) and pi^2/(3m).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solvers.ensemble import ensemble
from solvers.particles import GradientFlow, Sampled
from wflow import problems
from wflow.activation import activation
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.domain import TURN
from wflow.fluctuations import observed, predicted, squared_on_circle, squared_on_interval
from wflow.many import Many
from wflow.spectrum import kernel_coefficients

NETWORKS: dict[str, tuple[float | None, int, tuple[float, ...]]] = {
    "cos_minus_sin": (1.0, 100, (1.0, 2.0, 5.0, 10.0, 20.0)),
    "relu": (None, 100, (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)),
}
"""The activation's parameter, steps over the last time, and times."""


@dataclass(frozen=True)
class Sample:
    """Of m points: m E W2^2, W2^2 by rows of points (R, m), and the length of the domain."""

    scaled: float
    squared: Callable[[Array], Array]
    length: float


SAMPLES = {
    "interval": Sample(1.0 / 6.0, squared_on_interval, 1.0),
    "circle": Sample(math.pi**2 / 3.0, squared_on_circle, TURN),
}
SIZES, DRAWN, RUNS, SEEDS = (50, 100, 200, 400), (5, 20, 80), 500, 4
ERRORS, SLOPE = 3.0, 0.1
"""Standard errors allowed, and how far a slope may be from -1."""
_MODES, _ALL = 100, 4000


def cells(quick: bool) -> list[Cell]:
    """Every network and size by groups of 500 runs (four groups of the largest, two of others), and every sample."""
    sizes = SIZES[:3] if quick else SIZES
    groups = {m: 1 if quick else SEEDS if m == SIZES[-1] else SEEDS // 2 for m in sizes}
    moved: list[Cell] = [
        {"of": name, "particles": m, "seed": s} for name in NETWORKS for m in sizes for s in range(groups[m])
    ]
    return moved + [{"of": name, "particles": m, "seed": s} for name in SAMPLES for m in DRAWN for s in range(SEEDS)]


def measure(of: str, particles: int, seed: int) -> Record:
    """Mean and standard error over 500 runs at each time, times m; for samples of W2^2 at one time."""
    if of in SAMPLES:
        drawn = np.random.default_rng([list(SAMPLES).index(of), seed, particles]).random((RUNS, particles))
        return _record(np.zeros(1), particles * SAMPLES[of].squared(drawn * SAMPLES[of].length)[None])
    b, steps, times = NETWORKS[of]
    flow = problems.circle_teacher(of, b, modes={}, horizon=times[-1]).flow
    a = kernel_coefficients(activation(of, b), "gaussian", _MODES)
    many = Many(flow.energy, flow.domain, np.full(particles, 1.0 / particles))

    def loss(w: Array) -> Array:
        return particles * observed(many.modes(w, _MODES), a)

    method = GradientFlow(particles, Sampled(seed))
    found = ensemble(flow, method, runs=RUNS, seed=seed, steps=steps, times=times, observe=loss, threads=1)
    return _record(found.times, found.values)


def _record(times: Array, values: Array) -> Record:
    return {
        "times": times.tolist(),
        "mean": values.mean(axis=1).tolist(),
        "error": (values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])).tolist(),
    }


def pooled(entries: Sequence[Entry], name: str) -> dict[int, tuple[Array, Array, Array, int]]:
    """m -> times (k,), mean and standard error (k,) over all groups, and how many runs they are."""
    out = {}
    for m in sorted({e["particles"] for e in entries if e["of"] == name}):
        groups = [e for e in entries if e["of"] == name and e["particles"] == m]
        error = np.sqrt(np.sum([np.square(e["error"]) for e in groups], axis=0)) / len(groups)
        mean = np.mean([e["mean"] for e in groups], axis=0)
        out[m] = np.array(groups[0]["times"]), mean, error, RUNS * len(groups)
    return out


def closed(name: str, times: Array) -> Array:
    """The closed sum (k,), 4000 modes."""
    return predicted(kernel_coefficients(activation(name, NETWORKS[name][0]), "gaussian", _ALL), times)


def falling(sizes: Mapping[int, tuple[Array, Array, Array, int]], k: int) -> tuple[float, float]:
    """Slope of log E|f_m - f|^2 in log m at the k-th time, by least squares, and its standard error (delta method)."""
    x = np.log(list(sizes))
    x = x - x.mean()
    y = np.array([np.log(mean[k] / m) for m, (_, mean, _, _) in sizes.items()])
    each = np.array([error[k] / mean[k] for _, mean, error, _ in sizes.values()])
    return float(x @ y / (x @ x)), float(np.linalg.norm(x * each) / (x @ x))


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """The closed sum at every time, a fall without a rise, slopes in m, and the samples."""
    for name in NETWORKS:
        sizes = pooled(entries, name)
        m = max(sizes)
        times, mean, error, runs = sizes[m]
        off = float(np.max(np.abs(mean - closed(name, times)) / error))
        claim = f"{name}: m E|f_m - f|^2 against the closed sum, m = {m}, {runs} runs, t to {times[-1]:g}"
        yield Certificate(f"{claim}: largest deviation in standard errors", "at most", off, ERRORS)
        rise = float(np.max(np.diff(mean)))
        yield Certificate(f"{name}: fluctuations vanish: largest rise from time to time, m = {m}", "at most", rise, 0.0)
        slopes = [falling(sizes, k) for k in range(len(times))]
        k = int(np.argmax([abs(found + 1.0) for found, _ in slopes]))
        slope, spread = slopes[k]
        claim = f"slope of log E|f_m - f|^2 in log m, m = {min(sizes)} to {m}, farthest from -1 at t = {times[k]:g}"
        half = 1.96 * spread
        yield Certificate(f"{name}: {claim}, 95 %: +-{half:.3f}", "equal", slope, -1.0, SLOPE)
    for name, sample in SAMPLES.items():
        for m, (_, mean, error, runs) in pooled(entries, name).items():
            claim = f"E W2^2 of m = {m} points on the {name}, {runs} draws, allowed {ERRORS:g} standard errors"
            yield Certificate(claim, "equal", float(mean[0]) / m, sample.scaled / m, ERRORS * float(error[0]) / m)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """m E|f_m - f|^2 against time with the closed sums, and against m; E W2^2 of samples."""
    from wflow.picture import fluctuations, save

    curves = {name: pooled(entries, name) for name in NETWORKS}
    known = {}
    for name, sizes in curves.items():
        times = np.geomspace(0.3, next(iter(sizes.values()))[0][-1], 200)
        known[name] = times, closed(name, times)
    drawn = {name: {m: (float(v[1][0]), float(v[2][0])) for m, v in pooled(entries, name).items()} for name in SAMPLES}
    levels = {name: sample.scaled for name, sample in SAMPLES.items()}
    return save(fluctuations(curves, known, drawn, levels), path)


FLUCTUATIONS = Study(
    "fluctuations", "how far is a finite network from its limit, and does it come nearer?", cells, measure, claims, draw
)
