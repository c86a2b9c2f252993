"""Keller and Segel's flow: attraction by the logarithm against diffusion, below, near and above the critical mass.

With W = s log|x|, s = 4 T share: x . grad of the pair energy is s/2 whatever rho, so int |x|^2 drho grows by 4 T - s in
a unit of time (the virial identity); and a JKO step, which is stationary against dilations, has exactly
m_2(end) - m_2(start) = (4 T - s) tau - W2^2(start, end).
"""

import math

import numpy as np
import pytest

from solvers.finite_volume import ScharfetterGummel
from solvers.jko import Sinkhorn, Spline, SplineSdirk2
from wflow import Concentrated, Flow, LogKernel, Particles, line, plane, problems, solve

TEMPERATURE, STD = 0.25, 0.5


def moment(pi) -> float:
    return float(pi.weights @ np.sum(pi.points**2, axis=1))


def test_strength_scales_the_logarithm():
    """V, its slope, F and the coupling, by any number; attraction is not convex."""
    pi = Particles(line(), np.array([[0.0], [0.7], [1.9]]))
    one, other = LogKernel(), LogKernel(1, -2.5)
    w = np.array([[0.3], [2.0]])
    for derivative in (0, 1, 2):
        np.testing.assert_allclose(other.against(pi, w, derivative), -2.5 * one.against(pi, w, derivative))
    assert other.double(pi) == pytest.approx(-2.5 * one.double(pi))
    for kernel in (one, other):
        factor, core = kernel.coupling(pi.points)
        np.testing.assert_allclose(
            factor * core @ factor.T, kernel.strength * (lambda f, c: f * c @ f.T)(*one.coupling(pi.points)), atol=1e-12
        )
    assert one.convex and not other.convex
    assert one.singular and other.singular
    with pytest.raises(ValueError, match="strength: 0"):
        LogKernel(2, 0.0)


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize(
    "solver", [ScharfetterGummel(80), Spline(80), Sinkhorn(80), pytest.param(SplineSdirk2(80), marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_the_second_moment_grows_as_it_should(share, solver):
    """4 T (1 - share) t, to 2 % of what diffusion alone would give."""
    p = problems.keller_segel(share, TEMPERATURE, STD)
    run = solve(p.flow, solver, steps=20)
    change = moment(run.final) - moment(run.measures[0])
    expected = p.second_moment(0.1) - p.second_moment(0.0)
    assert expected == pytest.approx(0.1 * (1.0 - share))
    assert change == pytest.approx(expected, abs=0.02 * 4.0 * TEMPERATURE * 0.1)


@pytest.mark.parametrize("share", [0.5, 0.95, 1.5])
def test_a_jko_step_is_stationary_against_dilations(share):
    """m_2(end) - m_2(start) + W2^2 = (4 T - s) tau, on either side of the critical mass: to 3 % of 4 T tau."""
    p, tau = problems.keller_segel(share, TEMPERATURE, STD), 0.05
    solver = Spline(96)
    start = solver.init(p.flow)
    step = solver.step(p.flow, start, tau)
    change = moment(step.state.measure) - moment(start.measure)
    assert change + 2.0 * tau * step.dissipated == pytest.approx(
        4.0 * TEMPERATURE * (1.0 - share) * tau, abs=0.03 * 4.0 * TEMPERATURE * tau
    )


@pytest.mark.slow
def test_above_the_critical_mass_a_run_ends_at_the_stated_density():
    """share 2: the moment vanishes at t* = std^2/(2 T) = .5; the run raises before, and keeps the identity on the way.

    The density at which it is told to stop is reached at a time that grows with it.
    """
    ends = []
    for densest in (4.0, 16.0):
        p = problems.keller_segel(2.0, TEMPERATURE, STD, horizon=0.5, densest=densest)
        with pytest.raises(Concentrated, match="blows up") as caught:
            solve(p.flow, ScharfetterGummel(160), steps=200)
        ends.append(float(str(caught.value).split("t = ")[1].split(";")[0]))
    assert 0.0 < ends[0] < ends[1] < 0.5
    p = problems.keller_segel(2.0, TEMPERATURE, STD, horizon=0.5)
    run = solve(p.flow, ScharfetterGummel(160), steps=200, until=0.1, times=[0.1])
    change = moment(run.final) - moment(run.measures[0])
    assert change == pytest.approx(-0.1, abs=0.01)


@pytest.mark.parametrize(
    ("share", "cells"),
    [(2.0, 48), (3.0, 64), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((1.5, 48), (2.0, 64), (3.0, 96)))],
)
@pytest.mark.slow
def test_jko_steps_end_where_cells_resolve_no_more(share, cells):
    """Above the critical mass, to densest = 20: Concentrated at a tenth of all mass in a cell, before t* and before 20.

    On the way each step changes the moment by (4 T - s) tau - W2^2 to 5 % of what attraction does alone, s tau, W2^2
    that of a coupling. Of a core of mass 1/share and width w the densest cell has h^2/(2 pi w^2 share): a tenth is
    w = .7 to 1 cells.
    """
    critical = STD**2 / (2.0 * TEMPERATURE * (share - 1.0))
    flow = problems.keller_segel(share, TEMPERATURE, STD, horizon=critical, densest=20.0).flow
    solver, dt, seen = Spline(cells), 0.02, []
    state = solver.init(flow)
    for _ in range(round(critical / dt)):
        step = solver.step(flow, state, dt)
        core = float(step.state.measure.weights.max())
        if core > 0.1:
            break
        change = moment(step.state.measure) - moment(state.measure) + 2.0 * dt * step.dissipated
        strength = 4.0 * TEMPERATURE * share
        assert change == pytest.approx((4.0 * TEMPERATURE - strength) * dt, abs=0.05 * strength * dt)
        state = step.state
        seen.append(core)
    assert seen[-1] > 2.0 * seen[0]
    with pytest.raises(Concentrated, match=r"a tenth of all mass in one cell.* use more cells") as caught:
        solve(flow, solver, dt=dt, times=[critical])
    assert float(str(caught.value).split("t = ")[1].split(",")[0]) == pytest.approx(state.time + dt, abs=1.1 * dt)


def test_a_density_that_is_allowed_is_positive():
    """A number above 0, or none; and a start above it is said to be one."""
    p = problems.keller_segel()
    for wrong in (0.0, "x"):
        with pytest.raises((ValueError, TypeError), match="Flow densest"):
            Flow(p.flow.energy, plane(), p.flow.initial, 1.0, p.flow.window, densest=wrong)
    assert math.isinf(problems.barenblatt().flow.densest)
    with pytest.raises(Concentrated, match=r"starts at 0\.6"):
        solve(problems.keller_segel(densest=0.1).flow, ScharfetterGummel(80), steps=2)
