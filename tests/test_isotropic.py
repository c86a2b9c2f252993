"""Isotropic Gaussians: means over directions, what one radius can do, and the radial flow against networks in R^d.

At d = infinity f takes two values. One radius r gives q((1 +- delta) r), q(z) = E sigma(z G), G ~ N(0, 1), and
delta_r is a global minimiser exactly if psi >= psi(r), R being convex in rho.   delta_s = (r_+ - r_-)/(r_+ + r_-) with
q(r_+-) = +-1: at r = r_+/(1 + delta_s) = r_-/(1 - delta_s) both values are right and R = 0.
"""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import linprog

from solvers.finite_volume import Muscl, ScharfetterGummel, Upwind
from solvers.jko import Quantile, Sdirk2
from solvers.particles import GradientFlow
from solvers.stochastic import Fresh, Sampled, StochasticGradient
from wflow import Energy, Flow, Particles, Potential, problems, solve, w2
from wflow.chi import Chi
from wflow.domain import half_line, interval
from wflow.grid import Grid
from wflow.knotted import averaged, knotted
from wflow.problems.isotropic import CLIPPED, in_full_space, noise, radii
from wflow.problems.single_radius import SingleRadius, threshold

RADII = np.linspace(0.0, 20.0, 20001)
DELTA_S = 0.4742189515
BENT = ((0.0, -2.5), (0.5, -4.0), (1.5, 7.5))


@pytest.mark.parametrize("knots", [CLIPPED, BENT], ids=["clipped", "bent"])
@pytest.mark.parametrize("d", [2, 3, 9, 10, 40, 320])
def test_the_mean_over_directions_is_an_integral(d, knots):
    """phi(z) = c int sigma(sqrt(d) z cos a) sin^(d-2) a da, by adaptive quadrature split at the kinks, to 1e-11."""
    phi, sigma = averaged(knots, d), knotted(knots)
    c = math.exp(math.lgamma(d / 2) - math.lgamma((d - 1) / 2)) / math.sqrt(math.pi)
    for z in (0.05, 0.7, 2.9, 50.0):
        ends = [math.acos(min(t / (math.sqrt(d) * z), 1.0)) for t, _ in knots]
        found, _ = quad(
            lambda a, z=z: float(sigma.value(np.array(math.sqrt(d) * z * math.cos(a)))) * c * math.sin(a) ** (d - 2),
            0.0, math.pi, points=ends, epsabs=1e-12, limit=400,
        )  # fmt: skip
        assert float(phi.value(np.array([z]))[0]) == pytest.approx(found, abs=1e-11)
        assert phi.value(np.array([-z])) == phi.value(np.array([z]))


@pytest.mark.parametrize("d", [2, 3, 9, 10, 320, math.inf])
def test_slopes_of_means_are_derivatives(d):
    """Central differences of 1e-5: phi' of phi to 1e-7, phi'' of phi' to 1e-6."""
    phi, z, h = averaged(BENT, d), np.linspace(0.45, 3.0, 9), 1e-5
    np.testing.assert_allclose((phi.value(z + h) - phi.value(z - h)) / (2.0 * h), phi.slope(z), rtol=0.0, atol=1e-7)
    second = (phi.slope(z + h) - phi.slope(z - h)) / (2.0 * h)
    np.testing.assert_allclose(second, phi.curvature(z), rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 6])
def test_means_leave_a_knot_like_a_power(d):
    """phi' - phi'(knot) like (z - k)^((d - 1)/2) beyond the first knot, 0 before it; slope in log z to .01."""
    phi = averaged(((0.5, 0.0), (1.5, 1.0)), d)
    first, beyond = phi.kinks[0], np.array([1e-4, 2e-4])
    assert first == pytest.approx(0.5 / math.sqrt(d)) and not np.any(phi.slope(first - beyond))
    low, high = phi.slope(first + beyond)
    assert math.log2(high / low) == pytest.approx(phi.breaks - 1.0, abs=0.01) and phi.breaks == (d + 1) / 2
    assert averaged(((0.0, 0.0), (1.5, 1.0)), d).kinks == phi.kinks[1:]


def test_from_seven_dimensions_on_means_are_smooth_enough():
    """Powers of 4 and more, which no method here sees."""
    assert averaged(BENT, 7).breaks == math.inf


