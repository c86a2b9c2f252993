"""This file owns meshes of a domain as arrays: cells between nodes, their volumes, and who is whose neighbour.

Cells are intervals, triangles or tetrahedra, with one node more than the domain has dimensions. Where the domain closes
(periodic axes) nodes of both ends lie apart and are one vertex:

    nodes   0--1--2--3      vertices   0--1--2--0
"""

from dataclasses import dataclass
from functools import cached_property
from math import factorial

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, shaped
from wflow.domain import Domain
from wflow.ranks import ALONE, Ranks

Numbers = NDArray[np.int64]
_APART = 1e-6
_EDGES = {2: ((0, 1),), 3: ((0, 1), (1, 2), (2, 0)), 4: ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))}


@dataclass(frozen=True, eq=False)
class Mesh:
    """nodes (s, d), cells (m, c) of node numbers, vertices (s,): which vertex each node is, itself if none is given.

    Raises ValueError for cells that are no simplices of the domain, or have no volume.
    """

    domain: Domain
    nodes: Array
    cells: Numbers
    vertices: Numbers = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        nodes = shaped("Mesh nodes", self.nodes, (None, self.domain.dim))
        cells = np.ascontiguousarray(self.cells, dtype=np.int64)
        wanted = self.domain.intrinsic + 1
        if cells.ndim != 2 or cells.shape[1] != wanted or not len(cells):
            raise ValueError(f"Mesh cells: shape {cells.shape}; give (m, {wanted}), numbers of the corners of each")
        if cells.min() < 0 or cells.max() >= len(nodes):
            raise ValueError(f"Mesh cells: they name nodes {cells.min()}..{cells.max()} of {len(nodes)}")
        vertices = np.arange(len(nodes)) if self.vertices is None else self.vertices
        vertices = np.ascontiguousarray(vertices, dtype=np.int64)
        if vertices.shape != (len(nodes),):
            raise ValueError(f"Mesh vertices: shape {vertices.shape}; give one number for each of {len(nodes)} nodes")
        for name, value in (("nodes", nodes), ("cells", cells), ("vertices", vertices)):
            object.__setattr__(self, name, value)
        if not self.volumes.min() > 0.0:
            raise ValueError(f"Mesh cells: number {int(self.volumes.argmin())} has no volume; leave it out")

    @property
    def whole(self) -> "Mesh":
        """The mesh itself; of a part (wflow.part) that of which it is one."""
        return self

    @property
    def ranks(self) -> Ranks:
        """Those that share it."""
        return ALONE

    @cached_property
    def size(self) -> int:
        """Number of cells m."""
        return len(self.cells)

    @cached_property
    def corners(self) -> Array:
        """(m, c, d) where the corners of each cell are."""
        return np.asarray(self.nodes[self.cells])

    @cached_property
    def volumes(self) -> Array:
        """(m,) volumes of the flat cells: (det E E^T)^(1/2)/c!, E the edges from the first corner."""
        edges = self.corners[:, 1:] - self.corners[:, :1]
        gram = np.einsum("mid,mjd->mij", edges, edges)
        return np.asarray(np.sqrt(np.maximum(np.linalg.det(gram), 0.0)) / factorial(self.domain.intrinsic))

    @cached_property
    def centres(self) -> Array:
        """(m, d) of a Delaunay mesh the circumcentres, which may lie in the next cell; otherwise the barycentres.

        Lines between neighbouring circumcentres are normal to facets: differences along them are fluxes. As points of
        quadrature they are as good as barycentres: abs(K) (b - c) = -sum_e abs(e)^3 n/12 in the plane, which
        neighbours cancel (derived). On a surface they are brought back to it.
        """
        flat = self.circumcentres if self.delaunay else self.corners.mean(axis=1)
        centres = self._back(flat).copy()  # no view, which others might write to (wflow.standing)
        centres.flags.writeable = False
        return centres

    @cached_property
    def circumcentres(self) -> Array:
        """(m, d) as far from each corner of a cell as from the others, on a surface in the plane of the flat cell."""
        return np.asarray(np.einsum("mc,mcd->md", self._circumcentres, self.corners))

    @cached_property
    def delaunay(self) -> bool:
        """Circumcentres of neighbours lie in the order of their cells, and apart: two-point fluxes may stand on it."""
        return self.crossed == 0

    @cached_property
    def crossed(self) -> int:
        """How many facets have circumcentres on both hands in the wrong order, or in one place."""
        return int(np.sum(~(self.facets.gaps > _APART * self.width)))

    @cached_property
    def width(self) -> float:
        """The longest edge."""
        return float(max(np.linalg.norm(self.corners[:, a] - self.corners[:, b], axis=1).max() for a, b in self._edges))

    @cached_property
    def diameter(self) -> float:
        """Length of the diagonal of the box around it."""
        return float(np.linalg.norm(np.ptp(self.nodes, axis=0)))

    @cached_property
    def spread(self) -> float:
        """How far at most a cell's uniform mass moves in W2 to its barycentre: the largest standard deviation."""
        away = self.corners - self.corners.mean(axis=1, keepdims=True)
        c = self.cells.shape[1]
        # of a simplex: the corners' variance over c + 1
        return float(np.sqrt(np.max(np.sum(away**2, axis=(1, 2))) / (c * (c + 1))))

    def at(self, barycentric: Array) -> Array:
        """(m, q, d) the points of each cell with barycentric coordinates (q, c), on a surface brought back to it."""
        return self._back(np.asarray(np.einsum("qc,mcd->mqd", barycentric, self.corners)))

    def _back(self, points: Array) -> Array:
        if self.domain.intrinsic == self.domain.dim:
            return points
        return self.domain.retract(points.reshape(-1, self.domain.dim)).reshape(points.shape)

    @cached_property
    def _circumcentres(self) -> Array:
        """(m, c) barycentric coordinates: G y = diag(G)/2 for the edges from the first corner, G their products."""
        edges = self.corners[:, 1:] - self.corners[:, :1]
        gram = np.einsum("mid,mjd->mij", edges, edges)
        y = np.linalg.solve(gram, 0.5 * np.einsum("mii->mi", gram)[:, :, None])[:, :, 0]
        return np.concatenate([1.0 - y.sum(axis=1, keepdims=True), y], axis=1)

    @property
    def _edges(self) -> tuple[tuple[int, int], ...]:
        return _EDGES[self.cells.shape[1]]

    @cached_property
    def facets(self) -> "Facets":
        """The facets between two cells."""
        return Facets.of(self)

    @property
    def around(self) -> Array:
        """(m,) volumes, as the facets number the cells."""
        return self.volumes

    @cached_property
    def outward(self) -> Array:
        """(m, c, d) for each corner the area of the opposite facet over the volume, times its normal outwards.

        That is -dim grad lambda, lambda the barycentric coordinate of the corner; on a surface it lies in the cell.
        """
        edges = self.corners[:, 1:] - self.corners[:, :1]
        gram = np.einsum("mid,mjd->mij", edges, edges)
        slopes = np.linalg.solve(gram, edges)
        first = -slopes.sum(axis=1, keepdims=True)
        return np.asarray(-self.domain.intrinsic * np.concatenate([first, slopes], axis=1))


