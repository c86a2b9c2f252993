"""This file owns conic (Wasserstein-Fisher-Rao) flows on cells: densities of both signs that grow, shrink and move.

    nu = rho_+ - rho_-:   d_t rho_s = beta div(rho_s s grad V) - 4 alpha rho_s (s V + lambda),      V = dR/dnu

the flow of solvers.conic without particles. Transport is that of solvers.finite_volume.explicit, a sheet at a time;
masses change by factors exp(.), so no density becomes negative and no sign changes. V at the centres is the exact
gradient of F in the cells' masses, hence with dt -> 0 on any grid

    -dF/dt = sum over sheets of  sum_cells 4 alpha m (s V + lambda)^2 + sum_faces |cell| J v,      v = -s jump(V)/h
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers._conic_bound import largest_step
from solvers._conic_rates import Speeds
from solvers.cells import OUTSIDE, compiled, refusal_of_cells, space_order
from solvers.finite_volume.explicit import face_values
from solvers.finite_volume.faces import axes_of, nonnegative
from solvers.finite_volume.sheets import Sheets, charges_of, measure_of, on_cells
from wflow.arrays import Array, count, rounded_down
from wflow.charged import Charged
from wflow.errors import Refused, StepTooLarge
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.solver import Order, Promise, Solver, State, Step

_STEEPEST = 50.0
"""Largest exponent of a mass in one step."""


@dataclass(frozen=True, eq=False)
class Moved:
    """rho - dt div J (2, m), the fastest outflow rate of a cell, and sum of J v over the faces of both sheets."""

    rho: Array
    drain: float
    work: float


@dataclass(frozen=True)
class ConicCells(Solver):
    """Common to both orders. From a law that conserves the sum of masses V stands without its mean."""

    cells: int
    alpha: float = 1.0
    beta: float = 1.0
    window: Window | None = None
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    charged: ClassVar[bool] = True
    most: ClassVar[float] = 1024.0
    steepness: ClassVar[float] = 1.0
    reconstructed: ClassVar[bool] = False
    share: ClassVar[float] = 1.0
    """Of the bound by the second derivative that a step may be long."""
    orders: ClassVar[float] = 1.0
    layer: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} cells", self.cells, least=4)
        Speeds.checked(name, self.alpha, self.beta)

    @property
    def speeds(self) -> Speeds:
        """alpha of masses and beta of positions."""
        return Speeds(self.alpha, self.beta)

    def order(self, flow: Flow) -> Order:
        """Of time and space, while densities are wide beside cells; with a total variation 1.5 at most, and no space.

        It makes answers sparse. A spike in a cell or two is O(h^(1/2)) from itself on another grid, in the dual norm.
        Beside it limiter and wind switch, kinks in time: each costs O(dt^2), by a factor for where in its step it falls
        (seen: slopes from 1.55 to 2.9 at distances of 1e-7).
        """
        if flow.energy.variation:
            return Order(min(self.orders, 1.5), identity=self.orders)
        return Order(self.orders, space_order(flow, self.orders, self.layer))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Positivity; energy below the stability bound, checked by the loop; mass where conserved or alpha = 0."""
        kept: set[Promise] = {"energy", "positivity"}
        return frozenset(kept | {"mass"} if flow.conserved or not self.alpha else kept)

    def _refusal(self, flow: Flow) -> str | None:
        if not flow.charged:
            return "the start is a probability law, whose mass other methods keep; to let it change give Charged(law)"
        if flow.energy.internal:
            return "an internal energy of two sheets of opposite sign is not defined here; give an energy without one"
        return refusal_of_cells(flow, self.window)

    def init(self, flow: Flow) -> State:
        """Averages of both sheets; what lies outside a window (at most 1e-6) is scaled away. Refused for more."""
        assert isinstance(flow.initial, Charged)
        grid = flow.grid(self.cells, self.window)
        sheets = []
        for values, mass in zip(flow.initial.averages_of_sheets(grid), flow.initial.masses, strict=True):
            found = float(values.sum()) * grid.cell_volume
            if abs(mass - found) > OUTSIDE * mass:
                raise Refused(f"window: a sheet of mass {mass:g} has {found:g} inside; widen the window")
            sheets.append(np.maximum(values, 0.0) * (mass / found if found else 1.0))
        return State(0.0, measure_of(flow, grid, np.stack(sheets)))

    def largest_step(self, flow: Flow, state: State) -> float:
        """min(CFL bound, share 2/L), L a bound of the second derivative of F along unit speed, as of charges."""
        nu = on_cells(state)
        drain = self.transported(Sheets.at(flow, nu, self.speeds), 0.0, at_once=False).drain
        return min(1.0 / drain if drain else np.inf, self.share * largest_step(flow, charges_of(nu), self.speeds))

    def transported(self, sheets: Sheets, dt: float, *, at_once: bool = True) -> Moved:
        """Both sheets moved by dt; StepTooLarge above the CFL bound, where it is not asked for."""
        rho, drain, work = sheets.rho.copy(), 0.0, 0.0
        for k, (own, xi) in enumerate(zip(sheets.rho, sheets.potential, strict=True)):
            if not (self.beta and own.any()):
                continue
            part = self._of_sheet(sheets.grid, own, xi, dt)
            rho[k], drain, work = part.rho, max(drain, part.drain * self.steepness), work + part.work
        if at_once and dt * drain > 1.0 + 1e-9:
            raise StepTooLarge(
                f"{self}: dt = {dt:.4g} is above the CFL bound {1.0 / drain:.4g}; pass dt <= "
                f"{rounded_down(1.0 / drain)}",
                1.0 / drain,
            )
        return Moved(rho, drain, work * sheets.grid.cell_volume)

    def _of_sheet(self, grid: Grid, rho: Array, xi: Array, dt: float) -> Moved:
        """One forward Euler stage of rho (m,) with velocities -jump(xi)/h, xi (m,)."""
        if compiled(grid.size):
            from solvers.finite_volume.fused import stage

            found = stage(grid, rho, xi, rho, 0.0, self.reconstructed, dt)
            return Moved(nonnegative(found.new, found.least) if dt else rho, found.drain, found.work)
        new, outflow, work = rho, np.zeros(grid.size), 0.0
        for axis in axes_of(grid):
            v = -axis.difference(axis.lined(xi)) / axis.width
            left, right = face_values(rho, axis, limited=self.reconstructed)
            flux = np.maximum(v, 0.0) * left - np.maximum(-v, 0.0) * right
            new = new - dt * axis.divergence(flux)
            outflow += axis.outflow(v)
            work += float(np.vdot(flux, v))
        drain = float(outflow.max())
        allowed = dt * drain * self.steepness <= 1.0 + 1e-9
        return Moved(nonnegative(new, float(new.min())) if allowed else new, drain, work)

    def _factor(self, growth: Array, dt: float) -> Array:
        """exp(dt growth); StepTooLarge where a mass would grow beyond all measure."""
        fastest = float(growth.max())
        if dt * fastest > _STEEPEST:
            allowed = _STEEPEST / fastest
            raise StepTooLarge(
                f"{self}: in dt = {dt:.4g} a mass grows by exp({dt * fastest:.4g}); pass dt <= {rounded_down(allowed)}",
                allowed,
            )
        return np.exp(dt * growth)

    def power(self, sheets: Sheets, work: float) -> float:
        """-dF/dt for the work of fluxes."""
        masses = sheets.rho.ravel() * sheets.grid.cell_volume
        return self.speeds.power(masses, sheets.growth.ravel(), 0.0) + (work / self.beta if self.beta else 0.0)


