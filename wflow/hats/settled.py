"""This file owns where the mass of a density goes in the field g given by hats, and how that answers to g.

Every cell's mass mu_i is an atom at its centre x_i. Hats, hat_k(x_j) = 1 if j = k, else 0, linear along each axis
between centres, make of values at the centres a function of y, g(y) = sum_k g_k hat_k(y), and of atoms at y_i the
masses rho_k = sum_i mu_i hat_k(y_i) of cells, so that  int g over the atoms = sum_k g_k rho_k  for every g.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array
from wflow.grid import Grid
from wflow.hats.nearest import FEW, FIELDS, WIDE, Counts, answered, blocks, searched, shared
from wflow.spline.envelope import transformed
from wflow.spline.lattice import Sides

_ROOM = 1 << 20
"""Places of a sheet that are kept, but for the first FEW of each atom."""
_DUST = 1e-18
"""Of the largest mass: cells with less keep it."""


@dataclass(frozen=True, eq=False)
class Sheets:
    """The cells of a grid as sheets (s, n0, n1) between which no mass moves; one moving axis has n1 = 1."""

    grid: Grid
    tau: float

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """Those that move, last."""
        moving = self.grid.domain.moving
        return (*(k for k in range(self.grid.domain.dim) if k not in moving), *moving)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(s, n0, n1)."""
        n = [self.grid.shape[k] for k in self.grid.domain.moving]
        n0, n1 = n[0], n[1] if len(n) > 1 else 1
        return self.grid.size // (n0 * n1), n0, n1

    @cached_property
    def sides(self) -> Sides:
        """Which moving axes are periodic; one that is not there counts as that."""
        turns = [self.grid.domain.periodic[k] for k in self.grid.domain.moving]
        return Sides(turns[0], turns[1] if len(turns) > 1 else True)

    @cached_property
    def cells(self) -> tuple[int, int]:
        """Cells between nodes along the moving axes."""
        _, n0, n1 = self.shape
        return n0 if self.sides.first else n0 - 1, n1 if self.sides.second else n1 - 1

    @cached_property
    def pull(self) -> tuple[float, float]:
        """h^2/tau."""
        h = [float(self.grid.widths[k]) for k in self.grid.domain.moving]
        return h[0] ** 2 / self.tau, (h[1] if len(h) > 1 else h[0]) ** 2 / self.tau

    @cached_property
    def numbers(self) -> Counts:
        """(s, n0, n1): the cell of the grid at each place of the sheets."""
        return np.rint(self.folded(np.arange(self.grid.size, dtype=np.float64))).astype(np.int64)

    def folded(self, values: Array) -> Array:
        """(m,) as sheets."""
        whole = values.reshape(self.grid.shape).transpose(self.axes)
        return np.ascontiguousarray(whole.reshape(self.shape))

    def flat(self, sheets: Array) -> Array:
        """Back to (m,)."""
        whole = sheets.reshape([self.grid.shape[k] for k in self.axes])
        return np.ascontiguousarray(whole.transpose(np.argsort(self.axes))).ravel()


@dataclass(frozen=True, eq=False)
class Settled:
    """Of all mass in a field: where it goes, and what that costs.

    masses (m,): deposited.   cost: sum of mass |y - x|^2/(2 tau).
    least, soft: sum_i mu_i min_y [g + |y - x_i|^2/2tau],
    and that with minima softened over a width: -width log sum over cells of exp(-least in the cell/width) <= min.
    number, cells, places: of each sheet, as wflow.hats.nearest has them.
    """

    sheets: Sheets
    mu: Array
    width: float
    masses: Array
    cost: float
    least: float
    soft: float
    number: list[Counts]
    cells: list[Counts]
    places: list[Array]

    def answer(self, change: Array) -> Array:
        """S change (m,): minus the first change of `masses` where g changes by `change` (m,); S is symmetric, >= 0."""
        parts, out = self.sheets.folded(change), np.zeros(self.sheets.shape)
        for k, mu in enumerate(self.mu):
            answered(parts[k], mu, self.width, self.number[k], self.cells[k], self.places[k], out[k])
        return self.sheets.flat(out)


def settled(sheets: Sheets, masses: Array, field: Array, width: float = 0.0) -> Settled:
    """From masses (m,) in a field (m,); width > 0: shared by the cells whose least values are within some widths."""
    mu, g = sheets.folded(masses), sheets.folded(field)
    out, low, soft = np.zeros_like(mu), np.zeros_like(mu), np.zeros_like(mu)
    numbers, indices, found = list[Counts](), list[Counts](), list[Array]()
    cost = 0.0
    moving = shifted(mu)
    for k in range(len(mu)):
        number, cells, places = nearby(sheets, moving[k], g[k], WIDE * width)
        cost += shared(g[k], mu[k], sheets.pull, width, number, cells, places, out[k], low[k], soft[k])
        numbers.append(number)
        indices.append(cells)
        found.append(places)
    least, softened = float(np.vdot(mu, low)), float(np.vdot(mu, soft))
    return Settled(sheets, mu, width, sheets.flat(out), cost, least, softened, numbers, indices, found)


def shifted(mu: Array) -> Array:
    """Masses of the atoms that go anywhere: those with next to none stay where they are."""
    return np.where(mu > _DUST * float(mu.max()), mu, 0.0)


def nearby(sheets: Sheets, mu: Array, g: Array, slack: float) -> tuple[Counts, Counts, Array]:
    """Number, cells and places (wflow.hats.nearest) of a sheet's atoms mu (n0, n1) in the field g (n0, n1).

    Of each atom every cell's least value within `slack` of its best, as many as memory holds; slack 0: the best alone.
    """
    tree, levels = blocks(g, sheets.cells)
    nodal, _ = transformed(g, sheets.pull, sheets.sides)
    turns = (bool(sheets.sides.first), bool(sheets.sides.second))
    few = FEW if slack > 0.0 else 1
    while True:
        number, cells = np.zeros(g.size, np.int64), np.zeros((g.size, few, 2), np.int64)
        places = np.zeros((g.size, few, FIELDS))
        searched(g, mu, sheets.pull, turns, nodal, tree, levels, slack, number, cells, places)
        if few == 1 or int(number.max()) < few or 2 * few * g.size > _ROOM:
            return number, cells, places
        few *= 2
