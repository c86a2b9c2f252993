"""Two-homogeneous networks: a bracket with a ridge, conditional bounds without, and the distance to the span."""

import math

import numpy as np
import pytest

from wflow import (
    Atoms,
    Data,
    Energy,
    Gaussian,
    Particles,
    Refused,
    RidgeNeuron,
    Risk,
    activation,
    circle,
    population_risk,
    problems,
)
from wflow.duality import (
    bracket,
    charge_bracket,
    independent,
    ridge_bracket,
    span_distance,
)
from wflow.duality.homogeneous import on_circle, on_directions
from wflow.duality.observed import OfData
from wflow.energy import Constant
from wflow.forceless import TotalVariation
from wflow.kernel import relu_kernel


def spread(m: int, seed: int) -> Particles:
    """m neurons (a, b_1, b_2)."""
    return Particles(Gaussian(dim=3).domain, np.random.default_rng(seed).standard_normal((m, 3)))


def in_the_plane(n: int, seed: int, bias: bool = False) -> Energy:
    """relu neurons on n random rows."""
    rng = np.random.default_rng([seed, n])
    x = rng.standard_normal((n, 1 if bias else 2))
    return Energy(
        Risk(RidgeNeuron(activation("relu"), x.shape[1], bias=bias, outer=True), Data(x, rng.standard_normal(n)))
    )


@pytest.mark.parametrize("bias", [False, True])
def test_a_network_is_a_signed_measure_of_directions(bias: bool) -> None:
    """F of a network is that of nu = a |b| delta on the circle, with the columns (x, 1) where there is a bias."""
    energy, pi = in_the_plane(20, 0, bias), spread(15, 1)
    assert energy.risk is not None
    nu = on_circle(pi)
    units = np.column_stack([nu.weights, np.cos(nu.points), np.sin(nu.points)])
    rewritten = Particles(pi.domain, np.column_stack([15.0 * nu.weights, units[:, 1:]]))
    assert energy.value(rewritten) == pytest.approx(energy.value(pi), rel=1e-12)


def test_conditional_bounds_are_below_all_networks_of_that_charge() -> None:
    """40 networks of charge at most B: no value is below a bound of another, for data with and without bias."""
    for bias in (False, True):
        energy, charge = in_the_plane(12, 3, bias), 2.0
        values, lowers = [], []
        for seed in range(20):
            pi = spread(8, seed)
            own = float(pi.weights @ (np.abs(pi.points[:, 0]) * np.linalg.norm(pi.points[:, 1:], axis=1)))
            pi = Particles(pi.domain, pi.points * math.sqrt(charge / own))
            found = charge_bracket(energy, pi, charge)
            values.append(found.value)
            lowers.append(found.lower)
        assert max(lowers) <= min(values)
        # with no more charge than 1e-9 nothing is learnt, and the bound knows it
        tiny = charge_bracket(energy, Particles(pi.domain, 1e-5 * pi.points), 1e-9).lower
        zero = 0.5 * float(energy.risk.data.weights @ energy.risk.data.targets**2)  # type: ignore[union-attr]
        assert tiny == pytest.approx(zero, abs=1e-8)


@pytest.mark.parametrize("charge", [-1.0, math.nan, math.inf])
def test_a_charge_is_a_number_from_0_on(charge: float) -> None:
    """-1 had a gap below 0, and nan a gap of nan."""
    with pytest.raises(ValueError, match="charge_bracket charge"):
        charge_bracket(in_the_plane(12, 3), spread(8, 0), charge)


def test_the_conditional_bound_closes_where_it_should() -> None:
    """nu* of the problem with lam |nu| is the best of charge |nu*| too: the bracket closes there, not at 1.1 |nu*|."""
    energy = in_the_plane(12, 3)
    view, _ = on_directions(energy)
    assert isinstance(view, OfData)
    best = independent(Energy(view.risk, TotalVariation(0.05)), circle(), "signed", rounds=40)
    assert best.bracket.gap <= 1e-11
    w, t = best.measure.weights, best.measure.points[:, 0]
    points = np.column_stack([len(w) * w, np.cos(t), np.sin(t)])
    network, charge = Particles(Gaussian(dim=3).domain, points), float(np.sum(np.abs(w)))
    assert charge > 0.1
    assert -1e-12 <= charge_bracket(energy, network, charge).gap <= 1e-8
    assert charge_bracket(energy, network, 1.1 * charge).gap > 1e-4


def test_what_no_network_can_fit_is_the_distance_to_the_span() -> None:
    """x_2 = 2 x_1 forces f_2 = 2 f_1: with y = (1, 1) the distance^2 is 1/5, so inf F = (1/2)(1/3)(1/5) = 1/30.

    Under a large charge the conditional bound comes to the same; distinct directions fit everything.
    """
    x, neuron = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1e-3]]), RidgeNeuron(activation("relu"), 2, outer=True)
    energy = Energy(Risk(neuron, Data(x, np.ones(3))))
    assert span_distance(energy) == pytest.approx(1.0 / 30.0, rel=1e-12)
    assert charge_bracket(energy, spread(4, 0), 1e3).lower == pytest.approx(1.0 / 30.0, abs=1e-9)
    assert span_distance(in_the_plane(30, 1)) <= 1e-25
    above = Energy(Risk(neuron, Data(x, np.ones(3))), Constant(2.0))
    assert span_distance(above) == pytest.approx(2.0 + 1.0 / 30.0, rel=1e-12)


def test_a_ridge_is_a_total_variation_of_directions() -> None:
    """inf over networks with ridge r = inf of the problem on the circle with lam = r: both brackets overlap, and a
    balanced network of the optimal atoms closes it.
    """
    ridge = 0.05
    flow = problems.relu_teacher_plane(((0.5, 0.3), (0.5, 2.2)), ridge=ridge).flow
    kernel = relu_kernel(0.0, "gaussian")
    teachers = Atoms(circle(), np.array([[0.3], [2.2]]))
    best = independent(Energy(*population_risk(kernel, teachers), TotalVariation(ridge)), circle(), "signed", rounds=30)
    w, t = best.measure.weights, best.measure.points[:, 0]
    root = np.sqrt(len(w) * np.abs(w))
    network = np.column_stack([np.sign(w) * root, root * np.cos(t), root * np.sin(t)])
    found = ridge_bracket(flow.energy, Particles(flow.domain, network))
    assert found.gap <= 1e-8 and abs(found.lower - best.bracket.lower) <= 1e-8
    # a and b out of balance, or opposite charges at one place, cost more than lam |nu|
    tilted = Particles(flow.domain, network * np.array([2.0, 0.5, 0.5]))
    assert ridge_bracket(flow.energy, tilted).value > found.value + 1e-3
    assert ridge_bracket(flow.energy, spread(30, 2)).lower <= found.value
    assert bracket(flow, spread(30, 2)) is not None


def test_conditional_bounds_are_refused_where_they_prove_nothing() -> None:
    """A ridge asks for no condition; without one there is none to drop; other activations have no arcs."""
    flow = problems.relu_teacher_plane(ridge=0.1).flow
    with pytest.raises(Refused, match="there is a ridge"):
        charge_bracket(flow.energy, spread(5, 0), 3.0)
    with pytest.raises(Refused, match="without a ridge"):
        ridge_bracket(in_the_plane(5, 0), spread(5, 0))
    smooth = Energy(Risk(RidgeNeuron(activation("tanh"), 2, outer=True), Data(np.ones((2, 2)), np.ones(2))))
    with pytest.raises(Refused, match="relu"):
        charge_bracket(smooth, spread(5, 0), 3.0)
