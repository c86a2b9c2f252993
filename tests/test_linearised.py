"""Linearised JKO (LJKO): the equations by plain loops, the dual by differences, published digits, limits."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from solvers.jko import Linearised
from solvers.jko.linearised import _Problem
from wflow import Density, Energy, Entropy, Flow, Grid, Potential, Power, State, Uniform, box, problems, solve
from wflow.domain import Box
from wflow.internal import conjugate_slope

TERMS = {
    "entropy": (Entropy(0.3),),
    "both": (Entropy(0.05), Power(3.0, 0.7)),
}
POWERS = {"power": (Power(2.0, 0.7),), "steep power": (Power(3.5, 0.2),)}
# lower, upper, periodic, frozen, cells
GRIDS = {
    "interval": ((0.0,), (2.0,), (False,), (False,), (9,)),
    "circle": ((0.0,), (2.0 * np.pi,), (True,), (False,), (8,)),
    "cylinder": ((-1.0, 0.0), (1.0, 2.0 * np.pi), (False, True), (False, False), (5, 6)),
    "sheets": ((-1.0, 0.0), (1.0, 2.0), (False, False), (True, False), (2, 7)),
}


def bowl(w, derivative):
    """A fixed V, whose derivatives no implicit method asks for."""
    return np.asarray(np.sum(0.5 * np.sin(w + 0.3) + 0.1 * w * w, axis=1))


def a_step(grid_name, terms, dt, *, emptied=0.0, solver=None):
    """Flow, start, and what a step leads to."""
    lower, upper, periodic, frozen, shape = GRIDS[grid_name]
    grid = Grid(Box(lower, upper, periodic, frozen), shape)
    rng = np.random.default_rng(3)
    values = rng.exponential(size=grid.size) * (rng.random(grid.size) >= emptied)
    start = Density(grid, values / (values.sum() * grid.cell_volume))
    flow = Flow(Energy(Potential(bowl), *TERMS[terms]), grid.domain, Uniform(grid.domain), 1.0)
    taken = (solver or Linearised(4)).step(flow, State(0.0, start), dt)
    return flow, start, taken


def potential_of(flow, start, dt):
    """phi of that step."""
    return Linearised(4).solved(_Problem(flow, start, bowl(start.grid.centres, 0), dt))[0]


def neighbours(grid):
    """(cell, cell behind its upper face along a moving axis, h)."""
    numbers = np.arange(grid.size).reshape(grid.shape)
    for axis in grid.domain.moving:
        ahead = np.roll(numbers, -1, axis)
        for place in np.ndindex(grid.shape):
            if place[axis] < grid.shape[axis] - 1 or grid.domain.periodic[axis]:
                yield int(numbers[place]), int(ahead[place]), float(grid.widths[axis])


def functional(flow, start, faces, flows_through, dt):
    """F(rho) + sum J^2 h^2/2 dt rho_up |cell| for rho = rho_0 - div J, J h a density; inf where rho is negative."""
    rho = start.values.copy()
    for (i, j, _), mass in zip(faces, flows_through, strict=True):
        rho[i] -= mass
        rho[j] += mass
    if rho.min() < 0.0:
        return math.inf
    price = sum(
        (mass * h) ** 2 / max(rho[i if mass > 0.0 else j], 1e-300)
        for (i, j, h), mass in zip(faces, flows_through, strict=True)
    )
    return flow.energy.value(Density(start.grid, rho)) + price * start.grid.cell_volume / (2.0 * dt)


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("terms", ["entropy", "both"])
def test_a_step_solves_its_equations_by_plain_loops(grid, terms):
    """rho - rho_0 + div J = 0 and U'(rho) + V = (q - phi)/dt, cell by cell: to 1e-10."""
    dt = 0.2
    flow, start, taken = a_step(grid, terms, dt, emptied=0.2)
    phi, rho = potential_of(flow, start, dt), taken.state.measure.values
    out, q, price = np.zeros(len(rho)), np.zeros(len(rho)), 0.0
    for i, j, h in neighbours(start.grid):
        d = (phi[j] - phi[i]) / h
        up = i if d > 0.0 else j
        out[i] += rho[up] * d / h
        out[j] -= rho[up] * d / h
        q[up] += 0.5 * d * d
        price += rho[up] * d * d / (2.0 * dt)
    np.testing.assert_allclose(rho + out, start.values, rtol=0.0, atol=1e-10 * start.values.max())
    driving = sum(term.slope(rho) for term in TERMS[terms]) + bowl(start.grid.centres, 0)
    np.testing.assert_allclose(driving, (q - phi) / dt, rtol=0.0, atol=1e-8)
    assert taken.dissipated == pytest.approx(price * start.grid.cell_volume, rel=1e-10)


