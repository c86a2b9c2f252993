"""Laws on the sphere: masses, moments and inverses in closed form, uniform points, and what a conformal flow does."""

import math

import numpy as np
import pytest
from scipy.special import eval_legendre

from wflow import Atoms, Drifted, Uniform, ZonalDensity, annulus, disk, sphere
from wflow.harmonics import gauss_legendre, legendre, moments
from wflow.zonal import Zonal, harmonic_moments

TILTED = ZonalDensity({1: 0.5, 2: 0.4, 5: 0.1}, (1.0, 2.0, -1.0))
LAWS = {"zonal": TILTED, "drifted": Drifted(TILTED, 0.7), "driven back": Drifted(TILTED, -0.7)}


def around(law, bands=200, turns=64):
    """Points (m, 3) and areas (m,) of a product rule on the sphere, exact for polynomials of degree 63."""
    z, share = gauss_legendre(bands)
    angle = 2.0 * math.pi * np.arange(turns) / turns
    points = sphere().turned(np.repeat(z, turns), np.tile(angle, bands), np.array([0.0, 0.6, 0.8]))
    return points, np.repeat(share, turns) * 2.0 * math.pi / turns


@pytest.mark.parametrize("name", LAWS)
def test_a_density_has_mass_one_and_its_harmonic_moments(name):
    """int rho = 1 and int Y_lm drho by a product rule about another axis: 1e-12 (the drifted ones are entire)."""
    points, areas = around(LAWS[name])
    weights = areas * LAWS[name].density(points)
    np.testing.assert_allclose(moments(points, weights, 6), harmonic_moments(LAWS[name], 6), atol=1e-12)


