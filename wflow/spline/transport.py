"""This file owns optimal transport between atoms of two measures in the plane: its dual, from coarse splines to fine.

On a lattice, in units of its cells. Each spline has half the cells' width of the one before and starts from it exactly;
while it is coarse, atoms are joined in quarters of its cells. D bounds W2^2 of the atoms from below as far as its
minima are global: a spline has fewer degrees of freedom than a potential, and where the optimal map jumps the finest is
what counts.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from wflow.arrays import Array
from wflow.errors import NotConverged
from wflow.spline.ascent import Climbed, Manner, ascend
from wflow.spline.dual import Reached, TransportDual
from wflow.spline.halved import refined
from wflow.spline.lattice import Sides, deposited, folded

COARSEST = 16
"""Cells an axis of the first spline, at least."""
_FLOOR = 1e-3
_UNSEEN = 400.0
"""What max D - D is at most, over the squared residual: the metric with its floor makes slopes small (measured)."""
_LEFT = 10.0
"""The same where D still climbs: for smooth p it is 1/2, at a jump of the map up to 7 (measured)."""
_ENOUGH, _CLOSER, _CLOSEST, _NEARER = 5e-2, 1e-2, 1e-3, 0.1
"""Of the tolerance: what is aimed at in W2^2; where coarser splines had nothing to gain; in what they leave to others;
where W2 is below a cell; and what W2 may be short by there."""
_TOGETHER, _HIDDEN = 2.0, 0.02
"""Of the tolerance, and of what a cell hides: what W2 may be short by after a hurried climb, and how far the roots of D
and of what its map costs may be apart. Smooth densities are below .0015 of W2; noise is short by .1 (measured)."""
_SMALL = 1 << 12
"""Cells up to which nothing is won by haste."""
_STILL = 0.5
"""Of what is aimed at: four steps that gain no more end the ascent on a spline."""
_WHILE_COARSE, _WHILE_NEAR = 60, 40
_ROUNDING = 1e-10
"""Of the lattice's length: residuals below it are not asked for."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Atoms (m, 2) in cells of a lattice, of masses (m,) that sum to one."""

    places: Array
    masses: Array

    @property
    def crowding(self) -> float:
        """Sum of squared masses in lattice cells: what is spread out has less of it."""
        return float(np.sum(self.joined(1.0).masses ** 2))

    def joined(self, width: float) -> "Cloud":
        """One atom for each square of a width, at its barycentre."""
        square = np.floor(self.places / width).astype(np.int64)
        square -= square.min(axis=0)
        index = square[:, 0] * (int(square[:, 1].max()) + 1) + square[:, 1]
        masses = np.bincount(index, self.masses)
        kept = masses > 0.0
        moments = (np.bincount(index, self.masses * x)[kept] for x in self.places.T)
        return Cloud(np.stack([moment / masses[kept] for moment in moments], axis=1), masses[kept])


