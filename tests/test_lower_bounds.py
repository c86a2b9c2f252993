"""Lower bounds of fields: against exact minima, dense samples and arithmetic of more digits; never too high."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from wflow import CircleNeuron, RidgeNeuron, activation, box, circle, interval
from wflow.activation import ONE_PARAMETER, PARAMETERLESS
from wflow.arcs import Lines
from wflow.bump import BumpNeuron
from wflow.duality.arcwise import Arcwise, kinks_of
from wflow.duality.bounded import Bounded, derivative_bounds
from wflow.duality.branch import Search, Smooth, enclosed
from wflow.duality.field import largest
from wflow.duality.filters import filter_modes, ridge_modes
from wflow.duality.series import Series

TURN = 2.0 * math.pi


def random_series(dim: int, degree: int, seed: int, decay: float = 1.0) -> Series:
    """Real, with coefficients that fall like (1 + |k|)^-decay."""
    rng = np.random.default_rng([seed, dim, degree])
    shape = (2 * degree + 1,) * dim
    c = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    k = np.linalg.norm(np.indices(shape) - degree, axis=0)
    return Series((c + np.conj(np.flip(c))) / (1.0 + k) ** decay)


def longer(series: Series, w: np.ndarray) -> np.ndarray:
    """V (m,) in 64 bits of mantissa, term by term."""
    total = np.zeros(len(w), dtype=np.longdouble)
    for place in np.ndindex(series.coefficients.shape):
        phase = sum(np.longdouble(k[i]) * w[:, a] for a, (k, i) in enumerate(zip(series.waves, place, strict=True)))
        c = series.coefficients[place]
        total += np.longdouble(c.real) * np.cos(phase) - np.longdouble(c.imag) * np.sin(phase)
    return total


# Trigonometric polynomials


@pytest.mark.parametrize(
    ("half", "least"),
    [
        ([0.0, 0.0, 0.0, 1.0], -1.0),  # cos 3t: three minima of one value
        ([0.0, 1.0, -0.25], -1.25),  # cos t - cos 2t/4 at pi
        ([1.0, -4.0 / 3.0, 1.0 / 3.0], 0.0),  # of order four at 0: 2 (1 - cos)^2/3
        ([0.5, 3.0 - 4.0j], -4.5),  # 5 cos(t + ..)
        ([0.7], 0.7),
    ],
)
def test_minima_known_in_closed_form_are_enclosed(half: list[complex], least: float) -> None:
    """Width 1e-13 of the coefficients, at degenerate minima too."""
    found = Series.of_circle(np.array(half, dtype=complex)).lowest()
    assert found.lower <= least <= found.upper and found.width <= 3e-13 and found.evaluations < 3000


@pytest.mark.parametrize(("dim", "degree"), [(1, 1), (1, 5), (1, 60), (2, 2), (2, 5)])
@pytest.mark.parametrize("seed", range(6))
def test_random_minima_are_enclosed(dim: int, degree: int, seed: int) -> None:
    """The best of dense samples, polished by BFGS, lies between the bounds, which are 1e-12 of sum |C_k| apart."""
    series = random_series(dim, degree, seed)
    found = series.lowest()
    count = 4096 if dim == 1 else 128
    values = series.on_grid(count)[0]
    place = np.array(np.unravel_index(int(np.argmin(values)), (count,) * dim))
    start = TURN * (place + 0.5) / count
    best = minimize(lambda w: series.jet(w[None])[0][0], start, jac=lambda w: series.jet(w[None])[1][0], tol=1e-12)
    assert found.lower <= best.fun <= values.min()
    assert found.width <= 1e-12 * np.sum(np.abs(series.coefficients))
    assert best.fun <= found.upper and found.upper <= best.fun + found.width


def test_the_rounding_of_a_series_is_covered() -> None:
    """Against long double: the error is below the bound, and the bound at most a thousand times the error."""
    for dim, degree in ((1, 3), (1, 100), (2, 4)):
        series = random_series(dim, degree, 0)
        w = TURN * np.random.default_rng(1).random((300, dim))
        off = float(np.max(np.abs(longer(series, w) - series.jet(w)[0])))
        assert 1e-3 * series.rounding(0) < off < series.rounding(0)


@pytest.mark.parametrize("half", [1.0, 0.3, 0.1, 0.03])
@pytest.mark.parametrize("dim", [1, 2])
def test_one_cell_is_bounded_by_its_taylor_formula(dim: int, half: float) -> None:
    """60 cells each: never above samples of the cell; without a third derivative's bound it is no better."""
    rng = np.random.default_rng([dim, int(100 * half)])
    for seed in range(60):
        series, centre = random_series(dim, 2, seed), TURN * rng.random(dim)
        walls = (False,) * dim
        errors = series.rounding(0), series.rounding(1), series.rounding(2)
        cell = Smooth(
            centre - half, centre + half, walls, series.jet, series.bound(2), series.bound(3), errors, cells=1
        )
        axis = np.linspace(-half, half, 41)
        inside = centre + np.stack([g.ravel() for g in np.meshgrid(*[axis] * dim, indexing="ij")], axis=1)
        sampled = float(series.jet(inside)[0].min())
        found = enclosed(cell, Search(0.0, 0), "one cell").lower
        loose = enclosed(replace(cell, third=math.inf), Search(0.0, 0), "one cell").lower
        assert loose <= found + 1e-12 and found <= sampled