@pytest.mark.parametrize(
    ("method", "steps"),
    [(Quantile(100), 3), (Quantile(200), 256), pytest.param(Sdirk2(400), 256, marks=pytest.mark.slow)],
    ids=str,
)
def test_jko_steps_converge_where_the_slope_is_like_a_root(method, steps):
    """d = 2: V'' has no bound at 48 knots. With 0 for V'' Newton's method stood at 2.4e-8, with differences at 6e-9;
    of 400 points it takes 6.7e-10 and 1.3e-9 in turn, where the better one ends it.
    """
    p = problems.isotropic_gaussians(d=2)
    run = solve(p.flow, method, steps=steps)
    assert float(run.diagnostics["residual"].max()) <= 1e-9


def test_means_tend_to_the_gaussian_one():
    """q(1) and q(2.5), and |phi_d - q| of order 1/d: slope -1 +- .05 from d = 80 to 320."""
    q = averaged(CLIPPED, math.inf)
    np.testing.assert_allclose(q.value(np.array([1.0, 2.5])), [-0.8151023636, 0.9555475905], rtol=0.0, atol=1e-10)
    z = np.linspace(0.3, 3.0, 40)
    off = [np.max(np.abs(averaged(CLIPPED, d).value(z) - q.value(z))) for d in (80, 320)]
    assert math.log(off[0] / off[1]) / math.log(4.0) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("d", [2, 40, 320, 2000])
def test_radii_integrate_powers_of_the_norm(d):
    """E s^2k = prod_{i<k} (d + 2i)/d^k for k = 0, 1, 2, 5 with three nodes, to 1e-12: exact to degree 5 in s^2."""
    s, p = radii(d, 3)
    for k in (0, 1, 2, 5):
        exact = math.prod((d + 2 * i) / d for i in range(k))
        assert p @ s ** (2 * k) == pytest.approx(exact, rel=1e-12)


def test_the_quadrature_of_radii_has_converged():
    """F of the start at d = 40 by 16, 24, 48 nodes a class: 1e-10. (d = 10: 1e-6; d = 3: 2e-3, where phi'' jumps.)"""
    values = []
    for nodes in (16, 24, 48):
        flow = problems.isotropic_gaussians(d=40, nodes=nodes).flow
        values.append(flow.energy.value(Particles(flow.domain, 1.5 * flow.initial.quantised(50))))
    np.testing.assert_allclose(values, values[-1], rtol=0.0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("delta", "r", "least"), [(0.2, 1.46164715, 0.34114950), (0.4, 1.62586395, 0.02556768)])
def test_one_radius_is_optimal_below_the_threshold(delta, r, least):
    """r* and R to 1e-6 (here by the flow too, whose atom ends there), with its certificate: psi >= psi(r*)."""
    posed = SingleRadius(delta, CLIPPED)
    assert posed.best == pytest.approx(r, abs=1e-8)
    assert float(posed.risk(np.array([posed.best]))[0]) == pytest.approx(least, abs=1e-8)
    assert posed.shortfall(posed.best, RADII) >= -1e-12
    problem = problems.isotropic_gaussians(d="infinity", delta=delta, horizon=20.0)
    run = solve(problem.flow, GradientFlow(1), steps=400, times=[20.0])
    assert run.final.points[0, 0] == pytest.approx(r, abs=1e-6)
    assert 2.0 * run.energies[-1] == pytest.approx(least, abs=1e-6)
    assert w2(problem.limit, run.final) <= 1e-6


def test_the_threshold():
    """r_-, r_+, delta_s to 1e-9; there R = 0; the certificate holds to .4740 and fails from .4745 on."""
    low, high, found = threshold(CLIPPED)
    assert (low, high, found) == pytest.approx((0.9198302907, 2.5790797341, DELTA_S), abs=1e-9)
    at = SingleRadius(found, CLIPPED)
    assert float(at.risk(np.array([at.best]))[0]) <= 1e-20
    for delta in (0.3, 0.45, 0.474):
        assert SingleRadius(delta, CLIPPED).shortfall(SingleRadius(delta, CLIPPED).best, RADII) >= -1e-12
    for delta in (0.4745, 0.5, 0.8):
        assert SingleRadius(delta, CLIPPED).shortfall(SingleRadius(delta, CLIPPED).best, RADII) <= -5e-4


