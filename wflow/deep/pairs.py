"""This file owns the weights between two hidden layers: a function w(c, c') on pairs of nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, shaped


@dataclass(frozen=True, eq=False)
class Pairs:
    """w(c, c') = table[c, c'] + sum_k left[k, c] right[k, c'], on n times m pairs of nodes.

    table: (n, m), or None where the sum of products is all: memory r (n + m) then.   left: (r, n).   right: (r, m).
    A gradient is a sum of as many products as there are data, so that stages of a Runge-Kutta step need no new table.
    """

    table: Array | None
    left: Array
    right: Array

    @classmethod
    def full(cls, table: Array) -> "Pairs":
        """A table alone."""
        values = shaped("Pairs table", table, (None, None))
        return cls(values, np.empty((0, values.shape[0])), np.empty((0, values.shape[1])))

    @classmethod
    def products(cls, left: Array, right: Array) -> "Pairs":
        """sum_k left[k] right[k] alone."""
        first = shaped("Pairs left", left, (None, None))
        return cls(None, first, shaped("Pairs right", right, (len(first), None)))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return self.left.shape[1], self.right.shape[1]

    @property
    def rank(self) -> int:
        """r, the number of products beside the table."""
        return len(self.left)

    def forward(self, a: Array) -> Array:
        """sum_c a(., c) w(c, c') (k, m) of a (k, n)."""
        if self.table is None:
            return np.asarray((a @ self.left.T) @ self.right)
        found = np.asarray(a @ self.table)
        if self.rank:
            found += (a @ self.left.T) @ self.right
        return found

    def backward(self, b: Array) -> Array:
        """sum_c' b(., c') w(c, c') (k, n) of b (k, m)."""
        if self.table is None:
            return np.asarray((b @ self.right.T) @ self.left)
        found = np.asarray(b @ self.table.T)
        if self.rank:
            found += (b @ self.right.T) @ self.left
        return found

    def plus(self, terms: Sequence[tuple[float, Array, Array]]) -> "Pairs":
        """w + sum_j scale_j left_j^T right_j. Beside a table the products stay apart while they cost less than it."""
        left = np.concatenate([self.left, *(scale * a for scale, a, _ in terms)])
        right = np.concatenate([self.right, *(b for _, _, b in terms)])
        grown = Pairs(self.table, left, right)
        return grown.settled() if 2 * grown.rank > min(self.shape) else grown

    def settled(self) -> "Pairs":
        """The same with all products added into the table, where there is one."""
        if self.table is None or not self.rank:
            return self
        values = self.left.T @ self.right
        values += self.table
        return Pairs(values, self.left[:0], self.right[:0])

    def values(self) -> Array:
        """The whole table (n, m)."""
        products = self.left.T @ self.right
        return np.asarray(products if self.table is None else products + self.table)

    def block(self, rows: slice, columns: slice) -> "Pairs":
        """The same on fewer nodes."""
        table = None if self.table is None else self.table[rows, columns]
        return Pairs(table, self.left[:, rows], self.right[:, columns])
