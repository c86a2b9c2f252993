"""Mean-field Langevin flows against closed forms: gaussian_langevin on the line, von_mises_langevin on the circle."""

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import i0, i1

from solvers.ensemble import ensemble
from solvers.finite_volume import Muscl, ScharfetterGummel
from solvers.jko import Quantile
from solvers.langevin import Langevin2
from solvers.particles import Sampled
from wflow import Density, Flow, FourierDensity, problems, solve, w2

A, B, LAM, T = 1.0, 1.0, 0.5, 0.2
MIDDLE = A * B / (A + LAM)


def gaussian(**more):
    return problems.gaussian_langevin(a=A, b=B, lam=LAM, temperature=T, **more)


def moments(pi):
    mean = pi.weights @ pi.points[:, 0]
    return mean, pi.weights @ (pi.points[:, 0] - mean) ** 2


def test_the_closed_form_solves_the_moment_equations():
    """m' = -a (m - b) - lam m, v' = -2 lam v + 2 T, integrated to 1e-11: 1e-8 at three times, other parameters too."""
    for a, b, lam, temperature, mean, var in ((A, B, LAM, T, -1.0, 0.25), (2.0, -0.5, 0.3, 0.7, 1.5, 0.04)):
        posed = problems.gaussian_langevin(a, b, lam, temperature, mean, var)

        def right(t, y, a=a, b=b, lam=lam, temperature=temperature):
            return [-a * (y[0] - b) - lam * y[0], -2.0 * lam * y[1] + 2.0 * temperature]

        times = [0.1, 0.7, 2.0]
        found = solve_ivp(right, (0.0, 2.0), [mean, var], t_eval=times, rtol=1e-11, atol=1e-12).y.T
        for t, (m, v) in zip(times, found, strict=True):
            law = posed.exact(t)
            assert abs(law.mean[0] - m) < 1e-8 and abs(law.std[0] ** 2 - v) < 1e-8


def test_the_density_solves_the_equation():
    """d_t rho = (rho V')' + T rho'' at points, V' = a (m - b) + lam w: differences of step 1e-3 leave 1e-5."""
    posed, h, t = gaussian(), 1e-3, 0.4
    w = np.linspace(-2.5, 1.5, 9)[:, None]
    rate = (posed.exact(t + h).density(w) - posed.exact(t - h).density(w)) / (2.0 * h)

    def flux(at):
        slope = posed.flow.energy.terms[0].potential(start, at, 1) + LAM * at
        rho = posed.exact(t).density
        return rho(at) * slope[:, 0] + T * (rho(at + h) - rho(at - h)) / (2.0 * h)

    law = posed.exact(t)
    grid = posed.flow.grid(4000)
    start = Density(grid, law.averages(grid))
    np.testing.assert_allclose((flux(w + h) - flux(w - h)) / (2.0 * h), rate, atol=1e-5)


def test_lowest_is_the_value_of_the_minimiser_and_the_gap_is_as_said():
    """F of the Gaussians by their averages on 4000 cells: F* and T KL + (a/2)(m - w*)^2 to 1e-5."""
    posed = gaussian()
    grid = posed.flow.grid(4000)
    assert abs(posed.flow.energy.value(Density(grid, posed.minimiser.averages(grid))) - posed.lowest) < 1e-5
    for t in (0.0, 0.5, 2.0):
        law = posed.exact(t)
        m, v, s = law.mean[0], law.std[0] ** 2, T / LAM
        kl = 0.5 * (v / s - 1.0 - math.log(v / s) + (m - MIDDLE) ** 2 / s)
        gap = T * kl + 0.5 * A * (m - MIDDLE) ** 2
        assert abs(posed.flow.energy.value(Density(grid, law.averages(grid))) - posed.lowest - gap) < 1e-5


@pytest.mark.slow
def test_finite_volumes_meet_the_closed_form():
    """MUSCL on 400 cells: mean, variance and W2 within 1e-3 at all saved times.

    (Backward Euler in time spreads a law that moves with speed c by dt int c^2 dt: Scharfetter-Gummel would need 3200
    steps, since c = 2.5 at the start.)
    """
    posed = gaussian()
    run = solve(posed.flow, Muscl(400), times=[0.5, 1.0, 2.0])
    for t, pi in zip(run.times, run.measures, strict=True):
        law = posed.exact(t)
        m, v = moments(pi)
        assert abs(m - law.mean[0]) < 1e-3 and abs(v + pi.grid.widths[0] ** 2 / 12.0 - law.std[0] ** 2) < 1e-3
        assert w2(pi, law) < 1e-3


