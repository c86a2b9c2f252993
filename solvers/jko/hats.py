"""This file owns the JKO step on cells of energies without an internal term, tabulated at the cells' centres."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from solvers.cells import averages_of, refusal_of_cells, space_order
from solvers.jko._halves import by_halves
from wflow.arrays import count, positive
from wflow.compiled import available
from wflow.errors import NotConverged
from wflow.flow import Flow, Window
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step

AXES = 2


@dataclass(frozen=True)
class Hats(Solver):
    """The JKO step on cells for energies without entropy or power, tabulated at the cells' centres: any dt, certified.

    Cells carry masses mu_i at their centres x_i. Functions of w are replaced by what hats make of their values at the
    centres (linear between them along each axis), and F of any measure by F of the cells that its mass is shared by
    through the same hats. For that energy the step

        min over couplings of mu   F(rho) + sum of mass |y - x_i|^2/(2 dt),    rho_k = int hat_k(y) over where mass goes

    is solved by its concave dual (wflow.hats.step), V that of the step's end, every minimum over y found globally.
    So int g over the mass that moved is sum_k g_k rho_k for every tabulated g: what moves by less than a cell moves
    the mean by exactly that (nothing is pinned), what does not move is not spread, and there is no CFL bound. An atom
    that lands a share s of a cell from a centre is spread by the variance s (1 - s) h^2, the least that any measure on
    centres with that mean has; below one cell a step is that of first-order upwind fluxes with V of the step's end.
    One or two moving axes, walls or periodic; frozen axes. F quadratic in the measure, convex or not: Potential, Risk
    (half_square), Interaction and population risks.

    Mass to rounding, density >= 0.   dissipated: the cost of the step's own coupling over 2 dt, mass as it lands,
    before the hats share it; F(rho) + dissipated <= F(rho_0) for every dt. W2 of the densities is at most the root of
    2 dt dissipated and h/12^(1/2) an axis more.   step.dual: F + dissipated less the gap.   residual: the gap
    int V drho + dissipated - sum_i mu_i min_y [V(y) + |y - x_i|^2/(2 dt)], V of the end, as a share of the gain
    F(rho_0) - dual (at least 1e-5 max(1, |F|)): where F is convex a bound, proved to rounding, of how far the step is
    above the least; elsewhere it says that the end is stationary. NotConverged where it is above `tolerance`: some
    steps so long that most atoms tie, on more than 1024 cells by a kernel of full rank. With halvings > 0 such a
    step is taken as two halves instead, up to so many times.
    Order 1 in dt, in h that of upwind fluxes.
    Source: derived for this project; the deposit by hats is that of particle-in-cell methods (Hockney & Eastwood 1988).
    """

    cells: int
    window: Window | None = None
    tolerance: float = 1e-6
    halvings: int = 0
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    variational: ClassVar[bool] = True
    optimality: ClassVar[bool] = True
    most: ClassVar[float] = 4096.0
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("Hats cells", self.cells, least=4)
        positive("Hats tolerance", self.tolerance)
        count("Hats halvings", self.halvings, least=0)

    def order(self, flow: Flow) -> Order:
        """As Upwind's: (1, 1), less in space from a density that ends in a jump or is an atom."""
        return Order(1.0, space_order(flow, 1.0, 0.5))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and energy for every dt."""
        return EVERY_PROMISE

    def _refusal(self, flow: Flow) -> str | None:
        """An internal term; V not affine in the measure; more than two moving axes; no numba; no window."""
        if flow.energy.internal:
            return "atoms have no entropy and no power: take jko.Spline, which reads a density off its potential"
        if not flow.energy.quadratic:
            return "V must be affine in the density: a loss other than half_square is not; take particles or cells"
        moving = len(flow.domain.moving)
        if moving > AXES:
            return f"{moving} axes move; hats are laid on at most {AXES}, use particles"
        if not available():
            return "it needs numba, the extra `fast`: pip install 'wflow[fast]'"
        return refusal_of_cells(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        return by_halves(partial(self._whole, flow), state, dt, self.halvings)

    def _whole(self, flow: Flow, state: State, dt: float) -> Step:
        from wflow.hats.movement import Movement
        from wflow.hats.step import minimised

        assert isinstance(state.measure, Density)
        found = minimised(Movement(flow.energy, state.measure, dt), self.tolerance)
        if not found.gap <= self.tolerance:
            raise NotConverged(
                f"{self}: the step is known to {found.gap:.3g} > {self.tolerance:g} of its gain, at "
                f"t = {state.time:g}, dt = {dt:.3g}; shorten dt, let it halve (halvings), or raise `tolerance`",
                found.gap,
            )
        return Step(state.after(dt, found.end), found.spent, found.gap, dual=found.dual)
