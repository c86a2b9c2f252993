"""Exponents of random (a, b, c) by steps of descent, bounds of a fall with any outputs, and what is refused."""

import math
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from solvers.deep import falls, rested, stochastically_rested, trained
from wflow.activation import linear, quadratic, tanh
from wflow.deep.parametrisation import (
    IP,
    MEAN_FIELD,
    MUP,
    NTK,
    SP,
    SP_LAZY,
    Fall,
    Parametrisation,
    Regime,
    ScaledNetwork,
    between,
    gradient_size,
    gram,
    independence,
    journey,
    movement,
    rank,
    slopes,
    spectrum,
    verdict,
)
from wflow.errors import NotConverged
from wflow.perceptron import CrossEntropy, EmpiricalRisk, Perceptron

INPUTS = np.random.default_rng(3).standard_normal((3, 4))
TARGETS = np.array([[1.0], [-1.0], [0.5]])
WIDTHS, SEEDS = (64, 128, 256, 512), 4


HALF = Fraction(1, 2)


@pytest.mark.parametrize(
    ("of", "spread", "pace"),
    [
        (SP, (0, HALF, HALF), (0, 0, 0)),
        (SP_LAZY, (0, HALF, HALF), (1, 1, 1)),
        (NTK, (0, HALF, HALF), (0, 1, 1)),
        (MUP, (0, HALF, 1), (-1, 0, 1)),
        (MEAN_FIELD, (0, HALF, 1), (-1, 0, 1)),
        (IP, (0, 1, 1), (-1, 0, 1)),
        (between(HALF), (0, HALF, Fraction(3, 4)), (-HALF, HALF, 1)),
    ],
    ids=["SP", "SP_lazy", "NTK", "muP", "mean_field", "IP", "between"],
)
def test_entries_of_the_table(of, spread, pace):
    """What is seen of each from outside, as its authors state it: W^l starts at n^{-spread}, moves at n^{-pace}.

    SP: N(0, 1/fan-in), one rate for all. NTK: Jacot et al. muP: output 1/n, rates n, 1, 1/n. IP: sums are means.
    """
    assert (of.spread, of.pace) == (spread, pace)


def drawn(rng) -> Parametrisation:
    """Hidden layers alive at the start, f of size 1 at most; the rest any quarters, a rate for each layer."""
    a, c = ([Fraction(int(k), 4) for k in rng.integers(-4, 5, 3)] for _ in range(2))
    spread = (Fraction(0), Fraction(1, 2), Fraction(int(rng.integers(2, 6)), 4))
    return Parametrisation.of("drawn", a, [p - one for p, one in zip(spread, a, strict=True)], c)


def own(of: Parametrisation, width: int, seed: int, *, silent: bool) -> list[float]:
    """log2 of what the weights of layers 1, 2 alone do to h^1, h^2 in a step over eta, and those of layer 3 to f.

    silent: W^3 starts at 0, and the step is the second, in which hidden layers see what the first made of W^3. Errors
    f - y are the same at all widths: where f starts at size 1 by chance, they would be by chance too.
    """
    network = ScaledNetwork(of, tanh(), 4, width, 2)
    start = network.start(seed)
    last = network.perceptron.layers(start)[2][0]
    if silent:
        last[:] = 0.0
        last -= 1e-30 * network.rates[2] * slopes(network.risk(INPUTS, TARGETS).at(start))[2]
    outputs, scale = network.perceptron.outputs(start, INPUTS), network.perceptron.scales
    at = network.risk(INPUTS, outputs + TARGETS).at(start)
    each = [scale[k] * network.rates[k] * at.h[k] @ slope.T for k, slope in enumerate(slopes(at))]
    return [math.log2(float(np.sqrt(np.mean(one**2)))) for one in each]


def measured(of: Parametrisation, *, silent: bool) -> np.ndarray:
    """Exponents -slope in log2 n."""
    found = [np.mean([own(of, n, s, silent=silent) for s in range(SEEDS)], axis=0) for n in WIDTHS]
    return -np.polyfit(np.log2(WIDTHS), np.array(found), 1)[0]


@pytest.mark.slow
@pytest.mark.parametrize("draw", range(6))
def test_random_parametrisations_move_as_r_says(draw):
    """r_l = m - 1 + q_l + 1(l = 1): m = p_{L+1} in the first step, m = q_{L+1} where W^{L+1} is what a step made of it.

    So r_l = min of both. f by its own weights: q_{L+1} - 1. Widths 64 to 512, 4 seeds: .08.
    """
    of = drawn(np.random.default_rng(draw))
    q, p = of.pace, of.spread[2]
    by = {m: [m + q[0], m - 1 + q[1]] for m in (p, q[2])}
    first, second = measured(of, silent=False), measured(of, silent=True)
    assert first == pytest.approx([float(v) for v in (*by[p], q[2] - 1)], abs=0.08)
    assert second[:2] == pytest.approx([float(v) for v in by[q[2]]], abs=0.08)
    r = [min(pair) for pair in zip(by[p], by[q[2]], strict=True)]
    assert verdict(of, 2).movement == (r[0], min(r))


