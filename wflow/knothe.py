"""This file owns the Knothe-Rosenblatt coupling of two densities on a grid, compiled: a bound of W2 from above.

The first axis' marginals are coupled by quantiles, then within each pair of slabs the conditional densities of the
second: gamma is a coupling, so its cost bounds W2^2 whatever a solver did. Exact on one axis; on two it is W2^2 where
the optimal map is triangular, such as between products or radial profiles. Piecewise constant densities: cells are
split, nothing is rounded. Periodic axes: quantile functions turned so that the mean of their difference vanishes.
Source: Knothe 1957, Michigan Math. J. 4, 39-52; Rosenblatt 1952, Ann. Math. Stat. 23, 470-472.
"""

import numpy as np

from wflow.arrays import Array
from wflow.compiled import inlined, kernel


@inlined
def _turn(a: Array, b: Array, mass_a: float, mass_b: float) -> float:
    """The mean of the second distribution function less the first, at the ends of cells."""
    total = behind_a = behind_b = 0.0
    for i in range(len(a)):
        behind_a += a[i] / mass_a
        behind_b += b[i] / mass_b
        total += behind_b - behind_a
    return total / len(a)


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


@kernel
def _line(a: Array, b: Array, mass_a: float, mass_b: float, turns: bool) -> float:
    """Mean squared distance, in cells, of two densities (n,) along a line or a circle, by quantiles."""
    n = len(a)
    j, used_b = _first(b, mass_b, _turn(a, b, mass_a, mass_b)) if turns else (0, 0.0)
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
def _cost(a: Array, b: Array, square0: float, square1: float, first: bool, second: bool) -> float:
    """As _line for slabs a[i], b[k], with the cost of their own coupling for each piece; squared widths weigh."""
    n = a.shape[0]
    slab_a, slab_b = a.sum(axis=1), b.sum(axis=1)
    mass_a, mass_b = slab_a.sum(), slab_b.sum()
    k, used_b = _first(slab_b, mass_b, _turn(slab_a, slab_b, mass_a, mass_b)) if first else (0, 0.0)
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
    first = _cost(np.ascontiguousarray(a), np.ascontiguousarray(b), *squares, *periodic)
    if 1 in a.shape:
        return float(first)
    turned = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    return float(min(first, _cost(*turned, squares[1], squares[0], periodic[1], periodic[0])))
