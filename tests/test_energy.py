"""Energies: V, -grad V, the Hessian and the coupling are derivatives of F; entropies have their closed values."""

import math

import numpy as np
import pytest

from wflow import (
    CircleNeuron,
    Constant,
    Density,
    Entropy,
    FourierDensity,
    Gaussian,
    Grid,
    Interaction,
    Particles,
    Potential,
    Quantiles,
    RidgeNeuron,
    Risk,
    SignedParticles,
    TotalVariation,
    Uniform,
    activation,
    circle,
    interval,
    line,
)
from wflow.data import circle_inputs, gaussian_inputs
from wflow.energy import Energy, population_risk
from wflow.kernel import COUPLED_MODES, circle_kernel, sawtooth_kernel
from wflow.problems.circle import poisson_law

TURN = 2.0 * math.pi
UNIFORM = Uniform(circle())


def labelled(data):
    """A target that no few neurons fit."""
    return data.with_targets(lambda x: np.sin(2.0 * x[:, 0]) + x[:, -1] ** 2)


RIDGE = RidgeNeuron(activation("tanh"), inputs=2, bias=True, outer=True)
KERNELS = {
    "cos - sin": circle_kernel(activation("cos_minus_sin", 2.0), "gaussian"),
    "tanh": circle_kernel(activation("tanh"), "circle"),
    "relu": circle_kernel(activation("relu"), "gaussian"),
    "relu 0.5": circle_kernel(activation("relu", 0.5), "circle"),
    "leaky relu": circle_kernel(activation("leaky_relu"), "gaussian"),
    "sawtooth": sawtooth_kernel(),
}
ENERGIES = {
    **{name: Energy(*population_risk(kernel, UNIFORM)) for name, kernel in KERNELS.items()},
    "circle data": Energy(Risk(CircleNeuron(activation("gelu")), labelled(circle_inputs(9)))),
    "ridge data": Energy(Risk(RIDGE, labelled(gaussian_inputs(2, 4)))),
    "quadratic": Energy(Potential.quadratic(1.3, [0.2, -0.1])),
    "linear": Energy(Potential.linear([0.7])),
    "sum": Energy(*population_risk(KERNELS["relu"], poisson_law(0.4)), Potential.linear([0.3]), TotalVariation(0.2)),
}
DIMENSION = {"ridge data": 4, "quadratic": 2, "linear": 1}
EVERY = pytest.mark.parametrize("name", ENERGIES)


def two_measures(name, m=6):
    """Particles pi and nu on the energy's domain (angles anywhere), and an energy."""
    energy = ENERGIES[name]
    rng = np.random.default_rng(12)
    d = DIMENSION.get(name, 1)
    domain = circle() if name not in DIMENSION else (line() if d == 1 else Gaussian(dim=d).domain)
    draws = [rng.uniform(-3.0, 9.0, (m, 1)) if domain.is_circle else rng.normal(size=(m, d)) for _ in range(2)]
    return energy, *(Particles(domain, x, rng.dirichlet(np.ones(m))) for x in draws)


def mixture(pi, nu, s):
    """(1 - s) pi + s nu."""
    points = np.concatenate([pi.points, nu.points])
    return SignedParticles(pi.domain, points, np.concatenate([(1 - s) * pi.weights, s * nu.weights]))


