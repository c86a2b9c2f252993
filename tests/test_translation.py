"""Neurons that are translates of a filter: derivatives, the closed kernel of deconvolution, and spikes found again."""

import math

import numpy as np
import pytest

from solvers.finite_volume import Muscl
from solvers.jko import Quantile
from solvers.particles import GradientFlow
from wflow import (
    Atoms,
    Box,
    Data,
    Density,
    Energy,
    Flow,
    FourierDensity,
    FourierKernel,
    Particles,
    Risk,
    TranslationNeuron,
    Uniform,
    activation,
    circle,
    cylinder,
    population_risk,
    solve,
    torus,
)
from wflow.features import Features
from wflow.grid import Grid

TURN = 2.0 * math.pi
FILTER = activation("dirichlet", 3)
NEURONS = {
    "circle": TranslationNeuron(FILTER),
    "torus": TranslationNeuron(FILTER, 2),
    "cylinder": TranslationNeuron(FILTER, outer=True),
    "line times torus": TranslationNeuron(activation("dirichlet", 2), 2, outer=True),
    "cos - sin": TranslationNeuron(activation("cos_minus_sin", 2.0), 2),
}
EVERY = pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)


def nodes(n, axes=1):
    """Data at the n^axes nodes of a uniform grid of angles, weighted equally: targets 0."""
    theta = TURN * np.arange(n) / n
    inputs = np.stack([g.ravel() for g in np.meshgrid(*[theta] * axes, indexing="ij")], axis=1)
    return Data(inputs, np.zeros(len(inputs)))


def sample_of(neuron):
    """Angles x (5, q) and parameters w (4, d)."""
    rng = np.random.default_rng(6)
    return rng.uniform(0, TURN, (5, neuron.inputs)), rng.normal(size=(4, neuron.domain.dim))


def difference(f, h=3e-4):
    """f'(0) by the central difference of order 4: 1e-10 here."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


@pytest.mark.parametrize("degree", [1, 2, 7])
def test_dirichlet_kernel(degree):
    """D(z) = sin((n + 1/2) z)/sin(z/2), D(0) = 2n + 1, mean 1 over a turn, even, of period 2 pi."""
    sigma, z = activation("dirichlet", degree), np.linspace(0.1, 6.0, 50)
    np.testing.assert_allclose(sigma.value(z), np.sin((degree + 0.5) * z) / np.sin(z / 2), rtol=0, atol=1e-12)
    assert sigma.value(np.zeros(1))[0] == 2 * degree + 1
    assert sigma.value(TURN * np.arange(64) / 64).mean() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(sigma.value(-z), sigma.value(z + TURN), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("b", "kind", "words"), [(0, ValueError, "b > 0"), (2.5, TypeError, "2.5 is not an int")])
def test_the_degree_is_a_whole_number(b, kind, words):
    """1, 2, 3, ...: anything else is named and refused."""
    with pytest.raises(kind, match=words):
        activation("dirichlet", b)


def test_domains():
    """Angles alone: circle and torus; with an outer weight a line in front: the cylinder."""
    assert TranslationNeuron(FILTER).domain == circle()
    assert TranslationNeuron(FILTER, 2).domain == torus(2)
    assert TranslationNeuron(FILTER, outer=True).domain == cylinder()
    box = TranslationNeuron(FILTER, 2, outer=True).domain
    assert box == Box((-math.inf, 0.0, 0.0), (math.inf, TURN, TURN), (False, True, True))


@EVERY
def test_every_parameter_has_a_name(neuron):
    """As many as there are; an energy passes them on."""
    energy = Energy(Risk(neuron, nodes(4, neuron.inputs)))
    assert energy.names(neuron.domain.dim) == neuron.names
    assert len(set(neuron.names)) == neuron.domain.dim


@EVERY
def test_value_is_its_formula(neuron):
    """a prod_k sigma(x_k - t_k), term by term."""
    x, w = sample_of(neuron)
    first = int(neuron.outer)
    for i, j in np.ndindex(len(x), len(w)):
        a = w[j, 0] if neuron.outer else 1.0
        shifts = np.array([x[i, k] - w[j, first + k] for k in range(neuron.inputs)])
        expected = a * np.prod(neuron.activation.value(shifts))
        assert neuron.value(x, w)[i, j] == pytest.approx(expected, rel=1e-13)


@EVERY
def test_gradient_and_curvature_are_differences(neuron):
    """grad_w psi (n, m, d) and its derivative (n, m, d, d) along each parameter."""
    x, w = sample_of(neuron)
    for axis, e in enumerate(np.eye(w.shape[1])):
        slope = difference(lambda h, e=e: neuron.value(x, w + h * e))
        bend = difference(lambda h, e=e: neuron.gradient(x, w + h * e))
        np.testing.assert_allclose(neuron.gradient(x, w)[..., axis], slope, rtol=0.0, atol=1e-7)
        np.testing.assert_allclose(neuron.curvature(x, w)[..., axis], bend, rtol=0.0, atol=1e-7)


def test_a_filter_without_the_period_is_refused():
    """tanh(x - w) is no function on the circle."""
    with pytest.raises(ValueError, match=r"tanh changes by .* over 2 pi.*give one of period 2 pi"):
        TranslationNeuron(activation("tanh"))


# Deconvolution: (1/2) int (D * (pi - nu))^2 dx/2 pi = (1/2) int int D(t - t') d(pi - nu)^2, for D * D = D


SPIKES = np.array([[math.pi], [math.pi + 1.7], [math.pi - 1.2]])
MASSES = np.array([0.5, 0.2, 0.3])
MODES = np.array([1.0, 2.0, 2.0, 2.0])


def deconvolution(n=16):
    """Spikes seen through D_3 at n > 2 * 3 nodes, which integrate products of D exactly; and the closed kernel's F."""
    neuron, truth = TranslationNeuron(FILTER), Atoms(circle(), SPIKES, MASSES)
    seen = nodes(n).with_targets(lambda x: neuron.value(x, SPIKES) @ MASSES)
    return Energy(Risk(neuron, seen)), Energy(*population_risk(FourierKernel(MODES), truth))


