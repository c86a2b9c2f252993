"""This file owns the intercepts of the affine functions whose maximum is the potential of semi-discrete transport.

    phi_i = (|x_i|^2 - g_i)/2,        L_i = { z : z.x_i - phi_i is largest for i },        phi_j - phi_i = z.(x_j - x_i)

on the wall of i and j, at most the atoms' distance times the box's size. phi_i itself is of the size of |x_i|: as one
number it places the wall to a rounding times |x_i|/|x_i - x_j|, and g_i worse, |x_i| times. So each is kept as a sum of
two numbers, (m, 2), the second below the rounding of the first: then walls are as exact as the atoms' distances are.
Source: Dekker 1971, Numer. Math. 18, 224-242 (sums and products as two numbers).
"""

import numpy as np

from wflow.arrays import Array
from wflow.compiled import in_order
from wflow.grid import Grid

_SPLIT = 134217729.0
"""2^27 + 1."""


@in_order
def gap(phi: Array, i: int, j: int) -> float:
    """phi_j - phi_i, rounded once but for what the second numbers add."""
    return float((phi[j, 0] - phi[i, 0]) + (phi[j, 1] - phi[i, 1]))


@in_order
def moved(first: float, second: float, t: float) -> tuple[float, float]:
    """first + second + t as two numbers."""
    total = first + t
    part = total - first
    rest = second + ((first - (total - part)) + (t - part))
    high = total + rest
    return high, rest - (high - total)


def shifted(phi: Array, t: Array) -> Array:
    """phi + t, t (m,)."""
    return _joined(*_sum(phi[:, 0], t), phi[:, 1])


def intercepts(x: Array, g: Array) -> Array:
    """phi (m, 2) of atoms x (m, 2) with potentials g (m,): |x|^2 to twice the digits."""
    whole, rest = _square(x[:, 0])
    other, more = _square(x[:, 1])
    phi = _joined(*_sum(whole, other), rest + more)
    return shifted(0.5 * phi, -0.5 * g)


def repeated_intercepts(x: Array, phi: Array, grid: Grid, every: Array) -> Array:
    """phi of `every`: the atoms x (m, 2), and their repetitions along periodic axes, whose g is the atoms'."""
    if len(every) == len(x):
        return phi
    copies = len(every) // len(x)
    turns = np.asarray(grid.domain.periodic)
    away = every - np.tile(x, (copies, 1))
    return shifted(np.tile(phi, (copies, 1)), 0.5 * np.sum(away * (every + np.tile(x, (copies, 1))) * turns, axis=1))


def _sum(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _square(a: Array) -> tuple[Array, Array]:
    """a^2, rounded, and what that lacks."""
    high = _SPLIT * a
    high = high - (high - a)
    low = a - high
    square = a * a
    return square, ((high * high - square) + 2.0 * high * low) + low * low


def _joined(high: Array, low: Array, more: Array) -> Array:
    rest = low + more
    total = high + rest
    return np.stack([total, rest - (total - high)], axis=1)
