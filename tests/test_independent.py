"""Optima without a flow: their conditions, their derivatives, and the published minimisers they must find."""

import math

import numpy as np
import pytest
from deconvolutions import blurred, noisy, published
from scipy.optimize import minimize

from wflow import (
    Atoms,
    Energy,
    HalfSquare,
    Huber,
    Logistic,
    Refused,
    activation,
    circle,
    circle_kernel,
    population_risk,
    torus,
)
from wflow.duality import (
    independent,
)
from wflow.duality.active_set import on_simplex, priced
from wflow.duality.observed import observed
from wflow.duality.sliding import Sliding, joined
from wflow.forceless import TotalVariation


@pytest.mark.parametrize("seed", range(10))
def test_active_sets_end_at_the_conditions_of_a_minimum(seed: int) -> None:
    """B^T(B w - y) + price >= 0 with equality where w > 0 (on the simplex: constant there), and few atoms."""
    rng = np.random.default_rng(seed)
    b, y = rng.standard_normal((12, 200)), rng.standard_normal(12)
    w = priced(b, y, 0.8)
    slope = b.T @ (b @ w - y) + 0.8
    assert np.all(w >= 0.0) and slope.min() >= -1e-9 and np.max(np.abs(slope[w > 0.0]), initial=0.0) <= 1e-9
    v = on_simplex(b, y + 3.0)
    slope = b.T @ (b @ v - y - 3.0)
    assert v.sum() == pytest.approx(1.0, abs=1e-13) and np.all(v >= 0.0)
    assert np.ptp(slope[v > 0.0]) <= 1e-8 and slope.min() >= slope[v > 0.0].min() - 1e-8
    assert np.sum(w > 0.0) <= 12 and np.sum(v > 0.0) <= 13


