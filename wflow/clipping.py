"""This file owns convex polygons, compiled: cut by a line, and integrals of a piecewise constant density over them.

Sums have positive terms only, so a small mass is right to rounding.
Source: Sutherland & Hodgman 1974, Commun. ACM 17, 32-42 (clipping).
"""

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.compiled import kernel

WALL = -1
Indices = NDArray[np.int64]


@kernel
def cut(p: Array, labels: Indices, n: int, line: tuple[float, float, float], new: int, q: Array, kept: Indices) -> int:
    """q, kept: what of the convex polygon p (room, 2) has a x + b y <= c; returns its number of corners.

    labels[k] names the edge from corner k to the next; the cut is named `new`.
    """
    a, b, c = line
    count = 0
    before = a * p[n - 1, 0] + b * p[n - 1, 1] - c
    for k in range(n):
        here = a * p[k, 0] + b * p[k, 1] - c
        if (before <= 0.0) != (here <= 0.0):
            last = k - 1 if k > 0 else n - 1
            share = before / (before - here)
            q[count, 0] = p[last, 0] + share * (p[k, 0] - p[last, 0])
            q[count, 1] = p[last, 1] + share * (p[k, 1] - p[last, 1])
            kept[count] = labels[last] if here <= 0.0 else new
            count += 1
        if here <= 0.0:
            q[count, 0], q[count, 1], kept[count] = p[k, 0], p[k, 1], labels[k]
            count += 1
        before = here
    return count


@kernel
def _halves(p: Array, n: int, axis: int, at: float, low: Array, high: Array) -> tuple[int, int]:
    """The parts of the convex polygon p below and above a grid line; returns their numbers of corners."""
    below, above = 0, 0
    before = p[n - 1, axis] - at
    for k in range(n):
        here = p[k, axis] - at
        if (before < 0.0 and here > 0.0) or (before > 0.0 and here < 0.0):
            last = k - 1 if k > 0 else n - 1
            other = p[last, 1 - axis] + before / (before - here) * (p[k, 1 - axis] - p[last, 1 - axis])
            low[below, axis] = high[above, axis] = at
            low[below, 1 - axis] = high[above, 1 - axis] = other
            below, above = below + 1, above + 1
        if here <= 0.0:
            low[below, 0], low[below, 1] = p[k, 0], p[k, 1]
            below += 1
        if here >= 0.0:
            high[above, 0], high[above, 1] = p[k, 0], p[k, 1]
            above += 1
        before = here
    return below, above


@kernel
def _add(p: Array, n: int, rho: float, per: float, x: Array, out: Array) -> None:
    """Add the integrals over the polygon to out: rho (1, z, |z - x|^2), then `per`. By triangles."""
    for k in range(1, n - 1):
        d0, d1 = p[k, 0] - p[0, 0], p[k, 1] - p[0, 1]
        e0, e1 = p[k + 1, 0] - p[0, 0], p[k + 1, 1] - p[0, 1]
        area = max(0.5 * (d0 * e1 - d1 * e0), 0.0)
        z0, z1 = p[0, 0] + (d0 + e0) / 3.0, p[0, 1] + (d1 + e1) / 3.0
        spread = (d0 * d0 + d1 * d1 + e0 * e0 + e1 * e1 - d0 * e0 - d1 * e1) / 18.0
        out[0] += area * rho
        out[1] += area * rho * z0
        out[2] += area * rho * z1
        out[3] += area * rho * ((z0 - x[0]) ** 2 + (z1 - x[1]) ** 2 + spread)
        out[4] += area * per


@kernel
def _span(p: Array, n: int, axis: int, lower: float, width: float, count: int) -> tuple[int, int]:
    """First and last grid cell that a polygon meets along an axis."""
    least, most = p[0, axis], p[0, axis]
    for k in range(1, n):
        least, most = min(least, p[k, axis]), max(most, p[k, axis])
    first, last = int((least - lower) / width), int((most - lower) / width)
    return min(max(first, 0), count - 1), min(max(last, 0), count - 1)


@kernel
def runs(rho: Array) -> Indices:
    """(n0, n1): the last cell of the second axis up to which rho is what it is here, without a change."""
    n0, n1 = rho.shape
    ends = np.empty((n0, n1), np.int64)
    for i in range(n0):
        ends[i, n1 - 1] = n1 - 1
        for j in range(n1 - 2, -1, -1):
            ends[i, j] = ends[i, j + 1] if rho[i, j + 1] == rho[i, j] else j
    return ends


@kernel
def over_grid(rest: Array, n: int, rho: Array, ends: Indices, frame: Array, x: Array, room: Array, out: Array) -> None:
    """Cut the polygon into slabs of the first axis and these where rho changes.

    ends: runs(rho). frame: lower corner, widths, 1/|box|.
    """
    n0, n1 = rho.shape
    slab, part, spare, more = room[0], room[1], room[2], room[3]
    first, last = _span(rest, n, 0, frame[0], frame[2], n0)
    for i in range(first, last + 1):
        corners = n
        if i < last:
            corners, n = _halves(rest, n, 0, frame[0] + (i + 1) * frame[2], slab, spare)
            rest, spare = spare, rest
        else:
            slab[:n] = rest[:n]
        if corners < 3:
            continue
        j, end = _span(slab, corners, 1, frame[1], frame[3], n1)
        while ends[i, j] < end:
            to = ends[i, j] + 1
            pieces, corners = _halves(slab, corners, 1, frame[1] + to * frame[3], part, more)
            slab, more = more, slab
            _add(part, pieces, rho[i, j], frame[4], x, out)
            j = to
        _add(slab, corners, rho[i, j], frame[4], x, out)
