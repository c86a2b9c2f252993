"""This file owns laws with Barenblatt's profile: density c (1 - |x - centre|^2/R^2)_+^q on the line and in the plane.

q = 1/(m-1): the porous medium equation of exponent m; q = 1/2: the semicircle; q = 0: uniform on a segment or a disc.
On d axes c = Gamma(q + 1 + d/2)/(pi^(d/2) Gamma(q + 1) R^d), and E|x - centre|^2 = d R^2/(d + 2 q + 2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import betainc, betaincinv

from wflow.arrays import Array, finite, positive
from wflow.domain import Box, line
from wflow.joint import Radial
from wflow.law import Law, Regularity


def peak(power: float, dim: int) -> float:
    """The density at the centre for R = 1: Gamma(q + 1 + d/2)/(pi^(d/2) Gamma(q + 1))."""
    gamma = math.lgamma(power + 1.0 + dim / 2) - math.lgamma(power + 1.0)
    return math.exp(gamma - dim / 2 * math.log(math.pi))


@dataclass(frozen=True)
class Barenblatt(Law):
    """c (1 - ((x - centre)/reach)^2)_+^power on the line; (1 + z)/2 of z = (x - centre)/reach is Beta(q + 1, q + 1).

    home: the line, or an interval that holds the support (ValueError where it does not).
    """

    power: float
    reach: float
    centre: float = 0.0
    home: Box = field(default_factory=line)

    def __post_init__(self) -> None:
        if not float(finite("Barenblatt power", self.power)) >= 0.0:
            raise ValueError(f"Barenblatt power: {self.power!r} is below 0; give q >= 0 (0: uniform)")
        positive("Barenblatt reach", self.reach)
        finite("Barenblatt centre", self.centre)
        low, high = self.support
        if self.home.dim != 1 or self.home.periodic[0] or low < self.home.lower[0] or high > self.home.upper[0]:
            raise ValueError(
                f"Barenblatt home: the support [{low:g}, {high:g}] does not lie in {self.home}; give the line, or a "
                "longer interval"
            )

    @property
    def domain(self) -> Box:
        """The line or the interval."""
        return self.home

    @property
    def regularity(self) -> Regularity:
        """Uniform ones jump; the others end continuously, though perhaps steeply."""
        return "smooth" if self.power > 0.0 else "jump"

    @property
    def edge(self) -> float:
        """The power."""
        return self.power

    @property
    def support(self) -> tuple[float, float]:
        return self.centre - self.reach, self.centre + self.reach

    def density(self, w: Array) -> Array:
        z = (w[:, 0] - self.centre) / self.reach
        inside = np.abs(z) <= 1.0
        shape = np.where(inside, 1.0 - z * z, 0.0) ** self.power
        return np.where(inside, peak(self.power, 1) / self.reach * shape, 0.0)

    def cdf(self, w: Array) -> Array:
        z = np.clip((np.asarray(w) - self.centre) / self.reach, -1.0, 1.0)
        return np.asarray(betainc(self.power + 1.0, self.power + 1.0, 0.5 * (1.0 + z)))

    def quantile(self, s: Array) -> Array:
        """From the nearer end, so that both ends keep their digits."""
        s = np.asarray(s)
        left = 2.0 * betaincinv(self.power + 1.0, self.power + 1.0, np.minimum(s, 1.0 - s)) - 1.0
        return np.asarray(self.centre + self.reach * np.where(s < 0.5, left, -left))

    def cell_masses(self, edges: Array) -> Array:
        """Right of the centre by the mirrored cell, so that cells near the right end keep their digits."""
        z = np.clip((edges - self.centre) / self.reach, -1.0, 1.0)
        mirrored = z[:-1] > 0.0
        low, high = np.where(mirrored, -z[1:], z[:-1]), np.where(mirrored, -z[:-1], z[1:])
        q = self.power + 1.0
        return np.asarray(betainc(q, q, 0.5 * (1.0 + high)) - betainc(q, q, 0.5 * (1.0 + low)))


def barenblatt_law(power: float, reach: float, centre: float | Sequence[float] = 0.0, dim: int = 1) -> Law:
    """The law of this profile on the line (dim 1) or in the plane (dim 2); ValueError for other dimensions.

    In the plane the mass within r is 1 - (1 - r^2/R^2)^(q + 1).
    """
    if dim == 1:
        return Barenblatt(power, reach, float(finite("centre", centre)))
    if dim != 2:
        raise ValueError(f"dim: {dim!r} is not allowed; give 1 (line) or 2 (plane)")
    x, y = np.broadcast_to(finite("centre", centre), (2,))
    top = peak(power, 2) / positive("reach", reach) ** 2

    def shape(r: Array) -> Array:
        return np.clip(1.0 - (r / reach) ** 2, 0.0, 1.0)

    return Radial(
        lambda r: np.where(r <= reach, top * shape(r) ** power, 0.0),
        lambda r: 1.0 - shape(r) ** (power + 1.0),
        reach,
        (float(x), float(y)),
        edge=power,
    )
