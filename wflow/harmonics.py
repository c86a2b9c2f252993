"""This file owns real spherical harmonics of points of S^2 as polynomials in R^3, and sums of them with derivatives.

With the mean of Y^2 over the sphere equal to 1, so that sum_m Y_lm(w) Y_lm(w') = (2l + 1) P_l(w . w'):

    Y_lm + i Y_l,-m = Q_lm(z) (x + i y)^m,     Q_lm = N_lm d^m P_l/dz^m,     N_lm^2 = (2 - [m = 0]) (2l+1) (l-m)!/(l+m)!

No angle enters, and the poles are points like others. Q_lm' = Q_l,m+1 N_lm/N_l,m+1: derivatives need no new table.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, ComplexArray

_BLOCK = 1 << 21
_REMEMBERED = 4
_LARGEST = 1 << 25
"""Numbers of the largest table that is remembered."""


def legendre(t: Array, count: int) -> Array:
    """(count+1, m) P_0..P_count at t (m,), by the three-term recurrence."""
    out = np.ones((count + 1, len(t)))
    if count:
        out[1] = t
    for n in range(1, count):
        out[n + 1] = ((2 * n + 1) * t * out[n] - n * out[n - 1]) / (n + 1)
    return out


@lru_cache(maxsize=32)
def gauss_legendre(n: int) -> tuple[Array, Array]:
    """Nodes and weights (n,) on [-1, 1], exact to degree 2n - 1; an eigenvalue problem, solved once; read-only."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


@dataclass(frozen=True, eq=False)
class Table:
    """Q_lm at n points: columns (L+1, L+1, n) at [m, l], 0 for l < m, and powers (L+1, n) of x + i y."""

    columns: Array
    powers: ComplexArray

    @classmethod
    def of(cls, points: Array, degree: int) -> "Table":
        """At points (n, 3) of the sphere, for l <= degree.

        Q_lm = a_lm (z Q_l-1,m - Q_l-2,m/a_l-1,m), a_lm^2 = (4l^2 - 1)/(l^2 - m^2). Source: Holmes & Featherstone 2002,
        J. Geodesy 76, 279-299 (functions divided by sin^m).
        """
        z, turn = np.ascontiguousarray(points[:, 2]), points[:, 0] + 1j * points[:, 1]
        powers = np.ones((degree + 1, len(z)), dtype=np.complex128)
        for m in range(degree):
            np.multiply(powers[m], turn, out=powers[m + 1])
        columns = np.zeros((degree + 1, degree + 1, len(z)))
        first, a, b = _recurrence(degree)
        for m in range(degree + 1):
            columns[m, m] = first[m]
        for l in range(1, degree + 1):  # noqa: E741
            step = z * columns[:l, l - 1]
            if l > 1:
                step -= b[l, :l, None] * columns[:l, l - 2]
            np.multiply(step, a[l, :l, None], out=columns[:l, l])
        return cls(columns, powers)

    def moments(self, weights: Array) -> ComplexArray:
        """(L+1, L+1) sum_j weights_j (Y_lm + i Y_l,-m)(w_j) at [l, m], 0 for m > l."""
        count = len(self.columns)
        out = np.zeros((count, count), dtype=np.complex128)
        for m, column in enumerate(self.columns):
            turned = weights * self.powers[m]
            out[m:, m] = column[m:] @ turned.real + 1j * (column[m:] @ turned.imag)
        return out

    def lowered(self, coefficients: ComplexArray, times: int) -> ComplexArray:
        """(L+1, n) at [m]: the `times`-th derivative in z of sum_l coefficients_lm Q_lm."""
        count = len(self.columns)
        out = np.zeros((count, self.powers.shape[1]), dtype=np.complex128)
        for m in range(count - times):
            share = coefficients[m + times :, m] * _ratios(count - 1, m, times)
            column = self.columns[m + times, m + times :]
            out[m] = share.real @ column + 1j * (share.imag @ column)
        return out


@lru_cache(maxsize=16)
def _recurrence(degree: int) -> tuple[Array, Array, Array]:
    """Q_mm (L+1,), a_lm and 1/a_l-1,m (L+1, L+1) at [l, m], 0 where they are not used."""
    m = np.arange(degree + 1, dtype=np.float64)
    first = np.sqrt(np.cumprod(np.concatenate([[1.0], 1.0 + 0.5 / m[1:]])) * np.where(m > 0.0, 2.0, 1.0))
    below = m[:, None] ** 2 - m**2
    a = np.sqrt(np.where(below > 0.0, 4.0 * m[:, None] ** 2 - 1.0, 0.0) / np.where(below > 0.0, below, 1.0))
    b = np.zeros_like(a)
    b[1:] = np.divide(1.0, a[:-1], out=np.zeros_like(a[:-1]), where=a[:-1] > 0.0)
    return first, a, b


@lru_cache(maxsize=512)
def _ratios(degree: int, m: int, times: int) -> Array:
    """N_lm/N_l,m+times for l = m + times..degree."""
    l = np.arange(m + times, degree + 1, dtype=np.float64)  # noqa: E741
    out = np.full(len(l), math.sqrt(0.5) if m == 0 and times else 1.0)
    for k in range(m, m + times):
        out *= np.sqrt((l + k + 1.0) * (l - k))
    return out


def moments(points: Array, weights: Array, degree: int) -> ComplexArray:
    """(L+1, L+1) c_lm = sum_j weights_j (Y_lm + i Y_l,-m)(w_j), by blocks of points."""
    total = np.zeros((degree + 1, degree + 1), dtype=np.complex128)
    for table, rows in _tables(points, degree):
        total += table.moments(weights[rows])
    return total


