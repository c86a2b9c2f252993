"""This file owns the study of a method that takes long steps only: a few of them, against those of other methods.

Such a method has a `smallest_step`: refined in time at fixed resolution it stands still, so it gets no order rows. Its
error is measured by refining step and resolution together, and its end compared with the density of other methods.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from wflow.certificates import Certificate, distance_to_exact, of_run
from wflow.contracting import relaxing
from wflow.convergence import MARGIN, Laboratory, distance, norm_of
from wflow.errors import Truncated
from wflow.estimates import estimated_error
from wflow.flow import Flow
from wflow.limits import WITHIN
from wflow.loop import solve
from wflow.measure import Density, Measure
from wflow.problems import Problem
from wflow.solver import Solver
from wflow.trajectory import Trajectory
from wflow.transport import w2, w2_floor

MOST_STEPS = 3
REFINED = 2
"""Steps and resolution of the finer of two runs by which the method's error is measured, over those of the coarser."""


def of_long_steps(problem: Problem, solver: Solver, others: Sequence[Solver], quick: bool) -> Iterator[Certificate]:
    """What the method keeps, how well its steps are solved, and what others do in the same time.

    Over at most three steps where there are others to compare with; where no other method takes the flow, to its
    horizon: nothing else would notice a run that does not get there.

    One step is compared with that of minimising movements that take short steps too: the same step of the same
    functional. Two steps are compared with the flow itself, by other methods on cells; not in a quick run. Neither
    where the horizon is shorter than the steps that say anything.
    """
    flow = problem.flow
    smallest = solver.smallest_step(flow)
    over = max(1, math.floor(flow.horizon / smallest))
    dt = flow.horizon / over
    able = [other for other in others if other.refusal(flow) is None and not other.smallest_step(flow)]
    few = min(over, MOST_STEPS) if able else over
    run = solve(flow, solver, dt=dt, until=flow.horizon * (few / over))
    yield from of_run(problem, run)
    yield from relaxing(problem, run, None)
    if flow.energy.limits:
        yield _within_limits(run)
    if dt >= smallest:
        for other in able:
            if other.variational and other.needs == "quantile":  # whose W2 is W2 itself
                yield _compared(run, other, dt)
    if over >= REFINED and not quick:
        yield from _beside_the_flow(problem, solver, [other for other in able if other.needs == "density"], dt)


def _within_limits(run: Trajectory) -> Certificate:
    """By how much a cell is ever above its limit, in the largest of them."""
    pairs = [(pi.values, run.flow.energy.bound(pi.grid)) for pi in run.measures if isinstance(pi, Density)]
    over = max(float((rho - bound).max() / bound[np.isfinite(bound)].max()) for rho, bound in pairs)
    return Certificate(f"within its limits up to t = {run.times[-1]:g}", "at most", over, 0.0, WITHIN)


def not_compared(flow: Flow, solver: Solver) -> str | None:
    """Why no step is compared, or None."""
    smallest = solver.smallest_step(flow)
    if flow.horizon >= smallest:
        return None
    return (
        f"no step is compared with those of others: the horizon {flow.horizon:g} is shorter than {smallest:.3g}, "
        f"the shortest step in which {solver} can tell motion from rest; lengthen the horizon"
    )


def _compared(run: Trajectory, other: Solver, dt: float) -> Certificate:
    """W2 of two first steps: at most the other's own error above the floor, half a cell and what the starts are apart.

    Half a cell is what masses on nodes cost a step, derived in docs/mathematics.md.
    """
    flow, start, ours = run.flow, run.measures[0], run.at(dt)
    assert isinstance(start, Density)
    theirs, finer = (_one_step(flow, method, dt) for method in (other, other.refined(2.0)))
    error = MARGIN * distance(theirs, finer) / (1.0 - math.exp2(-other.order(flow).space))
    half = 0.5 * math.hypot(*start.grid.widths[list(flow.domain.moving)])
    floor = half + w2(start, other.init(flow).measure) + w2_floor(ours, theirs)
    claim = f"one step of {dt:.3g} is that of {other} (W2; floor: half a cell and the starts' distance)"
    return Certificate(claim, "at most", w2(ours, theirs), 0.0, error, floor)


def _one_step(flow: Flow, solver: Solver, dt: float) -> Measure:
    return solver.step(flow, solver.init(flow), dt).state.measure


def _beside_the_flow(problem: Problem, solver: Solver, others: Sequence[Solver], dt: float) -> Iterator[Certificate]:
    """Two steps against the exact answer and the density of other methods then: at most the sum of measured errors.

    The method's own is that in dt and that in h. Both of order 1, one step of twice the length, and two on half the
    cells, are as far from the end as it is from the flow; the two errors have opposite signs (friction holds back, a
    long step of a convex energy goes too far or not), so they are not measured together. Floor: the starts' distance.
    Under limits, where edges are everywhere, steps are no shorter than half the cells can tell from rest.
    """
    coarse = solver.refined(1.0 / REFINED)
    if problem.flow.energy.limits:
        dt = max(dt, coarse.smallest_step(problem.flow))
    span = replace(problem.flow, horizon=REFINED * dt)
    if span.horizon > problem.flow.horizon or coarse.refusal(span) is not None:
        return
    lab = Laboratory(span)
    run, long, wide = lab.run(solver, REFINED), lab.run(solver, 1).final, lab.run(coarse, REFINED).final
    mine = MARGIN * (distance(long, run.final) + distance(wide, run.final))
    yield from distance_to_exact(problem, run, mine)
    for other in others:
        # on several axes distances are measured between grids of which one divides the other
        times = max(1, round(getattr(other, other.resolution) / getattr(solver, solver.resolution)))
        fine = other.refined(times * getattr(solver, solver.resolution) / getattr(other, other.resolution))
        try:
            theirs = lab.enough(fine)
            error = estimated_error(lab, theirs)
        except Truncated:  # its own study says so
            continue
        if not isinstance(theirs.final, Density):
            continue
        claim = f"{REFINED} steps of {dt:.3g} end where {fine} ends ({norm_of(run.final, theirs.final)})"
        apart, starts = distance(run.final, theirs.final), distance(run.measures[0], theirs.measures[0])
        yield Certificate(claim, "at most", apart, 0.0, mine + error, starts)
