"""This file owns separable kernels e^-c on the cells of a grid, and products with them in the log domain."""

import math
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array

_SAFE = 1e-270
"""Sums below it may lack terms that underflowed. A term underflows below 1e-307: n of them are 1e-30 of such a sum."""
_FAR = 9.0
"""Standard deviations at which an image is left out: e^-40 of the nearest."""


def geodesic_costs(n: int, variance: float, turns: bool) -> Array:
    """(n, n) squared distance over twice the variance, in cells; the short way round on a periodic axis."""
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(np.float64)
    if turns:
        apart = np.minimum(apart, n - apart)
    return np.asarray(apart**2 / (2.0 * variance))


def heat_costs(n: int, variance: float, turns: bool) -> Array:
    """(n, n) minus the logarithm of the heat kernel, reflected at walls or periodic, by images, up to a constant.

    Its rows have equal sums, at walls too: sum_j over cells and images is a sum over all integers.
    """
    i, j = np.ogrid[:n, :n]
    period = n if turns else 2 * n
    far = 1 + math.ceil(_FAR * math.sqrt(variance) / period)
    shifts = period * np.arange(-far, far + 1)
    images = [i - j + k for k in shifts] + ([] if turns else [i + j + 1 + k for k in shifts])
    costs = np.asarray(images, dtype=np.float64) ** 2 / (2.0 * variance)
    least = costs.min(axis=0)
    return np.asarray(least - np.log(np.exp(least - costs).sum(axis=0)))


@dataclass(frozen=True, eq=False)
class Axis:
    """A kernel along one axis: costs c (n, n), symmetric, and e^-c."""

    costs: Array
    kernel: Array

    @classmethod
    def of(cls, costs: Array) -> "Axis":
        """From costs."""
        return cls(costs, np.exp(-costs))

    def smoothed(self, f: Array) -> Array:
        """log sum_j e^(f_j - c_ij) for columns f (n, k); -inf where f is nothing else.

        One matrix product with e^(f - max f). Where its sum is so small that terms may have underflowed, more than
        some 600 below the column's maximum, the sum is made term by term.
        """
        top = f.max(axis=0)
        level = np.where(np.isfinite(top), top, 0.0)
        sums = self.kernel @ np.exp(f - level)
        rows, columns = np.nonzero((sums < _SAFE) & np.isfinite(top))
        with np.errstate(divide="ignore"):
            out = level + np.log(sums)
        if rows.size:
            from solvers.jko._log_sums import log_sums

            found = np.empty(rows.size)
            log_sums(np.ascontiguousarray(f.T), self.costs, rows, columns, found)
            out[rows, columns] = found
        return np.asarray(out)


@dataclass(frozen=True, eq=False)
class Gibbs:
    """A product of kernels along two axes; None on an axis of one cell."""

    first: Axis | None
    second: Axis | None

    def smoothed(self, f: Array) -> Array:
        """log sum_y K(x, y) e^f(y) for f (n0, n1), which may be -inf: two matrix products, no n^4."""
        if self.first is not None:
            f = self.first.smoothed(f)
        if self.second is not None:
            f = self.second.smoothed(f.T).T
        return f