@pytest.mark.parametrize("over", ["nonnegative", "signed"])
def test_an_independent_optimum_finds_the_published_minimiser(over) -> None:  # type: ignore[no-untyped-def]
    """From a grid of 16^2, which knows nothing of Newton's start above: three atoms, to 1e-8, and J* to 2e-12."""
    best = independent(published(), torus(2), over, cells=16)
    order = np.argsort(best.measure.points[:, 0])
    assert best.bracket.gap <= 2e-12 and len(best.rounds) <= 4 and best.rounds[0].gap > 0.1
    np.testing.assert_allclose(best.measure.weights[order], [1.15015243, 0.95151595, 0.58158183], atol=1e-8)
    at = [[0.00055578, 0.00751160], [0.69843790, 1.28547405], [1.70491468, -0.30437323]]
    np.testing.assert_allclose(best.measure.points[order] - math.pi, at, atol=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_independent_optima_close_on_random_sparse_problems(seed: int) -> None:
    """Five signed spikes on the circle behind a filter of degree 8: gap 1e-11, J as found from twice as fine a grid."""
    rng = np.random.default_rng(seed)
    spikes, masses = 2.0 * math.pi * rng.random((5, 1)), rng.choice([-1.0, 1.0], 5) * rng.uniform(0.5, 1.5, 5)
    energy = blurred(spikes, masses, 8, 0.3)
    best, finer = (independent(energy, circle(), "signed", cells=cells) for cells in (128, 256))
    assert best.bracket.gap <= 1e-11 and abs(best.bracket.value - finer.bracket.value) <= 1e-11


@pytest.mark.parametrize("loss", [HalfSquare(), Logistic()])
def test_sliding_atoms_have_the_gradient_and_hessian_of_j(loss) -> None:  # type: ignore[no-untyped-def]
    """By central differences of J, masses of both signs; on the simplex the sum of masses stays."""
    energy = blurred(np.array([[1.0], [3.0]]), [1.0, -0.7], 3, 0.2)
    view = observed(energy, circle())
    assert view is not None
    y = np.sign(view.targets) if isinstance(loss, Logistic) else view.targets
    sliding = Sliding(view.jet, view.weights, y, 0.2, circle(), fixed=False, loss=loss)
    c, w, h = np.array([0.8, -0.4, 0.3]), np.array([[1.1], [2.8], [5.0]]), 1e-5
    gradient, hessian = sliding.derivatives(c, w)
    for k in range(6):
        step = h * np.eye(6)[k]
        (up, _), (down, _) = (sliding.derivatives(c + s * step[:3], w + s * step[3:, None]) for s in (1.0, -1.0))
        np.testing.assert_allclose((up - down) / (2.0 * h), hessian[:, k], atol=1e-7)
        high, low = (sliding.value(c + s * step[:3], w + s * step[3:, None]) for s in (1.0, -1.0))
        assert (high - low) / (2.0 * h) == pytest.approx(gradient[k], abs=1e-8)
    kept = Sliding(view.jet, view.weights, view.targets, 0.0, circle(), fixed=True)
    masses, _ = kept.slid(np.array([0.5, 0.3, 0.2]), w)
    assert masses.sum() == pytest.approx(1.0, abs=1e-12) and np.all(masses > 0.0)


def test_atoms_are_joined_across_the_end_of_the_turn() -> None:
    """.1 and 2 pi - .1 of masses 1 and 3 meet at 2 pi - .05; another sign, and what is further, stay."""
    c, w = np.array([1.0, 3.0, -2.0, 0.5]), np.array([[0.1], [2.0 * math.pi - 0.1], [0.0], [1.0]])
    masses, points = joined(circle(), c, w, 0.3)
    np.testing.assert_allclose(masses, [4.0, -2.0, 0.5])
    np.testing.assert_allclose(points[:, 0], [2.0 * math.pi - 0.05, 0.0, 1.0], atol=1e-12)


def test_atoms_without_mass_are_not_joined() -> None:
    """They are left out beside others, and stay where there are none: where nothing pays, nu = 0 has a finite place."""
    w = np.array([[0.1], [2.0]])
    np.testing.assert_array_equal(joined(circle(), np.array([0.0, 1.0]), w, 0.3)[1], w[1:])
    np.testing.assert_array_equal(joined(circle(), np.zeros(2), w, 0.3)[1], w)


def test_independent_optima_are_refused_where_none_are() -> None:
    """Free masses that cost nothing; a loss without a second derivative."""
    with pytest.raises(Refused, match="add TotalVariation"):
        independent(noisy("tanh", 1.0, 10, 0), circle(), "signed")
    with pytest.raises(Refused, match="second derivative"):
        independent(noisy("tanh", 1.0, 10, 0, Huber(0.1)), circle(), "probability")


@pytest.mark.parametrize("over", ["probability", "nonnegative", "signed"])
@pytest.mark.parametrize("seed", range(3))
def test_logistic_optima_close(over, seed: int) -> None:  # type: ignore[no-untyped-def]
    """Labels: a gap of 2e-12 by Newton and exchanges; on the grid alone F is that of L-BFGS-B over its weights."""
    energy = noisy("cos_minus_sin", 2.0, 40, seed, Logistic())
    if over != "probability":
        energy = Energy(*energy.terms, TotalVariation(0.02))
    best = independent(energy, circle(), over, cells=64)
    assert best.bracket.gap <= 2e-12
    if over == "nonnegative":
        risk = energy.risk
        assert risk is not None
        data = risk.data
        psi = risk.neuron.value(data.inputs, 2.0 * math.pi * (np.arange(64)[:, None] + 0.5) / 64)

        def value(w: np.ndarray) -> tuple[float, np.ndarray]:
            f = psi @ w
            slope = psi.T @ (data.weights * Logistic().slope(f, data.targets)) + 0.02
            return float(data.weights @ Logistic().value(f, data.targets)) + 0.02 * w.sum(), slope

        found = minimize(value, np.full(64, 0.1), jac=True, bounds=[(0.0, None)] * 64, options={"ftol": 1e-15})
        assert best.rounds[0].value == pytest.approx(found.fun, abs=1e-7)
        assert best.rounds[0].value <= found.fun + 1e-10


def test_the_bracket_closes_at_the_optimum_of_noisy_data() -> None:
    """Independent optima of noisy labels (inf F > 0): gap 1e-12, and their atoms are at most as many as the data."""
    for name, b in (("cos_minus_sin", 2.0), ("relu", 0.5), ("tanh", 1.0)):
        found = independent(noisy(name, b, 24, 0), circle(), "probability", rounds=30)
        assert found.bracket.gap <= 1e-10 and found.bracket.lower > 1e-4
        assert len(found.measure.points) <= 25
        assert found.rounds[0].gap > found.bracket.gap


def test_two_relu_teachers_attract_each_other() -> None:
    """Unit teachers at 0 and pi/2, lam = .02: masses .96466125, both .01378983 nearer, J = .0392925433 (cited).

    Here the teachers weigh 1/2: nu is halved, J a quarter, lam a half. The kernel is cut off at 1024 modes.
    """
    kernel = circle_kernel(activation("relu"), "gaussian")
    teachers = Atoms(circle(), np.array([[0.0], [0.5 * math.pi]]))
    best = independent(Energy(*population_risk(kernel, teachers), TotalVariation(0.01)), circle(), "signed", rounds=30)
    angle, mass = best.measure.points[:, 0], best.measure.weights
    assert (
        best.bracket.gap <= 1e-10
        and len(mass) == 2
        and 4.0 * best.bracket.value == pytest.approx(0.0392925433, abs=1e-9)
    )
    np.testing.assert_allclose(2.0 * mass, 0.96466125, atol=1e-8)
    np.testing.assert_allclose(np.sort(angle), [0.01378983, 0.5 * math.pi - 0.01378983], atol=1e-8)
