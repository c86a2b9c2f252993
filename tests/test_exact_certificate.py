"""How a step of jko.Exact is certified: bounds that hold for every measure, vanish at the minimum, and catch faults."""

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

import solvers.jko._bounds
from solvers.jko import Exact
from solvers.jko._bounds import bounds
from wflow import (
    Density,
    Energy,
    Entropy,
    Flow,
    Grid,
    NotConverged,
    Potential,
    Power,
    Risk,
    Uniform,
    activation,
    box,
    circle,
    circle_kernel,
    interval,
    population_risk,
    problems,
)
from wflow.app.study import study, suited
from wflow.kernel import sawtooth_kernel
from wflow.loss import Logistic
from wflow.second_variation import second_variation
from wflow.solver import State, Step


def flows():
    """Energies of every kind on small grids: a potential, a risk, entropy, a power."""
    walls = interval(-1, 1)
    start = Uniform(walls)
    bowl = Potential.quadratic(1.0, 0.3)
    teacher = population_risk(circle_kernel(activation("relu"), "gaussian"), Uniform(circle()))
    return {
        "potential": Flow(Energy(bowl), walls, start, 1.0),
        "entropy": Flow(Energy(bowl, Entropy(0.2)), walls, start, 1.0),
        "power": Flow(Energy(bowl, Power(3.0, 0.2)), walls, start, 1.0),
        "risk": Flow(Energy(*teacher), circle(), Uniform(circle()), 1.0),
        "warm risk": Flow(Energy(*teacher, Entropy(0.01)), circle(), Uniform(circle()), 1.0),
    }


FLOWS = flows()
CELLS, TURN, UNIFORM = 20, 2.0 * math.pi, Uniform(circle())


def masses(seed, still=False):
    """Random masses of very different size; `still` leaves some cells empty."""
    draw = np.random.default_rng([20260, seed])
    drawn = draw.dirichlet(np.full(CELLS, 0.3)) + 1e-9
    if still:
        drawn[::5] = 0.0
    return drawn / drawn.sum()


def judged(flow, p, q, dt):
    """The bounds for an end q of a step from p, and G(q)."""
    grid = flow.grid(CELLS)
    end = Density(grid, q / grid.cell_volume)
    slope = flow.energy.potential(end, end.points)
    for term in flow.energy.internal:
        slope = slope + term.slope(end.values)
    costs = flow.domain.distance(grid.centres[:, None, :], grid.centres[None, :, :]) ** 2 / (2.0 * dt)
    found = bounds(p, q, costs, slope)
    return found, flow.energy.value(end) + found.price


def least(flow, p, dt):
    """Exact's end (m,) of a step from p."""
    grid = flow.grid(CELLS)
    state = State(0.0, Density(grid, p / grid.cell_volume))
    return Exact(CELLS).step(flow, state, dt).state.measure.weights


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dt", [0.01, 0.3, 10.0])
@pytest.mark.parametrize("name", FLOWS)
def test_bounds_hold_for_every_measure(name, dt, seed):
    """0 <= G(q) - min G <= by_slope <= by_potentials for random q, to rounding: neither is ever negative."""
    flow, p, q = FLOWS[name], masses(seed, still=True), masses(100 + seed)
    found, value = judged(flow, p, q, dt)
    _, minimum = judged(flow, p, least(flow, p, dt), dt)
    assert -1e-12 <= value - minimum <= found.by_slope + 1e-12 <= found.by_potentials + 2e-12


@pytest.mark.parametrize("dt", [0.01, 0.3, 10.0])
@pytest.mark.parametrize("name", FLOWS)
def test_bounds_vanish_at_the_minimum(name, dt):
    """At Exact's end the value is known to 1e-12, and POT's potentials agree with dF/dq to 1e-7 in the mean.

    The first is quadratic in what the second measures; rounding is a little above -1e-13.
    """
    flow, p = FLOWS[name], masses(7, still=True)
    found, _ = judged(flow, p, least(flow, p, dt), dt)
    assert -1e-13 <= found.by_slope <= 1e-12
    assert found.by_potentials <= 1e-7


@pytest.mark.parametrize("name", FLOWS)
def test_bounds_see_a_small_fault(name):
    """A thousandth of the mass in the wrong cell, 1 away, costs some 1e-3 of the slope there: both bounds see 1e-5."""
    flow, p, dt = FLOWS[name], masses(7), 0.3
    q = least(flow, p, dt)
    wrong = q - 1e-3 * q
    wrong[np.argmin(q)] += 1e-3
    found, _ = judged(flow, p, wrong, dt)
    assert found.by_slope >= 1e-5 and found.by_potentials >= 1e-5


