"""This file owns laws of balanced neurons (a, b) with |a| = |b| in the plane of b: a sign, a direction and a radius."""

import math
from dataclasses import dataclass, field

import numpy as np

from wflow.arrays import Array, count, finite
from wflow.domain import Box, space
from wflow.law import Law

_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


@dataclass(frozen=True, eq=False)
class Balanced(Law):
    """(a, b) = (s r, r cos t, r sin t): s = +1 with probability `positive`, else -1; r and t uniform, independent.

    radii: (least, largest), 0 < least <= largest; arc: (from, to), at most one turn, where directions t lie.
    The flow of a relu(b . x) keeps a^2 - |b|^2, so from here |b| = |a| never reaches 0, where b has no direction.
    """

    radii: tuple[float, float] = (0.5, 1.5)
    arc: tuple[float, float] = (0.0, 2.0 * math.pi)
    positive: float = 0.5
    domain: Box = field(default_factory=lambda: space(3))

    def __post_init__(self) -> None:
        least, largest = finite("Balanced radii", self.radii)
        if not 0.0 < least <= largest:
            raise ValueError(
                f"Balanced radii: {self.radii} are not 0 < least <= largest; at |b| = 0 b has no direction"
            )
        start, end = finite("Balanced arc", self.arc)
        if not 0.0 <= end - start <= 2.0 * math.pi + 1e-12:
            raise ValueError(f"Balanced arc: {self.arc} is not (from, to) with at most one turn between")
        if not 0.0 <= float(finite("Balanced positive", self.positive)) <= 1.0:
            raise ValueError(f"Balanced positive: {self.positive!r} is not a probability")

    @property
    def has_quantised(self) -> bool:
        return True

    def quantised(self, m: int) -> Array:
        """m points (m, 3): equispaced directions for each sign, radii by the golden ratio.

        Each sign's directions are 1/(its number) of the arc apart, so that no wider arc is empty.
        """
        plus = round(count("m", m) * self.positive)
        return np.concatenate([self._ring(plus, 0.25, 1.0), self._ring(m - plus, 0.75, -1.0)])

    def _ring(self, m: int, offset: float, sign: float) -> Array:
        j = np.arange(m)
        return self._at((j + offset) / max(m, 1), np.mod((j + 0.5) * _GOLDEN, 1.0), np.full(m, sign))

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        direction, radius, chance = rng.random((3, count("m", m)))
        return self._at(direction, radius, np.where(chance < self.positive, 1.0, -1.0))

    def _at(self, direction: Array, radius: Array, sign: Array) -> Array:
        """From two numbers in [0, 1] and a sign each."""
        r = self.radii[0] + (self.radii[1] - self.radii[0]) * radius
        t = self.arc[0] + (self.arc[1] - self.arc[0]) * direction
        return np.stack([sign * r, r * np.cos(t), r * np.sin(t)], axis=1)
