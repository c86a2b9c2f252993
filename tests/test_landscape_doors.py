"""Landscape between networks, at its edges: silent neurons, extreme factors, what is refused, what looks at itself."""

import numpy as np
import pytest

from wflow import plans
from wflow.activation import relu, tanh
from wflow.errors import NotConverged
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
    matched,
    matching,
    neurons,
    permuted,
    rescaled,
    w2_of_neurons,
)

X = np.random.default_rng(9).standard_normal((40, 3))


def drawn(*widths, seed=0, activation=None, biases=True):
    """Every parameter N(0, 1)/2, biases too."""
    network = Perceptron(widths, activation or relu(), biases)
    return network, 0.5 * np.random.default_rng(seed).standard_normal(network.size)


def sides(network, theta, layer):
    """|row, bias| and |column| of each neuron."""
    (matrix, bias), (after, _) = network.layers(theta)[layer : layer + 2]
    return np.linalg.norm(np.c_[matrix, bias], axis=1), np.linalg.norm(after, axis=0)


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_whoever_only_silent_neurons_hear_is_silent_too(silent):
    """A balanced network of which a neuron is cut off behind: balance is lost in every layer before it, and found."""
    network, theta = drawn(3, 6, 5, 4, 2)
    theta = balanced(network, theta)
    network.layers(theta)[silent + 1][0][:, 1] = 0.0
    even = balanced(network, theta)
    assert np.all(neurons(network, even, silent)[1] == 0.0)
    for layer in range(3):
        enters, leaves = sides(network, even, layer)
        assert enters == pytest.approx(leaves, rel=1e-10)
    assert np.abs(network.outputs(even, X) - network.outputs(theta, X)).max() < 1e-12
    assert even @ even < theta @ theta
    assert balanced(network, even) == pytest.approx(even, abs=1e-11)


def test_silence_goes_back_through_all_layers():
    """The last layer hears nobody: every row and column before the last bias is 0, f is that bias."""
    network, theta = drawn(3, 6, 5, 2)
    network.layers(theta)[2][0][:] = 0.0
    even = balanced(network, theta)
    assert np.count_nonzero(even) == 2 and np.array_equal(even[-2:], theta[-2:])


def test_a_neuron_that_hears_nothing_is_set_to_nothing():
    """Row and bias 0: relu(0) = 0, its column goes to 0; one of row 0 and a bias says a constant and is balanced."""
    network, theta = drawn(3, 6, 2)
    (matrix, bias), (after, _) = network.layers(theta)
    matrix[[2, 4]], bias[2], bias[4] = 0.0, 0.0, 0.7
    even = balanced(network, theta)
    assert np.all(neurons(network, even, 0)[2] == 0.0) and np.any(after[:, 2])
    enters, leaves = sides(network, even, 0)
    assert enters[4] == pytest.approx(leaves[4], rel=1e-12) and enters[4] > 0.1
    assert np.abs(network.outputs(even, X) - network.outputs(theta, X)).max() < 1e-13


@pytest.mark.parametrize("power", [-170.0, 170.0])
def test_balance_of_extreme_factors(power):
    """Squares of 1e-170 are 0 and of 1e170 infinite; the lengths are neither, and the balanced network is the same."""
    network, theta = drawn(3, 6, 2)
    other = rescaled(network, theta, [np.full(6, 10.0**power)])
    assert balanced(network, other) == pytest.approx(balanced(network, theta), rel=1e-12, abs=1e-13)


def test_one_hidden_layer_takes_one_sweep():
    """Its assignment is the best of all: limit 1 is enough, and the cost is m W2^2."""
    network, first = drawn(3, 9, 2, seed=1, activation=tanh(), biases=(True, False))
    second = 0.5 * np.random.default_rng(2).standard_normal(network.size)
    found = matched(network, first, second, limit=1)
    assert len(found.costs) == 2
    assert found.costs[1] == pytest.approx(9.0 * w2_of_neurons(network, first, second) ** 2, rel=1e-12)


def test_a_plan_that_is_no_permutation_is_told(monkeypatch):
    """Mass that is spread, and an order that costs something else than its plan."""
    a, b = np.random.default_rng(4).standard_normal((2, 5, 2))

    def spread(p, q, cost):
        return plans.Plan(np.outer(p, q), float(cost.mean()), np.zeros(5), np.zeros(5))

    def dear(p, q, cost):
        return plans.Plan(np.eye(5) / 5.0, float(cost.max()), np.zeros(5), np.zeros(5))

    for wrong in (spread, dear):
        monkeypatch.setattr(matching, "cheapest_plan", wrong)
        with pytest.raises(NotConverged, match="no permutation"):
            assignment(a, b)


def test_a_sweep_that_raises_the_cost_is_told(monkeypatch):
    """A best order that is none."""
    network, theta = drawn(3, 6, 5, 2)
    monkeypatch.setattr(
        matching, "_better", lambda network, first, theta, layer: np.roll(np.arange(5 + (not layer)), 1)
    )
    with pytest.raises(NotConverged, match="raised the cost"):
        matched(network, theta, theta)


def test_orders_are_numbers_of_neurons():
    """Whole numbers of any type; all else at the door, naming the layer."""
    network, theta = drawn(3, 2, 5, 2)
    same = permuted(network, theta, [[1.0, 0.0], [4, 3, 2, 1, 0]])
    assert np.array_equal(permuted(network, theta, [[True, False], np.arange(5)[::-1]]), same)
    for wrong in (1, [0.5, 1.0], [0, 1, 2], [[0, 1]], [0, np.nan], [-1, 0], ["0", "1"]):
        with pytest.raises((ValueError, TypeError), match=r"permuted orders\[0\]"):
            permuted(network, theta, [wrong, np.arange(5)])


