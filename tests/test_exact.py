"""The exact JKO step on small grids: against brute force, against exact answers, and against the step on quantiles."""

import functools
import math

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from solvers.jko import Exact, Quantile
from wflow import (
    Atoms,
    Data,
    Density,
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Grid,
    Potential,
    Power,
    Product,
    Refused,
    RidgeNeuron,
    Risk,
    Uniform,
    activation,
    box,
    circle,
    circle_kernel,
    interval,
    line,
    population_risk,
    problems,
    solve,
    space,
    w2,
)
from wflow.domain import Box
from wflow.loss import Huber, Logistic
from wflow.solver import State

TURN = 2.0 * math.pi


def drawn(seed):
    """The house's way to draw."""
    return np.random.default_rng([20260, seed])


def tabulated(values):
    """A potential with these values at the cells of the one grid it is asked on."""
    return Potential(lambda w, derivative: np.asarray(values, dtype=float) if derivative == 0 else np.zeros(w.shape))


def step_from(flow, grid, masses, dt):
    """The start with these masses and Exact's step from it."""
    start = Density(grid, np.asarray(masses) / grid.cell_volume)
    return start, Exact(max(grid.shape)).step(flow, State(0.0, start), dt)


# Brute force on a few cells


def prices(grid, dt):
    """|x_i - x_j|^2/(2 dt), the short way round, inf between sheets: written apart from the solver."""
    domain, cost = grid.domain, np.zeros((grid.size, grid.size))
    for axis in range(domain.dim):
        gap = np.abs(grid.centres[:, None, axis] - grid.centres[None, :, axis])
        gap = np.minimum(gap, domain.lengths[axis] - gap) if domain.periodic[axis] else gap
        cost += np.where(gap > 0.0, np.inf, 0.0) if domain.frozen[axis] else gap**2
    return cost / (2.0 * dt)


def least_by_slsqp(flow, start, dt):
    """min over couplings of F + price, by a general solver: rows sum to the start's masses, columns make the end."""
    grid, p, n = start.grid, start.weights, start.grid.size
    cost = prices(grid, dt).ravel()
    free = np.flatnonzero(np.isfinite(cost) & np.repeat(p > 0.0, n))
    source, target, cost = free // n, free % n, cost[free]
    rows = (source == np.flatnonzero(p)[:, None]).astype(float)

    def end(x):
        q = np.bincount(target, x, n)
        return Density(grid, q / q.sum() / grid.cell_volume)

    def slope(x):
        pi = end(x)
        total = flow.energy.potential(pi, pi.points) + sum(term.slope(pi.values) for term in flow.energy.internal)
        return total[target] + cost

    found = minimize(
        lambda x: flow.energy.value(end(x)) + cost @ x,
        p[source] / rows.sum(axis=1)[np.searchsorted(np.flatnonzero(p), source)],
        jac=slope,
        method="SLSQP",
        bounds=[(1e-14, 1.0)] * len(free),
        constraints={"type": "eq", "fun": lambda x: rows @ x - p[p > 0.0], "jac": lambda x: rows},
        options={"ftol": 1e-15, "maxiter": 3000},
    )
    return found.fun


SHEETS = Box((-1.0, 0.0), (1.0, 1.0), (False, False), (True, False))
GRIDS = {
    "walls": Grid(interval(0, 1), (7,)),
    "circle": Grid(circle(), (6,)),
    "square": Grid(box([0, 0], [1, 1]), (2, 3)),
    "cylinder": Grid(Box((0.0, 0.0), (1.0, 1.0), (False, True)), (2, 3)),
    "sheets": Grid(SHEETS, (2, 3)),
}


DATA = Data(np.array([[-1.0], [0.3], [1.5]]), np.array([0.5, -0.2, 0.8]))
LABELS = DATA.with_targets(lambda x: np.sign(x[:, 0]))
EXPLICIT = {
    "potential": lambda m, draw: [tabulated(draw.normal(size=m))],
    "network": lambda m, draw: [Risk(RidgeNeuron(activation("tanh")), DATA)],
    "classifier": lambda m, draw: [Risk(RidgeNeuron(activation("tanh")), LABELS, Logistic())],
    "robust network": lambda m, draw: [Risk(RidgeNeuron(activation("tanh")), DATA, Huber(0.3))],
    "teacher": lambda m, draw: population_risk(
        circle_kernel(activation("cos_minus_sin", 1.0), "gaussian"), Uniform(circle())
    ),
}
INTERNAL = {"": [], "entropy": [Entropy(0.3)], "square": [Power(2.0, 0.1)], "both": [Entropy(0.02), Power(1.5, 0.3)]}
TINY = [(place, "potential", kind) for place in GRIDS for kind in INTERNAL]
TINY += [("walls", network, kind) for network in ("network", "classifier", "robust network") for kind in INTERNAL]
TINY += [("circle", "teacher", kind) for kind in INTERNAL]


