"""This file owns the descent of atoms to local minima of G_q(w) + |w - w_j|^2/(2 tau), with the features themselves.

Newton's method in the box, for all atoms at once. Kinks of sigma are rounded over a width that shrinks to nothing: a
minimum in a kink is followed there as the width goes, and the Hessian holds it there.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.domain import Domain
from wflow.risk_dual.movement import Flags, Indices, Movement

WIDTHS = tuple(10.0 ** -(0.5 * k) for k in range(3, 20))
"""Over which kinks are rounded, one after the other; sigma is off by at most a quarter of the last one's jump."""
_CLOSE = 1e-8
"""Of max(1, |w|): Newton steps below it are the last ones."""
_STEPS, _HALVINGS = 40, 30
_FLAT = 1e-3
"""Of 1/tau: curvatures below it are not believed."""
_DEFINITE = 1e-6
_ROUNDING = 1e-15


@dataclass(frozen=True, eq=False)
class Minima:
    """Local minima (m, d), their values (m,), and the inverse Hessians (m, d, d), zero along walls that are met."""

    places: Array
    values: Array
    inverse: Array


def settled(movement: Movement, q: Array, starts: Array, origins: Array) -> Minima:
    """From starts (m, d) down, for atoms that come from origins (m, d)."""
    w = movement.domain.retract(starts)
    if movement.energy.curved:
        return _Descent(movement, q, origins).minima(w)
    for width in WIDTHS:
        w = _Descent(movement.rounded(width), q, origins).down(w)
    return _Descent(movement.rounded(WIDTHS[-1]), q, origins).minima(w)


@dataclass(frozen=True, eq=False)
class _Descent:
    movement: Movement
    q: Array
    origins: Array

    def minima(self, w: Array) -> Minima:
        w = self.down(w)
        every = np.arange(len(w))
        slope, bend = self.slope(w, every), self.bend(w)
        return Minima(w, self.value(w, every), self.inverse(w, slope, bend))

    def value(self, w: Array, those: Indices) -> Array:
        return np.asarray(self.movement.field(self.q, w, 0) + self.movement.ways(w, self.origins[those]))

    def slope(self, w: Array, those: Indices) -> Array:
        return np.asarray(self.movement.field(self.q, w, 1) + (w - self.origins[those]) / self.movement.tau)

    def bend(self, w: Array) -> Array:
        return np.asarray(self.movement.field(self.q, w, 2) + np.eye(w.shape[1]) / self.movement.tau)

    def down(self, w: Array) -> Array:
        """Until steps are negligible or nothing gains."""
        w, alive = w.copy(), np.arange(len(w))
        value = self.value(w, alive)
        for _ in range(_STEPS):
            here = w[alive]
            step = self.newton(here, alive)
            there, found, gained = self.searched(here, value[alive], step, alive)
            w[alive], value[alive] = there, found
            length = np.abs(there - here).max(axis=1)
            alive = alive[gained & (length > _CLOSE * np.maximum(1.0, np.abs(there).max(axis=1)))]
            if not len(alive):
                break
        return w

    def searched(self, here: Array, value: Array, step: Array, those: Indices) -> tuple[Array, Array, Flags]:
        """The first of step, step/2, step/4, ... that does not rise: points, values, and whether there was one."""
        there, found = here.copy(), value.copy()
        open_, share = np.arange(len(here)), 1.0
        for _ in range(_HALVINGS):
            trial = self.movement.domain.retract(here[open_] + share * step[open_])
            new = self.value(trial, those[open_])
            good = new <= value[open_] + _ROUNDING * np.abs(value[open_])
            there[open_[good]], found[open_[good]] = trial[good], new[good]
            open_, share = open_[~good], 0.5 * share
            if not len(open_):
                break
        gained = np.ones(len(here), dtype=bool)
        gained[open_] = False
        return there, found, gained

    def newton(self, w: Array, those: Indices) -> Array:
        """The step (m, d), along the walls that hold an atom, uphill curvatures turned round."""
        slope, bend = self.slope(w, those), self.bend(w)
        slope, bend = _held(slope, bend, free(self.movement.domain, w, slope), self.movement.tau)
        sizes, axes = np.linalg.eigh(bend)
        sizes = np.maximum(np.abs(sizes), _FLAT / self.movement.tau)
        return np.asarray(-np.einsum("jab,jb,jcb,jc->ja", axes, 1.0 / sizes, axes, slope))

    def inverse(self, w: Array, slope: Array, bend: Array) -> Array:
        """Of the Hessian; tau where that is not clearly positive definite."""
        tau, may = self.movement.tau, free(self.movement.domain, w, slope)
        _, bend = _held(slope, bend, may, tau)
        least = np.linalg.eigvalsh(bend)[:, 0]
        bend[least < _DEFINITE / tau] = np.eye(w.shape[1]) / tau
        out = np.linalg.inv(bend)
        return np.asarray(out * (may[:, :, None] & may[:, None, :]))


def free(domain: Domain, w: Array, slope: Array) -> Flags:
    """(m, d) whether a coordinate may move: not frozen, not against a wall into which the slope drives it."""
    return np.asarray((domain.slide(w, -slope) != 0.0) | ((slope == 0.0) & ~np.asarray(domain.frozen)))


def _held(slope: Array, bend: Array, may: Flags, tau: float) -> tuple[Array, Array]:
    """Slope and Hessian where coordinates that may not move have none of the one and 1/tau of the other."""
    bend = np.where(may[:, :, None] & may[:, None, :], bend, np.eye(may.shape[1]) / tau)
    return np.where(may, slope, 0.0), bend
