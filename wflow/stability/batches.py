"""This file owns how a step of SGD draws its batch, and how much noise a batch leaves.

A step takes the mean of a batch of B of the n summands. With a_i of mean a and variance s^2 over the n,

    E (batch mean) = a,   Var (batch mean) = c s^2,   c = (n - B)/(B (n - 1)) without replacement, 1/B with   (derived)
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count


@dataclass(frozen=True)
class WithoutReplacement:
    """`batch` different ones of `data` summands, all subsets alike, drawn anew each step (epochs are not)."""

    data: int
    batch: int = 1

    def __post_init__(self) -> None:
        _check(self)
        if self.batch > self.data:
            raise ValueError(
                f"WithoutReplacement batch: {self.batch} different ones of {self.data} summands do not exist; "
                f"give at most {self.data}, or take WithReplacement"
            )

    @property
    def noise(self) -> float:
        """c = (n - B)/(B (n - 1)); 0 for the full batch."""
        return (self.data - self.batch) / (self.batch * (self.data - 1)) if self.batch < self.data else 0.0

    def counts(self, rng: np.random.Generator, runs: int) -> Array:
        """How often each summand is in the batch of each run, (runs, n)."""
        n, size = self.data, self.batch
        if size == n:
            return np.ones((runs, n))
        found = np.zeros((runs, n))
        if size == 1:
            found[np.arange(runs), rng.integers(n, size=runs)] = 1.0
            return found
        chosen = np.argpartition(rng.random((runs, n)), size, axis=1)[:, :size]
        np.put_along_axis(found, chosen, 1.0, axis=1)
        return found


@dataclass(frozen=True)
class WithReplacement:
    """`batch` summands, each drawn anew from all `data` of them."""

    data: int
    batch: int = 1

    def __post_init__(self) -> None:
        _check(self)

    @property
    def noise(self) -> float:
        """c = 1/B."""
        return 1.0 / self.batch

    def counts(self, rng: np.random.Generator, runs: int) -> Array:
        """How often each summand is in the batch of each run, (runs, n)."""
        return rng.multinomial(self.batch, np.full(self.data, 1.0 / self.data), size=runs).astype(np.float64)


Batches = WithoutReplacement | WithReplacement


def _check(draw: Batches) -> None:
    name = type(draw).__name__
    count(f"{name} data", draw.data)
    count(f"{name} batch", draw.batch)
