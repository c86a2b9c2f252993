"""This file owns cells and faces along one axis of a grid: differences, sides, divergences, jumps of log rho.

Cell values are laid out as (before, n, after): n cells along the axis, all lines of the grid at once.

|    0    |    1    |  ...  |   n-1   |      face f stands between cells f and f+1; n-1 inner faces (walls carry no
          f=0       f=1                      flux), or n faces on a periodic axis, the last between n-1 and 0
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wflow.arrays import Array
from wflow.errors import LostDensity
from wflow.grid import Grid
from wflow.measure import Density


@dataclass(frozen=True)
class Axis:
    """One moving axis of a grid. Fluxes and velocities are (before, faces, after)."""

    before: int
    cells: int
    after: int
    width: float
    cyclic: bool

    def lined(self, cells: Array) -> Array:
        """Cell values (m,) as (before, n, after), a view."""
        return cells.reshape(self.before, self.cells, self.after)

    def sides(self, cells: Array) -> tuple[Array, Array]:
        """Values left and right of each face, of lined cells."""
        if self.cyclic:
            return cells, np.concatenate((cells[:, 1:], cells[:, :1]), axis=1)
        return cells[:, :-1], cells[:, 1:]

    def difference(self, cells: Array) -> Array:
        """Cell right of each face minus cell left of it."""
        left, right = self.sides(cells)
        return right - left

    def framed(self, faces: Array) -> Array:
        """(before, n + 1, after): a cell's left face is its own number, its right face the next; walls carry 0."""
        frame = np.zeros((self.before, self.cells + 1, self.after))
        frame[:, 1 : 1 + faces.shape[1]] = faces
        if self.cyclic:
            frame[:, 0] = faces[:, -1]
        return frame

    def divergence(self, flux: Array) -> Array:
        """(J_{i+1/2} - J_{i-1/2}) / h in each cell (m,); nothing passes a wall."""
        frame = self.framed(flux)
        return ((frame[:, 1:] - frame[:, :-1]) / self.width).ravel()

    def outflow(self, velocity: Array) -> Array:
        """Rate (m,) at which each cell empties: (v+ at its right face plus v- at its left face) / h."""
        frame = self.framed(velocity)
        leaving = np.maximum(frame[:, 1:], 0.0) + np.maximum(-frame[:, :-1], 0.0)
        return leaving.ravel() / self.width

    def log_jump(self, pi: Density) -> Array:
        """log rho jump across each face; 0 beside an empty cell, whose flux is then given in full elsewhere."""
        jump = self.difference(self.lined(pi.logarithms))
        if pi.least > 0.0:
            return jump
        left, right = self.sides(self.lined(pi.values))
        return np.where((left > 0.0) & (right > 0.0), jump, 0.0)


@lru_cache(maxsize=16)
def axes_of(grid: Grid) -> tuple[Axis, ...]:
    """The axes along which mass moves."""
    return tuple(
        Axis(
            math.prod(grid.shape[:k]),
            grid.shape[k],
            math.prod(grid.shape[k + 1 :]),
            float(grid.widths[k]),
            grid.domain.periodic[k],
        )
        for k in grid.domain.moving
    )


def nonnegative(values: Array, least: float) -> Array:
    """Zero for negatives at rounding (a cell emptied exactly); LostDensity for anything more. least: of the values."""
    if least >= 0.0:
        return values
    if least < -1e-14 * float(values.max()):
        worst = int(np.argmin(values))
        raise LostDensity(f"finite volumes: density {least:.3g} at cell {worst}, allowed: >= 0; shorten the step")
    return np.maximum(values, 0.0)
