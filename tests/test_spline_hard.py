"""What JKO steps on grids meet beside smooth densities on boxes: circles, short and long steps, stiff powers, rest."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, uniform

from solvers.jko import Quantile, Spline, SplineSdirk2
from wflow import (
    ClosedForm,
    Density,
    Energy,
    Entropy,
    Flow,
    NotConverged,
    Particles,
    Potential,
    Power,
    Refused,
    State,
    Uniform,
    box,
    circle,
    interval,
    problems,
    solve,
    w2,
)
from wflow.domain import Box
from wflow.solver import Solver


def end_of_step(flow: Flow, solver: Solver, dt: float):
    return solver.step(flow, solver.init(flow), dt)


def bump_on_a_circle(temperature: float) -> Flow:
    """A bump of width .3 at angle 2 in the potential -cos."""

    def field(w, derivative):
        return (-np.cos(w[:, 0]), np.sin(w), np.cos(w)[:, :, None])[derivative]

    bell = norm(2.0, 0.3)
    law = ClosedForm(
        circle(), bell.pdf, lambda x: (bell.cdf(x) - bell.cdf(0.0)) / (bell.cdf(2.0 * math.pi) - bell.cdf(0.0))
    )
    return Flow(Energy(Potential(field, convex=False), Entropy(temperature)), circle(), law, 1.0)


def wave(energy: Energy, horizon: float = 0.01) -> Flow:
    """1/2 + sin(3x)/4 on [-1, 1]: smooth and positive."""
    domain = interval(-1.0, 1.0)
    law = ClosedForm(
        domain,
        lambda x: 0.5 + 0.25 * np.sin(3.0 * x),
        lambda x: 0.5 * (x + 1.0) - (np.cos(3.0 * x) - math.cos(3.0)) / 12.0,
    )
    return Flow(energy, domain, law, horizon)


@pytest.mark.parametrize("dt", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("temperature", [0.02, 0.1])
def test_a_bump_drifts_round_a_circle(temperature, dt):
    """int e^(i theta) is that of Quantile's step, to twice the 1/800 of mass that Quantile spreads over the empty side.

    So is what is dissipated, to 2 %: the certificate's coupling turns the short way.
    """
    flow = bump_on_a_circle(temperature)
    ours, theirs = end_of_step(flow, Spline(64), dt), end_of_step(flow, Quantile(800), dt)
    assert abs(ours.state.measure.modes(1)[1] - theirs.state.measure.modes(1)[1]) <= 2.0 / 800
    assert ours.dissipated == pytest.approx(theirs.dissipated, rel=0.02)


@pytest.mark.parametrize("solver", [Spline(64), SplineSdirk2(64)])
def test_a_power_of_a_positive_density_at_short_steps(solver):
    """What changes is proportional to dt, to 2 %, down to a ten thousandth of a cell a step."""
    flow = wave(Energy(Potential.quadratic(1.0), Power(2.0, 0.1)))
    start = solver.init(flow).measure
    rates = []
    for dt in (1e-4, 1e-5, 1e-6):
        step = end_of_step(flow, solver, dt)
        assert not step.fallback
        rates.append(np.abs(step.state.measure.values - start.values).sum() * start.grid.cell_volume / dt)
    assert rates == pytest.approx([rates[0]] * 3, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [14.0, 20.0])
@pytest.mark.parametrize("dt", [1e-2, 1e-1])
def test_a_stiff_power_moves_or_is_refused(exponent, dt):
    """rho^m, rho < 1, hardly counts in F, so rho read off p may be anything: V's work is done, or the step raises."""
    flow = wave(Energy(Potential.quadratic(1.0), Power(exponent, 0.1)))
    try:
        ours = end_of_step(flow, Spline(64), dt)
    except NotConverged:
        return
    theirs = end_of_step(flow, Quantile(800), dt)
    moved = w2(theirs.state.measure, Quantile(800).init(flow).measure)
    assert w2(ours.state.measure, theirs.state.measure) <= 0.5 * moved


@pytest.mark.parametrize(("cells", "dt"), [(16, 0.01), (16, 0.001), (64, 0.01)])
def test_the_inequality_is_of_one_reading(cells, dt):
    """Where steps between cells cost more than the motion, F and W2^2 are those of one smoother reading."""
    from solvers.jko._couplings import couplings

    flow, solver = problems.ornstein_uhlenbeck().flow, Spline(cells)
    start = solver.init(flow).measure
    step = solver.step(flow, solver.init(flow), dt)
    end, energy = step.state.measure, flow.energy
    falls = [
        energy.value(first) - energy.value(last)
        for first, last, square in couplings(start, end)
        if square / (2.0 * dt) == pytest.approx(step.dissipated, rel=1e-12)
    ]
    assert falls
    assert step.dissipated <= min(falls) + 1e-12


def test_a_reading_whose_energy_does_not_fall_proves_nothing(monkeypatch):
    """A coupling of smoother readings is cheap, but F of them rises: the step is refused."""
    from solvers.jko._stage import Stage

    flow, solver = problems.ornstein_uhlenbeck().flow, Spline(64)
    true = Stage.couplings

    def turned(self, *given):
        for first, last, square in true(self, *given):
            yield first, last, 10.0 * square
            yield last, first, 0.0

    monkeypatch.setattr(Stage, "couplings", turned)
    with pytest.raises(NotConverged, match="a coupling costs"):
        end_of_step(flow, solver, 0.01)


@pytest.mark.slow
def test_rest_is_no_fallback():
    """Second order at an equilibrium: rounding of F is no rise."""
    run = solve(problems.ornstein_uhlenbeck(horizon=40.0).flow, SplineSdirk2(64), steps=60)
    assert run.diagnostics["fallbacks"][-1] == 0.0


