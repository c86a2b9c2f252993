"""Noisy univariate ReLU regression: closed forms against quadrature, weak duality, knots against known answers."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import dblquad, quad

from solvers.ensemble import ensemble
from solvers.langevin import Langevin
from solvers.particles import GradientFlow, Sampled
from wflow import picture, problems, solve
from wflow.arrays import Array
from wflow.data import Data
from wflow.duality.active_set import priced
from wflow.errors import NotConverged
from wflow.knots import (
    Verdict,
    at_dual,
    designed,
    knots,
    noiseless,
    noisy_fit,
    path,
    peaks,
    three_on_closed,
    two_inside,
    verdict,
)
from wflow.knots.angles import angle_law
from wflow.measure import SignedParticles

LAM = 0.1


def some(seed: int = 0, n: int = 6, size: float = 1.0) -> Data:
    rng = np.random.default_rng(seed)
    return Data(np.sort(rng.uniform(-2.0, 2.0, n))[:, None], size * rng.standard_normal(n))


def field(data: Data, p: Array) -> Callable[[float], float]:
    """M(phi), by its definition."""
    r, x = data.weights * p, data.inputs[:, 0]
    return lambda t: float(r @ np.maximum(x * math.cos(t) + math.sin(t), 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("away", [0.5, 1e-4])
def test_sums_over_nodes_are_the_integrals(away: float) -> None:
    """int h, and the charges of directions X_i, by adaptive quadrature between the kinks and maxima of M, to 1e-9.

    p is scaled until max |M| = (1 - away) lam, so both kinds of arcs (R < lam and R > lam) occur.
    """
    data = some()
    p = np.array([1.0, -2.0, 1.5, -0.5, -1.0, 2.0])
    x = np.column_stack([data.inputs[:, 0], np.ones(6)])
    fine = np.linspace(0.0, 2.0 * math.pi, 20001)
    kinks = np.concatenate([np.mod(-np.arctan(data.inputs[:, 0]) + k * math.pi, 2.0 * math.pi) for k in (0, 1)])
    at = np.concatenate([fine, kinks])
    p *= (1.0 - away) * LAM / np.max(np.abs([field(data, p)(t) for t in at]))
    m = field(data, p)
    law = angle_law(data.weights * p, x, LAM)
    top = at[np.argmax(np.abs([m(t) for t in at]))]
    cuts = np.unique(np.concatenate([[0.0, 2.0 * math.pi, top], kinks]))

    def whole(g: Callable[[float], float]) -> float:
        return sum(quad(g, a, b, epsabs=0.0, epsrel=1e-11, limit=400)[0] for a, b in pairwise(cuts))

    h = whole(lambda t: 1.0 / (LAM**2 - m(t) ** 2))
    assert law.integral == pytest.approx(h, rel=1e-9)
    on = np.maximum(law.u @ x[2], 0.0)
    want = whole(lambda t: -2.0 * m(t) / (LAM**2 - m(t) ** 2) ** 2 * max(x[2, 0] * math.cos(t) + math.sin(t), 0.0)) / h
    assert law.charges(1.0) @ on == pytest.approx(want, rel=1e-9)


@pytest.mark.slow
def test_log_partition_and_predictions_on_a_lattice_of_neurons() -> None:
    """Sums over (w, b) on 1201^2 points, a integrated as a Gaussian, at T = .3: no polar coordinates, no arcs.

    The lattice errs by O(h^2) at kinks (h = .0167: measured 2e-6 of log Z); one a-integral by adaptive quadrature.
    """
    data, t = some(n=4), 0.3
    fit = noisy_fit(data, 0.5, t)
    w = np.linspace(-10.0, 10.0, 1201)
    q = data.weights * fit.p
    m = sum(q[i] * np.maximum(np.add.outer(w * data.inputs[i, 0], w), 0.0) for i in range(4))
    square = np.add.outer(w**2, w**2)
    rho = np.exp((m**2 / (2.0 * 0.5) - 0.5 * 0.5 * square) / t) * math.sqrt(2.0 * math.pi * t / 0.5)
    z = np.sum(rho) * (w[1] - w[0]) ** 2
    assert fit.log_partition == pytest.approx(math.log(z), abs=1e-5)
    x = 0.7
    mean = np.sum(rho * -m / 0.5 * np.maximum(np.add.outer(w * x, w), 0.0)) / np.sum(rho)
    assert fit.predicted(np.array([x]))[0] == pytest.approx(mean, abs=1e-5)
    k = (700, 800)  # (w, b) at one lattice point
    inner = quad(lambda a: math.exp(-(a * m[k] + 0.25 * (a * a + square[k])) / t), -20.0, 20.0)[0]
    assert rho[k] == pytest.approx(inner, rel=1e-9)
    radial = dblquad(lambda r, a: r * math.exp(-(a * r * 0.2 + 0.25 * (a * a + r * r)) / t), -9, 9, 0, 9)[0]
    assert radial == pytest.approx(math.sqrt(2.0 * math.pi * t / 0.5) * t * 0.5 / (0.25 - 0.04), rel=1e-7)


def test_the_slope_and_newtons_step() -> None:
    data = some()
    p = 0.3 * noisy_fit(data, LAM, 0.05).p
    fit, e = at_dual(data, LAM, 0.05, p), 1e-6
    way = fit.newton()
    sides = [at_dual(data, LAM, 0.05, p + s * e * way) for s in (-1.0, 1.0)]
    slope = (sides[1].lower - sides[0].lower) / (2.0 * e)
    assert slope == pytest.approx(way @ (data.weights * fit.residual), rel=1e-7)
    assert (sides[1].residual - sides[0].residual) / (2.0 * e) == pytest.approx(-fit.residual, rel=1e-6, abs=1e-8)


def test_weak_duality_and_the_gap_for_any_dual_vector() -> None:
    """D(p) <= F*, and F(pi_p) - F* = T KL(pi_p | pi*) + sum q (f_p - f*)^2/2 exactly, KL by V and log Z."""
    data, t, q = some(1), 0.02, some(1).weights
    best = noisy_fit(data, LAM, t)
    assert best.gap < 1e-20
    for share in (0.0, 0.5, 0.9, 1.01):
        fit = at_dual(data, LAM, t, share * best.p)
        kl = float(q @ ((best.p - fit.p) * fit.fitted)) / t + best.log_partition - fit.log_partition
        excess = t * kl + 0.5 * float(q @ (fit.fitted - best.fitted) ** 2)
        assert kl > -1e-12 and fit.lower <= best.lower + best.rounding
        assert fit.value - best.lower == pytest.approx(excess, rel=1e-9, abs=1e-14)
        assert excess <= fit.gap + 1e-14
    assert not at_dual(data, LAM, t, 50.0 * best.p).law.feasible


def test_as_the_temperature_falls_the_network_without_noise_is_met() -> None:
    """J* in a bracket of at most T, and sum q (f_T - f_0)^2 <= T: both proved, of the problem solved by itself."""
    data = some(3)
    still = noiseless(data, LAM)
    assert still.bracket.gap < 1e-11
    for fit in path(data, LAM, [1.0, 0.1, 1e-3, 1e-5]):
        lower, upper = fit.noiseless
        assert lower <= still.bracket.value + 1e-12 and still.bracket.lower <= upper + 1e-12
        assert upper - lower <= fit.temperature + fit.gap
        assert data.weights @ (fit.fitted - still.predicted(data.inputs[:, 0])) ** 2 <= fit.temperature
        assert np.sum(np.abs(peaks(fit).charges)) == pytest.approx(fit.variation, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "places", "closed", "inside"),
    [(two_inside, [-0.5, 0.5], [2], [2]), (three_on_closed, [-2.0, -0.6, 2.0], [1, 3, 1], [0, 1, 0])],
)
def test_as_many_knots_as_there_can_be(
    make: Callable[[float], tuple[Data, SignedParticles]], places: list[float], closed: list[int], inside: list[int]
) -> None:
    """Data of known answers attain the bounds: two on an open interval, three on a closed one."""
    data, nu = make(LAM)
    still = noiseless(data, LAM)
    known = still.knots(1e-3)
    assert known.places == pytest.approx(places, abs=1e-6)
    sizes = sorted(float(c) for c in nu.weights)
    assert sorted(still.sizes[np.abs(still.sizes) > 1e-6]) == pytest.approx(sizes, abs=1e-6)
    assert not verdict(data, LAM, (1e-2,)).refuted
    cold = knots(noisy_fit(data, LAM, 1e-5), 1e-2)
    assert cold.closed.tolist() == closed == known.closed.tolist()
    assert cold.inside.tolist() == inside and cold.beyond == 0
    assert cold.places == pytest.approx(places, abs=1e-4)


def test_a_knot_off_the_data_has_the_derived_width() -> None:
    """Of two equal charges nu the angle has the standard deviation (T/(2 lam nu))^(1/2) as T -> 0; T = 1e-6: 0.2 %."""
    data, _ = two_inside(LAM, 1.0)
    found = peaks(noisy_fit(data, LAM, 1e-6))
    kept = np.abs(found.charges) > 0.1
    assert found.widths[kept] == pytest.approx(np.full(2, math.sqrt(1e-6 / (2.0 * LAM))), rel=2e-3)


def test_the_second_derivative_is_the_density_of_knots() -> None:
    """f'' by central differences of f, to their error; away from contact it is O(T): at most 2 T lam/(pi d^2)."""
    fit = noisy_fit(some(), LAM, 0.05)
    x, e = np.array([-1.3, 0.11, 3.0]), 1e-3
    f = [fit.predicted(x + s * e) for s in (-1.0, 0.0, 1.0)]
    assert fit.bend(x) == pytest.approx((f[0] - 2.0 * f[1] + f[2]) / e**2, abs=1e-5)
    m = [abs(field(fit.data, fit.p)(-math.atan(t) + s)) for t in x for s in (0.0, math.pi)]
    d = LAM - np.max(np.reshape(m, (3, 2)), axis=1)
    assert np.all(np.abs(fit.bend(x)) <= 2.0 * 0.05 * LAM / (math.pi * d**2))


def test_least_squares_with_a_price_where_columns_depend() -> None:
    """The optimality conditions, columns many more than rows: a column twice another serves for half the price."""
    rng = np.random.default_rng(0)
    assert priced(np.array([[1.0, 2.0]]), np.array([3.0]), 0.5) == pytest.approx([0.0, 1.375])
    for n in (1, 2, 3, 5, 8) * 4:
        b, y = rng.standard_normal((n, 200)), 3.0 * rng.standard_normal(n)
        w = priced(b, y, 0.1)
        gain = b.T @ (y - b @ w) - 0.1
        assert np.max(gain) < 1e-12 and np.max(np.abs(gain[w > 0.0])) < 1e-12 and np.sum(w > 0.0) <= n


def test_what_is_refused_names_the_argument() -> None:
    data = some()
    with pytest.raises(ValueError, match="temperatures"):
        list(path(data, LAM, [0.1, 1.0]))
    with pytest.raises(ValueError, match="lam"):
        noisy_fit(data, 0.0, 0.1)
    with pytest.raises(ValueError, match="one input"):
        noiseless(Data(np.zeros((2, 2)), np.ones(2)), LAM)
    with pytest.raises(ValueError, match="must be lam"):
        designed([-2.0, 2.0], [1.0, 1.0], LAM, [0.0], [1.0])
    with pytest.raises(ValueError, match="temperature"):
        problems.univariate_relu(temperature=-1.0)
    with pytest.raises(NotConverged, match="raise the temperature"):
        noisy_fit(some(5, size=8.0), 0.003, 1e-9)


def drawn(kind: int, rng: np.random.Generator) -> Data:
    """Random data; alternating large targets; inputs in a cluster .01 wide and two elsewhere."""
    if kind == 0:
        n = int(rng.integers(2, 11))
        x = np.sort(rng.uniform(-3.0, 3.0, n))
        return Data(x[:, None], rng.standard_normal(n) * rng.choice([0.5, 2.0, 8.0]))
    if kind == 1:
        n = int(rng.integers(3, 11))
        x = np.sort(rng.uniform(-5.0, 5.0, n))
        return Data(x[:, None], 8.0 * (-1.0) ** np.arange(n) * rng.uniform(0.5, 1.0, n))
    n = int(rng.integers(3, 9))
    cluster = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.0) + 0.01 * rng.standard_normal(n - 2)
    return Data(np.sort(np.append(rng.uniform(-6.0, 6.0, 2), cluster))[:, None], 3.0 * rng.standard_normal(n))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_bound_on_knots_on_random_and_adversarial_data() -> None:
    """150 sets, lam .003, .03 or .3. None refutes the bound, which is attained; of those that rounding lets be
    followed down to T = 1e-6 J(0) (146 on one machine, 147 on another: gaps of 1.1e-3 to 3.7e-3 T where 1e-3 T is
    asked) 95 % have the counts of T = 0 there, and J* in their brackets."""
    rng = np.random.default_rng(2)
    done: list[Verdict] = []
    for k in range(150):
        lam = float(rng.choice([0.003, 0.03, 0.3]))
        try:
            done.append(verdict(drawn(k % 3, rng), lam))
        except NotConverged:
            continue
    assert len(done) >= 144 and not any(v.refuted for v in done)
    assert all(str(v).startswith("consistent at a stated resolution") for v in done)
    assert sum(v.agrees for v in done) >= 0.95 * len(done)
    closed = np.concatenate([v.found[-1].closed for v in done])
    inside = np.concatenate([v.found[-1].inside for v in done])
    print("closed", np.bincount(closed), "open", np.bincount(inside), "agree", sum(v.agrees for v in done), len(done))
    assert (closed.max(), inside.max(), max(v.found[-1].beyond for v in done)) == (3, 2, 1)
    for v in done:
        lower, upper = v.fits[-1].noiseless
        assert lower <= v.still.bracket.value + 1e-9 and v.still.bracket.lower <= upper + 1e-9


@pytest.mark.slow
def test_a_picture_of_knots_shows_them() -> None:
    """Each temperature is a curve, each knot a circle, the bounds are dashed."""
    found = verdict(two_inside(LAM)[0], LAM, (1e-2, 1e-3))
    above, below, side = picture.knots(found).axes
    named = {line.get_label(): line for line in above.lines}
    assert {"without noise", "knots", "data"} <= set(named) and len(below.lines) == 4
    assert np.asarray(named["knots"].get_xdata()) == pytest.approx([-0.5, 0.5], abs=1e-6)
    assert np.asarray(side.lines[0].get_ydata()).tolist() == [2, 2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_particles_with_noise_find_the_same_network() -> None:
    """f of Langevin ensembles, means over t in [60, 120]: f_T up to c_1/m + c_2 dt and sampling.

    Extrapolated from (m, dt) = (50, .1), (100, .1), (50, .05), linear in both: within 3.5 standard errors at 7 inputs;
    the first by itself is off by more than that (its bias is seen).
    """
    problem = problems.build("univariate_relu", horizon=120.0)
    given = problem.parameters
    data = Data(np.array(given["inputs"])[:, None], np.array(given["targets"]))
    x = np.linspace(-3.0, 3.0, 7)
    exact = noisy_fit(data, 0.1, 0.02).predicted(x)

    def f(w: Array) -> Array:
        on = np.maximum(w[:, None, :, 1] * x[:, None] + w[:, None, :, 2], 0.0)
        return np.asarray(np.mean(w[:, None, :, 0] * on, axis=2))

    def mean(m: int, steps: int, runs: int, seed: int) -> tuple[Array, Array]:
        method = Langevin(m, start=Sampled(0))
        times = list(np.linspace(60.0, 120.0, 13))
        done = ensemble(problem.flow, method, runs=runs, seed=seed, steps=steps, times=times, observe=f, threads=1)
        value = done.values[1:].mean(axis=0)
        return value.mean(axis=0), value.std(axis=0, ddof=1) / math.sqrt(runs)

    (a, ea), (b, eb), (c, ec) = mean(50, 1200, 600, 1), mean(100, 1200, 300, 2), mean(50, 2400, 600, 3)
    best = a + 2.0 * (b - a) + 2.0 * (c - a)
    error = np.sqrt((3.0 * ea) ** 2 + (2.0 * eb) ** 2 + (2.0 * ec) ** 2)
    assert np.max(np.abs(best - exact) / error) < 3.5
    assert np.max(np.abs(a - exact) / ea) > 3.5


@pytest.mark.slow
def test_particles_without_noise_stay_above_the_lowest() -> None:
    """T = 0: F of a gradient flow of 200 particles is above inf F and within 1 % of it at t = 25.

    At t = 30.3 neurons on a kink of V, which a step of .1 crosses to and fro, raise F, and the loop refuses the step.
    """
    problem = problems.build("univariate_relu", temperature=0.0, horizon=25.0)
    end = solve(problem.flow, GradientFlow(200), steps=250).energies[-1]
    assert problem.lowest is not None
    assert problem.lowest <= end <= 1.01 * problem.lowest
