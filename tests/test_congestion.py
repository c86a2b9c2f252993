"""Hard congestion: steps against a projection of quantiles, flows against the exact filling, crowds at rest."""

import math

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from solvers.jko import Spline
from wflow import Congestion, Density, Energy, Entropy, Flow, problems, solve, w2
from wflow.measure import Quantiles
from wflow.problems.crowd import nearness

CENTRED = {"place": (1.4, 0.5)}


def projected(start: Density, most: float, tau: float) -> Quantiles:
    """The JKO step of int |x| drho + {rho <= most} on a line by quantiles x(s): a projection in L^2(0, 1).

    sum |x - x_0|^2/(2 tau) + |x| under x' >= 1/most. With x = u + s/most, s from the middle, u increases; by symmetry
    the half s > 0 has |x| = x, so u is the isotonic regression of x_0 - tau - s/most, kept above 0.
    """
    edges = start.grid.edges(0)
    s = (np.arange(20000) + 0.5) / 40000.0
    cumulated = np.concatenate([[0.0], np.cumsum(start.weights)])
    x = np.interp(0.5 + s, cumulated / cumulated[-1], edges)
    half = np.maximum(isotonic_regression(x - tau - s / most).x, 0.0) + s / most
    return Quantiles(start.domain, np.concatenate([-half[::-1], half]))


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("tau", [0.02, 0.1, 0.3])
def test_a_step_is_the_projection(tau, share):
    """W2 to it within a fifth of a cell, for steps of one to thirteen cells; rho <= most (1 + 1e-12), mass to 1e-13."""
    flow = problems.congestion(share=share).flow
    solver = Spline(128)
    state = solver.init(flow)
    most = float(flow.energy.bound(state.measure.grid)[0])
    end = solver.step(flow, state, tau).state.measure
    assert w2(end, projected(state.measure, most, tau)) <= 0.2 * float(end.grid.widths[0])
    assert end.values.max() <= most * (1.0 + 1e-12)
    assert end.mass == pytest.approx(1.0, abs=1e-13)


def to_the_exact(name: str, cells: int, steps: int) -> float:
    """W2 at the horizon."""
    posed = problems.build(name)
    run = solve(posed.flow, Spline(cells), steps=steps)
    law = posed.exact(posed.flow.horizon)
    if posed.flow.domain.dim == 1:
        return w2(run.final, law)
    values = law.averages(run.final.grid)
    return w2(run.final, Density(run.final.grid, values / (values.sum() * run.final.grid.cell_volume)))


@pytest.mark.slow
def test_order_one_in_both_to_the_exact_filling():
    """tau and h halved together, twice, on the line: order .8 at least, the last within a tenth of a cell."""
    errors = [to_the_exact("congestion", cells, steps) for cells, steps in ((64, 8), (128, 16), (256, 32))]
    print("W2 to the exact filling:", errors)
    assert math.log2(errors[0] / errors[2]) / 2.0 >= 0.8
    assert errors[2] <= 0.1 * 3.0 / 256.0


@pytest.mark.slow
def test_order_in_the_plane():
    """Full disc and streaming ring: halved errors, at last .05 cells."""
    errors = [to_the_exact("congestion_2d", cells, steps) for cells, steps in ((48, 6), (96, 12))]
    print("W2 to the exact filling:", errors)
    assert math.log2(errors[0] / errors[1]) >= 0.7
    assert errors[1] <= 0.1 * 3.0 / 96.0


@pytest.mark.parametrize("dim", [1, 2])
def test_the_laws_of_filling_hold_their_mass(dim):
    """The exact laws: mass one, full to s, W2 between times no more than the time (nobody walks faster than 1)."""
    posed = problems.congestion(dim=dim)
    flow = posed.flow
    grid = flow.grid(400 if dim == 1 else 120)
    most = flow.energy.bound(grid)[0]
    c = 0.4 ** (1.0 / dim)
    for t in (0.1, 0.3, 0.9):
        law = posed.exact(t)
        values = law.averages(grid)
        assert values.sum() * grid.cell_volume == pytest.approx(1.0, abs=2e-3 if dim == 2 else 1e-9)
        inside = np.linalg.norm(grid.centres, axis=1) < min(c * t / (1.0 - c), c) - 0.1
        np.testing.assert_allclose(values[inside], most, rtol=2e-3)
        assert values.max() <= most * (1.0 + (1e-9 if dim == 1 else 2e-3))


def test_the_filled_stay():
    """From rest, all full: nobody moves by a tenth of a cell in ten steps, and F does not rise."""
    posed = problems.congestion(share=0.999, horizon=0.5)
    run = solve(posed.flow, Spline(64), steps=10)
    assert w2(run.final, run.measures[0]) <= 0.1 * 3.0 / 64.0
    assert np.all(np.diff(run.energies) <= 1e-13)


