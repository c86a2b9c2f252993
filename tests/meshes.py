"""Meshes and densities on them, made here without a mesher: disks, squares, intervals and spheres."""

import math
from collections.abc import Callable

import numpy as np
from scipy.spatial import Delaunay

from wflow import Box, Domain, Law, Mesh, MeshDensity, box, disk, sphere
from wflow.arrays import Array


def disk_mesh(rings: int, radius: float = 1.0, centre: tuple[float, float] = (0.0, 0.0)) -> Mesh:
    """The convex hull of 6 k points on the k-th of n rings, Delaunay's triangles."""
    turns = [2.0 * math.pi * np.arange(6 * k) / (6 * k) for k in range(1, rings + 1)]
    around = [np.stack([np.cos(t), np.sin(t)], axis=1) * (k + 1) / rings for k, t in enumerate(turns)]
    nodes = np.concatenate([np.zeros((1, 2)), *around])
    return Mesh(disk(radius, centre), radius * nodes + np.asarray(centre), _solid(nodes, Delaunay(nodes).simplices))


def square_mesh(n: int, domain: Box | None = None, shake: float = 0.0) -> Mesh:
    """Delaunay's triangles of (n + 1)^2 nodes on a rectangle ([0, 1]^2), the inner ones shaken by a share of a cell."""
    home = box((0.0, 0.0), (1.0, 1.0)) if domain is None else domain
    i = np.stack(np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"), axis=2).reshape(-1, 2)
    inner = np.all((i > 0) & (i < n), axis=1)[:, None]
    moved = (i + shake * inner * (np.random.default_rng(n).random(i.shape) - 0.5)) / n
    nodes = np.asarray(home.lower) + moved * home.lengths
    vertices = np.ravel_multi_index(tuple(np.where(home.periodic, i % n, i).T), (n + 1, n + 1))
    return Mesh(home, nodes, _solid(moved, Delaunay(moved).simplices), vertices)


def line_mesh(domain: Box, edges: Array) -> Mesh:
    """Intervals between edges (m + 1,), on the circle the last edge being the first vertex, in no order."""
    order = np.random.default_rng(len(edges)).permutation(len(edges) - 1)
    cells = np.stack([np.arange(len(edges) - 1), np.arange(1, len(edges))], axis=1)[order]
    vertices = np.arange(len(edges)) % (len(edges) - 1 if domain.periodic[0] else len(edges))
    return Mesh(domain, edges[:, None], cells, vertices)


def sphere_mesh(halvings: int) -> Mesh:
    """The icosahedron, each triangle parted in four, the new nodes moved to the sphere."""
    g = 0.5 * (1.0 + math.sqrt(5.0))
    nodes = np.array([[s * a, t * b, 0.0] for a, b in ((1.0, g),) for s in (-1, 1) for t in (-1, 1)])
    nodes = np.concatenate([np.roll(nodes, k, axis=1) for k in range(3)])
    edge = np.linalg.norm(nodes[:, None] - nodes, axis=2) < 2.1
    cells = np.array(
        [(a, b, c) for a in range(12) for b in range(a) for c in range(b) if edge[a, b] & edge[b, c] & edge[a, c]]
    )
    nodes /= np.linalg.norm(nodes, axis=1, keepdims=True)
    for _ in range(halvings):
        nodes, cells = _parted(nodes, cells)
    return Mesh(sphere(), nodes, cells)


def _parted(nodes: Array, cells: Array) -> tuple[Array, Array]:
    pairs = np.sort(cells[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    sides, number = np.unique(pairs, axis=0, return_inverse=True)
    middles = nodes[sides].sum(axis=1)
    d, e, f = (len(nodes) + number.reshape(-1, 3)).T
    a, b, c = cells.T
    parts = [np.stack(t, axis=1) for t in ((a, d, f), (d, b, e), (f, e, c), (d, e, f))]
    return np.concatenate([nodes, middles / np.linalg.norm(middles, axis=1, keepdims=True)]), np.concatenate(parts)


def _solid(nodes: Array, cells: Array) -> Array:
    """Delaunay's triangles but for the flat ones along a straight side."""
    edges = nodes[cells[:, 1:]] - nodes[cells[:, :1]]
    return np.asarray(cells[np.abs(np.linalg.det(edges)) > 1e-12])


def uniform(mesh: Mesh) -> MeshDensity:
    """Constant."""
    return MeshDensity(mesh, np.full((mesh.size, 1), 1.0 / mesh.volumes.sum()))


def constants(mesh: Mesh, rho: Callable[[Array], Array]) -> MeshDensity:
    """rho at the barycentres, scaled to mass 1."""
    values = rho(mesh.centres)[:, None]
    return MeshDensity(mesh, values / (values[:, 0] @ mesh.volumes))


def linears(mesh: Mesh, rho: Callable[[Array], Array]) -> MeshDensity:
    """rho at the corners, scaled to mass 1."""
    values = rho(mesh.corners.reshape(-1, mesh.domain.dim)).reshape(mesh.cells.shape)
    return MeshDensity(mesh, values / (values.mean(axis=1) @ mesh.volumes))


def noise(mesh: Mesh, seed: int = 0) -> MeshDensity:
    """Linear in each cell with corners drawn at random: it jumps everywhere."""
    values = np.random.default_rng(seed).random(mesh.cells.shape)
    return MeshDensity(mesh, values / (values.mean(axis=1) @ mesh.volumes))


class Given(Law):
    """A law by its density."""

    def __init__(self, domain: Domain, formula: Callable[[Array], Array]) -> None:
        self.domain, self.formula = domain, formula

    def density(self, w: Array) -> Array:
        return self.formula(w)
