"""This file owns long steps of a noisy network's density on cells, by a dual whose minima are softened by heat."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from solvers.cells import averages_of, refusal_of_cells
from solvers.jko.risk_dual import refusal_of_risk
from wflow.arrays import count, positive
from wflow.domain import Box
from wflow.errors import NotConverged
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.measure import Density
from wflow.risk_dual.softened import Softened
from wflow.solver import Order, Solver, State, Step
from wflow.transport import w2

AXES = 2
_SMALLEST = 1e-5


@dataclass(frozen=True)
class SoftMin(Solver):
    """Minimises |f_pi - y|^2/2 + int r dpi + 2 T KL(gamma | mu x heat of a time dt T) over couplings gamma of mu.

    A consistent splitting, not the JKO step: the heat's own spread stands in gamma's second marginal pi in place of
    T Ent(pi). To first order mass drifts by -dt grad V[pi] and spreads by the variance 2 T dt. The dual in the residual
    p (n,) is smooth and strictly concave (wflow.risk_dual.softened): one maximum for any dt, by Newton's method; no
    mass is pinned to cells and none needs to split. V is that of the step's end.
    Mass to rounding, density > 0. Energy is not promised. Order 1 in dt, 2 in h. One or two axes, walls or periodic;
    a frozen axis besides.
    step.dual: max D.   residual: what gamma costs less D, as a share of D less D at the start's residual, and at least
    of 1e-5 max(1, F); minima are sums over all cells, so it is a gap of the problem on cells itself.
    Raises NotConverged where it is above `tolerance`, and where mass moves by more cells than one and two for each
    squared cell of dt T: heat of cells is a walk, and that of the plane for shorter distances alone.
    Source: derived for this project; the entropic problem is that of Peyre 2015, SIAM J. Imaging Sci. 8(4), 2323-2351,
    with heat as its reference and without its bias.
    """

    cells: int
    window: Window | None = None
    tolerance: float = 1e-10
    limit: int = 60
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    optimality: ClassVar[bool] = True
    most: ClassVar[float] = 4096.0
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("SoftMin cells", self.cells, least=4)
        positive("SoftMin tolerance", self.tolerance)
        count("SoftMin limit", self.limit)

    def order(self, flow: Flow) -> Order:
        """(1, 2)."""
        return Order(1.0, 2.0)

    def _refusal(self, flow: Flow) -> str | None:
        """No temperature, or a power; no half-square risk on data; more than two moving axes; no window."""
        if not flow.energy.temperature or flow.energy.power is not None:
            return "minima are softened by a temperature, and by that alone; without one take jko.RiskDual"
        if reason := refusal_of_risk(flow.energy):
            return reason
        if len(flow.domain.moving) > AXES:
            return f"{len(flow.domain.moving)} axes move; this method takes at most {AXES}, use particles"
        return refusal_of_cells(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Density)
        risk = flow.energy.risk
        assert risk is not None
        dual, p = Softened.of(flow.energy, start, dt), risk.predict(start) - risk.data.targets
        begin = dual.at(p)
        least = _SMALLEST * max(1.0, abs(flow.energy.explicit(start)))
        found = dual.maximised(p, 1e-3 * self.tolerance * least, self.limit)
        share = dual.gap(found) / max(found.value - begin.value, least)
        if not share <= self.tolerance:
            raise NotConverged(
                f"{self}: the step is known to {share:.3g} > {self.tolerance:g} of its gain, at t = {state.time:g}, "
                f"dt = {dt:.3g}; raise `limit` or shorten dt",
                share,
            )
        masses = found.masses.ravel()
        end = Density(start.grid, masses * (start.mass / (masses.sum() * start.grid.cell_volume)))
        for axis in flow.domain.moving:
            self._reached(start, end, axis, flow.energy.temperature * dt)
        return Step(state.after(dt, end), residual=share, dual=found.value)

    def _reached(self, start: Density, end: Density, axis: int, heat: float) -> None:
        """NotConverged where mass moves along an axis by more cells than two for each squared cell of heat tau T.

        Heat of cells is a walk: at a distance of d cells it costs d^2/4t (1 - d^2/48 t^2 + ..) for a heat of t squared
        cells, which is that of the plane for d below 2 t alone.
        """
        h = float(start.grid.widths[axis])
        crossed, allowed = w2(_along(start, axis), _along(end, axis)) / h, max(1.0, 2.0 * heat / h**2)
        if crossed > allowed:
            raise NotConverged(
                f"{self}: mass moves by {crossed:.3g} cells of axis {axis}, and the noise of this step, tau T = "
                f"{heat / h**2:.3g} squared cells, is resolved up to {allowed:.3g}; use more cells, or jko.RiskDual "
                "where noise is so small",
                crossed,
            )


def _along(pi: Density, axis: int) -> Density:
    """The marginal on an axis."""
    box, n = pi.domain, pi.grid.shape[axis]
    line = Grid(Box((box.lower[axis],), (box.upper[axis],), (box.periodic[axis],)), (n,))
    others = tuple(k for k in range(box.dim) if k != axis)
    masses = pi.weights.reshape(pi.grid.shape).sum(axis=others)
    return Density(line, masses / (masses.sum() * line.cell_volume))
