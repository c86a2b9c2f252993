"""Gaps at a temperature, of 2-homogeneous networks, and along runs; and where none is known, that it is said."""

import math
from dataclasses import replace

import numpy as np
import pytest
from deconvolutions import SPIKES, blurred, published
from scipy.special import iv, ive

from solvers.finite_volume import Muscl
from solvers.particles import GradientFlow
from wflow import (
    Atoms,
    CircleNeuron,
    Data,
    Density,
    Energy,
    Entropy,
    Flow,
    FourierDensity,
    FourierKernel,
    Gaussian,
    Grid,
    Interaction,
    Particles,
    Potential,
    Risk,
    SignedParticles,
    Trajectory,
    Uniform,
    activation,
    circle,
    circle_kernel,
    population_risk,
    problems,
    solve,
    torus,
)
from wflow.certificates import global_gap, no_gap
from wflow.duality import (
    bounds,
    bracket,
    gibbs_bracket,
    independent,
    unknown,
    variation_bracket,
)
from wflow.duality.gibbs import log_partition, rule_error
from wflow.duality.series import Series
from wflow.kernel import relu_kernel
from wflow.neuron import TranslationNeuron

KERNEL = circle_kernel(activation("cos_minus_sin", 2.0), "gaussian")


# Temperature above 0


@pytest.mark.parametrize("temperature", [1e-3, 0.02, 0.3, 5.0])
@pytest.mark.parametrize("wave", [1, 3])
def test_log_z_is_bounded_and_sharp(temperature: float, wave: int) -> None:
    """int e^{-cos(k t)/T} dt = 2 pi I_0(1/T): above it (in logarithms), by at most 1e-11; two axes: the square."""
    half = np.zeros(wave + 1, dtype=complex)
    half[wave] = 1.0
    v = Series.of_circle(half)
    exact = math.log(2.0 * math.pi * ive(0, 1.0 / temperature)) + 1.0 / temperature
    found = log_partition(v, temperature, v.lowest().lower)
    assert exact - 1e-12 / temperature <= found <= exact + 1e-11 * (1.0 + 1.0 / temperature)
    line = np.zeros((2 * wave + 1,) * 2, dtype=complex)
    line[[0, -1], wave] = line[wave, [0, -1]] = 0.5
    both = Series(line)
    if temperature >= 0.02:
        twice = log_partition(both, temperature, both.lowest().lower)
        assert 2.0 * exact - 1e-12 / temperature <= twice <= 2.0 * exact + 1e-11 * (1.0 + 1.0 / temperature)


def test_log_z_is_bounded_where_the_nodes_do_not_suffice() -> None:
    """T = 1e-8: 16384 nodes are 4 widths of the peak apart; the bound is loose, and still one."""
    v = Series.of_circle(np.array([0.0, 1.0], dtype=complex))
    exact = math.log(2.0 * math.pi * ive(0, 1e8)) + 1e8
    assert exact + 1e-3 <= log_partition(v, 1e-8, v.lowest().lower)


@pytest.mark.parametrize("nodes", [8, 12, 16, 24])
def test_the_error_of_the_rule_is_bounded_where_it_is_felt(nodes: int) -> None:
    """Few nodes: mean of e^{(cos t - 1)/T} against e^{-1/T} I_0(1/T); the bound holds, to a factor 1000."""
    temperature = 0.1
    v = Series.of_circle(np.array([0.0, -1.0], dtype=complex))
    values = v.on_grid(nodes)[0]
    off = abs(float(np.mean(np.exp((-1.0 - values) / temperature))) - math.exp(-10.0) * float(iv(0, 10.0)))
    assert off <= rule_error(v, temperature, nodes) <= 1000.0 * off + 1e-15


def kl(pi: FourierDensity, v: np.ndarray, temperature: float) -> float:
    """T KL(pi | e^{-V/T}/Z) on the nodes of pi, spectrally accurate."""
    gibbs = np.exp(-v / temperature)
    gibbs /= gibbs.mean() * 2.0 * math.pi
    return temperature * float(pi.weights @ (np.log(pi.nodal) - np.log(gibbs)))


def test_the_gap_at_a_temperature_is_the_divergence_from_the_gibbs_law() -> None:
    """F - inf F <= T KL(pi | Gibbs(V_0[pi])), to rounding what the bracket says; at the minimiser both vanish."""
    target = FourierDensity.cosines({1: 0.4, 2: -0.3})
    for temperature in (0.05, 1.0):
        energy = Energy(*population_risk(KERNEL, target), Entropy(temperature))
        pi = FourierDensity.cosines({1: 0.2, 3: 0.3, 64: 0.0})
        found = gibbs_bracket(energy, pi)
        assert found is not None
        divergence = kl(pi, energy.potential(pi, pi.points), temperature)
        assert found.gap == pytest.approx(divergence, abs=1e-11) and found.gap >= divergence - 1e-13
    rest = Energy(*population_risk(KERNEL, Uniform(circle())), Entropy(0.3))
    at_rest = gibbs_bracket(rest, FourierDensity.cosines({1: 0.0}))
    assert at_rest is not None and 0.0 <= at_rest.gap <= 1e-12


