"""This file owns what a law is: a domain, mass 1, a density, a cdf, quantiles or samples, each where it is defined."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from wflow.arrays import Array, count
from wflow.domain import Domain
from wflow.errors import Refused
from wflow.grid import Grid

Regularity = Literal["smooth", "jump", "atom"]
_BISECTIONS = 60
_RECURRENCE = 60
_TAIL_NODES = 40


class Law:
    """A probability law of mass 1 on a domain. One-dimensional laws give a cdf or a quantile; each yields the other."""

    if TYPE_CHECKING:  # read-only for the checker; a field or a property in each law

        @property
        def domain(self) -> Domain:
            """Where the law lives."""

    @property
    def mass(self) -> float:
        """Total mass."""
        return 1.0

    @property
    def has_density(self) -> bool:
        """Whether `density` is defined."""
        return type(self).density is not Law.density

    @property
    def regularity(self) -> Regularity:
        """Of the density: smooth, with jumps, or none at all; what methods lose their order to."""
        return "smooth" if self.has_density else "atom"

    @property
    def edge(self) -> float:
        """How the density ends inside the domain, like (distance)^edge: 0 a jump, -1 an atom, inf where it does not."""
        return {"smooth": math.inf, "jump": 0.0, "atom": -1.0}[self.regularity]

    @property
    def connected(self) -> bool:
        """No empty gap between two parts of the mass (one axis): the quantile function is continuous."""
        return self.regularity != "atom"

    @property
    def has_quantile(self) -> bool:
        """Whether the law is one-dimensional with `cdf` and `quantile`."""
        own = type(self)
        return self.domain.dim == 1 and (own.cdf is not Law.cdf or own.quantile is not Law.quantile)

    @property
    def marginals(self) -> tuple["Law", ...]:
        """One-dimensional laws of which this is the product; () where it is none."""
        return (self,) if self.has_quantile else ()

    @property
    def has_averages(self) -> bool:
        """Whether `averages` is defined: on one axis by the cdf, on more as a product or by the law's own formula."""
        return bool(self.marginals)

    @property
    def has_quantised(self) -> bool:
        """Whether `quantised` is defined."""
        return bool(self.marginals)

    @property
    def support(self) -> tuple[float, float]:
        """Bounded interval with all but about 1e-16 of the mass (one axis)."""
        if not self.domain.bounded:
            raise Refused(f"{type(self).__name__}: the domain is infinite and the law names no `support`; define it")
        return self.domain.lower[0], self.domain.upper[0]

    def density(self, w: Array) -> Array:
        """Density (m,) at points (m, d)."""
        raise Refused(f"{type(self).__name__} has no density; start from a law that has one, or use particles")

    def cdf(self, w: Array) -> Array:
        """Mass to the left of the numbers w (m,); lifted on the circle."""
        self._needs_quantile()
        turns = np.floor((w - self.domain.lower[0]) / self.domain.lengths[0]) if self.domain.is_circle else 0.0
        inside = w - turns * self.domain.lengths[0] if self.domain.is_circle else np.asarray(w)
        return turns + _invert(self.quantile, inside, np.zeros_like(inside), np.ones_like(inside))

    def quantile(self, s: Array) -> Array:
        """Leftmost numbers (m,) with mass s to their left; lifted on the circle."""
        self._needs_quantile()
        turns = np.floor(s) if self.domain.is_circle else 0.0
        low, high = self.support
        ends = np.full_like(s, low), np.full_like(s, high)
        return turns * (high - low) + _invert(self.cdf, s - turns, *ends)

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        """m independent points (m, d): the quantile of uniform numbers."""
        return self.domain.wrap(self.quantile(rng.random(count("m", m)))[:, None])

    def cell_masses(self, edges: Array) -> Array:
        """Masses (n,) between consecutive edges (n+1,), from the cdf: exact."""
        return np.diff(self.cdf(edges))

    def averages(self, grid: Grid) -> Array:
        """Cell averages (m,) of the density on a grid, exact to rounding: products of the marginals' cell masses."""
        if not self.marginals:
            raise Refused(f"{type(self).__name__} on {grid.domain.dim} axes has no cell masses; use particles")
        masses = np.ones(1)
        for axis, law in enumerate(self.marginals):
            masses = np.multiply.outer(masses, law.cell_masses(grid.edges(axis)))
        return masses.ravel() / grid.cell_volume

    def quantised(self, m: int) -> Array:
        """m points (m, d) spread as evenly as the law: quantiles (j + 1/2)/m of one axis, O(1/m) in W2.

        On d > 1 axes quantiles of an additive recurrence s_j = frac(1/2 + j alpha), alpha_i = g^-i, g^(d+1) = g + 1:
        about m^(-1/d). Source: Roberts 2018 (the R_d sequence, after Kronecker).
        """
        if not self.marginals:
            raise Refused(f"{type(self).__name__} on {self.domain.dim} axes has no quantised start; sample it instead")
        j, d = np.arange(count("m", m)), len(self.marginals)
        if d == 1:
            return self.quantile((j + 0.5) / m)[:, None]
        g = 2.0
        for _ in range(_RECURRENCE):
            g = (1.0 + g) ** (1.0 / (d + 1))
        s = [np.mod(0.5 + (j + 1) * g ** -(k + 1.0), 1.0) for k in range(d)]
        return np.stack([law.quantile(column) for law, column in zip(self.marginals, s, strict=True)], axis=1)

    def tail_means(self, s: float) -> tuple[float, float]:
        """Means of the lowest and of the highest fraction s of the mass (line), by Gauss-Laguerre in log s.

        (1/s) int_0^s Q(u) du = int_0^inf Q(s e^-v) e^-v dv with Q the quantile: finite though Q(0) is not.
        """
        nodes, weights = np.polynomial.laguerre.laggauss(_TAIL_NODES)
        tail = s * np.exp(-nodes)
        return float(weights @ self.quantile(tail)), float(weights @ self._upper_quantile(tail))

    def _upper_quantile(self, tail: Array) -> Array:
        """quantile(1 - tail); laws with two infinite tails override it to keep the digits of a small tail."""
        return self.quantile(1.0 - tail)

    def _needs_quantile(self) -> None:
        if not self.has_quantile:
            raise Refused(f"{type(self).__name__} on {self.domain.dim} axes has no quantiles; sample it instead")


def _invert(increasing: Callable[[Array], Array], y: Array, low: Array, high: Array) -> Array:
    """Vectorised bisection for increasing(x) = y between low and high, to the last bit of the bracket."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        below = increasing(middle) < y
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)