@pytest.mark.parametrize("of", [MUP, NTK], ids=["muP", "NTK"])
def test_bounds_of_a_fall_with_three_outputs(of):
    """Of all layers: lambda_min of sum_l rate_l J_l J_l^T, J by finite differences; of the last: that of K alone."""
    network = ScaledNetwork(of, tanh(), 4, 9, 2, outputs=3)
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((2, 4)), rng.standard_normal((2, 3))
    risk, start = network.risk(inputs, targets), network.start(0)
    (fall,) = falls(risk, start, network.rates, eta=0.01, steps=1)
    step = 1e-6 * np.eye(len(start))
    J = np.array([(risk.at(start + e).outputs - risk.at(start - e).outputs).ravel() / 2e-6 for e in step])
    sizes = [m.size for m, _ in network.perceptron.layers(start)]
    tangent = (J.T * np.repeat(network.rates, sizes)) @ J
    assert fall.whole == pytest.approx(2 * 0.01 * np.linalg.eigvalsh(tangent)[0] / 2, rel=1e-6)
    last = J[-sizes[-1] :]
    share = network.rates[-1] * np.linalg.eigvalsh(last.T @ last)[0]
    assert fall.last == pytest.approx(2 * 0.01 * share / 2, rel=1e-6)
    assert fall.last < fall.whole < fall.rate
    ends = [risk.value(start), risk.value(trained(risk, start, network.rates, eta=0.01, steps=1))]
    assert (fall.before, fall.after) == pytest.approx(ends, rel=1e-14)
    assert fall.rate == pytest.approx((ends[0] - ends[1]) / ends[0], rel=1e-12)
    assert math.isnan(Fall(0.0, 0.0, 0.0, 0.0).rate)


def test_a_stable_verdict():
    """Trivial for want of motion is stable, a dead start is not, nor is what blows up."""
    still = Parametrisation.of("still", (0, "1/2", "1/2"), (0, 0, 0), 2)
    dead = Parametrisation.of("dead", (0, 1, "1/2"), (0, 0, 0), 0)
    assert [verdict(of, 2).regime for of in (still, dead)] == [Regime.TRIVIAL] * 2
    assert [verdict(of, 2).stable for of in (still, dead)] == [True, False]
    assert verdict(dead, 1).regime is Regime.KERNEL  # without layers between hidden ones it is NTK


@pytest.mark.parametrize(
    ("a", "regime", "reason"),
    [
        (("-1/4", "1/2", "1/2"), Regime.UNSTABLE, r"h\^1 starts at size n\^1/4"),
        (("1/4", "1/2", "1/2"), Regime.TRIVIAL, r"h\^1 starts at size n\^-1/4"),
        ((0, "1/4", "1/2"), Regime.UNSTABLE, r"h\^l, l > 1, starts at size n\^1/4"),
        ((0, "3/4", "1/2"), Regime.TRIVIAL, r"h\^l, l > 1, starts at size n\^-1/4"),
        ((0, "1/2", "1/4"), Regime.UNSTABLE, r"^f starts at size n\^1/4"),
    ],
)
def test_sizes_at_the_start(a, regime, reason):
    """a_1 + b_1 = 0, a_l + b_l = 1/2, a_{L+1} + b_{L+1} >= 1/2; the rates are those at which NTK is stable."""
    found = verdict(Parametrisation.of("given", a, (0, 0, 0), [1 - 2 * Fraction(one) for one in a]), 2)
    assert found.regime is regime and not found.stable
    assert re.search(reason, found.reason)


