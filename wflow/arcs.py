"""This file owns exact sums over piecewise linear ridge functions in the plane in O(n + m): sigma(z) = al z + be |z|.

The kink line of datum x_i is the line through 0 perpendicular to x_i. The n lines cut the half plane into arcs of
directions, on each of which every sign of x_i . v is one and the same. So particles are only asked for their arc:

    f_i    = sum_j c_j sigma(x_i . v_j)      = al x_i . M + be sg_i x_i . (sum of c_j u_j before line i - after it)
    g(v_j) = sum_i r_i sigma'(x_i . v_j) x_i = al sum_i r_i x_i + be s_j table[arc of v_j]

with M = sum_j c_j v_j, u_j = s_j v_j in the upper half plane (s_j = +-1), and the table by prefix sums over the arcs. A
direction is measured by t = (1 - u_1/(|u_1| + u_2))/2 in [0, 1). A particle whose t agrees with that of a line to a few
roundings stands on the line: there sigma' is the mean of both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array

_SAME = 8.0 * float(np.finfo(np.float64).eps)

Cells = NDArray[np.int64]
Search = Callable[[Array], Cells]


def directions(v: Array, scale: Array) -> tuple[Array, NDArray[np.bool_]]:
    """t (m,) of v (m, 2) after its coordinates are multiplied by scale, and whether v was turned; nan for v = 0."""
    first, second = scale[0] * v[:, 0], scale[1] * v[:, 1]
    turned = (second < 0.0) | ((second == 0.0) & (first < 0.0))
    first = np.where(turned, -first, first)
    with np.errstate(invalid="ignore"):
        return 0.5 - 0.5 * first / (np.abs(first) + np.abs(second)), turned


def bisection(scale: Array, edges: Array) -> Search:
    """The function that gives each v (m, 2) its cell (m,): the number of edges below its t; len(edges) + 1 for v = 0.

    A turned particle is len(edges) + 2 cells further on.
    """
    return partial(_searched, scale, edges)


def _searched(scale: Array, edges: Array, v: Array) -> Cells:
    t, turned = directions(v, scale)
    cells = np.searchsorted(edges, t).astype(np.int64)
    cells[np.isnan(t)] = len(edges) + 1
    return cells + (len(edges) + 2) * turned


@dataclass(frozen=True, eq=False)
class Lines:
    """The kink lines of data x (n, 2) in order, for sigma(z) = linear z + kinked |z|.

    edges (2 g,): t just before and just after each of the g groups of lines that agree to rounding, so that the even
    cells are arcs and the odd ones lie on a line.   group (n,): of datum i.   signed (n, 2): sg_i x_i.
    """

    x: Array
    edges: Array
    group: Cells
    signed: Array
    linear: float
    kinked: float
    threshold: float
    search: Search

    @classmethod
    def of(
        cls,
        x: Array,
        linear: float,
        kinked: float,
        *,
        threshold: float = 0.0,
        made: Callable[[Array, Array], Search] = bisection,
    ) -> "Lines":
        """From data x (n, 2) or (n, 1) and sigma(z - threshold), the second coordinate a bias where that is not 0.

        made: how a search is made, `bisection` or wflow.arc_search.buckets.
        """
        x = x if x.shape[1] == 2 else np.column_stack([x, np.ones(len(x))])
        # powers of two, so that both coordinates count alike and nothing is rounded
        largest = np.max(np.abs(x), axis=0)
        scale = np.exp2(np.ceil(np.log2(np.where(largest > 0.0, largest, 1.0))))
        across = np.stack([-x[:, 1] / scale[1], x[:, 0] / scale[0]], axis=1)
        t, turned = directions(across, np.ones(2))
        # a datum 0 has no line; any will do, since it adds nothing
        t = np.where(np.isnan(t), 0.0, t)
        order = np.argsort(t, kind="stable")
        new = np.concatenate([[True], np.diff(t[order]) > 4.0 * _SAME])
        first = np.flatnonzero(new)
        last = np.append(first[1:], len(t)) - 1
        edges = np.stack([t[order][first] - _SAME, t[order][last] + _SAME], axis=1).ravel()
        group = np.empty(len(t), dtype=np.int64)
        group[order] = np.cumsum(new) - 1
        signed = np.where(turned, -1.0, 1.0)[:, None] * x
        return cls(x, edges, group, signed, linear, kinked, threshold, made(scale, edges))

    def at(self, v: Array) -> "Arcs":
        """Particles v (m, 2) or (m, 1), finite."""
        q = v.shape[1]
        if q == 1:
            v = np.column_stack([v, np.full(len(v), -self.threshold)])
        elif self.threshold:
            v = v - np.array([0.0, self.threshold])
        return Arcs(self, v, self.search(v), q)


@dataclass(frozen=True, eq=False)
class Arcs:
    """Particles among the lines."""

    lines: Lines
    v: Array
    cells: Cells
    q: int

    def forward(self, c: Array) -> Array:
        """sum_j c_j sigma(x_i . v_j) (n,)."""
        lines, half = self.lines, len(self.lines.edges) + 2
        sums = np.stack([np.bincount(self.cells, c * self.v[:, k], 2 * half) for k in (0, 1)], axis=1)
        upper, lower = sums[:half], sums[half:]
        folded = (upper - lower)[:-1]
        before = np.cumsum(folded, axis=0)
        # what stands on the line itself adds nothing on either side
        sides = 2.0 * before[2 * lines.group] - before[-1]
        whole = np.sum(sums, axis=0)
        return np.asarray(lines.linear * (lines.x @ whole) + lines.kinked * np.sum(lines.signed * sides, axis=1))

    def backward(self, slope: Array, orders: tuple[int, ...]) -> tuple[Array, ...]:
        """S0 (m,) and S1 (m, q) of wflow.ridge for those orders: S0 = S1 . v, since sigma(z) = z sigma'(z)."""
        g = self._gradient(slope)
        v = self.v
        return tuple(g[:, : self.q] if order else v[:, 0] * g[:, 0] + v[:, 1] * g[:, 1] for order in orders)

    def _gradient(self, slope: Array) -> Array:
        """sum_i slope_i sigma'(x_i . v_j) x_i (m, 2)."""
        lines, groups = self.lines, len(self.lines.edges) // 2
        steps = np.stack([np.bincount(lines.group, slope * lines.signed[:, k], groups) for k in (0, 1)], axis=1)
        table = np.zeros((2 * groups + 2, 2))
        total = np.sum(steps, axis=0)
        passed = np.cumsum(steps, axis=0)
        table[0] = total
        table[2:-1:2] = total - 2.0 * passed
        table[1:-1:2] = total - (2.0 * passed - steps)
        mean = lines.linear * (slope @ lines.x)
        both = np.concatenate([mean + lines.kinked * table, mean - lines.kinked * table])
        return np.asarray(np.take(both, self.cells, axis=0))