def test_a_wrong_potential_disagrees_with_pot():
    """dF/dq nine tenths of what it is: at the minimum of G both bounds are above 1e-3 of the energy's size."""
    flow, p, dt = FLOWS["entropy"], masses(7), 0.3
    q = least(flow, p, dt)
    grid = flow.grid(CELLS)
    end = Density(grid, q / grid.cell_volume)
    slope = 0.9 * (flow.energy.potential(end, end.points) + Entropy(0.2).slope(end.values))
    costs = (grid.centres - grid.centres.T) ** 2 / (2.0 * dt)
    found = bounds(p, q, costs, slope)
    assert found.by_slope >= 1e-3 and found.by_potentials >= 1e-3


def test_pure_plans_leave_the_potentials_free():
    """Each cell of p sent to a cell of its own: POT's plan falls into parts, and their constants are fixed by dF/dq.

    V = -x, tau = 3h: every cell moves by three, the last ones share the wall. Taken as they are, POT's potentials
    of the parts would not agree.
    """
    grid, tau = Grid(interval(0, 1), (CELLS,)), 3.0 / CELLS
    p = masses(3)
    q = np.bincount(np.minimum(np.arange(CELLS) + 3, CELLS - 1), p, CELLS)
    costs = (grid.centres - grid.centres.T) ** 2 / (2.0 * tau)
    found = bounds(p, q, costs, -grid.centres[:, 0])
    assert found.by_slope <= 1e-14 and found.by_potentials <= 1e-14


def test_a_step_cut_short_is_not_returned():
    """Three iterations leave a residual far above 1e-6: NotConverged with the numbers and a remedy."""
    flow = problems.circle_teacher().flow
    solver = Exact(48, limit=3)
    with pytest.raises(NotConverged, match=r"certified to .* > 1e-06.*raise `limit`") as caught:
        solver.step(flow, solver.init(flow), 5.0)
    assert caught.value.residual > 1e-3


def test_the_residual_sees_potentials_that_are_wrong(monkeypatch):
    """POT's u_i off by +-e in turn, on a uniform start: by_potentials is e/2 more, the residual (e/(2 gain))^2.

    The slope alone certifies the end to 1e-12, for it never asks POT's potentials. e = 2e-4 of the gain leaves 1e-8,
    which passes; 4e-3 of it leaves 4e-6 > 1e-6, which is refused.
    """
    flow, solver, true = FLOWS["entropy"], Exact(CELLS), solvers.jko._bounds.cheapest_plan
    start = solver.init(flow)
    good = solver.step(flow, start, 0.3)
    gain = flow.energy.value(start.measure) - flow.energy.value(good.state.measure) - good.dissipated

    def with_fault(e):
        def plan(p, q, costs):
            found = true(p, q, costs)
            return replace(found, left=found.left + e * (-1.0) ** np.arange(len(p)))

        monkeypatch.setattr(solvers.jko._bounds, "cheapest_plan", plan)

    assert good.residual < 1e-10
    with_fault(2e-4 * gain)
    assert solver.step(flow, start, 0.3).residual == pytest.approx(1e-8, rel=1e-4)
    with_fault(4e-3 * gain)
    with pytest.raises(NotConverged, match=r"by POT's potentials") as caught:
        solver.step(flow, start, 0.3)
    assert caught.value.residual == pytest.approx(4e-6, rel=1e-4)


def test_energies_that_cannot_be_certified_are_refused():
    """A kernel that is not positive semidefinite: slopes bound nothing, so the flow is refused."""
    repulsive = replace(circle_kernel(activation("cos_minus_sin", 1.0), "gaussian"), modes=np.array([0.0, -1.0]))
    flow = Flow(Energy(*population_risk(repulsive, Uniform(circle()))), circle(), Uniform(circle()), 1.0)
    assert "not convex along mixtures" in Exact(16).refusal(flow)


# The second variation


RING, PLANE = Grid(circle(), (CELLS,)), Grid(box([-2, -2], [2, 2]), (5, 4))
SECOND = {
    "smooth kernel": (
        population_risk(circle_kernel(activation("tanh", 2.0), "circle"), UNIFORM),
        Grid(circle(), (20,)),
    ),
    "kinked kernel": (population_risk(sawtooth_kernel(), UNIFORM), Grid(circle(), (20,))),
    "network": (problems.two_layer_1d(ridge=0.1).flow.energy.terms, PLANE),
    "potential": ([Potential.quadratic(2.0)], PLANE),
}


