"""This file owns compiled sums of -log|w - y| over all pairs of targets and atoms. Import it where pairs are many.

Each loop returns how many atoms the worst target met (distance exactly 0): they are left out of its sum.
"""

import numpy as np

from wflow.arrays import Array
from wflow.compiled import kernel


def log_sums(points: Array, weights: Array, w: Array, derivative: int) -> tuple[Array, int]:
    """sum_j weights_j (-log|w - y_j|) or its gradient or Hessian (m, d^derivative), d = 1 or 2; and the worst count."""
    d = w.shape[1]
    out = np.zeros((len(w), d**derivative))
    x, y = (np.ascontiguousarray(points[:, k]) for k in (0, -1))
    # on the line the second coordinate is the same for all, so that one loop serves both
    if d == 1:
        y = np.zeros_like(x)
    at = w if d == 2 else np.stack([w[:, 0], np.zeros(len(w))], axis=1)
    loop = (_potential, _gradient, _hessian)[derivative]
    parts = np.zeros((len(w), (1, 2, 3)[derivative]))
    met = int(loop(x, y, weights, at, parts))
    if d == 1:
        out[:, 0] = parts[:, 0]
    else:
        out[:] = parts if derivative < 2 else parts[:, (0, 1, 1, 2)]
    return out, met


@kernel
def _potential(x: Array, y: Array, weights: Array, w: Array, out: Array) -> int:
    worst = 0
    for i in range(len(w)):
        total, met = 0.0, 0
        for j in range(len(x)):
            a, b = w[i, 0] - x[j], w[i, 1] - y[j]
            square = a * a + b * b
            if square > 0.0:
                total -= 0.5 * weights[j] * np.log(square)
            elif weights[j] != 0.0:
                met += 1
        out[i, 0] = total
        worst = max(worst, met)
    return worst


@kernel
def _gradient(x: Array, y: Array, weights: Array, w: Array, out: Array) -> int:
    worst = 0
    for i in range(len(w)):
        first, second, met = 0.0, 0.0, 0
        for j in range(len(x)):
            a, b = w[i, 0] - x[j], w[i, 1] - y[j]
            square = a * a + b * b
            near = weights[j] / square if square > 0.0 else 0.0
            met += 1 if square == 0.0 and weights[j] != 0.0 else 0
            first -= near * a
            second -= near * b
        out[i, 0], out[i, 1] = first, second
        worst = max(worst, met)
    return worst


@kernel
def _hessian(x: Array, y: Array, weights: Array, w: Array, out: Array) -> int:
    worst = 0
    for i in range(len(w)):
        xx, xy, yy, met = 0.0, 0.0, 0.0, 0
        for j in range(len(x)):
            a, b = w[i, 0] - x[j], w[i, 1] - y[j]
            square = a * a + b * b
            inverse = 1.0 / square if square > 0.0 else 0.0
            met += 1 if square == 0.0 and weights[j] != 0.0 else 0
            near = weights[j] * inverse * inverse
            xx += near * (a * a - b * b)
            xy += 2.0 * near * a * b
            yy += near * (b * b - a * a)
        out[i, 0], out[i, 1], out[i, 2] = xx, xy, yy
        worst = max(worst, met)
    return worst
