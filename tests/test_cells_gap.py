"""The gap on cells: V is the derivative of F by masses for every kind of term, and the gap bounds what is known.

F - min F <= T sum m log(m/g): at any density, against the least F that a long run finds on the same cells.
"""

from dataclasses import replace

import numpy as np
import pytest

from solvers.fictitious_play import FictitiousPlay
from solvers.finite_volume import ScharfetterGummel
from wflow import Density, problems, solve
from wflow.certificates import gap_on_cells
from wflow.duality.cells import cells_gap

POSED = {
    "circle kernel": (problems.circle_teacher(b=2.0, temperature=0.1), 40),
    "kinked kernel": (problems.circle_teacher(activation="relu", temperature=0.1), 40),
    "risk on data": (problems.two_layer_1d(temperature=0.05, ridge=0.2), 12),
    "mean": (problems.gaussian_langevin(), 40),
    "potential": (problems.drift_diffusion(), 40),
    "plane": (problems.build("drift_diffusion_2d"), 10),
    "radial risk": (problems.isotropic_gaussians(ridge=0.1, temperature=0.1), 40),
}


def drawn(flow, cells, seed=0):
    """A density on the flow's cells, bounded below."""
    grid = flow.grid(cells)
    values = 0.2 + np.random.default_rng(seed).random(grid.size)
    return Density(grid, values / (values.sum() * grid.cell_volume))


@pytest.mark.parametrize("case", POSED)
def test_v_at_middles_is_the_derivative_of_e_by_masses(case):
    """Central differences along exchanges of mass between cells, 1e-7 of the largest."""
    problem, cells = POSED[case]
    energy, pi = problem.flow.energy, drawn(problem.flow, cells)
    v, volume = energy.potential(pi, pi.grid.centres), pi.grid.cell_volume
    for i, j in ((0, 1), (3, 7), (pi.grid.size // 2, pi.grid.size - 1)):
        step = 1e-4 * pi.values.min()
        away = np.zeros(pi.grid.size)
        away[i], away[j] = step, -step
        rise = energy.explicit(Density(pi.grid, pi.values + away)) - energy.explicit(Density(pi.grid, pi.values - away))
        assert rise / (2.0 * step * volume) == pytest.approx(v[i] - v[j], abs=1e-7 * (1.0 + np.abs(v).max()))


@pytest.mark.parametrize("case", ["risk on data", "radial risk", "plane", "mean"])
def test_the_gap_is_above_what_long_play_shows_the_excess_to_be(case):
    """Against the least F on the same cells, by fictitious play, which ends at a gap of 1e-9 on any cells."""
    problem, cells = POSED[case]
    flow = problem.flow
    pi = drawn(flow, cells, seed=1)
    method = FictitiousPlay(cells)
    state = method.init(flow)
    for _ in range(1500):
        state = method.step(flow, state, 0.02).state
    best = flow.energy.value(state.measure)
    assert 0.0 <= cells_gap(flow.energy, state.measure) < 1e-9
    excess = flow.energy.value(pi) - best
    assert excess <= cells_gap(flow.energy, pi) < 100.0 * excess


def test_a_power_is_part_of_what_is_convex():
    """Lambert's law on cells: the gap of a long run of ScharfetterGummel, whose F is stationary, vanishes with it."""
    flow = replace(problems.build("displacement_convex_noisy").flow, horizon=20.0)
    run = solve(flow, ScharfetterGummel(40), steps=200)
    gaps = [cells_gap(flow.energy, pi) for pi in run.measures]
    assert np.all(run.energies - run.energies[-1] <= np.array(gaps) + 1e-12)
    assert gaps[-1] < 1e-9 < 1e-3 < gaps[0]


def test_runs_have_the_row_where_nothing_else_is_known():
    """A network with a ridge at T > 0 on a window; none on the circle, where a bound between cells is known."""
    problem, _ = POSED["radial risk"]
    run = solve(problem.flow, ScharfetterGummel(80), steps=20)
    (row,) = gap_on_cells(problem, run)
    assert row.holds and "on these cells" in row.claim
    teacher, _ = POSED["circle kernel"]
    assert not list(gap_on_cells(teacher, solve(teacher.flow, ScharfetterGummel(40), steps=5)))


def test_no_gap_without_one_entropy_or_convexity():
    flow = problems.displacement_convex().flow
    assert cells_gap(flow.energy, drawn(flow, 20)) is None
    flow = problems.keller_segel().flow
    assert cells_gap(flow.energy, drawn(flow, 8)) is None
