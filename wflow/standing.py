"""This file owns sums over data and points that stay where they are, those of a mesh: their tables are kept.

A flow on a mesh asks at the same points at each stage of each step. Points that cannot be written to are such, where
they are no view of others that can be.
"""

from dataclasses import dataclass
from functools import lru_cache

from wflow.arrays import Array
from wflow.blocks import NeuronSums
from wflow.sums import PointSums, Sums

MOST_NUMBERS = 1 << 24
"""In a table that is kept (128 MB), psi or its gradient; larger ones are made anew at each use."""
_KEPT = 4


def standing(sums: Sums, w: Array) -> PointSums:
    """The sums at points w (m, d), with tables where w is read-only and its numbers are its own."""
    if w.flags.writeable or w.base is not None or len(sums.inputs) * w.size > MOST_NUMBERS:
        return sums.at(w)
    return _tables(sums, _Same(w))


@dataclass(frozen=True, eq=False)
class _Same:
    """An array, equal to itself alone."""

    points: Array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.points is other.points

    def __hash__(self) -> int:
        return id(self.points)


@lru_cache(maxsize=_KEPT)
def _tables(sums: Sums, at: _Same) -> PointSums:
    return NeuronSums(sums.neuron, sums.inputs, at.points, whole=True)
