r"""Does a network generalise because it cannot do otherwise?          Slides: Fig. 1 (regularisers).

Claim: the very network that is right on new images fits random labels too, with weight decay or dropout as without.

    F(theta) = (1/n) sum_i l(f(x_i; theta), y_i),   f relu with 100 hidden units, x_i digits, l cross entropy
    n = 300 images, 7510 parameters: labels do not matter to whether they can be fitted                    [measured]
    labels drawn anew say nothing of other images: whatever was learnt is right there with chance 1/10       [proved]
    with the true labels the same network, trained by the same steps, is right on 9 of 10 new images        [measured]
So what it can represent does not explain what it learns, nor do weight decay and dropout: they change little.
Early stopping looks at rows that are not learnt, and alone refuses random labels.
"""

from functools import lru_cache

import numpy as np

from solvers.perceptron import MiniBatch, stopped_early, trained
from wflow import picture
from wflow.activation import relu
from wflow.images import images, one_hot, random_labels
from wflow.perceptron import CrossEntropy, EmpiricalRisk, Perceptron

# Problem
SEEDS, ROWS, HELD, EPOCHS = (0, 1, 2), 300, 60, 120
KINDS = {"none": {}, "weight decay": {"decay": 3e-3}, "dropout": {"dropout": 0.5}, "early stopping": {}}


def risks(labels: str, width: int, seed: int) -> tuple[EmpiricalRisk, EmpiricalRisk]:
    train, test = images("digits").split(ROWS, seed)
    network = Perceptron((64, width, 10), relu())
    seen = random_labels(train.labels, seed) if labels == "random" else train.labels
    parts = (train.scaled(train).inputs, one_hot(seen)), (test.scaled(train).inputs, one_hot(test.labels))
    return EmpiricalRisk(network, *parts[0], CrossEntropy()), EmpiricalRisk(network, *parts[1], CrossEntropy())


# Solve
@lru_cache
def accuracies(labels: str, kind: str = "none", width: int = 100, seed: int = 0) -> tuple[float, float]:
    """On the rows learnt and on the others, with their true labels."""
    (risk, test), method = risks(labels, width, seed), MiniBatch(0.2, 50, seed, **KINDS[kind])
    start, learnt, held = risk.network.start(seed), risk.rows(slice(HELD, None)), risk.rows(slice(HELD))
    if kind == "early stopping":
        theta = stopped_early(method, learnt, held, start, patience=10, limit=EPOCHS).theta
    else:
        theta = trained(method, risk, start, rounds=EPOCHS).theta
    return risk.accuracy(theta), test.accuracy(theta)


# Check
def over_seeds(labels: str, kind: str = "none", width: int = 100) -> np.ndarray:
    return np.array([accuracies(labels, kind, width, seed) for seed in SEEDS])


# Picture: both accuracies by regulariser, true labels and random ones


# What would refute this
def refutation(width: int = 100) -> tuple[bool, float, float]:
    """A fiftieth of the random labels not fitted. width 2: a network that can be refused."""
    value, limit = 1.0 - float(over_seeds("random", width=width)[:, 0].min()), 0.02
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.4f}, {limit})")
    return value > limit, value, limit


# Exercise: how often is the network right on new images that learnt random labels?   the chance of ten classes
def exercise() -> tuple[float, float]:
    return 0.1, float(over_seeds("random")[:, 1].mean())


if __name__ == "__main__":
    tables = {f"{labels} labels": {k: over_seeds(labels, k).T for k in KINDS} for labels in ("true", "random")}
    for name, rows in tables.items():
        print(name + ": " + ", ".join(f"{k} {a.mean():.3f}/{b.mean():.3f}" for k, (a, b) in rows.items()))
    print(picture.save(picture.regularisers(tables, 0.1), "results/demos/random_labels.png"))
    refutation()
    print("exercise: predicted {:.2f}, measured {:.3f}".format(*exercise()))

# References: [1] Zhang, Bengio, Hardt, Recht & Vinyals 2017, ICLR, arXiv:1611.03530. [2] Srivastava et al. 2014,
# JMLR 15 (dropout). [3] Prechelt 1998, LNCS 1524 (early stopping).    Next lesson: mode_connectivity.py
