"""This file owns compiled sums over pairs of points of S^2 (wflow.arc_sums). Import it where pairs are many."""

import math

import numpy as np

from wflow.arc_series import ANGLE, CAP
from wflow.arrays import Array
from wflow.compiled import inlined, kernel

# the compiler unrolls no loop of more than 12 coefficients
_ANGLE_LOW, _ANGLE_HIGH = ANGLE[:12], ANGLE[12:]
_CAP_LOW, _CAP_HIGH = CAP[:12], CAP[12:]


def sums(points: Array, weights: Array, w: Array, derivative: int) -> Array:
    """(m, 1), (m, 3) or (m, 7): what wflow.arc_sums.finished takes, times 2 pi."""
    out = np.zeros((len(w), (1, 3, 7)[derivative]))
    x, y, z = (np.ascontiguousarray(points[:, k]) for k in range(3))
    loop = (_values, _gradients, _hessians)[derivative]
    loop(x, y, z, np.ascontiguousarray(weights), np.ascontiguousarray(w), out)
    return out


@inlined
def _polynomial(low: tuple[float, ...], high: tuple[float, ...], q: float) -> float:
    p = 0.0
    for c in high[::-1]:
        p = p * q + c
    r = 0.0
    for c in low[::-1]:
        r = r * q + c
    q4 = (q * q) * (q * q)
    return r + q4 * q4 * q4 * p


@kernel
def _values(x: Array, y: Array, z: Array, weights: Array, w: Array, out: Array) -> None:
    for i in range(len(w)):
        a, b, c = w[i, 0], w[i, 1], w[i, 2]
        total = 0.0
        for j in range(len(x)):
            square = (x[j] - a) * (x[j] - a) + (y[j] - b) * (y[j] - b) + (z[j] - c) * (z[j] - c)
            mirrored = (x[j] + a) * (x[j] + a) + (y[j] + b) * (y[j] + b) + (z[j] + c) * (z[j] + c)
            q = 0.25 * min(square, mirrored)
            front = 0.0 if mirrored < square else math.pi * (1.0 - 2.0 * q)
            total += weights[j] * (np.sqrt(q) * q * _polynomial(_CAP_LOW, _CAP_HIGH, q) + front)
        out[i, 0] = total


@kernel
def _gradients(x: Array, y: Array, z: Array, weights: Array, w: Array, out: Array) -> None:
    for i in range(len(w)):
        a, b, c = w[i, 0], w[i, 1], w[i, 2]
        first, second, third = 0.0, 0.0, 0.0
        for j in range(len(x)):
            square = (x[j] - a) * (x[j] - a) + (y[j] - b) * (y[j] - b) + (z[j] - c) * (z[j] - c)
            mirrored = (x[j] + a) * (x[j] + a) + (y[j] + b) * (y[j] + b) + (z[j] + c) * (z[j] + c)
            back = mirrored < square
            q = 0.25 * min(square, mirrored)
            angle = 2.0 * np.sqrt(q) * _polynomial(_ANGLE_LOW, _ANGLE_HIGH, q)
            psi = weights[j] * (angle if back else math.pi - angle)
            sign = 1.0 if back else -1.0
            first += psi * (x[j] + sign * a)
            second += psi * (y[j] + sign * b)
            third += psi * (z[j] + sign * c)
        out[i, 0], out[i, 1], out[i, 2] = first, second, third


@kernel
def _hessians(x: Array, y: Array, z: Array, weights: Array, w: Array, out: Array) -> None:
    for i in range(len(w)):
        a, b, c = w[i, 0], w[i, 1], w[i, 2]
        flat, xx, xy, xz, yy, yz, zz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(len(x)):
            square = (x[j] - a) * (x[j] - a) + (y[j] - b) * (y[j] - b) + (z[j] - c) * (z[j] - c)
            mirrored = (x[j] + a) * (x[j] + a) + (y[j] + b) * (y[j] + b) + (z[j] + c) * (z[j] + c)
            back = mirrored < square
            q = 0.25 * min(square, mirrored)
            h = np.sqrt(q)
            angle = 2.0 * h * _polynomial(_ANGLE_LOW, _ANGLE_HIGH, q)
            sign = 1.0 if back else -1.0
            flat += weights[j] * (angle if back else math.pi - angle) * sign * (2.0 * q - 1.0)
            sine = 2.0 * h * np.sqrt(1.0 - q)
            bend = weights[j] / sine if sine > 0.0 else 0.0
            u, v, s = x[j] + sign * a, y[j] + sign * b, z[j] + sign * c
            xx += bend * u * u
            xy += bend * u * v
            xz += bend * u * s
            yy += bend * v * v
            yz += bend * v * s
            zz += bend * s * s
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = flat, xx, xy, xz
        out[i, 4], out[i, 5], out[i, 6] = yy, yz, zz


def angles(cosine: Array) -> tuple[Array, Array]:
    """sin phi and pi - phi (m, n) by cos phi in [-1, 1]."""
    sine, left = np.empty_like(cosine), np.empty_like(cosine)
    _angles(cosine.ravel(), sine.ravel(), left.ravel())
    return sine, left


@kernel
def _angles(cosine: Array, sine: Array, left: Array) -> None:
    for k in range(len(cosine)):
        t = cosine[k]
        q = 0.5 * (1.0 - abs(t))
        h = np.sqrt(q)
        angle = 2.0 * h * _polynomial(_ANGLE_LOW, _ANGLE_HIGH, q)
        left[k] = angle if t < 0.0 else math.pi - angle
        sine[k] = 2.0 * h * np.sqrt(1.0 - q)
