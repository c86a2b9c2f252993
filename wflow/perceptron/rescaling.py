"""This file owns factors of neurons that leave the function as it is: relu and leaky relu are 1-homogeneous.

sigma(c z) = c sigma(z) for c > 0, so rows of W_l and b_l times c and columns of W_{l+1} over c have the same function.
With D the diagonal of these factors, F(D theta) = F(theta): the Hessian at D theta is D^{-1} H D^{-1}, whose largest
number is at least (D^{-1} H D^{-1})_kk = H_kk/D_k^2 and so has no bound. The function tells nothing of sharpness.
Source: Dinh, Pascanu, Bengio & Bengio 2017, ICML, arXiv:1703.04933.
"""

import math
from collections.abc import Sequence

import numpy as np

from wflow.activation import piecewise_linear
from wflow.arrays import Array, count, positive, shaped
from wflow.errors import NotConverged, Refused
from wflow.perceptron.network import Perceptron


def rescaled(network: Perceptron, theta: Array, factors: Sequence[Array]) -> Array:
    """theta with what enters neuron j of hidden layer l times factors[l][j] > 0 and what leaves it over that.

    Raises Refused for activations that are not homogeneous: the function would change.
    """
    _homogeneous(network)
    if len(factors) != network.depth - 1:
        raise ValueError(f"rescaled factors: {len(factors)} for {network.depth - 1} hidden layers; give one a layer")
    layers = network.layers(network.checked(theta))
    for layer, given in enumerate(factors):
        c = shaped(f"rescaled factors[{layer}]", given, (network.widths[layer + 1],))
        if not c.min() > 0.0:
            raise ValueError(f"rescaled factors[{layer}]: least {c.min():g}; only factors > 0 pass through relu")
        (matrix, bias), (after, other) = layers[layer : layer + 2]
        with np.errstate(over="ignore"):  # looked at below
            layers[layer] = c[:, None] * matrix, None if bias is None else c * bias
            layers[layer + 1] = after / c, other
    moved = network.flat(layers)
    if not np.isfinite(moved).all():
        raise ValueError("rescaled factors: a parameter times its factor, or over it, overflows; give milder ones")
    return moved


def balanced(network: Perceptron, theta: Array, *, tolerance: float = 1e-12, limit: int = 1000) -> Array:
    """The rescaling with |row of W_l, b_l| = |column of W_{l+1}| for each hidden neuron: the least |theta|^2 of all.

    |theta|^2 is convex in the logarithms of the factors, and one layer's best is c^2 = out/in, exactly; one sweep ends
    it for one hidden layer. A neuron with one side 0 adds nothing to f: both are set to 0, as the infimum has it (its
    bias with them; a constant 0 is what such a neuron says), and so are those that only such neurons hear.
    Raises Refused for activations that are not homogeneous, NotConverged where a ratio is off 1 by more than the
    tolerance after `limit` sweeps.
    Source: Stock, Graham, Gribonval & Jegou 2019, ICLR, arXiv:1902.10416.
    """
    _homogeneous(network)
    positive("balanced tolerance", tolerance)
    theta = network.checked(theta).copy()
    for _ in range(count("balanced limit", limit)):
        off = max([_evened(network, theta, layer) for layer in range(network.depth - 1)])
        if off <= tolerance:
            return theta
    raise NotConverged(f"balanced: a neuron's sides are off by e^{off:.2e} after {limit} sweeps; raise limit", off)


def _evened(network: Perceptron, theta: Array, layer: int) -> float:
    """One layer in place; the largest |log c| that was needed, infinite where a neuron was set to 0: others feel it."""
    (matrix, bias), (after, _) = network.layers(theta)[layer : layer + 2]
    enters, leaves = _lengths(matrix if bias is None else np.c_[matrix, bias]), _lengths(after.T)
    live = (enters > 0.0) & (leaves > 0.0)
    # roots first: the quotient of lengths may overflow where that of their roots does not
    c = np.sqrt(leaves, where=live, out=np.zeros_like(leaves)) / np.sqrt(enters, where=live, out=np.ones_like(enters))
    matrix *= c[:, None]
    if bias is not None:
        bias *= c
    after *= np.divide(1.0, c, out=np.zeros_like(c), where=live)
    silenced = np.any(~live & (enters + leaves > 0.0))
    return math.inf if silenced else float(np.max(np.abs(np.log(c[live])), initial=0.0))


def _lengths(rows: Array) -> Array:
    """|row| of each, by the largest entry: squares of very small or large ones are 0 or infinite."""
    most = np.max(np.abs(rows), axis=1)
    return np.asarray(most * np.linalg.norm(rows / np.where(most > 0.0, most, 1.0)[:, None], axis=1))


def _homogeneous(network: Perceptron) -> None:
    sigma = network.activation
    if not (piecewise_linear(sigma) and sigma.kinks == (0.0,)):
        raise Refused(f"factors: {sigma} is not homogeneous, so that they change the function; take relu or leaky relu")
