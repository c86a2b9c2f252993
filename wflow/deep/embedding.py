"""This file owns neuronal embeddings: starts of multilayer networks as functions of labels drawn layer by layer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wflow.activation import Activation, linear
from wflow.arrays import Array, shaped
from wflow.deep.marginals import Interval, Marginal, Point
from wflow.deep.network import Network
from wflow.deep.nodes import Cloud, Rule, Sampled, Spaces
from wflow.deep.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Weights:
    """w_1 (n_1, p), w_2 .. w_{L-1}, w_L (n_{L-1},) and biases on some nodes."""

    first: Array
    middle: tuple[Pairs, ...]
    last: Array
    biases: tuple[Array | None, ...] = ()


class Embedding(ABC):
    """Labels C_i ~ P_i, independent over the hidden layers i, and weights w_i^0(C_{i-1}, C_i) that they determine.

    `network(rule)` is the mean-field limit's start on quadrature nodes, `network(Sampled(n, seed))` that of a finite
    network.   Source: Nguyen & Pham 2020, arXiv:2001.11443 (neuronal embedding).
    """

    activations: Sequence[Activation] | Activation
    output: Activation

    @property
    @abstractmethod
    def spaces(self) -> Spaces:
        """The laws of the labels' coordinates, a product for each of the L - 1 hidden layers."""

    @property
    def depth(self) -> int:
        """L."""
        return len(self.spaces) + 1

    @abstractmethod
    def weights(self, labels: Sequence[Array]) -> Weights:
        """The weights on labels (n_i, k_i); means where they are random given these."""

    def drawn(self, labels: Sequence[Array], seed: int) -> Weights:
        """The weights of a finite network: the same, unless they are random given the labels."""
        return self.weights(labels)

    def network(self, nodes: Rule) -> Network:
        """The start on the nodes of a rule, or a finite network."""
        if not isinstance(nodes, Rule):
            raise TypeError(f"nodes: {nodes!r} is no rule; give Tensor(n), Sobol(n), MonteCarlo(n) or Sampled(n, seed)")
        cloud = nodes.cloud(self.spaces)
        made = self.drawn(cloud.labels, nodes.seed) if isinstance(nodes, Sampled) else self.weights(cloud.labels)
        return self._assembled(cloud, made)

    def _assembled(self, cloud: Cloud, made: Weights) -> Network:
        sigmas: Any = self.activations  # one or several, as Network takes them
        return Network(cloud.masses, made.first, made.middle, made.last, sigmas, self.output, made.biases)


