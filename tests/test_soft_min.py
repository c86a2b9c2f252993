"""Long steps of a noisy network on cells, by the dual softened by heat: duality, the flow, logarithms, refusals."""

import functools
import itertools
import math

import numpy as np
import pytest
from scipy.linalg import expm

from solvers.finite_volume import ScharfetterGummel
from solvers.jko import SoftMin
from wflow import Data, Density, Energy, Flow, NotConverged, Risk, activation, circle, interval, problems, solve, w2
from wflow.bump import BumpNeuron
from wflow.convergence import distance
from wflow.internal import Entropy
from wflow.law import Uniform
from wflow.neuron import CircleNeuron
from wflow.problems.circle import cosine_start
from wflow.risk_dual.heat import Heat, averaged, heat
from wflow.risk_dual.softened import Softened


def on_circle(temperature=0.05, horizon=2.0):
    """Twenty inputs, the uniform teacher, from (1 + cos/2 + ...)/2 pi."""
    rng, neuron = np.random.default_rng(3), CircleNeuron(activation("tanh"))
    x = rng.normal(size=(20, 2))
    y = neuron.value(x, np.linspace(0.0, 2.0 * math.pi, 100, endpoint=False)[:, None]).mean(axis=1)
    energy = Energy(Risk(neuron, Data(x, y)), Entropy(temperature))
    return Flow(energy, circle(), cosine_start({1: 0.5, 3: 0.3}), horizon)


def on_interval(temperature=0.02, horizon=1.0):
    """Bumps between walls."""
    line = interval(0.0, 1.0)
    data = Data(np.linspace(0.0, 1.0, 9)[:, None], np.linspace(0.0, 0.6, 9))
    return Flow(Energy(Risk(BumpNeuron(0.2, line), data), Entropy(temperature)), line, Uniform(line), horizon)


FLOWS = {"circle": on_circle, "interval": on_interval}


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("time", [1e-4, 0.3, 7.0])
def test_heat_is_the_exponential_of_the_second_difference(periodic, time):
    """Against scipy's expm, 1e-13; rows of sum 1, symmetric, nonnegative; variance 2 t where nothing wraps."""
    n = 41
    second = np.diag(np.full(n, -2.0)) + np.eye(n, k=1) + np.eye(n, k=-1)
    if periodic:
        second[0, -1] = second[-1, 0] = 1.0
    else:
        second[0, 0] = second[-1, -1] = -1.0
    kernel = heat(n, periodic, time).kernel
    np.testing.assert_allclose(kernel, expm(time * second), atol=1e-13)
    np.testing.assert_allclose(kernel.sum(axis=1), 1.0, rtol=1e-14)
    assert kernel.min() >= 0.0
    assert kernel[20] @ (np.arange(n) - 20.0) ** 2 == pytest.approx(2.0 * time, rel=1e-5)