@pytest.mark.parametrize("name", SECOND)
def test_the_second_variation_is_how_v_changes(name):
    """V[q'] - V[q] = second variation . (q' - q) for masses q, q' of one sum, V being affine; to 1e-12 of its size."""
    terms, grid = SECOND[name]
    energy = Energy(*terms)
    a, b = (Density(grid, masses(seed) / grid.cell_volume) for seed in (1, 2))
    change = energy.potential(b, b.points) - energy.potential(a, a.points)
    found = second_variation(energy, a) @ (b.weights - a.weights)
    np.testing.assert_allclose(found, change, rtol=0.0, atol=1e-12 * (1.0 + np.abs(change).max()))


def test_the_second_variation_of_a_loss_that_is_not_quadratic():
    """Half the difference of V at q + e d and q - e d over e, to O(e^2): 1e-7 of its size at e = 1e-4."""
    risk = problems.two_layer_1d().flow.energy.risk
    labels = risk.data.with_targets(lambda x: np.sign(x[:, 0]))
    energy = Energy(Risk(risk.neuron, labels, Logistic()))
    q, d = masses(1), masses(2) - masses(3)
    ahead, behind = (Density(PLANE, (q + e * d * q) / np.sum(q + e * d * q) / PLANE.cell_volume) for e in (1e-4, -1e-4))
    change = energy.potential(ahead, ahead.points) - energy.potential(behind, behind.points)
    found = second_variation(energy, Density(PLANE, q / PLANE.cell_volume)) @ (ahead.weights - behind.weights)
    np.testing.assert_allclose(found, change, rtol=0.0, atol=1e-7 * np.abs(change).max())


# The study


@dataclass(frozen=True)
class Hasty(Exact):
    """Pays half the price: its steps are those of twice the length."""

    def step(self, flow, state, dt):
        taken = super().step(flow, state, 2.0 * dt)
        return replace(taken, state=replace(taken.state, time=state.time + dt), dissipated=2.0 * taken.dissipated)


@dataclass(frozen=True)
class Still(Exact):
    """Moves nothing, and is sure of it."""

    def step(self, flow, state, dt):
        return Step(state.after(dt, state.measure), dissipated=0.0)


def rows_of(name, solver, **parameters):
    """The rows of one study."""
    problem = problems.build(name, **parameters)
    return study(name, dict(problem.parameters), suited(solver, problem, False), False).rows


@pytest.mark.slow
def test_the_study_compares_a_long_step():
    """circle_teacher: the KKT residual is a row, and one step beside Quantile's; there are no rows of orders."""
    rows = {row.certificate.claim.split(",")[0].split(" of ")[0]: row for row in rows_of("circle_teacher", Exact(96))}
    assert {"KKT residual", "one step"} <= set(rows)
    assert all(row.holds for row in rows.values())
    assert not any("order" in claim for claim in rows)


@pytest.mark.slow
def test_the_study_sees_a_wrong_price():
    """Half the price of transport: the first step is two cells from Quantile's, and its row does not hold."""
    (row,) = (row for row in rows_of("linear_neuron", Hasty(96)) if row.certificate.claim.startswith("one step"))
    assert not row.holds and row.certificate.measured > TURN / 96


def test_the_study_says_why_it_does_not_compare():
    """sawtooth over 2 time units: its fastest mass does not cross four cells; the last row says so in numbers."""
    *others, last = rows_of("sawtooth", Exact(96), horizon=2.0)
    assert re.search(r"horizon 2 is shorter than [3-9]\.\d+", last.refusal) and "Exact(cells=96)" in last.refusal
    assert not any("step" in row.certificate.claim and "KKT" not in row.certificate.claim for row in others)


@pytest.mark.slow
def test_two_steps_are_compared_with_the_flow():
    """MUSCL and its kind within the errors in tau and in h; a method that stands still is not."""
    good, bad = (
        [row for row in rows_of("linear_neuron", solver) if row.certificate.claim.startswith("2 steps")]
        for solver in (Exact(96), Still(96))
    )
    assert len(good) >= 2 and all(row.holds for row in good)
    assert len(bad) == len(good) and not any(row.holds for row in bad)
