"""This file owns who borders whom among Laguerre cells in a rectangle, found again from a diagram nearby; compiled.

A cell cut by some atoms only is too large. So each cell is cut by its former neighbours, and each corner v of what is
left is looked at: from the two atoms beyond it a walk goes over the former neighbours, each time to whoever has the
largest v.x_j - phi_j, and if that is more than the cell's own the cell is cut by that atom too. Neighbours found by
one of the two only are then told to the other. Whether that was enough is seen in the end: cells that are too large
overlap, and the sum of their areas exceeds the rectangle's by what they do.
Source: walks in a regular triangulation end at the least (Edelsbrunner & Shah 1996, Algorithmica 15, 223-241).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wflow import clipping, intercepts, mutual
from wflow.arrays import Array
from wflow.clipping import WALL, Indices, cut
from wflow.compiled import kernel
from wflow.intercepts import gap
from wflow.mutual import among, told

_kernel = partial(kernel, uses=(clipping, intercepts, mutual))
_ROUNDS = 12
_GROWN = 100
"""Cuts by whom a seed borders, at most: of who has come to it lately there may be any number."""
_OVERLAP = 1e-11
"""Of the rectangle's area: what rounding makes of cells that tile it."""
_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Borders:
    """Neighbours of atom i: other[start[i] : start[i + 1]], each pair both ways. seen (m,): has a cell.

    seed (m,): an atom not far from i's cell. Of a cell that is empty the seed is who took the last of it.
    fresh (m,): whose cell was looked at anew, if not all were: the others' are what they were.
    """

    start: Indices
    other: Indices
    seed: Indices
    seen: NDArray[np.bool_]
    fresh: NDArray[np.bool_] | None = None


Links = tuple[Indices, Indices, Indices, Indices, Indices]
"""start, other as in Borders, and more neighbours of i as a chain: item[k], k = head[i], after[k], until k < 0."""


def linked(start: Indices, other: Indices, room: int = 0) -> Links:
    """Links without chains, with room for some."""
    return start, other, np.full(len(start) - 1, -1), np.empty(room, np.int64), np.empty(room, np.int64)


@_kernel
def _excess(v0: float, v1: float, x: Array, phi: Array, i: int, j: int, size: float) -> float:
    """By what v.x_j - phi_j is less than the same of i, at most: rounding, as the distance of the two has it, is added.

    On the wall between two clouds far apart all of the other cloud are as high as i, to that rounding: by it alone a
    walk would go there, past an atom near i that is higher in truth, by less. size: of corners, from 0.
    """
    a, b, c = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], gap(phi, i, j)
    return float((c - (v0 * a + v1 * b)) + _ROUNDING * ((abs(a) + abs(b)) * size + abs(c)))


@_kernel
def _walk(v0: float, v1: float, x: Array, phi: Array, i: int, at: int, links: Links, size: float) -> tuple[int, float]:
    """From an atom to ever higher ones in v.x_j - phi_j, i left out, until none of its neighbours is higher.

    And by what that is less than the same of i, at most.
    """
    start, other, head, after, item = links
    least = _excess(v0, v1, x, phi, i, at, size)
    moved = True
    while moved:
        moved = False
        here = at
        for k in range(start[here], start[here + 1]):
            j = other[k]
            if j == i:
                continue
            e = _excess(v0, v1, x, phi, i, j, size)
            if e < least:
                least, at, moved = e, j, True
        k = head[here]
        while k >= 0:
            j, k = item[k], after[k]
            if j == i:
                continue
            e = _excess(v0, v1, x, phi, i, j, size)
            if e < least:
                least, at, moved = e, j, True
    return at, least


@_kernel
def halfplane(x: Array, phi: Array, i: int, j: int) -> tuple[float, float, float]:
    """Where i is above j: a z_0 + b z_1 <= c."""
    return x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], gap(phi, i, j)


@_kernel
def _known(
    i: int, x: Array, phi: Array, links: Links, seed: int, room: Array, names: Indices
) -> tuple[int, int, int, int]:
    """The rectangle in room[0], cut by the neighbours of i: corners, in which of room they are, cuts, the last's atom.

    One without neighbours is cut by the seed and by whom that borders: walks then begin near the cell, wherever it is.
    """
    start, other, head, after, item = links
    p, q, labels, kept, side = room[0], room[1], names[0], names[1], 0
    of = i if start[i + 1] > start[i] else seed
    n, k, chain, j, cuts = 4, start[of], -1 if of == i else head[of], of, 0
    most = min(_GROWN, room.shape[1] - 8)
    while True:
        if j != i:
            n, cuts = cut(p, labels, n, halfplane(x, phi, i, j), j, q, kept), cuts + 1
            p, q, labels, kept, side = q, p, kept, labels, 1 - side
        if n < 3 or (k >= start[of + 1] and (chain < 0 or cuts >= most)):
            return n, side, cuts, j
        if k < start[of + 1]:
            j, k = other[k], k + 1
        else:
            j, chain = item[chain], after[chain]


