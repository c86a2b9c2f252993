"""This file owns laws on several axes: products of one-dimensional laws, and laws in the plane that only see |w|."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from wflow.arrays import Array, count, finite
from wflow.domain import Box, plane
from wflow.grid import Grid
from wflow.law import Law, Regularity

GOLDEN = math.pi * (3.0 - math.sqrt(5.0))
_GAUSS = 6


@dataclass(frozen=True, eq=False, init=False)
class Product(Law):
    """Independent coordinates: one one-dimensional law an axis. `frozen` axes are those of wflow.domain.Box."""

    laws: tuple[Law, ...]
    domain: Box

    def __init__(self, *laws: Law, frozen: tuple[bool, ...] = ()) -> None:
        for k, law in enumerate(laws):
            if not isinstance(law, Law) or not law.has_quantile:
                raise TypeError(f"Product: factor {k} is {law!r}; give one-dimensional laws with a cdf or quantiles")
        if not laws:
            raise ValueError("Product: no factors; give one one-dimensional law an axis")
        ends = [(law.domain.lower[0], law.domain.upper[0], law.domain.periodic[0]) for law in laws]
        lower, upper, periodic = zip(*ends, strict=True)
        object.__setattr__(self, "laws", laws)
        object.__setattr__(self, "domain", Box(lower, upper, periodic, frozen))

    @property
    def marginals(self) -> tuple[Law, ...]:
        return self.laws

    @property
    def has_density(self) -> bool:
        """Whether every factor has one."""
        return all(law.has_density for law in self.laws)

    @property
    def regularity(self) -> Regularity:
        """The worst among the factors of moving axes: nothing crosses a sheet."""
        found = [law.regularity for law, still in zip(self.laws, self.domain.frozen, strict=True) if not still]
        return max(found, key=("smooth", "jump", "atom").index, default="smooth")

    @property
    def edge(self) -> float:
        """The sharpest among the factors of moving axes."""
        found = [law.edge for law, still in zip(self.laws, self.domain.frozen, strict=True) if not still]
        return min([super().edge, *found])

    def density(self, w: Array) -> Array:
        return np.asarray(np.prod([law.density(w[:, k : k + 1]) for k, law in enumerate(self.laws)], axis=0))

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        return np.concatenate([law.sample(m, rng) for law in self.laws], axis=1)


@dataclass(frozen=True, eq=False)
class Radial(Law):
    """A law in the plane that is symmetric about a centre: radial(r) is its density at distance r, 0 beyond `reach`.

    within(r) (m,) is the mass inside the circle of radius r; edge: as of any law. Cell averages: 6 x 6 Gauss points a
    cell, scaled to mass one on a grid that holds the whole circle of radius `reach`; where the density jumps or bends,
    a cell's mass errs.
    """

    radial: Callable[[Array], Array]
    within: Callable[[Array], Array]
    reach: float
    centre: tuple[float, float] = (0.0, 0.0)
    domain: Box = field(default_factory=plane)
    edge: float = math.inf

    def __post_init__(self) -> None:
        finite("Radial reach", self.reach)

    @property
    def regularity(self) -> Regularity:
        """A jump where the density ends with one."""
        return "smooth" if self.edge > 0.0 else "jump"

    def density(self, w: Array) -> Array:
        return self.radial(np.linalg.norm(w - np.asarray(self.centre), axis=1))

    def radius(self, s: Array) -> Array:
        """The radius that holds the mass s (m,), by bisection."""
        low, high = np.zeros_like(s), np.full_like(s, self.reach)
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = self.within(middle) < s
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return 0.5 * (low + high)

    def _at(self, s: Array, angle: Array) -> Array:
        r = self.radius(np.asarray(s, dtype=np.float64))
        return np.asarray(self.centre) + np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        s = rng.random(count("m", m))
        return self._at(s, 2.0 * math.pi * rng.random(m))

    @property
    def has_quantised(self) -> bool:
        return True

    def quantised(self, m: int) -> Array:
        """A sunflower: the mass within its k-th point is (k + 1/2)/m, angles advance by the golden angle."""
        k = np.arange(count("m", m), dtype=np.float64)
        return self._at((k + 0.5) / m, GOLDEN * k)

    @property
    def has_averages(self) -> bool:
        return True

    def averages(self, grid: Grid) -> Array:
        nodes, weights = np.polynomial.legendre.leggauss(_GAUSS)
        total = np.zeros(grid.size)
        for x, a in zip(0.5 * nodes, 0.5 * weights, strict=True):
            for y, b in zip(0.5 * nodes, 0.5 * weights, strict=True):
                total += a * b * self.density(grid.centres + grid.widths * np.array([x, y]))
        gap = np.minimum(np.subtract(self.centre, grid.domain.lower), np.subtract(grid.domain.upper, self.centre))
        return total / (total.sum() * grid.cell_volume) if np.all(gap >= self.reach) else total
