"""This file owns clusters of atoms, for semi-discrete transport, and potentials carried from clusters to their atoms.

Atoms are ordered by halves, each time across the wider axis, so that for each power of two the blocks of as many equal
parts are clusters in rectangles. A cluster is an atom at its mean c. From its cell, whose barycentre is b, its atoms
x = c + d inherit the convex potential

    phi(x) = phi_c + b.d + d.S d/2 + tr(S K)/2,    S C S = B,    phi = (|x|^2 - g)/2,

K the mean of d d^T in the cluster, C and B those of the differences from c to neighbouring clusters and from b to their
barycentres: of slope b + S d, the affine map that takes the former to the latter. The last term takes back what the
d.S d/2 add to the envelope in the mean. Of what neighbouring clusters say an atom takes a mean.
Source: Merigot 2011, Comput. Graph. Forum 30, 1583-1592 (multiscale by clusters); Bures's map as in laguerre_dual.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from wflow.arrays import Array
from wflow.clipping import Indices
from wflow.grid import Grid
from wflow.laguerre import Cells
from wflow.laguerre_dual import Dual

_PARTS = 4
_FEWEST = 500
_FLAT = 1e-6
_FORM = np.array([1.0, 2.0, 1.0])


def nested(x: Array) -> Indices:
    """The atoms (m,) in the order of halves of halves."""
    m = len(x)
    order = np.arange(m)
    for depth in range(max(m - 1, 1).bit_length()):
        edges = _edges(m, depth)
        edges = edges[:-1][np.diff(edges) > 0]
        block = np.cumsum(np.bincount(edges, minlength=m)) - 1
        at = x[order]
        wide = np.maximum.reduceat(at, edges) - np.minimum.reduceat(at, edges)
        key = np.where(wide[block, 0] >= wide[block, 1], at[:, 0], at[:, 1])
        order = order[np.lexsort((key, block))]
    return order


def _edges(m: int, depth: int) -> Indices:
    return np.arange(2**depth + 1) * m >> depth


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
        edges = _edges(m, depth)
        first = edges[:-1]
        mu = np.add.reduceat(dual.mu, first)
        x = np.add.reduceat(dual.x * dual.mu[:, None], first) / mu[:, None]
        rho, grid = _merged(dual.rho, dual.grid, 4 * len(mu))
        found.append(Level(Dual(x, mu, rho, grid), np.searchsorted(below, edges)))
        below, depth = edges, depth - 2
    return found


def _merged(rho: Array, grid: Grid, least: int) -> tuple[Array, Grid]:
    """The density in cells joined by four, as long as at least `least` are left."""
    n0, n1 = rho.shape
    while n0 % 2 == n1 % 2 == 0 and n0 * n1 // 4 >= least:
        n0, n1 = n0 // 2, n1 // 2
        rho = 0.25 * (rho[::2, ::2] + rho[1::2, ::2] + rho[::2, 1::2] + rho[1::2, 1::2])
    return np.ascontiguousarray(rho), Grid(grid.domain, (n0, n1))


def carried(level: Level, g: Array, found: Cells, fine: Dual) -> Array:
    """Potentials of the atoms of `fine` from those of the clusters (k,) and their cells."""
    coarse, k = level.dual, len(level.dual.mu)
    cluster = np.repeat(np.arange(k), np.diff(level.edges))
    b = found.moment / np.maximum(found.mass, np.finfo(float).tiny)[:, None]
    i, j = found.pairs.T
    near = csr_array((np.ones(2 * len(i) + k), (np.r_[:k, i, j], np.r_[:k, j, i])), shape=(k, k))
    s = _stretch(_patch(coarse.x, near), _patch(b, near), float(np.prod(coarse.grid.widths)))
    d = fine.x - coarse.x[cluster]
    weighted = (fine.mu / coarse.mu[cluster])[:, None] * _square(d)
    spread = np.add.reduceat(weighted, level.edges[:-1])
    phi = 0.5 * (np.sum(coarse.x**2, axis=1) - g) + 0.5 * np.sum(_FORM * s * spread, axis=1)
    width = spread[:, 0] + spread[:, 2] + np.finfo(float).tiny
    # of each atom, the clusters near its own, its own among them
    counts = np.diff(near.indptr)[cluster]
    first = np.cumsum(counts) - counts
    at = np.repeat(near.indptr[cluster] - first, counts) + np.arange(int(counts.sum()))
    of, atom = near.indices[at], np.repeat(np.arange(len(fine.mu)), counts)
    e = fine.x[atom] - coarse.x[of]
    q = phi[of] + np.sum(b[of] * e, axis=1) + 0.5 * np.sum(_FORM * s[of] * _square(e), axis=1)
    own = np.sum(d**2, axis=1)
    exponent = (own[atom] - np.sum(e**2, axis=1)) / (2.0 * width[cluster][atom])
    # the largest of each atom is taken off: a cluster much narrower than its distance to others would overflow
    weights = np.exp(exponent - np.maximum.reduceat(exponent, first)[atom])
    mean = np.add.reduceat(weights * q, first) / np.add.reduceat(weights, first)
    return np.asarray(np.sum(fine.x**2, axis=1) - 2.0 * mean)


def _patch(x: Array, near: csr_array) -> Array:
    """(k, 3): the mean over the neighbours j of _square(x_j - x_i)."""
    rows = np.repeat(np.arange(len(x)), np.diff(near.indptr))
    away = _square(x[near.indices] - x[rows])
    count = np.maximum(np.diff(near.indptr) - 1, 1)
    return np.asarray(np.add.reduceat(away, near.indptr[:-1]) / count[:, None])


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
