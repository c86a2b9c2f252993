"""This file owns what of a step on a grid leads straight through obstacles, where people would go round."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvers.jko._atoms import Atoms
from wflow.arrays import Array
from wflow.grid import Grid
from wflow.limits import Limit, thinnest
from wflow.spline.lattice import Sides
from wflow.ways import barred, meeting

_SEEN = 1e-3
"""Of the heaviest atom: lighter ones may go as far as they like."""
_STRAIGHT = 0.25
"""Of an obstacle's thickness: how long a straight way may be to count as the way around it."""
_SHARE = 1e-2
"""Of a step's cost: what longer ways may have of it."""


@dataclass(frozen=True)
class Detours:
    """Of the ways that meet an obstacle: the longest, and the mass of those that cannot go round nearby.

    straight: a quarter of the thinnest obstacle's thickness.   share: of a step's cost what ways longer than that have.
    """

    longest: float
    straight: float
    share: float
    barred: float

    @property
    def too_long(self) -> bool:
        """Whether distances are wrong by more than a step may be."""
        return self.share > _SHARE

    @classmethod
    def of(
        cls, atoms: Atoms, ends: Array, closed: NDArray[np.bool_], limits: tuple[Limit, ...], grid: Grid, sides: Sides
    ) -> "Detours":
        """Of atoms that go to `ends` (m, 2), in cells. Ways that meet nothing are straight, however long."""
        starts, masses = atoms.places, atoms.masses
        h = np.append(grid.widths, 1.0)[:2]
        squares = np.sum(((ends - starts) * h) ** 2, axis=1)
        seen = masses >= _SEEN * masses.max()
        met = np.flatnonzero(seen)[meeting(closed, starts[seen], ends[seen], sides)]
        straight = _STRAIGHT * thinnest(limits, grid)
        far = met[squares[met] > straight**2]
        total = float(masses @ squares)
        share = float(masses[far] @ squares[far]) / total if len(far) else 0.0
        shut = met[barred(closed, starts[met], ends[met], sides)]
        return cls(float(np.sqrt(squares[met].max(initial=0.0))), straight, share, float(masses[shut].sum()))
