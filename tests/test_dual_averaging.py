"""Dual averaging: bounds at every outer step against known optima, exact recursions, particles, dual vectors."""

import math
from functools import cache

import numpy as np
import pytest

from solvers.dual_averaging import Averaged, ParticleDualAveraging, dual_averaging
from solvers.langevin import Langevin
from solvers.particles import Sampled
from tests.test_resume import Enough, Notebook
from wflow import (
    Data,
    Density,
    Energy,
    Entropy,
    Flow,
    FourierKernel,
    Gaussian,
    Interaction,
    Particles,
    Potential,
    Product,
    Refused,
    RidgeNeuron,
    Risk,
    Truncated,
    Uniform,
    activation,
    circle,
    line,
    plane,
    problems,
    solve,
)
from wflow.energy import population_risk
from wflow.kernel import sawtooth_kernel
from wflow.slopes import Slopes, loss_and_linear
from wflow.store import pack

A, B, LAM, T = 1.0, 1.0, 0.5, 0.2
"""Of gaussian_langevin: w* = 2/3, var* = .4."""
KNOWN = {"gaussian_langevin": 400, "von_mises_langevin": 128}


@cache
def exact(name: str, iterations: int) -> Averaged:
    return dual_averaging(problems.build(name).flow, cells=KNOWN[name], iterations=iterations)


def optimum(name: str) -> tuple[float, float]:
    """psi and F on cells of the known minimiser, normed there: the least F of the cells to 1e-12 (both are Gibbs)."""
    posed, grid = problems.build(name), exact(name, 5).last.grid
    heights = posed.minimiser.density(grid.centres)
    best = Density(grid, heights / (heights.sum() * grid.cell_volume))
    energy = posed.flow.energy
    return loss_and_linear(energy)[1].explicit(best) + energy.temperature * best.internal(), energy.value(best)


@pytest.mark.parametrize("name", KNOWN)
def test_the_bounds_hold_at_every_step(name: str) -> None:
    """lower <= F* <= F(qbar_t) <= mean of F(q_s), all less F* below the regret bound, that below the O(1/t) rate."""
    found, (psi, least) = exact(name, 200), optimum(name)
    assert abs(least - problems.build(name).lowest) < 1e-12
    assert np.all(found.lower <= least + 1e-14) and np.all(found.values >= least - 1e-14)
    assert np.all(found.averaged <= found.mean_value + 1e-14)
    assert np.all(found.mean_value - least <= found.regret(psi))
    assert np.all(found.regret(psi) <= found.rate(psi - found.psi[0]))
    temperature = found.flow.energy.temperature
    t = found.steps
    assert np.all(found.local <= t * found.oscillation**2 / (4.0 * (t + 1.0) * temperature))


@pytest.mark.parametrize("name", KNOWN)
def test_the_known_optimum_is_found(name: str) -> None:
    """von Mises: F* = -.1351640769. 1000 steps end within 1e-7 of F*, and are certified to 2e-6 by their own bound.

    The last iterate errs like 1/t^2 (derived: its potential is too small by 2/(t + 2) of itself, F quadratic there).
    """
    found, least = exact(name, 1000), problems.build(name).lowest
    assert found.values[-1] - least < 1e-7 and found.averaged[-1] - found.lower[-1] < 2e-6
    assert least == pytest.approx(-0.1351640769, abs=1e-10) or name != "von_mises_langevin"
    gaps = found.values[[99, 199, 399, 799]] - least
    assert np.all(np.abs(np.log2(gaps[:-1] / gaps[1:]) - 2.0) < 0.05)


def test_a_gaussian_obeys_its_recursion() -> None:
    """q_t = N(m_t, T/lam), m_{t+1} = -(2 a/(lam (t+1)(t+2))) sum s (m_s - b): F - F* = (a + lam)(m_t - w*)^2/2.

    And D_t = (t/(t + 1)) L^2/lam, L = a |m_t - b|, for a linear g_t and a Gaussian; psi(q*) - psi(q_t) is
    lam (w*^2 - m_t^2)/2 (derived).
    """
    found, m, total, gaps, local, rest = exact("gaussian_langevin", 200), 0.0, 0.0, [], [], []
    for t in range(1, 201):
        gaps.append(0.5 * (A + LAM) * (m - A * B / (A + LAM)) ** 2)
        local.append(t / (t + 1) * (A * (m - B)) ** 2 / LAM)
        total += t * A * (m - B)
        m = -2.0 * total / (LAM * (t + 1) * (t + 2))
        rest.append(LAM * ((A * B / (A + LAM)) ** 2 - m * m) / t + 2.0 * sum(local) / (t * (t + 1)))
    least = problems.gaussian_langevin().lowest
    np.testing.assert_allclose(found.values[:-1] - least, gaps, atol=1e-12)
    np.testing.assert_allclose(found.local, local, rtol=1e-9)
    np.testing.assert_allclose(found.regret(optimum("gaussian_langevin")[0]), rest, rtol=1e-9)


