"""This file owns the best masses of given columns: a quadratic programme, by an interior-point method.

    minimise  V . rho + (rho - centre) . K (rho - centre)/2 + sum_j q_j costs_j,    rho = still + sum_j q_j hats_j,

over masses q >= 0 of columns j whose sums over the columns of each atom are that atom's mass. K = R diag(signs) R^T.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgetrf, dgetrs
from scipy.sparse import diags_array

from wflow.arrays import Array
from wflow.hats.columns import Columns

_WIDE = 5.0
"""The first complementarity, as a multiple of what masses shared evenly would lose."""
_SHARE = 0.9995
"""Of the way to the boundary, at most."""
_LIMIT, _PATIENCE = 80, 8
"""Iterations in all, and without a lower gap: rounding has been met."""
_ROOTS = 100
_SPARSE = 1024


@dataclass(frozen=True, eq=False)
class Bend:
    """K (m, m) = R diag(signs) R^T on changes of sum 0; root (m, r), signs (r,) of -1 and 1."""

    root: Array
    signs: Array

    @property
    def products(self) -> int:
        """m r (r + 1024): what an iteration of an interior-point method takes, with that much for sparse rows."""
        cells, rank = self.root.shape
        return int(cells * rank * (rank + _SPARSE))

    def __matmul__(self, change: Array) -> Array:
        return np.asarray(self.root @ (self.signs * (self.root.T @ change)))


def largest_rank(cells: int, products: int) -> int:
    """Of a Bend of so many products."""
    return math.floor(math.sqrt(0.25 * _SPARSE**2 + products / cells) - 0.5 * _SPARSE)


@dataclass(frozen=True, eq=False)
class Programme:
    """Columns of a start's masses (m,), V (m,) at a centre (m,), and K."""

    columns: Columns
    start: Array
    centre: Array
    field: Array
    bend: Bend

    @cached_property
    def whole(self) -> Array:
        """(n,) the mass of each atom."""
        return self.start[self.columns.atoms]

    @cached_property
    def still(self) -> Array:
        """(m,) what no column moves."""
        rest = self.start.copy()
        rest[self.columns.atoms] = 0.0
        return rest

    def density(self, masses: Array) -> Array:
        """rho (m,) of masses q (c,)."""
        return np.asarray(self.still + self.columns.hats.T @ masses)

    def slope(self, masses: Array) -> Array:
        """V at rho (m,), but for a constant."""
        return np.asarray(self.field + self.bend @ (self.density(masses) - self.centre))


@dataclass(frozen=True, eq=False)
class Inside:
    """Masses q (c,) > 0, what their columns cost above their atom's level s (n,), z (c,) > 0, and s."""

    q: Array
    z: Array
    s: Array


def solved(programme: Programme, goal: float) -> Array:
    """Masses (c,) whose gap sum_j q_j above_j is at most the goal, or the least that rounding or the limit leaves.

    Where K has negative directions it is a stationary point that is sought. q z = mu -> 0 by Newton's method, with
    predictor and corrector; masses and levels are eliminated, so that an iteration factors one (r, r) matrix.
    Source: Mehrotra 1992, SIAM J. Optim. 2(4), 575-601.
    """
    here = _centred(programme, programme.field)
    here = _centred(programme, programme.slope(here.q))
    best, least, waited = here.q, np.inf, 0
    for _ in range(_LIMIT):
        field = programme.slope(here.q)
        gap = float(here.q @ programme.columns.above(field))
        best, least, waited = (here.q, gap, 0) if gap < least else (best, least, waited + 1)
        if gap <= goal or waited > _PATIENCE:
            break
        newton = Newton(programme, here, programme.columns.values(field) - here.s[programme.columns.at] - here.z)
        if newton.singular:
            break
        here = newton.after
    return best


def _centred(programme: Programme, field: Array) -> Inside:
    """q z the same for all columns, in a field (m,)."""
    columns, whole = programme.columns, programme.whole
    above, values = columns.above(field), columns.values(field)
    lost = float(whole @ (columns.summed(above) / columns.summed(np.ones(len(above))))) or 1.0
    barrier = _WIDE * lost / (len(above) * whole)
    depth = barrier
    for _ in range(_ROOTS):
        # Newton's method for sum_j barrier/(above_j + depth) = 1, of whose inverse it comes from below
        terms = barrier[columns.at] / (above + depth[columns.at])
        total = columns.summed(terms)
        step = total * (total - 1.0) / columns.summed(terms / (above + depth[columns.at]))
        depth = np.maximum(depth + step, barrier)
        if np.all(np.abs(step) <= 1e-12 * depth):
            break
    z = above + depth[columns.at]
    shares = barrier[columns.at] / z
    q = shares * (whole / columns.summed(shares))[columns.at]
    return Inside(q, z, np.minimum.reduceat(values, columns.first) - depth)


@dataclass(frozen=True, eq=False)
class Newton:
    """Newton's method at a point whose slacks are off by `off` (c,) = values - s - z."""

    programme: Programme
    here: Inside
    off: Array

    @cached_property
    def give(self) -> Array:
        """(c,) q/z, by which a mass answers to its value."""
        return self.here.q / self.here.z

    @cached_property
    def given(self) -> Array:
        """(n,) its sums."""
        return self.programme.columns.summed(self.give)

    @cached_property
    def factors(self) -> tuple[Array, NDArray[np.int32], int]:
        """Of diag(signs) + R^T S R, S (m, m) the answer of rho to the field at levels that keep each atom's mass."""
        columns, bend = self.programme.columns, self.programme.bend
        weighted = diags_array(self.give) @ columns.hats
        middle = (columns.owners @ weighted) @ bend.root
        matrix = bend.root.T @ ((weighted.T @ columns.hats) @ bend.root) - middle.T @ (middle / self.given[:, None])
        matrix[np.diag_indices(len(matrix))] += bend.signs
        lu, pivots, info = dgetrf(matrix)
        return lu, pivots, int(info)

    @property
    def singular(self) -> bool:
        """No step is known."""
        return self.factors[2] != 0 or not np.all(np.isfinite(self.factors[0]))

    def step(self, product: Array) -> Inside:
        """The changes by which q z becomes `product` (c,) to first order."""
        columns, here, root = self.programme.columns, self.here, self.programme.bend.root
        own = product / here.z - here.q - self.give * self.off
        missing = self.programme.whole - columns.summed(here.q)
        level = (missing - columns.summed(own)) / self.given
        ahead = columns.hats.T @ (own + self.give * level[columns.at])
        lu, pivots, _ = self.factors
        bent, _ = dgetrs(lu, pivots, root.T @ ahead)
        values = columns.hats @ (root @ bent)
        level = level + columns.summed(self.give * values) / self.given
        dq = own - self.give * (values - level[columns.at])
        return Inside(dq, self.off + values - level[columns.at], level)

    @property
    def after(self) -> Inside:
        """The next point."""
        here = self.here
        first = self.step(np.zeros_like(here.q))
        product = float(here.q @ here.z)
        ahead = (here.q + _room(here.q, first.q) * first.q) @ (here.z + _room(here.z, first.z) * first.z)
        centre = (float(ahead) / product) ** 3 * product / len(here.q)
        last = self.step(centre - first.q * first.z)
        share = _SHARE * min(_room(here.q, last.q), _room(here.z, last.z))
        return Inside(here.q + share * last.q, here.z + share * last.z, here.s + share * last.s)


def _room(x: Array, dx: Array) -> float:
    """The share of dx that leaves x >= 0."""
    falls = dx < 0.0
    return float(np.min(x[falls] / -dx[falls], initial=1.0))