@dataclass(frozen=True)
class ConicUpwind(ConicCells):
    """Upwind transport, then the mirror step of masses: rho <- (rho - dt div J) exp(-4 alpha dt (s V + lambda)).

    V is that of the start of the step. Order (1, 1); positive for dt <= 1/outflow. alpha = 0 is transport alone, in
    which each sheet keeps its mass; beta = 0 is reaction alone, each cell by itself but for V.
    Source: Chizat 2022, Math. Program. 194, 487-532 (the mirror step), here beside upwind fluxes.
    """

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        sheets = Sheets.at(flow, on_cells(state), self.speeds)
        moved = self.transported(sheets, dt)
        end = measure_of(flow, sheets.grid, moved.rho * self._factor(sheets.growth, dt))
        return Step(state.after(dt, end), dissipated=dt * self.power(sheets, moved.work))


@dataclass(frozen=True)
class ConicMuscl(ConicCells):
    """Limited linear reconstruction, Heun's rule with an integrating factor for the masses. Order (2, 2).

        E = exp(dt (g_0 + g_1)/2),   rho_1 = E (rho_0 + dt N_0(rho_0)),   rho <- (E rho_0 + rho_1 + dt N_1(rho_1))/2

    N the transport and g = -4 alpha (s V + lambda) at the start and at exp(dt g_0)(rho_0 + dt N_0(rho_0)), the step of
    ConicUpwind: V is found twice. Without reaction it is the step of `Muscl`, without transport that of ConicHeun. All
    is a mean of forward Euler steps times positive factors: positive for dt <= 1/(2 outflow).
    Source: Lawson 1967, SIAM J. Numer. Anal. 4(3), 372-380 (integrating factors); Isherwood, Grant & Gottlieb 2018,
    SIAM J. Numer. Anal. 56(6), 3276-3307 (when they keep positivity).
    """

    steepness: ClassVar[float] = 2.0
    reconstructed: ClassVar[bool] = True
    # at more the first steps of a growth are too long for order 2 to be seen
    share: ClassVar[float] = 0.25
    orders: ClassVar[float] = 2.0
    layer: ClassVar[float] = 2.0 / 3.0

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        """dissipated: by the trapezoidal rule."""
        first = Sheets.at(flow, on_cells(state), self.speeds)
        moved = self.transported(first, dt)
        predicted = measure_of(flow, first.grid, moved.rho * self._factor(first.growth, dt))
        ahead = Sheets.at(flow, predicted, self.speeds)
        factor = self._factor(0.5 * (first.growth + ahead.growth), dt)
        second = ahead.with_density(factor * moved.rho)
        again = self.transported(second, dt)
        end = measure_of(flow, first.grid, 0.5 * (factor * first.rho + again.rho))
        spent = 0.5 * dt * (self.power(first, moved.work) + self.power(second, again.work))
        return Step(state.after(dt, end), dissipated=spent)
