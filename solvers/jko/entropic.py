"""This file owns the JKO step with entropic transport on grids of one or two axes, debiased to first order."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells
from solvers.jko._gibbs import geodesic_costs, heat_costs
from solvers.jko._scaling import Corrected, Scaling, Swept, coupled, gibbs_on, least_epsilon, narrow
from wflow.arrays import Array, count, positive
from wflow.compiled import available
from wflow.errors import NotConverged, Refused
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.measure import Density
from wflow.solver import Order, Promise, Solver, State, Step

AXES = 2
_SHARE = 0.05
"""Of dt T: the default kernel's variance, where that is more than one cell's."""
_ROUNDING = 1.0 + 1e-9


@dataclass(frozen=True)
class Entropic(Solver):
    """The JKO step on cells with entropic transport, debiased; kernels e^(-|x - y|^2/2 epsilon), epsilon a variance.

    Minimises  F(rho) - (epsilon/2 dt) Ent(rho) + (1/dt) min_gamma [int |x - y|^2/2 dgamma + epsilon Ent(gamma)]  over
    rho and couplings gamma of rho_0 and rho. The last term is W2^2/2 dt + (epsilon/2 dt)(Ent(rho_0) + Ent(rho))
    but for O(epsilon^2/dt) and a constant: uncorrected, the step would be that of the temperature T + epsilon/2 dt.
    gamma is a(x) K(x, y) b(y); with w = log K a, a = rho_0/K b, and V that of the end, by fixed point,

        (epsilon/dt) (log rho - w) + (T - epsilon/2 dt) log rho + U_power'(rho) + V = const,     log b = log rho - w

    is iterated in log b with Anderson's mixing: the scaling algorithm of the source, in the log domain, with K by two
    matrix products. One or two axes, walls (the kernel is cut off there) or periodic; an entropy, also with a power.

    epsilon: None for one cell squared, less in short steps (down to .6 cells) and dt T/20 in long ones. Refused above
    2 dt T, from where the bias is no less than the error of the step, and below .6 cells squared.
    Mass to rounding, density positive. F may rise next to equilibrium, and is not promised;
    `dissipated` is a coupling's cost (wflow.knothe), at least W2^2/2 dt. Order 1 in dt, 2 in h.
    Raises NotConverged if mass sum |rho - b K a| stays above `tolerance`.
    Source: Peyre 2015, SIAM J. Imaging Sci. 8(4), 2323-2351; expansion of the cost: docs/mathematics.md.
    """

    cells: int
    window: Window | None = None
    epsilon: float | None = None
    tolerance: float = 1e-9
    limit: int = 500
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    most: ClassVar[float] = 65536.0
    scaling: ClassVar[type[Scaling]] = Corrected

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} cells", self.cells, least=4)
        if self.epsilon is not None:
            positive(f"{name} epsilon", self.epsilon)
        positive(f"{name} tolerance", self.tolerance)
        count(f"{name} limit", self.limit)

    @staticmethod
    def costs(n: int, variance: float, turns: bool) -> Array:
        """-log K (n, n) along an axis, variance in cells squared."""
        return geodesic_costs(n, variance, turns)

    def order(self, flow: Flow) -> Order:
        """(1, 2)."""
        return Order(1.0, 2.0)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity."""
        return frozenset({"mass", "positivity"})

    def resolved(self, flow: Flow) -> float:
        """As if the mass in wrong cells, at most the tolerance, were a length of one away from its own."""
        return self.tolerance

    def _refusal(self, flow: Flow) -> str | None:
        """No entropy; a frozen axis; more than two axes; no window; a kernel too narrow or too wide; no numba."""
        if not flow.energy.temperature:
            return (
                "the temperature is 0: without entropy the kernel would smear edges, and T - epsilon/2 dt be negative"
            )
        if any(flow.domain.frozen):
            return "an axis is frozen: the kernel would join its sheets"
        if not available():
            return "it needs numba, the extra `fast`: pip install 'wflow[fast]'"
        return refusal_of_cells(flow, self.window, AXES) or self._refusal_of_kernel(flow)

    def _refusal_of_kernel(self, flow: Flow) -> str | None:
        least, smallest = least_epsilon(flow.grid(self.cells, self.window)), self.smallest_step(flow)
        if self.epsilon is not None and self.epsilon < least:
            return narrow(self.epsilon, least)
        if smallest > flow.horizon:
            return (
                f"on {self.cells} cells an axis a step is {smallest:.3g} at least (epsilon/2T) and the horizon is "
                f"{flow.horizon:.3g}; use more cells or a smaller epsilon"
            )
        return None

    def smallest_step(self, flow: Flow) -> float:
        """epsilon/2T, for the least epsilon where none is set: in less the kernel is wider than heat spreads."""
        least = least_epsilon(flow.grid(self.cells, self.window))
        return (least if self.epsilon is None else self.epsilon) / (2.0 * flow.energy.temperature)

    def regularisation(self, flow: Flow, grid: Grid, dt: float) -> float:
        """epsilon of a step; Refused where it is too small for the cells or too large for dt T."""
        spread, least, cell = dt * flow.energy.temperature, least_epsilon(grid), float(grid.widths.max())
        chosen = max(min(cell**2, spread), least, _SHARE * spread)
        epsilon = chosen if self.epsilon is None else self.epsilon
        if epsilon < least:
            raise Refused(f"{self}: {narrow(epsilon, least)}")
        if epsilon > 2.0 * spread * _ROUNDING:
            raise Refused(
                f"{self}: epsilon = {epsilon:.3g} is above 2 dt T = {2.0 * spread:.3g} (dt = {dt:.3g}, "
                f"T = {flow.energy.temperature:.3g}), and T - epsilon/2 dt negative; lengthen dt, use more cells or a "
                f"smaller epsilon (at least {least:.3g} on these), or jko.Sinkhorn"
            )
        return epsilon

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Density)
        epsilon = self.regularisation(flow, start.grid, dt)
        problem = self.scaling(flow, start, gibbs_on(start.grid, self.costs, epsilon), epsilon, dt)
        end, x, change = start, problem.first_guess(), 0.0
        for _ in range(self.limit):
            found = problem.solved(x, problem.potential(end), self.tolerance, self.limit)
            if not found.residual <= self.tolerance:
                raise self._stopped("the scaling", found.residual, state.time, dt)
            last, end, x = end, problem.density(found), found.x
            change = float(np.abs(end.values - last.values).sum()) * end.grid.cell_volume
            if not flow.energy.interacting or change <= self.tolerance:
                residual = max(found.residual, change) if flow.energy.interacting else found.residual
                spent = self.priced(problem, found, end, dt)
                return Step(state.after(dt, end), dissipated=spent, residual=residual)
        raise self._stopped("the fixed point for V", change, state.time, dt)

    def priced(self, problem: Scaling, found: Swept, end: Density, dt: float) -> float:
        """What a step dissipated."""
        return coupled(problem.start, end) / (2.0 * dt)

    def _stopped(self, what: str, residual: float, time: float, dt: float) -> NotConverged:
        return NotConverged(
            f"{self}: {what} stopped at {residual:.3g} > {self.tolerance:g} of mass at t = {time:g}, dt = {dt:.3g}; "
            "shorten dt, raise `limit` or `epsilon`",
            residual,
        )


@dataclass(frozen=True)
class Heated(Entropic):
    """As Entropic with the heat kernel of the domain at the time epsilon/2, reflected at walls: images are summed.

    By Varadhan's formula -2 epsilon log K is the squared distance but for O(epsilon), and the uniform law is K's own:
    at walls where the density is positive nothing is lost, while the Gaussian kernel, cut off there, leaves a layer.
    Away from walls the two are one. Source: Solomon et al. 2015, ACM Trans. Graph. 34(4), 66 (the kernel).
    """

    @staticmethod
    def costs(n: int, variance: float, turns: bool) -> Array:
        return heat_costs(n, variance, turns)
