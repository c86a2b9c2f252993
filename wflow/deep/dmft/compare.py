"""This file owns how far finite networks are from the limit: of single networks, and of their mean.

With e_r = value_r - limit of network r, |.|^2 the mean over entries,

    rms = (E |e|^2)^{1/2} = O(N^{-1/2}): fluctuations         bias = |E e| = O(1/N): what averaging cannot take away

The square of the bias is estimated without bias, |mean e|^2 - (trace of the variance of e)/R. "The kernel's error is
O(1/N)" is true of the bias and of E |e|^2; of a single network it is not.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, finite, shaped

_BLOCKS = 20


@dataclass(frozen=True)
class Difference:
    """rms and bias with their standard errors; a bias that noise hides (square below 0) is nan."""

    rms: float
    rms_error: float
    bias: float
    bias_error: float


def difference(values: Array, limit: Array) -> Difference:
    """Of R networks' values (R, ...) to the limit's (...); R >= 2. Errors by the jackknife over at most 20 blocks."""
    values = finite("difference values", values)
    if values.ndim < 1 or len(values) < 2:
        raise ValueError(f"difference values: shape {values.shape}: one network gives no error bar; give two or more")
    e = values.reshape(len(values), -1) - shaped("difference limit", limit, values.shape[1:]).reshape(-1)
    parts = np.array_split(np.arange(len(e)), min(_BLOCKS, len(e)))
    without = np.array([_squares(np.delete(e, part, axis=0)) for part in parts])
    square, square_error = _squares(e), np.sqrt(len(parts) - 1.0) * without.std(axis=0)
    root = np.sqrt(np.where(square > 0.0, square, np.nan))
    error = square_error / (2.0 * root)
    return Difference(float(root[0]), float(error[0]), float(root[1]), float(error[1]))


def _squares(e: Array) -> Array:
    """E |e|^2 and |E e|^2, both without bias."""
    middle = e.mean(axis=0)
    noise = np.sum((e - middle) ** 2, axis=0) / (len(e) - 1.0) / len(e) if len(e) > 1 else np.zeros_like(middle)
    return np.array([np.mean(e**2), np.mean(middle**2 - noise)])
