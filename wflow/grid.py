"""This file owns uniform cells on a bounded box, one or several axes.

One axis, n cells:   |  0  |  1  |  2  | ... | n-1 |      edges[0] = lower ... edges[n] = upper, centre i between
                     e0    e1    e2   e3          en      edges i and i+1; on a periodic axis edge n is edge 0.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array, count
from wflow.domain import Box


@dataclass(frozen=True)
class Grid:
    """prod(shape) equal cells on a bounded box; cell values are raveled in C order to length m."""

    domain: Box
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple):
            raise TypeError(
                f"Grid shape: {self.shape!r} is not a tuple; give one number of cells an axis, such as (128,)"
            )
        if not self.domain.bounded:
            raise ValueError(
                f"Grid: the domain {self.domain.lower}..{self.domain.upper} is infinite; pass a bounded window"
            )
        if len(self.shape) != self.domain.dim:
            raise ValueError(f"Grid: shape {self.shape} has not one entry for each of {self.domain.dim} axes")
        for n in self.shape:
            count("Grid: cells an axis", n, least=2)

    @cached_property
    def plane(self) -> tuple[int, int]:
        """The shape of one or two axes as that of two: one axis is (n, 1)."""
        n, *others = self.shape
        if len(others) > 1:
            raise ValueError(f"Grid plane: the grid has {len(self.shape)} axes; at most two make a plane")
        return (n, *others) if others else (n, 1)  # type: ignore[return-value]

    @cached_property
    def size(self) -> int:
        """Number of cells m."""
        return math.prod(self.shape)

    @cached_property
    def widths(self) -> Array:
        """(d,) cell widths."""
        return np.asarray(self.domain.lengths / np.asarray(self.shape))

    @cached_property
    def cell_volume(self) -> float:
        """Volume of one cell."""
        return float(np.prod(self.widths))

    @cached_property
    def diameter(self) -> float:
        """Length of the domain's diagonal."""
        return float(np.linalg.norm(self.domain.lengths))

    def refines(self, other: "Grid") -> bool:
        """Whether each cell of another grid is a block of whole cells of this one."""
        return self.domain == other.domain and not any(n % m for n, m in zip(self.shape, other.shape, strict=True))

    def block_means(self, values: Array, shape: tuple[int, ...]) -> Array:
        """(prod(shape),) means of cell values (m,) over blocks; each entry of `shape` divides the grid's own."""
        blocks = values.reshape(self.shape)
        for axis, n in enumerate(shape):
            blocks = blocks.reshape(*blocks.shape[:axis], n, -1, *blocks.shape[axis + 1 :]).mean(axis=axis + 1)
        return blocks.ravel()

    def edges(self, axis: int = 0) -> Array:
        """(n+1,) cell edges along an axis, last one exactly `upper`."""
        return np.linspace(self.domain.lower[axis], self.domain.upper[axis], self.shape[axis] + 1)

    @cached_property
    def centres(self) -> Array:
        """(m, d) cell centres; read-only."""
        axes = [0.5 * (e[:-1] + e[1:]) for e in map(self.edges, range(self.domain.dim))]
        centres = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
        centres.flags.writeable = False
        return centres
