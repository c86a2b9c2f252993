"""Dense multilayer networks: value, gradient, exact Hessian-vector products, sharpness and non-uniformity.

Built for real networks on real data, where no measure stands behind the neurons; see docs/real_networks.md.
"""

from wflow.perceptron.hessian import hessian_times, variance_times
from wflow.perceptron.losses import CrossEntropy, HalfSquares, VectorLoss
from wflow.perceptron.network import Perceptron
from wflow.perceptron.risk import EmpiricalRisk, Pass
from wflow.perceptron.sharpness import Largest, largest, nonuniformity, sharpness

__all__ = [
    "CrossEntropy",
    "EmpiricalRisk",
    "HalfSquares",
    "Largest",
    "Pass",
    "Perceptron",
    "VectorLoss",
    "hessian_times",
    "largest",
    "nonuniformity",
    "sharpness",
    "variance_times",
]
