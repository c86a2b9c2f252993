"""Losses: derivatives, convexity, what they refuse, and the risks built on them."""

import math

import numpy as np
import pytest

from solvers.finite_volume import Muscl, ScharfetterGummel
from solvers.particles import GradientFlow, Sampled
from wflow import (
    Data,
    Entropy,
    Gaussian,
    HalfSquare,
    Huber,
    Logistic,
    Particles,
    RidgeNeuron,
    Risk,
    SignedParticles,
    activation,
    problems,
    solve,
)
from wflow.certificates import generalises
from wflow.convergence import Laboratory, in_time
from wflow.data import gaussian_inputs
from wflow.energy import Energy
from wflow.loss import loss_named

LOSSES = {"half_square": HalfSquare(), "logistic": Logistic(), "huber": Huber(), "narrow": Huber(0.3)}
EVERY = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
F = np.linspace(-4.0, 4.0, 81) + 0.03
LABELS = np.where(np.arange(81) % 3 == 0, 1.0, -1.0)


def difference(f, at, h=1e-3):
    """f' by the central difference of order 4."""
    return (8 * (f(at + h) - f(at - h)) - (f(at + 2 * h) - f(at - 2 * h))) / (12 * h)


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (HalfSquare(), lambda f, y: (f - y) ** 2 / 2),
        (Logistic(), lambda f, y: math.log(1 + math.exp(-y * f))),
        (Huber(0.5), lambda f, y: (f - y) ** 2 / 2 if abs(f - y) <= 0.5 else 0.5 * (abs(f - y) - 0.25)),
    ],
    ids=["half square", "logistic", "huber"],
)
def test_losses_are_their_formulas(loss, formula):
    """l(f, y) elementwise, by the formula of its name."""
    expected = [formula(float(f), float(y)) for f, y in zip(F, LABELS, strict=True)]
    np.testing.assert_allclose(loss.value(F, LABELS), expected, rtol=1e-13, atol=1e-15)


@EVERY
def test_slope_is_the_difference_of_the_value(loss):
    """dl/df, f away from the kinks of l' (Huber: f - y = +-width)."""
    found, expected = loss.slope(F, LABELS), difference(lambda f: loss.value(f, LABELS), F)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-10)


@EVERY
def test_curvature_is_the_difference_of_the_slope(loss):
    """d2l/df2, f away from kinks."""
    found, expected = loss.curvature(F, LABELS), difference(lambda f: loss.slope(f, LABELS), F)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-10)


def test_curvature_at_the_kink_is_the_mean_of_both_sides():
    """Huber: l'' is 1 inside, 0 outside, 1/2 at |f - y| = width."""
    assert Huber(2.0).curvature(np.array([1.9, 2.0, 2.1]), np.zeros(3)).tolist() == [1.0, 0.5, 0.0]


@EVERY
def test_losses_are_convex_in_the_prediction(loss):
    """l((f + g)/2) <= (l(f) + l(g))/2 for 2000 random pairs and both labels."""
    rng = np.random.default_rng(4)
    f, g = rng.normal(size=(2, 2000)) * 5.0
    y = rng.choice([-1.0, 1.0], 2000)
    assert loss.convex
    assert np.all(loss.value((f + g) / 2, y) <= (loss.value(f, y) + loss.value(g, y)) / 2 + 1e-14)


@pytest.mark.parametrize("f", [1e3, 1e6, 1e300])
def test_logistic_does_not_overflow(f):
    """log(1 + e^f) = f and log(1 + e^-f) = 0 to rounding for huge f; slopes -1 and 0, curvature 0."""
    f, y = np.array([f, f]), np.array([-1.0, 1.0])
    loss = Logistic()
    assert loss.value(f, y).tolist() == [f[0], 0.0]
    assert loss.slope(f, y).tolist() == [1.0, 0.0]
    assert loss.curvature(f, y).tolist() == [0.0, 0.0]


