"""Flows on the sphere: exact positions, orders in time, decay rates measured by particles, null degrees, walls."""

import math
from itertools import pairwise

import numpy as np
import pytest

from solvers.particles import DormandPrince, GradientFlow, Quantised, Sampled
from wflow import (
    Atoms,
    Drifted,
    Energy,
    Flow,
    Particles,
    Potential,
    Refused,
    Uniform,
    annulus,
    disk,
    polygon,
    problems,
    solve,
    sphere,
    sphere_kernel,
)
from wflow.activation import activation, relu
from wflow.app.study import study
from wflow.convergence import imbalance
from wflow.energy import population_risk
from wflow.harmonics import gauss_legendre, legendre
from wflow.problems.sphere import UNIFORM, decay_rates
from wflow.zonal import drifted_heights

ORDERS = [(GradientFlow(60), 4.0), (DormandPrince(60), 5.0)]


def positions(start, time):
    """Where sphere_drift takes points (m, 3): their meridians stay, heights move by the closed form."""
    z = drifted_heights(start[:, 2], time)
    flat = start[:, :2] / np.linalg.norm(start[:, :2], axis=1)[:, None]
    return np.column_stack([flat * np.sqrt((1.0 - z) * (1.0 + z))[:, None], z])


@pytest.mark.parametrize(("solver", "order"), ORDERS, ids=str)
def test_particles_of_the_drift_reach_their_exact_places(solver, order):
    """Error at t = 1, strength 2, in 5, 10, 20, 40 steps: the method's order, below 3e-5 with 40."""
    flow = problems.sphere_drift(strength=2.0).flow
    expected = positions(solver.init(flow).measure.points, 2.0)
    errors = []
    for steps in (5, 10, 20, 40):
        end = solve(flow, solver, steps=steps).final.points
        np.testing.assert_allclose(np.linalg.norm(end, axis=1), 1.0, atol=1e-15)
        errors.append(np.max(sphere().distance(end, expected)))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert slopes[-1] > order - 0.15 and errors[-1] < 3e-5


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "order"), ORDERS, ids=str)
def test_a_flow_of_neurons_has_the_order_of_the_method(solver, order):
    """cos - sin learns its teacher from samples: distances of successive halvings of dt, V recomputed at each stage."""
    flow = problems.sphere_teacher(b=1.5, horizon=4.0).flow
    solver = type(solver)(40, Sampled(3))
    ends = [solve(flow, solver, steps=n).final.points for n in (8, 16, 32, 64)]
    apart = np.array([np.max(sphere().distance(a, b)) for a, b in pairwise(ends)])
    assert np.log2(apart[-2] / apart[-1]) > order - 0.15


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "order"), ORDERS, ids=str)
@pytest.mark.parametrize("name", ["sphere_drift", "sphere_teacher"])
def test_energy_lost_is_energy_dissipated(solver, order, name):
    """|F_0 - F - int int |grad V|^2 dpi dt| falls at the order of the method."""
    flow = problems.build(name).flow
    left = [imbalance(solve(flow, solver, steps=n)) for n in (5, 10, 20)]
    assert left[-1] < 1e-12 or math.log2(left[-2] / left[-1]) > order - 0.15
    assert left[-1] < 1e-5 * abs(flow.energy.value(solver.init(flow).measure) - 1.0)


def perturbed(degree, amplitude):
    """The law (1 + amplitude P_l)/4 pi as atoms of a product rule, 20 heights by 40 angles."""
    z, share = gauss_legendre(20)
    points = sphere().turned(
        np.repeat(z, 40), np.tile(2.0 * math.pi * np.arange(40) / 40, 20), np.array([0.0, 0.0, 1.0])
    )
    weights = np.repeat(share, 40) / 80.0 * (1.0 + amplitude * legendre(points[:, 2], degree)[degree])
    return Atoms(sphere(), points, weights / weights.sum())


def measured_rate(kernel, degree, time=0.5):
    """-log of the factor left of int P_l dpi after some time, half the difference of amplitudes +-1e-4."""
    energy = Energy(*population_risk(kernel, UNIFORM))
    moments = []
    for amplitude in (1e-4, -1e-4):
        run = solve(Flow(energy, sphere(), perturbed(degree, amplitude), time), GradientFlow(800), steps=4)
        moments.append([legendre(pi.points[:, 2], degree)[degree] @ pi.weights for pi in (run.measures[0], run.final)])
    first, last = (a - b for a, b in zip(*moments, strict=True))
    return -math.log(last / first) / time


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "b", "inputs"), [("relu", None, "gaussian"), ("relu", None, "sphere"), ("cos_minus_sin", 1.0, "gaussian")]
)
def test_rates_of_decay_measured_by_particles(name, b, inputs):
    """lambda_l = l (l + 1) E mu_l^2, l = 1, 2, 4, to 1 %; relu's by pair sums of its closed form, no spectrum."""
    sigma = activation(name, b)
    rates = decay_rates(sigma, inputs, 4)
    for degree in (1, 2, 4):
        assert measured_rate(sphere_kernel(sigma, inputs), degree) == pytest.approx(rates[degree], rel=0.01)


