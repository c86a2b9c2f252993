"""This file owns the ascent of a JKO step's dual: atoms are parted where their map stretches, until mass is right."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from solvers.jko._atoms import Atoms
from wflow.arrays import Array
from wflow.errors import NotConverged
from wflow.spline.ascent import Climbed, Manner, ascend
from wflow.spline.dual import Reached, StepDual
from wflow.spline.lattice import product

_CLOSER = 0.2
"""Of the tolerance: how far the ascent is asked to go."""
_ROUNDING = 1e-9
"""Residuals below it, in roots of energy, are rounding."""
_ROUNDS = 8
"""Of parting atoms."""
_SPARED = 1.0 / 16.0
"""Of the squared residual that is asked for: what atoms that are left whole may spread."""
_CHEAP = 2
"""Guesses that are always tried."""
_MANY = 16
"""Atoms a cell, in the mean, at most."""


def allowed(tolerance: float, moved: float, widest: float) -> float:
    """The residual, a length, with which a step is taken: of the distance moved, and of two cells of this width."""
    return tolerance * (moved + 2.0 * widest)


@dataclass(frozen=True, eq=False)
class Climb:
    """An ascent to a tolerance: of atoms `dual` makes D, on cells of the density of width `widest`, `size` in number.

    parting: whether atoms are parted.
    """

    dual: Callable[[Atoms], StepDual]
    manner: Manner
    tolerance: float
    widest: float
    size: int
    parting: bool

    def __call__(self, mu: Atoms, guesses: Iterable[Array], well: float = math.inf) -> tuple[Atoms, StepDual, Climbed]:
        """From the guess with the largest D: mu, perhaps parted, its D, and where the ascent ended.

        Guesses after the second are tried only if none has D of `well`.

        At a kink of D, where a heavy atom is between two places, no direction gains: as long as atoms can be parted
        the ascent leaves such a point at once, and climbs on with their halves. There its own metric, which has seen
        D bend at kinks, makes residuals small; that of the cycle alone says whether to part more.
        """
        dual = self.dual(mu)
        best = self._best(dual, guesses, well)
        first, rounding = best.distance, _ROUNDING * math.sqrt(max(1.0, abs(best.value)))

        def goal(here: Reached) -> float:
            """A share of the distance; that of a guess may be none."""
            return max(_CLOSER * self.tolerance * math.sqrt(max(first, here.distance)), rounding)

        good: tuple[Atoms, StepDual, Climbed] | None = None
        left = self.manner.limit
        for _ in range(_ROUNDS if self.parting and mu.boxes is not None else 0):
            climbed = ascend(dual, best, goal, replace(self.manner, limit=left, stiffest=0.0))
            left = max(left - climbed.steps, 1)
            asked = goal(climbed.here)
            enough = max(asked, self._enough(climbed, dual.tau))
            if climbed.residual <= enough:
                good = mu, dual, climbed
                if climbed.residual <= asked or self._plain(dual, climbed.here) <= enough:
                    return good
            parted = self._parted(mu, dual, climbed.last.c, asked)
            best = climbed.here
            if left == 1 or len(parted.masses) == len(mu.masses):
                break
            mu, dual = parted, self.dual(parted)
            best = self._best(dual, [best.c])
        return good or (mu, dual, ascend(dual, best, goal, replace(self.manner, limit=left)))

    def _enough(self, climbed: Climbed, tau: float) -> float:
        """The residual with which a step is taken, a root of energy."""
        length = math.sqrt(2.0 * tau)
        return allowed(self.tolerance, length * math.sqrt(climbed.here.distance), self.widest) / length

    def _plain(self, dual: StepDual, here: Reached) -> float:
        """The residual in the metric of the cycle alone."""
        slope = np.where(here.idle, 0.0, here.slope)
        return math.sqrt(max(product(slope, dual.metric(here, self.manner.floor)(slope)), 0.0))

    def _parted(self, mu: Atoms, dual: StepDual, c: Array, goal: float) -> Atoms:
        spared = _SPARED * 2.0 * dual.tau * goal**2
        return mu.parted(lambda atoms: self.dual(atoms).places(c), np.asarray(dual.widths), spared, _MANY * self.size)

    def _best(self, dual: StepDual, guesses: Iterable[Array], well: float = math.inf) -> Reached:
        tried: list[Reached] = []
        for c in guesses:
            tried.append(dual.at(c))
            if len(tried) >= _CHEAP and max(one.value for one in tried) >= well:
                break
        best = max(tried, key=lambda one: one.value)
        if not math.isfinite(best.value):
            raise NotConverged(f"JKO step: D overflows at every guess, tau = {dual.tau:.3g}; shorten dt", math.inf)
        return best