@pytest.mark.parametrize(
    ("a", "c", "regime"),
    [
        ((0, "1/2", "1/2"), (0, 0, 0), Regime.KERNEL),  # output weights move f, features do not
        ((0, "1/2", 1), (-1, -1, 0), Regime.FEATURES),  # output weights stand still: f moves by features alone
        ((0, "1/2", 1), ("-1/2", "-1/2", 0), Regime.TRIVIAL),  # nor do they: n^{1 - p - r} = n^{-1/2}
        ((0, "1/2", "1/2"), (0, 0, "-1/4"), Regime.UNSTABLE),  # 1 - q > 0
        ((0, "1/2", "3/4"), ("-3/4", "-3/4", 0), Regime.FEATURES),
    ],
    ids=["output", "features", "neither", "too quick", "r = 0"],
)
def test_what_moves_f(a, c, regime):
    """f moves by n^{1 - q_{L+1}} through output weights, by n^{1 - p_{L+1} - r} through features: conditions on both.

    The last has p = 3/4, r = 0 and 1 - p - r = 1/4 > 0: unstable, as Yang & Hu's a + b + r >= 1 says.
    """
    found = verdict(Parametrisation.of("given", a, (0, 0, 0), c), 2)
    assert found.regime is (Regime.UNSTABLE if a[2] == "3/4" else regime)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Parametrisation("x", (0, 0.5, 0), (0, 0, 0), (0, 0, 0)), TypeError, "Parametrisation a: 0.5 is no"),
        (lambda: Parametrisation.of("x", (0, 0, 0), (0, 0, 0), 0.5), TypeError, "Parametrisation c: 0.5 is no exact"),
        (lambda: Parametrisation.of("x", None, (0, 0, 0), 0), ValueError, "Parametrisation a: None; give three"),
        (lambda: Parametrisation.of("x", (0, 0, 0), (0, 0, "1/0"), 0), ValueError, "Parametrisation b: '1/0' is no"),
        (lambda: between(0.1), TypeError, "between s: 0.1 is no exact number"),
        (lambda: between("half"), ValueError, "between s: 'half' is no number"),
        (lambda: MUP.shifted((0, 0)), ValueError, "shifted by"),
        (lambda: verdict("muP", 2), TypeError, "verdict of: got 'muP'"),
        (lambda: ScaledNetwork("muP", tanh(), 4, 8, 2), TypeError, "ScaledNetwork parametrisation: got 'muP'"),
        (lambda: ScaledNetwork(MUP, "tanh", 4, 8, 2), TypeError, "ScaledNetwork activation: got 'tanh'"),
        (lambda: ScaledNetwork(MUP, tanh(), 4, 0, 2), ValueError, "ScaledNetwork width: 0 is too small"),
        (lambda: ScaledNetwork(MUP, tanh(), 4, 8, 2).start(-1), ValueError, "start seed: -1"),
        (lambda: ScaledNetwork(MUP.shifted((900, 0, 0)), tanh(), 4, 8, 2).start(0), ValueError, "smaller exponents"),
        (lambda: gram(np.ones(3)), ValueError, "gram x: expected shape"),
        (lambda: independence(np.zeros((2, 2))), ValueError, "spectrum kernel: its trace is 0"),
        (lambda: rank(np.triu(np.ones((2, 2)))), ValueError, "rank kernel: .* not symmetric"),
        (lambda: movement(np.ones((2, 3)), np.ones((1, 3))), ValueError, "movement after: expected shape"),
        (lambda: movement(np.ones(2), np.zeros(2)), ValueError, "movement before: it is 0"),
    ],
)
def test_doors(call, error, words):
    with pytest.raises(error, match=words):
        call()


def posed(network: Perceptron, **kind) -> EmpiricalRisk:
    return EmpiricalRisk(network, INPUTS, np.eye(3)[:, : network.widths[-1]], **kind)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"risk": None}, TypeError, "risk: got None; pass an EmpiricalRisk"),
        ({"risk": posed(Perceptron((4, 8, 1), tanh()))}, ValueError, "has biases"),
        ({"rates": (1.0, -1.0)}, ValueError, "give 2 positive numbers, one a layer"),
        ({"rates": ("a", "b")}, ValueError, "give 2 positive numbers"),
        ({"eta": math.nan}, ValueError, "eta: nan is not allowed"),
        ({"theta": np.zeros(3)}, ValueError, "theta: expected shape"),
    ],
    ids=["risk", "biases", "sign", "words", "eta", "theta"],
)
def test_doors_of_descent(change, error, words):
    """Of all four, before anything is computed."""
    network = ScaledNetwork(MUP, tanh(), 4, 8, 1)
    given = {"risk": network.risk(INPUTS, TARGETS), "theta": network.start(0), "rates": network.rates, "eta": 0.1}
    given |= change
    ways = (
        (trained, {"steps": 1}),
        (rested, {"limit": 1}),
        (stochastically_rested, {"limit": 1}),
        (falls, {"steps": 1}),
    )
    for way, least in ways:
        with pytest.raises(error, match=words):
            way(given["risk"], given["theta"], given["rates"], eta=given["eta"], **least)


def test_further_doors_of_descent():
    """Numbers of one of them alone; a loss to which the bound does not belong; a gradient without a rate a layer."""
    network = ScaledNetwork(MUP, tanh(), 4, 8, 1)
    risk, start = network.risk(INPUTS, TARGETS), network.start(0)
    for way in (rested, stochastically_rested):
        with pytest.raises(ValueError, match=r"tolerance: 0\.0 is not allowed"):
            way(risk, start, network.rates, eta=0.1, tolerance=0.0, limit=3)
    with pytest.raises(ValueError, match="seed: -1"):
        stochastically_rested(risk, start, network.rates, eta=0.1, limit=3, seed=-1)
    for wrong in ({"steps": 0}, {"steps": 2, "every": 0}):
        with pytest.raises(ValueError, match="give at least 1"):
            falls(risk, start, network.rates, eta=0.1, **wrong)
    many = replace(network, outputs=3)
    other = posed(many.perceptron, loss=CrossEntropy())
    with pytest.raises(ValueError, match="half square"):
        next(iter(falls(other, many.start(0), many.rates, eta=0.1, steps=1)))
    with pytest.raises(ValueError, match="one a layer"):
        gradient_size(risk.at(start), (1.0,))


