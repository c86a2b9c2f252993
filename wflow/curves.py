"""This file owns closed curves of the plane, the walls of regions: circles and polygons."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, finite, positive

Flags = NDArray[np.bool_]
_AT_WALL = 1e-12
"""Of the size of the curve: nearer points are at the wall."""
_MOST_PAIRS = 1 << 18
"""Of points and corners at a time."""


class Curve(Protocol):
    """A closed curve of the plane."""

    @property
    def area(self) -> float:
        """Enclosed."""

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Lower and upper corner of the box around it."""

    def wall(self, w: Array) -> tuple[Array, Array]:
        """How far w (m, 2) lies outside (m,), negative inside, and the direction outwards (m, 2) from the curve."""

    def slid(self, w: Array, velocity: Array, sign: float) -> Array:
        """The velocity (m, 2) without what leaves through the curve, outwards for sign 1 and inwards for -1."""


@dataclass(frozen=True)
class Ring:
    """A circle with a centre and a radius."""

    radius: float
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        positive("Ring radius", self.radius)
        object.__setattr__(self, "centre", place("Ring centre", self.centre))

    @property
    def area(self) -> float:
        """pi radius^2."""
        return math.pi * self.radius**2

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Of the square around it."""
        (x, y), r = self.centre, self.radius
        return (x - r, y - r), (x + r, y + r)

    def wall(self, w: Array) -> tuple[Array, Array]:
        """abs(w - centre) - radius, and the direction away from the centre."""
        ray = w - np.asarray(self.centre)
        length = np.linalg.norm(ray, axis=1)
        out = np.where(length[:, None] > 0.0, ray, [1.0, 0.0]) / np.where(length > 0.0, length, 1.0)[:, None]
        return length - self.radius, out

    def slid(self, w: Array, velocity: Array, sign: float) -> Array:
        """Along the tangent."""
        depth, out = self.wall(w)
        at = np.abs(depth) <= _AT_WALL * self.radius
        return _without(velocity, sign * out, at | (sign * depth > 0.0))


@dataclass(frozen=True)
class Corners:
    """A polygon, its corners counterclockwise."""

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(place("Corners points", p) for p in self.points))
        if len(self.points) < 3:
            raise ValueError(f"Corners points: {len(self.points)} corners enclose nothing; give at least 3")
        if self.area <= 0.0:
            raise ValueError(
                f"Corners points: the area is {self.area:.3g}; list the corners counterclockwise, the first one once"
            )

    @property
    def area(self) -> float:
        """By the corners' cross products, seen from the first: far from the origin they would cancel."""
        x, y = (np.asarray(self.points) - self.points[0]).T
        return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))

    @property
    def angles(self) -> Array:
        """(k,) between the sides that meet at each corner, seen from inside, below 2 pi."""
        points = np.asarray(self.points)
        back, on = np.roll(points, 1, axis=0) - points, np.roll(points, -1, axis=0) - points
        turn = on[:, 0] * back[:, 1] - on[:, 1] * back[:, 0]
        return np.asarray(np.mod(np.arctan2(turn, np.sum(on * back, axis=1)), 2.0 * math.pi))

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The least and the largest coordinates."""
        low, high = np.min(self.points, axis=0).tolist(), np.max(self.points, axis=0).tolist()
        return (low[0], low[1]), (high[0], high[1])

    def wall(self, w: Array) -> tuple[Array, Array]:
        """The distance of the nearest side, negative where the sides turn round w, and the way to it or from it."""
        parts = np.array_split(w, max(1, len(w) * len(self.points) // _MOST_PAIRS))
        depths, ways = zip(*(self._wall(part) for part in parts), strict=True)
        return np.concatenate(depths), np.concatenate(ways)

    def _wall(self, w: Array) -> tuple[Array, Array]:
        """Of so few points that all pairs of them and the corners fit into memory."""
        start = np.asarray(self.points)
        side = np.roll(start, -1, axis=0) - start
        ray = w[:, None, :] - start
        along = np.clip(np.sum(ray * side, axis=2) / np.sum(side**2, axis=1), 0.0, 1.0)
        away = ray - along[:, :, None] * side
        near = np.argmin(np.sum(away**2, axis=2), axis=1)
        away = away[np.arange(len(w)), near]
        length = np.linalg.norm(away, axis=1)
        sign = np.where(_odd(ray, np.roll(ray, -1, axis=1)), -1.0, 1.0)
        outward = np.stack([side[:, 1], -side[:, 0]], axis=1) / np.linalg.norm(side, axis=1)[:, None]
        apart = length > _AT_WALL * math.sqrt(self.area)
        out = np.where(apart[:, None], (sign / np.where(apart, length, 1.0))[:, None] * away, outward[near])
        return sign * length, out

    def slid(self, w: Array, velocity: Array, sign: float) -> Array:
        """Along the nearest side; where two meet in the cone of both, or past a corner that juts in."""
        depth, out = self.wall(w)
        at = (np.abs(depth) <= _AT_WALL * math.sqrt(self.area)) | (sign * depth > 0.0)
        found = _without(velocity, sign * out, at)
        corners = np.asarray(self.points)
        side = np.roll(corners, -1, axis=0) - corners
        normal = sign * np.stack([side[:, 1], -side[:, 0]], axis=1) / np.linalg.norm(side, axis=1)[:, None]
        for k, corner in enumerate(corners if np.any(at) else ()):
            here = at & (np.linalg.norm(w - corner, axis=1) <= 2.0 * _AT_WALL * math.sqrt(self.area))
            if np.any(here):
                turn = sign * (side[k - 1, 0] * side[k, 1] - side[k - 1, 1] * side[k, 0])
                found[here] = _in_corner(velocity[here], normal[k - 1], normal[k], turn > 0.0)
        return found

    def encloses(self, w: Array) -> Flags:
        """(m,) whether the sides turn round w (m, 2); points and sides meet in as many strips as there are sides.

        For m points and k sides of like length it takes O(m + k^2), where `wall`, which looks at all, takes O(m k).
        """
        start = np.asarray(self.points)
        end, n = np.roll(start, -1, axis=0), len(start)
        (_, low), (_, high) = self.ends

        def strip(y: Array) -> NDArray[np.int64]:  # monotone: a side that is level with a point is in its strip
            return np.clip((n * ((y - low) / (high - low))).astype(np.int64), 0, n - 1)

        first, last = strip(np.minimum(start[:, 1], end[:, 1])), strip(np.maximum(start[:, 1], end[:, 1]))
        near = np.flatnonzero((w[:, 1] >= low) & (w[:, 1] <= high))
        strips = strip(w[near, 1])
        order = np.argsort(strips, kind="stable")
        ends = np.searchsorted(strips[order], np.arange(n + 1))
        found = np.zeros(len(w), dtype=bool)
        for k in np.flatnonzero(np.diff(ends)):
            some, sides = near[order[ends[k] : ends[k + 1]]], (first <= k) & (last >= k)
            found[some] = _odd(w[some, None, :] - start[sides], w[some, None, :] - end[sides])
        return found


def _odd(ray: Array, ahead: Array) -> Flags:
    """Whether a ray to the right of each w crosses an odd number of sides; w less their starts and ends (m, k, 2)."""
    (x, y), (ahead_x, ahead_y) = np.moveaxis(ray, 2, 0), np.moveaxis(ahead, 2, 0)
    crosses = (y > 0.0) != (ahead_y > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x - y * (ahead_x - x) / (ahead_y - y)
    return np.asarray(np.sum(crosses & (at < 0.0), axis=1) % 2 == 1)


def _without(velocity: Array, out: Array, where: Flags) -> Array:
    """(m, 2) without the part along `out` (m, 2), where it points that way."""
    leaving = np.where(where, np.sum(velocity * out, axis=1), 0.0)
    return np.asarray(velocity - np.maximum(leaving, 0.0)[:, None] * out)


def _in_corner(velocity: Array, first: Array, second: Array, cone: bool) -> Array:
    """The nearest of the velocities (m, 2) that do not leave between two walls with these normals outwards.

    cone: neither wall may be crossed; otherwise one of both may, since the corner juts into the domain.
    """
    ways = [velocity, *(velocity - np.maximum(velocity @ n, 0.0)[:, None] * n for n in (first, second))]
    if cone:
        ways.append(np.zeros_like(velocity))
    stays = [np.stack([way @ first, way @ second]) <= 1e-12 * np.linalg.norm(velocity, axis=1) for way in ways]
    allowed = np.stack([np.all(s, axis=0) if cone else np.any(s, axis=0) for s in stays])
    apart = np.stack([np.linalg.norm(way - velocity, axis=1) for way in ways])
    best = np.argmin(np.where(allowed, apart, np.inf), axis=0)
    return np.asarray(np.stack(ways)[best, np.arange(len(velocity))])


def place(name: str, value: object) -> tuple[float, float]:
    place = finite(name, value)  # type: ignore[arg-type]
    if place.shape != (2,):
        raise ValueError(f"{name}: {value!r} is not a point of the plane; give (x, y)")
    return float(place[0]), float(place[1])