def difference(f, h=1e-3):
    """f'(0) by the central difference of order 4."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


@EVERY
def test_potential_is_the_first_variation(name):
    """dF((1 - s) pi + s nu)/ds = int V[pi] d(nu - pi) at s = 0.

    F is a polynomial of degree 2 in s here, so the one-sided difference -3 F(0) + 4 F(1/2) - F(1) is its slope exactly.
    """
    energy, pi, nu = two_measures(name)
    slope = sum(c * energy.value(mixture(pi, nu, s)) for c, s in ((-3, 0.0), (4, 0.5), (-1, 1.0)))
    expected = nu.weights @ energy.potential(pi, nu.points) - pi.weights @ energy.potential(pi, pi.points)
    assert slope == pytest.approx(expected, abs=1e-12)


@EVERY
def test_potential_varies_with_the_measure(name):
    """F((1 - s) pi + s nu) is a polynomial of degree 2 in s: F(nu) - F(pi) = (1/2) int (V[pi] + V[nu]) d(nu - pi).

    Exact for quadratic F, so that a frozen V would show; TotalVariation is linear on positive measures.
    """
    energy, pi, nu = two_measures(name)
    v = [energy.potential(pi, x.points) + energy.potential(nu, x.points) for x in (pi, nu)]
    gain = 0.5 * (nu.weights @ v[1] - pi.weights @ v[0])
    assert energy.value(nu) - energy.value(pi) == pytest.approx(gain, abs=1e-12)


@EVERY
def test_velocity_is_minus_the_gradient_of_the_potential(name):
    """-dV[pi](w + h e)/dh at h = 0 for each axis, pi fixed, w away from the atoms."""
    energy, pi, nu = two_measures(name)
    w = nu.points
    for axis, e in enumerate(np.eye(w.shape[1])):
        expected = -difference(lambda h, e=e: energy.potential(pi, w + h * e))
        np.testing.assert_allclose(energy.velocity(pi, w)[:, axis], expected, rtol=0.0, atol=1e-8)


@EVERY
def test_curvature_is_the_gradient_of_minus_the_velocity(name):
    """Hessian of V[pi] at fixed pi by differences of the velocity."""
    energy, pi, nu = two_measures(name)
    w = nu.points
    for axis, e in enumerate(np.eye(w.shape[1])):
        expected = -difference(lambda h, e=e: energy.velocity(pi, w + h * e))
        np.testing.assert_allclose(energy.curvature(pi, w)[:, :, axis], expected, rtol=0.0, atol=1e-8)


def neglected(name):
    """sum_{n > 32} n^2 a_n, what the truncated coupling of a kinked kernel leaves out; 0 where it is exact."""
    if not name.startswith(("relu", "leaky")):
        return 0.0
    n = np.arange(200_000)
    return float(np.sum((n**2 * KERNELS[name].coefficients(len(n) - 1))[COUPLED_MODES + 1 :]))


def moved_jacobian(energy, pi):
    """d(-velocity of particle i)/d(position of particle j), all particles moved, by differences (one axis)."""

    def force(x):
        return -energy.velocity(pi.moved(x), x)[:, 0]

    columns = [difference(lambda h, e=e: force(pi.points + h * e[:, None])) for e in np.eye(len(pi.points))]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("name", [*KERNELS, "circle data"])
def test_coupling_is_the_response_to_moved_points(name):
    """d_j (grad V[pi](x_i)) = delta_ij V''(x_i) + p_j factor_i core factor_j: what Newton's method needs.

    Exact for smooth kernels and data; a kinked kernel's coupling keeps 32 modes, and the neglected sum bounds it.
    For the sawtooth -k'' = delta - 1/2 pi: its regular part is exact off the diagonal, and on it V'' holds the same.
    """
    energy, pi, _ = two_measures(name)
    factor, core = energy.coupling(pi, pi.points)
    local = np.diag(energy.curvature(pi, pi.points)[:, 0, 0])
    expected = moved_jacobian(energy, pi)
    bound = neglected(name) * pi.weights.max() * 2 + 1e-8
    np.testing.assert_allclose(local + (factor * core) @ factor.T * pi.weights, expected, rtol=0.0, atol=bound)


@EVERY
@pytest.mark.parametrize("s", [0.2, 0.5, 0.9])
def test_convex_along_mixtures(name, s):
    """F((1 - s) pi + s nu) <= (1 - s) F(pi) + s F(nu): what makes V a certificate."""
    energy, pi, nu = two_measures(name)
    assert energy.convex
    assert energy.value(mixture(pi, nu, s)) <= (1 - s) * energy.value(pi) + s * energy.value(nu) + 1e-14


@pytest.mark.parametrize("name", KERNELS)
def test_the_teacher_is_a_zero_of_the_risk(name):
    """F = 0 and V = 0 at pi = target, for the uniform teacher."""
    energy = ENERGIES[name]
    at_target = FourierDensity(np.array([1.0, 0.0]))
    assert energy.value(at_target) == pytest.approx(0.0, abs=1e-14)
    assert np.max(np.abs(energy.potential(at_target, np.linspace(0, 6, 20)[:, None]))) < 1e-14


@pytest.mark.parametrize("r", [0.3, 0.6])
@pytest.mark.parametrize("name", ["cos - sin", "relu", "sawtooth"])
def test_value_is_half_the_risk_of_the_modes(name, r):
    """F = (1/2) sum_{n>=1} a_n |c_n|^2 with c_n = r^n for the Poisson kernel against the uniform teacher."""
    a = KERNELS[name].coefficients(120)
    expected = 0.5 * np.sum(a[1:] * r ** (2 * np.arange(1, 121)))
    assert ENERGIES[name].value(poisson_law(r)) == pytest.approx(expected, rel=1e-12, abs=0.0)


def test_value_of_a_sum_is_the_sum_of_values():
    """F of terms together = F of each alone, entropy included."""
    terms = (Interaction(KERNELS["relu"]), Potential.linear(0.3), Constant(0.7), TotalVariation(0.2), Entropy(0.4))
    pi = FourierDensity.cosines({1: 0.5})
    together = Energy(*terms).value(pi)
    assert together == pytest.approx(sum(Energy(term).value(pi) for term in terms), rel=1e-14, abs=0.0)


@pytest.mark.parametrize("quantity", ["potential", "velocity", "curvature"])
def test_derivatives_of_a_sum_are_the_sums(quantity):
    """V, -grad V and the Hessian of terms together are the sums of each alone."""
    terms = (Interaction(KERNELS["relu"]), Potential.quadratic(0.3), Constant(0.7), TotalVariation(0.2))
    pi, w = FourierDensity.cosines({1: 0.5}), np.linspace(0, 6, 8)[:, None]
    parts = sum(getattr(Energy(term), quantity)(pi, w) for term in terms)
    np.testing.assert_allclose(getattr(Energy(*terms), quantity)(pi, w), parts, rtol=0.0, atol=1e-14)


def test_total_variation_of_a_signed_measure():
    """strength sum |weights|, here 0.5 (2 + 1)."""
    signed = SignedParticles(line(), np.zeros((2, 1)), np.array([2.0, -1.0]))
    assert Energy(TotalVariation(0.5)).value(signed) == pytest.approx(1.5, rel=1e-15, abs=0.0)


def test_prediction_is_the_mean_over_neurons():
    """f_pi(x) = (1/m) sum_j psi(x; w_j)."""
    neuron, data = RIDGE, labelled(gaussian_inputs(2, 3))
    w = np.random.default_rng(0).normal(size=(5, 4))
    pi = Particles(neuron.domain, w)
    expected = [np.mean([a * math.tanh(u * x[0] + v * x[1] + c) for a, u, v, c in w]) for x in data.inputs]
    np.testing.assert_allclose(Energy(Risk(neuron, data)).predict(pi), expected, rtol=1e-13)


def test_risk_is_half_the_mean_square():
    """F = R/2 with R = E (f_pi - y)^2: the convention of the house."""
    data = labelled(gaussian_inputs(2, 3))
    energy = Energy(Risk(RIDGE, data))
    pi = Particles(RIDGE.domain, np.random.default_rng(0).normal(size=(5, 4)))
    assert energy.value(pi) == pytest.approx(
        0.5 * data.weights @ (energy.predict(pi) - data.targets) ** 2, rel=1e-14, abs=0.0
    )


# Entropy int rho log rho, exact values


def test_entropy_of_gaussian_cells():
    """-log(s sqrt(2 pi e)); averaging over cells of width h lowers it by h^2 I/24, I = 1/s^2 the Fisher information."""
    s, grid = 0.7, Grid(interval(-8.0, 8.0), (400,))
    h = float(grid.widths[0])
    value = Density(grid, Gaussian(0.1, s).averages(grid)).internal()
    expected = -math.log(s * math.sqrt(TURN * math.e)) - h * h / (24 * s * s)
    assert value == pytest.approx(expected, abs=2 * h**4)


@pytest.mark.parametrize("m", [100, 1000])
def test_entropy_of_gaussian_quantiles(m):
    """-log(s sqrt(2 pi e)) within log(m)/m: each of the two tail cells, of mass 1/m, errs by at most some log m."""
    s = 0.7
    inner = Gaussian(0.1, s).quantile(np.arange(1, m) / m)
    edges = np.concatenate([[2 * inner[0] - inner[1]], inner, [2 * inner[-1] - inner[-2]]])
    expected = -math.log(s * math.sqrt(TURN * math.e))
    assert abs(Quantiles(line(), edges).internal() - expected) < math.log(m) / m


@pytest.mark.parametrize("r", [0.2, 0.6, 0.8])
def test_entropy_of_the_poisson_kernel(r):
    """-log(2 pi (1 - r^2)): log|1 - r e^{it}|^2 is harmonic, so its mean against the kernel is 2 log(1 - r^2)."""
    assert poisson_law(r).internal() == pytest.approx(-math.log(TURN * (1 - r * r)), abs=1e-13)


@pytest.mark.parametrize("length", [1.0, TURN])
def test_entropy_of_the_uniform_law(length):
    """-log(length) for cells and for quantiles alike."""
    domain = interval(0.0, length)
    cells = Density(Grid(domain, (10,)), np.full(10, 1 / length))
    for pi in (cells, Quantiles(domain, np.linspace(0, length, 8))):
        assert pi.internal() == pytest.approx(-math.log(length), abs=1e-14)


def test_entropy_of_cells_and_of_their_quantiles():
    """Cells 1/3, 5/3 on [0, 1]: (1/6) log(1/3) + (5/6) log(5/3), held by both kinds."""
    expected = math.log(1 / 3) / 6 + 5 * math.log(5 / 3) / 6
    cells = Density(Grid(interval(0, 1), (2,)), [1 / 3, 5 / 3])
    edges = Quantiles(interval(0, 1), [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert [cells.internal(), edges.internal()] == pytest.approx([expected, expected], rel=1e-12, abs=0.0)


def test_an_empty_cell_has_no_entropy():
    """0 log 0 = 0: one of two cells of [0, 1] full gives log 2."""
    assert Density(Grid(interval(0, 1), (2,)), [2.0, 0.0]).internal() == pytest.approx(
        math.log(2.0), rel=1e-14, abs=0.0
    )


@pytest.mark.parametrize("temperature", [0.1, 2.0])
def test_entropy_enters_by_its_temperature(temperature):
    """F = T int rho log rho, and the explicit part is zero."""
    energy, pi = Energy(Entropy(temperature)), poisson_law(0.5)
    assert energy.value(pi) == pytest.approx(-temperature * math.log(TURN * 0.75), rel=1e-12, abs=0.0)


def test_quantiles_have_the_mean_of_their_law_exactly():
    """Trapezoidal weights at the edges: int x dpi of the piecewise uniform density, for any edges."""
    edges = np.array([0.0, 0.1, 0.7, 3.0])
    pi = Quantiles(line(), edges)
    assert pi.weights @ pi.points[:, 0] == pytest.approx(np.mean(0.5 * (edges[1:] + edges[:-1])), rel=1e-15, abs=0.0)
