"""This file owns convex conjugates of losses, l*(q, y) = sup_f (q f - l(f, y)), and the best multiple of a dual vector.

half square    q y + q^2/2
Huber          q y + q^2/2 for |q| <= width, else infinity
logistic       s log s + (1 - s) log(1 - s), s = -q y in [0, 1], else infinity; y = -1 or 1
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import entr

from wflow.arrays import Array
from wflow.duality.field import UNIT
from wflow.loss import HalfSquare, Huber, Logistic, Loss

_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
_SECTIONS = 90


def conjugate(loss: Loss, q: Array, y: Array) -> Array | None:
    """l*(q, y) (n,), infinite outside its domain; None for losses of another kind."""
    if isinstance(loss, HalfSquare):
        return np.asarray(q * y + 0.5 * q**2)
    if isinstance(loss, Huber):
        return np.where(np.abs(q) <= loss.width, q * y + 0.5 * q**2, np.inf)
    if isinstance(loss, Logistic):
        s = -q * y
        within = (s >= 0.0) & (s <= 1.0)
        inside = np.clip(s, 0.0, 1.0)
        return np.where(within, -entr(inside) - entr(1.0 - inside), np.inf)
    return None


def paid(loss: Loss, q: Array, y: Array, weights: Array) -> float:
    """An upper bound of sum_i weights_i l*(q_i, y_i), its rounding (n + 16) u sum of sizes included."""
    values = conjugate(loss, q, y)
    if values is None or not np.all(np.isfinite(values)):
        return math.inf
    size = np.abs(q * y) + q**2 + np.abs(values)
    return float(weights @ values) + UNIT * (len(q) + 16.0) * float(weights @ size)


def furthest(loss: Loss, q: Array, y: Array) -> float:
    """The largest t for which l*(t q, y) is finite everywhere."""
    if isinstance(loss, HalfSquare):
        return math.inf
    most = float(np.max(np.abs(q), initial=0.0))
    if isinstance(loss, Logistic) and np.any(q * y > 0.0):
        return 0.0
    limit = loss.width if isinstance(loss, Huber) else 1.0
    return limit / most * (1.0 - 4.0 * UNIT) if most > 0.0 else math.inf


def best_multiple(gain: Callable[[float], float], most: float) -> float:
    """t in [0, most] where a concave gain is about largest, by golden sections; any t makes a bound."""
    low, high = 0.0, most
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = gain(left), gain(right)
    for _ in range(_SECTIONS):
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = gain(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = gain(right)
    return max((0.0, min(1.0, most), left, right, most), key=gain)
