"""This file owns regions of the plane that are given by their triangles: a mesh from elsewhere, domain and mesh in one.

Its walls are the sides that belong to one triangle. A finer mesh parts each triangle in four (red refinement):

        c
        +          d, e, f are the middles of the sides; the four are like the triangle itself, so that angles
     f +-+ e       stay as they are, and a side between two of them has the angle opposite to it on both hands
      +-+-+
     a  d  b
"""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from wflow.arrays import Array, shaped
from wflow.curves import Corners, Curve
from wflow.errors import Refused
from wflow.flips import apart, flipped
from wflow.mesh import Mesh, Numbers
from wflow.shapes import Planar

_MOST = 1 << 25
"""Triangles of a refined mesh."""
_FLAT = 1e-10
"""Area over the square of the longest side, and the sine of a turn, that count as none."""
_SAME = 1e-6
"""Of the shortest side: nodes nearer to each other are one."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Region(Planar):
    """The region that triangles cover: nodes (s, 2), cells (m, 3) numbers of corners; units and origin are theirs.

    Nodes of no triangle are dropped, triangles turned counterclockwise. Two regions of the same arrays are equal.
    Then no triangle lies over another: a point lies in as many as the walls wind round it, once.           (proved)
    Raises ValueError for flat triangles, nodes in one place, triangles folded over, pieces that do not hang together,
    walls that touch or cross.
    """

    nodes: Array = None  # type: ignore[assignment]
    cells: Numbers = None  # type: ignore[assignment]

    def __init__(self, nodes: ArrayLike, cells: ArrayLike) -> None:
        places, numbers = _tidied(shaped("Region nodes", nodes, (None, 2)), np.asarray(cells))
        outer, *holes = _walls(places, numbers)
        for array in (places, numbers):
            array.flags.writeable = False
        for name, value in (("nodes", places), ("cells", numbers), ("outer", outer), ("holes", tuple(holes))):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Region) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return f"Region({len(self.cells)} triangles, area {self.volume:.6g})"

    @cached_property
    def cells_across(self) -> float:
        """The resolution of the mesh as `mesh_of` counts it: the longest extent over a side of the mean triangle."""
        side = math.sqrt(4.0 / math.sqrt(3.0) * self.volume / len(self.cells))
        return float(self.lengths.max()) / side

    def mesh(self, cells: int) -> Mesh:
        """The given mesh, its triangles parted in four as often as brings its resolution nearest to `cells`.

        Never coarser than given, which then stays as it is. A parted one is made Delaunay by flips: from an obtuse
        triangle come four, and the side between two of them is crossed. Of a right one four corners lie on a circle,
        and the new nodes off the walls are moved a little. Raises Refused beyond 2^25 triangles.
        """
        halvings = max(0, round(math.log2(cells / self.cells_across)))
        if (size := len(self.cells) * 4**halvings) > _MOST:
            raise Refused(
                f"mesh: {cells} cells across {self!r} are {size:.3g} triangles, allowed: {_MOST}; lower cells"
            )
        mesh = Mesh(self, self.nodes, self.cells)
        for _ in range(halvings):
            mesh = _refined(mesh)
        return mesh

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.nodes.tobytes() + self.cells.tobytes()).digest()


def _refined(mesh: Mesh) -> Mesh:
    """Each triangle in four, which follow one another, then what it takes to be Delaunay."""
    cells, before = mesh.cells, len(mesh.nodes)
    sides = np.sort(cells[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    pairs, number = np.unique(sides, axis=0, return_inverse=True)
    d, e, f = (before + number.reshape(-1, 3)).T
    a, b, c = cells.T
    parts = np.stack([a, d, f, d, b, e, f, e, c, d, e, f], axis=1).reshape(-1, 3)
    middles = 0.5 * (mesh.nodes[pairs[:, 0]] + mesh.nodes[pairs[:, 1]])
    finer = flipped(mesh.domain, np.concatenate([mesh.nodes, middles]), parts)
    if finer.delaunay:
        return finer
    new = np.arange(before, len(finer.nodes))
    return apart(finer, np.setdiff1d(new, np.concatenate(_sides_alone(parts, len(finer.nodes)))))


def _tidied(nodes: Array, cells: Numbers) -> tuple[Array, Numbers]:
    """Only nodes that are corners, each in a place of its own; triangles counterclockwise and none flat."""
    if cells.ndim != 2 or cells.shape[1] != 3 or not len(cells) or cells.dtype.kind not in "iu":
        raise ValueError(f"Region cells: {cells.dtype} of shape {cells.shape}; give (m, 3) whole numbers, the corners")
    if cells.min() < 0 or cells.max() >= len(nodes):
        raise ValueError(f"Region cells: they name nodes {cells.min()}..{cells.max()} of {len(nodes)}")
    used, numbers = np.unique(cells, return_inverse=True)
    places, numbers = nodes[used], numbers.reshape(cells.shape).astype(np.int64)
    corners = places[numbers]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    (ux, uy), (vx, vy) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    twice = ux * vy - uy * vx
    flat = np.flatnonzero(np.abs(twice) <= 2.0 * _FLAT * sides.max(axis=1) ** 2)
    if len(flat):
        k = int(flat[0])
        raise ValueError(
            f"Region cells: {len(flat)} triangles are flat, the first is number {k} at {_said(corners[k, 0])}; "
            "mesh it anew, or leave them out"
        )
    pairs = cKDTree(places).query_pairs(_SAME * float(sides.min()), output_type="ndarray")
    if len(pairs):
        a, b = used[pairs[0]].tolist()
        raise ValueError(
            f"Region nodes: {len(pairs)} pairs are in one place, the first is {a} and {b} at {_said(nodes[a])}; "
            "merge them (Gmsh: Coherence Mesh, or Tools > Remove duplicate mesh nodes)"
        )
    return places, np.where(twice[:, None] > 0.0, numbers, numbers[:, [0, 2, 1]])


def _walls(nodes: Array, cells: Numbers) -> list[Curve]:
    """The outer wall and the holes, counterclockwise, corners where walls turn alone."""
    sides, count = np.unique(
        np.stack([cells, np.roll(cells, -1, axis=1)], axis=2).reshape(-1, 2), axis=0, return_counts=True
    )
    if np.any(count > 1):
        raise ValueError(
            f"Region cells: triangles lie on one another at {_said(nodes[sides[np.argmax(count > 1), 0]])}, two to the "
            "left of a side; mesh the surface once, without folds and branches"
        )
    start, end = _sides_alone(cells, len(nodes))
    _alone(nodes, start, end)
    loops = _loops(start, end)
    areas = [_area(nodes[loop]) for loop in loops]
    for loop, area in zip(loops, areas, strict=True):
        extent = float(np.ptp(nodes[loop], axis=0).max())
        if abs(area) <= _FLAT * extent**2:
            raise ValueError(
                f"Region cells: there is a crack at {_said(nodes[loop[0]])}, or a corner within another's side; "
                "merge the nodes and mesh it anew, conformingly"
            )
    if (pieces := sum(area > 0.0 for area in areas)) != 1:
        raise ValueError(f"Region cells: {pieces} pieces that do not hang together; give one of them alone")
    order = np.argsort(areas)[::-1]
    return [_polygon(nodes[loops[k] if areas[k] > 0.0 else loops[k][::-1]]) for k in order]


def _sides_alone(cells: Numbers, n: int) -> tuple[Numbers, Numbers]:
    """Start and end (k,) of the sides that no other triangle has the other way, of n nodes, in order."""
    start, end = cells.ravel(), np.roll(cells, -1, axis=1).ravel()
    walls = np.setdiff1d(start * n + end, end * n + start)
    return walls // n, walls % n


def _alone(nodes: Array, start: Numbers, end: Numbers) -> None:
    """ValueError where walls meet themselves or others: at a node, or between nodes."""
    names, count = np.unique(start, return_counts=True)
    if np.any(count > 1):
        raise _touching(nodes[names[np.argmax(count > 1)]])
    a, b = nodes[start], nodes[end]
    i, j = _near(a, b)
    apart = (start[i] != end[j]) & (end[i] != start[j])
    i, j = i[apart], j[apart]
    across = (_left(a[i], b[i], a[j]) * _left(a[i], b[i], b[j]) <= 0.0) & (
        _left(a[j], b[j], a[i]) * _left(a[j], b[j], b[i]) <= 0.0
    )
    # sides of one straight wall lie on one line, apart
    low, high = np.minimum(a, b), np.maximum(a, b)
    across &= np.all((low[i] <= high[j]) & (low[j] <= high[i]), axis=1)
    if np.any(across):
        raise _touching(a[i[np.argmax(across)]])


def _near(a: Array, b: Array) -> tuple[Numbers, Numbers]:
    """Numbers (p,) of the sides from a to b (k, 2) whose discs meet, each pair once.

    Sides of like length have a tree of their own: pairs are few where a long side and many short ones are in one wall.
    """
    middle, length = 0.5 * (a + b), np.linalg.norm(b - a, axis=1)
    octave = np.frexp(length)[1]
    alike = [np.flatnonzero(octave == k) for k in np.unique(octave)]
    trees = [cKDTree(middle[sides]) for sides in alike]
    pairs = []
    for k, one in enumerate(alike):
        for other, tree in zip(alike[k:], trees[k:], strict=True):
            reach = 0.5 * float(length[one].max() + length[other].max())
            found = trees[k].sparse_distance_matrix(tree, reach, output_type="ndarray")
            i, j = one[found["i"]], other[found["j"]]
            pairs.append(np.stack([i, j])[:, (i < j) | (other is not one)])
    first, second = np.concatenate(pairs, axis=1)
    return first, second


def _touching(at: Array) -> ValueError:
    return ValueError(
        f"Region cells: walls touch or cross at {_said(at)}; keep them apart by the width of a triangle, or give the "
        "pieces one by one"
    )


def _left(a: Array, b: Array, c: Array) -> Array:
    """(k,) above 0 where c lies to the left of the way from a to b; 0 where it lies on that line."""
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    return np.asarray(ux * vy - uy * vx)


def _loops(start: Numbers, end: Numbers) -> list[Numbers]:
    """The closed ways along sides, each node with one side that leaves it."""
    ahead = dict(zip(start.tolist(), end.tolist(), strict=True))
    loops = []
    while ahead:
        first, at = ahead.popitem()
        loop = [first]
        while at != first:
            loop.append(at)
            at = ahead.pop(at)
        loops.append(np.array(loop))
    return loops


def _area(points: Array) -> float:
    x, y = (points - points[0]).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _polygon(points: Array) -> Corners:
    """Without points in the middle of a straight side."""
    back, on = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turn = back[:, 0] * on[:, 1] - back[:, 1] * on[:, 0]
    bent = np.abs(turn) > _FLAT * np.linalg.norm(back, axis=1) * np.linalg.norm(on, axis=1)
    return Corners(tuple((float(x), float(y)) for x, y in points[bent]))


def _said(at: Array) -> str:
    return "(" + ", ".join(f"{x:.6g}" for x in at) + ")"
