"""Activations, neurons and the kernels of their population risks: derivatives, closed forms and null modes."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import eval_gegenbauer, i0, j0

from wflow import CircleNeuron, FourierDensity, Particles, RidgeNeuron, Risk, Uniform, activation, circle
from wflow.activation import ONE_PARAMETER, PARAMETERLESS
from wflow.data import circle_inputs, gaussian_plane_inputs
from wflow.energy import Energy, population_risk
from wflow.kernel import circle_kernel, sawtooth_kernel
from wflow.law import Atoms
from wflow.spectrum import funk_hecke, kernel_coefficients, null_modes, quadrature_coefficients

TURN = 2.0 * math.pi
UNIFORM = Uniform(circle())
NAMED = [(name, None) for name in (*PARAMETERLESS, *ONE_PARAMETER)]
WITH_B = [("relu", 0.5), ("tanh", 2.0), ("cos_minus_sin", 2.0), ("leaky_relu", 0.3), ("softplus", 3.0), ("erf", 0.7)]
WITH_B.append(("dirichlet", 4))
EVERY = [*NAMED, *WITH_B, ("sigmoid", 2.0)]


def difference(f, z, h=3e-4):
    """f' by the central difference of order 4; error h^4 f^(5)/30 + rounding/h, some 1e-12."""
    return (8 * (f(z + h) - f(z - h)) - (f(z + 2 * h) - f(z - 2 * h))) / (12 * h)


def away_from(kinks):
    """Points of [-4, 4] farther than the difference's reach from each kink."""
    z = np.linspace(-4.0, 4.0, 321) + 1e-4
    return z[np.all(np.abs(z[:, None] - np.array([*kinks, 99.0])) > 5e-3, axis=1)]


FORMULAS = {
    "linear": lambda z, b: z,
    "quadratic": lambda z, b: z * z,
    "gelu": lambda z, b: z * 0.5 * (1 + math.erf(z / math.sqrt(2))),
    "elu": lambda z, b: z if z > 0 else math.exp(z) - 1,
    "relu_squared": lambda z, b: max(z, 0) ** 2,
    "relu": lambda z, b: max(z - (b or 0), 0),
    "tanh": lambda z, b: math.tanh((b or 1) * z),
    "cos_minus_sin": lambda z, b: math.cos((b or 1) * z) - math.sin((b or 1) * z),
    "leaky_relu": lambda z, b: z if z > 0 else (b or 0.1) * z,
    "softplus": lambda z, b: math.log(1 + math.exp((b or 1) * z)) / (b or 1),
    "erf": lambda z, b: math.erf((b or 1) * z),
    "sigmoid": lambda z, b: 1 / (1 + math.exp(-(b or 1) * z)),
    # sin((n + 1/2) z)/sin(z/2), 2 n + 1 at 0
    "dirichlet": lambda z, b: math.sin(((b or 2) + 0.5) * z) / math.sin(z / 2) if z else 2 * (b or 2) + 1,
}


