"""This file owns the ascent of D: Newton where every atom has one place to go, a bundle of couplings where it has not.

Newton: -D'' = I + sum_j mu_j J_j (I/tau + D^2 G)^(-1) J_j^T, J_j = grad psi(x_i; w_j+), in the weights of the data.
Bundle: every D(p) met on the way leaves a coupling, with its answer f_k and its price c_k; the best mixture
min |sum l_k f_k - y|^2/2 + l.c over the simplex splits mass, and its residual is the next p.
Source: Kiwiel 1985, Methods of Descent for Nondifferentiable Optimization, Springer (bundles of cuts).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.risk_dual.models import Model, Reached
from wflow.risk_dual.movement import Coupling, Indices, Movement
from wflow.risk_dual.simplex import mixture

_HALVINGS, _RISE = 6, 1e-4
_STALLS = 2
_KEPT = 80

Goal = Callable[[float], float]
"""The gap to reach, given D."""


@dataclass(frozen=True, eq=False)
class Climbed:
    """The largest D that was met, and a mixture of couplings: what it costs less D is the model's own gap."""

    best: Reached
    couplings: tuple[Coupling, ...]
    shares: Array
    gap: float
    evaluations: int


def climb(model: Model, p: Array, goal: Goal, limit: int) -> Climbed:
    """From p, by Newton until nothing is gained, then by the bundle until the gap is goal(D)."""
    found = by_newton(model, p, goal, limit)
    return found if found.gap <= goal(found.best.value) else _bundled(model, found, goal, limit)


def by_newton(model: Model, p: Array, goal: Goal, limit: int) -> Climbed:
    """From p until the gap is far below goal(D) or nothing is gained; then the best mixture of what was met."""
    path = _newton(model, p, goal, limit)
    last = path[-1]
    if last.gap <= goal(last.value):
        return Climbed(last, (last.coupling,), np.ones(1), last.gap, len(path))
    couplings = tuple(one.coupling for one in path)
    best = max(path, key=lambda one: one.value)
    shares, cost = _mixed(model.movement, couplings)
    return Climbed(best, couplings, shares, cost - best.value, len(path))


def _newton(model: Model, p: Array, goal: Goal, limit: int) -> list[Reached]:
    """The points passed, the last the one with the least gap; a step that no longer halves the gap is the last."""
    path, stalls = [model.at(p, ())], 0
    while len(path) < limit and stalls < _STALLS:
        here = path[-1]
        if here.gap <= 1e-6 * goal(here.value):
            break
        there = _searched(model, here)
        if there is None:
            break
        stalls = stalls + 1 if there.gap > 0.5 * here.gap else 0
        path.append(there)
    return sorted(path, key=lambda one: -one.gap)


def _searched(model: Model, here: Reached) -> Reached | None:
    """Newton's step, or the first of its halves by which D rises enough."""
    movement = model.movement
    ahead = here.coupling.prediction - movement.targets - here.p
    step, share = _step(movement, here, ahead), 1.0
    rise = float(movement.omega @ (ahead * step))
    for _ in range(_HALVINGS):
        there = model.at(here.p + share * step, (here.coupling,))
        if there.value >= here.value + _RISE * share * rise or there.gap < 0.25 * here.gap:
            return there
        share *= 0.5
    return None


def _step(movement: Movement, here: Reached, ahead: Array) -> Array:
    """(-D'')^(-1) D', both in the weights of the data."""
    root = np.sqrt(movement.omega)
    slopes = root[:, None, None] * movement.slopes(here.coupling.places)
    give = movement.start.weights[:, None, None] * here.inverse
    moved = np.einsum("njd,jde->nje", slopes, give, optimize=True)
    n = len(root)
    matrix = moved.reshape(n, -1) @ slopes.reshape(n, -1).T
    matrix[np.diag_indices(n)] += 1.0
    found = np.linalg.solve(matrix, root * ahead)
    return np.asarray(np.divide(found, root, out=np.zeros(n), where=root > 0.0))


def _bundled(model: Model, found: Climbed, goal: Goal, limit: int) -> Climbed:
    """Mixtures, until one costs no more than D and its goal."""
    movement, best, couplings = model.movement, found.best, list(found.couplings)
    shares, evaluations, gap = found.shares, found.evaluations, found.gap
    while gap > goal(best.value) and evaluations < limit:
        f = sum(share * one.prediction for share, one in zip(shares, couplings, strict=True))
        there = model.at(f - movement.targets, ())
        evaluations += 1
        best = max(best, there, key=lambda one: one.value)
        kept = _kept(shares)
        couplings = [*(couplings[k] for k in kept), there.coupling]
        shares, cost = _mixed(movement, couplings, shares[kept])
        gap = cost - best.value
    used = np.flatnonzero(shares > 0.0)
    return Climbed(best, tuple(couplings[k] for k in used), shares[used], gap, evaluations)


def _kept(shares: Array) -> Indices:
    """Couplings with a share, and the youngest of the others."""
    idle = np.flatnonzero(shares == 0.0)
    return np.setdiff1d(np.arange(len(shares)), idle[: max(0, len(shares) - _KEPT)])


def _mixed(movement: Movement, couplings: Sequence[Coupling], before: Array | None = None) -> tuple[Array, float]:
    """The best shares and what that mixture costs; before: those of all but the last."""
    off = np.stack([one.prediction for one in couplings]) - movement.targets
    prices = np.array([one.price for one in couplings])
    # residuals in place of answers: the same on the simplex, and the matrix does not hide small gains
    shares = mixture((off * movement.omega) @ off.T, prices, before)
    return shares, movement.half(shares @ off) + float(shares @ prices)