def measures():
    """Particles, cells and a Fourier density on the circle."""
    rng = np.random.default_rng(2)
    grid = Grid(circle(), (24,))
    yield Particles(circle(), rng.uniform(0, TURN, (7, 1)), rng.dirichlet(np.ones(7)))
    yield Density(grid, FourierDensity.cosines({1: 0.5, 2: 0.2}).averages(grid))
    yield FourierDensity.cosines({1: 0.5, 3: 0.2})


@pytest.mark.parametrize("pi", list(measures()), ids=["particles", "cells", "modes"])
@pytest.mark.parametrize("n", [7, 16])
def test_deconvolution_has_a_closed_kernel(pi, n):
    """F, V and -V' of the data risk at n >= 2 * 3 + 1 nodes equal those of k = D, to rounding, for any measure.

    Cells and modes enter both by the same quadrature of points where n frequencies are resolved.
    """
    data, closed = deconvolution(n)
    w = np.linspace(0, 6, 11)[:, None]
    pi = Particles(circle(), pi.points, pi.weights)
    assert data.value(pi) == pytest.approx(closed.value(pi), abs=1e-12)
    np.testing.assert_allclose(data.potential(pi, w), closed.potential(pi, w), rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(data.velocity(pi, w), closed.velocity(pi, w), rtol=0.0, atol=1e-11)
    np.testing.assert_allclose(data.curvature(pi, w), closed.curvature(pi, w), rtol=0.0, atol=1e-11)


def test_six_nodes_are_too_few():
    """Products of D_3 have frequency 6: on six nodes it is seen as a constant, and F differs."""
    data, closed = deconvolution(6)
    pi = next(measures())
    assert abs(data.value(pi) - closed.value(pi)) > 1e-2


def test_the_plane_has_the_product_kernel():
    """On the torus F = (1/2) int int D(s - s') D(t - t') d(pi - nu)^2, by 9 x 9 nodes for D_4."""
    sigma = activation("dirichlet", 4)
    neuron = TranslationNeuron(sigma, 2)
    rng = np.random.default_rng(1)
    points, signs = rng.uniform(0, TURN, (6, 2)), np.array([0.3, 0.4, 0.3, -0.5, -0.2, -0.3])
    seen = nodes(9, 2).with_targets(lambda x: -neuron.value(x, points[3:]) @ signs[3:])
    pi = Particles(torus(2), points[:3], signs[:3])
    gram = np.prod([sigma.value(points[:, None, k] - points[None, :, k]) for k in range(2)], axis=0)
    assert Energy(Risk(neuron, seen)).value(pi) == pytest.approx(0.5 * signs @ gram @ signs, rel=1e-12)


def test_the_uniform_law_is_seen_as_a_constant():
    """D has mean one: f = 1 for the uniform law, by any number of cells above the degree."""
    neuron, grid = TranslationNeuron(FILTER), Grid(circle(), (12,))
    pi = Density(grid, Uniform(circle()).averages(grid))
    np.testing.assert_allclose(Energy(Risk(neuron, nodes(9))).predict(pi), 1.0, rtol=0.0, atol=1e-13)


def test_cells_of_the_cylinder_in_tensor_form():
    """f_pi and V on a grid of (a, theta) by the table of sigma alone are those of the neuron at every cell."""
    neuron, data = TranslationNeuron(FILTER, outer=True), nodes(8)
    grid = Grid(Box((-2.0, 0.0), (3.0, TURN), (False, True)), (6, 10))
    features, rng = Features.on(neuron, data.inputs, grid), np.random.default_rng(0)
    whole, weights, slope = neuron.value(data.inputs, grid.centres), rng.random(grid.size), rng.normal(size=8)
    assert features.table.shape == (8, 10)
    np.testing.assert_allclose(features.predict(weights), whole @ weights, rtol=1e-12)
    np.testing.assert_allclose(features.against(slope), slope @ whole, rtol=0.0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [GradientFlow(60), Muscl(96), Quantile(60)], ids=str)
def test_deconvolution_finds_the_spikes(solver):
    """From the uniform law F falls a hundredfold by t = 6, and data and closed kernel end alike, by three methods.

    Both energies are one function, so the runs differ by rounding and, in Newton's method, by its tolerance 1e-9.
    """
    flows = [Flow(energy, circle(), Uniform(circle()), 6.0) for energy in deconvolution()]
    dt = None if isinstance(solver, Muscl) else 0.05
    runs = [solve(flow, solver, dt=dt) for flow in flows]
    assert runs[0].energies[-1] < 1e-2 * runs[0].energies[0]
    assert runs[0].energies[-1] == pytest.approx(runs[1].energies[-1], rel=1e-6)
