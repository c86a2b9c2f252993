"""The JKO step of a network's risk on quantile edges by the dual of all measures: global, and certified."""

import math

import numpy as np
import pytest

from solvers.jko import Quantile, QuantileDual, RiskDual
from wflow import (
    Data,
    Energy,
    Flow,
    LostDensity,
    NotConverged,
    Particles,
    Potential,
    Risk,
    Uniform,
    activation,
    circle,
    interval,
    problems,
    solve,
    w2,
)
from wflow.bump import BumpNeuron
from wflow.neuron import CircleNeuron
from wflow.problems.circle import cosine_start
from wflow.solver import State


def on_circle(frequency):
    """cos(b z) - sin(b z) with three teachers, 20 inputs: the larger b the more valleys."""
    rng, neuron = np.random.default_rng(3), CircleNeuron(activation("cos_minus_sin", frequency))
    x = rng.normal(size=(20, 2))
    y = neuron.value(x, np.array([[1.0], [2.0], [4.0]])).mean(axis=1)
    return Flow(Energy(Risk(neuron, Data(x, y))), circle(), cosine_start({1: 0.8}), 4.0)


def on_interval():
    """Bumps on [-3, 3] with a ridge."""
    domain = interval(-3.0, 3.0)
    x, neuron = np.linspace(-2.5, 2.5, 12)[:, None], BumpNeuron(0.4, domain)
    y = neuron.value(x, np.array([[-2.0], [1.5]])) @ np.array([0.4, 0.6])
    return Flow(Energy(Risk(neuron, Data(x, y)), Potential.quadratic(0.01)), domain, Uniform(domain), 4.0)


def objective(flow, step):
    """F(end) + cost."""
    return flow.energy.value(step.state.measure) + step.dissipated


@pytest.mark.parametrize("dt", [0.05, 0.5])
@pytest.mark.parametrize("posed", [lambda: on_circle(2.0), on_interval], ids=["circle", "interval"])
def test_a_short_step_is_that_of_newton_on_edges(posed, dt):
    """Where the step is convex jko.Quantile finds the same edges by another algorithm, and D proves both: the gap of
    its end is below 1e-9 of F."""
    flow, ours, theirs = posed(), QuantileDual(120), Quantile(120)
    start = ours.init(flow)
    one, other = ours.step(flow, start, dt), theirs.step(flow, start, dt)
    np.testing.assert_allclose(one.state.measure.edges, other.state.measure.edges, rtol=0.0, atol=1e-6)
    assert 0.0 <= objective(flow, other) - one.dual + 1e-15 <= 1e-9 * flow.energy.value(start.measure)


def test_a_long_step_finds_the_valley_that_newton_misses():
    """b = 4, dt = 10: stationary edges of jko.Quantile cost a tenth of the gain more than the least."""
    flow = on_circle(4.0)
    start = QuantileDual(200).init(flow)
    one, other = QuantileDual(200).step(flow, start, 10.0), Quantile(200).step(flow, start, 10.0)
    gain = flow.energy.value(start.measure) - one.dual
    assert one.residual <= 1e-3
    assert objective(flow, other) - one.dual >= 0.1 * gain
    assert objective(flow, one) - one.dual == pytest.approx(one.residual * gain, rel=1e-9)


@pytest.mark.parametrize("dt", [1.0, 10.0, 100.0])
def test_no_measure_does_better_than_the_dual(dt):
    """Atoms that may split, from the same edges: F + cost of jko.RiskDual is at least D and at most that of edges."""
    flow, solver = on_circle(4.0), QuantileDual(100)
    start = solver.init(flow)
    step = solver.step(flow, start, dt)
    atoms = State(0.0, Particles(flow.domain, start.measure.points, start.measure.weights))
    split = RiskDual(100).step(flow, atoms, dt)
    slack = 1e-6 * flow.energy.value(start.measure)
    assert step.dual - slack <= objective(flow, split) <= objective(flow, step) + slack


