"""This file owns distances without a floor between densities on meshes: H^-1 in the plane, and L1.

H^-1 is W2 to first order where the density is uniform; wflow.dual_norm says more.
"""

import numpy as np

from wflow.dual_norm import dual_norm
from wflow.errors import Refused
from wflow.gridded import beside, grid_of_both
from wflow.law import Law
from wflow.measure import Measure
from wflow.mesh_density import MeshDensity


def comparable(a: Measure, b: Measure) -> bool:
    """Whether `mesh_distance` takes the pair."""
    return grid_of_both(a, b) is not None


def mesh_distance(a: Measure, b: Measure) -> float:
    """|a - b| in H^-1, at least one of both on a mesh.

    Plane: of the averages on one grid that covers both (wflow.gridded.beside): 0 where these are equal, never larger
    than without averaging but for O(h^2) of the grid's own Laplacian. The walls are those of the box around.
    Refused for other pairs (on the sphere: wflow.harmonic_norm).
    """
    pair = beside(a, b)
    if pair is None:
        raise Refused(
            f"H^-1: {type(a).__name__} on {a.domain} and {type(b).__name__} on {b.domain} have no grid in "
            "common; use w2"
        )
    return dual_norm(*pair)


def seen_on(pi: MeshDensity, law: Law) -> MeshDensity:
    """A law with a density as a density on the mesh of pi, linear where pi is."""
    return MeshDensity.linear_of(law, pi.mesh) if pi.linear else MeshDensity.averages_of(law, pi.mesh)


def mean_difference(pi: MeshDensity, law: Law) -> float:
    """L1 of cell averages, sum_K |K| abs(rho_K - law_K), against the law's own averages on the mesh; no floor."""
    return float(np.abs(pi.averages - MeshDensity.averages_of(law, pi.mesh).averages) @ pi.mesh.volumes)