def test_logistic_keeps_the_digits_of_small_values():
    """At f = 30, y = 1: e^-30 to 1e-14 relative, where log(1 + e^-30) written naively has 3 digits."""
    assert Logistic().value(np.array([30.0]), np.ones(1))[0] == pytest.approx(math.exp(-30.0), rel=1e-12, abs=0.0)


@EVERY
def test_best_constant_has_zero_mean_slope(loss):
    """sum_i weights_i l'(c, y_i) = 0 at the best constant; three labels in four are +1."""
    y, weights = np.array([1.0, 1.0, -1.0, 1.0]), np.full(4, 0.25)
    best = loss.best_constant(y, weights)
    assert float(weights @ loss.slope(np.full(4, best), y)) == pytest.approx(0.0, abs=1e-12)


def test_best_constants_in_closed_form():
    """Mean 1/2; log-odds log 3; Huber of width 1 on (1, 1, -1, 1): 3 (1 - c) = 1, c = 2/3."""
    y, weights = np.array([1.0, 1.0, -1.0, 1.0]), np.full(4, 0.25)
    found = [loss.best_constant(y, weights) for loss in (HalfSquare(), Logistic(), Huber())]
    assert found == pytest.approx([0.5, math.log(3.0), 2.0 / 3.0], abs=1e-12)
    assert Logistic().best_constant(np.ones(2), np.full(2, 0.5)) == math.inf


# Risks


NEURON = RidgeNeuron(activation("tanh"), inputs=2, bias=True, outer=True)
INPUTS = gaussian_inputs(2, 4)
LABELLED = INPUTS.with_targets(lambda x: np.where(x[:, 0] * x[:, 1] > 0.1, 1.0, -1.0))


def pair(m=6):
    """Two networks of m neurons, outer weights large enough that Huber's residuals lie on both sides."""
    rng = np.random.default_rng(8)
    return [Particles(NEURON.domain, 1.5 * rng.normal(size=(m, 4)), rng.dirichlet(np.ones(m))) for _ in range(2)]


def mixture(pi, nu, s):
    """(1 - s) pi + s nu."""
    points = np.concatenate([pi.points, nu.points])
    return SignedParticles(pi.domain, points, np.concatenate([(1 - s) * pi.weights, s * nu.weights]))


@EVERY
def test_potential_is_the_first_variation_for_every_loss(loss):
    """dF((1 - s) pi + s nu)/ds at s = 0 by differences = int V[pi] d(nu - pi)."""
    energy, (pi, nu) = Energy(Risk(NEURON, LABELLED, loss)), pair()
    slope = difference(lambda s: energy.value(mixture(pi, nu, s)), 0.0)
    expected = nu.weights @ energy.potential(pi, nu.points) - pi.weights @ energy.potential(pi, pi.points)
    assert slope == pytest.approx(expected, abs=1e-9)


@EVERY
def test_velocity_and_curvature_are_derivatives_of_the_potential(loss):
    """-grad V and its Hessian at fixed pi, by differences along each axis."""
    energy, (pi, nu) = Energy(Risk(NEURON, LABELLED, loss)), pair()
    w = nu.points
    for axis, e in enumerate(np.eye(4)):
        slope = -difference(lambda h, e=e: energy.potential(pi, w + h * e), 0.0)
        bend = -difference(lambda h, e=e: energy.velocity(pi, w + h * e), 0.0)
        np.testing.assert_allclose(energy.velocity(pi, w)[:, axis], slope, rtol=0.0, atol=1e-8)
        np.testing.assert_allclose(energy.curvature(pi, w)[:, :, axis], bend, rtol=0.0, atol=1e-8)


