"""Landscape between networks: matchings are optimal and keep the function, factors of relu, ways and their bounds."""

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from wflow.activation import leaky_relu, relu, tanh
from wflow.app.studies import STUDIES, Entry
from wflow.app.studies import barriers as widths
from wflow.app.studies import landscape as between_solutions
from wflow.errors import NotConverged, Refused
from wflow.images import DIGITS, images
from wflow.perceptron import (
    CrossEntropy,
    EmpiricalRisk,
    Perceptron,
    along,
    assignment,
    balanced,
    barrier,
    barrier_bound,
    between,
    curvature_bound,
    hessian_times,
    matched,
    neurons,
    permuted,
    rescaled,
    sharpness,
    w2_of_neurons,
)
from wflow.picture import barriers, ways

SHAPES = {"one": (3, 9, 2), "two": (3, 9, 7, 2), "three": (3, 8, 7, 6, 2)}
ROUNDING = 1e-13


def drawn(shape, seed=0, activation=None, biases=True):
    """A network with every parameter N(0, 1)/2, biases too."""
    network = Perceptron(SHAPES[shape], activation or relu(), biases)
    return network, 0.5 * np.random.default_rng(seed).standard_normal(network.size)


def shuffled(network, seed):
    rng = np.random.default_rng([seed, 1])
    return [rng.permutation(width) for width in network.widths[1:-1]]


def factors(network, seed, spread=2.0):
    rng = np.random.default_rng([seed, 2])
    return [np.exp(rng.uniform(-spread, spread, width)) for width in network.widths[1:-1]]


def inputs(n=40, p=3, seed=9):
    return np.random.default_rng(seed).standard_normal((n, p))


@pytest.mark.parametrize("seed", [0, 1])
def test_an_assignment_is_the_best_of_all_permutations(seed):
    """All 720 orders of six points; the dual's bound meets the cost; another solver at 60 points."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 6, 3))
    found = assignment(a, b)
    costs = [np.mean(np.sum((a - b[list(order)]) ** 2, axis=1)) for order in permutations(range(6))]
    assert found.cost == pytest.approx(min(costs), rel=1e-13)
    assert found.bound == pytest.approx(found.cost, rel=1e-8)
    a, b = rng.standard_normal((2, 60, 4))
    squares = np.sum((a[:, None] - b) ** 2, axis=2)
    assert assignment(a, b).cost == pytest.approx(squares[linear_sum_assignment(squares)].mean(), rel=1e-12)


def test_an_assignment_on_a_line_sorts():
    """W2 of m atoms on a line goes by order; equal points and equal clouds are no trouble."""
    a, b = np.random.default_rng(3).standard_normal((2, 50, 1))
    found = assignment(a, b)
    assert np.array_equal(np.argsort(np.argsort(a[:, 0])), np.argsort(np.argsort(b[found.order, 0])))
    assert assignment(np.ones((4, 2)), np.ones((4, 2))).cost == 0.0
    twins = np.repeat(a[:5], 3, axis=0)
    again = assignment(twins, twins[::-1])
    assert again.cost == 0.0 and np.array_equal(np.sort(again.order), np.arange(15))


@pytest.mark.parametrize("shape", SHAPES)
def test_permutations_keep_the_function(shape):
    """f is a sum over neurons, in another order; the neuron j of a layer is the former orders[j]."""
    network, theta = drawn(shape)
    orders = shuffled(network, 4)
    other = permuted(network, theta, orders)
    x = inputs()
    assert np.abs(network.outputs(other, x) - network.outputs(theta, x)).max() < ROUNDING
    assert np.array_equal(neurons(network, other, 0)[:, :4], neurons(network, theta, 0)[orders[0], :4])
    assert np.abs(other - theta).max() > 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_network_is_matched_with_itself(shape):
    """Neurons shuffled in every layer are put back, exactly; near ones too."""
    network, theta = drawn(shape)
    other = permuted(network, theta, shuffled(network, 5))
    assert np.array_equal(matched(network, theta, other).theta, theta)
    near = other + 1e-3 * np.random.default_rng(6).standard_normal(len(other))
    assert np.abs(matched(network, theta, near).theta - theta).max() < 6e-3


def test_two_beginnings_are_tried():
    """Sweeps from the order given stop at |theta - theta'|^2 = 31.5 for this pair of equal networks; from layers
    matched by what enters them they find the permutation."""
    network, rng = Perceptron((4, 20, 20, 2), relu()), np.random.default_rng(3)
    theta = 0.5 * rng.standard_normal(network.size)
    other = permuted(network, theta, [rng.permutation(20), rng.permutation(20)])
    assert matched(network, theta, other).costs[-1] == 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_sweeps_lower_the_cost_to_where_no_layer_can(shape):
    """costs never rise, theta is `second` permuted as `orders` say, and each layer's own assignment has no gain."""
    network, first = drawn(shape, 1)
    second = drawn(shape, 2)[1]
    found = matched(network, first, second)
    assert np.all(np.diff(found.costs) <= 1e-12)
    assert found.costs[-1] < 0.9 * np.sum((first - second) ** 2)
    assert found.costs[-1] == pytest.approx(np.sum((first - found.theta) ** 2), rel=1e-12)
    assert np.array_equal(permuted(network, second, found.orders), found.theta)
    x = inputs()
    assert np.abs(network.outputs(found.theta, x) - network.outputs(second, x)).max() < ROUNDING
    for layer in range(network.depth - 1):
        a, b = (neurons(network, one, layer) for one in (first, found.theta))
        assert np.mean(np.sum((a - b) ** 2, axis=1)) == pytest.approx(assignment(a, b).cost, rel=1e-9)


