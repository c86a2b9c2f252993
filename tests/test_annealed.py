"""Annealing: schedules, steps at the mean temperature, energies at T(t), resume, refusals."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expi

from solvers.annealed import Annealed, at_temperature
from solvers.finite_volume import Muscl, ScharfetterGummel
from solvers.jko import Bdf2, Quantile, Sdirk2
from solvers.kinetic import KineticLangevin, PhaseSpace
from solvers.langevin import Langevin, Langevin2
from solvers.particles import GradientFlow, Sampled
from solvers.spectral import Fourier
from tests.test_resume import Enough, Notebook
from wflow import (
    Constant,
    Energy,
    Flow,
    FourierDensity,
    Gaussian,
    Refused,
    Trajectory,
    Uniform,
    circle,
    line,
    problems,
    solve,
)
from wflow.app.config import interpret
from wflow.app.settings import UsageError
from wflow.certificates import above_the_minimum
from wflow.schedules import Exponential, Logarithmic, Piecewise, Power, Schedule
from wflow.store import pack
from wflow.store.checkpoints import decoded

KINDS = (
    Exponential(0.5, 0.7), Power(0.5), Power(0.5, 0.5, 3.0), Logarithmic(0.3), Piecewise((0.33, 1.0), (0.5, 0.2, 0.1)),
)  # fmt: skip
BY_NAME = pytest.mark.parametrize("schedule", KINDS, ids=str)


@BY_NAME
@pytest.mark.parametrize(("a", "b"), [(0.0, 0.01), (0.2, 1.7), (1.0, 1.001), (5.0, 40.0)])
def test_the_mean_of_a_schedule_is_its_integral(schedule: Schedule, a: float, b: float) -> None:
    """Against adaptive quadrature, cut at jumps: 1e-13."""
    cuts = [a, *(s for s in schedule.jumps if a < s < b), b]
    heat = sum(quad(schedule, p, math.nextafter(q, p), epsabs=0.0, epsrel=2e-14)[0] for p, q in pairwise(cuts))
    assert schedule.mean(a, b) == pytest.approx(heat / (b - a), rel=1e-13)
    assert schedule(b) <= schedule.mean(a, b) <= schedule(a)


def test_heat_that_is_left_has_closed_forms() -> None:
    """int_0^t e^{-k(t-s)} T ds: T0 (e^{-rt} - e^{-kt})/(k - r); T0 e^{-k(1+t)} (Ei(k(1+t)) - Ei(k)); sums of steps."""
    k, t = 1.3, 2.5
    exponential = 0.5 * (math.exp(-0.7 * t) - math.exp(-k * t)) / (k - 0.7)
    power = 0.5 * math.exp(-k * (1.0 + t)) * (expi(k * (1.0 + t)) - expi(k))
    ends, heats = (0.0, 0.33, 1.0, t), (0.5, 0.2, 0.1)
    steps = sum(
        T * (math.exp(-k * (t - b)) - math.exp(-k * (t - a))) / k
        for T, (a, b) in zip(heats, pairwise(ends), strict=True)
    )
    for schedule, closed in ((KINDS[0], exponential), (KINDS[1], power), (KINDS[4], steps)):
        assert schedule.relaxed(k, t) == pytest.approx(closed, rel=1e-12)


@pytest.mark.parametrize("schedule", KINDS, ids=str)
def test_heat_alone_is_exact_in_the_schedule(schedule: Schedule) -> None:
    """d_t c_n = -T(t) n^2 c_n: c_n(t) = c_n(0) e^{-n^2 int T}. What is left is Runge and Kutta's, 2e-7 in 40 steps.

    With T of the middle the jumps of the last schedule alone would cost 1e-3.
    """
    flow = Flow(Energy(Constant(0.0)), circle(), FourierDensity.cosines({1: 0.5, 2: 0.3}), 1.0)
    run = solve(flow, Annealed(Fourier(4), schedule), steps=40)
    begun, ended = run.measures[0].modes(4), run.final.modes(4)
    n = np.arange(5)
    assert np.max(np.abs(ended - begun * np.exp(-(n**2) * schedule.mean(0.0, 1.0)))) < 2e-7
    assert np.max(np.abs(begun[1:])) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("schedule", [Power(0.4), Exponential(0.4, 2.0), Piecewise((67 / 90,), (0.4, 0.02))], ids=str)
def test_interaction_and_cooling_together_are_of_order_two(schedule: Schedule) -> None:
    """Modes of the annealed von Mises problem at t = 2, in 60, 120, 240 steps against 720: order 2 by -.15.

    Runge and Kutta's own error is of order 4. The jump at 67/90 lies a third or two thirds into a step, where the error
    share (1 - share) dt^2 is alike for all three; in 720 steps it lies at the end of one.
    """
    flow = problems.von_mises_langevin(horizon=2.0).flow
    ends = [solve(flow, Annealed(Fourier(6), schedule), steps=n).final.modes(6) for n in (60, 120, 240, 720)]
    errors = np.array([np.max(np.abs(c - ends[-1])) for c in ends[:-1]])
    orders = np.log2(errors[:-1] / errors[1:])
    assert np.all(orders > 1.85) and errors[-1] < 2e-5


EXACT = (
    (ScharfetterGummel(200), (20, 40, 80), 1.0, 0.04),
    (Quantile(400), (10, 20, 40), 1.0, 0.02),
    (Sdirk2(1600), (4, 8, 16), 2.0, 4e-3),
)


@pytest.mark.slow
@BY_NAME
@pytest.mark.parametrize(
    ("method", "steps", "order", "most"), EXACT, ids=lambda x: str(x) if isinstance(x, object) else ""
)
def test_a_gaussian_cools_as_its_variance_says(
    schedule: Schedule, method: ScharfetterGummel, steps: tuple[int, ...], order: float, most: float
) -> None:
    """var' = -2 lam var + 2 T(t) has the answer var_0 e^{-2 lam t} + 2 relaxed(2 lam, t).

    The error of the variance less its limit for dt -> 0 at these cells, which is one of space; at jumps bounded alone.
    """
    lam, var, t = 0.5, 1.0, 2.0
    flow = problems.gaussian_langevin(a=0.0, lam=lam, var=var, horizon=t).flow
    exact = var * math.exp(-2.0 * lam * t) + 2.0 * schedule.relaxed(2.0 * lam, t)
    found = []
    for n in steps:
        pi = solve(flow, Annealed(method, schedule), steps=n).final
        middle = pi.weights @ pi.points[:, 0]
        found.append(float(pi.weights @ (pi.points[:, 0] - middle) ** 2))
    assert abs(found[-1] - exact) < most
    if not schedule.jumps:
        assert math.log2((found[0] - found[1]) / (found[1] - found[2])) > order - 0.15


@pytest.mark.parametrize("method", [Langevin(20_000, 3, Sampled(1)), Langevin2(20_000, 4, Sampled(2))], ids=str)
def test_noise_has_the_heat_of_the_schedule(method: Langevin) -> None:
    """Without a drift w(t) - w(0) has variance 2 int T: within 4 standard errors, (2/m)^(1/2) of itself each.

    Ten steps, two of which hold jumps: T of the middle is off by 14 standard errors.
    """
    schedule = Piecewise((0.33, 0.61), (0.5, 0.05, 0.01))
    flow = Flow(Energy(Constant(0.0)), line(), Gaussian(0.0, 1.0), 1.0)
    run = solve(flow, Annealed(method, schedule), steps=5)
    moved = run.final.points - run.measures[0].points
    exact = 2.0 * schedule.mean(0.0, 1.0)
    assert abs(np.mean(moved**2) / exact - 1.0) < 4.0 * math.sqrt(2.0 / method.particles)


def ledger(run: Trajectory) -> float:
    """F_0 - F - dissipated at the end."""
    return float(run.energies[0] - run.energies[-1] - run.dissipated[-1])


@pytest.mark.slow
@pytest.mark.parametrize("schedule", [Power(0.5), KINDS[4]], ids=str)
@pytest.mark.parametrize(("method", "step"), [(Muscl(60), 600), (PhaseSpace(64), 40)], ids=["Muscl", "PhaseSpace"])
def test_the_work_of_cooling_is_in_the_ledger(method: Muscl, step: int, schedule: Schedule) -> None:
    """F_0 - F - dissipated is what steps miss, jumps at saved times included; without the work it is above .05.

    Muscl: 5e-5. PhaseSpace, of which cells smear: .01.
    """
    run = solve(problems.gaussian_langevin(horizon=2.0).flow, Annealed(method, schedule), steps=step)
    assert abs(ledger(run)) < (5e-5 if isinstance(method, Muscl) else 1e-2)
    assert np.all(np.isfinite(run.energies))


def test_energies_are_those_at_the_temperature_of_the_time_and_may_rise() -> None:
    """The uniform law stands still, and F_T = T int rho log rho = -T log 2 pi rises as it cools."""
    flow = Flow(Energy(Constant(0.0)), circle(), Uniform(circle()), 1.0)
    method = Annealed(ScharfetterGummel(16), Power(0.5))
    run = solve(flow, method, steps=4, times=[0.0, 0.5, 1.0])
    np.testing.assert_allclose(run.energies, [-T * math.log(2.0 * math.pi) for T in (0.5, 0.5 / 1.5, 0.25)], rtol=1e-13)
    assert abs(ledger(run)) < 1e-14 and "energy" not in method.keeps(flow)


@pytest.mark.parametrize(
    ("method", "posed"),
    [
        (Langevin(16, 5), problems.gaussian_langevin(horizon=0.2)),
        (KineticLangevin(16, speed=0.5, start=Sampled(1)), problems.von_mises_langevin(horizon=0.2)),
        (ScharfetterGummel(16), problems.von_mises_langevin(horizon=0.2)),
        (ScharfetterGummel(16), problems.drift_diffusion(horizon=0.02)),
        (Quantile(16), problems.gaussian_langevin(horizon=0.2)),
        (Fourier(8), problems.von_mises_langevin(horizon=0.2)),
        (PhaseSpace(32, speed=0.5), problems.von_mises_langevin(horizon=0.2)),
    ],
    ids=lambda given: getattr(given, "name", "") or type(given).__name__,
)
def test_an_annealed_run_is_resumed_with_the_same_bits(method: Langevin, posed: problems.Problem) -> None:
    """From every checkpoint k the next has the bytes of checkpoint k + 1; jumps of T lie on and between steps."""
    at = posed.flow.horizon
    solver = Annealed(method, Piecewise((0.2 * at, 0.55 * at), (0.3, 0.2, 0.1)))
    whole, pace = Notebook(), {"steps": 10, "times": [0.2 * at, at]}
    end = pack(solve(posed.flow, solver, store=whole, **pace))
    assert decoded(whole.seen[-1], "a", "")[0].state.count >= 10
    for k in range(len(whole.seen) - 1):
        one = Notebook(whole.seen[k], stop=True)
        with pytest.raises(Enough):
            solve(posed.flow, solver, store=one, **pace)
        assert one.seen == [whole.seen[k + 1]]
    assert pack(solve(posed.flow, solver, store=Notebook(whole.seen[4]), **pace)) == end


def test_an_annealed_method_says_what_it_solves_and_what_it_is_made_of() -> None:
    schedule = Exponential(0.1, 0.05)
    cells, noise = Annealed(Muscl(64), schedule), Annealed(Langevin(64, 7), schedule)
    assert cells.equation == noise.equation != () and replace(cells, schedule=Power(0.1)).equation != cells.equation
    assert str(cells) == "Annealed(Muscl(cells=64), T = 0.1 exp(-0.05 t))" and "rate=0.05" in repr(cells)
    assert cells.refined(0.5) == Annealed(Muscl(32), schedule) and noise.random and noise.seed == 7
    flow = problems.circle_teacher(horizon=1.0).flow
    assert noise.refusal(flow) is None and "entropy" in (Annealed(GradientFlow(8), schedule).refusal(flow) or "")
    assert at_temperature(flow, 0.25).energy.temperature == 0.25


def test_what_is_no_schedule_and_no_method_is_refused() -> None:
    for wrong in (
        lambda: Exponential(0.0, 1.0), lambda: Power(0.1, -1.0), lambda: Logarithmic(0.1, 1.0),
        lambda: Piecewise((1.0,), (0.1,)), lambda: Piecewise((1.0,), (0.1, 0.2)),
        lambda: Piecewise((1.0, 1.0), (3, 2, 1)),
        lambda: Annealed(Bdf2(16), Power(0.1)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"give|sort|take one"):
            wrong()
    for wrong in (lambda: Annealed(Annealed(Muscl(16), Power(0.1)), Power(0.1)), lambda: Annealed(Muscl(16), 0.1)):
        with pytest.raises(TypeError, match="pass one"):
            wrong()
    with pytest.raises(Refused, match="cool more slowly"):
        solve(problems.circle_teacher(horizon=20.0).flow, Annealed(Muscl(16), Exponential(0.1, 100.0)))


TEXT = """[problem]
name = "circle_teacher"
horizon = 1.0
[solver]
name = "Langevin"
particles = 16
schedule = {%s}
"""


def test_a_config_names_a_schedule(tmp_path) -> None:
    made = interpret(TEXT % 'name = "Piecewise", times = [0.5], temperatures = [0.1, 0.05]', tmp_path / "a.toml")
    assert list(made.solvers.values()) == [Annealed(Langevin(16), Piecewise((0.5,), (0.1, 0.05)))]
    for text, said in (
        ('name = "Exponentiel"', "did you mean 'Exponential'"),
        ('name = "Exponential", temperature = -1.0, rate = 1.0', "give a finite number above 0"),
        ('name = "Exponential", rates = 1.0', "unknown key 'rates'"),
        ('name = "Exponential", rate = 1.0', "temperature"),
    ):
        with pytest.raises(UsageError, match=said):
            interpret(TEXT % text, tmp_path / "a.toml")


def test_inf_f_is_compared_with_f_of_the_problem() -> None:
    """F_{T(t)} at a hotter T is below inf F: the row is of F at the problem's own temperature."""
    posed = problems.von_mises_langevin(horizon=1.0)
    run = solve(posed.flow, Annealed(ScharfetterGummel(32), Piecewise((0.5,), (0.5, 0.4))), steps=10)
    (row,) = above_the_minimum(posed, run)
    assert run.energies[-1] < posed.lowest and row.holds
    assert row.measured == pytest.approx(posed.flow.energy.value(run.final) - posed.lowest, abs=1e-15)
