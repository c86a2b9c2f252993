"""Stability under SGD: iterations that fail say so, and wrong arguments are refused at the door."""

import numpy as np
import pytest

from wflow.errors import NotConverged
from wflow.stability import (
    Curvatures,
    SecondMoment,
    WithoutReplacement,
    WithReplacement,
    factor,
    largest_rates,
    moments,
    placed,
    radius,
)
from wflow.stability.covariance import dominated
from wflow.stability.krylov import leading


def test_failures_are_named():
    """A bound below the radius is not proved; iterations that stop say where; doors name argument and remedy."""
    curvatures, draw = Curvatures(np.random.default_rng(0).normal(size=(8, 4))).spanned, WithoutReplacement(8)
    step, found = SecondMoment(curvatures, 0.2, draw), radius(curvatures, 0.2, draw)
    with pytest.raises(NotConverged):
        dominated(step, found.lower - 1e-6, found.least, found.lower - 1e-3)
    # on one axis the solve is one division: what is left to refuse is rounding
    single = SecondMoment(Curvatures(np.ones((1, 1))), 0.2, WithoutReplacement(1))
    with pytest.raises(NotConverged, match="no proof"):
        dominated(single, 0.64 + 2e-16, np.eye(1), 0.64 - 1e-3)
    with pytest.raises(NotConverged, match="raise `limit`"):
        leading(step.after, np.eye(4), tolerance=1e-12, limit=1)
    with pytest.raises(NotConverged):
        radius(curvatures, 0.2, draw, tolerance=1e-17, limit=100)
    for wrong, words in (
        (lambda: WithoutReplacement(3, 4), "at most 3"),
        (lambda: WithReplacement(3, 0), "batch"),
        (lambda: factor(0.1, -1.0, 0.0, draw), "below 0"),
        (lambda: factor(0.0, 1.0, 0.0, draw), "eta"),
        (lambda: radius(curvatures, 0.2, WithoutReplacement(7)), "of 7 data"),
        (lambda: Curvatures(np.zeros((3, 2))), "all are 0"),
        (lambda: Curvatures.of_matrices(-np.eye(2)[None]), "semidefinite"),
        (lambda: Curvatures.of_matrices(np.ones((2, 3))), "shape"),
        (lambda: placed(1.0, -0.2, 4), "placed s: -0.2 is below 0"),
        (lambda: moments(curvatures, 0.2, draw, -np.eye(4), steps=2, runs=4, seed=0), "moments start: least"),
        (lambda: moments(curvatures, 0.2, draw, np.triu(np.ones((4, 4))), steps=2, runs=4, seed=0), "symmetric"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("d", [4, 40])
def test_products_of_the_vectors_say_all(d, rank, batch):
    """T in coordinates of the span: from v . v' alone the same a, s, largest step and radius, d above n r or below."""
    v = np.random.default_rng(d + rank).standard_normal((9, rank, d))
    flat, draw = v.reshape(-1, d), WithoutReplacement(9, batch)
    given, found = Curvatures(v), Curvatures.of_gram(flat @ flat.T, data=9)
    assert found.dim == min(d, 9 * rank)
    assert found.sharpness == pytest.approx(given.sharpness, rel=1e-12)
    assert found.nonuniformity == pytest.approx(given.nonuniformity, rel=1e-9)
    eta = largest_rates(given, draw).lower
    assert largest_rates(found, draw).lower == pytest.approx(eta, rel=1e-9)
    assert radius(found, eta, draw).lower == pytest.approx(radius(given, eta, draw).lower, abs=1e-7)


def test_products_that_are_none_are_refused():
    """Rows that are not n r, a matrix that is not symmetric or has a negative number."""
    for gram, words in (
        (np.eye(6), "for 4 losses"),
        (np.ones((4, 3)), "for 4 losses"),
        (np.eye(4) + np.eye(4, k=1), "not symmetric by 1"),
        (np.diag([1.0, 1.0, 1.0, -0.1]), "least eigenvalue -0.1"),
        (np.zeros((4, 4)), "all are 0"),
    ):
        with pytest.raises(ValueError, match=words):
            Curvatures.of_gram(gram, data=4)
