"""This file owns the study of explicit against implicit regularisation: real images, true labels and random ones.

Ten classes, cross entropy, one hidden layer of relu, stochastic gradient descent; each with no regulariser, weight
decay, dropout, or early stopping on a fifth of the rows held out. After Zhang, Bengio, Hardt, Recht & Vinyals 2017.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.perceptron import MiniBatch, Trained, stopped_early, trained
from wflow.activation import relu
from wflow.app.studies.real import scaled
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.images import CLASSES, DIGITS, MNIST, one_hot, random_labels
from wflow.perceptron import CrossEntropy, EmpiricalRisk, Perceptron

TRUE, RANDOM = "true", "random"
NONE, DECAY, DROPOUT, EARLY = "none", "weight decay", "dropout", "early stopping"
KINDS = (NONE, DECAY, DROPOUT, EARLY)
SEEDS = 5
ROWS, BATCH, STEP, PATIENCE, HELD = 1000, 50, 0.2, 10, 200
WIDTH = {DIGITS: 200, MNIST: 100}
EPOCHS = 80
WEIGHT, DROPPED = 3e-3, 0.5
CHANCE = 1.0 / CLASSES


def cells(quick: bool) -> list[Cell]:
    """Data, labels, regularisers, seeds; a seed is a split, a start, an order of rows and a draw of labels."""
    data, seeds = ((DIGITS,), 1) if quick else ((DIGITS, MNIST), SEEDS)
    return [
        {"data": name, "labels": labels, "regulariser": kind, "seed": seed}
        for name in data for labels in (TRUE, RANDOM) for kind in KINDS for seed in range(seeds)
    ]  # fmt: skip


def measure(data: str, labels: str, regulariser: str, seed: int) -> Record:
    """Accuracy on the rows learnt and on the rest, with their true labels; epochs and F at the end."""
    train, test = scaled(data, ROWS, seed)
    pixels = train.inputs.shape[1]
    network = Perceptron((pixels, WIDTH[data], CLASSES), relu())
    seen = train.labels if labels == TRUE else random_labels(train.labels, seed)
    width = float(np.sqrt(64.0 / pixels))  # E|x|^2 = 64 for both, so that one step fits both
    risk = EmpiricalRisk(network, width * train.inputs, one_hot(seen), CrossEntropy())
    decay, dropout = WEIGHT * (regulariser == DECAY), DROPPED * (regulariser == DROPOUT)
    method = MiniBatch(STEP, BATCH, seed, decay=decay, dropout=dropout)
    run = _run(method, risk, network.start(seed), early=regulariser == EARLY)
    unseen = EmpiricalRisk(network, width * test.inputs, one_hot(test.labels), CrossEntropy())
    return {
        "train": risk.accuracy(run.theta),
        "test": unseen.accuracy(run.theta),
        "loss": risk.value(run.theta),
        "epochs": run.rounds,
    }


def _run(method: MiniBatch, risk: EmpiricalRisk, theta: Array, *, early: bool) -> Trained:
    """All epochs, or until the last fifth of the rows, then not learnt, says stop."""
    if not early:
        return trained(method, risk, theta, rounds=EPOCHS)
    learnt, held = risk.rows(slice(0, ROWS - HELD)), risk.rows(slice(ROWS - HELD, ROWS))
    return stopped_early(method, learnt, held, theta, patience=PATIENCE, limit=EPOCHS)


def accuracies(entries: Sequence[Entry], data: str, labels: str, kind: str, part: str) -> Array:
    """(seeds,)."""
    return np.array(
        [e[part] for e in entries if e["data"] == data and e["labels"] == labels and e["regulariser"] == kind]
    )


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """With no regulariser true labels are learnt and random ones fitted; regularisers add little to the former."""
    for data in dict.fromkeys(e["data"] for e in entries):

        def at(labels: str, kind: str, part: str, data: str = data) -> float:
            return float(np.mean(accuracies(entries, data, labels, kind, part)))

        plain = at(TRUE, NONE, "test")
        yield Certificate(f"{data}, true labels, no regulariser: accuracy on the test", "at least", plain, 0.85)
        gain = max(at(TRUE, kind, "test") for kind in KINDS[1:]) - plain
        yield Certificate(f"{data}, true labels: what the best regulariser adds on the test", "at most", gain, 0.03)
        fitted = at(RANDOM, NONE, "train")
        yield Certificate(f"{data}, random labels, no regulariser: accuracy on rows learnt", "at least", fitted, 0.98)
        found = accuracies(entries, data, RANDOM, NONE, "test")
        rows = {DIGITS: 797, MNIST: 4000}[data]
        slack = 4.0 * (CHANCE * (1.0 - CHANCE) * (1.0 / rows + 1.0 / ROWS) / len(found)) ** 0.5
        off = abs(float(np.mean(found)) - CHANCE)
        yield Certificate(f"{data}, random labels: accuracy on the test off chance", "at most", off, 0.0, slack)
        early = at(RANDOM, EARLY, "train")
        yield Certificate(f"{data}, random labels, early stopping: accuracy on rows learnt", "at most", early, 0.5)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Accuracy on rows learnt and on the test, by regulariser."""
    from wflow.picture import regularisers, save

    tables = {}
    for data in dict.fromkeys(e["data"] for e in entries):
        for labels in (TRUE, RANDOM):
            tables[f"{data}, {labels} labels"] = {
                kind: [accuracies(entries, data, labels, kind, part) for part in ("train", "test")] for kind in KINDS
            }
    return save(regularisers(tables, CHANCE), path)


REGULARISATION = Study(
    "regularisation", "do networks generalise because of what is added to the loss?", cells, measure, claims, draw
)
