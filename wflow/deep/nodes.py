"""This file owns how an embedding's labels become nodes: quadrature rules, samples, and samples that only watch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.stats import qmc

from wflow.arrays import Array, count
from wflow.deep.marginals import Marginal

Spaces = Sequence[Sequence[Marginal]]
"""The laws of the labels' coordinates, one product a hidden layer; an empty product has one point."""
_FINER, _BITS = 4, 30
SCRAMBLES = 8


@dataclass(frozen=True, eq=False)
class Cloud:
    """Labels (n_i, k_i) and masses (n_i,) of each hidden layer."""

    labels: tuple[Array, ...]
    masses: tuple[Array, ...]


@runtime_checkable
class Rule(Protocol):
    """A quadrature of a product of laws, layer by layer."""

    def cloud(self, spaces: Spaces) -> Cloud:
        """Nodes with their weights."""

    def estimate(self, measure: "Measured") -> "Estimate":
        """What `measure` finds with rules like this one, and the error that this states."""


Measured = Callable[[Rule], Array]
"""A number or an array of numbers that runs with nodes by a rule lead to."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value with the size of its error, elementwise, and what that is."""

    value: Array
    error: Array
    meaning: str


@dataclass(frozen=True)
class Tensor:
    """The tensor product of Gauss rules with `nodes` of them a coordinate: spectral for smooth flows of few labels.

    nodes: one number, or one a hidden layer. Stated error: what four more nodes a coordinate change.
    """

    nodes: int | Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", _counts("Tensor nodes", self.nodes))

    def cloud(self, spaces: Spaces) -> Cloud:
        """The product nodes of each layer; a layer without labels has one."""
        made = [_tensor(laws, n) for laws, n in zip(spaces, _spread("Tensor nodes", self.nodes, spaces), strict=True)]
        return Cloud(tuple(u for u, _ in made), tuple(p for _, p in made))

    def estimate(self, measure: Measured) -> Estimate:
        """The value of the finer rule; its difference to this one's bounds the error of this one, up to its own."""
        more = self.nodes + _FINER if isinstance(self.nodes, int) else [n + _FINER for n in self.nodes]
        fine, coarse = np.asarray(measure(Tensor(more))), np.asarray(measure(self))
        return Estimate(fine, np.abs(fine - coarse), f"the change from {self.nodes} nodes a coordinate to {more}")


@dataclass(frozen=True)
class Sobol:
    """`nodes` scrambled Sobol points a layer, masses 1/nodes: error about 1/nodes, for labels of 4 to 10 coordinates.

    nodes: a power of two, one number or one a hidden layer. Layers are scrambled independently by [seed, layer]: the
    sums over layers are nested, so that the points of two layers need not be balanced together.
    Stated error: the standard error of the mean of 8 scrambles.
    """

    nodes: int | Sequence[int]
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", _counts("Sobol nodes", self.nodes))
        count("Sobol seed", self.seed, least=0)
        for n in [self.nodes] if isinstance(self.nodes, int) else self.nodes:
            if n & (n - 1):
                raise ValueError(f"Sobol nodes: {n} is no power of two, and the points are balanced only then")

    def cloud(self, spaces: Spaces) -> Cloud:
        """Equal masses."""
        return _equal(spaces, _spread("Sobol nodes", self.nodes, spaces), self._unit)

    def _unit(self, layer: int, n: int, k: int) -> Array:
        sampler = qmc.Sobol(k, bits=_BITS, rng=np.random.default_rng([self.seed, layer]))
        # multiples of 2^-30, moved to the middle of their cells: 0 would be a neuron of infinite weight by a normal law
        return np.asarray(sampler.random_base2(n.bit_length() - 1) + 0.5 ** (_BITS + 1))

    def estimate(self, measure: Measured) -> Estimate:
        """Over scrambles."""
        return _averaged([measure(Sobol(self.nodes, self.seed + k)) for k in range(SCRAMBLES)], "scrambles")


