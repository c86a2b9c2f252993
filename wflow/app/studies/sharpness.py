"""This file owns the study of sharpness: that of minima found by gradient descent, against 2/eta, by step and start.

Even against odd digits, half square. A run that does not converge with the whole step from the first is tried again
with a warm-up; converged means F <= 1e-4 before each of the last 200 steps.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.perceptron import FullBatch, Trained, converged
from wflow.app.studies.real import Posed, posed
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.errors import NotConverged
from wflow.images import DIGITS, MNIST
from wflow.perceptron import nonuniformity, sharpness

STEPS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
STARTS = 5
SLACK = 1.05
"""Of 2/eta: at it what is off a minimum grows by 1.1 a step."""
BINDING = 0.5
"""Steps from which on 2/eta is below the sharpness that shorter ones find (seen: 9 to 17)."""
MODERATE = 0.5
"""Steps up to which all runs were seen to converge; those of 1 and 2 may diverge however long the warm-up (seen)."""
ROWS, WIDTH = 200, 30
TOLERANCE, LIMIT, WARMUP = 1e-4, 12000, 1000


def cells(quick: bool) -> list[Cell]:
    """Data, steps and starts."""
    data, steps = ((DIGITS,), (0.1, 0.5)) if quick else ((DIGITS, MNIST), STEPS)
    starts = range(2 if quick else STARTS)
    return [{"data": name, "step": step, "start": start} for name in data for step in steps for start in starts]


def measure(data: str, step: float, start: int) -> Record:
    """Sharpness at the start and at the end, non-uniformity, and what became of the run: F, rounds, warm-up."""
    net = posed(data, ROWS, WIDTH)
    theta = net.network.start(start)
    first = sharpness(net.train.at(theta)).value
    for warmup in (0, WARMUP):
        try:
            run = converged(FullBatch(step, warmup), net.train, theta, tolerance=TOLERANCE, limit=LIMIT)
        except NotConverged as error:
            record: dict[str, object] = {"converged": False, "why": str(error)}
        else:
            record = _found(net, run)
            break
    return {**record, "first": first, "warmup": warmup}


def _found(net: Posed, run: Trained) -> dict[str, object]:
    at = net.train.at(run.theta)
    return {
        "converged": True,
        "sharpness": sharpness(at).value,
        "nonuniformity": nonuniformity(at),
        "loss": at.value,
        "rounds": run.rounds,
        "test": net.agreement(run.theta),
    }


def by_step(entries: Sequence[Entry], data: str) -> dict[float, list[float]]:
    """The sharpness of converged runs, by step."""
    of = [e for e in entries if e["data"] == data and e["converged"]]
    return {step: [float(e["sharpness"]) for e in of if e["step"] == step] for step in sorted({e["step"] for e in of})}


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """At most 2/eta for each; near it where it binds; moderate steps converge, so that this is said of many."""
    ended = [e for e in entries if e["converged"]]
    moderate = [e["converged"] for e in entries if e["step"] <= MODERATE]
    name = f"share of the {len(moderate)} runs with eta <= {MODERATE:g} that converge"
    yield Certificate(name, "at least", sum(moderate) / len(moderate), 0.95)
    over = [0.5 * e["step"] * e["sharpness"] for e in ended]
    yield Certificate("largest sharpness of a converged run, over 2/eta", "at most", max(over, default=2.0), SLACK)
    for data in sorted({e["data"] for e in entries}):
        bound = [s * 0.5 * step for step, found in by_step(entries, data).items() if step >= BINDING for s in found]
        name = f"{data}, eta >= {BINDING:g}: least sharpness over 2/eta"
        yield Certificate(name, "at least", min(bound, default=0.0), 0.8)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Sharpness over the step, beside 2/eta."""
    from wflow.picture import save, sharpness_by_step

    tables = {}
    for data in dict.fromkeys(e["data"] for e in entries):
        first = float(np.mean([e["first"] for e in entries if e["data"] == data]))
        tables[f"{data}: even against odd"] = (by_step(entries, data), first)
    return save(sharpness_by_step(tables), path)


SHARPNESS = Study(
    "sharpness", "how sharp are the minima that gradient descent finds, against 2/eta?", cells, measure, claims, draw
)
