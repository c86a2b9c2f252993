"""This file owns the least value of a convex quadratic l.G l/2 + c.l over l >= 0, with sum l = 1 or without.

By the active-set method of Lawson and Hanson: one column enters where it pays most.
Source: Lawson & Hanson 1974, Solving Least Squares Problems, chapter 23 (there without the linear part).
"""

from collections.abc import Callable

import numpy as np

from wflow.arrays import Array

_ROUNDING = 1e-15
_ROUNDS = 10

Free = Callable[[Array, Array], Array]


def mixture(gram: Array, linear: Array, start: Array | None = None) -> Array:
    """Weights (k,) of sum 1, from a start such as the best of fewer columns."""
    weights = np.zeros(len(linear))
    if start is None:
        weights[int(np.argmin(0.5 * np.diag(gram) + linear))] = 1.0
    else:
        weights[: len(start)] = start
    found = _entered(gram, linear, weights, np.flatnonzero(weights).tolist(), _mixed)
    return np.asarray(found / found.sum())


def nonnegative(gram: Array, linear: Array) -> Array:
    """Weights (k,) of any sum."""
    return _entered(gram, linear, np.zeros(len(linear)), [], _unbound)


def _entered(gram: Array, linear: Array, weights: Array, inside: list[int], free: Free) -> Array:
    """Columns enter until none pays more than those inside do; these pay nothing where the sum is free."""
    k, barred = len(linear), list[int]()
    size = max(float(np.abs(gram).max(initial=0.0)), float(np.abs(linear).max(initial=0.0)))
    for _ in range(_ROUNDS * k):
        slope = gram @ weights + linear
        level = slope @ weights if free is _mixed else 0.0
        slope[[*inside, *barred]] = np.inf
        entering = int(np.argmin(slope))
        if not slope[entering] < level - _ROUNDING * size:
            break
        weights, inside = _settled(gram, linear, weights, [*inside, entering], free)
        # what leaves as it enters paid by rounding alone
        barred = [] if entering in inside else [*barred, entering]
    return weights


def _settled(gram: Array, linear: Array, weights: Array, inside: list[int], free: Free) -> tuple[Array, list[int]]:
    """To the minimum over the columns inside, less those that would go below zero on the way."""
    while True:
        goal = np.zeros(len(weights))
        goal[inside] = free(gram[np.ix_(inside, inside)], linear[inside])
        below = [j for j in inside if goal[j] <= 0.0]
        if not below:
            return goal, inside
        share = min(weights[j] / (weights[j] - goal[j]) if weights[j] > goal[j] else 0.0 for j in below)
        weights = weights + min(share, 1.0) * (goal - weights)
        inside = [j for j in inside if not (goal[j] <= 0.0 and weights[j] <= _ROUNDING)]
        weights = np.where(np.isin(np.arange(len(weights)), inside), np.maximum(weights, 0.0), 0.0)


def _mixed(gram: Array, linear: Array) -> Array:
    """The minimum over weights of either sign and of sum 1."""
    n = len(linear)
    matrix = np.ones((n + 1, n + 1))
    matrix[:n, :n], matrix[n, n] = gram, 0.0
    return np.asarray(np.linalg.lstsq(matrix, np.append(-linear, 1.0), rcond=1e-15)[0][:n])


def _unbound(gram: Array, linear: Array) -> Array:
    """The minimum over weights of either sign."""
    return np.asarray(np.linalg.lstsq(gram, -linear, rcond=1e-15)[0])
