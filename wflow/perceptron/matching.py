"""This file owns which hidden neurons of two networks are put beside each other: permutations, by optimal transport.

With permutations P_l of hidden layers, P_0 = P_{L+1} = I, the parameters P_l W_l P_{l-1}^T, P_l b_l have the function
of W_l, b_l. A neuron of layer l is a point: its row of W_l, its bias, its column of W_{l+1}. With one hidden layer the
best permutation is W2 between the two uniform measures of m neurons (Birkhoff & von Neumann: some optimal plan is one).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from wflow.arrays import Array, count, shaped
from wflow.errors import NotConverged
from wflow.perceptron.network import Perceptron
from wflow.plans import cheapest_plan

Order = NDArray[np.intp]
_GAIN = 1e-12
"""A share of the cost below which an order that is no better but for rounding is not taken."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """a_j goes with b_{order_j}: mean |a_j - b_{order_j}|^2, and a lower bound of that for all orders, from a dual."""

    order: Order
    cost: float
    bound: float


def assignment(a: Array, b: Array) -> Assignment:
    """The permutation of least cost of points a, b (m, d) of equal mass; its cost is W2^2 of the two measures.

    Raises NotConverged where the plan is not proved optimal to 1e-9 of the largest |a_i - b_j|^2, or is none.
    Source: Peyre & Cuturi 2019, Computational Optimal Transport, prop. 2.1, through POT (wflow.plans).
    """
    a = shaped("assignment a", a, (None, None))
    b = shaped("assignment b", b, a.shape)
    squares = cdist(a, b, "sqeuclidean")
    if not np.isfinite(squares).all():
        raise ValueError(
            f"assignment a, b: squares of distances overflow, the largest entry is {np.abs([a, b]).max():.3g}; divide "
            "both by it"
        )
    if not squares.any():
        return Assignment(np.arange(len(a)), 0.0, 0.0)
    each = np.full(len(a), 1.0 / len(a))
    plan = cheapest_plan(each, each, squares)
    order = np.argmax(plan.masses, axis=1)
    cost = float(np.mean(squares[np.arange(len(a)), order]))
    off = abs(cost - plan.cost)
    if len(np.unique(order)) < len(order) or off > 1e-9 * float(squares.max()):
        raise NotConverged(
            f"assignment: the plan is no permutation: its rows' largest entries cost {cost:.9g}, all of it "
            f"{plan.cost:.9g}; use fewer points, or move ties apart", off,
        )  # fmt: skip
    return Assignment(order, cost, float(np.mean(plan.left) + np.mean(plan.right)))


def permuted(network: Perceptron, theta: Array, orders: Sequence[Order]) -> Array:
    """theta with neuron j of hidden layer l the former orders[l][j]: the same function."""
    if len(orders) != network.depth - 1:
        raise ValueError(f"permuted orders: {len(orders)} for {network.depth - 1} hidden layers; give one a layer")
    moved = network.checked(theta)
    for layer, order in enumerate(orders):
        moved = _placed(network, moved, layer, _permutation(f"permuted orders[{layer}]", order, network, layer))
    return moved


def _permutation(name: str, order: Order, network: Perceptron, layer: int) -> Order:
    width = network.widths[layer + 1]
    given = shaped(name, order, (width,))
    # as numbers: booleans and floats index otherwise, or not at all
    if not np.array_equal(np.sort(given), np.arange(width)):
        raise ValueError(f"{name}: no permutation of 0 .. {width - 1}; name each once")
    return given.astype(np.intp)


def _placed(network: Perceptron, theta: Array, layer: int, order: Order) -> Array:
    """One hidden layer permuted: rows of W_l and b_l, columns of W_{l+1}."""
    layers = network.layers(theta)
    matrix, bias = layers[layer]
    after, other = layers[layer + 1]
    layers[layer] = matrix[order], None if bias is None else bias[order]
    layers[layer + 1] = after[:, order], other
    return network.flat(layers)


def neurons(network: Perceptron, theta: Array, layer: int, *, outgoing: bool = True) -> Array:
    """Points of hidden layer 0, 1, .. (n_l, d): row of W_l, bias if any, and (`outgoing`) column of W_{l+1}."""
    if count("neurons layer", layer, least=0) > network.depth - 2:
        raise ValueError(f"neurons layer: {layer}, the hidden layers are 0 .. {network.depth - 2}; name one of them")
    layers = network.layers(network.checked(theta))
    matrix, bias = layers[layer]
    parts = [matrix] + ([] if bias is None else [bias[:, None]]) + ([layers[layer + 1][0].T] if outgoing else [])
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True, eq=False)
class Match:
    """theta has the second network's function and lies near the first's; orders (as `permuted`), |first - theta|^2.

    costs: |first - theta|^2 before the first sweep and after each; it never rises.
    """

    theta: Array
    orders: tuple[Order, ...]
    costs: tuple[float, ...]


def matched(network: Perceptron, first: Array, second: Array, *, limit: int = 100) -> Match:
    """Hidden neurons of `second` permuted so that |first - theta|^2 is small; theta has the function of `second`.

    One hidden layer: the least of all permutations, proved by a dual, in one sweep. More: each layer in turn, its
    neighbours held, until a sweep has no gain: no single layer can do better, several together might. Two beginnings,
    the order that is given and layers matched one after another by what enters them; the better end is taken.
    Raises NotConverged where sweeps still gain after `limit` of them, or where an exact step raised the cost.
    Source: Ferbach, Goujaud, Gidel & Dieuleveut 2023, arXiv:2310.19103; sweeps, Ainsworth, Hayase & Srinivasa 2023,
    ICLR, arXiv:2209.04836.
    """
    first, second = network.checked(first, "first"), network.checked(second, "second")
    count("matched limit", limit)
    same = tuple(np.arange(width) for width in network.widths[1:-1])
    begins = [same] if network.depth == 2 else [same, _forward(network, first, second)]
    return min((_swept(network, first, second, begin, limit) for begin in begins), key=lambda found: found.costs[-1])


def _forward(network: Perceptron, first: Array, second: Array) -> tuple[Order, ...]:
    """Layer by layer, by what enters each, the layer before being matched already."""
    orders: list[Order] = []
    for layer in range(network.depth - 1):
        parts = (neurons(network, theta, layer, outgoing=False) for theta in (first, second))
        orders.append(assignment(*parts).order)
        second = _placed(network, second, layer, orders[-1])
    return tuple(orders)


def _swept(network: Perceptron, first: Array, second: Array, begin: tuple[Order, ...], limit: int) -> Match:
    """Sweeps over the layers until one has no gain; a single layer's first is the best of all."""
    theta, orders = permuted(network, second, begin), list(begin)
    costs = [_apart(first, theta)]
    for _ in range(limit):
        for layer in range(network.depth - 1):
            order = _better(network, first, theta, layer)
            if order is not None:
                theta, orders[layer] = _placed(network, theta, layer, order), orders[layer][order]
        costs.append(_apart(first, theta))
        if costs[-1] > costs[-2] * (1.0 + 1e-9):
            raise NotConverged(f"matched: a sweep raised the cost from {costs[-2]:.9g} to {costs[-1]:.9g}", costs[-1])
        if network.depth == 2 or costs[-1] >= costs[-2] * (1.0 - _GAIN):
            return Match(theta, tuple(orders), tuple(costs))
    raise NotConverged(f"matched: sweeps still gain after {limit}; raise limit", costs[-2] - costs[-1])


def _better(network: Perceptron, first: Array, theta: Array, layer: int) -> Order | None:
    """The best order of one layer, its neighbours held; None where the present one is as good."""
    a, b = (neurons(network, one, layer) for one in (first, theta))
    best, now = assignment(a, b), float(np.mean(np.sum((a - b) ** 2, axis=1)))
    return best.order if best.cost < now * (1.0 - _GAIN) else None


def _apart(first: Array, theta: Array) -> float:
    return float(np.sum((first - theta) ** 2))


def w2_of_neurons(network: Perceptron, first: Array, second: Array) -> float:
    """W2 of the uniform measures of the neurons (b_j, bias, a_j) of two networks of one hidden layer."""
    if network.depth != 2:
        raise ValueError(f"w2_of_neurons: {network.depth - 1} hidden layers; a measure stands behind one only")
    ends = network.checked(first, "first"), network.checked(second, "second")
    return float(np.sqrt(assignment(*(neurons(network, theta, 0) for theta in ends)).cost))
