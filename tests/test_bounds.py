"""What bounds a step or a window: diffusion of a power, walls that particles meet, mass that a window leaves out."""

import math

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from solvers.finite_volume import Muscl, Upwind
from solvers.particles import DormandPrince, GradientFlow
from wflow import (
    Density,
    Energy,
    Flow,
    Gaussian,
    Grid,
    Potential,
    Power,
    State,
    Uniform,
    interval,
    line,
    problems,
    solve,
    torus,
)
from wflow.errors import Refused
from wflow.transport import finite_quantiles

WELL = Energy(Potential.quadratic(1.0))


@pytest.mark.parametrize("share", [0.5, 1.0, 1.1])
@pytest.mark.parametrize("dim", [1, 2])
def test_the_bound_of_a_power_is_where_the_sharpest_ripple_stops_fading(dim: int, share: float) -> None:
    """rho = c (1 + e (-1)^(i + j)) under strength rho^m: one step dt multiplies e by 1 - 2 dt/bound, to O(e).

    Linearised, rho' = p'(c) Laplace_h rho, and the ripple is Laplace_h's lowest mode: -4/h^2 an axis.
    """
    domain, n, ripple = torus(dim), 8, 1e-6
    flow = Flow(Energy(Power(3.0, 0.7)), domain, Uniform(domain), 1.0)
    grid = Grid(domain, (n,) * dim)
    signs = (-1.0) ** np.indices(grid.shape).sum(axis=0).ravel()
    level, solver = 1.0 / (grid.size * grid.cell_volume), Upwind(n)
    bound = solver.largest_step(flow, solver.init(flow))
    start = State(0.0, Density(grid, level * (1.0 + ripple * signs)))
    new = solver.step(flow, start, share * bound).state.measure
    assert isinstance(new, Density)
    assert (new.values / level - 1.0) @ signs / grid.size == pytest.approx(ripple * (1.0 - 2.0 * share), abs=1e-10)


def test_what_muscl_dissipates_is_what_its_energy_loses_to_second_order() -> None:
    """|F_0 - F - dissipated| over t = 2, 40 to 320 steps: order 2, the trapezoidal rule over both stages.

    F must be quadratic in pi: of a linear one both sides are the same sum, whatever the stages.
    """
    flow, steps = problems.circle_teacher(b=2.0, horizon=2.0).flow, [40, 80, 160, 320]
    runs = [solve(flow, Muscl(32), steps=n) for n in steps]
    errors = [abs(run.energies[0] - run.energies[-1] - run.dissipated[-1]) for run in runs]
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] >= 1.85


@pytest.mark.parametrize("solver", [GradientFlow(20), DormandPrince(20)], ids=str)
def test_particles_that_meet_a_wall_stay_inside(solver: GradientFlow | DormandPrince) -> None:
    """V = -w on [0, 1]: all end at the wall, at 1 to the last bit, and none was beyond it."""
    flow = Flow(Energy(Potential.linear(-1.0)), interval(0.0, 1.0), Uniform(interval(0.0, 1.0)), 3.0)
    run = solve(flow, solver, steps=7)
    assert max(float(pi.points.max()) for pi in run.measures) == 1.0
    assert np.all(run.final.points == 1.0)


@pytest.mark.parametrize("outside", [5e-7, 2e-6])
def test_a_window_leaves_out_a_millionth_at_most(outside: float) -> None:
    """N(0, 1) beyond +-z has the mass 2 Phi(-z)."""
    z = -float(ndtri(0.5 * outside))
    flow = Flow(WELL, line(), Gaussian(), 1.0, (-z, z))
    if outside < 1e-6:
        assert Upwind(16).init(flow).measure.mass == pytest.approx(1.0, abs=1e-14)
    else:
        with pytest.raises(Refused, match=r"window: .* leaves 2e-06 of the mass outside"):
            Upwind(16).init(flow)


@pytest.mark.parametrize("cell", range(8))
def test_mass_at_the_edges_is_that_of_two_cells_at_each_end(cell: int) -> None:
    """All mass in one cell of a window on the line."""
    flow = Flow(WELL, line(), Gaussian(), 1.0, (-8.0, 8.0))
    grid = flow.grid(8)
    pi = Density(grid, np.eye(8)[cell] / grid.cell_volume)
    assert flow.at_edges(pi) == (1.0 if cell in (0, 1, 6, 7) else 0.0)


@pytest.mark.parametrize("m", [2, 10, 1000])
def test_an_infinite_end_keeps_the_mean_of_its_cell(m: int) -> None:
    """E[w | w below the first quantile z] = mean - std phi(z)/Phi(z), and the same mirrored at the other end."""
    law = Gaussian(2.0, 0.5)
    z = float(ndtri(1.0 / m))
    away = 0.5 * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / float(ndtr(z))
    edges = finite_quantiles(law, m)
    assert 0.5 * (edges[0] + edges[1]) == pytest.approx(2.0 - away, abs=1e-6)
    assert 0.5 * (edges[-1] + edges[-2]) == pytest.approx(2.0 + away, abs=1e-6)
