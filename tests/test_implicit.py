"""Networks of any scaling: closed risks and gradients, the clock, random features, diagnostics, what must be seen."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from solvers.particles import GradientDescent, GradientFlow, Sampled
from wflow import Particles, problems, solve, space
from wflow.implicit import diagnostics
from wflow.implicit.features import RandomFeatures
from wflow.implicit.population import PopulationKernel
from wflow.implicit.ring import Ring, ring_sums, ring_target
from wflow.implicit.scaling import Scaling, SilentStart
from wflow.implicit.targets import directions_of, drawn, population, teacher, value
from wflow.space_kernel import ReluSpaceKernel
from wflow.space_sums import space_sums


def unit(count, dim, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, dim))
    return x / np.linalg.norm(x, axis=1)[:, None]


def network(m, dim, seed=0):
    return Particles(space(dim + 1), np.random.default_rng(seed).normal(size=(m, dim + 1)))


# Closed risks and gradients: 1e-8, what is asked for, with room


def correlation(b, u):
    """E relu(b . x) relu(u . x), x ~ N(0, I): E r^2 = 2 times a mean over angles in the plane of b and u."""
    lengths = np.linalg.norm(b), np.linalg.norm(u)
    phi = math.acos(min(max(float(b @ u) / (lengths[0] * lengths[1]), -1.0), 1.0))
    low, high = phi - math.pi / 2, math.pi / 2  # where both are active
    found = quad(lambda t: math.cos(t) * math.cos(t - phi), low, high, epsabs=1e-13)[0]
    return lengths[0] * lengths[1] * found / math.pi


def with_ring(b):
    """E relu(b . x) |(x_1, x_2)|/pi: radius and angle by nodes, the rest of b . x, a Gaussian, by its mean."""
    p, s = np.linalg.norm(b[:2]), np.linalg.norm(b[2:])
    nodes, weights = np.polynomial.legendre.leggauss(200)
    r, wr = 6.0 * (nodes + 1.0), 6.0 * weights
    t = 2.0 * math.pi * (np.arange(200) + 0.5) / 200
    z = p * np.multiply.outer(r, np.cos(t))
    mean = z * ndtr(z / s) + s * np.exp(-0.5 * (z / s) ** 2) / math.sqrt(2.0 * math.pi)
    return float((wr * r**2 * np.exp(-0.5 * r**2)) @ mean.mean(axis=1)) / math.pi


def risk_by_quadrature(pi, target, gaussian=True):
    """F from pairs, each in its own plane; on the sphere E |x_plane|^2 = 2/d in place of 2."""
    a, b, dim = pi.points[:, 0] * pi.weights, pi.points[:, 1:], pi.points.shape[1] - 1
    total = sum(a[i] * a[j] * correlation(b[i], b[j]) for i in range(len(a)) for j in range(len(a)))
    if isinstance(target, Ring):
        total += sum(-2.0 * a[i] * with_ring(b[i]) for i in range(len(a))) + 2.0 / math.pi**2
    else:
        c, u = target.weights * target.points[:, 0], target.points[:, 1:]
        total -= 2.0 * sum(a[i] * c[k] * correlation(b[i], u[k]) for i in range(len(a)) for k in range(len(c)))
        total += sum(c[k] * c[q] * correlation(u[k], u[q]) for k in range(len(c)) for q in range(len(c)))
    return 0.5 * total / (1.0 if gaussian else dim)


@pytest.mark.parametrize("kind", ["single", "several", "ring"])
@pytest.mark.parametrize("inputs", ["gaussian", "sphere"])
def test_closed_risks_against_quadrature(kind, inputs):
    """Three teachers, Gaussian and spherical inputs, d = 3 and 6: 1e-10."""
    for dim in (3, 6):
        pi, target = network(4, dim, dim), teacher(kind, dim, teachers=3)
        expected = risk_by_quadrature(pi, target, inputs == "gaussian")
        assert population(target, inputs).value(pi) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("dim", [2, 3, 9])
@pytest.mark.parametrize("kind", ["single", "several", "ring"])
@pytest.mark.parametrize("inputs", ["gaussian", "sphere"])
def test_gradients_against_finite_differences(kind, inputs, dim):
    """m dF/dw_j = grad V(w_j) and m dF/d(mass) = V, by central differences of F: 1e-8."""
    pi, energy, h = network(5, dim), population(teacher(kind, dim, teachers=3), inputs), 1e-5
    gradient = -energy.velocity(pi, pi.points)
    for j in range(2):
        for k in range(dim + 1):
            ends = []
            for sign in (1.0, -1.0):
                w = pi.points.copy()
                w[j, k] += sign * h
                ends.append(energy.value(pi.moved(w)))
            assert 5.0 * (ends[0] - ends[1]) / (2.0 * h) == pytest.approx(gradient[j, k], abs=1e-8)


@pytest.mark.parametrize("dim", [2, 3, 9])
def test_the_ring_is_the_mean_of_its_neurons(dim):
    """Values, gradients and Hessians against 4000 equispaced neurons; in the plane those have kinks: 3e-8 there."""
    at, ring = unit(4, dim), Ring(dim).quantised(4000)[:, 1:]
    for j, slack in enumerate((1e-13, 1e-11, 3e-8) if dim == 2 else (1e-14,) * 3):
        expected = space_sums(ring, np.full(4000, 1 / 4000), at, j)
        np.testing.assert_allclose(ring_sums(at, j), expected, rtol=0.0, atol=slack)


def test_the_ring_in_its_plane_and_across_it():
    """g = 2/pi^2 in the plane, 1/2 pi across; Hessians 2 (I - u u^T)/pi^2 along it, and finite beside it."""
    at = np.eye(4)[[0, 3]]
    np.testing.assert_allclose(ring_sums(at, 0), [2.0 / math.pi**2, 0.5 / math.pi], atol=1e-15)
    bent = ring_sums(at[:1], 2)[0]
    np.testing.assert_allclose(bent[:2, :2], np.diag([0.0, 2.0]) / math.pi**2, atol=1e-15)
    for angle in (1e-3, 1e-6, 1e-9):
        u, h = np.array([[math.cos(angle), 0.0, math.sin(angle)]]), 0.1 * angle
        found = ring_sums(u, 2)[0]
        e = np.array([[0.0, 0.0, h]])
        slope = [ring_sums((u + s * e) / np.linalg.norm(u + s * e), 1)[0] for s in (1.0, -1.0)]
        np.testing.assert_allclose((slope[0] - slope[1]) / (2.0 * h), found[2], rtol=0.01, atol=1e-5)


def test_what_silence_costs():
    """F(0) = E f*^2/2: 1/4 exactly for one neuron, 1/pi^2 for the ring, over d on the sphere; all against samples."""
    silent = Particles(space(8), np.column_stack([np.zeros(3), np.ones((3, 7))]))
    assert population(teacher("single", 7)).value(silent) == 0.25
    assert population(teacher("ring", 7)).value(silent) == pytest.approx(1.0 / math.pi**2, abs=1e-15)
    assert population(teacher("single", 7), "sphere").value(silent) == pytest.approx(0.25 / 7, abs=1e-15)
    x = np.random.default_rng(0).normal(size=(50_000, 7))
    for kind in ("single", "several", "ring"):
        target = teacher(kind, 7)
        half = 0.5 * value(target, x) ** 2
        error = half.std() / math.sqrt(len(x))
        assert abs(half.mean() - population(target).value(silent)) < 4.0 * error


def test_targets_and_samples():
    """The ring is |(x_1, x_2)|/pi, the mean of its neurons; inputs of the sphere lie on it; directions are units."""
    x = np.random.default_rng(1).normal(size=(5, 3))
    mean = np.maximum(x @ Ring(3).quantised(100_000)[:, 1:].T, 0.0).mean(axis=1)
    np.testing.assert_allclose(ring_target(x), mean, atol=1e-9)
    data = drawn(teacher("several", 4), 6, np.random.default_rng(0), "sphere")
    np.testing.assert_allclose(np.linalg.norm(data.inputs, axis=1), 1.0, atol=1e-14)
    for kind, count in (("single", 1), ("several", 5), ("ring", 64)):
        units = directions_of(teacher(kind, 4))
        assert units.shape == (count, 4)
        np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1.0, atol=1e-14)
    drawn_ring = Ring(4).sample(50, np.random.default_rng(2))
    np.testing.assert_allclose(np.hypot(drawn_ring[:, 1], drawn_ring[:, 2]), 1.0, atol=1e-14)


@pytest.mark.parametrize("inputs", ["gaussian", "sphere"])
def test_the_kernel_is_the_house_s(inputs):
    """Against atoms the kernel of wflow.space_kernel, over d on the sphere; its other answers too."""
    pi, w, share = network(6, 5), network(3, 5, 1).points, 1.0 if inputs == "gaussian" else 0.2
    kernel, plain = PopulationKernel(5, inputs), ReluSpaceKernel(5)
    for j in range(3):
        np.testing.assert_allclose(kernel.against(pi, w, j), share * plain.against(pi, w, j), rtol=1e-14)
    assert kernel.double(pi) == pytest.approx(share * plain.double(pi), rel=1e-14)
    np.testing.assert_allclose(kernel.coupling(w)[1], share * plain.coupling(w)[1])
    np.testing.assert_allclose(kernel.coefficients(4), share * plain.coefficients(4))
    assert (kernel.jumps, kernel.names, kernel.domain, kernel.convex) == (3.0, plain.names, plain.domain, True)


def test_the_coupling_of_many_inputs():
    """Beyond 24 inputs d_a d_a' k is exact where directions agree: |b| |b'|/2; memory is (m d)(1 + d)."""
    w = np.array([[2.0, *(3.0 * unit(1, 40)[0])], [0.5, *(5.0 * unit(1, 40)[0])]])
    factor, core = ReluSpaceKernel(40).coupling(w)
    assert factor.shape == (2 * 41, 41)
    outer = factor.reshape(2, 41, 41)[:, 0]
    np.testing.assert_allclose((outer * core) @ outer.T, [[4.5, 7.5], [7.5, 12.5]], rtol=1e-13)


# Scalings are starts of another size, and another clock


def descended(x, y, a, b, power, dt, steps):
    """w <- w - dt grad_w F for f = m^-s sum_j a_j relu(b_j . x), F = (1/2n) |f - y|^2: as a network is written."""
    scale = len(a) ** -power
    for _ in range(steps):
        z = x @ b.T
        residual = (scale * np.maximum(z, 0.0) @ a - y) / len(y)
        slope_a = scale * residual @ np.maximum(z, 0.0)
        slope_b = scale * a[:, None] * ((residual[:, None] * (z > 0.0)).T @ x)
        a, b = a - dt * slope_a, b - dt * slope_b
    return a, b


@pytest.mark.parametrize("power", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_scaling_is_a_start_and_a_clock(power, frozen):
    """Descent as a network is written, and the house's on the flow of `quenching` in the time m^-s t: 1e-12."""
    m, dim, steps, dt = 12, 6, 25, 0.02
    law = Scaling(m, power)
    flow = problems.quenching(
        "ring", dim, m, power, frozen=frozen, samples=15, seed=3, horizon=steps * dt * law.clock
    ).flow
    run = solve(flow, GradientDescent(m, Sampled(5)), steps=steps)
    data = flow.energy.risk.data
    start = run.measures[0].points / law.size
    a, b = start[:, 0], start[:, 1:]
    for _ in range(steps):
        a, ahead = descended(data.inputs, data.targets, a, b, power, dt, 1)
        b = b if frozen else ahead
    np.testing.assert_allclose(run.final.points, law.size * np.column_stack([a, b]), rtol=0.0, atol=1e-12)
    f = m**-power * np.maximum(data.inputs @ b.T, 0.0) @ a
    np.testing.assert_allclose(diagnostics.predicted(run.final, data.inputs), f, atol=1e-12)
    expected = m**-power * np.sum(np.abs(a) * np.linalg.norm(b, axis=1))
    assert diagnostics.path_norm(run.final) == pytest.approx(expected, rel=1e-12)


