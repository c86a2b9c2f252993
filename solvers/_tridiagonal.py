"""This file owns tridiagonal and cyclic tridiagonal systems.

Row i:  lower_i x_{i-1} + diagonal_i x_i + upper_i x_{i+1} = right_i. Indices turn round where `cyclic`; else lower_0
and upper_{n-1} are ignored. Right sides (n,) or (n, q); n >= 4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dgttrf, dgttrs

from wflow.arrays import Array


def solve_tridiagonal(lower: Array, diagonal: Array, upper: Array, right: Array, cyclic: bool) -> Array:
    """x (n,) or (n, q) for one matrix used once. O(n q). Raises LinAlgError for a zero pivot."""
    if cyclic:
        return CyclicFactors.of(lower, diagonal, upper).solve(right)
    return Factors.of(lower, diagonal, upper).solve(right)


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
    def of(cls, lower: Array, diagonal: Array, upper: Array) -> "Factors":
        """Rows as at the top of this file."""
        below, pivots, above, filled, exchanged, info = dgttrf(lower[1:], diagonal, upper[:-1])
        if info:
            raise LinAlgError(f"tridiagonal matrix: pivot {info} is zero, it has no inverse")
        return cls(below, pivots, above, filled, exchanged)

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
class CyclicFactors:
    """The same on a circle, bordered: the last unknown z is eliminated from the head T of the others.

    T head + corner z = right,   corner = (lower_0, 0, .., 0, upper_{n-2}),   response = T^-1 corner
    first head_0 + last head_{n-2} + diagonal_{n-1} z = right_{n-1}
    """

    head: Factors
    response: Array
    first: float
    last: float
    pivot: float

    @classmethod
    def of(cls, lower: Array, diagonal: Array, upper: Array) -> "CyclicFactors":
        """Rows as at the top of this file."""
        head = Factors.of(lower[:-1], diagonal[:-1], upper[:-1])
        response, first, last = head.solve(_corner(lower[0], upper[-2], len(lower))), float(upper[-1]), float(lower[-1])
        return cls(head, response, first, last, float(diagonal[-1] - first * response[0] - last * response[-1]))

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
