"""This file owns laws of one coordinate of a neuron's label: their Gauss rules and quantiles."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from wflow.arrays import Array, count, finite, positive


class Marginal(ABC):
    """A law on the line."""

    @property
    @abstractmethod
    def mean(self) -> float:
        """int u drho."""

    @abstractmethod
    def gauss(self, n: int) -> tuple[Array, Array]:
        """Nodes and weights of the Gauss rule with n of them, exact to degree 2n - 1; fewer for a finite support."""

    @abstractmethod
    def quantile(self, s: Array) -> Array:
        """u with rho(-inf, u] = s, elementwise for s in (0, 1)."""


@dataclass(frozen=True)
class Interval(Marginal):
    """Uniform on [low, high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not float(finite("Interval low", self.low)) < float(finite("Interval high", self.high)):
            raise ValueError(f"Interval: [{self.low}, {self.high}] is empty; give low < high, or Point for one value")

    @property
    def mean(self) -> float:
        """The middle."""
        return 0.5 * (self.low + self.high)

    def gauss(self, n: int) -> tuple[Array, Array]:
        """Gauss-Legendre."""
        z, q = np.polynomial.legendre.leggauss(n)
        return self.mean + 0.5 * (self.high - self.low) * z, 0.5 * q

    def quantile(self, s: Array) -> Array:
        """low + (high - low) s."""
        return self.low + (self.high - self.low) * s


@dataclass(frozen=True)
class Normal(Marginal):
    """N(middle, deviation^2)."""

    middle: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        finite("Normal middle", self.middle)
        positive("Normal deviation", self.deviation)

    @property
    def mean(self) -> float:
        """The middle."""
        return self.middle

    def gauss(self, n: int) -> tuple[Array, Array]:
        """Gauss-Hermite."""
        z, q = np.polynomial.hermite_e.hermegauss(n)
        return self.middle + self.deviation * z, q / q.sum()

    def quantile(self, s: Array) -> Array:
        """Of the normal law."""
        return np.asarray(self.middle + self.deviation * ndtri(s))


@dataclass(frozen=True)
class Point(Marginal):
    """One value: no label is needed for it."""

    value: float

    def __post_init__(self) -> None:
        finite("Point value", self.value)

    @property
    def mean(self) -> float:
        """The value."""
        return self.value

    def gauss(self, n: int) -> tuple[Array, Array]:
        """One node."""
        return np.array([float(self.value)]), np.ones(1)

    def quantile(self, s: Array) -> Array:
        """The value."""
        return np.full(np.shape(s), float(self.value))


@dataclass(frozen=True)
class Dyadic(Marginal):
    """Uniform on (0, 1), seen as blocks I_k = (2^-k, 2^{1-k}] of mass 2^-k, of which rules take the first `blocks`.

    The last of them stands for all that is left, (0, 2^{1-blocks}].
    """

    blocks: int

    def __post_init__(self) -> None:
        count("Dyadic blocks", self.blocks)

    @property
    def mean(self) -> float:
        """1/2."""
        return 0.5

    def gauss(self, n: int) -> tuple[Array, Array]:
        """n Gauss-Legendre nodes in each block, the first block first."""
        z, q = np.polynomial.legendre.leggauss(n)
        low = np.append(0.5 ** np.arange(1, self.blocks), 0.0)
        high = 0.5 ** np.arange(self.blocks)
        nodes = 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * z
        return nodes.ravel(), (0.5 * (high - low)[:, None] * q).ravel()

    def quantile(self, s: Array) -> Array:
        """s."""
        return np.asarray(s, dtype=np.float64)


def block_of(omega: Array) -> Array:
    """k = 1, 2, .. with omega in I_k = (2^-k, 2^{1-k}]."""
    exponents = np.frexp(omega)
    # omega = f 2^e with f in [1/2, 1): 2^e itself, f = 1/2, ends its block
    return np.asarray(1 - exponents[1] + (exponents[0] == 0.5), dtype=np.int64)


def deviation(law: Marginal, nodes: int = 64) -> float:
    """The standard deviation, by the Gauss rule, which is exact here."""
    u, q = law.gauss(nodes)
    return math.sqrt(float(q @ (u - law.mean) ** 2))