@EVERY
def test_coupling_is_the_response_to_moved_weights(loss):
    """d_w V[(1 - s) pi + s nu](w)/ds at s = 0 is d_w of int k d(nu - pi): the core carries l''(f_pi).

    With G = factor = d_w psi(x_i; w) and C = core: the change of grad V is G C (f_nu - f_pi), exactly.
    """
    energy, (pi, nu) = Energy(Risk(NEURON, LABELLED, loss)), pair()
    w = nu.points
    factor, core = energy.coupling(pi, w)
    expected = difference(lambda s: -energy.velocity(mixture(pi, nu, s), w).ravel(), 0.0)
    found = factor @ (core * (energy.predict(nu) - energy.predict(pi)))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-9)


@EVERY
@pytest.mark.parametrize("s", [0.2, 0.7])
def test_risks_are_convex_along_mixtures(loss, s):
    """F((1 - s) pi + s nu) <= (1 - s) F(pi) + s F(nu): f_pi is linear in pi and the loss convex."""
    energy, (pi, nu) = Energy(Risk(NEURON, LABELLED, loss)), pair()
    assert energy.convex
    assert energy.value(mixture(pi, nu, s)) <= (1 - s) * energy.value(pi) + s * energy.value(nu) + 1e-14


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Risk(NEURON, INPUTS, Logistic()), ["Logistic targets", "first at 0: 0", "-1 and \\+1"]),
        (lambda: Huber(0.0), ["Huber width", "0.0", "above 0"]),
        (lambda: loss_named("hubert"), ["loss", "'hubert'", "did you mean 'huber'"]),
        (lambda: problems.two_layer_1d(loss="logistic"), ["Logistic targets", "-1 and \\+1"]),
        (lambda: problems.two_layer_1d(loss="logistic", target="step", nodes=5), ["Logistic targets", "1 of 5", ": 0"]),
    ],
    ids=["no labels", "no width", "unknown", "sine is no label", "sign 0 is no label"],
)
def test_wrong_use_is_refused(call, words):
    """The argument, the value and the remedy."""
    for word in words:
        with pytest.raises(ValueError, match=word):
            call()


# Problems and promises


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["half_square", "logistic", "huber"])
def test_two_layers_learn_signs_under_every_loss(loss):
    """F falls by 15 % in two units of time, and the particles' F stays within 2 % of that on a grid.

    From 400 quantised neurons and 40 x 40 cells; both approximate one equation.
    """
    flow = problems.two_layer_1d(target="step", loss=loss, horizon=2.0).flow
    ends = [solve(flow, solver, times=[2.0]).energies for solver in (GradientFlow(400), Muscl(40))]
    assert ends[0][-1] < 0.85 * ends[0][0]
    assert ends[0][-1] == pytest.approx(ends[1][-1], rel=0.02)


def csv_of(folder, labels):
    """A table of x and a class."""
    x = np.linspace(-2, 2, 24)
    rows = [f"{a:.3f},{b}" for a, b in zip(x, labels(x), strict=True)]
    (folder / "classes.csv").write_text("x,class\n" + "\n".join(rows) + "\n")
    return str(folder / "classes.csv")


def test_regression_leaves_labels_as_they_are(tmp_path):
    """Logistic: inputs are scaled, targets stay -1 and +1, in the rows held out too; other losses standardise."""
    file = csv_of(tmp_path, lambda x: np.where(np.abs(x) < 1, 1, -1))
    p = problems.regression(file, ["x"], "class", loss="logistic", horizon=20.0)
    targets = np.concatenate([p.flow.energy.risk.data.targets, p.held_out.targets])
    assert set(targets.tolist()) == {-1.0, 1.0}
    scaled = problems.regression(file, ["x"], "class", loss="huber").flow.energy.risk.data.targets
    assert scaled.mean() == pytest.approx(0.0, abs=1e-12) and scaled.std() == pytest.approx(1.0)


