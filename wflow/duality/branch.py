"""This file owns branch and bound: the minimum of a function with bounded derivatives on a box, enclosed.

A cell is a cube of half width h about c, R = sqrt(d) h its radius, and M2, M3 bound the second and third derivatives of
V along any unit direction. With v, g, H = V, V', V'' at c and lam the least eigenvalue of H, Taylor's formula gives

    V >= v - |g|_1 h - min( M2 R^2/2, max(M3 R - lam, 0) R^2/2, max(-lam, 0) R^2/2 + M3 R^3/6 )    on the cell  (proved)

the second because V'' >= lam - M3 R on the cell, the third by the remainder of order three. Cells above the best value
known, less the tolerance, are dropped; the others are halved along each axis. That alone would halve down to the
rounding around each minimum, so minima are closed whole. Along a ray of length s from a point z with lam > 0

    V >= V(z) - |g| s + lam s^2/2 - M3 s^3/6 >= V(z) - |g| s + lam s^2/12 >= V(z) - 3 |g|^2/lam    for s <= 5 lam/(2 M3)

(proved), and a few of Newton's steps make |g|^2/lam vanish. z is whatever they end at: nothing is believed of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.duality.field import Enclosure

Jet = Callable[[Array], tuple[Array, Array, Array]]
_NEWTON = 8
_NEAR = 3.0
"""Half widths of a cell: so long a step of Newton's method from its centre still looks for a minimum of its own."""
_STARTS = 16
"""Cells, the lowest first, from which Newton's method is tried on a level."""
_CLOSED = 1.0 + 1e-12
"""Cells are taken larger by this, so that their rounded faces leave no gap between them."""
_SETTLED = 1e-9
"""A step of Newton's method so short is the last: the next would be its square."""


@dataclass(frozen=True, eq=False)
class Smooth:
    """A function on a box by its jet(w (m, d)) = V (m,), V' (m, d), V'' (m, d, d), and what bounds it.

    second, third: M2 and M3 (infinite: not known).   errors: how far off computed V, V' and V'' may be, each along any
    unit direction; the first with whatever else V is cut off by.   cells: how many an axis the search begins with.
    start: the jet at their centres, where that is cheaper than one by one.
    """

    lower: Array
    upper: Array
    periodic: tuple[bool, ...]
    jet: Jet
    second: float
    third: float
    errors: tuple[float, float, float]
    cells: int
    start: Callable[[], tuple[Array, Array, Array]] | None = None

    def centres(self) -> tuple[Array, Array]:
        """(m, d) centres of the first cells, and (d,) half widths."""
        half = 0.5 * (self.upper - self.lower) / self.cells
        axes = [low + h * (2.0 * np.arange(self.cells) + 1.0) for low, h in zip(self.lower, half, strict=True)]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1), half


@dataclass(frozen=True, eq=False)
class Balls:
    """Points z (l, d) with V there, and radii in which V >= floors."""

    points: Array
    values: Array
    radii: Array
    floors: Array

    @classmethod
    def none(cls, dim: int) -> "Balls":
        """No ball."""
        return cls(np.zeros((0, dim)), np.zeros(0), np.zeros(0), np.zeros(0))

    def joined(self, other: "Balls") -> "Balls":
        """Both."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Balls(*(np.concatenate(pair) for pair in pairs)) if len(other.points) else self


@dataclass(frozen=True, eq=False)
class Known:
    """What is known so far: V >= floor on all that was dropped, V(at) = best."""

    floor: float
    best: float
    at: Array

    def seen(self, values: Array, points: Array) -> "Known":
        """With more points, perhaps none."""
        if not len(values):
            return self
        lowest = int(np.argmin(values))
        if values[lowest] >= self.best:
            return self
        return replace(self, best=float(values[lowest]), at=points[lowest])

    def dropped(self, bounds: Array) -> "Known":
        """Without cells on which V >= bounds."""
        return replace(self, floor=min(self.floor, float(np.min(bounds, initial=np.inf))))


@dataclass(frozen=True)
class Search:
    """How far a search goes: to the tolerance, or to `limit` evaluations; V >= below need not be looked at."""

    tolerance: float
    limit: int
    below: float = np.inf


def enclosed(v: Smooth, search: Search, method: str) -> Enclosure:
    """min V to the tolerance; after `limit` evaluations the bound is that of the cells which are left (still proved).

    Where min V is above `below` the bound is one, but need not be near min V.
    """
    centres, half = v.centres()
    values, slopes, bends = v.start() if v.start else v.jet(centres)
    least = int(np.argmin(values))
    known = Known(np.inf, float(values[least]), centres[least])
    balls, count = Balls.none(len(half)), len(values)
    while True:
        top = min(known.best, search.below) - search.tolerance
        bounds = _cell_bounds(v, values, slopes, bends, half)
        alive = bounds < top
        known = known.dropped(bounds[~alive])
        left, centres = bounds[alive], centres[alive]
        if not len(left) or count > search.limit:
            break
        found, tried = _settled(v, _starts(v, balls, centres, half, (values[alive], slopes[alive], bends[alive])))
        balls = balls.joined(found)
        known = known.seen(found.values, found.points)
        top = min(known.best, search.below) - search.tolerance
        held = _held(v, balls, centres, half, top)
        known = known.dropped(balls.floors[np.any(held, axis=0)])
        free = ~np.any(held, axis=1)
        left = left[free]
        if not len(left):
            break
        centres, half = halved(centres[free], half)
        values, slopes, bends = v.jet(centres)
        count += tried + len(values)
        known = known.seen(values, centres)
    lower = min(known.floor, float(np.min(left, initial=np.inf))) - v.errors[0]
    minima = np.concatenate([balls.points, known.at[None, :]])
    return Enclosure(lower, known.best + v.errors[0], known.at, minima, count, method)


def _cell_bounds(v: Smooth, values: Array, slopes: Array, bends: Array, half: Array) -> Array:
    """The first formula of the head, the errors of V' and V'' in it (that of V is added at the end)."""
    h = _CLOSED * half
    radius = float(np.linalg.norm(h))
    lam = least_eigenvalue(bends) - v.errors[2]
    by_second = np.full(len(lam), 0.5 * v.second * radius**2)
    if np.isfinite(v.third):
        kept = 0.5 * np.maximum(v.third * radius - lam, 0.0) * radius**2
        third = 0.5 * np.maximum(-lam, 0.0) * radius**2 + v.third * radius**3 / 6.0
        by_second = np.minimum(by_second, np.minimum(kept, third))
    return np.asarray(values - np.abs(slopes) @ h - v.errors[1] * radius - by_second)


