"""JKO minimising movements: each stage minimises F(rho) + W2^2(rho, y) / (2 tau)."""

from solvers.jko.bdf2 import Bdf2
from solvers.jko.entropic import Entropic, Heated
from solvers.jko.exact import Exact
from solvers.jko.linearised import Linearised
from solvers.jko.midpoint import Midpoint
from solvers.jko.quantile import Quantile
from solvers.jko.sdirk2 import Sdirk2
from solvers.jko.sinkhorn import Sinkhorn
from solvers.jko.spline import Spline
from solvers.jko.spline_sdirk2 import SplineSdirk2

__all__ = [
    "Bdf2",
    "Entropic",
    "Exact",
    "Heated",
    "Linearised",
    "Midpoint",
    "Quantile",
    "Sdirk2",
    "Sinkhorn",
    "Spline",
    "SplineSdirk2",
]