def test_moments_of_a_zonal_law_are_those_of_its_series():
    """int P_l drho = h_l/(2l + 1), and 0 beyond the series; by quadrature likewise."""
    expected = np.array([1.0, 0.5 / 3.0, 0.4 / 5.0, 0.0, 0.0, 0.1 / 11.0, 0.0])
    np.testing.assert_allclose(TILTED.moments(6), expected, rtol=1e-15)
    np.testing.assert_allclose(Zonal.moments(TILTED, 6), expected, atol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_heights_have_a_cdf_and_its_inverse(name):
    """cdf' = p by differences, ends 0 and 1, and quantile inverts cdf to rounding."""
    heights = LAWS[name].heights
    z, h = np.linspace(-0.95, 0.95, 23), 1e-5
    slope = (heights.cdf(z + h) - heights.cdf(z - h)) / (2.0 * h)
    np.testing.assert_allclose(slope, heights.density(z[:, None]), rtol=1e-7)
    np.testing.assert_allclose(heights.cdf(np.array([-1.0, 1.0])), [0.0, 1.0], atol=1e-15)
    s = np.array([1e-6, 0.1, 0.5, 0.93, 1.0 - 1e-6])
    np.testing.assert_allclose(heights.cdf(heights.quantile(s)), s, atol=1e-15)


@pytest.mark.parametrize("name", LAWS)
def test_samples_have_the_moments_of_the_law(name):
    """Means of Y_lm, variance at most max Y^2 <= 2l + 1: five standard errors."""
    m = 40_000
    w = LAWS[name].sample(m, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1.0, rtol=1e-15)
    gap = np.abs(moments(w, np.full(m, 1.0 / m), 3) - harmonic_moments(LAWS[name], 3))
    assert np.max(gap[1:] / np.sqrt(2.0 * np.arange(1, 4) + 1.0)[:, None]) < 5.0 * math.sqrt(2.0 / m)


@pytest.mark.parametrize("law", [*LAWS.values(), Uniform(sphere())], ids=[*LAWS, "uniform"])
def test_quantised_points_are_evener_than_samples(law):
    """Moments to degree 4 err like 1/m, not m^(-1/2): below 2/m at m = 500 and 2000."""
    for m in (500, 2000):
        points = law.quantised(m)
        gap = np.abs(moments(points, np.full(m, 1.0 / m), 4) - harmonic_moments(law, 4))
        assert gap.max() < 2.0 / m


def test_uniform_points_on_the_sphere():
    """Density 1/4 pi; heights of the m Fibonacci points are the midpoints of m equal parts; samples have mean 0."""
    law = Uniform(sphere())
    w = law.quantised(10)
    np.testing.assert_allclose(w[:, 2], 1.0 - (2.0 * np.arange(10) + 1.0) / 10.0, atol=1e-15)
    turn = math.pi * (3.0 - math.sqrt(5.0))
    azimuth = np.diff(np.unwrap(np.arctan2(w[:, 1], w[:, 0])))
    np.testing.assert_allclose(np.mod(np.abs(azimuth), 2.0 * math.pi), turn, rtol=1e-12)
    np.testing.assert_allclose(law.density(w), 1.0 / (4.0 * math.pi), rtol=1e-15)
    drawn = law.sample(20_000, np.random.default_rng(0))
    assert np.max(np.abs(drawn.mean(axis=0))) < 5.0 * math.sqrt(1.0 / 3.0 / 20_000)


def test_uniform_points_in_a_ring():
    """Radii of an annulus: E r^2 = (a^2 + b^2)/2, all inside; density 1/area, 0 in the hole."""
    law = Uniform(annulus(0.5, 2.0))
    drawn = law.sample(20_000, np.random.default_rng(0))
    square = np.sum(drawn**2, axis=1)
    assert np.all((square >= 0.25) & (square <= 4.0))
    assert abs(square.mean() - 2.125) < 5.0 * (3.75 / math.sqrt(12.0)) / math.sqrt(20_000)
    np.testing.assert_allclose(law.density(np.array([[0.0, 0.0], [1.0, 1.0]])), [0.0, 1.0 / (3.75 * math.pi)])
    assert Uniform(disk(2.0)).sample(7, np.random.default_rng(0)).shape == (7, 2)


def test_the_conformal_flow_shrinks_the_half_angle():
    """tan(theta/2) of quantiles shrinks by e^-t; flows compose; the mean height is known where the start is uniform.

    From uniform E z = (1/2) int (a + z)/(1 + a z) dz = 1/a - (1 - a^2) artanh(a)/a^2, a = tanh t.
    """
    s, t = np.linspace(0.05, 0.95, 9), 0.8
    before, after = TILTED.heights.quantile(s), Drifted(TILTED, t).heights.quantile(s)
    half = [np.tan(0.5 * np.arccos(z)) for z in (before, after)]
    np.testing.assert_allclose(half[1], math.exp(-t) * half[0], rtol=1e-12)
    twice = Drifted(Drifted(TILTED, 0.3), 0.5)
    w = TILTED.sample(20, np.random.default_rng(0))
    np.testing.assert_allclose(twice.density(w), Drifted(TILTED, t).density(w), rtol=1e-12)
    a = math.tanh(t)
    mean = 1.0 / a - (1.0 - a * a) * math.atanh(a) / (a * a)
    assert Drifted(ZonalDensity({}), t).moments(1)[1] == pytest.approx(mean, rel=1e-12)


def test_a_long_drift_keeps_its_digits():
    """At t = 12 all is within 1e-5 of the pole: the density there is e^{2t} times the start's, the moment finite."""
    late = Drifted(ZonalDensity({2: 0.5}), 12.0)
    pole = np.array([[0.0, 0.0, 1.0]])
    assert late.density(pole)[0] == pytest.approx(math.exp(24.0) * 1.5 / (4.0 * math.pi), rel=1e-12)
    assert np.all(np.diff(late.heights.quantile(np.linspace(0.1, 0.9, 9))) > 0.0)


@pytest.mark.parametrize(
    ("modes", "message"),
    [
        ({1: 1.01}, "negative"),
        ({2: 2.5}, "z = "),
        ({4: 2.4}, "z = "),
        ({1: 0.6, 3: 0.6}, "negative"),
        ({0: 1.0}, "degree below 1"),
    ],
)
def test_densities_that_would_be_negative_are_refused(modes, message):
    """1 + 2.5 P_2 dips at the equator, 1 + 2.4 P_4 at z^2 = 3/7, the others at a pole; degree 0 is the mass."""
    with pytest.raises(ValueError, match=message):
        ZonalDensity(modes)


@pytest.mark.parametrize("modes", [{1: 1.0}, {2: 2.0}, {4: 2.3}, {1: 0.3, 4: 0.7}])
def test_densities_that_just_touch_zero_are_taken(modes):
    """min P_2 = -1/2 allows h_2 = 2, min P_4 = -3/7 allows h_4 = 7/3; no value is below 0 but by rounding."""
    law = ZonalDensity(modes)
    z = np.linspace(-1.0, 1.0, 4001)
    assert law.heights.density(z[:, None]).min() > -1e-12
    assert law.sample(5, np.random.default_rng(0)).shape == (5, 3)


def test_other_things_than_modes_are_named():
    """A list, a degree that is no whole number, an axis without direction."""
    with pytest.raises(TypeError, match="mapping from degrees"):
        ZonalDensity([0.5])
    with pytest.raises(TypeError, match="mapping from degrees"):
        ZonalDensity({1.5: 0.5})
    with pytest.raises(ValueError, match="points nowhere"):
        ZonalDensity({1: 0.5}, (0.0, 0.0, 0.0))


def test_points_of_the_sphere_stay_where_they_are():
    """Bringing a point back twice gives its bits once, so that atoms that were normalised are taken as they are."""
    w = np.random.default_rng(0).standard_normal((1000, 3))
    once = sphere().retract(w)
    np.testing.assert_array_equal(sphere().retract(once), once)
    assert Atoms(sphere(), once).points is not None


def test_legendre_polynomials_by_their_recurrence():
    """P_0..P_12 against scipy."""
    t = np.linspace(-1.0, 1.0, 41)
    expected = [eval_legendre(n, t) for n in range(13)]
    np.testing.assert_allclose(legendre(t, 12), expected, atol=1e-14)
