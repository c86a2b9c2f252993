"""This file owns problems at a given place of the plane of sharpness a and non-uniformity s, and on its edge.

On one axis all of s <= a (n - 1)^(1/2) can be had from n numbers a_i >= 0 (proved: sum a_i^2 <= (n a)^2).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from wflow.arrays import count, finite, positive
from wflow.stability.batches import Batches
from wflow.stability.covariance import SecondMoment, largest_rates
from wflow.stability.curvatures import Curvatures


def placed(a: float, s: float, data: int) -> Curvatures:
    """One axis, `data` numbers a_i >= 0 of mean a and deviation s: two values, the higher up to n/2 times.

    Raises ValueError where s is negative or above a (n - 1)^(1/2).
    """
    positive("placed a", a)
    if not float(finite("placed s", s)) >= 0.0:
        raise ValueError(f"placed s: {s!r} is below 0; a deviation is not")
    count("placed data", data)
    for high in range(max(1, data // 2), 0, -1):
        below = s * math.sqrt(high / (data - high)) if data > high else 0.0
        if below <= a and (data > high or s == 0.0):
            above = s * math.sqrt((data - high) / high)
            values = np.where(np.arange(data) < high, a + above, a - below)
            return Curvatures(np.sqrt(np.maximum(values, 0.0))[:, None])
    raise ValueError(
        f"placed s: {s:g} is above a (n - 1)^(1/2) = {a * math.sqrt(data - 1):g}, the most that {data} numbers >= 0 of "
        f"mean {a:g} have; give a smaller s or more data"
    )


@dataclass(frozen=True)
class Edge:
    """A problem at its largest stable eta, without a scale: eta a, eta s c^(1/2), and the sufficient eta over eta.

    spread is 0 for the full batch.
    """

    sharpness: float
    spread: float
    sufficient: float


def edge(curvatures: Curvatures, draw: Batches) -> Edge:
    """Where the exact condition puts it, to 1e-6, and what part of that rate the sufficient condition allows."""
    eta = largest_rates(curvatures, draw).lower
    return Edge(
        eta * curvatures.sharpness,
        eta * curvatures.nonuniformity * math.sqrt(draw.noise),
        sufficient_rate(curvatures, draw) / eta,
    )


def sufficient_rate(curvatures: Curvatures, draw: Batches) -> float:
    """The largest eta with lambda_max{(I - eta H)^2 + eta^2 c Sigma} <= 1 on the range of H: convex in eta, 1 at 0."""
    span = curvatures.spanned
    # at eta a = 2 the first part alone is 1
    high = 2.0 / span.sharpness
    low = high
    while SecondMoment(span, low, draw).sufficient() >= 1.0:
        low *= 0.5
    return (
        low if low == high else float(brentq(lambda eta: SecondMoment(span, eta, draw).sufficient() - 1.0, low, high))
    )


def scattered(rng: np.random.Generator, data: int, dim: int) -> Curvatures:
    """Random directions, lengths whose logarithm is N(0, 1/4): rank one each."""
    lengths = np.exp(0.5 * rng.standard_normal((data, 1)))
    return Curvatures(lengths * rng.standard_normal((data, dim)))