@dataclass(frozen=True, eq=False)
class Facets:
    """Facets between two cells: cells (f, 2) on both sides, and in each the number (f, 2) of the opposite corner.

    corners (f, c - 1): their nodes, as the first cell has them.

    normals (f, d): the area times the normal from the first cell to the second, on a surface the mean of both cells'.
    areas (f,), gaps (f,): between the circumcentres of both cells, along the normals; negative where they are crossed.
    """

    cells: Numbers
    opposite: Numbers
    corners: Numbers
    normals: Array
    areas: Array
    gaps: Array

    @classmethod
    def of(cls, mesh: Mesh) -> "Facets":
        """ValueError where three cells meet."""
        c = mesh.cells.shape[1]
        vertices = mesh.vertices[mesh.cells]
        sides = np.concatenate([np.sort(np.delete(vertices, k, axis=1), axis=1) for k in range(c)])
        order = np.lexsort(sides.T)
        same = np.all(sides[order[1:]] == sides[order[:-1]], axis=1)
        if np.any(same[1:] & same[:-1]):
            raise ValueError("Mesh cells: three cells share a facet; a domain without branches has two at most")
        first, second = order[:-1][same], order[1:][same]
        pairs = np.stack([first, second], axis=1)
        cells, opposite = pairs % mesh.size, pairs // mesh.size
        out = mesh.outward[cells, opposite] * mesh.volumes[cells][:, :, None]
        areas = np.linalg.norm(out, axis=2)
        # lambda vanishes on the facet and falls by areas/(dim volume) a unit of length on the way out
        depth = mesh._circumcentres[cells, opposite] * mesh.domain.intrinsic * mesh.volumes[cells] / areas
        beside = np.arange(c) != opposite[:, :1]
        corners = mesh.cells[cells[:, 0]][beside].reshape(len(cells), c - 1)
        return cls(cells, opposite, corners, 0.5 * (out[:, 0] - out[:, 1]), areas.mean(axis=1), depth.sum(axis=1))