def test_the_jet_is_the_derivative_and_the_grid_the_same() -> None:
    """Central differences to O(h^2); FFT and sums to rounding; M_j bounds the derivatives."""
    for dim in (1, 2):
        series = random_series(dim, 3, 4)
        w, h = TURN * np.random.default_rng(2).random((20, dim)), 1e-5
        _, slope, bend = series.jet(w)
        for a in range(dim):
            step = h * np.eye(dim)[a]
            up, down = series.jet(w + step), series.jet(w - step)
            np.testing.assert_allclose((up[0] - down[0]) / (2 * h), slope[:, a], atol=1e-7)
            np.testing.assert_allclose((up[1] - down[1]) / (2 * h), bend[:, a], atol=1e-6)
        assert np.max(np.linalg.norm(slope, axis=1)) <= series.bound(1)
        assert np.max(np.abs(np.linalg.eigvalsh(bend))) <= series.bound(2)
        grid = (np.indices((16,) * dim).reshape(dim, -1).T + 0.5) * (TURN / 16)
        for a, b in zip(series.on_grid(16), series.jet(grid), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-11)


def test_slack_lowers_the_bound_and_below_may_end_a_search() -> None:
    """What V may have beyond the series counts fully; a search that need not look is a bound all the same."""
    series = random_series(2, 3, 7)
    plain, slack = series.lowest(), Series(series.coefficients, 0.5).lowest()
    assert slack.lower == pytest.approx(plain.lower - 0.5, abs=2.0 * plain.width + 1e-12)
    early = series.lowest(below=plain.lower - 10.0)
    assert early.lower <= plain.upper and early.lower >= plain.lower - 10.1 and early.evaluations < plain.evaluations


def test_a_valley_of_minima_is_bounded_at_the_limit_of_evaluations() -> None:
    """cos w_1 on the torus is least on a whole line: no ball closes it, cells do, to 1e-7 in 3e5 evaluations."""
    c = np.zeros((3, 3), dtype=complex)
    c[0, 1] = c[2, 1] = 0.5
    found = Series(c).lowest()
    assert found.lower <= -1.0 <= found.upper and found.width <= 1e-7


def test_the_largest_of_both_signs() -> None:
    """max |cos t - 2| = 3, max(-V, 0) = 3 too; of 2 + cos nothing is below 0."""
    down, up = Series.of_circle(np.array([-2.0, 1.0 + 0j])), Series.of_circle(np.array([2.0, 1.0 + 0j]))
    assert largest(down, signed=True)[0] == pytest.approx(3.0, abs=1e-13)
    assert largest(up, signed=True)[0] == pytest.approx(3.0, abs=1e-13) and largest(up, signed=False)[0] == 0.0


# Kinked neurons, arc by arc


@pytest.mark.parametrize(
    ("name", "b"), [("relu", 0.0), ("relu", 0.5), ("relu", -0.7), ("leaky_relu", 0.3), ("relu", 9.0)]
)
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_arcs_give_the_exact_minimum(name: str, b: float, n: int) -> None:
    """Never above 40000 samples and the kinks themselves; what it says is attained, to rounding."""
    rng = np.random.default_rng([n, len(name)])
    v = Arcwise(rng.standard_normal(n), rng.standard_normal((n, 2)), kinks_of(activation(name, b)))
    found = v.lowest()
    t = np.concatenate([np.linspace(0.0, TURN, 40_000), np.mod(v.arcs()[0], TURN)])
    assert found.lower <= float(v.value(t).min()) and found.width <= 1e-12 * n
    assert float(v.value(found.at)[0]) <= found.upper
    ends, table = v.arcs()
    middle = 0.5 * (ends[1:] + ends[:-1])
    on_arcs = table[:, 0] * np.cos(middle) + table[:, 1] * np.sin(middle) + table[:, 2]
    np.testing.assert_allclose(on_arcs, v.value(middle), atol=v.rounding)


