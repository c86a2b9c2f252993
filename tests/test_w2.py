"""W2: exact values, POT as oracle, the axioms of a metric, and every pair of kinds against a brute force."""

import math

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import fftconvolve
from scipy.stats import norm

from wflow import (
    Atoms,
    ClosedForm,
    Density,
    FourierDensity,
    Gaussian,
    Grid,
    Particles,
    Quantiles,
    Refused,
    Transported,
    Uniform,
    circle,
    interval,
    line,
    plane,
    torus,
    w2,
)
from wflow.plans import cheapest_plan

TURN = 2.0 * math.pi
UNIFORM = Uniform(circle())


def atoms_on(domain, points, weights=None):
    """Particles from numbers."""
    return Particles(domain, np.asarray(points, dtype=float)[:, None], weights)


# Exact values


@pytest.mark.parametrize(("m0", "s0", "m1", "s1"), [(0, 1, 3, 1), (0, 1, 0, 2), (-1, 0.5, 2, 0.1), (1, 1, 1, 1)])
def test_gaussians(m0, s0, m1, s1):
    """W2(N(m0, s0^2), N(m1, s1^2))^2 = (m0 - m1)^2 + (s0 - s1)^2 (Bures in one dimension).

    Laws enter by 20000 exact cell masses of width h = 18 s/20000; spreading each cell's mass evenly errs by O(h^2).
    """
    assert w2(Gaussian(m0, s0), Gaussian(m1, s1)) == pytest.approx(math.hypot(m0 - m1, s0 - s1), abs=2e-7)


@pytest.mark.parametrize(("eps", "k"), [(0.5, 1), (0.5, 3), (1.0, 2), (0.01, 7)])
def test_a_cosine_mode_to_uniform(eps, k):
    """W2((1 + eps cos k theta)/2pi, uniform) = eps/(sqrt 2 k).

    The optimal map to the uniform law is 2 pi cdf = theta + (eps/k) sin k theta, of mean displacement 0, and
    int (eps/k)^2 sin^2 rho = eps^2/(2 k^2) as the odd harmonics cancel. Tolerance: the 20000 cells' floor.
    """
    assert w2(FourierDensity.cosines({k: eps}), UNIFORM) == pytest.approx(eps / (math.sqrt(2.0) * k), abs=5e-8)


@pytest.mark.parametrize("m", [1, 2, 7, 400])
def test_equispaced_particles_to_uniform(m):
    """W2 of m equal equispaced atoms to uniform on the circle is pi/(sqrt 3 m), wherever they start.

    Each arc of length 2 pi/m collapses to its middle: variance (2 pi/m)^2/12.
    """
    theta = 0.3 + TURN * np.arange(m) / m
    assert w2(atoms_on(circle(), theta), UNIFORM) == pytest.approx(math.pi / (math.sqrt(3.0) * m), rel=1e-9, abs=0.0)


@pytest.mark.parametrize("shift", [-30.0, -0.5, 1e-3, 2.0])
def test_a_translation_on_the_line_costs_its_length(shift):
    """W2(mu, mu + a) = |a|: the monotone map of the line is the translation itself."""
    rng = np.random.default_rng(1)
    x, p = rng.normal(size=20), rng.dirichlet(np.ones(20))
    assert w2(atoms_on(line(), x, p), atoms_on(line(), x + shift, p)) == pytest.approx(abs(shift), rel=1e-12, abs=0.0)


@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0])
def test_a_dilation_about_the_mean_costs_its_share_of_the_deviation(factor):
    """W2(mu, l(mu - mean) + mean) = |l - 1| sqrt(var mu)."""
    x = np.random.default_rng(2).normal(size=30)
    moved = x.mean() + factor * (x - x.mean())
    assert w2(atoms_on(line(), x), atoms_on(line(), moved)) == pytest.approx(
        abs(factor - 1) * x.std(), rel=1e-12, abs=0.0
    )


