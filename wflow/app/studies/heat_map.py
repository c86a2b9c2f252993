"""This file owns heat maps of the test error over n and m: both scalings, and random features.

10 numbers of data and 12 widths, d = 10, one neuron as the teacher; a cell is a row, n data and
all widths.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.small import train
from wflow.app.studies.bias import FEATURES, FIELD, MODELS, NETWORK, Case, middle
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.implicit.features import RandomFeatures

DIM = 10
DATA = (10, 15, 20, 30, 40, 50, 60, 80, 100, 120)
SIZES = (4, 6, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120)
ENOUGH, HORIZON, LIMIT, DRAWS = 1e-7, 1e5, 20_000, 7
"""DRAWS of random features, which are cheap, since at m = n errors spread over decades; networks have one."""


def cells(quick: bool) -> list[Cell]:
    """Every n and model; four n for a quick study."""
    return [{"model": model, "data": n} for n in (DATA[1:8:2] if quick else DATA) for model in MODELS]


def measure(model: str, data: int) -> Record:
    """Test errors E (f - f*)^2 by width, of random features the median of seven draws."""
    errors = []
    for m in SIZES:
        if model == FEATURES:
            cases = [Case.of("single", DIM, data, m, model, seed) for seed in range(DRAWS)]
            errors.append(middle([c.error(RandomFeatures.on_data(c.start, c.data).at(np.inf)) for c in cases]))
        else:
            case = Case.of("single", DIM, data, m, model, 0)
            errors.append(case.error(train(case.start, case.data, enough=ENOUGH, horizon=HORIZON, limit=LIMIT).measure))
    return {"test": errors}


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Ridges of random features at m = n; mean-field errors nearly flat from m = n/2 on; networks below the ridge."""
    rows = {(e["model"], e["data"]): np.array(e["test"]) for e in entries}
    inside = [n for n in dict.fromkeys(e["data"] for e in entries) if n in SIZES]
    off = [n for n in inside if SIZES[int(np.argmax(rows[FEATURES, n]))] != n]
    yield Certificate(
        f"rows whose largest error of random features is not at m = n, of {len(inside)}", "equal", len(off), 0.0
    )
    spread = {}
    for n in dict.fromkeys(e["data"] for e in entries):
        wide = rows[FIELD, n][np.array(SIZES) >= n / 2]
        if len(wide) > 1:
            spread[n] = float(wide.max() / wide.min())
    worst = max(spread, key=lambda n: spread[n])
    yield Certificate(
        f"mean-field: largest over least error, m >= n/2; worst at n = {worst}",
        "at most",
        spread[worst],
        10.0,
    )
    ratio = max(rows[NETWORK, n].max() / rows[FEATURES, n].max() for n in inside)
    yield Certificate("largest error of the network over that of random features, worst n", "at most", ratio, 1.0)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Three maps."""
    from wflow.picture import heat_maps, save

    data = list(dict.fromkeys(e["data"] for e in entries))
    maps = {model: np.array([e["test"] for e in entries if e["model"] == model]) for model in MODELS}
    return save(heat_maps(data, SIZES, maps, DIM), path)


HEAT_MAP = Study(
    "heat_map", "where over (n, m) is the test error large, in which scaling?", cells, measure, claims, draw
)
