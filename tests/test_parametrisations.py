"""Parametrisations: the table and its symmetry, verdicts, what networks do of them, descent to rest and its control."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from solvers.deep import falls, rested, stochastically_rested, trained
from wflow.activation import linear, quadratic, tanh
from wflow.app.studies import STUDIES, Entry
from wflow.app.studies import parametrisations as moving
from wflow.app.studies import stationary as resting
from wflow.deep.parametrisation import (
    IP,
    MEAN_FIELD,
    MUP,
    NTK,
    SP,
    SP_LAZY,
    TABLE,
    Parametrisation,
    Regime,
    ScaledNetwork,
    between,
    gradient_size,
    gram,
    independence,
    journey,
    movement,
    odd_cubic,
    rank,
    silu,
    verdict,
)
from wflow.errors import NotConverged
from wflow.perceptron import EmpiricalRisk

HALF = Fraction(1, 2)
INPUTS = np.random.default_rng(3).standard_normal((6, 4))
TARGETS = np.sign(np.random.default_rng(4).standard_normal((6, 1)))


def net(of: Parametrisation, width: int = 32, hidden: int = 2, sigma=None) -> tuple[ScaledNetwork, EmpiricalRisk]:
    network = ScaledNetwork(of, sigma or tanh(), 4, width, hidden)
    return network, network.risk(INPUTS, TARGETS)


@pytest.mark.parametrize(
    ("of", "r", "regime"),
    [
        (SP, -1, Regime.UNSTABLE),  # min(1/2, 0) - 1 + min(0 + 1, 0)
        (SP_LAZY, HALF, Regime.KERNEL),
        (NTK, HALF, Regime.KERNEL),
        (MUP, 0, Regime.FEATURES),
        (MEAN_FIELD, 0, Regime.FEATURES),
        (IP, 0, Regime.TRIVIAL),
    ],
    ids=lambda one: str(getattr(one, "name", one)),
)
def test_the_table(of, r, regime):
    """r of three hidden layers by Yang and Hu's formula, and what they say of each."""
    found = verdict(of, 3)
    assert found.r == r and found.regime is regime
    assert found.stable == (regime in (Regime.KERNEL, Regime.FEATURES))
    assert found.r == min(of.spread[2], of.pace[2]) - 1 + min(of.pace[0] + 1, of.pace[1])


def test_one_hidden_layer_of_all_three_is_mean_field():
    """Without layers between hidden ones all three are f = (1/n) sum a phi(w x) at rates n."""
    assert MUP.plain.spread[::2] == MEAN_FIELD.spread[::2] == IP.spread[::2]
    assert MUP.pace[::2] == MEAN_FIELD.pace[::2] == IP.pace[::2]
    assert {verdict(of, 1).regime for of in (MUP, MEAN_FIELD, IP)} == {Regime.FEATURES}


def test_movement_by_layer():
    """SP at c = 1: its first layer moves like n^{-3/2}, the others like n^{-1/2}; between: (1 - s)/2, exactly."""
    assert verdict(SP_LAZY, 3).movement == (3 * HALF, HALF, HALF)
    for s in (0, "1/3", "1/2", 1):
        assert set(verdict(between(s), 4).movement) == {(1 - Fraction(s)) / 2}


@pytest.mark.parametrize(
    ("a", "b", "c", "regime", "reason"),
    [
        ((0, 0, 0), (0, 0, HALF), 1, Regime.UNSTABLE, "h\\^l"),  # hidden weights of size 1
        ((0, 0, 0), (0, HALF, 0), 1, Regime.UNSTABLE, "f starts"),  # f starts at n^{1/2}
        ((0, HALF, HALF), (0, 0, 0), (0, 0, -1), Regime.UNSTABLE, "f moves by n"),  # output weights too quick
        ((0, HALF, HALF), (0, 0, 0), 2, Regime.TRIVIAL, "f does not move"),  # all rates n^{-2}
        ((0, 1, HALF), (0, 0, 0), 0, Regime.TRIVIAL, "starts at rest"),
        ((0, HALF, HALF), (0, 0, 0), (-2, 0, 0), Regime.UNSTABLE, "r = "),  # W^1 too quick
    ],
)
def test_what_makes_a_parametrisation_fail(a, b, c, regime, reason):
    found = verdict(Parametrisation.of("given", a, b, c), 2)
    assert found.regime is regime
    assert re.search(reason, found.reason)