def test_cells_and_quantiles_of_one_density_coincide():
    """Cell averages 1/3, 5/3 on [0, 1] are the quantile function with breaks s = 1/6: both kinds hold it exactly."""
    cells = Density(Grid(interval(0, 1), (2,)), [1 / 3, 5 / 3])
    edges = [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert w2(cells, Quantiles(interval(0, 1), edges)) < 1e-12


@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0])
def test_a_turn_of_a_narrow_bump_costs_its_arc(shift):
    """On the circle W2 of a bump narrower than pi - |a| turned by a is |a|; through angle 0 as anywhere."""
    theta = 6.2 + 0.1 * np.random.default_rng(3).random(15)
    assert w2(atoms_on(circle(), theta), atoms_on(circle(), theta + shift)) == pytest.approx(shift, rel=1e-12, abs=0.0)


def test_a_turn_of_the_uniform_law_costs_nothing():
    """Uniform cells turned by half a cell are the same law: the shift search finds zero, to the root of rounding."""
    grid = Grid(circle(), (64,))
    edges = TURN * np.arange(64) / 64 + 0.5 * TURN / 64
    assert w2(Density(grid, np.full(64, 1 / TURN)), Quantiles(circle(), edges)) < 1e-12


# POT as oracle


def geodesic_cost(x, y):
    """Squared arc length (n, m), written apart from wflow.domain."""
    gap = np.abs(np.mod(x, TURN)[:, None] - np.mod(y, TURN)[None, :])
    return np.minimum(gap, TURN - gap) ** 2


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("domain", [line(), circle()], ids=["line", "circle"])
def test_atoms_agree_with_pot(domain, seed):
    """W2 of up to 60 random atoms with random weights against POT's network simplex, to 1e-10 (W2 is about 1)."""
    rng = np.random.default_rng([17, seed])
    n, m = rng.integers(1, 61, size=2)
    x, y = rng.uniform(-7, 7, n), 7 * rng.normal(size=m)
    p, q = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    cost = geodesic_cost(x, y) if domain.is_circle else (x[:, None] - y[None, :]) ** 2
    expected = math.sqrt(ot.emd2(p, q, cost, numItermax=10**6))
    assert w2(atoms_on(domain, x, p), atoms_on(domain, y, q)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("m", [3, 10])
def test_more_axes_agree_with_an_assignment(m, seed):
    """On the torus m equal atoms are optimally matched by a permutation, found by scipy's Hungarian method."""
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng([5, seed])
    x, y = rng.uniform(0, TURN, (2, m, 2))
    cost = sum(geodesic_cost(x[:, axis], y[:, axis]) for axis in range(2))
    expected = math.sqrt(cost[linear_sum_assignment(cost)].sum() / m)
    assert w2(Particles(torus(2), x), Particles(torus(2), y)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -4.0)])
def test_a_translation_of_the_plane_costs_its_length(shift):
    """W2(mu, mu + a) = |a| for 300 draws of a Gaussian of the plane, to the certified gap 1e-9 of the squared cost."""
    points = Gaussian([0.0, 1.0], [1.0, 2.0], dim=2).sample(300, np.random.default_rng(4))
    moved = Particles(plane(), points + np.asarray(shift))
    assert w2(Particles(plane(), points), moved) == pytest.approx(math.hypot(*shift), abs=1e-7)


def test_more_than_2000_atoms_of_the_plane_are_refused():
    """The network simplex takes seconds there; the refusal names the number and the limit."""
    many = Particles(plane(), np.zeros((2001, 2)))
    with pytest.raises(Refused, match="2001 atoms on 2 axes; at most 2000"):
        w2(many, many)


@pytest.mark.parametrize("seed", range(3))
def test_potentials_prove_a_plan(seed):
    """left_i + right_j <= cost_ij, with equality where mass goes; p . left + q . right is the cost; sums p and q."""
    rng = np.random.default_rng([6, seed])
    p, q, cost = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(6)), 1e3 * rng.random((9, 6))
    plan = cheapest_plan(2.0 * p, 3.0 * q, cost)
    slack = cost - plan.left[:, None] - plan.right[None, :]
    assert slack.min() >= -1e-9 and np.max(slack[plan.masses > 0.0]) <= 1e-9
    assert p @ plan.left + q @ plan.right == pytest.approx(plan.cost, rel=1e-12)
    np.testing.assert_allclose(plan.masses.sum(axis=1), p, rtol=0.0, atol=1e-14)
    np.testing.assert_allclose(plan.masses.sum(axis=0), q, rtol=0.0, atol=1e-14)