def test_rates_of_relu_under_gaussian_inputs():
    """1/6, 9/128, 0, 5/768 by hand: 3 l (l + 1) mu_l^2; heat of temperature T adds T l (l + 1)."""
    np.testing.assert_allclose(decay_rates(relu(), "gaussian", 4)[1:], [1 / 6, 9 / 128, 0.0, 5 / 768], rtol=1e-13)
    warm = decay_rates(relu(), "gaussian", 4, temperature=0.1) - decay_rates(relu(), "gaussian", 4)
    np.testing.assert_allclose(warm, 0.1 * np.array([0.0, 2.0, 6.0, 12.0, 20.0]), rtol=1e-13)


def test_the_third_degree_of_relu_stays():
    """Its rate is 0 although l = 2 and 4 fall: below 1e-3 of the rate of l = 4."""
    assert abs(measured_rate(sphere_kernel(relu(), "gaussian"), 3)) < 1e-3 * 5 / 768


@pytest.mark.slow
def test_a_start_in_null_degrees_does_not_move():
    """relu from (1 + P_3/2)/4 pi: V is constant (proved). 200 quantised particles drift by no more than their spacing.

    The limit is the start, the risk nothing, and every row of the study holds.
    """
    problem = problems.sphere_teacher("relu", modes={3: 0.5}, horizon=20.0)
    assert problem.limit is problem.flow.initial and "proved" in problem.limit_reason
    w = problem.flow.initial.sample(50, np.random.default_rng(0))
    kernel = sphere_kernel(relu(), "gaussian")
    np.testing.assert_allclose(kernel.against(problem.flow.initial, w, 0), kernel.coefficients(0)[0], rtol=1e-14)
    run = solve(problem.flow, GradientFlow(200), steps=20)
    moved = sphere().distance(run.final.points, run.measures[0].points)
    assert math.sqrt(float(np.mean(moved**2))) < 0.05
    assert float(legendre(run.final.points[:, 2], 3)[3].mean()) == pytest.approx(0.5 / 7.0, rel=0.05)
    chosen = {"activation": "relu", "modes": {3: 0.5}, "horizon": 5.0}
    rows = study("sphere_teacher", chosen, GradientFlow(50), True).rows
    assert all(row.holds for row in rows) and any("refutes" in row.certificate.claim for row in rows)


@pytest.mark.parametrize(
    ("arguments", "uniform", "reason"),
    [
        ({}, True, "no null degrees"),
        ({"activation": "relu"}, False, "not predicted"),
        ({"activation": "relu", "modes": {2: 0.5, 4: 0.3}}, True, "even"),
        ({"activation": "tanh", "modes": {2: 0.5}}, False, "proved"),
        ({"activation": "quadratic", "modes": {2: 0.5, 4: 0.3}}, False, "not predicted"),
        ({"activation": "relu", "modes": {3: 0.5}, "temperature": 0.1}, True, "heat"),
    ],
)
def test_what_is_predicted_of_the_limit(arguments, uniform, reason):
    """As on the circle; even starts of relu may reach uniform, those with null degrees and visible ones may not."""
    problem = problems.sphere_teacher(**arguments)
    assert (problem.limit is UNIFORM) == uniform and reason in problem.limit_reason


def test_even_starts_stay_even_and_approach_uniform():
    """relu from (1 + P_2/2)/4 pi as antipodal pairs: w -> -w is kept to rounding, the second moment falls."""
    problem = problems.sphere_teacher("relu", modes={2: 0.5}, horizon=20.0)
    half = problem.flow.initial.quantised(150)
    start = Atoms(sphere(), np.concatenate([half, -half]))
    run = solve(Flow(problem.flow.energy, sphere(), start, 20.0), GradientFlow(300), steps=40)
    end = run.final.points
    np.testing.assert_allclose(end[150:], -end[:150], atol=1e-12)
    second = [float(legendre(pi.points[:, 2], 2)[2].mean()) for pi in (run.measures[0], run.final)]
    assert 0.0 < second[1] < second[0] * math.exp(-0.8 * 9 / 128 * 20.0)


