"""This file owns the search of wflow.arcs as a compiled loop: a table of buckets instead of bisection.

Importing this file imports numba.
"""

from functools import partial

import numpy as np

from wflow.arcs import Cells, Search
from wflow.arrays import Array
from wflow.compiled import kernel

BLOCK = 256
# buckets an edge: so many that most hold none, and the processor guesses right
_PER_EDGE = 16
_MOST = 1 << 22


def buckets(scale: Array, edges: Array) -> Search:
    """As wflow.arcs.bisection."""
    # a power of two, so that the bucket of t is found without rounding
    count = min(_MOST, 1 << (_PER_EDGE * len(edges) - 1).bit_length())
    first = np.searchsorted(edges, np.arange(count + 1) / count)
    # nothing lies beyond the last edge
    return partial(_searched, scale, np.append(edges, np.inf), first)


def _searched(scale: Array, edges: Array, first: Cells, v: Array) -> Cells:
    cells = np.empty(len(v), dtype=np.int64)
    _search(scale[0], scale[1], edges, first, v, cells)
    return cells


@kernel
def _directions(u: Array, across: Array, t: Array, turned: Array) -> None:
    """As wflow.arcs.directions, for BLOCK particles; t = 2 for v = 0."""
    for j in range(BLOCK):
        sign = -1.0 if across[j] < 0.0 or (across[j] == 0.0 and u[j] < 0.0) else 1.0
        size = abs(u[j]) + abs(across[j])
        t[j] = 0.5 - 0.5 * sign * u[j] / size if size > 0.0 else 2.0
        turned[j] = 0.5 - 0.5 * sign


@kernel
def _search(scale_1: float, scale_2: float, edges: Array, first: Cells, v: Array, cells: Cells) -> None:
    count, among = len(edges) - 1, len(first) - 1
    u, across, t, turned = np.zeros(BLOCK), np.zeros(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, len(v), BLOCK):
        size = min(BLOCK, len(v) - start)
        for j in range(size):
            u[j] = scale_1 * v[start + j, 0]
            across[j] = scale_2 * v[start + j, 1]
        _directions(u, across, t, turned)
        for j in range(size):
            cell = count + 1
            if t[j] <= 1.0:
                cell = first[int(t[j] * among)]
                while edges[cell] < t[j]:
                    cell += 1
            cells[start + j] = cell + (count + 2) * int(turned[j])
