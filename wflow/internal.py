"""This file owns internal energies int U(rho) dw: what a density pays for being concentrated. Atoms have none.

U(rho), its slope U' (added to V), the pressure p = rho U' - U (the diffusion flux is -grad p) and p' = rho U''.
"""

import math
from collections.abc import Sequence
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

_INVERTED = 60


def conjugate_slope(terms: Sequence[Internal], force: Array) -> Array:
    """(U*)'(force) (m,): the density rho with U'(rho) = force for the sum U of the terms, 0 where force < U'(0+).

    An entropy: e^(force/T - 1). A power: ((m - 1) force+/(strength m))^(1/(m - 1)). Both: Newton for y = log rho of the
    convex, increasing T (y + 1) + c e^((m-1) y) = force.   Raises ValueError without terms, or with others than one
    entropy and one power.
    """
    heat = [term for term in terms if isinstance(term, Entropy)]
    power = [term for term in terms if isinstance(term, Power)]
    if not terms or len(heat) > 1 or len(power) > 1:
        raise ValueError(f"internal terms: {list(terms)!r} are not an Entropy, a Power or one of each; join equal ones")
    if not power:
        return np.asarray(np.exp(force / heat[0].temperature - 1.0))
    m = power[0].exponent
    scale = power[0].strength * m / (m - 1.0)
    if not heat:
        return np.asarray((np.maximum(force, 0.0) / scale) ** (1.0 / (m - 1.0)))
    temperature = heat[0].temperature
    with np.errstate(divide="ignore"):
        cold = np.where(force > 0.0, np.log(np.maximum(force, 0.0) / scale) / (m - 1.0), math.inf)
    y = np.minimum(force / temperature - 1.0, cold)
    for _ in range(_INVERTED):  # from above but at most once, since the left side is convex
        steep = scale * np.exp((m - 1.0) * y)
        change = (temperature * (y + 1.0) + steep - force) / (temperature + (m - 1.0) * steep)
        y = y - change
        if np.max(np.abs(change) / (1.0 + np.abs(y))) <= 1e-15:
            break
    return np.asarray(np.exp(y))
