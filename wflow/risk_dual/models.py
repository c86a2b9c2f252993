"""This file owns two models of D's inner minima: features as splines on nodes, and the features themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from wflow.arrays import Array
from wflow.risk_dual.inner import WIDTHS, Minima, settled
from wflow.risk_dual.movement import Coupling, Movement
from wflow.risk_dual.table import Sheet


@dataclass(frozen=True, eq=False)
class Reached:
    """D at p (n,): its value, where atoms go, and the inverse Hessians (m, d, d) of their minima there.

    gap: what this coupling costs, less D(p): |p - (f - y)|^2/2, whether or not the inner minima are global.
    """

    p: Array
    value: float
    coupling: Coupling
    inverse: Array
    gap: float


class Model(Protocol):
    """A way to find inner minima."""

    @property
    def movement(self) -> Movement:
        """Whose D it is."""

    def at(self, p: Array, known: Sequence[Coupling]) -> Reached:
        """D at p. known: couplings whose places are tried too."""


@dataclass(frozen=True, eq=False)
class Tabulated:
    """By splines on nodes."""

    movement: Movement
    sheets: tuple[Sheet, ...]

    def at(self, p: Array, known: Sequence[Coupling] = ()) -> Reached:
        """As in Model; nodes need no other places."""
        m, d = self.movement.start.points.shape
        places, inverse = np.empty((m, d)), np.empty((m, d, d))
        f, total, price = np.zeros_like(p), 0.0, 0.0
        for sheet in self.sheets:
            found = sheet.minima(self.movement.omega * p)
            places[sheet.those], inverse[sheet.those] = found.places, found.inverse
            f, total, price = f + found.sums, total + found.total, price + found.price
        residual = f - self.movement.targets
        gap = self.movement.half(p - residual)
        return Reached(p, self.movement.dual(p, total), Coupling(places, f, price), inverse, gap)


@dataclass(frozen=True, eq=False)
class Refined:
    """By the features themselves, from where splines say and from places known before."""

    whole: Movement
    splines: Tabulated

    @cached_property
    def movement(self) -> Movement:
        """With what is left of rounded kinks."""
        return self.whole if self.whole.energy.curved else self.whole.rounded(WIDTHS[-1])

    def at(self, p: Array, known: Sequence[Coupling] = ()) -> Reached:
        """As in Model."""
        q, origins = self.movement.omega * p, self.movement.start.points
        best = settled(self.movement, q, self.splines.at(p).coupling.places, origins)
        for coupling in known:
            best = lower(self.movement, q, best, coupling.places)
        coupling = self.movement.coupling(best.places)
        residual = coupling.prediction - self.movement.targets
        value = self.movement.dual(p, float(self.movement.start.weights @ best.values))
        return Reached(p, value, coupling, best.inverse, self.movement.half(p - residual))


def lower(movement: Movement, q: Array, best: Minima, places: Array) -> Minima:
    """The better, atom by atom, of minima and of those below other places (m, d)."""
    origins = movement.start.points
    values = movement.field(q, places, 0) + movement.ways(places, origins)
    those = np.flatnonzero(values < best.values)
    if not len(those):
        return best
    found = settled(movement, q, places[those], origins[those])
    out = [best.places.copy(), best.values.copy(), best.inverse.copy()]
    out[0][those], out[1][those], out[2][those] = found.places, found.values, found.inverse
    return Minima(*out)
