"""Particles on kinks of V: closed cases of one kink, and the network of one input whose neurons gather on its data."""

import numpy as np
import pytest

from solvers.particles import GradientFlow
from wflow import Atoms, Energy, Flow, Potential, plane, problems, solve
from wflow.app.study import study
from wflow.held import held


def kink(sign, tilt=0.0):
    """V = sign |w_1| + tilt w_1 + w_2 from eight atoms with w_1 from -.35 to .35."""
    return moved(lambda x: sign * np.abs(x) + tilt * x, lambda x: sign * np.sign(x) + tilt, np.zeros_like)


def moved(value, slope, second, wide=0.35):
    """V = value(w_1) + w_2, eight atoms, twenty steps of .05."""

    def field(w, derivative):
        x, zero = w[:, 0], np.zeros(len(w))
        if derivative == 0:
            return value(x) + w[:, 1]
        if derivative == 1:
            return np.column_stack([slope(x), zero + 1.0])
        return np.stack([np.column_stack([second(x), zero]), np.zeros((len(w), 2))], axis=1)

    start = Atoms(plane(), np.column_stack([np.linspace(-wide, wide, 8), np.zeros(8)]))
    return solve(Flow(Energy(Potential(field, "kink")), plane(), start, 1.0), GradientFlow(8), steps=20)


def test_a_valley_holds_a_ridge_does_not():
    """V = |w_1| + w_2: all eight arrive and stay, and F falls by 1 + mean |w_1| while |grad V|^2 = 2 says 2. Neither a
    ridge holds any, nor a kink that is crossed (|w_1| + 3 w_1), nor a smooth valley narrower than a step,
    nor a valley of 1e-9 beside a slope of 1, which is what rounding looks like.
    """
    run = kink(1.0)
    assert held(run) == 8
    lost = run.energies[0] - run.energies[-1]
    assert lost == pytest.approx(1.2, abs=0.06) and run.dissipated[-1] >= 1.5
    assert held(kink(-1.0)) == 0
    assert held(kink(1.0, 3.0)) == 0
    h = 0.02
    smooth = moved(
        lambda x: h * np.log(np.cosh(x / h)), lambda x: np.tanh(x / h), lambda x: 1.0 / (h * np.cosh(x / h) ** 2)
    )
    assert held(smooth) == 0
    rounding = moved(lambda x: 1e-9 * np.abs(x), lambda x: 1e-9 * np.sign(x), np.zeros_like, 1e-11)
    assert held(rounding) == 0


@pytest.mark.slow
def test_neurons_gather_on_their_data_without_noise():
    """univariate_relu at T = 0: no identity is asked, and the row says how many neurons are held; all others hold."""
    problem = problems.build("univariate_relu", temperature=0.0)
    rows = study(problem.name, dict(problem.parameters), GradientFlow(100), True).rows
    assert all(row.holds for row in rows)
    (refusal,) = [row.refusal for row in rows if row.refusal.startswith("energy identity")]
    assert "are held on them" in refusal
