"""This file owns nested dissection: in which order to eliminate the nodes of a planar graph drawn with straight edges.

Nodes stand in the order of halves of halves of the plane (wflow.atom_clusters.nested). Of the edges from one half to
the other those ends that lie in one of them, the fewer, part the rest: eliminated last, they are the only nodes in
which both halves' fill meets. So with the halves of each half. Edges of a regular triangulation do not cross, so that
of m nodes some m^(1/2) part the rest, and the factors have m log m entries.
Source: George 1973, SIAM J. Numer. Anal. 10, 345-363; Lipton, Rose & Tarjan 1979, SIAM J. Numer. Anal. 16, 346-358.
"""

import numpy as np

from wflow.clipping import Indices

_LEAF = 6
"""Nodes that are not parted further, at least."""


def halves(m: int, depth: int) -> Indices:
    """The first of each of 2^depth equal blocks of m, and m."""
    return np.arange(2**depth + 1) * m >> depth


def elimination(pairs: Indices, m: int) -> Indices:
    """The m nodes of a graph with edges pairs (e, 2) in the order in which to eliminate them."""
    depth = max(m // _LEAF, 1).bit_length() - 1
    block = np.repeat(np.arange(2**depth), np.diff(halves(m, depth)))
    ends = np.sort(pairs, axis=1)
    # edges are cut at the depth at which their ends' blocks part
    at = depth - np.frexp((block[ends[:, 0]] ^ block[ends[:, 1]]).astype(np.float64))[1]
    by = np.argsort(at, kind="stable")
    first = np.searchsorted(at[by], np.arange(depth + 1))
    level = np.full(m, depth)
    for k in range(depth):
        a, b = ends[by[first[k] : first[k + 1]]].T
        whole = (level[a] == depth) & (level[b] == depth)
        lower, upper = np.unique(a[whole]), np.unique(b[whole])
        of_lower, of_upper = block[lower] >> (depth - k), block[upper] >> (depth - k)
        fewer = np.bincount(of_lower, minlength=2**k) <= np.bincount(of_upper, minlength=2**k)
        level[lower[fewer[of_lower]]] = k
        level[upper[~fewer[of_upper]]] = k
    # who parts a block follows all of the block
    last = ((block >> (depth - level)) + 1) << (depth - level)
    return np.lexsort((-level, last))
