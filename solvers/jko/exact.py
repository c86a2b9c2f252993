"""This file owns the exact JKO step on small grids: masses at cell centres, true W2, certified by POT."""

import functools
import math
import operator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells
from solvers.jko._bounds import Bounds, bounds, sheets_of
from solvers.jko._interior import Programme, solved
from solvers.jko._speed import cells_a_time, slope_of
from wflow.arrays import Array, count, positive
from wflow.errors import NotConverged
from wflow.flow import Flow, Window
from wflow.measure import Density
from wflow.plans import MOST_ATOMS
from wflow.second_variation import second_variation
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step
from wflow.watch import EDGE

RESOLVED = 4.0
"""Cells that the fastest mass must cross in a step for the step to be compared with one off the grid."""
_GOAL = 1e-14
"""The gap aimed at, as a share of max(1, |F|): what standing still must not be beaten by."""
_DUST = 1e-15
"""Mass of a cell, as a share of the largest, that stays where it is."""
_SCALE = 1e-5


@dataclass(frozen=True)
class Exact(Solver):
    """The JKO step itself, for masses q at the centres of at most 2000 cells: nothing relaxed, nothing regularised.

    Minimises  G(q) = F(q) + W2^2(p, q)/(2 dt)  over q >= 0 of the mass of p, W2 the cost of moving mass between cell
    centres, by an interior-point method for the coupling. One or two axes, a frozen one not counted; F convex along
    mixtures. Every step is certified from p and its end alone, W2 and its potentials by POT. With b the bound of
    G - min G from dF/dq and b' that from POT's potentials (solvers.jko._bounds), each as a share of the gain F(p) - G,
    residual = max(b, b'^2): potentials are known to the root of what a minimum is known to.

    A tool to compare with. Mass on nodes pays a price that is linear between nodes: a dry friction. Where
    dt |grad V| < h/2 nothing moves for ever, elsewhere a displacement errs by up to h/2. Steps mean something from
    `smallest_step` on; order 1 in dt down to there, 1 in h at fixed dt.
    Raises NotConverged if the residual is above `tolerance`.
    Source: Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1), 1-17.
    """

    cells: int
    window: Window | None = None
    tolerance: float = 1e-6
    limit: int = 200
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    variational: ClassVar[bool] = True
    optimality: ClassVar[bool] = True
    most: ClassVar[float] = 800.0

    def __post_init__(self) -> None:
        count("Exact cells", self.cells, least=2)
        positive("Exact tolerance", self.tolerance)
        count("Exact limit", self.limit)

    def order(self, flow: Flow) -> Order:
        """(1, 1)."""
        return Order(1.0, 1.0)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and energy for every dt."""
        return EVERY_PROMISE

    def _refusal(self, flow: Flow) -> str | None:
        """Energies not convex along mixtures; more than two moving axes; too many cells, or too few for the window."""
        if not flow.energy.convex:
            return "the energy is not convex along mixtures, so that no minimum of a step can be certified"
        moving = len(flow.domain.moving)
        if moving > 2:
            return f"{moving} axes move; the exact step takes at most 2, its work grows as the cube of all cells"
        reason = refusal_of_cells(flow, self.window)
        if reason is None and (size := flow.grid(self.cells, self.window).size) > MOST_ATOMS:
            return f"{self.cells} cells an axis are {size} in all; at most {MOST_ATOMS}, use fewer"
        return reason or self._refusal_of_window(flow)

    def _refusal_of_window(self, flow: Flow) -> str | None:
        edge = flow.at_edges(averages_of(flow, self.cells, self.window))
        if edge <= EDGE:
            return None
        return (
            f"on {self.cells} cells an axis {edge:.2g} of the start lies within two cells of a wall that stands for "
            f"infinity, allowed: {EDGE:g}; use more cells, of which it takes at most {MOST_ATOMS} in all"
        )

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def smallest_step(self, flow: Flow) -> float:
        """The dt in which the fastest visible mass crosses four cells of its axis; inf where nothing drives it."""
        fastest = cells_a_time(flow, averages_of(flow, self.cells, self.window))
        return RESOLVED / fastest if fastest > 0.0 else math.inf

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Density)
        problem = _Problem(flow, start, dt)
        found = problem.judged(problem.minimiser(self.limit))
        if found.gained <= 0.0:
            # the friction holds everything, and the minimiser is the start but for rounding
            found = min(found, problem.judged(start), key=lambda one: one.residual)
        if not found.residual <= self.tolerance:
            raise NotConverged(
                f"{self}: the JKO step is certified to {found.residual:.3g} > {self.tolerance:g}, at "
                f"t = {state.time:g}, dt = {dt:.3g} (gained {found.gained:.3g}, off by at most "
                f"{found.bounds.by_slope:.3g}, by POT's potentials {found.bounds.by_potentials:.3g}); "
                "lengthen dt, raise `limit` or use fewer cells",
                found.residual,
            )
        return Step(state.after(dt, found.end), dissipated=found.bounds.price, residual=found.residual)


@dataclass(frozen=True, eq=False)
class _Judged:
    """An end of a step, what it gains, F(p) - G(end), at most how much more could be gained, and F's own size."""

    end: Density
    gained: float
    bounds: Bounds
    size: float

    @property
    def residual(self) -> float:
        """Of what is gained, the larger of the gap and the square of what POT's potentials leave."""
        scale = max(self.gained, _SCALE * self.size)
        return max(self.bounds.by_slope / scale, (self.bounds.by_potentials / scale) ** 2, 0.0)


