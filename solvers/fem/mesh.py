"""This file owns DOLFINx's mesh of a grid: intervals, quadrilaterals or hexahedra, closed along periodic axes.

The topology is made of vertices, two of which are one where an axis closes; the geometry of nodes, which never are.

    walls:     cells  |--0--|--1--|--2--|        periodic:  |--0--|--1--|--2--|      frozen:  |--0--|   |--1--|
               vertex 0     1     2     3                   0     1     2     0               0     1   2     3

A frozen axis is torn into sheets. Nothing crosses a facet that belongs to one cell alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from dolfinx import cpp, fem, mesh
from dolfinx.common import IndexMap
from mpi4py import MPI
from numpy.typing import NDArray

from solvers.fem.forms import abstract_mesh
from wflow.arrays import Array
from wflow.grid import Grid

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GridMesh:
    """A mesh with the way back to its grid.

    order (m,): the grid's number of each cell of the mesh.   corners (m, 2^d): for each cell of the mesh, which of
    `points` (s, d) its corners are: vertices; across a frozen axis, where nothing varies, the middle of the sheet.
    """

    mesh: mesh.Mesh
    order: Numbers
    corners: Numbers
    points: Array

    @classmethod
    def of(cls, grid: Grid) -> "GridMesh":
        """Within a cell vertices stay in the order of the tensor product, which is looked at."""
        domain = abstract_mesh(grid.domain.dim)
        sides = [_Side.of(grid, axis) for axis in range(grid.domain.dim)]
        vertices = _product([side.vertices for side in sides])
        nodes = _product([side.nodes for side in sides])
        count = int(vertices.max()) + 1
        closed = mesh.create_mesh(MPI.COMM_SELF, vertices, domain, np.zeros((count, grid.domain.dim)))
        order = np.asarray(closed.topology.original_cell_index, dtype=np.int64)
        kept = closed.geometry.input_global_indices[closed.geometry.dofmaps[0]]
        assert np.array_equal(kept, vertices[order]), "DOLFINx changed the order of the vertices within a cell"
        coordinates = _lattice([grid.edges(axis) for axis in range(grid.domain.dim)])
        geometry = mesh.create_geometry(
            IndexMap(MPI.COMM_SELF, len(coordinates)), nodes[order].astype(np.int32), closed.geometry.cmaps[0],
            coordinates, np.arange(len(coordinates)),
        )  # fmt: skip
        joined = cpp.mesh.Mesh_float64(MPI.COMM_SELF, closed.topology._cpp_object, geometry._cpp_object)
        corners = _product([side.corners for side in sides])[order]
        return cls(mesh.Mesh(joined, domain), order, corners, _lattice([side.points for side in sides]))


@dataclass(frozen=True, eq=False)
class _Side:
    """One axis of n cells: numbers (n, 2) at both ends of each cell, and coordinates of the corners."""

    vertices: Numbers
    nodes: Numbers
    corners: Numbers
    points: Array

    @classmethod
    def of(cls, grid: Grid, axis: int) -> "_Side":
        n, edges = grid.shape[axis], grid.edges(axis)
        nodes = np.arange(n)[:, None] + np.array([0, 1])
        if grid.domain.frozen[axis]:
            torn = np.arange(2 * n).reshape(n, 2)
            return cls(torn, nodes, torn // 2, 0.5 * (edges[1:] + edges[:-1]))
        if grid.domain.periodic[axis]:
            return cls(nodes % n, nodes, nodes % n, edges[:-1])
        return cls(nodes, nodes, nodes, edges)


def _product(ends: list[Numbers]) -> Numbers:
    """(m, 2^d) numbers of the corners of each cell; cells in C order, corners with the first axis fastest (basix)."""
    sizes = [int(e.max()) + 1 for e in ends]
    total = np.zeros((1, 1), dtype=np.int64)
    for size, e in zip(sizes, ends, strict=True):
        along = size * total[:, None, None, :] + e[None, :, :, None]
        total = along.reshape(len(total) * len(e), -1)
    return total


def _lattice(axes: list[Array]) -> Array:
    """(s, d) points of a tensor product, C order."""
    return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)


def regions_of(made: mesh.Mesh) -> dict[Any, Any]:
    """All cells and the facets between two of them, as create_form wants them."""
    topology = made.topology
    across = topology.dim - 1
    topology.create_entities(across)
    topology.create_connectivity(across, topology.dim)
    topology.create_connectivity(topology.dim, across)
    inner = np.flatnonzero(np.diff(topology.connectivity(across, topology.dim).offsets) == 2)
    kind = fem.IntegralType.interior_facet
    facets = fem.compute_integration_domains(kind, topology, inner.astype(np.int32))
    own = np.arange(topology.index_map(topology.dim).size_local, dtype=np.int32)
    return {fem.IntegralType.cell: [(-1, own)], kind: [(-1, facets)]}