def test_the_start_is_silent_and_of_its_size():
    """a = 0, E |b|^2 = m^(1-s): 4 standard errors of 4000 draws; quantised within 2 %; b frozen where asked."""
    for power in (0.0, 0.5, 1.0):
        law = Scaling(50, power).start(8)
        for points, slack in (
            (law.sample(4000, np.random.default_rng(0)), 4.0 * 0.5 / 63.0),
            (law.quantised(4000), 0.02),
        ):
            assert np.all(points[:, 0] == 0.0)
            mean = np.mean(np.sum(points[:, 1:] ** 2, axis=1))
            assert mean == pytest.approx(50.0 ** (1.0 - power), rel=slack)
    assert SilentStart(3, frozen=True).domain.moving == (0,)


# Random features


@pytest.mark.parametrize("samples", [None, 7])
def test_random_features_in_closed_form(samples):
    """a(t) against a Runge-Kutta run of the frozen flow; its limit against least squares: 1e-8."""
    m, dim = 12, 4
    problem = problems.quenching("single", dim, m, frozen=True, samples=samples, horizon=2.0)
    run = solve(problem.flow, GradientFlow(m, Sampled(0)), steps=120, times=[0.5, 2.0])
    start, target = run.measures[0], teacher("single", dim)
    if samples is None:
        found = RandomFeatures.of_population(start, target)
        rest = problem.flow.energy.velocity(found.at(np.inf), start.points)[:, 0]
        np.testing.assert_allclose(rest, 0.0, atol=1e-10)
    else:
        data = problem.flow.energy.risk.data
        found = RandomFeatures.on_data(start, data)
        phi = np.maximum(data.inputs @ start.points[:, 1:].T, 0.0) / m
        least = np.linalg.lstsq(phi, data.targets, rcond=None)[0]
        np.testing.assert_allclose(found.at(np.inf).points[:, 0], least, rtol=1e-9)
        np.testing.assert_allclose(phi @ found.at(np.inf).points[:, 0], data.targets, atol=1e-9)
    for pi, t in zip(run.measures, run.times, strict=True):
        np.testing.assert_allclose(found.at(t).points, pi.points, rtol=0.0, atol=1e-8)


