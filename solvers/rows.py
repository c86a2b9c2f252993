"""This file owns how a method draws the data of a step."""

from dataclasses import dataclass

import numpy as np

from wflow.data import Data
from wflow.errors import Refused


@dataclass(frozen=True)
class Replaced:
    """Each row of a batch drawn anew, with the chance of its weight: batches are independent and unbiased."""

    def refusal(self, data: Data) -> str | None:
        """None: every quadrature and every sample is such a law."""
        return None

    def batch(self, data: Data, size: int, seed: int, step: int) -> Data:
        """The rows (size,) of that step."""
        chosen = np.random.default_rng([seed, step]).choice(len(data), size=size, p=data.weights)
        return Data(data.inputs[chosen], data.targets[chosen])


@dataclass(frozen=True)
class Epochs:
    """Every row once an epoch, in an order drawn for each: batches follow one another and may end an epoch inside."""

    def refusal(self, data: Data) -> str | None:
        """Rows of different weights: each is seen as often as any other."""
        if np.ptp(data.weights) > 1e-12 * data.weights.max():
            return "the data are weighted, and each row would be seen once an epoch whatever its weight; use Replaced()"
        return None

    def batch(self, data: Data, size: int, seed: int, step: int) -> Data:
        """The rows of that step."""
        place = step * size + np.arange(size)
        epochs, n = place // len(data), len(data)
        orders = {int(e): np.random.default_rng([seed, int(e)]).permutation(n) for e in np.unique(epochs)}
        chosen = np.array([orders[int(e)][p % n] for e, p in zip(epochs, place, strict=True)])
        return Data(data.inputs[chosen], data.targets[chosen])


@dataclass(frozen=True)
class OnePass(Epochs):
    """One epoch: no row is seen twice. Raises Refused where the rows are used up."""

    def batch(self, data: Data, size: int, seed: int, step: int) -> Data:
        """The rows of that step."""
        if (step + 1) * size > len(data):
            raise Refused(
                f"OnePass: {len(data)} rows are used up after {step} steps of {size}; take more rows, longer or fewer "
                "steps, smaller batches, or Epochs()"
            )
        return super().batch(data, size, seed, step)


@dataclass(frozen=True)
class Fresh:
    """New data each step, from the law that the data are a quadrature of: one pass over an endless sample."""

    def refusal(self, data: Data) -> str | None:
        """Data of which no law is known."""
        if data.law is None:
            return "no law of the data is known to draw fresh ones from (Data.law); use Replaced()"
        return None

    def batch(self, data: Data, size: int, seed: int, step: int) -> Data:
        """Drawn for that step."""
        assert data.law is not None
        return data.law(size, np.random.default_rng([seed, step]))


Rows = Replaced | Epochs | Fresh