def test_noise_in_every_cell_is_smoothed():
    """Two axes, dt = .01: Knothe's coupling costs more than F falls (seen), that of the step's own map does not.

    What it costs is above W2^2/(2 dt) all the same: W2 of densities is at least that of their cells' middles, by POT,
    less half a diagonal for each of the two.
    """
    domain, dt = box([0.0, 0.0], [1.0, 1.0]), 0.01
    flow, solver = Flow(Energy(Entropy(0.739)), domain, Uniform(domain), 1.0), Spline(16)
    grid, rho = flow.grid(16), np.random.default_rng(5).random(256) ** 4
    start = Density(grid, rho / (rho.sum() * grid.cell_volume))
    step = solver.step(flow, State(0.0, start), dt)
    end = step.state.measure
    assert abs(end.mass - 1.0) <= 1e-12
    assert flow.energy.value(end) + step.dissipated <= flow.energy.value(start)
    nodes = Particles(domain, grid.centres, start.weights), Particles(domain, grid.centres, end.weights)
    diagonal = math.hypot(*grid.widths)
    assert math.sqrt(2.0 * dt * step.dissipated) >= w2(*nodes) - diagonal


def bell(x):
    """Narrow: a standard deviation of .03, one and a half cells of 48."""
    return np.exp(-np.sum((x - 0.3) ** 2, axis=1) / 0.002)


def block(x):
    """Three tenths wide."""
    return 1.0 * np.all(np.abs(x - 0.4) < 0.15, axis=1)


@pytest.mark.parametrize(
    ("terms", "periodic", "cells", "rho", "dt"),
    [
        pytest.param((Entropy(0.0622), Power(3.0, 0.068)), (False, True), 48, bell, 7.6e-4, marks=pytest.mark.slow),
        ((Power(2.0, 0.14),), (False,), 64, block, 1.0),
        pytest.param((Power(3.0, 0.1),), (False, False), 64, block, 0.1, marks=pytest.mark.slow),
    ],
)
def test_a_power_spreads_a_dense_start_in_one_step(terms, periodic, cells, rho, dt):
    """From p of the start alone the ascent ended far below the maximum: the power throws all mass further than it goes.

    On a line W2 to Quantile's step is below a tenth of a cell.
    """
    domain = Box((0.0,) * len(periodic), (1.0,) * len(periodic), periodic)
    energy = Energy(*terms, Potential.quadratic(3.0, [0.5] * domain.dim))
    flow, solver = Flow(energy, domain, Uniform(domain), 1.0), Spline(cells)
    grid = flow.grid(cells)
    values = rho(grid.centres)
    start = Density(grid, values / (values.sum() * grid.cell_volume))
    step = solver.step(flow, State(0.0, start), dt)
    assert flow.energy.value(step.state.measure) + step.dissipated <= flow.energy.value(start)
    if domain.dim == 1:
        law = uniform(0.25, 19.0 / 64.0)
        theirs = end_of_step(replace(flow, initial=ClosedForm(domain, law.pdf, law.cdf)), Quantile(800), dt)
        assert w2(step.state.measure, theirs.state.measure) <= 0.1 / cells


def test_a_potential_that_is_no_number_is_named():
    """At the middle of the first cell; it was said that D overflows, and to shorten dt."""

    def field(w, derivative):
        return (np.where(w[:, 0] < 0.1, math.nan, 0.0), np.zeros_like(w), np.zeros((len(w), 1, 1)))[derivative]

    domain = interval(0.0, 1.0)
    flow = Flow(Energy(Potential(field), Entropy(0.1)), domain, Uniform(domain), 1.0)
    with pytest.raises(Refused, match=r"V is nan at \[0.03125\] and in 2 cells of 16"):
        end_of_step(flow, Spline(16), 0.1)


def test_a_slope_that_underflows_is_no_pair():
    """Changes of D's slope so small that their square is 0 (two full cells and a power of 5: it divided by that)."""
    from wflow.spline.ascent import _direction

    slope, tiny = np.ones((4, 1)), np.full((4, 1), 1e-200)
    assert np.all(np.isfinite(_direction(slope, [(1e150 * tiny, tiny)], lambda x: 1e-3 * x)))


@pytest.mark.parametrize(("temperature", "dt"), [(0.05, 0.3), (0.1, 1.0)])
def test_mass_is_stretched(temperature, dt):
    """From an even density to a bell: atoms by the walls land ten cells apart. W2 to Quantile's step below 1e-3."""
    domain = interval(-1.0, 1.0)
    flow = Flow(Energy(Potential.quadratic(1.0), Entropy(temperature)), domain, Uniform(domain), 1.0)
    ours, theirs = end_of_step(flow, Spline(64), dt), end_of_step(flow, Quantile(800), dt)
    assert w2(ours.state.measure, theirs.state.measure) <= 1e-3


@pytest.mark.parametrize("dt", [0.3, 3.0])
def test_a_longer_stretch(dt):
    """Out of [-2, 2] into a bell of width .3 or less: W2 to Quantile's step below 2e-3, a thirtieth of a cell."""
    domain = interval(-2.0, 2.0)
    flow = Flow(Energy(Potential.quadratic(1.0), Entropy(0.1)), domain, Uniform(domain), 1.0)
    ours, theirs = end_of_step(flow, Spline(64), dt), end_of_step(flow, Quantile(800), dt)
    assert w2(ours.state.measure, theirs.state.measure) <= 2e-3
