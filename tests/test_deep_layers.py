"""Whole layers at once: compiled loops against numpy's, to rounding, and networks that are large enough for them."""

import numpy as np
import pytest

from wflow import Data, activation, compiled, deep
from wflow.activation import ONE_PARAMETER, PARAMETERLESS, Activation
from wflow.deep import layers
from wflow.loss import HalfSquare

NAMES = [*PARAMETERLESS, *ONE_PARAMETER]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", NAMES)
def test_compiled_layers_are_numpys(name, monkeypatch):
    """sigma and behind sigma' of fields up to 30 in size, with kinks among them, within 1e-14 of the largest."""
    if not compiled.available():
        pytest.skip("numba is not installed")
    monkeypatch.setattr(layers, "LEAST", 1)
    sigma, rng = activation(name), np.random.default_rng(0)
    z = np.append(10.0 * rng.standard_normal(396), [0.0, -0.0, 30.0, -30.0]).reshape(20, 20)
    behind = rng.standard_normal(z.shape)
    assert layers._formula(sigma, z) is not None
    found, slope = layers.values(sigma, z), layers.bent(sigma, z, sigma.value(z), behind.copy())
    wanted = behind * sigma.slope(z)
    assert np.abs(found - sigma.value(z)).max() <= 1e-14 * max(1.0, np.abs(found).max())
    assert np.abs(slope - wanted).max() <= 1e-13 * max(1.0, np.abs(wanted).max())
    assert np.isnan(layers.values(sigma, np.full((1, 1), np.nan)))[0, 0]


def test_what_is_not_compiled_is_numpys(monkeypatch):
    """A stranger's activation, waves beyond their reach, and small layers: the same bits as numpy's."""
    monkeypatch.setattr(layers, "LEAST", 1)
    z = np.linspace(-2.0, 2.0, 12).reshape(3, 4)
    mine = Activation("tanh", np.arctan, lambda z: 1.0 / (1.0 + z * z))
    assert np.array_equal(layers.values(mine, z), np.arctan(z))
    assert np.array_equal(layers.bent(mine, z, np.arctan(z), np.ones_like(z)), 1.0 / (1.0 + z * z))
    wave = activation("cos_minus_sin")
    assert layers._formula(wave, np.full((2, 2), 1e12)) is None
    monkeypatch.setattr(layers, "LEAST", 100)
    assert layers._formula(wave, z) is None


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_slope_of_tanh_from_its_value(scale):
    """b (1 - tanh^2(b z)), in place of what comes from behind."""
    sigma, z = activation("tanh", scale), np.linspace(-2.0, 2.0, 12).reshape(3, 4)
    behind = np.full(z.shape, 3.0)
    found = layers.bent(sigma, z, sigma.value(z), behind)
    assert found is behind
    assert found == pytest.approx(3.0 * sigma.slope(z), rel=1e-13)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_large_layers_have_the_same_gradient(monkeypatch):
    """70 data and 512 nodes a layer, above the limit: F and every G as numpy finds them."""
    rng, n = np.random.default_rng(1), 512
    data = Data(rng.standard_normal((70, 2)), rng.standard_normal(70))
    net = deep.finite_network(
        rng.standard_normal((n, 2)), [rng.standard_normal((n, n))], rng.standard_normal(n), activation("softplus")
    )
    assert data.inputs.shape[0] * n >= layers.LEAST
    large = deep.gradient(net, data, HalfSquare())
    monkeypatch.setattr(layers, "LEAST", 1 << 60)
    plain = deep.gradient(net, data, HalfSquare())
    assert large.value == pytest.approx(plain.value, rel=1e-13)
    for a, b in ((large.first, plain.first), (large.table(0), plain.table(0)), (large.last, plain.last)):
        assert np.abs(a - b).max() < 1e-12 * np.abs(b).max()
