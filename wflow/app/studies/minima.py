"""This file owns the study of minima: sharpness and non-uniformity of those that batches and steps lead to.

Even against odd digits, half square, 500 models a case: four batches, five steps, 25 starts each. With the house's
notation a = lambda_max(H), s = lambda_max((1/n) sum H_i^2 - H^2)^(1/2), both by exact products of the models' own
Hessians.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.perceptron import MiniBatch, converged
from wflow.app.studies.intervals import Line, power
from wflow.app.studies.real import Posed, posed
from wflow.app.studies.sharpness import SLACK
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.errors import NotConverged
from wflow.images import DIGITS, MNIST
from wflow.perceptron import nonuniformity, sharpness

ROWS, WIDTH = 100, 20
BATCHES = (10, 20, 40, ROWS)
STEPS = {DIGITS: (0.1, 0.2, 0.3, 0.4, 0.5), MNIST: (0.1, 0.15, 0.2, 0.25, 0.3)}
"""On MNIST batches of 10 at .4 and of 20 at .5 were seen not to converge at all, from any of 25 starts."""
STARTS, GROUP = 25, 5
"""Models of a case, a batch and a step; of a cell."""
TOLERANCE, SETTLED, LIMIT, WARMUP = 1e-3, 20, 4000, 200
"""F at this many ends of epochs; steps on all rows at most, and of the warm-up, both as many epochs for all batches."""


def cells(quick: bool) -> list[Cell]:
    """Five models each."""
    every = 4 if quick else 1
    data = (DIGITS,) if quick else (DIGITS, MNIST)
    batches = BATCHES[::3] if quick else BATCHES
    groups = range(1 if quick else STARTS // GROUP)
    return [
        {"data": name, "batch": batch, "step": step, "group": group}
        for name in data for batch in batches for step in STEPS[name][::every] for group in groups
    ]  # fmt: skip


def measure(data: str, batch: int, step: float, group: int) -> Record:
    """(a, s, accuracy) of each model that converges, and how many do not."""
    net = posed(data, ROWS, WIDTH)
    found = [_model(net, batch, step, seed) for seed in range(group * GROUP, (group + 1) * GROUP)]
    ended = [one for one in found if one is not None]
    return {"models": ended, "lost": len(found) - len(ended)}


def _model(net: Posed, batch: int, step: float, seed: int) -> list[float] | None:
    """None where it does not converge. As many steps at most for every batch; a batch of all rows needs the most."""
    share = batch / ROWS
    method = MiniBatch(step, batch, seed, warmup=math.ceil(WARMUP * share))
    settled = max(SETTLED, 200 * batch // ROWS)
    try:
        run = converged(
            method, net.train, net.network.start(seed),
            tolerance=TOLERANCE, settled=settled, limit=math.ceil(LIMIT * share),
        )  # fmt: skip
    except NotConverged:
        return None
    at = net.train.at(run.theta)
    return [sharpness(at).value, nonuniformity(at), net.agreement(run.theta)]


def table(entries: Sequence[Entry], data: str) -> Array:
    """(models, 5): a, s, accuracy, batch, step."""
    rows = [[*one, e["batch"], e["step"]] for e in entries if e["data"] == data for one in e["models"]]
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def slope(found: Array) -> Line:
    """Of log s in log a: 1 where s is proportional to a."""
    return power(found[:, 0], found[:, 1])


def bound(batch: Array, step: Array) -> Array:
    """(1/eta) (B (n - 1)/(n - B))^(1/2), infinite at B = n: s above it breaks Wu, Ma & E's condition on all of
    H and the rows' variance, which is enough for stability in mean square and, in more than one dimension, not needed.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(batch * (ROWS - 1.0) / (ROWS - batch)) / step)


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Full batches are below 2/eta; most models converge; s grows with a; smaller batches lead to smaller s."""
    lost, kept = sum(e["lost"] for e in entries), sum(len(e["models"]) for e in entries)
    yield Certificate("share of models that converge", "at least", kept / (kept + lost), 0.9)
    for data in dict.fromkeys(e["data"] for e in entries):
        found = table(entries, data)
        whole = found[found[:, 3] == ROWS]
        over = float(np.max(0.5 * whole[:, 4] * whole[:, 0], initial=0.0))
        yield Certificate(f"{data}, all rows: largest sharpness over 2/eta", "at most", over, SLACK)
        name = f"{data}: slope of log s in log a over {len(found)} models, lower end (95 %)"
        yield Certificate(name, "at least", slope(found).low, 0.0)
        least, most = (float(np.mean(found[found[:, 3] == b, 1])) for b in (found[:, 3].min(), found[:, 3].max()))
        yield Certificate(f"{data}: mean s of the smallest batch over that of all rows", "at most", least / most, 0.9)
        above = int(np.sum(found[:, 1] > bound(found[:, 3], found[:, 4])))
        name = f"{data}: models of {np.sum(found[:, 3] < ROWS)} by batches, above a bound of s that is not needed"
        yield Certificate(name, "at least", above, 1.0)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Scatter of s over a, coloured by step, marked by batch, with the line."""
    from wflow.picture import minima, save

    of = {data: table(entries, data) for data in dict.fromkeys(e["data"] for e in entries)}
    lines = {data: slope(found) for data, found in of.items()}
    texts = {
        data: f"{data}, {len(of[data])} models: slope {x.slope:.2f} ({x.low:.2f} to {x.high:.2f})"
        for data, x in lines.items()
    }
    return save(minima({texts[data]: (of[data], lines[data].slope) for data in of}), path)


MINIMA = Study(
    "minima", "sharpness and non-uniformity: which minima do batches and steps lead to?", cells, measure, claims, draw
)
