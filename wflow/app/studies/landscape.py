"""This file owns the study of what lies between gradient descent and stochastic gradient descent: straight ways.

Ten classes of digits, cross entropy, relu. One run of gradient descent; one of batches from the same start, one from
another. Loss and test error along (1 - alpha) GD + alpha SGD: as they are, with neurons matched, balanced first and
matched, and rescaled (the same function) and then matched.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from solvers.perceptron import FullBatch, MiniBatch, converged
from wflow.activation import relu
from wflow.app.studies.intervals import mean
from wflow.app.studies.real import scaled
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.images import CLASSES, DIGITS, one_hot
from wflow.perceptron import (
    CrossEntropy,
    EmpiricalRisk,
    Perceptron,
    along,
    balanced,
    barrier,
    matched,
    rescaled,
    sharpness,
)

HIDDEN = {1: (64,), 2: (64, 64)}
ROWS, SEEDS, POINTS = 300, 10, 25
STEP, BATCH_STEP, BATCH = 0.2, 0.1, 10
TOLERANCE, SETTLED, LIMIT = 1e-2, 5, 3000
SAME, OTHER = "same start", "other start"
RAW, MATCHED, BALANCED, RESCALED = "as they are", "matched", "balanced, matched", "rescaled, matched"
KINDS = (RAW, MATCHED, BALANCED, RESCALED)
PARTS = {"loss": "barrier", "test": "test barrier", "error": "barrier of test error"}
SHARES = (
    ("loss", MATCHED, RAW, 0.2), ("loss", BALANCED, RAW, 0.2), ("loss", BALANCED, MATCHED, 1.0),
    ("error", BALANCED, RAW, 0.4), ("test", BALANCED, RESCALED, 0.7),
)  # fmt: skip
"""Claims: of what, a kind over another, at most."""
SPREAD = 2.0
"""Factors of neurons are e^u, u uniform in (-2, 2)."""


def cells(quick: bool) -> list[Cell]:
    """Hidden layers and seeds; a seed is a split, two starts and an order of rows."""
    layers, seeds = ((1,), 3) if quick else (tuple(HIDDEN), SEEDS)
    return [{"layers": layer, "seed": seed} for layer in layers for seed in range(seeds)]


def posed(layers: int, seed: int) -> tuple[EmpiricalRisk, EmpiricalRisk]:
    """Rows learnt and the rest."""
    train, test = scaled(DIGITS, ROWS, seed)
    network = Perceptron((train.inputs.shape[1], *HIDDEN[layers], CLASSES), relu())
    learnt, unseen = (
        EmpiricalRisk(network, part.inputs, one_hot(part.labels), CrossEntropy()) for part in (train, test)
    )
    return learnt, unseen


def measure(layers: int, seed: int) -> Record:
    """Ways to both ends of batches, test errors and sharpness of all three, and what factors of neurons change."""
    learnt, unseen = posed(layers, seed)
    network = learnt.network
    first, second = network.start(2 * seed), network.start(2 * seed + 1)
    options = {"tolerance": TOLERANCE, "settled": SETTLED, "limit": LIMIT}
    gd = converged(FullBatch(STEP), learnt, first, **options).theta  # type: ignore[arg-type]
    batches = MiniBatch(BATCH_STEP, BATCH, seed)
    ends = {
        name: converged(batches, learnt, start, **options).theta  # type: ignore[arg-type]
        for name, start in ((SAME, first), (OTHER, second))
    }
    factors = _factors(network, seed)
    return {
        "ways": {name: _ways(learnt, unseen, gd, end, factors) for name, end in ends.items()},
        "errors": {name: 1.0 - unseen.accuracy(theta) for name, theta in {"GD": gd, **ends}.items()},
        "sharpness": {name: _sharp(learnt, theta) for name, theta in {"GD": gd, **ends}.items()},
        "control": _control(learnt, unseen, gd, factors),
    }


def _factors(network: Perceptron, seed: int) -> list[Array]:
    rng = np.random.default_rng([seed, network.size])
    return [np.exp(rng.uniform(-SPREAD, SPREAD, width)) for width in network.widths[1:-1]]


def _ways(learnt: EmpiricalRisk, unseen: EmpiricalRisk, gd: Array, sgd: Array, factors: list[Array]) -> Record:
    """For each kind: F on rows learnt, F and error on the rest."""
    network = learnt.network
    even = balanced(network, gd), balanced(network, sgd)
    ends = {
        RAW: (gd, sgd),
        MATCHED: (gd, matched(network, gd, sgd).theta),
        BALANCED: (even[0], matched(network, *even).theta),
        RESCALED: (gd, matched(network, gd, rescaled(network, sgd, factors)).theta),
    }
    found = {}
    for kind, pair in ends.items():
        seen, rest = along(learnt, *pair, points=POINTS), along(unseen, *pair, points=POINTS)
        found[kind] = {"loss": seen.losses.tolist(), "test": rest.losses.tolist(), "error": rest.errors.tolist()}
    return found


def _sharp(learnt: EmpiricalRisk, theta: Array) -> float:
    return sharpness(learnt.at(theta), tolerance=1e-3).value


def _control(learnt: EmpiricalRisk, unseen: EmpiricalRisk, theta: Array, factors: list[Array]) -> Record:
    """What factors of neurons do to the function, to sharpness, to balance, and to the way from theta."""
    network = learnt.network
    other = rescaled(network, theta, factors)
    f, g = (network.outputs(one, unseen.inputs) for one in (theta, other))
    even, again = balanced(network, theta), balanced(network, other)
    return {
        "function": float(np.max(np.abs(f - g)) / np.max(np.abs(f))),
        "sharpness": _sharp(learnt, other) / _sharp(learnt, theta),
        "balance": float(np.max(np.abs(even - again)) / np.max(np.abs(even))),
        "barrier": along(learnt, theta, other, points=POINTS).barrier,
    }


def curves(entries: Sequence[Entry], layers: int, start: str, kind: str, part: str) -> Array:
    """(seeds, points) of `loss`, `test` or `error`."""
    return np.array([e["ways"][start][kind][part] for e in entries if e["layers"] == layers])


def barriers(entries: Sequence[Entry], layers: int, start: str, kind: str, part: str = "loss") -> Array:
    """(seeds,)."""
    alphas = np.linspace(0.0, 1.0, POINTS)
    return np.array([barrier(alphas, way) for way in curves(entries, layers, start, kind, part)])


def difference(entries: Sequence[Entry], layers: int, start: str) -> tuple[float, float, float]:
    """SGD - GD in test error: mean over seeds, and Student's interval (95 %) of paired runs."""
    return mean(np.array([e["errors"][start] - e["errors"]["GD"] for e in entries if e["layers"] == layers]))


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """One start: no barrier. Two: a barrier that matching takes away, less so where neurons are out of balance."""
    for layers in dict.fromkeys(e["layers"] for e in entries):
        name = f"{layers} hidden layer{'s' if layers > 1 else ''}"
        for part, words, most in (("loss", "barrier", 0.01), ("error", "barrier of test error", 0.01)):
            high = float(np.max(barriers(entries, layers, SAME, RAW, part)))
            yield Certificate(f"{name}, {SAME}: largest {words}", "at most", high, most)
        high = float(np.mean(barriers(entries, layers, OTHER, RAW)))
        yield Certificate(f"{name}, {OTHER}: mean barrier {RAW}", "at least", high, 0.1)
        for part, kind, other, most in SHARES:
            words = f"{name}, {OTHER}: {PARTS[part]}, ({kind}) over ({other})"
            yield Certificate(words, "at most", share(entries, layers, part, kind, other), most)
        for start in (SAME, OTHER):
            middle, low, top = difference(entries, layers, start)
            words = f"{name}, {start}: SGD - GD in test error, mean; 95 %: {low:+.4f} to {top:+.4f}"
            yield Certificate(words, "equal", middle, 0.0, 0.01)
            words = f"{name}, {start}: mean sharpness over F, SGD's over GD's"
            yield Certificate(words, "equal", _flatter(entries, layers, start), 1.0, 0.15)
    yield from _controls(entries)


