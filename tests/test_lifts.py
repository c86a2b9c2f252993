"""Neurons and their charges: one network, one penalty, one flow."""

import math

import numpy as np
import pytest

from solvers.conic import ConicHeun
from solvers.particles import GradientFlow
from wflow import (
    Atoms,
    Charged,
    CircleNeuron,
    Density,
    Energy,
    Flow,
    Grid,
    Particles,
    Refused,
    RidgeNeuron,
    SignedParticles,
    TotalVariation,
    TranslationNeuron,
    activation,
    box,
    circle,
    cylinder,
    line,
    population_risk,
    problems,
    solve,
    space,
    sphere,
)
from wflow.kernel import relu_kernel
from wflow.lifts import balanced, directions, places, with_outer

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("d", [2, 3])
def test_a_network_is_that_of_its_charges(d):
    """int a relu(b . x) dpi at random x, from pi and from its charges; int |w|^2/2 dpi is their variation at least."""
    pi = Particles(space(d + 1), RNG.standard_normal((30, d + 1)), RNG.dirichlet(np.ones(30)))
    nu, x = directions(pi), RNG.standard_normal((20, d))
    f = RidgeNeuron(activation("relu"), d, outer=True).value(x, pi.points) @ pi.weights
    unit = nu.points if d == 3 else np.column_stack([np.cos(nu.points[:, 0]), np.sin(nu.points[:, 0])])
    assert np.maximum(x @ unit.T, 0.0) @ nu.weights == pytest.approx(f, abs=1e-13)
    if d == 2:
        assert CircleNeuron(activation("relu")).value(x, nu.points) @ nu.weights == pytest.approx(f, abs=1e-13)
    assert 0.5 * pi.weights @ np.sum(pi.points**2, axis=1) > nu.total_variation


@pytest.mark.parametrize("home", [circle(), sphere()])
def test_balanced_neurons_cost_what_their_charges_weigh(home):
    """directions(balanced(nu)) = nu, |a| = |b|, and int |w|^2/2 dpi = |nu|: the least there is."""
    points = RNG.uniform(0.0, 6.0, (9, 1)) if home.is_circle else RNG.standard_normal((9, 3))
    nu = SignedParticles(home, points if home.is_circle else points / np.linalg.norm(points, axis=1)[:, None],
                         RNG.standard_normal(9))  # fmt: skip
    pi, back = balanced(nu), directions(balanced(nu))
    assert back.points == pytest.approx(nu.points, abs=1e-13)
    assert back.weights == pytest.approx(nu.weights, abs=1e-13)
    assert np.abs(pi.points[:, 0]) == pytest.approx(np.linalg.norm(pi.points[:, 1:], axis=1))
    assert 0.5 * pi.weights @ np.sum(pi.points**2, axis=1) == pytest.approx(nu.total_variation, rel=1e-13)


@pytest.mark.slow
def test_the_flow_of_neurons_is_the_conic_flow_of_their_charges():
    """Balanced relu neurons with weight decay `lam` in W2, and their charges under lam |nu|, alpha = 1/2, beta = 1.

    The same J and the same charges at the end; both steps' errors fall, at order 2 of the coarser method.
    """
    teacher = problems.relu_teacher_plane(((1.0, 0.3), (-0.7, 2.2)), ridge=0.05, horizon=2.0).flow
    at = 2.0 * math.pi * (np.arange(12) + 0.5) / 12
    start = SignedParticles(circle(), at[:, None], 0.02 * (-1.0) ** np.arange(12))
    pi = balanced(start)
    neurons = Flow(teacher.energy, teacher.domain, Atoms(teacher.domain, pi.points, pi.weights), 2.0)
    by_neurons = solve(neurons, GradientFlow(12), steps=200)
    end, lam = directions(by_neurons.final), 0.05
    truth = directions(problems.relu_teacher_plane(((1.0, 0.3), (-0.7, 2.2))).minimiser)
    energy = Energy(*population_risk(relu_kernel(0.0, "gaussian"), truth), TotalVariation(lam))
    sheets = [Atoms(circle(), start.points[start.weights * s > 0.0]) for s in (1.0, -1.0)]
    flow = Flow(energy, circle(), Charged(*sheets, (0.12, 0.12)), 2.0)
    off = []
    for steps in (200, 400):
        run = solve(flow, ConicHeun(12, alpha=0.5), steps=steps)
        assert run.energies[0] == pytest.approx(by_neurons.energies[0], abs=1e-14)
        order = np.argsort(run.final.points[:, 0])
        mine = np.argsort(end.points[:, 0])
        off.append(
            max(
                np.max(np.abs(run.final.points[order] - end.points[mine])),
                np.max(np.abs(run.final.weights[order] - end.weights[mine])),
                abs(run.energies[-1] - by_neurons.energies[-1]),
            )
        )
    assert off[0] <= 1e-4
    assert math.log2(off[0] / off[1]) >= 1.8


def test_places_of_partially_homogeneous_neurons():
    """a D(x - theta): the network of the charges, there and back; a density on the cylinder by its cells."""
    neuron, x = TranslationNeuron(activation("dirichlet", 2), outer=True), np.linspace(0.0, 6.0, 7)[:, None]
    nu = SignedParticles(circle(), RNG.uniform(0.0, 6.0, (5, 1)), RNG.standard_normal(5))
    pi = with_outer(nu)
    assert pi.domain == cylinder()
    f = TranslationNeuron(activation("dirichlet", 2)).value(x, nu.points) @ nu.weights
    assert neuron.value(x, pi.points) @ pi.weights == pytest.approx(f, abs=1e-13)
    back = places(pi)
    assert back.points == pytest.approx(nu.points)
    assert back.weights == pytest.approx(nu.weights)
    grid = Grid(box((-1.0, 0.0), (2.0, 1.0)), (6, 4))
    with pytest.raises(Refused, match="infinite first axis"):
        places(Density(grid, np.full(24, 1.0 / 3.0)))


def test_refusals_of_lifts():
    """Neurons of one or of four inputs, no charge at all, charges that are no directions."""
    with pytest.raises(Refused, match=r"R\^3 or R\^4"):
        directions(Particles(space(2), np.ones((3, 2))))
    with pytest.raises(Refused, match="no charge"):
        directions(Particles(space(3), np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])))
    with pytest.raises(Refused, match="no directions"):
        balanced(SignedParticles(line(), np.zeros((1, 1)), np.ones(1)))
    with pytest.raises(Refused, match="no product"):
        with_outer(SignedParticles(sphere(), np.array([[0.0, 0.0, 1.0]]), np.ones(1)))
