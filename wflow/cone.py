"""This file owns the metric of masses and positions together: the cone over the domain, and distances of charges.

A charge m at theta is the point (r, theta) of a cone with r = sqrt(m), all theta at r = 0 the apex. With speeds alpha
of masses and beta of positions (solvers.conic)

    |(r', theta')|^2 = r'^2/alpha + r^2 |theta'|^2/beta,
    d^2 = (r_1^2 + r_2^2 - 2 r_1 r_2 cos(min(sqrt(alpha/beta) |theta_1 - theta_2|, pi)))/alpha.

Derived: with phi = sqrt(alpha/beta) theta it is (r'^2 + r^2 phi'^2)/alpha, the plane in polar coordinates where phi is
an angle; beyond pi the shortest way leads through the apex. Charges of two signs meet at the apex only: d = (r_1 +
r_2)/sqrt(alpha).  Source: Liero, Mielke & Savare 2018, Invent. Math. 211, 969-1117, section 3.
"""

import math
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, positive
from wflow.errors import Refused
from wflow.measure import SignedParticles

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Cone:
    """The cone metric with speeds alpha of masses and beta of positions."""

    alpha: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        positive("Cone alpha", self.alpha)
        positive("Cone beta", self.beta)

    def angle(self, distance: Array) -> Array:
        """Angles (m,) in [0, pi] between rays whose feet are `distance` (m,) apart."""
        return np.asarray(np.minimum(math.sqrt(self.alpha / self.beta) * distance, math.pi))

    def distances(self, a: SignedParticles, b: SignedParticles) -> Array:
        """(m,) from the j-th charge of a to the j-th of b; ValueError for different numbers of them."""
        if len(a.points) != len(b.points):
            raise ValueError(f"Cone: {len(a.points)} charges and {len(b.points)}; give as many of each, or `weak`")
        r, s = np.sqrt(np.abs(a.weights)), np.sqrt(np.abs(b.weights))
        angle = self.angle(a.domain.distance(a.points, b.points))
        angle = np.where(a.weights * b.weights < 0.0, math.pi, angle)
        # (r - s)^2 + 4 r s sin^2(angle/2): no digits are lost where the two are near
        return np.asarray(np.sqrt(((r - s) ** 2 + 4.0 * r * s * np.sin(0.5 * angle) ** 2) / self.alpha))

    def coupled(self, a: SignedParticles, b: SignedParticles) -> float:
        """(sum_j d_j^2)^(1/2): an upper bound of the Wasserstein-Fisher-Rao distance, equal to it where they are near.

        The true one may match other charges, at most angles of pi/2: beyond it is cheaper to destroy and to create.
        """
        return float(np.linalg.norm(self.distances(a, b)))


@dataclass(frozen=True)
class SquaredAngleCone(Cone):
    """What the published script of Chizat's figures measures by: cos(min(alpha/beta |theta_1 - theta_2|^2, pi)).

    The square of the distance stands where the distance belongs (docs/errata.md): r |theta_1 - theta_2|^2 is no length,
    and near charges seem nearer than they are. Kept to reproduce those figures.
    Source: lchizat/2019-sparse-optim-measures.
    """

    def angle(self, distance: Array) -> Array:
        """(m,) as printed."""
        return np.asarray(np.minimum(self.alpha / self.beta * distance**2, math.pi))


def weak(a: SignedParticles, b: SignedParticles) -> float:
    """(sum_ij c_i c_j prod_k exp(-|x_ik - x_jk|))^(1/2) over the charges c of a - b: a dual Sobolev norm.

    On the line it is sqrt(2) times the norm dual to H^1, exp(-|x|)/2 being Green's function of 1 - d^2/dx^2. Charges at
    distance h apart differ by O(sqrt(h)). Rounding leaves about 1e-8 of the masses. Refused on domains that are curved.
    """
    if a.domain.intrinsic != a.domain.dim or not a.domain.alike(b.domain):
        raise Refused(f"weak: {a.domain} and {b.domain}; give two measures on one flat domain")
    points = np.concatenate([a.points, b.points])
    charges = np.concatenate([a.weights, -b.weights])
    size, total = max(1, _BLOCK // points.size), 0.0
    for start in range(0, len(points), size):
        part = slice(start, start + size)
        away = np.abs(a.domain.difference(points[part, None, :], points[None, :, :])).sum(axis=2)
        total += float(charges[part] @ np.exp(-away) @ charges)
    return math.sqrt(max(total, 0.0))
