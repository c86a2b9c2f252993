"""JKO minimising movements: each step minimises F(rho) + W2^2(rho, pi) / (2 dt)."""

from solvers.jko.exact import Exact
from solvers.jko.quantile import Quantile

__all__ = ["Exact", "Quantile"]
