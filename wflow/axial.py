"""This file owns ReLU networks in R^d that know one axis: neurons and directions seen from it, by one angle.

Where F, the law of x and the start do not change under rotations about an axis e, neither does pi_t: of a direction b
only its angle phi to e matters, and a neuron stands for all neurons on its circle of latitude (derived; the reduction
of Hajjar & Chizat 2022, arXiv:2211.08771, for a target of one direction). With x = x_1 e + x', u uniform on the unit
sphere of R^(d-1) and t its first coordinate, density p(t) ~ (1 - t^2)^((d - 4)/2):

    psi(x; phi) = E_u relu(x_1 cos phi + |x'| sin phi t) = c P + s M,    c = x_1 cos phi, s = |x'| sin phi
    P = P(t > tau),   M = int_tau^1 t p dt,   tau = -c/s cut to [-1, 1]
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betainc, betaincinv, roots_jacobi

from wflow.activation import Activation, activation
from wflow.arrays import Array, count
from wflow.data import Data
from wflow.domain import Box, interval
from wflow.errors import Refused
from wflow.law import Law

_FEWEST = 3
"""Dimensions: in the plane a direction and its mirror image are no circle."""
_BENT = 5
"""From so many on p vanishes at its ends, and psi has a second derivative."""


def latitudes() -> Box:
    """[0, pi], with walls at the poles."""
    return interval(0.0, math.pi)


@dataclass(frozen=True)
class AxialNeuron:
    """psi(x; phi) for inputs x = (x_1, |x'|) of R^d, |x'| >= 0; phi in [0, pi] the angle to the axis."""

    dim: int

    def __post_init__(self) -> None:
        count("AxialNeuron dim", self.dim, least=_FEWEST)

    @property
    def activation(self) -> Activation:
        """ReLU."""
        return activation("relu")

    @property
    def domain(self) -> Box:
        """Latitudes."""
        return latitudes()

    @property
    def inputs(self) -> int:
        """Two: along the axis and off it."""
        return 2

    @property
    def names(self) -> tuple[str, ...]:
        """An angle."""
        return ("angle to the axis (radian)",)

    @cached_property
    def _height(self) -> float:
        """p(0) = Gamma((d-1)/2)/(sqrt(pi) Gamma((d-2)/2))."""
        n = self.dim - 1
        return math.exp(math.lgamma(0.5 * n) - math.lgamma(0.5 * (n - 1))) / math.sqrt(math.pi)

    def value(self, x: Array, w: Array) -> Array:
        """(n, m)."""
        c, s, tau = self._parts(x, w)
        return np.asarray(c * self._above(tau) + s * self._mean(tau))

    def gradient(self, x: Array, w: Array) -> Array:
        """(n, m, 1): c' P + s' M; how the cut moves does not count, as relu is 0 there."""
        _, _, tau = self._parts(x, w)
        along, across = self._turned(x, w)
        return np.asarray(along * self._above(tau) + across * self._mean(tau))[..., None]

    def curvature(self, x: Array, w: Array) -> Array:
        """(n, m, 1, 1): -psi + p(tau) (c' + tau s')^2/s; Refused below five dimensions, where p does not vanish."""
        if self.dim < _BENT:
            raise Refused(f"axial neurons in R^{self.dim} have no second derivative everywhere; take R^{_BENT} or more")
        c, s, tau = self._parts(x, w)
        along, across = self._turned(x, w)
        inside = np.abs(tau) < 1.0
        density = np.where(inside, self._height * np.where(inside, 1.0 - tau**2, 1.0) ** (0.5 * self.dim - 2.0), 0.0)
        bend = density * (along + tau * across) ** 2 / np.where(inside, s, 1.0)
        return np.asarray(bend - c * self._above(tau) - s * self._mean(tau))[..., None, None]

    def _parts(self, x: Array, w: Array) -> tuple[Array, Array, Array]:
        """c, s and tau, each (n, m)."""
        c = np.multiply.outer(x[:, 0], np.cos(w[:, 0]))
        s = np.multiply.outer(x[:, 1], np.abs(np.sin(w[:, 0])))
        cut = np.abs(c) >= s  # also where s = 0
        return c, s, np.where(cut, -np.sign(c), -c / np.where(cut, 1.0, s))

    @staticmethod
    def _turned(x: Array, w: Array) -> tuple[Array, Array]:
        """c' and s', each (n, m)."""
        return -np.multiply.outer(x[:, 0], np.sin(w[:, 0])), np.multiply.outer(x[:, 1], np.cos(w[:, 0]))

    def _above(self, tau: Array) -> Array:
        """P(t > tau): (1 + t)/2 is Beta distributed."""
        q = 0.5 * self.dim - 1.0
        return np.asarray(betainc(q, q, 0.5 * (1.0 - tau)))

    def _mean(self, tau: Array) -> Array:
        """int_tau^1 t p(t) dt."""
        return np.asarray(self._height * (1.0 - tau**2) ** (0.5 * self.dim - 1.0) / (self.dim - 2.0))


@dataclass(frozen=True, eq=False)
class Colatitude(Law):
    """The angle to an axis of a uniform direction in R^dim: density ~ sin(phi)^(dim - 2) on [0, pi]."""

    dim: int

    def __post_init__(self) -> None:
        count("Colatitude dim", self.dim, least=_FEWEST)

    @property
    def domain(self) -> Box:
        """Latitudes."""
        return latitudes()

    @property
    def _power(self) -> float:
        return 0.5 * (self.dim - 1.0)

    def density(self, w: Array) -> Array:
        """At points (m, 1)."""
        half = 0.5 * self.dim
        height = math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(math.pi)
        return np.asarray(height * np.abs(np.sin(w[:, 0])) ** (self.dim - 2.0))

    def cdf(self, w: Array) -> Array:
        """(1 - cos phi)/2 = sin^2(phi/2) is Beta distributed."""
        phi = np.clip(w, 0.0, math.pi)
        lower = betainc(self._power, self._power, np.sin(0.5 * np.minimum(phi, math.pi - phi)) ** 2)
        return np.where(phi <= 0.5 * math.pi, lower, 1.0 - lower)

    def quantile(self, s: Array) -> Array:
        lower = np.minimum(s, 1.0 - np.asarray(s))
        phi = 2.0 * np.arcsin(np.sqrt(betaincinv(self._power, self._power, lower)))
        return np.where(np.asarray(s) <= 0.5, phi, math.pi - phi)


def axial_inputs(dim: int, nodes: int) -> Data:
    """x ~ N(0, I_dim) as AxialNeuron sees it, by nodes (even) points, for risks of half squares.

    psi and targets of |x| degree 1 leave of |x|^2 its mean dim, exactly: x = sqrt(dim) (z, sqrt(1 - z^2)), z by Gauss
    and Jacobi's rule on each half of [-1, 1], as targets may have a kink at z = 0. psi has singularities of its own in
    z, weaker for larger dim: the kernel E psi psi is off by 9e-6, 6e-7, 4e-11 for dim = 3, 5, 20 and 64 nodes.
    """
    if count("nodes", nodes, least=2) % 2:
        raise ValueError(f"nodes: {nodes} is odd; both halves of the axis take as many, give an even number")
    power = 0.5 * (count("dim", dim, least=_FEWEST) - 3.0)
    at, weights = roots_jacobi(nodes // 2, power, 0.0)
    z = 0.5 * (at + 1.0)
    weights = weights * (1.0 + z) ** power
    z = np.concatenate([-z[::-1], z])
    weights = np.concatenate([weights[::-1], weights])
    x = math.sqrt(dim) * np.column_stack([z, np.sqrt(1.0 - z**2)])
    return Data(x, np.zeros(len(x)), weights / weights.sum())
