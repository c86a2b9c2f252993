"""This file owns what one radius can do with two Gaussian clouds at d = infinity, and where two radii do better.

f takes two values, f_+- = int q((1 +- delta) r) drho(r), q the mean of sigma over directions, and
R = (1 - f_+)^2/2 + (1 + f_-)^2/2. The first variation of R/2 at rho = delta_a is

    psi(r) = (f_+ - 1) q((1 + delta) r)/2 + (f_- + 1) q((1 - delta) r)/2,

and since R is convex in rho, delta_a is a global minimiser exactly if psi(r) >= psi(a) for all r.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq

from wflow.activation import Activation
from wflow.arrays import Array
from wflow.errors import Refused
from wflow.knotted import Knots, averaged

_FARTHEST, _SCAN = 20.0, 20001
_TIGHT = 1e-14


@dataclass(frozen=True, eq=False)
class SingleRadius:
    """Two clouds of widths 1 +- delta at d = infinity; knots: those of sigma."""

    delta: float
    knots: Knots

    @cached_property
    def q(self) -> Activation:
        """The mean of sigma over directions."""
        return averaged(self.knots, np.inf)

    def values(self, r: Array) -> tuple[Array, Array]:
        """f_+ and f_- (m,) of one radius r (m,)."""
        return self.q.value((1.0 + self.delta) * r), self.q.value((1.0 - self.delta) * r)

    def risk(self, r: Array) -> Array:
        """R (m,) of one radius."""
        plus, minus = self.values(r)
        return np.asarray(0.5 * (1.0 - plus) ** 2 + 0.5 * (1.0 + minus) ** 2)

    def slope(self, r: Array) -> Array:
        """dR/dr (m,)."""
        (plus, minus), up, down = self.values(r), 1.0 + self.delta, 1.0 - self.delta
        return np.asarray((plus - 1.0) * up * self.q.slope(up * r) + (minus + 1.0) * down * self.q.slope(down * r))

    @cached_property
    def best(self) -> float:
        """The radius of least R in (0, 20): on a grid of 1e-3, then the root of dR/dr to 1e-14."""
        r = np.linspace(0.0, _FARTHEST, _SCAN)
        k = int(np.argmin(self.risk(r)))
        if not 0 < k < _SCAN - 1 or self.slope(r[k - 1 : k]) >= 0.0 or self.slope(r[k + 1 : k + 2]) <= 0.0:
            raise Refused(f"SingleRadius: R has no inner minimum in (0, {_FARTHEST:g}) at delta = {self.delta:g}")
        return float(brentq(self._slope_at, r[k - 1], r[k + 1], xtol=_TIGHT, rtol=1e-15))

    def reached(self, start: float) -> float:
        """Where the flow of one radius ends from `start`: the next root of dR/dr downhill, on a grid of 1e-3 first."""
        sign = -np.sign(self._slope_at(start))
        r = start + sign * np.linspace(0.0, _FARTHEST if sign > 0 else start, _SCAN)[1:]
        turned = np.flatnonzero(self.slope(r) * sign >= 0.0)
        if not sign or not len(turned):
            raise Refused(f"SingleRadius: from r = {start:g} no minimum lies ahead at delta = {self.delta:g}")
        k = int(turned[0])
        before = r[k - 1] if k else start
        return float(brentq(self._slope_at, min(before, r[k]), max(before, r[k]), xtol=_TIGHT, rtol=1e-15))

    def shortfall(self, at: float, over: Array) -> float:
        """min of psi(r) - psi(at) over the radii `over`: >= 0 certifies `at` as a global minimiser (on those radii)."""
        plus, minus = self.values(np.array([at]))

        def psi(r: Array) -> Array:
            up, down = self.values(r)
            return np.asarray(0.5 * (plus - 1.0) * up + 0.5 * (minus + 1.0) * down)

        return float(np.min(psi(over)) - psi(np.array([at]))[0])

    def _slope_at(self, r: float) -> float:
        return float(self.slope(np.array([r]))[0])


def threshold(knots: Knots) -> tuple[float, float, float]:
    """r_-, r_+ and delta_s = (r_+ - r_-)/(r_+ + r_-), where q(r_+-) = +-1: there one radius has R = 0.

    For q increasing: r = r_+/(1 + delta) fits the wide cloud, r = r_-/(1 - delta) the narrow one, the same radius
    exactly at delta_s. Raises Refused where q does not pass -1 and 1 in (0, 20).
    """
    q = averaged(knots, np.inf)

    def off(r: float, level: float) -> float:
        return float(q.value(np.array([r]))[0]) - level

    if off(0.0, -1.0) >= 0.0 or off(_FARTHEST, 1.0) <= 0.0:
        raise Refused(f"threshold: the mean of sigma over directions does not pass -1 and 1 below r = {_FARTHEST:g}")
    low, high = (float(brentq(off, 0.0, _FARTHEST, args=(level,), xtol=_TIGHT, rtol=1e-15)) for level in (-1.0, 1.0))
    return low, high, (high - low) / (high + low)
