"""This file owns the atoms of a density: its cells' masses at their middles, or at the middles of their parts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.measure import Density

FAINT = 1e-14
"""Of the largest density: below it a cell is empty, or with entropy counts as that."""


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms (m, 2), in cells of a density's grid, of masses (m,)."""

    places: Array
    masses: Array

    @classmethod
    def of(cls, pi: Density, lifted: bool, split: int, closed: NDArray[np.bool_] | None = None) -> "Atoms":
        """The middles of the cells of a density; faint cells are left out, or lifted to be faint, and the mass kept.

        split: each cell's mass is shared by the middles of as many parts of it along each axis.
        closed (m,): cells that stay empty.
        """
        least = FAINT * float(pi.values.max())
        masses = np.maximum(pi.values, least) if lifted else np.where(pi.values > least, pi.values, 0.0)
        if closed is not None:
            masses = np.where(closed, 0.0, masses)
        return cls._in_cells(pi, masses * (pi.mass / masses.sum()), split)

    @classmethod
    def exactly(cls, pi: Density, split: int) -> "Atoms":
        """The same of every cell that holds anything."""
        return cls._in_cells(pi, pi.values * pi.grid.cell_volume, split)

    @classmethod
    def _in_cells(cls, pi: Density, masses: Array, split: int) -> "Atoms":
        kept = masses > 0.0
        shape = pi.grid.plane
        parts = tuple(split if n > 1 else 1 for n in shape)
        shifts = middles(parts) / parts - 0.5
        places = (middles(shape)[kept][:, None, :] + shifts).reshape(-1, 2)
        return cls(places, np.repeat(masses[kept] / len(shifts), len(shifts)))


def middles(shape: tuple[int, ...]) -> Array:
    """(m, 2) middles of cells, in cells."""
    return np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1).reshape(-1, 2)
