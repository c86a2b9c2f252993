"""This file owns what a rigorous lower bound of a function is, and who has one.

A dual vector q makes a function of the parameters, V(w) = sum_i omega_i q_i psi_i(w). Each certificate needs a number
that V is nowhere below: sampling can only miss the minimum, and then claims too much.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.arrays import Array

UNIT = 0.5 * float(np.finfo(np.float64).eps)
"""u: a floating-point operation has a relative error of at most u, and a sum of n terms t_i one of n u sum |t_i|."""


@dataclass(frozen=True, eq=False)
class Enclosure:
    """lower <= min V <= upper, rounding included in both.

    at: where upper was found, (d,).   minima: (l, d) local minima met on the way.   evaluations: of V, in all.
    method: in words.
    """

    lower: float
    upper: float
    at: Array
    minima: Array
    evaluations: int
    method: str

    @property
    def width(self) -> float:
        """By how much the bound may be too low."""
        return self.upper - self.lower


class Field(Protocol):
    """A function on a compact domain whose minimum is enclosed."""

    def lowest(self, below: float = np.inf) -> Enclosure:
        """min V, enclosed; where it is not below that number the lower bound may be loose, but not under it."""

    def negated(self) -> "Field":
        """-V."""


def largest(field: Field, *, signed: bool) -> tuple[float, Enclosure]:
    """An upper bound of max |V| (signed) or of max(-V, 0), and the enclosure that decides it."""
    found = field.lowest()
    if signed:
        # of the other sign only what is worse matters
        found = min(found, field.negated().lowest(found.lower), key=lambda enclosure: enclosure.lower)
    return max(0.0, -found.lower), found
