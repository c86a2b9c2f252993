"""This file owns integrals of a piecewise constant density over Laguerre cells and their walls, compiled.

Each cell is the rectangle cut by the bisectors of its neighbours, then cut into the grid's cells it meets, in which the
density is constant: polygons have exact moments. Sums have positive terms only, so a small mass is right to rounding.
Source: Sutherland & Hodgman 1974, Commun. ACM 17, 32-42 (clipping).
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from wflow import clipping, intercepts
from wflow.arrays import Array
from wflow.clipping import WALL, Indices, cut, over_grid
from wflow.compiled import kernel
from wflow.intercepts import gap

_kernel = partial(kernel, uses=(clipping, intercepts))


@_kernel
def _next(at: float, step: float, lower: float, width: float) -> float:
    """Share of the step after which the next grid line is met, from a place already beyond rounding; inf if none."""
    u = (at - lower) / width
    if step > 0.0:
        return float((np.floor(u) + 1.0 - u) * width / step)
    if step < 0.0:
        return float((np.ceil(u) - 1.0 - u) * width / step)
    return np.inf


@_kernel
def _along(p0: float, p1: float, q0: float, q1: float, rho: Array, frame: Array) -> float:
    """int rho ds over the segment from p to q, cell by cell."""
    n0, n1 = rho.shape
    d0, d1 = q0 - p0, q1 - p1
    size = np.hypot(d0, d1)
    t, total = 0.0, 0.0
    first, second = _next(p0, d0, frame[0], frame[2]), _next(p1, d1, frame[1], frame[3])
    step0 = frame[2] / abs(d0) if d0 != 0.0 else np.inf
    step1 = frame[3] / abs(d1) if d1 != 0.0 else np.inf
    while t < 1.0:
        end = min(first, second, 1.0)
        middle = 0.5 * (t + end)
        i = min(max(int((p0 + middle * d0 - frame[0]) / frame[2]), 0), n0 - 1)
        j = min(max(int((p1 + middle * d1 - frame[1]) / frame[3]), 0), n1 - 1)
        total += rho[i, j] * (end - t)
        t = end
        if first <= t:
            first += step0
        if second <= t:
            second += step1
    return float(total * size)


@_kernel
def integrals(
    x: Array,
    phi: Array,
    seen: NDArray[np.bool_],
    start: Indices,
    other: Indices,
    rho: Array,
    ends: Indices,
    frame: Array,
    asked: Indices,
    m: int,
    out: Array,
) -> tuple[Indices, Array]:
    """out (len(asked), 5) as in _add, about their barycentres, of those of the m atoms that are asked for.

    Walls with later ones: pairs (e, 2), and int rho ds, int ds, and how far apart the two are, (3, e). Of a wall
    between repetitions both atoms know; that with an atom's own does not move.
    """
    n0, n1 = rho.shape
    most, room_for = 0, 0
    for i in asked:
        most = max(most, start[i + 1] - start[i])
        room_for += start[i + 1] - start[i]
    pairs, walls, e = np.empty((room_for, 2), np.int64), np.empty((3, room_for)), 0
    room, names = np.empty((6, most + 16, 2)), np.empty((2, most + 16), np.int64)
    corner = np.empty(2)
    upper0, upper1 = frame[0] + n0 * frame[2], frame[1] + n1 * frame[3]
    for s in range(len(asked)):
        i = asked[s]
        if not seen[i]:
            continue
        p, q, labels, kept = room[4], room[5], names[0], names[1]
        p[0, 0], p[0, 1], p[1, 0], p[1, 1] = frame[0], frame[1], upper0, frame[1]
        p[2, 0], p[2, 1], p[3, 0], p[3, 1] = upper0, upper1, frame[0], upper1
        labels[:4] = WALL
        n = 4
        for k in range(start[i], start[i + 1]):
            j = other[k]
            n = cut(p, labels, n, (x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], gap(phi, i, j)), j, q, kept)
            p, q, labels, kept = q, p, kept, labels
            if n < 3:
                break
        if n < 3:
            continue
        for k in range(n):
            j, to = labels[k], k + 1 if k + 1 < n else 0
            size = np.hypot(p[to, 0] - p[k, 0], p[to, 1] - p[k, 1])
            if j != WALL and j % m > i and size > 0.0:
                pairs[e, 0], pairs[e, 1], walls[1, e] = i, j % m, size
                walls[0, e] = _along(p[k, 0], p[k, 1], p[to, 0], p[to, 1], rho, frame)
                walls[2, e], e = np.hypot(x[j, 0] - x[i, 0], x[j, 1] - x[i, 1]), e + 1
        corner[0], corner[1] = p[0, 0], p[0, 1]
        over_grid(p, n, rho, ends, frame, corner, room, out[s])
        if out[s, 0] > 0.0:
            b0, b1 = out[s, 1] / out[s, 0] - corner[0], out[s, 2] / out[s, 0] - corner[1]
            out[s, 3] = max(out[s, 3] - out[s, 0] * (b0 * b0 + b1 * b1), 0.0)
    return pairs[:e], walls[:, :e]


@_kernel
def standing(
    stands: NDArray[np.bool_], pairs: Indices, walls: Array, more: Indices, more_walls: Array
) -> tuple[Indices, Array]:
    """Of pairs (e, 2) and their walls (3, e) those whose first atom stands (m,), then some more."""
    n = len(more)
    for k in range(len(pairs)):
        n += stands[pairs[k, 0]]
    every, sizes, n = np.empty((n, 2), np.int64), np.empty((3, n)), 0
    for k in range(len(pairs)):
        if stands[pairs[k, 0]]:
            every[n, 0], every[n, 1] = pairs[k, 0], pairs[k, 1]
            sizes[0, n], sizes[1, n], sizes[2, n] = walls[0, k], walls[1, k], walls[2, k]
            n += 1
    every[n:], sizes[:, n:] = more, more_walls
    return every, sizes
