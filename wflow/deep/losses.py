"""This file owns losses that are not convex in the prediction, whose only stationary points are at l = 0.

That dl/df = 0 implies l = 0 is what the global convergence theorem without convexity asks of a loss.
Source: Nguyen & Pham 2020, arXiv:2001.11443.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wflow.arrays import Array

_SPLITS, _CLOSE = 200, 1e-12


class _Bounded:
    """A loss of the difference u = f - y with a second derivative below `bend` in size."""

    bend: ClassVar[float]

    def value(self, f: Array, y: Array) -> Array:
        """l."""
        raise NotImplementedError

    def slope(self, f: Array, y: Array) -> Array:
        """dl/df."""
        raise NotImplementedError

    def check(self, y: Array) -> None:
        """Any numbers."""

    def best_constant(self, y: Array, weights: Array) -> float:
        """argmin_c sum_i weights_i l(c, y_i), to (1e-12 l)^(1/2): intervals that a bound rules out are dropped.

        On [c - h, c + h] the mean is at least m(c) - |m'(c)| h - bend h^2/2.
        """
        low, high = float(y.min()), float(y.max())
        centres, half = np.linspace(low, high, _SPLITS), 0.5 * (high - low) / (_SPLITS - 1)
        while True:
            means = self.value(centres[:, None], y) @ weights
            best = float(means.min())
            rise = np.abs(self.slope(centres[:, None], y) @ weights) * half + 0.5 * self.bend * half**2
            if half**2 <= _CLOSE or high == low:
                return float(centres[np.argmin(means)])
            kept = centres[means - rise <= best]
            centres, half = np.unique(np.concatenate([kept - 0.5 * half, kept + 0.5 * half])), 0.5 * half


@dataclass(frozen=True)
class TanhSquare(_Bounded):
    """tanh(f - y)^2: bounded."""

    convex: bool = False
    kinked: bool = False
    bend: ClassVar[float] = 2.0

    def value(self, f: Array, y: Array) -> Array:
        """tanh(f - y)^2."""
        return np.asarray(np.tanh(f - y) ** 2)

    def slope(self, f: Array, y: Array) -> Array:
        """2 t (1 - t^2), t = tanh(f - y)."""
        t = np.tanh(f - y)
        return np.asarray(2.0 * t * (1.0 - t * t))

    def curvature(self, f: Array, y: Array) -> Array:
        """2 (1 - t^2)(1 - 3 t^2)."""
        square = np.tanh(f - y) ** 2
        return np.asarray(2.0 * (1.0 - square) * (1.0 - 3.0 * square))


@dataclass(frozen=True)
class Cauchy(_Bounded):
    """log(1 + (f - y)^2)/2: grows like a logarithm."""

    convex: bool = False
    kinked: bool = False
    bend: ClassVar[float] = 1.0

    def value(self, f: Array, y: Array) -> Array:
        """log(1 + u^2)/2, u = f - y."""
        return np.asarray(0.5 * np.log1p((f - y) ** 2))

    def slope(self, f: Array, y: Array) -> Array:
        """u/(1 + u^2)."""
        u = f - y
        return np.asarray(u / (1.0 + u * u))

    def curvature(self, f: Array, y: Array) -> Array:
        """(1 - u^2)/(1 + u^2)^2."""
        square = (f - y) ** 2
        return np.asarray((1.0 - square) / (1.0 + square) ** 2)
