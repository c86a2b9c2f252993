"""This file owns densities on the cells of a mesh: constant in each cell, or linear and discontinuous between cells."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from wflow.arrays import Array, shaped
from wflow.domain import Domain
from wflow.errors import LostDensity, Refused
from wflow.law import Law
from wflow.measure import Measure
from wflow.mesh import Mesh
from wflow.part import Part
from wflow.ranks import Ranks
from wflow.simplex_rule import simplex_rule

_NODES, _MORE = 4, 64
"""Gauss nodes an axis by which a law enters: degree 7."""
_MISSED = 0.02
"""Most mass of a law that a mesh may miss: it is scaled away. A polygon in a disk misses O(h^2)."""


@dataclass(frozen=True, eq=False)
class MeshDensity(Measure):
    """rho on a mesh: values (m, 1), the average of each cell, or (m, c), the limits at its c corners from within.

    Each value is nonnegative and the mass is 1 to 1e-9. To everything else it is points with weights: the mesh's
    centres; where rho is linear a rule of degree 2 (three points of a triangle), so that int r dpi is exact for linear
    r.
    """

    mesh: Mesh
    values: Array

    def __post_init__(self) -> None:
        values = shaped("MeshDensity values", self.values, (self.mesh.size, None))
        object.__setattr__(self, "values", values)
        corners = self.mesh.cells.shape[1]
        if values.shape[1] not in (1, corners):
            raise ValueError(
                f"MeshDensity values: shape {values.shape}; give (m, 1), averages, or (m, {corners}), corners"
            )
        if values.min() < 0.0:
            worst, low = int(np.argmin(values.min(axis=1))), float(values.min())
            raise ValueError(
                f"MeshDensity values: {int(np.sum(values < 0.0))} are negative (min {low:.3g} in cell {worst}); "
                "allowed: >= 0. Check the units of the input or the step"
            )
        if not abs(self.mass - 1.0) <= 1e-9:
            raise ValueError(
                f"MeshDensity values: the mass is {self.mass:.12g}, allowed: 1 to within 1e-9; values are per unit of "
                "area, divide them by their mass"
            )

    @classmethod
    def averages_of(cls, law: Law, mesh: Mesh) -> "MeshDensity":
        """Cell averages of a law with a density, by 4^d Gauss points a cell; what cells miss (2 %) is scaled away.

        On one axis by 64 where the density jumps: of a cell with a jump a rule of n points sees the share to about 1/n.
        """
        points, weights = _rule_for(law, mesh)
        return cls(mesh, _scaled(mesh, (_density(law, mesh, points) @ weights)[:, None]))

    @classmethod
    def linear_of(cls, law: Law, mesh: Mesh) -> "MeshDensity":
        """The L2 projection of a law's density to linear functions of each cell, flattened where it dips below 0."""
        return cls(mesh, _scaled(mesh, lifted(_projected(law, mesh))))

    @property
    def domain(self) -> Domain:
        return self.mesh.domain

    @property
    def linear(self) -> bool:
        """Linear in each cell, not constant."""
        return bool(self.values.shape[1] > 1)

    @cached_property
    def averages(self) -> Array:
        """(m,) cell averages."""
        return row_means(self.values)

    @cached_property
    def mass(self) -> float:
        """Total mass."""
        return self.ranks.total(float(self.averages @ self.mesh.volumes))

    @cached_property
    def least(self) -> float:
        """The smallest value."""
        return -self.ranks.most(-float(self.values.min()))

    @property
    def ranks(self) -> Ranks:
        """The mesh's: on several it is a part (wflow.part), and values are those of its cells."""
        return self.mesh.ranks

    def whole(self) -> "MeshDensity":
        """On the whole mesh; gathered once."""
        return self._whole if isinstance(self.mesh, Part) else self

    @cached_property
    def _whole(self) -> "MeshDensity":
        assert isinstance(self.mesh, Part)
        return MeshDensity(self.mesh.whole, self.mesh.gathered(self.values))

    @property
    def points(self) -> Array:
        return _points(self.mesh, self.linear)

    @cached_property
    def weights(self) -> Array:
        return self.weights_of(self.values)

    def weights_of(self, values: Array) -> Array:
        """(m q,) the weights that the points have where rho is `values`, of any sign."""
        return (self._to_points(values) * self._volumes).ravel()

    def quadrature(self, nodes: int) -> tuple[Array, Array]:
        """Points (m nodes^d, d), on a surface brought back to it, and weights: degree 2 nodes - 1 a cell."""
        places, share = simplex_rule(self.mesh.domain.intrinsic, nodes)
        rho = self.values @ places.T if self.linear else np.broadcast_to(self.values, (self.mesh.size, len(share)))
        weights = rho * share * self.mesh.volumes[:, None]
        return self.mesh.at(places).reshape(-1, self.domain.dim), np.asarray(weights).ravel()

    def internal(self) -> float:
        """int rho log rho by the points: exact for constants."""
        rho = self._at_points
        return self.ranks.total(float(np.sum(rho * np.log(np.where(rho > 0.0, rho, 1.0)) * self._volumes)))

    def power(self, exponent: float) -> float:
        """int rho^exponent by the points."""
        return self.ranks.total(float(np.sum(self._at_points**exponent * self._volumes)))

    @cached_property
    def _at_points(self) -> Array:
        """(m, q) rho at the points."""
        return self._to_points(self.values)

    def _to_points(self, values: Array) -> Array:
        if not self.linear:
            return values
        return np.asarray(values @ _rule(self.mesh.cells.shape[1]).T)

    @property
    def _volumes(self) -> Array:
        """(m, 1) the share of a cell's volume that each of its points has."""
        return np.asarray(self.mesh.volumes[:, None] / self.values.shape[1])


