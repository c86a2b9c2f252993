"""This file owns the study of how many neurons are active in time, on n data at three widths (the slides' Fig. 3).

m = 2n/(d+1), 8n/(d+1) and .8n: two and eight parameters a datum, and nearly as many neurons as data. One neuron as the
teacher, d = 20, n = 200, gradient descent (solvers.small); active: |c_j| above a share of the largest.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from solvers.small import train
from wflow.app.studies.bias import NETWORK, Case, even, middle
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.implicit.diagnostics import active, carriers, path_norm

DIM, DATA, SEEDS = 20, 200, 5
HORIZON, ENOUGH = 2000.0, 1e-9
_SAVED, _LIMIT = 18, 20_000
SIZES = {"2n/(d+1)": 2 * DATA // (DIM + 1), "8n/(d+1)": 8 * DATA // (DIM + 1), ".8n": (8 * DATA) // 10}


def cells(quick: bool) -> list[Cell]:
    """Every width and seed; one seed for a quick study."""
    return [{"width": width, "seed": seed} for seed in range(1 if quick else SEEDS) for width in SIZES]


def measure(width: str, seed: int) -> Record:
    """At some 17 times: active neurons at 1 % and 10 % of the largest, carriers, path norm, train F, test error."""
    case = Case.of("single", DIM, DATA, SIZES[width], NETWORK, seed)
    times, now, before = even(HORIZON, 0.1, _SAVED), case.start, 0.0
    rows = []
    for t in times:
        found = train(now, case.data, enough=ENOUGH, horizon=t - before, limit=_LIMIT)
        now, before = found.measure, before + found.time
        shares = active(now), active(now, share=0.1)
        rows.append((before, *shares, carriers(now), path_norm(now), found.energy, case.error(now)))
        if found.reached:
            break
    names = ("times", "active", "tenth", "carriers", "path", "train", "test")
    return {name: [row[k] for row in rows] for k, name in enumerate(names)} | {"neurons": SIZES[width]}


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """All are active at first; at 2n/(d+1) few are left and the teacher is found; at .8n most stay and it is not."""
    few, _, many = (([e for e in entries if e["width"] == width]) for width in SIZES)
    for name, group in zip(SIZES, (few, _, many), strict=True):
        first = middle([e["active"][0] / e["neurons"] for e in group])
        yield Certificate(f"m = {name}: share of active neurons at first, median", "at least", first, 0.8)
    left = middle([e["tenth"][-1] / e["neurons"] for e in few])
    yield Certificate("m = 2n/(d+1): share above a tenth of the largest at the end, median", "at most", left, 0.3)
    kept = middle([e["tenth"][-1] / e["neurons"] for e in many])
    yield Certificate("m = .8n: the same", "at least", kept, 0.3)
    ratio = middle([e["test"][-1] for e in few]) / middle([e["test"][-1] for e in many])
    yield Certificate("test error at 2n/(d+1) over that at .8n, medians", "at most", ratio, 0.1)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """A panel a width."""
    from wflow.picture import active_in_time, save

    table = {
        f"m = {width} = {SIZES[width]}": [
            (e["times"], e["active"], e["tenth"], e["train"]) for e in entries if e["width"] == width
        ]
        for width in SIZES
    }
    return save(active_in_time(table), path)


ACTIVE = Study(
    "active", "how many neurons are active in time, at widths below and near the number of data?",
    cells, measure, claims, draw,
)  # fmt: skip