def test_random_densities_are_above_every_gibbs_bound() -> None:
    """Twelve densities of one energy: each lower bound is below each value, also of cells and of another start."""
    rng = np.random.default_rng(3)
    energy = Energy(*population_risk(KERNEL, FourierDensity.cosines({1: 0.5})), Entropy(0.1))
    laws = [FourierDensity.cosines({int(n): float(rng.uniform(-0.3, 0.3)) for n in range(1, 4)}) for _ in range(12)]
    found = [gibbs_bracket(energy, law) for law in laws]
    assert max(one.lower for one in found if one) <= min(one.value for one in found if one)


def test_the_torus_has_its_gibbs_bound() -> None:
    """Filters on the torus with heat: 32^2 cells of the Gibbs law of a fixed point come close, a uniform law does not.

    rho <- e^{-V[rho]/T}/Z, damped, is the minimiser's own equation; cells err by O(h^2), so the gap is small and not 0.
    """
    energy = Energy(*published().terms[:1], Entropy(2.0))
    grid = Grid(torus(2), (32, 32))
    level = np.full(grid.size, 1.0 / (2.0 * math.pi) ** 2)
    pi = Density(grid, level)
    first = gibbs_bracket(energy, pi)
    for _ in range(60):
        v = energy.potential(pi, grid.centres)
        law = np.exp(-(v - v.min()) / 2.0)
        mixed = 0.8 * pi.values + 0.2 * law / (law.sum() * grid.cell_volume)
        pi = Density(grid, mixed)
    last = gibbs_bracket(energy, pi)
    assert first is not None and last is not None
    assert first.gap > 1.0 and -1e-12 <= last.gap <= 1e-6 * first.gap
    assert last.lower >= first.lower and last.lower <= first.value


def test_heat_alone_has_the_volume_for_its_bound() -> None:
    """V = 0: inf F = -T log |domain|, on an interval too; with a potential that is a function nothing is claimed."""
    flow = problems.heat_mode().flow
    pi = Density(flow.grid(64), np.full(64, 1.0 / float(flow.domain.lengths[0])))
    found = bracket(flow, pi)
    assert found is not None and abs(found.gap) <= 1e-13
    known = Flow(Energy(Potential.linear(1.0), Entropy(1.0)), flow.domain, flow.initial, 1.0)
    assert bracket(known, pi).lower == pytest.approx(-math.log(1.0 - math.exp(-1.0)), rel=1e-12)
    pushed = Flow(Energy(Potential(Potential.linear(1.0).field), Entropy(1.0)), flow.domain, flow.initial, 1.0)
    assert bracket(pushed, pi) is None and "not bounded" in unknown(pushed, pi)


# Along runs


@pytest.mark.slow
def test_the_best_dual_of_the_past_is_kept() -> None:
    """Noisy data: lower bounds never fall, gaps are those of the best, and F - inf F <= gap for every saved time."""
    rng = np.random.default_rng(0)
    problem = problems.circle_teacher(b=2.0, horizon=20.0)
    x, neuron = rng.standard_normal((40, 2)), CircleNeuron(activation("cos_minus_sin", 2.0))
    y = neuron.value(x, np.array([[1.0], [3.0]])).mean(axis=1) + 0.3 * rng.standard_normal(40)
    energy = Energy(Risk(neuron, Data(x, y)))
    run = solve(Flow(energy, circle(), problem.flow.initial, 20.0), GradientFlow(60))
    found, best = bounds(run), independent(energy, circle(), "probability")
    assert found is not None and np.all(np.diff(found.lower) >= 0.0)
    back = bounds(replace(run, measures=run.measures[::-1]))
    assert back is not None and back.brackets[-1].lower < back.brackets[0].lower
    np.testing.assert_array_equal(back.lower, max(one.lower for one in back.brackets))
    assert np.all(found.gaps >= run.energies - best.bracket.value)
    assert found.gaps[-1] < found.gaps[0] and found.lower[-1] <= best.bracket.value
    told = bounds(run, known=best.bracket.lower)
    assert told is not None and np.all(told.lower == best.bracket.lower) and np.all(told.gaps <= found.gaps)
    few = bounds(run, most=3)
    assert few is not None and len(few.times) == 3 and few.times[-1] == run.times[-1]


