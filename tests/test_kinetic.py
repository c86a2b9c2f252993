"""Momentum: exact Gaussians in phase space, walls, the decay of H, particles against a grid, and strong friction.

On the line with V = lam w^2/2 the law of (w, v) stays Gaussian. With A = [[0, 1], [-lam, -friction]],

    mean' = A mean,      C' = A C + C A^T + diag(0, 2 friction T)              (derived: moments of the linear equation)
"""

import math

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov

from solvers.kinetic import HeavyBall, KineticLangevin, PhaseSpace, phase_of
from solvers.kinetic.particles import drifted
from solvers.particles import GradientFlow, Sampled
from wflow import (
    Atoms,
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Potential,
    Refused,
    Truncated,
    interval,
    line,
    problems,
    solve,
    w2,
)
from wflow.remap import contracted, shifted


def spring(lam=1.0, temperature=0.0, horizon=2.0, mean=1.0, std=0.5):
    terms = [Potential.quadratic(lam)] + ([Entropy(temperature)] if temperature else [])
    return Flow(Energy(*terms), line(), Gaussian(mean, std), horizon, window=(-7.0, 7.0))


def moments(lam, friction, temperature, mean, cov, t):
    """Mean (2,) and covariance (2, 2) of (w, v) at time t."""
    a = np.array([[0.0, 1.0], [-lam, -friction]])
    rest = solve_continuous_lyapunov(a, -np.diag([0.0, 2.0 * friction * temperature]))
    turned = expm(a * t)
    return turned @ mean, rest + turned @ (cov - rest) @ turned.T


