"""Multilayer networks in the mean-field scaling: one weighted network, its flow, embeddings and their limits."""

from wflow.deep.flow import DeepFlow
from wflow.deep.gradient import Gradient, gradient, moved, risk
from wflow.deep.loop import DeepTrajectory, solve
from wflow.deep.losses import Cauchy, TanhSquare
from wflow.deep.network import Fields, Network, finite_network
from wflow.deep.pairs import Pairs
from wflow.deep.rates import Rates
from wflow.deep.solver import DeepSolver, DeepState, DeepStep

__all__ = [
    "Cauchy",
    "DeepFlow",
    "DeepSolver",
    "DeepState",
    "DeepStep",
    "DeepTrajectory",
    "Fields",
    "Gradient",
    "Network",
    "Pairs",
    "Rates",
    "TanhSquare",
    "finite_network",
    "gradient",
    "moved",
    "risk",
    "solve",
]
