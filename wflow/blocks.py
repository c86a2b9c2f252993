"""This file owns sums over pairs of data and particles in plain numpy, in blocks of particles: memory stays bounded.

It takes any neuron, and is the oracle of wflow.fused and wflow.arcs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array
from wflow.neuron import Neuron, second_derivative

# pairs in a block of ridge functions: half a megabyte, which stays in the second cache
_PAIRS = 1 << 16
# numbers in a block of any other neuron's derivatives
_NUMBERS = 1 << 20


@dataclass(frozen=True, eq=False)
class NeuronSums:
    """By the neuron's own arrays of all pairs, at once if `whole`."""

    neuron: Neuron
    inputs: Array
    w: Array
    whole: bool

    def predict(self, c: Array) -> Array:
        """sum_j c_j psi(x_i; w_j) (n,)."""
        total = np.zeros(len(self.inputs))
        for part in self._parts(0):
            total += self._features(0, part) @ c[part]
        return total

    def against(self, slope: Array, derivative: int) -> Array:
        """sum_i slope_i d^k psi(x_i; w_j): (m,), (m, d) or (m, d, d)."""
        parts = [np.tensordot(slope, self._features(derivative, part), axes=(0, 0)) for part in self._parts(derivative)]
        return np.concatenate(parts)

    def value(self) -> Array:
        """psi (n, m)."""
        return self._features(0, slice(None))

    def gradient(self) -> Array:
        """d_w psi (n, m, d)."""
        return self._features(1, slice(None))

    def _features(self, derivative: int, part: slice) -> Array:
        """psi or a derivative at some points; values and gradients of all are kept, as they are asked for again."""
        if self.whole and derivative < 2:
            return self._gradient if derivative else self._value
        feature = (self.neuron.value, self.neuron.gradient, self.neuron.curvature)[derivative]
        return feature(self.inputs, self.w[part])

    @cached_property
    def _value(self) -> Array:
        return self.neuron.value(self.inputs, self.w)

    @cached_property
    def _gradient(self) -> Array:
        return self.neuron.gradient(self.inputs, self.w)

    def _parts(self, derivative: int) -> Iterator[slice]:
        m, d = self.w.shape
        size = m if self.whole else max(1, _NUMBERS // (len(self.inputs) * d**derivative))
        return (slice(start, start + size) for start in range(0, m, size))


@dataclass(frozen=True, eq=False)
class RidgeBlocks:
    """Sums over sigma(X_i . v_j), X (n, q)."""

    sigma: Activation
    x: Array

    def at(self, v: Array) -> "RidgeBlocksAt":
        """Particles v (m, q)."""
        return RidgeBlocksAt(self, v)


@dataclass(frozen=True, eq=False)
class RidgeBlocksAt:
    """The same at particles."""

    table: RidgeBlocks
    v: Array

    def forward(self, c: Array) -> Array:
        """sum_j c_j sigma(X_i . v_j) (n,)."""
        total = np.zeros(len(self.table.x))
        for part, z in self._blocks():
            total += c[part] @ self.table.sigma.value(z)
        return total

    def backward(self, slope: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """S0 (m,), S1 (m, q), S2 (m, q, q) of wflow.ridge for those orders."""
        sigma, m = self.table.sigma, len(self.v)
        columns = [moments(self.table.x, slope, order) for order in orders]
        out = [np.empty((m, y.shape[1])) for y in columns]
        for part, z in self._blocks():
            for order, y, sums in zip(orders, columns, out, strict=True):
                factor = second_derivative(sigma, z) if order == 2 else (sigma.value, sigma.slope)[order](z)
                np.matmul(factor, y, out=sums[part])
        return tuple(unfolded(sums, self.v.shape[1], order) for order, sums in zip(orders, out, strict=True))

    def _blocks(self) -> Iterator[tuple[slice, Array]]:
        x = self.table.x
        size = max(1, _PAIRS // len(x))
        for start in range(0, len(self.v), size):
            part = slice(start, min(start + size, len(self.v)))
            yield part, self.v[part] @ x.T


def moments(x: Array, slope: Array, order: int) -> Array:
    """What sigma, sigma' or sigma'' is summed against: slope (n, 1), slope x (n, q), slope x_k x_l, k <= l."""
    if order == 0:
        return slope[:, None]
    if order == 1:
        return slope[:, None] * x
    first, other = np.triu_indices(x.shape[1])
    return slope[:, None] * x[:, first] * x[:, other]


def unfolded(sums: Array, q: int, order: int) -> Array:
    """(m, 1), (m, q) or (m, q (q + 1)/2) as (m,), (m, q) or symmetric (m, q, q)."""
    if order < 2:
        return sums[:, 0] if order == 0 else sums
    first, other = np.triu_indices(q)
    out = np.empty((len(sums), q, q))
    out[:, first, other] = out[:, other, first] = sums
    return out
