"""This file owns learning rates: one number or schedule xi_i(t) >= 0 a layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, finite

Rate = float | Callable[[float], float]
"""A number, or a function of time: every wflow.schedules.Schedule is one."""


@dataclass(frozen=True)
class Rates:
    """xi_1 .. xi_L. A number stays, a function is asked; 0 freezes a layer (its biases too).

    Raises ValueError where a rate is negative or not finite, at the time it is.
    """

    layers: Sequence[Rate]

    def __post_init__(self) -> None:
        if np.ndim(self.layers) != 1:  # type: ignore[arg-type]
            raise TypeError(f"Rates layers: {self.layers!r} is no list; give one number or function of time a layer")
        layers = tuple(rate if callable(rate) else float(finite("Rates", rate)) for rate in self.layers)
        if not layers:
            raise ValueError("Rates layers: got none; give one a layer, or leave rates out")
        object.__setattr__(self, "layers", layers)
        self.at(0.0)

    @classmethod
    def equal(cls, depth: int) -> "Rates":
        """All 1."""
        return cls((1.0,) * depth)

    @property
    def constant(self) -> bool:
        """No rate depends on time."""
        return not any(callable(rate) for rate in self.layers)

    def at(self, t: float) -> Array:
        """(L,)."""
        found = np.array([_number(i, rate(t)) if callable(rate) else rate for i, rate in enumerate(self.layers, 1)])
        wrong = np.flatnonzero(~(np.isfinite(found) & (found >= 0.0)))
        if len(wrong):
            raise ValueError(
                f"Rates: xi_{wrong[0] + 1} = {found[wrong[0]]:g} at t = {t:g}; give finite rates of at least 0"
            )
        return found


def _number(i: int, value: object) -> float:
    """What a function of time returned; TypeError where it is no number."""
    if np.ndim(value) or np.asarray(value).dtype.kind not in "iuf":  # type: ignore[arg-type]
        raise TypeError(f"Rates: xi_{i} is a function that returned {value!r}; let it return one float")
    return float(value)  # type: ignore[arg-type]
