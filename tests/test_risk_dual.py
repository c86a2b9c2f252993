"""The JKO step of a network's risk by its dual in the residual: duality, brute force, the flow, certificates."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest

from solvers.jko import Exact, RiskDual
from solvers.particles import GradientFlow
from wflow import (
    Atoms,
    Box,
    Data,
    Energy,
    Flow,
    NotConverged,
    Particles,
    Potential,
    RidgeNeuron,
    Risk,
    activation,
    box,
    circle,
    interval,
    plane,
    problems,
    solve,
    torus,
)
from wflow.activation import ONE_PARAMETER, PARAMETERLESS, rounded
from wflow.bump import BumpNeuron
from wflow.convergence import distance
from wflow.neuron import CircleNeuron, TranslationNeuron
from wflow.problems.circle import cosine_start
from wflow.risk_dual import step
from wflow.risk_dual.ascent import by_newton
from wflow.risk_dual.models import Reached, Refined, Tabulated
from wflow.risk_dual.movement import Movement
from wflow.risk_dual.parts import Parts, parted, vertex
from wflow.risk_dual.simplex import mixture, nonnegative
from wflow.risk_dual.split import Split
from wflow.risk_dual.step import certified, minimised, window
from wflow.risk_dual.table import Nodes, sheets

CELLS, TOLERANCE, LIMIT = 64, 1e-6, 100


def on_circle(name, atoms=40):
    """Neurons on the circle, 20 inputs, the uniform teacher; atoms in a clump."""
    rng, neuron = np.random.default_rng(3), CircleNeuron(activation(name))
    x = rng.normal(size=(20, 2))
    y = neuron.value(x, np.linspace(0.0, 2.0 * math.pi, 100, endpoint=False)[:, None]).mean(axis=1)
    return Energy(Risk(neuron, Data(x, y))), Particles(circle(), rng.normal(1.0, 0.6, size=(atoms, 1)))


def on_plane(name, atoms=40):
    """Neurons sigma(v x + c) learn |x|, with a ridge."""
    rng, x = np.random.default_rng(5), np.linspace(-2.0, 2.0, 17)[:, None]
    risk = Risk(RidgeNeuron(activation(name), bias=True), Data(x, np.abs(x[:, 0])))
    return Energy(risk, Potential.quadratic(0.01)), Particles(plane(), rng.normal(size=(atoms, 2)))


def in_weights(name, atoms=40):
    """Neurons a sigma(w x) of the catalogue."""
    flow = problems.two_layer_1d(activation=name, nodes=16).flow
    return flow.energy, Particles(flow.domain, np.random.default_rng(7).normal(0.0, 0.5, size=(atoms, 2)))


def bumps(atoms=60, data=30):
    """Gaussian bumps on the unit square, five of them the teacher."""
    rng, square = np.random.default_rng(0), box([0, 0], [1, 1])
    neuron, x = BumpNeuron(0.15, square), rng.random((data, 2))
    y = neuron.value(x, rng.random((5, 2))) @ np.full(5, 0.2)
    return Energy(Risk(neuron, Data(x, y))), Particles(square, rng.random((atoms, 2)))


def on_torus(atoms=40):
    """Deconvolution with two angles."""
    rng, neuron = np.random.default_rng(2), TranslationNeuron(activation("dirichlet", 2.0), inputs=2)
    x = rng.uniform(0.0, 2.0 * math.pi, (30, 2))
    y = neuron.value(x, np.array([[1.0, 2.0], [4.0, 5.0]])).mean(axis=1)
    return Energy(Risk(neuron, Data(x, y))), Particles(torus(2), rng.uniform(0.0, 2.0 * math.pi, (atoms, 2)))


POSED = {
    **{f"circle {name}": functools.partial(on_circle, name) for name in ("tanh", "relu", "cos_minus_sin", "elu")},
    **{f"plane {n}": functools.partial(on_plane, n) for n in ("tanh", "relu", "softplus", "elu", "relu_squared")},
    **{f"(a, w) {name}": functools.partial(in_weights, name) for name in ("tanh", "relu")},
    "bumps": bumps,
    "torus": on_torus,
}


def models(energy, start, tau, cells=CELLS):
    """The movement, the nodes, and the model of its true features."""
    movement = Movement(energy, start, tau)
    nodes = Nodes.on(start.domain, window(start, np.full(start.points.shape[1], 3.0)), cells)
    return movement, nodes, Refined(movement, Tabulated(movement, sheets(movement, nodes)))


# Duality


@pytest.mark.parametrize("posed", ["circle tanh", "plane tanh", "bumps", "torus"])
def test_the_slope_of_the_dual_is_the_mismatch(posed):
    """D'(p) = f_{pi+} - y - p in the weights of the data, against a central difference along a random direction."""
    energy, start = POSED[posed]()
    movement, _, model = models(energy, start, 0.3)
    rng = np.random.default_rng(1)
    p, way = 0.1 * rng.normal(size=(2, len(movement.targets)))
    here, eps = model.at(p), 1e-4
    ahead = here.coupling.prediction - movement.targets - p
    slope = (model.at(p + eps * way).value - model.at(p - eps * way).value) / (2.0 * eps)
    assert slope == pytest.approx(float(movement.omega @ (ahead * way)), rel=1e-6)


