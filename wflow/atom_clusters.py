"""This file owns clusters of atoms, for semi-discrete transport, and potentials carried from clusters to their atoms.

Atoms are ordered by halves, each time across the wider axis, so that for each power of two the blocks of as many equal
parts are clusters in rectangles. A cluster is an atom at its mean c. From its cell, whose barycentre is b, its atoms
x = c + d inherit the convex potential

    phi(x) = phi_c + b.d + d.S d/2 + tr(S K)/2,    S C S = B,    phi = (|x|^2 - g)/2,

K the mean of d d^T in the cluster, C and B those of the differences from c to the clusters near it and from b to their
barycentres: of slope b + S d, the affine map that takes the former to the latter. The last term takes back what the
d.S d/2 add to the envelope in the mean. Of what the clusters near an atom say it takes a mean. But where the density
has a gap phi has a kink, the largest of two smooth functions: so it takes one mean for each side, and the largest of
these. Near means near in the plane: clusters that face each other across a kink need not share a wall. The sides'
means are shifted so that each region of the density gets what it holds (wflow.regions).
Source: Merigot 2011, Comput. Graph. Forum 30, 1583-1592 (multiscale by clusters); Bures's map as in laguerre_dual.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from wflow.arrays import Array
from wflow.clipping import Indices
from wflow.compiled import kernel
from wflow.dissection import halves
from wflow.grid import Grid
from wflow.laguerre import Cells
from wflow.laguerre_dual import Dual
from wflow.regions import balanced, regions

_PARTS = 4
_FEWEST = 500
_NEAREST = 7
"""Clusters whose word on an atom is heard."""
_REACH = 16.0
"""Of a cell's size: barycentres further apart are on two sides of a gap."""
_WIDER, _HELD, _FEWEST_BESIDE = 4.0, 0.1, 3
_FLAT, _TINY = 1e-6, float(np.finfo(float).tiny)
_FORM = np.array([1.0, 2.0, 1.0])


def nested(x: Array) -> Indices:
    """The atoms (m,) in the order of halves of halves."""
    m = len(x)
    order = np.arange(m)
    for depth in range(max(m - 1, 1).bit_length()):
        edges = halves(m, depth)
        edges = edges[:-1][np.diff(edges) > 0]
        block = np.cumsum(np.bincount(edges, minlength=m)) - 1
        at = x[order]
        wide = np.maximum.reduceat(at, edges) - np.minimum.reduceat(at, edges)
        key = np.where(wide[block, 0] >= wide[block, 1], at[:, 0], at[:, 1])
        order = order[np.lexsort((key, block))]
    return order


@dataclass(frozen=True, eq=False)
class Level:
    """The dual of clusters, and the first atom of each among those of the level below, (k + 1,)."""

    dual: Dual
    edges: Indices


