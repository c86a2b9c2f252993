"""This file owns the c-transform on grids, compiled: min over nodes y of f(y) + sum_a pull_a (x_a - y_a)^2/2, exactly.

Axis by axis, along each line by the lower envelope of equal parabolas, in time proportional to its length. On periodic
axes the line is repeated three times; places are lifted.
Source: Felzenszwalb & Huttenlocher 2012, Theory of Computing 8, 415-428.
"""

import math

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.compiled import inlined, kernel
from wflow.spline.lattice import Sides

Places = NDArray[np.int64]


@inlined
def _line(f: Array, pull: float, turns: bool, least: Array, place: Places, top: Places, cut: Array) -> None:
    """least[x] = min_q f[q] + pull (x - q)^2/2 and the q; top, cut: room for the envelope."""
    n = len(f)
    first, count = (-n, 3 * n) if turns else (0, n)
    k = 0
    top[0], cut[0], cut[1] = first, -np.inf, np.inf
    for q in range(first + 1, first + count):
        value = f[q % n]
        while True:
            r = top[k]
            meet = ((value - f[r % n]) / (0.5 * pull) + q * q - r * r) / (2.0 * (q - r))
            if meet > cut[k]:
                break
            k -= 1
        k += 1
        top[k], cut[k], cut[k + 1] = q, meet, np.inf
    k = 0
    for x in range(n):
        while cut[k + 1] < x:
            k += 1
        q = top[k]
        least[x] = f[q % n] + 0.5 * pull * (x - q) ** 2
        place[x] = q


@kernel
def _transformed(f: Array, pull: tuple[float, float], sides: Sides, least: Array, places: Places) -> None:
    """least (n0, n1) and the nodes (2, n0, n1) at which it is taken."""
    n0, n1 = f.shape
    room = 3 * max(n0, n1) + 1
    top, cut = np.empty(room, np.int64), np.empty(room + 1)
    middle, second = np.empty((n0, n1)), np.empty((n0, n1), np.int64)
    for i in range(n0):
        _line(f[i], pull[1], sides.second, middle[i], second[i], top, cut)
    column, low, first = np.empty(n0), np.empty(n0), np.empty(n0, np.int64)
    for j in range(n1):
        for i in range(n0):
            column[i] = middle[i, j]
        _line(column, pull[0], sides.first, low, first, top, cut)
        for i in range(n0):
            least[i, j] = low[i]
            places[0, i, j] = first[i]
            places[1, i, j] = second[first[i] % n0, j]


def transformed(f: Array, pull: tuple[float, float], sides: Sides) -> tuple[Array, Places]:
    """The c-transform (n0, n1) of f (n0, n1) at the nodes, and the nodes (2, n0, n1) where the minimum is."""
    least, places = np.empty_like(f), np.empty((2, *f.shape), np.int64)
    _transformed(np.ascontiguousarray(f), pull, sides, least, places)
    return least, places


@inlined
def _at(f: Array, pull: tuple[float, float], sides: Sides, k0: int, k1: int, x0: float, x1: float) -> float:
    """f(k) + sum_a pull_a (x_a - k_a)^2/2; beyond walls infinity."""
    n0, n1 = f.shape
    i, j = (k0 % n0 if sides.first else k0), (k1 % n1 if sides.second else k1)
    if not (0 <= i < n0 and 0 <= j < n1):
        return np.inf
    value: float = f[i, j] + 0.5 * pull[0] * (k0 - x0) ** 2 + 0.5 * pull[1] * (k1 - x1) ** 2
    return value


@inlined
def _below(f: Array, pull: tuple[float, float], sides: Sides, k: tuple[int, int], x0: float, x1: float) -> float:
    """How far below the value at a node the minima of parabolas through it and those beside it are, summed over axes.

    0 unless the node's value is the least of these.
    """
    value, total = _at(f, pull, sides, k[0], k[1], x0, x1), 0.0
    for axis in range(2):
        d0, d1 = 1 - axis, axis
        before = _at(f, pull, sides, k[0] - d0, k[1] - d1, x0, x1)
        if before < value:
            return 0.0
        after = _at(f, pull, sides, k[0] + d0, k[1] + d1, x0, x1)
        if after < value:
            return 0.0
        bend = before + after - 2.0 * value
        if 0.0 < bend < np.inf:
            total += 0.125 * (after - before) ** 2 / bend
    return total


@kernel
def started(f: Array, pull: tuple[float, float], sides: Sides, places: Places, x: Array, y: Array) -> None:
    """For points x (m, 2), in cells: y (m, 2), the best of the nodes between those to which the up to four round x go.

    On one axis it is the best of all nodes (proved: a minimiser is a monotone function of x); on two of those in a box.
    The box is larger than two by two nodes where the map stretches or jumps; there the nodes are compared by minima of
    parabolas, since of two valleys the nodes' own values tell the deeper one only to first order.
    """
    n0, n1 = f.shape
    for s in range(len(x)):
        x0, x1 = x[s, 0] - 0.5, x[s, 1] - 0.5
        f0, f1 = math.floor(x0), math.floor(x1)
        low0, low1, high0, high1 = 1 << 60, 1 << 60, -(1 << 60), -(1 << 60)
        for d0 in range(2 if x0 > f0 else 1):
            i, w0 = int(f0) + d0, 0
            if sides.first:
                w0 = (i // n0) * n0
            i = min(max(i - w0, 0), n0 - 1)
            for d1 in range(2 if x1 > f1 else 1):
                j, w1 = int(f1) + d1, 0
                if sides.second:
                    w1 = (j // n1) * n1
                j = min(max(j - w1, 0), n1 - 1)
                k0, k1 = places[0, i, j] + w0, places[1, i, j] + w1
                low0, high0 = min(low0, k0), max(high0, k0)
                low1, high1 = min(low1, k1), max(high1, k1)
        if not sides.first:  # between a wall and the node beside it
            low0, high0 = (0 if f0 < 0 else low0), (n0 - 1 if f0 >= n0 - 1 and x0 > f0 else high0)
        if not sides.second:
            low1, high1 = (0 if f1 < 0 else low1), (n1 - 1 if f1 >= n1 - 1 and x1 > f1 else high1)
        best, stretched = np.inf, high0 - low0 > 1 or high1 - low1 > 1
        for k0 in range(low0, high0 + 1):
            for k1 in range(low1, high1 + 1):
                value = _at(f, pull, sides, k0, k1, x0, x1)
                if stretched:
                    value -= _below(f, pull, sides, (k0, k1), x0, x1)
                if value < best:
                    best = value
                    y[s, 0], y[s, 1] = k0 + 0.5, k1 + 0.5