# What is looked at


def test_diagnostics_of_a_network_known_by_hand():
    """c = (3, -1, .02, 0): one carries most."""
    w = np.array([[4.0, 3.0, 0.0], [-2.0, 0.0, 2.0], [0.08, -1.0, 0.0], [0.0, 0.0, 5.0]])
    pi, axes = Particles(space(3), w), np.eye(2)
    np.testing.assert_allclose(diagnostics.magnitudes(pi), [3.0, 1.0, 0.02, 0.0])
    assert diagnostics.path_norm(pi) == pytest.approx(4.02)
    assert (diagnostics.active(pi), diagnostics.active(pi, share=0.005), diagnostics.active(pi, share=0.5)) == (2, 3, 1)
    assert diagnostics.carriers(pi) == pytest.approx(4.02**2 / (9.0 + 1.0 + 0.0004))
    assert diagnostics.alignment(pi, axes[:1]) == pytest.approx((3.0 - 0.02) / 4.02)
    np.testing.assert_allclose(diagnostics.projections(pi, axes), [[3, 0], [0, -1], [-0.02, 0], [0, 0]], atol=1e-15)
    x = np.array([[1.0, 0.5], [-1.0, 0.0]])
    np.testing.assert_allclose(diagnostics.predicted(pi, x), [3.0 - 0.5, 0.02])
    other = pi.moved(w * [1.0, 2.0, 2.0])
    assert diagnostics.apart(pi, other, x) == pytest.approx(2.5)
    np.testing.assert_allclose(diagnostics.moved(other, pi), np.array([3.0, 2.0, 1.0, 5.0]) / math.sqrt(39.0 / 4.0))
    silent = pi.moved(w * [0.0, 1.0, 1.0])
    assert diagnostics.active(silent) == 0
    assert math.isnan(diagnostics.carriers(silent)) and math.isnan(diagnostics.alignment(silent, axes))
    np.testing.assert_allclose(np.linalg.norm(diagnostics.sphere_points(9, 4), axis=1), 1.0)


