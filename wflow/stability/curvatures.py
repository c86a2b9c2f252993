"""This file owns the curvatures H_i = A_i A_i^T of n losses at a common minimum, kept by their factors.

A loss l(f(w, x_i), y_i) that is least at the minimum has H_i = l'' grad f grad f^T there, a rank for each output: so r
vectors of R^d a datum say all, and H_i C H_i is a few products of (n r, d) with (d, d), in no array of n (d, d).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from wflow.arrays import Array, count, finite, shaped

_ROUNDING = 1e-10
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Curvatures:
    """H_i = sum_k v_ik v_ik^T for i = 1 .. n; factors v (n, r, d), or (n, d) where each has rank one."""

    factors: Array

    def __post_init__(self) -> None:
        given = finite("Curvatures factors", self.factors)
        if given.ndim == 2:
            given = given[:, None, :]
        object.__setattr__(self, "factors", shaped("Curvatures factors", given, (None, None, None)))
        if not np.any(self.factors):
            raise ValueError("Curvatures factors: all are 0, so that every step stays; give one that is not")

    @staticmethod
    def of_matrices(matrices: ArrayLike) -> "Curvatures":
        """Of H_i (n, d, d), symmetric positive semidefinite to 1e-10 of their size."""
        given = finite("of_matrices matrices", matrices)
        if given.ndim != 3 or given.shape[1] != given.shape[2] or not len(given):
            raise ValueError(f"of_matrices matrices: expected shape (n, d, d), got {given.shape}; stack the H_i")
        size = float(np.max(np.abs(given)))
        values, vectors = np.linalg.eigh(0.5 * (given + given.transpose(0, 2, 1)))
        off = float(np.max(np.abs(given - given.transpose(0, 2, 1))))
        if off > _ROUNDING * size or values.min() < -_ROUNDING * size:
            raise ValueError(
                f"of_matrices matrices: not symmetric by {off:g}, least eigenvalue {values.min():g}; at a global "
                "minimum each H_i is symmetric and positive semidefinite"
            )
        return Curvatures(np.sqrt(np.maximum(values, 0.0))[:, :, None] * vectors.transpose(0, 2, 1))

    @staticmethod
    def of_gram(gram: ArrayLike, *, data: int) -> "Curvatures":
        """Of vectors known by their inner products v_ik . v_jl (n r, n r), rows i r + k, for `data` = n losses.

        In coordinates of their span, which is all that T sees: for networks of a million parameters n r axes. Of a
        network with half-square loss at f = y the v_ik are grad f_k(x_i) (Pass.tangents of wflow.perceptron).
        Eigenvalues below n r eps of the largest, rounding of the products, are taken for 0.
        """
        n = count("of_gram data", data)
        given = finite("of_gram gram", gram)
        if given.ndim != 2 or given.shape[0] != given.shape[1] or not len(given) or len(given) % n:
            raise ValueError(f"of_gram gram: shape {given.shape} for {n} losses; give (n r, n r), r vectors of each")
        size, off = float(np.max(np.abs(given))), float(np.max(np.abs(given - given.T)))
        if size == 0.0:
            raise ValueError("of_gram gram: all are 0, so that every step stays; give one that is not")
        values, vectors = np.linalg.eigh(0.5 * (given + given.T))
        if off > _ROUNDING * size or values[0] < -_ROUNDING * size * len(given):
            raise ValueError(
                f"of_gram gram: not symmetric by {off:g}, least eigenvalue {values[0]:g}; products of vectors are "
                "symmetric and positive semidefinite"
            )
        kept = values > len(given) * _EPS * values[-1]
        return Curvatures((vectors[:, kept] * np.sqrt(values[kept])).reshape(n, len(given) // n, -1))

    @property
    def count(self) -> int:
        """n."""
        return len(self.factors)

    @property
    def dim(self) -> int:
        """d."""
        return int(self.factors.shape[2])

    @cached_property
    def mean(self) -> Array:
        """H = (1/n) sum_i H_i (d, d)."""
        flat = self.factors.reshape(-1, self.dim)
        return np.asarray(flat.T @ flat / self.count)

    def between(self, c: Array) -> Array:
        """(1/n) sum_i H_i C H_i (d, d), for symmetric C: O(n r d (d + r))."""
        v = self.factors
        inner = (v.reshape(-1, self.dim) @ c).reshape(v.shape) @ v.transpose(0, 2, 1)
        outer = inner @ v
        return np.asarray(v.reshape(-1, self.dim).T @ outer.reshape(-1, self.dim) / self.count)

    @cached_property
    def covariance(self) -> Array:
        """Sigma = (1/n) sum_i H_i^2 - H^2 (d, d)."""
        return np.asarray(self.between(np.eye(self.dim)) - self.mean @ self.mean)

    @cached_property
    def sharpness(self) -> float:
        """a, the largest eigenvalue of H."""
        return float(np.linalg.eigvalsh(self.mean)[-1])

    @cached_property
    def nonuniformity(self) -> float:
        """s, the largest eigenvalue of Sigma^(1/2)."""
        return math.sqrt(max(0.0, float(np.linalg.eigvalsh(self.covariance)[-1])))

    @cached_property
    def spanned(self) -> "Curvatures":
        """The same in coordinates of the range of H, axes along eigenvectors: H is diagonal there and above 0.

        No H_i moves, or sees, what is orthogonal to that range. Singular values below (n r or d) eps of the largest are
        taken for 0. With n r < d the work is that of n r axes, whatever d.
        """
        flat = self.factors.reshape(-1, self.dim)
        left, values, _ = np.linalg.svd(flat, full_matrices=False)
        kept = values > max(flat.shape) * _EPS * values[0]
        return Curvatures((left[:, kept] * values[kept]).reshape(*self.factors.shape[:2], -1))
