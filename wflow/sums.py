"""This file owns how sums over all pairs of data and particles are made, and nothing else decides it.

    predict:  f_i = sum_j c_j psi(x_i; w_j)          against:  sum_i r_i d^k psi(x_i; w_j), k = 0, 1, 2

| pairs n m     | neuron                                         | way                                            |
|---------------|------------------------------------------------|------------------------------------------------|
| below LEAST   | any, on few coordinates                        | the neuron's arrays of all pairs               |
|               | ridge functions on many                        | wflow.blocks, by matrix products               |
| from LEAST on | piecewise linear in two coordinates of w       | wflow.arcs, O(n + m)                           |
|               | another activation of the house, numba at hand | wflow.fused, O(n m), no array of all pairs     |
|               | any                                            | wflow.blocks, numpy in blocks                  |

All ways agree to rounding. Small sums never import numba.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from wflow import compiled
from wflow.activation import Activation, parameter_of
from wflow.arcs import Lines, bisection
from wflow.arrays import Array
from wflow.blocks import NeuronSums, RidgeBlocks
from wflow.neuron import Neuron, second_derivative
from wflow.ridge import Ridge, ridge_of

LEAST = 1 << 21
"""Pairs from which on no array of all of them is made: their sum then takes numpy some 5 ms, and numba pays."""
MOST_COLUMNS = 8
"""With more coordinates the matrix product of the blocks costs more than the activation."""
_FEWEST_LINES = 32
"""With fewer data the dense loops are as fast as the search for arcs."""


class At(Protocol):
    """Sums over a table of data and some particles."""

    def forward(self, c: Array) -> Array:
        """sum_j c_j sigma(X_i . v_j) (n,)."""

    def backward(self, slope: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """S0, S1, S2 of wflow.ridge for those orders."""


class Table(Protocol):
    """Data made ready for sums."""

    def at(self, v: Array) -> At:
        """Particles v (m, q)."""


class PointSums(Protocol):
    """The sums at some points w (m, d)."""

    def predict(self, c: Array) -> Array:
        """sum_j c_j psi(x_i; w_j) (n,)."""

    def against(self, slope: Array, derivative: int) -> Array:
        """sum_i slope_i d^k psi(x_i; w_j): (m,), (m, d) or (m, d, d); Refused where there is no such derivative."""


@dataclass(frozen=True, eq=False)
class RidgeSums:
    """Of psi = a sigma(X . v)."""

    ridge: Ridge
    sigma: Activation
    a: Array | None
    v: Array
    at: At

    def predict(self, c: Array) -> Array:
        """As in PointSums."""
        return self.at.forward(c if self.a is None else c * self.a)

    def against(self, slope: Array, derivative: int) -> Array:
        """As in PointSums."""
        if derivative == 2:
            second_derivative(self.sigma, np.zeros(1))
        sums = self.at.backward(slope, self.ridge.orders(derivative))
        return self.ridge.assembled(derivative, self.a, self.v, sums)


@dataclass(frozen=True, eq=False)
class Sums:
    """The sums of a neuron over inputs x (n, p), at any points."""

    neuron: Neuron
    inputs: Array

    def at(self, w: Array) -> PointSums:
        """At points w (m, d)."""
        pairs = len(self.inputs) * len(w)
        # derivatives of all pairs are an array d times as large, which a matrix product of the blocks never makes
        whole = pairs < LEAST and (w.shape[1] <= MOST_COLUMNS + 1 or pairs * w.shape[1] < LEAST // 32)
        if whole or self._ridge is None:
            return NeuronSums(self.neuron, self.inputs, w, whole)
        a, v = self._ridge.split(w)
        return RidgeSums(self._ridge, self.neuron.activation, a, v, self._table(v).at(v))

    def _table(self, v: Array) -> Table:
        """The fastest table whose formulas hold for particles of this size; blocks for those that are not finite."""
        size = self._longest * math.sqrt(sum(float(np.dot(column, column)) for column in v.T))
        if not math.isfinite(size):
            return self._blocks
        if self._lines is not None:
            return self._lines
        table = self._fused
        return table[0] if table is not None and size <= table[1] else self._blocks

    @cached_property
    def _ridge(self) -> Ridge | None:
        return ridge_of(self.neuron)

    @cached_property
    def _columns(self) -> Array:
        assert self._ridge is not None
        return self._ridge.columns(self.inputs)

    @cached_property
    def _longest(self) -> float:
        """max_i |X_i|."""
        return math.sqrt(float(np.max(np.sum(self._columns**2, axis=1))))

    @cached_property
    def _blocks(self) -> Table:
        return RidgeBlocks(self.neuron.activation, self._columns)

    @cached_property
    def _lines(self) -> Table | None:
        """Kink lines, where sigma is piecewise linear and the kinks of all data go through one point of the plane."""
        sigma, x = self.neuron.activation, self._columns
        b = parameter_of(sigma)
        if b is None or sigma.name not in ("relu", "leaky_relu") or len(x) < _FEWEST_LINES:
            return None
        leak, threshold = (b, 0.0) if sigma.name == "leaky_relu" else (0.0, b)
        movable = x.shape[1] == 1 or (self._ridge is not None and self._ridge.bias)
        if x.shape[1] > 2 or (threshold and not movable):
            return None
        made = bisection
        if compiled.available():
            from wflow import arc_search

            made = arc_search.buckets
        return Lines.of(x, 0.5 * (1.0 + leak), 0.5 * (1.0 - leak), threshold=threshold, made=made)

    @cached_property
    def _fused(self) -> tuple[Table, float] | None:
        """Compiled loops and the largest |z| for which they hold."""
        if not compiled.available() or self._columns.shape[1] > MOST_COLUMNS:
            return None
        from wflow import formulas, fused

        sigma = formulas.formula_of(self.neuron.activation)
        return None if sigma is None else (fused.Fused(sigma, self._columns), formulas.reach(sigma))