def test_logistic_regression_beats_its_best_constant(tmp_path):
    """Held-out loss at the end below that of the log-odds of the training rows, and F below log 2."""
    file = csv_of(tmp_path, lambda x: np.where(np.abs(x) < 1, 1, -1))
    p = problems.regression(file, ["x"], "class", loss="logistic", horizon=60.0)
    run = solve(p.flow, GradientFlow(60, Sampled(3)), times=[60.0])
    (row,) = generalises(p, run)
    assert row.holds and run.energies[-1] < 0.5 * math.log(2.0)


def test_labels_of_one_class_have_no_best_constant(tmp_path):
    """All rows to learn of one class: the infimum of their mean loss is 0, at no number, and there is no such row."""
    file = tmp_path / "one.csv"
    file.write_text("x,class\n" + "".join(f"{k},1\n" for k in range(8)))
    p = problems.regression(str(file), ["x"], "class", loss="logistic", horizon=1.0)
    run = solve(p.flow, GradientFlow(5, Sampled(3)), times=[1.0])
    assert list(generalises(p, run)) == []


def test_regression_refuses_numbers_as_classes(tmp_path):
    """Classes 0 and 1 are named as what they are not."""
    with pytest.raises(ValueError, match=r"Logistic targets.*-1 and"):
        problems.regression(csv_of(tmp_path, lambda x: np.where(x > 0, 1, 0)), ["x"], "class", loss="logistic")


def test_only_quadratic_energies_promise_to_fall_under_long_implicit_steps():
    """V at the mean of both ends is F's slope between them where F is quadratic; with another loss no promise is made.

    For F((1 - s) a + s b) of degree 2 in s: F(b) - F(a) = int V[(a + b)/2] d(b - a) exactly.
    """
    flows = {
        loss: problems.two_layer_1d(target="step", loss=loss, temperature=0.1).flow
        for loss in LOSSES
        if loss != "narrow"
    }
    kept = {loss: "energy" in ScharfetterGummel(16).keeps(flow) for loss, flow in flows.items()}
    assert kept == {"half_square": True, "logistic": False, "huber": False}
    pi, nu = pair()
    for loss, exact in ((HalfSquare(), True), (Logistic(), False), (Huber(), False)):
        energy = Energy(Risk(NEURON, LABELLED, loss))
        gain = nu.weights @ energy.potential(mid := mixture(pi, nu, 0.5), nu.points)
        gain -= pi.weights @ energy.potential(mid, pi.points)
        error = abs(energy.value(nu) - energy.value(pi) - gain)
        assert bool(error < 1e-12) is exact
        assert energy.quadratic is exact


@pytest.mark.slow
def test_a_kink_of_the_loss_costs_order_in_time():
    """Huber: l'' jumps where a residual passes the width, so Runge-Kutta is declared 1, and has no 4; logistic has 4.

    A residual that passes at t* leaves an error of the order h min(h, t*): 2 in the end, 1 while h > t*.
    """
    flows = {
        "huber": problems.two_layer_1d(target="sine", loss="huber", horizon=2.0).flow,
        "logistic": problems.two_layer_1d(target="step", loss="logistic", horizon=2.0).flow,
    }
    solver = GradientFlow(40)
    assert {name: solver.order(flow).time for name, flow in flows.items()} == {"huber": 1.0, "logistic": 4.0}
    seen = {name: in_time(Laboratory(flow), solver, 10, 4) for name, flow in flows.items()}
    assert seen["logistic"].observed > 3.85
    assert 0.85 < seen["huber"].observed < 2.5


def test_entropy_and_logistic_together():
    """Terms add: F = E log(1 + e^{-yf}) + T int rho log rho on cells."""
    flow = problems.two_layer_1d(target="step", loss="logistic", temperature=0.2).flow
    pi = Muscl(32).init(flow).measure
    apart = Energy(flow.energy.terms[0]).value(pi) + Energy(Entropy(0.2)).value(pi)
    assert flow.energy.value(pi) == pytest.approx(apart, rel=1e-14)
    assert isinstance(flow.initial, Gaussian) and isinstance(flow.energy.risk.data, Data)
