"""JKO minimising movements: each stage minimises F(rho) + W2^2(rho, y) / (2 tau)."""

from solvers.jko.bdf2 import Bdf2
from solvers.jko.entropic import Entropic, Heated
from solvers.jko.exact import Exact
from solvers.jko.hats import Hats
from solvers.jko.linearised import Linearised
from solvers.jko.midpoint import Midpoint
from solvers.jko.quantile import Quantile
from solvers.jko.quantile_dual import QuantileDual
from solvers.jko.risk_dual import RiskDual
from solvers.jko.sdirk2 import Sdirk2
from solvers.jko.sinkhorn import Sinkhorn
from solvers.jko.soft_min import SoftMin
from solvers.jko.spline import Spline
from solvers.jko.spline_sdirk2 import SplineSdirk2

__all__ = [
    "Bdf2",
    "Entropic",
    "Exact",
    "Hats",
    "Heated",
    "Linearised",
    "Midpoint",
    "Quantile",
    "QuantileDual",
    "RiskDual",
    "Sdirk2",
    "Sinkhorn",
    "SoftMin",
    "Spline",
    "SplineSdirk2",
]
