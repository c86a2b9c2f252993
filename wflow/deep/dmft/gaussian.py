"""This file owns Gaussian fields whose covariance becomes known a time after the other, as samples.

    u(t) = sum_{s<=t} R(t, s) e(s),   R R^T = covariance,   e normal: rows of R by Cholesky in the order of time, so that
    a new time changes no field of an earlier one

Where what is new at a time has a variance below TINY of its own the column of R is zero: fields that stand still, equal
data, more times than the kernel has rank.

The normals e of a layer have mean zero and covariance the identity over the samples themselves, exactly: each new column
is made orthogonal to 1 and to those before it. So all second moments of fields are those asked for, which is a control
variate for every quadratic; for phi = id no sampling error is left at all.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from wflow.arrays import Array
from wflow.errors import NotConverged

TINY = 1e-13
"""Share of a variance below which what is new is rounding."""


@dataclass(frozen=True, eq=False)
class Field:
    """Normals (S/2, M) and factor R (M, M), filled block by block of P; signs: `mirrored` copies have the other sign."""

    normals: Array
    factor: Array
    live: Array
    mirrored: bool
    rng: np.random.Generator

    @classmethod
    def empty(cls, half: int, columns: int, mirrored: bool, rng: np.random.Generator) -> "Field":
        zeros = np.zeros((columns, columns))
        return cls(np.zeros((half, columns)), zeros, np.zeros(columns, dtype=bool), mirrored, rng)

    def grown(self, covariance: Array, first: int, last: int) -> Array:
        """Samples (S, last - first) of the fields first..last, from rows of covariance (M, M) up to `last`."""
        R, block = self.factor, slice(first, last)
        known = np.flatnonzero(self.live[:first])
        if len(known):
            R[block, known] = solve_triangular(R[np.ix_(known, known)], covariance[known, block], lower=True).T
        fresh = covariance[block, block] - R[block, :first] @ R[block, :first].T
        R[block, block] = pivoted(fresh, TINY * np.diag(covariance)[block])
        self.live[block] = np.diag(R)[block] > 0.0
        new = first + np.flatnonzero(self.live[block])
        if len(new):
            self.normals[:, new] = self._matched(len(new), first)
        values = self.normals[:, :last] @ R[block, :last].T
        return np.concatenate([values, -values if self.mirrored else values])

    def _matched(self, columns: int, first: int) -> Array:
        """New normals with moments exactly those of the law; twice, as rounding asks."""
        half = len(self.normals)
        old = np.concatenate([np.ones((half, 1)), self.normals[:, np.flatnonzero(self.live[:first])]], axis=1)
        e = self.rng.standard_normal((half, columns))
        for _ in range(2):
            e -= old @ (old.T @ e / half)
            e = np.linalg.solve(np.linalg.cholesky(e.T @ e / half), e.T).T
        return np.asarray(e)


def pivoted(covariance: Array, least: Array) -> Array:
    """The lower factor (P, P) column by column; a column whose pivot is not above `least` (P,) is zero.

    Raises NotConverged at a pivot that is negative beyond rounding: no covariance.
    """
    rest, R = covariance.copy(), np.zeros_like(covariance)
    for j in range(len(rest)):
        pivot = rest[j, j]
        if pivot < -1e4 * least[j]:
            raise NotConverged(f"dmft: a pivot of a covariance is {pivot:.1e}; take a smaller rate", abs(float(pivot)))
        if pivot > least[j]:
            R[j:, j] = rest[j:, j] / np.sqrt(pivot)
            rest[j:, j:] -= np.outer(R[j:, j], R[j:, j])
    return R