@pytest.mark.parametrize(("name", "b"), EVERY)
def test_activations_are_their_formulas(name, b):
    """sigma(z) against the formula of its name, with the parameter b or its default."""
    z = np.linspace(-4, 4, 41)
    expected = [FORMULAS[name](float(v), b) for v in z]
    np.testing.assert_allclose(activation(name, b).value(z), expected, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize(("name", "b"), EVERY)
def test_slope_is_the_difference_of_the_value(name, b):
    """sigma' against the central difference of order 4, away from kinks."""
    sigma = activation(name, b)
    z = away_from(sigma.kinks)
    np.testing.assert_allclose(sigma.slope(z), difference(sigma.value, z), rtol=0.0, atol=1e-9)


SMOOTH = [(n, b) for n, b in EVERY if activation(n, b).curvature]


@pytest.mark.parametrize(("name", "b"), SMOOTH)
def test_curvature_is_the_difference_of_the_slope(name, b):
    """sigma'' against the central difference of order 4 of sigma', away from kinks."""
    sigma = activation(name, b)
    z = away_from(sigma.kinks)
    np.testing.assert_allclose(sigma.curvature(z), difference(sigma.slope, z), rtol=0.0, atol=1e-9)


@pytest.mark.parametrize(("name", "b"), EVERY)
def test_slope_at_a_kink_is_the_mean_of_both_sides(name, b):
    """sigma'(kink) = (sigma'(kink-) + sigma'(kink+))/2: symmetric configurations stay symmetric."""
    sigma = activation(name, b)
    kinks = np.array(sigma.kinks)
    mean = 0.5 * (sigma.slope(kinks - 1e-9) + sigma.slope(kinks + 1e-9))
    np.testing.assert_allclose(sigma.slope(kinks), mean, rtol=0.0, atol=1e-8)


NEURONS = {
    "circle tanh": CircleNeuron(activation("tanh", 2.0)),
    "circle gelu": CircleNeuron(activation("gelu")),
    "v.x": RidgeNeuron(activation("tanh"), inputs=2),
    "v.x + c": RidgeNeuron(activation("tanh"), inputs=2, bias=True),
    "a v.x": RidgeNeuron(activation("tanh"), inputs=2, outer=True),
    "a (v.x + c)": RidgeNeuron(activation("tanh"), inputs=2, bias=True, outer=True),
}


def sample_of(neuron):
    """Inputs (5, p) and parameters (4, d)."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(5, neuron.inputs)), rng.normal(size=(4, neuron.domain.dim))


def along(function, w, axis):
    """d/dw_axis of function(w) by central differences of order 4."""
    shift = np.eye(w.shape[1])[axis]
    return difference(lambda s: function(w + s * shift), 0.0)


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
def test_gradient_of_a_neuron(neuron):
    """grad_w psi (n, m, d) against differences of psi in each parameter; h^4 psi^(5) stays below 5e-9 for |x| < 3."""
    x, w = sample_of(neuron)
    for axis in range(w.shape[1]):
        expected = along(lambda v: neuron.value(x, v), w, axis)
        np.testing.assert_allclose(neuron.gradient(x, w)[..., axis], expected, rtol=0.0, atol=5e-9)


@pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)
def test_curvature_of_a_neuron(neuron):
    """grad_w^2 psi (n, m, d, d) against differences of grad_w psi."""
    x, w = sample_of(neuron)
    for axis in range(w.shape[1]):
        expected = along(lambda v: neuron.gradient(x, v), w, axis)
        np.testing.assert_allclose(neuron.curvature(x, w)[..., axis], expected, rtol=0.0, atol=5e-9)


# Funk-Hecke: sigma(cos(phi - theta)) = sum_n c_n cos n(phi - theta), mu_n = (1/2 pi) int sigma(cos t) cos nt dt


def relu_gaussian(n):
    """a_n of ReLU, x ~ N(0, I_2): 2/pi^2, 1/4, then 4/(pi^2 (n^2 - 1)^2) for even n, 0 for odd n >= 3."""
    if n < 2:
        return (2 / math.pi**2, 0.25)[n]
    return 0.0 if n % 2 else 4 / (math.pi * (n * n - 1)) ** 2


@pytest.mark.parametrize("n", range(12))
def test_relu_coefficients_for_gaussian_inputs(n):
    """The arc-cosine kernel's Fourier series: a_2 = 4/(9 pi^2) = 0.045031637, a_4 = 4/(225 pi^2), odd n >= 3 null."""
    a = kernel_coefficients(activation("relu"), "gaussian", 12)[n]
    assert a == pytest.approx(relu_gaussian(n), rel=1e-14, abs=0.0)


ROOT = math.sqrt(3.0) / math.pi
HALF_RELU = [1 / 6 - ROOT / 8, ROOT / 8, ROOT / 16, ROOT / 80, -ROOT / 80, -ROOT / 70]


@pytest.mark.parametrize("n", range(1, 7))
def test_relu_with_threshold_one_half(n):
    """mu_1..mu_6 of max(z - 1/2, 0) on unit inputs in surds, p = arccos(1/2) = pi/3; derived."""
    assert funk_hecke(activation("relu", 0.5), 6)[n] == pytest.approx(HALF_RELU[n - 1], rel=1e-12, abs=0.0)


@pytest.mark.parametrize("b", [-0.7, 0.0, 0.3, 0.5, 0.95])
def test_relu_coefficients_are_gegenbauer_polynomials(b):
    """mu_n = 2 sin^3 p C_{n-2}^(2)(b) / (pi n (n^2 - 1)) for n >= 2, b = cos p, and a_n = 2 mu_n^2 on unit inputs.

    Twice by parts: sigma'' is a point mass at t = p, and the weight sin^3 t belongs to C^(2); derived.
    """
    n = np.arange(2, 31)
    mu = 2 * (1 - b * b) ** 1.5 * eval_gegenbauer(n - 2, 2.0, b) / (math.pi * n * (n * n - 1))
    np.testing.assert_allclose(
        kernel_coefficients(activation("relu", b), "circle", 30)[2:], 2 * mu**2, rtol=0.0, atol=1e-16
    )


@pytest.mark.parametrize("b", [-0.7, 0.0, 0.3, 0.5, 0.95])
def test_closed_relu_coefficients_are_the_quadrature(b):
    """a_0..a_40 in closed form against Gauss-Legendre between the kinks, to rounding of a_0."""
    sigma = activation("relu", b)
    closed = kernel_coefficients(sigma, "circle", 40)
    np.testing.assert_allclose(closed, quadrature_coefficients(sigma, "circle", 40), rtol=0.0, atol=5e-15)


@pytest.mark.parametrize("inputs", ["gaussian", "circle"])
@pytest.mark.parametrize(
    ("name", "b"),
    [("relu", None), ("cos_minus_sin", 1.0), ("cos_minus_sin", 2.0), ("linear", None), ("quadratic", None)],
)
def test_closed_coefficients_are_the_quadrature(name, b, inputs):
    """a_0..a_30 in closed form against the double quadrature in radius and angle, both laws of x."""
    sigma = activation(name, b)
    closed = kernel_coefficients(sigma, inputs, 30)
    np.testing.assert_allclose(closed, quadrature_coefficients(sigma, inputs, 30), rtol=0.0, atol=1e-13)


def test_quadrature_against_scipy():
    """mu_n of an activation without closed form against scipy's adaptive quadrature of the definition."""
    mu = funk_hecke(activation("elu"), 6)
    expected = [
        quad(lambda t, n=n: FORMULAS["elu"](math.cos(t), None) * math.cos(n * t), 0, math.pi, points=[math.pi / 2])[0]
        for n in range(7)
    ]
    np.testing.assert_allclose(mu, np.array(expected) / math.pi, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("b", [0.5, 1.0, 2.0])
def test_cos_minus_sin_kernels(b):
    """k = exp(-b^2 (1 - cos theta)) for Gaussian x and J_0(2 b sin(theta/2)) for unit x.

    (cos bz - sin bz)(cos bz' - sin bz') = cos b(z - z') - sin b(z + z'); the second part is odd in x; derived.
    """
    theta = np.linspace(0, TURN, 60)[:, None]
    origin = Atoms(circle(), np.zeros((1, 1)))
    formulas = {
        "gaussian": np.exp(-b * b * (1 - np.cos(theta[:, 0]))),
        "circle": j0(2 * b * np.sin(theta[:, 0] / 2)),
    }
    for inputs, expected in formulas.items():
        value = circle_kernel(activation("cos_minus_sin", b), inputs).against(origin, theta, 0)
        np.testing.assert_allclose(value, expected, rtol=0.0, atol=1e-14)


NULL = {
    "relu": {3, 5, 7, 9},
    "softplus": {3, 5, 7, 9},
    "gelu": {3, 5, 7, 9},
    "leaky_relu": {3, 5, 7, 9},
    "tanh": {2, 4, 6, 8, 10},
    "erf": {2, 4, 6, 8, 10},
    "sigmoid": {2, 4, 6, 8, 10},
    "relu_squared": {4, 6, 8, 10},
    "linear": set(range(2, 11)),
    "quadratic": {1, *range(3, 11)},
    "elu": set(),
    "cos_minus_sin": set(),
}


@pytest.mark.parametrize("inputs", ["gaussian", "circle"])
@pytest.mark.parametrize("name", NULL)
def test_null_modes(name, inputs):
    """Modes up to 10 that an activation does not see, by parity.

    relu, softplus, GELU, leaky ReLU = z/2 + even: odd n >= 3. tanh, erf, sigmoid = const + odd: even n >= 2.
    relu^2 = z^2/2 + odd: even n >= 4. ELU and cos - sin: none.
    """
    null = null_modes(activation(name), inputs)
    assert {n for n in range(1, 11) if n in null} == NULL[name]


@pytest.mark.parametrize("inputs", ["gaussian", "circle"])
@pytest.mark.parametrize("name", NULL)
def test_null_modes_have_no_coefficient(name, inputs):
    """a_n vanishes to rounding exactly where the parity argument says so, by quadrature up to n = 4."""
    a = quadrature_coefficients(activation(name), inputs, 4)
    assert {n for n in range(1, 5) if a[n] < 1e-16 * a.max()} == {n for n in NULL[name] if n <= 4}


def test_a_sporadic_null_mode():
    """max(z - b, 0) on unit inputs loses mode 4 alone where C_2^(2)(b) = 12 b^2 - 2 = 0, that is b = 1/sqrt 6."""
    assert null_modes(activation("relu", 1 / math.sqrt(6.0)), "circle").unseen == (4,)


def test_a_threshold_leaves_no_null_mode():
    """max(z - 1/2, 0) on unit inputs: neither a family nor a single mode up to 24."""
    assert null_modes(activation("relu", 0.5), "circle").empty


# Kernels: piecewise closed forms, prefix sums


def arccosine(theta):
    """k of ReLU, x ~ N(0, I_2), with k' and k'': (sin t + (pi - t) cos t)/2 pi, 0 <= t <= 2 pi folded to [0, pi]."""
    t = np.minimum(theta, TURN - theta)
    side = np.where(theta <= math.pi, 1.0, -1.0)
    k = np.sin(t) + (math.pi - t) * np.cos(t)
    return k / TURN, -side * (math.pi - t) * np.sin(t) / TURN, (np.sin(t) - (math.pi - t) * np.cos(t)) / TURN


def sawtooth(theta):
    """k, k', k'' of sum cos(n t)/(pi n^2); at t = 0 the slope is the mean 0 of both sides."""
    slope = np.where(theta % TURN == 0.0, 0.0, (theta - math.pi) / TURN)
    return ((math.pi - theta) ** 2 / 2 - math.pi**2 / 6) / TURN, slope, np.full_like(theta, 1 / TURN)


def overlap(b):
    """k, k', k'' of max(z - b, 0) on unit inputs by Gauss-Legendre over the arc |phi| < p, |phi - t| < p.

    k(t) = (1/2 pi) int_{t-p}^p (cos phi - b)(cos(phi - t) - b) dphi for t < 2p, plus the same at 2 pi - t: the
    integrand's second factor vanishes at phi = t - p, so k' has no boundary term and k'' has one.
    """
    p = math.acos(b)
    nodes, weights = np.polynomial.legendre.leggauss(60)

    def one(t):
        half = 0.5 * np.maximum(2 * p - t, 0.0)
        phi = (t / 2)[:, None] + half[:, None] * nodes
        first, w = np.cos(phi) - b, half[:, None] * weights
        k = np.sum(w * first * (np.cos(phi - t[:, None]) - b), axis=1)
        slope = np.sum(w * first * np.sin(phi - t[:, None]), axis=1)
        edge = np.where(half > 0, (np.cos(t - p) - b) * math.sin(p), 0.0)
        return np.array([k, slope, edge - np.sum(w * first * np.cos(phi - t[:, None]), axis=1)]) / TURN

    def whole(theta):
        here, mirrored = one(theta), one(TURN - theta)
        return here[0] + mirrored[0], here[1] - mirrored[1], here[2] + mirrored[2]

    return whole


PIECEWISE = {
    "sawtooth": (sawtooth_kernel(), sawtooth),
    "relu": (circle_kernel(activation("relu"), "gaussian"), arccosine),
    "relu 0.5": (circle_kernel(activation("relu", 0.5), "circle"), overlap(0.5)),
    "relu -0.4": (circle_kernel(activation("relu", -0.4), "circle"), overlap(-0.4)),
    "relu 0.9": (circle_kernel(activation("relu", 0.9), "circle"), overlap(0.9)),
}


@pytest.mark.parametrize("derivative", [0, 1, 2])
@pytest.mark.parametrize(("kernel", "formula"), PIECEWISE.values(), ids=PIECEWISE)
def test_prefix_sums_are_dense_sums(kernel, formula, derivative):
    """sum_j p_j k^(j)(w - theta_j) by prefix sums against the full sum of the closed form.

    Atoms lie anywhere on the line of lifted angles, two of them coincide, and the targets include no atom.
    """
    rng = np.random.default_rng(8)
    theta, p = rng.uniform(-10, 10, 50), rng.dirichlet(np.ones(50))
    theta[7] = theta[31]
    w = rng.uniform(-10, 10, 40)
    dense = sum(q * formula(np.mod(w - t, TURN))[derivative] for q, t in zip(p, theta, strict=True))
    value = kernel.against(Particles(circle(), theta[:, None], p), w[:, None], derivative)
    np.testing.assert_allclose(value.ravel(), dense, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize(("kernel", "formula"), PIECEWISE.values(), ids=PIECEWISE)
def test_atoms_do_not_push_themselves(kernel, formula):
    """At the atoms themselves, repeated ones included, k' is summed with k'(0) = 0, the mean of both sides."""
    theta = np.array([0.5, 0.5, 3.0, 6.0])
    gaps = np.mod(theta[:, None] - theta[None, :], TURN)
    slopes = np.where(gaps == 0.0, 0.0, formula(gaps.ravel())[1].reshape(4, 4))
    value = kernel.against(Particles(circle(), theta[:, None]), theta[:, None], 1)
    np.testing.assert_allclose(value.ravel(), slopes.mean(axis=1), rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("name", PIECEWISE)
def test_piecewise_form_is_the_fourier_series(name):
    """k(theta) = sum_n a_n cos n theta; the tail beyond N = 2000 is at most sum_{n > N} a_n, some N a_N."""
    kernel, _ = PIECEWISE[name]
    theta, n = np.linspace(0.0, TURN, 101), np.arange(2001)
    series = np.cos(np.outer(theta, n)) @ kernel.coefficients(2000)
    tail = float(np.sum(kernel.coefficients(200_000)[2001:])) * 1.02
    assert np.max(np.abs(kernel.value(theta) - series)) <= tail + 1e-14


@pytest.mark.parametrize("leak", [0.1, 0.5])
def test_leaky_relu_is_a_sum_of_known_kernels(leak):
    """leak z + (1 - leak) max(z, 0): k = leak^2 cos + leak (1 - leak) cos + (1 - leak)^2 k_relu for N(0, I_2).

    E[z relu(z')] = E[z z']/2 by parity, twice leak (1 - leak)/2; derived.
    """
    theta = np.linspace(0, TURN, 50)
    plain = circle_kernel(activation("relu"), "gaussian").value(theta)
    expected = (leak**2 + leak * (1 - leak)) * np.cos(theta) + (1 - leak) ** 2 * plain
    value = circle_kernel(activation("leaky_relu", leak), "gaussian").value(theta)
    np.testing.assert_allclose(value, expected, rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("points", [64, 65, 101])
def test_fft_and_horner_agree(points):
    """k * pi at equispaced angles (FFT) equals the same at shuffled ones (Horner), derivatives included."""
    kernel = circle_kernel(activation("cos_minus_sin", 2.0), "gaussian")
    pi = FourierDensity.cosines({1: 0.3, 4: 0.2})
    w = (0.1 + TURN * np.arange(points) / points)[:, None]
    mixed = np.random.default_rng(0).permutation(points)
    for j in range(3):
        np.testing.assert_allclose(
            kernel.against(pi, w, j)[mixed], kernel.against(pi, w[mixed], j), rtol=0.0, atol=1e-13
        )


@pytest.mark.parametrize("name", [*PIECEWISE, "cos_minus_sin"])
def test_double_is_the_mean_of_against(name):
    """int int k dpi dpi = int (k * pi) dpi for atoms."""
    kernel = circle_kernel(activation(name), "gaussian") if name == "cos_minus_sin" else PIECEWISE[name][0]
    rng = np.random.default_rng(4)
    pi = Particles(circle(), rng.uniform(0, TURN, (9, 1)), rng.dirichlet(np.ones(9)))
    assert kernel.double(pi) == pytest.approx(float(pi.weights @ kernel.against(pi, pi.points, 0)), abs=1e-14)


# A closed kernel and a quadrature of the data are one risk


def radial_target(sigma):
    """f of the uniform teacher: E over the angle of sigma(|x| cos t), by 4000 equispaced angles (kinks: 1e-7)."""
    cosines = np.cos(TURN * (np.arange(4000) + 0.5) / 4000)
    return lambda x: np.array([sigma.value(r * cosines).mean() for r in np.linalg.norm(x, axis=1)])


# relu: the angles' rule aliases mu_n ~ 2/(pi n^2) into mu_0, 1e-6 at n = 1600; smooth ones are spectrally exact
RISKS = {
    "cos - sin, gaussian": ("cos_minus_sin", 1.0, "gaussian", gaussian_plane_inputs(40, 64), 1e-12),
    "cos - sin, circle": ("cos_minus_sin", 2.0, "circle", circle_inputs(64), 1e-12),
    "quadratic, gaussian": ("quadratic", None, "gaussian", gaussian_plane_inputs(3, 8), 1e-12),
    "tanh, circle": ("tanh", 1.0, "circle", circle_inputs(200), 1e-12),
    "relu, gaussian": ("relu", None, "gaussian", gaussian_plane_inputs(1, 1600), 1e-5),
    "relu 0.5, circle": ("relu", 0.5, "circle", circle_inputs(1600), 1e-5),
    "leaky relu, circle": ("leaky_relu", 0.2, "circle", circle_inputs(1600), 1e-5),
}


@pytest.mark.parametrize("quantity", ["value", "potential", "velocity"])
@pytest.mark.parametrize(("name", "b", "inputs", "data", "accuracy"), RISKS.values(), ids=RISKS)
def test_kernel_and_quadrature_give_one_risk(name, b, inputs, data, accuracy, quantity):
    """F, V and -grad V of population_risk(kernel, uniform) equal those of Risk(CircleNeuron, quadrature of x).

    V = E (f_pi - f_unif) psi either way. The velocity of a kinked neuron loses one power of n: 1e-3.
    """
    sigma = activation(name, b)
    closed = Energy(*population_risk(circle_kernel(sigma, inputs), UNIFORM))
    sampled = Energy(Risk(CircleNeuron(sigma), data.with_targets(radial_target(sigma))))
    rng = np.random.default_rng(6)
    pi = Particles(circle(), rng.uniform(0, TURN, (7, 1)))
    w = rng.uniform(0, TURN, (20, 1))
    if quantity == "value":
        assert closed.value(pi) == pytest.approx(sampled.value(pi), abs=accuracy)
    else:
        loose = 100 if sigma.curvature is None and quantity == "velocity" else 1
        one, two = (getattr(energy, quantity)(pi, w) for energy in (closed, sampled))
        np.testing.assert_allclose(one, two, rtol=0.0, atol=loose * accuracy)


@pytest.mark.parametrize("inputs", ["gaussian", "circle"])
def test_unit_inputs_are_half_of_gaussian_ones(inputs):
    """E|x|^2 = 2 against 1: a 1-homogeneous neuron's Gaussian kernel is twice its unit-circle one."""
    sigma = activation("relu")
    double = 2.0 if inputs == "circle" else 1.0
    np.testing.assert_allclose(
        double * kernel_coefficients(sigma, inputs, 20),
        kernel_coefficients(sigma, "gaussian", 20),
        rtol=0.0,
        atol=1e-16,
    )


def test_mean_of_the_gaussian_cosine_kernel():
    """a_0 = e^{-b^2} I_0(b^2) for cos bz - sin bz."""
    a = kernel_coefficients(activation("cos_minus_sin", 1.5), "gaussian", 3)
    assert a[0] == pytest.approx(math.exp(-2.25) * i0(2.25), rel=1e-13, abs=0.0)