@dataclass(frozen=True)
class Independent(Embedding):
    """Independent weights: rows of w_1 ~ product of `first`, entries of w_i ~ middle[i - 2], of w_L ~ `last`.

    Of the middle layers only the means act in the limit (law of large numbers), so that labels are the rows of w_1 in
    layer 1 and the entries of w_L in layer L - 1; layers 2 .. L - 2 have none: on a rule they are ONE node each, the
    collapsed system of docs/multilayer.md. A finite network draws all entries.
    biases: a law a hidden layer or None; a Point is a constant, any other adds a coordinate to the layer's label, and
    with it the collapse is no claim.
    Source: Nguyen & Pham 2020, arXiv:2001.11443; Araujo, Oliveira & Yukimura 2019, arXiv:1906.00193.
    """

    first: Sequence[Marginal]
    middle: Sequence[Marginal]
    last: Marginal
    activations: Sequence[Activation] | Activation
    output: Activation = field(default_factory=linear)
    biases: Sequence[Marginal | None] = ()

    def __post_init__(self) -> None:
        for name in ("first", "middle", "biases"):
            if not isinstance(getattr(self, name), Sequence):
                raise TypeError(f"Independent {name}: {getattr(self, name)!r} is no list; give a list of laws")
        for law in (*self.first, *self.middle, self.last, *(b for b in self.biases if b is not None)):
            if not isinstance(law, Marginal):
                raise TypeError(f"Independent: {law!r} is no law; give Interval, Normal or Point")
        if not self.first:
            raise ValueError("Independent first: no law; give one for each input")
        if self.biases and len(self.biases) != len(self.middle) + 1:
            raise ValueError(
                f"Independent biases: {len(self.biases)} for {len(self.middle) + 1} hidden layers; give one a layer"
            )

    @property
    def spaces(self) -> Spaces:
        """Rows of w_1 and random bias; random biases alone; entries of w_L and random bias."""
        hidden = len(self.middle) + 1
        found: list[list[Marginal]] = [[] for _ in range(hidden)]
        found[0] += self.first
        found[-1].append(self.last)
        for laws, bias in zip(found, self._laws_of_biases, strict=True):
            if bias is not None and not isinstance(bias, Point):
                laws.append(bias)
        return found

    @property
    def _laws_of_biases(self) -> Sequence[Marginal | None]:
        return self.biases or (None,) * (len(self.middle) + 1)

    def weights(self, labels: Sequence[Array]) -> Weights:
        """The middle weights are their means, products of rank one."""
        sizes = [len(u) for u in labels]
        means = tuple(
            Pairs.products(np.full((1, n), law.mean), np.ones((1, m)))
            for n, m, law in zip(sizes, sizes[1:], self.middle, strict=False)
        )
        p = len(self.first)
        at = p if len(labels) == 1 else 0
        return Weights(labels[0][:, :p], means, labels[-1][:, at], self._biases(labels))

    def drawn(self, labels: Sequence[Array], seed: int) -> Weights:
        """Every entry of a middle layer independent, by [seed, 1000 + layer]."""
        sizes, tables = [len(u) for u in labels], []
        for i, law in enumerate(self.middle):
            rng = np.random.default_rng([seed, 1000 + i])
            tables.append(Pairs.full(law.quantile(rng.random((sizes[i], sizes[i + 1])))))
        means = self.weights(labels)
        return Weights(means.first, tuple(tables), means.last, means.biases)

    def _biases(self, labels: Sequence[Array]) -> tuple[Array | None, ...]:
        """Constants, or the last coordinate of the label."""
        return tuple(
            None if law is None else np.full(len(u), law.mean) if isinstance(law, Point) else u[:, -1]
            for u, law in zip(labels, self._laws_of_biases, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Functions(Embedding):
    """Weights that labels determine, by functions that are given.

    first: u (n, k_1) -> (n, p).   middle[i]: u (n, k_{i+1}), v (m, k_{i+2}) -> (n, m).   last: v (m, k_{L-1}) -> (m,).
    biases: functions u (n, k_i) -> (n,), or None.
    """

    laws: Spaces
    first: Callable[[Array], Array]
    middle: Sequence[Callable[[Array, Array], Array]]
    last: Callable[[Array], Array]
    activations: Sequence[Activation] | Activation
    output: Activation = field(default_factory=linear)
    biases: Sequence[Callable[[Array], Array] | None] = ()

    def __post_init__(self) -> None:
        if len(self.middle) != len(self.laws) - 1:
            raise ValueError(
                f"Functions middle: {len(self.middle)} functions between {len(self.laws)} hidden layers; "
                f"give {len(self.laws) - 1}"
            )

    @property
    def spaces(self) -> Spaces:
        """As given."""
        return self.laws

    def weights(self, labels: Sequence[Array]) -> Weights:
        """The functions at the labels."""
        middle = tuple(Pairs.full(f(u, v)) for f, u, v in zip(self.middle, labels, labels[1:], strict=False))
        biases = tuple(None if b is None else b(u) for b, u in zip(self.biases, labels, strict=False))
        return Weights(self.first(labels[0]), middle, self.last(labels[-1]), biases)


@dataclass(frozen=True, eq=False)
class Latent(Embedding):
    """Every neuron has v ~ U[-1, 1]^K: w_1 = A v + a, w_i(c, c') = mean + strength <v(c), v(c')>, w_L = b.v + beta.

    Correlated weights of rank K + 1: no layer collapses at any depth, since v enters w_1 and w_L as well as the layers
    between. Its diversity is K-dimensional: the global convergence theorem, which asks for full support in L2, does not
    apply (`Staircase` is an embedding to which it does).
    into: A (p, K).   shift: a (p,).   out: b (K,).   level: beta.
    """

    into: Array
    shift: Array
    means: Sequence[float]
    strength: float
    out: Array
    level: float
    activations: Sequence[Activation] | Activation
    output: Activation = field(default_factory=linear)

    def __post_init__(self) -> None:
        into = shaped("Latent into", self.into, (None, None))
        object.__setattr__(self, "into", into)
        object.__setattr__(self, "shift", shaped("Latent shift", self.shift, (into.shape[0],)))
        object.__setattr__(self, "out", shaped("Latent out", self.out, (into.shape[1],)))
        for name, numbers in (("means", (None,) if len(self.means) else (0,)), ("strength", ()), ("level", ())):
            shaped(f"Latent {name}", getattr(self, name), numbers)

    @property
    def spaces(self) -> Spaces:
        """K coordinates in each hidden layer."""
        return [[Interval(-1.0, 1.0)] * self.into.shape[1]] * (len(self.means) + 1)

    def weights(self, labels: Sequence[Array]) -> Weights:
        """Sums of K + 1 products."""
        middle = tuple(
            Pairs.products(
                np.vstack([np.full(len(u), float(mean)), self.strength * u.T]), np.vstack([np.ones(len(v)), v.T])
            )
            for mean, u, v in zip(self.means, labels, labels[1:], strict=False)
        )
        return Weights(labels[0] @ self.into.T + self.shift, middle, labels[-1] @ self.out + self.level)
