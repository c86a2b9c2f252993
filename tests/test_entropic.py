"""JKO steps with entropic transport: closed steps of Gaussians, rates of bias, walls, what is kept and refused."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import logsumexp

from solvers.jko import Entropic, Exact, Heated, Quantile, Sinkhorn, Spline
from solvers.jko._gibbs import Axis, Gibbs, geodesic_costs, heat_costs
from solvers.jko._mixing import Mixing
from solvers.jko._scaling import Divergence, gibbs_on
from wflow import (
    Density,
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Potential,
    Power,
    Refused,
    Uniform,
    box,
    circle,
    line,
    plane,
    problems,
    solve,
    torus,
    w2,
)
from wflow.domain import Box
from wflow.errors import NotConverged
from wflow.solver import State

METHODS = (Entropic, Heated, Sinkhorn)
T, STD, MEAN = 0.004, (0.05, 0.08), (0.1, -0.05)


class AtCentres(Gaussian):
    """A Gaussian whose averages are its values at the centres of cells: sums are then integrals to rounding."""

    def averages(self, grid):
        return self.density(grid.centres)


def gaussian_flow(temperature=T):
    """F = temperature Ent + |x|^2/2 in the plane, from N(MEAN, diag STD^2)."""
    energy = Energy(Potential.quadratic(1.0), Entropy(temperature))
    return Flow(energy, plane(), AtCentres(MEAN, STD, 2), 1.0, ((-0.6, 0.6),) * 2)


def taken(solver, flow, dt):
    """A step from the start."""
    return solver.step(flow, solver.init(flow), dt)


def exact_std(std, dt):
    """The JKO step keeps Gaussians, s (1 + dt) = s_0 + dt T/s on each axis; the mean is divided by 1 + dt (derived)."""
    return (std + math.sqrt(std**2 + 4.0 * dt * T * (1.0 + dt))) / (2.0 * (1.0 + dt))


def entropic_std(method, std, epsilon, dt):
    """The methods' own: s^2 k^2 = s_0^2 + epsilon k, where y given x has the mean x/k and the variance epsilon/k.

    k = 1 + epsilon beta for b = e^(-beta y^2/2). From log b = -(dt/epsilon)(V + (T - epsilon/2 dt) log rho)
    k = 1 + dt - dt T/s^2 + epsilon/2 s^2; from log b = -(dt/epsilon)(V + T log rho) + log d the 1 + epsilon/2 s^2 there
    is k' with s^2 k'^2 = s^2 + epsilon k', that of rho to itself (derived).
    """

    def gap(s):
        r = epsilon / s**2
        own = 0.5 * (r + math.sqrt(r * r + 4.0)) if method is Sinkhorn else 1.0 + 0.5 * r
        k = dt - dt * T / s**2 + own
        return s * s * k * k - std * std - epsilon * k

    near = exact_std(std, dt)
    return brentq(gap, 0.9 * near, 1.1 * near, xtol=1e-16)


def l1(pi, other):
    """L1 distance of densities on one grid."""
    values = other.values if isinstance(other, Density) else other.averages(pi.grid)
    return float(np.abs(pi.values - values).sum()) * pi.grid.cell_volume


def l1_of_a_step(solver, dt, temperature=T):
    """To the exact JKO step at T."""
    exact = AtCentres(np.array(MEAN) / (1.0 + dt), [exact_std(s, dt) for s in STD], 2)
    return l1(taken(solver, gaussian_flow(temperature), dt).state.measure, exact)


def rates(errors):
    """Orders between errors of which each belongs to half the epsilon of the one before."""
    return [math.log2(a / b) for a, b in pairwise(errors)]


# The product with the kernel


@pytest.mark.parametrize("costs", [geodesic_costs, heat_costs])
@pytest.mark.parametrize("turns", [(False, False), (True, False)], ids=["walls", "cylinder"])
def test_the_product_is_the_sum_of_all_terms(costs, turns):
    """log sum_y K(x, y) e^f(y) against all n^4 terms: relative 1e-13, f over 4000 and -inf in places and in a row.

    Along the first axis too, for the second fills what is lost there.
    """
    first, second = costs(9, 0.01, turns[0]), costs(7, 0.02, turns[1])
    rng = np.random.default_rng(0)
    f = np.where(rng.random((9, 7)) < 0.2, -np.inf, 4000.0 * rng.random((9, 7)))
    f[4] = -np.inf
    all_terms = f - first[:, None, :, None] - second[None, :, None, :]
    expected = logsumexp(all_terms, axis=(2, 3))
    np.testing.assert_allclose(Gibbs(Axis.of(first), Axis.of(second)).smoothed(f), expected, rtol=1e-13)
    one = Gibbs(Axis.of(first), None)
    np.testing.assert_allclose(one.smoothed(f), logsumexp(f - first[:, :, None], axis=1), rtol=1e-13)
    assert np.isneginf(one.smoothed(np.full((9, 1), -np.inf))).all()


def test_heat_has_images():
    """Rows of the heat kernel have equal sums, to 1e-13, between walls and round the circle, wide or narrow."""
    for variance in (0.4, 3.0, 400.0):
        for turns in (False, True):
            sums = np.exp(-heat_costs(20, variance, turns)).sum(axis=1)
            np.testing.assert_allclose(sums, sums[0], rtol=1e-13)
    np.testing.assert_allclose(heat_costs(60, 0.5, False)[20:40, 20:40], geodesic_costs(60, 0.5, False)[20:40, 20:40])


def test_mixing_solves_linear_equations():
    """x = M x + c in five unknowns, |M| = .99: six iterates do, to 1e-9; the plain iteration has 1e-2 left by then."""
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    matrix, c = turn @ np.diag([0.99, 0.9, 0.5, -0.5, -0.9]) @ turn.T, rng.normal(size=5)
    solution = np.linalg.solve(np.eye(5) - matrix, c)
    x, plain, mixing = np.zeros(5), np.zeros(5), Mixing()
    for _ in range(7):
        x, plain = mixing.after(x, matrix @ x + c - x, np.ones(5)), matrix @ plain + c
    assert np.abs(x - solution).max() <= 1e-9
    assert np.abs(plain - solution).max() >= 1e-2


def test_faint_cells_that_mixing_throws_away_are_fetched_back():
    """24 cells for a Gaussian of std .5, a short step: mixed iterates overflow in the tails, where they weigh nothing.

    Against plain sweeps to a tenth of the tolerance: the same density to a hundred tolerances, as plain sweeps, which
    take hundreds, contract by no less than .99.
    """
    flow, solver, dt = problems.ornstein_uhlenbeck().flow, Sinkhorn(24), 1.0 / 160.0
    start = solver.init(flow).measure
    epsilon = solver.regularisation(flow, start.grid, dt)
    problem = Divergence(flow, start, gibbs_on(start.grid, solver.costs, epsilon), epsilon, dt)
    field = problem.potential(start)
    here = problem.swept(problem.first_guess(), field)
    while here.residual > 0.1 * solver.tolerance:
        here = problem.swept(here.image, field)
    found = taken(solver, flow, dt)
    off = np.abs(found.state.measure.values - problem.density(here).values).sum() * start.grid.cell_volume
    assert off <= 100.0 * solver.tolerance
    assert found.residual <= solver.tolerance


@pytest.mark.slow
@pytest.mark.parametrize("cells", [24, 32])
def test_short_steps_on_coarse_cells_end(cells):
    """Down to dt = 1/160, far below h^2: the means of Gaussians part from S as from W2^2/2, hence 2 (1 + dt)^-k."""
    flow = problems.ornstein_uhlenbeck().flow
    for steps in (80, 160):
        end = solve(flow, Sinkhorn(cells), steps=steps).final
        assert float(end.weights @ end.points[:, 0]) == pytest.approx(2.0 * (1.0 + 1.0 / steps) ** -steps, rel=2e-3)


# A step


@pytest.mark.parametrize("dt", [0.1, 0.5])
@pytest.mark.parametrize("method", METHODS)
def test_a_gaussian_step_is_the_methods_own(method, dt):
    """128^2 cells, epsilon = 1e-4: mean and std as entropic_std says, to 1e-9; mass to 1e-14; price within 1e-3."""
    step = taken(method(128, epsilon=1e-4, tolerance=1e-11), gaussian_flow(), dt)
    pi = step.state.measure
    mean = pi.weights @ pi.points
    std = np.sqrt(pi.weights @ (pi.points - mean) ** 2)
    np.testing.assert_allclose(mean, np.array(MEAN) / (1.0 + dt), rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(std, [entropic_std(method, s, 1e-4, dt) for s in STD], rtol=0.0, atol=1e-9)
    assert abs(pi.mass - 1.0) <= 1e-14
    squared = sum((a - a / (1.0 + dt)) ** 2 + (s - exact_std(s, dt)) ** 2 for a, s in zip(MEAN, STD, strict=True))
    assert 2.0 * dt * step.dissipated == pytest.approx(squared, rel=1e-3)


@pytest.mark.parametrize(("method", "allowed"), [(Entropic, 2e-4), (Heated, 2e-4), (Sinkhorn, 1e-5)])
def test_the_exact_step_of_a_gaussian(method, allowed):
    """128^2 cells, T = .004, dt = .1, epsilon = 1e-4: L1 to the exact JKO step."""
    assert l1_of_a_step(method(128, epsilon=1e-4), 0.1) <= allowed


@pytest.mark.parametrize("method", [Entropic, Sinkhorn])
def test_the_bias_is_of_second_order(method):
    """L1 to the exact JKO step at epsilon = 4e-4, 2e-4, 1e-4: rates 2 to .05."""
    errors = [l1_of_a_step(method(128, epsilon=4e-4 / 2**k), 0.1) for k in range(3)]
    np.testing.assert_allclose(rates(errors), 2.0, atol=0.05)


def test_without_the_correction_it_is_of_first_order():
    """At T + epsilon/2 dt the step is the uncorrected one at T: rates 1 to .05, at 1e-4 a hundred times the error."""
    epsilons = [4e-4 / 2**k for k in range(3)]
    errors = [l1_of_a_step(Entropic(96, epsilon=e), 0.1, T + e / 0.2) for e in epsilons]
    np.testing.assert_allclose(rates(errors), 1.0, atol=0.05)
    assert errors[-1] >= 100.0 * l1_of_a_step(Entropic(96, epsilon=1e-4), 0.1)


def test_no_step_is_too_short_for_the_divergence():
    """dt = 1e-3, epsilon a hundred times 2 dt T: L1 to the exact step a hundredth of the way at most, at rate 2."""
    errors = [l1_of_a_step(Sinkhorn(64, epsilon=8e-4 / 2**k), 1e-3) for k in range(2)]
    moved = l1(Sinkhorn(64).init(gaussian_flow()).measure, AtCentres(np.array(MEAN) / 1.001, STD, 2))
    assert errors[0] <= 1e-2 * moved
    np.testing.assert_allclose(rates(errors), 2.0, atol=0.1)


@pytest.mark.parametrize(("method", "first"), [(Heated, math.cosh), (Sinkhorn, lambda q: 1.0)])
def test_how_waves_of_heat_fade(method, first):
    """1 + a cos 4 pi x on [0, 1], entropy alone, dt = .01, epsilon = .002: a falls as derived for a -> 0, to 1e-7.

    By first(q) + (2 dt/epsilon) sinh q, q = epsilon omega^2/2, in the place of 1 + dt omega^2; here a = 1e-4.
    """
    flow, epsilon, omega = problems.heat_mode().flow, 0.002, 4.0 * math.pi
    solver = method(128, epsilon=epsilon, tolerance=1e-12)
    wave = np.cos(omega * flow.grid(128).centres[:, 0])
    start = Density(flow.grid(128), 1.0 + 1e-4 * wave)
    end = solver.step(flow, State(0.0, start), 0.01).state.measure
    q = 0.5 * epsilon * omega**2
    fade = first(q) + 0.02 / epsilon * math.sinh(q)
    assert float(end.weights @ wave) / float(start.weights @ wave) == pytest.approx(1.0 / fade, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "rate"), [(Entropic, 1.5), (Heated, 2.0)])
def test_what_walls_cost(method, rate):
    """One step of drift on [0, 1], where rho > 0 at walls, from epsilon to epsilon/2: the kernel cut off 3/2, heat 2.

    To .15, against the spline's step on as many cells.
    """
    flow = problems.drift_diffusion().flow
    other = taken(Spline(512), flow, 0.05).state.measure
    errors = [l1(taken(method(512, epsilon=e), flow, 0.05).state.measure, other) for e in (16e-4, 8e-4)]
    np.testing.assert_allclose(rates(errors), rate, atol=0.15)


@pytest.mark.parametrize(
    ("method", "allowed"), [(Entropic, (4e-4, 4e-4)), (Heated, (2e-6, 8e-6)), (Sinkhorn, (2e-6, 4e-6))]
)
def test_a_step_is_that_of_the_spline(method, allowed):
    """Heat and drift on 256 cells: W2 to the spline's step, epsilon by default; the first by its layers at walls."""
    for name, dt, most in (("heat_mode", 0.02, allowed[0]), ("drift_diffusion", 0.05, allowed[1])):
        flow = problems.build(name).flow
        assert w2(*(taken(s, flow, dt).state.measure for s in (method(256), Spline(256)))) <= most


