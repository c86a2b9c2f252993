"""This file owns distances without a floor between densities on meshes: H^-1 in the plane and on the sphere, and L1.

H^-1 is W2 to first order where the density is uniform; wflow.dual_norm says more.
"""

import math
from functools import lru_cache

import numpy as np

from wflow.arrays import Array, ComplexArray
from wflow.dual_norm import dual_norm
from wflow.errors import Refused
from wflow.gridded import beside, grid_of_both
from wflow.harmonics import moments
from wflow.law import Law
from wflow.measure import Measure
from wflow.mesh import Mesh
from wflow.mesh_density import MeshDensity
from wflow.shapes import Sphere
from wflow.simplex_rule import simplex_rule

DEGREE = 32
"""Highest degree of the harmonics that are compared: waves of length 2 pi/32."""
_NODES = 3


def comparable(a: Measure, b: Measure) -> bool:
    """Whether `mesh_distance` takes the pair."""
    return _spheres(a, b) or grid_of_both(a, b) is not None


def mesh_distance(a: Measure, b: Measure) -> float:
    """|a - b| in H^-1, at least one of both on a mesh.

    Plane: of the averages on one grid that covers both (wflow.gridded.beside): 0 where these are equal, never larger
    than without averaging but for O(h^2) of the grid's own Laplacian. The walls are those of the box around.
    Sphere: (sum_{1 <= l <= 32} |c_lm(a) - c_lm(b)|^2/(l (l + 1)) / rbar)^(1/2), c_lm = int Y_lm dpi by nine points a
    triangle and rbar = int rho^2 of b.
    Refused for other pairs.
    """
    if _spheres(a, b):
        assert isinstance(a, MeshDensity) and isinstance(b, MeshDensity)
        return _on_sphere(a, b)
    pair = beside(a, b)
    if pair is None:
        raise Refused(
            f"H^-1: {type(a).__name__} on {a.domain} and {type(b).__name__} on {b.domain} have no grid or harmonics in "
            "common; use w2"
        )
    return dual_norm(*pair)


def seen_on(pi: MeshDensity, law: Law) -> MeshDensity:
    """A law with a density as a density on the mesh of pi, linear where pi is."""
    return MeshDensity.linear_of(law, pi.mesh) if pi.linear else MeshDensity.averages_of(law, pi.mesh)


def mean_difference(pi: MeshDensity, law: Law) -> float:
    """L1 of cell averages, sum_K |K| abs(rho_K - law_K), against the law's own averages on the mesh; no floor."""
    return float(np.abs(pi.averages - MeshDensity.averages_of(law, pi.mesh).averages) @ pi.mesh.volumes)


def _spheres(a: Measure, b: Measure) -> bool:
    return all(isinstance(pi, MeshDensity) and isinstance(pi.domain, Sphere) for pi in (a, b))


def _on_sphere(a: MeshDensity, b: MeshDensity) -> float:
    apart = np.abs(_harmonics(a) - _harmonics(b)) ** 2
    degree = np.arange(1, DEGREE + 1)
    # those of -m count as much as those of m
    rows = (apart[1:, 0] + 2.0 * apart[1:, 1:].sum(axis=1)) / (degree * (degree + 1.0))
    return math.sqrt(float(rows.sum()) / b.power(2.0))


@lru_cache(maxsize=8)
def _harmonics(pi: MeshDensity) -> ComplexArray:
    rule, share = simplex_rule(2, _NODES)
    ends = pi.values if pi.linear else np.repeat(pi.values, 3, axis=1)
    weights = (ends @ rule.T) * share * pi.mesh.volumes[:, None]
    return moments(_nodes(pi.mesh), weights.ravel(), DEGREE)


@lru_cache(maxsize=4)
def _nodes(mesh: Mesh) -> Array:
    return mesh.at(simplex_rule(2, _NODES)[0]).reshape(-1, 3)
