"""This file owns what the studies of implicit bias share: one small network, its data, and what is measured of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.app.studies.intervals import mean
from wflow.data import Data
from wflow.energy import Energy
from wflow.implicit.scaling import Scaling
from wflow.implicit.targets import Kind, Teacher, drawn, population, teacher
from wflow.measure import Measure, Particles

NETWORK, FEATURES, FIELD = "network", "random features", "mean-field"
MODELS = (NETWORK, FEATURES, FIELD)
SCALINGS = {NETWORK: 0.0, FEATURES: 0.0, FIELD: 1.0}


@dataclass(frozen=True, eq=False)
class Case:
    """A start, n data, the teacher, and the closed population risk."""

    start: Particles
    data: Data
    target: Teacher
    energy: Energy

    @classmethod
    def of(cls, kind: Kind, dim: int, n: int, m: int, model: str, seed: int) -> "Case":
        """Models are compared on the same data (by n, seed) and the same start but for its size (by m, seed)."""
        target = teacher(kind, dim)
        law = Scaling(m, SCALINGS[model]).start(dim)
        points = law.sample(m, np.random.default_rng([seed, 4]))
        data = drawn(target, n, np.random.default_rng([seed, 5]))
        return cls(Particles(law.domain, points), data, target, population(target))

    def error(self, pi: Measure) -> float:
        """E (f - f*)^2 over all inputs, in closed form."""
        return 2.0 * self.energy.value(pi)


def compared(over: Sequence[float], under: Sequence[float]) -> tuple[float, float, float]:
    """Mean of log over/under with Student's interval of 95 %, all three as factors."""
    middle, low, high = mean(np.log(np.asarray(over) / np.asarray(under)))
    return math.exp(middle), math.exp(low), math.exp(high)


def middle(values: Sequence[float]) -> float:
    """The median: tails of test errors at m = n have no mean."""
    return float(np.median(np.asarray(values)))


def even(last: float, first: float, count: int) -> list[float]:
    """Times equispaced on a log axis."""
    return [float(t) for t in np.geomspace(first, last, count)]