@pytest.mark.parametrize("dt", [0.02, 0.5, 20.0])
@pytest.mark.parametrize(("place", "explicit", "kind"), TINY)
def test_no_general_solver_finds_less(place, explicit, kind, dt):
    """On at most seven cells with random masses, one of them empty, G at the end is min G to 1e-8.

    A potential alone makes a linear programme, solved exactly by linprog. Else SLSQP, whose answer is feasible: what it
    finds is at least min G. It stalls up to 1e-5 above, which is asserted too: an idle opponent would prove nothing.
    """
    grid, draw = GRIDS[place], drawn(len(place) + 10 * len(kind))
    masses = draw.dirichlet(np.ones(grid.size))
    masses[2] = 0.0
    terms = [*EXPLICIT[explicit](grid.size, draw), *INTERNAL[kind]]
    flow = Flow(Energy(*terms), grid.domain, Uniform(grid.domain), 1.0)
    start, step = step_from(flow, grid, masses / masses.sum(), dt)
    found = flow.energy.value(step.state.measure) + step.dissipated
    if explicit == "potential" and not kind:
        reduced = prices(grid, dt) + flow.energy.potential(start, start.points)
        rows = np.kron(np.eye(grid.size), np.ones(grid.size))
        open_to = np.isfinite(reduced.ravel())
        least = linprog(reduced.ravel()[open_to], A_eq=rows[:, open_to], b_eq=start.weights).fun
        assert found == pytest.approx(least, rel=0.0, abs=1e-8)
    else:
        assert -1e-8 <= least_by_slsqp(flow, start, dt) - found <= 1e-5


# Exact answers


def gaussian_step(mean, std, lam, tau):
    """OU: the JKO step of N(mean, std^2) is N(m', s'^2), m' = m/(1 + lam tau), s' the root of s' (1 + lam tau) = s +
    tau/s'."""
    pull = 1.0 + lam * tau
    return mean / pull, (std + math.sqrt(std**2 + 4.0 * tau * pull)) / (2.0 * pull)


@pytest.mark.parametrize(("mean", "std", "tau"), [(2.0, 0.5, 0.25), (2.0, 0.5, 0.5), (1.0, 0.8, 1.0)])
def test_a_gaussian_step_to_half_a_cell(mean, std, tau):
    """W2(step, exact Gaussian step) <= h/2 on 24 .. 192 cells, and its order in h over these is at least 1.

    derived: min G on the grid is that of the continuum to O(h^2), and G is convex (docs/mathematics.md).
    """
    flow = Flow(Energy(Potential.quadratic(1.0), Entropy(1.0)), line(), Gaussian(mean, std), 1.0, (-6.0, 7.0))
    exact = Gaussian(*gaussian_step(mean, std, 1.0, tau))
    cells, apart = np.array([24, 48, 96, 192]), []
    for n in cells:
        solver = Exact(int(n))
        end = solver.step(flow, solver.init(flow), tau).state.measure
        apart.append(w2(end, exact))
        assert apart[-1] <= 0.5 * end.grid.widths[0]
    assert -np.polyfit(np.log(cells), np.log(apart), 1)[0] >= 1.0


@pytest.mark.slow
def test_a_gaussian_step_in_the_plane():
    """Two axes of different spreads at once, on 20^2 cells: mean and standard deviation of each axis to half a cell."""
    mean, std, tau = np.array([1.5, -0.5]), np.array([0.5, 0.8]), 0.5
    start = Product(*(Gaussian(m, s) for m, s in zip(mean, std, strict=True)))
    flow = Flow(Energy(Potential.quadratic(1.0), Entropy(1.0)), space(2), start, 1.0, ((-5.0, 6.0), (-5.5, 5.5)))
    solver = Exact(20)
    end = solver.step(flow, solver.init(flow), tau).state.measure
    found = end.weights @ end.points
    spread = np.sqrt(end.weights @ (end.points - found) ** 2)
    for k in range(2):
        expected = gaussian_step(mean[k], std[k], 1.0, tau)
        np.testing.assert_allclose([found[k], spread[k]], expected, rtol=0.0, atol=0.5 * end.grid.widths[k])


@pytest.mark.parametrize("cells", [24, 96])
@pytest.mark.parametrize("tau", [5.0, 20.0])
def test_the_sawtooth_contracts(tau, cells):
    """A JKO step of the sawtooth contracts X(s) - 2 pi s by exactly 1/(1 + tau/2 pi): W2 to that law <= h/2."""
    problem, solver = problems.sawtooth(), Exact(cells)
    same = problem.exact(TURN * math.log1p(tau / TURN))  # the flow contracts by e^{-t/2 pi}: at this t by as much
    end = solver.step(problem.flow, solver.init(problem.flow), tau).state.measure
    assert w2(end, same) <= 0.5 * TURN / cells


