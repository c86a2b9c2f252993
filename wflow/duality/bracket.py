"""This file owns brackets: a lower bound of inf F and the value of F at a measure, with what each rests on."""

from dataclasses import dataclass, replace
from typing import Literal

Over = Literal["probability", "nonnegative", "signed", "networks", "bounded"]
"""Over what F is minimised: measures of mass one; of any mass; of any sign; networks a sigma(b . X); such networks of
int |a| |b| dpi <= B (conditional)."""


@dataclass(frozen=True)
class Bracket:
    """lower <= inf F <= value + rounding.

    multiple: t, of the dual vector that made the bound.   peak: for TV problems an upper bound of max |eta|/lam (of
    max eta/lam over nonnegative measures), 1 at a minimiser; nan elsewhere.   method: how min V was bounded.
    """

    value: float
    lower: float
    rounding: float
    over: Over
    method: str
    multiple: float = 1.0
    peak: float = float("nan")

    @property
    def gap(self) -> float:
        """F - inf F is at most this, rounding included."""
        return self.value + self.rounding - self.lower

    def raised(self, lower: float) -> "Bracket":
        """With a better lower bound of the same problem, if it is better."""
        return replace(self, lower=max(self.lower, lower))
