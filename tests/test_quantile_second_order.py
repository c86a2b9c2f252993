"""Second order in time on quantiles: orders from smooth starts and from fronts, changing steps, promises, refusals."""

import itertools
import math

import numpy as np
import pytest

from solvers.jko import Bdf2, Midpoint, Quantile, Sdirk2
from solvers.particles import GradientFlow
from wflow import (
    Energy,
    Flow,
    LostDensity,
    NotConverged,
    Potential,
    Power,
    Quantiles,
    Refused,
    Transported,
    Uniform,
    circle,
    interval,
    line,
    problems,
    solve,
    w2,
)
from wflow.internal import Entropy

TURN = 2.0 * math.pi
METHODS = pytest.mark.parametrize("method", [Sdirk2, Midpoint, Bdf2])
LOST = 0.15
SAW = problems.sawtooth(horizon=5.0)


def lump(a, b):
    """Uniform on [a, b], on the line."""
    return Transported(line(), lambda s: a + (b - a) * s, lambda s: np.full_like(s, 1.0 / (b - a)))


LUMP = lump(-0.5, 0.5)


def distance(a, b):
    """sqrt(sum_i w_i |x_i - y_i|^2) of edges with equal masses between them: W2 as the methods see it."""
    return math.sqrt(a.weights @ (a.edges - b.edges) ** 2)


def slopes(errors):
    """log2 of successive ratios."""
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


def end_of(flow, solver, steps):
    """The measure at the horizon."""
    return solve(flow, solver, steps=steps, times=[flow.horizon]).final


# Orders in time

SMOOTH = {
    "circle, T = 0": (problems.circle_teacher(b=2.0, horizon=4.0).flow, 2e-5),
    "circle, T = .02": (problems.circle_teacher(b=2.0, temperature=0.02, horizon=4.0).flow, 2e-5),
    "relu teacher": (problems.circle_teacher(activation="relu", horizon=4.0).flow, 1e-5),
    "sawtooth": (SAW.flow, 1e-5),
    "ou": (problems.ornstein_uhlenbeck(horizon=1.0).flow, 1e-4),
    "heat": (problems.heat_mode().flow, 1e-5),
    "drift": (problems.drift_diffusion().flow, 1e-5),
    "power on the circle": (
        Flow(
            Energy(*problems.circle_teacher(b=2.0).flow.energy.terms, Power(2.0, 0.1)),
            circle(),
            problems.circle_teacher(b=2.0).flow.initial,
            4.0,
        ),
        2e-5,
    ),
}
LEVELS = [10, 20, 40, 80, 160]


def refined(flow, solver):
    """Distances of edges between runs of 10 and 20, ... 80 and 160 steps: three times the finer one's error."""
    return [distance(a, b) for a, b in itertools.pairwise(end_of(flow, solver, n) for n in LEVELS)]


@pytest.mark.slow
@METHODS
@pytest.mark.parametrize("case", SMOOTH)
def test_smooth_starts_show_order_two(method, case):
    """Distances of successive refinements (m = 100): order at least 1.85, the finest bounded."""
    flow, bound = SMOOTH[case]
    errors = refined(flow, method(100))
    assert method(100).order(flow).time == 2.0
    assert min(slopes(errors)[-2:]) >= 2.0 - LOST
    assert errors[-1] < bound