@pytest.mark.parametrize("steps", [1, 3, 7, 40])
def test_a_linear_potential_moves_all_mass_by_whole_cells(steps):
    """V = -x on [0, 1], tau = k h: |x - y|^2/(2 tau) - y is least k cells to the right, or at the wall.

    The end is the start shifted, the rest in the last cell; the price is sum p |x - y|^2/(2 tau). To 1e-9: the next
    best cell costs h^2/(2 tau) more.
    """
    grid, n = Grid(interval(0, 1), (24,)), 24
    flow = Flow(Energy(Potential.linear(-1.0)), grid.domain, Uniform(grid.domain), 1.0)
    masses, tau = drawn(1).dirichlet(np.ones(n)), steps / n
    _, step = step_from(flow, grid, masses, tau)
    target = np.minimum(np.arange(n) + steps, n - 1)
    np.testing.assert_allclose(step.state.measure.weights, np.bincount(target, masses, n), rtol=0.0, atol=1e-9)
    price = masses @ ((target - np.arange(n)) / n) ** 2 / (2.0 * tau)
    assert step.dissipated == pytest.approx(price, rel=0.0, abs=1e-9)


def test_a_linear_potential_in_a_box():
    """V = -x - 2y on the unit square, tau = 2/10: two cells along x and four along y, as far as the walls."""
    grid, n = Grid(box([0, 0], [1, 1]), (10, 10)), 10
    flow = Flow(Energy(Potential.linear([-1.0, -2.0])), grid.domain, Uniform(grid.domain), 1.0)
    masses = drawn(2).dirichlet(np.ones(n * n))
    _, step = step_from(flow, grid, masses, 2.0 / n)
    row, column = np.unravel_index(np.arange(n * n), grid.shape)
    target = np.minimum(row + 2, n - 1) * n + np.minimum(column + 4, n - 1)
    np.testing.assert_allclose(step.state.measure.weights, np.bincount(target, masses, n * n), rtol=0.0, atol=1e-9)


def test_sheets_keep_their_mass_and_move_apart():
    """V = a y on the sheets a = -1/2, 1/2 with entropy: each sheet is an interval of its own, with its own mass.

    To 1e-6 in each mass: both answers are certified, and a strictly convex G lets masses differ by the root of a gap.
    """
    grid = Grid(SHEETS, (2, 20))
    masses = drawn(3).dirichlet(np.ones(40))
    sloped = Potential(lambda w, derivative: w[:, 0] * w[:, 1] if derivative == 0 else np.zeros(w.shape))
    flow = Flow(Energy(sloped, Entropy(0.1)), SHEETS, Uniform(SHEETS), 1.0)
    _, step = step_from(flow, grid, masses, 0.3)
    for sheet, slope in enumerate((-0.5, 0.5)):
        own = masses.reshape(2, 20)[sheet]
        line_of_it = Grid(interval(0, 1), (20,))
        alone = Flow(Energy(Potential.linear(slope), Entropy(0.1)), line_of_it.domain, Uniform(line_of_it.domain), 1.0)
        _, expected = step_from(alone, line_of_it, own / own.sum(), 0.3)
        ours = step.state.measure.weights.reshape(2, 20)[sheet]
        np.testing.assert_allclose(ours, own.sum() * expected.state.measure.weights, rtol=0.0, atol=1e-6)


# Against the step on quantiles


LONG = [
    ("circle_teacher", {"b": 2.0}, 5.0),
    ("circle_teacher", {"activation": "relu"}, 10.0),
    ("circle_teacher", {"temperature": 0.1}, 2.0),
    ("linear_neuron", {}, 3.0),
    ("quadratic_neuron", {}, 4.0),
    ("drift_diffusion", {}, 0.2),
]


@pytest.mark.parametrize(("name", "parameters", "tau"), LONG)
def test_long_steps_are_those_of_quantiles(name, parameters, tau):
    """W2(exact step on 96 cells, step of 800 quantiles) <= h/2 where the step crosses four cells and more.

    Two discretisations of one minimiser: linear programming on nodes, Newton's method on edges.
    """
    flow = problems.build(name, **parameters).flow
    grid, edges = Exact(96), Quantile(800)
    assert tau >= grid.smallest_step(flow)
    ours = grid.step(flow, grid.init(flow), tau).state.measure
    assert w2(ours, edges.step(flow, edges.init(flow), tau).state.measure) <= 0.5 * ours.grid.widths[0]


# What a step keeps, and which steps say something


