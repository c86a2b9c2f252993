"""ReLU neurons of d inputs: their kernel, its certificate over a ball, the start, two ways to descend, the problem."""

import math

import numpy as np
import pytest

from solvers.particles import DormandPrince, GradientDescent, NormDescent, Sampled
from wflow import (
    Atoms,
    Density,
    Energy,
    Grid,
    Particles,
    Potential,
    Refused,
    box,
    population_risk,
    problems,
    solve,
    space,
)
from wflow.duality import bracket, teacher_bracket, unknown
from wflow.duality.ball import Ball
from wflow.duality.field import largest
from wflow.isotropic import Isotropic
from wflow.plane_kernel import ReluPlaneKernel
from wflow.solver import State
from wflow.space_kernel import ReluSpaceKernel
from wflow.space_sums import arc_cosine, space_sums

RIGHT = ((1.0, 0.0), (0.0, 1.0))
"""Two teachers at a right angle."""


def cloud(count, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim + 1))


def unit(count, dim, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, dim))
    return x / np.linalg.norm(x, axis=1)[:, None]


# The kernel


def test_the_printed_example():
    """k1((1, 2, -1), (.5, -1, 2)) = .198374812988 with gradient (.18779796, .08993040, .16928394)."""
    other, w = Particles(space(4), np.array([[1.0, 0.5, -1.0, 2.0]])), np.array([[1.0, 1.0, 2.0, -1.0]])
    kernel = ReluSpaceKernel(3)
    assert kernel.against(other, w, 0)[0] == pytest.approx(0.198374812988, abs=5e-13)
    expected = [0.198374812988, 0.18779796, 0.08993040, 0.16928394]
    np.testing.assert_allclose(kernel.against(other, w, 1)[0], expected, atol=5e-9)


def test_in_the_plane_it_is_the_plane_kernel():
    """Values, gradients and Hessians by pairs against prefix sums over sorted angles: 1e-13."""
    pi, at = Particles(space(3), cloud(30, 2)), cloud(9, 2, 1)
    for j in range(3):
        found = ReluSpaceKernel(2).against(pi, at, j)
        np.testing.assert_allclose(found, ReluPlaneKernel().against(pi, at, j), rtol=0.0, atol=1e-13)
    assert ReluSpaceKernel(2).double(pi) == pytest.approx(ReluPlaneKernel().double(pi), abs=1e-13)


