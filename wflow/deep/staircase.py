"""This file owns the staircase: an explicit start with bidirectional diversity, and the check that it has it.

Labels omega ~ U(0, 1) in each hidden layer, blocks I_k = (2^-k, 2^{1-k}] of mass 2^-k. Block m of layer i carries a
pair (f_m, g_m): what the column w_i(., c), c in I_m, should be, and what the row w_{i+1}(c, .). On I_k x I_m

    w_i = f_m(omega) if k < m, else g_k(omega'):

a column in I_m is f_m but on the blocks k >= m, a row in I_k is g_k but on the blocks m > k. The pairs enumerate dense
sets, each element infinitely often, with sup norms at most log(m + 2); so for every pair and every epsilon a block of
positive mass is epsilon-near to it: full support of ( w_i(., C), w_{i+1}(C, .) ) in L2 x L2 (derived).
Layer 1 carries w_1 in R^p in place of a column, layer L - 1 the number w_L in place of a row.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from wflow.activation import Activation, linear
from wflow.arrays import Array, count
from wflow.deep.embedding import Embedding, Weights
from wflow.deep.marginals import Dyadic, block_of
from wflow.deep.nodes import Spaces, Tensor
from wflow.deep.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Staircase(Embedding):
    """inputs: p.   hidden: L - 1.   blocks: of which rules take nodes; a sample sees them all."""

    inputs: int
    hidden: int
    blocks: int
    activations: Sequence[Activation] | Activation
    output: Activation = field(default_factory=linear)

    def __post_init__(self) -> None:
        for name in ("inputs", "hidden", "blocks"):
            count(f"Staircase {name}", getattr(self, name))

    @property
    def spaces(self) -> Spaces:
        """Dyadic blocks."""
        return [[Dyadic(self.blocks)]] * self.hidden

    def weights(self, labels: Sequence[Array]) -> Weights:
        """The functions of the blocks at the labels."""
        omegas = [u[:, 0] for u in labels]
        first = np.array([self._vector(int(m)) for m in block_of(omegas[0])]).reshape(-1, self.inputs)
        last = np.array([self._number(int(m)) for m in block_of(omegas[-1])])
        middle = [Pairs.full(self._steps(i, omegas[i], omegas[i + 1])) for i in range(self.hidden - 1)]
        return Weights(first, tuple(middle), last)

    def _steps(self, i: int, here: Array, there: Array) -> Array:
        """w between hidden layers i + 1 and i + 2, (n, m)."""
        k, m = block_of(here), block_of(there)
        columns = np.stack([self.column(i + 1, int(b))(here) for b in m], axis=1)
        rows = np.stack([self.row(i, int(b))(there) for b in k])
        return np.where(k[:, None] < m[None, :], columns, rows)

    def column(self, layer: int, m: int) -> "Wave":
        """f_m of hidden layer `layer` (from 0; at least 1)."""
        return Wave(self._coefficients(layer, m)[0])

    def row(self, layer: int, m: int) -> "Wave":
        """g_m of hidden layer `layer` (from 0; not the last)."""
        return Wave(self._coefficients(layer, m)[1])

    def _vector(self, m: int) -> Array:
        return self._coefficients(0, m)[0]

    def _number(self, m: int) -> float:
        return float(self._coefficients(self.hidden - 1, m)[1][0])

    def _coefficients(self, layer: int, m: int) -> tuple[Array, Array]:
        """Of the pair of block m: functions by cosines, the ends by numbers; zeros where log(m + 2) is exceeded."""
        level, place = _element(m, lambda s: self._sizes(layer, s))
        sizes = self._sizes(layer, level)
        found = _digits(place, level, sum(sizes))
        # sup |sum c_j cos| <= sum |c_j|
        if max(np.abs(found[: sizes[0]]).sum(), np.abs(found[sizes[0] :]).sum()) > math.log(m + 2.0):
            found = np.zeros_like(found)
        return found[: sizes[0]], found[sizes[0] :]

    def _sizes(self, layer: int, level: int) -> tuple[int, int]:
        """How many numbers a pair of that level has in each part."""
        return (
            self.inputs if layer == 0 else level,
            1 if layer == self.hidden - 1 else level,
        )


@dataclass(frozen=True, eq=False)
class Wave:
    """sum_j c_j cos(j pi omega), j = 0 .. : these with c_j rational and few are dense in L2(0, 1)."""

    coefficients: Array

    def __call__(self, omega: Array) -> Array:
        """(n,)."""
        j = np.arange(len(self.coefficients))
        return np.asarray(np.cos(np.pi * np.outer(omega, j)) @ self.coefficients)

    @property
    def size(self) -> float:
        """A bound of the sup norm."""
        return float(np.abs(self.coefficients).sum())


def _element(m: int, sizes: Callable[[int], tuple[int, int]]) -> tuple[int, int]:
    """The element of block m: 1; 1, 2; 1, 2, 3; .. , so that each comes infinitely often. As (level, place in it)."""
    turn = (math.isqrt(8 * m - 7) - 1) // 2
    place, level = m - 1 - turn * (turn + 1) // 2, 1
    while place >= (many := (2 * level * level + 1) ** sum(sizes(level))):
        place, level = place - many, level + 1
    return level, place


def _digits(place: int, level: int, length: int) -> Array:
    """Vector number `place` of those with entries j/level, |j| <= level^2: all rationals as levels grow."""
    found = np.zeros(length)
    for k in range(length):
        place, digit = divmod(place, 2 * level * level + 1)
        # 0, 1, -1, 2, -2, ..
        found[k] = ((digit + 1) // 2) * (1 if digit % 2 else -1) / level
    return found


@dataclass(frozen=True)
class Nearness:
    """How near block m of a hidden layer is to its pair: L2 distances, and what the construction proves of them."""

    layer: int
    block: int
    column: float
    row: float
    column_bound: float
    row_bound: float

    @property
    def holds(self) -> bool:
        """Both are within their bounds, but for rounding."""
        return self.column <= self.column_bound + 1e-12 and self.row <= self.row_bound + 1e-12


def nearness(start: Staircase, per_block: int = 4) -> Iterator[Nearness]:
    """Of every whole block of every hidden layer: |w_i(., c) - f_m| and |w_{i+1}(c, .) - g_m|, the largest, c in I_m.

    Where they differ, the blocks k >= m or m > k, has mass 2^{1-m} or 2^{-k}: with M the largest sup norm of a function
    of a block, at most 2 M 2^{(1-m)/2} and 2 M 2^{-m/2}. 0 where the layer has numbers in place of functions.
    """
    net = start.network(Tensor(per_block))
    omega, mass = Dyadic(start.blocks).gauss(per_block)
    blocks = block_of(omega)
    for layer in range(start.hidden):
        columns = _gaps(start.column, layer, net.middle[layer - 1].values(), omega, mass) if layer else {}
        last = layer == start.hidden - 1
        rows = {} if last else _gaps(start.row, layer, net.middle[layer].values().T, omega, mass)
        largest = _largest(start, layer, range(1, int(blocks.max()) + 1))
        for m in range(1, start.blocks):
            bounds = [2.0 * largest * 2.0 ** (0.5 * (1 - m)), 2.0 * largest * 2.0 ** (-0.5 * m)]
            yield Nearness(layer, m, columns.get(m, 0.0), rows.get(m, 0.0), *bounds)


def _largest(start: Staircase, layer: int, blocks: range) -> float:
    """M over the functions that meet in the layers of weights before and behind this one."""
    columns = [start.column(i, m).size for i in (layer, layer + 1) if 0 < i < start.hidden for m in blocks]
    rows = [start.row(i, m).size for i in (layer - 1, layer) if 0 <= i < start.hidden - 1 for m in blocks]
    return max([0.0, *columns, *rows])


def _gaps(wanted: Callable[[int, int], Wave], layer: int, table: Array, omega: Array, mass: Array) -> dict[int, float]:
    """max over nodes c of block m of |table[:, c] - f_m| in L2."""
    found: dict[int, float] = {}
    for c, m in enumerate(block_of(omega)):
        gap = float(np.sqrt(mass @ (table[:, c] - wanted(layer, int(m))(omega)) ** 2))
        found[int(m)] = max(found.get(int(m), 0.0), gap)
    return found