def levels(dual: Dual) -> list[Level]:
    """Clusters of ever more of the atoms, which stand in the order of `nested`: finest first, down to some 500."""
    found, m = list[Level](), len(dual.mu)
    depth = int(math.log2(max(m // _PARTS, 1)))
    below = np.arange(m + 1)
    while 2**depth >= _FEWEST:
        edges = halves(m, depth)
        first = edges[:-1]
        mu = np.add.reduceat(dual.mu, first)
        x = np.add.reduceat(dual.x * dual.mu[:, None], first) / mu[:, None]
        rho, grid = _merged(dual.rho, dual.grid, 4 * len(mu))
        base = None if dual.base is None else np.zeros((len(mu), 2))
        found.append(Level(Dual(x, mu, rho, grid, base), np.searchsorted(below, edges)))
        below, depth = edges, depth - 2
    return found


def _merged(rho: Array, grid: Grid, least: int) -> tuple[Array, Grid]:
    """The density in cells joined by four, as long as at least `least` are left."""
    n0, n1 = rho.shape
    while n0 % 2 == n1 % 2 == 0 and n0 * n1 // 4 >= least:
        n0, n1 = n0 // 2, n1 // 2
        rho = 0.25 * (rho[::2, ::2] + rho[1::2, ::2] + rho[::2, 1::2] + rho[1::2, 1::2])
    return np.ascontiguousarray(rho), Grid(grid.domain, (n0, n1))


def carried(level: Level, found: Cells, fine: Dual) -> Array:
    """Potentials of the atoms of `fine` from the clusters' cells."""
    coarse, k = level.dual, len(level.dual.mu)
    cluster = np.repeat(np.arange(k), np.diff(level.edges))
    b = found.moment / np.maximum(found.mass, _TINY)[:, None]
    size = found.size
    torn = _torn(coarse, found, size)
    nearest, n = cKDTree(coarse.x).query, min(_NEAREST, k)
    beside = np.stack([np.repeat(np.arange(k), n), nearest(coarse.x, n)[1].ravel()], axis=1)
    s = _stretches(coarse, np.concatenate([beside, found.pairs, found.pairs[:, ::-1]]), b, size, torn)
    d = fine.x - coarse.x[cluster]
    weighted = (fine.mu / coarse.mu[cluster])[:, None] * _square(d)
    spread = np.add.reduceat(weighted, level.edges[:-1])
    longest = float(np.hypot(*coarse.grid.domain.lengths))
    s *= _kept(s, spread, longest)[:, None]
    phi = found.phi.sum(axis=1) + 0.5 * np.sum(_FORM * s * spread, axis=1)
    width = spread[:, 0] + spread[:, 2] + _TINY
    near = nearest(fine.x, n)[1].reshape(len(fine.x), n)
    said = np.full(near.shape, -np.inf)
    _say(fine.x, near, coarse.x, phi, b, s, size, torn, width, longest, said)
    of, holds = regions(fine, b)
    largest = balanced(said, of[near], fine.mu, holds)
    return fine.given(largest)


def _torn(coarse: Dual, found: Cells, size: Array) -> NDArray[np.bool_]:
    """Clusters (k,) whose cells say nothing of a slope: much wider than a neighbour's, so over a gap, or all but empty.

    size (k,): the root of a cell's variance.
    """
    i, j = found.pairs[found.along > 0.0].T
    least = size.copy()
    np.minimum.at(least, i, size[j])
    np.minimum.at(least, j, size[i])
    return np.asarray((size > _WIDER * least) | (found.mass < _HELD * coarse.mu))


def _stretches(coarse: Dual, pairs: Indices, b: Array, size: Array, torn: NDArray[np.bool_]) -> Array:
    """S (k, 3) of each cluster, from others on its side; 0 where these are too few, or it is torn.

    pairs (e, 2): each and who is near it, in the plane or as a neighbour: of clusters that stand in rows the nearest
    are all in one row.
    """
    k, (rows, other) = len(coarse.mu), pairs.T
    apart = np.hypot(*(b[rows] - b[other]).T)
    beside = (apart < _REACH * np.minimum(size[rows], size[other])) & ~torn[rows] & ~torn[other] & (rows != other)
    rows, other = rows[beside], other[beside]
    count = np.bincount(rows, minlength=k)

    def patch(x: Array) -> Array:
        away = _square(x[other] - x[rows])
        return np.stack([np.bincount(rows, part, k) for part in away.T], axis=1) / np.maximum(count, 1)[:, None]

    s = _stretch(patch(coarse.x), patch(b), float(np.prod(coarse.grid.widths)))
    s[count < _FEWEST_BESIDE] = 0.0
    return s


def _kept(s: Array, spread: Array, longest: float) -> Array:
    """What of S (k, 3) is kept (k,): slopes b + S d leave the box nowhere near, d as large as the cluster's spread.

    A cluster whose atoms are in two clouds far apart has neighbours in each, whose S its own distances make absurd.
    """
    squared = np.stack(
        [s[:, 0] ** 2 + s[:, 1] ** 2, s[:, 1] * (s[:, 0] + s[:, 2]), s[:, 1] ** 2 + s[:, 2] ** 2], axis=1
    )
    slopes = np.sqrt(np.sum(_FORM * squared * spread, axis=1))
    return np.asarray(np.minimum(1.0, longest / np.maximum(slopes, _TINY)))


@kernel
def _say(
    x: Array,
    near: Indices,
    c: Array,
    phi: Array,
    b: Array,
    s: Array,
    size: Array,
    torn: NDArray[np.bool_],
    width: Array,
    longest: float,
    said: Array,
) -> None:
    """said (m, n): of what the clusters near each atom, nearest first, say the mean over each one's side."""
    n = near.shape[1]
    for a in range(len(x)):
        whole = False
        for k in range(n):
            whole = whole or not torn[near[a, k]]
        for k in range(n):
            r = near[a, k]
            if torn[r] and whole:
                continue
            total, mean, first = 0.0, 0.0, np.inf
            for other in range(n):
                o = near[a, other]
                apart = np.hypot(b[o, 0] - b[r, 0], b[o, 1] - b[r, 1])
                if (torn[o] and whole) or (o != r and apart > _REACH * min(size[o], size[r])):
                    continue
                e0, e1 = x[a, 0] - c[o, 0], x[a, 1] - c[o, 1]
                away = e0 * e0 + e1 * e1
                # relative to the nearest: a cluster much narrower than its distance to the atom has no weight
                first = min(first, away)
                weight = np.exp(0.5 * (first - away) / width[near[a, 0]])
                s0, s1 = s[o, 0] * e0 + s[o, 1] * e1, s[o, 1] * e0 + s[o, 2] * e1
                # of an atom far from all clusters: slopes b + S e do not leave the box by more than its size
                bent = (s0 * e0 + s1 * e1) * min(1.0, longest / (np.hypot(s0, s1) + _TINY))
                total += weight
                mean += weight * (phi[o] + b[o, 0] * e0 + b[o, 1] * e1 + 0.5 * bent)
            said[a, k] = mean / total


def _square(d: Array) -> Array:
    """(d_0^2, d_0 d_1, d_1^2) of (m, 2)."""
    return np.stack([d[:, 0] ** 2, d[:, 0] * d[:, 1], d[:, 1] ** 2], axis=1)


def _stretch(source: Array, target: Array, size: float) -> Array:
    """The symmetric positive S with S source S = target, both (k, 3), in closed form: the geometric mean of matrices.

    Both are kept from being flat.
    """
    a = source + _FLAT * (source[:, :1] + source[:, 2:]) * np.array([1.0, 0.0, 1.0]) + np.finfo(float).tiny
    b = target + _FLAT * size * np.array([1.0, 0.0, 1.0])
    det_a, det_b = (np.maximum(t[:, 0] * t[:, 2] - t[:, 1] ** 2, np.finfo(float).tiny) for t in (a, b))
    inverse = np.stack([a[:, 2], -a[:, 1], a[:, 0]], axis=1) / det_a[:, None]
    # A # B = (det A det B)^(1/4) M/sqrt(det M), M = A/sqrt(det A) + B/sqrt(det B)
    mean = inverse * np.sqrt(det_a)[:, None] + b / np.sqrt(det_b)[:, None]
    det = mean[:, 0] * mean[:, 2] - mean[:, 1] ** 2
    return np.asarray(mean * ((det_b / det_a) ** 0.25 / np.sqrt(det))[:, None])