def _bend(flow: Flow, pi: Density) -> Array:
    """d^2F/dq^2 (m, m) at a positive density, up to what a constant mass hides."""
    bend = second_variation(flow.energy, pi)
    for term in flow.energy.internal:
        bend[np.diag_indices_from(bend)] += term.stiffness(pi.values) / pi.weights
    return bend


class _Problem:
    """G for one step on a grid."""

    def __init__(self, flow: Flow, start: Density, dt: float) -> None:
        self.flow, self.start, self.grid = flow, start, start.grid
        points = start.grid.centres
        squares = flow.domain.difference(points[:, None, :], points[None, :, :]) ** 2
        self.costs = squares.sum(axis=2) / (2.0 * dt)
        self.sheets = sheets_of(points, flow.domain.frozen)

    def density(self, masses: Array) -> Density:
        """Masses (m,), scaled to the start's mass but for rounding."""
        return Density(self.grid, masses * (self.start.mass / (masses.sum() * self.grid.cell_volume)))

    def minimiser(self, limit: int) -> Density:
        """What the interior-point method finds."""
        p = self.start.weights
        moving = p > _DUST * p.max()
        costs = self.costs[moving]
        for sheet in self.sheets:
            costs[np.ix_(sheet[moving], ~sheet)] = np.inf
        programme = Programme(
            costs,
            p[moving],
            np.where(moving, 0.0, p),
            lambda masses: slope_of(self.flow, self.density(masses)),
            lambda masses: _bend(self.flow, self.density(masses)),
        )
        goal = _GOAL * max(1.0, abs(self.flow.energy.value(self.start)))
        return self.density(solved(programme, goal, limit))

    def judged(self, end: Density) -> _Judged:
        """The end with its price and how far it can be from optimal."""
        slope, p, q = slope_of(self.flow, end), self.start.weights, end.weights
        if np.isneginf(slope).any():
            # an empty cell under entropy: any mass there gains
            return _Judged(end, -math.inf, Bounds(math.inf, math.inf, math.inf), 1.0)
        found = (bounds(p[s], q[s], self.costs[np.ix_(s, s)], slope[s]) for s in self.sheets)
        total = functools.reduce(operator.add, found)
        before, after = (self.flow.energy.value(pi) for pi in (self.start, end))
        return _Judged(end, before - after - total.price, total, max(1.0, abs(before)))