@pytest.mark.parametrize("grid", ["interval", "circle", "sheets"])
@pytest.mark.parametrize("terms", TERMS)
def test_no_other_flow_of_mass_is_cheaper(grid, terms):
    """The functional in J against 200 perturbations of its minimiser, small and large; twice the price is seen."""
    dt = 0.3
    flow, start, taken = a_step(grid, terms, dt)
    phi, rho = potential_of(flow, start, dt), taken.state.measure.values
    faces = list(neighbours(start.grid))
    best = np.array([rho[i if phi[j] > phi[i] else j] * (phi[j] - phi[i]) / h**2 for i, j, h in faces])
    least = functional(flow, start, faces, best, dt)
    assert least == pytest.approx(flow.energy.value(taken.state.measure) + taken.dissipated, rel=1e-9)
    rng = np.random.default_rng(8)
    for size in (1e-3, 1e-1):
        for _ in range(100):
            other = best + size * np.abs(best).max() * rng.normal(size=len(best))
            assert functional(flow, start, faces, other, dt) >= least - 1e-12
    assert functional(flow, start, faces, 0.97 * best, 0.5 * dt) < functional(flow, start, faces, best, 0.5 * dt)


@pytest.mark.parametrize("terms", TERMS)
def test_the_dual_its_slope_and_newtons_matrix(terms):
    """dD/dphi = mismatch/dt, and matrix times direction = mismatch, by central differences: to 1e-6."""
    flow, start, _ = a_step("cylinder", terms, 0.2)
    problem = _Problem(flow, start, bowl(start.grid.centres, 0), 0.2)
    phi = problem.guess() + 0.01 * np.random.default_rng(2).normal(size=start.grid.size)
    at, eps = problem.at(phi), 1e-6
    for k in range(0, len(phi), 7):
        e = np.zeros(len(phi))
        e[k] = eps
        ahead, behind = (problem.dual(phi + s * e, problem.at(phi + s * e)) for s in (1.0, -1.0))
        assert (ahead - behind) / (2.0 * eps) == pytest.approx(
            at.mismatch[k] / 0.2, abs=1e-6 * np.abs(at.mismatch).max() / 0.2
        )
    way = problem.ascent(at, 0.0)
    ahead, behind = (problem.at(phi + s * eps * way).mismatch for s in (1.0, -1.0))
    np.testing.assert_allclose((behind - ahead) / (2.0 * eps), at.mismatch, atol=1e-5 * np.abs(at.mismatch).max())


@pytest.mark.slow
def test_the_digits_of_cances_gallouet_and_todeschi():
    """g = 1, T = 1/4, 10 to 80 cells an axis, as many steps: max over time of L1 as published, to three figures.

    At cell centres, in units of the law's mass 2 pi sinh(1/2) (wflow's laws have mass 1); V = -x.
    """

    def law(x, t):
        modes = math.pi * np.cos(math.pi * x) + 0.5 * np.sin(math.pi * x)
        return np.exp(-(math.pi**2 + 0.25) * t + 0.5 * x) * modes + math.pi * np.exp(x - 0.5)

    flow = problems.drift_diffusion(g=1.0, start=0.0, horizon=0.25).flow
    for cells, published in ((10, 6.78e-2), (20, 3.65e-2), (40, 2.38e-2), (80, 1.43e-2)):
        solver = Linearised(cells)
        grid = solver.init(flow).measure.grid
        x, tau = grid.centres[:, 0], 0.25 / cells
        mass = law(x, 0.0).mean()
        state, worst = State(0.0, Density(grid, law(x, 0.0) / mass)), 0.0
        for k in range(cells):
            state = solver.step(flow, state, tau).state
            worst = max(worst, float(np.abs(mass * state.measure.values - law(x, (k + 1) * tau)).mean()))
        assert worst == pytest.approx(published, abs=0.005 * 10.0 ** math.floor(math.log10(published)))


