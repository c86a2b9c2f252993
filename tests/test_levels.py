"""From which cells on a study asks for an order: an order is a limit, and cells as wide as the law refute none."""

import pytest

from solvers.finite_volume import Muscl, ScharfetterGummel
from solvers.particles import GradientFlow
from solvers.spectral import Fourier
from wflow import problems, solve
from wflow.app.levels import narrow
from wflow.app.study import study


def rows(problem, solver, claim):
    """Certificates of a quick study whose claim begins so."""
    found = study(problem.name, dict(problem.parameters), solver, True)
    return [row.certificate for row in found.rows if row.certificate and row.certificate.claim.startswith(claim)]


@pytest.mark.parametrize(
    ("given", "cells", "times"), [({}, 128, 1), ({}, 64, 1), ({"lam": 0.05}, 128, 2), ({"lam": 0.05}, 64, 4)]
)
def test_cells_are_at_most_six_tenths_of_the_law(given, cells, times):
    """Window over cells against the least standard deviation on the way: .5 from N(-1, .25), 12 at least to a wall."""
    problem = problems.gaussian_langevin(**given)
    run = solve(problem.flow, ScharfetterGummel(cells), steps=4)
    width = run.measures[0].grid.widths[0]
    assert narrow(problem, run) == times
    assert (width <= 0.6 * 0.5) == (times == 1) and width <= 0.6 * 0.5 * times
    assert narrow(problem, solve(problems.linear_neuron().flow, GradientFlow(4), steps=2)) == 1


def test_a_wide_window_does_not_hide_the_order():
    """lam = .05: the minimiser is four times as wide as the start, so is the window; from 32 cells on order 2 is seen
    as .94 and 1.48 (cells of 1.6 to .2 against .5), from 128 on as 1.94.
    """
    (order,) = rows(problems.build("gaussian_langevin", lam=0.05), ScharfetterGummel(64), "order in space")
    assert order.holds and order.measured > 1.9


@pytest.mark.slow
@pytest.mark.parametrize(("temperature", "claim"), [(0.5, "order in time"), (0.02, "order in space")])
def test_a_quick_study_asks_the_levels_of_the_full_one(temperature, claim):
    """Where its own show no order: 1.30 in time from 135 steps at the edge of stability, 1.82 in space by 128 cells."""
    (order,) = rows(problems.build("displacement_convex", temperature=temperature), Muscl(64), claim)
    assert order.holds and order.measured > 1.9


def test_modes_that_are_cut_off_on_the_way_are_kept():
    """von_mises_langevin, T = .01: twelve modes leave 1.6e-2 at t = 4, though 1e-4 at the end, and the energy identity
    stalls at 8e-7; with twice as many its order is that of the steps.
    """
    (identity,) = rows(problems.build("von_mises_langevin", temperature=0.01), Fourier(24), "energy identity")
    assert identity.holds and "nothing left" not in identity.claim and identity.measured > 3.85
