"""DG0 by DOLFINx: exact answers and orders on one and two axes, what it keeps, and agreement with other methods."""

import functools
import itertools
import math

import numpy as np
import pytest

from solvers.fem import DG0, toolchain
from solvers.finite_volume import Upwind
from solvers.particles import GradientFlow
from solvers.spectral import Fourier
from wflow import (
    Atoms,
    Flow,
    FourierDensity,
    Gaussian,
    Potential,
    Product,
    StepTooLarge,
    Uniform,
    circle,
    cylinder,
    problems,
    solve,
    w2,
)
from wflow.convergence import Laboratory, distance
from wflow.energy import Energy, population_risk
from wflow.estimates import estimated_error
from wflow.internal import Entropy
from wflow.kernel import sawtooth_kernel

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]
TURN = 2.0 * math.pi
LOST = 0.15


def observed(levels, errors):
    """Least-squares slope of -log error in log level on the finest three levels."""
    return -float(np.polyfit(np.log(levels[-3:]), np.log(errors[-3:]), 1)[0])


def l1(density, law):
    """sum_i |cell| |rho_i - average of the law over cell i|."""
    return float(np.sum(np.abs(density.values - law.averages(density.grid))) * density.grid.cell_volume)


def end_of(flow, solver, steps):
    """The measure at the horizon."""
    return solve(flow, solver, steps=steps, times=[flow.horizon]).final


# Exact answers


WEAK = 0.25


def product_of_ou(t):
    """Along each axis N(m e^{-l t}, s^2 e^{-2 l t} + (1 - e^{-2 l t})/l), l = 1/4: F = int rho log rho + l |x|^2/2."""
    fade, pairs = math.exp(-WEAK * t), ((0.5, 1.0), (-0.3, 1.2))
    return Product(*(Gaussian(m * fade, math.sqrt((s * fade) ** 2 + (1.0 - fade**2) / WEAK)) for m, s in pairs))


def product_of_drifts(t):
    """F = int rho log rho - x - 2 y on the unit square: the closed solution of drift and diffusion along each axis."""
    return Product(*(problems.drift_diffusion(g=g).exact(t) for g in (1.0, 2.0)))


HEAT = 0.1


def product_on_cylinder(t):
    """F = T int rho log rho, T = 1/10, on [0, 1] x circle: cos(pi x), cos(theta) decay as e^{-pi^2 T t}, e^{-T t}."""
    walls = problems.heat_mode(0.5).exact(HEAT * t)
    return Product(walls, FourierDensity.cosines({1: 0.5 * math.exp(-HEAT * t)}))


def carried(centre, t):
    """theta' = -sin(theta - centre) from the uniform law: tan((theta - centre)/2) falls as e^-t, a Poisson kernel.

    Its density is 1/(2 pi (cosh t - sinh t cos(theta - centre))), its moments r^n e^{-i n centre}, r = tanh(t/2).
    """
    r, n = math.tanh(0.5 * t), np.arange(60)
    return FourierDensity(r**n * np.exp(-1j * n * centre))


CENTRES = (0.5, 4.0)


def pulled(w, derivative):
    """V = -cos(theta_1 - 1/2) - cos(theta_2 - 4): the seam theta = 0 is crossed."""
    shift = w - np.array(CENTRES)
    if derivative == 0:
        return -np.sum(np.cos(shift), axis=1)
    return np.sin(shift) if derivative == 1 else np.cos(shift)[:, :, None] * np.eye(2)


def product_of_pulls(t):
    """Both angles from the uniform law."""
    return Product(*(carried(centre, t) for centre in CENTRES))


def posed(exact, energy, horizon, window=None):
    """A flow from exact(0), and its law at the horizon."""
    return Flow(energy, exact(0.0).domain, exact(0.0), horizon, window), exact(horizon)


def of(problem):
    """The same for a problem of the catalogue."""
    return problem.flow, problem.exact(problem.flow.horizon)


