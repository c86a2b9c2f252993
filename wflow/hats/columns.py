"""This file owns the places among which atoms may share their mass, as columns of a deposit by hats."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from wflow.arrays import Array
from wflow.hats.settled import Sheets, nearby, shifted

Indices = NDArray[np.int64]
_SAME = 1e-8
"""Of a cell: places nearer to one another are one."""
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True, eq=False)
class Columns:
    """Places y of atoms, one at least of each, in the order of the atoms.

    whose (c,): the atom, by the number of its cell in its sheets.   costs (c,): |y - x|^2/(2 tau).
    places (c, 2): y in its sheet, counted in cells, a centre at whole numbers.
    """

    sheets: Sheets
    whose: Indices
    places: Array
    costs: Array

    @cached_property
    def first(self) -> Indices:
        """(n,) the first column of each atom."""
        return np.flatnonzero(np.diff(self.whose, prepend=-1))

    @cached_property
    def at(self) -> Indices:
        """(c,) which atom, counted from 0 in the order of `first`."""
        return np.repeat(np.arange(len(self.first)), np.diff(np.append(self.first, len(self.whose))))

    @cached_property
    def atoms(self) -> Indices:
        """(n,) the cells of the grid that the atoms come from."""
        return self.sheets.numbers.ravel()[self.whose[self.first]]

    @cached_property
    def hats(self) -> csr_array:
        """(c, m): hat_k(y), in each row up to four shares of sum 1."""
        sheets, n0, n1 = self.sheets.shape
        cell = np.floor(self.places).astype(np.int64)
        share = np.stack([1.0 - (self.places - cell), self.places - cell])
        numbers, sheet = self.sheets.numbers, self.whose // (n0 * n1)
        nodes = [numbers[sheet, (cell[:, 0] + a) % n0, (cell[:, 1] + b) % n1] for a, b in _CORNERS]
        shares = [share[a, :, 0] * share[b, :, 1] for a, b in _CORNERS]
        rows = np.arange(0, 4 * len(cell) + 1, 4)
        entries = np.stack(shares, axis=1).ravel(), np.stack(nodes, axis=1).ravel(), rows
        return csr_array(entries, shape=(len(cell), sheets * n0 * n1))

    @cached_property
    def owners(self) -> csr_array:
        """(n, c): 1 where the column is the atom's."""
        count = len(self.whose)
        entries = np.ones(count), np.arange(count), np.append(self.first, count)
        return csr_array(entries, shape=(len(self.first), count))

    def values(self, field: Array) -> Array:
        """(c,) of a field (m,) by hats, and the cost."""
        return np.asarray(self.hats @ field + self.costs)

    def above(self, field: Array) -> Array:
        """(c,) values less the least among those of the same atom."""
        values = self.values(field)
        return np.asarray(values - np.minimum.reduceat(values, self.first)[self.at])

    def summed(self, over: Array) -> Array:
        """(n,) sums of (c,) over the columns of each atom."""
        return np.asarray(np.add.reduceat(over, self.first))

    def kept(self, those: NDArray[np.bool_]) -> "Columns":
        """Some of them."""
        return Columns(self.sheets, self.whose[those], self.places[those], self.costs[those])

    def joined(self, other: "Columns") -> "Columns":
        """Both; a place that an atom has twice, or reaches by a turn as well, once and by the shortest way."""
        pairs = ((self.whose, other.whose), (self.places, other.places), (self.costs, other.costs))
        whose, places, costs = (np.concatenate(pair) for pair in pairs)
        order = np.lexsort((costs, *np.round(places / _SAME).T, whose))
        near = np.all(np.abs(np.diff(places[order], axis=0)) <= _SAME, axis=1)
        new = np.append(True, ~(near & (np.diff(whose[order]) == 0)))
        return Columns(self.sheets, whose[order][new], places[order][new], costs[order][new])


def at_home(sheets: Sheets, masses: Array) -> Columns:
    """Every atom where it is."""
    _, n0, n1 = sheets.shape
    whose = np.flatnonzero(shifted(sheets.folded(masses)))
    places = np.stack([whose // n1 % n0, whose % n1], axis=1).astype(np.float64)
    return Columns(sheets, whose, places, np.zeros(len(whose)))


def near(sheets: Sheets, masses: Array, field: Array, slack: float) -> Columns:
    """Where atoms of masses (m,) have values of the field (m,) and the way within `slack` > 0 of their least."""
    _, n0, n1 = sheets.shape
    moving, g = shifted(sheets.folded(masses)), sheets.folded(field)
    whose, places, costs = list[Indices](), list[Array](), list[Array]()
    for k in range(len(g)):
        number, cells, found = nearby(sheets, moving[k], g[k], slack)
        held = np.arange(found.shape[1]) < number[:, None]
        whose.append(np.repeat(np.arange(n0 * n1), number) + k * n0 * n1)
        places.append(np.mod((cells + found[:, :, :2])[held], (n0, n1)))
        costs.append(found[:, :, 2][held])
    return Columns(sheets, np.concatenate(whose), np.concatenate(places), np.concatenate(costs))
