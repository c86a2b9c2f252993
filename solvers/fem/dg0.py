"""This file owns DG0: densities constant on each cell of a mesh, moved by upwind fluxes that DOLFINx assembles.

For every w constant on each cell, with facets e between two cells, n from side + to side -, v = -grad V[rho]:

    (rho', w) = sum_e int_e [rho+ (v.n)^+ - rho- (v.n)^-] (w- - w+)  -  T sum_e int_e (rho+ - rho-) (w+ - w-) / gap
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells, space_order
from solvers.fem import toolchain
from solvers.fem.upwind import allowed_rates, mesh_for, rates_of, refusal_of_meshes
from wflow.arrays import Array, count, rounded_down
from wflow.domain import Box
from wflow.energy import Energy
from wflow.errors import LostDensity, StepTooLarge
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.measure import Density
from wflow.mesh_density import MeshDensity
from wflow.ranks import current
from wflow.solver import Order, Promise, Solver, State, Step, explicit_bound

if TYPE_CHECKING:
    from solvers.fem.assembly import Assembly

_OVER = 1.0 + 1e-15
_ROUNDING = 1e-14
"""Relative to the norm of the matrix. Measured: at most 3e-16 on one to three axes, dt T/h^2 from 1/4 to 1e12."""


@dataclass(frozen=True)
class DG0(Solver):
    """Discontinuous elements of degree 0 by DOLFINx: upwind in the drift (explicit), implicit in the heat.

    v is the velocity at the vertices, continuous and linear between them: not the differences of V across facets that
    finite volumes take. Both agree to O(h^2); what these give up is the proof that F falls, which is not promised.
        rho* = rho (1 - dt out) + dt in(rho),     (I - dt T Laplace_h) rho_new = rho*
    Positive for dt <= 1/out, whatever T; mass is kept. Order (1, 1); 1/2 in space from atoms, as for Upwind.
    The matrix does not depend on V: PETSc factors it once a step length. Cells are those of a grid on boxes; on other
    domains triangles, at temperature 0 (with heat: TwoPoint), the flux at the middles of facets.
    Raises StepTooLarge above 1/out, LostDensity where rounding in the solve is above what is expected of it.
    Source: Di Pietro & Ern 2012, Mathematical Aspects of Discontinuous Galerkin Methods, chapters 2 (upwind) and 4.
    """

    cells: int
    window: Window | None = None
    shaped: ClassVar[bool] = True
    distributed: ClassVar[bool] = True
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"

    def __post_init__(self) -> None:
        count("DG0 cells", self.cells, least=4)

    def order(self, flow: Flow) -> Order:
        """As Upwind's: (1, 1); without heat (1, (3 + q)/4) from a density that ends like (distance)^q."""
        return Order(1.0, space_order(flow, 1.0, 0.5))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity under the CFL bound."""
        return frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        """A machine without DOLFINx or a C compiler; Power terms; singular interactions; what no cells can take."""
        if not isinstance(flow.domain, Box):
            if flow.energy.internal:
                return "DG0 has no heat on triangles; use fem.TwoPoint"
            if (reason := refusal_of_meshes(flow, self.window)) is not None:
                return reason
        if (lacking := toolchain.missing()) is not None:
            return lacking
        if flow.energy.power is not None:
            return "DG0 has no flux for a Power term; use finite volumes"
        if flow.energy.singular:
            return "a singular interaction has no velocity at the vertices, where the density jumps; use finite volumes"
        return refusal_of_cells(flow, self.window) if isinstance(flow.domain, Box) else None

    def init(self, flow: Flow) -> State:
        if not isinstance(flow.domain, Box):
            return State(0.0, MeshDensity.averages_of(flow.initial, mesh_for(flow, self.cells, self.window)))
        return State(0.0, averages_of(flow, self.cells, self.window))

    def largest_step(self, flow: Flow, state: State) -> float:
        """min(positivity: 1/out, 1/(max|V''| + coupling))."""
        pi = state.measure
        if isinstance(pi, MeshDensity):
            return min(rates_of(flow, pi).largest, explicit_bound(flow.energy, pi))
        assert isinstance(pi, Density)
        return min(_longest(_exchanged(flow, pi)[1]), explicit_bound(flow.energy, pi))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        if isinstance(pi, MeshDensity):
            rates = allowed_rates(self, flow, pi, dt)
            moved = MeshDensity(pi.mesh, pi.values + dt * rates.values)
            return Step(state.after(dt, moved), dissipated=dt * rates.power)
        assert isinstance(pi, Density)
        gained, out = _exchanged(flow, pi)
        allowed = _longest(out)
        if dt > allowed * _OVER:
            raise StepTooLarge(
                f"{self}: dt = {dt:.4g} is above the CFL bound {allowed:.4g}; pass dt <= {rounded_down(allowed)}",
                allowed,
            )
        # at the bound itself 1 - dt out is a rounding below 0 in the fastest cell, which empties
        values = pi.values * np.maximum(1.0 - dt * out, 0.0) + dt * gained
        if flow.energy.temperature:
            values = _spread(pi, values, dt * flow.energy.temperature)
        new = Density(pi.grid, values)
        return Step(state.after(dt, new), dissipated=_work(flow.energy, pi, new))


def _work(energy: Energy, before: Density, after: Density) -> float:
    """The weak form tested with w = V + T log rho, the variation of the discrete F: -dt dF/dt of the scheme to O(dt^2).

    int |grad(V + T log rho)|^2 rho by any other quadrature differs from it by O(h^2), however short the step.
    """
    variation = energy.potential(before, before.points)
    if energy.temperature:
        variation = variation + energy.temperature * after.logarithms
    return float(np.sum(variation * (before.weights - after.weights)))


def _spread(before: Density, values: Array, share: float) -> Array:
    """rho - share Laplace rho = values at the mass of `before`: what rounding takes of it is scaled away, not more.

    The one direction in which the matrix is ill-conditioned is the constant one, so the rest of rho is not touched.
    """
    grid = before.grid
    spread = _assembly(grid).spread(values, share)
    mass = float(spread.sum()) * grid.cell_volume
    allowed = _ROUNDING * (1.0 + 4.0 * share * float(np.sum(grid.widths**-2.0)))
    if not abs(mass - before.mass) <= allowed:
        raise LostDensity(
            f"DG0: the linear solve changed the mass by {mass - before.mass:.3g}, rounding explains {allowed:.3g}; "
            "shorten the step"
        )
    return spread * (before.mass / mass)


def _longest(out: Array) -> float:
    """1/max out, inf where nothing leaves."""
    fastest = float(out.max())
    return 1.0 / fastest if fastest > 0.0 else math.inf


@lru_cache(maxsize=2)
def _exchanged(flow: Flow, pi: Density) -> tuple[Array, Array]:
    """What each cell gains (m,) and the rate (m,) at which it empties; a bound and its step ask the same of one pi."""
    velocity = _velocity(flow, pi) if flow.energy.interacting else _fixed_velocity(flow, pi.grid)
    return _assembly(pi.grid).exchanged(velocity, pi.values)


def _velocity(flow: Flow, pi: Density) -> Array:
    """-grad V[pi] (s, d) at the points that the mesh asks for."""
    return flow.energy.velocity(pi, _assembly(pi.grid).points)


@lru_cache(maxsize=4)
def _fixed_velocity(flow: Flow, grid: Grid) -> Array:
    """Where V does not depend on pi: asked once a grid."""
    return _velocity(flow, Density(grid, np.full(grid.size, 1.0 / (grid.size * grid.cell_volume))))


def _assembly(grid: Grid) -> "Assembly":
    """DOLFINx is met here for the first time."""
    toolchain.start()
    from solvers.fem.assembly import assembly_of

    return assembly_of(grid, current())
