"""How `solve` paces a run: equal steps are one number, the stability bound is asked where a stretch begins."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from solvers.finite_volume import ScharfetterGummel, Upwind
from wflow import Flow, State, Step, StepTooLarge, problems, solve

FLOW = problems.ornstein_uhlenbeck().flow


@dataclass(frozen=True)
class Watched(Upwind):
    """Upwind that remembers what it was asked."""

    dts: list[float] = field(default_factory=list, compare=False)
    asked: Counter[float] = field(default_factory=Counter, compare=False)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        self.dts.append(dt)
        return super().step(flow, state, dt)

    def largest_step(self, flow: Flow, state: State) -> float:
        self.asked[state.time] += 1
        return super().largest_step(flow, state)


@dataclass(frozen=True)
class WatchedImplicit(ScharfetterGummel):
    """The same for a method without a bound."""

    dts: list[float] = field(default_factory=list, compare=False)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        self.dts.append(dt)
        return super().step(flow, state, dt)


@pytest.mark.parametrize("steps", [7, 200, 1000, 4321])
@pytest.mark.parametrize("horizon", [1e-15, 1 / 3, 1e9])
def test_equal_steps_are_one_number(steps: int, horizon: float) -> None:
    """What a solver computes for one dt serves the whole run, in any unit of time; the end is hit exactly."""
    solver = WatchedImplicit(16)
    run = solve(problems.heat_mode(horizon=horizon).flow, solver, steps=steps)
    assert set(solver.dts) == {horizon / steps}
    assert run.steps == steps
    assert run.times[-1] == horizon


def test_times_that_do_not_fit_are_hit_exactly() -> None:
    """Between saved times dt is an upper bound: ceil(stretch/dt) equal steps."""
    solver = Watched(40)
    run = solve(FLOW, solver, dt=0.01, times=[0.033, 0.05, 1.0])
    assert run.times.tolist() == [0.0, 0.033, 0.05, 1.0]
    assert np.max(solver.dts) <= 0.01 * (1 + 1e-12)
    assert run.steps == len(solver.dts) == 4 + 2 + 95


def test_the_bound_is_asked_once_a_stretch_for_given_steps() -> None:
    solver = Watched(40)
    run = solve(FLOW, solver, steps=200)
    assert solver.asked == dict.fromkeys(run.times[:-1], 1)


def test_the_bound_is_asked_every_step_where_it_sets_the_step() -> None:
    solver = Watched(40)
    run = solve(FLOW, solver)
    assert sum(solver.asked.values()) == run.steps


@dataclass(frozen=True)
class Tightening(Upwind):
    """Upwind whose bound falls to a hundredth from `since` on."""

    since: float = 0.5

    def largest_step(self, flow: Flow, state: State) -> float:
        return super().largest_step(flow, state) * (1.0 if state.time < self.since else 0.01)


@pytest.mark.parametrize(("arguments", "refused"), [({"steps": 200}, 0.5), ({"dt": 0.004, "times": [0.7, 1.0]}, 0.7)])
def test_a_step_above_the_bound_is_refused_where_a_stretch_begins(arguments: dict[str, Any], refused: float) -> None:
    """Also in mid-run; the message names the largest step, and the exception carries it."""
    solver = Tightening(40)
    with pytest.raises(StepTooLarge, match=r"largest stable step.*pass dt <=") as caught:
        solve(FLOW, solver, **arguments)
    assert f"at t = {refused:g}" in str(caught.value)
    seen = Tightening(40, since=0.0)
    there = solve(FLOW, Upwind(40), steps=200, times=[refused]).at(refused)
    assert caught.value.largest == pytest.approx(seen.largest_step(FLOW, State(refused, there)), rel=1e-6)
