"""Finite networks about their limit: the closed sum, the rates behind it, samples about their law, and the study."""

import math

import numpy as np
import pytest

from wflow import Particles, Uniform, activation, circle, interval, problems, w2
from wflow.app.studies import STUDIES, Entry
from wflow.app.studies.fluctuations import NETWORKS, RUNS, SAMPLES, closed, falling, measure, pooled
from wflow.fluctuations import observed, predicted, relu_tail, squared_on_circle, squared_on_interval
from wflow.many import Many
from wflow.spectrum import kernel_coefficients


def coefficients(name, count=400):
    return kernel_coefficients(activation(name, NETWORKS[name][0]), "gaussian", count)


def test_the_sum_begins_with_the_static_fluctuation():
    """t = 0: int k(w, w) dpi - int int k dpi dpi, for ReLU and Gaussian inputs 1/2 - 2/pi^2; cos - sin: 1 - a_0."""
    assert closed("relu", np.zeros(1))[0] == pytest.approx(0.5 - 2.0 / math.pi**2, abs=1e-11)
    assert closed("cos_minus_sin", np.zeros(1))[0] == pytest.approx(1.0 - coefficients("cos_minus_sin")[0], abs=1e-14)


def test_the_sum_ends_as_derived():
    """ReLU: (pi^(3/2)/16) t^(-3/2), off by 7 % at t = 100 and 1.1 % at 1000, less beyond; it falls at all times."""
    times = np.array([100.0, 1e3, 1e4, 1e5])
    ratio = closed("relu", times) / relu_tail(times)
    assert ratio[0] == pytest.approx(0.93, abs=0.01)
    assert np.all(np.abs(ratio[1:] - 1.0) < [0.012, 0.002, 0.001])
    assert np.all(np.diff(closed("relu", np.linspace(0.0, 50.0, 60))) < 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_modes_fall_at_the_rates_of_the_sum(name):
    """512 equispaced neurons shifted by e cos(n theta) move by -lambda_n e cos(n theta), lambda_n = n^2 a_n/2."""
    flow, m, e = problems.circle_teacher(name, NETWORKS[name][0], modes={}).flow, 512, 1e-6
    many, even = Many(flow.energy, flow.domain, np.full(m, 1.0 / m)), 2 * math.pi * (np.arange(m) + 0.5) / m
    a = coefficients(name)
    for n in (1, 2, 3, 4):
        velocity = many.velocity((even + e * np.cos(n * even))[None, :, None])[0, :, 0]
        rest = many.velocity(even[None, :, None])[0, :, 0]
        found = -2.0 * np.mean((velocity - rest) * np.cos(n * even)) / e
        assert found == pytest.approx(0.5 * n**2 * a[n], abs=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_observed_is_twice_the_risk(name):
    """sum a_n |c_n|^2 = 2 F for any neurons; ReLU's sum is cut off after 400 modes, 1e-9."""
    flow, m = problems.circle_teacher(name, NETWORKS[name][0], modes={}).flow, 7
    w = np.random.default_rng(0).uniform(0.0, 2 * math.pi, (3, m, 1))
    many = Many(flow.energy, flow.domain, np.full(m, 1.0 / m))
    found = observed(many.modes(w, 400), coefficients(name))
    np.testing.assert_allclose(found, 2.0 * many.value(w), atol=1e-8)


@pytest.mark.parametrize(
    ("domain", "squared"), [(interval(0.0, 1.0), squared_on_interval), (circle(), squared_on_circle)]
)
def test_squared_distances_are_those_of_w2(domain, squared):
    """Rows of points against wflow.w2 to the uniform law."""
    w = np.random.default_rng(1).uniform(domain.lower[0], domain.upper[0], (4, 9))
    expected = [w2(Particles(domain, row[:, None]), Uniform(domain)) ** 2 for row in w]
    np.testing.assert_allclose(squared(w), expected, rtol=1e-12)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("m", [1, 2, 30])
def test_mean_squared_distance_of_samples(name, m):
    """E W2^2 = 1/(6m) on [0, 1], pi^2/(3m) on the circle, for every m, within 3 standard errors of 4000 draws."""
    sample = SAMPLES[name]
    values = sample.squared(np.random.default_rng([5, m]).random((4000, m)) * sample.length)
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean() - sample.scaled / m) <= 3.0 * error + 1e-12


def entries(off=0.0, power=-1.0, rise=0.0, distance=0.0, error=0.01):
    """A study that went as predicted, or did not; `off` in standard errors, the rest as factors."""
    out = []
    for name, (_, _, times) in NETWORKS.items():
        t = np.array([0.0, *times])
        for m in (50, 100, 200):
            known = closed(name, t)
            mean = known * (m / 200) ** (power + 1.0) * (1.0 + off * error) + rise * np.arange(len(t))
            record = {"times": t.tolist(), "mean": mean.tolist(), "error": (error * known).tolist()}
            out.append(Entry({"of": name, "particles": m, "seed": 0}, record))
    for name, sample in SAMPLES.items():
        mean, spread = [sample.scaled * (1.0 + distance * error)], [sample.scaled * error]
        out.append(Entry({"of": name, "particles": 5, "seed": 0}, {"times": [0.0], "mean": mean, "error": spread}))
    return out


def test_claims_can_fail():
    """A loss off by 3.5 standard errors, fluctuations that fall as m^(-.8) or rise, distances off by 3.5."""

    def failing(**wrong):
        return [c.claim for c in STUDIES["fluctuations"].judged(entries(**wrong)) if not c.holds]

    assert failing() == []
    assert ["closed sum" in claim for claim in failing(off=3.5)] == [True, True]
    assert ["slope" in claim for claim in failing(power=-0.8)] == [True, True]
    assert any("vanish" in claim for claim in failing(rise=0.2))
    assert ["W2^2" in claim for claim in failing(distance=3.5)] == [True, True]


def test_pooled_groups_and_slopes():
    """Groups of equal size: means of means, errors by the root of the sum of squares; a slope with its error."""
    one = {"times": [0.0], "mean": [1.0], "error": [0.3]}
    two = {"times": [0.0], "mean": [2.0], "error": [0.4]}
    both = [Entry({"of": "relu", "particles": 50, "seed": s}, r) for s, r in enumerate((one, two))]
    _, mean, error, runs = pooled(both, "relu")[50]
    assert (mean[0], error[0], runs) == (1.5, 0.25, 2 * RUNS)
    t = np.zeros(1)
    slope, spread = falling({10: (t, t + 1.0, t + 0.1, 1), 40: (t, t + 1.0, t + 0.1, 1)}, 0)
    assert slope == pytest.approx(-1.0)
    assert spread == pytest.approx(0.1 * math.sqrt(2.0) / math.log(4.0))


@pytest.mark.slow
def test_a_group_of_networks_is_measured():
    """500 runs of 100 neurons: within 3 standard errors of the sum up to t = 5, where 1/m is still below them."""
    found = measure("cos_minus_sin", 100, 0)
    times, mean, error = (np.array(found[key])[:4] for key in ("times", "mean", "error"))
    assert np.max(np.abs(mean - closed("cos_minus_sin", times)) / error) <= 3.0
    assert predicted(coefficients("cos_minus_sin"), times) == pytest.approx(closed("cos_minus_sin", times), abs=1e-14)
