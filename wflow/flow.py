"""This file owns the initial value problem: an energy on a domain, started from a law, up to a horizon."""

import math
from dataclasses import dataclass

from wflow.arrays import positive
from wflow.domain import Box
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.law import Law


@dataclass(frozen=True, eq=False)
class Flow:
    """d_t pi = div(pi grad V[pi]) + temperature Laplace pi, pi(0) = initial, 0 <= t <= horizon.

    window: where an infinite axis keeps its mass until the horizon ((lower, upper) of one axis); grids stand on it.
    """

    energy: Energy
    domain: Box
    initial: Law
    horizon: float
    window: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        positive("Flow horizon", self.horizon)
        if not isinstance(self.energy, Energy):
            raise TypeError(f"Flow energy: got {type(self.energy).__name__}; wrap the terms, Energy(term, ...)")
        if not isinstance(self.initial, Law):
            raise TypeError(
                f"Flow initial: got {type(self.initial).__name__}; give a law (for points: Atoms(domain, points))"
            )
        for home in self.energy.homes:
            if home.dim != self.domain.dim or home.is_circle != self.domain.is_circle:
                raise ValueError(
                    f"Flow energy: a term lives on {home}, the flow on {self.domain}; give the same domain"
                )
        if self.initial.domain != self.domain:
            raise ValueError(
                f"Flow: the domain is {self.domain} but the initial law lives on {self.initial.domain}; give the same"
            )
        if self.window is not None and not (all(map(math.isfinite, self.window)) and self.window[0] < self.window[1]):
            raise ValueError(f"Flow window: {self.window} is not a bounded interval (lower, upper)")

    def grid(self, cells: int, window: tuple[float, float] | None = None) -> Grid:
        """A uniform one-dimensional grid on the domain, or on the window where the domain is infinite."""
        if self.domain.bounded and window is None:
            return Grid(self.domain, (cells,) * self.domain.dim)
        bounds = window or self.window
        if bounds is None or self.domain.dim != 1:
            raise Refused(
                "Flow: a grid on an infinite axis needs a window; set Flow(window=(lower, upper)) or the solver's own"
            )
        low = max(bounds[0], self.domain.lower[0])
        high = min(bounds[1], self.domain.upper[0])
        return Grid(Box((low,), (high,), (False,)), (cells,))