def exact_jko(steps, h, mean=-1.0, std=0.5):
    """m <- (m + h a b)/(1 + h (a + lam)), s <- (s + sqrt(s^2 + 4 h T (1 + lam h)))/(2 (1 + lam h))."""
    for _ in range(steps):
        mean = (mean + h * A * B) / (1.0 + h * (A + LAM))
        std = (std + math.sqrt(std**2 + 4.0 * h * T * (1.0 + LAM * h))) / (2.0 * (1.0 + LAM * h))
    return mean, std


@pytest.mark.slow
def test_quantile_steps_are_the_exact_ones():
    """The JKO recursion of Gaussians: the mean of the edges to 1e-8 after 20 steps; the spread up to an error of space.

    That error falls: by more than 1.4 for twice as many points, three times (about m^(-1/2) with Gaussian tails).
    """
    flow, errors = gaussian().flow, []
    for points in (100, 200, 400, 800):
        run = solve(flow, Quantile(points), steps=20)
        begun = moments(run.measures[0])
        m, v = moments(run.final)
        mean, std = exact_jko(20, flow.horizon / 20, begun[0], 0.5)
        assert abs(m - mean) < 1e-8
        errors.append(abs(math.sqrt(v) - std))
    assert np.all(np.array(errors[:-1]) > 1.4 * np.array(errors[1:])) and errors[-1] < 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("particles", [5, 20, 80])
def test_particles_at_rest(particles):
    """Var w_i, Var of the mean and the excess risk of N particles at rest, within 3 standard errors.

    Langevin2 from the stationary Gaussian of one particle, to t = 12 (e^{-2 (a + lam) 12} = 2e-16 of the mean's start
    is left, e^{-12} of the variance's difference, itself O(1/N)), dt = .03: its own bias is below 2e-4 of each value.
    20000 runs for N = 5, 5000 and 2000 for more.
    """
    posed = gaussian(mean=MIDDLE, var=T / LAM, horizon=12.0)
    runs = {5: 20_000, 20: 5000, 80: 2000}[particles]

    def seen(w):
        x = w[:, :, 0] - MIDDLE
        mean = x.mean(axis=1)
        return np.stack([(x**2).mean(axis=1), mean**2, 0.5 * A * (mean + MIDDLE - B) ** 2], axis=1)

    found = ensemble(posed.flow, Langevin2(particles, start=Sampled(0)), runs=runs, seed=7, steps=400, observe=seen)
    single = T / LAM - T / particles * A / (LAM * (A + LAM))
    whole = T / (particles * (A + LAM))
    expected = np.array([single, whole, 0.5 * A * ((MIDDLE - B) ** 2 + whole)])
    assert np.all(np.abs(found.mean[-1] - expected) < 3.0 * found.error[-1])
    # the limit's own values are refused by the same numbers
    assert abs(found.mean[-1, 1]) > 20.0 * found.error[-1, 1]


VON_MISES = {"a": 0.5, "target": 0.8, "temperature": 0.1}


def test_the_von_mises_minimiser():
    """kappa, r and F* to the digits known; the law is Gibbs', with mass 1; F by quadrature of the entropy."""
    posed = problems.von_mises_langevin(**VON_MISES)
    law = posed.minimiser
    r = law.coefficients[1].real
    kappa = 0.5 * (0.8 - r) / 0.1
    assert abs(kappa - 1.2945411596) < 1e-10 and abs(r - 0.5410917681) < 1e-10
    assert abs(i1(kappa) / i0(kappa) - r) < 1e-14
    assert abs(posed.lowest + 0.1351640769) < 1e-10
    theta = np.linspace(0.0, 6.0, 7)
    np.testing.assert_allclose(law.density(theta[:, None]), np.exp(kappa * np.cos(theta)) / (2 * np.pi * i0(kappa)))
    # F by its definition, the entropy by quadrature
    entropy = quad(lambda t: law.density(np.array([[t]]))[0] * math.log(law.density(np.array([[t]]))[0]), 0, 2 * np.pi)
    assert abs(0.25 * (r - 0.8) ** 2 + 0.1 * entropy[0] - posed.lowest) < 1e-10


