"""Deep mean-field residual networks: z' = int psi(z; w) dpi_s(w), its finite nets, and flows in conditional W2."""

from wflow.deep.residual.flow import ResidualFlow
from wflow.deep.residual.gradient import ResidualGradient, gradient, moved, potentials, risk
from wflow.deep.residual.law import GaussianPath
from wflow.deep.residual.limit import Limit, end_state, euler_state, limit
from wflow.deep.residual.loop import ResidualTrajectory, solve
from wflow.deep.residual.net import ResidualNet
from wflow.deep.residual.solver import ResidualSolver, ResidualState, ResidualStep

__all__ = [
    "GaussianPath",
    "Limit",
    "ResidualFlow",
    "ResidualGradient",
    "ResidualNet",
    "ResidualSolver",
    "ResidualState",
    "ResidualStep",
    "ResidualTrajectory",
    "end_state",
    "euler_state",
    "gradient",
    "limit",
    "moved",
    "potentials",
    "risk",
    "solve",
]
