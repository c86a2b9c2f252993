"""This file owns where parameters live, and the flat ones: boxes with walls, infinite, periodic and frozen axes.

Geometry only. Other shapes: wflow.shapes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wflow.arrays import Array

TURN = 2.0 * math.pi


class Domain:
    """Points w (m, d) in d coordinates, distances along shortest ways, and walls along which a gradient flow slides.

    `lower`, `upper`, `periodic` and `frozen` are those of the box around it, which for a Box is the domain itself.
    """

    if TYPE_CHECKING:  # read-only for the checker; a field or a property in each domain

        @property
        def lower(self) -> tuple[float, ...]:
            """Lower ends of the box around it."""

        @property
        def upper(self) -> tuple[float, ...]:
            """Upper ends of the box around it."""

        @property
        def periodic(self) -> tuple[bool, ...]:
            """Which axes close."""

        @property
        def frozen(self) -> tuple[bool, ...]:
            """Along which axes nothing moves."""

    @property
    def dim(self) -> int:
        """The number d of coordinates."""
        return len(self.lower)

    @cached_property
    def lengths(self) -> Array:
        """(d,) lengths of the axes, inf where infinite; read-only."""
        lengths: Array = np.subtract(self.upper, self.lower, dtype=np.float64)
        lengths.flags.writeable = False
        return lengths

    @property
    def moving(self) -> tuple[int, ...]:
        """The axes along which mass may move: all but the frozen ones."""
        return tuple(axis for axis, still in enumerate(self.frozen) if not still)

    @cached_property
    def bounded(self) -> bool:
        """Every axis has finite length (cells can cover it)."""
        return bool(np.all(np.isfinite(self.lengths)))

    @cached_property
    def is_circle(self) -> bool:
        """One periodic axis of length 2 pi."""
        return False

    @cached_property
    def widest(self) -> float:
        """The largest angle between two walls that meet, seen from inside; pi where none is beyond it."""
        return math.pi

    def wrap(self, w: Array) -> Array:
        """Points (m, d) with each periodic coordinate brought into [lower, upper)."""
        return w

    def retract(self, w: Array) -> Array:
        """Points (m, d) moved to the nearest point of the domain."""
        raise NotImplementedError

    def slide(self, w: Array, velocity: Array) -> Array:
        """Velocity (m, d) at w (m, d) without its part that leaves the domain."""
        raise NotImplementedError

    def difference(self, a: Array, b: Array) -> Array:
        """The velocity (m, d) with which a shortest way leaves b (m, d) to be at a (m, d) in unit time."""
        raise NotImplementedError

    def distance(self, a: Array, b: Array) -> Array:
        """Length (m,) of a shortest way from b to a (m, d)."""
        return np.asarray(np.linalg.norm(self.difference(a, b), axis=-1))

    def alike(self, other: "Domain") -> bool:
        """Whether both measure distances in the same way, wherever they end: W2 and kernels can take points of both."""
        if self.dim != other.dim or self.periodic != other.periodic or self.intrinsic != other.intrinsic:
            return False
        turns = np.array(self.periodic)
        return bool(np.allclose(self.lengths[turns], other.lengths[turns], rtol=1e-12))

    @property
    def intrinsic(self) -> int:
        """The dimension of the domain itself: d, less on a surface."""
        return self.dim


@dataclass(frozen=True)
class Box(Domain):
    """Product of d axes [lower_i, upper_i]; each is periodic, walled (no flux) or infinite.

    A gradient flow slides along a wall (`slide`: the velocity is projected); a wall at +-inf is no wall. Nothing moves
    along a frozen axis (none by default): with two cells there its halves are two sheets, such as the outer weights
    a = +-A of a network that trains its inner weights alone.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    periodic: tuple[bool, ...]
    frozen: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "periodic", "frozen"):  # lists and arrays too: a box is a key of caches
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.frozen:
            object.__setattr__(self, "frozen", (False,) * len(self.lower))
        if not (len(self.lower) == len(self.upper) == len(self.periodic) >= 1):
            raise ValueError(
                f"Box: lower, upper and periodic have lengths {len(self.lower)}, {len(self.upper)}, "
                f"{len(self.periodic)}; give one entry an axis"
            )
        if len(self.frozen) != len(self.lower):
            raise ValueError(f"Box frozen: {self.frozen} has not one entry for each of {len(self.lower)} axes")
        for axis, (a, b, turns) in enumerate(zip(self.lower, self.upper, self.periodic, strict=True)):
            if not a < b:
                raise ValueError(f"Box: axis {axis} has lower {a} and upper {b}; lower must be below upper")
            if turns and not (math.isfinite(a) and math.isfinite(b)):
                raise ValueError(f"Box: axis {axis} is periodic and infinite; a periodic axis needs finite ends")

    @cached_property
    def walled(self) -> bool:
        """Some axis ends at a wall."""
        ends = zip(self.lower, self.upper, self.periodic, strict=True)
        return any(not turns and (math.isfinite(a) or math.isfinite(b)) for a, b, turns in ends)

    @cached_property
    def is_circle(self) -> bool:
        return self.dim == 1 and self.periodic[0] and abs(self.lengths[0] - TURN) < 1e-12

    def wrap(self, w: Array) -> Array:
        """Points (m, d) with periodic coordinates brought into [lower, upper)."""
        out = np.array(w, dtype=np.float64)
        for axis in np.flatnonzero(self.periodic):
            a, length = self.lower[axis], self.lengths[axis]
            turned = np.mod(out[:, axis] - a, length)
            # mod of a tiny negative number rounds up to the length itself: that point is the lower end
            out[:, axis] = a + np.where(turned >= length, 0.0, turned)
        return out

    def retract(self, w: Array) -> Array:
        """Points (m, d) moved to the nearest point of the box; periodic coordinates stay lifted."""
        if not self.walled:
            return w
        free = np.asarray(self.periodic)
        low = np.where(free, -np.inf, self.lower)
        high = np.where(free, np.inf, self.upper)
        return np.clip(w, low, high)

    def mirrored(self, w: Array) -> Array:
        """Points (..., d) beyond a wall reflected back at it, as often as needed; periodic coordinates stay lifted."""
        if not self.walled:
            return w
        out = np.array(w, dtype=np.float64)
        for axis, (a, b, turns) in enumerate(zip(self.lower, self.upper, self.periodic, strict=True)):
            if turns or not (math.isfinite(a) or math.isfinite(b)):
                continue
            at = out[..., axis]
            if math.isfinite(a) and math.isfinite(b):
                beyond = np.mod(at - a, 2.0 * (b - a))
                # rounding: a point of the box stays as it is, and none leaves it
                back = np.clip(a + np.minimum(beyond, 2.0 * (b - a) - beyond), a, b)
                out[..., axis] = np.where((at >= a) & (at <= b), at, back)
            else:
                out[..., axis] = a + np.abs(at - a) if math.isfinite(a) else b - np.abs(at - b)
        return out

    def slide(self, w: Array, velocity: Array) -> Array:
        """Velocity (m, d) at w (m, d) without its part that leaves through a wall or goes along a frozen axis."""
        if any(self.frozen):
            velocity = np.where(self.frozen, 0.0, velocity)
        if not self.walled:
            return velocity
        free = np.asarray(self.periodic)
        out_low = ~free & (w <= np.asarray(self.lower)) & (velocity < 0.0)
        out_high = ~free & (w >= np.asarray(self.upper)) & (velocity > 0.0)
        return np.where(out_low | out_high, 0.0, velocity)

    def difference(self, a: Array, b: Array) -> Array:
        """a - b (m, d), the short way round on periodic axes; walls are no obstacle."""
        out = np.asarray(a, dtype=np.float64) - b
        for axis in np.flatnonzero(self.periodic):
            length = self.lengths[axis]
            out[..., axis] -= length * np.round(out[..., axis] / length)
        return out


def line() -> Box:
    """The real line."""
    return Box((-math.inf,), (math.inf,), (False,))


def interval(a: float, b: float) -> Box:
    """[a, b] with walls: no flux."""
    return Box((float(a),), (float(b),), (False,))


def circle() -> Box:
    """Angles [0, 2 pi), W2 in arc length."""
    return Box((0.0,), (TURN,), (True,))


def torus(dim: int) -> Box:
    """d angles."""
    return Box((0.0,) * dim, (TURN,) * dim, (True,) * dim)


def cylinder(lower: float = -math.inf, upper: float = math.inf) -> Box:
    """(a, theta): a line, or an interval with walls, times the circle."""
    return Box((float(lower), 0.0), (float(upper), TURN), (False, True))


def space(dim: int) -> Box:
    """R^d."""
    return Box((-math.inf,) * dim, (math.inf,) * dim, (False,) * dim)


def plane() -> Box:
    """R^2."""
    return space(2)


def box(lower: Sequence[float], upper: Sequence[float]) -> Box:
    """Walled box with the given corners."""
    return Box(tuple(map(float, lower)), tuple(map(float, upper)), (False,) * len(lower))