def test_warm_flows_and_wrong_arguments():
    """Atoms have no entropy; a negative temperature and a strength of 0 are named."""
    warm = problems.sphere_teacher(temperature=0.1).flow
    with pytest.raises(Refused, match="entropy"):
        solve(warm, GradientFlow(50))
    with pytest.raises(ValueError, match="temperature"):
        problems.sphere_teacher(temperature=-0.1)
    with pytest.raises(ValueError, match="strength"):
        problems.sphere_drift(strength=0.0)


def test_the_drift_as_a_law_is_that_of_its_particles():
    """Quantised particles at t = 1 have the moments of the exact law: 2/m, as at the start."""
    problem = problems.sphere_drift()
    run = solve(problem.flow, GradientFlow(800), steps=40)
    law = problem.exact(1.0)
    assert isinstance(law, Drifted)
    mean = legendre(run.final.points[:, 2], 3).mean(axis=1)
    np.testing.assert_allclose(mean, law.moments(3), atol=2.0 / 800)
    assert problem.flow.energy.value(run.final) == pytest.approx(-law.moments(1)[1], abs=2.0 / 800)


def on_circle(radius, angles):
    """Points (m, 2)."""
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


WALLS = {
    "disk": (disk(1.0), 1.0, np.array([0.3, 1.2, -1.5]), 1.0),
    "hole": (annulus(0.5, 2.0), 0.5, np.array([3.0, 2.8]), 0.7),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WALLS)
def test_particles_slide_along_round_walls_at_first_order(name):
    """V = -x at radius r: phi' = -sin phi/r, so tan(phi/2) shrinks by e^{-t/r}, before a hole until phi = pi/2.

    Declared 1, seen within .15 of it, on the wall all along; below 1e-3 after 160 steps.
    """
    domain, radius, angles, horizon = WALLS[name]
    start = Atoms(domain, domain.retract(on_circle(radius, angles)))
    flow = Flow(Energy(Potential.linear([-1.0, 0.0])), domain, start, horizon)
    expected = on_circle(radius, 2.0 * np.arctan(np.tan(0.5 * angles) * math.exp(-horizon / radius)))
    for solver in (GradientFlow(2), DormandPrince(2)):
        errors = [np.abs(solve(flow, solver, steps=n).final.points - expected).max() for n in (40, 80, 160)]
        assert solver.order(flow).time == 1.0
        assert math.log2(errors[-2] / errors[-1]) > 0.85 and errors[-1] < 1e-3


def test_particles_slide_along_straight_walls_exactly():
    """V = -x - y in a square: into a wall, along it, into the corner and no further; exact, as nothing bends."""
    domain = polygon((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    flow = Flow(Energy(Potential.linear([-1.0, -1.0])), domain, Atoms(domain, np.array([[0.7, 0.2], [0.9, 0.8]])), 0.6)
    end = solve(flow, GradientFlow(2), steps=12).final.points
    np.testing.assert_allclose(end, [[1.0, 0.8], [1.0, 1.0]], atol=1e-12)


def test_starts_in_a_region():
    """Uniform in a disk: draws inside; no quantised points, and the refusal says what to do."""
    domain = disk(1.0)
    flow = Flow(Energy(Potential.quadratic(1.0)), domain, Uniform(domain), 0.1)
    run = solve(flow, GradientFlow(50, Sampled(0)), steps=5)
    assert np.all(np.linalg.norm(run.final.points, axis=1) <= 1.0)
    np.testing.assert_allclose(run.final.points, run.measures[0].points * math.exp(-0.1), rtol=1e-8)
    assert "Sampled" in (GradientFlow(50, Quantised()).refusal(flow) or "")


@pytest.mark.parametrize(("solver", "order"), ORDERS, ids=str)
def test_v_is_asked_on_the_sphere_alone(solver, order):
    """Every stage is brought back first: a field that knows only the sphere is never asked elsewhere."""
    asked = []

    def field(w, derivative):
        asked.append(np.max(np.abs(np.linalg.norm(w, axis=1) - 1.0)))
        return -w[:, 2] if derivative == 0 else np.broadcast_to([0.0, 0.0, -1.0], w.shape)

    start = problems.sphere_drift().flow.initial
    solver.step(Flow(Energy(Potential(field)), sphere(), start, 1.0), solver.init(problems.sphere_drift().flow), 0.1)
    assert len(asked) > order and max(asked) < 1e-15


def test_starts_on_the_sphere():
    """Quantised and Sampled begin on the sphere, of order 1/2 in the number of particles: it has two dimensions."""
    flow = problems.sphere_teacher().flow
    for start in (Quantised(), Sampled(4)):
        solver = GradientFlow(100, start)
        pi = solver.init(flow).measure
        assert isinstance(pi, Particles) and solver.order(flow).space == 0.5
        np.testing.assert_allclose(np.linalg.norm(pi.points, axis=1), 1.0, atol=1e-15)
