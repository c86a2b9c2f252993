"""This file owns neurons as ridge functions: psi(x; w) = a sigma(X . v) with a and v functions of w, X one of x.

Whatever sums over data or particles then deals with sigma(X_i . v_j) alone. With S0 = sum_i r_i sigma(X_i . v) (m,),
S1 = sum_i r_i sigma' X_i (m, q) and S2 = sum_i r_i sigma'' X_i X_i^T (m, q, q) the derivatives of V = sum_i r_i psi are

    a sigma(X . v), w = (a, v):       V = a S0,   V' = (S0, a S1),   V'' = (0, S1; S1^T, a S2)
    v = (cos w, sin w), v' = (-sin w, cos w):   V = S0,   V' = S1 . v',   V'' = v' . S2 v' - S1 . v
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.arrays import Array
from wflow.neuron import CircleNeuron, Neuron, RidgeNeuron


class Ridge(Protocol):
    """How w enters."""

    @property
    def bias(self) -> bool:
        """The last column of X is 1."""

    def columns(self, x: Array) -> Array:
        """X (n, q) of inputs x (n, p)."""

    def split(self, w: Array) -> tuple[Array | None, Array]:
        """a (m,), None where it is 1, and v (m, q) in one piece."""

    def orders(self, derivative: int) -> tuple[int, ...]:
        """Which of S0, S1, S2 a derivative of V takes."""

    def assembled(self, derivative: int, a: Array | None, v: Array, sums: tuple[Array, ...]) -> Array:
        """V (m,), V' (m, d) or V'' (m, d, d) from those."""


@dataclass(frozen=True)
class Affine:
    """w = (a, v, c) or a part of it; X = (x, 1) with a bias."""

    outer: bool
    bias: bool

    def columns(self, x: Array) -> Array:
        """x, with a column of ones for the bias."""
        return np.column_stack([x, np.ones(len(x))]) if self.bias else x

    def split(self, w: Array) -> tuple[Array | None, Array]:
        """The first coordinate, and the rest."""
        return (w[:, 0], np.ascontiguousarray(w[:, 1:])) if self.outer else (None, np.ascontiguousarray(w))

    def orders(self, derivative: int) -> tuple[int, ...]:
        """The derivative's own order, and the one below for the slope in a."""
        return (derivative - 1, derivative) if self.outer and derivative else (derivative,)

    def assembled(self, derivative: int, a: Array | None, v: Array, sums: tuple[Array, ...]) -> Array:
        """The first line of the head of this file."""
        if a is None:
            return sums[0]
        if derivative == 0:
            return a * sums[0]
        d = 1 + v.shape[1]
        if derivative == 1:
            out = np.empty((len(v), d))
            out[:, 0] = sums[0]
            np.multiply(a[:, None], sums[1], out=out[:, 1:])
            return out
        out = np.zeros((len(v), d, d))
        out[:, 0, 1:] = out[:, 1:, 0] = sums[0]
        out[:, 1:, 1:] = a[:, None, None] * sums[1]
        return out


@dataclass(frozen=True)
class Turning:
    """w an angle; X = x in the plane."""

    bias: bool = False

    def columns(self, x: Array) -> Array:
        """x."""
        return x

    def split(self, w: Array) -> tuple[Array | None, Array]:
        """(cos w, sin w)."""
        return None, np.column_stack([np.cos(w[:, 0]), np.sin(w[:, 0])])

    def orders(self, derivative: int) -> tuple[int, ...]:
        """The second derivative takes S1 too: the circle bends."""
        return ((0,), (1,), (1, 2))[derivative]

    def assembled(self, derivative: int, a: Array | None, v: Array, sums: tuple[Array, ...]) -> Array:
        """The second line of the head of this file."""
        if derivative == 0:
            return sums[0]
        along = np.column_stack([-v[:, 1], v[:, 0]])
        if derivative == 1:
            return np.sum(sums[0] * along, axis=1, keepdims=True)
        bend = np.einsum("jk,jkl,jl->j", along, sums[1], along) - np.sum(sums[0] * v, axis=1)
        return np.asarray(bend[:, None, None])


def ridge_of(neuron: Neuron) -> Ridge | None:
    """The neuron as a ridge function, None for one of another kind."""
    # a subclass may have redefined anything
    if type(neuron) is RidgeNeuron:
        return Affine(neuron.outer, neuron.bias)
    return Turning() if type(neuron) is CircleNeuron else None
