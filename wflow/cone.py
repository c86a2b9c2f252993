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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, positive
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.measure import SignedParticles
from wflow.signed_density import SignedDensity

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


Charges = SignedParticles | SignedDensity


def weak(a: Charges, b: Charges) -> float:
    """(sum_ij c_i c_j prod_k exp(-|x_ik - x_jk|))^(1/2) over the charges c of a - b: a dual Sobolev norm.

    On the line it is sqrt(2) times the norm dual to H^1, exp(-|x|)/2 being Green's function of 1 - d^2/dx^2. Charges at
    distance h apart differ by O(sqrt(h)). Rounding leaves about 1e-8 of the masses. Cells stand for charges at their
    centres; of two grids of which one refines the other it is the norm of the difference of averages on the coarser.
    Refused on domains that are curved, and for other pairs of grids.
    """
    if a.domain.intrinsic != a.domain.dim or not a.domain.alike(b.domain):
        raise Refused(f"weak: {a.domain} and {b.domain}; give two measures on one flat domain")
    if isinstance(a, SignedDensity) and isinstance(b, SignedDensity):
        return _on_cells(a, b)
    points = np.concatenate([_places(a), _places(b)])
    charges = np.concatenate([_net(a), -_net(b)])
    size, total = max(1, _BLOCK // points.size), 0.0
    for start in range(0, len(points), size):
        part = slice(start, start + size)
        away = np.abs(a.domain.difference(points[part, None, :], points[None, :, :])).sum(axis=2)
        total += float(charges[part] @ np.exp(-away) @ charges)
    return math.sqrt(max(total, 0.0))


def mass_apart(a: Charges, b: Charges) -> float:
    """The sum over both signs of |mass of a - mass of b|: what `weak` sees of it only where charges do not cancel."""
    return sum(abs(_mass(a, sign) - _mass(b, sign)) for sign in (1.0, -1.0))


def _mass(nu: Charges, sign: float) -> float:
    return float(np.sum(np.maximum(sign * nu.weights, 0.0)))


def _places(nu: Charges) -> Array:
    return nu.grid.centres if isinstance(nu, SignedDensity) else nu.points


def _net(nu: Charges) -> Array:
    """Charges at `_places`, both sheets of a cell added up."""
    return nu.values * nu.grid.cell_volume if isinstance(nu, SignedDensity) else nu.weights


def _on_cells(a: SignedDensity, b: SignedDensity) -> float:
    """The norm of a difference of averages, one axis after the other."""
    fine, coarse = (a, b) if a.grid.size >= b.grid.size else (b, a)
    if not fine.grid.refines(coarse.grid):
        raise Refused(
            f"weak: cells {fine.grid.shape} and {coarse.grid.shape} do not match; refine by a whole number on one box"
        )
    grid = coarse.grid
    charges = grid.cell_volume * (fine.grid.block_means(fine.values, grid.shape) - coarse.values)
    kernels = [np.exp(-_away(grid, axis)) for axis in range(grid.domain.dim)]
    return math.sqrt(max(_form(kernels, charges.reshape(grid.shape)), 0.0))


def spread(nu: SignedDensity) -> float:
    """How far charges at the centres are in the norm of `weak` from the densities that they stand for.

    In a cell of width h, X and Y uniform: E exp(-|X - Y|) = 2 (h - 1 + e^-h)/h^2 and E exp(-|X|) = 2 (1 - e^(-h/2))/h;
    between cells the mean is s = sinh(h/2)/(h/2) for each that is spread (derived; on a periodic axis but for the cells
    half a turn away). About (sum c_i^2 |h|_1/6)^(1/2): what cells and points differ by, however well both are solved.
    """
    grid = nu.grid
    both, one, none = [], [], []
    for axis, n in enumerate(grid.shape):
        h, off = float(grid.widths[axis]), np.exp(-_away(grid, axis))
        s, own = math.sinh(0.5 * h) / (0.5 * h), np.eye(n, dtype=bool)
        both.append(np.where(own, 2.0 * (h + math.expm1(-h)) / h**2, s * s * off))
        one.append(np.where(own, -2.0 * math.expm1(-0.5 * h) / h, s * off))
        none.append(off)
    charges = (nu.values * grid.cell_volume).reshape(grid.shape)
    return math.sqrt(max(_form(both, charges) - 2.0 * _form(one, charges) + _form(none, charges), 0.0))


def _away(grid: Grid, axis: int) -> Array:
    """(n, n) distances of centres along an axis, the shorter way."""
    along = np.arange(grid.shape[axis]) * float(grid.widths[axis])
    away = np.abs(along[:, None] - along)
    return np.minimum(away, float(grid.domain.lengths[axis]) - away) if grid.domain.periodic[axis] else away


def _form(kernels: Sequence[Array], charges: Array) -> float:
    """sum_ij c_i c_j prod_k kernels_k, c of the grid's shape."""
    seen = charges
    for axis, kernel in enumerate(kernels):
        seen = np.moveaxis(np.tensordot(kernel, seen, axes=(1, axis)), 0, axis)
    return float(np.vdot(charges, seen))
