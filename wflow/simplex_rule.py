"""This file owns quadrature on a simplex: barycentric coordinates and weights of sum 1, of any degree."""

from functools import lru_cache

import numpy as np
from scipy.special import roots_jacobi

from wflow.arrays import Array


@lru_cache(maxsize=32)
def simplex_rule(dim: int, n: int) -> tuple[Array, Array]:
    """(n^dim, dim + 1) barycentric coordinates and (n^dim,) positive weights, exact for polynomials of degree 2n - 1.

    Gauss-Jacobi rules on the cube, collapsed to the simplex. Source: Stroud 1971, Approximate Calculation of Multiple
    Integrals, chapter 2.
    """
    left = np.zeros((1, 0))
    weights = np.ones(1)
    rest = np.ones(1)
    for axis in range(dim):
        nodes, share = roots_jacobi(n, dim - 1 - axis, 0.0)
        nodes, share = 0.5 * (1.0 + nodes), share / share.sum()
        along = np.multiply.outer(rest, nodes).ravel()
        left = np.column_stack([np.repeat(left, n, axis=0), along])
        rest = np.multiply.outer(rest, 1.0 - nodes).ravel()
        weights = np.multiply.outer(weights, share).ravel()
    points = np.column_stack([rest, left])
    points.flags.writeable = weights.flags.writeable = False
    return points, weights
