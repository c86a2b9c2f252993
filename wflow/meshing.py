"""This file owns how domains are meshed: intervals, isosceles triangles on boxes, Delaunay triangles between curves,
and the subdivided icosahedron on the sphere. All are Delaunay, so that two-point fluxes may stand on them.

On a box whose axes have walls or close, rows of triangles, every other one half a triangle further:

    +--+--+--+      two right triangles at a wall; an axis that closes has an even number of rows
    +-+--+--++
    +--+--+--+
"""

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.spatial import Delaunay

from wflow.arrays import Array, count
from wflow.curves import Corners, Curve, Ring
from wflow.domain import Box, Domain
from wflow.errors import Refused
from wflow.mesh import Mesh, Numbers
from wflow.shapes import Planar, Sphere
from wflow.triangulated import Region

_ROWS = math.sqrt(0.75)
"""Height of an equilateral triangle of side 1."""
_LLOYD = 12
_OFF_WALL = 0.65
"""Lattice points nearer to a wall, in sides, give way to those on it."""
_NEAR = 5.0
"""Those nearer than it are evened out; further in the lattice is as it should be."""
_SLIVER = 1e-9
_ARC = math.atan(2.0)
"""Angle between neighbouring corners of the icosahedron."""


@lru_cache(maxsize=16)
def mesh_of(domain: Domain, cells: int) -> Mesh:
    """A mesh with sides of about h: a box's longest axis over `cells`, for other domains its longest extent, on the
    sphere half a great circle.

    Raises Refused for infinite domains, frozen axes, and boxes with more than two axes.
    """
    count("cells", cells, least=4)
    if not domain.bounded:
        raise Refused(f"mesh: the domain {domain} is infinite; take a bounded one, or restrict it to a window")
    if isinstance(domain, Sphere):
        return icosphere(max(1, round(_ARC * cells / math.pi)))
    if isinstance(domain, Region):
        return domain.mesh(cells)
    side = float(domain.lengths.max()) / cells
    if isinstance(domain, Planar):
        return _between(domain, side)
    if not isinstance(domain, Box) or any(domain.frozen) or domain.dim > 2:
        raise Refused(f"mesh: {domain} is no box with one or two moving axes, no planar region and no sphere")
    return _interval(domain, cells) if domain.dim == 1 else _rows(domain, side)


def icosphere(frequency: int) -> Mesh:
    """20 frequency^2 triangles: each side of an icosahedron in `frequency` parts, brought to the sphere."""
    corners, faces = _icosahedron()
    f = frequency
    i, j = (k.ravel() for k in np.meshgrid(np.arange(f + 1), np.arange(f + 1), indexing="ij"))
    i, j = i[i + j <= f], j[i + j <= f]
    share = np.stack([f - i - j, i, j], axis=1) / f
    number = np.full((f + 2, f + 2), -1)
    number[i, j] = np.arange(len(i))
    up = [(number[a, b], number[a + 1, b], number[a, b + 1]) for a in range(f) for b in range(f - a)]
    down = [(number[a + 1, b], number[a + 1, b + 1], number[a, b + 1]) for a in range(f) for b in range(f - a - 1)]
    local = np.array(up + down)
    points = np.einsum("qc,fcd->fqd", share, corners[faces]).reshape(-1, 3)
    points /= np.linalg.norm(points, axis=1)[:, None]
    cells = (np.arange(len(faces))[:, None, None] * len(i) + local).reshape(-1, 3)
    _, first, same = np.unique(np.round(points, 10), axis=0, return_index=True, return_inverse=True)
    return Mesh(Sphere(), points[first], same.ravel()[cells])


def _icosahedron() -> tuple[Array, Numbers]:
    """(12, 3) corners, a pair at the poles, and (20, 3) faces, their normals outwards."""
    z, turn = 1.0 / math.sqrt(5.0), np.arange(5) * (2.0 * math.pi / 5.0)
    ring = 2.0 * z
    upper = np.stack([ring * np.cos(turn), ring * np.sin(turn), np.full(5, z)], axis=1)
    lower = np.stack([ring * np.cos(turn + math.pi / 5), ring * np.sin(turn + math.pi / 5), np.full(5, -z)], axis=1)
    corners = np.concatenate([[[0.0, 0.0, 1.0]], upper, lower, [[0.0, 0.0, -1.0]]])
    k, n = np.arange(5), (np.arange(5) + 1) % 5
    zero, last = np.zeros(5, dtype=int), np.full(5, 11)
    faces = [(zero, 1 + k, 1 + n), (1 + k, 6 + k, 1 + n), (1 + n, 6 + k, 6 + n), (last, 6 + n, 6 + k)]
    return corners, np.concatenate([np.stack(face, axis=1) for face in faces]).astype(np.int64)


def _interval(domain: Box, cells: int) -> Mesh:
    nodes = np.linspace(domain.lower[0], domain.upper[0], cells + 1)[:, None]
    first = np.arange(cells)
    vertices = np.arange(cells + 1)
    if domain.periodic[0]:
        vertices[-1] = 0
    return Mesh(domain, nodes, np.stack([first, first + 1], axis=1), vertices)


