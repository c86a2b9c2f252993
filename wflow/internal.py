"""This file owns internal energies int U(rho) dw: what a density pays for being concentrated. Atoms have none.

U(rho), its slope U' (added to V), the pressure p = rho U' - U (the diffusion flux is -grad p) and p' = rho U''.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, finite
from wflow.measure import Measure


@dataclass(frozen=True)
class Entropy:
    """temperature * int rho log rho: heat at that temperature. p = temperature rho."""

    temperature: float

    def __post_init__(self) -> None:
        if np.ndim(self.temperature) or not finite("Entropy temperature", self.temperature) > 0.0:
            raise ValueError(
                f"Entropy temperature: {self.temperature!r} is not above 0; at temperature 0 leave the term out"
            )

    def value(self, pi: Measure) -> float:
        """temperature int rho log rho; Refused for atoms."""
        return self.temperature * pi.internal()

    def slope(self, rho: Array) -> Array:
        """temperature (log rho + 1), rho > 0."""
        return np.asarray(self.temperature * (np.log(rho) + 1.0))

    def pressure(self, rho: Array) -> Array:
        """temperature rho."""
        return self.temperature * rho

    def stiffness(self, rho: Array) -> Array:
        """p' = temperature."""
        return np.full_like(rho, self.temperature)


@dataclass(frozen=True)
class Power:
    """strength int rho^m / (m - 1), exponent m > 1: the porous medium equation d_t rho = strength Laplace rho^m."""

    exponent: float
    strength: float = 1.0

    def __post_init__(self) -> None:
        if np.ndim(self.exponent) or not finite("Power exponent", self.exponent) > 1.0:
            raise ValueError(f"Power exponent: {self.exponent!r} is not above 1; for exponent 1 use Entropy")
        if np.ndim(self.strength) or not finite("Power strength", self.strength) > 0.0:
            raise ValueError(f"Power strength: {self.strength!r} is not above 0; at strength 0 leave the term out")

    def value(self, pi: Measure) -> float:
        """strength int rho^m / (m - 1); Refused for atoms."""
        return self.strength * pi.power(self.exponent) / (self.exponent - 1.0)

    def slope(self, rho: Array) -> Array:
        """strength m rho^(m-1) / (m - 1)."""
        m = self.exponent
        return np.asarray(self.strength * m / (m - 1.0) * rho ** (m - 1.0))

    def pressure(self, rho: Array) -> Array:
        """strength rho^m."""
        return np.asarray(self.strength * rho**self.exponent)

    def stiffness(self, rho: Array) -> Array:
        """p' = strength m rho^(m-1)."""
        return np.asarray(self.strength * self.exponent * rho ** (self.exponent - 1.0))


Internal = Entropy | Power