@pytest.mark.parametrize("time", [1e-6, 0.05, 0.7, 40.0, 3000.0])
def test_heat_reaches_every_cell(time):
    """Round a large circle k_(d-1) - k_(d+1) = (d/t) k_d (Bessel), far beyond the least number too: to 1e-3."""
    n = 1200 if time > 100.0 else 400
    logs = heat(n, True, time).logs[0]
    assert np.isfinite(logs).all()
    d = np.arange(1, n // 3)
    found = np.exp(logs[d - 1] - logs[d]) - np.exp(logs[d + 1] - logs[d])
    np.testing.assert_allclose(found, d / time, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("cells", [64, 256])
def test_long_steps_at_little_noise_are_refused(cells):
    """Noise of less than a cell and mass that crosses many: a walk on cells is not heat there, and the step says so."""
    with pytest.raises(NotConverged, match=r"use more cells, or jko\.RiskDual"):
        solve(on_interval(1e-5, 1.0), SoftMin(cells), steps=1)


def test_sums_in_logarithms():
    """log K u and K(u f)/K u against plain sums, with u that spans 500 orders of magnitude: to 1e-12."""
    rng = np.random.default_rng(0)
    pair = heat(9, False, 0.5), heat(11, True, 1.5)
    first, second = (one.kernel for one in pair)
    logs, fields = rng.uniform(-5.0, 5.0, (9, 11)), rng.normal(size=(3, 9, 11))
    found, means = averaged(logs, fields, *pair)
    u = np.exp(logs)
    np.testing.assert_allclose(found, np.log(first @ u @ second), atol=1e-12)
    np.testing.assert_allclose(means, (first @ (u * fields) @ second) / (first @ u @ second), atol=1e-12)
    shift = np.linspace(-1200.0, 0.0, 9)[:, None]
    far, theirs = averaged(shift + logs, fields, Heat.of(np.eye(9)), pair[1])
    np.testing.assert_allclose(far, shift + np.log(u @ second), atol=1e-12)
    np.testing.assert_allclose(theirs, (u * fields) @ second / (u @ second), atol=1e-12)


@pytest.mark.parametrize("name", FLOWS)
def test_the_slope_of_the_softened_dual(name):
    """D'(p) = f - y - p against a difference, and Newton's matrix against a difference of the slope."""
    flow = FLOWS[name]()
    start = SoftMin(40).init(flow).measure
    dual, rng = Softened.of(flow.energy, start, 0.7), np.random.default_rng(1)
    p, way = 0.1 * rng.normal(size=(2, len(dual.targets)))
    eps = 1e-4
    here, up, down = (dual.at(p + k * eps * way) for k in (0, 1, -1))
    assert (up.value - down.value) / (2 * eps) == pytest.approx(float(dual.omega @ (here.ahead * way)), rel=1e-6)
    # the step solves (-D'') step = D': along it the slope falls as it should
    step = dual.step(here)
    ahead = (dual.at(p + eps * step).ahead - dual.at(p - eps * step).ahead) / (2 * eps)
    np.testing.assert_allclose(-ahead, here.ahead, atol=1e-6 * np.abs(here.ahead).max())


@pytest.mark.parametrize("name", FLOWS)
def test_the_gap_is_that_of_a_coupling(name):
    """By plain loops over pairs of cells: gamma has the marginals, and |f - y|^2/2 + 2T KL - D = |f - y - p|^2/2."""
    flow, tau = FLOWS[name](), 0.5
    start = SoftMin(24).init(flow).measure
    dual = Softened.of(flow.energy, start, tau)
    p = 0.2 * np.random.default_rng(2).normal(size=len(dual.targets))
    here, mu, sharp = dual.at(p), start.weights, 2.0 * flow.energy.temperature
    risk, h = flow.energy.risk, float(start.grid.widths[0])
    kernel = heat(24, flow.domain.periodic[0], tau * flow.energy.temperature / h**2).kernel
    potential = (risk.data.weights * p) @ risk.neuron.value(risk.data.inputs, start.points)
    gamma = kernel * np.exp(-potential / sharp)[None, :]
    gamma *= (mu / gamma.sum(axis=1))[:, None]
    np.testing.assert_allclose(gamma.sum(axis=0), here.masses.ravel(), atol=1e-14)
    divergence = float(np.sum(gamma * np.log(gamma / (mu[:, None] * kernel))))
    f = risk.neuron.value(risk.data.inputs, start.points) @ gamma.sum(axis=0)
    cost = 0.5 * float(risk.data.weights @ (f - risk.data.targets) ** 2) + sharp * divergence
    assert cost - here.value == pytest.approx(dual.gap(here), abs=1e-13)


@functools.cache
def reference(name):
    """Finite volumes in 640 steps: half the steps change W2 by 2e-5, twice the cells by less than 5e-5."""
    flow = FLOWS[name]()
    return flow, solve(flow, ScharfetterGummel(128), steps=640).final


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_order_one_against_finite_volumes(name):
    """W2 at the horizon by 2, 4, 8, 16 steps: order 0.85 on the finest three, the last below 3e-3; mass to 1e-12."""
    flow, exact = reference(name)
    runs = [solve(flow, SoftMin(128), steps=n) for n in (2, 4, 8, 16)]
    errors = np.array([w2(run.final, exact) for run in runs])
    assert np.log2(errors[:-1] / errors[1:])[1:].min() >= 0.85
    assert errors[-1] < 3e-3
    assert max(abs(run.final.mass - 1.0) for run in runs) <= 1e-12


def test_order_one_in_the_plane():
    """H^-1 distances of successive halvings of the step: order at least 0.85, on 40 cells an axis."""
    flow = problems.two_layer_1d(temperature=0.05, horizon=0.5, nodes=12).flow
    ends = [solve(flow, SoftMin(40), steps=n).final for n in (2, 4, 8, 16)]
    apart = np.array([distance(a, b) for a, b in itertools.pairwise(ends)])
    assert np.log2(apart[:-1] / apart[1:]).min() >= 0.85


def test_order_two_in_space():
    """W2 of 32, 64, 128 cells at four steps: order at least 1.85."""
    flow = on_interval()
    ends = [solve(flow, SoftMin(n), steps=4).final for n in (16, 32, 64, 128)]
    apart = np.array([w2(a, b) for a, b in itertools.pairwise(ends)])
    assert np.log2(apart[:-1] / apart[1:])[-1] >= 1.85


@pytest.mark.parametrize("temperature", [1e-2, 1e-4])
def test_a_little_noise_and_a_giant_step(temperature):
    """exp(-G/2T) spans up to thousands of orders of magnitude: one maximum all the same, mass kept, risk down."""
    flow = on_circle(temperature, horizon=100.0)
    run = solve(flow, SoftMin(256), steps=2)
    assert abs(run.final.mass - 1.0) <= 1e-12
    assert run.final.values.min() >= 0.0
    assert run.diagnostics["residual"].max() <= 1e-10
    before, after = (flow.energy.explicit(pi) for pi in (run.measures[0], run.final))
    assert after < 0.2 * before


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_it_takes_noise_and_that_alone(temperature):
    """Without a temperature refused; with one taken."""
    reason = SoftMin(16).refusal(problems.two_layer_1d(temperature=temperature).flow)
    assert (reason is None) == (temperature > 0.0)


def test_a_density_stays_one_where_nothing_drives_it():
    """Zero residual everywhere: heat alone, whose equilibrium is uniform, to rounding."""
    line = interval(0.0, 1.0)
    neuron, grid = BumpNeuron(0.2, line), on_interval().grid(32)
    uniform = Density(grid, np.ones(32))
    x = np.linspace(0.0, 1.0, 5)[:, None]
    y = neuron.value(x, grid.centres) @ uniform.weights
    flow = Flow(Energy(Risk(neuron, Data(x, y)), Entropy(0.1)), line, Uniform(line), 3.0)
    np.testing.assert_allclose(solve(flow, SoftMin(32), steps=2).final.values, 1.0, rtol=1e-12)
