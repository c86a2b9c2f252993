"""This file owns sums over atoms of S^2 of the arc-cosine kernel of degree 1, that of relu under Gaussian inputs.

    kappa(phi) = (sin phi + (pi - phi) cos phi)/2 pi,     d kappa/d cos phi = (pi - phi)/2 pi,     phi = angle(w, w')

Its digits are those of psi = pi - phi or phi, whichever is smaller: with v = w' + w or w' - w, the shorter one, and
q = |v|^2/4 <= 1/2, h = q^(1/2), that angle is 2 asin h, and kappa - pi cos^+ phi a multiple of h^3.
Source of the kernel: Cho & Saul 2009, NeurIPS 22 (arc-cosine kernels).
"""

import math

import numpy as np

from wflow import compiled
from wflow.arc_series import ANGLE, CAP
from wflow.arrays import Array
from wflow.harmonics import restricted

_MANY = 20_000
"""From so many pairs on compiled loops are worth their import."""
_BLOCK = 1 << 18


def arc_sums(points: Array, weights: Array, w: Array, derivative: int) -> Array:
    """sum_j weights_j kappa(angle(w, y_j)) at w (m, 3), or its tangential gradient (m, 3) or Hessian (m, 3, 3).

    O(m n); the gradient is continuous where points meet or are antipodes, and so is the Hessian.
    """
    if len(w) * len(points) >= _MANY and compiled.available():
        from wflow import compiled_arcs

        parts = compiled_arcs.sums(points, weights, w, derivative)
    else:
        size = max(1, _BLOCK // len(points))
        blocks = [_sums(points, weights, w[k : k + size], derivative) for k in range(0, len(w), size)]
        parts = np.concatenate(blocks)
    return finished(parts / (2.0 * math.pi), w, derivative)


def finished(parts: Array, w: Array, derivative: int) -> Array:
    """From the sums of (value), (v) or (cos, v v^T by rows) of the pairs to what belongs to the sphere at w."""
    if derivative == 0:
        return parts[:, 0]
    if derivative == 1:
        return restricted(w, parts[:, 0], parts)
    tangent = np.eye(3) - w[:, :, None] * w[:, None, :]
    outer = parts[:, (1, 2, 3, 2, 4, 5, 3, 5, 6)].reshape(-1, 3, 3)
    return np.asarray(tangent @ outer @ tangent - parts[:, 0, None, None] * tangent)


def _sums(points: Array, weights: Array, w: Array, derivative: int) -> Array:
    """(m, 1), (m, 3) or (m, 7), times 2 pi."""
    away, along = points - w[:, None, :], points + w[:, None, :]
    square, mirrored = np.sum(away**2, axis=2), np.sum(along**2, axis=2)
    back = mirrored < square
    q = 0.25 * np.minimum(square, mirrored)
    h = np.sqrt(q)
    if derivative == 0:
        cap = h * q * np.polyval(CAP[::-1], q)
        return np.asarray((cap + np.where(back, 0.0, math.pi * (1.0 - 2.0 * q))) @ weights)[:, None]
    angle = 2.0 * h * np.polyval(ANGLE[::-1], q)
    psi = weights * np.where(back, angle, math.pi - angle)
    short = np.where(back[:, :, None], along, away)
    if derivative == 1:
        return np.asarray(np.einsum("ij,ijk->ik", psi, short))
    cosine = np.where(back, 2.0 * q - 1.0, 1.0 - 2.0 * q)
    sine = 2.0 * h * np.sqrt(1.0 - q)
    bend = weights / np.where(sine > 0.0, sine, np.inf)
    outer = np.einsum("ij,ijk,ijl->ikl", bend, short, short)
    rows = outer[:, (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)]
    return np.column_stack([np.sum(psi * cosine, axis=1), rows])