@pytest.mark.parametrize("method", [Heated, Sinkhorn])
def test_a_step_is_the_exact_one_to_the_friction_of_nodes(method):
    """Heat on 96 cells, dt = .02: W2 to jko.Exact, whose floor is its distance from the spline's step, to a tenth."""
    flow = problems.heat_mode().flow
    ends = [taken(s, flow, 0.02).state.measure for s in (method(96), Exact(96), Spline(96))]
    assert w2(ends[0], ends[1]) == pytest.approx(w2(ends[2], ends[1]), rel=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_entropy_with_a_power(method):
    """F = .1 Ent + .25 int rho^2 + int x^2/2 drho, one step on 256 cells: W2 to the spline's step at most 2e-4."""
    both = Energy(Potential.quadratic(1.0), Entropy(0.1), Power(2.0, 0.25))
    flow = Flow(both, line(), Gaussian(0.5, 0.5), 1.0, (-6.0, 6.0))
    ends = [taken(s, flow, 0.1).state.measure for s in (method(256), Spline(256))]
    assert w2(*ends) <= 2e-4
    assert w2(ends[0], Quantile(400).init(flow).measure) >= 1e-2


@pytest.mark.parametrize("method", METHODS)
def test_a_network_by_fixed_point(method):
    """circle_teacher at T = .1: the end of a step is that of its own V, and in W2 within 1e-4 of the spline's."""
    flow = problems.circle_teacher(b=2.0, temperature=0.1, horizon=2.0).flow
    step = taken(method(128), flow, 0.5)
    end = step.state.measure
    field = flow.energy.potential(end, end.points)
    fixed = replace(flow, energy=Energy(Potential(lambda w, k: field), Entropy(0.1)))
    again = method(128).step(fixed, method(128).init(flow), 0.5).state.measure
    assert l1(again, end) <= 1e-7
    assert w2(end, taken(Spline(128), flow, 0.5).state.measure) <= 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("turns", [(True, True), (False, True)], ids=["torus", "cylinder"])
def test_turning_the_start_turns_the_end(method, turns):
    """On a periodic axis a start rolled by cells, a cell of it empty, gives an end rolled by as many: to 1e-7."""
    domain = Box((0.0, 0.0), (2.0 * math.pi, 2.0 * math.pi), turns)
    flow, solver = Flow(Energy(Entropy(0.3)), domain, Uniform(domain), 1.0), method(32)
    grid = flow.grid(32)
    x, y = grid.centres.T
    values = np.exp(np.cos(x) + 0.5 * np.sin(2.0 * y - 1.0)).reshape(grid.shape)
    values[3, 5] = 0.0
    ends = []
    for roll in (0, 6):
        rolled = np.roll(values, roll, 1).ravel()
        start = Density(grid, rolled / (rolled.sum() * grid.cell_volume))
        end = solver.step(flow, State(0.0, start), 0.4).state.measure
        ends.append(np.roll(end.values.reshape(grid.shape), -roll, 1))
        assert end.least > 0.0
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-7 * ends[0].max())
    assert np.abs(ends[0] - values / (values.sum() * grid.cell_volume)).max() >= 0.01 * ends[0].max()


