"""Entropic fictitious play: exact means and variances of Gaussians, its proved rate, its ledger, and its rest.

gaussian_langevin: V_0[pi] = a (mean - b) w + lam w^2/2, so Phi = N(c, T/lam), c = -a (mean - b)/lam, and with s the
second moment

    mean' = rate (c - mean),       s' = rate (T/lam + c^2 - s)                     (derived: moments of the mixture)
"""

import math

import numpy as np
import pytest

from solvers.fictitious_play import FictitiousPlay
from wflow import Refused, problems, solve, w2

A, B, LAM, T = 1.0, 1.0, 0.5, 0.2


def gaussian(rate, t, mean, second):
    """Mean and second moment at time t: c and mean are linear, c^2 a sum of exponentials."""
    rest, fall = A * B / (A + LAM), rate * (A + LAM) / LAM
    away = mean - rest
    level = T / LAM + rest**2
    cross, square = -2.0 * rest * A / LAM * away, (A / LAM * away) ** 2
    found = level + (second - level) * math.exp(-rate * t)
    for part, speed in ((cross, fall), (square, 2.0 * fall)):
        found += rate * part * (math.exp(-speed * t) - math.exp(-rate * t)) / (rate - speed)
    return rest + away * math.exp(-fall * t), found


@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_gaussians_have_their_exact_means_and_second_moments(rate):
    """Order 2 in time; rate 1.0 and 0.4 at a = b = 1, lam = .5, T = .2."""
    flow = problems.gaussian_langevin(a=A, b=B, lam=LAM, temperature=T, mean=-1.0, var=0.1, horizon=2.0).flow
    errors = []
    for steps in (40, 80):
        pi = solve(flow, FictitiousPlay(400, rate=rate), steps=steps).final
        w = pi.points[:, 0]
        mean, second = gaussian(rate, 2.0, -1.0, 0.1 + 1.0)
        errors.append(max(abs(pi.weights @ w - mean), abs(pi.weights @ w**2 - second)))
    assert errors[1] < 2e-3 and math.log2(errors[0] / errors[1]) > 1.8


def test_f_falls_at_the_proved_rate_and_by_what_is_dissipated():
    """von_mises_langevin: inf F in closed form; the ledger at order 2; at rest the minimiser."""
    problem = problems.von_mises_langevin(horizon=8.0)
    misses = []
    for steps in (40, 80):
        run = solve(problem.flow, FictitiousPlay(128, rate=0.7), steps=steps)
        above = run.energies - problem.lowest
        assert np.all(above <= above[0] * np.exp(-0.7 * run.times) + 1e-10)
        misses.append(abs(run.energies[0] - run.energies[-1] - run.dissipated[-1]))
    assert misses[1] < 1e-3 and 1.8 < math.log2(misses[0] / misses[1]) < 2.3
    assert w2(run.final, problem.minimiser) < 0.05


def test_any_step_is_positive_and_of_mass_one_and_a_giant_one_is_the_best_answer_to_one():
    """From a start that cells see as zero in places, at a temperature at which most of Phi underflows."""
    flow = problems.von_mises_langevin(temperature=1e-5).flow
    run = solve(flow, FictitiousPlay(64, rate=50.0), steps=2)
    assert run.final.least >= 0.0 and abs(run.final.mass - 1.0) < 1e-12 and np.all(np.isfinite(run.dissipated))


def test_what_has_no_best_answer_is_refused():
    for flow in (problems.circle_teacher().flow, problems.barenblatt().flow):
        with pytest.raises(Refused, match="temperature 0"):
            solve(flow, FictitiousPlay(32), steps=2)
    with pytest.raises(ValueError, match="rate"):
        FictitiousPlay(32, rate=0.0)
