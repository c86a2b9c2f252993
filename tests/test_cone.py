"""Masses of both signs: charged starts, the cone metric and the published one, the dual norm; kernels of one place."""

import math
from itertools import pairwise

import numpy as np
import pytest

from wflow import (
    Atoms,
    Charged,
    Cone,
    Gaussian,
    Refused,
    SignedParticles,
    SquaredAngleCone,
    TranslationNeuron,
    Uniform,
    activation,
    circle,
    line,
    sphere,
    torus,
    w2,
)
from wflow.cone import weak
from wflow.convergence import distance, norm_of
from wflow.kernel import relu_kernel, sawtooth_kernel

TURN = 2.0 * math.pi
EITHER = Charged(Uniform(circle()), Uniform(circle()), (0.3, 0.1))


def charges(points, weights, domain=None):
    """Signed particles on the circle."""
    return SignedParticles(domain or circle(), np.reshape(points, (len(weights), -1)), np.array(weights))


# Starts


def test_a_charged_law_has_its_masses():
    """nu = .3 unif - .1 unif on 8 points: six of .05, two of -.05; |nu| = .4, nu(circle) = .2."""
    weights = EITHER.weights(8)
    assert (EITHER.mass, EITHER.total_variation) == pytest.approx((0.2, 0.4), rel=1e-15)
    np.testing.assert_allclose(weights, [0.05] * 6 + [-0.05] * 2, rtol=1e-15)
    assert EITHER.quantised(8).shape == EITHER.sample(8, np.random.default_rng(0)).shape == (8, 1)


def test_equal_sheets_interlace():
    """unif - unif on 2m points: 2m equispaced places of alternating signs, TURN/2m apart to rounding."""
    law = Charged(Uniform(circle()), Uniform(circle()))
    points, weights = law.quantised(40)[:, 0], law.weights(40)
    order = np.argsort(points)
    np.testing.assert_allclose(np.diff(points[order]), TURN / 40, rtol=1e-12)
    np.testing.assert_array_equal(np.sign(weights[order]), np.tile([1.0, -1.0], 20))


def test_from_atoms_the_charges_are_those_atoms():
    """Whatever m: 2 delta_1 - 3 (delta_2 + 3 delta_4)/4."""
    law = Charged(Atoms(circle(), [[1.0]]), Atoms(circle(), [[2.0], [4.0]], [0.25, 0.75]), (2.0, 3.0))
    np.testing.assert_array_equal(law.quantised(100), [[1.0], [2.0], [4.0]])
    np.testing.assert_allclose(law.weights(100), [2.0, -0.75, -2.25], rtol=1e-15)


@pytest.mark.parametrize(("make", "told"), [
    (lambda: Charged(None, None), "no law on either sheet"),
    (lambda: Charged(Uniform(circle()), None, (0.0, 1.0)), "mass of positive"),
    (lambda: Charged(Uniform(circle()), Gaussian()), "give one domain"),
    (lambda: Charged(Uniform(circle()), None, (1.0,)), "not a pair"),
    (lambda: EITHER.quantised(1), "at least 2"),
])  # fmt: skip
def test_wrong_charges_are_named(make, told):
    """By the argument, the value and a remedy."""
    with pytest.raises(ValueError, match=told):
        make()


def test_a_sheet_is_a_probability_law():
    """Nothing else."""
    with pytest.raises(TypeError, match="probability law"):
        Charged(EITHER)


def test_charges_have_no_w2():
    """Refused by name, whatever their mass, on one axis and on two."""
    for one in (charges([1.0, 2.0], [0.5, 0.5]), charges([[1.0, 2.0]], [1.0], torus(2))):
        with pytest.raises(Refused, match="signed"):
            w2(one, one)
    with pytest.raises(Refused, match="allowed: 1"):
        w2(EITHER, Uniform(circle()))


# The cone


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0), (3.0, 0.25)])
def test_the_cone_distance_is_the_length_of_its_geodesic(alpha, beta):
    """Between (r, theta) it is the plane in polar coordinates with the angle phi = sqrt(alpha/beta) theta, over
    sqrt(alpha): the length of the straight segment by 4000 pieces of |(r', theta')|, r'^2/alpha + r^2 theta'^2/beta."""
    r, phi = np.array([1.1, 0.4]), np.array([0.3, 2.1])
    ends = r * np.exp(1j * phi)
    way = ends[0] + np.linspace(0.0, 1.0, 4001) * (ends[1] - ends[0])
    radius, theta = np.abs(way), np.unwrap(np.angle(way)) * math.sqrt(beta / alpha)
    middle = 0.5 * (radius[1:] + radius[:-1])
    length = np.sum(np.sqrt(np.diff(radius) ** 2 / alpha + middle**2 * np.diff(theta) ** 2 / beta))
    a, b = (charges([theta[k]], [radius[k] ** 2], line()) for k in (0, -1))
    assert Cone(alpha, beta).coupled(a, b) == pytest.approx(length, rel=1e-6)