@pytest.mark.parametrize("posed", ["circle relu", "plane tanh", "bumps"])
def test_the_own_gap_is_half_the_square_of_the_mismatch(posed):
    """F(pi+) + cost - D(p) = |p - (f - y)|^2/2 at any p, as derived; and D(p) <= F(start): weak duality."""
    energy, start = POSED[posed]()
    movement, _, model = models(energy, start, 1.0)
    p = 0.1 * np.random.default_rng(1).normal(size=len(movement.targets))
    here = model.at(p)
    cost = movement.half(here.coupling.prediction - movement.targets) + here.coupling.price
    assert cost - here.value == pytest.approx(here.gap, rel=1e-9)
    assert here.value <= energy.value(start)


@pytest.mark.parametrize("tau", [0.02, 1.0, 30.0, pytest.param(100.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("posed", POSED)
def test_strong_duality(posed, tau):
    """The gap by the independent search is at most 1e-9 of the gain, at tau = 100 the tolerance: mass may split.

    Negative gaps are rounding: 1e-12 of F over a gain that is at least 1e-5 here.
    """
    energy, start = POSED[posed]()
    found = minimised(Movement(energy, start, tau), CELLS, TOLERANCE, LIMIT)
    assert -1e-7 <= found.gap <= (1e-9 if tau < 100.0 else TOLERANCE)
    assert energy.value(found.end) + found.spent <= energy.value(start)
    assert found.end.weights.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PARAMETERLESS, *ONE_PARAMETER])
def test_every_activation_of_the_catalogue(name):
    """On the circle, tau = 3: the sampled gap is at most 1e-9 of the gain."""
    energy, start = on_circle(name, atoms=25)
    found = minimised(Movement(energy, start, 3.0), CELLS, TOLERANCE, LIMIT)
    assert -1e-7 <= found.gap <= 1e-9
    assert energy.value(found.end) + found.spent <= energy.value(start)


def test_a_mixture_is_optimal():
    """Conditions of Karush, Kuhn and Tucker of the quadratic over the simplex, and over l >= 0, random and singular."""
    rng = np.random.default_rng(4)
    for k, rank in ((5, 5), (12, 4), (30, 8)):
        factor, linear = rng.normal(size=(rank, k)), rng.normal(size=k)
        gram = factor.T @ factor
        weights = mixture(gram, linear)
        slope = gram @ weights + linear
        assert weights.min() >= 0.0
        assert weights.sum() == pytest.approx(1.0, abs=1e-12)
        assert slope @ weights - slope.min() <= 1e-10
        whole = gram + 0.1 * np.eye(k)
        free = nonnegative(whole, linear)
        slope = whole @ free + linear
        assert free.min() >= 0.0
        assert slope.min() >= -1e-10
        assert abs(slope @ free) <= 1e-10


# Brute force


def circle_flow(horizon=1.0):
    """The tanh network on the circle from (1 + cos/2)/2 pi."""
    energy, _ = on_circle("tanh")
    return Flow(energy, circle(), cosine_start({1: 0.5, 3: 0.3}), horizon)


@pytest.mark.parametrize("tau", [2.0, 20.0])
def test_the_step_is_below_that_of_masses_on_nodes_by_what_nodes_cost(tau):
    """min over all measures <= min over masses on m nodes (Exact, certified by POT) <= that + h^2/8 (1/tau + L).

    L bounds the curvature of V at the end in the last; sampled at the nodes.
    """
    flow, exact = circle_flow(horizon=100.0), Exact(64)
    begin = exact.init(flow)
    on_nodes = exact.step(flow, begin, tau)
    pi = begin.measure
    start = Particles(circle(), pi.points, pi.weights)
    found = minimised(Movement(flow.energy, start, tau), CELLS, TOLERANCE, LIMIT)
    least = flow.energy.value(found.end) + found.spent
    theirs = flow.energy.value(on_nodes.state.measure) + on_nodes.dissipated
    bend = float(np.abs(flow.energy.curvature(found.end, pi.points)).max())
    h = float(pi.grid.widths[0])
    assert least <= theirs <= least + h**2 / 8.0 * (1.0 / tau + bend)


# The flow


def test_a_short_step_is_a_gradient_step():
    """|w+ - (w - tau grad V)| = O(tau^2): divided by four, within a tenth, as tau is halved."""
    energy, start = bumps()
    off = []
    for tau in (0.08, 0.04, 0.02, 0.01):
        end = minimised(Movement(energy, start, tau), CELLS, TOLERANCE, LIMIT).end
        off.append(np.abs(end.points - start.points - tau * energy.velocity(start, start.points)).max())
    ratios = np.array(off[:-1]) / off[1:]
    np.testing.assert_allclose(ratios[-1], 4.0, rtol=0.1)


@pytest.mark.parametrize("cells", [8, 64])
def test_no_displacement_is_too_short_for_the_nodes(cells):
    """w+ = w - tau grad V[pi+](w+) to 1e-9 although nothing moves by half a cell: implicit Euler, no pinning."""
    energy, start = bumps()
    tau = 0.08
    end = minimised(Movement(energy, start, tau), cells, TOLERANCE, LIMIT).end
    moved = end.points - start.points
    assert 1e-5 < np.abs(moved).max() < 0.5 / cells
    inside = np.all((end.points > 0.0) & (end.points < 1.0), axis=1)
    expected = tau * energy.velocity(end, end.points)
    np.testing.assert_allclose(moved[inside], expected[inside], rtol=0.0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("posed", ["circle tanh", "(a, w) tanh"])
def test_order_one_in_the_step(posed):
    """W2 to the particles' own flow at t = 1 by 4, 8, 16, 32 steps: order at least .85, errors below 3e-2."""
    energy, start = POSED[posed]()
    flow = Flow(energy, start.domain, Atoms(start.domain, start.points), 1.0)
    exact = solve(flow, GradientFlow(1), steps=200).final
    errors = [distance(solve(flow, RiskDual(1, cells=CELLS), steps=n).final, exact) for n in (4, 8, 16, 32)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[0] < 3e-2
    assert orders[-2:].min() >= 0.85


# Splitting


def two_wells():
    """One atom between two bumps that want it: data at +-1/2, targets 0.4."""
    line = interval(-1.0, 1.0)
    energy = Energy(Risk(BumpNeuron(0.2, line), Data(np.array([[-0.5], [0.5]]), np.array([0.4, 0.4]))))
    return energy, Particles(line, np.array([[0.0]]))


def test_an_atom_between_two_places_goes_to_both():
    """Halves at +-w by symmetry, gap below 1e-12 of the gain, and less than any single place costs (4001 of them)."""
    energy, start = two_wells()
    tau = 3.0
    found = minimised(Movement(energy, start, tau), CELLS, TOLERANCE, LIMIT)
    places = np.linspace(-1.0, 1.0, 4001)
    single = min(energy.value(start.moved(np.array([[w]]))) + w * w / (2.0 * tau) for w in places)
    np.testing.assert_allclose(found.end.weights, 0.5, rtol=1e-6)
    assert found.end.points[:, 0].sum() == pytest.approx(0.0, abs=1e-7)
    assert found.gap <= 1e-12
    assert energy.value(found.end) + found.spent < single - 1e-3


def test_at_most_n_atoms_split():
    """Of 200 atoms and 12 data in one long step: more than 200 and at most 212 parts, each atom's mass kept."""
    energy, start = bumps(atoms=200, data=12)
    found = minimised(Movement(energy, start, 300.0), CELLS, TOLERANCE, LIMIT)
    assert 200 < len(found.end.weights) <= 212
    assert found.gap <= TOLERANCE


def test_a_vertex_has_the_same_answer_with_few_atoms_split():
    """Thirty atoms with two parts each, three data: at most three stay split, f to 1e-9, the price no higher."""
    energy, start = bumps(atoms=30, data=3)
    movement, rng = Movement(energy, start, 5.0), np.random.default_rng(8)
    share, other = rng.uniform(0.2, 0.8, 30) / 30.0, rng.random((30, 2))
    p = movement.predict(start.points, start.weights) - movement.targets
    whose, places = np.tile(np.arange(30), 2), np.concatenate([start.points, other])
    parts = Parts(p, whose, places, np.concatenate([share, 1.0 / 30.0 - share]))
    found = vertex(movement, parts)
    assert len(found.masses) <= 33
    np.testing.assert_allclose(np.bincount(found.whose, found.masses), 1.0 / 30.0, rtol=1e-9)
    np.testing.assert_allclose(
        movement.predict(found.places, found.masses), movement.predict(places, parts.masses), atol=1e-9
    )
    before, after = (
        one.masses
        @ (movement.field(movement.omega * p, one.places, 0) + movement.ways(one.places, start.points[one.whose]))
        for one in (parts, found)
    )
    assert after <= before + 1e-12


# The certificate


class Near:
    """Where atoms are, in place of the table's global answer: a wrong local minimum, planted."""

    def __init__(self, movement):
        self.movement = movement

    def at(self, p, known=()):
        """No atom is sent to another valley."""
        coupling, m = self.movement.coupling(self.movement.start.points), len(self.movement.start.points)
        return Reached(p, 0.0, coupling, np.zeros((m, 1, 1)), 0.0)


def test_a_wrong_local_minimum_is_seen_by_the_search_alone():
    """Three atoms far from a bump that nobody serves: sent down locally, D's own gap is 1e-9, the true one is not."""
    line = interval(0.0, 10.0)
    risk = Risk(BumpNeuron(0.3, line), Data(np.array([[2.0], [8.0]]), np.array([0.2, 1.0])))
    energy, start = Energy(risk), Particles(line, np.array([[1.8], [2.3], [2.6]]))
    movement, nodes, model = models(energy, start, 200.0)
    near = Refined(movement, Near(movement))
    climbed = by_newton(near, movement.predict(start.points, start.weights) - movement.targets, lambda dual: 1e-10, 50)
    split = Split(parted(movement, climbed), climbed.best.value, climbed.gap)
    found, _ = certified(movement, nodes, split, energy.value(start))
    assert found.own <= 1e-9
    assert found.gap > 0.5
    assert minimised(movement, CELLS, TOLERANCE, LIMIT).gap <= TOLERANCE
    assert model.movement is movement


def test_a_gap_above_the_tolerance_raises(monkeypatch):
    """A step whose search finds a thousandth more than the step did is no step."""
    energy, start = bumps()
    flow = Flow(energy, start.domain, Atoms(start.domain, start.points), 1.0)
    ended = minimised(Movement(energy, start, 1.0), CELLS, TOLERANCE, LIMIT)
    monkeypatch.setattr(step, "minimised", lambda *_: replace(ended, gap=1e-3))
    with pytest.raises(NotConverged, match=r"certified to 0\.001"):
        solve(flow, RiskDual(1), steps=1)


# Domains and flows


def test_atoms_stop_at_walls():
    """A drift of slope -1 out of the unit interval beside a small risk: w+ = min(1, w + tau) up to the risk's force."""
    line = interval(0.0, 1.0)
    risk = Risk(BumpNeuron(0.3, line), Data(np.array([[0.5]]), np.array([1e-9])))
    energy = Energy(risk, Potential.linear(-50.0))
    found = minimised(Movement(energy, Particles(line, np.array([[0.1], [0.6]])), 0.01), CELLS, TOLERANCE, LIMIT)
    assert found.end.points[1, 0] == 1.0
    assert found.end.points[0, 0] == pytest.approx(0.6, abs=0.05)
    assert found.gap <= TOLERANCE


def test_frozen_coordinates_stay():
    """Two sheets a = +-1, each with its own table: nothing moves across, the gap is small."""
    domain = Box((-2.0, -math.inf), (2.0, math.inf), (False, False), (True, False))
    x = np.linspace(-2.0, 2.0, 9)[:, None]
    energy = Energy(Risk(RidgeNeuron(activation("tanh"), outer=True), Data(x, np.tanh(2.0 * x[:, 0]))))
    points = np.stack([np.repeat([-1.0, 1.0], 15), np.random.default_rng(0).normal(size=30)], axis=1)
    found = minimised(Movement(energy, Particles(domain, points), 5.0), CELLS, TOLERANCE, LIMIT)
    np.testing.assert_array_equal(np.sort(np.unique(found.end.points[:, 0])), [-1.0, 1.0])
    assert found.gap <= 1e-9


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (problems.circle_teacher().flow, "the energy must be one Risk"),
        (problems.two_layer_1d(temperature=0.1).flow, "no entropy"),
    ],
    ids=["kernel", "entropy"],
)
def test_what_is_refused(flow, words):
    """Each in a plain sentence."""
    assert words in RiskDual(10).refusal(flow)


def test_three_moving_axes_are_refused():
    """a, v and c all move."""
    neuron = RidgeNeuron(activation("tanh"), bias=True, outer=True)
    energy = Energy(Risk(neuron, Data(np.ones((2, 1)), np.ones(2))))
    flow = Flow(energy, neuron.domain, Atoms(neuron.domain, np.zeros((1, 3))), 1.0)
    assert "3 axes move" in RiskDual(10).refusal(flow)


@pytest.mark.slow
def test_a_few_giant_steps_train_what_traps_the_flow():
    """Three certified steps of 100 leave half the risk of the particles' flow over the same time."""
    energy, start = bumps(atoms=20)
    flow = Flow(energy, start.domain, Atoms(start.domain, start.points), 300.0)
    giant = solve(flow, RiskDual(1, cells=CELLS), steps=3)
    slow = solve(flow, GradientFlow(1), steps=600)
    assert giant.energies[-1] < 0.5 * slow.energies[-1]
    assert giant.diagnostics["residual"].max() <= TOLERANCE


# Rounded kinks


@pytest.mark.parametrize("sigma", [activation("relu"), activation("relu", 0.5), activation("leaky_relu", 0.2)], ids=str)
def test_a_rounded_kink_is_near_and_smooth(sigma):
    """Off by at most jump width/4, with derivatives that are those of its values (differences, 1e-6)."""
    width, eps = 0.1, 1e-6
    soft, z = rounded(sigma, width), np.linspace(-1.0, 1.0, 2001)
    (kink,) = sigma.kinks
    jump = float(np.diff(sigma.slope(np.array([kink - 0.1, kink + 0.1])))[0])
    assert 0.0 <= (soft.value(z) - sigma.value(z)).max() <= 0.25 * jump * width * (1 + 1e-12)
    np.testing.assert_allclose(soft.slope(z), (soft.value(z + eps) - soft.value(z - eps)) / (2 * eps), atol=1e-5)
    away = np.abs(np.abs(z - kink) - width) > 1e-3
    bend = (soft.slope(z + eps) - soft.slope(z - eps)) / (2 * eps)
    np.testing.assert_allclose(soft.curvature(z)[away], bend[away], atol=1e-6)


def test_only_what_is_known_to_be_piecewise_linear_is_rounded():
    """tanh is refused."""
    with pytest.raises(ValueError, match="piecewise linear"):
        rounded(activation("tanh"), 0.1)


def test_bumps_are_their_formula():
    """exp(-|x - w|^2/2 s^2) at one point, and derivatives by differences."""
    neuron, x, w = BumpNeuron(0.5, box([0, 0], [1, 1])), np.array([[0.2, 0.9]]), np.array([[0.4, 0.3]])
    assert neuron.value(x, w)[0, 0] == pytest.approx(math.exp(-(0.2**2 + 0.6**2) / (2 * 0.25)), rel=1e-14)
    for k in range(2):
        step = 1e-6 * np.eye(2)[k]
        slope = (neuron.value(x, w + step) - neuron.value(x, w - step)) / 2e-6
        bend = (neuron.gradient(x, w + step) - neuron.gradient(x, w - step)) / 2e-6
        np.testing.assert_allclose(neuron.gradient(x, w)[..., k], slope, atol=1e-8)
        np.testing.assert_allclose(neuron.curvature(x, w)[..., k], bend, atol=1e-8)


@pytest.mark.slow
def test_atoms_that_run_away_are_named():
    """psi of second degree and a step of 10: numbers overflow, and the step says so, not numpy."""
    draw = np.random.default_rng(0)
    neuron = RidgeNeuron(activation("quadratic"), bias=True)
    data = Data(np.array([[1.0], [2.0]]), np.array([3.0, 4.0]))
    flow = Flow(Energy(Risk(neuron, data)), plane(), Atoms(plane(), draw.normal(size=(3, 2))), 10.0)
    with pytest.raises(NotConverged, match=r"certified to|beyond all numbers"):
        solve(flow, RiskDual(3), steps=1)