@dataclass(frozen=True, eq=False)
class Lattice:
    """shape cells of two widths; on an axis with walls no atom lies beyond them."""

    shape: tuple[int, int]
    sides: Sides
    widths: tuple[float, float]

    @property
    def hidden(self) -> float:
        """How far, in the mean, even mass in a cell stands from its middle."""
        return math.sqrt((self.widths[0] ** 2 + self.widths[1] ** 2) / 12.0)

    @property
    def extent(self) -> float:
        """Of its longer side."""
        return max(n * h for n, h in zip(self.shape, self.widths, strict=True))

    @property
    def halvings(self) -> int:
        """How often cells can be joined in pairs along both axes while more than `COARSEST` are left."""
        count = 0
        while all(n % 2 ** (count + 1) == 0 and n // 2 ** (count + 1) >= COARSEST for n in self.shape):
            count += 1
        return count


@dataclass(frozen=True, eq=False)
class Transported:
    """Where atoms go (m, 2), D, a bound of W2^2 from below, and by how much the root of W2^2 may be above D's.

    apart: the roots of D and of what the map costs, which are one where it ends at the target.
    """

    ends: Array
    squared: float
    short: float
    apart: float


def transported(
    source: Cloud, target: Cloud, lattice: Lattice, tolerance: float, limit: int, known: float = 0.0
) -> Transported:
    """The source's atoms moved to the target.

    Aims at W2 to a share `tolerance`, `known` being a part of W2^2 that is known besides (no more than a squared cell
    of it counts); NotConverged where it may be short by that and what a cell hides besides, the
    distance at which mass in cells stands from their middles. Better from the measure that is spread out to the one
    that is not: atoms that move apart leave gaps.
    """
    near = _nearby(source, target, lattice, tolerance, min(known, min(lattice.widths) ** 2))
    if near is not None:
        return near
    if math.prod(lattice.shape) > _SMALL:
        found = _found(_climbed(source, target, lattice, tolerance, limit, known, hurried=True))
        allowed = _TOGETHER * tolerance * math.sqrt(found.squared) + _HIDDEN * lattice.hidden
        if max(found.short, found.apart) <= allowed:
            return found
    climbed = _climbed(source, target, lattice, tolerance, limit, known, hurried=False)
    return _checked(climbed, tolerance * math.sqrt(max(climbed.here.value, 0.0)) + lattice.hidden, limit)


def _climbed(
    source: Cloud, target: Cloud, lattice: Lattice, tolerance: float, limit: int, known: float, *, hurried: bool
) -> Climbed:
    """Up the splines, from the coarsest to the finest.

    Hurried, each is left when it gains little, and where a whole spline gains little the finest is next: enough where
    the map's cost and D then agree. Else each is climbed until its residual is small, or to its limit.
    """
    c, level, still = np.zeros(tuple(n >> lattice.halvings for n in lattice.shape)), lattice.halvings, False
    few, squared = min(known, min(lattice.widths) ** 2), 0.0
    while True:
        factor, parts = 2.0**level, 1 if level == 0 else 2
        cloud = source if level == 0 else source.joined(factor / 2.0)
        dual = _dual(cloud, target, lattice, c.shape, factor, parts)
        here, aim = dual.at(c), _Aim((_ENOUGH if still else _CLOSER) * tolerance, few, _ROUNDING * lattice.extent)
        steps, least = _WHILE_COARSE if level else limit, aim.least if hurried else None
        goal = aim.residual if hurried else partial(aim.small, squared)
        climbed = ascend(dual, here, goal, Manner(_FLOOR, limit=steps, least=least))
        if level == 0:
            return climbed
        squared = max(climbed.here.value, 0.0)
        # where a spline gains little, the next gain less: of D as of the atoms, one look at the finest is left
        still = hurried and climbed.last.value - here.value <= aim.gap(climbed.last)
        finer = 0 if still else level - 1
        c = climbed.last.c if hurried else climbed.here.c
        for _ in range(level - finer):
            c = refined(c, lattice.sides)
        level = finer


@dataclass(frozen=True)
class _Aim:
    """By how much D may be short: a share of it and of what is known besides; no residual below `rounding` is asked."""

    share: float
    known: float
    rounding: float

    def gap(self, here: Reached) -> float:
        return self.share * (max(here.value, 0.0) + self.known)

    def residual(self, here: Reached) -> float:
        return max(math.sqrt(self.gap(here) / _LEFT), self.rounding)

    def small(self, squared: float, _: Reached) -> float:
        """Everywhere the same, of D on the spline before: on the coarsest all that rounding leaves."""
        return max(math.sqrt(self.share * (squared + self.known) / _UNSEEN), self.rounding)

    def least(self, here: Reached) -> float:
        return _STILL * self.gap(here)


def _nearby(source: Cloud, target: Cloud, lattice: Lattice, tolerance: float, known: float) -> Transported | None:
    """On the finest spline at once, from p = 0, where W2 is below a cell; None where that does not lead to the end.

    Coarse splines cannot tell such measures: their joined atoms are further from the target than it is.
    """
    dual = _dual(source, target, lattice, lattice.shape, 1.0, 1)
    here = dual.at(np.zeros(lattice.shape))
    squared = 0.5 * ascend(dual, here, lambda _: math.inf, Manner(_FLOOR)).residual ** 2
    if squared > min(lattice.widths) ** 2:
        return None
    aim = _Aim(_CLOSEST * tolerance, known, _ROUNDING * lattice.extent)
    climbed = ascend(dual, here, aim.residual, Manner(_FLOOR, limit=_WHILE_NEAR, least=aim.least))
    found, total = _found(climbed), math.sqrt(squared + known)
    return found if found.short <= _NEARER * tolerance * total + aim.residual(climbed.here) else None


def _dual(
    cloud: Cloud, target: Cloud, lattice: Lattice, shape: tuple[int, ...], factor: float, parts: int
) -> TransportDual:
    ghosts = np.zeros((shape[0] + 2, shape[1] + 2))
    deposited(target.places / factor, target.masses, lattice.sides, ghosts)
    widths = lattice.widths[0] * factor, lattice.widths[1] * factor
    return TransportDual(
        (shape[0], shape[1]), (parts, parts), lattice.sides, widths, cloud.places / factor, cloud.masses, 0.5,
        folded(ghosts, lattice.sides).copy(),
    )  # fmt: skip


def _found(climbed: Climbed) -> Transported:
    squared, cost = max(climbed.here.value, 0.0), climbed.here.distance
    short = math.sqrt(squared + _UNSEEN * climbed.residual**2) - math.sqrt(squared)
    # where an empty gap parts the two the residual is blind; what the map costs is not
    off = math.sqrt(cost) - math.sqrt(squared)
    return Transported(climbed.here.places, squared, max(short, off), abs(off))


def _checked(climbed: Climbed, allowed: float, limit: int) -> Transported:
    found = _found(climbed)
    if not found.short <= allowed:
        raise NotConverged(
            f"w2: the dual stopped at W2 = {math.sqrt(found.squared):.6g}, which may be short by {found.short:.3g} > "
            f"{allowed:.3g} after up to {limit} steps on the finest cells; compare merged densities, or Particles at "
            "the cells",
            found.short,
        )
    return found
