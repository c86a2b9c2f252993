"""Multilayer networks: derivatives against differences, H v against dense ones, one hidden layer as it was before."""

import numpy as np
import pytest

from wflow import Energy, Particles, Risk
from wflow.activation import activation, erf_unit, gelu, relu, tanh
from wflow.data import Data
from wflow.errors import NotConverged, Refused
from wflow.neuron import RidgeNeuron
from wflow.perceptron import (
    CrossEntropy,
    EmpiricalRisk,
    HalfSquares,
    Perceptron,
    hessian_times,
    largest,
    nonuniformity,
    sharpness,
    variance_times,
)

NETWORKS = {
    "one hidden layer": Perceptron((3, 4, 2), tanh()),
    "three, some biases": Perceptron((3, 4, 3, 3, 2), gelu(), (True, False, True, False)),
    "scaled": Perceptron((3, 4, 4, 2), erf_unit(), False, (0.7, 1.5, 0.3)),
}
LOSSES = {"half squares": HalfSquares(), "cross entropy": CrossEntropy()}
CASES = pytest.mark.parametrize("loss", LOSSES)
SHAPES = pytest.mark.parametrize("shape", NETWORKS)


def posed(shape, loss, n=7, seed=0):
    """A risk, a parameter that is no start, and a direction. Targets are shares, good for both losses."""
    network, rng = NETWORKS[shape], np.random.default_rng(seed)
    q = network.widths[-1]
    y = rng.dirichlet(np.ones(q), size=n)
    risk = EmpiricalRisk(network, rng.standard_normal((n, network.widths[0])), y, LOSSES[loss])
    return risk, 0.7 * rng.standard_normal(network.size), rng.standard_normal(network.size)


def dense(risk, theta):
    """H (size, size), column by column."""
    at = risk.at(theta)
    return np.stack([hessian_times(at, e) for e in np.eye(len(theta))], axis=1)


@SHAPES
@CASES
def test_gradient_and_hessian_are_derivatives(shape, loss):
    """Central differences, of F and of grad F: errors O(e^2) at e = 1e-5, and rounding eps/e of about 1e-11."""
    risk, theta, v = posed(shape, loss)
    e = 1e-5
    slope = (risk.value(theta + e * v) - risk.value(theta - e * v)) / (2.0 * e)
    assert risk.gradient(theta) @ v == pytest.approx(slope, rel=1e-7, abs=1e-9)
    bent = (risk.gradient(theta + e * v) - risk.gradient(theta - e * v)) / (2.0 * e)
    assert hessian_times(risk.at(theta), v) == pytest.approx(bent, abs=1e-7 * np.abs(bent).max())


@SHAPES
@CASES
def test_the_hessian_is_symmetric(shape, loss):
    """To rounding: an algebraic identity that no single product knows of."""
    matrix = dense(*posed(shape, loss)[:2])
    assert np.abs(matrix - matrix.T).max() < 1e-13 * np.abs(matrix).max()


@SHAPES
@CASES
def test_rows_squared(shape, loss):
    """(1/n) sum H_i^2 - H^2 of dense Hessians, each from a risk of one row."""
    risk, theta, v = posed(shape, loss, n=3)
    each = [dense(risk.rows(slice(i, i + 1)), theta) for i in range(len(risk))]
    mean = np.mean(each, axis=0)
    variance = np.mean([h @ h for h in each], axis=0) - mean @ mean
    at = risk.at(theta)
    assert variance_times(at, v) == pytest.approx(variance @ v, abs=1e-11 * np.abs(variance).max())
    assert sharpness(at).value == pytest.approx(np.linalg.eigvalsh(mean)[-1], rel=1e-10)
    assert nonuniformity(at) == pytest.approx(np.linalg.eigvalsh(variance)[-1] ** 0.5, rel=1e-9)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_one_hidden_layer_is_the_house_s_own(name):
    """f = (1/m) sum a_j sigma(v_j . x + c_j): values, F and the velocity -m dF/dw_j of particles, to 1e-12."""
    rng, m, p, n = np.random.default_rng(1), 6, 3, 8
    w, x, y = rng.standard_normal((m, p + 2)), rng.standard_normal((n, p)), rng.standard_normal(n)
    network = Perceptron((p, m, 1), activation(name), (True, False), (1.0, 1.0 / m))
    neuron = RidgeNeuron(activation(name), p, bias=True, outer=True)
    pi = Particles(neuron.domain, w)
    energy = Energy(Risk(neuron, Data(x, y)))
    theta = network.flat([(w[:, 1:-1], w[:, -1]), (w[None, :, 0], None)])
    risk = EmpiricalRisk(network, x, y[:, None])
    assert network.outputs(theta, x)[:, 0] == pytest.approx(energy.predict(pi), abs=1e-12)
    assert risk.value(theta) == pytest.approx(energy.value(pi), abs=1e-12)
    (inner, c), (a, _) = network.layers(risk.gradient(theta))
    velocity = np.column_stack([a[0], inner, c])
    assert -m * velocity == pytest.approx(energy.velocity(pi, w), abs=1e-12)


def test_relu_has_the_hessian_of_its_piece():
    """Away from kinks differences of the gradient see no kink."""
    network, rng = Perceptron((4, 6, 5, 1), relu()), np.random.default_rng(2)
    risk = EmpiricalRisk(network, rng.standard_normal((5, 4)), rng.standard_normal((5, 1)))
    theta, v, e = network.start(3), rng.standard_normal(network.size), 1e-6
    bent = (risk.gradient(theta + e * v) - risk.gradient(theta - e * v)) / (2.0 * e)
    assert hessian_times(risk.at(theta), v) == pytest.approx(bent, abs=1e-8)


