"""This file owns the heat of cells between walls or round a circle, as a matrix an axis, and sums against it in logs.

exp(t Laplace_h), Laplace_h the second difference over h^2: nonnegative, symmetric, each row of sum 1, and away from
walls its rows have the variance 2 t exactly, however small beside h^2.
"""

import math
from functools import lru_cache

import numpy as np

from wflow.arrays import Array

_TERMS, _SMALL = 20, 1.0


@lru_cache(maxsize=8)
def heat(cells: int, periodic: bool, time: float) -> Array:
    """exp(t Laplace) (cells, cells) for t in squared widths; read-only.

    By Taylor's series of exp(t Laplace + c) and squaring, where nothing is negative: no entry is lost beside others.
    """
    halvings = max(0, math.ceil(math.log2(max(2.0 * time, 1e-300) / _SMALL)))
    t = time / 2.0**halvings
    step = t * (np.eye(cells, k=1) + np.eye(cells, k=-1))
    if periodic:
        step[0, -1] += t
        step[-1, 0] += t
    np.fill_diagonal(step, 2.0 * t - step.sum(axis=1))
    out, term = np.eye(cells), np.eye(cells)
    for k in range(1, _TERMS):
        term = term @ step / k
        out += term
    out /= out.sum(axis=1, keepdims=True)
    for _ in range(halvings):
        out = out @ out
        out /= out.sum(axis=1, keepdims=True)
    out = 0.5 * (out + out.T)
    out.flags.writeable = False
    return out


def averaged(logs: Array, fields: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """log K u (a, b) for log u (a, b), and K(u f)/K u for fields f (n, a, b); K the product of the two matrices.

    Along each axis the largest entry of a line is taken out before exponentials; a line of which sums still vanish, for
    all that a kernel reaches lies 1e-300 below it, is summed pair by pair.
    """
    inner, middle = _along(logs, fields, second)
    outer, means = _along(inner.T, np.swapaxes(middle, 1, 2), first)
    return outer.T, np.swapaxes(means, 1, 2)


def _along(logs: Array, fields: Array, kernel: Array) -> tuple[Array, Array]:
    """The same along the last axis."""
    top = logs.max(axis=1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    u = np.exp(logs - shift)
    sums = u @ kernel
    means = np.divide((u * fields) @ kernel, sums, out=np.zeros_like(fields), where=sums > 0.0)
    with np.errstate(divide="ignore"):
        found = np.log(sums) + shift
    for line in np.flatnonzero(np.isfinite(top[:, 0]) & (sums == 0.0).any(axis=1)):
        found[line], means[:, line] = _by_pairs(logs[line], fields[:, line], kernel)
    return found, means


def _by_pairs(logs: Array, fields: Array, kernel: Array) -> tuple[Array, Array]:
    """One line: log sums (c,) and means (n, c), each sum with its own largest term taken out."""
    with np.errstate(divide="ignore"):
        pairs = logs[:, None] + np.log(kernel)
        top = pairs.max(axis=0)
        u = np.exp(pairs - np.where(np.isfinite(top), top, 0.0))
        sums = u.sum(axis=0)
        return np.log(sums) + np.where(np.isfinite(top), top, 0.0), fields @ u / np.maximum(sums, np.finfo(float).tiny)
