"""This file owns tridiagonal and cyclic tridiagonal systems.

Two kinds: symmetric positive definite ones, and exchanges of mass between neighbours. Indices turn round where
`cyclic`. Right sides (n,) or (n, q); n >= 4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dgttrs, dpttrf, dpttrs

from wflow.arrays import Array


def definite(diagonal: Array, off: Array, cyclic: bool) -> "DefiniteFactors | CyclicFactors":
    """The factors of off_{i-1} x_{i-1} + diagonal_i x_i + off_i x_{i+1}; n-1 entries off the diagonal, n if cyclic.

    Raises LinAlgError for a matrix that is not positive definite.
    """
    return CyclicFactors.of_definite(diagonal, off) if cyclic else DefiniteFactors.of(diagonal, off)


def exchange(out: Array, back: Array, cyclic: bool) -> "Factors | CyclicFactors":
    """The matrix in which neighbours exchange mass, whose columns sum to 1, in factors without a subtraction.

        x_i + (out_i x_i - back_i x_{i+1}) - (out_{i-1} x_{i-1} - back_{i-1} x_i) = right_i,      out, back >= 0

    face i between cells i and i+1; n-1 faces, or n on the circle. Each step of `solve` adds numbers of one sign too, so
    a nonnegative right side has a nonnegative answer of the same sum, with few errors of rounding in each entry,
    whatever the size of `out` and `back`. Raises nothing: the pivots are at least 1.
    Source: Grassmann, Taksar & Heyman 1985, Oper. Res. 33(5), 1107-1116 (elimination without subtraction).
    """
    if cyclic:
        return CyclicFactors.of_exchange(out, back)
    return Factors.of_exchange(out, back, np.ones(len(out) + 1))


@dataclass(frozen=True, eq=False)
class Factors:
    """P T = L U of a tridiagonal matrix, in the form of LAPACK's gttrf."""

    below: Array
    pivots: Array
    above: Array
    filled: Array
    exchanged: NDArray[np.int32]

    @classmethod
    def of_exchange(cls, out: Array, back: Array, sums: Array) -> "Factors":
        """As in `exchange`, with column sums (n,) >= 1 instead of 1.

        Eliminating cell i leaves a matrix of the same kind in which cell i+1 has the sum below; its pivot is that sum
        plus out_{i+1}, where plain elimination would subtract almost equal numbers.
        """
        kept = [float(sums[0])]
        for o, b, s in zip(out.tolist(), back.tolist(), sums[1:].tolist(), strict=True):
            kept.append(s + b * (kept[-1] / (o + kept[-1])))
        pivots = np.array(kept)
        pivots[:-1] += out
        n = len(pivots)
        return cls(-out / pivots[:-1], pivots, -back, np.zeros(n - 2), np.arange(1, n + 1, dtype=np.int32))

    def solve(self, right: Array) -> Array:
        """x (n,) or (n, q). O(n q)."""
        x: Array = dgttrs(self.below, self.pivots, self.above, self.filled, self.exchanged, right)[0]
        return x


@dataclass(frozen=True, eq=False)
class DefiniteFactors:
    """L D L^T of a symmetric positive definite tridiagonal matrix, in the form of LAPACK's pttrf."""

    pivots: Array
    below: Array

    @classmethod
    def of(cls, diagonal: Array, off: Array) -> "DefiniteFactors":
        """As in `definite`, not cyclic."""
        pivots, below, info = dpttrf(diagonal, off)
        if info:
            raise LinAlgError(f"tridiagonal matrix: pivot {info} is not above zero, it is not positive definite")
        return cls(pivots, below)

    def solve(self, right: Array) -> Array:
        """x (n,) or (n, q). O(n q)."""
        x: Array = dpttrs(self.pivots, self.below, right)[0]
        return x


@dataclass(frozen=True, eq=False)
class CyclicFactors:
    """The same on a circle, bordered: the last unknown z is eliminated from the head T of the others.

    T head + corner z = right,   corner = (lower_0, 0, .., 0, upper_{n-2}),   response = T^-1 corner
    first head_0 + last head_{n-2} + diagonal_{n-1} z = right_{n-1}
    """

    head: "Factors | DefiniteFactors"
    response: Array
    first: float
    last: float
    pivot: float

    @classmethod
    def of_definite(cls, diagonal: Array, off: Array) -> "CyclicFactors":
        """As in `definite`."""
        head = DefiniteFactors.of(diagonal[:-1], off[:-2])
        response, first, last = head.solve(_corner(off[-1], off[-2], len(off))), float(off[-1]), float(off[-2])
        pivot = float(diagonal[-1] - first * response[0] - last * response[-1])
        if pivot <= 0.0:
            raise LinAlgError(f"cyclic tridiagonal matrix: the last pivot is {pivot:.3g}, it is not positive definite")
        return cls(head, response, first, last, pivot)

    @classmethod
    def of_exchange(cls, out: Array, back: Array) -> "CyclicFactors":
        """As in `exchange`. Columns sum to 1: diagonal_{n-1} - (first, 0.., last) response = 1 - sum(response)."""
        sums = np.ones(len(out) - 1)
        sums[0] += back[-1]
        sums[-1] += out[-2]
        head = Factors.of_exchange(out[:-2], back[:-2], sums)
        response = head.solve(_corner(-out[-1], -back[-2], len(out)))
        return cls(head, response, -float(back[-1]), -float(out[-2]), 1.0 - float(response.sum()))

    def solve(self, right: Array) -> Array:
        """x (n,) or (n, q). O(n q)."""
        free = self.head.solve(right[:-1])
        z = (right[-1] - self.first * free[0] - self.last * free[-1]) / self.pivot
        out = np.empty_like(right)
        out[:-1] = free - np.multiply.outer(self.response, z)
        out[-1] = z
        return out


def _corner(first: float, last: float, n: int) -> Array:
    corner = np.zeros(n - 1)
    corner[0] += first
    corner[-1] += last
    return corner
