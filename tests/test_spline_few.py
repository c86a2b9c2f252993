"""JKO steps on grids from mass in one or a few cells: exact answers, duality and slopes of the dual in few numbers."""

import numpy as np
import pytest
from scipy.optimize import brentq

from solvers.jko import Exact, Spline, SplineSdirk2
from solvers.jko._atoms import Atoms
from solvers.jko._few import _minimum, minimum_of_few
from solvers.jko._heights import FewDual
from solvers.jko._pieces import pieces, repeated
from solvers.jko._stage import Stage
from wflow import (
    Congestion,
    Density,
    Energy,
    Entropy,
    Flow,
    Grid,
    NotConverged,
    Particles,
    Potential,
    Power,
    State,
    Uniform,
    w2,
)
from wflow.domain import Box
from wflow.internal import conjugate_slope
from wflow.semidiscrete import semidiscrete


def field(w, derivative):
    """|w_1 - .4| + w_d^2/2: a kink."""
    slope, bend = np.zeros_like(w), np.zeros((len(w), w.shape[1], w.shape[1]))
    slope[:, 0] = np.sign(w[:, 0] - 0.4)
    slope[:, -1] += w[:, -1]
    bend[:, -1, -1] = 1.0
    return (np.abs(w[:, 0] - 0.4) + 0.5 * w[:, -1] ** 2, slope, bend)[derivative]


PULL = Potential(field, convex=True)
HEAT, SQUARE, CUBE = Entropy(0.1), Power(2.0, 0.2), Power(3.0, 0.1)


def lonely(shape, held, *terms, periodic=None):
    """A flow, and a density with masses at the numbers of cells in `held`, on the unit box."""
    domain = Box((0.0,) * len(shape), (1.0,) * len(shape), periodic or (False,) * len(shape))
    grid = Grid(domain, shape)
    values = np.zeros(grid.size)
    values[list(held)] = list(held.values())
    values /= values.sum() * grid.cell_volume
    return Flow(Energy(*terms), domain, Uniform(domain), 1.0), Density(grid, values)


def taken(flow, start, tau, solver=Spline, **knobs):
    return solver(start.grid.shape[0], **knobs).step(flow, State(0.0, start), tau)


def dual_of(flow, start, split, tau, temperature=0.0):
    stage = Stage(flow, start.grid, False)
    atoms = Atoms.of(start, False, split)
    price, _, _ = stage.begun(atoms, tau, stage.potential(start), stage.first_guess(start))
    return FewDual(atoms, stage.shape, stage.sides, stage.widths, tau, price, temperature)


