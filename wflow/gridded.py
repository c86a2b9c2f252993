"""This file owns how a pair of measures, one of them a density on a mesh of the plane, comes to grids with like cells.

A mesh enters as averages (wflow.raster) over cells six to a triangle's side, 96 to 256 of them along the longest
side of the domain's box, or over the cells of the other's grid, cut as finely; a law of a domain without a grid by its
averages over quartered triangles of the other's mesh, or on one made for it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wflow.arrays import Array
from wflow.domain import Box, Domain
from wflow.grid import Grid
from wflow.law import Atoms, Law
from wflow.measure import Density, Measure
from wflow.mesh import Mesh
from wflow.mesh_density import MeshDensity
from wflow.meshing import mesh_of
from wflow.plans import on_grid
from wflow.raster import raster
from wflow.shapes import Planar
from wflow.simplex_rule import simplex_rule

LEAST, MOST = 96, 256
"""Cells along the longest side."""
_TO_A_SIDE = 6.0
_NODES = 4
_LAW = 64
"""Triangles along the longest side by which a law of a region enters where the other measure has no mesh."""
_FINE = 4.0
"""Triangles by which a law enters are no longer than so many cells."""
_MOST_TRIANGLES = 1 << 17
_MATCH = 1e-9


@dataclass(frozen=True, eq=False)
class Gridded:
    """The pair with densities on grids in place of those on meshes, and by how much W2 may differ for that."""

    first: Measure | Law
    second: Measure | Law
    floor: float = 0.0


def gridded(a: Measure | Law, b: Measure | Law) -> Gridded:
    """The pair as it is where neither is a density on a mesh of two axes, or a law of a region."""
    first, second = _on_plane(a), _on_plane(b)
    if not (first or second):
        if not (_of_region(a) or _of_region(b)):
            return Gridded(a, b)
        (a, lost), (b, more) = _meshed(a), _meshed(b)
        both = gridded(a, b)
        return Gridded(both.first, both.second, both.floor + lost + more)
    if second and not first:
        turned = gridded(b, a)
        return Gridded(turned.second, turned.first, turned.floor)
    assert isinstance(a, MeshDensity)
    if isinstance(b, Law) and not isinstance(b, Atoms):
        if not isinstance(b.domain, Box) and b.has_density:
            fine = _halved(a.mesh, _FINE * float(_widths([a.mesh], _cells([a.mesh])).max()))
            averages = MeshDensity.averages_of(b, fine)
            both = _pair(a, averages, _cells([a.mesh]))
            return Gridded(both.first, both.second, both.floor + _averaging(b, averages))
        if b.has_averages:
            b = on_grid(b)
    return _pair(a, b, _cells([pi.mesh for pi in (a, b) if isinstance(pi, MeshDensity)]))


def _of_region(pi: Measure | Law) -> bool:
    return isinstance(pi, Law) and not isinstance(pi, Atoms) and isinstance(pi.domain, Planar) and pi.has_density


def _meshed(pi: Measure | Law) -> tuple[Measure | Law, float]:
    """A law of a region by its averages on a mesh of it, and what they lose; others as they are."""
    if not (isinstance(pi, Law) and _of_region(pi)):
        return pi, 0.0
    averages = MeshDensity.averages_of(pi, mesh_of(pi.domain, _LAW))
    return averages, _averaging(pi, averages)


def _on_plane(pi: Measure | Law) -> bool:
    return isinstance(pi, MeshDensity) and pi.domain.dim == 2


def _averaging(law: Law, averages: MeshDensity) -> float:
    """How far a law is from its averages over triangles, as in wflow.raster, by 16 points a triangle."""
    mesh = averages.mesh
    rule, share = simplex_rule(2, _NODES)
    rho = np.reshape(law.density(mesh.at(rule).reshape(-1, 2)), (mesh.size, len(rule)))
    squares = mesh.volumes * ((rho - averages.values) ** 2 @ share)
    held = averages.averages > 0.0
    return 2.0 * mesh.width / math.pi * math.sqrt(float(np.sum(squares[held] / averages.averages[held])))


def _pair(a: MeshDensity, b: Measure | Law, cells: int) -> Gridded:
    if isinstance(b, MeshDensity):
        widths = _widths([a.mesh, b.mesh], cells)
        first, second = (raster(pi, _grid(pi.mesh, widths)) for pi in (a, b))
        return Gridded(first.density, second.density, first.floor + second.floor)
    if isinstance(b, Density):
        like = _finer(b.grid, cells)
        b = _cut(b, like)
        grid = like if _covers(like, a.mesh) else _grid(a.mesh, like.widths)
        first = raster(a, grid)
        return Gridded(first.density, b, first.floor)
    first = raster(a, _grid(a.mesh, _widths([a.mesh], cells)))
    return Gridded(first.density, b, first.floor)


def grid_of_both(a: Measure, b: Measure) -> Grid | None:
    """One grid that covers two densities of the plane, one or both of them on meshes; None for other pairs.

    It is as fine for each mesh, so that successive refinements are seen alike.

    That of the other density, its cells cut so that there are some 256 on an axis, if it covers the mesh.
    """
    if not (_on_plane(a) or _on_plane(b)) or not a.domain.alike(b.domain):
        return None
    if isinstance(a, MeshDensity) and isinstance(b, MeshDensity):
        (low, high), (lower, upper) = _ends(a.mesh), _ends(b.mesh)
        widths = _widths([a.mesh, b.mesh], MOST)
        return _covering(a.domain, np.minimum(low, lower), np.maximum(high, upper), widths)
    mesh, cells = (a, b) if isinstance(a, MeshDensity) else (b, a)
    if not isinstance(mesh, MeshDensity) or not isinstance(cells, Density):
        return None
    like = _finer(cells.grid, MOST)
    return like if _covers(like, mesh.mesh) else None


def beside(a: Measure, b: Measure) -> tuple[Density, Density] | None:
    """Both as averages over the cells of `grid_of_both`, if there is one."""
    grid = grid_of_both(a, b)
    if grid is None:
        return None
    first, second = (raster(pi, grid).density if isinstance(pi, MeshDensity) else _cut(pi, grid) for pi in (a, b))
    return first, second


def _cells(meshes: list[Mesh]) -> int:
    """Along the longest side of the boxes."""
    # the side of a square of two mean triangles
    side = min(math.sqrt(2.0 * float(mesh.volumes.mean())) for mesh in meshes)
    extent = max(float((high - low).max()) for low, high in map(_ends, meshes))
    return round(min(max(_TO_A_SIDE * extent / side, LEAST), MOST))


def _widths(meshes: list[Mesh], cells: int) -> Array:
    """(d,) of cells: squares where no axis closes or is frozen, else as near to squares as whole cells allow."""
    extents = np.max([high - low for low, high in map(_ends, meshes)], axis=0)
    domain = meshes[0].domain
    moving = ~np.asarray(domain.frozen)
    h = float(extents[moving].max()) / cells
    whole = np.where(moving, np.maximum(np.round(extents / h), 2.0), 2.0)
    return np.asarray(np.where(np.asarray(domain.periodic) | ~moving, extents / whole, h))


def _ends(mesh: Mesh) -> tuple[Array, Array]:
    """The corners of the domain's box where that is finite, else of the nodes'; all nodes within along walls."""
    domain, low, high = mesh.domain, mesh.nodes.min(axis=0), mesh.nodes.max(axis=0)
    lower, upper = np.asarray(domain.lower), np.asarray(domain.upper)
    if domain.bounded:
        turns = np.asarray(domain.periodic)
        return np.where(turns, lower, np.minimum(low, lower)), np.where(turns, upper, np.maximum(high, upper))
    return low, high


def _grid(mesh: Mesh, widths: Array) -> Grid:
    """A grid of such cells that covers the mesh."""
    return _covering(mesh.domain, *_ends(mesh), widths)


def _covers(grid: Grid, mesh: Mesh) -> bool:
    low, high = _ends(mesh)
    return bool(np.all((low >= grid.domain.lower) & (high <= grid.domain.upper)))


def _covering(domain: Domain, low: Array, high: Array, widths: Array) -> Grid:
    """Whole cells, as much beyond one end as beyond the other."""
    shape = [max(2, math.ceil(n - _MATCH)) for n in ((high - low) / widths).tolist()]
    beyond = 0.5 * (np.asarray(shape) * widths - (high - low))
    still = np.asarray(domain.periodic) | np.asarray(domain.frozen)
    beyond = np.where(still, 0.0, beyond)
    ends = (tuple((low - beyond).tolist()), tuple((high + beyond).tolist()))
    return Grid(Box(*ends, domain.periodic, domain.frozen), tuple(shape))


def _finer(grid: Grid, cells: int) -> Grid:
    """Its cells cut evenly until there are about so many on the longest axis: a coarse grid must not spoil the mesh."""
    parts = max(1, round(cells / max(grid.shape)))
    shape = tuple(n if still else parts * n for n, still in zip(grid.shape, grid.domain.frozen, strict=True))
    return Grid(grid.domain, shape)


def _cut(pi: Measure, fine: Grid) -> Density:
    """The same density on a grid each of whose cells is a part of one of its own."""
    assert isinstance(pi, Density)
    values = pi.values.reshape(pi.grid.shape)
    for axis, (n, m) in enumerate(zip(fine.shape, pi.grid.shape, strict=True)):
        values = np.repeat(values, n // m, axis=axis)
    return Density(fine, values.ravel())


@lru_cache(maxsize=4)
def _halved(mesh: Mesh, width: float) -> Mesh:
    """Each triangle parted in four like ones until none is longer than that, or there are many."""
    while mesh.width > width and 4 * mesh.size <= _MOST_TRIANGLES:
        mesh = quartered(mesh)
    return mesh


def quartered(mesh: Mesh) -> Mesh:
    """Each triangle parted in four like ones, at the middles of its sides; those of triangle k have numbers 4k..4k+3.

    The nodes are new ones, three a triangle, and no two are one vertex.
    """
    a, b, c = np.moveaxis(mesh.corners, 1, 0)
    d, e, f = 0.5 * (b + c), 0.5 * (c + a), 0.5 * (a + b)
    corners = np.stack([np.stack(t, axis=1) for t in ((a, f, e), (f, b, d), (e, d, c), (d, e, f))], axis=1)
    return Mesh(mesh.domain, corners.reshape(-1, mesh.domain.dim), np.arange(12 * mesh.size).reshape(-1, 3))
