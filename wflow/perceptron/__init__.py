"""Dense multilayer networks: value, gradient, exact Hessian-vector products, sharpness and non-uniformity.

Built for real networks on real data, where no measure stands behind the neurons; see docs/real_networks.md.
"""

from wflow.perceptron.hessian import hessian_times, variance_times
from wflow.perceptron.losses import CrossEntropy, HalfSquares, VectorLoss
from wflow.perceptron.matching import Assignment, Match, assignment, matched, neurons, permuted, w2_of_neurons
from wflow.perceptron.network import Perceptron
from wflow.perceptron.paths import Way, along, barrier, barrier_bound, between, curvature_bound
from wflow.perceptron.rescaling import balanced, rescaled
from wflow.perceptron.risk import EmpiricalRisk, Pass
from wflow.perceptron.sharpness import Largest, largest, nonuniformity, sharpness

__all__ = [
    "Assignment",
    "CrossEntropy",
    "EmpiricalRisk",
    "HalfSquares",
    "Largest",
    "Match",
    "Pass",
    "Perceptron",
    "VectorLoss",
    "Way",
    "along",
    "assignment",
    "balanced",
    "barrier",
    "barrier_bound",
    "between",
    "curvature_bound",
    "hessian_times",
    "largest",
    "matched",
    "neurons",
    "nonuniformity",
    "permuted",
    "rescaled",
    "sharpness",
    "variance_times",
    "w2_of_neurons",
]
