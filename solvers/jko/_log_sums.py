"""This file owns sums of exponentials term by term, compiled: where a matrix product would underflow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.compiled import kernel

_FAINT = -40.0
"""Below the largest exponent: e^-40 is no part of a sum."""


@kernel
def log_sums(f: Array, costs: Array, rows: NDArray[Any], columns: NDArray[Any], out: Array) -> None:
    """out_s = log sum_j e^(f[k, j] - costs[i, j]) at (i, k) = (rows_s, columns_s); -inf where every f[k] is."""
    for s in range(len(rows)):
        i, k, top = rows[s], columns[s], -np.inf
        for j in range(f.shape[1]):
            top = max(top, f[k, j] - costs[i, j])
        total = 0.0
        if top > -np.inf:
            for j in range(f.shape[1]):
                if f[k, j] - costs[i, j] - top > _FAINT:
                    total += np.exp(f[k, j] - costs[i, j] - top)
        out[s] = top + np.log(total)