@pytest.mark.slow
def test_the_von_mises_minimiser_on_a_grid():
    """Scharfetter-Gummel on 2000 cells to t = 60: kappa, r and F* to 1e-6."""
    posed = problems.von_mises_langevin(**VON_MISES, horizon=80.0)
    run = solve(posed.flow, ScharfetterGummel(2000), steps=400)
    r = float(run.final.modes(1)[1].real)
    assert abs(r - 0.5410917681) < 1e-6 and abs(0.5 * (0.8 - r) / 0.1 - 1.2945411596) < 1e-6
    assert abs(run.energies[-1] + 0.1351640769) < 1e-6


EVEN, ODD = 0.26975396, 0.31990899


def linearised(count=40):
    """Eigenvalues of h -> ((T h' + h V'_*) + pi_* (k * h)')' on modes 1..count: even perturbations, then odd ones."""
    posed = problems.von_mises_langevin(**VON_MISES)
    c = np.zeros(3 * count)
    full = posed.minimiser.coefficients.real
    c[: len(full)] = full[: len(c)]
    kappa = 0.5 * (0.8 - c[1]) / 0.1
    rates = []
    for parity in (1.0, -1.0):
        # h = e^{i k theta} + parity e^{-i k theta}; the flux T h' + T kappa sin(theta) h + pi_* (k * h)'
        matrix = np.zeros((count, count))
        for k in range(1, count + 1):
            h = {k: 1.0, -k: parity}
            out = np.zeros(count)
            for n in range(1, count + 1):
                # (T h')' and (T kappa sin(theta) h)'; sin = (e^{i} - e^{-i})/(2i)
                total = -0.1 * n * n * h.get(n, 0.0)
                total += 1j * n * 0.1 * kappa * (h.get(n - 1, 0.0) - h.get(n + 1, 0.0)) / 2j
                # k * h = a (h_1 e^{i} + h_-1 e^{-i})/2, its derivative times pi_*
                inner = 0.25 * (1j * h.get(1, 0.0) * c[abs(n - 1)] - 1j * h.get(-1, 0.0) * c[abs(n + 1)]) * 2.0
                total += 1j * n * 0.5 * inner
                out[n - 1] = np.real(total)
            matrix[:, k - 1] = out
        rates.append(-float(np.max(np.real(np.linalg.eigvals(matrix)))))
    return rates


def test_rates_of_the_linearised_operator():
    """The slowest even and odd rates to 1e-8."""
    even, odd = linearised()
    assert abs(even - EVEN) < 1e-8 and abs(odd - ODD) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(("wave", "rate"), [(1.0, EVEN), (1j, ODD)], ids=["even", "odd"])
def test_rates_of_grid_runs(wave, rate):
    """A small even or odd perturbation of the minimiser on 512 cells: log decay between t = 12 and 24 within 1 %.

    The distance of c_1, c_2, c_3 to those of the grid's own rest.
    """
    posed = problems.von_mises_langevin(**VON_MISES, horizon=24.0)
    flow = posed.flow

    def end(c, times):
        begun = Flow(flow.energy, flow.domain, FourierDensity(c), times[-1])
        run = solve(begun, ScharfetterGummel(512), steps=1200, times=times)
        return [pi.modes(3)[1:] for pi in run.measures[1:]]

    c = posed.minimiser.coefficients.copy()
    (rest,) = end(c, [80.0])
    c[1] += 1e-3 * wave
    first, last = (np.linalg.norm(found - rest) for found in end(c, [12.0, 24.0]))
    assert abs(math.log(first / last) / 12.0 - rate) < 0.01 * rate


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gaussian_langevin", {"a": -1.0}),
        ("gaussian_langevin", {"lam": 0.0}),
        ("gaussian_langevin", {"temperature": 0.0}),
        ("gaussian_langevin", {"var": -1.0}),
        ("von_mises_langevin", {"target": 1.0}),
        ("von_mises_langevin", {"a": 0.0}),
        ("von_mises_langevin", {"temperature": -1.0}),
    ],
)
def test_parameters_are_asked_at_the_door(name, wrong):
    """ValueError with the name of the parameter."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        problems.build(name, **wrong)
