"""Networks of narrow bumps that fit a concave function: closed solutions, and what convexity along geodesics proves."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from solvers.finite_volume import Muscl, ScharfetterGummel
from solvers.jko import Quantile
from solvers.particles import GradientFlow
from wflow import Barenblatt, Density, Entropy, Grid, Particles, Power, Quantiles, interval, problems, solve, w2
from wflow.contracting import contracting
from wflow.convergence import Laboratory
from wflow.course import SAVED
from wflow.estimates import twice
from wflow.geodesics import geodesic
from wflow.internal import conjugate_slope
from wflow.lambert import LambertLaw
from wflow.problems.concave import concave_target

ALPHAS = pytest.mark.parametrize("alpha", [0.7, 1.0, 2.5])


def over(law, f, nodes=60):
    """int f drho by Gauss on the support: exact for the polynomials of a parabola, to rounding for smooth f."""
    x, weights = np.polynomial.legendre.leggauss(nodes)
    low, high = law.support
    w = 0.5 * (low + high) + 0.5 * (high - low) * x
    return float(0.5 * (high - low) * (weights @ (f(w) * law.density(w[:, None]))))


def l1(pi, law):
    """sum over cells of |cell average - exact average| |cell|."""
    return float(np.sum(np.abs(pi.values - law.averages(pi.grid))) * pi.grid.cell_volume)


def least(flow, grid):
    """min F over densities on the cells of a grid: rho = (U*)'(mu - V), mu by the mass."""
    energy, terms = flow.energy, flow.energy.internal
    start = Density(grid, flow.initial.averages(grid))
    v = energy.potential(start, grid.centres)

    def values(mu):
        return conjugate_slope(terms, mu - v)

    mu = brentq(lambda mu: values(mu).sum() * grid.cell_volume - 1.0, v.min() - 5.0, v.max() + 50.0, xtol=1e-14)
    return energy.value(Density(grid, values(mu) / (values(mu).sum() * grid.cell_volume)))


@ALPHAS
def test_the_parabola_solves_the_weak_equation(alpha):
    """d/dt int phi drho = int (rho^2/2) phi'' + int phi' f' drho for phi = sin(1.3 w + .2), f' = -alpha w."""
    p, t, h = problems.displacement_convex(alpha, 0.6, 0.4), 0.35, 1e-3

    def phi(s):
        return over(p.exact(s), lambda w: np.sin(1.3 * w + 0.2))

    left = (8 * (phi(t + h) - phi(t - h)) - (phi(t + 2 * h) - phi(t - 2 * h))) / (12 * h)
    law = p.exact(t)
    right = over(law, lambda w: -0.5 * law.density(w[:, None]) * 1.69 * np.sin(1.3 * w + 0.2))
    right += over(law, lambda w: -alpha * w * 1.3 * np.cos(1.3 * w + 0.2))
    assert left == pytest.approx(right, abs=1e-9)


@ALPHAS
def test_width_mean_and_distance_in_closed_form(alpha):
    """L^3 = 3/(2a) + (L_0^3 - 3/(2a)) e^{-3at}, m = m_0 e^{-at}; W2 of two is hypot(dm, dL/sqrt 5); variance L^2/5."""
    a, b = problems.displacement_convex(alpha, 0.6, 0.4), problems.displacement_convex(alpha, 1.1, -0.3)
    law, other = a.exact(0.5), b.exact(0.5)
    end = 1.5 / alpha
    assert law.reach**3 == pytest.approx(end + (0.6**3 - end) * math.exp(-1.5 * alpha), rel=1e-12)
    assert law.centre == pytest.approx(0.4 * math.exp(-0.5 * alpha), rel=1e-12)
    assert over(law, lambda w: (w - law.centre) ** 2) == pytest.approx(law.reach**2 / 5, rel=1e-12)
    expected = math.hypot(law.centre - other.centre, (law.reach - other.reach) / math.sqrt(5))
    assert w2(law, other) == pytest.approx(expected, abs=1e-6)
    assert expected <= math.exp(-0.5 * alpha) * w2(a.exact(0.0), b.exact(0.0))


@ALPHAS
def test_energy_and_minimum_are_those_of_the_fit(alpha):
    """F = (1/2) int (f - rho)^2 by 20000 cells; f's positive part has mass one, and no parabola is below it."""
    p = problems.displacement_convex(alpha, 0.6, 0.4)
    grid = Grid(p.flow.domain, (20000,))
    f = concave_target(alpha, grid.centres)
    for law in (p.flow.initial, p.minimiser):
        pi = Density(grid, law.averages(grid))
        assert p.flow.energy.value(pi) == pytest.approx(0.5 * grid.cell_volume * np.sum((f - pi.values) ** 2), abs=1e-7)
    np.testing.assert_allclose(p.minimiser.density(grid.centres), np.maximum(f, 0.0), atol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.002])
