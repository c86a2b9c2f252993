"""This file owns the study of test error and path norm against the width m at n data: does the error peak at m = n?

Networks and mean-field networks by gradient descent until F <= 1e-7 on the data (or a number of steps), random features
at their least-squares limit, exactly; 20 seeds of data and starts, 5 of mean-field networks, which train slowly. A peak
at m = n: the error there over the larger of those at n/2 and 2n, as a factor with Student's interval over seeds on a
log axis.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.small import train
from wflow.app.studies.bias import FEATURES, FIELD, MODELS, NETWORK, Case, compared
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.implicit.diagnostics import path_norm
from wflow.implicit.features import RandomFeatures
from wflow.implicit.targets import Kind, empirical

DIM, DATA, SEEDS, FIELD_SEEDS = 10, 60, 20, 5
QUICK = 8, 3
"""Seeds of a quick study: with three of networks Student's interval of the verdict is wider than any peak."""
SIZES = (4, 6, 10, 15, 20, 30, 45, 60, 75, 120, 240)
KINDS: tuple[Kind, ...] = ("single", "ring")
ENOUGH, HORIZON, LIMIT = 1e-7, 1e5, 20_000
PEAK = 1.5
"""A smaller factor is no peak."""


def cells(quick: bool) -> list[Cell]:
    """Every teacher, model and seed, all widths in one cell; fewer seeds for a quick study."""
    seeds, field_seeds = QUICK if quick else (SEEDS, FIELD_SEEDS)
    return [
        {"target": kind, "model": model, "seed": seed}
        for seed in range(seeds) for kind in KINDS for model in MODELS
        if model != FIELD or seed < field_seeds
    ]  # fmt: skip


def measure(target: Kind, model: str, seed: int) -> Record:
    """Test error E (f - f*)^2, path norm, F on the data and steps, by width."""
    rows = []
    for m in SIZES:
        case = Case.of(target, DIM, DATA, m, model, seed)
        if model == FEATURES:
            end, steps = RandomFeatures.on_data(case.start, case.data).at(np.inf), 0
        else:
            found = train(case.start, case.data, enough=ENOUGH, horizon=HORIZON, limit=LIMIT)
            end, steps = found.measure, found.steps
        rows.append((case.error(end), path_norm(end), empirical(case.data).value(end), steps))
    return {name: [row[k] for row in rows] for k, name in enumerate(("test", "path", "train", "steps"))}


def table(entries: Sequence[Entry], kind: str, model: str, name: str) -> Array:
    """(seeds, widths)."""
    return np.array([e[name] for e in entries if e["target"] == kind and e["model"] == model], dtype=np.float64)


def peak(errors: Array) -> tuple[float, float, float]:
    """Error at m = n over the larger of those at n/2 and 2n, by seeds: a factor, and its interval."""
    at, half, double = (errors[:, SIZES.index(m)] for m in (DATA, DATA // 2, 2 * DATA))
    return compared(at.tolist(), np.maximum(half, double).tolist())


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Random features peak at m = n; whether the network does; mean-field errors are flat; the path norm too."""
    for kind in KINDS:
        found = {model: table(entries, kind, model, "test") for model in MODELS}
        medians = {model: np.median(errors, axis=0) for model, errors in found.items()}
        at = SIZES[int(np.argmax(medians[FEATURES]))]
        yield Certificate(f"{kind}: width of the largest error of random features, median", "equal", at, DATA)
        for model, relation, word in ((FEATURES, "at least", "low"), (NETWORK, "at most", "high")):
            factor, low, high = peak(found[model])
            name = f"{kind}: {model}: error at m = n over its neighbours {factor:.3g} (95 %: {low:.3g} to {high:.3g})"
            yield Certificate(f"{name}; {word}", relation, low if word == "low" else high, PEAK)  # type: ignore[arg-type]
        wide = np.array(SIZES) >= DATA // 2
        spread = float(np.ptp(np.log(medians[FIELD][wide])))
        yield Certificate(
            f"{kind}: mean-field: largest over least error, m >= n/2, medians", "at most", float(np.exp(spread)), 10.0
        )
        paths = {model: np.median(table(entries, kind, model, "path"), axis=0) for model in MODELS}
        grown = float(paths[NETWORK][SIZES.index(DATA)] / paths[FIELD][SIZES.index(DATA)])
        yield Certificate(f"{kind}: path norm of the network over mean-field, m = n, medians", "at least", grown, 1.0)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Errors and path norms by width, median and quartiles."""
    from wflow.picture import by_width, save

    panels: dict[str, dict[str, tuple[Array, Array]]] = {
        kind: {model: (table(entries, kind, model, "test"), table(entries, kind, model, "path")) for model in MODELS}
        for kind in KINDS
    }
    return save(by_width(SIZES, panels, DATA, DIM), path)


WIDTHS = Study(
    "widths", "does the test error peak where there are as many neurons as data?", cells, measure, claims, draw
)
