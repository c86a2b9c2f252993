"""This file owns what a JKO step on splines found: the step taken, or rest."""

from dataclasses import dataclass

from wflow.errors import NotConverged
from wflow.measure import Density


@dataclass(frozen=True, eq=False)
class Taken:
    """The end of a step, what it dissipated, its residual, the maximum of its dual.

    fallback, coarse: whether it is a plain one, and on a coarse spline.
    """

    end: Density
    dissipated: float
    residual: float
    dual: float
    fallback: bool = False
    coarse: bool = False


class AtRest(NotConverged):
    """No step that can be certified, nor one that gains what a seventh of a cell's way costs: as good as rest."""
