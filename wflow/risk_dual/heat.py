"""This file owns the heat of cells between walls or round a circle, as a matrix an axis, and sums against it in logs.

exp(t Laplace_h), Laplace_h the second difference over h^2: nonnegative, symmetric, each row of sum 1, and away from
walls its rows have the variance 2 t exactly, however small beside h^2.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from scipy.special import ive, logsumexp

from wflow.arrays import Array

_FAR = 12.0
"""Standard deviations beyond which images are left out, the nearest ones excepted."""
_TINY = 1e-280
"""Below it Bessel's functions are taken from their logarithms: terms of one order and large argument or order."""


@dataclass(frozen=True, eq=False)
class Heat:
    """A matrix of nonnegative entries (c, c) and their logarithms, which do not underflow."""

    kernel: Array
    logs: Array

    @classmethod
    def of(cls, kernel: Array) -> Self:
        """From entries that are exact, such as 0 and 1."""
        with np.errstate(divide="ignore"):
            return cls(kernel, np.log(kernel))

    def beside(self, other: "Heat") -> "Heat":
        """The Kronecker product: cells of two axes in one."""
        n, m = len(self.logs), len(other.logs)
        logs = self.logs[:, None, :, None] + other.logs[None, :, None, :]
        return Heat(np.asarray(np.kron(self.kernel, other.kernel), dtype=np.float64), logs.reshape(n * m, n * m))


@lru_cache(maxsize=8)
def heat(cells: int, periodic: bool, time: float) -> Heat:
    """exp(t Laplace) (cells, cells) for t in squared widths; read-only.

    On all integers its entries are k_d = e^(-2t) I_d(2t), I Bessel's function of the distance; walls and circles add
    images. In logarithms: every cell is reached, however little.
    """
    period = cells if periodic else 2 * cells
    far = 1 + math.ceil(_FAR * math.sqrt(2.0 * time) / period)
    apart = np.abs(np.arange(-(far + 1) * period, (far + 1) * period + 1))
    line = _log_bessel(np.arange(apart.max() + 1), time)
    i, j = np.ogrid[:cells, :cells]
    shifts = [m * period for m in range(-far, far + 1)]
    images = [i - j + m for m in shifts] + ([] if periodic else [i + j + 1 + m for m in shifts])
    logs = logsumexp(np.stack([line[np.abs(image)] for image in images]), axis=0)
    logs = logs - logsumexp(logs, axis=1, keepdims=True)
    logs = 0.5 * (logs + logs.T)
    kernel = np.exp(logs)
    logs.flags.writeable = kernel.flags.writeable = False
    return Heat(kernel, logs)


def _log_bessel(d: Array, t: float) -> Array:
    """log e^(-2t) I_d(2t) for d = 0, 1, ..: by scipy, and where that underflows by Debye's expansion, to 1e-4 there.

    Source: Abramowitz & Stegun 1964, Handbook of Mathematical Functions, 9.7.7.
    """
    found = ive(d, 2.0 * t)
    with np.errstate(divide="ignore"):
        out = np.log(found)
    small = (found < _TINY) & (d > 0)
    n = d[small].astype(np.float64)
    z = 2.0 * t / n
    root = np.sqrt(1.0 + z * z)
    bend = root + np.log(z / (1.0 + root))
    first = (3.0 / root - 5.0 / root**3) / (24.0 * n)
    out[small] = n * bend - 0.5 * np.log(2.0 * math.pi * n * root) + np.log1p(first) - 2.0 * t
    return np.asarray(out)


def averaged(logs: Array, fields: Array, first: Heat, second: Heat) -> tuple[Array, Array]:
    """log K u (a, b) for log u (a, b), and K(u f)/K u for fields f (n, a, b); K the product of the two matrices.

    Along each axis the largest entry of a line is taken out before exponentials; a line of which sums still vanish, for
    all that a kernel reaches lies 1e-300 below it, is summed pair by pair.
    """
    inner, middle = _along(logs, fields, second)
    outer, means = _along(inner.T, np.swapaxes(middle, 1, 2), first)
    return outer.T, np.swapaxes(means, 1, 2)


def _along(logs: Array, fields: Array, heat: Heat) -> tuple[Array, Array]:
    """The same along the last axis."""
    top = logs.max(axis=1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    u = np.exp(logs - shift)
    sums = u @ heat.kernel
    means = np.divide((u * fields) @ heat.kernel, sums, out=np.zeros_like(fields), where=sums > 0.0)
    with np.errstate(divide="ignore"):
        found = np.log(sums) + shift
    for line in np.flatnonzero(np.isfinite(top[:, 0]) & (sums < _TINY).any(axis=1)):
        found[line], means[:, line] = _by_pairs(logs[line], fields[:, line], heat.logs)
    return found, means


def _by_pairs(logs: Array, fields: Array, kernel_logs: Array) -> tuple[Array, Array]:
    """One line: log sums (c,) and means (n, c), each sum with its own largest term taken out."""
    with np.errstate(divide="ignore"):
        pairs = logs[:, None] + kernel_logs
        top = pairs.max(axis=0)
        u = np.exp(pairs - np.where(np.isfinite(top), top, 0.0))
        sums = u.sum(axis=0)
        return np.log(sums) + np.where(np.isfinite(top), top, 0.0), fields @ u / np.maximum(sums, np.finfo(float).tiny)
