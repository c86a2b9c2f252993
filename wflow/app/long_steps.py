"""This file owns the study of a method that takes long steps only: a few of them, and one against another method's.

Such a method has a `smallest_step`: refined in time at fixed resolution it stands still, so it gets no order rows, no
estimated error, and its end is not compared with the ends of methods whose steps are short.
"""

import math
from collections.abc import Iterator, Sequence

from wflow.certificates import Certificate, kept, moved_downhill, truncated
from wflow.convergence import MARGIN, distance
from wflow.flow import Flow
from wflow.loop import solve
from wflow.measure import Density, Measure
from wflow.solver import Solver
from wflow.trajectory import Trajectory
from wflow.transport import w2, w2_floor

MOST_STEPS = 3


def of_long_steps(flow: Flow, solver: Solver, others: Sequence[Solver]) -> Iterator[Certificate]:
    """What the method keeps over at most three steps, how well they are solved, and the first beside those of others.

    Only minimising movements that take short steps too are comparable: the same step of the same functional.
    """
    smallest = solver.smallest_step(flow)
    over = max(1, math.floor(flow.horizon / smallest))
    dt = flow.horizon / over
    run = solve(flow, solver, dt=dt, until=flow.horizon * (min(over, MOST_STEPS) / over))
    yield from kept(run)
    yield from truncated(run)
    yield from moved_downhill(run)
    yield _solved(run)
    for other in others:
        if other.variational and other.refusal(flow) is None and not other.smallest_step(flow):
            yield _compared(run, other, dt) if dt >= smallest else _not_compared(other, dt, smallest)


def _solved(run: Trajectory) -> Certificate:
    """The largest residual of the steps against what the method allows itself."""
    claim = f"KKT residual, largest of {run.steps} steps of {run.times[1]:.3g}"
    worst = float(run.diagnostics["residual"].max())
    return Certificate(claim, "at most", worst, 0.0, getattr(run.solver, "tolerance", 0.0))


def _not_compared(other: Solver, dt: float, smallest: float) -> Certificate:
    claim = f"not compared with {other}: the whole horizon is shorter than the shortest step that says anything"
    return Certificate(claim, "at most", dt, smallest)


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
