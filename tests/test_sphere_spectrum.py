"""Legendre spectra of activations on the sphere: closed forms, quadrature, Funk-Hecke on the sphere, null degrees."""

import math

import numpy as np
import pytest
from scipy.special import eval_legendre

from wflow.activation import Activation, activation, cos_minus_sin, linear, quadratic, relu
from wflow.harmonics import gauss_legendre
from wflow.sphere_spectrum import (
    heaviside_mu,
    null_degrees,
    relu_mu,
    sphere_coefficients,
    sphere_funk_hecke,
    sphere_quadrature,
)

HEAVISIDE = Activation("heaviside", lambda z: np.heaviside(z, 0.5), np.zeros_like, kinks=(0.0,), even_degree=0)
KNOWN = [relu(), HEAVISIDE, cos_minus_sin(1.0), cos_minus_sin(2.5), linear(), quadratic()]


def test_the_table_of_relu_and_heaviside():
    """1/4, 1/6, 1/16, 0, -1/96, 0, 1/256, 0, -1/512 and 1/2, 1/4, 0, -1/16, 0, 1/32, 0, -5/256, by hand."""
    table = [1 / 4, 1 / 6, 1 / 16, 0, -1 / 96, 0, 1 / 256, 0, -1 / 512]
    np.testing.assert_allclose(relu_mu(8), table, rtol=1e-14)
    np.testing.assert_allclose(heaviside_mu(7), [1 / 2, 1 / 4, 0, -1 / 16, 0, 1 / 32, 0, -5 / 256], rtol=1e-14)
    np.testing.assert_allclose(sphere_funk_hecke(relu(), 8), table, atol=1e-14)


@pytest.mark.parametrize("inputs", ["gaussian", "sphere"])
@pytest.mark.parametrize("sigma", KNOWN, ids=str)
def test_closed_forms_are_those_of_quadrature(sigma, inputs):
    """a_0..a_40: 1e-12 of the largest."""
    a = sphere_quadrature(sigma, inputs, 40)
    np.testing.assert_allclose(sphere_coefficients(sigma, inputs, 40), a, atol=1e-12 * a.max())


@pytest.mark.parametrize("name", ["relu", "tanh", "softplus", "cos_minus_sin"])
def test_funk_hecke_on_the_sphere_itself(name):
    """mean over u of sigma(u . w) Y(u) = mu_l Y(w) for a harmonic Y that is not zonal about w, by a product rule in u.

    Y = P_l(u . e) with e not w; the rule is a Gauss rule in height about w, split at the equator where relu bends.
    """
    sigma = activation(name)
    w, e = np.array([0.0, 0.0, 1.0]), np.array([0.48, 0.6, 0.64])
    nodes, share = gauss_legendre(40)
    z = np.concatenate([0.5 * (nodes - 1.0), 0.5 * (nodes + 1.0)])
    angle = 2.0 * math.pi * np.arange(40) / 40
    side = np.sqrt(1.0 - z * z)
    u = np.stack([np.outer(side, np.cos(angle)), np.outer(side, np.sin(angle)), np.outer(z, np.ones(40))], axis=-1)
    weights = np.outer(np.tile(share, 2) / 4.0, np.full(40, 1 / 40))
    mu = sphere_funk_hecke(sigma, 7)
    for degree in range(8):
        mean = np.sum(weights * sigma.value(u @ w) * eval_legendre(degree, u @ e))
        assert mean == pytest.approx(mu[degree] * eval_legendre(degree, w @ e), abs=1e-13)


@pytest.mark.parametrize("inputs", ["gaussian", "sphere"])
def test_the_spectrum_sums_to_the_mean_square(inputs):
    """sum a_l = k(w, w) = E sigma(x . w)^2 for cos - sin, = 1 - E sin 2bz: 1 under symmetric laws (by hand)."""
    assert sphere_coefficients(cos_minus_sin(2.0), inputs, 60).sum() == pytest.approx(1.0, rel=1e-13)


def test_relu_and_its_relatives_have_null_degrees():
    """By parity, as on the circle: odd l >= 3 of relu, even l >= 2 of tanh, none of cos - sin."""
    assert 3 in null_degrees(relu(), "gaussian") and 2 not in null_degrees(relu(), "gaussian")
    assert 1 not in null_degrees(relu(), "gaussian")
    assert 2 in null_degrees(activation("tanh"), "sphere")
    assert null_degrees(cos_minus_sin(1.0), "gaussian").empty
    assert str(null_degrees(relu(), "sphere")) == "odd n > 1"


def test_a_null_degree_is_null_by_quadrature():
    """softplus(z) - z/2 is even: its odd degrees l >= 3 are rounding (squared), its even ones are not."""
    a = sphere_quadrature(activation("softplus"), "gaussian", 9)
    assert np.max(a[3::2]) < 1e-26 and np.min(a[2:7:2]) > 1e-8
