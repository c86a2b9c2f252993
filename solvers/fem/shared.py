"""This file owns how DOLFINx's mesh of given cells is made, on one rank or shared between several.

Imported after `toolchain.start` alone.
"""

from typing import Any

import numpy as np
from dolfinx import mesh
from dolfinx.cpp.graph import AdjacencyList_int32
from mpi4py import MPI

from wflow.arrays import Array
from wflow.mesh import Numbers
from wflow.ranks import Ranks, Together


def comm_of(ranks: Ranks) -> Any:
    """mpi4py's communicator."""
    return ranks.comm if isinstance(ranks, Together) else MPI.COMM_SELF


def made_of(
    ranks: Ranks, cells: Numbers, places: Array, domain: Any, owner: Numbers, pairs: Numbers
) -> tuple[mesh.Mesh, Numbers]:
    """The mesh of cells (m, c) between vertices at places (s, d), and the number of each cell that a rank then has.

    owner (m,): the rank of each cell.   pairs (f, 2): cells beside each other. A rank has its own cells first, then
    ghosts: those of other ranks beside them. Within a cell corners stay in their order, which is looked at.
    Every rank gives the same arrays; each hands DOLFINx its own cells and a stretch of the vertices.
    """
    own = np.flatnonzero(owner == ranks.number)
    everyone = np.argsort(owner, kind="stable")
    stretch = np.array_split(np.arange(len(places)), ranks.size)[ranks.number]
    sent = None if ranks.size == 1 else _destinations(ranks, own, owner, pairs)
    made = mesh.create_mesh(comm_of(ranks), cells[own], domain, places[stretch], sent)
    order = everyone[np.asarray(made.topology.original_cell_index, dtype=np.int64)]
    kept = made.geometry.input_global_indices[made.geometry.dofmaps[0]]
    assert np.array_equal(kept, cells[order]), "DOLFINx changed the order of the vertices within a cell"
    return made, order


def _destinations(ranks: Ranks, own: Numbers, owner: Numbers, pairs: Numbers) -> Any:
    """What DOLFINx asks of a partitioner: for each own cell its rank, then those that have it as a ghost."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    beside = np.stack([both[:, 0], owner[both[:, 1]]], axis=1)
    beside = beside[(owner[both[:, 0]] == ranks.number) & (beside[:, 1] != ranks.number)]
    first = np.stack([own, np.full(len(own), -1)], axis=1)  # -1: before every other rank
    rows = np.unique(np.concatenate([first, beside]), axis=0)
    ends = np.searchsorted(rows[:, 0], own, side="right")
    data = np.where(rows[:, 1] < 0, ranks.number, rows[:, 1]).astype(np.int32)
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return lambda *asked: AdjacencyList_int32(data, offsets)
