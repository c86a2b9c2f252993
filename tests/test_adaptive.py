"""Dormand and Prince's pair on particles: its orders, its estimate, and the pace that it sets."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from solvers.particles import DormandPrince, GradientFlow, Sampled
from wflow import Energy, Gaussian, NotConverged, Particles, circle, problems, solve, w2
from wflow.pace import Controlled

TURN = 2.0 * math.pi
LOST = 0.15


def slope(levels, errors):
    """Least-squares slope of log error against log level on the finest three."""
    return float(np.polyfit(np.log(levels[-3:]), np.log(errors[-3:]), 1)[0])


def relaxed(flow, m, t):
    """Particles of the sawtooth: c_j + (X_j - c_j) e^{-t/2 pi}, exact."""
    s = (np.arange(m) + 0.5) / m
    return TURN * s + (flow.initial.quantile(s) - TURN * s) * math.exp(-t / TURN)


def test_the_order_is_five_on_the_exact_relaxation_of_the_sawtooth():
    """Maximum norm at t = 20 against the exact positions, 2 to 16 steps: order 5, finest error below 1e-7."""
    flow, levels = problems.sawtooth(horizon=20.0).flow, [2, 4, 8, 16]
    exact = relaxed(flow, 21, 20.0)
    ends = [solve(flow, DormandPrince(21), steps=n, times=[20.0]).final.points[:, 0] for n in levels]
    errors = [np.max(np.abs(end - exact)) for end in ends]
    assert -slope(levels, errors) >= 5.0 - LOST
    assert errors[-1] < 1e-7


def test_the_order_is_five_where_the_velocity_depends_on_all_particles():
    """Successive refinements of the cos - sin teacher, 10 to 160 steps over t = 10: order 5."""
    flow, levels = problems.circle_teacher(b=2.0, horizon=10.0).flow, [10, 20, 40, 80, 160]
    ends = [solve(flow, DormandPrince(40), steps=n, times=[10.0]).final.points for n in levels]
    errors = [np.sqrt(np.mean((a - b) ** 2)) for a, b in itertools.pairwise(ends)]
    assert -slope(levels[:-1], errors) >= 5.0 - LOST


def test_the_energy_identity_has_order_five():
    """|F_0 - F_end - dissipated| over t = 10, 10 to 80 steps: order 5, since the pair integrates |grad V|^2 too."""
    flow, levels = problems.circle_teacher(b=2.0, horizon=10.0).flow, [10, 20, 40, 80]
    runs = [solve(flow, DormandPrince(40), steps=n) for n in levels]
    errors = [abs(run.energies[0] - run.energies[-1] - run.dissipated[-1]) for run in runs]
    assert -slope(levels, errors) >= 5.0 - LOST


def test_the_estimate_of_one_step_is_of_order_five_in_dt_and_bounds_its_error():
    """Step.error ~ dt^5 (the pair's lower order is 4), above the true W2 error of the step, which is O(dt^6)."""
    flow, solver, steps = problems.sawtooth(horizon=20.0).flow, DormandPrince(21), [4.0, 2.0, 1.0]
    taken = [solver.step(flow, solver.init(flow), dt) for dt in steps]
    assert slope(steps, [step.error for step in taken]) == pytest.approx(5.0, abs=0.3)
    for dt, step in zip(steps, taken, strict=True):
        exact = Particles(circle(), relaxed(flow, 21, dt)[:, None])
        assert w2(step.state.measure, exact) <= step.error


def test_doubling_estimates_the_error_of_the_two_half_steps():
    """Of order p: whole - halves = C dt^(p+1) (1 - 2^-p), 2^p - 1 times what the halves are off by; RK4, p = 4."""
    flow, solver, dt = problems.sawtooth(horizon=20.0).flow, GradientFlow(21), 1.0
    step = Controlled(None, dt, tolerance=1e9, order=4.0).advance(flow, solver, solver.init(flow), dt)
    assert step.state.count == 2
    exact = Particles(circle(), relaxed(flow, 21, dt)[:, None])
    assert w2(step.state.measure, exact) / step.error == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-9])
def test_the_pace_meets_its_tolerance_and_is_not_wasteful(tolerance):
    """W2(final, exact) <= tolerance over t = 20; a hundredfold tolerance takes at least a third fewer steps."""
    flow, solver = problems.sawtooth(horizon=20.0).flow, DormandPrince(33)
    exact = Particles(circle(), relaxed(flow, 33, 20.0)[:, None])
    strict, loose = (solve(flow, solver, tolerance=t, times=[20.0]) for t in (tolerance, 100.0 * tolerance))
    assert w2(strict.final, exact) <= tolerance
    assert loose.steps <= 2 / 3 * strict.steps + 1


def test_it_is_cheaper_than_step_doubling_at_equal_tolerance():
    """Seven velocities a step against twelve and more: fewer evaluations of V for W2 error 1e-8."""
    flow, calls = problems.circle_teacher(b=2.0, horizon=10.0).flow, {}
    for solver in (DormandPrince(40), GradientFlow(40)):
        counted = Counted(flow.energy)
        run = solve(counted.flow(flow), solver, tolerance=1e-8, times=[10.0])
        calls[type(solver).__name__] = counted.calls
        assert run.diagnostics["mass"][-1] == pytest.approx(1.0, abs=1e-15)
    assert calls["DormandPrince"] < 0.5 * calls["GradientFlow"]


class Counted:
    """An energy that counts how often its velocity is asked."""

    def __init__(self, energy):
        self.calls, self.energy = 0, energy

    def flow(self, flow):
        """The same flow with this energy."""
        counter = self

        class Watched(Energy):
            def velocity(self, pi, w):
                counter.calls += 1
                return super().velocity(pi, w)

        return replace(flow, energy=Watched(*flow.energy.terms))


def test_a_tolerance_out_of_reach_is_refused_with_the_step_and_the_remedy():
    """NotConverged names the solver, the time and the tolerance."""
    with pytest.raises(NotConverged, match=r"DormandPrince\(particles=8\).*tolerance 1e-99; raise it"):
        solve(problems.sawtooth().flow, DormandPrince(8), tolerance=1e-99)


def test_starts_are_those_of_every_particle_method():
    """From draws with a seed; anything else is refused by name."""
    flow = problems.sawtooth().flow
    same = [s(9, Sampled(3)).init(flow).measure.points for s in (DormandPrince, GradientFlow)]
    np.testing.assert_array_equal(*same)
    with pytest.raises(TypeError, match=r"DormandPrince start: Gaussian.* is not a start"):
        DormandPrince(9, Gaussian(0.0, 1.0))
