"""This file owns the study of coupling: sampled three-layer networks and their limit at the same labels."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from wflow.app.deep.coupled import apart
from wflow.app.studies.intervals import power
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate

HORIZONS = (3.0, 10.0)
SIZES = {32: 24, 64: 24, 128: 16, 256: 12, 512: 6}
NAMES = ("sup", "rms", "prediction")
TOLERANCES = {"rms": 0.08, "prediction": 0.12, "levelled": 0.1}


def cells(quick: bool) -> list[Cell]:
    """One a horizon and width; its seeds together."""
    sizes = (32, 64, 128) if quick else tuple(SIZES)
    return [{"horizon": t, "n": n} for t in (HORIZONS[:1] if quick else HORIZONS) for n in sizes]


def measure(horizon: float, n: int) -> Record:
    """Root mean squares over seeds of the three distances."""
    found = [apart(n, 1000 * n + seed, horizon) for seed in range(SIZES[n])]
    return dict(zip(NAMES, np.sqrt(np.mean(np.square(found), axis=0)).tolist(), strict=True))


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """At T = 3 the slopes in the width; at T = 10 that all distances still fall: e^{K_T} delays the rate."""
    for t, lines in _lines(entries).items():
        for name, pairs in lines.items():
            n, d = np.array(pairs).T
            fitted = power(n, d)
            words = f"T = {t:g}: slope of {name} in n (95 %: {fitted.low:.3f} to {fitted.high:.3f})"
            if t != HORIZONS[0]:
                yield Certificate(words, "at most", fitted.slope, -0.15)
            elif name != "sup":
                yield Certificate(words, "equal", fitted.slope, -0.5, TOLERANCES.get(name, 0.1))


def _lines(entries: Sequence[Entry]) -> dict[float, dict[str, list[tuple[float, float]]]]:
    """sup, rms, prediction and sup over (log n)^(1/2), by horizon."""
    found: dict[float, dict[str, list[tuple[float, float]]]] = {}
    for e in entries:
        lines = found.setdefault(e["horizon"], {})
        for name in NAMES:
            lines.setdefault(name, []).append((e["n"], e[name]))
        lines.setdefault("sup/(log n)^(1/2)", []).append((e["n"], e["sup"] / float(np.sqrt(np.log(e["n"])))))
    return found


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Distances over the width, a panel a horizon."""
    from wflow.picture import falls, save

    groups = {f"T = {t:g}": lines for t, lines in _lines(entries).items()}
    value = "distance to the limit, root mean square of seeds"
    return save(falls(groups, slope=-0.5, size="width n", value=value), path)


COUPLING = Study(
    "coupling", "how near are sampled deep networks to their limit, neuron by neuron?", cells, measure, claims, draw
)
