"""This file owns tridiagonal and cyclic tridiagonal systems with positive pivots.

Row i:  lower_i x_{i-1} + diagonal_i x_i + upper_i x_{i+1} = right_i. Indices turn round where `cyclic`; else lower_0
and upper_{n-1} are ignored. Right sides (n,) or (n, q).
"""

import numpy as np
from scipy.linalg import solve_banded

from wflow.arrays import Array


def solve_tridiagonal(lower: Array, diagonal: Array, upper: Array, right: Array, cyclic: bool) -> Array:
    """x (n,) or (n, q). O(n q). For an M-matrix and a nonnegative right side every operation but one pivot difference
    adds numbers of one sign, so the answer is nonnegative in floating point as well."""
    if not cyclic:
        return _banded(lower, diagonal, upper, right)
    # eliminate the last unknown z: the head solves T head = right - corner z, corner = (lower_0, 0.., upper_{n-2})
    corner = np.zeros(len(diagonal) - 1)
    corner[0] += lower[0]
    corner[-1] += upper[-2]
    head = right[:-1] if right.ndim == 2 else right[:-1, None]
    both = np.concatenate([head, corner[:, None]], axis=1)
    solved = _banded(lower[:-1], diagonal[:-1], upper[:-1], both)
    free, response = solved[:, :-1], solved[:, -1]
    pivot = diagonal[-1] - upper[-1] * response[0] - lower[-1] * response[-1]
    last = (right[-1] - upper[-1] * free[0] - lower[-1] * free[-1]) / pivot
    out = np.concatenate([free - response[:, None] * last, np.atleast_1d(last)[None, :]])
    return np.asarray(out if right.ndim == 2 else out[:, 0])


def _banded(lower: Array, diagonal: Array, upper: Array, right: Array) -> Array:
    bands = np.zeros((3, len(diagonal)))
    bands[0, 1:], bands[1], bands[2, :-1] = upper[:-1], diagonal, lower[1:]
    return np.asarray(solve_banded((1, 1), bands, right, overwrite_ab=True, check_finite=False))
