"""This file owns bounds of a density: crowds that are nowhere denser than they can be, places that nobody enters.

A bound adds to F the indicator of {rho <= bound}: 0 where it holds, else infinity. It has no first variation; the flow
is that of the other terms, projected on what keeps the bound, and the pressure of the crowd is its multiplier.
Source: Maury, Roudneff-Chupin & Santambrogio 2010, Math. Models Methods Appl. Sci. 20(10), 1787-1821.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label, maximum

from wflow.arrays import Array, finite, positive
from wflow.errors import Refused
from wflow.grid import Grid

WITHIN = 1e-8
"""Share by which a cell's average may be above its bound: rounding of what it is divided by."""


@dataclass(frozen=True)
class Congestion:
    """Hard congestion: rho <= most, a density per unit of volume of the parameters."""

    most: float

    def __post_init__(self) -> None:
        positive("Congestion most", self.most)

    def bound(self, grid: Grid) -> Array:
        """(m,) the largest density of each cell."""
        return np.full(grid.size, self.most)


@dataclass(frozen=True, eq=False)
class Obstacle:
    """rho = 0 on the cells whose middle is inside: inside(w (m, d)) -> (m,) of truth values.

    Transport still counts straight distances, through the obstacle: the step of a method is that of the flow around it
    only while no mass moves far in one step, and methods refuse steps in which it does.
    """

    inside: Callable[[Array], NDArray[np.bool_]]
    name: str = "obstacle"

    @classmethod
    def disc(cls, centre: Sequence[float], radius: float) -> "Obstacle":
        """{|w - centre| < radius}: a segment, a disc, a ball."""
        middle, reach = np.atleast_1d(finite("Obstacle centre", centre)), positive("Obstacle radius", radius)
        name = f"disc({middle.tolist()}, {reach:g})"
        return cls(lambda w: np.linalg.norm(_seen(w, middle, name) - middle, axis=1) < reach, name)

    @classmethod
    def block(cls, lower: Sequence[float], upper: Sequence[float]) -> "Obstacle":
        """{lower < w < upper}, axis by axis: a wall; for a door take two."""
        low, high = finite("Obstacle lower", lower), finite("Obstacle upper", upper)
        if low.shape != high.shape or not np.all(low < high):
            raise ValueError(f"Obstacle block: lower {list(lower)} is not below upper {list(upper)} on every axis")
        name = f"block({list(lower)}, {list(upper)})"
        return cls(lambda w: np.all((_seen(w, low, name) > low) & (w < high), axis=1), name)

    def bound(self, grid: Grid) -> Array:
        """(m,) 0 inside, else infinity; on periodic axes inside it or what it is a turn further on, or back.

        ValueError where `inside` does not answer for each cell; Refused where no cell is inside.
        """
        turns = product(
            *((0.0, -n, n) if p else (0.0,) for n, p in zip(grid.domain.lengths, grid.domain.periodic, strict=True))
        )
        inside = np.logical_or.reduce([self._holds(grid.centres + turn) for turn in turns])
        if not np.any(inside):
            raise Refused(
                f"{self.name}: the middle of no cell is inside, cells being {grid.widths.tolist()} wide: as if it were "
                "not there; use more cells, make it thicker, or leave it out"
            )
        return np.where(inside, 0.0, math.inf)

    def _holds(self, w: Array) -> NDArray[np.bool_]:
        inside = np.asarray(self.inside(w))
        if inside.shape != (len(w),) or inside.dtype != np.bool_:
            raise ValueError(
                f"Obstacle inside: it gave {inside.dtype} of shape {inside.shape} for {len(w)} points; "
                "it must give one truth value for each row of w"
            )
        return inside


def _seen(w: Array, corner: Array, name: str) -> Array:
    """w (m, d); ValueError where an obstacle has other axes."""
    if corner.shape != (w.shape[1],):
        raise ValueError(
            f"Obstacle {name}: it has {corner.size} axes, the domain {w.shape[1]}; give one number an axis"
        )
    return w


Limit = Congestion | Obstacle


def joint_bound(limits: Sequence[Limit], grid: Grid) -> Array:
    """(m,) the smallest bound of each cell, infinity without any."""
    bounds = [np.full(grid.size, math.inf), *(limit.bound(grid) for limit in limits)]
    return np.asarray(np.minimum.reduce(bounds))


def thinnest(limits: Sequence[Limit], grid: Grid) -> float:
    """The least thickness of the obstacles on a grid: for each that is connected twice its deepest point's depth.

    Depths are distances between middles of cells, less half a cell at the rim; no obstacle is thinner than a cell.
    Infinity without obstacles. A thin wall that is joined to something thick counts as that; wflow.ways sees it.
    """
    closed = joint_bound([limit for limit in limits if isinstance(limit, Obstacle)], grid) <= 0.0
    if not np.any(closed):
        return math.inf
    inside = np.pad(closed.reshape(grid.shape), 1)
    depth = distance_transform_edt(inside, sampling=grid.widths.tolist())
    parts, count = label(inside)
    deepest = maximum(depth, parts, range(1, count + 1))
    return float(max(2.0 * np.min(deepest) - grid.widths.max(), grid.widths.min()))
