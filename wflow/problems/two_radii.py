"""This file owns knotted networks that tell two centred Gaussian clouds apart, of two widths in one block of inputs."""

import math
from collections.abc import Sequence

import numpy as np

from wflow.arrays import Array, count, positive
from wflow.chi import Chi
from wflow.data import Data
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.joint import Product
from wflow.knotted import knotted
from wflow.law import Gaussian
from wflow.neuron import RidgeNeuron
from wflow.problems.anisotropic import block_sizes, clouds, lengths_of_data
from wflow.problems.isotropic import CLIPPED
from wflow.problems.problem import Problem
from wflow.terms import Risk
from wflow.two_radii import TwoRadiiNeuron


def two_radii(
    d: int = 160,
    block: int = 80,
    delta: float = 0.8,
    knots: Sequence[tuple[float, float]] = CLIPPED,
    spread: float = 0.8,
    nodes: int = 4,
    window: tuple[float, float] = (2.2, 2.2),
    horizon: float = 0.4,
) -> Problem:
    """The flow of (|w_1|, |w_2|) of neurons sigma(w . x) on R^d: y = +-1 alike, x | y ~ N(0, Sigma_y), sigma knotted.

    Sigma_y and the blocks as in `anisotropic_gaussians`: (1 + y delta)^2 on the first `block` inputs, 1 on the others.
    A law that rotations of either block leave alone stays one, of (r_1, r_2) on a quarter plane, its f one of the
    lengths of x in the blocks: two axes, which cells take, where outer weights and biases would make four.
    F = E (f - y)^2/2 and V are those of R^d up to O(1/d^2) (wflow.two_radii): psi errs by .044, .010, .0027, .0007 at
    d = 40, 80, 160, 320, blocks of 3/16 d and the rest. `nodes` Gauss points an axis and class.
    Start: w ~ N(0, (spread^2/d) I). window: the longest r_1 and r_2 of grids; they hold the mass until the horizon.
    Raises ValueError unless 2 <= block <= d - 2 and 0 < delta < 1.
    """
    sizes, scale = block_sizes(d, block), positive("spread", spread) / math.sqrt(d)
    neuron = TwoRadiiNeuron(tuple(knots), sizes)
    reach = tuple((0.0, positive(f"window[{k}]", end)) for k, end in enumerate(window))
    return Problem(
        Flow(
            Energy(Risk(neuron, lengths_of_data(sizes, delta, nodes))),
            neuron.domain,
            Product(*(Chi(size, scale) for size in sizes)),
            horizon,
            reach,
        ),
        "Mei, Montanari & Nguyen 2018, PNAS 115, E7665-E7671: anisotropic Gaussians, with their clipped activation",
        "two clouds that differ in some inputs: two lengths a neuron, on cells as well as by particles",
    )


def in_two_widths(
    d: int,
    block: int,
    delta: float,
    rows: int,
    seed: int,
    knots: Sequence[tuple[float, float]] = CLIPPED,
    spread: float = 0.8,
) -> Flow:
    """The same flow on R^d, its risk on `rows` drawn data, of which fresh ones come too. Horizon 2.

    For StochasticGradient(rows=Fresh()), to be compared with the flow of lengths.
    """
    sizes = block_sizes(d, block)
    law = clouds(sum(sizes), block, delta)
    sample = law(count("rows", rows), np.random.default_rng([count("seed", seed, least=0), 1]))
    neuron = RidgeNeuron(knotted(knots), inputs=sum(sizes))
    start = Gaussian(0.0, positive("spread", spread) / math.sqrt(d), dim=sum(sizes))
    return Flow(Energy(Risk(neuron, Data(sample.inputs, sample.targets, law=law))), neuron.domain, start, 2.0)


def radii_of(w: Array, block: int) -> Array:
    """(|w_1|, |w_2|) (m, 2) of neurons w (m, d)."""
    return np.column_stack([np.linalg.norm(w[:, :block], axis=1), np.linalg.norm(w[:, block:], axis=1)])
