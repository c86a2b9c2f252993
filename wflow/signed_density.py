"""This file owns signed measures on a grid: the densities of both signs by their cell averages.

    nu = rho_+ - rho_-,     rho_s >= 0 in each cell, of any mass

The two sheets stand one by one: where both are positive nothing cancels in them, as in a flow of charges, where signs
never change. On the sheets F = R(nu) + lambda (|rho_+| + |rho_-|), at least R(nu) + lambda |nu|, with the same infimum.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from wflow.arrays import Array, ComplexArray, shaped
from wflow.domain import Box
from wflow.grid import Grid
from wflow.measure import Measure, cell_modes


@dataclass(frozen=True, eq=False)
class SignedDensity(Measure):
    """nu = rho_+ - rho_- by cell averages positive (m,) and negative (m,), each nonnegative, on a grid.

    As a measure of charges: `points` (2m, d) are the centres twice, `weights` (2m,) the masses of the positive cells
    and those of the negative ones with their sign. `values` (m,) are the averages of nu itself.
    Raises ValueError for a negative density on a sheet.
    """

    grid: Grid
    positive: Array
    negative: Array

    def __post_init__(self) -> None:
        for name in ("positive", "negative"):
            values = shaped(f"SignedDensity {name}", getattr(self, name), (self.grid.size,))
            if values.min() < 0.0:
                worst = int(np.argmin(values))
                raise ValueError(
                    f"SignedDensity {name}: {int(np.sum(values < 0.0))} of {values.size} cells negative (min "
                    f"{values[worst]:.3g} at cell {worst}), allowed: >= 0; each sheet is a density, give the other the "
                    "mass of the other sign"
                )
            object.__setattr__(self, name, values)

    @property
    def domain(self) -> Box:
        return self.grid.domain

    @property
    def points(self) -> Array:
        return _twice(self.grid)

    @cached_property
    def weights(self) -> Array:
        return np.concatenate([self.positive, -self.negative]) * self.grid.cell_volume

    @cached_property
    def values(self) -> Array:
        """(m,) averages of nu."""
        return self.positive - self.negative

    @cached_property
    def heights(self) -> Array:
        """(m,) averages of rho_+ + rho_-."""
        return self.positive + self.negative

    @property
    def masses(self) -> tuple[float, float]:
        """Of the positive and of the negative sheet."""
        volume = self.grid.cell_volume
        return float(self.positive.sum()) * volume, float(self.negative.sum()) * volume

    @property
    def mass(self) -> float:
        positive, negative = self.masses
        return positive - negative

    @property
    def total_variation(self) -> float:
        """|rho_+| + |rho_-|, at least |nu|."""
        return sum(self.masses)

    @property
    def least(self) -> float:
        """The smallest average of a sheet."""
        return float(min(self.positive.min(), self.negative.min()))

    def merged(self, shape: tuple[int, ...]) -> "SignedDensity":
        """Averages over blocks of cells; each entry of `shape` divides the grid's own."""
        sheets = (self.grid.block_means(sheet, shape) for sheet in (self.positive, self.negative))
        return SignedDensity(Grid(self.domain, shape), *sheets)

    def modes(self, count: int) -> ComplexArray:
        """By FFT where the grid is the circle's; modes at and beyond m/2 are not resolved and set to zero."""
        if not self.domain.is_circle:
            return super().modes(count)
        return cell_modes(self.grid, self._spectrum, count)

    @cached_property
    def _spectrum(self) -> ComplexArray:
        """(m//2 + 1,) FFT of the masses of nu."""
        return np.fft.rfft(self.values * self.grid.cell_volume)


@lru_cache(maxsize=4)
def _twice(grid: Grid) -> Array:
    """The centres twice (2m, d); shared, hence read-only."""
    points = np.concatenate([grid.centres, grid.centres])
    points.flags.writeable = False
    return points
