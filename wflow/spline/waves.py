"""This file owns waves of the cells of a grid, by which splines are fitted and densities warmed."""

import math

import numpy as np
from scipy.fft import dct, idct, irfft, rfft

from wflow.arrays import Array


def angles(n: int, turns: bool) -> Array:
    """The angles by which the waves of n cells advance from cell to cell: cosines between walls, else Fourier modes."""
    return np.asarray(math.pi * (2.0 * np.arange(n // 2 + 1) if turns else np.arange(n)) / n)


def scaled(field: Array, axis: int, turns: bool, factors: Array) -> Array:
    """A field (n0, n1) with each wave along an axis multiplied by a factor, in the order of `angles`."""
    factors = factors.reshape([-1 if k == axis else 1 for k in range(2)])
    if turns:
        return np.asarray(irfft(rfft(field, axis=axis) * factors, field.shape[axis], axis=axis))
    return np.asarray(idct(dct(field, axis=axis) * factors, axis=axis))
