"""This file owns Gaussian fields whose covariance becomes known a time after the other, as samples.

    u(t) = sum_{s<=t} R(t, s) e(s),   e normal,   R R^T = covariance,  R lower triangular in the order of time

so that a new time changes no field of an earlier one. R is the Cholesky factor of the covariance <F F>, taken from the
columns F (of phi(h), of g, of the inputs) by orthogonalisation, F = Q R^T: the covariance itself has the square of
their condition, and of fields that move slowly it cannot be factored (seen: pivots of -1e-8). What is new in a column
is dropped below TINY of its size: fields that stand still, equal data, more times than the kernel has rank.

The normals e of a layer have mean zero and covariance the identity over the samples themselves, exactly: each new
column is made orthogonal to 1 and to those before it. So all second moments of fields are those asked for, which is a
control variate for every quadratic; for phi = id no sampling error is left at all.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array

TINY = 1e-12
"""Share of a column's size below which what is new in it is rounding."""


@dataclass(frozen=True, eq=False)
class Field:
    """basis Q (rows of F, M), factor R (M, M) and normals e (S/2, M), filled column by column.

    mirrored: the second half of the samples has the other sign, else the same.
    """

    basis: Array
    factor: Array
    normals: Array
    live: Array
    mirrored: bool
    rng: np.random.Generator

    @classmethod
    def empty(cls, rows: int, half: int, columns: int, mirrored: bool, rng: np.random.Generator) -> "Field":
        basis, factor, normals = (np.zeros((size, columns)) for size in (rows, columns, half))
        return cls(basis, factor, normals, np.zeros(columns, dtype=bool), mirrored, rng)

    def grown(self, first: int, columns: Array) -> Array:
        """Samples (S, P) of the fields first, .., first + P - 1, whose columns F are (rows, P)."""
        last = first + columns.shape[1]
        for j in range(first, last):
            self._factored(j, columns[:, j - first])
        new = first + np.flatnonzero(self.live[first:last])
        if len(new):
            self.normals[:, new] = self._matched(len(new), self.live[:first])
        values = self.normals[:, :last] @ self.factor[first:last, :last].T
        return np.concatenate([values, -values if self.mirrored else values])

    def _factored(self, j: int, column: Array) -> None:
        """Row j of R and column j of Q; projected twice, as rounding asks."""
        rest, rows = column.copy(), len(column)
        for _ in range(2):
            along = self.basis[:, :j].T @ rest / rows
            rest -= self.basis[:, :j] @ along
            self.factor[j, :j] += along
        size = float(np.linalg.norm(rest)) / rows**0.5
        if size > TINY * float(np.linalg.norm(column)) / rows**0.5:
            self.factor[j, j], self.basis[:, j], self.live[j] = size, rest / size, True

    def _matched(self, columns: int, live: Array) -> Array:
        """New normals with moments exactly those of the law; twice likewise."""
        half = len(self.normals)
        old = np.concatenate([np.ones((half, 1)), self.normals[:, np.flatnonzero(live)]], axis=1)
        e = self.rng.standard_normal((half, columns))
        for _ in range(2):
            e -= old @ (old.T @ e / half)
            e = np.linalg.solve(np.linalg.cholesky(e.T @ e / half), e.T).T
        return np.asarray(e)
