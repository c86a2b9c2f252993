"""This file owns losses l(f, y) with derivatives in f. F = E l; the half square makes F = R/2, R = E(f - y)^2."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.special import expit

from wflow.arrays import Array, nearest, positive

_BISECTIONS = 80


class Loss(Protocol):
    """l and its first two derivatives in the prediction, elementwise on (n,)."""

    @property
    def convex(self) -> bool:
        """Convex in f."""

    @property
    def kinked(self) -> bool:
        """l'' jumps somewhere."""

    def value(self, f: Array, y: Array) -> Array:
        """l(f, y)."""

    def slope(self, f: Array, y: Array) -> Array:
        """dl/df."""

    def curvature(self, f: Array, y: Array) -> Array:
        """d2l/df2."""

    def check(self, y: Array) -> None:
        """Raises ValueError for targets (n,) that this loss does not take."""

    def best_constant(self, y: Array, weights: Array) -> float:
        """argmin over numbers c of sum_i weights_i l(c, y_i)."""


@dataclass(frozen=True)
class HalfSquare:
    """(f - y)^2 / 2."""

    convex: bool = True
    kinked: bool = False

    def value(self, f: Array, y: Array) -> Array:
        """(f - y)^2 / 2."""
        return 0.5 * (f - y) ** 2

    def slope(self, f: Array, y: Array) -> Array:
        """f - y."""
        return f - y

    def curvature(self, f: Array, y: Array) -> Array:
        """1."""
        return np.ones_like(f)

    def check(self, y: Array) -> None:
        """Any numbers."""

    def best_constant(self, y: Array, weights: Array) -> float:
        """The mean."""
        return float(weights @ y)


@dataclass(frozen=True)
class Logistic:
    """log(1 + e^{-y f}) for labels y = -1 or +1: the negative log-likelihood of P(y | x) = 1/(1 + e^{-y f(x)}).

    Without overflow for any f. Not bounded away from its infimum 0 on separable data: F then has no minimiser.
    """

    convex: bool = True
    kinked: bool = False

    def value(self, f: Array, y: Array) -> Array:
        """log(1 + e^{-y f})."""
        return np.logaddexp(0.0, -y * f)

    def slope(self, f: Array, y: Array) -> Array:
        """-y/(1 + e^{y f})."""
        return -y * expit(-y * f)

    def curvature(self, f: Array, y: Array) -> Array:
        """1/((1 + e^f)(1 + e^{-f})), the same for both labels."""
        return np.asarray(expit(f) * expit(-f))

    def check(self, y: Array) -> None:
        """Labels other than -1 and +1 are refused."""
        wrong = np.flatnonzero(np.abs(y) != 1.0)
        if len(wrong):
            raise ValueError(
                f"Logistic targets: {len(wrong)} of {len(y)} are not labels (first at {wrong[0]}: {y[wrong[0]]:g}); "
                "write the two classes as -1 and +1, or use HalfSquare"
            )

    def best_constant(self, y: Array, weights: Array) -> float:
        """The log-odds log(P(+1)/P(-1)); infinite where one class is missing."""
        ahead, behind = float(weights @ (y > 0.0)), float(weights @ (y < 0.0))
        if not ahead or not behind:
            return math.inf if ahead else -math.inf
        return math.log(ahead / behind)


@dataclass(frozen=True)
class Huber:
    """(f - y)^2/2 up to |f - y| = width, beyond it the tangent width (|f - y| - width/2): outliers pull with one force.

    C^1; l'' jumps from 1 to 0 at the width. Source: Huber 1964, Ann. Math. Statist. 35(1), 73-101.
    """

    width: float = 1.0
    convex: bool = True
    kinked: bool = True

    def __post_init__(self) -> None:
        positive("Huber width", self.width)

    def value(self, f: Array, y: Array) -> Array:
        """With c = the difference cut to [-width, width]: c (f - y) - c^2/2."""
        cut = self.slope(f, y)
        return cut * (f - y) - 0.5 * cut**2

    def slope(self, f: Array, y: Array) -> Array:
        """f - y cut to [-width, width]."""
        return np.clip(f - y, -self.width, self.width)

    def curvature(self, f: Array, y: Array) -> Array:
        """1 inside, 0 outside, 1/2 at the width."""
        return np.heaviside(self.width - np.abs(f - y), 0.5)

    def check(self, y: Array) -> None:
        """Any numbers."""

    def best_constant(self, y: Array, weights: Array) -> float:
        """The root of the nondecreasing mean slope, by bisection between the least and the largest target."""
        low, high = float(y.min()), float(y.max())
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = float(weights @ self.slope(np.full_like(y, middle), y)) < 0.0
            low, high = (middle, high) if below else (low, middle)
        return 0.5 * (low + high)


LossName = Literal["half_square", "logistic", "huber"]
_NAMED: dict[str, Loss] = {"half_square": HalfSquare(), "logistic": Logistic(), "huber": Huber(0.5)}


def loss_named(name: LossName) -> Loss:
    """The loss of that name; Huber of width 1/2, for targets of size 1. ValueError names the nearest known one."""
    if name not in _NAMED:
        raise ValueError(f"loss: unknown name {name!r}; {nearest(str(name), list(_NAMED))}")
    return _NAMED[name]


def check_loss(name: str, loss: Loss, targets: Array) -> None:
    """TypeError where it is none (a name, a class), ValueError for targets that it does not take."""
    if isinstance(loss, type) or not callable(getattr(loss, "slope", None)):
        raise TypeError(f"{name} loss: {loss!r} is no loss; give an instance, such as HalfSquare() or Huber(0.5)")
    loss.check(targets)
