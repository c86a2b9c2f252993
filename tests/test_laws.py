"""Laws and data: cdf, quantile, density, averages, moments and samples of each say one thing; rules are exact."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from wflow import (
    Atoms,
    Box,
    ClosedForm,
    Data,
    Density,
    FourierDensity,
    Gaussian,
    Grid,
    Particles,
    Quantiles,
    Transported,
    Uniform,
    box,
    circle,
    interval,
    line,
    problems,
    read_csv,
    torus,
)
from wflow.circle_series import circle_modes_of
from wflow.data import Scaling, circle_inputs, gaussian_inputs, gaussian_plane_inputs, uniform_inputs
from wflow.law import Law
from wflow.problems.circle import poisson_law

TURN = 2.0 * math.pi
HALF_TURN = Transported(
    circle(),
    lambda s: TURN * s + 0.5 * np.sin(TURN * s),
    lambda s: 1 / (TURN * (1 + 0.5 * np.cos(TURN * s))),
)
LAWS = {
    "gaussian": Gaussian(1.0, 0.5),
    "uniform": Uniform(interval(-1.0, 3.0)),
    "uniform circle": Uniform(circle()),
    "cosines": FourierDensity.cosines({1: 0.5, 3: 0.3}),
    "phases": FourierDensity(np.array([1.0, 0.2 - 0.2j, 0.1j])),
    "poisson": poisson_law(0.6),
    "heat mode": problems.heat_mode().exact(0.05),
    "drift": problems.drift_diffusion().exact(0.1),
    "gibbs": problems.drift_diffusion().minimiser,
    "half turn": HALF_TURN,
    "sawtooth": problems.sawtooth(modes={1: 0.5}).exact(1.0),
}
EVERY = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
ON_CIRCLE = {name: law for name, law in LAWS.items() if law.domain.is_circle}
LIFTED = pytest.mark.parametrize("law", ON_CIRCLE.values(), ids=ON_CIRCLE)
LEVELS = (np.arange(20) + 0.5) / 20


def inside(law):
    """Twenty points of the support, off its ends."""
    low, high = law.quantile(np.array([1e-2, 1 - 1e-2]))
    return np.linspace(low, high, 20)


@EVERY
def test_cdf_undoes_quantile(law):
    """cdf(quantile(s)) = s."""
    np.testing.assert_allclose(law.cdf(law.quantile(LEVELS)), LEVELS, rtol=0.0, atol=1e-13)


@EVERY
def test_quantile_undoes_cdf(law):
    """quantile(cdf(w)) = w where the density is positive."""
    w = inside(law)
    np.testing.assert_allclose(law.quantile(law.cdf(w)), w, rtol=0.0, atol=1e-12)


@EVERY
def test_density_is_the_slope_of_the_cdf(law):
    """rho(w) = d cdf/dw by central differences of order 4 with h = 1e-3 lengths: rounding 1e-12, truncation 1e-10."""
    w, h = inside(law), 1e-3
    slope = (8 * (law.cdf(w + h) - law.cdf(w - h)) - (law.cdf(w + 2 * h) - law.cdf(w - 2 * h))) / (12 * h)
    np.testing.assert_allclose(law.density(w[:, None]), slope, rtol=0.0, atol=1e-8)


@EVERY
def test_averages_are_integrals_of_the_density(law):
    """Cell averages = (1/h) int rho over each cell, by Gauss-Legendre with 12 nodes a cell."""
    domain = law.domain if law.domain.bounded else interval(-4.0, 6.0)
    grid = Grid(domain, (40,))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    points = grid.centres + 0.5 * grid.widths * nodes
    expected = law.density(points.reshape(-1, 1)).reshape(points.shape) @ (0.5 * weights)
    np.testing.assert_allclose(law.averages(grid), expected, rtol=0.0, atol=1e-12)


@EVERY
def test_draws_pushed_through_the_cdf_are_uniform(law):
    """U = cdf(w) of 4000 draws has mean 1/2 and E U^2 = 1/3, each within four standard errors, seed 5."""
    u = law.cdf(law.sample(4000, np.random.default_rng(5))[:, 0])
    assert abs(u.mean() - 1 / 2) < 4 * math.sqrt(1 / 12 / 4000)
    assert abs((u**2).mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / 4000)


@EVERY
def test_draws_repeat_with_their_generator(law):
    """The same seed, the same points."""
    first, second = (law.sample(5, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@LIFTED
def test_the_cdf_starts_at_zero_and_climbs_one_a_turn(law):
    """cdf(0) = 0 and cdf(theta + 2 pi) = cdf(theta) + 1, for turns to both sides."""
    w = np.linspace(0.1, 6.2, 9)
    assert law.cdf(np.zeros(1))[0] == pytest.approx(0.0, abs=1e-14)
    for turns in (-2, 1, 3):
        np.testing.assert_allclose(law.cdf(w + turns * TURN), law.cdf(w) + turns, rtol=0.0, atol=1e-13)


@LIFTED
def test_the_quantile_climbs_one_turn_a_unit(law):
    """quantile(s + 1) = quantile(s) + 2 pi, for units to both sides."""
    for units in (-2, 1, 3):
        np.testing.assert_allclose(
            law.quantile(LEVELS + units), law.quantile(LEVELS) + units * TURN, rtol=0.0, atol=1e-12
        )


@LIFTED
def test_draws_on_the_circle_lie_in_one_turn(law):
    """0 <= theta < 2 pi."""
    theta = law.sample(500, np.random.default_rng(2))
    assert theta.shape == (500, 1)
    assert np.all((theta >= 0) & (theta < TURN))


@pytest.mark.parametrize("g", [1e-6, 1.0, 30.0, 1e3, 1e6])
def test_drift_of_any_strength_ends_at_gibbs(g):
    """e^{g x} on [0, 1] has the quantile 1 + log(s + (1 - s) e^{-g})/g, and nothing overflows."""
    law = problems.drift_diffusion(g=g).minimiser
    where = 1.0 + np.log(LEVELS + (1.0 - LEVELS) * math.exp(-g)) / g
    np.testing.assert_allclose(law.cdf(where), LEVELS, rtol=0.0, atol=1e-9)
    masses = problems.drift_diffusion(g=g, start=0.0).flow.initial.averages(Grid(interval(0.0, 1.0), (8,))) / 8
    assert masses.min() >= 0.0 and masses.sum() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("name", ["cosines", "phases", "poisson", "half turn", "sawtooth", "uniform circle"])
def test_modes_of_a_law(name):
    """c_n = int e^{-i n theta} rho dtheta by the trapezoid rule on 4096 nodes, spectrally accurate."""
    law, theta = LAWS[name], TURN * np.arange(4096) / 4096
    n = np.arange(13)
    expected = np.exp(-1j * np.outer(n, theta)) @ law.density(theta[:, None]) * (TURN / 4096)
    np.testing.assert_allclose(circle_modes_of(law, 12), expected, rtol=0.0, atol=1e-11)


def test_modes_of_cosines_are_half_their_amplitudes():
    """(1 + sum h_n cos n theta)/2 pi has c_n = h_n/2."""
    np.testing.assert_array_equal(FourierDensity.cosines({1: 0.5, 3: 0.3}).coefficients, [1, 0.25, 0, 0.15])


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("r", [0.0, 0.3, 0.9])
def test_the_poisson_kernel(r, fold):
    """(1 - r^2)/(2 pi (1 - 2 r cos(q theta) + r^2)) is the law of moments c_{qn} = r^n."""
    theta = np.linspace(0, TURN, 50)
    expected = (1 - r * r) / (TURN * (1 - 2 * r * np.cos(fold * theta) + r * r))
    np.testing.assert_allclose(poisson_law(r, fold).density(theta[:, None]), expected, rtol=1e-12)


# Modes of what solvers hold

HALVES = Box((-math.pi,), (math.pi,), (True,))
MEASURES = {
    "particles": Particles(circle(), np.array([[0.1], [7.0], [-3.0]]), [0.2, 0.5, 0.3]),
    "cells": Density(Grid(circle(), (32,)), LAWS["cosines"].averages(Grid(circle(), (32,)))),
    "cells of [-pi, pi]": Density(Grid(HALVES, (32,)), LAWS["phases"].averages(Grid(circle(), (32,)))),
    "quantiles": Quantiles(circle(), LAWS["cosines"].quantile(np.arange(16) / 16)),
    "fourier": LAWS["cosines"],
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_modes_of_a_measure_are_sums_over_its_points(measure):
    """c_n = sum_j p_j e^{-i n theta_j} for n up to 12, by FFT or by powers as the kind likes."""
    n = np.arange(13)
    expected = np.exp(-1j * np.outer(n, measure.points[:, 0])) @ measure.weights
    np.testing.assert_allclose(measure.modes(12), expected, rtol=0.0, atol=1e-14)


def test_modes_that_cells_do_not_resolve_are_zero():
    """m cells alias mode n with mode m - n: from m/2 on they are set to zero, whatever the cells hold."""
    grid = Grid(circle(), (32,))
    rough = Density(grid, np.random.default_rng(1).dirichlet(np.ones(32)) / grid.cell_volume)
    assert np.all(rough.modes(40)[16:] == 0.0)
    assert np.all(rough.modes(40)[:16] != 0.0)


# Gaussians, tails, atoms


@pytest.mark.parametrize("z", [-30.0, -20.0, -12.0, -8.0, 5.0, 8.0, 12.0, 20.0, 30.0])
def test_far_cells_keep_their_digits(z):
    """The mass of [z, z + 0.1] to a relative 1e-10, out to e^{-450}: by quadrature of the scaled density."""
    mass = Gaussian().cell_masses(np.array([z, z + 0.1]))[0]
    scaled = quad(lambda u: math.exp(-z * u - 0.5 * u * u), 0.0, 0.1, epsrel=1e-13)[0]
    assert mass == pytest.approx(scaled * math.exp(-0.5 * z * z) / math.sqrt(TURN), rel=1e-10, abs=0.0)


@pytest.mark.parametrize("s", [0.5, 0.01, 1e-4])
def test_tail_means_of_a_gaussian(s):
    """The lowest fraction s has mean m - sigma phi(z)/s, z the s-quantile; the highest mirrors it.

    Gauss-Laguerre with 40 nodes meets the slow growth of Q: 5e-10 at s = 1/2, and rounding for smaller s.
    """
    low, high = Gaussian(1.0, 2.0).tail_means(s)
    reach = 2.0 * norm.pdf(norm.ppf(s)) / s
    assert (low, high) == pytest.approx((1 - reach, 1 + reach), rel=2e-9)


def test_tail_means_of_the_uniform_law():
    """On [0, 1] the lowest fraction s has mean s/2, the highest 1 - s/2."""
    assert Uniform(interval(0, 1)).tail_means(0.1) == pytest.approx((0.05, 0.95), rel=1e-12, abs=0.0)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_gaussian_draws_have_its_moments(dim):
    """Means and variances of 4000 draws within four standard errors on each axis, seed 7."""
    mean, std = np.arange(dim) - 1.0, np.arange(dim) + 0.5
    draws = Gaussian(mean, std, dim=dim).sample(4000, np.random.default_rng(7))
    assert draws.shape == (4000, dim)
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4 * std / math.sqrt(4000))
    assert np.all(np.abs(draws.var(axis=0) / std**2 - 1) < 4 * math.sqrt(2 / 4000))


@pytest.mark.parametrize("dim", [1, 2])
def test_gaussian_density(dim):
    """Product of normal densities."""
    w = np.random.default_rng(0).normal(size=(6, dim))
    expected = np.prod(norm.pdf(w, 0.5, 2.0), axis=1)
    np.testing.assert_allclose(Gaussian(0.5, 2.0, dim=dim).density(w), expected, rtol=1e-13)


@pytest.mark.parametrize("domain", [box([0, 1], [2, 5]), torus(2)], ids=["box", "torus"])
def test_uniform_draws_fill_their_box(domain):
    """Means of 4000 draws within four standard errors of the middle on each axis, seed 9."""
    draws = Uniform(domain).sample(4000, np.random.default_rng(9))
    middle = 0.5 * (np.asarray(domain.lower) + np.asarray(domain.upper))
    assert np.all(np.abs(draws.mean(axis=0) - middle) < 4 * domain.lengths / math.sqrt(12 * 4000))


THREE = Atoms(line(), np.array([[2.0], [0.0], [1.0]]), [0.5, 0.25, 0.25])


@pytest.mark.parametrize("modes", [{1: 1.0}, {2: -1.0}, {3: 0.4, 40: 0.5}], ids=["zero at pi", "two zeros", "waves"])
def test_quantiles_of_a_series_near_zeros_of_the_density(modes):
    """cdf(quantile(s)) = s to 4e-15 for s down to 1e-300, where the density is 0 too; as bisection, lifted, in order.

    At most ten evaluations of the cdf: those by bisection, which was a third of a large ensemble's time, are sixty.
    """
    law, asked = FourierDensity.cosines(modes), []
    s = np.sort(np.concatenate([np.linspace(-1.5, 1.5, 3001), [1e-300, 1e-17, 1.0 - 1e-16, 1e-9, 0.5 - 1e-9]]))
    counted = replace(law)
    object.__setattr__(counted, "cdf", lambda w: asked.append(len(w)) or law.cdf(w))
    found = counted.quantile(s)
    np.testing.assert_allclose(law.cdf(found), s, rtol=0.0, atol=4e-15)
    assert np.all(np.diff(found) >= 0.0) and sum(asked) < 10 * len(s)
    np.testing.assert_allclose(law.cdf(Law.quantile(law, s)), s, rtol=0.0, atol=4e-15)
    assert law.quantile(np.array(0.25)).shape == ()


def test_quantile_of_atoms_is_the_leftmost_point():
    """Weights 1/4, 1/4, 1/2 at 0, 1, 2: Q(s) = 0 up to 1/4, 1 up to 1/2, then 2."""
    s = np.array([0.0, 0.1, 0.25, 0.26, 0.5, 0.51, 1.0])
    np.testing.assert_array_equal(THREE.quantile(s), [0, 0, 0, 1, 1, 2, 2])


def test_cdf_of_atoms_is_a_staircase():
    """Mass to the left of a point between atoms."""
    np.testing.assert_allclose(THREE.cdf(np.array([-1.0, 0.5, 1.5, 3.0])), [0, 0.25, 0.5, 1], rtol=0.0, atol=1e-14)


def test_draws_of_atoms_come_by_weight():
    """Frequencies of 4000 draws within four standard errors, seed 3."""
    draws = THREE.sample(4000, np.random.default_rng(3))[:, 0]
    for point, p in ((0.0, 0.25), (1.0, 0.25), (2.0, 0.5)):
        assert abs(np.mean(draws == point) - p) < 4 * math.sqrt(p * (1 - p) / 4000)


def test_atoms_on_the_circle_are_lifted():
    """Q(s + 1) = Q(s) + 2 pi; a lifted point counts as its angle in [0, 2 pi)."""
    law = Atoms(circle(), np.array([[7.0], [1.0]]))
    s = np.array([0.25, 0.75, 1.25, -0.25])
    np.testing.assert_allclose(law.quantile(s), [7 - TURN, 1, 7, 1 - TURN], rtol=0.0, atol=1e-14)


@pytest.mark.parametrize(
    ("law", "density", "quantile"),
    [
        (THREE, False, True),
        (Gaussian(), True, True),
        (Gaussian(dim=2), True, False),
        (ClosedForm(line(), np.exp, np.exp), True, True),
    ],
    ids=["atoms", "gaussian", "plane", "closed form"],
)
def test_a_law_says_what_it_offers(law, density, quantile):
    """`has_density` and `has_quantile` are what solvers ask before they start."""
    assert (law.has_density, law.has_quantile) == (density, quantile)


# Data: exactness of quadratures, both ways: exact up to the stated degree, and not one beyond


def gaussian_moment(q):
    """E z^q = (q - 1)!! for even q."""
    return 0.0 if q % 2 else float(math.prod(range(1, q, 2)))


@pytest.mark.parametrize("n", [1, 3, 6])
@pytest.mark.parametrize("p", [1, 2])
def test_gauss_hermite_is_exact_to_its_degree(p, n):
    """E x_i^q = (q - 1)!! for q <= 2n - 1, missed by n! at q = 2n (the norm of the next polynomial)."""
    data = gaussian_inputs(p, n)
    for q in range(2 * n):
        np.testing.assert_allclose(data.weights @ data.inputs**q, gaussian_moment(q), rtol=1e-11, atol=1e-11)
    missed = gaussian_moment(2 * n) - data.weights @ data.inputs ** (2 * n)
    np.testing.assert_allclose(missed, math.factorial(n), rtol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_gauss_legendre_is_exact_to_its_degree(n):
    """E x^q = (b^{q+1} - a^{q+1})/((q + 1)(b - a)) on [a, b] for q <= 2n - 1, and not at 2n."""
    a, b = -1.0, 2.0
    data = uniform_inputs([a], [b], n)
    errors = [
        abs(data.weights @ data.inputs[:, 0] ** q - (b ** (q + 1) - a ** (q + 1)) / ((q + 1) * (b - a)))
        for q in range(2 * n + 1)
    ]
    assert max(errors[:-1]) < 1e-12
    assert errors[-1] > 1e-4


def test_a_product_rule_integrates_products():
    """E x^2 y^3 over [0, 1] x [0, 2] = (1/3)(2) with 2 nodes an axis."""
    data = uniform_inputs([0, 0], [1, 2], 2)
    assert data.weights @ (data.inputs[:, 0] ** 2 * data.inputs[:, 1] ** 3) == pytest.approx(2 / 3, rel=1e-13, abs=0.0)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_equispaced_angles_are_exact_below_their_number(n):
    """E e^{i k phi} = 0 for 0 < k < n, and 1 at k = n (aliased)."""
    data = circle_inputs(n)
    turn = data.inputs[:, 0] + 1j * data.inputs[:, 1]
    means = [data.weights @ turn**k for k in range(n + 1)]
    np.testing.assert_allclose(means, [1.0, *[0.0] * (n - 1), 1.0], rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("q", [2, 4, 6, 8])
def test_the_polar_rule_is_exact_in_every_direction(q):
    """E (x . w)^q = (q - 1)!! for unit w, x ~ N(0, I_2): 5 radii (to degree 18) and 12 angles (below degree 12)."""
    data = gaussian_plane_inputs(5, 12)
    along = data.inputs @ np.array([math.cos(0.4), math.sin(0.4)])
    assert data.weights @ along**q == pytest.approx(gaussian_moment(q), rel=1e-12, abs=0.0)


def test_columns_are_read_by_name(tmp_path):
    """Columns in the order asked for, rows weighted equally, whatever stands in other columns."""
    file = tmp_path / "table.csv"
    file.write_text("y,name,z,x\n1,first,0.5,2\n-3.5e0,second,-1,4\n")
    data = read_csv(file, ["x", "z"], "y")
    np.testing.assert_array_equal(data.inputs, [[2, 0.5], [4, -1]])
    np.testing.assert_array_equal(data.targets, [1, -3.5])
    np.testing.assert_array_equal(data.weights, [0.5, 0.5])


def test_standardised_data_have_mean_zero_and_variance_one():
    """Weighted means 0 (to rounding of a mean of 40 standard deviations) and variances 1 of every column."""
    rng = np.random.default_rng(0)
    data = Data(5 + 3 * rng.normal(size=(9, 2)), rng.normal(size=9) - 40, rng.dirichlet(np.ones(9))).standardised()
    table = np.column_stack([data.inputs, data.targets])
    np.testing.assert_allclose(data.weights @ table, 0.0, rtol=0.0, atol=1e-13)
    np.testing.assert_allclose(data.weights @ table**2, 1.0, rtol=1e-14)


def test_unit_inputs_fill_the_unit_interval():
    """Scaling "unit" takes the least and the largest entry of each column to -1 and 1."""
    data = Data(np.array([[1.0, -7.0], [3.0, 5.0], [2.0, -1.0]]), [1.0, 2.0, 4.0])
    scaled = Scaling.of(data, "unit").applied(data).inputs
    np.testing.assert_allclose(scaled, [[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]], rtol=0.0, atol=1e-15)


def test_labels_are_the_function_of_the_inputs():
    """with_targets keeps inputs and weights and puts y = target(x)."""
    data = uniform_inputs([0], [1], 3).with_targets(lambda x: x[:, 0] ** 2)
    np.testing.assert_array_equal(data.targets, data.inputs[:, 0] ** 2)
