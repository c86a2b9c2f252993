"""This file owns features psi(x_i; w) at the cells of a grid: tables made once, in the tensor form of the neuron.

A neuron a s(x; v) on a grid whose first axis is a needs the table of s on the other axes alone:
f_pi(x_i) = sum_v s(x_i; v) sum_a a pi(a, v) and V(a, v) = a sum_i slope_i s(x_i; v).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.grid import Grid
from wflow.neuron import Neuron, RidgeNeuron, TranslationNeuron

MOST_ENTRIES = 1 << 26
"""A table of more entries (512 MB) is not kept; its blocks are made again at each use."""
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Features:
    """psi at inputs x (n, p) and the cells of a grid (m,)."""

    neuron: Neuron
    inputs: Array
    outer: Array | None
    points: Array
    table: Array | None

    @classmethod
    def on(cls, neuron: Neuron, inputs: Array, grid: Grid) -> "Features":
        """With a table where it fits."""
        outer, points = None, grid.centres
        if isinstance(neuron, RidgeNeuron | TranslationNeuron) and neuron.outer and grid.shape[0] < grid.size:
            rest = grid.size // grid.shape[0]
            outer = grid.centres[::rest, 0]
            # neuron.value with a = 1 is s
            points = np.concatenate([np.ones((rest, 1)), grid.centres[:rest, 1:]], axis=1)
        table = neuron.value(inputs, points) if len(inputs) * len(points) <= MOST_ENTRIES else None
        return cls(neuron, inputs, outer, points, table)

    def predict(self, weights: Array) -> Array:
        """sum_j psi(x; w_j) weights_j (n,)."""
        share = weights if self.outer is None else self.outer @ weights.reshape(len(self.outer), -1)
        total = np.zeros(len(self.inputs))
        for start, block in self._blocks():
            total += block @ share[start : start + block.shape[1]]
        return total

    def against(self, slope: Array) -> Array:
        """sum_i slope_i psi(x_i; w) (m,)."""
        along = np.concatenate([slope @ block for _, block in self._blocks()])
        return along if self.outer is None else np.multiply.outer(self.outer, along).ravel()

    def _blocks(self) -> Iterator[tuple[int, Array]]:
        if self.table is not None:
            yield 0, self.table
            return
        size = max(1, _BLOCK // len(self.inputs))
        for start in range(0, len(self.points), size):
            yield start, self.neuron.value(self.inputs, self.points[start : start + size])
