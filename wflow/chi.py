"""This file owns the law of |w| for w ~ N(0, scale^2 I_d)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc, gammaincc, gammaincinv, gammaln, xlogy

from wflow.arrays import Array, count, positive
from wflow.domain import Box, half_line
from wflow.law import Law

_TAIL = 1e-16


@dataclass(frozen=True)
class Chi(Law):
    """scale times a chi variable of dim degrees of freedom, on the half line: |w| for w ~ N(0, scale^2 I_dim)."""

    dim: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        count("Chi dim", self.dim)
        positive("Chi scale", self.scale)

    @property
    def domain(self) -> Box:
        """r >= 0."""
        return half_line()

    @property
    def support(self) -> tuple[float, float]:
        """All but 1e-16 at each end."""
        low, high = self.quantile(np.array([_TAIL, 1.0 - _TAIL]))
        return float(low), float(high)

    def density(self, w: Array) -> Array:
        r, half = np.asarray(w[:, 0] / self.scale), 0.5 * self.dim
        inside = np.maximum(r, 0.0)
        logs = xlogy(self.dim - 1.0, inside) - 0.5 * inside**2 - (half - 1.0) * np.log(2.0) - gammaln(half)
        return np.where(r >= 0.0, np.exp(logs), 0.0) / self.scale

    def cdf(self, w: Array) -> Array:
        return np.asarray(gammainc(0.5 * self.dim, self._energy(w)))

    def quantile(self, s: Array) -> Array:
        return np.asarray(self.scale * np.sqrt(2.0 * gammaincinv(0.5 * self.dim, np.clip(s, 0.0, 1.0 - _TAIL))))

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        return self.scale * np.sqrt(2.0 * rng.standard_gamma(0.5 * self.dim, (count("m", m), 1)))

    def cell_masses(self, edges: Array) -> Array:
        """Differences in the tail that is small, so that far cells keep their digits."""
        e = self._energy(edges)
        below, above = gammainc(0.5 * self.dim, e), gammaincc(0.5 * self.dim, e)
        return np.asarray(np.where(below[1:] < 0.5, np.diff(below), -np.diff(above)))

    def _energy(self, r: Array) -> Array:
        return np.asarray(0.5 * (np.maximum(r, 0.0) / self.scale) ** 2)
