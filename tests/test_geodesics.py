"""Paths between measures and how F bends along them: exact along mixtures, by theory along geodesics."""

import math

import numpy as np
import pytest

from wflow import (
    Atoms,
    CircleNeuron,
    Data,
    Energy,
    Gaussian,
    Particles,
    RidgeNeuron,
    Risk,
    Uniform,
    activation,
    circle,
    circle_kernel,
    line,
    population_risk,
    w2,
)
from wflow.activation import ONE_PARAMETER, PARAMETERLESS
from wflow.data import gaussian_plane_inputs, uniform_inputs
from wflow.geodesics import (
    FOUND,
    ROUNDING,
    Mixture,
    bend,
    convexity,
    geodesic,
    mixtures,
    most_bent,
    profile,
    reason_for_convexity,
)

NAMES = sorted([*PARAMETERLESS, *ONE_PARAMETER])
INPUTS = uniform_inputs([-2.0], [2.0], 16)
SINE = INPUTS.with_targets(lambda x: np.sin(2 * x[:, 0]) + 0.5)
BELOW = INPUTS.with_targets(lambda x: -np.ones(len(x)))


def risk(name: str, data: Data = SINE, *, outer: bool = False) -> Energy:
    return Energy(Risk(RidgeNeuron(activation(name), bias=True, outer=outer), data))


def around(outer: bool = False) -> Gaussian:
    return Gaussian(0.0, 1.5, dim=2 + outer)


def cloud(m: int, seed: int, dim: int = 2) -> Particles:
    rng = np.random.default_rng(seed)
    return Particles(Gaussian(dim=dim).domain, rng.normal(size=(m, dim)), rng.dirichlet(np.ones(m)))


# Paths


@pytest.mark.parametrize(("m", "n", "dim"), [(1, 1, 1), (5, 7, 1), (6, 6, 2), (4, 9, 3)])
def test_a_geodesic_has_constant_speed(m: int, n: int, dim: int) -> None:
    """W2(pi_s, pi_t) = |t - s| W2(a, b), which says that the path is a geodesic: to 1e-7 (the root of rounding)."""
    a, b = cloud(m, 1, dim), cloud(n, 2, dim)
    path = geodesic(a, b)
    assert path.length == pytest.approx(w2(a, b), rel=1e-9)
    for s, t in ((0.0, 1.0), (0.0, 0.3), (0.3, 0.8)):
        assert w2(path.at(s), path.at(t)) == pytest.approx((t - s) * path.length, abs=1e-7)
    assert w2(path.at(0.0), a) < 1e-7 and w2(path.at(1.0), b) < 1e-7


def test_angles_go_the_short_way() -> None:
    """From 0.1 to 2 pi - 0.2 by a turn of -0.3 through 0."""
    path = geodesic(Particles(circle(), np.array([[0.1]])), Atoms(circle(), np.array([[2 * math.pi - 0.2]])))
    assert path.length == pytest.approx(0.3) and path.shift[0, 0] == pytest.approx(-0.3)


def test_paths_of_two_domains_are_refused() -> None:
    with pytest.raises(ValueError, match="give one domain"):
        geodesic(cloud(2, 0, 1), cloud(2, 0, 2))


def test_a_mixture_exchanges_mass() -> None:
    """int phi d pi_s is linear in s."""
    path = Mixture(cloud(3, 0), cloud(4, 1))
    means = [float(pi.weights @ np.sin(pi.points[:, 0])) for pi in map(path.at, (0.0, 0.25, 1.0))]
    assert means[1] == pytest.approx(0.75 * means[0] + 0.25 * means[2], rel=1e-13)


# Convexity along mixtures


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_along_a_mixture_f_is_a_quadratic_function(name: str, outer: bool) -> None:
    """F(pi_s) has the second difference h^2 E (f_b - f_a)^2 everywhere, to 1e-13 of F: half square, any activation."""
    energy, path = risk(name, outer=outer), next(mixtures(around(outer), 1, 3))
    values = profile(energy, path, 8)
    apart = energy.predict(path.second) - energy.predict(path.first)
    expected = float(SINE.weights @ apart**2) / 64
    np.testing.assert_allclose(np.diff(values, 2), expected, atol=1e-13 * max(1.0, values.max()))


@pytest.mark.parametrize("name", NAMES)
def test_no_mixture_of_a_hundred_bends_down(name: str) -> None:
    """On R^2 and on the circle (closed kernel, teacher uniform)."""
    closed = Energy(*population_risk(circle_kernel(activation(name), "gaussian"), Uniform(circle())))
    for energy, law in ((risk(name), around()), (closed, Uniform(circle()))):
        assert min(bend(energy, path, 4) for path in mixtures(law, 100, 0)) >= -ROUNDING


