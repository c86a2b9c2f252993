"""This file owns the study of coupling: sampled three-layer networks and their limit at the same labels, in the width;
descent by samples, and on all data, and the flow of the same network, in the step eps.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.deep import GradientDescent, StochasticGradient
from wflow.app.deep.coupled import STEPS, apart, from_flow, of_width_32
from wflow.app.studies.intervals import power, power_of_draws
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate

HORIZONS = (3.0, 10.0)
SIZES = {32: 24, 64: 24, 128: 16, 256: 12, 512: 6}
NAMES = ("sup", "rms", "prediction")
TOLERANCES = {"rms": 0.08, "prediction": 0.12, "levelled": 0.1}
SAMPLES, ALL = "samples", "all data"
RATES = {SAMPLES: 0.5, ALL: 1.0}
"""Of descent of width 32 off its flow to t = 1, in eps."""
SEEDS, IN_EPS = 24, 0.1
Drawn = tuple[float, list[float]]
"""A size, and what its seeds gave."""


def cells(quick: bool) -> list[Cell]:
    """One a horizon and width, one a way of descent and step; their seeds together."""
    sizes, horizons = ((32, 64, 128), HORIZONS[:1]) if quick else (tuple(SIZES), HORIZONS)
    found: list[Cell] = [{"horizon": t, "n": n} for t in horizons for n in sizes]
    return found + [{"descent": way, "eps": eps} for way in RATES for eps in (STEPS[:4] if quick else STEPS)]


def measure(horizon: float = 1.0, n: int = 32, descent: str = "", eps: float = 0.0) -> Record:
    """The three distances, seed by seed."""
    if descent:
        net, seeds = of_width_32(), SEEDS if descent == SAMPLES else 1
        methods = [StochasticGradient(seed=s) if descent == SAMPLES else GradientDescent() for s in range(seeds)]
        found = [from_flow(net, method, eps) for method in methods]
    else:
        found = [apart(n, 1000 * n + seed, horizon) for seed in range(SIZES[n])]
    return {name: list(column) for name, column in zip(NAMES, zip(*found, strict=True), strict=True)}


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """At T = 3 the slopes in the width; at T = 10 that all distances still fall: e^{K_T} delays the rate; in eps."""
    for t, lines in _lines(entries).items():
        for name, pairs in lines.items():
            fitted = power_of_draws([n for n, _ in pairs], [d for _, d in pairs])
            words = f"T = {t:g}: slope of {name} in n (95 %: {fitted.low:.3f} to {fitted.high:.3f})"
            if t != HORIZONS[0]:
                yield Certificate(words, "at most", fitted.slope, -0.15)
            elif name != "sup":
                yield Certificate(words, "equal", fitted.slope, -0.5, TOLERANCES.get(name, 0.1))
    for way, pairs in _descents(entries).items():
        sizes, draws = [eps for eps, _ in pairs], [d for _, d in pairs]
        one = len(draws[0]) == 1  # nothing is drawn
        fitted = power(sizes, [d[0] for d in draws]) if one else power_of_draws(sizes, draws)
        words = f"descent, {way}, off the flow: slope of rms in eps (95 %: {fitted.low:.3f} to {fitted.high:.3f})"
        yield Certificate(words, "equal", fitted.slope, RATES[way], IN_EPS)


def _lines(entries: Sequence[Entry]) -> dict[float, dict[str, list[Drawn]]]:
    """sup, rms, prediction and sup over (log n)^(1/2), by horizon."""
    found: dict[float, dict[str, list[Drawn]]] = {}
    for e in entries:
        if "n" not in e.cell:
            continue
        lines = found.setdefault(e["horizon"], {})
        for name in NAMES:
            lines.setdefault(name, []).append((e["n"], e[name]))
        levelled = [d / math.sqrt(math.log(e["n"])) for d in e["sup"]]
        lines.setdefault("sup/(log n)^(1/2)", []).append((e["n"], levelled))
    return found


def _descents(entries: Sequence[Entry]) -> dict[str, list[Drawn]]:
    """rms over eps."""
    found: dict[str, list[Drawn]] = {}
    for e in entries:
        if "eps" in e.cell:
            found.setdefault(str(e["descent"]), []).append((e["eps"], e["rms"]))
    return found


def _drawn(lines: dict[str, list[Drawn]]) -> dict[str, list[tuple[float, float]]]:
    """Root mean squares of seeds."""
    return {name: [(n, float(np.sqrt(np.mean(np.square(d))))) for n, d in pairs] for name, pairs in lines.items()}


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Distances over the width, a panel a horizon, and of descent over 1/eps."""
    from wflow.picture import falls, save

    groups = {f"T = {t:g}": _drawn(lines) for t, lines in _lines(entries).items()}
    backwards = {way: [(1.0 / eps, draws) for eps, draws in pairs] for way, pairs in _descents(entries).items()}
    groups["rms of descent, n = 32, T = 1"] = _drawn(backwards)
    value = "distance, root mean square of seeds"
    return save(falls(groups, slope=-0.5, size="width n (of descent: 1/eps)", value=value), path)


COUPLING = Study(
    "coupling", "how near are sampled deep networks to their limit, neuron by neuron?", cells, measure, claims, draw
)
