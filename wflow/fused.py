"""This file owns sums over ridge functions sigma(x_i . v_j) as compiled loops: no array of all pairs is made.

Particles go through in blocks of BLOCK, copied coordinate by coordinate into rows that stay in the first cache:

    rows = [ v_1 (BLOCK) | ... | v_q (BLOCK) | sums (BLOCK) | ... ]

The data are the outer loop, four at a time, the particles of a block the inner one, which becomes vector code. Tuples
of columns have their length in their type: a kernel is compiled once for each q and each number of sums.
Importing this file imports numba; wflow.blocks is the same in plain numpy.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from wflow import elementary, formulas
from wflow.arrays import Array
from wflow.blocks import moments, unfolded
from wflow.compiled import by_type, kernel
from wflow.formulas import Formula, bend, slope, value

BLOCK = 256
AT_ONCE = 4

Columns = tuple[Array, ...]
Numbers = tuple[float, ...]


def entries(columns: Columns, i: int) -> Numbers:
    """The i-th entry of each column."""
    return tuple(float(column[i]) for column in columns)


def inner(x: Numbers, rows: Array, j: int) -> float:
    """x . v_j, the coordinates of v_j in rows[j], rows[j + BLOCK], ..."""
    return float(sum(x[k] * rows[j + k * BLOCK] for k in range(len(x))))


def gather(rows: Array, j: int, s: Numbers, y0: Numbers, y1: Numbers, y2: Numbers, y3: Numbers) -> None:
    """Add s_0 y0 + s_1 y1 + s_2 y2 + s_3 y3 to the sums in rows[j], rows[j + BLOCK], ..."""
    for c in range(len(y0)):
        rows[j + c * BLOCK] += s[0] * y0[c] + s[1] * y1[c] + s[2] * y2[c] + s[3] * y3[c]


# numba unrolls no loop over a tuple whose length it has to look up; a recursion over its type it does


@by_type(entries)
def _entries(columns: Any, i: Any) -> Any:
    if len(columns) == 0:
        return lambda columns, i: ()
    return lambda columns, i: (columns[0][i], *entries(columns[1:], i))


@by_type(inner)
def _inner(x: Any, rows: Any, j: Any) -> Any:
    if len(x) == 1:
        return lambda x, rows, j: x[0] * rows[j]
    return lambda x, rows, j: x[0] * rows[j] + inner(x[1:], rows, j + BLOCK)


@by_type(gather)
def _gather(rows: Any, j: Any, s: Any, y0: Any, y1: Any, y2: Any, y3: Any) -> Any:
    if len(y0) == 0:
        return lambda rows, j, s, y0, y1, y2, y3: None

    def code(rows: Any, j: Any, s: Any, y0: Any, y1: Any, y2: Any, y3: Any) -> None:
        rows[j] += (s[0] * y0[0] + s[1] * y1[0]) + (s[2] * y2[0] + s[3] * y3[0])
        gather(rows, j + BLOCK, s, y0[1:], y1[1:], y2[1:], y3[1:])

    return code


_kernel = partial(kernel, uses=(elementary, formulas))


@_kernel
def forward(sigma: Formula, x: Columns, v: Array, c: Array, f: Array) -> None:
    """f_i += sum_j c_j sigma(x_i . v_j) for v (m, q); x: q columns of a length divisible by four."""
    q, n, m = len(x), len(f), len(v)
    rows, share = np.empty(q * BLOCK), np.empty(BLOCK)
    for start in range(0, m, BLOCK):
        size = min(BLOCK, m - start)
        rows[:] = 0.0
        share[:] = 0.0
        for j in range(size):
            share[j] = c[start + j]
            for k in range(q):
                rows[k * BLOCK + j] = v[start + j, k]
        for i in range(0, n, AT_ONCE):
            x0, x1, x2, x3 = entries(x, i), entries(x, i + 1), entries(x, i + 2), entries(x, i + 3)
            f0, f1, f2, f3 = 0.0, 0.0, 0.0, 0.0
            for j in range(BLOCK):
                f0 += share[j] * value(sigma, inner(x0, rows, j))
                f1 += share[j] * value(sigma, inner(x1, rows, j))
                f2 += share[j] * value(sigma, inner(x2, rows, j))
                f3 += share[j] * value(sigma, inner(x3, rows, j))
            f[i] += f0
            f[i + 1] += f1
            f[i + 2] += f2
            f[i + 3] += f3


@_kernel
def backward(sigma: Formula, x: Columns, y: Columns, dy: Columns, ddy: Columns, v: Array, out: Array) -> None:
    """out (m, k): sum_i y_i sigma(x_i . v_j) for each column of y, sigma' for dy, sigma'' for ddy, side by side."""
    q, n, m = len(x), len(x[0]), len(v)
    sums = len(y) + len(dy) + len(ddy)
    rows = np.empty((q + sums) * BLOCK)
    for start in range(0, m, BLOCK):
        size = min(BLOCK, m - start)
        rows[:] = 0.0
        for j in range(size):
            for k in range(q):
                rows[k * BLOCK + j] = v[start + j, k]
        for i in range(0, n, AT_ONCE):
            x0, x1, x2, x3 = entries(x, i), entries(x, i + 1), entries(x, i + 2), entries(x, i + 3)
            y0, y1, y2, y3 = entries(y, i), entries(y, i + 1), entries(y, i + 2), entries(y, i + 3)
            dy0, dy1, dy2, dy3 = entries(dy, i), entries(dy, i + 1), entries(dy, i + 2), entries(dy, i + 3)
            ddy0, ddy1, ddy2, ddy3 = entries(ddy, i), entries(ddy, i + 1), entries(ddy, i + 2), entries(ddy, i + 3)
            for j in range(BLOCK):
                z = inner(x0, rows, j), inner(x1, rows, j), inner(x2, rows, j), inner(x3, rows, j)
                if len(y) > 0:
                    s = value(sigma, z[0]), value(sigma, z[1]), value(sigma, z[2]), value(sigma, z[3])
                    gather(rows, q * BLOCK + j, s, y0, y1, y2, y3)
                if len(dy) > 0:
                    s = slope(sigma, z[0]), slope(sigma, z[1]), slope(sigma, z[2]), slope(sigma, z[3])
                    gather(rows, (q + len(y)) * BLOCK + j, s, dy0, dy1, dy2, dy3)
                if len(ddy) > 0:
                    s = bend(sigma, z[0]), bend(sigma, z[1]), bend(sigma, z[2]), bend(sigma, z[3])
                    gather(rows, (q + len(y) + len(dy)) * BLOCK + j, s, ddy0, ddy1, ddy2, ddy3)
        for j in range(size):
            for k in range(sums):
                out[start + j, k] = rows[(q + k) * BLOCK + j]


