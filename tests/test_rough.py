"""Rough starts: laws with jumps and atoms on cells, exact transport, and the order that each regularity leaves."""

import math
from itertools import pairwise

import numpy as np
import pytest

from solvers.finite_volume import Muscl, ScharfetterGummel, Upwind
from solvers.jko import Quantile
from solvers.particles import GradientFlow
from solvers.spectral import Fourier
from wflow import (
    Atoms,
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Grid,
    Law,
    Particles,
    Product,
    Refused,
    Steps,
    Uniform,
    circle,
    interval,
    line,
    problems,
    solve,
    w2,
)
from wflow.convergence import distance
from wflow.domain import TURN
from wflow.problems.rough import moved
from wflow.solver import Solver

GAP = Steps(interval(0.0, 4.0), np.array([0.0, 1.0, 2.0, 4.0]), np.array([0.5, 0.0, 0.5]))
ARC = Steps(circle(), np.array([1.0, 2.5]), np.array([1.0]))
ROUND = Steps(circle(), np.array([0.0, 1.0, 2.5, TURN]), np.array([0.15, 0.6, 0.25]))


# Laws


@pytest.mark.parametrize("law", [GAP, ARC, ROUND, Steps(line(), np.array([-1.0, 2.0]), np.ones(1))])
def test_the_quantile_inverts_the_cdf(law: Steps) -> None:
    """cdf(quantile(s)) = s on (0, 1), and the quantile is the leftmost such number; lifted by turns on the circle."""
    s = (np.arange(200) + 0.5) / 200
    x = law.quantile(s)
    np.testing.assert_allclose(law.cdf(x), s, atol=1e-14)
    assert np.all(law.cdf(x - 1e-9) < s)
    if law.domain.is_circle:
        np.testing.assert_allclose(law.quantile(s + 2.0), x + 2.0 * TURN, atol=1e-13)
        np.testing.assert_allclose(law.cdf(x - TURN), s - 1.0, atol=1e-14)


@pytest.mark.parametrize("law", [GAP, ARC, ROUND])
def test_cell_averages_are_integrals_of_the_density(law: Steps) -> None:
    """Midpoints of 1000 parts a cell: each jump costs a part of a cell's mean."""
    grid = Grid(law.domain, (16,))
    fine = Grid(law.domain, (16000,))
    means = law.density(fine.centres).reshape(16, -1).mean(axis=1)
    np.testing.assert_allclose(law.averages(grid), means, atol=2e-3 * means.max())
    assert law.averages(grid).sum() * grid.cell_volume == pytest.approx(1.0, abs=1e-14)


def test_a_gap_is_jumped_over() -> None:
    """Half the mass on [0, 1], half on [2, 4]: quantile(1/2) = 1 and then at once beyond 2."""
    assert GAP.quantile(np.array([0.0, 0.25, 0.5, 0.75, 1.0])) == pytest.approx([0.0, 0.5, 1.0, 3.0, 4.0])
    assert not GAP.connected and not ARC.connected and ROUND.connected
    assert Steps(interval(0.0, 4.0), np.array([1.0, 2.0, 3.0]), np.array([0.4, 0.6])).connected


@pytest.mark.parametrize(
    ("law", "regularity"),
    [
        (ROUND, "jump"),
        (ARC, "jump"),
        (Steps(circle(), np.array([0.0, 1.0, TURN]), np.array([1.0, TURN - 1.0]) / TURN), "smooth"),
        (Uniform(circle()), "smooth"),
        (Gaussian(dim=2), "smooth"),
        (Atoms(circle(), np.zeros((1, 1))), "atom"),
        (Product(Gaussian(), GAP), "jump"),
        (Product(Gaussian(), Atoms(line(), np.zeros((1, 1)))), "atom"),
        (Product(Atoms(interval(-1, 1), np.zeros((1, 1))), Gaussian(), frozen=(True, False)), "smooth"),
        (problems.two_layer_1d(initial="uniform").flow.initial, "jump"),
    ],
)
def test_regularity(law: Law, regularity: str) -> None:
    """Of the density along the axes in which mass moves."""
    assert law.regularity == regularity


