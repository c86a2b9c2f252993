"""This file owns features as splines on nodes: where each atom's least G_q(w) + |w - w_j|^2/(2 tau) is, globally.

The nodes' own c-transform (lower envelopes) says in which valley an atom's minimum lies; Newton on the spline goes
there. One or two axes move; a frozen one has its own table on each of its sheets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from wflow.arrays import Array
from wflow.domain import Domain
from wflow.risk_dual import LINE
from wflow.risk_dual.movement import Indices, Movement
from wflow.spline.envelope import started, transformed
from wflow.spline.lattice import Sides, fitted, moved, padded, read
from wflow.terms import Risk


@dataclass(frozen=True)
class Nodes:
    """Equal cells on a window of the moving axes; a node in the middle of each."""

    axes: tuple[int, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    shape: tuple[int, int]
    sides: Sides

    @classmethod
    def on(cls, domain: Domain, window: Sequence[tuple[float, float]], cells: int) -> "Nodes":
        """`cells` cells an axis of two, LINE times as many on one; window: one entry an axis of the domain."""
        axes = domain.moving
        shape = (cells, cells) if len(axes) == 2 else (LINE * cells, 1)
        turns = [domain.periodic[k] for k in axes]
        lower, upper = zip(*(window[k] for k in axes), strict=True)
        return cls(axes, lower, upper, shape, Sides(turns[0], len(turns) > 1 and turns[1]))

    @property
    def widths(self) -> Array:
        """(2,) of the cells; 1 on the axis that is not there."""
        lengths = np.subtract(self.upper, self.lower)
        return np.append(lengths, 1.0)[:2] / (self.shape if len(self.axes) == 2 else (self.shape[0], 1))

    def cells(self, w: Array) -> Array:
        """Points (m, d) in cells (m, 2)."""
        out = np.full((len(w), 2), 0.5)
        out[:, : len(self.axes)] = (w[:, self.axes] - self.lower) / self.widths[: len(self.axes)]
        return out

    def points(self, cells: Array, near: Array) -> Array:
        """Places (m, 2) in cells as points (m, d), frozen coordinates as in `near`."""
        out = near.copy()
        out[:, self.axes] = self.lower + cells[:, : len(self.axes)] * self.widths[: len(self.axes)]
        return out

    def all(self, row: Array) -> Array:
        """(N, d) nodes of the sheet to which the point `row` (d,) belongs."""
        middles = np.meshgrid(*(np.arange(n) + 0.5 for n in self.shape), indexing="ij")
        cells = np.stack(middles, axis=-1).reshape(-1, 2)
        return self.points(cells, np.tile(row, (len(cells), 1)))


@dataclass(frozen=True, eq=False)
class Table:
    """Coefficients, with ghosts, of psi_i (n, N) on one sheet."""

    nodes: Nodes
    coefficients: Array

    @classmethod
    def of(cls, risk: Risk, nodes: Nodes, row: Array) -> "Table":
        """Features at the nodes of the sheet of a point (d,), read-only."""
        return _made(risk, nodes, tuple(row[k] for k in range(len(row)) if k not in nodes.axes), len(row))


@lru_cache(maxsize=4)
def _made(risk: Risk, nodes: Nodes, frozen: tuple[float, ...], dim: int) -> Table:
    row = np.zeros(dim)
    row[[k for k in range(dim) if k not in nodes.axes]] = frozen
    values = risk.neuron.value(risk.data.inputs, nodes.all(row))
    out = np.stack([spline_of(one, nodes).ravel() for one in values])
    out.flags.writeable = False
    return Table(nodes, out)


def spline_of(values: Array, nodes: Nodes) -> Array:
    """Coefficients, with ghosts, of the spline with values (N,) at the nodes."""
    return padded(fitted(values.reshape(nodes.shape), (1, 1), nodes.sides), nodes.sides)


class SheetMinima(NamedTuple):
    """Of the k atoms of a sheet: places (k, d), inverse Hessians (k, d, d), and sums weighted by mass.

    sums: of psi (n,).   total: of the minima.   price: of r and the ways.
    """

    places: Array
    inverse: Array
    sums: Array
    total: float
    price: float


@dataclass(frozen=True, eq=False)
class Sheet:
    """The atoms with one value of the frozen coordinates, their table, and r as a spline."""

    movement: Movement
    those: Indices
    table: Table
    potential: Array

    def minima(self, q: Array) -> "SheetMinima":
        """For its atoms."""
        nodes, movement = self.table.nodes, self.movement
        atoms, masses = movement.start.points[self.those], movement.start.weights[self.those]
        ghosts = (q @ self.table.coefficients).reshape(self.potential.shape) + self.potential
        x, pull = nodes.cells(atoms), tuple(nodes.widths**2 / movement.tau)
        y, give = np.empty_like(x), np.empty((len(x), 3))
        values = read(np.ascontiguousarray(ghosts[1:-1, 1:-1]), (1, 1), nodes.sides)
        started(values, pull, nodes.sides, transformed(values, pull, nodes.sides)[1], x, y)
        deposit = np.zeros_like(ghosts)
        found = moved(ghosts, masses, x, y, pull, nodes.sides, deposit, give)
        inverse = self._inverse(give / np.maximum(masses, np.finfo(float).tiny)[:, None])
        price = found.distance + float(np.vdot(self.potential, deposit))
        return SheetMinima(
            nodes.points(y, atoms), inverse, self.table.coefficients @ deposit.ravel(), found.total, price
        )

    def _inverse(self, give: Array) -> Array:
        """(k, d, d) from (k, 3) in cells."""
        h, axes = self.table.nodes.widths, self.table.nodes.axes
        out = np.zeros((len(give), *self.movement.start.points.shape[1:] * 2))
        out[:, axes[0], axes[0]] = give[:, 0] * h[0] ** 2
        if len(axes) == 2:
            out[:, axes[0], axes[1]] = out[:, axes[1], axes[0]] = give[:, 1] * h[0] * h[1]
            out[:, axes[1], axes[1]] = give[:, 2] * h[1] ** 2
        return out


def sheets(movement: Movement, nodes: Nodes) -> tuple[Sheet, ...]:
    """One for each value of the frozen coordinates."""
    points = movement.start.points
    still = [k for k in range(points.shape[1]) if k not in nodes.axes]
    rows, which = np.unique(points[:, still], axis=0, return_inverse=True)
    found = []
    for k in range(len(rows)):
        those = np.flatnonzero(which.ravel() == k)
        row = points[those[0]]
        r = spline_of(movement.potential(nodes.all(row), 0), nodes)
        found.append(Sheet(movement, those, Table.of(movement.risk, nodes, row), r))
    return tuple(found)
