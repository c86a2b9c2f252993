"""This file owns how near a network of depth four comes to what a deeper limit has become, as functions.

The limit of L >= 5 layers from independent starts is a chain of width one through layers 2 .. L - 2: a function of one
number, f(x) = g(h(x)), h = H_2: g is a chain of L - 4 neurons and one more layer. A limit of depth four has the same h
and g(h) = int w_4 phi(w_3 phi(h)) dP. The best w_4 on a grid of w_3 is a least-squares problem, so what is found is the
least distance over all nets with that h and those w_3: an upper bound of that to the best net of depth four.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, count, positive, shaped
from wflow.deep.network import Network
from wflow.deep.pairs import Pairs
from wflow.errors import Refused


@dataclass(frozen=True, eq=False)
class Fit:
    """A network of depth four, and the root mean square and the largest |f - fit| over the inputs it was fitted on."""

    network: Network
    rms: float
    largest: float


def best_depth_four(net: Network, inputs: Array, *, nodes: int = 40, reach: float = 6.0) -> Fit:
    """The depth-four net with the H_2 of a collapsed net of depth 5 or more, w_3 on `nodes` points of [-reach, reach].

    inputs (n, p): on which it is fitted. Raises Refused where layer 2 has more than one node, or the depth is below 5.
    """
    count("best_depth_four nodes", nodes, least=2)
    positive("best_depth_four reach", reach)
    if net.depth < 5 or net.widths[1] != 1:
        raise Refused(f"best_depth_four: widths {net.widths}; give a collapsed net, one node in layer 2, of depth >= 5")
    inputs = shaped("best_depth_four inputs", inputs, (None, net.first.shape[1]))
    fields, sigma = net.fields(inputs), net.activations[1]
    inner, outer = fields.after[1][:, 0], np.linspace(-reach, reach, nodes)
    basis = net.activations[-1].value(np.outer(inner, outer)) / nodes
    last = np.linalg.lstsq(basis, fields.total, rcond=1e-13)[0]
    masses = (net.masses[0], net.masses[1], np.full(nodes, 1.0 / nodes))
    sigmas: Sequence[Activation] = (net.activations[0], sigma, net.activations[-1])
    middle = (net.middle[0], Pairs.full(outer[None, :]))
    biases = (net.biases[0], net.biases[1], None)
    made = Network(masses, net.first, middle, last, tuple(sigmas), net.output, biases)
    gap = made.predict(inputs) - net.predict(inputs)
    return Fit(made, float(np.sqrt(np.mean(gap**2))), float(np.abs(gap).max()))