def test_w2_of_neurons_is_what_matching_leaves():
    """One hidden layer without biases: W2^2 = |first - matched|^2/m; no triangle is broken."""
    network, a = drawn("one", 1, tanh(), False)
    b, c = (drawn("one", seed, tanh(), False)[1] for seed in (2, 3))
    ab, bc, ac = (w2_of_neurons(network, *pair) for pair in ((a, b), (b, c), (a, c)))
    assert ab**2 == pytest.approx(matched(network, a, b).costs[-1] / 9.0, rel=1e-12)
    assert ac <= ab + bc and w2_of_neurons(network, a, permuted(network, a, shuffled(network, 1))) == 0.0


@pytest.mark.parametrize("sigma", [relu(), leaky_relu(0.2)], ids=["relu", "leaky"])
@pytest.mark.parametrize("shape", SHAPES)
def test_factors_keep_the_function_and_move_the_hessian(shape, sigma):
    """theta' = D theta: f the same, H' = D^-1 H D^-1 along a random vector."""
    network, theta = drawn(shape, 3, sigma)
    c = factors(network, 7)
    other, scale = rescaled(network, theta, c), rescaled(network, np.ones(network.size), c)
    x, y = inputs(), np.zeros((40, 2))
    f, g = (network.outputs(one, x) for one in (theta, other))
    assert np.abs(f - g).max() < ROUNDING * np.abs(f).max() * 10.0
    risk = EmpiricalRisk(network, x, y)
    v = np.random.default_rng(8).standard_normal(network.size)
    expected = hessian_times(risk.at(theta), v / scale) / scale
    assert hessian_times(risk.at(other), v) == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_sharpness_has_no_bound_where_the_function_stays():
    """lambda_max >= H_kk/D_k^2 for an output weight, so c^2 times that for all factors c; the risk is the same."""
    network, theta = drawn("one")
    risk = EmpiricalRisk(network, inputs(), np.zeros((40, 2)))
    weights = risk.at(theta).h[1]  # H_kk = mean h_j^2 for the half square
    for c in (1.0, 1e1, 1e2, 1e3):
        other = rescaled(network, theta, [np.full(9, c)])
        assert sharpness(risk.at(other)).value >= c**2 * np.mean(weights**2, axis=0).max()
        assert risk.value(other) == pytest.approx(risk.value(theta), rel=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_balance_is_the_least_of_all_rescalings(shape):
    """Both sides of each neuron alike, f the same, the same end from every rescaling, |theta|^2 below theirs."""
    network, theta = drawn(shape, 4)
    even = balanced(network, theta)
    x = inputs()
    assert np.abs(network.outputs(even, x) - network.outputs(theta, x)).max() < 1e-11
    for layer in range(network.depth - 1):
        (matrix, bias), (after, _) = network.layers(even)[layer : layer + 2]
        enters, leaves = np.sum(matrix**2, axis=1) + bias**2, np.sum(after**2, axis=0)
        assert enters == pytest.approx(leaves, rel=1e-10)
    for seed in range(5):
        other = rescaled(network, theta, factors(network, seed, 0.3))
        assert balanced(network, other) == pytest.approx(even, abs=1e-10)
        assert even @ even < other @ other


def test_a_neuron_that_says_nothing_is_set_to_nothing():
    """a_j = 0: its row and bias go to 0, the infimum of |theta|^2; f stays."""
    network, theta = drawn("one")
    network.layers(theta)[1][0][:, 3] = 0.0
    even = balanced(network, theta)
    assert np.all(neurons(network, even, 0)[3] == 0.0)
    assert np.abs(network.outputs(even, inputs()) - network.outputs(theta, inputs())).max() < ROUNDING


def test_rescaling_breaks_a_matching_and_balance_mends_it():
    """The same function twice, shuffled and rescaled: matched as it is it lies apart, balanced first it does not."""
    network, theta = drawn("one", 6)
    other = rescaled(network, permuted(network, theta, shuffled(network, 2)), factors(network, 3))
    even, again = balanced(network, theta), balanced(network, other)
    assert matched(network, theta, other).costs[-1] > 1.0
    assert matched(network, even, again).costs[-1] < 1e-20
    risk = EmpiricalRisk(network, inputs(), network.outputs(theta, inputs()))
    assert along(risk, theta, matched(network, theta, other).theta).barrier > 1e-2
    assert along(risk, even, matched(network, even, again).theta).barrier < 1e-15


def test_barriers_of_known_losses():
    """alpha(1 - alpha) above any chord: 1/4. A loss that is convex along the way has none: output weights alone."""
    alphas = np.linspace(0.0, 1.0, 25)
    assert barrier(alphas, 3.0 - 2.0 * alphas + alphas * (1.0 - alphas)) == pytest.approx(0.25, rel=1e-13)
    network, first = drawn("one", 1)
    second = first.copy()
    network.layers(second)[1][0][:] += np.random.default_rng(1).standard_normal((2, 9))
    labels = np.eye(2)[np.random.default_rng(2).integers(2, size=40)]
    for loss in (CrossEntropy(), None):
        risk = EmpiricalRisk(network, inputs(), labels, *([loss] if loss else []))
        way = along(risk, first, second)
        assert way.barrier < ROUNDING and way.losses[12] < 0.5 * (way.losses[0] + way.losses[-1])
        assert way.errors[0] == pytest.approx(1.0 - risk.accuracy(first))
        assert way.losses[-1] == risk.value(second)


def mean_field(m, seed, biases=False):
    network = Perceptron((2, m, 1), tanh(), biases, (1.0, 1.0 / m))
    return network, np.random.default_rng([seed, m]).standard_normal(network.size)


@pytest.mark.parametrize("biases", [False, True], ids=["none", "biases"])
@pytest.mark.parametrize("m", [1, 20])
def test_f_between_is_near_the_mean_of_f(m, biases):
    """|f_alpha - chord| <= 4 alpha (1 - alpha) bound at every row and alpha; F's barrier below its bound."""
    x = inputs(30, 2)
    for seed in range(4):
        network, first = mean_field(m, seed, biases)
        second = mean_field(m, seed + 50, biases)[1]
        risk = EmpiricalRisk(network, x, np.sin(x[:, :1]))
        f, g = (network.outputs(one, x) for one in (first, second))
        most = curvature_bound(risk, first, second)
        for alpha in np.linspace(0.05, 0.95, 10):
            off = network.outputs(between(first, second, alpha), x) - (1.0 - alpha) * f - alpha * g
            assert np.all(np.abs(off[:, 0]) <= 4.0 * alpha * (1.0 - alpha) * most)
        assert along(risk, first, second).barrier <= barrier_bound(risk, first, second)


def test_the_bound_cannot_be_halved():
    """One neuron, one input 1: attained for small steps, da = 0 at tanh^2 = 1/3 (|t''| = K) and db = da at b = 0."""
    network = Perceptron((1, 1, 1), tanh(), False)
    risk = EmpiricalRisk(network, np.ones((1, 1)), np.zeros((1, 1)))
    steepest, h = np.arctanh(3.0**-0.5), 1e-3
    for first, second in (([steepest - h, 1.0], [steepest + h, 1.0]), ([-h, -h], [h, h])):
        one, two = np.array(first), np.array(second)
        off = risk.at(0.5 * (one + two)).outputs - 0.5 * (risk.at(one).outputs + risk.at(two).outputs)
        assert abs(off[0, 0]) == pytest.approx(curvature_bound(risk, one, two)[0], rel=2e-3)


@pytest.mark.parametrize("residual", [0.0, 1e-4, 0.3])
def test_the_bound_of_a_barrier_is_attained(residual):
    """h tanh(h x) = (-h) tanh(-h x), between them 0: F rises by r f + f^2/2, f = h tanh h, y = f + r at both ends."""
    network, h = Perceptron((1, 1, 1), tanh(), False), 1e-2
    f = h * np.tanh(h)
    risk = EmpiricalRisk(network, np.ones((1, 1)), np.array([[f + residual]]))
    first, second = np.array([h, h]), np.array([-h, -h])
    high = along(risk, first, second).barrier
    assert high == pytest.approx(residual * f + 0.5 * f * f, rel=1e-9)
    assert high <= barrier_bound(risk, first, second) <= high * (1.0 + 10.0 * h)


def test_what_is_refused():
    """Each at the door, naming the argument."""
    network, theta = drawn("two")
    for wrong, words in (
        (lambda: permuted(network, theta, [np.arange(9)]), "orders: 1 for 2"),
        (lambda: permuted(network, theta, [np.zeros(9, dtype=int), np.arange(7)]), r"orders\[0\]"),
        (lambda: rescaled(network, theta, [np.ones(9), -np.ones(7)]), r"factors\[1\]"),
        (lambda: rescaled(network, theta, [np.ones(9)]), "factors: 1 for 2"),
        (lambda: rescaled(network, theta, [np.ones(9), np.ones(6)]), r"factors\[1\]"),
        (lambda: matched(network, theta, theta[1:]), "second"),
        (lambda: matched(network, theta, theta, limit=0), "limit"),
        (lambda: assignment(np.ones((3, 2)), np.ones((4, 2))), "assignment b"),
        (lambda: w2_of_neurons(network, theta, theta), "2 hidden layers"),
        (lambda: along(EmpiricalRisk(network, inputs(), np.zeros((40, 2))), theta, theta, points=2), "points"),
        (lambda: curvature_bound(EmpiricalRisk(network, inputs(), np.zeros((40, 2))), theta, theta), "relu"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    for sigma in (tanh(), relu(0.5)):
        with pytest.raises(Refused, match="not homogeneous"):
            balanced(*drawn("one", activation=sigma))


def test_iterations_look_at_their_residuals():
    """Sweeps that still gain at the limit, factors that are not yet even."""
    network, first = drawn("three", 1)
    with pytest.raises(NotConverged, match="raise limit"):
        matched(network, first, drawn("three", 2)[1], limit=1)
    with pytest.raises(NotConverged, match="raise limit"):
        balanced(network, first, limit=2)


def failing(study, entries):
    """The claims that do not hold."""
    return [c.claim for c in STUDIES[study].judged(entries) if not c.holds]


def run(
    seed,
    raw=0.4,
    matching=0.03,
    even=0.02,
    moved=0.3,
    same=0.0,
    better=0.0,
    wrong=0.0,
    classes=0.1,
    flat=1.0,
    **control,
):
    """An entry of the study of ways: parabolas of these heights above F = .01; test errors a tenth as high."""
    alphas = np.linspace(0.0, 1.0, between_solutions.POINTS)
    heights = dict(zip(between_solutions.KINDS, (raw, matching, even, moved), strict=True))

    def way(height, error):
        hill = 4.0 * alphas * (1.0 - alphas)
        loss = (0.01 + height * hill).tolist()
        return {"loss": loss, "test": loss, "error": (0.06 + error * hill).tolist()}

    errors = {kind: 0.1 * height for kind, height in heights.items()} | {
        between_solutions.BALANCED: classes * 0.1 * raw
    }
    ended = {"GD": 0.06, between_solutions.SAME: 0.06 - better, between_solutions.OTHER: 0.06 + 1e-3 * seed}
    return Entry(
        {"layers": 1, "seed": seed},
        {
            "ways": {
                between_solutions.SAME: {kind: way(same, wrong) for kind in heights},
                between_solutions.OTHER: {kind: way(height, errors[kind]) for kind, height in heights.items()},
            },
            "errors": ended,
            "sharpness": {"GD": 1.0, between_solutions.SAME: flat, between_solutions.OTHER: 1.0},
            "control": {"function": 1e-15, "sharpness": 5.0, "balance": 1e-14, "barrier": 0.1} | control,
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"same": 0.2}, "same start: largest barrier"),
        ({"wrong": 0.02}, "same start: largest barrier of test error"),
        ({"raw": 0.09, "matching": 0.015, "even": 0.01, "moved": 0.2}, "mean barrier as they are"),
        ({"matching": 0.1}, "barrier, (matched) over (as they are)"),
        ({"even": 0.1, "matching": 0.1}, "barrier, (balanced, matched) over (as they are)"),
        ({"even": 0.04}, "barrier, (balanced, matched) over (matched)"),
        ({"classes": 0.5}, "barrier of test error, (balanced, matched) over (as they are)"),
        ({"moved": 0.025}, "test barrier, (balanced, matched) over (rescaled, matched)"),
        ({"better": 0.03}, "SGD - GD in test error, mean; 95 %: -0.0300 to -0.0300"),
        ({"flat": 0.8}, "same start: mean sharpness over F"),
        ({"flat": 1.2}, "same start: mean sharpness over F"),
        ({"function": 1e-6}, "change of f"),
        ({"sharpness": 1.0}, "factor of sharpness"),
        ({"balance": 1e-3}, "change of parameters"),
    ],
    ids=lambda value: "-".join(map(str, next(iter(value.items())))) if isinstance(value, dict) else "",
)
def test_claims_of_the_landscape_can_fail(wrong, words):
    """Each claim and no other; with no barrier to take away it is the share that fails, by no division."""
    assert failing("landscape", [run(seed) for seed in range(3)]) == []
    found = failing("landscape", [run(seed, **wrong) for seed in range(3)])
    assert len(found) == 1 + (wrong.get("even") == 0.1) and any(words in claim for claim in found)


def test_a_share_of_no_barrier_is_no_division():
    """Networks that lie in one valley from the first have nothing that matching could take away."""
    entries = [run(seed, raw=0.0, classes=1.0) for seed in range(2)]
    low = [0.01, *[0.005] * (between_solutions.POINTS - 2), 0.01]  # below its chord
    for entry in entries:
        entry["ways"][between_solutions.OTHER][between_solutions.RAW]["loss"] = low
    kinds = between_solutions.MATCHED, between_solutions.RAW
    assert between_solutions.share(entries, 1, "loss", *kinds) == np.inf
    assert sum("over (as they are)" in claim for claim in failing("landscape", entries)) >= 2


def pairs(w2=-1.0 / 3.0, bend=-2.0 / 3.0, raw=0.0, matching=-1.0, share=0.1, **other):
    """Entries of the study of barriers: powers of m, W2 of two pairs two per cent above and below."""
    found = []
    for m in widths.NEURONS:
        record = {
            "loss": 1e-3, "start": m ** (-1 / 3), "raw": 0.3 * (m / 16) ** raw,
            "matched": 0.02 * (m / 16) ** matching, "bend": share * (m / 16) ** bend, "bend_bound": (m / 16) ** bend,
            "bound": 0.5 * (m / 16) ** matching,
        }  # fmt: skip
        found += [
            Entry({"data": widths.PLANE, "m": m, "pair": k}, record | {"w2": 2.0 * 1.02 ** (2 * k - 1) * m**w2} | other)
            for k in range(2)
        ]
    return found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"loss": 0.1}, "largest F"),
        ({"share": 2.0}, "mean f| over its bound"),
        ({"w2": 0.1}, "slope of W2 of neurons in m, upper end"),
        ({"w2": -0.5}, "slope of W2 of neurons in m, -1/d"),
        ({"bound": 1e-3}, "barrier, matched over its bound"),
        ({"raw": -0.4, "matching": -0.2}, "at the largest m, matched over as they are"),
        ({"bend": 0.1}, "slope of |f_(1/2)"),
        ({"raw": -0.5}, "barrier as they are, largest m"),
        ({"matching": -0.2}, "matched, largest m over smallest"),
    ],
    ids=lambda value: "-".join(map(str, next(iter(value.items())))) if isinstance(value, dict) else "",
)
def test_claims_of_barriers_can_fail(wrong, words):
    """Each claim is among those that fail; sound powers pass, and their slopes are found."""
    sound = pairs()
    assert failing("barriers", sound) == []
    assert widths.slope(sound, widths.PLANE, "w2").slope == pytest.approx(-1.0 / 3.0)
    assert widths.slope(sound, widths.PLANE, "matched").slope == pytest.approx(-1.0)
    assert any(words in claim for claim in failing("barriers", pairs(**wrong)))