def test_masks_are_part_of_the_function():
    """Dropout of fixed masks: gradient and H are those of the masked network."""
    risk, theta, v = posed("three, some biases", "half squares")
    rng = np.random.default_rng(5)
    masks = tuple(2.0 * rng.integers(2, size=(len(risk), k)) for k in (4, 3, 3))
    e = 1e-5
    ends = [risk.at(theta + sign * e * v, masks) for sign in (1.0, -1.0)]
    at = risk.at(theta, masks)
    assert at.gradient @ v == pytest.approx((ends[0].value - ends[1].value) / (2.0 * e), rel=1e-7)
    bent = (ends[0].gradient - ends[1].gradient) / (2.0 * e)
    assert hessian_times(at, v) == pytest.approx(bent, abs=1e-7 * np.abs(bent).max())


def test_grams_of_gradients_and_tangents():
    """g_i . g_j of risks of one row each; where f = y, H = J^T J/n has the largest number of J J^T/n."""
    risk, theta, _ = posed("scaled", "cross entropy")
    each = np.stack([risk.rows(slice(i, i + 1)).gradient(theta) for i in range(len(risk))])
    assert risk.at(theta).gram() == pytest.approx(each @ each.T, abs=1e-13)
    fitted = EmpiricalRisk(risk.network, risk.inputs, risk.network.outputs(theta, risk.inputs))
    numbers = np.linalg.eigvalsh(fitted.at(theta).tangents())
    assert sharpness(fitted.at(theta)).value == pytest.approx(numbers[-1] / len(risk), rel=1e-10)


def test_cross_entropy_in_a_closed_case():
    """Two classes of logits +-z: log(1 + e^{-2z}), of slope -2/(1 + e^{2z}) and curvature 1/cosh^2 z along (1, -1)."""
    z, y = np.linspace(-900.0, 900.0, 7), np.tile([1.0, 0.0], (7, 1))
    f, u = np.stack([z, -z], axis=1), np.tile([1.0, -1.0], (7, 1))
    loss = CrossEntropy()
    assert loss.value(f, y) == pytest.approx(np.logaddexp(0.0, -2.0 * z), rel=1e-14)
    z = np.linspace(-3.0, 3.0, 7)
    f = np.stack([z, -z], axis=1)
    assert np.sum(loss.slope(f, y) * u, axis=1) == pytest.approx(-2.0 / (1.0 + np.exp(2.0 * z)), rel=1e-13)
    assert np.sum(loss.curvature(f, u) * u, axis=1) == pytest.approx(1.0 / np.cosh(z) ** 2, rel=1e-13)


def test_what_is_refused():
    """At the door, with a remedy."""
    with pytest.raises(ValueError, match="no hidden layer"):
        Perceptron((3, 1), tanh())
    with pytest.raises(ValueError, match="one a layer"):
        Perceptron((3, 4, 1), tanh(), (True,))
    with pytest.raises(ValueError, match="scale 0"):
        Perceptron((3, 4, 1), tanh(), True, (1.0, 0.0))
    network = Perceptron((3, 4, 2), tanh())
    with pytest.raises(ValueError, match="one-hot"):
        EmpiricalRisk(network, np.ones((2, 3)), np.full((2, 2), 0.4), CrossEntropy())
    risk = EmpiricalRisk(network, np.ones((2, 3)), np.eye(2))
    with pytest.raises(ValueError, match="theta"):
        risk.gradient(np.ones(3))
    with pytest.raises(ValueError, match="v: expected"):
        hessian_times(risk.at(network.start(0)), np.ones(3))


def test_lanczos_looks_at_its_residual():
    """A product that is not a matrix's: no vector is an eigenvector, and that is told. A matrix: its largest number."""
    rng = np.random.default_rng(0)
    with pytest.raises(NotConverged):
        largest(lambda v: rng.standard_normal(9), 9)
    diagonal = np.array([-9.0, 1.0, 2.0, 3.0])
    assert largest(lambda v: diagonal * v, 4).value == pytest.approx(3.0, rel=1e-12)
    assert largest(lambda v: diagonal[:2] * v, 2).value == 1.0


def test_matrices_that_are_zero_have_numbers_too():
    """Rows that are alike: s = 0 to the rounding of a difference. No unit of relu active, no bias: H = 0 exactly."""
    network = Perceptron((3, 4, 1), tanh())
    same = EmpiricalRisk(network, np.ones((5, 3)), np.ones((5, 1))).at(network.start(0))
    assert nonuniformity(same) < 1e-6 * sharpness(same).value
    asleep = Perceptron((3, 4, 1), relu(), False)
    theta = asleep.flat([(-np.ones((4, 3)), None), (np.ones((1, 4)), None)])
    at = EmpiricalRisk(asleep, np.ones((5, 3)), np.ones((5, 1))).at(theta)
    assert sharpness(at).value == nonuniformity(at) == 0.0


def test_a_jump_in_the_slope_without_pieces_is_refused():
    """An activation that is called relu and is none has no Hessian that we know."""
    sigma = relu()
    other = type(sigma)("mine", sigma.value, sigma.slope, None, (0.0,))
    risk = EmpiricalRisk(Perceptron((1, 2, 1), other), np.ones((1, 1)), np.ones((1, 1)))
    with pytest.raises(Refused, match="jumps"):
        hessian_times(risk.at(np.ones(7)), np.ones(7))
