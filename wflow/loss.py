"""This file owns losses l(f, y) with derivatives in f. F = E l; the half square makes F = R/2, R = E(f - y)^2."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.arrays import Array


class Loss(Protocol):
    """l and its first two derivatives in the prediction, elementwise on (n,)."""

    @property
    def convex(self) -> bool:
        """Convex in f."""

    def value(self, f: Array, y: Array) -> Array:
        """l(f, y)."""

    def slope(self, f: Array, y: Array) -> Array:
        """dl/df."""

    def curvature(self, f: Array, y: Array) -> Array:
        """d2l/df2."""


@dataclass(frozen=True)
class HalfSquare:
    """(f - y)^2 / 2."""

    convex: bool = True

    def value(self, f: Array, y: Array) -> Array:
        """(f - y)^2 / 2."""
        return 0.5 * (f - y) ** 2

    def slope(self, f: Array, y: Array) -> Array:
        """f - y."""
        return f - y

    def curvature(self, f: Array, y: Array) -> Array:
        """1."""
        return np.ones_like(f)
