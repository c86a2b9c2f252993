"""Descent on small networks as one loop: the house's steps, its stop rule, and what it refuses."""

import numpy as np
import pytest

from solvers import small
from solvers.particles import GradientDescent
from solvers.small import train
from wflow import Atoms, Data, Flow, Particles, problems, solve
from wflow.errors import StepTooLarge

WAYS = ["plain", pytest.param("compiled", marks=pytest.mark.slow)]
"""To compile takes seconds."""


def case(m=9, dim=5, samples=14, **kind):
    problem = problems.quenching("single", dim, m, samples=samples, seed=1, **kind)
    flow = problem.flow
    start = Particles(flow.domain, flow.initial.sample(m, np.random.default_rng(2)))
    return flow, start, flow.energy.risk.data


def steps_of(way):
    return small.plain if way == "plain" else small._descent()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scaling", [0.0, 1.0])
def test_the_steps_are_those_of_the_house(way, scaling):
    """Forty steps of `GradientDescent` by `solve`: points and F to 1e-12."""
    flow, start, data = case(scaling=scaling)
    dt = 0.03
    begun = Flow(flow.energy, flow.domain, Atoms(flow.domain, start.points, start.weights), 40 * dt)
    run = solve(begun, GradientDescent(9), steps=40, times=[40 * dt])
    a, b, done, energy, rose = steps_of(way)(
        data.inputs, data.targets, start.points[:, 0], np.ascontiguousarray(start.points[:, 1:]), dt, 40, 0.0
    )
    assert (done, rose) == (40, False)
    np.testing.assert_allclose(np.column_stack([a, b]), run.final.points, rtol=0.0, atol=1e-12)
    assert energy == pytest.approx(run.energies[-1], abs=1e-13)


@pytest.mark.parametrize("way", WAYS)
def test_a_step_that_raises_the_energy_is_not_taken(way):
    """At ten times the bound: no step done, the points as they were."""
    _, start, data = case()
    a, b = start.points[:, 0].copy(), np.ascontiguousarray(start.points[:, 1:])
    dt = 20.0 / small._steepest(data.inputs, a, b)
    a1, b1, done, energy, rose = steps_of(way)(data.inputs, data.targets, a, b, dt, 40, 0.0)
    assert rose and done < 40
    again = small._energy(data.inputs, data.targets, a1, b1)
    assert energy == pytest.approx(again, rel=1e-12)
    assert energy <= small._energy(data.inputs, data.targets, a, b)


@pytest.mark.parametrize("way", WAYS)
def test_where_a_run_ends(way, monkeypatch):
    """At F <= enough, at the horizon to rounding, or after so many steps; `reached` says which."""
    chosen = steps_of(way)
    monkeypatch.setattr(small, "_descent", lambda: chosen)
    flow, start, data = case(m=40, samples=8)
    low = train(start, data, enough=1e-6, horizon=1e6)
    assert low.reached and low.energy <= 1e-6
    assert flow.energy.value(low.measure) == pytest.approx(low.energy, rel=1e-9)
    short = train(start, data, enough=1e-12, horizon=0.5)
    assert not short.reached and short.time == pytest.approx(0.5, abs=1e-12)
    few = train(start, data, enough=1e-12, horizon=1e6, limit=7)
    assert (few.reached, few.steps) == (False, 7)
    none = train(low.measure, data, enough=1e-5, horizon=1.0)
    assert (none.reached, none.steps, none.time) == (True, 0, 0.0)


def test_the_bound_is_that_of_the_linear_problem():
    """With a = 0 the Gram matrix is that of frozen b: descent on a alone at 1.99 of the bound falls, at 2.01 rises."""
    _, start, data = case(m=30)
    steepest = small._steepest(data.inputs, start.points[:, 0], start.points[:, 1:])
    phi = np.maximum(data.inputs @ start.points[:, 1:].T, 0.0)
    assert steepest == pytest.approx(np.linalg.norm(phi, 2) ** 2 / (30 * len(data)), rel=1e-12)


def test_refusals(monkeypatch):
    """Unequal weights, other inputs, no horizon, a given step that is too long, forty halvings that are not enough."""
    monkeypatch.setattr(small, "_descent", lambda: small.plain)
    _, start, data = case()
    uneven = Data(data.inputs, data.targets, np.arange(1.0, 15.0) / 105.0)
    with pytest.raises(ValueError, match="train data: weights"):
        train(start, uneven, enough=1e-6, horizon=1.0)
    with pytest.raises(ValueError, match="train start"):
        train(start, Data(data.inputs[:, :3], data.targets), enough=1e-6, horizon=1.0)
    with pytest.raises(ValueError, match="train horizon"):
        train(start, data, enough=1e-6, horizon=0.0)
    with pytest.raises(StepTooLarge, match="rises"):
        train(start, data, enough=1e-6, horizon=1e40, pace=1e30)
    with pytest.raises(StepTooLarge, match="take a shorter one"):
        train(start, data, enough=1e-6, horizon=1e4, dt=100.0)
