"""This file owns densities on meshes of the plane as averages over the cells of a grid: exact masses, a stated loss.

Each triangle is cut by the cells that it meets, and what it has in a piece is the piece's area times rho at its
barycentre: exact, since rho is linear there.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.measure import Density
from wflow.mesh import Mesh
from wflow.mesh_density import MeshDensity

Numbers = NDArray[np.int64]
_PAIRS = 1 << 17
"""Triangles with cells that are cut at once."""
_BEYOND = 1e-9
"""Of a cell: how far nodes may lie outside the grid."""
_SPLIT = 4.0 / math.pi**2
_ROUNDED = 1e-12
"""Of a cell's area: what rounding may leave uncovered."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A density on a mesh as averages over cells, and how far in W2 it is at most from them."""

    density: Density
    floor: float


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Where triangles meet cells: number of the triangle (p,), of the cell (p,), area (p,), and barycentric (p, 3)."""

    triangle: Numbers
    cell: Numbers
    area: Array
    middle: Array


def raster(pi: MeshDensity, grid: Grid) -> Raster:
    """Averages over the cells of a grid that covers the mesh; masses of cells to rounding.

    floor^2 = sum over cells of min(delta^2 F V, (4 delta^2/pi^2) int (rho - F)^2/F), delta the cell's diagonal, F its
    average: the second is W2 <= 2 |rho - F| in H^-1(F) (Peyre 2018, theorem 1) with the Poincare constant
    (delta/pi)^2 of a convex cell (Payne & Weinberger 1960). 0 in cells in which rho is constant.
    Refused for meshes that are not of the plane, ValueError where nodes lie beyond the grid's walls.
    """
    if pi.domain.dim != 2 or not pi.domain.alike(grid.domain):
        raise Refused(f"raster: the mesh lies on {pi.domain}, the grid on {grid.domain}; give both the same two axes")
    found = _overlay(pi.mesh, grid)
    ends = pi.values if pi.linear else np.repeat(pi.values, 3, axis=1)
    rho = np.sum(ends[found.triangle] * found.middle, axis=1)
    masses = np.bincount(found.cell, found.area * rho, grid.size)
    values = masses * (pi.mass / masses.sum()) / grid.cell_volume
    return Raster(Density(grid, values), _lost(pi, grid, found, rho, values))


def _lost(pi: MeshDensity, grid: Grid, found: _Pieces, rho: Array, values: Array) -> float:
    """The floor. In a piece rho varies by its slope: its variance is at most (slope delta/2)^2."""
    widths = np.where(grid.domain.frozen, 0.0, grid.widths)
    delta = float(np.linalg.norm(widths))
    apart = (rho - values[found.cell]) ** 2
    if pi.linear:
        apart += (0.5 * delta * _slopes(pi)[found.triangle]) ** 2
    covered = np.bincount(found.cell, found.area, grid.size)
    squares = np.bincount(found.cell, found.area * apart, grid.size)
    squares += np.maximum(grid.cell_volume * (1.0 - _ROUNDED) - covered, 0.0) * values**2
    share = np.divide(squares, values, out=np.zeros(grid.size), where=values > 0.0)
    return delta * math.sqrt(float(np.sum(np.minimum(values * grid.cell_volume, _SPLIT * share))))


def _slopes(pi: MeshDensity) -> Array:
    """(m,) |grad rho| in each triangle."""
    corners = pi.mesh.corners
    edges, steps = corners[:, 1:] - corners[:, :1], pi.values[:, 1:] - pi.values[:, :1]
    return np.asarray(np.linalg.norm(np.linalg.solve(edges, steps[:, :, None])[:, :, 0], axis=1))


@lru_cache(maxsize=4)
def _overlay(mesh: Mesh, grid: Grid) -> _Pieces:
    """All pieces of positive area."""
    turns = np.asarray(grid.domain.periodic)
    places = (mesh.corners - np.asarray(grid.domain.lower)) / grid.widths
    low, high = places.min(axis=1), places.max(axis=1)
    shape = np.asarray(grid.shape)
    if np.any(~turns & ((low.min(axis=0) < -_BEYOND) | (high.max(axis=0) > shape + _BEYOND))):
        raise ValueError(
            f"raster grid: nodes of the mesh, {mesh.nodes.min(axis=0)}..{mesh.nodes.max(axis=0)}, lie beyond its walls "
            f"{grid.domain.lower}..{grid.domain.upper}; give a grid that covers the mesh"
        )
    first = np.floor(low + _BEYOND).astype(np.int64)
    last = np.maximum(np.ceil(high - _BEYOND).astype(np.int64), first + 1)
    first, last = (np.where(turns, edge, np.clip(edge, a, shape - 1 + a)) for a, edge in enumerate((first, last)))
    counts = np.prod(last - first, axis=1)
    blocks = np.searchsorted(np.cumsum(counts), np.arange(_PAIRS, counts.sum() + _PAIRS, _PAIRS), side="left") + 1
    starts = np.concatenate([[0], np.minimum(blocks, len(counts))])
    parts = [_cut(places, first, last - first, np.arange(a, b), grid) for a, b in pairwise(starts) if b > a]
    return _Pieces(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Pieces.__annotations__))


def _cut(places: Array, first: Numbers, spans: Numbers, some: Numbers, grid: Grid) -> _Pieces:
    """Those of some triangles; places (m, 3, 2) of corners in cells, first (m, 2) cell and number of cells an axis."""
    counts = np.prod(spans[some], axis=1)
    triangle = np.repeat(some, counts)
    number = np.arange(len(triangle)) - np.repeat(np.cumsum(counts) - counts, counts)
    cell = first[triangle] + np.stack(np.divmod(number, spans[triangle, 1]), axis=1)
    # places are counted from the cell's lower corner: no digits are lost where it lies far out
    polygon = places[triangle] - cell[:, None, :]
    for axis in (0, 1):
        polygon = _kept(polygon, polygon[:, :, axis])
        polygon = _kept(polygon, 1.0 - polygon[:, :, axis])
    area, middle = _area_and_middle(polygon)
    held = area > 0.0
    triangle, cell = triangle[held], cell[held]
    inside = _barycentric(places[triangle] - cell[:, None, :], middle[held])
    index = np.ravel_multi_index(tuple(cell.T), grid.shape, mode="wrap")
    return _Pieces(triangle, np.asarray(index, dtype=np.int64), area[held] * grid.cell_volume, inside)


def _kept(polygon: Array, depth: Array) -> Array:
    """The parts of convex polygons (p, k, 2) in which depth (p, k), linear, is nonnegative: (p, k + 1, 2).

    Corners repeat where there are fewer. Source: Sutherland & Hodgman 1974, Commun. ACM 17(1), 32-42.
    """
    behind, deep = np.roll(polygon, -1, axis=1), np.roll(depth, -1, axis=1)
    inside = depth >= 0.0
    crossing = inside != (deep >= 0.0)
    share = np.divide(depth, depth - deep, out=np.zeros_like(depth), where=crossing)
    cuts = polygon + share[:, :, None] * (behind - polygon)
    p, k, _ = polygon.shape
    slots = np.stack([polygon, cuts], axis=2).reshape(p, 2 * k, 2)
    there = np.stack([inside, crossing], axis=2).reshape(p, 2 * k)
    order = np.argsort(~there, axis=1, kind="stable")[:, : k + 1]
    slots = np.take_along_axis(slots, order[:, :, None], axis=1)
    return np.where(np.take_along_axis(there, order, axis=1)[:, :, None], slots, slots[:, :1])


def _area_and_middle(polygon: Array) -> tuple[Array, Array]:
    """Areas (p,) and barycentres (p, 2) of convex polygons, fans of triangles from the first corner."""
    ray = polygon[:, 1:] - polygon[:, :1]
    fan = 0.5 * np.abs(ray[:, :-1, 0] * ray[:, 1:, 1] - ray[:, :-1, 1] * ray[:, 1:, 0])
    area = fan.sum(axis=1)
    shares = fan / np.where(area > 0.0, area, 1.0)[:, None]
    return area, polygon[:, 0] + np.einsum("pk,pkd->pd", shares, ray[:, :-1] + ray[:, 1:]) / 3.0


def _barycentric(corners: Array, points: Array) -> Array:
    """(p, 3) coordinates of points (p, 2) in triangles (p, 3, 2)."""
    edges = corners[:, 1:] - corners[:, :1]
    rest = np.linalg.solve(np.swapaxes(edges, 1, 2), (points - corners[:, 0])[:, :, None])[:, :, 0]
    return np.column_stack([1.0 - rest.sum(axis=1), rest])
