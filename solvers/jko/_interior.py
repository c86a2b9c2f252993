"""This file owns the convex programme of an exact JKO step and its primal-dual interior-point solution."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dgetrf, dgetrs

from wflow.arrays import Array

_KEEP = 0.9
"""Share of the way to the boundary that an iteration may go."""
_WIDE = 5.0
"""The first complementarity, as a multiple of what the shares spread evenly would lose."""
_LEAST = 1e-17
"""Smallest complementarity aimed at, as a share of the first: below it the products pi s are rounding."""
_PATIENCE = 8
"""Iterations without a tenth of progress that end the search: rounding has been met."""
_ROOTS = 100


@dataclass(frozen=True, eq=False)
class Programme:
    """minimise F(q) + sum_i weights_i sum_j pi_ij costs_ij over shares pi (n, m) >= 0 with sum_j pi_ij = 1.

    q (m,) = still + sum_i weights_i pi_i; costs (n, m), inf where mass may not go; slope(q) (m,) is dF/dq and
    bend(q) (m, m) its derivative, both up to what a constant sum of q hides. F is convex.
    """

    costs: Array
    weights: Array
    still: Array
    slope: Callable[[Array], Array]
    bend: Callable[[Array], Array]

    def masses(self, shares: Array) -> Array:
        """q (m,)."""
        return np.asarray(self.still + self.weights @ shares)

    def gap(self, shares: Array, slope: Array) -> float:
        """sum_i weights_i (sum_j pi_ij r_ij - min_j r_ij), r = costs + dF/dq: at least the value less the minimum.

        Linear minimisation over couplings falls apart into rows: the gap of conditional gradient (Jaggi 2013, ICML).
        """
        above = self.costs + slope
        above -= above.min(axis=1)[:, None]
        return float(self.weights @ np.einsum("ij,ij->i", shares, np.where(shares > 0.0, above, 0.0)))


@dataclass(frozen=True, eq=False)
class _Iterate:
    """Shares pi (n, m), slacks s (n, m) = costs + psi - f (1 where mass may not go), and psi (m,), to become dF/dq."""

    shares: Array
    slacks: Array
    psi: Array


def solved(programme: Programme, goal: float, limit: int) -> Array:
    """Masses q (m,) whose gap is at most `goal`, or the best met when rounding or `limit` ends the iteration.

    Optimal means s_ij = costs_ij + dF/dq_j - f_i >= 0 and pi_ij s_ij = 0 for some f (n,). Newton's method for
    weights_i pi_ij s_ij = mu, mu -> 0, with predictor and corrector; dF/dq enters by a variable psi of its own, so that
    s stays linear in the unknowns. f and psi are eliminated: an iteration factors one (m, m) matrix.
    It certifies nothing: the caller looks at the gap of what comes back.
    Source: Mehrotra 1992, SIAM J. Optim. 2(4), 575-601.
    """
    here = _start(programme)
    end = _LEAST * _complementarity(programme, here)
    best, least, waited = here.shares, np.inf, 0
    for _ in range(limit):
        masses = programme.masses(here.shares)
        slope = programme.slope(masses)
        gap = programme.gap(here.shares, slope)
        waited = 0 if gap < _KEEP * least else waited + 1
        best, least = (here.shares, gap) if gap < least else (best, least)
        if gap <= goal or waited > _PATIENCE:
            break
        newton = _Newton(programme, here, programme.bend(masses), slope - here.psi)
        if newton.singular:
            break
        here = newton.after(end)
    return programme.masses(best)


def _complementarity(programme: Programme, at: _Iterate) -> float:
    """sum_i weights_i sum_j pi_ij s_ij: 0 at the answer."""
    return float(programme.weights @ np.einsum("ij,ij->i", at.shares, at.slacks))


def _start(programme: Programme) -> _Iterate:
    """Every row centred for psi = dF/dq, first at uniform masses, then at the masses of those rows."""
    m = programme.costs.shape[1]
    first = _centred(programme, programme.slope(np.full(m, 1.0 / m)))
    return _centred(programme, programme.slope(programme.masses(first.shares)))


def _centred(programme: Programme, psi: Array) -> _Iterate:
    """weights_i pi_ij s_ij the same for all i and j, five times what evenly spread shares would lose."""
    above = programme.costs + psi
    above -= above.min(axis=1)[:, None]
    n, m = above.shape
    lost = np.where(np.isfinite(above), above, 0.0).mean(axis=1)
    barrier = _WIDE * (float(programme.weights @ lost) or 1.0) / (n * m * programme.weights)
    slacks = above + _depths(above, barrier)[:, None]
    shares = barrier[:, None] / slacks
    return _Iterate(shares / shares.sum(axis=1)[:, None], np.where(np.isfinite(slacks), slacks, 1.0), psi)


def _depths(above: Array, barrier: Array) -> Array:
    """d (n,) with sum_j barrier_i / (above_ij + d_i) = 1: Newton for 1/sum, which is concave, hence from below."""
    depth = barrier.copy()
    for _ in range(_ROOTS):
        terms = barrier[:, None] / (above + depth[:, None])
        total = terms.sum(axis=1)
        step = total * (total - 1.0) / np.sum(terms / (above + depth[:, None]), axis=1)
        depth = np.maximum(depth + step, barrier)
        if np.all(np.abs(step) <= 1e-12 * depth):
            break
    return depth


class _Newton:
    """The linear system at an iterate, factored once for the predictor and the corrector.

    With theta = pi/s, Theta_i = sum_j theta_ij: d pi = a - theta (d psi - d f), where a = aim/s - pi; sum_j d pi = 0
    gives d f; d psi = bend dq + missing; and dq = sum_i weights_i d pi_i gives (I + S bend) dq = g - S missing, where
    S = sum_i weights_i (diag(theta_i) - theta_i theta_i^T / Theta_i), the Laplacian of a graph. Its diagonal is summed
    from the other entries: as a difference it loses digits where one theta of a row is far the largest.
    """

    def __init__(self, programme: Programme, here: _Iterate, bend: Array, missing: Array) -> None:
        self.programme, self.here, self.bend, self.missing = programme, here, bend, missing
        self.open = np.isfinite(programme.costs)
        self.theta = here.shares / here.slacks
        self.total = self.theta.sum(axis=1)
        joined = self.theta.T @ ((programme.weights / self.total)[:, None] * self.theta)
        np.fill_diagonal(joined, 0.0)
        self.laplacian = np.diag(joined.sum(axis=1)) - joined
        self.factors, self.pivots, info = dgetrf(np.eye(len(bend)) + self.laplacian @ bend)
        self.singular = info > 0

    def after(self, end: float) -> _Iterate:
        """Mehrotra's step: how far the pure Newton step gets says how much of the complementarity to keep."""
        weights, here = self.programme.weights, self.here
        now = _complementarity(self.programme, here)
        probe = self._direction(np.zeros_like(self.theta))
        reached = _complementarity(self.programme, self._moved(probe, self._room(probe)))
        kept = max((reached / now) ** 3 * now, end)
        aim = kept / (self.theta.size * weights)
        corrected = self._direction(aim[:, None] - probe.shares * probe.slacks)
        moved = self._moved(corrected, min(1.0, _KEEP * self._room(corrected)))
        # the rows' sums stay 1 but for rounding
        return _Iterate(moved.shares / moved.shares.sum(axis=1)[:, None], moved.slacks, moved.psi)

    def _direction(self, aim: Array) -> _Iterate:
        weights, theta, here = self.programme.weights, self.theta, self.here
        change = self.open * aim / here.slacks - here.shares
        excess = change.sum(axis=1)
        gained = weights @ (change - theta * (excess / self.total)[:, None])
        masses, _ = dgetrs(self.factors, self.pivots, gained - self.laplacian @ self.missing)
        psi = self.bend @ masses + self.missing
        lift = (theta @ psi - excess) / self.total
        slacks = self.open * (psi - lift[:, None])
        return _Iterate(change - theta * slacks, slacks, psi)

    def _moved(self, direction: _Iterate, length: float) -> _Iterate:
        here = self.here
        return _Iterate(
            here.shares + length * direction.shares,
            here.slacks + length * direction.slacks,
            here.psi + length * direction.psi,
        )

    def _room(self, direction: _Iterate) -> float:
        """The largest length up to 1 at which shares and slacks are nonnegative."""
        room = 1.0
        for now, change in ((self.here.shares, direction.shares), (self.here.slacks, direction.slacks)):
            falling = change < 0.0
            room = min(room, float(np.min(now[falling] / -change[falling], initial=np.inf)))
        return room
