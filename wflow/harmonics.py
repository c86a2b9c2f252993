"""This file owns spherical harmonics of points with weights: what a measure on the unit sphere is, degree by degree."""

from collections.abc import Iterator

import numpy as np

from wflow.arrays import Array, ComplexArray


def moments(points: Array, weights: Array, degree: int) -> ComplexArray:
    """(degree + 1, degree + 1) int Y_l^m dpi for l, m >= 0, 0 where m > l; points (n, 3) of length 1.

    Y_l^m = P_l^m(z) e^{i m phi}, orthonormal on the sphere; those of -m have the same absolute values.
    """
    out = np.zeros((degree + 1, degree + 1), dtype=np.complex128)
    turn = points[:, 0] + 1j * points[:, 1]
    power = weights.astype(np.complex128)
    for m in range(degree + 1):
        for place, values in enumerate(_columns(points[:, 2], m, degree)):
            out[m + place, m] = values @ power
        power = power * turn
    return out


def _columns(z: Array, m: int, degree: int) -> Iterator[Array]:
    """P_l^m(z)/(1 - z^2)^(m/2) for l = m .. degree, so normalised that Y_l^m has norm 1.

    sqrt(1 - z^2)^m e^{i m phi} = (x + i y)^m is left to the caller: no angle is needed, at the poles neither.
    P_l = a_l (z P_{l-1} - P_{l-2}/a_{l-1}), a_l^2 = (4 l^2 - 1)/(l^2 - m^2). Source: Press et al. 2007, Numerical
    Recipes, section 6.7.
    """
    k = np.arange(1, m + 1)
    before, now = (
        np.zeros_like(z),
        np.full_like(z, np.sqrt((2 * m + 1) / (4.0 * np.pi) * np.prod((2 * k - 1) / (2 * k)))),
    )
    yield now
    last = np.inf
    for n in range(m + 1, degree + 1):
        factor = np.sqrt((4.0 * n * n - 1.0) / (n * n - m * m))
        before, now = now, factor * (z * now - before / last)
        last = factor
        yield now