COMPACT = {
    "heat in a well": (Flow(Energy(Potential.quadratic(1.0), Entropy(1.0)), line(), LUMP, 1.0), 4e-4),
    "power in a well": (Flow(Energy(Potential.quadratic(1.0), Power(2.0)), line(), LUMP, 1.0), 2e-4),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", [Sdirk2, Bdf2])
@pytest.mark.parametrize("case", COMPACT)
def test_fronts_cost_l_stable_methods_their_second_order(method, case):
    """From a uniform lump (m = 300) slopes lie between 1.35 and 1.85: 3/2 is declared, not 2.

    The ends set off like sqrt(t): |x'''| ~ t^(-5/2) near them, and the first steps' errors are smoothed, not cancelled.
    """
    flow, bound = COMPACT[case]
    errors = refined(flow, method(300))
    declared = method(300).order(flow)
    assert (declared.time, declared.identity) == (1.5, 0.5)
    assert all(declared.time - LOST <= slope < 2.0 - LOST for slope in slopes(errors)[-2:])
    assert errors[-1] < bound


@pytest.mark.parametrize("case", COMPACT)
def test_fronts_leave_the_midpoint_rule_its_second_order(case):
    """The same flows: at least 1.85."""
    flow, bound = COMPACT[case]
    errors = refined(flow, Midpoint(300))
    assert Midpoint(300).order(flow).time == 2.0
    assert min(slopes(errors)[-2:]) >= 2.0 - LOST
    assert errors[-1] < bound


@pytest.mark.parametrize(("exponent", "bound"), [(1.5, 4e-3), (2.0, 2e-3), (3.0, 1e-3), (4.0, 1e-3)])
def test_the_order_in_space_of_a_power_is_that_of_its_front(exponent, bound):
    """3/2 - 1/p in W2 (0.83, 1, 1.17, 1.25): the last gap is h^(1 - 1/p). From a lump in a well, 10 steps, m to 2m."""
    flow = Flow(Energy(Potential.quadratic(1.0), Power(exponent)), line(), LUMP, 1.0)
    ends = [end_of(flow, Sdirk2(m), 10) for m in (50, 100, 200, 400)]
    errors = [w2(a, b) for a, b in itertools.pairwise(ends)]
    assert Sdirk2(50).order(flow).space == pytest.approx(1.5 - 1.0 / exponent)
    assert slopes(errors)[-1] == pytest.approx(1.5 - 1.0 / exponent, abs=0.06)
    assert errors[-1] < bound


def imbalances(flow, solver):
    """|F_0 - F - dissipated| at the horizon after 40 and 80 steps."""
    runs = [solve(flow, solver, steps=n, times=[flow.horizon]) for n in (40, 80)]
    return [abs(run.energies[0] - run.energies[-1] - run.dissipated[-1]) for run in runs]


@pytest.mark.slow
@METHODS
@pytest.mark.parametrize("case", ["circle, T = .02", "sawtooth", "heat", "drift"])
def test_what_is_lost_is_dissipated(method, case):
    """The energy identity has order 2 (at least 1.85), or is rounding (Midpoint on quadratic F)."""
    coarse, fine = imbalances(SMOOTH[case][0], method(60))
    assert fine < 1e-13 or math.log2(coarse / fine) >= 2.0 - LOST
    assert fine < 1e-5


@METHODS
@pytest.mark.parametrize("case", COMPACT)
def test_fronts_leave_the_energy_identity_half_an_order(method, case):
    """From a lump int |v|^2 ~ t^(-1/2): the identity has order 1/2, declared, and is not exact at this resolution."""
    coarse, fine = imbalances(COMPACT[case][0], method(300))
    assert method(300).order(COMPACT[case][0]).identity == 0.5
    assert math.log2(coarse / fine) == pytest.approx(0.5, abs=LOST)
    assert 1e-3 < fine < 5e-2


@pytest.mark.slow
@pytest.mark.parametrize("method", [Sdirk2, Bdf2])
def test_a_start_that_does_not_fit_the_walls(method):
    """Uniform under drift and heat on [0, 1]: rho V' + rho_x is not 0 at the walls: |v|^2 ~ 1 - c t^(1/2).

    W2 keeps order 2, the energy identity has order 3/2.
    """
    flow = Flow(Energy(Potential.linear(-1.0), Entropy(1.0)), interval(0, 1), Uniform(interval(0, 1)), 0.2)
    assert min(slopes(refined(flow, method(300)))[-2:]) >= 2.0 - LOST
    coarse, fine = imbalances(flow, method(300))
    assert math.log2(coarse / fine) == pytest.approx(1.5, abs=LOST)


# Steps of several lengths


PATTERN = [1.0, 0.5, 1.1, 2.0, 0.3, 0.7, 1.6, 0.8]
"""Lengths of eight steps, ratios 0.15 to 2.3."""


def end_by_pattern(flow, solver, rounds):
    """The measure at the horizon after that many rounds of steps in proportion to the pattern."""
    state = solver.init(flow)
    for share in rounds * PATTERN:
        state = solver.step(flow, state, flow.horizon * share / (rounds * sum(PATTERN))).state
    return state.measure


@pytest.mark.slow
@METHODS
def test_order_two_with_steps_that_change(method):
    """The teacher at T = .02 by 1 to 16 rounds of eight steps of several lengths; no step of Bdf2 starts afresh."""
    flow = SMOOTH["circle, T = .02"][0]
    ends = [end_by_pattern(flow, method(100), rounds) for rounds in (1, 2, 4, 8, 16)]
    errors = [distance(a, b) for a, b in itertools.pairwise(ends)]
    assert min(slopes(errors)[-2:]) >= 2.0 - LOST
    assert errors[-1] < 2e-5


def test_saved_times_cut_the_steps_and_nothing_else():
    """Stretches between saved times are cut into steps of their own: Bdf2 at t = 4 differs by less than its error."""
    flow = SMOOTH["circle, T = .02"][0]
    runs = [solve(flow, Bdf2(100), dt=0.1, times=times).final for times in ([4.0], [0.07, 0.63, 1.71, 2.0, 4.0])]
    assert 0.0 < distance(*runs) < 1e-4


@pytest.mark.parametrize("method", [Sdirk2, Midpoint])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-5])
def test_step_doubling_meets_its_tolerance(method, tolerance):
    """The sawtooth over t = 5 against its exact edges: the controller asks for dt and dt/2 from one state."""
    m = 64
    c = TURN * np.arange(m) / m
    exact = c + (SAW.flow.initial.quantile(np.arange(m) / m) - c) * math.exp(-5.0 / TURN)
    run = solve(SAW.flow, method(m), tolerance=tolerance, times=[5.0])
    found = w2(run.final, Quantiles(circle(), exact + np.mean(run.final.edges - exact)))
    assert tolerance / 100 < found < tolerance