@pytest.mark.slow
@pytest.mark.parametrize("terms", TERMS)
def test_a_step_without_end_leads_to_the_minimiser(terms):
    """dt = 1e5 from a start with empty cells: U'(rho) + V is constant where rho > 0, above it elsewhere, to 1/dt."""
    _, _, taken = a_step("interval", terms, 1e5, emptied=0.5, solver=Linearised(4, tolerance=1e-9))
    rho = taken.state.measure.values
    with np.errstate(divide="ignore"):
        level = sum(term.slope(rho) for term in TERMS[terms]) + bowl(taken.state.measure.grid.centres, 0)
    inside = rho > 1e-9
    assert np.ptp(level[inside]) < 1e-4
    assert np.all(level[~inside] > level[inside].mean() - 1e-4)
    assert taken.state.measure.mass == pytest.approx(1.0, abs=1e-14)


def test_two_axes_of_which_one_does_nothing_are_one():
    """drift along x alone on a square: every column is the run on the interval, to 1e-9."""
    line = problems.drift_diffusion(g=2.0, start=0.02, horizon=0.1).flow
    square = replace(
        line, domain=box([0.0, 0.0], [1.0, 1.0]), initial=problems.drift_diffusion(g=(2.0, 2.0)).flow.initial
    )
    first = Linearised(12).init(line)
    values = np.repeat(first.measure.values[:, None], 6, axis=1).ravel()
    wide = State(0.0, Density(Grid(square.domain, (12, 6)), values))
    flat = replace(square, energy=Energy(Potential(lambda w, k: np.asarray(-2.0 * w[:, 0])), Entropy(1.0)))
    line = replace(line, energy=Energy(Potential(lambda w, k: np.asarray(-2.0 * w[:, 0])), Entropy(1.0)))
    for _ in range(3):
        first, wide = Linearised(12).step(line, first, 0.02).state, Linearised(12).step(flat, wide, 0.02).state
    columns = wide.measure.values.reshape(12, 6)
    np.testing.assert_allclose(columns, np.repeat(first.measure.values[:, None], 6, axis=1), atol=1e-9)


@pytest.mark.slow
def test_an_energy_that_interacts_is_taken_at_the_end_of_the_step():
    """circle_teacher at T = 0.1: order 1 in dt, F + price never above F_0, and V[pi] of the end to 1e-10."""
    flow = problems.circle_teacher(temperature=0.1, horizon=1.0).flow
    runs = [solve(flow, Linearised(32), steps=n) for n in (10, 20, 40, 80)]
    ends = [run.final.values for run in runs]
    coarse, fine = (float(np.abs(b - a).sum()) for a, b in list(pairwise(ends))[-2:])
    assert math.log2(coarse / fine) >= 0.85
    assert all(np.all(np.diff(run.energies) + np.diff(run.dissipated) <= 1e-12) for run in runs)
    start = Linearised(32).init(flow)
    taken = Linearised(32).step(flow, start, 0.1)
    potential = flow.energy.potential(taken.state.measure, taken.state.measure.points)
    phi, _ = Linearised(32).solved(problem := _Problem(flow, start.measure, potential, 0.1))
    np.testing.assert_allclose(problem.density(phi).values, taken.state.measure.values, atol=1e-9)


@pytest.mark.parametrize("terms", TERMS | POWERS)
def test_density_of_a_driving_force(terms):
    """(U*)' undoes U' from 1e-12 to 1e3 (relative 1e-9), and is 0 below U'(0) where that is finite."""
    rho = np.logspace(-12, 3, 200)
    force = sum(term.slope(rho) for term in (TERMS | POWERS)[terms])
    np.testing.assert_allclose(conjugate_slope((TERMS | POWERS)[terms], force), rho, rtol=1e-9)
    if "power" in terms:
        assert conjugate_slope((TERMS | POWERS)[terms], np.array([-1.0, 0.0])).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="join equal ones"):
        conjugate_slope((Entropy(1.0), Entropy(2.0)), force)


def test_cold_flows_are_refused():
    """Without entropy, with a power alone too: its fronts stall Newton."""
    assert "temperature is 0" in Linearised(16).refusal(problems.circle_teacher().flow)
    assert "temperature is 0" in Linearised(16).refusal(problems.barenblatt().flow)
