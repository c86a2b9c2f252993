"""This file owns min_y [ g(y) + |y - x|^2/2 ] over a whole grid, exactly, for g given by hats from its nodes; compiled.

Between four nodes g is bilinear, and the least value in such a cell has a closed form. Cells are met in a tree of
blocks, each with the least g at its nodes: a block whose least g plus its least distance is above the best value met
is left out, so that the minimum is global, proved to rounding. Along an axis of one node nothing moves.

Lengths are in cells, node i of an axis at i. pull_a = h_a^2/tau makes them energies.
"""

import math

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.compiled import inlined, kernel

Counts = NDArray[np.int64]
FEW = 16
"""Cells an atom may be shared by, at first."""
WIDE = 14.0
"""Of the width of a softened minimum: cells further above the least have a weight below 1e-6."""
FIELDS = 8
"""What is kept of a place: u, v in its cell, |y - x|^2/2, its share, the inverse Hessian (3), its value."""
_ROUNDING = 1e-13
_FLAT = 1e-9


def blocks(g: Array, cells: tuple[int, int]) -> tuple[Array, Counts]:
    """The least of g (n0, n1) at the nodes of each block of cells, and (levels, 3): offset, rows, columns.

    Level 0 are the cells, of level l blocks of 2^l by 2^l of them, up to one for all.
    """
    c0, c1 = cells
    low = np.minimum(g, np.roll(g, -1, 0))
    low = np.minimum(low, np.roll(low, -1, 1))[:c0, :c1]
    levels, shapes, offset = [low.ravel()], [(0, c0, c1)], c0 * c1
    while low.size > 1:
        a, b = -(-low.shape[0] // 2), -(-low.shape[1] // 2)
        padded = np.pad(low, ((0, 2 * a - low.shape[0]), (0, 2 * b - low.shape[1])), mode="edge")
        low = padded.reshape(a, 2, b, 2).min(axis=(1, 3))
        levels.append(low.ravel())
        shapes.append((offset, a, b))
        offset += low.size
    return np.concatenate(levels), np.array(shapes, dtype=np.int64)


@inlined
def _clipped(a: float) -> float:
    return min(max(a, 0.0), 1.0)


@inlined
def _edge(g: float, slope: float, pull: float, a: float) -> tuple[float, float]:
    """Least of g + slope u + pull (u - a)^2/2 on [0, 1], and where."""
    u = _clipped(a - slope / pull)
    return g + slope * u + 0.5 * pull * (u - a) ** 2, u


@inlined
def _in_cell(g: tuple[float, float, float, float], p0: float, p1: float, a: float, b: float, found: Array) -> int:
    """Least values in a cell for an atom at (a, b) from its corner: their number, and rows of value, u, v in `found`.

    One where the bilinear function and the squares are convex together. Elsewhere the least value lies on an edge, and
    each of the four edges has one. g: at the corners (0, 0), (1, 0), (0, 1), (1, 1).
    """
    b0, b1, d = g[1] - g[0], g[2] - g[0], g[3] - g[1] - g[2] + g[0]
    det = p0 * p1 - d * d
    if det > _FLAT * p0 * p1:
        u = ((p0 * a - b0) * p1 - d * (p1 * b - b1)) / det
        v = ((p1 * b - b1) * p0 - d * (p0 * a - b0)) / det
        if 0.0 < u < 1.0 and 0.0 < v < 1.0:
            way = 0.5 * p0 * (u - a) ** 2 + 0.5 * p1 * (v - b) ** 2
            found[0, 0], found[0, 1], found[0, 2] = g[0] + b0 * u + b1 * v + d * u * v + way, u, v
            return 1
    value, at = _edge(g[0], b0, p0, a)
    found[0, 0], found[0, 1], found[0, 2] = value + 0.5 * p1 * b * b, at, 0.0
    value, at = _edge(g[2], b0 + d, p0, a)
    found[1, 0], found[1, 1], found[1, 2] = value + 0.5 * p1 * (1.0 - b) ** 2, at, 1.0
    value, at = _edge(g[0], b1, p1, b)
    found[2, 0], found[2, 1], found[2, 2] = value + 0.5 * p0 * a * a, 0.0, at
    value, at = _edge(g[1], b1 + d, p1, b)
    found[3, 0], found[3, 1], found[3, 2] = value + 0.5 * p0 * (1.0 - a) ** 2, 1.0, at
    if not det > _FLAT * p0 * p1:
        return 4
    for k in range(1, 4):
        if found[k, 0] < found[0, 0]:
            found[0] = found[k]
    return 1


@inlined
def _far(low: float, high: float, x: float) -> float:
    """The distance of x from an interval."""
    return max(low - x, 0.0, x - high)


@kernel
def searched(
    g: Array, mu: Array, pull: tuple[float, float], turns: tuple[bool, bool], least: Array, low: Array,
    levels: Counts, slack: float, number: Counts, cells: Counts, places: Array,
) -> None:  # fmt: skip
    """For every node with mass: the cells whose least value is within `slack` of the best, best first."""
    n0, n1 = g.shape
    c0, c1 = levels[0, 1], levels[0, 2]
    few, top = places.shape[1], len(levels) - 1
    stack, found = np.empty((3 * top + 4, 3), np.int64), np.empty((4, 3))
    turn0, turn1 = 1 if turns[0] and n0 > 1 else 0, 1 if turns[1] and n1 > 1 else 0
    for i in range(n0):
        for j in range(n1):
            atom = i * n1 + j
            number[atom] = 0
            if not mu[i, j] > 0.0:
                continue
            best, held = least[i, j] + _ROUNDING * (1.0 + abs(least[i, j])), 0
            for s0 in range(-turn0, turn0 + 1):
                for s1 in range(-turn1, turn1 + 1):
                    x0, x1 = float(i - s0 * n0), float(j - s1 * n1)
                    depth = 1
                    stack[0, 0], stack[0, 1], stack[0, 2] = top, 0, 0
                    while depth > 0:
                        depth -= 1
                        level, a, b = stack[depth, 0], stack[depth, 1], stack[depth, 2]
                        size, wide = 1 << level, levels[level, 2]
                        d0 = _far(float(a * size), float(min((a + 1) * size, c0)), x0)
                        d1 = _far(float(b * size), float(min((b + 1) * size, c1)), x1) if n1 > 1 else 0.0
                        bound = low[levels[level, 0] + a * wide + b]
                        bound += 0.5 * pull[0] * d0 * d0 + 0.5 * pull[1] * d1 * d1
                        if bound > best + slack:
                            continue
                        if level > 0:
                            for k0 in range(2 * a, min(2 * a + 2, levels[level - 1, 1])):
                                for k1 in range(2 * b, min(2 * b + 2, levels[level - 1, 2])):
                                    stack[depth, 0], stack[depth, 1], stack[depth, 2] = level - 1, k0, k1
                                    depth += 1
                            continue
                        a1, b1 = (a + 1) % n0, (b + 1) % n1
                        corners = (g[a, b], g[a1, b], g[a, b1], g[a1, b1])
                        for c in range(_in_cell(corners, pull[0], pull[1], x0 - a, x1 - b, found)):
                            value, u, v = found[c, 0], found[c, 1], found[c, 2]
                            if value > best + slack or (held == few and value >= places[atom, few - 1, 7]):
                                continue
                            best = min(best, value)
                            k = min(held, few - 1)
                            held = min(held + 1, few)
                            while k > 0 and places[atom, k - 1, 7] > value:
                                places[atom, k] = places[atom, k - 1]
                                cells[atom, k] = cells[atom, k - 1]
                                k -= 1
                            way = 0.5 * pull[0] * (u + a - x0) ** 2 + 0.5 * pull[1] * (v + b - x1) ** 2
                            places[atom, k, 0], places[atom, k, 1], places[atom, k, 2] = u, v, way
                            places[atom, k, 7] = value
                            cells[atom, k, 0], cells[atom, k, 1] = a, b
            number[atom] = held


@kernel
def shared(
    g: Array, mu: Array, pull: tuple[float, float], width: float, number: Counts, cells: Counts, places: Array,
    deposit: Array, least: Array, soft: Array,
) -> float:  # fmt: skip
    """Shares and inverse Hessians of places, the deposit of mu by hats, the least and the softened values; the cost.

    width 0: all mass to the least. Else shares go like exp(-value/width).
    """
    n0, n1 = g.shape
    cost = 0.0
    for atom in range(n0 * n1):
        i, j = atom // n1, atom % n1
        if number[atom] == 0:
            deposit[i, j] += mu[i, j]
            least[i, j] = soft[i, j] = g[i, j]
            continue
        best, total = places[atom, 0, 7], 1.0
        held = number[atom] if width > 0.0 else 1
        places[atom, 0, 3] = 1.0
        for k in range(1, held):
            share = math.exp(-(places[atom, k, 7] - best) / width)
            places[atom, k, 3] = share
            total += share
        number[atom] = held
        least[i, j] = best
        soft[i, j] = best - width * math.log(total)
        for k in range(held):
            share = places[atom, k, 3] / total
            places[atom, k, 3] = share
            u, v = places[atom, k, 0], places[atom, k, 1]
            a, b = cells[atom, k, 0], cells[atom, k, 1]
            a1, b1 = (a + 1) % n0, (b + 1) % n1
            mass = mu[i, j] * share
            cost += mass * places[atom, k, 2]
            deposit[a, b] += mass * (1.0 - u) * (1.0 - v)
            deposit[a1, b] += mass * u * (1.0 - v)
            deposit[a, b1] += mass * (1.0 - u) * v
            deposit[a1, b1] += mass * u * v
            free0, free1 = 0.0 < u < 1.0, 0.0 < v < 1.0
            d = g[a1, b1] - g[a1, b] - g[a, b1] + g[a, b]
            det = pull[0] * pull[1] - d * d
            both = free0 and free1 and det > _FLAT * pull[0] * pull[1]
            places[atom, k, 4] = pull[1] / det if both else (1.0 / pull[0] if free0 else 0.0)
            places[atom, k, 5] = -d / det if both else 0.0
            places[atom, k, 6] = pull[0] / det if both else (1.0 / pull[1] if free1 else 0.0)
    return cost


@kernel
def answered(
    change: Array, mu: Array, width: float, number: Counts, cells: Counts, places: Array, deposit: Array
) -> None:
    """Minus the first change of the deposit (n0, n1), added up in it, where g changes by `change` (n0, n1)."""
    n0, n1 = change.shape
    for atom in range(n0 * n1):
        i, j = atom // n1, atom % n1
        held = number[atom]
        mean = 0.0
        if held > 1:
            for k in range(held):
                a, b, u, v = cells[atom, k, 0], cells[atom, k, 1], places[atom, k, 0], places[atom, k, 1]
                a1, b1 = (a + 1) % n0, (b + 1) % n1
                here = (1.0 - u) * ((1.0 - v) * change[a, b] + v * change[a, b1])
                here += u * ((1.0 - v) * change[a1, b] + v * change[a1, b1])
                mean += places[atom, k, 3] * here
        for k in range(held):
            a, b, u, v = cells[atom, k, 0], cells[atom, k, 1], places[atom, k, 0], places[atom, k, 1]
            a1, b1 = (a + 1) % n0, (b + 1) % n1
            c00, c10, c01, c11 = change[a, b], change[a1, b], change[a, b1], change[a1, b1]
            mass = mu[i, j] * places[atom, k, 3]
            s0 = (1.0 - v) * (c10 - c00) + v * (c11 - c01)
            s1 = (1.0 - u) * (c01 - c00) + u * (c11 - c10)
            move0 = mass * (places[atom, k, 4] * s0 + places[atom, k, 5] * s1)
            move1 = mass * (places[atom, k, 5] * s0 + places[atom, k, 6] * s1)
            more = 0.0
            if held > 1:
                here = (1.0 - u) * ((1.0 - v) * c00 + v * c01) + u * ((1.0 - v) * c10 + v * c11)
                more = mass * (here - mean) / width
            deposit[a, b] += more * (1.0 - u) * (1.0 - v) - move0 * (1.0 - v) - move1 * (1.0 - u)
            deposit[a1, b] += more * u * (1.0 - v) + move0 * (1.0 - v) - move1 * u
            deposit[a, b1] += more * (1.0 - u) * v - move0 * v + move1 * (1.0 - u)
            deposit[a1, b1] += more * u * v + move0 * v + move1 * u
