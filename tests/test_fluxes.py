"""What finite volumes are made of: exchanges of mass that keep every digit, the Bernoulli function, limited slopes."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from solvers._tridiagonal import exchange
from solvers.finite_volume import ScharfetterGummel, bernoulli
from solvers.finite_volume.explicit import limited_slopes
from solvers.finite_volume.faces import Axis
from wflow import Energy, Entropy, Flow, FourierDensity, Interaction, activation, circle, circle_kernel

CYCLIC = pytest.mark.parametrize("cyclic", [False, True], ids=["line", "circle"])


def rates(n, cyclic, size):
    """Random exchanges over many orders of magnitude up to `size`."""
    rng = np.random.default_rng([3, n])
    faces = n if cyclic else n - 1
    return [size * 10.0 ** rng.uniform(-8, 0, faces) for _ in range(2)]


def exchange_matrix(out, back, n, number=float):
    """Face i moves out_i x_i - back_i x_{i+1} from cell i to the next; columns sum to 1."""
    matrix = [[number(i == j) for j in range(n)] for i in range(n)]
    for i, (o, b) in enumerate(zip(out.tolist(), back.tolist(), strict=True)):
        j = (i + 1) % n
        matrix[i][i] += number(o)
        matrix[j][i] -= number(o)
        matrix[i][j] -= number(b)
        matrix[j][j] += number(b)
    return matrix


def rational_solution(matrix, right):
    """Gauss-Jordan elimination in exact fractions."""
    n, rows = len(right), [[*row, Fraction(r)] for row, r in zip(matrix, right.tolist(), strict=True)]
    for k in range(n):
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in set(range(n)) - {k}:
            rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return np.array([float(row[-1]) for row in rows])


@CYCLIC
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6, 1e12])
def test_an_exchange_keeps_every_digit_of_every_cell(size, cyclic):
    """Each entry to a relative 1e-13 of the exact rational solution, though the condition number reaches 10^12.

    Elimination without subtraction: Grassmann, Taksar & Heyman 1985.
    """
    n = 6
    out, back = rates(n, cyclic, size)
    right = np.array([1.0, 0.0, 1e-9, 0.0, 3.0, 1e-30])
    expected = rational_solution(exchange_matrix(out, back, n, Fraction), right)
    np.testing.assert_allclose(exchange(out, back, cyclic).solve(right), expected, rtol=1e-13)


@pytest.mark.parametrize("x", [1e-12, 1e-8, 1e-4, 0.5, 3.0, 40.0])
def test_bernoulli_function(x):
    """B(x) = x/(e^x - 1) and B(-x) = e^x B(x) keep their digits on both sides of zero."""
    value = bernoulli(np.array([x, -x]))
    series = 1 - x / 2 + x * x / 12 - x**4 / 720
    expected = series if x < 0.01 else x / (np.exp(x) - 1)
    np.testing.assert_allclose(value, [expected, np.exp(x) * expected], rtol=1e-13)


def test_bernoulli_function_at_its_ends():
    """B(0) = 1, B(800) = 0 to e^-700, B(-800) = 800, without overflow."""
    np.testing.assert_allclose(bernoulli(np.array([0.0, 800.0, -800.0])), [1.0, 0.0, 800.0], rtol=0.0, atol=1e-290)


def slopes_of(values, cyclic):
    """Of one line of cells."""
    axis = Axis(1, len(values), 1, 1.0, cyclic)
    return limited_slopes(axis.lined(values), axis).ravel()


@CYCLIC
def test_limited_slopes_stay_between_neighbours(cyclic):
    """value +- slope/2 lies between the neighbouring averages: no new extremum, no negative face value."""
    values = np.random.default_rng(4).exponential(size=60)
    half = 0.5 * slopes_of(values, cyclic)
    left, right = (
        (np.roll(values, 1), np.roll(values, -1)) if cyclic else (values[[0, *range(59)]], values[[*range(1, 60), 59]])
    )
    low, high = np.minimum(np.minimum(left, right), values), np.maximum(np.maximum(left, right), values)
    for face in (values - half, values + half):
        assert np.all((face >= low - 1e-15) & (face <= high + 1e-15))


def test_limited_slopes_of_a_line_are_its_slope():
    """Linear averages are reconstructed exactly away from walls, where the slope is 0."""
    slopes = slopes_of(3.0 * np.arange(10.0), False)
    np.testing.assert_allclose(slopes, [0, *[3.0] * 8, 0], rtol=1e-15)


def test_limited_slopes_vanish_at_extrema():
    """A peak and a valley are clipped."""
    np.testing.assert_array_equal(slopes_of(np.array([0.0, 1.0, 0.0, 2.0]), True), np.zeros(4))


@pytest.mark.parametrize("dt", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("strength", [-1.0, 1.0], ids=["attraction", "repulsion"])
def test_an_implicit_step_loses_what_it_dissipates_and_the_entropy_of_its_way(strength, dt):
    """F_0 - F_1 = dissipated + T KL(pi_0 | pi_1) to rounding, for quadratic F and every dt: why V is that of the mean.

    k = strength cos: F's explicit part changes by sum V[(pi_0 + pi_1)/2] (pi_1 - pi_0), to the digit; entropy by
    T sum log(rho_1) (pi_1 - pi_0) - T KL; the sum of both rates is what the fluxes dissipate. With V at either end the
    identity is off by half of int int k d(pi_1 - pi_0)^2, and under attraction less is lost than dissipated.
    """
    kernel = replace(circle_kernel(activation("linear"), "circle"), modes=np.array([0.0, strength]))
    flow = Flow(Energy(Interaction(kernel), Entropy(0.1)), circle(), FourierDensity.cosines({1: 0.3}), 1.0)
    solver = ScharfetterGummel(32)
    state = solver.init(flow)
    step = solver.step(flow, state, dt)
    before, after = state.measure, step.state.measure
    relative = 0.1 * float(before.weights @ np.log(before.values / after.values))
    lost = flow.energy.value(before) - flow.energy.value(after)
    assert lost == pytest.approx(step.dissipated + relative, rel=0.0, abs=1e-12)
    assert lost > step.dissipated > 1e-4
