"""This file owns the densities of a run as programs for pictures take them: points in space, cells, one number each.

Where rho is linear each cell has points of its own, so that jumps between cells stay jumps:

    cells      0--1--2  with numbers of cells         cells     0--1 2--3  with numbers of points
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.errors import Refused
from wflow.measure import Measure
from wflow.mesh import Mesh, Numbers
from wflow.mesh_density import MeshDensity
from wflow.store.homes import same

_SPACE = 3


@dataclass(frozen=True, eq=False)
class Torn:
    """points (s, 3), with zeros for coordinates that the domain does not have, and cells (m, c) of their numbers."""

    points: Array
    cells: Numbers

    @classmethod
    def of(cls, mesh: Mesh, linear: bool) -> "Torn":
        """The mesh as it is, or each cell apart."""
        nodes, cells = mesh.nodes, mesh.cells
        if linear:
            nodes, cells = mesh.corners.reshape(-1, nodes.shape[1]), np.arange(cells.size).reshape(cells.shape)
        points = np.zeros((len(nodes), _SPACE))
        points[:, : nodes.shape[1]] = nodes
        return cls(points, cells.astype(np.int64))


def densities(what: str, measures: Sequence[Measure]) -> list[MeshDensity]:
    """The measures of a run, or Refused where one is no density on a mesh."""
    found = [pi for pi in measures if isinstance(pi, MeshDensity)]
    if len(found) < len(measures):
        raise Refused(f"{what}: {type(measures[-1]).__name__} is no density on a mesh; write such runs with `pack`")
    return found


def on_one_mesh(what: str, measures: Sequence[Measure]) -> list[MeshDensity]:
    """The same on one mesh, of one degree; Refused otherwise."""
    found = densities(what, measures)
    first = found[0]
    if not all(same(pi.mesh, first.mesh) and pi.linear == first.linear for pi in found):
        raise Refused(f"{what}: the densities live on different meshes; write each time with `write_vtk`")
    return found