def _rows(domain: Box, side: float) -> Mesh:
    """Rows of isosceles triangles along the first axis."""
    (a, b), (length, height) = domain.lower, domain.lengths
    closed, stacked = domain.periodic
    n = max(round(length / side), 3)
    rows = max(round(height / (_ROWS * side)), 2)
    rows += rows % 2 if stacked else 0
    whole = np.arange(n + 1.0)
    shifted = np.arange(n + 1.0) + 0.5 if closed else np.concatenate([[0.0], np.arange(n) + 0.5, [float(n)]])
    levels = [shifted if row % 2 else whole for row in range(rows + 1)]
    starts = np.concatenate([[0], np.cumsum([len(level) for level in levels])])
    nodes = np.concatenate(
        [np.stack([a + length * x / n, np.full(len(x), b + height * r / rows)], axis=1) for r, x in enumerate(levels)]
    )
    vertices = np.arange(len(nodes))
    if closed:
        vertices[starts[1:] - 1] = starts[:-1]
    if stacked:
        vertices[starts[-2] :] = vertices[: starts[1]]
    numbers = [start + np.arange(len(level)) for start, level in zip(starts, levels, strict=False)]
    cells = [_strip(*pair, row % 2 == 0) for row, pair in enumerate(pairwise(numbers))]
    return Mesh(domain, nodes, np.concatenate(cells), vertices)


def _strip(below: Numbers, above: Numbers, straight: bool) -> Numbers:
    """Triangles between two rows of nodes, of one number or one apart; straight: the lower one is that not shifted."""
    if len(below) < len(above):  # the upper row has one more: its triangles stand on their heads first
        head = np.stack([below, above[1:], above[:-1]], axis=1)
        return np.concatenate([head, np.stack([below[:-1], below[1:], above[1:-1]], axis=1)])
    if len(below) > len(above):
        head = np.stack([below[:-1], below[1:], above], axis=1)
        return np.concatenate([head, np.stack([above[:-1], below[1:-1], above[1:]], axis=1)])
    if straight:
        return np.concatenate(
            [
                np.stack([below[:-1], below[1:], above[:-1]], axis=1),
                np.stack([below[1:], above[1:], above[:-1]], axis=1),
            ]
        )
    return np.concatenate(
        [np.stack([below[:-1], below[1:], above[1:]], axis=1), np.stack([below[:-1], above[1:], above[:-1]], axis=1)]
    )


def _between(domain: Planar, side: float) -> Mesh:
    """Points on the curves and of an equilateral lattice inside, evened out by Lloyd's steps; Delaunay triangles."""
    fixed = np.concatenate([_along(curve, side) for curve in (domain.outer, *domain.holes)])
    (a, b), (c, d) = domain.outer.ends
    x, y = np.meshgrid(np.arange(a, c + side, side), np.arange(b, d + side, _ROWS * side), indexing="ij")
    x = x + np.where(np.arange(y.shape[1]) % 2, 0.5 * side, 0.0)
    free = np.stack([x.ravel(), y.ravel()], axis=1)
    depth = -domain.outside(free) / side
    near, deep = free[(depth > _OFF_WALL) & (depth < _NEAR)], free[depth >= _NEAR]
    still = np.concatenate([fixed, free[(depth >= _NEAR) & (depth < _NEAR + 2.0)]])
    for _ in range(_LLOYD):
        near = _evened(domain, still, near)
    nodes = np.concatenate([fixed, near, deep])
    return Mesh(domain, nodes, _triangles(domain, nodes))


def _evened(domain: Planar, fixed: Array, free: Array) -> Array:
    """Each free point in the mean, by area, of the barycentres of its triangles."""
    nodes = np.concatenate([fixed, free])
    cells = _triangles(domain, nodes)
    corners = nodes[cells]
    areas, middles = _areas(corners), corners.mean(axis=1)
    weight = np.bincount(cells.ravel(), np.repeat(areas, 3), len(nodes))
    moved = [np.bincount(cells.ravel(), np.repeat(areas * m, 3), len(nodes)) / weight for m in middles.T]
    return np.stack(moved, axis=1)[len(fixed) :]


def _triangles(domain: Planar, nodes: Array) -> Numbers:
    """Of Delaunay's those in the domain, counterclockwise."""
    cells = np.asarray(Delaunay(nodes).simplices, dtype=np.int64)
    corners = nodes[cells]
    areas = _areas(corners)
    inside = domain.outside(corners.mean(axis=1)) < 0.0
    # of points on a curve that bulges inwards three may make a sliver within a rounding of it
    kept = cells[inside & (np.abs(areas) > _SLIVER * areas.max())]
    return np.where(_areas(nodes[kept])[:, None] > 0.0, kept, kept[:, ::-1])


def _areas(corners: Array) -> Array:
    """(m,) signed."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]))


def _along(curve: Curve, side: float) -> Array:
    """Points of a curve about `side` apart, corners among them."""
    if isinstance(curve, Ring):
        n = max(round(2.0 * math.pi * curve.radius / side), 6)
        turn = np.arange(n) * (2.0 * math.pi / n)
        return np.asarray(curve.centre) + curve.radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    assert isinstance(curve, Corners)
    corners = np.asarray(curve.points)
    parts = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        n = max(round(float(np.linalg.norm(end - start)) / side), 1)
        parts.append(start + np.linspace(0.0, 1.0, n, endpoint=False)[:, None] * (end - start))
    return np.concatenate(parts)