@pytest.mark.parametrize("centre", [0.0, -0.7])
def test_lambert_law(temperature, centre):
    """Lambert's W against Newton's method for U'(rho) = level - V; mass one; the cdf's slope; T -> 0 the parabola."""
    law = LambertLaw(1.3, temperature, 2.0, centre)
    w = np.linspace(-2.0, 2.0, 81)[:, None]
    force = law.level + temperature - 0.65 * (w[:, 0] - centre) ** 2
    np.testing.assert_allclose(
        law.density(w), conjugate_slope([Entropy(temperature), Power(2.0, 0.5)], force), rtol=1e-12, atol=1e-300
    )
    assert law.cdf(np.array([-2.0, 2.0])) == pytest.approx([0.0, 1.0], abs=1e-14)
    x, h = np.linspace(-1.8, 1.8, 19), 1e-4
    np.testing.assert_allclose((law.cdf(x + h) - law.cdf(x - h)) / (2 * h), law.density(x[:, None]), atol=2e-5)
    if temperature < 0.01:
        parabola = Barenblatt(1.0, (1.5 / 1.3) ** (1 / 3), centre, interval(-2.0, 2.0))
        np.testing.assert_allclose(law.density(w), parabola.density(w), atol=10 * temperature)


def test_energy_is_convex_along_geodesics_by_alpha():
    """Second differences of F over h^2 W2^2 are at least alpha, between quantiles of any two laws: exact on edges."""
    alpha, m = 1.7, 60
    flow = problems.displacement_convex(alpha, 0.6, 0.4, temperature=0.05).flow
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = (np.sort(rng.uniform(-2.0, 2.0, m + 1)) for _ in range(2))
        paths = [Quantiles(flow.domain, (1 - s) * a + s * b) for s in np.linspace(0.0, 1.0, 9)]
        bent = np.diff([flow.energy.value(pi) for pi in paths], 2) * 64
        assert np.min(bent) >= alpha * float(paths[0].weights @ (b - a) ** 2) * (1 - 1e-9)


@pytest.mark.slow
def test_rows_of_the_decay_hold_and_fail():
    """With the true lambda both rows hold; with one that is larger than any of the two rates both are refuted."""
    p = problems.displacement_convex(horizon=1.0)
    for solver in (Muscl(40), Quantile(40)):
        lab = Laboratory(p.flow)
        run = lab.enough(solver, SAVED, SAVED)
        finer = twice(lab, solver, run.steps)
        assert [c.holds for c in contracting(p, run, finer)] == [True, True]
        wrong = replace(p, convexity=2.0 * p.convexity)
        assert [c.holds for c in contracting(wrong, run, finer)] == [False, False]
        assert not list(contracting(replace(p, convexity=None), run, finer))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: problems.displacement_convex(alpha=0.0), "alpha: 0.0"),
        (lambda: problems.displacement_convex(width=-1.0), "width: -1.0"),
        (lambda: problems.displacement_convex(temperature=-0.1), "temperature: -0.1"),
        (lambda: problems.displacement_convex(mean=1.5), r"reach: 2 is below \|mean\|"),
        (lambda: problems.displacement_convex(reach=1.0, mean=0.0), "longer reach"),
        (lambda: Barenblatt(1.0, 1.0, 0.5, interval(-1.0, 1.0)), "Barenblatt home"),
        (lambda: LambertLaw(1.0, 0.0, 2.0), "temperature: 0.0"),
        (lambda: LambertLaw(1.0, 0.1, 2.0, 3.0), "centre: 3.0"),
    ],
)
def test_what_cannot_be_is_refused(make, named):
    """With the argument and its value."""
    with pytest.raises(ValueError, match=named):
        make()


