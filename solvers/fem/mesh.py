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

from solvers.fem.forms import INNER, abstract_mesh
from solvers.fem.shared import comm_of, made_of
from wflow.arrays import Array
from wflow.grid import Grid
from wflow.mesh import Numbers
from wflow.part import bisected, enough
from wflow.ranks import Ranks


@dataclass(frozen=True, eq=False)
class GridMesh:
    """A mesh with the way back to its grid.

    order (m,): the grid's number of each cell of the mesh, of several ranks its own ones, then ghosts.   own: of how
    many the rank is the owner.   corners (m, 2^d): for each cell of the mesh, which of `points` (s, d) its corners are:
    vertices; across a frozen axis, where nothing varies, the middle of the sheet.
    """

    mesh: mesh.Mesh
    order: Numbers
    own: int
    corners: Numbers
    points: Array

    @classmethod
    def of(cls, grid: Grid, ranks: Ranks) -> "GridMesh":
        """Within a cell vertices are in the order of the tensor product."""
        domain = abstract_mesh(grid.domain.dim)
        sides = [_Side.of(grid, axis) for axis in range(grid.domain.dim)]
        vertices = _product([side.vertices for side in sides])
        nodes = _product([side.nodes for side in sides])
        count = int(vertices.max()) + 1
        if ranks.size > 1:
            enough(grid.size, ranks)
        owner = bisected(grid.centres, ranks.size)
        places = np.zeros((count, grid.domain.dim))
        closed, order = made_of(ranks, vertices, places, domain, owner, neighbours(grid))
        coordinates = _lattice([grid.edges(axis) for axis in range(grid.domain.dim)])
        geometry = mesh.create_geometry(
            IndexMap(MPI.COMM_SELF, len(coordinates)), nodes[order].astype(np.int32), closed.geometry.cmaps[0],
            coordinates, np.arange(len(coordinates)),
        )  # fmt: skip
        joined = cpp.mesh.Mesh_float64(comm_of(ranks), closed.topology._cpp_object, geometry._cpp_object)
        corners = _product([side.corners for side in sides])[order]
        own = int(np.sum(owner == ranks.number))
        return cls(mesh.Mesh(joined, domain), order, own, corners, _lattice([side.points for side in sides]))


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


def neighbours(grid: Grid) -> Numbers:
    """(f, 2) cells with a facet between them."""
    numbers, pairs = np.arange(grid.size).reshape(grid.shape), []
    for axis in grid.domain.moving:
        last = slice(None) if grid.domain.periodic[axis] else slice(None, -1)
        along = np.moveaxis(numbers, axis, 0)
        pairs.append(np.stack([along[last].ravel(), np.roll(along, -1, axis=0)[last].ravel()], axis=1))
    return np.concatenate(pairs)


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
    """All cells and the facets between two of them, as create_form wants them.

    On several ranks: own cells, and the facets of which one is own. Those between ranks are summed on both, for the own
    cells' rows alone: a sum of its own costs less than a message.
    """
    topology = made.topology
    across = topology.dim - 1
    topology.create_entities(across)
    topology.create_connectivity(across, topology.dim)
    topology.create_connectivity(topology.dim, across)
    count = topology.index_map(topology.dim).size_local
    beside = topology.connectivity(across, topology.dim)
    inner = np.flatnonzero(np.diff(beside.offsets) == 2)
    cells = np.asarray(beside.array)[beside.offsets[inner, None] + [0, 1]]
    inner, cells = inner[cells.min(axis=1) < count], cells[cells.min(axis=1) < count]
    # (cell, number of the facet in it) of both sides; DOLFINx's own function leaves a facet between ranks to one
    sides = topology.connectivity(topology.dim, across)
    each = np.asarray(sides.array).reshape(len(sides.offsets) - 1, -1)[cells]
    places = np.argmax(each == inner[:, None, None], axis=2)
    facets = np.stack([cells, places], axis=2).reshape(-1).astype(np.int32)
    own = np.arange(count, dtype=np.int32)
    return {fem.IntegralType.cell: [(-1, own)], fem.IntegralType.interior_facet: [(INNER, facets)]}
