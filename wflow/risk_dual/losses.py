"""This file owns the minimising movement of losses l(f, y) other than the half square: by parabolas, and certified.

At predictions f_k of the data, with c_i > 0 and y_i = f_k - l'(f_k)/c_i,

    l(f) <= l(f_k) + l'(f_k) (f - f_k) + c (f - f_k)^2/2 = c (f - y)^2/2 + const        if c is large enough:

c = min(1, width/|r|) for Huber's, tanh(f_k/2)/2 f_k for the logistic one. The step of the right side is that of a half
square in the weights omega_i c_i, exact, and lowers F + cost; f_{k+1} is its answer. Newton's c = l'' is tried first.
For p = l'(f) Fenchel's inequality is an equality, sum omega l*(p) = sum omega (p f - l(f)), and with parts of mass m_g
at w_g, of values h_g = G_q(w_g) + |w_g - w_j|^2/2 tau, q = omega p,

    F + cost - D(p) = sum_g m_g (h_g - min_w),     D(p) = -sum omega l*(p) + sum_j mu_j min_w [G_q + |w - w_j|^2/2 tau]

whatever convex l: no step is better by more. The minima are the sampled ones of wflow.risk_dual.search.
Sources: Jaakkola & Jordan 2000, Statistics and Computing 10, 25-37 (the parabola above the logistic loss); Huber 1981,
Robust Statistics, section 7.8 (that above his).
"""

from dataclasses import dataclass, replace

import numpy as np

from wflow.arrays import Array
from wflow.loss import HalfSquare, Huber, Logistic, Loss
from wflow.risk_dual import step
from wflow.risk_dual.movement import Movement
from wflow.risk_dual.search import least
from wflow.risk_dual.step import Minimum, scaled, widened
from wflow.risk_dual.table import Nodes

KNOWN = HalfSquare | Logistic | Huber
_FINE = 1e-2
"""Of the tolerance: the gap at which the rounds end."""
_BENT = 1e-2
"""Of c: the least l'' that Newton takes."""
_SMALL = 1e-6
"""Below it tanh(f/2)/2 f is 1/4."""


def minimised(movement: Movement, cells: int, tolerance: float, limit: int) -> Minimum:
    """As step.minimised, for every loss that is KNOWN; at most `limit` rounds."""
    if isinstance(movement.risk.loss, HalfSquare):
        return step.minimised(movement, cells, tolerance, limit)
    start = movement.start
    here = _Reached.of(movement, start.points, start.weights, 0.0)
    before, best = here.value, None
    for _ in range(limit):
        found, nodes, there = _next(movement, here, cells, tolerance, limit)
        judged = _judged(movement, nodes, found, there, before)
        done = best is not None and not judged.gap < best.gap
        best = judged if best is None or judged.gap < best.gap else best
        if best.gap <= _FINE * tolerance or (done and not there.value < here.value):
            break
        here = there
    assert best is not None
    return best


@dataclass(frozen=True, eq=False)
class _Reached:
    """Predictions f (n,) and F + cost, less constants."""

    f: Array
    value: float

    @classmethod
    def of(cls, movement: Movement, places: Array, masses: Array, spent: float) -> "_Reached":
        data, f = movement.risk.data, movement.predict(places, masses)
        value = float(data.weights @ movement.risk.loss.value(f, data.targets))
        return cls(f, value + float(masses @ movement.potential(places, 0)) + spent)


def _next(
    movement: Movement, here: _Reached, cells: int, tolerance: float, limit: int
) -> tuple[Minimum, Nodes, _Reached]:
    """The step of Newton's parabolas if it gains, else of those above."""
    data, loss = movement.risk.data, movement.risk.loss
    slope, most = loss.slope(here.f, data.targets), above(loss, here.f, data.targets)
    for bend in (np.maximum(loss.curvature(here.f, data.targets), _BENT * most), most):
        model = replace(movement, parabolas=(data.weights * bend, here.f - slope / bend))
        found, nodes = widened(model, cells, tolerance, limit)
        there = _Reached.of(movement, found.end.points, found.end.weights, found.spent)
        if there.value < here.value:
            break
    return found, nodes, there


def above(loss: Loss, f: Array, y: Array) -> Array:
    """c (n,) of the parabolas that touch a loss at f and lie above it."""
    if isinstance(loss, Huber):
        return np.asarray(loss.width / np.maximum(np.abs(f - y), loss.width))
    if isinstance(loss, Logistic):
        size = np.maximum(np.abs(f), _SMALL)
        return np.asarray(0.5 * np.tanh(0.5 * size) / size)
    return np.ones_like(f)


def _judged(movement: Movement, nodes: Nodes, found: Minimum, there: _Reached, before: float) -> Minimum:
    """With D and the gap of the loss itself."""
    data, loss, mu = movement.risk.data, movement.risk.loss, movement.start.weights
    end, origins = found.end, movement.start.points[found.whose]
    p = loss.slope(there.f, data.targets)
    lowest = least(movement, p, nodes).values.copy()
    values = movement.field(data.weights * p, end.points, 0) + movement.ways(end.points, origins)
    np.minimum.at(lowest, found.whose, values)
    dual = float(data.weights @ (loss.value(there.f, data.targets) - p * there.f)) + float(mu @ lowest)
    scale = scaled(before, there.value)
    return replace(found, dual=dual + movement.constant, gap=(there.value - dual) / scale)
