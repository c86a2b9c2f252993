"""This file owns sums over vectors of R^d of the arc-cosine kernel of degree 1, that of relu under Gaussian inputs.

    k1(b, u) = E relu(b . x) relu(u . x) = |b| |u| (sin phi + (pi - phi) cos phi)/2 pi,   x ~ N(0, I_d), phi their angle
    grad_b k1 = (|u| sin phi b/|b| + (pi - phi) u)/2 pi
    hess_b k1 = |u|/(2 pi |b|) sin phi (I - b b^T/|b|^2 + e e^T),   e the unit vector of u - (u . b) b/|b|^2

(derived; the second line by d phi = -e . db/|b|, in which the terms with d phi of the gradient of the first cancel.)
Cosines come from a product of matrices and are off by d u, u the rounding unit; so are values and gradients: the slope
of sin phi b + (pi - phi) u in phi is at most sin phi, and phi is off by d u/sin phi.
Source of the kernel: Cho & Saul 2009, NeurIPS 22. O(m n d), in blocks; from 20000 pairs on compiled where numba is.
"""

import math

import numpy as np

from wflow import compiled
from wflow.arrays import Array

_MANY = 20_000
_BLOCK = 1 << 18


def arc_cosine(cosine: Array) -> Array:
    """(sin phi + (pi - phi) cos phi)/2 pi by cos phi in [-1, 1], of any shape: k1 of unit vectors."""
    sine = np.sqrt((1.0 - cosine) * (1.0 + cosine))
    return np.asarray((sine + (math.pi - np.arccos(cosine)) * cosine) / (2.0 * math.pi))


def space_sums(units: Array, charges: Array, at: Array, derivative: int) -> Array:
    """sum_j charges_j k1(b, units_j) at unit vectors b = at (m, d), or its gradient (m, d) or Hessian (m, d, d) there.

    units (n, d) of length 1. The sum is homogeneous of degree 1 in b, so its derivatives are of degree 0 and -1.
    """
    size = max(1, _BLOCK // (len(units) * (1 if derivative < 2 else units.shape[1])))
    many = len(units) * len(at) >= _MANY and compiled.available()
    blocks = [_sums(units, charges, at[k : k + size], derivative, many) for k in range(0, len(at), size)]
    return np.concatenate(blocks)


def _sums(units: Array, charges: Array, at: Array, derivative: int, many: bool) -> Array:
    cosine = np.clip(at @ units.T, -1.0, 1.0)
    if derivative == 2:
        return _bent(units, charges, at, cosine)
    sine, left = _angles(cosine, many)
    if derivative == 0:
        return np.asarray((sine + left * cosine) @ charges / (2.0 * math.pi))
    along = (sine @ charges)[:, None] * at
    return np.asarray((along + left @ (charges[:, None] * units)) / (2.0 * math.pi))


def _angles(cosine: Array, many: bool) -> tuple[Array, Array]:
    """sin phi and pi - phi (m, n)."""
    if many:
        from wflow import compiled_arcs

        return compiled_arcs.angles(cosine)
    return np.sqrt((1.0 - cosine) * (1.0 + cosine)), math.pi - np.arccos(cosine)


def _bent(units: Array, charges: Array, at: Array, cosine: Array) -> Array:
    """Hessians (m, d, d): the part e e^T sin phi as r r^T/sin phi with r = sin phi e."""
    sine = np.sqrt((1.0 - cosine) * (1.0 + cosine))
    rest = units - cosine[:, :, None] * at[:, None, :]
    shares = charges / np.where(sine > 0.0, sine, np.inf)
    outer = np.einsum("ij,ijk,ijl->ikl", shares, rest, rest, optimize=True)
    across = np.eye(at.shape[1]) - at[:, :, None] * at[:, None, :]
    return np.asarray(((sine @ charges)[:, None, None] * across + outer) / (2.0 * math.pi))