def test_step_doubling_is_not_for_two_step_methods():
    """dt against two dt/2 from one past is no estimate of what a step adds: here it would be low by a factor of two."""
    with pytest.raises(Refused, match="two-step"):
        solve(SAW.flow, Bdf2(20), tolerance=1e-3)


@pytest.mark.parametrize(("ratio", "afresh"), [(0.3, False), (1.0, False), (2.4, False), (2.5, True), (40.0, True)])
def test_bdf2_starts_afresh_beyond_its_stable_ratio(ratio, afresh):
    """A step longer than 1 + sqrt 2 times the last one is Sdirk2's, to the bit; a shorter one is not."""
    flow = SMOOTH["circle, T = .02"][0]
    solver = Bdf2(40)
    state = solver.step(flow, solver.init(flow), 0.05).state
    found = solver.step(flow, state, 0.05 * ratio).state.measure
    alone = Sdirk2(40).step(flow, state, 0.05 * ratio).state.measure
    assert np.array_equal(found.edges, alone.edges) is afresh


# What is kept, promised and refused


@METHODS
@pytest.mark.parametrize("case", SMOOTH)
def test_energy_is_not_promised(method, case):
    """Mass and positivity, nothing else, and no inequality of a minimising movement."""
    assert method(40).keeps(SMOOTH[case][0]) == {"mass", "positivity"}
    assert not method.variational


@pytest.mark.parametrize(("method", "dt"), [(Midpoint, 1.0), (Bdf2, 0.1)])
def test_energy_can_rise(method, dt):
    """The heat mode with long steps: the promise would be false. (For Sdirk2 no such flow has been found.)"""
    flow, solver = SMOOTH["heat"][0], method(100)
    state = solver.init(flow)
    energies = [flow.energy.value(state.measure)]
    for _ in range(4):
        state = solver.step(flow, state, dt).state
        energies.append(flow.energy.value(state.measure))
    assert np.max(np.diff(energies)) > 1e-6


TOUCHING = problems.heat_mode(amplitude=1.0).flow
"""Density 1 + cos pi x, which is zero at the wall x = 1, where edges set off fast."""


