"""From which cells on a study asks for an order: an order is a limit, and cells as wide as the law refute none."""

import math

import numpy as np
import pytest

from solvers.fem import DG0, toolchain
from solvers.finite_volume import Muscl, ScharfetterGummel, Upwind
from solvers.jko import Linearised, Sdirk2
from solvers.particles import DormandPrince, GradientFlow
from solvers.spectral import Fourier
from wflow import problems, solve, w2
from wflow.app.levels import FINEST, narrow, sharper, way
from wflow.app.orders import Orders
from wflow.app.study import study
from wflow.convergence import Laboratory, in_space, on_the_way
from wflow.domain import line
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.law import Atoms, Gaussian
from wflow.pair_kernel import QuadraticKernel
from wflow.terms import Interaction, Potential

MESHES = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_modes_that_are_cut_off_on_the_way_are_kept():
    """von_mises_langevin, T = .01: twelve modes leave 1.6e-2 at t = 4, though 1e-4 at the end, and the energy identity
    stalls at 8e-7; with twice as many its order is that of the steps.
    """
    (identity,) = rows(problems.build("von_mises_langevin", temperature=0.01), Fourier(24), "energy identity")
    assert identity.holds and "nothing left" not in identity.claim and identity.measured > 3.85


def test_exponential_fitting_is_upwind_where_cells_are_wide_beside_noise():
    """gaussian_langevin at T = .01: V changes by 50 T a cell of 64 where the start lies; 2 from less than 2 T on.

    The viscosity over T, (x/2) coth(x/2) - 1, has slope 1.88 in log x at x = 2, more below, and goes to 1 (derived).
    """
    problem = problems.gaussian_langevin(temperature=0.01)
    assert [ScharfetterGummel(n).order(problem.flow).space for n in (64, 512, 4096)] == [1.0, 1.0, 2.0]
    assert ScharfetterGummel(128).order(problems.gaussian_langevin().flow).space == 2.0

    def slope(x):
        def viscosity(x):
            return 0.5 * x / math.tanh(0.5 * x) - 1.0

        return math.log(viscosity(x * 1.001) / viscosity(x / 1.001)) / math.log(1.001**2)

    assert slope(2.0) == pytest.approx(1.88, abs=0.005) and slope(1.0) > slope(2.0) and slope(200.0) < 1.02


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "given", "solver", "claim", "least"),
    [
        ("gaussian_langevin", {"temperature": 0.01}, ScharfetterGummel(64), "order in space", 0.85),
        ("gaussian_langevin", {"mean": 5.0, "var": 0.01}, Muscl(64), "energy identity", 1.85),
        ("gaussian_langevin", {"mean": 5.0, "var": 0.01}, ScharfetterGummel(64), "energy identity", 0.85),
        ("gaussian_langevin", {"mean": 5.0, "var": 0.01}, Upwind(64), "order in time", 0.85),
        ("isotropic_gaussians", {"ridge": 0.05, "temperature": 0.05}, Muscl(64), "energy identity", 1.85),
    ],
    ids=["cold", "narrow", "narrow-implicit", "narrow-at-the-wall", "erratic"],
)
def test_orders_are_asked_of_levels_that_resolve_the_law(name, given, solver, claim, least):
    """Of those in which no order was seen: cells thrice as wide as the start (1.33 of 2; by first orders so much
    smearing that mass came to the walls), steps in which it spreads threefold (.54 of 1), residuals that change sign
    from 52 steps to 104 (1.68 of 2); and 1.19 of 2 in space where fitted fluxes are upwind.
    """
    (order,) = rows(problems.build(name, **given), solver, claim)
    assert order.holds and order.measured > least


@pytest.mark.slow
def test_a_decay_is_allowed_the_error_of_every_output():
    """displacement_convex, alpha = 10, by Upwind: .005 above the bound on the way, of an error that has gone to a
    quarter by the end.
    """
    (decay,) = rows(problems.build("displacement_convex", alpha=10.0), Upwind(64), "W2 to the minimiser")
    (end,) = rows(problems.build("displacement_convex", alpha=10.0), Upwind(64), "W2 to the exact answer")
    assert decay.holds and end.tolerance < decay.measured < decay.tolerance


def lengths_of_cells(d, solver, horizon=0.6, window=None):
    problem = problems.isotropic_gaussians(d=d, window=window, horizon=horizon)
    lab = Laboratory(problem.flow)
    return lab, problem, lab.enough(solver, 20)