ONE = np.ones(1)
NO_PLAN = {
    "nothing": (np.zeros(0), ONE, np.zeros((0, 1)), "shapes"),
    "a cost of another shape": (ONE, ONE, np.zeros((2, 1)), "shapes"),
    "a negative mass": (np.array([1.1, -0.1]), ONE, np.ones((2, 1)), "negative"),
    "an infinite cost": (ONE, ONE, np.array([[math.inf]]), "not finite"),
    "a cost that is no number": (ONE, ONE, np.array([[math.nan]]), "not finite"),
}


@pytest.mark.parametrize(("p", "q", "cost", "reason"), NO_PLAN.values(), ids=NO_PLAN)
def test_what_pot_must_not_see(p, q, cost, reason):
    """POT crashes on empty data and answers 0 for infinite ones: refused before it is asked."""
    with pytest.raises(ValueError, match=reason):
        cheapest_plan(p, q, cost)


def test_points_without_mass_do_not_count():
    """Atoms of weight 0 in the plane change nothing, to rounding."""
    rng = np.random.default_rng(7)
    x, y = rng.random((2, 5, 2))
    there = Particles(plane(), y)
    more = Particles(plane(), np.concatenate([x, rng.random((3, 2))]), np.array([0.2] * 5 + [0.0] * 3))
    assert w2(more, there) == pytest.approx(w2(Particles(plane(), x), there), rel=1e-12)


# A metric


def random_atoms(draw, domain):
    """Up to eight atoms with positive weights; some positions coincide."""
    n = draw(st.integers(1, 8))
    x = draw(st.lists(st.floats(-10, 10).map(lambda v: round(v, 3)), min_size=n, max_size=n))
    p = np.array(draw(st.lists(st.integers(1, 50), min_size=n, max_size=n)), dtype=float)
    return atoms_on(domain, x, p / p.sum())


@st.composite
def triples(draw):
    """Three measures on one domain."""
    domain = draw(st.sampled_from([line(), circle()]))
    return [random_atoms(draw, domain) for _ in range(3)]


@pytest.mark.slow
@given(triples())
def test_symmetry(abc):
    """W2(a, b) = W2(b, a), to the rounding of a root: both squares to 1e-13 of the squared diameter."""
    a, b, _ = abc
    assert w2(a, b) ** 2 == pytest.approx(w2(b, a) ** 2, rel=1e-9, abs=1e-11)


@pytest.mark.slow
@given(triples())
def test_triangle(abc):
    """W2(a, c) <= W2(a, b) + W2(b, c), with 1e-9 for rounding under the root."""
    a, b, c = abc
    assert w2(a, c) <= w2(a, b) + w2(b, c) + 1e-9


@pytest.mark.slow
@given(triples())
def test_identity(abc):
    """W2(a, a) = 0, to 1e-12."""
    assert w2(abc[0], abc[0]) < 1e-12


@pytest.mark.slow
@given(triples(), st.floats(-3, 3))
def test_common_translations_and_turns_change_nothing(abc, shift):
    """W2(a + t, b + t) = W2(a, b) on the line and on the circle (squares, to rounding)."""
    a, b, _ = abc
    moved = w2(a.moved(a.points + shift), b.moved(b.points + shift))
    assert moved**2 == pytest.approx(w2(a, b) ** 2, rel=1e-9, abs=1e-11)


@pytest.mark.slow
@given(triples(), st.floats(0.01, 100))
def test_scaling_of_the_line(abc, factor):
    """W2(l a, l b) = l W2(a, b) on the line."""
    a, b = (atoms_on(line(), x.points[:, 0], x.weights) for x in abc[:2])
    scaled = w2(a.moved(factor * a.points), b.moved(factor * b.points))
    assert scaled == pytest.approx(factor * w2(a, b), rel=1e-9, abs=1e-9 * factor)


