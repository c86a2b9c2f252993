"""Many measures at once, and ensembles of independent runs: against one measure, one run, and exact moments."""

import math

import numpy as np
import pytest

from solvers.ensemble import ensemble
from solvers.langevin import Langevin
from solvers.particles import GradientDescent, GradientFlow, NormDescent, Sampled
from wflow import Atoms, Energy, Entropy, Flow, Gaussian, Particles, Potential, Refused, compiled, line, problems, solve
from wflow.many import Many

SEEN = {
    "linear_neuron": {},
    "circle_teacher": {"b": 2.0},
    "circle_teacher relu": {"activation": "relu"},
    "circle_teacher threshold": {"activation": "relu", "b": 0.4, "inputs": "circle"},
    "sawtooth": {},
    "quadratic_neuron": {},
    "two_layer_1d": {},
    "aggregation": {},
    "sphere_teacher": {},
    "ornstein_uhlenbeck_2d": {},
}


def of(name, **more):
    return problems.build(name.split()[0], **SEEN.get(name, {}), **more).flow


def rows(flow, count=3, m=8, seed=0):
    d = flow.domain.dim
    return flow.domain.retract(2.0 * np.random.default_rng(seed).standard_normal((count * m, d))).reshape(count, m, d)


@pytest.mark.parametrize("numba", [pytest.param(True, marks=pytest.mark.slow), False])
@pytest.mark.parametrize("name", SEEN)
def test_many_measures_are_each_of_them(name, numba, monkeypatch):
    """-grad V and F of each row, with unequal weights, as the energy has them of it alone: 1e-13 of the largest."""
    if numba and not compiled.available():
        pytest.skip("numba is not installed")
    monkeypatch.setattr(compiled, "available", lambda: numba)
    flow = of(name)
    w, weights = rows(flow), np.arange(1.0, 9.0) / 36.0
    many = Many(flow.energy, flow.domain, weights)
    alone = [Particles(flow.domain, row, weights) for row in w]
    velocity = np.stack([flow.energy.velocity(pi, pi.points) for pi in alone])
    value = np.array([flow.energy.explicit(pi) for pi in alone])
    np.testing.assert_allclose(many.velocity(w), velocity, rtol=0, atol=1e-13 * np.max(np.abs(velocity)))
    np.testing.assert_allclose(many.value(w), value, rtol=0, atol=1e-13 * max(1.0, np.max(np.abs(value))))


def test_what_is_asked_row_by_row_is_said():
    """Sums over pairs are slow, modes and data are not."""
    assert len(Many(of("aggregation").energy, of("aggregation").domain, np.ones(1)).slow) == 2
    for name in ("linear_neuron", "two_layer_1d", "ornstein_uhlenbeck_2d"):
        assert Many(of(name).energy, of(name).domain, np.ones(1)).slow == ()


def test_modes_and_predictions():
    """c_n of each row as of the measure; f_r at the data as the energy predicts; none without a Risk."""
    flow = of("linear_neuron")
    w = rows(flow)
    many = Many(flow.energy, flow.domain, np.full(8, 1 / 8))
    np.testing.assert_allclose(many.modes(w, 3)[1], Particles(flow.domain, w[1]).modes(3), atol=1e-15)
    with pytest.raises(Refused, match="no Risk"):
        many.predict(w)
    flow = of("two_layer_1d")
    w = rows(flow)
    found = Many(flow.energy, flow.domain, np.full(8, 1 / 8)).predict(w)
    np.testing.assert_allclose(found[2], flow.energy.predict(Particles(flow.domain, w[2])), atol=1e-14)


@pytest.mark.parametrize("method", [GradientFlow(8), GradientDescent(8)], ids=str)
def test_a_deterministic_ensemble_is_the_run(method):
    """From quantiles every run is that of `solve`, at every saved time: 1e-12; from Atoms with their weights."""
    circle = of("linear_neuron")
    heavy = Atoms(circle.domain, np.array([[0.3], [1.0], [4.0]]), np.array([0.2, 0.5, 0.3]))
    for flow in (circle, Flow(circle.energy, circle.domain, heavy, circle.horizon)):
        run = solve(flow, method, steps=40, times=[1.0, 4.0])
        found = ensemble(flow, method, runs=2, steps=40, times=[1.0, 4.0])
        np.testing.assert_array_equal(found.times, run.times)
        for k, pi in enumerate(run.measures):
            np.testing.assert_allclose(found.values[k, 1], pi.points, atol=1e-12)