def test_doors():
    with pytest.raises(TypeError, match="exact number"):
        Parametrisation.of("x", (0, 0.5, 0), (0, 0, 0), 0)
    with pytest.raises(ValueError, match="three numbers"):
        Parametrisation.of("x", (0, 0), (0, 0, 0), 0)
    with pytest.raises(ValueError, match="no number"):
        Parametrisation.of("x", (0, "a", 0), (0, 0, 0), 0)
    with pytest.raises(ValueError, match="not in"):
        between(2)
    with pytest.raises(ValueError, match="hidden"):
        verdict(MUP, 0)
    network, risk = net(MUP)
    with pytest.raises(ValueError, match="one a layer"):
        trained(risk, network.start(0), (1.0,), eta=0.1, steps=1)
    with pytest.raises(ValueError, match="eta"):
        rested(risk, network.start(0), network.rates, eta=-1.0, limit=5)


@pytest.mark.parametrize("of", TABLE, ids=lambda of: of.name.replace(" ", "_"))
def test_the_shift_is_a_symmetry(of):
    """(a + s, b - s, c - 2 s): same spread, pace and verdict, same outputs and |grad| along descent, to rounding."""
    other = of.shifted(("1/3", "-1/2", 1))
    assert (other.spread, other.pace) == (of.spread, of.pace) and verdict(other, 2) == verdict(of, 2)
    assert of.plain.c == (0, 0, 0) and of.plain.spread == of.spread
    ends = []
    for form in (of, other, of.plain):
        network, risk = net(form)
        at = risk.at(trained(risk, network.start(0), network.rates, eta=0.05, steps=10))
        ends.append(np.append(at.outputs, gradient_size(at, network.rates)))
    np.testing.assert_allclose(ends[1:], [ends[0]] * 2, rtol=0.0, atol=1e-12)


