"""This file owns the study of corrupted labels: whether batches stay at a minimum that gradient descent converged to.

Even against odd digits, a fifth of 200 labels flipped; gradient descent to F <= 1e-5, then batches at the same step
from there, F of all rows looked at before each step.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from solvers.perceptron import FullBatch, MiniBatch, converged, escape
from wflow.app.studies.real import Posed, posed
from wflow.app.studies.sharpness import SLACK
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.errors import NotConverged
from wflow.images import DIGITS
from wflow.perceptron import nonuniformity, sharpness

ROWS, WIDTH, WRONG = 200, 30, 0.2
STEPS, BATCHES, STARTS = (0.05, 0.1), (4, 10, 20, 40), 5
TOLERANCE, AGAIN, ESCAPED = 1e-5, 1e-4, 1e-2
"""F of a minimum of gradient descent; of one found again by batches; and above which it counts as left."""
WATCHED, LIMIT, EPOCHS, KEPT = 2000, 30000, 600, 400
"""Steps of batches that are watched; rounds of gradient descent, and epochs after the escape, at most; losses kept."""


def cells(quick: bool) -> list[Cell]:
    """A start and a step each; all batches go on from its minimum."""
    steps, starts = (STEPS[1:], 1) if quick else (STEPS, STARTS)
    return [{"step": step, "start": start} for step in steps for start in range(starts)]


def measure(step: float, start: int) -> Record:
    """The minimum of gradient descent, and of each batch its escape and where it comes to rest."""
    net = posed(DIGITS, ROWS, WIDTH, wrong=WRONG)
    run = converged(FullBatch(step), net.train, net.network.start(start), tolerance=TOLERANCE, limit=LIMIT)
    batches = [_from(net, run.theta, step, batch, start) for batch in BATCHES]
    return {"rounds": run.rounds, "before": _state(net, run.theta), "batches": batches}


def _state(net: Posed, theta: Array) -> dict[str, float]:
    at = net.train.at(theta)
    return {
        "loss": at.value,
        "sharpness": sharpness(at).value,
        "nonuniformity": nonuniformity(at),
        "test": net.agreement(theta),
    }


def _from(net: Posed, theta: Array, step: float, batch: int, seed: int) -> dict[str, object]:
    """after: None where F does not come below 1e-4 for 20 epochs within 600."""
    left = escape(MiniBatch(step, batch, seed), net.train, theta, threshold=ESCAPED, steps=WATCHED)
    found: dict[str, object] = {
        "batch": batch,
        "escaped": left.escaped,
        "spike": float(left.losses.max()),
        "losses": [float(x) for x in left.losses[:KEPT]],
        "after": None,
    }
    try:
        rest = converged(
            MiniBatch(step, batch, seed + STARTS), net.train, left.theta, tolerance=AGAIN, settled=20, limit=EPOCHS
        )
    except NotConverged as error:
        return found | {"why": str(error)}
    return found | {"after": _state(net, rest.theta), "epochs": rest.rounds}


def runs(entries: Sequence[Entry], batch: int) -> list[tuple[Entry, dict[str, Any]]]:
    """Those of a batch with the entry of their minimum."""
    return [(e, one) for e in entries for one in e["batches"] if one["batch"] == batch]


def bound(step: float, batch: int) -> float:
    """(1/eta) (B (n - 1)/(n - B))^(1/2)."""
    return float(np.sqrt(batch * (ROWS - 1.0) / (ROWS - batch)) / step)


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Descent rests below 2/eta; the smallest batch leaves, the largest stays; what is found again is flatter."""
    over = max(0.5 * e["step"] * e["before"]["sharpness"] for e in entries)
    yield Certificate("minima of gradient descent: sharpness over 2/eta", "at most", over, SLACK)
    for batch, expected in ((BATCHES[0], 1.0), (BATCHES[-1], 0.0)):
        of = runs(entries, batch)
        share = sum(one["escaped"] is not None for _, one in of) / len(of)
        yield Certificate(f"share of runs that leave, batches of {batch}", "equal", share, expected)
    left = [(e, one) for b in BATCHES for e, one in runs(entries, b) if one["escaped"] is not None]
    spike = min(one["spike"] / e["before"]["loss"] for e, one in left)
    yield Certificate(f"least spike of F in {len(left)} escapes, over F before", "at least", spike, 1e3)
    rested = [(e["before"], one["after"]) for e, one in left if one["after"] is not None]
    yield Certificate("escapes that come to rest again, share", "at least", len(rested) / len(left), 0.5)
    for what in ("sharpness", "nonuniformity"):
        ratio = max(after[what] / before[what] for before, after in rested)
        yield Certificate(f"{what} after over before, largest of {len(rested)}", "at most", ratio, 0.95)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """F of one start by steps of batches; sharpness and non-uniformity before and after."""
    from wflow.picture import escapes, save

    first = entries[0]
    losses = {one["batch"]: np.array(one["losses"]) for one in first["batches"]}
    moves = [
        (one["batch"], e["step"], e["before"], one["after"])
        for b in BATCHES for e, one in runs(entries, b) if one["after"] is not None
    ]  # fmt: skip
    return save(escapes(losses, moves, ESCAPED, float(first["step"])), path)


CORRUPTED = Study(
    "corrupted", "a fifth of the labels wrong: do batches stay where gradient descent converged?",
    cells, measure, claims, draw,
)  # fmt: skip
