"""Training of multilayer networks: quadratics in closed form, stability, masks, decay, rules to stop."""

import numpy as np
import pytest

from solvers.perceptron import FullBatch, MiniBatch, converged, escape, stopped_early, trained
from wflow.activation import linear, tanh
from wflow.errors import NotConverged
from wflow.perceptron import EmpiricalRisk, Perceptron, sharpness


def small(n=12, seed=0, activation=None):
    """Few rows that a network fits."""
    rng = np.random.default_rng(seed)
    network = Perceptron((3, 8, 1), activation or tanh())
    return EmpiricalRisk(network, rng.standard_normal((n, 3)), np.sign(rng.standard_normal((n, 1)))), network.start(
        seed
    )


def test_one_step_of_each():
    """theta - eta grad F; a batch of all rows is the same but for the order of its sum; decay adds eta lam theta."""
    risk, theta = small()
    expected = theta - 0.1 * risk.gradient(theta)
    assert FullBatch(0.1).round(risk.at(theta), 0) == pytest.approx(expected, abs=1e-15)
    assert FullBatch(0.4, warmup=4).round(risk.at(theta), 0) == pytest.approx(expected, abs=1e-15)
    assert MiniBatch(0.1, 12).round(risk.at(theta), 0) == pytest.approx(expected, abs=1e-14)
    decayed = MiniBatch(0.1, 12, decay=0.5).round(risk.at(theta), 0)
    assert decayed == pytest.approx(expected - 0.05 * theta, abs=1e-14)


def test_an_epoch_sees_each_row_once():
    """To first order in eta: the sum of its steps is n/batch steps of grad F, and what is left is O(eta^2)."""
    risk, theta = small()
    left = []
    for eta in (1e-3, 1e-4):
        moved = MiniBatch(eta, 4, seed=5).round(risk.at(theta), 3) - theta
        left.append(np.linalg.norm(moved + 3.0 * eta * risk.gradient(theta)))
    assert left[0] / left[1] == pytest.approx(100.0, rel=0.02)


def test_dropout_is_unbiased_in_the_last_layer():
    """The mean of f over masks is f where sigma is the identity: 4000 draws within 4 standard errors."""
    risk, theta = small(activation=linear())
    method, rng = MiniBatch(0.1, 12, dropout=0.4), np.random.default_rng(0)
    draws = np.array([risk.at(theta, method._masks(risk, rng)).outputs[0, 0] for _ in range(4000)])
    assert abs(draws.mean() - risk.at(theta).outputs[0, 0]) < 4.0 * draws.std() / 4000**0.5


def test_draws_repeat_themselves():
    """Same seed, same bits; another seed or another epoch, another order of rows, with and without dropout."""
    risk, theta = small()
    one, again = (trained(MiniBatch(0.1, 5, seed=1, dropout=0.2), risk, theta, rounds=3).theta for _ in range(2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, trained(MiniBatch(0.1, 5, seed=2, dropout=0.2), risk, theta, rounds=3).theta)
    orders = [MiniBatch(0.1, 5, seed=seed).round(risk.at(theta), k) for seed, k in ((1, 0), (2, 0), (1, 1))]
    assert len({end.tobytes() for end in orders}) == 3


def test_what_converged_stays():
    """F <= tolerance in the last 200 rounds, and the sharpness there is at most 2/eta by the growth 1.1^200."""
    risk, theta = small()
    for eta in (0.3, 0.6):
        run = converged(FullBatch(eta), risk, theta, tolerance=1e-4)
        assert run.losses[-200:].max() <= 1e-4
        assert run.losses[-1] == pytest.approx(risk.value(run.theta), rel=1e-12)
        assert sharpness(risk.at(run.theta)).value <= 1.05 * 2.0 / eta


@pytest.mark.slow
def test_a_minimum_too_sharp_throws_descent_out():
    """From a minimum of sharpness a: at eta = 2.2/a F rises above its tolerance, at 1.8/a it stays below."""
    risk, theta = small()
    rest = converged(FullBatch(0.1), risk, theta, tolerance=1e-8, limit=50000)
    a = sharpness(risk.at(rest.theta)).value
    near = rest.theta + 1e-3 * sharpness(risk.at(rest.theta)).vector
    assert trained(FullBatch(1.8 / a), risk, near, rounds=200).losses[-1] < 1e-6
    assert trained(FullBatch(2.2 / a), risk, near, rounds=200).losses.max() > 1e-4


def test_failures_carry_their_numbers():
    """Out of rounds, and off to infinity."""
    risk, theta = small()
    with pytest.raises(NotConverged, match="after 5 rounds") as out:
        converged(FullBatch(0.1), risk, theta, tolerance=1e-4, limit=5)
    assert out.value.residual > 1e-4
    straight, theta = small(activation=linear())
    for method in (FullBatch(50.0), MiniBatch(50.0, 3)):
        with pytest.raises(NotConverged, match="diverged"):
            trained(method, straight, theta, rounds=500)


def test_early_stopping_returns_the_best_held_out():
    """Its theta has the least held-out F of all rounds up to its end, by a run that goes through all of them."""
    (risk, theta), (held, _) = small(), small(seed=7)
    method, limit, patience = MiniBatch(0.2, 4), 60, 10
    found = stopped_early(method, risk, held, theta, patience=patience, limit=limit)
    path, at = [held.value(theta)], theta
    for k in range(found.rounds + patience):
        at = method.round(risk.at(at), k)
        path.append(held.value(at))
    assert held.value(found.theta) == min(path)
    assert found.rounds == int(np.argmin(path)) < limit - patience


def test_escape_looks_before_every_step():
    """Batches of one from a minimum: the first step above the threshold, as a look at all losses says."""
    risk, theta = small()
    rest = converged(FullBatch(0.5), risk, theta, tolerance=1e-4).theta
    stays = escape(MiniBatch(0.01, 1), risk, rest, threshold=1e-2, steps=100)
    assert stays.escaped is None
    assert len(stays.losses) == 101
    leaves = escape(MiniBatch(1.0, 1), risk, rest, threshold=1e-2, steps=100)
    assert leaves.escaped is not None
    assert leaves.losses[leaves.escaped] > 1e-2 >= leaves.losses[: leaves.escaped].max()


def test_what_is_refused():
    for wrong in ({"dropout": 1.0}, {"decay": -1.0}, {"batch": 0}, {"step": 0.0}):
        with pytest.raises(ValueError, match="MiniBatch"):
            MiniBatch(**({"step": 0.1, "batch": 2} | wrong))
    risk, theta = small()
    for refused, words in (
        (lambda: trained(FullBatch(0.1), risk, theta, rounds=-1), "trained rounds"),
        (lambda: converged(FullBatch(0.1), risk, theta, tolerance=1e-3, settled=0), "converged settled"),
        (lambda: escape(MiniBatch(0.1, 2), risk, theta, threshold=0.0, steps=5), "escape threshold"),
        (lambda: escape(MiniBatch(0.1, 2), risk, theta, threshold=1e-9, steps=5), "train on"),
    ):
        with pytest.raises(ValueError, match=words):
            refused()