def test_rows_of_signed_runs_name_the_dual_certificate() -> None:
    """A trajectory of signed particles: the claim holds max |eta|/lam, the number is the gap over signed measures."""
    nu = SignedParticles(torus(2), SPIKES, np.array([1.15, 0.58, 0.95]))
    flow = Flow(published(), torus(2), Atoms(torus(2), SPIKES), 1.0)
    one = np.array([published().value(nu)])
    run = Trajectory(flow, GradientFlow(3), np.zeros(1), (nu,), one, np.zeros(1), {}, 0)
    (row,) = global_gap(problems.Problem(flow, "published", "three spikes"), run)
    found = variation_bracket(published(), nu)
    assert found is not None and row.measured == found.gap and row.holds
    assert f"max |eta|/lam <= {found.peak:.12g}" in row.claim and found.peak > 1.0


def test_a_window_is_not_the_domain() -> None:
    """A grid on a window of the plane bounds nothing of the flow on the plane, and the row says why."""
    problem = problems.two_layer_1d(horizon=0.1)
    run = solve(problem.flow, Muscl(cells=16), steps=5)
    reason = no_gap(run)
    assert not list(global_gap(problem, run)) and reason is not None and "not compact" in reason


@pytest.mark.parametrize(
    ("energy", "pi", "reason"),
    [
        (published(), Particles(torus(2), SPIKES), None),
        (Energy(*published().terms[:1]), SignedParticles(torus(2), SPIKES, np.ones(3)), "cost nothing"),
        (Energy(Potential.linear(1.0)), Particles(circle(), np.zeros((1, 1))), "not bounded"),
        (
            Energy(Interaction(FourierKernel(np.array([0.0, 1.0, -1e-16])))),
            Particles(circle(), np.zeros((1, 1))),
            "one risk",
        ),
        (
            Energy(Interaction(FourierKernel(np.array([0.0, -1.0])))),
            Particles(circle(), np.zeros((1, 1))),
            "not convex",
        ),
        (Energy(*population_risk(KERNEL, Gaussian())), Particles(circle(), np.zeros((1, 1))), "one risk"),
    ],
)
def test_where_no_bound_is_known_a_reason_is(energy: Energy, pi: Particles, reason: str | None) -> None:
    """Each in its own words."""
    flow = Flow(energy, pi.domain, Atoms(pi.domain, pi.points), 1.0)
    found = bracket(flow, pi)
    assert (found is not None) if reason is None else (found is None and reason in unknown(flow, pi))


def test_charges_of_one_sign_alone_are_a_smaller_class() -> None:
    """A spike of mass -1, J* = .291 over signed measures: over nonnegative ones the optimum is above that, its own
    bracket closes, and the bracket over signed measures at it does not.
    """
    energy = blurred(np.array([[math.pi]]), [-1.0], 2, 0.3)
    best = independent(energy, circle(), "nonnegative")
    assert best.bracket.gap <= 1e-10 and best.bracket.lower > 1.0
    assert isinstance(best.measure, SignedParticles) and best.measure.weights.min() >= 0.0
    both = variation_bracket(energy, best.measure, signed=True)
    assert both is not None and both.gap > 1.0 and both.lower <= 0.291


def test_cells_on_the_circle_have_the_modes_that_the_kernel_sees() -> None:
    """A density on cells, kinked kernel: at the uniform law the gap is rounding, at an atom F."""
    kernel = relu_kernel(0.0, "gaussian")
    flow = Flow(Energy(*population_risk(kernel, Uniform(circle()))), circle(), Uniform(circle()), 1.0)
    pi = Density(Grid(circle(), (48,)), np.full(48, 0.5 / math.pi))
    found = bracket(flow, pi)
    assert found is not None and found.gap <= 1e-12
    atom = bracket(flow, Particles(circle(), np.array([[0.3]])))
    assert atom is not None and atom.lower <= 1e-12 and atom.gap >= atom.value - 1e-12


def test_filters_with_an_outer_weight_have_no_compact_domain() -> None:
    """w = (a, t) on the cylinder: nothing is claimed."""
    neuron = TranslationNeuron(activation("dirichlet", 2.0), 1, outer=True)
    x = np.linspace(0.0, 6.0, 7)[:, None]
    flow = Flow(Energy(Risk(neuron, Data(x, np.ones(7)))), neuron.domain, Atoms(neuron.domain, np.ones((2, 2))), 1.0)
    pi = Particles(neuron.domain, np.ones((2, 2)))
    assert bracket(flow, pi) is None and "not compact" in unknown(flow, pi)
