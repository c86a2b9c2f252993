"""The JKO step of a network's risk with the logistic and Huber's loss: by parabolas, certified by their own dual."""

from dataclasses import replace

import numpy as np
import pytest

from solvers.jko import QuantileDual, RiskDual, SoftMin
from wflow import (
    CircleNeuron,
    Data,
    Energy,
    Entropy,
    Flow,
    HalfSquare,
    Huber,
    Logistic,
    Particles,
    Potential,
    RidgeNeuron,
    Risk,
    State,
    Uniform,
    activation,
    circle,
    plane,
)
from wflow.bump import BumpNeuron
from wflow.domain import Box
from wflow.risk_dual import losses
from wflow.risk_dual.movement import Movement

LOSSES = (Logistic(), Huber(0.05))


def posed(name, loss):
    """Labels from inputs at random, atoms in a clump."""
    rng = np.random.default_rng(3)
    if name == "circle":
        neuron, x, start = CircleNeuron(activation("tanh")), rng.normal(size=(20, 2)), rng.normal(1.0, 0.6, (40, 1))
        domain, others = circle(), ()
    elif name == "plane":
        neuron, x = RidgeNeuron(activation("relu"), bias=True), np.linspace(-2.0, 2.0, 17)[:, None]
        domain, start, others = plane(), rng.normal(size=(40, 2)), (Potential.quadratic(0.01),)
    else:
        domain = Box((0.0, 0.0), (1.0, 1.0), (False, False))
        neuron, x, start, others = BumpNeuron(0.15, domain), rng.random((30, 2)), rng.random((60, 2)), ()
    y = np.sin(3.0 * x[:, 0]) + 0.5 * x[:, -1] ** 2
    data = Data(x, np.where(y > np.median(y), 1.0, -1.0) if isinstance(loss, Logistic) else y)
    return Energy(Risk(neuron, data, loss), *others), Particles(domain, start)


@pytest.mark.parametrize("loss", LOSSES)
def test_parabolas_lie_above_and_touch(loss):
    """At 300 pairs of predictions; equal in value and slope where they touch."""
    rng = np.random.default_rng(0)
    f, g = rng.normal(0.0, 4.0, size=(2, 300))
    f[:5], y = 0.0, np.where(rng.random(300) < 0.5, 1.0, -1.0)
    bend, slope = losses.above(loss, f, y), loss.slope(f, y)
    parabola = loss.value(f, y) + slope * (g - f) + 0.5 * bend * (g - f) ** 2
    assert np.all(parabola >= loss.value(g, y) - 1e-14)
    assert np.all(bend >= loss.curvature(f, y) - 1e-12)


SHORT = [(name, tau) for name in ("circle", "bumps") for tau in (0.02, 1.0)]
LONG = [("circle", 300.0), ("bumps", 300.0), ("plane", 1.0), ("plane", 30.0)]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("name", "tau"), [*SHORT, *(pytest.param(*one, marks=pytest.mark.slow) for one in LONG)])
def test_strong_duality(name, tau, loss):
    """The gap by the loss's own dual and the independent search is at most 1e-7 of the gain; F + cost falls."""
    energy, start = posed(name, loss)
    found = losses.minimised(Movement(energy, start, tau), 64, 1e-6, 100)
    assert -1e-7 <= found.gap <= 1e-7
    assert energy.value(found.end) + found.spent <= energy.value(start)
    assert found.dual <= energy.value(found.end) + found.spent + 1e-12


@pytest.mark.parametrize("loss", LOSSES)
def test_the_step_is_implicit_euler(loss):
    """Where nothing splits w+ = w - tau grad V[pi+](w+), V by the energy and not by the dual; to 1e-6 of the way."""
    energy, start = posed("circle", loss)
    found = losses.minimised(Movement(energy, start, 0.5), 64, 1e-9, 100)
    assert len(found.end.points) == len(start.points)
    way = found.end.points - start.points
    error = way - 0.5 * energy.velocity(found.end, found.end.points)
    assert np.abs(error).max() <= 1e-6 * np.abs(way).max()


def test_the_half_square_is_its_own_parabola():
    """The same step as by the half square's own dual, to rounding of the search: one round."""
    energy, start = posed("bumps", Huber(100.0))
    risk = energy.risk
    square = Energy(Risk(risk.neuron, risk.data, HalfSquare()))
    wide, own = (losses.minimised(Movement(e, start, 2.0), 64, 1e-6, 100) for e in (energy, square))
    np.testing.assert_allclose(wide.end.points, own.end.points, atol=1e-7)
    assert wide.dual == pytest.approx(own.dual, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_residual_that_is_not_that_of_the_end_is_seen(loss, monkeypatch):
    """Parabolas with targets a tenth off end elsewhere: the certificate says so, the model's own gap does not."""
    energy, start = posed("circle", loss)
    true = losses.widened

    def off(movement, *knobs):
        weights, targets = movement.parabolas
        return true(replace(movement, parabolas=(weights, targets + 0.1)), *knobs)

    monkeypatch.setattr(losses, "widened", off)
    found = losses.minimised(Movement(energy, start, 1.0), 64, 1e-6, 3)
    assert found.own <= 1e-9 and found.gap >= 1e-4


class Own:
    """Convex, with what Loss asks for, and of no kind that is known."""

    convex, kinked = True, False
    value = staticmethod(lambda f, y: np.cosh(f - y))
    slope = staticmethod(lambda f, y: np.sinh(f - y))
    curvature = staticmethod(lambda f, y: np.cosh(f - y))
    check = staticmethod(lambda y: None)
    best_constant = staticmethod(lambda y, weights: float(weights @ y))


def test_by_the_solvers_and_what_is_refused():
    """RiskDual and QuantileDual take both losses; SoftMin the half square alone; a loss of the user's none of them."""
    energy, start = posed("circle", Logistic())
    flow = Flow(energy, circle(), Uniform(circle()), 1.0)
    step = RiskDual(40).step(flow, State(0.0, start), 1.0)
    reached = energy.value(step.state.measure) + step.dissipated
    assert step.residual <= 1e-6 and step.dual <= reached + 1e-14
    edges = QuantileDual(100)
    assert edges.step(flow, edges.init(flow), 1.0).residual <= 1e-3
    own = Energy(Risk(energy.risk.neuron, energy.risk.data, Own()))
    assert "Logistic and Huber" in RiskDual(40).refusal(replace(flow, energy=own))
    assert "half-square" in SoftMin(32).refusal(replace(flow, energy=Energy(*energy.terms, Entropy(0.1))))
