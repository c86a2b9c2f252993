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
