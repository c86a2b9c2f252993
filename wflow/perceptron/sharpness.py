"""This file owns the sharpness and the non-uniformity of a network's risk at a parameter, without matrices."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from wflow.arrays import Array, positive
from wflow.errors import NotConverged
from wflow.perceptron.hessian import hessian_times, variance_times
from wflow.perceptron.risk import Pass

_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Largest:
    """A number lambda of a symmetric matrix A, its vector v of length 1, and |A v - lambda v|.

    Some eigenvalue is within that of lambda (proved: A is symmetric). lambda <= the largest one, v being a vector; that
    it *is* near the largest one rests on Lanczos' start, drawn at random, not being orthogonal to it.
    """

    value: float
    residual: float
    vector: Array


def largest(
    times: Callable[[Array], Array], size: int, *, tolerance: float = 1e-6, floor: float = 0.0, seed: int = 0
) -> Largest:
    """The largest eigenvalue of a symmetric matrix of that size, given by its products, by Lanczos.

    floor: the rounding of the products, where a difference of two matrices may be 0. A matrix that takes the random
    start to exactly 0 is 0. Raises NotConverged where the residual is above tolerance times the value and above floor.
    Source: Lehoucq, Sorensen & Yang 1998, ARPACK users' guide, SIAM (through scipy.sparse.linalg.eigsh).
    """
    positive("largest tolerance", tolerance)
    start = np.random.default_rng(seed).standard_normal(size)
    if not np.any(times(start)):
        return Largest(0.0, 0.0, start / np.linalg.norm(start))
    if size < 3:
        numbers, vectors = np.linalg.eigh(np.stack([times(e) for e in np.eye(size)], axis=1))
        vector = vectors[:, -1]
    else:
        operator = LinearOperator((size, size), matvec=times, dtype=np.float64)
        try:
            numbers, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=0.1 * tolerance)
        except ArpackNoConvergence as error:
            raise NotConverged(f"Lanczos: no eigenvalue found ({error}); raise tolerance", math.inf) from error
        vector = vectors[:, 0]
    value = float(numbers[-1])
    residual = float(np.linalg.norm(times(vector) - value * vector))
    if residual > max(tolerance * abs(value), floor):
        raise NotConverged(
            f"Lanczos: |A v - lambda v| = {residual:.2e} > {tolerance:g} x {abs(value):.3e}; raise tolerance", residual
        )
    return Largest(value, residual, vector)


def sharpness(at: Pass, *, tolerance: float = 1e-6, seed: int = 0) -> Largest:
    """lambda_max of H = F'': gradient descent of step eta rests at a minimum only if it is at most 2/eta."""
    return largest(lambda v: hessian_times(at, v), len(at.theta), tolerance=tolerance, seed=seed)


def nonuniformity(at: Pass, *, tolerance: float = 1e-5, seed: int = 0) -> float:
    """s = lambda_max((1/n) sum_i H_i^2 - H^2)^(1/2), H_i the Hessian of row i, exact products; 0 for one row.

    A difference: s below 1e-6 |H|, as for rows that are alike, is rounding.
    Source: Wu, Ma & E 2018, NeurIPS 31.
    """
    if len(at.risk) == 1:
        return 0.0
    size = len(at.theta)
    # E |H g|^2 = |H|_F^2 for standard normal g
    square = float(np.sum(hessian_times(at, np.random.default_rng([seed, 1]).standard_normal(size)) ** 2))
    found = largest(
        lambda v: variance_times(at, v), size, tolerance=tolerance, floor=_ROUNDING * square, seed=seed
    )  # fmt: skip
    return math.sqrt(max(found.value, 0.0))