def test_a_way_is_the_integral_of_the_speed():
    """One atom in a quadratic well, r = e^{-t}: |V'|^2 = e^{-2t}, the way 1 - e^{-t}; from 64 stretches, more."""
    flow = Flow(Energy(Potential.quadratic(1.0)), line(), Atoms(line(), np.array([[1.0]])), 1.0)
    exact = 1.0 - math.exp(-1.0)
    assert exact <= way(solve(flow, GradientFlow(1), steps=640)) <= exact * (1.0 + 1e-4)


@pytest.mark.parametrize(("solver", "share", "power"), [(Upwind(64), 0.7, 2.0), (Muscl(64), 0.4, 3.0)])
def test_cells_are_thin_beside_what_a_scheme_smears(solver, share, power):
    """sqrt(h L) <= .7 s and (h^2 L)^(1/3) <= .4 s, s the least deviation, by d = 10: neither holds on 64 cells, where
    cells alone (.044 against .6 * .12) are narrow enough.
    """
    lab, problem, run = lengths_of_cells(10, solver)
    grid = run.measures[0].grid
    x, h = grid.centres[:, 0], float(grid.widths[0])
    s = min(math.sqrt(h * float(pi.values @ (x - h * (pi.values @ x)) ** 2)) for pi in run.measures)
    layer = (h ** (power - 1.0) * way(run)) ** (1.0 / power)
    assert h < 0.6 * s and layer > share * s
    factor = narrow(problem, run)
    assert factor in (2, 4)
    assert sharper(lab, problem, run) >= factor


def test_where_sixteen_times_the_cells_are_too_few_orders_are_refused_with_the_remedy():
    """d = 1000: |w| deviates by .012 from a mean that goes .35: order 2 needs cells of 4e-4 in a window of 2.8.

    In a window of .75 that is 1330 of them.
    """
    lab, problem, run = lengths_of_cells(1000, Muscl(16))
    orders = Orders(lab, problem, run, quick=True)
    assert orders.finer is None
    assert not list(orders.certificates())
    (reason,) = orders.refusals()
    assert f"{FINEST} times as many cells" in reason and "narrower window" in reason