# What must be seen


def big(neurons, dim, dt, **kind):
    flow = problems.quenching("single", dim, neurons, horizon=100.0, **kind).flow
    return solve(flow, GradientDescent(neurons, Sampled(0)), dt=dt, times=[0.5, 100.0])


@pytest.mark.slow
def test_one_neuron_by_a_network_and_by_random_features():
    """Population descent, m = 100, d = 200: together first, then apart; a few neurons carry the one, all the other."""
    net, features = big(100, 200, 0.1), big(100, 200, 0.1, frozen=True)
    assert net.energies[0] == features.energies[0] == 0.25
    assert abs(net.energies[1] / features.energies[1] - 1.0) < 0.01
    assert net.energies[2] < 2e-3 and features.energies[2] > 0.12
    assert diagnostics.active(net.final) <= 10 and diagnostics.active(features.final) >= 90
    assert diagnostics.carriers(net.final) < 3.0 and diagnostics.carriers(features.final) > 50.0
    exact = RandomFeatures.of_population(features.measures[0], teacher("single", 200))
    assert population(teacher("single", 200)).value(exact.at(np.inf)) > 0.12


@pytest.mark.slow
def test_one_neuron_in_mean_field_scaling():
    """m = 50, d = 100, t = 100 in mean-field time: F below 1e-3, and four fifths of the neurons are active."""
    run = big(50, 100, 0.2, scaling=1.0)
    assert run.energies[0] == 0.25 and run.energies[2] < 1e-3
    assert diagnostics.active(run.final) >= 40 and diagnostics.carriers(run.final) > 15.0