def test_only_the_plane_of_two_neurons_matters():
    """Inner weights carried into R^10 by an isometry: the same sums, gradients carried too: 1e-13."""
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(10, 2)))[0]
    pi, at = cloud(30, 2), cloud(9, 2, 1)

    def carried(w):
        return np.column_stack([w[:, 0], w[:, 1:] @ turn.T])

    high = ReluSpaceKernel(10).against(Particles(space(11), carried(pi)), carried(at), 1)
    flat = ReluSpaceKernel(2).against(Particles(space(3), pi), at, 1)
    np.testing.assert_allclose(high, carried(flat), rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("dim", [3, 10])
def test_derivatives_are_those_of_differences(order, dim):
    """Central differences of step 1e-5 in each coordinate: 1e-9."""
    kernel, pi, at, h = ReluSpaceKernel(dim), Particles(space(dim + 1), cloud(30, dim)), cloud(4, dim, 1), 1e-5
    columns = [
        (kernel.against(pi, at + h * e, order - 1) - kernel.against(pi, at - h * e, order - 1)) / (2 * h)
        for e in np.eye(dim + 1)
    ]
    np.testing.assert_allclose(kernel.against(pi, at, order), np.stack(columns, axis=-1), atol=1e-9)


def test_the_potential_is_homogeneous_and_rests_at_the_origin():
    """V(c w) = c^2 V(w); at b = 0 there is no direction and no force."""
    kernel, pi, at = ReluSpaceKernel(3), Particles(space(4), cloud(30, 3)), cloud(5, 3, 1)
    np.testing.assert_allclose(kernel.against(pi, 3.0 * at, 0), 9.0 * kernel.against(pi, at, 0), rtol=1e-12)
    origin = np.array([[1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(kernel.against(pi, origin, 1), np.zeros((1, 4)))
    assert np.all(np.isfinite(kernel.against(pi, origin, 2)))


def test_many_pairs_have_the_sums_of_few(monkeypatch):
    """Compiled angles against numpy's arccos, and points on each other: 1e-14 of the sum of charges."""
    units = np.concatenate([unit(150, 5), -unit(10, 5), unit(10, 5)])
    charges = np.random.default_rng(1).normal(size=170)
    fast = [space_sums(units, charges, units, j) for j in (0, 1)]
    monkeypatch.setattr("wflow.compiled.available", lambda: False)
    slow = [space_sums(units, charges, units, j) for j in (0, 1)]
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-14 * np.sum(np.abs(charges)))


def test_the_coupling_is_that_of_three_terms():
    """d_w d_w' of a a' |b||b'| sum_{n <= 2} c_n cos^n phi, by differences: 1e-6; c_n are Taylor's of k1."""
    t = 1e-3 * np.arange(-2.0, 3.0)
    fit = np.polynomial.polynomial.polyfit(t, arc_cosine(t), 4)[:3]
    np.testing.assert_allclose(fit, [0.5 / math.pi, 0.25, 0.25 / math.pi], atol=1e-8)
    w, h = cloud(2, 3, 4), 1e-4

    def cut(one, other):
        sizes = np.linalg.norm(one[1:]) * np.linalg.norm(other[1:])
        return one[0] * other[0] * sizes * np.polynomial.polynomial.polyval(one[1:] @ other[1:] / sizes, fit)

    factor, core = ReluSpaceKernel(3).coupling(w)
    found = ((factor * core) @ factor.T)[:4, 4:]
    steps = h * np.eye(4)
    mixed = [
        [sum(s * r * cut(w[0] + s * a, w[1] + r * b) for s in (1, -1) for r in (1, -1)) for b in steps] for a in steps
    ]
    np.testing.assert_allclose(found, np.array(mixed) / (4 * h * h), atol=1e-6)


def test_coefficients_along_a_great_circle():
    """sum_n a_n cos n phi to n = 400 is k1 of unit vectors: the tail is below 4e-9."""
    a, phi = ReluSpaceKernel(5).coefficients(400), np.linspace(0.0, math.pi, 7)
    np.testing.assert_allclose(np.cos(np.outer(phi, np.arange(401))) @ a, arc_cosine(np.cos(phi)), atol=4e-9)


def test_densities_and_other_inputs_are_refused():
    """The kernel takes atoms; it needs two inputs or more."""
    grid = Grid(box([-1] * 3, [1] * 3), (2, 2, 2))
    with pytest.raises(Refused, match="takes atoms"):
        ReluSpaceKernel(2).double(Density(grid, np.full(8, 1 / 8)))
    with pytest.raises(ValueError, match="ReluSpaceKernel inputs"):
        ReluSpaceKernel(1)


# The certificate


@pytest.mark.parametrize(("dim", "width"), [(1, 1e-9), (2, 1e-8), pytest.param(3, 1e-3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_ball_is_covered(dim, width, seed):
    """lower <= every value sampled, 2e4 of them and near the lowest; upper is met; and the two are near."""
    rng = np.random.default_rng(seed)
    ball = Ball(unit(6, dim, seed), rng.normal(size=6))
    found = ball.lowest()
    y = unit(20_000, dim, seed + 9) * rng.random((20_000, 1)) ** (1 / dim)
    y = np.concatenate([y, unit(2000, dim, 5), found.at + 1e-3 * y])
    y /= np.maximum(1.0, np.linalg.norm(y, axis=1))[:, None]
    assert found.lower <= ball.value(y).min()
    assert found.upper == pytest.approx(ball.value(found.at[None])[0], abs=1e-13)
    assert 0.0 < found.width <= width


@pytest.mark.parametrize("seed", range(4))
def test_in_the_plane_the_ball_has_its_maximum_on_the_circle(seed):
    """What is proved: |<p, relu_u>| over all u of any R^d is largest in the plane of p; random p, 1e5 angles (1e-8)."""
    rng = np.random.default_rng(seed)
    ball = Ball(unit(5, 2, seed), rng.normal(size=5))
    angles = 2 * math.pi * np.arange(100_000) / 100_000
    highest = np.max(np.abs(ball.value(np.column_stack([np.cos(angles), np.sin(angles)]))))
    top, _ = largest(ball, signed=True)
    assert highest <= top <= highest + 1e-8


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_two_teachers_have_one_optimum_in_every_dimension(dim):
    """lam = .02, right angle: masses .96466125, turned by .01378983, J* = .0392925433, certified to 1e-10."""
    network, problem = problems.planar_optimum(RIGHT, 0.02, dim), problems.relu_teacher_space(RIGHT, 0.02, dim)
    found = teacher_bracket(problem.flow.energy, network)
    assert found.value == pytest.approx(0.0392925433, abs=5e-11)
    assert 0.0 < found.gap <= 1e-10
    assert found.peak == pytest.approx(1.0, abs=1e-8)
    first = network.points[0]
    assert first[0] ** 2 / 2 == pytest.approx(0.96466125, abs=5e-9)
    assert math.atan2(first[2], first[1]) == pytest.approx(0.01378983, abs=5e-9)


@pytest.mark.parametrize("dim", [2, 10])
@pytest.mark.parametrize("lam", [0.02, 0.3])
def test_one_teacher_is_exact(dim, lam):
    """J* = lam - lam^2 at the charge 1 - 2 lam."""
    problem = problems.relu_teacher_space(RIGHT[:1], lam, dim)
    found = bracket(problem.flow, problems.planar_optimum(RIGHT[:1], lam, dim))
    assert problem.lowest == pytest.approx(lam - lam**2)
    assert found.lower <= problem.lowest <= found.value + found.rounding
    assert found.gap <= 1e-11


@pytest.mark.parametrize("dim", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.slow)])
def test_no_bracket_is_false(dim):
    """lower <= J* <= value at any students, whose directions leave the plane of the teachers."""
    problem = problems.relu_teacher_space(RIGHT, 0.02, dim)
    for seed in range(2):
        found = teacher_bracket(problem.flow.energy, Particles(space(dim + 1), cloud(8, dim, seed)))
        assert found.lower <= 0.0392925433 <= found.value


def test_turned_teachers_have_the_same_certificate():
    """Teachers in another plane of R^4 (their coordinates are rounded): J* in the bracket, which is as narrow."""
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    problem = problems.relu_teacher_space((turn[:, 0].tolist(), turn[:, 1].tolist()), 0.02, 4)
    points = problems.planar_optimum(RIGHT, 0.02, 4).points
    points = np.column_stack([points[:, 0], points[:, 1:] @ turn.T])
    found = teacher_bracket(problem.flow.energy, Particles(space(5), points))
    assert found.lower <= 0.03929254334078572 <= found.value + found.rounding
    assert found.gap <= 1e-10


@pytest.mark.slow
def test_three_teachers_are_certified():
    """Three orthonormal teachers in R^10 by descent to t = 600: a gap below 1e-3 of J*, on the ball of three axes."""
    problem = problems.relu_teacher_space(np.eye(3).tolist(), 0.02, 10, horizon=600.0)
    run = solve(problem.flow, GradientDescent(100), dt=0.9, times=[600.0])
    found = bracket(problem.flow, run.final)
    assert 0.0 < found.gap <= 1e-3 * found.value


@pytest.mark.slow
def test_the_bracket_of_two_teachers_wears_out_at_small_lam():
    """Never false; gap/J* up to 1e-8, 1e-6, 1e-3, 1 at lam = 1e-3, 3e-4, 1e-4, 1e-5, the last no better than .1."""
    gaps = []
    for lam in (1e-3, 3e-4, 1e-4, 1e-5):
        energy = problems.relu_teacher_space(lam=lam, dim=3).flow.energy
        found = teacher_bracket(energy, problems.planar_optimum(((1.0, 0.0), (0.0, 1.0)), lam, 3))
        gaps.append(found.gap / found.value)
    assert np.all(np.array(gaps) <= [1e-8, 1e-6, 1e-3, 1.0]) and min(gaps) >= 0.0 and gaps[-1] >= 0.1


def test_teachers_without_charge_are_no_dimension():
    """b = 0 and a = 0 beside a teacher change nothing; alone there is nothing to learn, and that is said."""
    domain = problems.relu_teacher_space().flow.domain
    pi = Particles(domain, np.array([[0.5, 1.0, 0.0, 0.0]]))

    def found(rows):
        target = Atoms(domain, np.array(rows, dtype=float))
        return teacher_bracket(Energy(*population_risk(ReluSpaceKernel(3), target), Potential.quadratic(0.1)), pi)

    alone = found([[1, 1, 0, 0]]).lower
    assert found([[3, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]).lower == pytest.approx(alone, rel=1e-12)
    for rows in ([[0, 1, 0, 0]], [[1, 0, 0, 0]]):
        with pytest.raises(Refused, match="no teacher has a charge"):
            found(rows)


def test_what_has_no_certificate_is_refused():
    """No ridge; teachers that span four dimensions."""
    pi = Particles(space(5), cloud(5, 4))
    with pytest.raises(Refused, match="ridge above 0"):
        teacher_bracket(problems.relu_teacher_space(lam=0.0, dim=4).flow.energy, pi)
    many = problems.relu_teacher_space(np.eye(4).tolist(), 0.02, 4).flow
    with pytest.raises(Refused, match="span 4 dimensions"):
        teacher_bracket(many.energy, pi)
    assert bracket(many, pi) is None and "span 4 dimensions" in unknown(many, pi)
    free = problems.relu_teacher_space(np.eye(4).tolist(), 0.0, 4).flow
    assert bracket(free, pi) is None and "not compact" in unknown(free, pi)


# The start


def test_neurons_of_the_start():
    """Sizes within their bounds, mean direction 0 and mean square of a coordinate 1/d within 4 standard errors."""
    law = Isotropic(3, (0.5, 1.0), (1.0, 1.5))
    for w in (law.sample(4000, np.random.default_rng(0)), law.quantised(4000)):
        size = np.linalg.norm(w[:, 1:], axis=1)
        assert 0.5 <= np.abs(w[:, 0]).min() <= np.abs(w[:, 0]).max() <= 1.0 <= size.min() <= size.max() <= 1.5
        u = w[:, 1:] / size[:, None]
        assert np.all(np.abs(u.mean(axis=0)) <= 4 * math.sqrt(1 / 3 / 4000))
        np.testing.assert_allclose(np.mean(u**2, axis=0), 1 / 3, atol=4 * math.sqrt(4 / 45 / 4000))
        assert abs(np.mean(np.sign(w[:, 0]))) <= 4 / math.sqrt(4000)
    with pytest.raises(ValueError, match="Isotropic inner"):
        Isotropic(3, inner=(0.0, 1.0))


# Two methods


def by_hand(flow, w, dt, scaled):
    """The step as the docstring of NormDescent writes it, with K and grad K of the space sums; lam = .02."""
    teachers = np.eye(w.shape[1] - 1)[:2]
    size = np.linalg.norm(w[:, 1:], axis=1)
    a, u = w[:, 0], w[:, 1:] / size[:, None]
    units, charges = np.concatenate([u, teachers]), np.concatenate([a * size / len(w), -np.ones(2)])
    slope = space_sums(units, charges, u, 1)
    k = np.sum(slope * u, axis=1)
    ratio, sign = np.abs(a) / size, np.sign(a)
    turn = slope - k[:, None] * u
    if scaled:
        after = a * (1 - dt * (sign * k + 0.02 * ratio))
        inner = (1 - dt * (sign * k + 0.02 / ratio))[:, None] * w[:, 1:] - dt * (sign * size)[:, None] * turn
    else:
        after = a - dt * (size * k + 0.02 * a)
        inner = w[:, 1:] - dt * (a[:, None] * slope + 0.02 * w[:, 1:])
    return np.column_stack([after, inner])


@pytest.mark.parametrize(("method", "scaled"), [(GradientDescent, False), (NormDescent, True)])
def test_a_step_is_what_is_written(method, scaled):
    """Ten steps of 1/2 by hand: 1e-12."""
    flow = problems.relu_teacher_space(horizon=5.0).flow
    solver = method(40)
    w = solver.init(flow).measure.points
    for _ in range(10):
        w = by_hand(flow, w, 0.5, scaled)
    np.testing.assert_allclose(solve(flow, solver, steps=10).final.points, w, rtol=0.0, atol=1e-12)


def charges_and_directions(w):
    size = np.linalg.norm(w[:, 1:], axis=1)
    return np.log(np.abs(w[:, 0]) * size), w[:, 1:] / size[:, None]


def test_the_scaled_step_is_a_conic_step_to_first_order():
    """Balanced: log |a||b| by -2 dt (s K + lam), b/|b| by -dt s grad K, whatever the norms; errors are O(dt^2)."""
    flow = problems.relu_teacher_space(outer=(0.5, 1.5), inner=(0.5, 1.5)).flow
    w = Isotropic(3, (0.5, 1.5), (0.5, 1.5)).quantised(30)
    w[:, 0] = np.sign(w[:, 0]) * np.linalg.norm(w[:, 1:], axis=1)
    pi = Particles(flow.domain, w)
    before, u = charges_and_directions(w)
    sign, growth = np.sign(w[:, 0]), -flow.energy.velocity(pi, w)
    k = (growth[:, 0] - 0.02 * w[:, 0]) / np.linalg.norm(w[:, 1:], axis=1)
    slope = (growth[:, 1:] - 0.02 * w[:, 1:]) / w[:, :1]
    turn = slope - k[:, None] * u
    errors = []
    for dt in (0.02, 0.01):
        after, there = charges_and_directions(NormDescent(30).step(flow, State(0.0, pi), dt).state.measure.points)
        grown = np.max(np.abs(after - before + 2 * dt * (sign * k + 0.02)))
        errors.append((grown, np.max(np.abs(there - u + dt * sign[:, None] * turn))))
    ratios = np.divide(*np.array(errors))
    np.testing.assert_allclose(ratios, 4.0, atol=0.2)


def test_balanced_neurons_make_both_steps_one():
    """|a| = |b|: the scales are 1."""
    flow = problems.relu_teacher_space().flow
    w = Isotropic(3).quantised(20)
    w[:, 0] = np.sign(w[:, 0]) * np.linalg.norm(w[:, 1:], axis=1)
    state = State(0.0, Particles(flow.domain, w))
    plain, scaled = (m(20).step(flow, state, 0.3).state.measure.points for m in (GradientDescent, NormDescent))
    np.testing.assert_allclose(plain, scaled, rtol=0.0, atol=1e-14)


@pytest.mark.slow
def test_descent_is_of_order_one():
    """Ends at t = 2 against Dormand and Prince's at 1e-9: halving dt halves the error."""
    flow = problems.relu_teacher_space(horizon=2.0).flow
    exact = solve(flow, DormandPrince(20), steps=64).final.points
    errors = [np.abs(solve(flow, GradientDescent(20), steps=n).final.points - exact).max() for n in (40, 80, 160)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1.0, abs=0.05)


def test_a_neuron_without_norm_and_other_neurons_are_refused():
    flow = problems.relu_teacher_space().flow
    w = Isotropic(3).quantised(4)
    w[2, 0] = 0.0
    with pytest.raises(Refused, match="a = 0 or b = 0"):
        NormDescent(4).step(flow, State(0.0, Particles(flow.domain, w)), 0.1)
    assert "relu" in NormDescent(4).refusal(problems.sawtooth().flow)
    assert NormDescent(4).refusal(problems.relu_teacher_plane().flow) is None


@pytest.mark.parametrize("solver", [GradientDescent(40), NormDescent(40), NormDescent(40, Sampled(1))], ids=str)
def test_energy_falls_up_to_the_stated_step(solver):
    """Forty steps of exactly the stated length."""
    flow, energies = problems.relu_teacher_space(dim=10).flow, []
    state = solver.init(flow)
    for _ in range(40):
        energies.append(flow.energy.value(state.measure))
        state = solver.step(flow, state, solver.largest_step(flow, state)).state
    assert np.max(np.diff(energies)) <= 1e-13


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"teachers": ((1.0, 0.0, 0.0, 0.0),)}, "at most dim = 3"),
        ({"teachers": ()}, "one or more directions"),
        ({"teachers": ((0.0, 0.0),)}, "teachers length"),
        ({"lam": -1.0}, "lam: -1.0"),
        ({"dim": 1}, "dim"),
    ],
)
def test_wrong_arguments_are_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        problems.relu_teacher_space(**wrong)


def test_optima_that_are_not_looked_for_are_named():
    """Teachers out of the plane; a price that one teacher is not worth."""
    with pytest.raises(ValueError, match="two coordinates"):
        problems.planar_optimum(((0.0, 0.0, 1.0),), 0.02, 3)
    with pytest.raises(ValueError, match=r"lam: 0\.5"):
        problems.planar_optimum(RIGHT, 0.5, 3)


@pytest.mark.parametrize("angle", [0.1, 1.0, 2.5, math.pi])
def test_other_angles_are_certified(angle):
    """Near, acute, obtuse and opposite teachers at lam = .2: near ones share a student."""
    teachers = ((1.0, 0.0), (math.cos(angle), math.sin(angle)))
    network = problems.planar_optimum(teachers, 0.2, 3)
    found = teacher_bracket(problems.relu_teacher_space(teachers, 0.2, 3).flow.energy, network)
    assert len(network.points) == (1 if angle < 0.5 else 2)
    assert 0.0 < found.gap <= 1e-8
