"""This file owns what residual networks are tried on: a law that turns with s, two moons, and a deep net beside."""

import numpy as np

from wflow.activation import activation
from wflow.arrays import Array, count
from wflow.data import Data
from wflow.deep.embedding import Independent
from wflow.deep.flow import DeepFlow
from wflow.deep.marginals import Interval
from wflow.deep.residual.flow import ResidualFlow
from wflow.deep.residual.law import GaussianPath
from wflow.deep.residual.net import ResidualNet

TANH = activation("tanh")
INPUTS = np.array([[0.5, -0.3], [-1.0, 0.4], [0.2, 1.1], [-0.6, -0.9]])
"""Where rates are measured."""
_MIX = np.array([
    [0.9, 0.0, 0.2, 0.0, 0.1], [0.0, 0.7, 0.0, -0.3, 0.0], [0.3, 0.0, 0.5, 0.0, 0.0],
    [0.0, 0.4, 0.0, 0.6, 0.1], [0.1, 0.0, 0.0, 0.2, 0.5],
])  # fmt: skip


def turning_law() -> GaussianPath:
    """On (u, v, c), D = 2: all five correlated, u turns with s, the spread grows by half."""

    def mean(s: float) -> Array:
        return np.array([1.5 * np.cos(2.0 * s), 1.0 + s, 1.2 * np.sin(3.0 * s) + 0.3, s * s - 0.8, 0.4 - 0.5 * s])

    return GaussianPath(mean, lambda s: (1.0 + 0.5 * s) * _MIX)


def training_law(spread: float = 1.0) -> GaussianPath:
    """On (u, v, c), D = 2: all independent, centred, the same at every s: z' = 0 in the limit of the start."""
    return GaussianPath(lambda s: np.zeros(5), lambda s: spread * np.eye(5))


def two_moons(rows: int = 32) -> Data:
    """Two half circles that interlock in the plane, without noise, centred, labels +-1: no line parts them."""
    half = count("two_moons rows", rows, least=2) // 2
    t, s = np.linspace(0.0, np.pi, rows - half), np.linspace(0.0, np.pi, half)
    upper = np.column_stack([np.cos(t), np.sin(t)])
    lower = np.column_stack([1.0 - np.cos(s), 0.5 - np.sin(s)])
    return Data(np.vstack([upper, lower]) - [0.5, 0.25], np.repeat([1.0, -1.0], [rows - half, half]))


def moons(
    depth: int = 8, width: int = 16, seed: int = 0, *, horizon: float = 60.0, ridge: float = 0.0, rate: float = 0.0
) -> ResidualFlow:
    """Two moons by a residual net whose start is drawn layer by layer; the readout is the second axis, fixed."""
    start = ResidualNet(training_law().layerwise(depth, width, seed), np.array([0.0, 1.0]), TANH)
    return ResidualFlow(two_moons(), start, horizon, ridge=ridge, rate=rate)


def moons_without_skips(depth: int = 8, *, mean: float = 0.7, horizon: float = 60.0) -> DeepFlow:
    """The same data by the 1/m multilayer net with as many hidden layers, independent entries; it collapses in depth.

    mean: of the middle and last weights; 0: centred, the limit stands still. A constant input stands for the bias.
    """
    data = two_moons()
    with_bias = Data(np.column_stack([data.inputs, np.ones(len(data))]), data.targets, data.weights)
    entries = Interval(mean - 1.0, mean + 1.0)
    start = Independent([Interval(-2.0, 2.0)] * 3, [entries] * (count("depth", depth) - 1), entries, TANH)
    return DeepFlow(with_bias, start, horizon)