# Every pair of kinds against a brute force: quantile functions written here, on a dense grid of s
#
# On the line X and Y are sampled at the middles of N equal intervals of s. Weights and breaks are multiples of 1/1000,
# so no jump falls inside an interval; the midpoint rule then errs by O(N^-2), and by O(1/N) at a Gaussian's tail.

LINE_NODES = 200_000
CIRCLE_NODES = 20_000
WIDE = interval(-3.0, 3.0)


def thousandths(rng, n):
    """n positive weights that are multiples of 1/1000."""
    cuts = np.sort(rng.choice(np.arange(1, 1000), n - 1, replace=False))
    return np.diff(cuts, prepend=0, append=1000) / 1000.0


def steps(x, p):
    """Quantile function of atoms on [0, 1)."""
    order = np.argsort(x)
    ends = np.cumsum(p[order])
    return lambda s: x[order][np.minimum(np.searchsorted(ends, s), len(x) - 1)]


def ramps(masses, edges):
    """Quantile function of a piecewise constant density on [0, 1)."""
    ends = np.concatenate([[0.0], np.cumsum(masses)])
    return lambda s: np.interp(s, ends / ends[-1], edges)


def integrated(density, low, high):
    """Quantile function of a positive smooth density by the trapezoid rule on 200000 cells."""
    x = np.linspace(low, high, LINE_NODES + 1)
    rho = density(x)
    rise = np.concatenate([[0.0], np.cumsum(0.5 * (rho[1:] + rho[:-1]))])
    return lambda s: np.interp(s, rise / rise[-1], x)


def particles(domain, seed):
    rng = np.random.default_rng([1, seed])
    x, p = rng.uniform(0, 3, 6), thousandths(rng, 6)
    return atoms_on(domain, x, p), steps(x, p)


def atoms(domain, seed):
    rng = np.random.default_rng([2, seed])
    x, p = rng.uniform(1, 3, 4), thousandths(rng, 4)
    return Atoms(domain, x[:, None], p), steps(x, p)


def density(domain, seed):
    rng = np.random.default_rng([3, seed])
    grid = Grid(domain if domain.bounded else WIDE, (5,))
    masses = thousandths(rng, 5)
    return Density(grid, masses / grid.cell_volume), ramps(masses, grid.edges())


def quantiles(domain, seed):
    rng = np.random.default_rng([4, seed])
    inner = np.sort(rng.uniform(0.5, 5.0, 8))
    edges = inner if domain.is_circle else np.append(inner, 5.5)
    closed = np.append(inner, inner[0] + TURN) if domain.is_circle else edges
    return Quantiles(domain, edges), ramps(np.full(8, 0.125), closed)


def gaussian(domain, seed):
    law = Gaussian(1.0 - seed, 0.5 + seed)
    return law, lambda s: norm.ppf(s, 1.0 - seed, 0.5 + seed)


def uniform(domain, seed):
    here = domain if domain.bounded else interval(-seed, 2.0)
    return Uniform(here), lambda s: here.lower[0] + here.lengths[0] * s


def fourier(domain, seed):
    law = FourierDensity(np.array([1.0, 0.3 - 0.1j * seed, 0.1j]))
    return law, integrated(lambda x: 1 + 0.6 * np.cos(x) + 0.2 * seed * np.sin(x) - 0.2 * np.sin(2 * x), 0.0, TURN)


def closed_form(domain, seed):
    """Density 1 + a sin(2 pi u) in u = (x - low)/length."""
    here, a = (domain if domain.bounded else WIDE), 0.5 + 0.3 * seed
    low, length = here.lower[0], here.lengths[0]

    def rho(x):
        return (1 + a * np.sin(TURN * (x - low) / length)) / length

    def cdf(x):
        u = (x - low) / length
        return u + a * (1 - np.cos(TURN * u)) / TURN

    return ClosedForm(here, rho, cdf), integrated(rho, low, low + length)


def transported(domain, seed):
    """Quantile low + length (s + b sin(2 pi s)), on the circle periodic but for the lift."""
    here, b = (domain if domain.bounded else WIDE), 0.1 + 0.03 * seed
    low, length = here.lower[0], here.lengths[0]

    def quantile(s):
        return low + length * (s + b * np.sin(TURN * s))

    return Transported(here, quantile, np.ones_like), quantile


