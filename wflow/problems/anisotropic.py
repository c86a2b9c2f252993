"""This file owns relu networks that tell two centred Gaussian clouds apart, of two widths in one block of inputs."""

import math
from collections.abc import Callable

import numpy as np

from wflow.activation import relu
from wflow.arrays import Array, count, positive
from wflow.chi import Chi
from wflow.data import Data
from wflow.domain import line
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.joint import Product
from wflow.law import Atoms, Gaussian, Law
from wflow.neuron import RidgeNeuron
from wflow.problems.isotropic import radii, separation
from wflow.problems.problem import Problem
from wflow.terms import Risk
from wflow.two_blocks import TwoBlockNeuron


def anisotropic_gaussians(
    d: int = 80,
    block: int = 15,
    delta: float = 0.5,
    spread: float = 0.8,
    outer: float = 1.0,
    lean: float = 0.0,
    nodes: int = 5,
    horizon: float = 10.0,
) -> Problem:
    """The flow of (a, b, |w_1|, |w_2|) of neurons a relu(w . x + b) on R^d: y = +-1 alike, x | y ~ N(0, Sigma_y).

    Sigma_y is diagonal: (1 + y delta)^2 on the first `block` inputs, which w_1 weighs, 1 on the d - block others (w_2).
    Rotations of either block leave Sigma_y alone, hence a law pi that is invariant under them stays so: it is a law of
    (a, b, r_1, r_2), its f one of the lengths (s_1, s_2) of x in the blocks over roots of their sizes (TwoBlockNeuron),
    whose law has `nodes` Gauss points an axis and class. F = E (f - y)^2/2 and V are those of R^d, up to O(1/d^2), and
    |w_i| moves by -dV/dr_i: the same flow. Start: a ~ N(lean, outer^2), b = 0, w ~ N(0, (spread^2/d) I).
    Raises ValueError unless 2 <= block <= d - 2 and 0 < delta < 1.
    """
    sizes, data = block_sizes(d, block), lengths_of_data(block_sizes(d, block), delta, nodes)
    scale = positive("spread", spread) / math.sqrt(d)
    start = Product(*_outside(lean, outer), *(Chi(size, scale) for size in sizes))
    return Problem(
        Flow(Energy(Risk(TwoBlockNeuron(sizes), data)), TwoBlockNeuron(sizes).domain, start, horizon),
        "Mei, Montanari & Nguyen 2018, PNAS 115, E7665-E7671: anisotropic Gaussians",
        "two clouds that differ in some inputs: the weights of those and of the others, by two lengths a neuron",
    )


def in_two_blocks(
    d: int, block: int, delta: float, rows: int, seed: int, spread: float = 0.8, outer: float = 1.0, lean: float = 0.0
) -> Flow:
    """The same flow on R^(d + 2), w = (a, w_1, w_2, b), its risk on `rows` drawn data, of which fresh ones come too.

    Horizon 10. For StochasticGradient(rows=Fresh()), to be compared with the flow of lengths.
    """
    sizes, law = block_sizes(d, block), clouds(d, block, delta)
    sample = law(count("rows", rows), np.random.default_rng([count("seed", seed, least=0), 1]))
    neuron = RidgeNeuron(relu(), inputs=sum(sizes), bias=True, outer=True)
    a, b = _outside(lean, outer)
    inner = Gaussian(0.0, positive("spread", spread) / math.sqrt(d))
    return Flow(
        Energy(Risk(neuron, Data(sample.inputs, sample.targets, law=law))),
        neuron.domain,
        Product(a, *(inner,) * d, b),
        10.0,
    )


def lengths(w: Array, block: int) -> Array:
    """(a, b, |w_1|, |w_2|) (m, 4) of neurons w (m, d + 2) of `in_two_blocks`."""
    sizes = [np.linalg.norm(part, axis=1) for part in (w[:, 1 : 1 + block], w[:, 1 + block : -1])]
    return np.column_stack([w[:, 0], w[:, -1], *sizes])


def lengths_of_data(sizes: tuple[int, int], delta: float, nodes: int) -> Data:
    """The law of the lengths of x in the blocks over roots of their sizes: `nodes` Gauss points an axis and class."""
    widths = 1.0 + separation(delta) * np.array([1.0, -1.0])
    (first, p), (second, q) = (radii(float(size), nodes) for size in sizes)
    inputs = np.array([(width * s, t) for width in widths for s in first for t in second])
    weights = np.tile(np.multiply.outer(p, q).ravel(), 2)

    def law(size: int, rng: np.random.Generator) -> Data:
        y = _labels(size, rng)
        s, t = (np.sqrt(2.0 * rng.standard_gamma(0.5 * k, size) / k) for k in sizes)
        return Data(np.column_stack([(1.0 + y * delta) * s, t]), y)

    return Data(inputs, np.repeat([1.0, -1.0], len(weights) // 2), weights / weights.sum(), law)


def clouds(d: int, block: int, delta: float) -> Callable[[int, np.random.Generator], Data]:
    """Draws (x, y) of the two clouds in R^d."""
    size = separation(delta)

    def law(n: int, rng: np.random.Generator) -> Data:
        y = _labels(n, rng)
        x = rng.standard_normal((n, d))
        x[:, :block] *= (1.0 + y * size)[:, None]
        return Data(x, y)

    return law


def block_sizes(d: int, block: int) -> tuple[int, int]:
    """The two sizes; ValueError naming `block` or `d` where one is below two."""
    n, k = count("d", d, least=4), count("block", block, least=2)
    if k > n - 2:
        raise ValueError(f"block: {block!r} leaves less than two of d = {d} inputs to the other; give at most {n - 2}")
    return k, n - k


def _outside(lean: float, outer: float) -> tuple[Law, Law]:
    """The laws of a and b at the start."""
    return Gaussian(lean, positive("outer", outer)), Atoms(line(), np.zeros((1, 1)))


def _labels(n: int, rng: np.random.Generator) -> Array:
    return np.where(rng.random(n) < 0.5, 1.0, -1.0)
