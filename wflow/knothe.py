"""This file owns the Knothe-Rosenblatt coupling of two densities on a grid, compiled: a bound of W2 from above.

The first axis' marginals are coupled by quantiles, then within each pair of slabs the conditional densities of the
second: gamma is a coupling, so its cost bounds W2^2 whatever a solver did. Exact on one axis; on two it is W2^2 where
the optimal map is triangular, such as between products or radial profiles. Piecewise constant densities: cells are
split, nothing is rounded. Circles: quantile functions turned against each other so that the cost is least (on the first
of two axes that of the marginals).
Source: Knothe 1957, Michigan Math. J. 4, 39-52; Rosenblatt 1952, Ann. Math. Stat. 23, 470-472.
"""

import numpy as np

from wflow.arrays import Array
from wflow.compiled import inlined, kernel

_GOLDEN = 0.6180339887498949
_SECTIONS = 75
_FAINT = 1e-100
"""Of the largest density: what is less counts as nothing, lest the inverse of a share overflow."""


@inlined
def _first(b: Array, mass: float, level: float) -> tuple[int, float]:
    """The cell, lifted, in which the level of mass lies, and how much of the cell's share of mass lies below it."""
    n = len(b)
    turns = int(np.floor(level))
    rest = level - turns
    for j in range(n):
        share = b[j] / mass
        if rest < share:
            return j + turns * n, rest
        rest -= share
    return (turns + 1) * n, 0.0


@inlined
def _paired(a: Array, b: Array, mass_a: float, mass_b: float, turn: float) -> float:
    """Mean squared distance, in cells, of quantiles of two densities (n,), those of the second `turn` of mass ahead."""
    n = len(a)
    j, used_b = _first(b, mass_b, turn)
    i, used_a, cost = 0, 0.0, 0.0
    end = j + n
    while i < n and j <= end:
        whole_a, whole_b = a[i] / mass_a, b[j % n] / mass_b
        left_a, left_b = whole_a - used_a, whole_b - used_b
        share = min(left_a, left_b)
        if share > 0.0:
            d0 = (j + used_b / whole_b) - (i + used_a / whole_a)
            d1 = (j + (used_b + share) / whole_b) - (i + (used_a + share) / whole_a)
            cost += share * (d0 * d0 + d0 * d1 + d1 * d1) / 3.0
        if left_a <= left_b:
            i, used_a, used_b = i + 1, 0.0, used_b + max(share, 0.0)
        else:
            j, used_b, used_a = j + 1, 0.0, used_a + max(share, 0.0)
    return cost


@kernel
def _turn(a: Array, b: Array, mass_a: float, mass_b: float) -> float:
    """The turn of least cost on a circle, in which the cost is convex, by golden section; 0 where nothing is better."""
    low, high = -1.0, 1.0
    first, second = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_first, at_second = _paired(a, b, mass_a, mass_b, first), _paired(a, b, mass_a, mass_b, second)
    for _ in range(_SECTIONS):
        if at_first < at_second:
            high, second, at_second = second, first, at_first
            first = high - _GOLDEN * (high - low)
            at_first = _paired(a, b, mass_a, mass_b, first)
        else:
            low, first, at_first = first, second, at_second
            second = low + _GOLDEN * (high - low)
            at_second = _paired(a, b, mass_a, mass_b, second)
    found = 0.5 * (low + high)
    return found if _paired(a, b, mass_a, mass_b, found) < _paired(a, b, mass_a, mass_b, 0.0) else 0.0


@inlined
def _line(a: Array, b: Array, mass_a: float, mass_b: float, turns: bool) -> float:
    """Mean squared distance, in cells, of two densities (n,) along a line or a circle."""
    return _paired(a, b, mass_a, mass_b, _turn(a, b, mass_a, mass_b) if turns else 0.0)


@kernel
def _cost(a: Array, b: Array, square0: float, square1: float, first: bool, second: bool) -> float:
    """As _line for slabs a[i], b[k], with the cost of their own coupling for each piece; squared widths weigh."""
    n = a.shape[0]
    slab_a, slab_b = a.sum(axis=1), b.sum(axis=1)
    mass_a, mass_b = slab_a.sum(), slab_b.sum()
    k, used_b = _first(slab_b, mass_b, _turn(slab_a, slab_b, mass_a, mass_b) if first else 0.0)
    i, used_a, cost = 0, 0.0, 0.0
    end = k + n
    while i < n and k <= end:
        whole_a, whole_b = slab_a[i] / mass_a, slab_b[k % n] / mass_b
        left_a, left_b = whole_a - used_a, whole_b - used_b
        share = min(left_a, left_b)
        if share > 0.0:
            d0 = (k + used_b / whole_b) - (i + used_a / whole_a)
            d1 = (k + (used_b + share) / whole_b) - (i + (used_a + share) / whole_a)
            cost += share * square0 * (d0 * d0 + d0 * d1 + d1 * d1) / 3.0
            cost += share * square1 * _line(a[i], b[k % n], slab_a[i], slab_b[k % n], second)
        if left_a <= left_b:
            i, used_a, used_b = i + 1, 0.0, used_b + max(share, 0.0)
        else:
            k, used_b, used_a = k + 1, 0.0, used_a + max(share, 0.0)
    return cost


def squared_bound(a: Array, b: Array, widths: tuple[float, float], periodic: tuple[bool, bool]) -> float:
    """A bound of W2^2 from above for densities (n0, n1) >= 0 on one grid, scaled to mass 1: the better axis first."""
    squares = widths[0] ** 2, widths[1] ** 2
    a, b = (np.ascontiguousarray(np.where(pi > _FAINT * pi.max(), pi, 0.0)) for pi in (a, b))
    first = _cost(a, b, *squares, *periodic)
    if 1 in a.shape:
        return float(first)
    turned = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    return float(min(first, _cost(*turned, squares[1], squares[0], periodic[1], periodic[0])))