@functools.cache
def network():
    """One long step of a two-layer network on 16^2 cells."""
    flow, solver = problems.two_layer_1d().flow, Exact(16)
    state = solver.init(flow)
    return flow, state.measure, solver.step(flow, state, 2.0)


def test_a_network_steps_downhill():
    """F + W2^2/(2 tau) falls by more than 1e-3 of F; the certificate is below its tolerance; mass 1, none negative."""
    flow, start, step = network()
    before, after = flow.energy.value(start), flow.energy.value(step.state.measure)
    assert after + step.dissipated < before * (1.0 - 1e-3)
    assert step.residual <= Exact(16).tolerance
    assert abs(step.state.measure.mass - 1.0) <= 1e-14 and step.state.measure.least >= 0.0


def test_the_price_is_the_distance():
    """dissipated = W2^2/(2 tau) of the atoms at the centres, as wflow.w2 finds it from the two measures' atoms."""
    flow, start, step = network()
    atoms = [Atoms(flow.domain, pi.points[pi.weights > 1e-12], _scaled(pi)) for pi in (start, step.state.measure)]
    assert step.dissipated == pytest.approx(w2(*atoms) ** 2 / 4.0, rel=1e-6)


def _scaled(pi):
    kept = pi.weights[pi.weights > 1e-12]
    return kept / kept.sum()


@pytest.mark.parametrize("dt", [1e-6, 1e-3, 1.0, 1e4])
@pytest.mark.parametrize("name", ["circle_teacher", "ornstein_uhlenbeck", "drift_diffusion", "sawtooth"])
def test_a_step_pays_for_its_way(name, dt):
    """F_{k+1} + W2^2/(2 tau) <= F_k at every step, however short or long, to the rounding of F."""
    flow, solver = problems.build(name).flow, Exact(48)
    state = solver.init(flow)
    for _ in range(2):
        step = solver.step(flow, state, dt)
        before, after = (flow.energy.value(s.measure) for s in (state, step.state))
        assert after + step.dissipated <= before + 1e-13 * max(1.0, abs(before))
        state = step.state


@pytest.mark.parametrize(("share", "moves"), [(0.499, 0), (0.501, 1)])
def test_friction(share, moves):
    """V = -x: mass leaves its cell only if tau > h/2, and then goes a whole cell, however near that bound.

    Not moving is bit for bit: the step returns its start.
    """
    grid = Grid(interval(0, 1), (32,))
    flow = Flow(Energy(Potential.linear(-1.0)), grid.domain, Uniform(grid.domain), 1.0)
    masses = np.where(np.arange(32) < 20, 0.05, 0.0)
    start, step = step_from(flow, grid, masses, share / 32)
    if not moves:
        np.testing.assert_array_equal(step.state.measure.values, start.values)
    np.testing.assert_allclose(step.state.measure.weights, np.roll(masses, moves), rtol=0.0, atol=1e-9)


def test_the_smallest_step():
    """V = -3x: four cells take 4h/3; on two axes the axis crossed fastest counts; at rest beyond 1e9."""
    slopes = {1: [-3.0], 2: [1.0, -5.0]}
    for dim, slope in slopes.items():
        domain = box([0.0] * dim, [1.0] * dim)
        flow = Flow(Energy(Potential.linear(slope)), domain, Uniform(domain), 1.0)
        solver = Exact(20)
        expected = 4.0 / 20.0 / max(map(abs, slope))
        assert solver.smallest_step(flow) == pytest.approx(expected, rel=1e-12)
    still = Flow(Energy(Entropy(1.0)), interval(0, 1), Uniform(interval(0, 1)), 1.0)
    assert solver.smallest_step(still) > 1e9


def test_the_loop_takes_steps_that_are_long_enough():
    """Without steps or dt: equal steps over the horizon, each at least the smallest; never step doubling."""
    flow, solver = problems.ornstein_uhlenbeck().flow, Exact(64)
    smallest = solver.smallest_step(flow)
    run = solve(flow, solver)
    assert run.steps == math.floor(flow.horizon / smallest) > 1
    with pytest.raises(Refused, match="does not resolve steps below"):
        solve(flow, solver, tolerance=1e-3)


REFUSED = {
    "three axes": (problems.relu_teacher_plane().flow, Exact(8), "3 axes move"),
    "too many cells": (problems.two_layer_1d().flow, Exact(96), "9216 in all; at most 2000"),
    "too few cells": (problems.build("ornstein_uhlenbeck_2d").flow, Exact(12), "lies within two cells of a wall"),
}


@pytest.mark.parametrize(("flow", "solver", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(flow, solver, reason):
    """More than two moving axes; more cells than POT certifies; so few that the walls of a window are felt at once."""
    assert reason in solver.refusal(flow)