@dataclass(frozen=True)
class MonteCarlo:
    """`nodes` independent points a layer, masses 1/nodes: error about nodes^(-1/2), whatever the dimension.

    Not a finite network where weights are independent given the labels: it takes their means. Stated error: the
    standard error of the mean of 8 draws.
    """

    nodes: int | Sequence[int]
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", _counts(f"{type(self).__name__} nodes", self.nodes))
        count(f"{type(self).__name__} seed", self.seed, least=0)

    def cloud(self, spaces: Spaces) -> Cloud:
        """Equal masses."""
        return _equal(spaces, _spread("nodes", self.nodes, spaces), self._unit)

    def _unit(self, layer: int, n: int, k: int) -> Array:
        return np.random.default_rng([self.seed, layer]).random((n, k))

    def estimate(self, measure: Measured) -> Estimate:
        """Over draws."""
        return _averaged([measure(type(self)(self.nodes, self.seed + k)) for k in range(SCRAMBLES)], "draws")


@dataclass(frozen=True)
class Sampled(MonteCarlo):
    """A finite network of `nodes` neurons a layer, drawn from the embedding: weights that are random given the labels
    are drawn too.

    Neuron j of layer i has the label C_i(j), independent, and w_i(j, j') = w_i^0(C_{i-1}(j), C_i(j')).
    Source: Nguyen & Pham 2020, arXiv:2001.11443 (neuronal embedding and coupling).
    """


@dataclass(frozen=True)
class Watched:
    """The nodes of a rule, and after them in each layer the neurons of a sample with mass 0: the limit at their labels.

    The limit is then known at the labels of the finite network without interpolation.
    """

    rule: Rule
    sample: Sampled

    def cloud(self, spaces: Spaces) -> Cloud:
        """Rule first, sample after it."""
        rule, sample = self.rule.cloud(spaces), self.sample.cloud(spaces)
        labels = tuple(np.concatenate([u, v]) for u, v in zip(rule.labels, sample.labels, strict=True))
        masses = tuple(np.append(p, np.zeros(len(v))) for p, v in zip(rule.masses, sample.labels, strict=True))
        return Cloud(labels, masses)

    def estimate(self, measure: Measured) -> Estimate:
        """That of the rule."""
        return self.rule.estimate(lambda rule: measure(Watched(rule, self.sample)))


def _counts(name: str, nodes: int | Sequence[int]) -> int | tuple[int, ...]:
    if isinstance(nodes, Sequence):
        return tuple(count(name, n) for n in nodes)
    return count(name, nodes)


def _spread(name: str, nodes: int | Sequence[int], spaces: Spaces) -> Sequence[int]:
    """One number a hidden layer."""
    if isinstance(nodes, int):
        return [nodes] * len(spaces)
    if len(nodes) != len(spaces):
        raise ValueError(f"{name}: {len(nodes)} numbers for {len(spaces)} hidden layers; give one, or one a layer")
    return nodes


def _tensor(laws: Sequence[Marginal], n: int) -> tuple[Array, Array]:
    rules = [law.gauss(n) for law in laws]
    if not rules:
        return np.empty((1, 0)), np.ones(1)
    labels = np.stack([g.ravel() for g in np.meshgrid(*(u for u, _ in rules), indexing="ij")], axis=1)
    masses = rules[0][1]
    for _, q in rules[1:]:
        masses = np.outer(masses, q).ravel()
    return labels, masses / masses.sum()


def _equal(spaces: Spaces, sizes: Sequence[int], unit: Callable[[int, int, int], Array]) -> Cloud:
    """Quantiles of points in unit cubes; a layer without labels keeps its number of nodes, which are all alike."""
    labels = []
    for layer, (laws, n) in enumerate(zip(spaces, sizes, strict=True)):
        if laws:
            points = unit(layer, n, len(laws))
            labels.append(np.stack([law.quantile(points[:, j]) for j, law in enumerate(laws)], axis=1))
        else:
            labels.append(np.empty((n, 0)))
    return Cloud(tuple(labels), tuple(np.full(n, 1.0 / n) for n in sizes))


def _averaged(found: Sequence[Array], of: str) -> Estimate:
    values = np.asarray(found)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return Estimate(values.mean(axis=0), error, f"the standard error of the mean of {len(values)} {of}")
