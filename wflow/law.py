"""This file owns laws: exact probability laws, the starts and the answers of flows.

On the circle a law is lifted: cdf(0) = 0, cdf(theta + 2 pi) = cdf(theta) + 1 and quantile(s + 1) = quantile(s) + 2 pi.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from wflow.arrays import Array, count, finite, shaped, weights_of_mass_one
from wflow.base_law import Law, Regularity
from wflow.domain import Box, Domain, space
from wflow.shapes import Planar, Sphere

__all__ = ["Atoms", "ClosedForm", "Gaussian", "Law", "Regularity", "Transported", "Uniform"]


@dataclass(frozen=True, eq=False)
class Gaussian(Law):
    """N(mean, diag(std^2)) on R^d; mean and std are numbers or one entry an axis."""

    mean: ArrayLike = 0.0
    std: ArrayLike = 1.0
    dim: int = 1

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            value = finite(f"Gaussian {name}", getattr(self, name))
            if value.shape not in ((), (1,), (self.dim,)):
                raise ValueError(
                    f"Gaussian {name}: shape {value.shape} on {self.dim} axes; give a number or one entry an axis"
                )
            object.__setattr__(self, name, np.array(np.broadcast_to(value, (self.dim,))))
        if np.any(self._std <= 0.0):
            raise ValueError(f"Gaussian std: {self._std} must be above 0; a point mass is Atoms")

    @property
    def _mean(self) -> Array:
        return np.asarray(self.mean)

    @property
    def _std(self) -> Array:
        return np.asarray(self.std)

    @property
    def domain(self) -> Box:
        """R^d."""
        return space(self.dim)

    @property
    def marginals(self) -> tuple[Law, ...]:
        if self.dim == 1:
            return (self,)
        return tuple(Gaussian(m, s) for m, s in zip(self._mean, self._std, strict=True))

    @property
    def support(self) -> tuple[float, float]:
        """Nine standard deviations to each side."""
        return float(self._mean[0] - 9.0 * self._std[0]), float(self._mean[0] + 9.0 * self._std[0])

    def density(self, w: Array) -> Array:
        z = (w - self._mean) / self._std
        norm = (2.0 * math.pi) ** (self.dim / 2) * np.prod(self._std)
        return np.asarray(np.exp(-0.5 * np.sum(z * z, axis=1)) / norm)

    def cdf(self, w: Array) -> Array:
        self._needs_quantile()
        return np.asarray(ndtr((w - self._mean[0]) / self._std[0]))

    def quantile(self, s: Array) -> Array:
        self._needs_quantile()
        return np.asarray(self._mean[0] + self._std[0] * ndtri(s))

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        return self._mean + self._std * rng.standard_normal((count("m", m), self.dim))

    def cell_masses(self, edges: Array) -> Array:
        """Differences taken in the tail where both ends are small, so that far cells keep their digits."""
        z = (edges - self._mean[0]) / self._std[0]
        a, b = z[:-1], z[1:]
        a, b = np.where(a > 0.0, -b, a), np.where(a > 0.0, -a, b)
        high, low = log_ndtr(b), log_ndtr(a)
        return np.asarray(np.exp(high) * -np.expm1(low - high))

    def _upper_quantile(self, tail: Array) -> Array:
        return np.asarray(self._mean[0] - self._std[0] * ndtri(tail))


@dataclass(frozen=True)
class Uniform(Law):
    """Uniform law on a bounded box, on a region of the plane or on the sphere."""

    domain: Domain

    def __post_init__(self) -> None:
        if not self.domain.bounded:
            raise ValueError("Uniform: the domain is infinite; give a bounded box, an interval or the circle")
        if not isinstance(self.domain, Box | Planar | Sphere):
            raise TypeError(f"Uniform: {self.domain} is no domain that it knows; give a Box, a Planar or a Sphere")

    @property
    def marginals(self) -> tuple[Law, ...]:
        if not isinstance(self.domain, Box):
            return ()
        if self.domain.dim == 1:
            return (self,)
        ends = zip(self.domain.lower, self.domain.upper, self.domain.periodic, strict=True)
        return tuple(Uniform(Box((a,), (b,), (turns,))) for a, b, turns in ends)

    @property
    def has_quantised(self) -> bool:
        return isinstance(self.domain, Sphere) or super().has_quantised

    def density(self, w: Array) -> Array:
        """One over the volume, 0 outside the box or region; on the sphere 1/4 pi."""
        if isinstance(self.domain, Sphere):
            return np.full(len(w), 1.0 / self.domain.volume)
        if isinstance(self.domain, Planar):
            return np.where(self.domain.inside(w), 1.0 / self.domain.volume, 0.0)
        ends = np.asarray(self.domain.lower), np.asarray(self.domain.upper)
        inside = np.all(((ends[0] <= w) & (w <= ends[1])) | np.asarray(self.domain.periodic), axis=1)
        return np.where(inside, 1.0 / float(np.prod(self.domain.lengths)), 0.0)

    def cdf(self, w: Array) -> Array:
        self._needs_quantile()
        s = np.asarray((np.asarray(w) - self.domain.lower[0]) / self.domain.lengths[0])
        return s if self.domain.is_circle else np.clip(s, 0.0, 1.0)

    def quantile(self, s: Array) -> Array:
        self._needs_quantile()
        return np.asarray(self.domain.lower[0] + self.domain.lengths[0] * s)

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        """In a region of the plane by rejection from the box around it, on the sphere by height and angle."""
        if isinstance(self.domain, Planar):
            return _accepted(self.domain, count("m", m), rng)
        if isinstance(self.domain, Sphere):
            heights, turns = rng.random((2, count("m", m)))
            return self.domain.turned(2.0 * heights - 1.0, 2.0 * math.pi * turns, np.array([0.0, 0.0, 1.0]))
        return np.asarray(self.domain.lower + self.domain.lengths * rng.random((count("m", m), self.domain.dim)))

    def quantised(self, m: int) -> Array:
        """On the sphere the m spherical Fibonacci points, heights 1 - (2j + 1)/m."""
        if not isinstance(self.domain, Sphere):
            return super().quantised(m)
        heights = 1.0 - (2.0 * np.arange(count("m", m)) + 1.0) / m
        return self.domain.spiral(heights, np.array([0.0, 0.0, 1.0]))


def _accepted(region: Planar, m: int, rng: np.random.Generator) -> Array:
    """m uniform points (m, 2) of a region: those of its box that lie inside, drawn until there are enough."""
    low, size = np.asarray(region.lower), region.lengths
    kept = np.zeros((0, 2))
    while len(kept) < m:
        drawn = low + size * rng.random((m, 2))
        kept = np.concatenate([kept, drawn[region.inside(drawn)]])
    return kept[:m]


@dataclass(frozen=True, eq=False)
class Atoms(Law):
    """sum_j weights_j delta_{points_j}: the start of a finite network as it is."""

    domain: Domain
    points: Array
    weights: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        points = shaped("Atoms points", self.points, (None, self.domain.dim))
        n = len(points)
        weights = np.full(n, 1.0 / n) if self.weights is None else self.weights
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "weights", weights_of_mass_one("Atoms weights", weights, n))
        beyond = np.abs(points - self.domain.retract(points)).max(axis=1)
        if beyond[worst := int(beyond.argmax())] > 0.0:
            raise ValueError(
                f"Atoms points: number {worst}, {points[worst].tolist()}, lies outside the walls of {self.domain}; "
                "move it inside or widen the domain"
            )

    @property
    def support(self) -> tuple[float, float]:
        """Its extreme atoms where the domain is infinite."""
        if self.domain.bounded:
            return super().support
        return float(self.points[:, 0].min()), float(self.points[:, 0].max())

    def quantile(self, s: Array) -> Array:
        self._needs_quantile()
        order, cumulated = self._sorted
        turns = np.floor(s) if self.domain.is_circle else 0.0
        place = np.minimum(np.searchsorted(cumulated, s - turns, side="left"), len(order) - 1)
        turn = self.domain.lengths[0] if self.domain.is_circle else 0.0
        return np.asarray(self.domain.wrap(self.points)[order[place], 0] + turns * turn)

    def cdf(self, w: Array) -> Array:
        """Mass strictly to the left."""
        self._needs_quantile()
        order, cumulated = self._sorted
        x = np.asarray(w, dtype=np.float64)
        turns = np.floor((x - self.domain.lower[0]) / self.domain.lengths[0]) if self.domain.is_circle else 0.0
        inside = x - turns * self.domain.lengths[0] if self.domain.is_circle else x
        place = np.searchsorted(self.domain.wrap(self.points)[order, 0], inside, side="left")
        return np.asarray(turns + np.concatenate([[0.0], cumulated])[place])

    def cell_masses(self, edges: Array) -> Array:
        """Of cells [e_k, e_{k+1}): an atom on an edge belongs to its right, at the upper wall to the last cell."""
        masses = np.diff(self.cdf(edges))
        if not self.domain.periodic[0] and edges[-1] == self.domain.upper[0]:
            masses[-1] += float(np.sum(self.weights[self.points[:, 0] == edges[-1]]))
        return masses

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        return self.points[rng.choice(len(self.points), size=count("m", m), p=self.weights)]

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.intp], Array]:
        order = np.argsort(self.domain.wrap(self.points)[:, 0], kind="stable")
        return order, np.cumsum(self.weights[order])


@dataclass(frozen=True, eq=False)
class ClosedForm(Law):
    """A one-dimensional law by formulas: a density and its cdf, both functions of numbers (m,)."""

    domain: Box
    density_at: Callable[[Array], Array]
    cdf_at: Callable[[Array], Array]

    def density(self, w: Array) -> Array:
        return self.density_at(w[:, 0])

    def cdf(self, w: Array) -> Array:
        return self.cdf_at(np.asarray(w))


@dataclass(frozen=True, eq=False)
class Transported(Law):
    """The image of a one-dimensional law under an increasing map given in quantiles: quantile_at(s) (m,).

    `density_along(s)` (m,) is the density at quantile_at(s). Exact solutions along characteristics are of this kind.
    """

    domain: Box
    quantile_at: Callable[[Array], Array]
    density_along: Callable[[Array], Array]

    def quantile(self, s: Array) -> Array:
        return self.quantile_at(np.asarray(s))

    def density(self, w: Array) -> Array:
        return self.density_along(self.cdf(w[:, 0]))
