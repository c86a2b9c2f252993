"""This file owns the one time loop of the house."""

from collections.abc import Callable, Iterator, Sequence

from wflow.course import Progress, end_of, followed, plan, reporter, saved_times
from wflow.errors import Refused
from wflow.flow import Flow
from wflow.pace import Pace, pace_of
from wflow.ranks import current
from wflow.reached import Reached, Store
from wflow.solver import Solver, State
from wflow.trajectory import Trajectory
from wflow.watch import Watch


def solve(
    flow: Flow,
    solver: Solver,
    *,
    steps: int | None = None,
    dt: float | None = None,
    tolerance: float | None = None,
    times: Sequence[float] | None = None,
    until: float | Callable[[State], bool] | None = None,
    progress: Progress = False,
    store: Store | None = None,
) -> Trajectory:
    """Solve a flow by a solver; the only time loop.

    At most one of: steps, equal ones over the horizon; dt, an upper bound of the step; tolerance, the sum of the
    steps' W2 errors over the horizon, by its own estimate or step doubling. None: min(0.9 largest_step,
    horizon/200), or equal steps of at least the solver's smallest_step where it has one.
    times: saved times (0 is always saved; each is hit exactly by equal steps). until: an earlier end, or a function
    of the state asked after every step. progress: True writes to stderr; a function receives the fraction done.
    store: where the run is kept as it goes (`wflow.store.Checkpoints`). What is kept there of this very run is
    continued, and ends with the same bits; an interrupt (Ctrl-C) or a failure leaves the last good step there.

    Raises Refused where the solver refuses the flow, StepTooLarge for a given step above its stability bound (asked at
    every saved time; explicit schemes look at their CFL bound themselves at every step), EnergyRose where a promised
    decrease fails by more than 1e-13 max(1, |F_0|), Truncated where a window's walls are felt (asked at saved times),
    NotConverged from inner iterations.
    """
    if not isinstance(flow, Flow):
        raise TypeError(
            f"solve flow: got {type(flow).__name__}; pass a Flow (of a problem of the catalogue: problem.flow)"
        )
    if not isinstance(solver, Solver):
        raise TypeError(f"solve solver: got {solver!r}; pass an instance with its resolution, such as Muscl(cells=256)")
    reason = solver.refusal(flow)
    if reason is not None:
        raise Refused(f"{solver} refuses this flow: {reason}")
    if current().size > 1 and not solver.distributed:
        raise Refused(f"{solver} runs on one rank; take a method of solvers.fem, or solve outside of on_ranks")
    end = end_of(flow.horizon, until)
    pace = pace_of(flow, solver, steps, dt, tolerance)
    saved = saved_times(times, end, lambda: pace.steps_over(end))
    watch = Watch.over(flow, solver, plan(solver, pace, saved))
    begun = watch.start if store is None else watch.resumed(store.latest())
    report = reporter(progress, end)
    course = _course(watch, pace, saved, begun, until if callable(until) else None)
    return watch.trajectory(followed(course, begun, lambda now: report(now.state.time), store))


def _course(
    watch: Watch, pace: Pace, saved: Sequence[float], now: Reached, stop: Callable[[State], bool] | None
) -> Iterator[Reached]:
    """The run from `now` on, after every step; at a saved time and at the end it is kept first."""
    if now.state.count and _ended(stop, now.state):
        return  # it was stored where it had ended
    for target in saved[len(now.kept) - 1 :]:
        if now.at_saved_time:
            pace.refuse(watch.flow, watch.solver, now.state)
        while now.state.time < target:
            now = watch.after(now, pace.advance(watch.flow, watch.solver, now.state, target), target)
            ended = _ended(stop, now.state)
            if ended or now.state.time >= target:
                now = watch.saved(now)
            yield now
            if ended:
                return


def _ended(stop: Callable[[State], bool] | None, state: State) -> bool:
    """Whether any of the ranks says so: each sees its own part."""
    return stop is not None and current().most(float(bool(stop(state)))) > 0.0