def test_methods_declare_what_bends_of_the_potential_leave_of_their_order():
    """V leaves knots like a power p = (d + 1)/2: min(2 p/3, p - 1/2) of MUSCL, p of particles in time.

    d = 2: V' leaves knots like a root, 1/2 and 1.
    """
    flows = [problems.isotropic_gaussians(d=d).flow for d in (2, 3, 4, 5, 6, 7)]
    assert [Muscl(64).order(flow).space for flow in flows] == pytest.approx([0.5, 4 / 3, 5 / 3, 2.0, 2.0, 2.0])
    assert [Upwind(64).order(flow).space for flow in flows] == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert [GradientFlow(64).order(flow).time for flow in flows] == [1.0, 2.0, 2.5, 3.0, 3.5, 4.0]
    assert [DormandPrince(64).order(flow).time for flow in flows] == [1.0, 2.0, 2.5, 3.0, 3.5, 5.0]
    assert [Sdirk2(64).order(flow).time for flow in flows] == [1.0, 2.0, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.slow
@pytest.mark.parametrize(("d", "end", "least", "most"), [(2, 4.849, 0.35, 1.0), (3, 4.063, 1.18, 1.85)])
def test_bends_are_seen_in_the_order(d, end, least, most):
    """On 256 to 1024 cells MUSCL shows .53 and 1.43 of 2; where in its cell a knot lies changes that (1.32 at d = 2 on
    a window a tenth longer)."""
    lab, _, _ = lengths_of_cells(d, Muscl(64), window=(0.0, end))
    found = in_space(lab, Muscl(64), [4.0, 8.0, 16.0], 20)
    assert least < found.observed < most


def bent(power, drift):
    """V = -1.5 (w - k)_+^p/p - drift w on a line, from N(0, .2^2): at k = .113 mass stands, or crosses."""
    knot = 0.113

    def field(w, derivative):
        x = np.maximum(w[:, 0] - knot, 0.0)
        if derivative == 0:
            return -1.5 * x**power / power - drift * w[:, 0]
        if derivative == 1:
            return (-1.5 * x ** (power - 1.0) - drift)[:, None]
        return (-1.5 * (power - 1.0) * np.where(x > 0.0, x ** (power - 2.0), 0.0))[:, None, None]

    return Flow(Energy(Potential(field, "bent")), line(), Gaussian(0.0, 0.2), 0.35, (-2.5, 4.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("power", "drift", "least", "most"), [(2.0, 0.0, 1.35, 1.75), (2.0, 1.0, 1.52, 2.2), (2.5, 0.0, 1.85, 2.2)]
)
def test_bends_cost_where_mass_stands_more_than_where_it_crosses(power, drift, least, most):
    """MUSCL on 512 to 2048 cells, between the order and what is above it by chance of places in cells: 3/2 where rho
    gets a jump that stands (1.46 seen), 5/3 or more where its corner moves on (2.02), 2 from p = 5/2 on (2.04).
    """
    found = in_space(Laboratory(bent(power, drift)), Muscl(64), [8.0, 16.0, 32.0], 20)
    assert least < found.observed < most


def drawn(drift, knot, shift):
    """V' = -5 x/(1 + x) - drift + 3 (w - mean), x = (w - knot)_+: V'' jumps at the knot."""

    def field(w, derivative):
        x = np.maximum(w[:, 0] - knot, 0.0)
        if derivative == 0:
            return -5.0 * (x - np.log1p(x)) - drift * w[:, 0]
        if derivative == 1:
            return (-5.0 * x / (1.0 + x) - drift)[:, None]
        return (-5.0 * (w[:, 0] > knot) / (1.0 + x) ** 2)[:, None, None]

    energy = Energy(Potential(field, "bent"), *[Interaction(QuadraticKernel())] * 3)
    return Flow(energy, line(), Gaussian(0.0, 0.25), 0.3, (-2.5 - shift, 5.5 + shift))


@pytest.mark.slow
@pytest.mark.parametrize(("drift", "knot", "least", "most"), [(0.5, 0.25, 1.18, 1.82), (3.0, -0.1, 1.85, 2.2)])
def test_mass_that_turns_at_a_knot_has_a_rougher_bend(drift, knot, least, most):
    """p = 2, MUSCL on 512 to 2048 cells, rms over three grids: 4/3 or more where V'(k) changes sign on the way (1.59
    seen), 5/3 or more where it does not (2.01).
    """
    apart = [
        in_space(Laboratory(drawn(drift, knot, shift)), Muscl(128), [4.0, 8.0, 16.0], 20).distances
        for shift in (0.0, 0.0037, 0.0071)
    ]
    coarse, fine = np.sqrt(np.mean(np.square(apart), axis=0))
    assert least < math.log2(coarse / fine) < most


@pytest.mark.slow
@pytest.mark.parametrize("solver", [Upwind(64), pytest.param(DG0(64), marks=MESHES), Linearised(128)], ids=str)
def test_where_the_law_comes_to_rest_the_order_is_seen_on_the_way(solver):
    """von_mises_langevin without a target ends uniform: V fades like c_1, the error of upwinding like h c_1^2, that of
    heat's flux like h^2 c_1, which is left at the end, of the other sign: .39, .69, .58 by 128 cells.
    """
    problem = problems.build("von_mises_langevin", target=0.0)
    (order,) = rows(problem, solver, "order in space")
    assert order.holds and "the largest on the way" in order.claim and 0.85 < order.measured < 1.3
    end = in_space(Laboratory(problem.flow), solver, [0.5, 1.0, 2.0], 20)
    assert end.observed < 0.85


def test_the_way_is_asked_at_one_time_which_is_not_the_start():
    """Where the two finest are furthest apart: the end where nothing comes to rest, and where only starts are apart."""
    spread = Flow(Energy(Potential.quadratic(-0.5)), line(), Gaussian(0.5, 0.2), 0.3, (-3.0, 5.0))
    narrowed = Flow(Energy(Potential.quadratic(4.0)), line(), Gaussian(0.0, 0.4), 0.3, (-4.0, 4.0))
    for flow, solver in ((spread, Upwind(64)), (narrowed, GradientFlow(100))):
        lab = Laboratory(flow)
        end, way = (refined(lab, solver, [0.5, 1.0, 2.0], 20) for refined in (in_space, on_the_way))
        assert way.distances == pytest.approx(end.distances, rel=1e-12)
    lab = Laboratory(problems.build("von_mises_langevin", target=0.0).flow)
    end, way = (refined(lab, Upwind(64), [0.5, 1.0, 2.0], 20) for refined in (in_space, on_the_way))
    assert "W2 at t = 1.25, the largest on the way" in str(way)
    runs = [lab.run(Upwind(n), lab.enough(Upwind(128), 20).steps) for n in (64, 128)]
    assert way.distances[-1] == max(w2(a, b) for a, b in zip(*(run.measures for run in runs), strict=True))
    assert way.distances[-1] > 100.0 * end.distances[-1]
