"""This file owns nested dissection: in which order to eliminate the nodes of a planar graph drawn with straight edges.

Nodes stand in the order of halves of halves of the plane (wflow.atom_clusters.nested). Of the edges from one half to
the other those ends that lie in one of them, the fewer, part the rest: eliminated last, they are the only nodes in
which both halves' fill meets. So with the halves of each half. Edges of a regular triangulation do not cross, so that
of m nodes some m^(1/2) part the rest, and the factors have m log m entries.
Source: George 1973, SIAM J. Numer. Anal. 10, 345-363; Lipton, Rose & Tarjan 1979, SIAM J. Numer. Anal. 16, 346-358.
"""

import numpy as np

from wflow.clipping import Indices
from wflow.compiled import kernel

_LEAF = 6
"""Nodes that are not parted further, at least."""


def halves(m: int, depth: int) -> Indices:
    """The first of each of 2^depth equal blocks of m, and m."""
    return np.arange(2**depth + 1) * m >> depth


def elimination(pairs: Indices, m: int) -> Indices:
    """The m nodes of a graph with edges pairs (e, 2) in the order in which to eliminate them."""
    return dissected(pairs, m)[0]


def dissected(pairs: Indices, m: int) -> tuple[Indices, Indices]:
    """The m nodes in that order, and where in it each part of the halving begins, and m: (2^(depth + 1),).

    Parts are a binary tree's, each after its two halves: those nodes of a block that part its halves, or what is left
    of a block that is not halved any more.
    """
    depth = max(m // _LEAF, 1).bit_length() - 1
    block = np.repeat(np.arange(2**depth), np.diff(halves(m, depth)))
    level = _levels(pairs, block, depth)
    # who parts a block follows all of the block, and before him come 2 last - (the ones of last) parts of those before
    last = (block >> (depth - level)) << (depth - level)
    last += (1 << (depth - level)) - 1
    part = 2 * last - np.bitwise_count(last) + depth - level
    return np.argsort(part, kind="stable"), np.append(0, np.cumsum(np.bincount(part, minlength=2 ** (depth + 1) - 1)))


@kernel
def _levels(pairs: Indices, block: Indices, depth: int) -> Indices:
    """At which halving each node (m,) parts the halves of its block; depth: at none."""
    m, e = len(block), len(pairs)
    # edges are cut at the depth at which their ends' blocks part: sorted by it
    cut, first = np.empty(e, np.int64), np.zeros(depth + 2, np.int64)
    for k in range(e):
        differ, cut[k] = block[pairs[k, 0]] ^ block[pairs[k, 1]], depth
        while differ > 0:
            differ, cut[k] = differ >> 1, cut[k] - 1
        first[cut[k] + 1] += 1
    first = np.cumsum(first)
    by, at = np.empty(e, np.int64), first.copy()
    for k in range(e):
        by[at[cut[k]]] = k
        at[cut[k]] += 1
    level, seen, ends = np.full(m, depth), np.full(m, -1), np.empty((2, 2**depth), np.int64)
    for k in range(depth):
        ends[:, : 2**k] = 0
        for s in by[first[k] : first[k + 1]]:
            a, b = min(pairs[s, 0], pairs[s, 1]), max(pairs[s, 0], pairs[s, 1])
            if level[a] == depth and level[b] == depth:
                for of in range(2):
                    node = b if of else a
                    if seen[node] < k:
                        seen[node] = k
                        ends[of, block[node] >> (depth - k)] += 1
        for s in by[first[k] : first[k + 1]]:
            a, b = min(pairs[s, 0], pairs[s, 1]), max(pairs[s, 0], pairs[s, 1])
            if seen[a] == k and seen[b] == k:
                parent = block[a] >> (depth - k)
                level[a if ends[0, parent] <= ends[1, parent] else b] = k
    return level
