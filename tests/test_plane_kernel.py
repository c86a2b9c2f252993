"""The kernel of a relu(b . x) in the plane: closed values, derivatives, homogeneity; and its teacher problem."""

import numpy as np
import pytest

from solvers.particles import GradientFlow, Sampled
from wflow import Density, Gaussian, Grid, Particles, Refused, box, problems, solve, space
from wflow.activation import activation
from wflow.data import gaussian_plane_inputs
from wflow.neuron import RidgeNeuron
from wflow.plane_kernel import ReluPlaneKernel

KERNEL = ReluPlaneKernel()
CLOUD = Particles(space(3), np.random.default_rng(0).normal(size=(30, 3)))
AT = np.random.default_rng(1).normal(size=(7, 3))


def test_values_are_arc_cosine_kernels():
    """k = a a' |b||b'| (sin phi + (pi - phi) cos phi)/(2 pi), phi the angle between b and b' (Cho & Saul 2009)."""
    a, b = AT[:, 0], AT[:, 1:]
    first = Particles(space(3), AT[:1])
    norms = np.linalg.norm(b, axis=1) * np.linalg.norm(b[0])
    phi = np.arccos(np.clip(b @ b[0] / norms, -1.0, 1.0))
    expected = a * a[0] * norms * (np.sin(phi) + (np.pi - phi) * np.cos(phi)) / (2 * np.pi)
    np.testing.assert_allclose(KERNEL.against(first, AT, 0), expected, atol=1e-14)


def test_values_are_expectations_over_inputs():
    """E psi psi' over N(0, I_2) by 40 radii and 4000 angles: the kinks cost O(1/n^2), 1e-6."""
    neuron, x = RidgeNeuron(activation("relu"), inputs=2, outer=True), gaussian_plane_inputs(3, 4000)
    psi = neuron.value(x.inputs, AT)
    gram = psi.T @ (x.weights[:, None] * psi)
    found = [KERNEL.against(Particles(space(3), AT[j : j + 1]), AT, 0) for j in range(len(AT))]
    np.testing.assert_allclose(found, gram, atol=1e-5)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_are_those_of_differences(order):
    """Central differences of step 1e-5 in each coordinate: 1e-9."""
    step, unit = 1e-5, np.eye(3)
    columns = [
        (KERNEL.against(CLOUD, AT + step * e, order - 1) - KERNEL.against(CLOUD, AT - step * e, order - 1)) / (2 * step)
        for e in unit
    ]
    np.testing.assert_allclose(KERNEL.against(CLOUD, AT, order), np.stack(columns, axis=-1), atol=1e-9)


@pytest.mark.parametrize(("order", "degree"), [(0, 2), (1, 1), (2, 0)])
def test_the_potential_is_homogeneous(order, degree):
    """V(c w) = c^2 V(w), and its derivatives of degree 1 and 0: to rounding."""
    scaled = KERNEL.against(CLOUD, 3.0 * AT, order)
    np.testing.assert_allclose(scaled, 3.0**degree * KERNEL.against(CLOUD, AT, order), rtol=1e-12)


def test_the_coupling_is_the_mixed_derivative():
    """d_w d_w' k of two neurons at a right angle, by differences; the series stops at mode 32: 2e-3."""
    w = np.array([[0.7, 1.0, 0.0], [-0.4, 0.0, 1.5]])
    factor, core = KERNEL.coupling(w)
    mixed = (factor * core) @ factor.T
    step = 1e-5
    for i, e in enumerate(np.eye(3)):
        ends = [KERNEL.against(Particles(space(3), w[1:] + s * step * e), w[:1], 1)[0] for s in (1, -1)]
        np.testing.assert_allclose(mixed[:3, 3 + i], (ends[0] - ends[1]) / (2 * step), atol=2e-3)


def test_neurons_at_the_origin_stay():
    """b = 0 has no direction: no force on b, and a feels nothing."""
    np.testing.assert_array_equal(KERNEL.against(CLOUD, np.array([[1.0, 0.0, 0.0]]), 1), np.zeros((1, 3)))


def test_densities_are_refused():
    """The kernel has no quadrature of its own."""
    grid = Grid(box([-1] * 3, [1] * 3), (2, 2, 2))
    with pytest.raises(Refused, match="takes atoms"):
        KERNEL.double(Density(grid, np.full(8, 1 / 8)))
    with pytest.raises(Refused, match="sample the law"):
        KERNEL.double(Gaussian(dim=3))


@pytest.mark.slow
def test_students_find_three_teachers():
    """F falls below 3e-3 by t = 20 at m = 100, and the energy identity holds to 5e-5 (k'' has a kink)."""
    flow = problems.relu_teacher_plane(horizon=20.0).flow
    run = solve(flow, GradientFlow(100, Sampled(0)), steps=200, times=[20.0])
    assert run.energies[0] > 0.3 and run.energies[-1] < 3e-3
    assert run.energies[0] - run.energies[-1] == pytest.approx(run.dissipated[-1], rel=5e-5)


def test_the_teachers_are_a_minimum_of_value_zero():
    """(1/k) sum delta_{(k c_l, u_l)} has F = 0 and no force on it."""
    problem = problems.relu_teacher_plane()
    pi = Particles(space(3), problem.minimiser.points, problem.minimiser.weights)
    assert problem.flow.energy.value(pi) == pytest.approx(0.0, abs=1e-13)
    np.testing.assert_allclose(problem.flow.energy.velocity(pi, pi.points), 0.0, atol=1e-12)