@dataclass(frozen=True, eq=False)
class Fused:
    """Sums over sigma(X_i . v_j), X (n, q)."""

    sigma: Formula
    x: Array

    def at(self, v: Array) -> "FusedAt":
        """Particles v (m, q), finite and in one piece."""
        return FusedAt(self, v)

    def padded(self, y: Array) -> Columns:
        """The columns of y (n, k), with zeros up to a length divisible by four."""
        whole = np.zeros((y.shape[1], -(-len(y) // AT_ONCE) * AT_ONCE))
        whole[:, : len(y)] = y.T
        return tuple(whole)

    @cached_property
    def columns(self) -> Columns:
        """Those of X."""
        return self.padded(self.x)


@dataclass(frozen=True, eq=False)
class FusedAt:
    """The same at particles."""

    table: Fused
    v: Array

    def forward(self, c: Array) -> Array:
        """sum_j c_j sigma(X_i . v_j) (n,)."""
        columns = self.table.columns
        f = np.zeros(len(columns[0]))
        forward(self.table.sigma, columns, self.v, np.ascontiguousarray(c), f)
        return f[: len(self.table.x)]

    def backward(self, slope: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """S0 (m,), S1 (m, q), S2 (m, q, q) of wflow.ridge for those orders, increasing."""
        table, q = self.table, self.v.shape[1]
        y, dy, ddy = (table.padded(moments(table.x, slope, k)) if k in orders else () for k in (0, 1, 2))
        widths = [width for width in (len(y), len(dy), len(ddy)) if width]
        out = np.empty((len(self.v), sum(widths)))
        backward(table.sigma, table.columns, y, dy, ddy, self.v, out)
        parts = np.split(out, np.cumsum(widths)[:-1], axis=1)
        return tuple(unfolded(part, q, order) for order, part in zip(orders, parts, strict=True))
