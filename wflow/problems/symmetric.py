"""This file owns problems whose symmetries make them small, after Hajjar & Chizat: odd targets, targets of one axis."""

import math

import numpy as np

from wflow.activation import activation
from wflow.arrays import Array, count, finite, positive
from wflow.axial import AxialNeuron, Colatitude, axial_inputs
from wflow.charged import Charged
from wflow.data import Data
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.measure import Particles, SignedParticles
from wflow.neuron import RidgeNeuron
from wflow.odd_dynamics import OddDynamics
from wflow.problems.problem import Problem
from wflow.terms import Risk


def odd_target(
    dim: int = 10, pairs: int = 60, cubic: float = 1.0, neurons: int = 80, seed: int = 0, horizon: float = 10.0
) -> Problem:
    """Neurons a relu(b . x) of `dim` inputs learn the odd x_1 + cubic x_1^3/6: they only ever are a linear predictor.

    pairs: of data x, -x, of which the first are N(0, I) with this seed; neurons: of the start, a multiple of four:
    (+-a, +-b), |a| = |b| = 1, directions uniform. F has its minimum at the best linear predictor (wflow.odd_dynamics),
    which is approached exponentially.
    """
    if count("neurons", neurons) % 4:
        raise ValueError(f"neurons: {neurons} is no multiple of four, as signs of a and b ask; give such a number")
    if count("pairs", pairs) < count("dim", dim):
        raise ValueError(f"pairs: {pairs} inputs leave directions of R^{dim} unseen; give at least {dim}")
    rng = np.random.default_rng(count("seed", seed, least=0))
    x = _mirrored(rng.standard_normal((pairs, dim)))
    y = x[:, 0] + float(finite("cubic", cubic)) / 6.0 * x[:, 0] ** 3
    data = Data(x, y)
    neuron = RidgeNeuron(activation("relu"), inputs=dim, outer=True)
    b = rng.standard_normal((neurons // 4, dim))
    b = _mirrored(b / np.linalg.norm(b, axis=1, keepdims=True))
    points = np.concatenate([np.column_stack([np.full(len(b), a), b]) for a in (1.0, -1.0)])
    dynamics = OddDynamics.of(data, Particles(neuron.domain, points))
    return Problem(
        Flow(Energy(Risk(neuron, data)), neuron.domain, Atoms(neuron.domain, points), positive("horizon", horizon)),
        "Hajjar & Chizat 2022, arXiv:2211.08771 (symmetries)",
        "an odd target leaves nothing but a linear predictor, at an exponential rate",
        second_moment=dynamics.second_moment,
        lowest=0.5 * float(data.weights @ (y - x @ dynamics.best) ** 2),
    )


def axis_target(dim: int = 20, nodes: int = 64, horizon: float = 12.0) -> Problem:
    """Neurons a relu(b . x), x ~ N(0, I_dim), learn |x_1| from all directions: a flow of charges on angles to the axis.

    From |a| = |b| = 1 the flow of (a, b) keeps |a| = |b|, and is the conic flow of nu = int a |b| delta_{angle of b}
    with alpha = 1/2, beta = 1 (derived: docs/symmetries.md); start: both signs alike. nodes: of the rule for x. The
    minimum, 0, is at one unit of charge on either pole.
    """
    data = axial_inputs(dim, nodes).with_targets(lambda x: np.abs(x[:, 0]))
    neuron, law = AxialNeuron(dim), Colatitude(dim)
    poles = np.array([[0.0], [math.pi]])
    return Problem(
        Flow(Energy(Risk(neuron, data)), neuron.domain, Charged(law, law, (0.5, 0.5)), positive("horizon", horizon)),
        "Hajjar & Chizat 2022, arXiv:2211.08771 (symmetries)",
        "one angle stands for dim inputs; few directions begin near the axis, and they win",
        lowest=0.0,
        charges=SignedParticles(neuron.domain, poles, np.ones(2)),
    )


def _mirrored(x: Array) -> Array:
    """x, then -x."""
    return np.concatenate([x, -x])