@pytest.mark.slow
def test_finite_volumes_follow_the_parabola_and_the_exact_bound():
    """200 cells on [-2, 2], every output to t = 2: L1 below 5e-4, F - F* <= e^{-2t}(F_0 - F*), F* of the cells."""
    p = problems.displacement_convex(width=0.6, horizon=2.0)
    run = solve(p.flow, Muscl(200))
    assert max(l1(pi, p.exact(float(t))) for t, pi in zip(run.times, run.measures, strict=True)) < 5e-4
    above = run.energies - least(p.flow, run.final.grid)
    assert np.all(above > 0.0)
    assert np.all(above[1:] < np.exp(-2.0 * run.times[1:]) * above[0])


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_noise_ends_in_lamberts_law_under_the_exact_bound(temperature):
    """T > 0, 200 cells: L1 below 5e-4 to T W(.) at t = 10 by implicit steps, whose bound holds at every output."""
    p = problems.displacement_convex(temperature=temperature, horizon=10.0)
    run = solve(p.flow, ScharfetterGummel(200), steps=512)
    assert l1(run.final, p.minimiser) < 5e-4
    above, dt = run.energies - least(p.flow, run.final.grid), 10.0 / run.steps
    assert np.all(above >= -1e-13)
    assert np.all((above <= (1.0 + dt) ** (-2.0 * run.times / dt) * above[0] + 1e-13)[1:])


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_noise_decays_under_the_exact_bound(temperature):
    """T > 0, Muscl on 200 cells to t = 1.5: F - F* <= e^{-2t}(F_0 - F*) at every output, F* the cells' own."""
    flow = problems.displacement_convex(temperature=temperature, horizon=1.5).flow
    run = Laboratory(flow).enough(Muscl(200))
    above = run.energies - least(flow, run.final.grid)
    assert np.all(above > 0.0)
    assert np.all(above[1:] < np.exp(-2.0 * run.times[1:]) * above[0])


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_two_solutions_come_together(temperature):
    """W2 of two runs of Muscl(200) at every output is at most e^{-t} times the first, to 1e-3 of it."""
    a, b = (
        problems.displacement_convex(1.0, w, m, temperature, horizon=2.0).flow for w, m in ((0.5, 0.8), (0.8, -0.5))
    )
    runs = [solve(flow, Muscl(200), times=np.linspace(0.0, 2.0, 17)) for flow in (a, b)]
    apart = np.array([w2(x, y) for x, y in zip(runs[0].measures, runs[1].measures, strict=True)])
    assert np.all(apart <= (np.exp(-runs[0].times) + 1e-3) * apart[0])
    assert geodesic(runs[0].final, runs[1].final).length == pytest.approx(apart[-1], rel=1e-12)


# Bumps that have a width


@pytest.mark.parametrize("bump", [0.3, 0.1])
def test_energy_of_bumps_is_that_of_the_fit(bump):
    """F = (1/2) int (f - K * pi)^2 over [-2, 2] by 4000 trapezes, K the density of N(0, bump^2), at three atoms."""
    flow = problems.displacement_convex(1.3, 0.6, 0.4, bump=bump).flow
    pi = Particles(flow.domain, np.array([[-0.5], [0.1], [1.2]]))
    x = np.linspace(-2.0, 2.0, 4001)
    fit = np.mean(np.exp(-0.5 * ((x[:, None] - pi.points[:, 0]) / bump) ** 2), axis=1) / (math.sqrt(2 * math.pi) * bump)
    expected = 0.5 * np.trapezoid((concave_target(1.3, x[:, None]) - fit) ** 2, x)
    assert flow.energy.value(pi) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_networks_come_to_the_limit_as_bumps_narrow():
    """W2 to the exact parabola at t = 1 falls with the width, 400 neurons: order above 1.4, 6e-3 for bumps of .05.

    Far from walls the mean is m_0 e^{-t} for every width: bumps act on each other in pairs, and f is quadratic.
    Few neurons: bumps narrower than their distances do not feel each other, and 25 come no nearer than .02.
    """

    def end(bump, m):
        flow = problems.displacement_convex(1.0, 0.8, 0.5, bump=bump).flow
        return Laboratory(flow).enough(GradientFlow(m), 60).final

    exact = problems.displacement_convex(1.0, 0.8, 0.5).exact(1.0)
    apart = [w2(end(bump, 400), exact) for bump in (0.4, 0.2, 0.1, 0.05)]
    assert np.all(np.log2(np.divide(apart[:-1], apart[1:])) > 1.4)
    assert apart[-1] < 6e-3
    assert float(end(0.1, 50).points.mean()) == pytest.approx(0.5 * math.exp(-1.0), abs=1e-8)
    assert w2(end(0.1, 25), exact) > w2(end(0.1, 100), exact) > apart[2]
    assert w2(end(0.05, 25), exact) > 0.02


@pytest.mark.slow
def test_noisy_networks_come_to_the_limit_with_order_two():
    """T = .1 on 100 cells, t = 1: heat smooths the edge, and W2 to the limit falls by more than 2^1.6 a halving."""

    def end(bump):
        flow = problems.displacement_convex(1.0, 0.8, 0.5, 0.1, bump=bump).flow
        return Laboratory(flow).enough(Muscl(100)).final

    apart = [w2(end(bump), end(0.0)) for bump in (0.4, 0.2, 0.1, 0.05)]
    assert np.all(np.log2(np.divide(apart[:-1], apart[1:])) > 1.6)
    assert apart[-1] < 3e-3