@pytest.mark.parametrize("shift", [0.3712, 17.2, -5.93])
def test_moved_masses_are_positive_kept_and_of_order_eight(shift):
    """A Gaussian moved 1.5 units in n/4 moves: error h^8 a move in C, so h^7 after some 1/h moves of a fixed length."""
    errors = []
    for n in (48, 96):
        h = 12.0 / n
        edges = np.linspace(-6.0, 6.0, n + 1)
        masses = np.diff([[0.5 * math.erf(x / 0.9)] for x in edges], axis=0)
        away = 0.0
        for _ in range(n // 8):
            masses = shifted(masses, np.array([shift]))
            away += shift * h
        exact = [sum(0.5 * math.erf((x - away + 12.0 * k) / 0.9) for k in range(-60, 61)) for x in edges]
        errors.append(float(np.abs(masses[:, 0] - np.diff(exact)).max()) / h)
        assert masses.min() >= 0.0 and abs(masses.sum() - 1.0) < 1e-13
    assert math.log2(errors[0] / errors[1]) >= 6.0


def test_rough_masses_stay_positive_where_they_are_moved_or_drawn_together():
    rng = np.random.default_rng(3)
    masses = np.where(rng.random((40, 30)) < 0.3, rng.exponential(size=(40, 30)), 0.0)
    total = masses.sum(axis=0)
    for moved in (shifted(masses, rng.uniform(-90.0, 90.0, 30)), contracted(masses, 0.83), contracted(masses, 0.2)):
        assert moved.min() >= 0.0
        np.testing.assert_allclose(moved.sum(axis=0), total, rtol=1e-13)


def test_a_spring_turns_and_slows_every_particle_as_the_matrix_exponential_does():
    """Order 2: points against expm(A t), friction 1.3, from velocities of std .4."""
    flow, solver, errors = spring(2.0), HeavyBall(60, friction=1.3, speed=0.4), []
    start = solver.init(flow)
    for steps in (20, 40):
        run = solve(flow, solver, steps=steps)
        ahead = expm(np.array([[0.0, 1.0], [-2.0, -1.3]]) * flow.horizon)
        exact = np.hstack([start.measure.points, start.memory["velocities"]]) @ ahead.T
        errors.append(float(np.abs(run.final.points[:, 0] - exact[:, 0]).max()))
    assert errors[1] < 2e-3 and 1.9 < math.log2(errors[0] / errors[1]) < 2.1


@pytest.mark.slow
def test_cells_of_phase_space_have_the_moments_of_the_exact_gaussian(temperature=0.5):
    """Order 2 in cells and steps together: mean and variance of w."""
    flow, errors = spring(1.0, temperature), []
    mean, cov = moments(1.0, 1.0, temperature, [1.0, 0.0], np.diag([0.25, temperature]), 2.0)
    for cells in (64, 128):
        pi = solve(flow, PhaseSpace(cells), steps=cells // 4).final
        w = pi.points[:, 0]
        found = pi.weights @ w, pi.weights @ w**2 - (pi.weights @ w) ** 2
        errors.append(max(abs(found[0] - mean[0]), abs(found[1] - cov[0, 0])))
    assert errors[1] < 4e-3 and math.log2(errors[0] / errors[1]) > 1.8


@pytest.mark.slow
def test_phase_space_comes_to_rest_at_gibbs_between_walls():
    """drift_diffusion: e^{g w} between walls, which walls that let mass through or turned it wrongly would not keep."""
    problem = problems.drift_diffusion(horizon=6.0)
    run = solve(problem.flow, PhaseSpace(64), steps=240)
    assert w2(run.final, problem.minimiser) < 1e-3
    assert 0.0 <= run.energies[-1] - problem.flow.energy.value(run.final) < 1e-4


def test_h_falls_by_what_friction_and_noise_take_to_order_two():
    """On resolved cells of the circle at T = .1; and H lies above F, by T KL(mu | pi x N(0, T))."""
    flow, misses = problems.circle_teacher(b=1.0, horizon=5.0, temperature=0.1).flow, []
    for steps in (20, 40):
        run = solve(flow, PhaseSpace(64), steps=steps)
        misses.append(abs(float(run.energies[0] - run.energies[-1] - run.dissipated[-1])))
        assert np.all(np.diff(run.energies) < 0.0)
        assert all(h >= flow.energy.value(pi) for h, pi in zip(run.energies, run.measures, strict=True))
    assert misses[1] < 2e-6 and 1.8 < math.log2(misses[0] / misses[1]) < 2.2


@pytest.mark.slow
def test_particles_and_cells_agree_on_momentum():
    """Circle teacher at T = 0 to t = 5: cells in fours and particles in 16s, W2 falls by seven (.022 and .0029)."""
    flow = problems.circle_teacher(b=1.0, horizon=5.0).flow
    found = []
    for cells, particles in ((64, 400), (256, 6400)):
        a = solve(flow, PhaseSpace(cells, speed=0.25), steps=80)
        b = solve(flow, HeavyBall(particles, speed=0.25), steps=80)
        found.append((w2(a.final, b.final), w2(a.measures[0], b.measures[0])))
    assert found[1][0] < 0.16 * found[0][0]
    assert found[1][0] < 4e-3


@pytest.mark.slow
def test_strong_friction_is_the_gradient_flow():
    """At time friction t, from rest, neurons are where the flow is at t but for 1/friction^2 (w'' is that small)."""
    apart = []
    base = problems.circle_teacher(b=1.0, horizon=2.0).flow
    there = solve(base, GradientFlow(100), steps=100).final
    for friction in (2.0, 4.0):
        flow = problems.circle_teacher(b=1.0, horizon=2.0 * friction).flow
        slow = solve(flow, HeavyBall(100, friction=friction), steps=round(100 * friction)).final
        apart.append(float(np.abs(slow.points - there.points).max()))
    assert apart[1] < 5e-3 and 1.7 < math.log2(apart[0] / apart[1]) < 2.3


def test_the_stationary_variance_of_noisy_particles_is_t_over_lam():
    """4000 springs to t = 8 by steps of .5: BAOAB's variance of w is exact on a spring (cited). 4 s.e."""
    flow = spring(2.0, 0.6, horizon=8.0, mean=0.0)
    run = solve(flow, KineticLangevin(4000, friction=1.5, start=Sampled(5), seed=7), steps=16)
    exact = moments(2.0, 1.5, 0.6, [0.0, 0.0], np.diag([0.25, 0.6]), 8.0)[1][0, 0]
    assert abs(float(np.var(run.final.points)) / exact - 1.0) < 4.0 * math.sqrt(2.0 / 4000)
    assert np.all(np.isnan(run.energies))


def test_walls_mirror_places_and_velocities():
    """Straight flight, folded: as often as it takes, at one wall or between two."""
    w, v = np.array([[0.2], [0.9], [0.5]]), np.array([[-1.0], [3.0], [0.1]])
    there, turned = drifted(interval(0.0, 1.0), w, v, 1.5)
    np.testing.assert_allclose(there[:, 0], [0.7, 0.6, 0.65], atol=1e-14)  # -1.3 -> .7 ; 5.4 -> .6 ; .65
    np.testing.assert_allclose(turned[:, 0], [-1.0, -3.0, 0.1])
    there, turned = drifted(interval(0.0, math.inf), w, v, 1.5)
    np.testing.assert_allclose(there[:, 0], [1.3, 5.4, 0.65], atol=1e-14)
    np.testing.assert_allclose(turned[:, 0], [1.0, 3.0, 0.1])


def test_what_momentum_cannot_take_is_refused():
    warm, cold = spring(temperature=0.5), spring()
    for solver, flow, sentence in (
        (HeavyBall(10), warm, "KineticLangevin"),
        (KineticLangevin(10), cold, "HeavyBall"),
        (PhaseSpace(32), cold, "no rest"),
        (HeavyBall(10, speed=0.3), Flow(cold.energy, line(), Atoms(line(), [[0.0]]), 1.0), "Sampled"),
        (HeavyBall(10), problems.porous_well().flow, "Power"),
        (HeavyBall(10), problems.build("sphere_teacher").flow, "no box"),
    ):
        with pytest.raises(Refused, match=sentence):
            solve(flow, solver, steps=2)
    with pytest.raises(ValueError, match="friction"):
        HeavyBall(10, friction=0.0)
    with pytest.raises(ValueError, match="odd"):
        PhaseSpace(33)
    with pytest.raises(Truncated, match="reach"):
        solve(cold, PhaseSpace(32, speed=0.3, reach=0.8), steps=20)


def test_the_phase_of_a_run_is_a_measure_whose_marginal_is_the_runs():
    """Cells of (w, v), and particles with their velocities."""
    seen, flow = [], problems.circle_teacher(b=1.0, horizon=1.0).flow
    for solver in (PhaseSpace(32, speed=0.25), HeavyBall(50, speed=0.25)):
        run = solve(flow, solver, steps=5, until=lambda state: bool(seen.append(phase_of(state))))
        marginal = seen[-1].weights
        if solver.needs == "density":
            marginal = marginal.reshape(32, 32).sum(axis=1)
            assert seen[-1].grid.domain.periodic == (True, False)
        else:
            np.testing.assert_array_equal(seen[-1].points[:, :1], run.final.points)
        np.testing.assert_allclose(marginal, run.final.weights, rtol=1e-12)
    with pytest.raises(Refused, match="velocities"):
        phase_of(GradientFlow(10).init(flow))
