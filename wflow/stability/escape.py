"""This file owns the one-dimensional example of SGD that leaves a minimum at which gradient descent stays.

    f = (f_1 + f_2)/2,   f_i(x) = min(p_i x^2, q_i (x - 1)^2);   p = (1, 1),  q = (.1, 1.9)

Global minima at 0, where f_i'' = 2, and at 1, where f_i'' = .2 and 3.8: sharpness a = 2 at both, s = 0 and 1.8. So
gradient descent cannot tell them apart (it stays at either up to eta = 1) and SGD at batch 1 can: at 1 it is stable in
mean square up to 4/7.24 = .552486, almost surely up to .559472, and at eta = .7 leaves at .177997 a step.
Source: Wu, Ma & E 2018, NeurIPS 31 (the example); the numbers are derived in wflow.stability.exponents.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, count, finite, positive
from wflow.errors import NotConverged


@dataclass(frozen=True)
class Valleys:
    """f_i(x) = min(flat_i x^2, sharp_i (x - 1)^2), i = 1, 2."""

    flat: tuple[float, float] = (1.0, 1.0)
    sharp: tuple[float, float] = (0.1, 1.9)

    def __post_init__(self) -> None:
        for name, pair in (("flat", self.flat), ("sharp", self.sharp)):
            if len(pair) != 2:
                raise ValueError(f"Valleys {name}: {pair!r}; give two numbers, one a loss")
            for number in pair:
                positive(f"Valleys {name}", number)

    @property
    def curvatures(self) -> Array:
        """f_i'' at x = 1, (2,)."""
        return 2.0 * np.array(self.sharp)

    @property
    def reach(self) -> float:
        """The r up to which |x - 1| < r has f_i = sharp_i (x - 1)^2 for both i: SGD is linear there."""
        p, q = np.sqrt(self.flat), np.sqrt(self.sharp)
        return float(np.min(p / (p + q)))

    def values(self, x: Array) -> Array:
        """f_i(x), (2, ...)."""
        return np.array([np.minimum(p * x**2, q * (x - 1.0) ** 2) for p, q in self._pairs])

    def slopes(self, x: Array) -> Array:
        """f_i'(x), (2, ...); where both parabolas meet, that of the one at 0."""
        return np.array(
            [
                np.where(p * x**2 <= q * (x - 1.0) ** 2, 2.0 * p * x, 2.0 * q * (x - 1.0)) for p, q in self._pairs
            ]
        )  # fmt: skip

    @property
    def _pairs(self) -> list[tuple[float, float]]:
        return list(zip(self.flat, self.sharp, strict=True))

    def after(self, x: Array, eta: float, chosen: NDArray[np.int64] | None = None) -> Array:
        """A step of gradient descent, or of SGD at batch 1 by f_1 and f_2 as chosen (0 or 1, like x)."""
        slopes = self.slopes(x)
        used = slopes.mean(axis=0) if chosen is None else np.where(chosen == 0, slopes[0], slopes[1])
        return np.asarray(x - eta * used)


def paths(toy: Valleys, start: Array, eta: float, *, steps: int, seed: int | None) -> Array:
    """x_t (steps + 1, runs) from start (runs,): SGD at batch 1 with that seed, gradient descent where it is None.

    Raises NotConverged where a path leaves every bound.
    """
    positive("paths eta", eta)
    x = finite("paths start", start)
    rng = None if seed is None else np.random.default_rng(seed)
    found = np.empty((count("paths steps", steps) + 1, *x.shape))
    found[0] = x
    for t in range(steps):
        chosen = None if rng is None else rng.integers(2, size=x.shape)
        found[t + 1] = toy.after(found[t], eta, chosen)
        _bounded(found[t + 1], eta)
    return found


def exit_times(
    toy: Valleys, eta: float, *, distance: float, radius: float, steps: int, runs: int, seed: int | None
) -> Array:
    """The first t with |x_t - 1| >= radius of each run from 1 + distance, (runs,); inf where not within `steps`."""
    positive("exit_times distance", distance)
    if not distance < positive("exit_times radius", radius):
        raise ValueError(f"exit_times distance: {distance!r} is not inside of radius {radius!r}; give a smaller one")
    x = np.full(count("exit_times runs", runs), 1.0 + distance)
    rng = None if seed is None else np.random.default_rng(seed)
    found = np.full(runs, math.inf)
    for t in range(1, count("exit_times steps", steps) + 1):
        chosen = None if rng is None else rng.integers(2, size=runs)
        x = toy.after(x, eta, chosen)
        found[(np.abs(x - 1.0) >= radius) & np.isinf(found)] = t
        if np.all(np.isfinite(found)):
            break
        _bounded(x, eta)
    return found


def _bounded(x: Array, eta: float) -> None:
    if not np.all(np.abs(x) < 1e150):
        raise NotConverged(f"paths: |x| passes 1e150 at eta = {eta:g}; take a smaller eta or fewer steps", math.inf)