def test_arcs_stand_data_that_coincide_or_are_barely_reached() -> None:
    """Equal and opposite data, and thresholds at |x| to a rounding, where arccos has no derivative."""
    x = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.3, 0.4]])
    for b in (0.0, 1.0, 1.0 - 1e-16, 1.0 - 1e-12, 0.5):
        v = Arcwise(np.array([1.0, -2.0, 0.5, -1.0, 3.0]), x, kinks_of(activation("relu", b)))
        found, t = v.lowest(), np.linspace(0.0, TURN, 40_001)
        assert found.lower <= float(v.value(t).min()) <= found.upper + 1e-3


def test_arcs_agree_with_the_sums_of_the_flows() -> None:
    """wflow.arcs takes other steps to the same numbers for lines through 0."""
    rng = np.random.default_rng(5)
    r, x, t = rng.standard_normal(30), rng.standard_normal((30, 2)), TURN * rng.random(100)
    v = Arcwise(r, x, kinks_of(activation("leaky_relu", 0.2)))
    linear, bent, _ = v.kinked
    theirs = Lines.of(x, linear, bent).at(np.column_stack([np.cos(t), np.sin(t)])).backward(r, (0,))[0]
    np.testing.assert_allclose(v.value(t), theirs, atol=1e-13)
    ends, table = v.arcs()
    arc = np.searchsorted(ends, ends[0] + np.mod(t - ends[0], TURN)) - 1
    np.testing.assert_allclose(table[arc, 0] * np.cos(t) + table[arc, 1] * np.sin(t), theirs, atol=1e-13)


# Smooth activations


@pytest.mark.parametrize("name", [*PARAMETERLESS, *ONE_PARAMETER])
def test_bounds_of_derivatives_are_bounds_and_sharp(name: str) -> None:
    """On |z| <= 3 none is passed, and those of three derivatives are within 2 % (of a sum of sines 15 %)."""
    b = {"dirichlet": 3.0, "relu": None, "leaky_relu": None}.get(name, 1.7)
    sigma = activation(name, None if name in PARAMETERLESS else b)
    found = derivative_bounds(sigma, 3.0)
    if kinks_of(sigma) is not None:
        assert found is None
        return
    assert found is not None and sigma.curvature is not None
    z, share = np.linspace(-3.0, 3.0, 600_001), 0.85 if name == "dirichlet" else 0.98
    third = np.diff(sigma.curvature(z)) / (z[1] - z[0])
    seen = [float(np.max(np.abs(a))) for a in (sigma.value(z), sigma.slope(z), sigma.curvature(z), third)]
    assert seen[0] <= found[0] * (1.0 + 1e-12)
    for measured, bound in zip(seen[1:3], found[1:3], strict=True):
        assert measured <= bound * (1.0 + 1e-9) and (measured >= share * bound or bound == 0.0)
    if math.isfinite(found[3]):
        assert seen[3] <= found[3] * (1.0 + 1e-4) + 1e-6 and seen[3] >= share * found[3] - 1e-6


@pytest.mark.parametrize("name", ["tanh", "erf", "sigmoid", "softplus", "gelu", "elu", "relu_squared", "quadratic"])
def test_smooth_neurons_on_the_circle_are_enclosed(name: str) -> None:
    """Below dense samples by no more than they miss; width 1e-10 of the range."""
    rng = np.random.default_rng(3)
    r, x, t = rng.standard_normal(20), rng.standard_normal((20, 2)), np.linspace(0.0, TURN, 50_001)[:, None]
    v = Bounded.of(CircleNeuron(activation(name)), x, r, circle())
    assert v is not None
    found, sampled = v.lowest(), float((r @ v.neuron.value(x, t)).min())
    assert found.lower <= sampled <= found.upper + 1e-7 and found.width <= 1e-10 and found.evaluations < 1000


