"""This file owns the check of the bound on knots between inputs, on one data set, as the temperature falls.

Asserted by Shevchenko, Kungurtsev & Mondelli 2022, arXiv:2111.02278 (abstract), of the limit T -> 0: at most three
knots between two consecutive inputs. Derived for this model (wflow.knots.counted): at most three on a closed interval,
at most two on an open one, at most one beyond all inputs. A count at T > 0 is one at a resolution, which is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.data import Data
from wflow.knots.counted import Knots, knots
from wflow.knots.minimiser import NoisyFit, path
from wflow.knots.sparse import Noiseless, noiseless

MOST_CLOSED, MOST_INSIDE, MOST_BEYOND = 3, 2, 1


@dataclass(frozen=True, eq=False)
class Verdict:
    """Fits at falling temperatures with their knots, and the problem without noise with its own."""

    fits: tuple[NoisyFit, ...]
    found: tuple[Knots, ...]
    still: Noiseless
    known: Knots
    resolution: float

    @property
    def refuted(self) -> bool:
        """An interval has too many knots at the lowest temperature, or without noise."""
        return any(
            np.max(k.closed, initial=0) > MOST_CLOSED
            or np.max(k.inside, initial=0) > MOST_INSIDE
            or k.beyond > MOST_BEYOND
            for k in (self.found[-1], self.known)
        )

    @property
    def agrees(self) -> bool:
        """At the lowest temperature there are as many knots on each closed interval, and beyond, as without noise."""
        last = self.found[-1]
        return bool(np.array_equal(last.closed, self.known.closed)) and last.beyond == self.known.beyond

    def __str__(self) -> str:
        last = self.found[-1]
        most = f"{np.max(last.closed, initial=0)} on a closed interval, {np.max(last.inside, initial=0)} on an open one"
        if self.refuted:
            return f"refuted: {most}, at T = {self.fits[-1].temperature:.1e}"
        return (
            f"consistent at a stated resolution (T = {self.fits[-1].temperature:.1e}, "
            f"slopes to {self.resolution:.1e}): at most {most}"
        )


def verdict(
    data: Data, lam: float, shares: Sequence[float] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6), fraction: float = 1e-2
) -> Verdict:
    """Knots at temperatures shares J(0), J(0) = sum q y^2/2, and without noise.

    A knot is a change of the slope by more than `fraction` of all of them together without noise (of sum q |y| where
    there are none). Raises NotConverged where a temperature is too low for rounding (`path`).
    """
    still = noiseless(data, lam)
    scale = 0.5 * float(data.weights @ data.targets**2)
    if not scale > 0.0:
        raise ValueError("data: all targets are 0, and so is the network; there is nothing to count")
    turned = float(np.sum(np.abs(still.knots(0.0).jumps)))
    resolution = fraction * (turned or float(data.weights @ np.abs(data.targets)))
    fits = tuple(path(data, lam, [share * scale for share in shares]))
    return Verdict(fits, tuple(knots(fit, resolution) for fit in fits), still, still.knots(resolution), resolution)