def test_edges_that_split_cost_second_order():
    """dt = 10 splits edges; whole ones cost |sum w s (psi' - psi)|^2/2: from 100 to 800 points the gap falls by 8^1.5
    at least (rounding of shares is erratic, 1/m^2 on the whole)."""
    flow = on_circle(4.0)
    gaps = [QuantileDual(m, tolerance=1.0).step(flow, QuantileDual(m).init(flow), 10.0).residual for m in (100, 800)]
    assert gaps[1] <= gaps[0] / 8**1.5
    assert gaps[0] > 1e-6
    with pytest.raises(NotConverged, match="edges that the dual splits"):
        QuantileDual(100, tolerance=0.1 * gaps[0]).step(flow, QuantileDual(100).init(flow), 10.0)


@pytest.mark.parametrize("dt", [0.1, 10.0, 1000.0])
def test_every_step_pays_for_its_way(dt):
    """F(end) + cost <= F(start) for any dt; dissipated is W2^2/(2 dt) in the lumped metric of edges."""
    flow, solver = on_circle(2.0), QuantileDual(150)
    start = solver.init(flow)
    step = solver.step(flow, start, dt)
    away = step.state.measure.edges - start.measure.edges
    assert objective(flow, step) <= flow.energy.value(start.measure) + 1e-15
    assert step.dissipated == pytest.approx(start.measure.weights @ away**2 / (2 * dt), rel=1e-12)


@pytest.mark.slow
def test_order_one_in_time():
    """Against jko.Quantile's flow with 640 steps: W2 of 10, 20, 40 steps falls by at least 2^.85 each time."""
    flow = on_circle(2.0)
    reference = solve(flow, Quantile(100), steps=640).final
    off = [w2(solve(flow, QuantileDual(100), steps=k).final, reference) for k in (10, 20, 40)]
    assert min(off[0] / off[1], off[1] / off[2]) >= 2**0.85


def test_mass_that_gathers_has_no_density():
    """Drift to the right on [0, 1] for long: all edges end at the wall, and LostDensity says what takes that."""
    domain, x = interval(0.0, 1.0), np.array([[0.5]])
    risk = Risk(BumpNeuron(5.0, domain), Data(x, np.array([0.0])))
    flow = Flow(Energy(risk, Potential.linear(-1.0)), domain, Uniform(domain), 10.0)
    with pytest.raises(LostDensity, match=r"edges meet.*take jko\.RiskDual"):
        QuantileDual(20).step(flow, QuantileDual(20).init(flow), 10.0)


def test_refusals():
    """What quantiles or the dual cannot take."""
    words = {
        "heat_mode": "no entropy and no power",
        "circle_teacher": "the dual is in the residual at data",
        "two_layer_1d": "quantiles need one",
    }
    for name, reason in words.items():
        assert reason in QuantileDual(20).refusal(problems.build(name).flow), name
    with pytest.raises(ValueError, match="QuantileDual cells"):
        QuantileDual(20, cells=4)
    assert math.isinf(QuantileDual(20).largest_step(on_interval(), QuantileDual(20).init(on_interval())))


def test_an_edge_that_could_only_split_stays():
    """Edges -1, -.5, 0, .5, 1, narrow bumps at all but 0: f - y = -1/8 at +-1/2, what halves of the middle edge are.

    F = 1/8^2/4. Whole, the edge mends one side and spoils the other, F as before, for a way of 1/4 1/2^2/20: as edges
    cannot gain, they are the start, and D says what splitting would.
    """
    domain, x = interval(-1.0, 1.0), np.array([[-1.0], [-0.5], [0.5], [1.0]])
    neuron = BumpNeuron(0.1, domain)
    y = neuron.value(x, x) @ np.array([1.0, 3.0, 3.0, 1.0]) / 8.0
    flow, solver = Flow(Energy(Risk(neuron, Data(x, y))), domain, Uniform(domain), 10.0), QuantileDual(4, tolerance=1.0)
    start = solver.init(flow)
    assert flow.energy.value(start.measure) == pytest.approx(1.0 / 256.0, rel=1e-4)
    step = solver.step(flow, start, 10.0)
    np.testing.assert_array_equal(step.state.measure.edges, start.measure.edges)
    assert (step.dissipated, step.residual) == (0.0, 1.0)
    assert 0.0 < step.dual <= 0.25 * 0.25 / 20.0  # no more than both halves' way