@pytest.mark.parametrize("way", [rested, stochastically_rested])
def test_descent_that_blows_up_ends_by_name(way):
    """A polynomial of degree two at any eta too large: F is inf or nan at once, and no warning is left."""
    network = ScaledNetwork(MUP, quadratic(), 4, 16, 3)
    for eta in (1e2, 1e30, 1e200):
        with pytest.raises(NotConverged, match="halve eta"):
            way(network.risk(INPUTS, TARGETS), network.start(0), network.rates, eta=eta, limit=50)


def test_rest_is_looked_at_before_the_first_step_and_to_the_last():
    """A start at rest takes no round; one step of a linear problem of curvature 1 lands on it; none is not enough."""
    network = ScaledNetwork(MUP, linear(), 4, 8, 1)
    risk, nothing = network.risk(INPUTS, TARGETS), np.zeros(network.perceptron.size)
    assert rested(risk, nothing, network.rates, eta=1.0, limit=1).rounds == 0  # a saddle, at which descent stays
    found = rested(risk, network.start(0), network.rates, eta=0.5, limit=5000)
    assert found.gradient <= 1e-8
    again = rested(risk, network.start(0), network.rates, eta=0.5, limit=found.rounds)
    assert np.array_equal(again.theta, found.theta)
    with pytest.raises(NotConverged, match="raise limit") as stopped:
        rested(risk, network.start(0), network.rates, eta=0.5, limit=found.rounds - 1)
    assert stopped.value.residual > 1e-8


def test_one_datum_a_step_of_one_datum_is_descent():
    """Bit for bit, to the same round; of two data each is seen once a round."""
    network = ScaledNetwork(MUP, tanh(), 4, 8, 1)
    one, start = network.risk(INPUTS[:1], TARGETS[:1]), network.start(0)
    found, by_all = (way(one, start, network.rates, eta=0.5, limit=400) for way in (stochastically_rested, rested))
    assert found.gradient <= 1e-8 and found.rounds == by_all.rounds > 5
    assert np.array_equal(found.theta, by_all.theta)
    two, step = network.risk(INPUTS[:2], TARGETS[:2]), {"eta": 0.5, "steps": 1}
    apart = [network.risk(INPUTS[k : k + 1], TARGETS[k : k + 1]) for k in range(2)]
    with pytest.raises(NotConverged) as stopped:
        stochastically_rested(two, start, network.rates, eta=0.5, limit=1)
    ends = [
        trained(b, trained(a, start, network.rates, **step), network.rates, **step) for a, b in (apart, apart[::-1])
    ]
    sizes = [gradient_size(two.at(end), network.rates) for end in ends]
    assert min(abs(stopped.value.residual / size - 1) for size in sizes) < 1e-12


def test_a_journey_of_known_length():
    """Linear, input weights doubled: x -> 2 x, K -> 4 K in every layer, independence 1 before and after.

    With K = diag(1, 1/3) up to a factor in the last layer it is (1/3)/(2/3) = 1/2.
    """
    network = ScaledNetwork(NTK, linear(), 2, 2, 2).perceptron
    risk = EmpiricalRisk(network, np.eye(2), np.zeros((2, 1)))
    before, after, bent = (network.flat([(m, None) for m in matrices]) for matrices in (
        (np.eye(2), np.eye(2), np.ones((1, 2))),
        (2 * np.eye(2), np.eye(2), np.ones((1, 2))),
        (np.eye(2), np.diag([1.0, 3.0**-0.5]), np.ones((1, 2))),
    ))  # fmt: skip
    found = journey(risk.at(before), risk.at(after))
    assert found.rms == pytest.approx([1.0, 1.0]) and found.kernel == pytest.approx([3.0, 3.0])
    assert found.kernel_of_end == pytest.approx([0.75, 0.75])
    assert found.first == pytest.approx([1.0, 1.0]) and found.last == pytest.approx([1.0, 1.0])
    found = journey(risk.at(before), risk.at(bent))
    assert found.first == pytest.approx([1.0, 1.0]) and found.last == pytest.approx([1.0, 0.5])
    assert spectrum(np.diag([1.0, 1.0 / 3.0])) == pytest.approx([0.5, 1.5])
    assert rank(np.diag([1.0, 1e-11, 1e-13])) == 2  # above 1e-12 of the largest