def modal(problem, modes):
    """The same where modes stand for the exact law: their last coefficient is below 1e-12."""
    end = end_of(problem.flow, Fourier(modes), 400)
    assert abs(end.coefficients[-1]) < 1e-12
    return problem.flow, end


COLD = problems.circle_teacher(b=2.0, horizon=4.0)
WARM = problems.circle_teacher(b=2.0, temperature=0.1, horizon=1.0)
OU = Energy(Potential.quadratic(WEAK), Entropy(1.0))
DRIFTS = Energy(Potential.linear([-1.0, -2.0]), Entropy(1.0))
WINDOW = ((-13.0, 13.0), (-13.0, 13.0))
CYLINDER = cylinder(0.0, 1.0)
# name: (flow and exact law at its horizon, cells, cells a step, bound of the finest L1 error: twice what it is)
EXACT = {
    "heat, interval": (lambda: of(problems.heat_mode()), [16, 32, 64, 128], 1, 1e-3),
    "drift, interval": (lambda: of(problems.drift_diffusion()), [16, 32, 64, 128], 1, 2.5e-3),
    "ou, line": (lambda: of(problems.ornstein_uhlenbeck()), [64, 128, 256, 512], 1, 3e-2),
    "linear neuron, circle": (lambda: of(problems.linear_neuron()), [64, 128, 256, 512], 2, 7e-3),
    "sawtooth, circle": (lambda: of(problems.sawtooth()), [64, 128, 256, 512], 2, 2.5e-3),
    "cos - sin, circle": (lambda: modal(COLD, 96), [64, 128, 256, 512], 2, 2e-3),
    "warm teacher, circle": (lambda: modal(WARM, 24), [32, 64, 128, 256], 4, 5e-4),
    "ou, plane": (lambda: posed(product_of_ou, OU, 0.5, WINDOW), [48, 72, 108, 162], 2, 2.5e-2),
    "drift, square": (lambda: posed(product_of_drifts, DRIFTS, 0.1), [8, 16, 32, 64], 1, 7e-3),
    "heat, cylinder": (lambda: posed(product_on_cylinder, Energy(Entropy(HEAT)), 1.0), [8, 16, 32, 64], 1, 2e-3),
    "pull, torus": (lambda: posed(product_of_pulls, Energy(Potential(pulled)), 1.0), [16, 32, 64, 128], 1, 2.5e-2),
}


