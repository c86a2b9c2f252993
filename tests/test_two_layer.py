"""Networks a sigma(w x) in the plane of (a, w): features in tensor form, grids against particles and draws."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest

from solvers.fem import DG0, toolchain
from solvers.finite_volume import Muscl, ScharfetterGummel, Upwind
from solvers.jko import Exact
from solvers.particles import GradientFlow, Sampled
from wflow import Density, Grid, Particles, problems, solve, w2
from wflow.convergence import MARGIN, Laboratory, distance
from wflow.estimates import estimated_error
from wflow.features import Features
from wflow.plans import gathered
from wflow.size_slopes import particle_slopes

FLOWS = {
    "tanh": {"activation": "tanh", "target": "sine"},
    "cos - sin": {"activation": "cos_minus_sin", "target": "bump"},
    "relu": {"activation": "relu", "target": "sine"},
}


@pytest.mark.parametrize("name", FLOWS)
def test_features_in_tensor_form_are_the_features(name):
    """Table of s(w x) alone, or blocks made anew, against sums over all cells: to rounding."""
    flow = problems.two_layer_1d(**FLOWS[name]).flow
    pi, risk = Muscl(12).init(flow).measure, flow.energy.risk
    x = risk.data.inputs
    for features in (Features.on(risk.neuron, x, pi.grid), blocks(risk, pi.grid)):
        whole = risk.neuron.value(x, pi.points)
        np.testing.assert_allclose(features.predict(pi.weights), whole @ pi.weights, atol=1e-14)
        slope = np.random.default_rng(0).normal(size=len(x))
        np.testing.assert_allclose(features.against(slope), slope @ whole, atol=1e-12)


def blocks(risk, grid):
    """The same features without a table."""
    whole = Features.on(risk.neuron, risk.data.inputs, grid)
    return Features(whole.neuron, whole.inputs, whole.outer, whole.points, None)


@pytest.mark.parametrize("name", FLOWS)
def test_the_discrete_potential_is_the_gradient_of_the_discrete_energy(name):
    """(F(pi + eps nu) - F(pi - eps nu))/(2 eps) = int V dnu for a zero-mass change nu of the cells: F is quadratic."""
    flow = problems.two_layer_1d(**FLOWS[name], ridge=0.3).flow
    pi = Muscl(16).init(flow).measure
    nu = pi.values * np.random.default_rng(1).uniform(-1, 1, pi.grid.size)
    nu -= pi.values * nu.sum() / pi.values.sum()
    up, down = (flow.energy.value(Density(pi.grid, pi.values + sign * 0.5 * nu)) for sign in (1, -1))
    expected = float(flow.energy.potential(pi, pi.points) @ nu) * pi.grid.cell_volume
    assert up - down == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("scheme", [Upwind, Muscl], ids=lambda s: s.__name__)
def test_orders_in_the_plane_of_weights(scheme):
    """H^-1 distances of 48, 96, 192 cells a side at t = 1, steps ~ cells: the declared order less 0.15."""
    flow = problems.two_layer_1d(horizon=1.0).flow
    ends = [solve(flow, scheme(n), steps=n, times=[1.0]).final for n in (48, 96, 192)]
    coarse, fine = (distance(b, a) for a, b in pairwise(ends))
    assert math.log2(coarse / fine) >= scheme(8).order(flow).space - 0.15
    assert fine < (2e-2 if scheme is Upwind else 2e-3)


@pytest.mark.slow
def test_implicit_and_explicit_agree_with_heat():
    """Scharfetter-Gummel against MUSCL, T = 0.1, 64 cells a side: H^-1 within the sum of their own refinements."""
    flow = problems.two_layer_1d(temperature=0.1, ridge=0.5, horizon=1.0).flow
    fitted, muscl = (
        [solve(flow, scheme(n), steps=steps * n // 32, times=[1.0]).final for n in (32, 64)]
        for scheme, steps in ((ScharfetterGummel, 40), (Muscl, 120))
    )
    errors = sum(distance(pair[1], pair[0]) for pair in (fitted, muscl))
    assert distance(fitted[1], muscl[1]) <= errors


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "cos - sin"])
def test_particles_and_cells_follow_the_same_flow(name):
    """W2(400 quantised particles, MUSCL) at t = 1 is at most 15 % above what it was at the start (their quantisation).

    A wrong sign or factor in either moves them apart by 0.1 and more: checked with the particles' time doubled.
    """
    flow = problems.two_layer_1d(**FLOWS[name], horizon=2.0).flow
    cloud = solve(flow, GradientFlow(400), steps=40, times=[1.0, 2.0])
    cells = solve(flow, Muscl(96), times=[1.0], until=1.0)
    start, end = w2(cloud.measures[0], cells.measures[0]), w2(cloud.measures[1], cells.final)
    assert end <= 1.15 * start
    assert w2(cloud.measures[2], cells.final) > 1.15 * start


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "cos - sin"])
def test_draws_approach_the_density_at_the_rate_of_monte_carlo(name):
    """RMS W2(m i.i.d. particles, PDE) ~ m^(-1/2): slope -0.5 +- 0.1 on m = 100..800 at t = 1/2, 1, 2, ten seeds each.

    Start uniform on the square [-1/2, 1/2]^2. The PDE by MUSCL on 192^2 cells, gathered into 2000 atoms: floor < 0.013.
    """
    flow = problems.two_layer_1d(**FLOWS[name], initial="uniform", reach=1.5).flow
    pde = solve(flow, Muscl(192), times=[0.5, 1.0, 2.0])
    limit = {}
    for t, end in zip(pde.times[1:], pde.measures[1:], strict=True):
        atoms = gathered(end)
        assert atoms.floor < 0.013
        limit[float(t)] = Particles(end.domain, atoms.points, atoms.weights)
    drawn = [[GradientFlow(m, Sampled(1000 * m + k)) for k in range(10)] for m in (100, 200, 400, 800)]
    for slope, deviation in particle_slopes(flow, drawn, limit, 40):
        assert slope == pytest.approx(-0.5, abs=0.1)
        assert deviation < 0.03


# parameters, and |a|, |w| <= reach of the grids that keep fronts narrow; DG0, which smears them, takes three times that
MEETING = {
    "tanh": ({"target": "tanh", "spread": 1.0, "horizon": 3.0}, 4.0),
    "cos - sin": ({"activation": "cos_minus_sin", "target": "tanh", "horizon": 2.4}, 2.0),
}


@pytest.mark.slow
@pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or "")
@pytest.mark.parametrize("name", MEETING)
def test_minimising_movements_finite_volumes_and_dolfinx_meet(name):
    """H^-1 between the ends of two exact JKO steps, MUSCL and DG0: at most the sum of their measured errors.

    The error of JKO is that in tau (against one step) and that in h (against half the cells), each of order 1.
    What has not moved at all is farther from MUSCL than that: 1.2 times the bound and more.
    """
    parameters, reach = MEETING[name]
    near, far = (problems.two_layer_1d(**parameters, initial="uniform", reach=k * reach).flow for k in (1.0, 3.0))
    lab, wide = Laboratory(near), Laboratory(far)
    steps = lab.run(Exact(28), 2)
    assert near.horizon / 2 >= Exact(28).smallest_step(near)
    ends = {
        "jko": (steps.final, sum(distance(lab.run(*o).final, steps.final) for o in [(Exact(28), 1), (Exact(14), 2)]))
    }
    for where, method in ((lab, Muscl(84)), (wide, DG0(84))):
        run = where.enough(method)
        ends[type(method).__name__] = (run.final, estimated_error(where, run) / MARGIN)
    laid = {key: (within(pi, ends["DG0"][0].grid.domain), MARGIN * error) for key, (pi, error) in ends.items()}
    for (a, error_a), (b, error_b) in combinations(laid.values(), 2):
        assert distance(a, b) <= error_a + error_b
    rest = within(steps.measures[0], ends["DG0"][0].grid.domain)
    assert distance(rest, laid["Muscl"][0]) > 1.2 * (laid["jko"][1] + laid["Muscl"][1])


def within(pi, box):
    """The same density with empty cells around it, on a box three times as long or its own."""
    times = round(box.upper[0] / pi.grid.domain.upper[0])
    values = np.pad(pi.values.reshape(pi.grid.shape), [((times - 1) // 2 * n,) * 2 for n in pi.grid.shape])
    return Density(Grid(box, values.shape), values.ravel())
