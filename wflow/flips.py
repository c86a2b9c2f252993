"""This file owns how triangles become Delaunay with their walls kept: sides are flipped, and nodes that may are moved.

  d             d      where the angles at b and d add up to more than pi, the circumcentres of both triangles have
 / \\           /|\\     changed places; then the four corners are convex and the other diagonal is the better one
a---c   ->    a | c
 \\ /           \\|/
  b             b
"""

import numpy as np

from wflow.arrays import Array
from wflow.domain import Domain
from wflow.mesh import Mesh, Numbers

_CROSSED = 1e-12
"""Circumcentres crossed by less, in widths of the mesh, lie in one place: four corners of one circle."""


def flipped(domain: Domain, nodes: Array, cells: Numbers) -> Mesh:
    """The mesh of these triangles (m, 3), all turned one way, with every inner side flipped that is not Delaunay.

    Each flip makes the triangulation better in Lawson's order, of which there are finitely many, and at the end no
    inner side is crossed: the constrained Delaunay triangulation. Flips in one round touch no triangle twice.
    Source: Lawson 1977, in Mathematical Software III, Academic Press, 161-194.
    """
    mesh = Mesh(domain, nodes, cells)
    while len(worst := np.flatnonzero(mesh.facets.gaps < -_CROSSED * mesh.width)):
        worst = worst[np.argsort(mesh.facets.gaps[worst], kind="stable")]
        pairs, rank = mesh.facets.cells[worst], np.arange(len(worst))
        first = np.full(mesh.size, len(worst))
        for side in pairs.T:
            np.minimum.at(first, side, rank)
        alone = np.all(first[pairs] == rank[:, None], axis=1)
        mesh = Mesh(domain, nodes, _other_diagonals(mesh, worst[alone]))
    return mesh


def apart(mesh: Mesh, free: Numbers) -> Mesh:
    """A mesh on whose circles lie three corners each: a Delaunay one with four, its free nodes moved, flipped again.

    Each goes half the way to the mean, by area, of the barycentres around it. Where a triangle would turn over or four
    corners stay on a circle, as those of squares do, it is the mesh itself, which two-point fluxes will refuse.
    """
    around = np.bincount(mesh.cells.ravel(), np.repeat(mesh.volumes, 3), len(mesh.nodes))
    middles = mesh.volumes[:, None] * mesh.corners.mean(axis=1)
    pulled = [np.bincount(mesh.cells.ravel(), np.repeat(m, 3), len(mesh.nodes)) for m in middles.T]
    nodes = mesh.nodes.copy()
    nodes[free] = 0.5 * (nodes[free] + (np.stack(pulled, axis=1) / around[:, None])[free])
    u, v = (nodes[mesh.cells[:, k]] - nodes[mesh.cells[:, 0]] for k in (1, 2))
    if np.min(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) <= 0.0:
        return mesh
    moved = flipped(mesh.domain, nodes, mesh.cells)
    return moved if moved.delaunay else mesh


def _other_diagonals(mesh: Mesh, sides: Numbers) -> Numbers:
    """The cells with the diagonals of these facets, no two of one cell, exchanged; their turn is kept."""
    pairs, opposite = mesh.facets.cells[sides], mesh.facets.opposite[sides]
    one, other = mesh.cells[pairs[:, 0]], mesh.cells[pairs[:, 1]]
    rows = np.arange(len(sides))
    d, a, c = (one[rows, (opposite[:, 0] + k) % 3] for k in range(3))
    b = other[rows, opposite[:, 1]]
    cells = mesh.cells.copy()
    cells[pairs[:, 0]] = np.stack([d, a, b], axis=1)
    cells[pairs[:, 1]] = np.stack([d, b, c], axis=1)
    return cells
