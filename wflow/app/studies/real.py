"""This file owns what studies of real networks are posed on: images, labels even against odd, two small networks."""

from dataclasses import dataclass

import numpy as np

from wflow.activation import activation
from wflow.arrays import Array
from wflow.images import DIGITS, MNIST, Images, corrupted, images, parity
from wflow.perceptron import EmpiricalRisk, Perceptron

POOLED = {DIGITS: 1, MNIST: 2}
"""Squares of pixels that are made one: both data sets then have images of about a dozen pixels a side."""
ACTIVATIONS = {DIGITS: "tanh", MNIST: "relu"}


@dataclass(frozen=True, eq=False)
class Posed:
    """A network with its risk on rows to learn and on the rest, half square, targets -1 (even digits) and +1 (odd)."""

    network: Perceptron
    train: EmpiricalRisk
    test: EmpiricalRisk

    def agreement(self, theta: Array) -> float:
        """Share of rows of the test whose sign is right."""
        f = self.network.outputs(theta, self.test.inputs)
        return float(np.mean(np.sign(f) == self.test.targets))


def scaled(name: str, rows: int, seed: int, pooled: int = 1) -> tuple[Images, Images]:
    """So many rows to learn, drawn by the seed, and the rest, scaled by the former."""
    train, test = images(name).pooled(pooled).split(rows, seed)
    return train.scaled(train), test.scaled(train)


def posed(name: str, rows: int, width: int, *, wrong: float = 0.0, split: int = 0) -> Posed:
    """One hidden layer: tanh on digits, relu on MNIST of 14 x 14; a share `wrong` of the labels to learn is flipped."""
    train, test = scaled(name, rows, split, POOLED[name])
    network = Perceptron((train.inputs.shape[1], width, 1), activation(ACTIVATIONS[name]))
    labels = corrupted(train.labels % 2, wrong, split, classes=2)
    return Posed(
        network,
        EmpiricalRisk(network, train.inputs, parity(labels)),
        EmpiricalRisk(network, test.inputs, parity(test.labels)),
    )
