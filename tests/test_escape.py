"""SGD leaves the sharp and uneven minimum at which gradient descent stays: thresholds, exact exit laws, and paths."""

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from solvers.particles import Sampled
from solvers.stochastic import StochasticGradient
from wflow import Atoms, Data, Energy, Flow, Risk, line, solve
from wflow.errors import NotConverged
from wflow.stability import (
    Valleys,
    WithoutReplacement,
    almost_sure_rates,
    exit_times,
    exits,
    factor,
    largest_rate,
    lyapunov,
    paths,
    ruin,
)

TOY = Valleys()
A = TOY.curvatures


def test_the_numbers_of_the_example():
    """a_i = .2, 3.8: a = 2, s = 1.8, factor at eta = .7 of 1.7476 for SGD and .16 for descent at both minima; mean
    square up to 4/7.24, almost surely up to (4 - 9.92^(1/2))/1.52, where (1 - .2 eta)(3.8 eta - 1) = 1 (derived)."""
    assert (A.mean(), A.std()) == pytest.approx((2.0, 1.8), rel=1e-15)
    one = WithoutReplacement(2)
    assert float(factor(0.7, 2.0, 1.8, one)) == pytest.approx(1.7476, rel=1e-14)
    assert float(factor(0.7, 2.0, 0.0, one)) == pytest.approx(0.16, rel=1e-14)
    assert largest_rate(2.0, 1.8, one) == pytest.approx(4.0 / 7.24, rel=1e-15)
    assert largest_rate(2.0, 1.8, WithoutReplacement(2, 2)) == pytest.approx(1.0, rel=1e-15)
    assert lyapunov(A, 0.7) == pytest.approx(0.5 * math.log(0.86 * 1.66), rel=1e-14)
    first, second = almost_sure_rates(A)
    assert first[1] == pytest.approx((4.0 - math.sqrt(9.92)) / 1.52, rel=1e-13)
    # the second: 1 - .2 eta changes its sign at eta = 5, so eta from +1 and -1
    assert second == pytest.approx(((4.0 + math.sqrt(9.92)) / 1.52, 4.0 / 0.76), rel=1e-13)
    assert second[0] < 5.0 < second[1]


def test_descent_and_slopes_of_the_valleys():
    """f >= 0 with its zeros at 0 and 1; slopes are those of differences; within `reach` of 1 steps are linear."""
    x = np.linspace(-2.0, 5.0, 1401)
    h = 1e-6
    differences = (TOY.values(x + h) - TOY.values(x - h)) / (2.0 * h)
    # off the places where the parabolas meet
    assert np.sum(np.abs(differences - TOY.slopes(x)) > 1e-6) <= 4
    assert TOY.values(np.array([0.0, 1.0])) == pytest.approx(np.zeros((2, 2)))
    near = 1.0 + 0.999 * TOY.reach * np.array([-1.0, -0.5, 0.5, 1.0])
    assert TOY.slopes(near) == pytest.approx(A[:, None] * (near - 1.0))
    beyond = np.array([1.0 - 1.001 * TOY.reach])
    assert abs(TOY.slopes(beyond)[1, 0] - A[1] * (beyond[0] - 1.0)) > 1.0


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_thousand_paths_leave_and_descent_stays(seed):
    """From 1 + 1e-3 at eta = .7: all of 1000 SGD paths pass |x - 1| = .3 within 2000 steps, descent never (it falls
    by .4 a step), and from near 0 none leaves: there both curvatures are 2."""
    left = exit_times(TOY, 0.7, distance=1e-3, radius=0.3, steps=2000, runs=1000, seed=seed)
    assert np.all(left <= 2000)
    assert np.all(np.isinf(exit_times(TOY, 0.7, distance=1e-3, radius=0.3, steps=2000, runs=1, seed=None)))
    descent = paths(TOY, np.array([1.001]), 0.7, steps=10, seed=None)[:, 0]
    assert descent - 1.0 == pytest.approx(1e-3 * (-0.4) ** np.arange(11), abs=1e-15)
    assert np.max(np.abs(paths(TOY, np.full(100, 0.2), 0.7, steps=200, seed=seed)[-1])) < 1e-12


def enumerated(eta, ratio, steps):
    """P(tau = t) by all 2^steps words."""
    chance = np.zeros(steps)
    for word in product(np.abs(1.0 - eta * A), repeat=steps):
        out = np.flatnonzero(np.cumprod(word) >= ratio)
        if len(out):
            chance[out[0]] += 0.5**steps
    return chance


@pytest.mark.parametrize(
    ("eta", "ratio"), [(0.7, 3.0), (0.55, 2.0), (1.0 / 3.8, 2.0), (0.9, 50.0), (5.0, 3.0), (12.0, 9.0)]
)
def test_the_law_of_the_exit_is_that_of_all_words(eta, ratio):
    """Exact, by enumeration of 2^10 words; also where a factor is 0."""
    assert exits(A, eta, ratio, 10) == pytest.approx(enumerated(eta, ratio, 10), abs=1e-15)


