"""This file owns orders of errors whose size scatters from one number of steps to the next: fitted, with a deviation.

Where V bends, a step of length dt over the bend errs by dt^p K(theta), theta the share of the step at which it lies
(Energy.jumps): |K| is bounded, but no two numbers of steps have the same theta. log2 of two errors in succession then
has a deviation of 1 and more (seen while building: .87 and 3.2 of 2), whatever the number of steps. Their slope over
many levels has a small one.
"""

import math
from dataclasses import dataclass

import numpy as np

from wflow.convergence import Laboratory, distance, imbalance, norm_of
from wflow.solver import Solver

_LEVELS, _PER_DOUBLING, _FINEST = 33, 8, 4


@dataclass(frozen=True)
class Fitted:
    """Errors (k,) at the numbers of steps `levels` (k,), in the norm of that name."""

    levels: tuple[int, ...]
    errors: tuple[float, ...]
    norm: str

    @property
    def order(self) -> float:
        """The least-squares slope of -log error in log steps."""
        return self._fit[0]

    @property
    def deviation(self) -> float:
        """Its standard error, from what the errors scatter about the line."""
        return self._fit[1]

    @property
    def _fit(self) -> tuple[float, float]:
        x, y = np.log(self.levels), -np.log(np.maximum(self.errors, np.finfo(float).tiny))
        x, y = x - x.mean(), y - y.mean()
        slope = float(x @ y / (x @ x))
        return slope, math.sqrt(float(np.sum((y - slope * x) ** 2)) / (len(x) - 2) / float(x @ x))

    def __str__(self) -> str:
        count, first, last = len(self.levels), self.levels[0], self.levels[-1]
        return f"{self.norm}, fitted to {count} numbers of steps {first}..{last}, deviation {self.deviation:.2f}"


def fitted_in_time(lab: Laboratory, solver: Solver, first: int) -> Fitted:
    """Distances of ends after first 2^(j/8) steps, j = 0, .., 32, to that after four times the most."""
    counts = _counts(first)
    finest = lab.run(solver, _FINEST * counts[-1]).final
    ends = [lab.run(solver, n).final for n in counts]
    return Fitted(counts, tuple(distance(end, finest) for end in ends), norm_of(finest, finest))


def fitted_identity(lab: Laboratory, solver: Solver, first: int) -> Fitted:
    """|F_0 - F_end - dissipated| after as many steps."""
    counts = _counts(first)
    return Fitted(counts, tuple(imbalance(lab.run(solver, n)) for n in counts), "residual")


def _counts(first: int) -> tuple[int, ...]:
    return tuple(round(first * 2.0 ** (j / _PER_DOUBLING)) for j in range(_LEVELS))
