"""This file owns the minimiser that a JKO step on splines finds, with what is known of it."""

from dataclasses import dataclass

from solvers.jko._detours import Detours
from solvers.jko._price import Price
from wflow.arrays import Array
from wflow.measure import Density


@dataclass(frozen=True, eq=False)
class Minimum:
    """The minimiser, its potential's coefficients (n0, n1), the maximum of D, how far mass moved and how far it is off.

    price: U* and V of D.   moved, off: lengths, roots of mean squares.   free: under limits what a step under V alone
    costs, all that any can gain.   detours: of ways that meet obstacles, if there are any.   square: of a coupling of
    start and end that the minimiser itself knows, if it does.
    """

    end: Density
    potential: Array
    price: Price
    dual: float
    moved: float
    off: float
    free: float = 0.0
    detours: Detours | None = None
    square: float | None = None
