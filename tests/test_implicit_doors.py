"""What networks of any scaling, random features and what is looked at in them refuse, at the door."""

import numpy as np
import pytest

from solvers import small
from solvers.small import train
from wflow import Particles, problems, space
from wflow.data import Data
from wflow.errors import NotConverged, StepTooLarge
from wflow.implicit import diagnostics
from wflow.implicit.features import RandomFeatures
from wflow.implicit.targets import drawn, teacher, value

DATA = drawn(teacher("single", 3), 9, np.random.default_rng(0))


def start(a=0.0, weights=None, size=1.0):
    b = size * np.random.default_rng(1).standard_normal((5, 3))
    return Particles(space(4), np.column_stack([np.full(5, a), b]), weights)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"target": "double"}, "target: 'double' is not known"),
        ({"inputs": "cube"}, "inputs: 'cube' is not known"),
        ({"inputs": "cube", "samples": 5}, "inputs: 'cube' is not known"),
        ({"inputs": "sphere", "dim": 1}, "dim: 1 is too small"),
        ({"scaling": 1.5}, "scaling: 1.5 is not allowed"),
        ({"neurons": 0}, "neurons: 0 is too small"),
        ({"samples": 0}, "samples: 0 is too small"),
        ({"target": "several", "teachers": 0}, "teachers: 0 is too small"),
        ({"seed": -1, "samples": 3}, "seed: -1 is too small"),
    ],
)
def test_wrong_arguments_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        problems.quenching(**wrong)


UNEVEN = np.arange(1.0, 6.0) / 15.0


@pytest.mark.parametrize(
    ("pi", "data", "words"),
    [
        (start(a=1.0), DATA, "begin at a = 0"),
        (start(weights=UNEVEN), DATA, "start: weights from"),
        (start(), Data(DATA.inputs[:5], DATA.targets[:5], UNEVEN), "data: weights from"),
        (start(), drawn(teacher("single", 2), 4, np.random.default_rng(0)), r"expected shape \(any, 3\)"),
    ],
    ids=["outer weights", "neurons", "rows", "inputs"],
)
def test_random_features_of_what_they_are_no_formula_for(pi, data, words):
    """a(0) = 0 and equal weights stand in the derivation: others would get an answer that is not theirs."""
    with pytest.raises(ValueError, match=words):
        RandomFeatures.on_data(pi, data)
    if "data" not in words:
        target = teacher("single", data.inputs.shape[1])
        with pytest.raises(ValueError, match=words):
            RandomFeatures.of_population(pi, target)


def test_random_features_have_a_direction_and_a_time():
    """b = 0 in the population; t < 0; steps beyond 2 over the largest rate, where descent diverges."""
    with pytest.raises(ValueError, match="no direction"):
        RandomFeatures.of_population(start(size=0.0), teacher("single", 3))
    exact = RandomFeatures.on_data(start(), DATA)
    for t in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="not a time"):
            exact.at(t)
    longest = 2.0 / float(np.max(exact.rates))
    assert np.all(np.isfinite(exact.after(10_000, longest).points))
    with pytest.raises(StepTooLarge, match="largest rate"):
        exact.after(2, 1.001 * longest)
    with pytest.raises(ValueError, match="steps: -1"):
        exact.after(-1, 0.1)


def test_shapes_of_what_is_looked_at():
    """Inputs, axes and units of d numbers, units of length 1, a start of the same neurons; the ring sees d too."""
    pi, wide = start(a=1.0), np.eye(5)
    for look in (
        lambda: diagnostics.predicted(pi, wide), lambda: diagnostics.projections(pi, wide),
        lambda: diagnostics.alignment(pi, wide), lambda: value(teacher("ring", 3), wide),
        lambda: diagnostics.moved(pi, Particles(space(4), pi.points[:2])),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected shape"):
            look()
    with pytest.raises(ValueError, match="length 1"):
        diagnostics.alignment(pi, 2.0 * np.eye(3))


def test_a_network_that_cannot_move_is_told(monkeypatch):
    """No neuron active on any datum: every gradient is 0, and F stays."""
    monkeypatch.setattr(small, "_descent", lambda: small.plain)
    with pytest.raises(NotConverged, match="no neuron is active"):
        train(start(size=0.0), DATA, enough=1e-6, horizon=1.0)