def test_exits_of_paths_have_their_law():
    """2000 paths from 1e-5 at eta = .7, radius .3: mean time and each of nine tails of the law within 4 standard
    errors. E tau = (log(r/d) + E overshoot)/lambda (Wald), the overshoot between 0 and log 1.66."""
    times = exit_times(TOY, 0.7, distance=1e-5, radius=0.3, steps=2000, runs=2000, seed=3)
    law, t = exits(A, 0.7, 0.3e5, 2000), np.arange(1, 2001)
    assert law.sum() == pytest.approx(1.0, abs=1e-12)
    mean = float(t @ law)
    assert abs(times.mean() - mean) <= 4.0 * times.std() / math.sqrt(2000)
    assert 0.0 < mean * lyapunov(A, 0.7) - math.log(0.3e5) < math.log(1.66)
    for place in range(40, 85, 5):
        tail = float(law[:place].sum())
        assert abs(np.mean(times <= place) - tail) <= 4.0 * math.sqrt(tail * (1.0 - tail) / 2000)


@pytest.mark.parametrize("eta", [0.553, 0.555, 0.557])
def test_between_the_thresholds_some_leave(eta):
    """P(ever |x| >= r) <= (d/r)^theta, and not below (d/(M r))^theta, M the larger factor, as |x_tau| < M r (optional
    stopping); theta from 2 at the one threshold to 0 at the other. 3000 steps stand for all (exact law)."""
    theta = ruin(A, eta)
    assert 0.0 < theta < 2.0
    assert np.mean(np.abs(1.0 - eta * A) ** theta) == pytest.approx(1.0, abs=1e-12)
    found = exits(A, eta, 20.0, 3000).sum()
    assert 20.0**-theta * np.max(np.abs(1.0 - eta * A)) ** -theta <= found
    assert found <= 20.0**-theta


def test_the_exponent_of_ruin_at_its_ends():
    """2 at the threshold of the mean square, 0 from the almost sure one on, infinite where all factors are below 1."""
    assert ruin(A, 4.0 / 7.24) == pytest.approx(2.0, abs=1e-10)
    assert ruin(A, 0.5595) == 0.0
    assert ruin(A, 0.5) == math.inf
    assert ruin([0.0, 1.0, 3.0], 0.8) > 0.0


@pytest.mark.parametrize("n", [1, 2, 3, 7, 40])
def test_almost_sure_rates_are_all_of_them(n):
    """lambda < 0 just inside of each interval, > 0 outside, on a grid; first of them from 0, beyond mean square."""
    a = np.random.default_rng(n).exponential(size=n)
    found = almost_sure_rates(a)
    assert found[0][0] == 0.0
    assert found[0][1] >= largest_rate(float(a.mean()), float(a.std()), WithoutReplacement(n)) * (1.0 - 1e-12)
    for eta in np.geomspace(1e-3, 20.0 / a.min(), 997):
        inside = any(low < eta < high for low, high in found)
        assert (lyapunov(a, float(eta)) < 0.0) == inside


class Root:
    """One neuron psi(x; w) whose square over 2 is f_i: (2 p_i)^(1/2) w or (2 q_i)^(1/2) (w - 1) at the input i."""

    activation, inputs, names, domain = SimpleNamespace(curvature=None), 1, ("w",), line()

    def _active(self, x, w):
        i = x[:, 0].astype(int)
        p, q = np.array(TOY.flat)[i, None], np.array(TOY.sharp)[i, None]
        at = w[:, 0][None, :]
        left = p * at**2 <= q * (at - 1.0) ** 2
        return np.sqrt(2.0 * np.where(left, p, q)), at - np.where(left, 0.0, 1.0)

    def value(self, x, w):
        slope, place = self._active(x, w)
        return slope * place

    def gradient(self, x, w):
        return (self._active(x, w)[0] + 0.0 * w[:, 0])[:, :, None]


@pytest.mark.slow
def test_the_house_descends_alike():
    """StochasticGradient on a network of one neuron whose risk is f, its draws given to the plain iteration: the same
    path to 1e-12 over 120 steps, from 1 + 1e-3 to the minimum at 0."""
    data = Data(np.array([[0.0], [1.0]]), np.zeros(2), np.full(2, 0.5))
    flow = Flow(Energy(Risk(Root(), data)), line(), Atoms(line(), np.array([[1.001]])), 0.7 * 120)
    method = StochasticGradient(particles=1, batch=1, seed=5, start=Sampled(0))
    run = solve(flow, method, dt=0.7, times=(0.7 * np.arange(1, 121)).tolist())
    x, own = np.array([1.001]), [1.001]
    for step in range(120):
        chosen = method.rows.batch(data, 1, method.seed, step).inputs[:, 0].astype(int)
        x = TOY.after(x, 0.7, chosen)
        own.append(float(x[0]))
    assert [float(pi.points[0, 0]) for pi in run.measures] == pytest.approx(own, abs=1e-12)
    assert abs(own[-1]) < 1e-12 and max(abs(x - 1.0) for x in own) > 0.3


def test_doors():
    """Arguments are refused by name; a path that runs off is a named failure."""
    for wrong, words in (
        (lambda: exits([1.0, 2.0, 3.0], 0.5, 2.0, 5), "two"),
        (lambda: exits(A, 0.5, 1.0, 5), "ratio"),
        (lambda: lyapunov([-1.0], 0.5), "curvatures"),
        (lambda: almost_sure_rates([0.0]), "not all"),
        (lambda: exit_times(TOY, 0.7, distance=0.4, radius=0.3, steps=5, runs=1, seed=0), "inside"),
        (lambda: Valleys(sharp=(0.1, -1.0)), "sharp"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    with pytest.raises(NotConverged, match="smaller eta"):
        paths(TOY, np.array([1.5]), 30.0, steps=200, seed=0)
