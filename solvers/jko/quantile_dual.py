"""This file owns the JKO step of a network's own risk on edges of quantiles, certified by the dual of all measures."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from solvers.jko._quantiles import QuantileSolver, admissible, space_order
from solvers.jko.risk_dual import RiskDual
from wflow.arrays import Array, count
from wflow.errors import LostDensity, NotConverged
from wflow.flow import Flow
from wflow.measure import Particles, Quantiles
from wflow.solver import EVERY_PROMISE, Order, Promise, State, Step

_DUAL = 1e-6
"""Of the gain: how well D's maximum is known, as by default in jko.RiskDual."""
_SMALLEST = 1e-5
"""Of max(1, |F|): gains below it count as that much."""


@dataclass(frozen=True)
class QuantileDual(QuantileSolver):
    """The JKO step of jko.Quantile for a network's risk, at any dt: the global minimum, with a bound that shows it.

    Minimises  sum_i w_i |x_i - x0_i|^2/(2 dt) + F(x)  over edges x by the dual of jko.RiskDual, edges as atoms of the
    trapezoidal weights w. jko.Quantile descends from the start and may stop in a wrong valley; here every edge goes to
    the least place there is, and edges that part at a ridge leave a wide gap between them, as a map with a jump does.
    step.dual: D, at most the least F + cost of any measure, split atoms included (its minima are sampled, as
    RiskDual's are).   residual: F(end) + cost - D as a share of the gain; NotConverged where it is above `tolerance`.

    The dual's minimiser may split an edge that has two equally good places, and then is no measure of equal quantiles.
    The edge goes whole where its larger part went. For split edges of weights w_i between features psi, psi' that
    costs |sum_i w_i s_i (psi' - psi)_i|^2/2, s_i <= 1/2 the smaller shares: O(1/points^2), and the residual counts it.
    Edges that meet (in a kink of relu, at a wall) have no density between them: LostDensity.
    One axis; what jko.RiskDual takes. cells: of its table. Order 1 in dt, in space jko.Quantile's.
    """

    tolerance: float = 1e-3
    limit: int = 100
    cells: int = 128
    variational: ClassVar[bool] = True
    optimality: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        count("QuantileDual cells", self.cells, least=8)

    def order(self, flow: Flow) -> Order:
        """Time 1."""
        return Order(1.0, space_order(flow))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and energy for every dt."""
        return EVERY_PROMISE

    def _refusal(self, flow: Flow) -> str | None:
        """As quantiles and as jko.RiskDual."""
        return super()._refusal(flow) or RiskDual(self.points, cells=self.cells).refusal(flow)

    def resolved(self, flow: Flow) -> float:
        """0: the tolerance is one of F, and where nothing splits the gap is far below it."""
        return 0.0

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        from wflow.risk_dual.losses import minimised
        from wflow.risk_dual.movement import Movement

        start = state.measure
        assert isinstance(start, Quantiles)
        atoms = Particles(flow.domain, start.points, start.weights)
        found = minimised(Movement(flow.energy, atoms, dt), self.cells, _DUAL, self.limit)
        edges, split = _whole(found.whose, found.end, len(start.edges))
        if not admissible(start, edges):
            raise LostDensity(
                f"{self}: edges meet at t = {state.time:g}, dt = {dt:.3g}: mass gathers in a point, as in a kink or at "
                "a wall, and has no density there; take jko.RiskDual, whose atoms may meet"
            )
        end = start.moved(edges)
        spent = float(start.weights @ (edges - start.edges) ** 2) / (2.0 * dt)
        before, after = flow.energy.value(start), flow.energy.value(end)
        if after + spent > before:
            end, spent, after = start, 0.0, before
        share = (after + spent - found.dual) / max(before - found.dual, _SMALLEST * max(1.0, abs(before)))
        if not share <= self.tolerance:
            raise NotConverged(
                f"{self}: the step is certified to {share:.3g} > {self.tolerance:g} of its gain, with {split} edges "
                f"that the dual splits, at t = {state.time:g}, dt = {dt:.3g}; use more points or jko.RiskDual, whose "
                "atoms split, or change dt",
                share,
            )
        return Step(state.after(dt, end), spent, max(share, 0.0), dual=found.dual)


def _whole(whose: NDArray[np.intp], end: Particles, edges: int) -> tuple[Array, int]:
    """Where the larger part of each edge went (edges,), and how many edges were split."""
    order = np.lexsort((-end.weights, whose))
    first = order[np.flatnonzero(np.diff(whose[order], prepend=-1))]
    if len(first) != edges:
        raise NotConverged(f"QuantileDual: {edges - len(first)} edges were lost; shorten dt", math.inf)
    return end.points[first, 0], int(np.count_nonzero(np.bincount(whose) > 1))
