"""This file owns the law in which squared density, heat and a quadratic well balance on an interval: by Lambert's W."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import wrightomega

from wflow.arrays import Array, finite, positive
from wflow.domain import Box, interval
from wflow.law import Law

_NODES, _FEWEST = 16, 64


@dataclass(frozen=True)
class LambertLaw(Law):
    """rho = T W(exp((level - alpha (w - centre)^2/2)/T)/T) on [-reach, reach], the level from the mass one.

    W is Lambert's function; rho + T log rho + alpha (w - centre)^2/2 = level, so that rho has the least
    int (rho^2/2 + T rho log rho + alpha (w - centre)^2 rho/2) (derived). As T -> 0 it is the parabola of mass one.
    W(e^z) is Wright's omega at z, which does not overflow. Integrals by 16 Gauss points a panel, panels no longer than
    the distance, about pi T/(alpha |w - centre|), of the branch point next to w: to rounding.
    """

    alpha: float
    temperature: float
    reach: float
    centre: float = 0.0

    def __post_init__(self) -> None:
        for name in ("alpha", "temperature", "reach"):
            positive(f"LambertLaw {name}", getattr(self, name))
        if abs(float(finite("LambertLaw centre", self.centre))) > self.reach:
            raise ValueError(f"LambertLaw centre: {self.centre!r} is outside [-{self.reach:g}, {self.reach:g}]")

    @property
    def domain(self) -> Box:
        """[-reach, reach]."""
        return interval(-self.reach, self.reach)

    @cached_property
    def level(self) -> float:
        """The value of rho + T log rho + alpha (w - centre)^2/2: between those that the uniform density has in all."""
        flat = 0.5 / self.reach
        low = flat + self.temperature * math.log(flat)
        high = low + 0.5 * self.alpha * self._farthest**2
        return float(brentq(lambda level: self._panels(level).sum() - 1.0, low, high, xtol=1e-15, rtol=1e-15))

    def density(self, w: Array) -> Array:
        inside = np.abs(w[:, 0]) <= self.reach
        return np.where(inside, self._height(np.clip(w[:, 0], -self.reach, self.reach), self.level), 0.0)

    def cdf(self, w: Array) -> Array:
        """Whole panels from the left wall on, and one more rule for the rest."""
        inside = np.clip(np.asarray(w), -self.reach, self.reach) + self.reach
        panel = np.minimum((inside / self._width).astype(np.int64), self._count - 1)
        left, (nodes, weights) = panel * self._width, _rule()
        rest = inside - left
        places = (left - self.reach)[..., None] + rest[..., None] * nodes
        return np.asarray(np.clip(self._before[panel] + rest * (self._height(places, self.level) @ weights), 0.0, 1.0))

    @cached_property
    def _before(self) -> Array:
        """Mass left of each panel."""
        return np.concatenate([[0.0], np.cumsum(self._panels(self.level))[:-1]])

    @property
    def _farthest(self) -> float:
        return self.reach + abs(self.centre)

    @property
    def _count(self) -> int:
        """Panels on [-reach, reach]."""
        near = math.pi * self.temperature / (self.alpha * self._farthest)
        return max(_FEWEST, math.ceil(2.0 * self.reach / near))

    @property
    def _width(self) -> float:
        return 2.0 * self.reach / self._count

    def _panels(self, level: float) -> Array:
        """Masses of the panels."""
        nodes, weights = _rule()
        places = (np.arange(self._count)[:, None] + nodes) * self._width - self.reach
        return np.asarray(self._height(places, level) @ weights * self._width)

    def _height(self, w: Array, level: float) -> Array:
        exponent = (level - 0.5 * self.alpha * (w - self.centre) ** 2) / self.temperature - math.log(self.temperature)
        return np.asarray(self.temperature * wrightomega(exponent))


def _rule() -> tuple[Array, Array]:
    """Gauss's nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return 0.5 * (nodes + 1.0), 0.5 * weights
