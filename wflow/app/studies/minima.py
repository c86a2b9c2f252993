"""This file owns the study of minima: sharpness and non-uniformity of those that batches and steps lead to.

Even against odd digits, half square, 500 models a case: four batches, five steps, 25 starts each. With the house's
notation a = lambda_max(H), s = lambda_max((1/n) sum H_i^2 - H^2)^(1/2), both by exact products of the models' own
Hessians; and the largest step that is stable in mean square there, by wflow.stability, as if f = y and batches were
drawn anew each step. They are those of epochs, which depend on each other: that is measured here, not proved.
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
from wflow.perceptron import Pass, nonuniformity, sharpness
from wflow.stability import Curvatures, WithoutReplacement, largest_rates

ROWS, WIDTH = 100, 20
BATCHES = (10, 20, 40, ROWS)
STEPS = {DIGITS: (0.1, 0.2, 0.3, 0.4, 0.5), MNIST: (0.1, 0.15, 0.2, 0.25, 0.3)}
"""On MNIST batches of 10 at .4 and of 20 at .5 were seen not to converge at all, from any of 25 starts."""
STARTS, GROUP = 25, 5
"""Models of a case, a batch and a step; of a cell."""
RATE, BEYOND, SLOPE = 1e-4, (0.2, 0.5), 1.1
"""To which the largest stable eta is known; how far beyond it most and all may still rest; slope of log s in log a."""
A, S, ACCURACY, RATIO, BATCH, STEP = range(6)
"""Columns of `table`."""
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
    """(a, s, accuracy, eta over the largest stable one) of each model that converges, and how many do not."""
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
    return [sharpness(at).value, nonuniformity(at), net.agreement(run.theta), step / largest_step(at, batch)]


def largest_step(at: Pass, batch: int) -> float:
    """Stable in mean square up to it, to 1e-4, were f = y: from the tangents' products alone, no Hessian's."""
    curvatures = Curvatures.of_gram(at.tangents(), data=len(at.risk))
    return largest_rates(curvatures, WithoutReplacement(len(at.risk), batch), tolerance=RATE).lower


def table(entries: Sequence[Entry], data: str) -> Array:
    """(models, 6): a, s, accuracy, eta over the largest stable one, batch, step."""
    rows = [[*one, e["batch"], e["step"]] for e in entries if e["data"] == data for one in e["models"]]
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def slope(found: Array) -> Line:
    """Of log s in log a: 1 where s is proportional to a."""
    return power(found[:, A], found[:, S])


def bound(batch: Array, step: Array) -> Array:
    """(1/eta) (B (n - 1)/(n - B))^(1/2), infinite at B = n: s above it breaks Wu, Ma & E's condition on all of
    H and the rows' variance, which is enough for stability in mean square and, in more than one dimension, not needed.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(batch * (ROWS - 1.0) / (ROWS - batch)) / step)


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """By case: how many converge, below which steps they rest, how s goes with a and with the batch."""
    for data in dict.fromkeys(e["data"] for e in entries):
        found = table(entries, data)
        lost = sum(e["lost"] for e in entries if e["data"] == data)
        share = len(found) / (len(found) + lost)
        yield Certificate(f"{data}: share of {len(found) + lost} models that converge", "at least", share, 0.9)
        yield from _of_all_rows(data, found[found[:, BATCH] == ROWS])
        yield from _of_batches(data, found[found[:, BATCH] < ROWS])
        fit = slope(found)
        words = f"{data}: slope of log s in log a over {len(found)} models, 95 %: {fit.low:.3f} to {fit.high:.3f}"
        yield Certificate(words, "equal", fit.slope, SLOPE, 0.3)
        yield Certificate(f"{data}: R^2 of that", "at least", fit.squared, 0.8)
        spread = np.array([np.mean(found[found[:, BATCH] == b, S]) for b in np.unique(found[:, BATCH])])
        words = f"{data}: mean s of a batch over that of the next smaller, least"
        yield Certificate(words, "at least", -_largest(-spread[1:] / spread[:-1]), 1.0)
        share = float(spread[0] / spread[-1])
        yield Certificate(f"{data}: mean s of the smallest batch over that of the largest", "at most", share, 0.9)


def _of_all_rows(data: str, found: Array) -> Iterator[Certificate]:
    """No noise is left: the exact condition is a <= 2/eta, known twice, by the Hessian and by products of tangents."""
    over = 0.5 * found[:, STEP] * found[:, A]
    name = f"{data}, all rows: largest sharpness of {len(found)} over 2/eta"
    yield Certificate(name, "at most", _largest(over), SLACK)
    name = f"{data}, all rows: eta over the largest stable in mean square, off a eta/2 by at most"
    yield Certificate(name, "at most", _largest(np.abs(found[:, RATIO] / over - 1.0)), 0.02)


def _of_batches(data: str, found: Array) -> Iterator[Certificate]:
    """They rest up to what is stable in mean square, and a little beyond; and above a bound that need not hold."""
    words, over = f"{data}, batches: eta over the largest stable in mean square", found[:, RATIO]
    most = float(np.quantile(over, 0.95)) if len(found) else math.nan
    name = f"{words}, 95 of 100 models ({np.sum(over > 1.0)} of {len(found)} above 1)"
    yield Certificate(name, "at most", most, 1.0, BEYOND[0])
    yield Certificate(f"{words}, all", "at most", _largest(over), 1.0, BEYOND[1])
    size, step = found[:, BATCH].min(initial=ROWS), found[:, STEP].max(initial=0.0)
    hard = found[(found[:, BATCH] == size) & (found[:, STEP] == step), RATIO]
    name = f"{words}, median of B = {size:g} at {step:g}"
    yield Certificate(name, "at least", float(np.median(hard)) if len(hard) else math.nan, 0.8)
    free = np.sum((found[:, S] > bound(found[:, BATCH], found[:, STEP])) & (found[:, RATIO] <= 1.0))
    name = f"{data}, batches: stable in mean square and above a bound of s that is not needed, of {len(found)}"
    yield Certificate(name, "at least", float(free), 1.0)


def _largest(values: Array) -> float:
    """nan where there is none, of which nothing is true."""
    return float(np.max(values)) if len(values) else math.nan


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Scatter of s over a with the line, and of eta over the largest stable one by eta."""
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
