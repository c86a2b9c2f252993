"""This file owns meshes shared between ranks: which cells are whose, and the part of a mesh that one rank holds."""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from wflow.arrays import Array
from wflow.errors import Refused
from wflow.mesh import Facets, Mesh, Numbers
from wflow.ranks import Ranks, Rows

LEAST = 4
"""Cells that each rank has at least."""


@dataclass(frozen=True, eq=False)
class Part(Mesh):
    """The cells of a mesh that one rank owns, in the order of their numbers. Nodes and vertices are the whole's.

    Every rank makes the whole mesh, by the same arithmetic: what is shared is the work on it.
    """

    whole: Mesh = None  # type: ignore[assignment]
    ranks: Ranks = None  # type: ignore[assignment]

    @cached_property
    def shares(self) -> tuple[Numbers, ...]:
        """For each rank the numbers of its cells."""
        owner = owners(self.whole, self.ranks.size)
        return tuple(np.flatnonzero(owner == rank) for rank in range(self.ranks.size))

    @property
    def own(self) -> Numbers:
        """(m,) the whole's number of each cell."""
        return self.shares[self.ranks.number]

    @cached_property
    def everyone(self) -> Numbers:
        """The whole's number of each cell, rank after rank."""
        return np.concatenate(self.shares)

    def gathered(self, part: Rows) -> Rows:
        """An array with a row a cell of the whole, on each rank, from one with a row a cell of the part."""
        found: Rows = np.empty((self.whole.size, *part.shape[1:]), part.dtype)  # type: ignore[assignment]
        found[self.everyone] = self.ranks.stacked(part)
        return found

    @cached_property
    def crossed(self) -> int:
        """The whole's."""
        return self.whole.crossed

    @cached_property
    def width(self) -> float:
        """The whole's."""
        return self.whole.width

    @cached_property
    def spread(self) -> float:
        """The whole's."""
        return self.whole.spread

    @cached_property
    def facets(self) -> Facets:
        """Those of which a cell is owned; their cells are numbered as `around`, theirs of other ranks last."""
        return self._sides[0]

    @cached_property
    def around(self) -> Array:
        """(m + k,) volumes of the cells, and of the k cells of other ranks beside them."""
        return self._sides[1]

    @cached_property
    def _sides(self) -> tuple[Facets, Array]:
        facets, owned = self.whole.facets, np.zeros(self.whole.size, dtype=bool)
        owned[self.own] = True
        kept = owned[facets.cells].any(axis=1)
        cells = facets.cells[kept]
        beside = np.setdiff1d(cells, self.own)
        place = np.empty(self.whole.size, dtype=np.int64)
        place[self.own] = np.arange(self.size)
        place[beside] = self.size + np.arange(len(beside))
        volumes = self.whole.volumes[np.concatenate([self.own, beside])]
        mine = Facets(
            place[cells], facets.opposite[kept], facets.corners[kept], facets.normals[kept], facets.areas[kept],
            facets.gaps[kept],
        )  # fmt: skip
        return mine, volumes


@lru_cache(maxsize=16)
def part_of(mesh: Mesh, ranks: Ranks) -> Mesh:
    """The part of this rank; the mesh itself where there is one rank. Refused where a rank had fewer than 4 cells.

    Raises Refused where the ranks made different meshes, as on machines of different kinds they might.
    """
    if ranks.size == 1:
        return mesh
    enough(mesh.size, ranks)
    made = hashlib.sha256(mesh.nodes.tobytes() + mesh.cells.tobytes()).hexdigest()
    if ranks.most(float(ranks.told(made) != made)):
        raise Refused("the ranks made different meshes of one domain; run them on machines of one kind")
    own = np.flatnonzero(owners(mesh, ranks.size) == ranks.number)
    return Part(mesh.domain, mesh.nodes, mesh.cells[own], mesh.vertices, mesh, ranks)


def enough(cells: int, ranks: Ranks) -> None:
    """Refused where a rank would have fewer than 4."""
    if cells < LEAST * ranks.size:
        raise Refused(f"{cells} cells on {ranks.size} ranks, allowed: at least {LEAST} each; use fewer ranks")


@lru_cache(maxsize=16)
def owners(mesh: Mesh, ranks: int) -> Numbers:
    """(m,) the rank of each cell, by recursive bisection of barycentres along the longest extent (read-only).

    Parts differ by a cell at most. In the plane each has a boundary of O((m/ranks)^(1/2)) facets.
    """
    owner = bisected(mesh.corners.mean(axis=1), ranks)
    owner.flags.writeable = False
    return owner


def bisected(middles: Array, ranks: int) -> Numbers:
    """(m,) the rank of each of the points (m, d), as in `owners`."""
    owner = np.zeros(len(middles), dtype=np.int64)
    _bisected(middles, np.arange(len(middles)), 0, ranks, owner)
    return owner


def _bisected(middles: Array, cells: Numbers, first: int, ranks: int, owner: Numbers) -> None:
    if ranks == 1:
        owner[cells] = first
        return
    axis = int(np.argmax(np.ptp(middles[cells], axis=0)))
    # ties, of which lattices have many, by the number of the cell
    along = cells[np.argsort(middles[cells, axis], kind="stable")]
    half = ranks // 2
    cut = round(len(cells) * half / ranks)
    _bisected(middles, np.sort(along[:cut]), first, half, owner)
    _bisected(middles, np.sort(along[cut:]), first + half, ranks - half, owner)
