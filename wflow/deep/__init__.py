"""Multilayer networks in the mean-field scaling: one weighted network, its flow, embeddings and their limits."""

from wflow.deep.compression import Compression, compressed
from wflow.deep.embedding import Embedding, Functions, Independent, Latent
from wflow.deep.flow import DeepFlow
from wflow.deep.gradient import Gradient, gradient, moved, risk
from wflow.deep.loop import DeepTrajectory, solve
from wflow.deep.losses import Cauchy, TanhSquare
from wflow.deep.marginals import Interval, Marginal, Normal, Point
from wflow.deep.network import Fields, Network, finite_network
from wflow.deep.nodes import MonteCarlo, Sampled, Sobol, Tensor, Watched
from wflow.deep.pairs import Pairs
from wflow.deep.rates import Rates
from wflow.deep.solver import DeepSolver, DeepState, DeepStep
from wflow.deep.staircase import Staircase

__all__ = [
    "Cauchy",
    "Compression",
    "DeepFlow",
    "DeepSolver",
    "DeepState",
    "DeepStep",
    "DeepTrajectory",
    "Embedding",
    "Fields",
    "Functions",
    "Gradient",
    "Independent",
    "Interval",
    "Latent",
    "Marginal",
    "MonteCarlo",
    "Network",
    "Normal",
    "Pairs",
    "Point",
    "Rates",
    "Sampled",
    "Sobol",
    "Staircase",
    "TanhSquare",
    "Tensor",
    "Watched",
    "compressed",
    "finite_network",
    "gradient",
    "moved",
    "risk",
    "solve",
]