def row_means(values: Array) -> Array:
    """(m,) of (m, q): a product, since numpy's sums along a short axis are slow."""
    q = values.shape[1]
    return np.asarray(values @ np.full(q, 1.0 / q))


def lifted(corners: Array) -> Array:
    """Corner values (m, c) drawn together about their mean just so far that none is negative (Zhang & Shu's limiter).

    Raises LostDensity where the mean itself is negative. Source: Zhang & Shu 2010, J. Comput. Phys. 229, 3091-3120.
    """
    if corners.min() >= 0.0:
        return corners
    mean = row_means(corners)[:, None]
    if mean.min() < 0.0:
        raise LostDensity(
            f"a mean density of {mean.min():.3g} in cell {int(mean.argmin())}, allowed: >= 0; shorten the step"
        )
    least = corners.min(axis=1, keepdims=True)
    share = np.where(least < 0.0, mean / np.where(least < 0.0, mean - least, 1.0), 1.0)
    # at the corner itself the sum rounds to either side of 0
    return np.asarray(np.where(least < 0.0, np.maximum(mean + share * (corners - mean), 0.0), corners))


def flattened(law: Law, mesh: Mesh) -> float:
    """What `lifted` moves in the L2 projection of a law, in L1 by corners: large where a tail ends within a cell."""
    corners = _projected(law, mesh)
    moved = np.abs(lifted(corners) - corners).mean(axis=1)
    return mesh.ranks.total(float(moved @ mesh.volumes))


def _projected(law: Law, mesh: Mesh) -> Array:
    """(m, c) corner values of the L2 projection of the density to linear functions of each cell."""
    points, weights = _rule_for(law, mesh)
    c = mesh.cells.shape[1]
    moments = _density(law, mesh, points) @ (points * weights[:, None])
    # the inverse of the mass matrix (I + J)/(c (c + 1)) of the corners' hats, J all ones
    return np.asarray(c * (c + 1) * (moments - moments.sum(axis=1, keepdims=True) / (c + 1)))


@lru_cache(maxsize=8)
def _rule(corners: int) -> Array:
    """(q, c) c points of a cell, of degree 2, one next to each corner."""
    # one coordinate a, the others b, a + (c - 1) b = 1: the moments of degree 2 ask (c + 1)(a^2 + (c - 1) b^2) = 2
    dim = corners - 1
    b = (1.0 - 1.0 / np.sqrt(dim + 2.0)) / corners
    return np.asarray(b + (1.0 - corners * b) * np.eye(corners))


@lru_cache(maxsize=8)
def _points(mesh: Mesh, linear: bool) -> Array:
    """(m q, d), one array a mesh: what is asked at it is remembered by identity; read-only."""
    if not linear:
        return mesh.centres
    points: Array = mesh.at(_rule(mesh.cells.shape[1])).reshape(-1, mesh.domain.dim).copy()
    points.flags.writeable = False
    return points


def _rule_for(law: Law, mesh: Mesh) -> tuple[Array, Array]:
    """Barycentric points and weights by which a law enters the cells."""
    jumps = mesh.domain.intrinsic == 1 and law.regularity != "smooth"
    return simplex_rule(mesh.domain.intrinsic, _MORE if jumps else _NODES)


def _density(law: Law, mesh: Mesh, points: Array) -> Array:
    """(m, q) at barycentric points."""
    if not law.has_density:
        raise Refused(f"{type(law).__name__} has no density to average over the cells of a mesh; use particles")
    return np.reshape(law.density(mesh.at(points).reshape(-1, mesh.domain.dim)), (mesh.size, len(points)))


def _scaled(mesh: Mesh, values: Array) -> Array:
    """To mass 1; Refused where the mesh sees too little of the law."""
    mass = mesh.ranks.total(float(values.mean(axis=1) @ mesh.volumes))
    if not abs(mass - 1.0) <= _MISSED:
        raise Refused(
            f"the mesh sees the mass {mass:.4g} of the law, allowed: 1 to within {_MISSED:g}; "
            "use more cells, or a domain with all of the mass"
        )
    return np.asarray(values / mass)