def test_pictures(tmp_path):
    """As many panels as were given; a barrier of 0 is drawn nowhere on logarithmic axes."""
    lines = np.random.default_rng(0).random((3, 25))
    first = ways({"one": {"raw": (lines, lines)}, "two": {"raw": (lines, lines)}}, ends=("GD", "SGD"))
    second = barriers(
        {"plane": {"a": np.array([[16, 0.1], [32, 0.0]]), "b": np.array([[16, 1.0], [32, 0.5]])}}, split=1
    )
    assert [len(figure.axes) for figure in (first, second)] == [4, 2]
    second.savefig(tmp_path / "barriers.png")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("study", ["landscape", "barriers"])
def test_a_cell_of_each(study):
    """The first cell of a quick study, as the command measures it."""
    if study == "landscape":
        try:
            images(DIGITS)
        except Refused as lacking:
            pytest.skip(str(lacking))
    cell = STUDIES[study].cells(True)[0]
    assert all(one in STUDIES[study].cells(False) for one in STUDIES[study].cells(True))
    record = STUDIES[study].measure(**cell)
    if study == "landscape":
        assert record["control"]["function"] < 1e-12 < 2.0 < record["control"]["sharpness"]
        ends = record["ways"][between_solutions.OTHER]
        last = record["errors"][between_solutions.OTHER]
        assert [ends[kind]["error"][-1] for kind in ends] == pytest.approx([last] * 4, abs=1e-12)
    else:
        assert record["matched"] <= record["bound"] and record["bend"] <= record["bend_bound"]
