"""This file owns what an observed order certifies."""

from collections.abc import Iterator

import numpy as np

from wflow.certificates import Certificate
from wflow.convergence import LOST, Refinement
from wflow.fourier import FourierDensity
from wflow.measure import Measure
from wflow.scattered import Fitted

DECAYED = 1e-3
_UNSURE = 0.6


def decayed(end: Measure) -> Iterator[Certificate]:
    """The last modes of a spectral answer: what the truncation leaves out."""
    if isinstance(end, FourierDensity):
        tail = float(np.max(np.abs(end.coefficients[-4:])))
        yield Certificate("size of the last four coefficients", "at most", tail, 0.0, DECAYED)


def fitted_certificate(claim: str, found: Fitted, declared: float) -> Certificate:
    """Fitted order >= declared - .15 - two deviations, of which no more than .6 is allowed."""
    return Certificate(
        f"{claim} ({found})", "at least", found.order, declared, LOST + min(2.0 * found.deviation, _UNSURE)
    )


def order_certificate(claim: str, refinement: Refinement, declared: float) -> Certificate:
    """Observed order >= declared - .15; where nothing is left to refine, that the distance is at rounding."""
    if refinement.at_rounding:
        return Certificate(
            f"{claim}: nothing left to refine", "at most", refinement.distances[-1], 0.0, 10.0 * refinement.resolved
        )
    return Certificate(f"{claim} ({refinement})", "at least", refinement.observed, declared, LOST)
