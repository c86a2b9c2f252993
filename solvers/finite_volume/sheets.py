"""This file owns the sheets of a conic flow as arrays: densities of both signs, the rates at a measure, charges.

A probability measure, where the sum of masses is conserved, has one sheet.
"""

from dataclasses import dataclass

import numpy as np

from solvers._conic_rates import Speeds
from wflow.arrays import Array
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.measure import Density, SignedParticles
from wflow.signed_density import SignedDensity
from wflow.solver import State

OnCells = SignedDensity | Density
SIGNS = (1.0, -1.0)
_ASKED = 256
"""Cells of which the bound of a step asks; finer grids are merged."""


def sheets_of(nu: OnCells) -> Array:
    """Averages (2, m) of both signs, of a probability density (1, m)."""
    return np.stack([nu.positive, nu.negative]) if isinstance(nu, SignedDensity) else nu.values[None]


def measure_of(flow: Flow, grid: Grid, rho: Array) -> OnCells:
    """The measure of sheets; where the sum of masses is conserved a probability density, scaled to mass one."""
    if flow.conserved:
        return Density(grid, rho[0] / (float(rho[0].sum()) * grid.cell_volume))
    return SignedDensity(grid, rho[0], rho[1])


def on_cells(state: State) -> OnCells:
    """The measure of a state."""
    nu = state.measure
    assert isinstance(nu, OnCells)
    return nu


@dataclass(frozen=True, eq=False)
class Sheets:
    """rho (2, m) of both signs with the rates at a measure: growth (2, m) of log rho, potential (2, m) beta s V.

    Of a probability measure there is one sheet (1, m).
    """

    grid: Grid
    rho: Array
    growth: Array
    potential: Array

    @classmethod
    def at(cls, flow: Flow, nu: OnCells, speeds: Speeds) -> "Sheets":
        """Of a measure."""
        rho = sheets_of(nu)
        signed = np.outer(SIGNS[: len(rho)], flow.energy.unpenalised.potential(nu, nu.grid.centres))
        growth = speeds.growth(flow, np.abs(nu.weights), (signed + flow.energy.variation).ravel())
        return cls(nu.grid, rho, growth.reshape(signed.shape), speeds.beta * signed)

    def with_density(self, rho: Array) -> "Sheets":
        """Another density at the same rates."""
        return Sheets(self.grid, rho, self.growth, self.potential)


def charges_of(nu: OnCells) -> SignedParticles:
    """Cells as charges at their centres, merged to some hundred; empty ones left out."""
    shape = list(nu.grid.shape)
    while np.prod(shape) > _ASKED and all(n % 2 == 0 for n in shape):
        shape = [n // 2 for n in shape]
    coarse = nu.merged(tuple(shape))
    kept = coarse.weights != 0.0
    return SignedParticles(nu.domain, coarse.points[kept], coarse.weights[kept])