@_kernel
def polygon(
    i: int,
    x: Array,
    phi: Array,
    links: Links,
    seed: int,
    box: tuple[float, float, float, float],
    room: Array,
    names: Indices,
) -> tuple[int, int, int]:
    """The cell of i: its number of corners, in which of room[0], room[1] they are, and a seed.

    names: whose wall each edge is.
    """
    p, q, labels, kept, side = room[0], room[1], names[0], names[1], 0
    p[0, 0], p[0, 1], p[1, 0], p[1, 1] = box[0], box[1], box[2], box[1]
    p[2, 0], p[2, 1], p[3, 0], p[3, 1] = box[2], box[3], box[0], box[3]
    labels[:4] = WALL
    n, side, cuts, last = _known(i, x, phi, links, seed, room, names)
    if n < 3:
        return 0, side, last
    if side == 1:
        p, q, labels, kept = q, p, kept, labels
    size = max(abs(box[0]), abs(box[1]), abs(box[2]), abs(box[3]))
    k, before = 0, cuts
    # more cuts than there is room for, by rounding: the cell stays too large, which its area shows
    while k < n and cuts < room.shape[1] - 8:
        v0, v1 = p[k, 0], p[k, 1]
        found = -1
        for of in range(2):
            at = labels[k] if of == 0 else labels[k - 1 if k > 0 else n - 1]
            at = at if at >= 0 else seed
            if at == i:
                continue
            j, excess = _walk(v0, v1, x, phi, i, at, links, size)
            if excess < 0.0:
                found = j
                break
        if found < 0:
            k += 1
            if k == n and cuts > before:  # once more, until all corners have been looked at without a cut
                k, before = 0, cuts
            continue
        n = cut(p, labels, n, halfplane(x, phi, i, found), found, q, kept)
        p, q, labels, kept, side = q, p, kept, labels, 1 - side
        if n < 3:
            return 0, side, found
        k, cuts = max(k - 2, 0), cuts + 1
    for k in range(n):
        if labels[k] >= 0:
            return n, side, labels[k]
    return n, side, seed


@_kernel
def area(p: Array, n: int) -> float:
    """Of a polygon."""
    total = 0.0
    for k in range(1, n - 1):
        total += (p[k, 0] - p[0, 0]) * (p[k + 1, 1] - p[0, 1]) - (p[k, 1] - p[0, 1]) * (p[k + 1, 0] - p[0, 0])
    return 0.5 * total


@_kernel
def _found(
    x: Array,
    phi: Array,
    links: Links,
    seed: Indices,
    box: tuple[float, float, float, float],
    asked: Indices,
    areas: Array,
) -> tuple[Indices, Indices]:
    """Neighbours of the atoms asked for: how many each has, and one after the other; areas and seeds in place."""
    counts, near = np.zeros(len(asked), np.int64), np.empty(16 * len(asked) + 64, np.int64)
    room, names = np.empty((2, len(x) + 16, 2)), np.empty((2, len(x) + 16), np.int64)
    total = 0
    for s in range(len(asked)):
        i = asked[s]
        n, side, seed[i] = polygon(i, x, phi, links, seed[i], box, room, names)
        areas[i] = area(room[side], n)
        if total + n > len(near):
            more = np.empty(2 * len(near) + n, np.int64)
            more[:total] = near[:total]
            near = more
        for k in range(n):
            if names[side, k] >= 0 and not among(names[side, k], near, total - counts[s], total):
                near[total] = names[side, k]
                total, counts[s] = total + 1, counts[s] + 1
    return counts, near[:total]


def repaired(
    x: Array,
    phi: Array,
    box: tuple[float, float, float, float],
    near: Borders,
    moved: NDArray[np.bool_] | None = None,
    areas: Array | None = None,
    loose: bool = False,
) -> Borders | None:
    """Who borders whom under phi, from the borders of another; None where the cells found do not tile the rectangle.

    box: lower and upper corner. Walls between cells that meet within the rectangle only. loose: also where they do not.
    moved (m,): whose phi has changed, and areas (m,) of the cells before: a cell for which neither its own phi nor a
    neighbour's has changed still contains its atom's, and is looked at again only if another's says that they meet.
    """
    m = len(x)
    start, other, seed = near.start, near.other, near.seed.copy()
    again = np.ones(m, bool) if moved is None else _touched(start, other, near.seen, moved)
    fresh, areas = again.copy(), np.zeros(m) if areas is None else areas.copy()
    whole, total = (box[2] - box[0]) * (box[3] - box[1]), np.inf
    for _ in range(_ROUNDS):
        asked = np.flatnonzero(again)
        counts, found = _found(x, phi, linked(start, other), seed, box, asked, areas)
        empty = areas <= 0.0
        start, other, alone = told(start, other, asked, counts, found, empty)
        total, before = float(areas.sum()), total
        tiles = total <= whole * (1.0 + _OVERLAP)
        if tiles or (total >= before and (moved is not None or again.all())):
            break
        again = (alone if alone.any() and total < before else ~alone) & ~empty
        fresh |= again
    return Borders(start, other, seed, ~empty, fresh) if tiles or loose else None


@_kernel
def _touched(start: Indices, other: Indices, seen: NDArray[np.bool_], moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Who has moved, borders someone who has, or has no cell (m,): no neighbour tells the hidden that they rise."""
    touched = moved | ~seen
    for i in range(len(moved)):
        if moved[i]:
            touched[other[start[i] : start[i + 1]]] = True
    return touched