@functools.cache
def errors(case):
    """L1 distances to the exact cell averages, dt in proportion to h."""
    make, levels, ratio, _ = EXACT[case]
    flow, law = make()
    return [l1(end_of(flow, DG0(n), n // ratio), law) for n in levels]


@pytest.mark.slow
@pytest.mark.parametrize("case", EXACT)
def test_refined_in_space_and_time_together_it_is_of_order_one(case):
    """L1, at least 1 - 0.15 on the finest three levels; the laws stand in the docstrings above."""
    assert observed(EXACT[case][1], errors(case)) >= 1.0 - LOST


@pytest.mark.parametrize("case", EXACT)
def test_it_has_its_accuracy(case):
    assert errors(case)[-1] < EXACT[case][-1]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["drift, interval", "cos - sin, circle", "warm teacher, circle", "drift, square"])
def test_it_is_of_order_one_in_time_alone(case):
    """L1 distances of successive ends on 24 cells an axis, 20 to 320 steps."""
    flow, _ = EXACT[case][0]()
    levels = [20, 40, 80, 160, 320]
    ends = [end_of(flow, DG0(24), n).values for n in levels]
    assert observed(levels[:-1], [np.abs(a - b).sum() for a, b in itertools.pairwise(ends)]) >= 1.0 - LOST


# What it keeps


SINGULAR = {
    "cold": lambda: Energy(*population_risk(sawtooth_kernel(), Uniform(circle()))),
    "warm": lambda: Energy(*population_risk(sawtooth_kernel(), Uniform(circle())), Entropy(0.01)),
}


@pytest.mark.parametrize("energy", SINGULAR)
def test_cells_stay_positive_and_keep_their_mass_at_the_bound(energy):
    """Two atoms in empty cells, 200 steps of exactly the largest length that positivity allows."""
    start = Atoms(circle(), np.array([[1.0], [1.7]]))
    flow, solver = Flow(SINGULAR[energy](), circle(), start, 100.0), DG0(40)
    state = solver.init(flow)
    for _ in range(200):
        state = solver.step(flow, state, solver.largest_step(flow, state)).state
        assert state.measure.values.min() >= 0.0
        assert state.measure.mass == pytest.approx(1.0, rel=0.0, abs=1e-12)


@pytest.mark.parametrize("dt", [1e-3, 1.0, 1e3, 1e9])
def test_heat_alone_has_no_largest_step(dt):
    """Positive, of mass one, and at dt = 1e9 uniform to 1e-9: dt/h^2 up to 1e13, where plain rounding costs mass."""
    solver, flow = DG0(128), problems.heat_mode().flow
    state = solver.init(flow)
    assert solver.largest_step(flow, state) == math.inf
    after = solver.step(flow, state, dt).state.measure
    assert after.values.min() >= 0.0
    assert after.mass == pytest.approx(1.0, rel=0.0, abs=1e-12)
    if dt == 1e9:
        np.testing.assert_allclose(after.values, 1.0, rtol=0.0, atol=1e-9)


def test_a_step_above_the_bound_is_refused_in_mid_run():
    """The step looks at its own bound, which the loop asks only where a stretch begins."""
    flow, solver = problems.sawtooth().flow, DG0(64)
    state = solver.init(flow)
    with pytest.raises(StepTooLarge, match="CFL bound") as caught:
        solver.step(flow, state, 1e3)
    solver.step(flow, state, caught.value.largest)


IDENTITY = ["drift, interval", "cos - sin, circle", "warm teacher, circle", "drift, square"]


@pytest.mark.slow
@pytest.mark.parametrize("case", IDENTITY)
def test_what_is_lost_is_dissipated(case):
    """F_0 - F_t = dissipated in the limit dt -> 0 at 24 cells an axis: the difference halves with the step (2^0.6)."""
    flow, _ = EXACT[case][0]()
    runs = [solve(flow, DG0(24), steps=n, times=[flow.horizon]) for n in (40, 80)]
    coarse, fine = (abs(r.energies[0] - r.energies[-1] - r.dissipated[-1]) for r in runs)
    assert coarse / fine >= 2**0.6
    assert fine < 0.02 * abs(runs[1].energies[0] - runs[1].energies[-1])


# Against other methods


AGREE = ["circle_teacher", "sawtooth", "linear_neuron", "quadratic_neuron", "ornstein_uhlenbeck", "heat_mode"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*AGREE, "drift_diffusion", "two_layer_1d"])
def test_it_agrees_with_finite_volumes(name):
    """W2 (in the plane H^-1) at the horizon is at most the sum of both estimated errors; the starts are the same.

    Without heat only the velocities differ, by O(h^2): at most a tenth of either error, both of order h.
    """
    lab = Laboratory(problems.build(name).flow)
    runs = [lab.enough(solver(32)) for solver in (DG0, Upwind)]
    np.testing.assert_array_equal(runs[0].measures[0].values, runs[1].measures[0].values)
    apart, allowed = distance(runs[0].final, runs[1].final), [estimated_error(lab, run) for run in runs]
    assert 0.0 < apart <= (sum(allowed) if lab.flow.energy.internal else 0.1 * min(allowed))


def test_it_agrees_with_particles():
    """The teacher at t = 2: W2 to 400 particles is at most the distance of the starts plus the estimated error."""
    flow = problems.circle_teacher(b=2.0, horizon=2.0).flow
    lab = Laboratory(flow)
    cells, particles = lab.enough(DG0(128)), lab.run(GradientFlow(400), 20)
    floor = w2(cells.measures[0], particles.measures[0])
    assert w2(cells.final, particles.final) <= floor + estimated_error(lab, cells)
