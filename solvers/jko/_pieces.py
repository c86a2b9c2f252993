"""This file owns the largest of equal parabolas on the cells of a grid, compiled: who has which part, exactly.

    f(y) = max_s phi_s - sum_a pull_a (y_a - x_sa)^2/2,        y in cells

Differences of two are affine, so each has a convex polygon of each cell, the cell cut by lines. Of the parabolas that
are compared in a cell none is nowhere in it above the one that is largest at its middle.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wflow import clipping
from wflow.arrays import Array
from wflow.clipping import WALL, Indices, cut
from wflow.compiled import kernel

_kernel = partial(kernel, uses=(clipping,))


class Pieces(NamedTuple):
    """cell, site, area (q,) of the parts and spread (q,): int sum_a pull_a (y_a - x_a)^2/2 over each.

    edge, first, second (e,): cell and two sites with a common edge in it, and rate (e,): of the first's area, by phi.
    """

    cell: Indices
    site: Indices
    area: Array
    spread: Array
    edge: Indices
    first: Indices
    second: Indices
    rate: Array


@_kernel
def _measure(p: Array, n: int, x0: float, x1: float, pull: tuple[float, float]) -> tuple[float, float]:
    """Area, and the integral of the parabola with its bottom at x: by triangles, at the middles of their sides."""
    area = spread = 0.0
    for k in range(1, n - 1):
        d0, d1 = p[k, 0] - p[0, 0], p[k, 1] - p[0, 1]
        e0, e1 = p[k + 1, 0] - p[0, 0], p[k + 1, 1] - p[0, 1]
        part = max(0.5 * (d0 * e1 - d1 * e0), 0.0)
        area += part
        y0, y1 = p[0, 0] - x0, p[0, 1] - x1
        for w in range(3):
            s, t = (0.0 if w == 0 else 0.5), (0.0 if w == 1 else 0.5)
            z0, z1 = y0 + s * d0 + t * e0, y1 + s * d1 + t * e1
            spread += part / 6.0 * (pull[0] * z0 * z0 + pull[1] * z1 * z1)
    return area, spread


@_kernel
def _nearby(x: Array, phi: Array, c0: float, c1: float, pull: tuple[float, float], high: Array, near: Indices) -> int:
    """How many sites may be highest somewhere in the cell about (c0, c1): `near`. `high`: all at its middle."""
    best = count = 0
    for s in range(len(x)):
        high[s] = phi[s] - 0.5 * (pull[0] * (c0 - x[s, 0]) ** 2 + pull[1] * (c1 - x[s, 1]) ** 2)
        if high[s] > high[best]:
            best = s
    for s in range(len(x)):
        reach = 0.5 * (pull[0] * abs(x[s, 0] - x[best, 0]) + pull[1] * abs(x[s, 1] - x[best, 1]))
        if s == best or high[s] - high[best] + reach > 0.0:
            near[count] = s
            count += 1
    return count


@_kernel
def _pieces(
    x: Array,
    phi: Array,
    shape: tuple[int, int],
    pull: tuple[float, float],
    parts: Indices,
    sizes: Array,
    edges: Indices,
    rates: Array,
) -> tuple[int, int]:
    """The parts (q, 2), (q, 2) and edges (e, 3), (e,), and how many there are, as far as there is room."""
    sites = len(x)
    high, near = np.empty(sites), np.empty(sites, np.int64)
    room, names = np.empty((2, sites + 8, 2)), np.empty((2, sites + 8), np.int64)
    found = walls = 0
    for i in range(shape[0]):
        for j in range(shape[1]):
            c0, c1 = i + 0.5, j + 0.5
            count = _nearby(x, phi, c0, c1, pull, high, near)
            for a in range(count):
                s = near[a]
                p, q, labels, kept = room[0], room[1], names[0], names[1]
                p[0, 0], p[0, 1], p[1, 0], p[1, 1] = -0.5, -0.5, 0.5, -0.5
                p[2, 0], p[2, 1], p[3, 0], p[3, 1] = 0.5, 0.5, -0.5, 0.5
                labels[:4] = WALL
                n = 4
                for b in range(count):
                    if b == a:
                        continue
                    t = near[b]
                    line = (pull[0] * (x[t, 0] - x[s, 0]), pull[1] * (x[t, 1] - x[s, 1]), high[s] - high[t])
                    n = cut(p, labels, n, line, t, q, kept)
                    p, q, labels, kept = q, p, kept, labels
                    if n < 3:
                        break
                if n < 3:
                    continue
                area, spread = _measure(p, n, x[s, 0] - c0, x[s, 1] - c1, pull)
                if area <= 0.0:
                    continue
                if found < len(parts):
                    parts[found, 0], parts[found, 1] = i * shape[1] + j, s
                    sizes[found, 0], sizes[found, 1] = area, spread
                found += 1
                for k in range(n):
                    t = labels[k]
                    if t > s:
                        to = k + 1 if k + 1 < n else 0
                        steep = np.hypot(pull[0] * (x[t, 0] - x[s, 0]), pull[1] * (x[t, 1] - x[s, 1]))
                        if walls < len(edges):
                            edges[walls, 0], edges[walls, 1], edges[walls, 2] = i * shape[1] + j, s, t
                            rates[walls] = np.hypot(p[to, 0] - p[k, 0], p[to, 1] - p[k, 1]) / steep
                        walls += 1
    return found, walls


def pieces(x: Array, phi: Array, shape: tuple[int, int], pull: tuple[float, float]) -> Pieces:
    """For sites x (s, 2), in cells and apart from each other, heights phi (s,), on n0 x n1 cells.

    A pull of 0 along an axis of one cell: there is no such axis.
    """
    room = 4 * (shape[0] * shape[1] + len(x))
    while True:
        parts, sizes = np.empty((room, 2), np.int64), np.empty((room, 2))
        edges, rates = np.empty((room, 3), np.int64), np.empty(room)
        found, walls = _pieces(x, phi, shape, pull, parts, sizes, edges, rates)
        if max(found, walls) <= room:
            break
        room = max(found, walls)
    first, second = parts[:found].T
    area, spread = sizes[:found].T
    edge, one, other = edges[:walls].T
    return Pieces(first, second, area, spread, edge, one, other, rates[:walls])


def repeated(x: Array, shape: tuple[int, int], periodic: tuple[bool, bool]) -> tuple[Array, NDArray[np.int64]]:
    """The sites of atoms x (m, 2) and of their repetitions along periodic axes, and whose they are."""
    sites, owner = x, np.arange(len(x))
    for axis, turns in enumerate(periodic):
        if turns:
            shift = np.zeros(2)
            shift[axis] = shape[axis]
            sites, owner = np.vstack([sites - shift, sites, sites + shift]), np.tile(owner, 3)
    return sites, owner