@pytest.mark.parametrize("delta", [0.48, 0.6, 0.8])
def test_above_the_threshold_a_mixture_has_no_risk(delta):
    """A law on 2001 radii in [0, 20] with f_+- = +-1, by a linear programme: R <= 1e-20; at .47 there is none."""
    radii_, posed = np.linspace(0.0, 20.0, 2001), SingleRadius(delta, CLIPPED)
    rows = np.stack([*posed.values(radii_), np.ones(2001)])
    found = linprog(np.zeros(2001), A_eq=rows, b_eq=[1.0, -1.0, 1.0])
    assert found.status == 0
    assert 0.5 * (rows[0] @ found.x - 1.0) ** 2 + 0.5 * (rows[1] @ found.x + 1.0) ** 2 <= 1e-20
    below = np.stack([*SingleRadius(0.47, CLIPPED).values(radii_), np.ones(2001)])
    assert linprog(np.zeros(2001), A_eq=below, b_eq=[1.0, -1.0, 1.0]).status == 2


def test_the_radial_energy_is_that_of_the_space():
    """F of the law of |w| against R of 4000 rotation-invariant neurons in R^40 on 4000 data: four standard errors."""
    full = in_full_space(40, 0.8, 4000, 0)
    cloud = full.initial.sample(4000, np.random.default_rng(5))
    f = full.energy.risk.predict(Particles(full.domain, cloud))
    loss = 0.5 * (f - full.energy.risk.data.targets) ** 2
    flow = problems.isotropic_gaussians(d=40).flow
    found = flow.energy.value(Particles(flow.domain, flow.initial.quantised(4000)))
    # a finite network has E psi^2/m more, here at most 56/4000
    assert abs(loss.mean() - found) <= 4.0 * loss.std() / math.sqrt(4000) + 0.5 * 56.0 / 4000


def test_a_chi_law():
    """cdf of the quantile; density and cell masses of it; E r^2 = d scale^2 over 4000 draws, four standard errors."""
    law, s = Chi(7, 0.3), np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(law.cdf(law.quantile(s)), s, rtol=1e-12)
    grid = Grid(interval(0.0, 3.0), (300,))
    np.testing.assert_allclose(law.density(grid.centres), law.averages(grid), rtol=0.0, atol=1e-3)
    for edge in (1e-3, 3.5):  # masses of 1e-22 and 1e-25 keep their digits
        (mass,) = law.cell_masses(edge * np.array([1.0, 1.001]))
        assert mass == pytest.approx(1e-3 * edge * law.density(np.array([[1.0005 * edge]]))[0], rel=1e-3, abs=0.0)
    squares = law.sample(4000, np.random.default_rng(0))[:, 0] ** 2
    assert abs(squares.mean() - 7 * 0.09) <= 4.0 * squares.std() / math.sqrt(4000)
    assert w2(Chi(7, 0.3), Chi(7, 0.6)) == pytest.approx(0.3 * math.sqrt(7.0), rel=1e-5)


D, NOISE, RIDGE = 5, 1.5, 2.0


def ornstein_uhlenbeck(t, v0=0.05):
    """|w| of dw = -RIDGE w dt + (2 NOISE/D)^(1/2) dB from N(0, v0 I_D): N(0, v I_D), a chi law."""
    fade = math.exp(-2.0 * RIDGE * t)
    return Chi(D, math.sqrt(v0 * fade + NOISE / D / RIDGE * (1.0 - fade)))


def noisy_lines(horizon=0.3):
    """The radial flow of that, without data."""
    window = (0.0, 5.0)
    return Flow(Energy(*noise(D, RIDGE, NOISE)), half_line(), ornstein_uhlenbeck(0.0), horizon, window)


@pytest.mark.parametrize(("solver", "allowed"), [(ScharfetterGummel(200), 5e-3), (Muscl(200), 5e-3)], ids=str)
def test_radial_noise_is_that_of_the_space(solver, allowed):
    """W2 to the law of |w| for the Gaussian Ornstein-Uhlenbeck process in R^5; the drift -(d - 1) T/r without entropy,
    or entropy without the drift, is off by more than .1.
    """
    end = solve(noisy_lines(), solver, steps=None if isinstance(solver, Muscl) else 60).final
    assert w2(end, ornstein_uhlenbeck(0.3)) <= allowed
    wrong = Flow(
        Energy(Potential.quadratic(RIDGE), *noise(D, 0.0, NOISE)[1:]),
        half_line(),
        ornstein_uhlenbeck(0.0),
        0.3,
        (0.0, 5.0),
    )
    assert w2(solve(wrong, ScharfetterGummel(100), steps=30).final, ornstein_uhlenbeck(0.3)) >= 0.1


