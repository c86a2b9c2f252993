"""This file owns losses of vector outputs f (n, q) against targets y (n, q), row by row."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import logsumexp, softmax

from wflow.arrays import Array


class VectorLoss(Protocol):
    """l(f_i, y_i) of each row, its gradient in f_i, and its Hessian in f_i times u_i."""

    def value(self, f: Array, y: Array) -> Array:
        """(n,)."""

    def slope(self, f: Array, y: Array) -> Array:
        """(n, q)."""

    def curvature(self, f: Array, u: Array) -> Array:
        """Hessian times u (n, q), row by row."""

    def check(self, y: Array) -> None:
        """Raises ValueError for targets that this loss does not take."""


@dataclass(frozen=True)
class HalfSquares:
    """|f - y|^2 / 2, summed over the outputs: F = R/2."""

    def value(self, f: Array, y: Array) -> Array:
        """|f - y|^2 / 2."""
        return 0.5 * np.sum((f - y) ** 2, axis=1)

    def slope(self, f: Array, y: Array) -> Array:
        """f - y."""
        return f - y

    def curvature(self, f: Array, u: Array) -> Array:
        """u."""
        return u

    def check(self, y: Array) -> None:
        """Any numbers."""


@dataclass(frozen=True)
class CrossEntropy:
    """log sum_k e^{f_k} - y . f, y a probability vector (one class, or shares): -sum_k y_k log softmax(f)_k.

    Its infimum is the entropy of y, 0 for one class and then not attained.
    """

    def value(self, f: Array, y: Array) -> Array:
        """log sum e^f - y . f."""
        return np.asarray(logsumexp(f, axis=1) - np.sum(y * f, axis=1))

    def slope(self, f: Array, y: Array) -> Array:
        """softmax(f) - y."""
        return np.asarray(softmax(f, axis=1) - y)

    def curvature(self, f: Array, u: Array) -> Array:
        """p (u - p . u), p = softmax(f)."""
        p = softmax(f, axis=1)
        return np.asarray(p * (u - np.sum(p * u, axis=1, keepdims=True)))

    def check(self, y: Array) -> None:
        """Rows that are no probability vectors are refused."""
        wrong = np.flatnonzero((np.min(y, axis=1) < 0.0) | (np.abs(np.sum(y, axis=1) - 1.0) > 1e-9))
        if len(wrong):
            raise ValueError(
                f"CrossEntropy targets: {len(wrong)} of {len(y)} rows are no probability vectors (first {wrong[0]}: "
                f"{y[wrong[0]]}); give one-hot rows or shares of sum 1, or use HalfSquares"
            )