@pytest.mark.parametrize("shape", [(9,), (6, 5)])
@pytest.mark.parametrize("terms", [(HEAT,), (SQUARE,), (CUBE,), (HEAT, SQUARE)])
@pytest.mark.parametrize("tau", [1e-2, 1.0, 1e3])
def test_one_atom(shape, terms, tau):
    """rho = (U')^-1(c - V - mean |y - x|^2/(2 tau))_+, c by mass; the mean over a cell: at its middle + sum h^2/12."""
    flow, start = lonely(shape, {7: 1.0}, PULL, *terms)
    found, _ = _minimum(Stage(flow, start.grid, False), start, 1, tau, 300)
    grid = start.grid
    squares = np.sum((grid.centres - grid.centres[7]) ** 2, axis=1) + np.sum(grid.widths**2) / 12.0
    force = -field(grid.centres, 0) - squares / (2.0 * tau)

    def missing(c):
        return conjugate_slope(terms, force + c).sum() * grid.cell_volume - 1.0

    c = brentq(missing, -force.max() - 5.0, -force.max() + 50.0, xtol=1e-14)
    assert np.allclose(found.end.values, conjugate_slope(terms, force + c), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("terms", [(HEAT,), (SQUARE,), (SQUARE, Congestion(12.0))])
def test_nothing_is_relaxed(terms, periodic):
    """max D = F(end) + W2^2(atoms, end)/(2 tau), W2 by wflow.semidiscrete, to 1e-8: walls and turns."""
    tau = 0.05
    flow, start = lonely((8, 6), {0: 1.0, 11: 2.0, 40: 0.7}, PULL, *terms, periodic=(periodic, False))
    found, (atoms, _) = _minimum(Stage(flow, start.grid, False), start, 2, tau, 300)
    cloud = Particles(flow.domain, atoms.places * start.grid.widths, atoms.masses)
    squared = semidiscrete(cloud, found.end, tolerance=1e-11).squared
    assert found.dual == pytest.approx(flow.energy.value(found.end) + squared / (2.0 * tau), abs=1e-8)
    assert found.moved**2 == pytest.approx(squared, abs=1e-8)


@pytest.mark.parametrize("shape, periodic", [((9,), (True,)), ((5, 4), (True, False))])
def test_slope_and_curvature(shape, periodic):
    """The slope of D and its Hessian are differences of D and of the slope."""
    flow, start = lonely(shape, {1: 1.0, 2: 0.5, 7: 2.0}, PULL, HEAT, SQUARE, periodic=periodic)
    dual = dual_of(flow, start, 2, 0.1)
    rng = np.random.default_rng(0)
    here = dual.at(dual.balanced(0.2 * rng.standard_normal(len(dual.atoms.masses))))
    for way in np.eye(len(here.phi)):
        low, high = dual.at(here.phi - 1e-5 * way), dual.at(here.phi + 1e-5 * way)
        assert (high.value - low.value) / 2e-5 == pytest.approx(here.slope @ way, abs=1e-8)
        assert np.allclose((low.slope - high.slope) / 2e-5, here.bend @ way, atol=1e-6)


def test_pieces_tile_the_cells():
    """Areas sum to 1 in every cell, and the integrals of the maximum are those of fine midpoint sums, to 2e-3."""
    rng = np.random.default_rng(1)
    shape, pull, fine = (5, 4), (3.0, 2.0), 64
    sites, owner = repeated(rng.uniform(0.0, 1.0, (7, 2)) * shape, shape, (True, False))
    phi = rng.standard_normal(7)[owner]
    found = pieces(sites, phi, shape, pull)
    assert np.allclose(np.bincount(found.cell, found.area, 20), 1.0, atol=1e-12)
    y = np.stack(np.meshgrid(*((np.arange(n * fine) + 0.5) / fine for n in shape), indexing="ij"), axis=-1)
    largest = np.max(phi - 0.5 * np.sum((y[:, :, None] - sites) ** 2 * pull, axis=3), axis=2)
    means = largest.reshape(5, fine, 4, fine).mean(axis=(1, 3)).ravel()
    mine = np.bincount(found.cell, found.area * phi[found.site] - found.spread, 20)
    assert np.allclose(mine, means, atol=2e-3)


@pytest.mark.parametrize("shape", [(16,), (8, 8)])
@pytest.mark.parametrize("split", [1, 3])
def test_the_plan_costs_what_it_says(shape, split):
    """W2 of the densities, on a line exact and else by 12^2 atoms a cell, is at most the root of `square`."""
    flow, start = lonely(shape, {3: 1.0, 10: 2.0}, PULL, HEAT)
    found, _ = _minimum(Stage(flow, start.grid, False), start, split, 0.02, 300)
    spread = np.sqrt(np.sum(start.grid.widths**2) / 12.0)
    if len(shape) == 1:
        true, unknown = w2(start, found.end), 1e-9
    else:
        atoms, unknown = Atoms.of(start, False, 12), spread / 12.0
        cloud = Particles(flow.domain, atoms.places * start.grid.widths, atoms.masses)
        true = np.sqrt(semidiscrete(cloud, found.end).squared)
    assert true <= np.sqrt(found.square) + unknown
    assert abs(true - found.moved) <= spread / split + unknown
    assert found.square == pytest.approx(found.moved**2 + (spread / split) ** 2, rel=1e-8)


EXTREME = [
    ((32,), {9: 1.0}, (PULL, HEAT), 0.5),
    ((17,), {8: 1.0}, (PULL, SQUARE), 100.0),
    ((17,), {3: 1.0, 9: 1.0}, (PULL, HEAT, Congestion(16.0)), 3.0),
    ((8, 8), {20: 1.0, 41: 0.3}, (PULL, CUBE), 20.0),
    ((9, 9), {20: 1.0, 40: 1.0}, (PULL, Congestion(60.0)), 300.0),
]


@pytest.mark.parametrize("shape, held, terms, tau", EXTREME)
def test_long_steps_of_few_cells(shape, held, terms, tau):
    """Each raised on splines; F + dissipated falls, mass is kept, and so are limits."""
    flow, start = lonely(shape, held, *terms)
    step = taken(flow, start, tau)
    end = step.state.measure
    assert flow.energy.value(end) + step.dissipated <= flow.energy.value(start) + 1e-12
    assert end.mass == pytest.approx(1.0, abs=1e-13)
    assert flow.energy.within(end)


@pytest.mark.parametrize("shape", [(17,), (8, 8)])
def test_a_step_without_end(shape):
    """tau = 1e8: rho is the minimiser of F, exp(-V/T) by its mass, to 1e-5; one cell, walls."""
    flow, start = lonely(shape, {5: 1.0}, PULL, HEAT)
    end = taken(flow, start, 1e8).state.measure
    gibbs = np.exp(-field(end.points, 0) / HEAT.temperature)
    assert np.allclose(end.values, gibbs / (gibbs.sum() * end.grid.cell_volume), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("terms", [(HEAT,), (SQUARE,), (HEAT, SQUARE)])
def test_against_masses_on_nodes(terms):
    """The exact step of masses at centres, 200 cells: within a cell in W2 (its own error is half a cell)."""
    flow, start = lonely((200,), {50: 1.0, 51: 1.0, 140: 1.0}, PULL, *terms)
    tau = 0.3
    other = taken(flow, start, tau, Exact).state.measure
    assert w2(taken(flow, start, tau).state.measure, other) <= 1.0 / 200


def test_limits_alone_leave_a_crowd_where_it_is():
    """With V constant F is the same of all that limits allow: nothing moves at any tau."""
    for tau in (1e-4, 1.0, 1e3):
        flow, start = lonely((8,), {3: 1.0, 6: 1.0}, Congestion(4.0))
        step = taken(flow, start, tau)
        assert step.state.measure is start and step.dissipated == 0.0


def test_a_start_that_nothing_beats_is_the_end():
    """Five cells far apart, tau = h^2/500: max D is F(start) to 1e-9, and no coupling is cheap enough to move."""
    flow, start = lonely((32,), {2: 1.0, 9: 0.7, 15: 0.4, 22: 1.0, 29: 0.3}, PULL, HEAT)
    step = taken(flow, start, 2e-6)
    assert step.state.measure is start and step.dual == pytest.approx(flow.energy.value(start), abs=1e-9)


def test_parts_that_are_too_rough_are_named():
    """A step much shorter than the finest part of a cell says so."""
    flow, start = lonely((8, 8), {3: 1.0, 30: 1.0}, PULL, HEAT)
    with pytest.raises(NotConverged, match="less than four times as far"):
        minimum_of_few(Stage(flow, start.grid, False), start, 1e-9, 1e-3, 300)


def test_second_order_counts_it_as_a_fallback():
    """A step of few cells is of first order."""
    flow, start = lonely((32,), {9: 1.0}, PULL, HEAT)
    assert taken(flow, start, 0.5, SplineSdirk2).fallback
    assert not taken(flow, start, 0.5).fallback


@pytest.mark.slow
def test_forty_extreme_steps():
    """tau from 1e-1 to 1e3, one, two or five cells of 4 to 64 (8^2 to 32^2), walls or periodic: none raises."""
    rng = np.random.default_rng(5)
    kinds = [(HEAT,), (SQUARE,), (CUBE,), (HEAT, SQUARE), (SQUARE, None), (HEAT, None), (None,)]
    missed = []
    for case in range(40):
        dim = 1 + case % 2
        n = int(rng.choice([4, 5, 7, 16, 17, 32, 64] if dim == 1 else [8, 9, 16, 32]))
        shape, many = (n,) * dim, min(int(rng.choice([1, 2, 5])), n - 1)
        held = dict(zip(rng.choice(n**dim, many, replace=False).tolist(), rng.uniform(0.2, 1.0, many), strict=True))
        limit = Congestion(1.5 * n**dim)
        terms = [limit if term is None else term for term in kinds[rng.integers(len(kinds))]]
        pull = [PULL] if rng.random() < 0.7 else []
        flow, start = lonely(shape, held, *pull, *terms, periodic=tuple((rng.random(dim) < 0.4).tolist()))
        try:
            taken(flow, start, 10.0 ** rng.uniform(-1.0, 3.0))
        except NotConverged as error:
            missed.append((case, str(error)))
    assert not missed