def share(entries: Sequence[Entry], layers: int, part: str, kind: str, other: str) -> float:
    """Mean barrier from another start of one kind over that of another; infinite where the latter has none."""
    above, below = (float(np.mean(barriers(entries, layers, OTHER, one, part))) for one in (kind, other))
    return above / below if below > 0.0 else math.inf


def _flatter(entries: Sequence[Entry], layers: int, start: str) -> float:
    """Near F = 0 the Hessian of cross entropy falls with F, and batches end at a lower F: sharpness over F is asked."""
    of = [e for e in entries if e["layers"] == layers]
    ends = curves(entries, layers, start, RAW, "loss")[:, [0, -1]]
    sharp = np.array([[e["sharpness"]["GD"], e["sharpness"][start]] for e in of])
    return float(np.mean((sharp / ends)[:, 1] / (sharp / ends)[:, 0]))


def _controls(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Factors of neurons: one function, another sharpness, one balanced network."""
    of = {name: np.array([e["control"][name] for e in entries]) for name in entries[0]["control"]}
    words = "rescaled neurons: change of f, relative to its largest value"
    yield Certificate(words, "at most", float(np.max(of["function"])), 0.0, 1e-12)
    yield Certificate("rescaled neurons: least factor of sharpness", "at least", float(np.min(of["sharpness"])), 2.0)
    words = "rescaled neurons, balanced: change of parameters, relative to the largest"
    yield Certificate(words, "at most", float(np.max(of["balance"])), 0.0, 1e-9)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """F of rows learnt and test error along the way, by start and kind."""
    from wflow.picture import save, ways

    panels: dict[str, Mapping[str, tuple[Array, Array]]] = {}
    for layers in dict.fromkeys(e["layers"] for e in entries):
        for start in (SAME, OTHER):
            panels[f"{layers} hidden, {start}"] = {
                kind: (curves(entries, layers, start, kind, "loss"), curves(entries, layers, start, kind, "error"))
                for kind in KINDS
            }
    return save(ways(panels, ends=("GD", "SGD")), path)


LANDSCAPE = Study(
    "landscape", "what lies between gradient descent and stochastic gradient descent?", cells, measure, claims, draw
)