def test_far_charges_and_charges_of_two_signs_meet_at_the_apex():
    """Beyond the angle pi, and between the sheets, d = r_1 + r_2."""
    far = charges([0.0], [4.0], line()), charges([5.0], [9.0], line())
    signs = charges([1.0], [4.0]), charges([1.0], [-9.0])
    assert Cone().coupled(*far) == pytest.approx(5.0, rel=1e-15)
    assert Cone().coupled(*signs) == pytest.approx(5.0, rel=1e-15)


def test_near_charges_keep_their_digits():
    """Equal masses 1e-9 radian apart: d = 1e-9 to 1e-7 of itself, where 1 - cos would be 0."""
    a, b = charges([1.0], [1.0]), charges([1.0 + 1e-9], [1.0])
    assert Cone().coupled(a, b) == pytest.approx(1e-9, rel=1e-6)


def test_squared_angle_is_no_length():
    """A way of 1 radian at r = 1 in n pieces: n pieces of the cone make 1, those of the published script 1/n, so that
    it breaks the triangle inequality; at 1/10 radian it says a tenth of the distance."""

    def way(metric, n):
        steps = np.linspace(0.0, 1.0, n + 1)
        return sum(metric.coupled(charges([a], [1.0]), charges([b], [1.0])) for a, b in pairwise(steps))

    for n in (10, 100):
        assert way(Cone(), n) == pytest.approx(1.0, rel=1e-2)
        assert way(SquaredAngleCone(), n) == pytest.approx(1.0 / n, rel=1e-2)
    assert SquaredAngleCone().coupled(charges([0.0], [1.0]), charges([1.0], [1.0])) > 10 * way(SquaredAngleCone(), 100)


@pytest.mark.parametrize("h", [1e-3, 0.5, 3.0])
def test_the_dual_norm_of_a_dipole(h):
    """|delta_x - delta_{x+h}|^2 = 2 (1 - e^-h), also across the seam of the circle and for different numbers."""
    a = charges([TURN - 0.5 * h], [1.0])
    b = charges([0.5 * h, 0.5 * h], [0.25, 0.75])
    expected = math.sqrt(2.0 * -math.expm1(-h))
    assert weak(a, b) == pytest.approx(expected, rel=1e-9)
    assert distance(a, b) == weak(a, b) and norm_of(a, b) == "dual norm" and norm_of(a, a) == "cone"


def test_the_dual_norm_needs_a_flat_domain():
    """exp(-sum |x_k - y_k|) is positive definite there."""
    pole = SignedParticles(sphere(), np.array([[0.0, 0.0, 1.0]]), np.ones(1))
    with pytest.raises(Refused, match="flat"):
        weak(pole, pole)
    with pytest.raises(ValueError, match="as many"):
        Cone().distances(charges([0.0], [1.0]), charges([0.0, 1.0], [1.0, 1.0]))


# What sparse problems ask of kernels and filters


@pytest.mark.parametrize("atom", [0.0, 1e-17, 1.0, 6.283185307179586])
@pytest.mark.parametrize("shift", [0.0, 1e-17, 2e-16, -1e-17, -6e-16, 8.9e-16])
@pytest.mark.parametrize("kernel", [relu_kernel(0.0, "gaussian"), sawtooth_kernel()], ids=["relu", "sawtooth"])
def test_an_atom_within_a_rounding_is_counted_once(kernel, atom, shift):
    """k(0) = 1/2 of relu and pi/6 - pi/12.. of the sawtooth, to 1e-14, where w and the atom differ by less than an ulp
    of 2 pi: one of w and w - 2 pi may round onto the atom or its copy and the other not."""
    alone = charges([atom], [1.0])
    apart = kernel.against(alone, np.array([[atom + 1e-9]]), 0)[0]
    assert kernel.against(alone, np.array([[atom + shift]]), 0)[0] == pytest.approx(apart, abs=1e-9)


@pytest.mark.parametrize(("degree", "inputs", "outer"), [(2, 2, False), (5, 1, True), (8, 1, False)])
def test_waves_are_the_dirichlet_kernel(degree, inputs, outer):
    """prod D(x_k - t_k) with two derivatives as a product of waves against the kernel's own sums, to 1e-13 of each."""
    sigma = activation("dirichlet", degree)
    neuron = TranslationNeuron(sigma, inputs=inputs, outer=outer)
    rng = np.random.default_rng(3)
    x, w = rng.uniform(0, TURN, (7, inputs)), rng.uniform(0, TURN, (5, inputs + outer))
    z = x[:, None, :] - w[None, :, int(outer) :]
    a = w[:, 0] if outer else 1.0
    value = a * np.prod(sigma.value(z), axis=2)
    np.testing.assert_allclose(neuron.value(x, w), value, rtol=0, atol=1e-13 * np.abs(value).max())
    last = -a * sigma.slope(z[..., -1]) * np.prod(sigma.value(z[..., :-1]), axis=2)
    np.testing.assert_allclose(neuron.gradient(x, w)[..., -1], last, rtol=0, atol=1e-13 * np.abs(last).max())
    bend = a * sigma.curvature(z[..., -1]) * np.prod(sigma.value(z[..., :-1]), axis=2)
    np.testing.assert_allclose(neuron.curvature(x, w)[..., -1, -1], bend, rtol=0, atol=1e-13 * np.abs(bend).max())
