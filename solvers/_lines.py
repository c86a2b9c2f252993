"""This file owns exchanges of mass between neighbours along many lines at once, in factors without a subtraction.

    x_i + (out_i x_i - back_i x_{i+1}) - (out_{i-1} x_{i-1} - back_{i-1} x_i) = right_i,      out, back >= 0

as in solvers._tridiagonal.exchange, for (n, q): q lines of n cells; face i between cells i and i+1, n-1 faces a line or
n where `cyclic`. Each step adds numbers of one sign: a nonnegative right side has a nonnegative answer of the same sum.
Source: Grassmann, Taksar & Heyman 1985, Oper. Res. 33(5), 1107-1116 (elimination without subtraction).
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array


def exchange_lines(out: Array, back: Array, cyclic: bool) -> "Lines | CyclicLines":
    """The factors of all lines; out, back (faces, q)."""
    return CyclicLines.of(out, back) if cyclic else Lines.of(out, back, np.ones((len(out) + 1, out.shape[1])))


@dataclass(frozen=True, eq=False)
class Lines:
    """L U of each line: down_i = out_i / pivot_i is what cell i hands on; up_i = back_i / pivot_i what comes back."""

    down: Array
    up: Array
    pivots: Array

    @classmethod
    def of(cls, out: Array, back: Array, sums: Array) -> "Lines":
        """With column sums (n, q) >= 1; eliminating cell i leaves a matrix of the same kind one cell shorter."""
        pivots, kept = np.empty_like(sums), sums[0].copy()
        share = np.empty_like(kept)
        for rate, rate_back, added, pivot in zip(out, back, sums[1:], pivots[:-1], strict=True):
            np.add(kept, rate, out=pivot)
            np.divide(kept, pivot, out=share)
            np.multiply(rate_back, share, out=share)
            np.add(added, share, out=kept)
        pivots[-1] = kept
        return cls(out / pivots[:-1], back / pivots[:-1], pivots)

    def solve(self, right: Array) -> Array:
        """x (n, q)."""
        x = np.empty_like(right)
        x[0] = right[0]
        for factor, here, after, given in zip(self.down, x[:-1], x[1:], right[1:], strict=True):
            np.multiply(factor, here, out=after)
            np.add(after, given, out=after)
        x /= self.pivots
        share = np.empty_like(x[0])
        for factor, here, after in zip(self.up[::-1], x[-2::-1], x[:0:-1], strict=True):
            np.multiply(factor, after, out=share)
            np.add(here, share, out=here)
        return x


@dataclass(frozen=True, eq=False)
class CyclicLines:
    """The same on circles, bordered: the last cell z is eliminated from the others, T head = right + corner z."""

    head: Lines
    response: Array
    first: Array
    last: Array
    pivot: Array

    @classmethod
    def of(cls, out: Array, back: Array) -> "CyclicLines":
        """Columns sum to 1, so the last pivot is 1 plus what the others leave of the response's mass."""
        n = len(out)
        sums = np.ones((n - 1, out.shape[1]))
        sums[0] += back[-1]
        sums[-1] += out[-2]
        head = Lines.of(out[:-2], back[:-2], sums)
        corner = np.zeros_like(sums)
        corner[0] += out[-1]
        corner[-1] += back[-2]
        response = head.solve(corner)
        return cls(head, response, back[-1], out[-2], 1.0 + response.sum(axis=0))

    def solve(self, right: Array) -> Array:
        """x (n, q)."""
        free = self.head.solve(right[:-1])
        z = (right[-1] + self.first * free[0] + self.last * free[-1]) / self.pivot
        return np.concatenate((free + self.response * z, z[None]), axis=0)