# Rest, energy, orders


def at_rest(n):
    """F = Ent/2 + 3 |x|^2/2 on a square, and its minimiser on cells."""
    energy, domain = Energy(Potential.quadratic(3.0), Entropy(0.5)), box([-1.0, -1.0], [1.0, 1.0])
    flow = Flow(energy, domain, Uniform(domain), 1.0)
    grid = flow.grid(n)
    values = np.exp(-energy.potential(Density(grid, np.full(grid.size, 0.25)), grid.centres) / 0.5)
    return flow, Density(grid, values / (values.sum() * grid.cell_volume))


def left(solver, dt=0.1):
    """L1 that a step moves the minimiser."""
    flow, rest = at_rest(solver.cells)
    return l1(solver.step(flow, State(0.0, rest), dt).state.measure, rest)


def test_the_minimiser_stays():
    """A step from e^(-V/T): the divergence leaves it, to 1e-8 for every epsilon; heat moves it by epsilon^2, rate 2.

    The uniform law is heat's own, to 1e-8, where the kernel cut off at walls moves it.
    """
    assert max(left(Sinkhorn(32, epsilon=e)) for e in (4e-3, 1.6e-2)) <= 1e-8
    errors = [left(Heated(32, epsilon=e)) for e in (1.6e-2, 8e-3, 4e-3)]
    np.testing.assert_allclose(rates(errors), 2.0, atol=0.1)
    flow = replace(problems.heat_mode().flow, initial=Uniform(problems.heat_mode().flow.domain))
    moved = [l1(taken(m(64), flow, 0.02).state.measure, flow.initial) for m in METHODS]
    assert max(moved[1:]) <= 1e-8 and moved[0] >= 1e-4


