"""This file owns the weighted multilayer network: one object for finite networks and for their mean-field limit."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from wflow.activation import Activation, linear
from wflow.arrays import Array, shaped, weights_of_mass_one
from wflow.deep import layers
from wflow.deep.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Fields:
    """What data see: before[i] = H_i and after[i] = phi_i(H_i) (n, n_i) of the hidden layers, total = H_L (n,)."""

    before: tuple[Array, ...]
    after: tuple[Array, ...]
    total: Array
    prediction: Array


@dataclass(frozen=True, eq=False)
class Network:
    """L layers of weights between nodes c that carry masses p_i(c) >= 0 of sum 1 in each of the L - 1 hidden layers.

        H_1(x, c) = w_1(c).x + b_1(c)      H_i(x, c') = sum_c p_{i-1}(c) phi_{i-1}(H_{i-1}(x, c)) w_i(c, c') + b_i(c')
        prediction = phi_L(sum_c p_{L-1}(c) phi_{L-1}(H_{L-1}(x, c)) w_L(c))

    masses 1/n: a network of width n. Quadrature weights: the mean-field limit to the accuracy of the rule. Mass 0: a
    passive node, which sees the fields and does not act on them.
    masses: L - 1 arrays (n_i,).   first: w_1 (n_1, p).   middle: w_2 .. w_{L-1}, Pairs or tables (n_{i-1}, n_i).
    last: w_L (n_{L-1},).   activations: one, or one a hidden layer.   output: phi_L.   biases: L - 1 of (n_i,) or None.
    Raises ValueError where shapes do not follow one another.
    Source: Nguyen & Pham 2020, arXiv:2001.11443 (fields); that a finite network is the limit over its own empirical
    measures is derived in docs/multilayer.md.
    """

    masses: tuple[Array, ...]
    first: Array
    middle: tuple[Pairs, ...]
    last: Array
    activations: tuple[Activation, ...]
    output: Activation = field(default_factory=linear)
    biases: tuple[Array | None, ...] = ()

    def __post_init__(self) -> None:
        hidden = len(self.masses)
        if not hidden:
            raise ValueError("Network masses: there is no hidden layer; give masses of at least one")
        sizes = [np.size(p) for p in self.masses]
        if 0 in sizes:
            raise ValueError(f"Network masses: layer {sizes.index(0) + 1} has no nodes; give every layer one or more")
        masses = tuple(
            weights_of_mass_one(f"Network masses of layer {i}", p, n) for i, (p, n) in _numbered(self, sizes)
        )
        object.__setattr__(self, "masses", masses)
        object.__setattr__(self, "first", shaped("Network first", self.first, (sizes[0], None)))
        object.__setattr__(self, "middle", _middle(self.middle, sizes))
        object.__setattr__(self, "last", shaped("Network last", self.last, (sizes[-1],)))
        object.__setattr__(self, "activations", _activations(self.activations, hidden))
        if not isinstance(self.output, Activation):
            raise TypeError(f"Network output: got {self.output!r}; pass activation(name), or leave it out for none")
        object.__setattr__(self, "biases", _biases(self.biases, sizes))

    @property
    def depth(self) -> int:
        """L, the number of layers of weights."""
        return len(self.masses) + 1

    @property
    def widths(self) -> tuple[int, ...]:
        """n_1 .. n_{L-1}."""
        return tuple(len(p) for p in self.masses)

    def fields(self, x: Array) -> Fields:
        """All fields at inputs x (n, p), which are not checked: it is done at every stage."""
        h = x @ self.first.T
        before: list[Array] = []
        after: list[Array] = []
        for i, sigma in enumerate(self.activations):
            if i:
                h = self.middle[i - 1].forward(after[-1] * self.masses[i - 1])
            bias = self.biases[i]
            before.append(h if bias is None else h + bias)
            after.append(layers.values(sigma, before[-1]))
        total = (after[-1] * self.masses[-1]) @ self.last
        return Fields(tuple(before), tuple(after), total, self.output.value(total))

    def predict(self, x: Array) -> Array:
        """(n,), at inputs x (n, p); ValueError for others."""
        return self.fields(shaped("Network inputs", x, (None, self.first.shape[1]))).prediction

    def arrays(self) -> dict[str, Array]:
        """What a flow moves, by name."""
        found = {"first": self.first, "last": self.last}
        for i, w in enumerate(self.middle, 2):
            found |= {f"left.{i}": w.left, f"right.{i}": w.right}
            found |= {} if w.table is None else {f"table.{i}": w.table}
        return found | {f"bias.{i}": b for i, b in enumerate(self.biases, 1) if b is not None}

    def holding(self, arrays: dict[str, Array]) -> "Network":
        """The same network with these in their place, which are not checked again."""
        middle = tuple(
            Pairs(arrays.get(f"table.{i}"), arrays[f"left.{i}"], arrays[f"right.{i}"])
            for i in range(2, len(self.middle) + 2)
        )
        biases = tuple(arrays.get(f"bias.{i}") for i in range(1, len(self.biases) + 1))
        return replace_weights(self, first=arrays["first"], middle=middle, last=arrays["last"], biases=biases)

    def tabled(self) -> "Network":
        """The same with a table in every middle layer."""
        return replace_weights(self, middle=tuple(Pairs.full(w.values()) for w in self.middle))

    def settled(self) -> "Network":
        """The same with all products added into the tables."""
        return replace_weights(self, middle=tuple(w.settled() for w in self.middle))


def replace_weights(net: Network, **new: object) -> Network:
    """The network with other weights of the same shapes, which are not checked again: it is done at every stage."""
    made = object.__new__(Network)
    for name in net.__dataclass_fields__:
        object.__setattr__(made, name, new.get(name, getattr(net, name)))
    return made


def finite_network(
    first: Array,
    middle: Sequence[Array],
    last: Array,
    activations: Activation | Sequence[Activation],
    *,
    output: Activation | None = None,
    biases: Sequence[Array | None] = (),
) -> Network:
    """A network of equal masses 1/n_i from its tables: w_1 (n_1, p), w_i (n_{i-1}, n_i), w_L (n_{L-1},)."""
    first = shaped("finite_network first", first, (None, None))
    tables = tuple(Pairs.full(w) for w in middle)
    masses = tuple(np.full(n, 1.0 / n) for n in [len(first), *(w.shape[1] for w in tables)])
    out = linear() if output is None else output
    return Network(masses, first, tables, last, activations, out, tuple(biases))  # type: ignore[arg-type]


def with_activations(net: Network, activations: Activation | Sequence[Activation]) -> Network:
    """The same weights under other activations."""
    return replace(net, activations=activations)  # type: ignore[arg-type]


def _numbered(net: Network, sizes: Sequence[int]) -> list[tuple[int, tuple[Array, int]]]:
    return list(enumerate(zip(net.masses, sizes, strict=True), 1))


def _middle(given: Sequence[Pairs | Array], sizes: Sequence[int]) -> tuple[Pairs, ...]:
    if len(given) != len(sizes) - 1:
        raise ValueError(f"Network middle: {len(given)} layers between {len(sizes)} hidden ones; give {len(sizes) - 1}")
    made = tuple(w if isinstance(w, Pairs) else Pairs.full(w) for w in given)
    for i, w in enumerate(made):
        if w.shape != (sizes[i], sizes[i + 1]):
            raise ValueError(
                f"Network middle: w_{i + 2} has shape {w.shape}, but its layers have {sizes[i]} and {sizes[i + 1]} "
                "nodes; the first axis is the layer nearer to the input"
            )
    return made


def _activations(given: Activation | Sequence[Activation], hidden: int) -> tuple[Activation, ...]:
    found = tuple(given) if isinstance(given, list | tuple) else (given,)
    for sigma in found:
        if not isinstance(sigma, Activation):
            raise TypeError(f"Network activations: got {sigma!r}; pass activation(name)")
    if len(found) == 1:
        found = found * hidden
    if len(found) != hidden:
        raise ValueError(f"Network activations: {len(found)} for {hidden} hidden layers; give one, or one a layer")
    return found


def _biases(given: Sequence[Array | None], sizes: Sequence[int]) -> tuple[Array | None, ...]:
    if not given:
        return (None,) * len(sizes)
    if len(given) != len(sizes):
        raise ValueError(f"Network biases: {len(given)} for {len(sizes)} hidden layers; give one a layer, or none")
    return tuple(
        None if b is None else shaped(f"Network bias of layer {i}", b, (n,))
        for i, (b, n) in enumerate(zip(given, sizes, strict=True), 1)
    )
