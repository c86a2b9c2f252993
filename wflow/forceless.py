"""This file owns the summands of an energy that move nothing: constants, and the total variation."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, finite
from wflow.measure import Measure


@dataclass(frozen=True)
class Constant:
    """A number, so that F of a population risk vanishes at its minimum."""

    number: float
    convex: bool = True

    def __post_init__(self) -> None:
        finite("Constant number", self.number)

    def value(self, pi: Measure) -> float:
        """The number times the mass."""
        return self.number

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """Zero: a constant does not move mass."""
        return np.zeros((len(w),) + w.shape[1:] * derivative)

    def coupling(self, pi: Measure, w: Array) -> None:
        """None."""
        return None


@dataclass(frozen=True)
class TotalVariation:
    """strength |pi|(domain): the norm of a signed measure; constant, hence no force, on probability measures."""

    strength: float
    convex: bool = True

    def value(self, pi: Measure) -> float:
        """strength sum |weights|."""
        return self.strength * pi.ranks.total(float(np.sum(np.abs(pi.weights))))

    def potential(self, pi: Measure, w: Array, derivative: int) -> Array:
        """strength on nonnegative measures (its gradient vanishes)."""
        return np.full((len(w),) + w.shape[1:] * derivative, self.strength if derivative == 0 else 0.0)

    def coupling(self, pi: Measure, w: Array) -> None:
        """None."""
        return None