@cache
def network(axes: int = 2, rows: int = 12) -> Flow:
    """tanh neurons, ridge and noise on data, w in the plane or on the line."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows, axes))
    risk = Risk(RidgeNeuron(activation("tanh"), inputs=axes), Data(x, np.tanh(1.5 * x[:, 0]) - 0.2))
    start = Product(*(Gaussian(0.0, 1.0) for _ in range(axes))) if axes > 1 else Gaussian(0.0, 1.0)
    home = plane() if axes > 1 else line()
    window = [(-5.0, 5.0)] * axes if axes > 1 else (-5.0, 5.0)
    return Flow(Energy(risk, Potential.quadratic(0.5), Entropy(0.1)), home, start, 4.0, window)


def test_a_network_with_two_parameters_is_certified() -> None:
    """40^2 cells, 100 steps: the method's own gap F(qbar) - lower below 1e-4, and a Gibbs law of itself at the end."""
    found = dual_averaging(network(), cells=40, iterations=100)
    assert 0.0 <= found.averaged[-1] - found.lower[-1] < 1e-4
    assert np.all(np.diff(found.lower) >= 0.0) and found.averaged[-1] < found.averaged[0]
    pi, energy = found.last, found.flow.energy
    level = energy.potential(pi, pi.points) + 0.1 * pi.logarithms
    assert math.sqrt(pi.weights @ (level - pi.weights @ level) ** 2) < 0.02


FLOWS = {
    "data": lambda: network(),
    "modes": lambda: problems.von_mises_langevin().flow,
    "modes of a teacher": lambda: problems.circle_teacher(b=2.0, temperature=0.1).flow,
}


@pytest.mark.parametrize("name", FLOWS)
def test_a_dual_vector_says_the_first_variation(name: str) -> None:
    """V, V' and V'' of the loss, and a mean of vectors gives the mean of V's."""
    flow = FLOWS[name]()
    rng, d = np.random.default_rng(0), flow.domain.dim
    one, two = (Particles(flow.domain, rng.standard_normal((7, d))) for _ in range(2))
    slopes, (loss, linear) = Slopes.of(flow.energy), loss_and_linear(flow.energy)
    g, h, w = slopes.at(one), slopes.at(two), two.points
    assert g.shape == (slopes.size,)
    for k, asked in enumerate((loss.potential, lambda pi, w: -loss.velocity(pi, w), loss.curvature)):
        np.testing.assert_allclose(slopes.potential(g, w, k), asked(one, w), atol=1e-13)
        mean = 0.3 * asked(one, w) + 0.7 * asked(two, w)
        np.testing.assert_allclose(slopes.potential(0.3 * g + 0.7 * h, w, k), mean, atol=1e-13)
    whole = loss.explicit(one) + linear.explicit(one)
    assert whole == pytest.approx(flow.energy.explicit(one), abs=1e-14)


def test_batches_are_unbiased() -> None:
    """The mean over all batches of one row is the vector of all rows."""
    slopes = Slopes.of(network().energy)
    pi = Particles(plane(), np.random.default_rng(1).standard_normal((5, 2)))
    each = [slopes.at(pi, np.array([i])) for i in range(slopes.rows)]
    np.testing.assert_allclose(np.mean(each, axis=0), slopes.at(pi), atol=1e-15)


def wbars(method: type, runs: int, steps: int, dt: float, **knobs: int) -> np.ndarray:
    """Means of 20 particles at the end, one a seed."""
    flow = problems.gaussian_langevin(A, B, LAM, T, mean=-1.0, var=0.25, horizon=steps * dt).flow
    ends = [
        solve(flow, method(particles=20, seed=k, start=Sampled(k), **knobs), steps=steps, times=[flow.horizon]).final
        for k in range(runs)
    ]
    return np.array([pi.points.mean() for pi in ends])


