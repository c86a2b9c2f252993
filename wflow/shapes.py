"""This file owns the domains that are no boxes: regions of the plane between closed curves, and the sphere.

Distances in the plane are straight: in a region that is not convex W2 is that of the plane, not of ways within it.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from wflow.arrays import Array, finite, positive
from wflow.domain import Domain

_AT_WALL = 1e-12
"""Of the size of the domain: nearer points are at the wall."""


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


@dataclass(frozen=True)
class Ring:
    """A circle with a centre and a radius."""

    radius: float
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        positive("Ring radius", self.radius)
        object.__setattr__(self, "centre", _place("Ring centre", self.centre))

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


@dataclass(frozen=True)
class Corners:
    """A polygon, its corners counterclockwise."""

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(_place("Corners points", p) for p in self.points))
        if len(self.points) < 3:
            raise ValueError(f"Corners points: {len(self.points)} corners enclose nothing; give at least 3")
        if self.area <= 0.0:
            raise ValueError(
                f"Corners points: the area is {self.area:.3g}; list the corners counterclockwise, the first one once"
            )

    @property
    def area(self) -> float:
        """By the corners' cross products."""
        x, y = np.asarray(self.points).T
        return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The least and the largest coordinates."""
        low, high = np.min(self.points, axis=0).tolist(), np.max(self.points, axis=0).tolist()
        return (low[0], low[1]), (high[0], high[1])

    def wall(self, w: Array) -> tuple[Array, Array]:
        """The distance of the nearest side, negative where the sides turn round w, and the way to it or from it."""
        start = np.asarray(self.points)
        side = np.roll(start, -1, axis=0) - start
        ray = w[:, None, :] - start
        along = np.clip(np.sum(ray * side, axis=2) / np.sum(side**2, axis=1), 0.0, 1.0)
        away = ray - along[:, :, None] * side
        near = np.argmin(np.sum(away**2, axis=2), axis=1)
        away = away[np.arange(len(w)), near]
        length = np.linalg.norm(away, axis=1)
        sign = np.where(self._encloses(ray), -1.0, 1.0)
        outward = np.stack([side[:, 1], -side[:, 0]], axis=1) / np.linalg.norm(side, axis=1)[:, None]
        apart = length > _AT_WALL * math.sqrt(self.area)
        out = np.where(apart[:, None], (sign / np.where(apart, length, 1.0))[:, None] * away, outward[near])
        return sign * length, out

    def _encloses(self, ray: Array) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether a ray to the right of each w crosses an odd number of sides; ray (m, corners, 2) from the corners."""
        x, y = ray[:, :, 0], ray[:, :, 1]
        ahead_x, ahead_y = np.roll(x, -1, axis=1), np.roll(y, -1, axis=1)
        crosses = (y > 0.0) != (ahead_y > 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x - y * (ahead_x - x) / (ahead_y - y)
        odd: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.sum(crosses & (at < 0.0), axis=1) % 2 == 1
        return odd


@dataclass(frozen=True)
class Planar(Domain):
    """The inside of a closed curve without the insides of others, the holes; walls all round.

    Mass neither crosses the walls nor needs to: a gradient flow slides along them. Holes must lie inside, apart.
    """

    outer: Curve
    holes: tuple[Curve, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "holes", tuple(self.holes))
        (a, b), (c, d) = self.outer.ends
        for k, hole in enumerate(self.holes):
            (low_x, low_y), (high_x, high_y) = hole.ends
            if not (a < low_x and b < low_y and high_x < c and high_y < d):
                raise ValueError(f"Planar holes: number {k} reaches beyond the outer curve; move it or make it smaller")

    @property
    def lower(self) -> tuple[float, ...]:
        return self.outer.ends[0]

    @property
    def upper(self) -> tuple[float, ...]:
        return self.outer.ends[1]

    @property
    def periodic(self) -> tuple[bool, ...]:
        return (False, False)

    @property
    def frozen(self) -> tuple[bool, ...]:
        return (False, False)

    @cached_property
    def volume(self) -> float:
        """The area between the curves."""
        return self.outer.area - sum(hole.area for hole in self.holes)

    def outside(self, w: Array) -> Array:
        """How far w (m, 2) lies beyond the nearest wall (m,); negative inside."""
        depths = np.stack([depth for depth, _ in self._walls(w)])
        return np.asarray(depths.max(axis=0))

    def retract(self, w: Array) -> Array:
        for curve in range(1 + len(self.holes)):
            depth, out = self._walls(w)[curve]
            w = w - np.maximum(depth, 0.0)[:, None] * out
        return w

    def slide(self, w: Array, velocity: Array) -> Array:
        for depth, out in self._walls(w):
            leaving = np.where(depth >= -_AT_WALL * math.sqrt(self.volume), np.sum(velocity * out, axis=1), 0.0)
            velocity = velocity - np.maximum(leaving, 0.0)[:, None] * out
        return velocity

    def difference(self, a: Array, b: Array) -> Array:
        return np.asarray(a, dtype=np.float64) - b

    def _walls(self, w: Array) -> list[tuple[Array, Array]]:
        """Of the outer curve and of each hole: how far w is beyond it, and the direction there."""
        found = [hole.wall(w) for hole in self.holes]
        return [self.outer.wall(w), *((-depth, -out) for depth, out in found)]


@dataclass(frozen=True)
class Sphere(Domain):
    """The unit sphere of R^3, on which neurons w of unit length live; distances along great circles.

    Points and velocities have three coordinates; velocities are tangent. No walls.
    """

    @property
    def lower(self) -> tuple[float, ...]:
        return (-1.0, -1.0, -1.0)

    @property
    def upper(self) -> tuple[float, ...]:
        return (1.0, 1.0, 1.0)

    @property
    def periodic(self) -> tuple[bool, ...]:
        return (False, False, False)

    @property
    def frozen(self) -> tuple[bool, ...]:
        return (False, False, False)

    @property
    def intrinsic(self) -> int:
        return 2

    @property
    def volume(self) -> float:
        """4 pi."""
        return 4.0 * math.pi

    def retract(self, w: Array) -> Array:
        """w/abs(w); ValueError for the centre, from which all points are as far."""
        length = np.linalg.norm(w, axis=-1, keepdims=True)
        if not np.all(length > 0.0):
            raise ValueError("Sphere: the point 0 has no nearest point on the sphere; leave it out")
        return np.asarray(w / length)

    def slide(self, w: Array, velocity: Array) -> Array:
        """The tangent part."""
        share = np.sum(velocity * w, axis=-1, keepdims=True) / np.sum(w * w, axis=-1, keepdims=True)
        return np.asarray(velocity - share * w)

    def difference(self, a: Array, b: Array) -> Array:
        """Tangent at b, as long as the great circle to a; of a point and its antipode one of the shortest ways."""
        a, b = np.broadcast_arrays(np.asarray(a, dtype=np.float64), b)
        along = self.slide(b, a - b)
        length = np.linalg.norm(along, axis=-1, keepdims=True)
        aside = self.slide(b, np.where(np.abs(b[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
        aside /= np.linalg.norm(aside, axis=-1, keepdims=True)
        direction = np.where(length > 0.0, along / np.where(length > 0.0, length, 1.0), aside)
        return np.asarray(self.distance(a, b)[..., None] * direction)

    def distance(self, a: Array, b: Array) -> Array:
        """2 atan2(abs(a - b), abs(a + b)): exact to rounding for near points and for antipodes."""
        a, b = np.broadcast_arrays(a, b)
        return np.asarray(2.0 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)))


def disk(radius: float = 1.0, centre: tuple[float, float] = (0.0, 0.0)) -> Planar:
    """abs(w - centre) <= radius."""
    return Planar(Ring(radius, centre))


def annulus(inner: float, outer: float, centre: tuple[float, float] = (0.0, 0.0)) -> Planar:
    """inner <= abs(w - centre) <= outer."""
    return Planar(Ring(outer, centre), (Ring(inner, centre),))


def polygon(*corners: tuple[float, float]) -> Planar:
    """Between straight walls, corners counterclockwise. An L: (0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)."""
    return Planar(Corners(corners))


def punched(
    lower: tuple[float, float], upper: tuple[float, float], centre: tuple[float, float], radius: float
) -> Planar:
    """A rectangle with a round hole."""
    (a, b), (c, d) = _place("punched lower", lower), _place("punched upper", upper)
    return Planar(Corners(((a, b), (c, b), (c, d), (a, d))), (Ring(radius, centre),))


def sphere() -> Sphere:
    """The unit sphere of R^3."""
    return Sphere()


def _place(name: str, value: object) -> tuple[float, float]:
    place = finite(name, value)  # type: ignore[arg-type]
    if place.shape != (2,):
        raise ValueError(f"{name}: {value!r} is not a point of the plane; give (x, y)")
    return float(place[0]), float(place[1])
