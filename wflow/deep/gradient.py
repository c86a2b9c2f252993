"""This file owns the backward pass: the gradient of F in the Hilbert space of weights, its norms, moves by it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.data import Data
from wflow.deep import layers
from wflow.deep.network import Fields, Network, replace_weights
from wflow.loss import Loss


@dataclass(frozen=True, eq=False)
class Gradient:
    """G_i, the gradient of F = E l(prediction, y) in L2(P_1) x L2(P_{i-1} x P_i) x .. x L2(P_{L-1}), and F itself.

        G_L(c) = E[Delta_L a_{L-1}(c)]    G_i(c, c') = E[a_{i-1}(c) Delta_i(c')]    G_1(c) = E[Delta_1(c) X]
        Delta_L = l' phi_L'    Delta_{L-1}(c) = Delta_L w_L(c) phi'(H_{L-1}(c))
        Delta_i(c) = sum_c' p_{i+1}(c') w_{i+1}(c, c') Delta_{i+1}(c') phi'(H_i(c))

    No mass stands in front of a G: a finite network's raw derivative is dF/dw_i = G_i times the masses of its ends.
    middle: the pairs (a_{i-1} (n, n_{i-1}), q Delta_i (n, n_i)) of which G_i = a^T (q Delta) is the sum over n data.
    biases: E[Delta_i], or None where there is no bias.
    """

    value: float
    first: Array
    middle: tuple[tuple[Array, Array], ...]
    last: Array
    biases: tuple[Array | None, ...]

    def table(self, i: int) -> Array:
        """G_{i+2} of the middle, i = 0 .. L - 3, as a table."""
        a, delta = self.middle[i]
        return np.asarray(a.T @ delta)

    def squares(self, masses: Sequence[Array]) -> Array:
        """|G_i|^2 in the L2 of its layer, with its bias's, i = 1 .. L: (L,)."""
        ends = [float(masses[0] @ np.sum(self.first**2, axis=1)), float(masses[-1] @ self.last**2)]
        pairs = [_square(a, delta, p, q) for (a, delta), p, q in zip(self.middle, masses, masses[1:], strict=False)]
        found = np.array([ends[0], *pairs, ends[1]])
        for i, bias in enumerate(self.biases):
            if bias is not None:
                found[i] += float(masses[i] @ bias**2)
        return found


def _square(a: Array, delta: Array, p: Array, q: Array) -> float:
    """sum_{c, c'} p q (a^T delta)^2: through the Gram matrices of the data where they are fewer than nodes."""
    if len(a) > min(a.shape[1], delta.shape[1]):
        return float(p @ (a.T @ delta) ** 2 @ q)
    roots = a * np.sqrt(p), delta * np.sqrt(q)  # r r^T of one array costs half of a product of two
    return float(np.vdot(roots[0] @ roots[0].T, roots[1] @ roots[1].T))


def risk(net: Network, data: Data, loss: Loss) -> float:
    """F = sum_k q_k l(prediction(x_k), y_k)."""
    return float(data.weights @ loss.value(net.fields(data.inputs).prediction, data.targets))


def gradient(net: Network, data: Data, loss: Loss) -> Gradient:
    """F and all G_i at once: one pass forward, one backward."""
    fields = net.fields(data.inputs)
    slope = data.weights * loss.slope(fields.prediction, data.targets) * net.output.slope(fields.total)
    deltas = _deltas(net, fields, slope)
    return Gradient(
        value=float(data.weights @ loss.value(fields.prediction, data.targets)),
        first=deltas[0].T @ data.inputs,
        middle=tuple(zip(fields.after[:-1], deltas[1:], strict=True)),
        last=slope @ fields.after[-1],
        biases=tuple(None if b is None else d.sum(axis=0) for b, d in zip(net.biases, deltas, strict=True)),
    )


def _deltas(net: Network, fields: Fields, slope: Array) -> list[Array]:
    """q Delta_1 .. q Delta_{L-1}, each (n, n_i)."""
    delta = _bent(net, fields, -1, np.outer(slope, net.last))
    found = [delta]
    for i in range(len(net.middle) - 1, -1, -1):
        delta = _bent(net, fields, i, net.middle[i].backward(delta * net.masses[i + 1]))
        found.append(delta)
    return found[::-1]


def _bent(net: Network, fields: Fields, i: int, behind: Array) -> Array:
    """behind phi_i'(H_i), in place."""
    return layers.bent(net.activations[i], fields.before[i], fields.after[i], behind)


def moved(net: Network, terms: Sequence[tuple[Array, Gradient]]) -> Network:
    """w_i - sum_j length_j[i] G_i^j for terms (lengths (L,), gradient); a layer of lengths 0 stays as it is."""
    lengths = np.array([length for length, _ in terms])
    still = ~np.any(lengths != 0.0, axis=0)
    middle = tuple(
        w if still[i + 1] else w.plus([(-float(t[i + 1]), *g.middle[i]) for t, g in terms])
        for i, w in enumerate(net.middle)
    )
    biases = tuple(
        None if b is None else b - sum(t[i] * g.biases[i] for t, g in terms if g.biases[i] is not None)
        for i, b in enumerate(net.biases)
    )
    return replace_weights(
        net,
        first=net.first - sum(t[0] * g.first for t, g in terms),
        middle=middle,
        last=net.last - sum(t[-1] * g.last for t, g in terms),
        biases=biases,
    )
