"""This file owns the study of barriers between wide networks trained independently, against their number of neurons.

f = (1/m) sum_j a_j tanh(b_j . x), half square, gradient descent in mean-field time from two independent starts
N(0, I). If the neurons of both were m independent draws of one law each, W2 after matching would fall like m^(-1/d),
d >= 3 the dimension of a neuron (Gaussian ones: Ledoux & Zhu 2021, Probab. Math. Statist. 41); the barrier is proved
below `barrier_bound`, of order W2^2. That trained neurons are such draws is known in the limit
m -> infinity only.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.perceptron import FullBatch, trained
from wflow.activation import tanh
from wflow.app.studies.intervals import Line, power
from wflow.app.studies.real import scaled
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.images import DIGITS, parity
from wflow.perceptron import (
    EmpiricalRisk,
    Perceptron,
    along,
    barrier_bound,
    between,
    curvature_bound,
    matched,
    w2_of_neurons,
)

PLANE = "plane"
NEURONS = (16, 32, 64, 128, 256, 512)
PAIRS = 10
BARRIERS_OF = ("raw", "matched")
WORDS = {
    "raw": "barrier as they are", "matched": "barrier, matched", "bound": "bound of that",
    "w2": "W2 of neurons", "start": "W2 at the start", "bend": "|f_(1/2) - mean f|",
}  # fmt: skip
DRAWN = {PLANE: -1.0 / 3.0}
"""-1/d of independent draws, asked where these m are near it: on digits the starts, which are, fall twice as fast."""
ROWS = {PLANE: 100, DIGITS: 200}
TIME, STEP = 200.0, 0.5
"""Of the flow of m F, whose steps are `STEP`: gradient descent on F with step m STEP."""


def cells(quick: bool) -> list[Cell]:
    """Data, neurons, pairs of networks."""
    data, sizes, pairs = ((PLANE,), NEURONS[:4], 3) if quick else ((PLANE, DIGITS), NEURONS, PAIRS)
    return [{"data": name, "m": m, "pair": pair} for name in data for m in sizes for pair in range(pairs)]


def posed(data: str, m: int) -> EmpiricalRisk:
    """Two Gaussian inputs and an odd function of them, or even against odd digits with |x| of order 1."""
    if data == PLANE:
        x = np.random.default_rng(7).standard_normal((ROWS[PLANE], 2))
        y = 2.0 * np.tanh(2.0 * x[:, :1]) - np.tanh(3.0 * x[:, 1:]) - np.tanh(x.sum(axis=1, keepdims=True))
    else:
        train, _ = scaled(data, ROWS[data], 0)
        x, y = train.inputs / train.inputs.shape[1] ** 0.5, parity(train.labels)
    network = Perceptron((x.shape[1], m, 1), tanh(), biases=False, scales=(1.0, 1.0 / m))
    return EmpiricalRisk(network, x, y)


def measure(data: str, m: int, pair: int) -> Record:
    """F, W2 of neurons at the start and the end, barriers raw and matched, |f_(1/2) - mean of f|; proved bounds."""
    risk = posed(data, m)
    network, method = risk.network, FullBatch(STEP * m)
    starts = [network.start(1000 * m + 2 * pair + k, (1.0, 1.0)) for k in (0, 1)]
    one, two = (trained(method, risk, start, rounds=round(TIME / STEP)).theta for start in starts)
    near = matched(network, one, two).theta
    middle = network.outputs(between(one, near, 0.5), risk.inputs)
    mean = 0.5 * (network.outputs(one, risk.inputs) + network.outputs(near, risk.inputs))
    return {
        "loss": max(risk.value(one), risk.value(two)),
        "start": w2_of_neurons(network, *starts),
        "w2": w2_of_neurons(network, one, two),
        "raw": along(risk, one, two).barrier,
        "matched": along(risk, one, near).barrier,
        "bound": barrier_bound(risk, one, near),
        "bend": _rms(middle - mean),
        "bend_bound": _rms(curvature_bound(risk, one, near)),
    }


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def table(entries: Sequence[Entry], data: str, name: str) -> Array:
    """(runs, 2): m and what was measured."""
    return np.array([[e["m"], e[name]] for e in entries if e["data"] == data], dtype=np.float64)


def slope(entries: Sequence[Entry], data: str, name: str) -> Line:
    """Of its logarithm in log m, over all pairs; of barriers, which may be 0, over their means by m that are not."""
    m, found = table(entries, data, name).T
    if name in BARRIERS_OF:
        m, found = np.unique(m), means(entries, data, name)
    return power(m[found > 0.0], found[found > 0.0])


def means(entries: Sequence[Entry], data: str, name: str) -> Array:
    """(sizes,) by m."""
    m, found = table(entries, data, name).T
    return np.array([np.mean(found[m == size]) for size in np.unique(m)])


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Matched barriers fall with m, those of unmatched networks do not; none is above its bound; W2 as of draws."""
    for data in dict.fromkeys(e["data"] for e in entries):
        found = {name: means(entries, data, name) for name in ("loss", "raw", "matched")}
        yield Certificate(f"{data}: largest F at an end, mean over pairs", "at most", float(found["loss"].max()), 0.05)
        for name, most in (("matched", "bound"), ("bend", "bend_bound")):
            shares = table(entries, data, name)[:, 1] / table(entries, data, most)[:, 1]
            words = f"{data}: largest {WORDS[name]} over its bound"
            yield Certificate(words, "at most", float(shares.max()), 1.0)
        for name in ("w2", "bend", "bound"):
            words = f"{data}: slope of {WORDS[name]} in m, upper end (95 %)"
            yield Certificate(words, "at most", slope(entries, data, name).high, 0.0)
        if data in DRAWN:
            fit = slope(entries, data, "w2")
            words = f"{data}: slope of {WORDS['w2']} in m, -1/d, within its interval ({fit.low:.2f} to {fit.high:.2f})"
            yield Certificate(words, "equal", fit.slope, DRAWN[data], fit.high - fit.slope)
        fallen, kept = (float(found[name][-1] / found[name][0]) for name in ("matched", "raw"))
        yield Certificate(f"{data}: barrier, matched, largest m over smallest", "at most", fallen, 0.3)
        yield Certificate(f"{data}: barrier as they are, largest m over smallest", "at least", kept, 0.25)
        share = float(found["matched"][-1] / found["raw"][-1])
        yield Certificate(f"{data}: barrier at the largest m, matched over as they are", "at most", share, 0.1)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Barriers and W2 by m."""
    from wflow.picture import barriers, save

    panels = {}
    for data in dict.fromkeys(e["data"] for e in entries):
        of = {name: slope(entries, data, name).slope for name in WORDS}
        panels[data] = {f"{WORDS[name]}: slope {of[name]:.2f}": table(entries, data, name) for name in WORDS}
    return save(barriers(panels, split=3), path)


BARRIERS = Study(
    "barriers", "do networks trained independently meet on straight ways as they widen?", cells, measure, claims, draw
)
