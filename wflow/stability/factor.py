"""This file owns SGD on one axis near a global minimum: the factor of its second moment, and where that is 1.

Linearised, x' = x - (eta/B) sum_{i in batch} a_i x. With a the mean, s^2 the variance of the n numbers a_i >= 0, and c
the noise of the batches (wflow.stability.batches),

    E x'^2 = [(1 - eta a)^2 + eta^2 c s^2] E x^2,   stable in mean square iff the factor is <= 1       (derived)

In the plane of sharpness a and non-uniformity s that is the half ellipse c s^2 <= a (2/eta - a), which touches
the slides' box 0 <= a <= 2/eta, 0 <= s <= 1/(eta c^(1/2)) at a = 1/eta: on one axis the whole box is necessary.
Source: Wu, Ma & E 2018, How SGD selects the global minima in over-parameterized learning, NeurIPS 31.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from wflow.arrays import Array, count, finite, positive
from wflow.stability.batches import Batches, WithoutReplacement


def factor(eta: float, a: ArrayLike, s: ArrayLike, draw: Batches) -> Array:
    """(1 - eta a)^2 + eta^2 c s^2, of the shape of a and s together."""
    a, s = _sizes("factor", a, s)
    eta = positive("factor eta", eta)
    return np.asarray((1.0 - eta * a) ** 2 + eta**2 * draw.noise * s**2)


def largest_rate(a: float, s: float, draw: Batches) -> float:
    """eta = 2a/(a^2 + c s^2): stable in mean square for eta from 0 to it, and for no larger one."""
    mean, spread = _sizes("largest_rate", positive("largest_rate a", a), s)
    return float(2.0 * mean / (mean**2 + draw.noise * spread**2))


def best_rate(a: float, s: float, draw: Batches) -> tuple[float, float]:
    """eta = a/(a^2 + c s^2), half of the largest, and the least factor c s^2/(a^2 + c s^2)."""
    eta = 0.5 * largest_rate(a, s, draw)
    return eta, float(factor(eta, a, s, draw))


def widest(eta: float, a: ArrayLike, draw: Batches) -> Array:
    """The largest s that is stable at each a: (a (2/eta - a)/c)^(1/2); inf for the full batch, nan where a > 2/eta."""
    a, _ = _sizes("widest", a, 0.0)
    room = a * (2.0 / positive("widest eta", eta) - a)
    inside = room >= 0.0
    if draw.noise == 0.0:
        return np.where(inside, np.inf, np.nan)
    return np.where(inside, np.sqrt(np.where(inside, room, 0.0) / draw.noise), np.nan)


def box(eta: float, draw: Batches) -> tuple[float, float]:
    """The slides' bounds of a and s, 2/eta and 1/(eta c^(1/2)); the second is not necessary on several axes."""
    eta = positive("box eta", eta)
    return 2.0 / eta, 1.0 / (eta * math.sqrt(draw.noise)) if draw.noise > 0.0 else math.inf


def smallest_batch(eta: float, a: float, s: float, data: int) -> int | None:
    """The least B that is stable without replacement, 1 to n; None where even the full batch is not (eta a > 2)."""
    mean, spread = _sizes("smallest_batch", a, s)
    count("smallest_batch data", data)
    room = float(mean * (2.0 / positive("smallest_batch eta", eta) - mean))
    if room < 0.0:
        return None
    # (n - B) s^2 <= B (n - 1) room, linear in B; the neighbours for rounding
    about = 1 if spread == 0.0 else math.ceil(data * spread**2 / (spread**2 + (data - 1) * room))
    near = range(max(1, about - 1), data + 1)
    return next(batch for batch in near if WithoutReplacement(data, batch).noise * spread**2 <= room)


def _sizes(name: str, a: ArrayLike, s: ArrayLike) -> tuple[Array, Array]:
    """Both finite and at least 0: the H_i of a global minimum are positive semidefinite."""
    found = []
    for what, value in (("a", a), ("s", s)):
        array = finite(f"{name} {what}", value)
        if np.any(array < 0.0):
            raise ValueError(f"{name} {what}: {array.min():g} is below 0; at a global minimum curvatures are not")
        found.append(array)
    return found[0], found[1]
