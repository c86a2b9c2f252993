"""This file owns the domains that are no boxes: regions of the plane between closed curves, and the sphere.

Distances in the plane are straight: in a region that is not convex W2 is that of the plane, not of ways within it.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array
from wflow.curves import Corners, Curve, Flags, Ring, place
from wflow.domain import TURN, Domain

_ON_SPHERE = 4.0 * np.finfo(float).eps
_GOLDEN = math.pi * (3.0 - math.sqrt(5.0))


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

    @cached_property
    def widest(self) -> float:
        outer = [float(self.outer.angles.max())] if isinstance(self.outer, Corners) else []
        holes = [TURN - float(hole.angles.min()) for hole in self.holes if isinstance(hole, Corners)]
        return max([math.pi, *outer, *holes])

    def outside(self, w: Array) -> Array:
        """How far w (m, 2) lies beyond the nearest wall (m,); negative inside."""
        depths = np.stack([depth for depth, _ in self._walls(w)])
        return np.asarray(depths.max(axis=0))

    def inside(self, w: Array) -> Flags:
        """(m,) outside(w) <= 0, walls included, without a look at every wall for points that are well inside."""
        found = _enclosed(self.outer, w)
        for hole in self.holes:
            found &= ~_enclosed(hole, w)
        rest = np.flatnonzero(~found)
        found[rest] = self.outside(w[rest]) <= 0.0
        return found

    def retract(self, w: Array) -> Array:
        for curve in range(1 + len(self.holes)):
            depth, out = self._walls(w)[curve]
            w = w - np.maximum(depth, 0.0)[:, None] * out
        return w

    def slide(self, w: Array, velocity: Array) -> Array:
        velocity = self.outer.slid(w, velocity, 1.0)
        for hole in self.holes:
            velocity = hole.slid(w, velocity, -1.0)
        return velocity

    def difference(self, a: Array, b: Array) -> Array:
        return np.asarray(a, dtype=np.float64) - b

    def _walls(self, w: Array) -> list[tuple[Array, Array]]:
        """Of the outer curve and of each hole: how far w is beyond it, and the direction there."""
        found = [hole.wall(w) for hole in self.holes]
        return [self.outer.wall(w), *((-depth, -out) for depth, out in found)]


def _enclosed(curve: Curve, w: Array) -> Flags:
    return curve.encloses(w) if isinstance(curve, Corners) else curve.wall(w)[0] < 0.0


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
        """w/abs(w), w itself where abs(w) = 1 to rounding; ValueError for the centre, which has no nearest point."""
        length = np.linalg.norm(w, axis=-1, keepdims=True)
        if not np.all(length > 0.0):
            raise ValueError("Sphere: the point 0 has no nearest point on the sphere; leave it out")
        # a point that was brought back stays, bit by bit
        return np.asarray(w / np.where(np.abs(length - 1.0) <= _ON_SPHERE, 1.0, length))

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

    def spiral(self, heights: Array, axis: Array) -> Array:
        """Points (m, 3) at heights w . axis (m,), each a golden angle pi (3 - 5^(1/2)) further round the axis (3,).

        Heights of equal masses give the spherical Fibonacci points: as even on the sphere as the heights on the axis.
        Source: Swinbank & Purser 2006, Q. J. R. Meteorol. Soc. 132, 1769-1793.
        """
        return self.turned(heights, _GOLDEN * np.arange(len(heights), dtype=np.float64), axis)

    def turned(self, heights: Array, angles: Array, axis: Array) -> Array:
        """Points (m, 3) at heights w . axis (m,) and angles (m,) round the unit axis (3,)."""
        aside: Array = np.zeros((1, 3))
        aside[0, int(np.argmin(np.abs(axis)))] = 1.0
        first = self.retract(self.slide(axis[None], aside))[0]
        second = np.cross(axis, first)
        radius = np.sqrt(np.maximum((1.0 - heights) * (1.0 + heights), 0.0))[:, None]
        round_ = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
        return self.retract(heights[:, None] * axis + radius * round_)

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
    (a, b), (c, d) = place("punched lower", lower), place("punched upper", upper)
    return Planar(Corners(((a, b), (c, b), (c, d), (a, d))), (Ring(radius, centre),))


def sphere() -> Sphere:
    """The unit sphere of R^3."""
    return Sphere()
