"""This file owns the maximisation of D: limited-memory BFGS in the metric of a multigrid cycle, renewed at every step.

Source: Nocedal & Wright 2006, Numerical Optimization, ch. 7; preconditioned as in Jiang, Byrd, Eskow & Schnabel 2004.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter

from wflow.arrays import Array
from wflow.spline.dual import Dual, Reached
from wflow.spline.lattice import padded, product
from wflow.spline.multigrid import Multigrid

_MEMORY = 8
_ARMIJO = 1e-4
_SHORTER, _SHORTEST = 0.3, 1e-2
_LONGER = 3.0
"""Most by which the last pair may lengthen the metric's step."""
_ROUNDING = 1e-15
_STIFFER = 30.0
"""By how much the metric's floor is raised where its own step gains nothing."""
_CURVED, _LEAST = 1e-12, 1e-250
"""Bends that are told from rounding: a cosine, and a product, below which others would vanish by underflow."""
_RESCUES = 3
_PATIENCE = 4
"""Steps whose gain is looked at."""


@dataclass(frozen=True)
class Manner:
    """How to climb.

    floor: see Dual.metric.   base: V, where no mass means p <= V; holes in p below it are filled where the ascent
    stops at one.   rise: from a point the most by which each coefficient rises in a step, None: anything.   limit: of
    iterations.   stiffest: up to what the floor is raised where the metric's own step gains nothing; 0: the ascent ends
    there.   least: what four steps have to gain together from a point; None: anything.
    """

    floor: float
    base: Array | None = None
    rise: Callable[[Reached], Array] | None = None
    limit: int = 200
    stiffest: float = 30.0
    least: Callable[[Reached], float] | None = None


@dataclass(frozen=True, eq=False)
class Climbed:
    """The answer, and (g . H g)^(1/2) there, H the metric: D is about half its square from its maximum.

    last: where the ascent ended, which at a kink of D is not where the residual is least.   steps: iterations.
    """

    here: Reached
    residual: float
    last: Reached
    steps: int = 0


def ascend(dual: Dual, start: Reached, goal: Callable[[Reached], float], manner: Manner) -> Climbed:
    """Up from a point until the residual is at most `goal` of it, or steps gain little, or nothing, or the limit.

    Little is `manner.least`, and the answer is then where it stands. Where it ends by one of the last two: the point of
    least residual, which at a tie of an atom between two places (D has a kink there, and a node may be on the wrong
    side of it) is not the one with the largest D found.
    """
    here, floor, rescues = start, manner.floor, _RESCUES
    pairs: list[tuple[Array, Array]] = []
    best: Climbed | None = None
    values: list[float] = []
    steps = 0
    for steps in range(1, manner.limit + 1):
        metric = dual.metric(here, floor)
        direction = np.where(here.idle, 0.0, _direction(here.slope, pairs, metric))
        residual = math.sqrt(max(product(here.slope, direction), 0.0))
        if floor == manner.floor and (best is None or residual <= best.residual):
            best = Climbed(here, residual, here)
            if residual <= goal(here):
                return replace(best, steps=steps)
        values.append(here.value)
        if manner.least is not None and _slow(values, manner.least(here)):
            return Climbed(here, residual, here, steps)
        there = _ahead(dual, here, direction, manner)
        if there is None:
            if not pairs:
                floor *= _STIFFER
                if floor > manner.stiffest:
                    filled = _filled(dual, here.c, manner.base)
                    if filled is None or not rescues:
                        break
                    rescues, here, floor = rescues - 1, dual.at(filled), manner.floor
            pairs = []
            continue
        step, change = there.c - here.c, here.slope - there.slope
        bent = product(step, change)
        if bent > max(_CURVED * math.sqrt(product(step, step) * product(change, change)), _LEAST):
            pairs = [*pairs[1 - _MEMORY :], (step, change)]
        here, floor = there, max(floor / _STIFFER, manner.floor)
    return Climbed(here, np.inf, here, steps) if best is None else replace(best, last=here, steps=steps)


def _slow(values: list[float], least: float) -> bool:
    return len(values) > _PATIENCE and values[-1] - values[-1 - _PATIENCE] <= least


def _direction(slope: Array, pairs: list[tuple[Array, Array]], metric: Multigrid) -> Array:
    """The two loops of limited-memory BFGS."""
    left, shares = slope.copy(), list[float]()
    for step, change in reversed(pairs):
        shares.append(product(step, left) / product(step, change))
        left -= shares[-1] * change
    up = metric(left)
    if pairs:
        step, change = pairs[-1]
        bent = product(change, metric(change))
        up *= min(product(step, change) / bent, _LONGER) if bent > 0.0 else _LONGER
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        up += (share - product(change, up) / product(step, change)) * step
    return up


def _ahead(dual: Dual, here: Reached, direction: Array, manner: Manner) -> Reached | None:
    """The first of ever shorter steps that gains enough, None if none does."""
    if manner.rise is not None:
        direction = np.minimum(direction, manner.rise(here))
    gain, share = product(here.slope, direction), 1.0
    while share >= _SHORTEST:
        there = dual.at(here.c + share * direction)
        if there.value >= here.value + _ARMIJO * share * gain - _ROUNDING * abs(here.value):
            return there
        share *= _SHORTER
    return None


def _filled(dual: Dual, c: Array, base: Array | None) -> Array | None:
    """c without holes: raised to where it lies no deeper below the base than a neighbour lies above; None: nothing is.

    A hole beside mass draws the nearest of it past the edge, and D is the same whether it goes or stays.
    """
    if base is None:
        return None
    above = padded(np.maximum(c - base, 0.0), dual.sides)
    least = base - maximum_filter(above, 3)[1:-1, 1:-1]
    return np.maximum(c, least) if np.any(c < least) else None