def test_norm_descent_keeps_its_scales():
    """A method with scaled steps moves rows with its scales: as `solve`, 1e-12."""
    flow = problems.relu_teacher_space().flow
    method = NormDescent(6, Sampled(0))
    begun = method.start.points(flow, 6)
    posed = Flow(flow.energy, flow.domain, Atoms(flow.domain, begun), flow.horizon)
    end = solve(posed, method, steps=50).final.points
    np.testing.assert_allclose(ensemble(posed, method, runs=1, steps=50).values[-1, 0], end, atol=1e-12)


def warm(m, **more):
    flow = of("linear_neuron")
    return Flow(Energy(*flow.energy.terms, Entropy(0.1)), flow.domain, flow.initial, 1.0), Langevin(m, **more)


@pytest.mark.slow
def test_neither_threads_nor_other_runs_change_a_bit():
    """The first runs of an ensemble, by one thread or three; other seeds are other runs. 2100 runs are three groups."""
    flow, method = warm(8, start=Sampled(0))
    whole = ensemble(flow, method, runs=2100, seed=3, steps=3, threads=3).values
    np.testing.assert_array_equal(ensemble(flow, method, runs=1100, seed=3, steps=3, threads=1).values, whole[:, :1100])
    assert np.all(ensemble(flow, method, runs=9, seed=4, steps=3).values != whole[:, :9])
    assert len(np.unique(whole[0])) == len(np.unique(whole[1])) == whole[0].size
    # from the same points they part by their noise alone, each group by its own
    parted = ensemble(flow, Langevin(8), runs=1100, seed=3, steps=2).values[-1]
    assert len(np.unique(parted)) == parted.size


def test_moments_of_an_ensemble_are_those_of_the_scheme():
    """dw = -lam w dt + (2T)^(1/2) dB, Euler-Maruyama: mean (1-h)^n m0, variance by v <- (1-h)^2 v + 2 T dt, h = lam dt.

    40000 draws: within 4 standard errors, which are 1 / 200 of the deviation and 2^(1/2)/200 of the variance.
    """
    lam, temperature, steps = 1.5, 0.4, 20
    flow = Flow(
        Energy(Potential.quadratic(lam), Entropy(temperature)), line(), Gaussian(np.array([2.0]), np.array([0.5])), 1.0
    )
    method = Langevin(4, start=Sampled(0))
    # saved on the way: what comes after has numbers of its own
    found = ensemble(flow, method, runs=10_000, seed=1, steps=steps, times=[0.25, 0.5, 1.0]).values[-1].ravel()
    fade, variance = 1.0 - lam / steps, 0.25
    for _ in range(steps):
        variance = fade**2 * variance + 2.0 * temperature / steps
    assert abs(found.mean() - 2.0 * fade**steps) < 4.0 * math.sqrt(variance) / 200.0
    assert abs(found.var() - variance) < 4.0 * math.sqrt(2.0) * variance / 200.0


def test_means_and_standard_errors():
    """mean and error over runs; one run has no error."""
    flow, method = warm(5, start=Sampled(0))
    found = ensemble(flow, method, runs=7, steps=2, times=[0.5, 1.0], observe=lambda w: w[:, :, 0].sum(axis=1))
    assert found.values.shape == (3, 7)
    np.testing.assert_allclose(found.error, found.values.std(axis=1, ddof=1) / 7**0.5)
    assert np.all(np.isnan(ensemble(flow, method, runs=1, steps=2).error))


def test_another_field_moves_the_points():
    """field: the velocity of the limit instead of the network's own; here constant, without noise."""
    flow = of("linear_neuron")
    found = ensemble(flow, GradientFlow(3), runs=2, steps=4, field=lambda w: np.full(w.shape, 0.25))
    np.testing.assert_allclose(found.values[1] - found.values[0], 1.0, rtol=1e-14)


def test_doors():
    """What an ensemble refuses, in words."""
    flow, method = warm(4)
    with pytest.raises(TypeError, match="does not move rows"):
        ensemble(flow, "Langevin", runs=2, steps=2)
    with pytest.raises(ValueError, match="runs"):
        ensemble(flow, method, runs=0, steps=2)
    with pytest.raises(ValueError, match="times"):
        ensemble(flow, method, runs=2, steps=2, times=[2.0])
    with pytest.raises(Refused, match="no entropy"):
        ensemble(of("linear_neuron"), method, runs=2, steps=2)
    steep = Flow(Energy(Potential.quadratic(1e3), Entropy(1.0)), line(), Gaussian(0.0, 1.0), 1e3)
    with pytest.raises(FloatingPointError, match="more steps"):
        ensemble(steep, Langevin(3), runs=2, steps=1000)
    with pytest.raises(ValueError, match="one entry a run"):
        ensemble(flow, method, runs=2, steps=2, observe=lambda w: w.mean())
    with pytest.raises(ValueError, match="observe less"):
        ensemble(flow, method, runs=2, steps=1, observe=lambda w: np.broadcast_to(0.0, (len(w), 1 << 29)))
