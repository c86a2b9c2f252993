"""This file owns where SGD at batch 1 leaves a minimum of one axis almost surely, and how often it leaves at all.

x_t = x_0 prod m, m = 1 - eta a_i with i uniform: log|x_t| is a random walk. Its drift, the Lyapunov exponent
lambda = mean log|1 - eta a_i|, decides almost surely; the factor mean (1 - eta a_i)^2 decides E x^2. Between them is

    theta > 0:  mean |1 - eta a_i|^theta = 1  (where lambda < 0);   P(|x| ever reaches r) <= (|x_0|/r)^theta    (proved)

by optional stopping of the martingale |x_t|^theta. theta = 2 where the factor is 1, and 0 where lambda is: in
between x_t -> 0 almost surely while E x_t^2 grows. The rates of mean-square stability are one interval; those of almost
sure stability need not be, since lambda = -inf at each eta = 1/a_i.
Source: the exponent of ruin, Cramer & Lundberg (Asmussen & Albrecher 2010, Ruin Probabilities, ch. IV).
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from wflow.arrays import Array, count, finite, positive

_CLOSE, _RELATIVE = 1e-15, 4.0 * float(np.finfo(np.float64).eps)


def lyapunov(curvatures: ArrayLike, eta: float) -> float:
    """mean log|1 - eta a_i|; -inf where eta = 1/a_i for some i."""
    sizes = np.abs(1.0 - positive("lyapunov eta", eta) * _curvatures("lyapunov", curvatures))
    return -math.inf if np.any(sizes == 0.0) else float(np.mean(np.log(sizes)))


def almost_sure_rates(curvatures: ArrayLike) -> list[tuple[float, float]]:
    """The open intervals of eta with lambda < 0, in order: x_t -> 0 almost surely.

    lambda is concave between neighbouring poles 1/a_i, falls from 0 up to the first of them and rises beyond the last;
    so between two poles it is at least 0 on one interval or nowhere.
    """
    a = _curvatures("almost_sure_rates", curvatures)
    poles = np.unique(1.0 / a[a > 0.0])
    edges = [0.0]
    for left, right in pairwise(poles.tolist()):
        peak = _peak(a, left, right)
        if lyapunov(a, peak) > 0.0:
            edges += [_root(a, left, peak), _root(a, right, peak)]
    last = float(poles[-1])
    # beyond 2/a of the smallest a > 0 no factor is below 1
    edges.append(_root(a, last, 2.0 * last + 1.0))
    return [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]


def _peak(a: Array, left: float, right: float) -> float:
    """Where the derivative of lambda, which falls from +inf to -inf between the poles, is 0."""
    inset = 1e-12 * (right - left)
    return float(brentq(lambda eta: float(np.sum(a / (eta * a - 1.0))), left + inset, right - inset, xtol=_CLOSE))


def _root(a: Array, pole: float, outside: float) -> float:
    """Between a pole and a place with lambda > 0; the pole itself where lambda > 0 as near to it as rounding tells."""
    near = pole + 1e-14 * (outside - pole)
    if near == pole or lyapunov(a, near) >= 0.0:
        return pole
    low, high = sorted((near, outside))
    return float(brentq(lambda eta: lyapunov(a, eta), low, high, xtol=_CLOSE, rtol=_RELATIVE))


def ruin(curvatures: ArrayLike, eta: float) -> float:
    """theta; 0 where lambda >= 0, and inf where no step leads away from the minimum."""
    a = _curvatures("ruin", curvatures)
    if lyapunov(a, eta) >= 0.0:
        return 0.0
    logs = np.log(np.maximum(np.abs(1.0 - eta * a), np.finfo(float).tiny))
    if logs.max() <= 0.0:
        return math.inf

    def above(theta: float) -> float:
        """log mean |m|^theta, convex, 0 at 0; in logarithms, as powers overflow."""
        return float(np.logaddexp.reduce(theta * logs) - math.log(len(logs)))

    # one term alone is n at high; towards 0 the slope is lambda < 0
    high = 1.01 * math.log(len(logs)) / float(logs.max())
    low = 0.5 * high
    while above(low) >= 0.0:
        low *= 0.5
    return float(brentq(above, low, high, xtol=_CLOSE, rtol=_RELATIVE))


def exits(curvatures: ArrayLike, eta: float, ratio: float, steps: int) -> Array:
    """P(tau = t), t = 1 .. steps, tau the first time with |x_t| >= ratio |x_0|, for two curvatures: exact.

    What is still inside after t steps is known by how often the larger factor was drawn: t + 1 numbers. O(steps^2).
    """
    a = _curvatures("exits", curvatures)
    count("exits steps", steps)
    if len(a) != 2:
        raise ValueError(f"exits curvatures: {len(a)} of them; the exact law is written for two")
    if not ratio > 1.0:
        raise ValueError(f"exits ratio: {ratio!r} is not above 1; |x_0| must be inside")
    low, high = np.sort(np.abs(1.0 - positive("exits eta", eta) * a))
    if high <= 1.0:
        return np.zeros(steps)
    goal, up = math.log(ratio), float(np.log(high))
    if low == 0.0:
        # one draw of it ends at the minimum: only the word of the other alone leaves
        return np.where(np.arange(1, steps + 1) == math.ceil(goal / up), 0.5 ** np.arange(1, steps + 1), 0.0)
    return _first_passage(goal, float(np.log(low)), up, steps)


def _first_passage(goal: float, low: float, up: float, steps: int) -> Array:
    """P(tau = t) of a walk by `low` < `up`, each with chance 1/2: it is at t low + k (up - low) after k times `up`."""
    inside, chance = np.zeros(steps + 2), np.zeros(steps)
    inside[0] = 1.0
    most = 0
    for t in range(1, steps + 1):
        most += 1
        inside[1 : most + 1] = 0.5 * (inside[1 : most + 1] + inside[:most])
        inside[0] *= 0.5
        # by t = 1 .. even k = 0 may be outside, where both factors are above 1
        out = max(0, math.ceil((goal - t * low) / (up - low))) if up > low else (0 if t * up >= goal else most + 1)
        chance[t - 1] = float(inside[out : most + 1].sum())
        inside[out : most + 1] = 0.0
        most = min(most, out)
    return chance


def _curvatures(name: str, value: ArrayLike) -> Array:
    a = finite(f"{name} curvatures", value)
    if a.ndim != 1 or not len(a) or a.min() < 0.0 or a.max() == 0.0:
        raise ValueError(f"{name} curvatures: {a!r}; give a list of numbers >= 0, not all of them 0")
    return a
