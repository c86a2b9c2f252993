"""This file owns straight ways between two parameters: the loss along them, and the barrier."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count, finite, shaped
from wflow.perceptron.losses import HalfSquares
from wflow.perceptron.network import Perceptron
from wflow.perceptron.risk import EmpiricalRisk


def between(first: Array, second: Array, alpha: float) -> Array:
    """(1 - alpha) first + alpha second, of two parameters (size,)."""
    first = shaped("between first", first, (None,))
    second, alpha = shaped("between second", second, first.shape), float(finite("between alpha", alpha))
    return np.asarray((1.0 - alpha) * first + alpha * second)


@dataclass(frozen=True, eq=False)
class Way:
    """alphas from 0 to 1, the risk there, and the share of rows whose class is wrong (nan with one output)."""

    alphas: Array
    losses: Array
    errors: Array

    @property
    def barrier(self) -> float:
        """max over the alphas looked at of F(alpha) - ((1 - alpha) F(0) + alpha F(1)); at least 0, by the ends."""
        return barrier(self.alphas, self.losses)


def barrier(alphas: Array, losses: Array) -> float:
    """Of losses (k,) at alphas (k,) from 0 to 1: how far they rise above the chord, at least 0."""
    alphas = shaped("barrier alphas", alphas, (None,))
    losses = shaped("barrier losses", losses, alphas.shape)
    if alphas[0] != 0.0 or alphas[-1] != 1.0:
        raise ValueError(f"barrier alphas: from {alphas[0]:g} to {alphas[-1]:g}; the chord is from 0 to 1, give both")
    return float(np.max(losses - ((1.0 - alphas) * losses[0] + alphas * losses[-1])))


def along(risk: EmpiricalRisk, first: Array, second: Array, *, points: int = 25) -> Way:
    """F and errors at equispaced alphas. Between them a smooth F is higher by O(1/points^2) at most."""
    first, second = risk.network.checked(first, "first"), risk.network.checked(second, "second")
    alphas = np.linspace(0.0, 1.0, count("along points", points, least=3))
    found = [_looked(risk, between(first, second, float(alpha))) for alpha in alphas]
    return Way(alphas, *np.transpose(found))


def _looked(risk: EmpiricalRisk, theta: Array) -> tuple[float, float]:
    at = risk.at(theta)
    if risk.network.widths[-1] == 1:
        return at.value, float("nan")
    wrong = np.argmax(at.outputs, axis=1) != np.argmax(risk.targets, axis=1)
    return at.value, float(np.mean(wrong))


def curvature_bound(risk: EmpiricalRisk, first: Array, second: Array) -> Array:
    """(n,): |f_alpha - (1 - alpha) f_0 - alpha f_1| at each row is at most 4 alpha (1 - alpha) times this.

    One hidden layer of tanh, one output. psi = a tanh(b . x + c) along a segment (da, db, dc), dz = db . x + dc, has
    |psi''| = |2 da t' dz + a t'' dz^2| <= 2 |da dz| + A K dz^2: |t'| <= 1, |t''| <= K = 4/(3 sqrt 3), A the larger
    |a| of both ends; and |g(alpha) - chord| <= alpha (1 - alpha)/2 max |g''|. The bound is, over neurons as they are,

        (|s|/8) sum_j (2 |da_j dz_ij| + A_j K dz_ij^2) <= (|s|/8) sum_j (|x'| + A_j K |x'|^2) |dw_j|^2,

    (x' = (s_1 x, 1)) of order W2^2 where s = 1/m, neurons are matched, and |a_j| stay bounded.
    """
    network = risk.network
    _tanh(network)
    (b0, c0), (a0, _) = network.layers(network.checked(first, "first"))
    (b1, c1), (a1, _) = network.layers(network.checked(second, "second"))
    steps = network.linear(0, b1 - b0, None if c0 is None or c1 is None else c1 - c0, risk.inputs)
    most = np.maximum(np.abs(a0), np.abs(a1))
    bends = 2.0 * np.abs((a1 - a0) * steps) + _BEND * most * steps**2
    return np.asarray(abs(network.scale(1)) / 8.0 * bends.sum(axis=1))


_BEND = 4.0 / (3.0 * 3.0**0.5)
"""max |tanh''|, at tanh^2 = 1/3."""


def barrier_bound(risk: EmpiricalRisk, first: Array, second: Array) -> float:
    """A bound of the barrier of the half square, proved: sqrt(2 max(F_0, F_1)) |e| + |e|^2/2, |e|^2 = mean of bound^2.

    F is convex in f: F(mean of f_0, f_1) <= chord <= max, and F(f + e) - F(f) = mean (f - y) e + mean e^2/2.
    """
    if not isinstance(risk.loss, HalfSquares):
        raise ValueError(f"barrier_bound loss: {type(risk.loss).__name__}; the bound is of HalfSquares, give that")
    size = float(np.sqrt(np.mean(curvature_bound(risk, first, second) ** 2)))
    ends = max(risk.value(first), risk.value(second))
    return float(np.sqrt(2.0 * ends)) * size + 0.5 * size**2


def _tanh(network: Perceptron) -> None:
    sigma = network.activation
    if network.depth != 2 or network.widths[-1] != 1 or sigma.name != "tanh" or sigma.parameter not in (None, 1.0):
        raise ValueError(
            f"curvature_bound: {sigma.name}, widths {network.widths}; it is known for one hidden layer of tanh() and "
            "one output"
        )
