"""Refinements in time where an inner iteration hides the order: longer steps, and what fine splines leave open."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pytest

from solvers.jko import SplineSdirk2
from wflow import Energy, Flow, NotConverged, Particles, Potential, Uniform, interval, problems, solve
from wflow.app.study import study
from wflow.convergence import Laboratory, in_time, left_open, with_longer_steps
from wflow.solver import Order, Solver, State, Step

FLOW = Flow(Energy(Potential.linear(1.0)), interval(-9.0, 9.0), Uniform(interval(-9.0, 9.0)), 1.0)


@dataclass(frozen=True)
class Noisy(Solver):
    """A point that ends at t + t dt^2, and off that by `off`, to one side after one number of steps in two.

    Steps above `plain` are fallbacks, above `fails` they raise, above `fine` they are coarse.
    """

    points: int = 1
    off: float = 1e-3
    noise: float = 0.5
    plain: float = 9.0
    fails: float = 9.0
    fine: float = 0.0
    resolution: ClassVar[str] = "points"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "sample"

    def order(self, flow):
        return Order(2.0, 1.0)

    def resolved(self, flow):
        return self.off / self.points

    def waves(self, flow):
        return 0.5

    def _refusal(self, flow):
        return None

    def init(self, flow):
        return State(0.0, Particles(flow.domain, np.zeros((1, 1))))

    def step(self, flow, state, dt):
        if dt > self.fails:
            raise NotConverged("too long", dt)
        n = round(flow.horizon / dt)
        noise = self.noise * self.resolved(flow) * (-1.0) ** np.log2(n / 5 if n % 5 == 0 else n).round()
        here = state.measure.points + dt * (1.0 + dt**2 + noise)
        moved = replace(state, time=state.time + dt, count=state.count + 1, measure=Particles(flow.domain, here))
        return Step(moved, 0.0, fallback=dt > self.plain, coarse=dt > self.fine)


def longer(*solvers, order=2.0):
    """The refinement of 20, 40, 80 steps and what becomes of it, and how many runs that took."""
    lab = Laboratory(FLOW)
    found = in_time(lab, solvers[0], 20, 3)
    return found, with_longer_steps(lab, solvers, found, order), len(lab._runs)


def test_longer_steps_show_an_order():
    """Differences of 20, 40, 80 steps are noise; of 2, 4, 8 they are 3/16 and 3/64, twenty times what is left open."""
    found, shown, _ = longer(Noisy())
    assert found.at_rounding
    assert not found.clear
    assert shown.levels == (2, 4, 8)
    assert shown.clear
    np.testing.assert_allclose(shown.distances, [3 / 16, 3 / 64], atol=1e-3)
    assert shown.observed == pytest.approx(2.0, abs=0.1)


def test_the_longest_steps_are_no_longer_than_needed():
    """With a tenth of the noise 5, 10, 20 steps are clear."""
    assert longer(Noisy(off=3e-4))[1].levels == (5, 10, 20)
    found, shown, runs = longer(Noisy(off=1e-6))
    assert shown is found
    assert runs == 3


def test_an_order_that_is_seen_stays():
    """Less than twenty times what is left open, but no noise: longer steps may be too long to have the order."""
    found, shown, runs = longer(Noisy(off=5e-5))
    assert not found.clear
    assert shown is found
    assert runs == 3


@pytest.mark.parametrize("limits", [{"plain": 0.3}, {"fails": 0.3}])
def test_runs_that_fell_back_or_failed_show_nothing(limits):
    """Two steps would show it, but are not this method's: the refinement stays as it was."""
    found, shown, _ = longer(Noisy(**limits))
    assert shown is found


def test_another_resolution_may_show_it():
    """A tenth is left open where there are ten times the points: asked before steps are longer."""
    shown = longer(Noisy(fails=0.3), Noisy(points=10, fails=0.3))[1]
    assert shown.levels == (10, 20, 40)
    assert shown.clear


def test_no_run_without_hope():
    """Where even two steps would differ by less than twenty times what is left open none is made."""
    found, shown, runs = longer(Noisy(off=1.0, noise=0.0))
    assert shown is found
    assert runs == 3


def test_waves_count_unless_all_steps_are_coarse():
    """resolved + waves where one step of one run is fine, resolved where none is."""
    lab = Laboratory(FLOW)
    for fine, expected in ((0.0, 1e-3), (0.06, 0.501), (9.0, 0.501)):
        solver = Noisy(fine=fine)
        runs = [lab.run(solver, n) for n in (10, 20)]
        assert left_open(runs, solver) == pytest.approx(expected)
        assert in_time(lab, solver, 10, 2).resolved == pytest.approx(expected)


@pytest.mark.slow
def test_steps_on_coarse_splines_are_counted():
    """Mass that moves further than two cells in a step is moved on a coarse spline; a short step is not."""
    flow = problems.drift_diffusion().flow
    long, short = (solve(flow, SplineSdirk2(64), steps=k) for k in (2, 40))
    assert long.diagnostics["coarse"].sum() == 2.0
    assert short.diagnostics["coarse"].sum() == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heat_mode", "drift_diffusion", "ornstein_uhlenbeck"])
def test_verify_shows_the_order_of_spline_sdirk2(name):
    """2 less .15, by distances twenty times above what the method leaves open."""
    outcome = study(name, {}, SplineSdirk2(128), False)
    (row,) = (r.certificate for r in outcome.rows if r.certificate and "order in time" in r.certificate.claim)
    assert "nothing left" not in row.claim
    assert outcome.refinements["time"].clear
    assert row.holds
    assert row.expected - row.tolerance == pytest.approx(1.85)
