"""This file owns what a map and a repair after it cost beyond the sum of their costs, where the map has a potential.

A map takes x to y and a repair y to z along w(s), w(0) = y, w' = v. With u(y) the mean of x - y over what came to y,

    |x - z|^2 = |x - y|^2 + |y - z|^2 - 2 (x - y) . (z - y),          in the mean  - 2 int u . (z - y)  for the last.

For any function Phi, u = grad Phi + e: grad Phi(y) = grad Phi(w(s)) - int_0^s D^2 Phi(w) v, so

    - 2 int grad Phi(y) . (z - y) <= 2 int Phi d(a - b) + 2 int (int |D^2 Phi| |v| ds) (int |v| ds),

a and b the densities before and after the repair. A step's own potential makes e small and the first term too: it is
what the step was found by. So a repair costs about its square, and not twice its product with the step.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.spline.lattice import Sides, padded

_Row = tuple[float, float, float]
_MEAN: _Row = 1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0
"""Of the three splines that a cell meets, over it."""
_EACH: list[_Row] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
_STEPS: list[_Row] = [(-1.0, 1.0, 0.0), (0.0, -1.0, 1.0)]
_BENDS: list[_Row] = [(1.0, -2.0, 1.0)]


@dataclass(frozen=True, eq=False)
class Repair:
    """From masses `before` (n0, n1) to `after`, by paths on which int |v|^2 is `costs` in each cell.

    mass: of what had been carried on from where it came before; of it int |x - y|^2 is at most `moved`.
    """

    before: Array
    after: Array
    costs: Array
    mass: float
    moved: float


@dataclass(frozen=True, eq=False)
class Steered:
    """Phi, the quadratic spline on a lattice with coefficients c (n0 + 2, n1 + 2), ghosts included."""

    c: Array
    widths: tuple[float, float]

    @classmethod
    def of(cls, potential: Array, widths: tuple[float, float], sides: Sides) -> "Steered":
        """With these coefficients (n0, n1)."""
        return cls(padded(potential, sides), widths)

    def cross(self, came: Array, back: Array, repair: Repair) -> float:
        """A bound of - 2 int (x - y) . (z - y).

        came (n0, n1): masses that came to cells, back (2, n0, n1): int (x - y) over them, before any was carried on.
        """
        total = float(repair.costs.sum())
        carried = math.sqrt(repair.moved) + self._steepest(repair.before > 0.0) * math.sqrt(repair.mass)
        off = math.sqrt(self._missed(came, back) + carried**2)
        bend = self._bend()
        most = float(bend.max(where=repair.costs > 0.0, initial=0.0))
        bent = min(most * total, 2.0 * math.sqrt(total * float((bend**2 * repair.costs).sum())))
        falls = float((_weighed(self.c, _MEAN, _MEAN) * (repair.before - repair.after)).sum())
        return 2.0 * falls + 2.0 * off * math.sqrt(total) + bent

    def _missed(self, came: Array, back: Array) -> float:
        """int |u - grad Phi|^2 over the masses that came, by Gauss's points: exact."""
        filled = came > 0.0
        u = back[:, filled] / came[filled]
        square = np.zeros(u.shape[1])
        points, weights = np.polynomial.legendre.leggauss(3)
        for (s, p), (t, q) in product(zip(0.5 * points, 0.5 * weights, strict=True), repeat=2):
            first = _weighed(self.c, _slopes(s), _values(t))[filled] / self.widths[0]
            second = _weighed(self.c, _values(s), _slopes(t))[filled] / self.widths[1]
            square += p * q * ((u[0] - first) ** 2 + (u[1] - second) ** 2)
        return float((came[filled] * square).sum())

    def _bend(self) -> Array:
        """(n0, n1) a bound of |D^2 Phi| in each cell: of matrices of absolute values the norm is no smaller."""
        first = _largest(self.c, _BENDS, _EACH) / self.widths[0] ** 2
        last = _largest(self.c, _EACH, _BENDS) / self.widths[1] ** 2
        mixed = _largest(self.c, _STEPS, _STEPS) / (self.widths[0] * self.widths[1])
        return np.asarray(0.5 * (first + last) + np.hypot(0.5 * (first - last), mixed))

    def _steepest(self, where: NDArray[np.bool_]) -> float:
        """A bound of |grad Phi| in these cells."""
        first = _largest(self.c, _STEPS, _EACH).max(where=where, initial=0.0) / self.widths[0]
        second = _largest(self.c, _EACH, _STEPS).max(where=where, initial=0.0) / self.widths[1]
        return math.hypot(float(first), float(second))


def _weighed(c: Array, first: _Row, second: _Row) -> Array:
    """sum first[i] second[j] c[k + i, l + j] for the cells (n0, n1) of coefficients with ghosts."""
    n0, n1 = c.shape[0] - 2, c.shape[1] - 2
    rows, out = np.zeros((n0, n1 + 2)), np.zeros((n0, n1))
    for i, weight in enumerate(first):
        if weight:
            rows += weight * c[i : i + n0]
    for j, weight in enumerate(second):
        if weight:
            out += weight * rows[:, j : j + n1]
    return out


def _largest(c: Array, first: list[_Row], second: list[_Row]) -> Array:
    """The largest absolute value of such sums, of all pairs of rows."""
    return np.asarray(np.max([np.abs(_weighed(c, a, b)) for a, b in product(first, second)], axis=0))


def _values(u: float) -> _Row:
    """Of the three splines at a place in a cell, from its middle."""
    return 0.5 * (0.5 - u) ** 2, 0.75 - u * u, 0.5 * (0.5 + u) ** 2


def _slopes(u: float) -> _Row:
    return u - 0.5, -2.0 * u, u + 0.5