@pytest.mark.parametrize(("d", "spread"), [(2, 0.8), (3, 0.8), (10, 0.8), (2, 1.5)])
def test_the_window_holds_the_start(d, spread):
    """Cells take the flow of every dimension: less than 1e-15 of |w|, of d degrees of freedom, is outside; 2.8 is kept
    where it is enough, and a window that is given stays.
    """
    flow = problems.isotropic_gaussians(d=d, spread=spread, nodes=8).flow
    ((low, high),) = flow.window
    assert low == 0.0 and high >= 2.8 and 1.0 - flow.initial.cdf(np.array(high)) <= 1e-15
    assert flow.grid(64).cell_volume == pytest.approx(high / 64)
    assert (high == 2.8) == (d == 10)
    assert problems.isotropic_gaussians(d=d, window=(0.0, 6.0)).flow.window == ((0.0, 6.0),)


def test_at_infinity_noise_only_drifts():
    """r' = T/r - ridge r without data: r^2 = T/ridge + (r_0^2 - T/ridge) e^{-2 ridge t}, to 1e-8."""
    flow = Flow(
        Energy(*noise(math.inf, RIDGE, NOISE)),
        half_line(),
        problems.isotropic_gaussians(d="infinity").flow.initial,
        1.0,
    )
    (r,) = solve(flow, GradientFlow(1), steps=200).final.points[0]
    assert r**2 == pytest.approx(NOISE / RIDGE + (0.64 - NOISE / RIDGE) * math.exp(-2.0 * RIDGE), abs=1e-8)


def test_wrong_numbers_are_named():
    """By the argument, the value and the remedy."""
    for wrong, message in (
        ({"d": 1}, "d"), ({"delta": 1.0}, "delta: 1.0"), ({"ridge": -1.0}, "ridge: -1.0"),
        ({"knots": ((1.0, 0.0), (0.5, 1.0))}, "knots"), ({"knots": ((-1.0, 0.0), (0.5, 1.0))}, "give knots at t >= 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            problems.isotropic_gaussians(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [Upwind(400), Muscl(200), Quantile(200)], ids=str)
def test_methods_agree_in_dimension_40(solver):
    """d = 40, delta = .8, t = 2, against 400 particles: W2 within .06, R within 5e-3; Upwind smears most."""
    flow = problems.isotropic_gaussians(d=40, horizon=2.0, window=(0.0, 3.2)).flow
    end, known = (solve(flow, s, times=[2.0]) for s in (solver, GradientFlow(400)))
    assert w2(end.final, known.final) <= 0.06
    assert 2.0 * abs(end.energies[-1] - known.energies[-1]) <= 5e-3


def departures(d, steps, batch=40, rows=4000, neurons=800):
    """t, R of stochastic descent in R^d, its standard error, R of the radial flow; delta = .8.

    R = R_radial + E[(f - y)^2 - (f_radial(|x|) - y)^2]: on the same data, so that most of their chance drops out.
    """
    times = [0.1, 0.2, 0.5, 1.0, 1.5, 2.0]
    radial = problems.isotropic_gaussians(d=d, horizon=2.0).flow
    limit = solve(radial, GradientFlow(400), steps=100, times=times)
    flow = in_full_space(d, 0.8, rows, 0)
    run = solve(flow, StochasticGradient(neurons, batch, 0, Sampled(0), Fresh()), steps=steps, times=times)
    x, y = flow.energy.risk.data.inputs, flow.energy.risk.data.targets
    s = np.linalg.norm(x, axis=1)[:, None] / math.sqrt(d)
    for k, t in enumerate([0.0, *times]):
        found = (flow.energy.risk.predict(run.measures[k]) - y) ** 2
        known = (radial.energy.risk.predict_at(s, limit.measures[k]) - y) ** 2
        more, R = found - known, 2.0 * limit.energies[k]
        yield t, R + more.mean(), more.std() / math.sqrt(rows), R


@pytest.mark.slow
@pytest.mark.parametrize(("d", "steps"), [(40, 800), (320, 800)])
def test_the_radial_flow_is_that_of_stochastic_descent(d, steps):
    """800 neurons in R^d, batches of 40 fresh data, to t = 2 (1 of the flow of R): R within 3 %, two s.e. included."""
    for t, found, error, known in departures(d, steps):
        print(
            f"d = {d} t = {t:g}: descent {found:.4f} +- {error:.4f}, radial flow {known:.4f}, {found / known - 1:+.2%}"
        )
        assert abs(found - known) + 2.0 * error <= 0.03 * known