KINDS = [particles, density, quantiles, uniform, atoms, closed_form, transported]
ON_LINE = [*KINDS, gaussian]
ON_CIRCLE = [*KINDS, fourier]


def pairs(kinds):
    """Every unordered pair of kinds, a kind with itself included."""
    return [pytest.param(a, b, id=f"{a.__name__}-{b.__name__}") for i, a in enumerate(kinds) for b in kinds[i:]]


@pytest.mark.parametrize(("first", "second"), pairs(ON_LINE))
def test_every_pair_of_kinds_on_the_line(first, second):
    """W2^2 = int_0^1 |X(s) - Y(s)|^2 ds by the midpoint rule on 200000 intervals.

    Accuracy of the brute force in the square: at a Gaussian's tail s^2/N an end, 2e-5 in all; elsewhere O(N^-2), below
    what the laws' cells of width h leave, h^2/12 <= 1e-8.
    """
    (a, x), (b, y) = first(line(), 0), second(line(), 1)
    s = (np.arange(LINE_NODES) + 0.5) / LINE_NODES
    expected = np.mean((x(s) - y(s)) ** 2)
    assert w2(a, b) ** 2 == pytest.approx(expected, abs=2e-5 if gaussian in (first, second) else 1e-8)


def brute_circle(x, y):
    """min over shifts j/N, |j| <= N, of the mean of |X(s) - Y(s + j/N)|^2; the cross terms are one correlation."""
    n = CIRCLE_NODES
    s = (np.arange(n) + 0.5) / n
    fixed, turn = x(s), y(s)
    lifted = np.concatenate([turn - TURN, turn, turn + TURN])
    cross = fftconvolve(lifted, fixed[::-1], mode="valid")
    squares = np.concatenate([[0.0], np.cumsum(lifted**2)])
    cost = (np.sum(fixed**2) + squares[n:] - squares[:-n] - 2 * cross) / n
    return float(np.min(cost))


@pytest.mark.parametrize(("first", "second"), pairs(ON_CIRCLE))
def test_every_pair_of_kinds_on_the_circle(first, second):
    """min over shifts of int |X(s) - Y(s + alpha)|^2 by brute force over 40001 shifts of 20000 nodes.

    Accuracy of the brute force in the square: the shift is a multiple of 1/N, which adds at most C''/(8 N^2) with
    C'' = 2 int X' Y' < 300 here, 1e-7; the laws' cells h^2/12 = 1e-8. Atoms have their optimum on the lattice.
    """
    (a, x), (b, y) = first(circle(), 0), second(circle(), 1)
    assert w2(a, b) ** 2 == pytest.approx(brute_circle(x, y), abs=1.1e-7)


# Random starts


def mean_square_distance(domain, law, m, repeats, seed):
    """Mean of W2^2(m i.i.d. draws, law) over repeats, and its standard error."""
    rng = np.random.default_rng(seed)
    squares = [w2(Particles(domain, law.sample(m, rng)), law) ** 2 for _ in range(repeats)]
    return np.mean(squares), np.std(squares, ddof=1) / math.sqrt(repeats)


@pytest.mark.parametrize("m", [1, 5, 40])
@pytest.mark.parametrize(
    ("law", "constant"),
    [(UNIFORM, math.pi**2 / 3), (Uniform(interval(0, 1)), 1 / 6)],
    ids=["circle", "interval"],
)
def test_iid_draws_of_the_uniform_law(law, constant, m):
    """E W2^2(m i.i.d. draws, uniform) = pi^2/(3m) on the circle and 1/(6m) on [0, 1], exactly for every m.

    On [0, 1]: int s(1 - s)/m ds by the Beta laws of order statistics; on the circle 4 pi^2 (1/(6m) - 1/(12m)) as the
    best turn removes the mean displacement of variance 1/(12m). Derived. Four standard errors of 300 repeats.
    """
    mean, error = mean_square_distance(law.domain, law, m, 300, seed=[11, m])
    assert abs(mean - constant / m) <= 4 * error + 1e-12
