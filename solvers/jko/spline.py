"""This file owns the JKO step on grids of one or two axes, by the dual whose potential is a spline."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells
from solvers.jko._climb import allowed
from solvers.jko._halves import by_halves
from solvers.jko._speed import cells_a_time
from solvers.jko._taken import AtRest, Taken
from wflow.arrays import count, positive
from wflow.compiled import available
from wflow.errors import NotConverged, Refused
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.limits import Congestion
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step

if TYPE_CHECKING:
    from solvers.jko._minimum import Minimum
    from solvers.jko._stage import Stage

AXES, _FAR = 2, 2.0
"""At most so many axes; cells: mass that moves further in a step asks for a coarse spline."""
_SPLIT = {1: 4, 2: 2}
"""Parts of a cell on each axis that make four."""
_RESOLVED, _HELD = 0.25, 0.5
"""Cells: the least that the fastest mass crosses in a step; in the plane under limits."""
_NUMBA = "it needs numba, the extra `fast`: pip install 'wflow[fast]'"
_EDGE, _EMPTY = 1e-2, 1e-12
_IDLE, _IDLY = 0.15, 2
"""Cells: a step that gains less than this way costs gains next to nothing; couplings that are tried for it."""
SLACK, _STILL = 1e-13, 1e-9
"""Of max(1, |F|): rounding of F, and what an end may lie above the start for the start to be taken in its place."""
_SLOW = 0.1
"""Of what a step under V alone would gain: a crowd that gains more is on its way, however short the step."""
_GAINED = 0.5
"""Of what the dual allows, the least that a step gains."""


@dataclass(frozen=True)
class Spline(Solver):
    """The JKO step itself on cells: W2 by its dual, whose potential is a tensor quadratic spline.

    Minimises F(rho) + W2^2(rho_0, rho)/(2 dt) by maximising D(c) (wflow.spline.dual) over the coefficients of
    p = U'(rho) + V, a spline on the cells or, where mass moves further than two of them, on cells twice as wide: the
    mass that moved, y = x - dt grad p(y), and rho agree against every spline. Atoms of rho_0 stay where they land, off
    the grid, until rho is read off p: of what cells resolve nothing is lost below them, nothing diffuses by the grid.
    Where the map stretches atoms are halved (tails that come from one cell, beside a jump; the ascent in _climb).
    One or two axes, walls or periodic; entropy, a power, or both; under limits (Congestion, Obstacle) also neither.

    Mass to rounding, density >= 0, and F(rho) + dissipated <= F(rho_0), checked at each step with `dissipated` the cost
    of a coupling of the two densities, hence above W2^2/(2 dt): Knothe's of the cells or of smoother readings, or that
    of the step's own map, repaired (Stage.couplings). V[pi] of an interacting energy is that of the end of the step, by
    fixed point. Order 1 in dt, 2 in h where rho is smooth.
    Mass in up to eight cells, and in up to 512 where splines miss, goes by the exact dual of its atoms to a density
    that is constant in cells (solvers.jko._heights), if it moves further than parts of cells are wide.
    residual: the distance by which mass is off at the end, in the metric of the ascent; NotConverged where it is above
    `tolerance` times the distance that mass moved in the step and the width of a cell of the spline (two of the
    density's), or where the energy inequality is not met. With halvings > 0 such a step is taken as two halves
    instead, up to so many times.
    Limits: rho <= most and rho = 0 in obstacles to rounding, order 1 in h. Without entropy and power the step of
    F(rho) + int weight (rho - centre)^2/2 dw, centre rho_0 drifted by V and cut at `most`, weight = h |grad V|/(2 most)
    (solvers.jko._price). Distances are straight: of a step's cost no more than a hundredth may be of ways that meet an
    obstacle and are longer than a quarter of its thickness, and none of ways through what nobody can go round nearby
    (wflow.ways), else NotConverged. A step that gains less than a seventh of a cell's way costs and a tenth of what V
    alone would, and cannot be certified, stays where it is and counts as a fallback.
    Source: Jacobs, Lee & Leger 2021, ESAIM Control Optim. Calc. Var. 27, 28 (the dual); here with splines.
    """

    cells: int
    window: Window | None = None
    tolerance: float = 1e-3
    limit: int = 300
    halvings: int = 0
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    variational: ClassVar[bool] = True
    most: ClassVar[float] = 4096.0
    limited: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} cells", self.cells, least=4)
        positive(f"{name} tolerance", self.tolerance)
        count(f"{name} limit", self.limit)
        count(f"{name} halvings", self.halvings, least=0)

    def order(self, flow: Flow) -> Order:
        """(1, 2); in space 1 where the density has an edge."""
        return Order(1.0, 2.0 if flow.energy.temperature else 1.0)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and energy: a step that does not have them raises."""
        return EVERY_PROMISE

    def _refusal(self, flow: Flow) -> str | None:
        """No entropy, power or congestion; a frozen axis; more than two axes; no numba; no window."""
        bounded = any(isinstance(limit, Congestion) for limit in flow.energy.limits)
        if not flow.energy.internal and not bounded:
            return "no entropy, power or Congestion: the density has no bound, and rho is no function of its potential"
        if any(flow.domain.frozen):
            return "an axis is frozen: the spline would join its sheets"
        if not available():
            return _NUMBA
        return refusal_of_cells(flow, self.window, AXES)

    def resolved(self, flow: Flow) -> float:
        """As if mass that moves by a length of one in all were off by a hundredth of the tolerance in the end.

        Without entropy some share of a cell besides: where an edge moves by less in a step, D has kinks (of an atom
        between two places), and what is left there does not vanish with dt.
        """
        edge = 0.0 if flow.energy.temperature else _EDGE * float(flow.grid(self.cells, self.window).widths.max())
        return 1e-2 * self.tolerance + edge

    def init(self, flow: Flow) -> State:
        """Refused where the law's averages are above a limit; without numba too, for who steps without `solve`."""
        if not available():
            raise Refused(f"{self}: {_NUMBA}")
        start = averages_of(flow, self.cells, self.window)
        if flow.energy.limits and not flow.energy.within(start):
            over = int(np.argmax(start.values - flow.energy.bound(start.grid)))
            raise Refused(
                f"initial: its average is {start.values[over]:.4g} > {flow.energy.bound(start.grid)[over]:.4g} in the "
                f"cell at {start.grid.centres[over].tolist()}; start where the limits hold, or use more cells"
            )
        return State(0.0, start)

    def smallest_step(self, flow: Flow) -> float:
        """0; without entropy on two axes or under limits that in which the fastest mass crosses a quarter of a cell.

        In less the edge stands between two rows of nodes, and what D leaves open there is as much as what moves. In the
        plane under limits half a cell: there a step's cost is known up to what cells resolve, and is to be below F's
        fall.
        """
        if flow.energy.temperature or (flow.domain.dim == 1 and not flow.energy.limits):
            return 0.0
        fastest = cells_a_time(flow, averages_of(flow, self.cells, self.window))
        least = _HELD if flow.domain.dim == 2 and flow.energy.limits else _RESOLVED
        return least / fastest if fastest > 0.0 else math.inf

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        return by_halves(partial(self._whole, flow), state, dt, self.halvings)

    def _whole(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Density)
        found = self.moved(flow, start, dt, state.time)
        return Step(
            state.after(dt, found.end), found.dissipated, found.residual,
            dual=found.dual, fallback=found.fallback, coarse=found.coarse,
        )  # fmt: skip

    def moved(self, flow: Flow, start: Density, dt: float, time: float) -> Taken:
        """One step: of mass in few cells by their dual (solvers.jko._heights), else on splines.

        Where those miss, by the other, as far as each cell can be an atom: the same step, held to the same certificate.
        """
        from solvers.jko._few import few, taken_apart
        from solvers.jko._stage import Stage

        stage = Stage(flow, start.grid, False)
        if stage.idle(start):
            return Taken(start, 0.0, 0.0, flow.energy.value(start))
        apart, first = taken_apart(stage, start), few(start)
        if apart and first:
            with suppress(NotConverged):
                return self.attempt_of_few(stage, start, dt, time)
        try:
            return self._on_splines(flow, start, dt, time)
        except NotConverged:
            if apart and not first:
                with suppress(NotConverged):
                    return self.attempt_of_few(stage, start, dt, time)
            raise

    def _on_splines(self, flow: Flow, start: Density, dt: float, time: float) -> Taken:
        """On a fine spline or a coarse one: first on that which is right for how far mass moves.

        Never on a fine one where there is an edge. Where these miss, on the coarse one with four atoms a cell: those of
        a step that stretches mass land far apart. With limits then with sixteen (on one axis eight): where a crowd
        parts before an obstacle, an atom that might go either way goes as a whole.
        """
        from solvers.jko._stage import Stage

        missed: NotConverged | None = None
        edged = self._edged(flow, start)
        far = edged or cells_a_time(flow, start) * dt > _FAR
        split = _SPLIT[flow.domain.dim]
        ways = [(far, 1), (True, split)] if edged else [(far, 1), (not far, 1), (True, split)]
        if flow.energy.limits:
            ways.append((True, 2 * split))
        for coarse, split in ways:
            try:
                return replace(self.attempt(Stage(flow, start.grid, coarse, split), start, dt, time), coarse=coarse)
            except AtRest:
                return Taken(start, 0.0, 0.0, math.nan, fallback=True)
            except NotConverged as error:
                missed = missed or error
        assert missed is not None
        raise missed

    def _edged(self, flow: Flow, start: Density) -> bool:
        """Whether the density ends at an edge, outwards or of what is full: there a fine spline's D has kinks."""
        if flow.energy.temperature:
            return False
        return bool(flow.energy.limits) or bool(np.any(start.values <= _EMPTY * start.values.max()))

    def attempt(self, stage: "Stage", start: Density, dt: float, time: float) -> Taken:
        """One JKO step."""
        mu, guess = stage.atoms(start), stage.first_guess(start)
        found = stage.minimised(mu, dt, start, guess, self.tolerance, self.limit)
        self.check(stage.flow, found, time, dt)
        end, spent = self.certified(stage, start, found, dt, time)
        return Taken(end, spent, found.off, found.dual)

    def attempt_of_few(self, stage: "Stage", start: Density, dt: float, time: float) -> Taken:
        """One JKO step of mass in few cells, of first order also where steps are of second (a fallback there)."""
        from solvers.jko._few import minimum_of_few

        found = minimum_of_few(stage, start, dt, self.tolerance, self.limit)
        self.check(stage.flow, found, time, dt)
        end, spent = self.certified(stage, start, found, dt, time)
        return Taken(end, spent, found.off, found.dual, fallback=not self.variational)

    def check(self, flow: Flow, found: "Minimum", time: float, dt: float) -> None:
        """NotConverged where mass is off by more than the tolerance, or goes too far through an obstacle."""
        grid, detours = found.end.grid, found.detours
        if detours is not None and detours.too_long:
            raise NotConverged(
                f"{self}: mass goes up to {detours.longest:.3g} through the obstacle in one step, and ways longer than "
                f"a quarter of the thinnest one ({detours.straight:.3g}) make {detours.share:.2g} of its cost, at "
                f"t = {time:g}, dt = {dt:.3g}: no straight way counts as the way round; shorten dt or let it halve "
                "(halvings)",
                detours.share,
            )
        if detours is not None and detours.barred > 0.0:
            raise NotConverged(
                f"{self}: {detours.barred:.3g} of the mass would go straight through an obstacle that it cannot go "
                f"round nearby, at t = {time:g}, dt = {dt:.3g}; shorten dt, let it halve (halvings), or make walls "
                "thicker",
                detours.barred,
            )
        most = allowed(self.tolerance, found.moved, float(grid.widths.max()))
        if not found.off <= most:
            raise NotConverged(
                f"{self}: mass is off by {found.off:.3g} > {most:.3g} ({found.moved:.3g} moved) at t = {time:g}, "
                f"dt = {dt:.3g}; shorten dt, let it halve (halvings), or raise `limit` or `tolerance`",
                found.off,
            )

    def certified(
        self, stage: "Stage", start: Density, found: "Minimum", dt: float, time: float
    ) -> tuple[Density, float]:
        """The end and a coupling's cost over 2 dt, F(end) + cost <= F(start); the start where the end gains nothing.

        The coupling is of the two densities as given, constant in cells, or of smoother readings of both (where they
        move by little of a cell, their steps would cost more than the motion): then F of those falls by as much too.
        NotConverged also where the gain F(start) - F(end) - cost is less than half of F(start) - max D: no step
        gains more than that, and rho, read off p, may be far from the mass that moved where it hardly counts in F.
        """
        energy, end = stage.flow.energy, found.end
        before, after = energy.value(start), energy.value(end)
        slack, still = SLACK * max(1.0, abs(before)), _STILL * max(1.0, abs(before))
        linear = stage.priced(start, found.price)
        promised, gained = linear - found.dual, linear - stage.priced(end, found.price)
        if before <= after <= before + still and promised <= still:
            return start, 0.0
        idle = energy.limits and promised <= min(_idle(end.grid, dt), _SLOW * found.free)
        fallen, spent = before - after, math.inf
        for first, last, square in islice(stage.couplings(start, end, found, dt), _IDLY if idle else None):
            spent = square / (2.0 * dt)
            if first is not start:
                fallen = min(fallen, energy.value(first) - energy.value(last))
            ways = spent if not energy.limits else min(spent, found.moved**2 / (2.0 * dt))
            if spent <= fallen + slack and gained - ways >= _GAINED * promised - still:
                return end, spent
        if abs(promised) <= still:
            return start, 0.0  # no end gains more than rounding
        least = self.smallest_step(stage.flow)
        other = "another dt" if dt >= least else f"a dt of at least {least:.3g}, half a cell's way or a quarter"
        raise (AtRest if idle else NotConverged)(
            f"{self}: F fell from {before:.12g} to {after:.12g}, a coupling costs {spent:.3g}, and the dual allows "
            f"a gain of {promised:.3g}, at t = {time:g}, dt = {dt:.3g}; use more cells or {other}",
            promised,
        )


def _idle(grid: Grid, dt: float) -> float:
    """What it costs all mass to go a seventh of a cell in a step."""
    return (_IDLE * float(grid.widths.max())) ** 2 / (2.0 * dt)
