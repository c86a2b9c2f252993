"""This file owns the minimum over the unit ball of sums of arc-cosine kernels, enclosed by branch and bound.

    V(y) = sum_i c_i kappa(z_i . y),  |z_i| = 1, |y| <= 1,     kappa(t) = (sqrt(1 - t^2) + (pi - arccos t) t)/2 pi

kappa'' = 1/(2 pi sqrt(1 - t^2)) > 0 has no bound, so Taylor's formula with bounded derivatives (wflow.duality.branch)
does not apply; convexity does. On a cube of half width h about y_0, t_i = z_i . y stays within h |z_i|_1 of z_i . y_0,
and what kappa exceeds its tangent by is convex in t, so at most what it is at the ends of that interval:

    V(y) >= sum_i c_i (tangent of kappa at t_i0)(t_i) - sum over c_i < 0 of |c_i| excess_i                     (proved)

The sum of the tangents is g . (y - y_0) and a number; on the cube that is at least -h |g|_1, on the ball at least
-|g| - g . y_0 (proved), by which minima on the sphere are closed. Cubes above the best value known less the tolerance
are dropped, the others halved along each axis. excess = O(h^(3/2)) at t = +-1, O(h^2) elsewhere.
"""

import math
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.duality.branch import halved
from wflow.duality.field import UNIT, Enclosure
from wflow.space_sums import arc_cosine

_CELLS = 8
_LIMIT, _PAIRS, _FEWEST = 60_000, 1_500_000, 2000
"""Cubes looked at, fewer for a sum of many kernels (on two axes); the bound is then that of what is left."""
_BLOCK = 1 << 16
_TOLERANCE = 1e-10
"""Of the largest |V| met, by which a cube may be below the best value and be dropped."""
_CLOSED = 1.0 + 1e-12
_OPERATIONS = 64.0
MOST = 3
"""Axes on which a search is made: its cubes are some 2^axes times as many for each halving of the tolerance's root."""


@dataclass(frozen=True, eq=False)
class Ball:
    """V on the unit ball by units (n, r) and weights c (n,), r <= MOST."""

    units: Array
    weights: Array

    def negated(self) -> "Ball":
        """-V."""
        return Ball(self.units, -self.weights)

    def value(self, y: Array) -> Array:
        """(m,) at points (m, r) of the ball."""
        size = max(1, _BLOCK // len(self.units))
        blocks = (y[k : k + size] @ self.units.T for k in range(0, len(y), size))
        return np.concatenate([np.zeros(0), *(arc_cosine(np.clip(t, -1.0, 1.0)) @ self.weights for t in blocks)])

    @property
    def rounding(self) -> float:
        """How far off a value or a bound may be: cosines by r u, at most half of which is kappa's; sums by n u."""
        n, r = self.units.shape
        return float(UNIT * (n + 2.0 * r + _OPERATIONS) * np.sum(np.abs(self.weights)))

    def lowest(self, below: float = np.inf) -> Enclosure:
        """min V; where it is not below that number the lower bound may be loose, but not under it."""
        (n, r), half = self.units.shape, _CLOSED / _CELLS
        limit = min(_LIMIT, max(_FEWEST, int(_PAIRS * 4.0 ** (r - 2)) // n))
        centres = (np.indices((_CELLS,) * r).reshape(r, -1).T * 2.0 + 1.0) / _CELLS - 1.0
        floor, best, at, size, count = math.inf, math.inf, centres[0], 0.0, 0
        left = np.zeros(0)
        while True:
            centres = centres[np.linalg.norm(np.maximum(np.abs(centres) - half, 0.0), axis=1) <= _CLOSED]
            inside = centres / np.maximum(1.0, np.linalg.norm(centres, axis=1))[:, None]
            values = self.value(inside)
            count, size = count + len(values), max(size, float(np.max(np.abs(values), initial=0.0)))
            if len(values) and float(values.min()) < best:
                best, at = float(values.min()), inside[int(np.argmin(values))]
            bounds = self._bounds(centres, half)
            alive = bounds < min(best, below) - _TOLERANCE * size
            floor = min(floor, float(np.min(bounds[~alive], initial=math.inf)))
            left, centres = bounds[alive], centres[alive]
            if not len(left) or count > limit:
                break
            centres, widths = halved(centres, np.full(r, half))
            half = float(widths[0])
        lower = min(floor, float(np.min(left, initial=math.inf))) - self.rounding
        return Enclosure(lower, best + self.rounding, at, at[None], count, "branch and bound on the ball")

    def _bounds(self, centres: Array, half: float) -> Array:
        """(m,) lower bounds of V on the cubes' parts in the ball, in blocks that stay in a core's cache."""
        size = max(1, _BLOCK // len(self.units))
        parts = [self._bounded(centres[k : k + size], half) for k in range(0, len(centres), size)]
        return np.concatenate([np.zeros(0), *parts])

    def _bounded(self, centres: Array, half: float) -> Array:
        t = centres @ self.units.T
        base = np.clip(t, -1.0, 1.0)
        value, slope = arc_cosine(base), (math.pi - np.arccos(base)) / (2.0 * math.pi)
        away = half * np.sum(np.abs(self.units), axis=1)
        excess = np.zeros_like(t)
        for end in (np.maximum(t - away, -1.0), np.minimum(t + away, 1.0)):
            end = np.clip(end, -1.0, 1.0)
            excess = np.maximum(excess, arc_cosine(end) - value - slope * (end - base))
        level = (value + slope * (t - base)) @ self.weights - excess @ np.maximum(-self.weights, 0.0)
        g = slope @ (self.weights[:, None] * self.units)
        on_cube = -half * np.sum(np.abs(g), axis=1)
        on_ball = -np.linalg.norm(g, axis=1) * _CLOSED - np.sum(g * centres, axis=1)
        return np.asarray(level + np.maximum(on_cube, on_ball))