@pytest.mark.parametrize(
    ("neuron", "domain", "width"),
    [
        (RidgeNeuron(activation("tanh"), 1), interval(-3.0, 2.0), 1e-10),
        (BumpNeuron(0.2, interval(0.0, 1.0), 3.0), interval(0.0, 1.0), 1e-10),
        (RidgeNeuron(activation("tanh"), 1, bias=True), box([-3.0, -2.0], [3.0, 2.0]), 1e-5),
        (RidgeNeuron(activation("gelu"), 1, outer=True), box([-1.0, -2.0], [1.0, 2.0]), 1e-3),
        (BumpNeuron(0.3, box([0.0, 0.0], [1.0, 1.0])), box([0.0, 0.0], [1.0, 1.0]), 1e-5),
    ],
)
def test_smooth_neurons_on_boxes_are_enclosed(neuron, domain, width: float) -> None:  # type: ignore[no-untyped-def]
    """The same with walls: minima on walls of two axes are met at the limit of evaluations, and still bounded."""
    rng = np.random.default_rng(8)
    r, x = rng.standard_normal(20), rng.standard_normal((20, neuron.inputs))
    v = Bounded.of(neuron, x, r, domain)
    assert v is not None
    axes = [
        np.linspace(a, b, 20_001 if domain.dim == 1 else 201) for a, b in zip(domain.lower, domain.upper, strict=True)
    ]
    w = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    found, sampled = v.lowest(), float((r @ neuron.value(x, w)).min())
    assert found.lower <= sampled and found.width <= width
    along = rng.standard_normal((50, domain.dim))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    slopes = np.einsum("nmd,md->nm", neuron.gradient(x, w[:50]), along)
    bends = np.einsum("nmde,md,me->nm", neuron.curvature(x, w[:50]), along, along)
    assert np.all(np.abs(slopes) <= v.each[:, 1:2] * (1.0 + 1e-12))
    assert np.all(np.abs(bends) <= v.each[:, 2:3] * (1.0 + 1e-12))


def test_third_derivatives_of_neurons_are_bounded() -> None:
    """rho^2 cos^2 t has 4 rho^2 sin 2t; tanh, and a bump along a line, by differences of the curvature."""
    x, t = np.array([[0.5, 0.0], [3.0, 0.0]]), np.linspace(0.0, TURN, 100_001)[:, None]
    for name in ("quadratic", "tanh"):
        v = Bounded.of(CircleNeuron(activation(name)), x, np.ones(2), circle())
        assert v is not None
        third = np.diff(v.neuron.curvature(x, t)[:, :, 0, 0], axis=1) / (t[1, 0] - t[0, 0])
        assert np.all(np.max(np.abs(third), axis=1) <= v.each[:, 3])
        assert name == "tanh" or np.max(np.abs(third[0])) == pytest.approx(4.0 * 0.25, rel=1e-6)
    w, neuron = np.linspace(-2.0, 2.0, 100_001)[:, None], BumpNeuron(0.5, interval(-2.0, 2.0))
    bump = Bounded.of(neuron, np.zeros((1, 1)), np.ones(1), neuron.domain)
    assert bump is not None
    third = np.diff(neuron.curvature(np.zeros((1, 1)), w)[0, :, 0, 0]) / (w[1, 0] - w[0, 0])
    assert 0.999 * bump.each[0, 3] <= np.max(np.abs(third)) <= bump.each[0, 3]


def test_neurons_without_known_bounds_have_no_field() -> None:
    """An infinite axis, a kinked activation, an activation of somebody else's."""
    x, r = np.ones((3, 1)), np.ones(3)
    assert Bounded.of(RidgeNeuron(activation("tanh"), 1), x, r, RidgeNeuron(activation("tanh"), 1).domain) is None
    v = Bounded.of(RidgeNeuron(activation("relu"), 1), x, r, interval(0.0, 1.0))
    assert v is None or not math.isfinite(v.sizes[2])


def test_modes_of_filters_and_of_cos_minus_sin() -> None:
    """sigma(z) = Re(c_0 + 2 sum c_n e^{i n z}) for filters; sigma(rho cos t) = sum mu_k cos k t to its tail."""
    z = np.linspace(0.0, TURN, 101)
    for name, b in (("dirichlet", 3.0), ("cos_minus_sin", 2.0)):
        half = filter_modes(activation(name, b))
        assert half is not None
        waves = half[0].real + 2.0 * sum((half[n] * np.exp(1j * n * z)).real for n in range(1, len(half)))
        np.testing.assert_allclose(waves, activation(name, b).value(z), atol=1e-13)
    assert filter_modes(activation("cos_minus_sin", 1.5)) is None and filter_modes(activation("tanh")) is None
    rho = np.array([0.0, 0.3, 4.0])
    mu, tails = ridge_modes(activation("cos_minus_sin", 2.0), rho)  # type: ignore[misc]
    series = mu @ np.cos(np.arange(mu.shape[1])[:, None] * z)
    np.testing.assert_allclose(series, activation("cos_minus_sin", 2.0).value(rho[:, None] * np.cos(z)), atol=1e-13)
    assert np.all(tails <= 1e-17)