def test_midpoint_refuses_edges_that_cross():
    """Extrapolated edges of too long a step are no measure: LostDensity with t, dt and two remedies, never sorted."""
    solver = Midpoint(400)
    with pytest.raises(LostDensity, match=r"cross or leave .* t = 0 with dt = 0.01 .*halve dt, or use Sdirk2"):
        solver.step(TOUCHING, solver.init(TOUCHING), 0.01)


@pytest.mark.parametrize("solver", [Sdirk2(400), Bdf2(400), Midpoint(400)], ids=str)
def test_the_remedies_help(solver):
    """Half the step for Midpoint, the same one for the others; the end pressed against its wall is on it to the bit."""
    dt = 0.005 if isinstance(solver, Midpoint) else 0.01
    end = solver.step(TOUCHING, solver.init(TOUCHING), dt).state.measure
    assert end.gaps.min() > 0.0
    assert (end.edges[0], end.edges[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("method", [Sdirk2, Bdf2])
def test_a_stage_whose_minimum_has_closed_gaps_is_refused(method):
    """T = 0 in a double well with dt = 10: the anchor folds and the minimum has closed gaps; NotConverged says so."""
    well = Potential(
        lambda w, j: ((w[:, 0] ** 2 - 1) ** 2 / 4, w**3 - w, (3 * w**2 - 1)[:, :, None])[j], "double well", convex=False
    )
    flow, solver = Flow(Energy(well), line(), lump(-1.0, 1.2), 20.0), method(60)
    with pytest.raises(NotConverged, match="halve dt"):
        solver.step(flow, solver.init(flow), 10.0)


def test_a_power_on_an_interval_ends_at_the_stationary_density():
    """F = int rho^2 - x rho on [0, 1]: 2 rho = x + const, rho = 3/4 + x/2, cdf (3x + x^2)/4; W2 at t = 3 below 1e-5."""
    flow = Flow(Energy(Potential.linear(-1.0), Power(2.0)), interval(0, 1), Uniform(interval(0, 1)), 3.0)
    s = np.arange(401) / 400
    exact = Quantiles(interval(0, 1), (np.sqrt(9.0 + 16.0 * s) - 3.0) / 2.0)
    assert w2(end_of(flow, Sdirk2(400), 40), exact) < 1e-5


@METHODS
def test_a_failure_names_the_method_that_was_asked_for(method):
    """One Newton iteration ends no long step of heat: the message begins with the method, in first steps too."""
    flow = problems.heat_mode().flow
    with pytest.raises(NotConverged, match=rf"^{method.__name__}\(points=20\): JKO step stopped"):
        solve(flow, method(20, limit=1), steps=1)


@pytest.mark.slow
@pytest.mark.parametrize("slope", [1.0, -1.0])
@pytest.mark.parametrize("dt", [0.3, 0.002])
@pytest.mark.parametrize("method", [Quantile, Sdirk2, Midpoint, Bdf2])
def test_an_atom_at_a_wall_is_named_for_neither_dt_nor_limit_helps(method, dt, slope):
    """V = +-x on [0, 1] from the uniform law: an atom of mass t at the wall, uniform beyond it until t = 1.

    With m quantiles the first two meet there at t = 1/m: no step ends beyond 2/m, however short or however often
    iterated, and steps that end before .9/m are taken. Particles slide along the wall: F = (1 - t)^2/2 + min V.
    """
    m, wall = 25, (0 if slope > 0.0 else 1)
    flow = Flow(Energy(Potential.linear(slope)), interval(0, 1), Uniform(interval(0, 1)), 1.0)
    message = f"atom at the wall {wall}, .* whatever dt and `limit`; use particles, or add Entropy or Power"
    for solver in (method(m), method(m, limit=2000)):
        if dt < 0.9 / m:
            assert solve(flow, solver, dt=dt, until=0.9 / m).steps == math.ceil(0.9 / m / dt)
        with pytest.raises((NotConverged, LostDensity), match=message):
            solve(flow, solver, dt=dt, until=max(dt, 2.0 / m))
    run = solve(flow, GradientFlow(400), dt=0.05, until=0.5)
    assert run.energies[-1] == pytest.approx(0.125 + min(slope, 0.0), abs=1e-3)