def test_a_step_is_that_of_the_gradient():
    """theta - eta rate_l dF/dw^l, by the gradient of the house."""
    network, risk = net(IP)
    start = network.start(1)
    layers = network.perceptron.layers(start)
    rate = np.concatenate([np.full(m.size, r) for (m, _), r in zip(layers, network.rates, strict=True)])
    gradient = risk.gradient(start)
    after = trained(risk, start, network.rates, eta=0.01, steps=1)
    np.testing.assert_allclose(after, start - 0.01 * rate * gradient, rtol=0.0, atol=1e-14)
    assert gradient_size(risk.at(start), network.rates) == pytest.approx(math.sqrt(rate @ gradient**2), rel=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("s", [0, "1/2", 1], ids=str)
def test_networks_move_as_the_table_says(s):
    """Slopes of mean log movement, n = 64 to 256, 12 seeds, three standard errors and .03 of finite width."""
    of, sizes = between(s), (64, 128, 256)
    found = []
    for n in sizes:
        network, risk = net(of, n)
        for seed in range(12):
            start = network.start(seed)
            end = trained(risk, start, network.rates, eta=0.3, steps=10)
            found.append((math.log(n), math.log(journey(risk.at(start), risk.at(end)).rms[-1])))
    x, y = np.array(found).T
    slope, level = np.polyfit(x, y, 1)
    error = np.std(y - slope * x - level) / (np.std(x) * math.sqrt(len(x)))
    assert slope == pytest.approx(-(1 - float(Fraction(s))) / 2, abs=3.0 * error + 0.03)


def test_features_and_their_numbers():
    """Of known arrays: identical rows are dependent, orthogonal ones have 1; movement of x -> 2 x is 1, of K 3."""
    x = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert independence(gram(x)) == pytest.approx(1.0) and rank(gram(x)) == 2
    assert independence(gram(x[[0, 0]])) == pytest.approx(0.0, abs=1e-15) and rank(gram(x[[0, 0]])) == 1
    assert movement(2 * x, x) == 1.0 and movement(gram(2 * x), gram(x)) == pytest.approx(3.0)


@pytest.mark.parametrize("sigma", [silu(), odd_cubic()], ids=str)
def test_derivatives_of_activations(sigma):
    """Central differences, h = 1e-5: h^2 and rounding/h."""
    z, h = np.linspace(-3.0, 3.0, 41), 1e-5
    assert sigma.slope(z) == pytest.approx((sigma.value(z + h) - sigma.value(z - h)) / (2 * h), abs=1e-9)
    assert sigma.curvature is not None
    assert sigma.curvature(z) == pytest.approx((sigma.slope(z + h) - sigma.slope(z - h)) / (2 * h), abs=1e-9)


def test_the_bound_is_that_of_the_output_weights():
    """With two steps watched: 2 eta lambda_min(K)/P by numpy, and F before by the risk; tangent >= its last part."""
    network, risk = net(MUP)
    start = network.start(0)
    found = list(falls(risk, start, network.rates, eta=0.02, steps=3, every=2))
    assert len(found) == 2 and found[0].before == risk.value(start)
    x = risk.at(start).h[-1]
    assert found[0].last == pytest.approx(2 * 0.02 * np.linalg.eigvalsh(x @ x.T / 32)[0] / 6, rel=1e-9)
    tangent = risk.at(start).tangents()
    assert found[0].whole == pytest.approx(2 * 0.02 * np.linalg.eigvalsh(tangent)[0] / 6, rel=1e-9)
    assert all(fall.rate >= fall.whole * (1 - 0.02) >= fall.last for fall in found)


@pytest.mark.slow
def test_rest_is_zero_loss_where_features_are_independent():
    """tanh, six data: both ways rest; F <= P |grad|^2/(2 lambda_min(K)), derived."""
    network, risk = net(MUP, 64, 1)
    start = network.start(0)
    for found in (
        rested(risk, start, network.rates, eta=1.0, limit=20000),
        stochastically_rested(risk, start, network.rates, eta=0.5, limit=3000),
    ):
        least = np.linalg.eigvalsh(gram(risk.at(found.theta).h[-1]))[0]
        assert found.gradient <= 1e-8 and least > 1e-4
        assert found.value <= 6 * found.gradient**2 / (2 * least) and found.value < 1e-11


def test_the_control_rests_at_a_positive_loss():
    """Identity, six data in four dimensions: singular Gram, F at rest that of least squares; by one datum no rest."""
    network, risk = net(MUP, 64, 1, linear())
    start = network.start(0)
    found = rested(risk, start, network.rates, eta=0.5, limit=20000)
    left = TARGETS - INPUTS @ np.linalg.lstsq(INPUTS, TARGETS, rcond=None)[0]
    assert found.value == pytest.approx(0.5 * np.mean(left**2), rel=1e-9) and found.value > 0.01
    assert rank(gram(risk.at(found.theta).h[-1])) == 4
    with pytest.raises(NotConverged, match="one-sample") as stopped:
        stochastically_rested(risk, start, network.rates, eta=0.05, limit=100)
    assert stopped.value.residual > 1e-3


def test_descent_that_does_not_end_says_so():
    network, risk = net(MUP, 32, 1, quadratic())
    with pytest.raises(NotConverged, match="raise limit"):
        rested(risk, network.start(0), network.rates, eta=0.01, limit=3)
    with pytest.raises(NotConverged, match="halve eta"), np.errstate(all="ignore"):
        rested(risk, network.start(0), network.rates, eta=50.0, limit=200)


def test_forms_and_their_least_squares():
    """Four inputs: 4, 10 and 20 forms of degree 1, 2, 3; data that are a quadratic form leave no loss."""
    x = np.random.default_rng(0).standard_normal((40, 4))
    assert [np.linalg.matrix_rank(resting.forms(x, (k,))) for k in (1, 2, 3)] == [4, 10, 20]
    assert resting.least_loss(x, x[:, :1] * x[:, 1:2], (2,))[0] < 1e-25
    assert resting.least_loss(x, x[:, :1] * x[:, 1:2], (1,))[0] > 0.01
    two = np.array([[1.0], [1.0]])  # one datum twice, with targets 1 and -1: 0 is best, F = 1/2
    assert resting.least_loss(two, np.array([[1.0], [-1.0]]), (1,)) == (pytest.approx(0.5), 1)


def failing(study: str, entries: list[Entry]) -> list[str]:
    return [c.claim for c in STUDIES[study].judged(entries) if not c.holds]


def moved(
    slope: float, last: float = 0.02, name: str = "muP", data: str = "digits", lift: float | None = None
) -> list[Entry]:
    """Movement n^slope in all layers; ten numbers of the spectrum lifted, by 4 in muP."""
    factor = lift or (4.0 if name == "muP" else 1.0)
    spectra = [[0.5] * 2 + [1.0] * 10, [0.5] * 2 + [factor] * 10]
    return [
        Entry(
            {"data": data, "parametrisation": name, "width": n, "seed": s},
            {
                "rms": [n**slope * 1.01**s] * 3,
                "kernel": [n ** (2 * slope) * 1.01**s] * 3,
                "last": [last] * 3,
                "spectra": spectra,
            },
        )
        for n in (128, 256, 512)
        for s in range(2)
    ]


def test_claims_of_movement_can_fail():
    assert failing("parametrisations", moved(0.0)) == []
    assert len(failing("parametrisations", moved(-0.2))) == 6
    assert len(failing("parametrisations", moved(0.0, last=1e-8))) == 1
    assert failing("parametrisations", moved(1.0, last=1e-8, name="IP")) == []
    assert len(failing("parametrisations", moved(1.0, name="IP"))) == 1
    both = moved(0.0) + moved(-0.5, name="NTK") + moved(0.0, data="mnist")  # not all was run on both data
    assert failing("parametrisations", both) == []
    assert len(failing("parametrisations", moved(-0.2, data="mnist"))) == 6
    assert len(failing("parametrisations", moved(0.0, lift=1.5))) == 1
    assert len(failing("parametrisations", moved(-0.5, name="NTK", lift=1.5))) == 1
    ((before, after),) = moving.spectra(moved(0.0)).values()
    assert np.allclose(before, [0.5] * 2 + [1.0] * 10) and np.allclose(after, [0.5] * 2 + [4.0] * 10)
    assert {(c["data"], c["parametrisation"]) for c in moving.cells(False)} > {("mnist", "muP"), ("digits", "IP")}
    assert moving.expected("SP, c = 1", 0, moving.KERNEL) == -2.0 and moving.expected("NTK", 2, moving.KERNEL) == -1.0


def at_rest(name: str = "tanh", way: str = resting.ALL, **record: object) -> Entry:
    base = {"rests": True, "F": 1e-14, "gradient": 1e-8, "rounds": 9, "first": 0.01, "last": 0.01, "least": 1e-3,
            "rank": 12, "data_count": 12}  # fmt: skip
    return Entry({"data": resting.CROWDED, "activation": name, "way": way, "seed": 0}, {**base, **record})


def test_claims_of_rest_can_fail():
    assert failing("stationary", [at_rest()]) == []
    assert len(failing("stationary", [at_rest(F=1e-12)])) == 1  # above the bound
    assert len(failing("stationary", [at_rest(rests=False)])) == 1
    assert len(failing("stationary", [at_rest(last=1e-9)])) == 1
    loss, seen = resting.least_loss(*resting.posed_data(resting.CROWDED), (2,))
    assert seen == 10 and loss > 0.05
    good = at_rest("quadratic", F=loss, rank=10)
    restless = at_rest("quadratic", resting.ONE, rests=False, gradient=0.1)
    assert failing("stationary", [good, restless]) == []
    assert len(failing("stationary", [at_rest("quadratic", F=0.9 * loss, rank=10), restless])) == 1
    assert len(failing("stationary", [at_rest("quadratic", F=loss, rank=12), restless])) == 1
    assert len(failing("stationary", [good, at_rest("quadratic", resting.ONE)])) == 2