def least_eigenvalue(h: Array) -> Array:
    """(m,) of symmetric (m, d, d), in closed form for d <= 2."""
    if h.shape[1] == 1:
        return np.asarray(h[:, 0, 0])
    if h.shape[1] == 2:
        mean, apart = 0.5 * (h[:, 0, 0] + h[:, 1, 1]), 0.5 * (h[:, 0, 0] - h[:, 1, 1])
        return np.asarray(mean - np.hypot(apart, h[:, 0, 1]))
    return np.asarray(np.linalg.eigvalsh(h)[:, 0])


def halved(centres: Array, half: Array) -> tuple[Array, Array]:
    """Each cell in 2^d."""
    d = centres.shape[1]
    corners = (np.indices((2,) * d).reshape(d, -1).T - 0.5) * half
    return (centres[:, None, :] + corners).reshape(-1, d), 0.5 * half


def _wrapped(v: Smooth, w: Array) -> Array:
    """Differences (.., d), the short way round periodic axes."""
    length = np.where(v.periodic, v.upper - v.lower, np.inf)
    with np.errstate(invalid="ignore"):
        turns = np.where(np.isfinite(length), np.round(w / length), 0.0)
    return np.asarray(w - turns * np.where(np.isfinite(length), length, 0.0))


def _inside(v: Smooth, w: Array) -> Array:
    """Points brought back into the box, along periodic axes by whole turns."""
    length = v.upper - v.lower
    turned = v.lower + np.mod(w - v.lower, length)
    return np.where(v.periodic, turned, np.clip(w, v.lower, v.upper))


def _starts(v: Smooth, balls: Balls, centres: Array, half: Array, jet: tuple[Array, Array, Array]) -> Array:
    """The lowest cells in which V is convex, a step of Newton's method stays near, and ends in no ball yet."""
    values, slopes, bends = jet
    if not np.isfinite(v.third):
        return centres[:0]
    step = _solved(bends, slopes)
    new = (least_eigenvalue(bends) > 0.0) & np.all(np.abs(step) <= _NEAR * half, axis=1)
    if len(balls.points):
        new[new] = ~np.any(_away(v, centres[new] - step[new], balls) < balls.radii, axis=1)
    convex = np.flatnonzero(new)
    return np.asarray(centres[convex[np.argsort(values[convex], kind="stable")[:_STARTS]]])


def _settled(v: Smooth, z: Array) -> tuple[Balls, int]:
    """Balls about the ends of Newton's method, and evaluations; none where it does not settle."""
    reach = (v.upper - v.lower) / v.cells
    count = 0
    for _ in range(_NEWTON if len(z) else 0):
        value, slope, bend = v.jet(z)
        count += len(z)
        lam = least_eigenvalue(bend) - v.errors[2]
        step = _solved(bend, slope)
        good = (lam > 0.0) & np.all(np.abs(step) <= reach, axis=1)
        z, step = z[good], step[good]
        if np.all(np.abs(step) <= _SETTLED):
            steep = np.linalg.norm(slope[good], axis=1) + v.errors[1]
            radii = 2.5 * lam[good] / max(v.third, _SETTLED)
            return Balls(z, value[good], radii, value[good] - 3.0 * _CLOSED * steep**2 / lam[good]), count
        z = _distinct(_inside(v, z - step))
    return Balls.none(z.shape[1]), count


def _solved(h: Array, g: Array) -> Array:
    """H^{-1} g (m, d); infinite where the determinant vanishes. In closed form for d <= 2."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if h.shape[1] == 1:
            return np.asarray(g / h[:, 0])
        if h.shape[1] == 2:
            a, b, c = h[:, 0, 0], h[:, 0, 1], h[:, 1, 1]
            across = np.stack([c * g[:, 0] - b * g[:, 1], a * g[:, 1] - b * g[:, 0]], axis=1)
            return np.asarray(across / (a * c - b * b)[:, None])
    return np.asarray(np.linalg.solve(h + 0.0, g[:, :, None])[:, :, 0])


def _distinct(z: Array) -> Array:
    """Points (l, d) without repetitions, to 1e-7."""
    if len(z) < 2:
        return z
    near = np.max(np.abs(z[:, None, :] - z), axis=2) < 1e-7
    return np.asarray(z[np.argmax(near, axis=1) == np.arange(len(z))])


def _away(v: Smooth, centres: Array, balls: Balls) -> Array:
    """Distances (m, l)."""
    return np.asarray(np.linalg.norm(_wrapped(v, centres[:, None, :] - balls.points), axis=2))


def _held(v: Smooth, balls: Balls, centres: Array, half: Array, top: float) -> NDArray[np.bool_]:
    """(m, l) whether a cell lies in a ball on which V >= top."""
    outer = _away(v, centres, balls) + float(np.linalg.norm(half)) * _CLOSED
    return np.asarray((outer <= balls.radii * (2.0 - _CLOSED)) & (balls.floors >= top))