def series(coefficients: ComplexArray, w: Array, derivative: int) -> Array:
    """sum_lm Re(conj(coefficients_lm) (Y_lm + i Y_l,-m)) at w (m, 3) of the sphere, its gradient or Hessian there.

    The gradient is tangent (m, 3), the Hessian (m, 3, 3) Riemannian: P D^2f P - (w . grad f) P with P = I - w w^T, f
    the polynomial in R^3.
    """
    return _series(coefficients, w, _tables(w, len(coefficients) - 1), derivative)


def convolved(shares: Array, points: Array, weights: Array, w: Array, derivative: int) -> Array:
    """sum_l shares_l sum_m Y_lm(w) sum_j weights_j Y_lm(w_j) at w, as `series`; one table where w are the points."""
    degree = len(shares) - 1
    if w is not points or len(w) > _rows(degree):
        return series(shares[:, None] * moments(points, weights, degree), w, derivative)
    tables = list(_tables(points, degree))
    return _series(shares[:, None] * tables[0][0].moments(weights), w, tables, derivative)


def _series(c: ComplexArray, w: Array, tables: Iterable[tuple[Table, slice]], derivative: int) -> Array:
    parts = [_polynomial(c.conj(), table, derivative) for table, _ in tables]
    jets = [np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)]
    return restricted(w, *(np.moveaxis(jet, -1, 0) for jet in jets))


def restricted(w: Array, value: Array, gradient: Array | None = None, hessian: Array | None = None) -> Array:
    """The last of value (m,), gradient (m, 3) and Hessian (m, 3, 3) in R^3, brought to the sphere at w (m, 3)."""
    if gradient is None:
        return value
    radial = np.sum(gradient * w, axis=1)
    if hessian is None:
        return np.asarray(gradient - radial[:, None] * w)
    tangent = np.eye(3) - w[:, :, None] * w[:, None, :]
    return np.asarray(tangent @ hessian @ tangent - radial[:, None, None] * tangent)


def _polynomial(c: ComplexArray, table: Table, derivative: int) -> tuple[Array, ...]:
    """Value (n,), gradient (3, n) and Hessian (3, 3, n) of the polynomial in R^3, up to `derivative`."""
    m = np.arange(len(c), dtype=np.float64)[:, None]
    once, twice = np.zeros_like(table.powers), np.zeros_like(table.powers)
    once[1:] = m[1:] * table.powers[:-1]
    twice[2:] = m[2:] * (m[2:] - 1.0) * table.powers[:-2]

    def joined(times: int, powers: ComplexArray) -> ComplexArray:
        return np.asarray(np.sum(table.lowered(c, times) * powers, axis=0))

    found: list[Array] = [joined(0, table.powers).real]
    if derivative > 0:
        along = joined(0, once)
        found.append(np.stack([along.real, -along.imag, joined(1, table.powers).real]))
    if derivative > 1:
        flat, mixed, up = joined(0, twice), joined(1, once), joined(2, table.powers)
        rows = [flat.real, -flat.imag, mixed.real], [-flat.imag, -flat.real, -mixed.imag]
        found.append(np.array([*rows, [mixed.real, -mixed.imag, up.real]]))
    return tuple(found)


_known: "OrderedDict[tuple[int, int], tuple[ReferenceType[Array], Table]]" = OrderedDict()


def _rows(degree: int) -> int:
    """Points of a block."""
    return max(1, _BLOCK // (degree + 1) ** 2)


def _tables(points: Array, degree: int) -> Iterator[tuple[Table, slice]]:
    """The table of all points, remembered where the array cannot change (read-only), else tables of blocks."""
    n, size = len(points), _rows(degree)
    if not points.flags.writeable and n * (degree + 1) ** 2 <= _LARGEST:
        yield _remembered(points, degree), slice(0, n)
        return
    for k in range(0, n, size):
        yield Table.of(points[k : k + size], degree), slice(k, k + size)


def _remembered(points: Array, degree: int) -> Table:
    key = (id(points), degree)
    if key in _known and _known[key][0]() is points:
        _known.move_to_end(key)
        return _known[key][1]
    table = Table.of(points, degree)
    _known[key] = (ref(points), table)
    while len(_known) > _REMEMBERED:
        _known.popitem(last=False)
    return table


def gradients(w: Array, degree: int) -> tuple[Array, NDArray[np.int64]]:
    """(m, 3, q) tangential gradients at w (m, 3) of all Y_lm with 1 <= l <= degree, and the l (q,) of each."""
    table = Table.of(w, degree)
    blocks, degrees = [], []
    for m in range(degree + 1):
        flat = m * table.columns[m, m:] * (table.powers[m - 1] if m else 0.0)
        up = np.zeros_like(table.columns[m, m:])
        if m < degree:
            up[1:] = _ratios(degree, m, 1)[:, None] * table.columns[m + 1, m + 1 :]
        turned = up * table.powers[m]
        # of the real parts, then of the imaginary ones
        blocks.append(np.stack([flat.real, -flat.imag, turned.real], axis=1))
        if m:
            blocks.append(np.stack([flat.imag, flat.real, turned.imag], axis=1))
        degrees += [np.arange(m, degree + 1)] * (2 if m else 1)
    whole, l = np.moveaxis(np.concatenate(blocks), 2, 0), np.concatenate(degrees)  # noqa: E741
    found = whole[:, l > 0] - np.sum(whole[:, l > 0] * w[:, None, :], axis=2, keepdims=True) * w[:, None, :]
    return np.asarray(np.moveaxis(found, 1, 2)), l[l > 0]