def test_atoms_fill_cells_open_on_the_right() -> None:
    """[e_k, e_{k+1}), the last one closed: atoms on edges, at both walls and on the circle's seam."""
    on_line = Atoms(interval(0.0, 4.0), np.array([[0.0], [1.0], [1.5], [4.0]]), np.array([0.1, 0.2, 0.3, 0.4]))
    assert on_line.averages(Grid(interval(0.0, 4.0), (4,))) == pytest.approx([0.1, 0.5, 0.0, 0.4])
    on_circle = Atoms(circle(), np.array([[0.0], [TURN], [0.5 * TURN], [-0.1]]))
    assert on_circle.averages(Grid(circle(), (4,))) * TURN / 4 == pytest.approx([0.5, 0.0, 0.25, 0.25])
    assert on_circle.cdf(np.array([0.0, 1.0, TURN, TURN + 1.0])) == pytest.approx([0.0, 0.5, 1.0, 1.5])


@pytest.mark.parametrize(
    ("edges", "masses", "message"),
    [
        ([1.0, 0.5], [1.0], "not increasing"),
        ([0.0, 7.0], [1.0], "leave the domain"),
        ([0.0, 1.0, 2.0], [0.3, 0.3], "sum to 0.6"),
        ([0.0, 1.0, 2.0], [1.3, -0.3], "negative"),
    ],
)
def test_wrong_steps_are_refused(edges: list[float], masses: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Steps(circle(), np.array(edges), np.array(masses))


# Exact transport


def test_characteristics() -> None:
    """d/dt moved = -sin moved by differences, moved(moved(x, t), -t) = x, and pi stays."""
    x, h = np.linspace(-8.0, 8.0, 41), 1e-5
    slope = (moved(x, 0.7 + h) - moved(x, 0.7 - h)) / (2 * h)
    np.testing.assert_allclose(slope, -np.sin(moved(x, 0.7)), atol=1e-9)
    np.testing.assert_allclose(moved(moved(x, 1.3), -1.3), x, atol=1e-12)
    assert moved(np.array([math.pi]), 2.0) == pytest.approx([math.pi])


@pytest.mark.parametrize("shape", ["steps", "arc"])
def test_the_exact_density_is_that_of_its_cdf(shape: str) -> None:
    """Central differences of the cdf, away from the jumps."""
    law = problems.jump_start(shape).exact(0.8)
    assert law is not None
    x = np.array([0.1, 0.7, 1.2, 3.0, 5.0])
    slope = (law.cdf(x + 1e-6) - law.cdf(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(law.density(x[:, None]), slope, atol=1e-8)


def test_atoms_that_stay_or_are_none_are_refused() -> None:
    for angles in ([], [math.pi], [[1.0]]):
        with pytest.raises(ValueError, match="other than pi"):
            problems.atom_start(angles)
    with pytest.raises(ValueError, match="unknown name 'box'"):
        problems.jump_start("box")  # type: ignore[arg-type]


# Orders


def errors(solver: Solver, problem: problems.Problem, sizes: tuple[int, ...]) -> list[float]:
    """W2 to the exact answer at t = 1 with dt = h/16, far below h/|v|."""
    made = []
    for n in sizes:
        run = solve(problem.flow, solver.refined(n / getattr(solver, solver.resolution)), steps=4 * n, times=[1.0])
        law = problem.exact(1.0)
        assert law is not None
        made.append(w2(run.final, law))
    return made


CASES = {
    "atom": problems.atom_start((2.0,)),
    "two atoms": problems.atom_start(),
    "steps": problems.jump_start(),
    "arc": problems.jump_start("arc"),
}
EXPONENTS = {
    (Upwind, "atom"): 1 / 2, (Upwind, "two atoms"): 1 / 2, (Upwind, "steps"): 3 / 4, (Upwind, "arc"): 3 / 4,
    (Muscl, "atom"): 2 / 3, (Muscl, "two atoms"): 2 / 3, (Muscl, "steps"): 1.0, (Muscl, "arc"): 1.0,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "start"), list(EXPONENTS), ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_cells_lose_their_order_to_rough_starts(scheme: type[Solver], start: str) -> None:
    """Layers of width d = h^(1/2) (upwind), h^(2/3) (muscl): W2 ~ d about atoms, d^(3/2) across jumps (derived).

    Least-squares slope over 32..512 cells: at least the exponent less .05, and nowhere near the smooth order: at
    most the exponent plus .17. The declared order is the exponent.
    """
    solver, problem, sizes = scheme(32), CASES[start], (32, 64, 128, 256, 512)  # type: ignore[call-arg]
    found = errors(solver, problem, sizes)
    slope = -float(np.polyfit(np.log(sizes), np.log(found), 1)[0])
    assert solver.order(problem.flow).space == pytest.approx(EXPONENTS[scheme, start])
    assert EXPONENTS[scheme, start] - 0.05 <= slope <= EXPONENTS[scheme, start] + 0.17


@pytest.mark.parametrize("scheme", [Upwind, Muscl], ids=lambda s: s.__name__)
def test_a_square_costs_the_same_in_the_plane(scheme: type[Solver]) -> None:
    """Networks a tanh(w x) from the uniform law on a square: a layer along its sides, 3/4 and 1 in H^-1 to .1.

    At t = 1: at t = 1/2 the layer of width h^(2/3) t^(1/3) is still about a cell wide and .7 is seen for Muscl.
    """
    flow = problems.two_layer_1d(initial="uniform", reach=3.0, horizon=1.0).flow
    ends = [solve(flow, scheme(n), steps=220, times=[1.0]).final for n in (32, 64, 128)]  # type: ignore[call-arg]
    apart = [distance(a, b) for a, b in pairwise(ends)]
    assert math.log2(apart[0] / apart[1]) == pytest.approx(scheme(8).order(flow).space, abs=0.1)  # type: ignore[call-arg]


@pytest.mark.slow
def test_the_width_of_upwind_about_an_atom_is_predicted() -> None:
    """W2 = sin(theta_t) sqrt(h (cot theta_t - cot theta_0)), no constant to fit (derived: variance of a Gaussian).

    s^2' = -2 cos(theta) s^2 + h sin(theta) along theta' = -sin theta; the numerical diffusion is (h - |v| dt)|v|/2 and
    dt = h/63 here, and the atom's place in its cell adds h/2 at most: 4 % at 1024 cells.
    """
    n, start = 1024, 2.0
    problem = problems.atom_start((start,))
    run = solve(problem.flow, Upwind(n), steps=10 * n, times=[1.0])
    end, h = float(moved(np.array([start]), 1.0)[0]), TURN / n
    width = math.sin(end) * math.sqrt(h * (1 / math.tan(end) - 1 / math.tan(start)))
    exact = problem.exact(1.0)
    assert exact is not None
    assert w2(run.final, exact) == pytest.approx(width, rel=0.04)


def test_particles_do_not_feel_atoms() -> None:
    """From atoms the particles are the atoms: RK4 with 40 steps is at 1e-9 of the characteristics."""
    problem = problems.atom_start()
    run = solve(problem.flow, GradientFlow(7), steps=40)
    assert len(run.final.points) == 2
    assert isinstance(run.final, Particles)
    np.testing.assert_allclose(run.final.points, moved(problem.flow.initial.points, 1.0), atol=1e-7)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("start", "least", "most"), [("steps", 1.5, 2.6), ("arc", 0.5, 0.6)])
def test_minimising_movements_lose_to_gaps_more_than_to_jumps(start: str, least: float, most: float) -> None:
    """Chords over a jump cost 1/m on a mass of 1/m: 3/2; a gap inside one cell of mass 1/m costs 1/2."""
    flow = CASES[start].flow
    ends = [solve(flow, Quantile(n), steps=10, times=[1.0]).final for n in (30, 60, 120, 240)]
    apart = [w2(a, b) for a, b in pairwise(ends)]
    slope = math.log2(apart[0] / apart[-1]) / 2
    assert Quantile(30).order(flow).space == pytest.approx(least)
    assert least - 0.15 <= slope <= most


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "expected"), [(Upwind, 1.0), (Muscl, 1.0), (ScharfetterGummel, 1.0)])
def test_heat_forgives_an_atom_all_but_its_place(scheme: type[Solver], expected: float) -> None:
    """T = 0.1 from one atom at 5/16 of a turn, on an edge of every grid: the mass begins h/2 beside it, order 1."""
    flow = CASES["atom"].flow
    atom = Atoms(circle(), np.array([[TURN * 5 / 16 + 1e-9]]))
    warm = Flow(Energy(*flow.energy.terms, Entropy(0.1)), circle(), atom, 1.0)
    ends = []
    for n in (32, 64, 128, 256):
        steps = 60 if scheme is ScharfetterGummel else n * n // 20
        ends.append(solve(warm, scheme(n), steps=max(60, steps), times=[1.0]).final)  # type: ignore[call-arg]
    apart = [w2(a, b) for a, b in pairwise(ends)]
    assert scheme(32).order(warm).space == expected  # type: ignore[call-arg]
    assert expected - 0.15 <= math.log2(apart[1] / apart[2]) <= expected + 0.35


@pytest.mark.parametrize("start", ["steps", "atom"])
def test_modes_refuse_rough_starts(start: str) -> None:
    """Ringing modes fall below zero; the refusal says what to use."""
    with pytest.raises(Refused, match="particles"):
        solve(CASES[start].flow, Fourier(16))
