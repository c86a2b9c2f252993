"""This file owns the atoms of a density: its cells' masses at their middles, or at the middles of their parts.

An atom goes as a whole. Where a map stretches its box over many cells (a tail that comes from the cell at a jump), D
has a kink and what arrives is no density, so such atoms are halved, and only those.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.measure import Density

FAINT = 1e-14
"""Of the largest density: below it a cell is empty, or with entropy counts as that."""
_WIDE = 0.5
"""Cells of the spline that the middles of an atom's halves may land apart."""
_HALVINGS = 6
"""Of an atom along an axis for one map."""


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms (m, 2), in cells of a density's grid, of masses (m,), each in the middle of a box of sides (m, 2).

    boxes: where mass is even; None where that is not known.
    """

    places: Array
    masses: Array
    boxes: Array | None = None

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
        boxes = np.broadcast_to(1.0 / np.asarray(parts, dtype=np.float64), places.shape)
        return cls(places, np.repeat(masses[kept] / len(shifts), len(shifts)), boxes)

    def parted(self, go: Callable[[Self], Array], widths: Array, spared: float, most: int) -> Self:
        """Halved, axis by axis, until the halves' middles land within half a cell of the spline.

        go: where atoms go (m, 2), in cells of the spline, of these widths (2,). spared: sum of masses times squared
        distances, a length squared times mass, below which no more need be halved. most: atoms, about.
        """
        atoms = self
        for axis in range(self.places.shape[1]):
            done: list[Self] = []
            for _ in range(_HALVINGS):
                low, high = atoms._half(axis, -0.25), atoms._half(axis, 0.25)
                apart = np.abs(go(high) - go(low))
                wide = apart.max(axis=1) > _WIDE
                spread = atoms.masses * np.sum((apart * widths) ** 2, axis=1)
                order = np.argsort(spread)
                wide[order[np.cumsum(spread[order]) <= spared]] = False
                if not np.any(wide) or sum(len(one.masses) for one in done) + len(atoms.masses) + wide.sum() > most:
                    break
                done.append(atoms._of(~wide))
                atoms = low._of(wide)._and(high._of(wide))
            for one in done:
                atoms = atoms._and(one)
        return atoms

    def _half(self, axis: int, shift: float) -> Self:
        """The half of each atom's box on one side along an axis."""
        assert self.boxes is not None
        places, boxes = self.places.copy(), self.boxes.copy()
        places[:, axis] += shift * boxes[:, axis]
        boxes[:, axis] *= 0.5
        return type(self)(places, 0.5 * self.masses, boxes)

    def _of(self, chosen: NDArray[np.bool_]) -> Self:
        assert self.boxes is not None
        return type(self)(self.places[chosen], self.masses[chosen], self.boxes[chosen])

    def _and(self, other: Self) -> Self:
        assert self.boxes is not None and other.boxes is not None
        return type(self)(
            np.concatenate([self.places, other.places]),
            np.concatenate([self.masses, other.masses]),
            np.concatenate([self.boxes, other.boxes]),
        )


def middles(shape: tuple[int, ...]) -> Array:
    """(m, 2) middles of cells, in cells."""
    return np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1).reshape(-1, 2)