@pytest.mark.slow
def test_a_crowd_at_the_door():
    """Without a column the nearest places are full at last: F = most pi R^3/3 = .26596, R^2 = 2/(pi most), to 2 %.

    On cells the least F is that of the sorted cells, below it nobody comes.
    """
    posed = problems.crowd(column=0.0, horizon=2.6)
    run = solve(posed.flow, Spline(48), steps=40)
    radius = math.sqrt(2.0 / (math.pi * 4.0))
    assert run.energies[-1] == pytest.approx(4.0 * math.pi * radius**3 / 3.0, rel=0.02)
    grid = run.final.grid
    far = np.sort(np.linalg.norm(grid.centres - (2.0, 0.5), axis=1))
    room = np.minimum(4.0 * grid.cell_volume, np.maximum(1.0 - 4.0 * grid.cell_volume * np.arange(grid.size), 0.0))
    assert run.energies[-1] >= room @ far - 1e-12
    assert sum(run.diagnostics["fallbacks"]) <= 10.0
    assert max(pi.values.max() for pi in run.measures) <= 4.0 * (1.0 + 1e-8)


@pytest.mark.slow
def test_a_crowd_parts_before_a_column():
    """Nobody in the column, ever; rho <= most; mass; F falls; and the two streams are equal for a column in the middle.

    Equal to a cell's mass, twice: what stands before the column's middle goes either way as a whole.
    """
    posed = problems.crowd(**CENTRED)
    run = solve(posed.flow, Spline(64, tolerance=4e-3), steps=48)
    shut = posed.flow.energy.bound(run.final.grid) == 0.0
    assert shut.sum() > 100
    for pi in run.measures:
        assert np.all(pi.values[shut] == 0.0)
        assert pi.values.max() <= 4.0 * (1.0 + 1e-8)
        assert pi.mass == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.diff(run.energies) < 0.0)
    above = run.final.points[:, 1] > 0.5
    cell = 4.0 * run.final.grid.cell_volume
    assert run.final.weights[above].sum() == pytest.approx(0.5, abs=2.0 * cell)
    # past the column there is somebody on both sides, and the way round is longer than the way through
    past = run.final.points[:, 0] > 1.4
    assert min(run.final.weights[past & above].sum(), run.final.weights[past & ~above].sum()) > 0.1


def test_warm_crowds():
    """With a little entropy the limit still holds; F falls."""
    posed = problems.crowd(column=0.0, temperature=0.02, horizon=0.2)
    run = solve(posed.flow, Spline(32, tolerance=1e-2), steps=8)
    assert max(pi.values.max() for pi in run.measures) <= 4.0 * (1.0 + 1e-8)
    assert np.all(np.diff(run.energies) < 0.0)


def test_limits_that_are_far_change_nothing():
    """rho stays far below `most`: bit for bit the step without it."""
    posed = problems.ornstein_uhlenbeck(std=0.5)
    flow = posed.flow
    limited = Flow(
        Energy(*flow.energy.terms, *flow.energy.internal, Congestion(1e6)), flow.domain, flow.initial, 1.0, flow.window
    )
    solver = Spline(64)
    ends = [solver.step(f, solver.init(f), 0.1).state.measure.values for f in (flow, limited)]
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize("dim", [1, 2])
def test_nearness_and_its_derivatives(dim):
    """|w - door| by differences, 1e-6; at the door itself no slope."""
    door = (0.3, -0.2)[:dim]
    field = nearness(door).field
    w = np.random.default_rng(5).normal(size=(40, dim))
    for axis in range(dim):
        step = np.zeros(dim)
        step[axis] = 1e-5
        slope = (field(w + step, 0) - field(w - step, 0)) / 2e-5
        np.testing.assert_allclose(field(w, 1)[:, axis], slope, atol=1e-6)
        bend = (field(w + step, 1) - field(w - step, 1)) / 2e-5
        np.testing.assert_allclose(field(w, 2)[:, axis], bend, atol=1e-5 * np.abs(field(w, 2)).max() + 1e-6)
    at = np.array([door], dtype=float)
    assert not np.any(field(at, 1)) and not np.any(field(at, 2)) and field(at, 0) == 0.0


def test_wrong_crowds_are_named():
    """By the parameter, the value and the remedy."""
    with pytest.raises(ValueError, match=r"share: 1\.0"):
        problems.congestion(share=1.0)
    with pytest.raises(ValueError, match="dim"):
        problems.congestion(dim=3)
    with pytest.raises(ValueError, match="dim: 0 is not allowed"):
        problems.congestion(dim=0)
    with pytest.raises(ValueError, match=r"crowd door: .* give two numbers"):
        problems.crowd(door=(2.0,))
    with pytest.raises(ValueError, match=r"crowd place: .* give two numbers"):
        problems.crowd(place=(1.0, 0.5, 0.5))


def test_a_warm_crowd_has_an_entropy():
    """Of its temperature; the cold one has no internal energy."""
    assert problems.crowd(temperature=0.1).flow.energy.internal == (Entropy(0.1),)
    assert problems.crowd().flow.energy.internal == ()