@pytest.mark.slow
@pytest.mark.parametrize("inner", [1, 4])
def test_means_of_particles_obey_the_recursion(inner: int) -> None:
    """E wbar of 20 particles, 24 steps of .2: linear, hence exact at any m. 300 seeds, 4 standard errors."""
    dt, steps, mean, average = 0.2, 24, -1.0, 0.0
    for k in range(steps):
        if k % inner == 0:
            t = 1 + k // inner
            average = (t * average + 2.0 * t / (t + 1.0) * A * (mean - B)) / (t + 2.0)
        mean -= dt * (average + LAM * mean)
    found = wbars(ParticleDualAveraging, 300, steps, dt, inner=inner)
    error = found.std(ddof=1) / math.sqrt(len(found))
    assert abs(found.mean() - mean) < 4.0 * error
    assert error < 0.01


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_last_particles_fluctuate_more_than_langevin_s() -> None:
    """Stationary var of wbar at equal gradient count: T/(m lam) against Langevin's T/(m (a + lam)), three times.

    Langevin's particles answer to each other's mean within a relaxation, those of an average do not (derived); steps of
    .1 divide by 1 - rate dt/2. 250 seeds, 4 standard errors (2/R)^(1/2); the average itself adds some 5 %.
    """
    dt, steps, m, runs = 0.1, 300, 20, 250
    for method, rate, knobs, more in ((Langevin, A + LAM, {}, 0.0), (ParticleDualAveraging, LAM, {"inner": 5}, 0.06)):
        share = np.var(wbars(method, runs, steps, dt, **knobs), ddof=1) * m * rate * (1.0 - 0.5 * rate * dt) / T
        assert 1.0 - 4.0 * math.sqrt(2.0 / runs) < share < (1.0 + more) * (1.0 + 4.0 * math.sqrt(2.0 / runs))


@pytest.mark.parametrize("batch", [None, 3])
def test_a_run_is_resumed_with_the_same_bits_and_its_memory_does_not_grow(batch: int | None) -> None:
    solver, whole = ParticleDualAveraging(16, inner=3, batch=batch, seed=2, start=Sampled(1)), Notebook()
    end = pack(solve(network(), solver, steps=12, store=whole, times=[2.0, 4.0]))
    assert solver.init(network()).memory["average"].shape == (12,)
    for k in range(len(whole.seen) - 1):
        one = Notebook(whole.seen[k], stop=True)
        with pytest.raises(Enough):
            solve(network(), solver, steps=12, store=one, times=[2.0, 4.0])
        assert one.seen == [whole.seen[k + 1]]
    assert pack(solve(network(), solver, steps=12, store=Notebook(whole.seen[5]), times=[2.0, 4.0])) == end


@pytest.mark.slow
def test_long_inner_runs_are_the_exact_iteration() -> None:
    """A network on the line: f at the data after 12 outer steps of 100, 1000 particles, against cells; 4 errors.

    The exact iteration begins at e^{-r/T}, and so do these particles. Errors: of 16 seeds, and dt = .05 of order one.
    """
    flow = network(1)
    posed = Flow(flow.energy, flow.domain, Gaussian(0.0, math.sqrt(0.1 / 0.5)), 60.0, flow.window)
    best = flow.energy.predict(dual_averaging(posed, cells=400, iterations=12).last)
    ends = [
        solve(posed, ParticleDualAveraging(1000, 100, seed=k, start=Sampled(k)), steps=1200, times=[60.0]).final
        for k in range(16)
    ]
    found = np.array([flow.energy.predict(pi) for pi in ends])
    error = found.std(axis=0, ddof=1) / 4.0
    assert np.all(np.abs(found.mean(axis=0) - best) < 4.0 * error + 0.004)


def test_what_it_does_not_take_it_refuses() -> None:
    teacher = problems.circle_teacher(b=2.0).flow
    with pytest.raises(Refused, match="no entropy"):
        dual_averaging(teacher, cells=16, iterations=2)
    attracted = Energy(Interaction(FourierKernel(np.array([0.0, -1.0]))), Entropy(0.1))
    with pytest.raises(Refused, match="convex along mixtures"):
        dual_averaging(Flow(attracted, circle(), Uniform(circle()), 1.0), cells=16, iterations=2)
    kinked = Flow(
        Energy(*population_risk(sawtooth_kernel(), Uniform(circle())), Entropy(0.1)), circle(), Uniform(circle()), 1.0
    )
    with pytest.raises(Refused, match="no fixed vector"):
        solve(kinked, ParticleDualAveraging(8))
    assert dual_averaging(kinked, cells=16, iterations=2).values.shape == (3,)
    with pytest.raises(Refused, match="larger than the 12 rows"):
        solve(network(), ParticleDualAveraging(8, batch=13))
    free = Flow(Energy(network(1).energy.terms[0], Entropy(0.1)), line(), Gaussian(0.0, 1.0), 1.0, (-5.0, 5.0))
    with pytest.raises(Truncated, match="confines"):
        dual_averaging(free, cells=64, iterations=2)
    with pytest.raises(ValueError, match="iterations"):
        dual_averaging(network(), cells=16, iterations=0)
