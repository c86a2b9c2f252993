"""This file owns exponents of power laws, fitted in logarithms."""

import numpy as np
from numpy.typing import ArrayLike

from wflow.arrays import Array


def exponents(sizes: ArrayLike, values: ArrayLike) -> Array:
    """r of values ~ size^r by least squares of logarithms, for each column of values (k, ...): (...).

    nan for a column in which a value has no logarithm: what is claimed of it fails.   ValueError for fewer than two
    sizes, or other than one row a size.
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or y.shape[:1] != x.shape or len(np.unique(x)) < 2:
        raise ValueError(f"exponents: sizes {x.shape} and values {y.shape}; give a row a size, and two sizes or more")
    x = np.log(x)
    x -= x.mean()
    logarithms = np.log(np.where(y > 0.0, y, np.nan))
    return np.asarray(np.tensordot(x, logarithms, axes=1) / (x @ x))