def test_a_concave_energy_is_found_out() -> None:
    """-F bends down along mixtures: the bound -1e-12 can fail."""

    class Negative(Energy):
        def value(self, pi):  # type: ignore[no-untyped-def]
            return -super().value(pi)

    energy = Negative(*risk("tanh").terms)
    assert min(bend(energy, path) for path in mixtures(around(), 10, 0)) < -1e-5


# Convexity along geodesics


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_geodesic_bends_down_wherever_one_may(name: str) -> None:
    """Found for sigma (but linear), for a sigma, and on the circle, where no V but a constant one is convex."""
    closed = Energy(*population_risk(circle_kernel(activation(name), "gaussian"), Uniform(circle())))
    assert reason_for_convexity(closed) is None
    assert most_bent(closed, Uniform(circle()), seed=0)[1] < -FOUND
    assert most_bent(risk(name, outer=True), around(True), seed=0)[1] < -FOUND
    found = most_bent(risk(name), around(), seed=0)[1]
    assert found >= -ROUNDING if name == "linear" else found < -FOUND
    assert (reason_for_convexity(risk(name)) is not None) == (name == "linear")


@pytest.mark.parametrize("name", ["linear", "quadratic", "relu", "relu_squared", "softplus"])
def test_below_its_range_a_convex_activation_is_convex_along_geodesics(name: str) -> None:
    """y = -1: sigma >= 0 convex makes f convex and (f + 1)^2 increasing in f; none of 300 geodesics bends down."""
    energy = risk(name, BELOW)
    assert reason_for_convexity(energy) is not None
    assert most_bent(energy, around(), seed=4, trials=300)[1] >= -ROUNDING


@pytest.mark.parametrize(("level", "convex"), [(-0.3, True), (0.3, False)])
def test_the_criterion_of_quadratic_neurons_is_sharp(level: float, convex: bool) -> None:
    """sigma = z^2 without bias, y = level: convex iff E y x x^T <= 0, and a geodesic from delta_0 shows it if not."""
    energy = Energy(Risk(RidgeNeuron(activation("quadratic")), INPUTS.with_targets(lambda x: np.full(len(x), level))))
    assert (reason_for_convexity(energy) is not None) == convex
    ends = (Particles(line(), np.array([[x]])) for x in (-0.1, 0.1))
    assert (bend(energy, geodesic(*ends)) >= -ROUNDING) == convex


def test_the_second_difference_is_the_derived_second_derivative() -> None:
    """F'' = E (df/ds)^2 + int v . Hess V v dgamma at s = 1/2, against differences of step 1e-3: relative 1e-5."""
    energy, path = risk("tanh"), geodesic(cloud(4, 5), cloud(4, 6))
    pi, h = path.at(0.5), 1e-3
    term = energy.terms[0]
    slope = np.einsum("nmd,md,m->n", term.neuron.gradient(SINE.inputs, pi.points), path.shift, path.weights)
    hessian = energy.curvature(pi, pi.points)
    bending = float(path.weights @ np.einsum("md,mde,me->m", path.shift, hessian, path.shift))
    values = [energy.value(path.at(s)) for s in (0.5 - h, 0.5, 0.5 + h)]
    found = (values[0] - 2 * values[1] + values[2]) / h**2
    assert found == pytest.approx(float(SINE.weights @ slope**2) + bending, rel=1e-5)


def test_the_rows_of_a_study_hold_and_can_fail() -> None:
    """Two rows an energy; one that asks a bent geodesic of linear neurons would fail."""
    for name in ("tanh", "linear"):
        rows = list(convexity(risk(name), around(), seed=0, pairs=20, trials=30))
        assert len(rows) == 2 and all(row.holds for row in rows)
    assert rows[1].measured > -FOUND


def test_a_circle_risk_by_quadrature_bends_as_the_closed_one() -> None:
    """The same geodesic by E over x and by the kernel: F'' h^2 equal to 1e-6 (modes of tanh beyond the rule)."""
    sigma = activation("tanh")
    teacher = Atoms(circle(), np.array([[1.0], [2.5]]))
    closed = Energy(*population_risk(circle_kernel(sigma, "gaussian"), teacher))
    data = gaussian_plane_inputs(40, 64)
    psi = CircleNeuron(sigma).value(data.inputs, teacher.points) @ teacher.weights
    sampled = Energy(Risk(CircleNeuron(sigma), Data(data.inputs, psi, data.weights)))
    path, least = most_bent(closed, Uniform(circle()), seed=2, trials=20)
    assert bend(sampled, path, 8) == pytest.approx(least, abs=1e-6)


def test_the_reason_is_asked_of_one_half_square_risk_alone() -> None:
    """Other losses, further terms and kernels: nothing is known, None."""
    pair = Energy(*risk("linear").terms, *risk("linear").terms)
    assert reason_for_convexity(pair) is None
    assert reason_for_convexity(risk("linear", outer=True)) is None