@pytest.mark.slow
def test_what_they_say_of_energy():
    """Divergence: F falls to 1e-13, F + S/dt to 1e-9. Corrected: from the minimiser F rises, and is not promised."""
    flow, rest = at_rest(32)
    for method in (Entropic, Heated):
        assert "energy" not in method(32).keeps(flow)
        end = method(32, epsilon=1.6e-2).step(flow, State(0.0, rest), 0.1).state.measure
        assert flow.energy.value(end) > flow.energy.value(rest) + 1e-9
    warm = problems.circle_teacher(b=2.0, temperature=0.1, horizon=5.0).flow
    for flow in (replace(problems.ornstein_uhlenbeck().flow, horizon=10.0), problems.drift_diffusion().flow, warm):
        assert "energy" in Sinkhorn(64).keeps(flow)
        run = solve(flow, Sinkhorn(64), steps=12)
        assert np.all(np.diff(run.energies) <= 1e-13)
        assert np.all(np.diff(run.energies + run.dissipated) <= 1e-9)
        assert np.abs(run.diagnostics["mass"] - 1.0).max() <= 1e-12
        assert run.diagnostics["least"].min() > 0.0


def test_a_price_too_high_is_not_paid(monkeypatch):
    """With S three times too large the inequality fails, and the step is refused in words."""
    from solvers.jko._scaling import Divergence

    true = Divergence.price
    monkeypatch.setattr(Divergence, "price", lambda *a: 3.0 * true(*a))
    with pytest.raises(NotConverged, match="that the step costs"):
        taken(Sinkhorn(64), gaussian_flow(), 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("method", [Entropic, Sinkhorn])
def test_order_one_in_time(method):
    """Ornstein-Uhlenbeck, 256 cells, 5, 10, 20, 40 steps: W2 to the exact law of order 1 to .06, .01 at 40 steps."""
    problem, counts = problems.ornstein_uhlenbeck(), (5, 10, 20, 40)
    errors = [w2(solve(problem.flow, method(256), steps=n).final, problem.exact(1.0)) for n in counts]
    np.testing.assert_allclose(rates(errors), 1.0, atol=0.06)
    assert errors[-1] <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_order_two_in_space(method):
    """Drift on 32 to 256 cells in 10 steps: W2 of successive ends falls by 4, to a tenth in the order."""
    flow = problems.drift_diffusion().flow
    ends = [solve(flow, method(n), steps=10).final for n in (32, 64, 128, 256)]
    np.testing.assert_allclose(rates([w2(a, b) for a, b in pairwise(ends)]), 2.0, atol=0.1)


# Refusals


def test_an_epsilon_too_large_is_refused():
    """T - epsilon/2 dt < 0: epsilon, dt, T and the remedy are named; just below the step is taken."""
    flow = gaussian_flow()
    with pytest.raises(Refused, match=r"epsilon = 0\.00081 .* 0\.0008 \(dt = 0\.1, T = 0\.004\).*lengthen dt"):
        taken(Entropic(64, epsilon=8.1e-4), flow, 0.1)
    with pytest.raises(Refused, match="smaller epsilon"):
        taken(Entropic(64), flow, 1e-4)
    assert taken(Entropic(64, epsilon=7.9e-4), flow, 0.1).residual <= 1e-9
    solver = Entropic(64)
    assert taken(solver, flow, solver.smallest_step(flow)).residual <= 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_a_kernel_that_is_not_resolved_is_refused(method):
    """Below .6 cells squared: in words, before a run and by the step itself."""
    flow = gaussian_flow()
    narrow = method(64, epsilon=(0.59 * 1.2 / 64) ** 2)
    with pytest.raises(Refused, match=r"0\.6 cells.*use more cells"):
        taken(narrow, flow, 0.1)
    assert "0.6 cells" in narrow.refusal(flow)
    assert method(64, epsilon=(0.61 * 1.2 / 64) ** 2).refusal(flow) is None


REFUSED = {
    "cold": Flow(Energy(Potential.quadratic(1.0)), circle(), Uniform(circle()), 1.0),
    "a frozen axis": Flow(
        Energy(Entropy(1.0)),
        Box((0.0, 0.0), (1.0, 1.0), (False, False), (True, False)),
        Uniform(Box((0.0, 0.0), (1.0, 1.0), (False, False), (True, False))),
        1.0,
    ),
    "three axes": Flow(Energy(Entropy(1.0)), torus(3), Uniform(torus(3)), 1.0),
    "too short for its cells": replace(problems.heat_mode().flow, horizon=1e-5),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_take(case):
    """In a sentence."""
    assert len(Entropic(32).refusal(REFUSED[case]).split()) >= 5


@pytest.mark.parametrize("method", METHODS)
def test_an_iteration_that_stops_early_says_so(method):
    """Two iterations do not do."""
    with pytest.raises(NotConverged, match=r"the scaling stopped at .*shorten dt") as caught:
        taken(method(64, limit=2), gaussian_flow(), 0.1)
    assert caught.value.residual > 1e-9


@pytest.mark.slow
def test_two_axes_in_fine_cells():
    """256^2 cells by default, epsilon 2.2e-5: L1 to the exact Gaussian step, 1e-5 corrected, 1e-6 by the divergence."""
    assert l1_of_a_step(Entropic(256), 0.1) <= 1e-5
    assert l1_of_a_step(Sinkhorn(256), 0.1) <= 1e-6