def test_what_is_refused_at_other_doors():
    """Each naming the argument and the remedy."""
    network, theta = drawn(3, 6, 5, 2)
    alphas = np.linspace(0.0, 1.0, 5)
    for wrong, words in (
        (lambda: neurons(network, theta, 2), "neurons layer: 2, the hidden layers are 0 .. 1"),
        (lambda: neurons(network, theta, -1), "neurons layer: -1"),
        (lambda: matched(network, theta[1:], theta), "first"),
        (lambda: w2_of_neurons(*drawn(3, 6, 2), np.zeros(3)), "second"),
        (lambda: assignment(np.full((2, 1), 1e200), -np.full((2, 1), 1e200)), "overflow"),
        (lambda: rescaled(network, theta, [np.full(6, 1e-310), np.ones(5)]), "overflows"),
        (lambda: rescaled(network, theta, [np.ones(6), np.zeros(5)]), "only factors > 0"),
        (lambda: balanced(network, theta, tolerance=0.0), "balanced tolerance"),
        (lambda: balanced(network, theta, limit=0), "balanced limit"),
        (lambda: between(np.ones(3), np.ones(4), 0.5), "between second"),
        (lambda: between(np.ones(3), np.ones(3), np.nan), "between alpha"),
        (lambda: barrier(alphas, np.ones(4)), "barrier losses"),
        (lambda: barrier(alphas, np.full(5, np.nan)), "barrier losses"),
        (lambda: barrier(alphas[1:], np.ones(4)), "the chord is from 0 to 1"),
        (lambda: barrier(alphas[:-1], np.ones(4)), "the chord is from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()


@pytest.mark.parametrize(
    ("widths", "sigma"), [((3, 6, 5, 1), tanh()), ((3, 6, 2), tanh()), ((3, 6, 1), tanh(2.0)), ((3, 6, 1), relu())]
)
def test_the_bound_is_of_one_hidden_layer_of_tanh_and_one_output(widths, sigma):
    """Any other is refused."""
    network, theta = drawn(*widths, activation=sigma)
    with pytest.raises(ValueError, match="one hidden layer of tanh"):
        curvature_bound(EmpiricalRisk(network, X, np.zeros((40, widths[-1]))), theta, theta)


def test_the_bound_of_a_barrier_is_of_the_half_square():
    """F + <slope, e> + |e|^2/2 is its expansion and no other loss's."""
    network, theta = drawn(3, 6, 1, activation=tanh())
    with pytest.raises(ValueError, match="barrier_bound loss: CrossEntropy"):
        barrier_bound(EmpiricalRisk(network, X, np.ones((40, 1)), CrossEntropy()), theta, theta)


@pytest.mark.parametrize("scales", [None, (2.0, -0.1)], ids=["plain", "scaled"])
def test_the_bound_is_of_order_w2_squared(scales):
    """bound_i <= (|s|/8) (|x'| + max |a| K |x'|^2) sum |dw_j|^2, x' = (s_1 x, 1): m W2^2 once neurons are matched."""
    network = Perceptron((3, 12, 1), tanh(), (True, False), scales)
    for seed in range(5):
        first, second = np.random.default_rng(seed).standard_normal((2, network.size))
        near = matched(network, first, second).theta
        bound = curvature_bound(EmpiricalRisk(network, X, np.zeros((40, 1))), first, near)
        reach = np.sqrt(1.0 + (network.scale(0) * X) ** 2 @ np.ones(3))
        most = max(np.abs(network.layers(theta)[1][0]).max() for theta in (first, near))
        square = 12.0 * w2_of_neurons(network, first, second) ** 2
        assert np.all(bound <= abs(network.scale(1)) / 8.0 * (reach + most * 4.0 / 27.0**0.5 * reach**2) * square)


def test_the_bound_takes_the_larger_of_both_output_weights():
    """One neuron, input 1: a from 1 to -3, b from 0 to 2: (2 |da db| + 3 K db^2)/8 by hand, either way round.

    With the smaller, 1, no way that breaks the bound is known, nor a proof that there is none.
    """
    network = Perceptron((1, 1, 1), tanh(), False)
    risk, ends = EmpiricalRisk(network, np.ones((1, 1)), np.zeros((1, 1))), np.array([[0.0, 1.0], [2.0, -3.0]])
    expected = (2.0 * 4.0 * 2.0 + 3.0 * 4.0 / 27.0**0.5 * 4.0) / 8.0
    for first, second in (ends, ends[::-1]):
        assert curvature_bound(risk, first, second)[0] == pytest.approx(expected, rel=1e-14)


def test_one_output_has_no_class():
    """errors are nan along the way, `accuracy` refuses: the largest of one is always right."""
    network, theta = drawn(3, 6, 1)
    risk = EmpiricalRisk(network, X, np.ones((40, 1)))
    assert np.all(np.isnan(along(risk, theta, -theta).errors))
    with pytest.raises(ValueError, match="accuracy: of one output"):
        risk.accuracy(theta)


def test_errors_along_a_way_are_those_of_its_networks():
    """At each alpha 1 - accuracy of the network there."""
    network, first = drawn(3, 6, 4)
    second = drawn(3, 6, 4, seed=1)[1]
    risk = EmpiricalRisk(network, X, np.eye(4)[np.arange(40) % 4], CrossEntropy())
    way = along(risk, first, second, points=5)
    expected = [1.0 - risk.accuracy((1.0 - a) * first + a * second) for a in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert way.errors == pytest.approx(expected, abs=1e-15) and len(np.unique(way.errors)) > 1
