"""This file owns the largest hole of a cloud in a box: the largest ball about a point of the box without any of them.

Points outside the box count too: how far a place is from the nearest point is asked of places z in the box alone,

    h = max over z in the box of min_j |z - w_j|,   |z - w_j|^2 = |z|^2 - (2 w_j.z - |w_j|^2).

So h^2 = max |z|^2 - s over the polyhedron {z in the box, s >= 2 w_j.z - |w_j|^2 for all j}, a convex function: its
maximum is at a vertex (derived). Vertices come from Qhull, and the distance at each is measured anew.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import HalfspaceIntersection, KDTree, QhullError

from wflow.arrays import Array, finite, shaped

_ABOVE = 1.0
_FAR = 1e4


@dataclass(frozen=True, eq=False)
class Hole:
    """Its radius and its centre (d,)."""

    radius: float
    centre: Array


def largest_hole(points: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Hole:
    """The largest hole of points (m, d) in the box [lower, upper], exact; meant for d <= 4, where Qhull is quick.

    Raises ValueError for an empty box, no points, a box of another dimension, and where the nearest point is more than
    1e4 boxes away, or the box so thin, that vertices are lost in rounding.
    """
    w = shaped("largest_hole points", points, (None, None))
    low, high = (shaped("largest_hole box", end, (w.shape[1],)) for end in (lower, upper))
    if not np.all(low < high):
        raise ValueError(f"largest_hole: the box {low.tolist()} to {high.tolist()} is empty; give lower < upper")
    near = _nearest_to_some(np.unique(w, axis=0), low, high)
    try:
        places = _vertices(near, low, high)
    except QhullError as error:
        raise ValueError(
            f"largest_hole: the box {low.tolist()} to {high.tolist()} is too thin for its vertices to be told apart; "
            "give sides of like sizes"
        ) from error
    away = np.asarray(KDTree(near).query(places)[0])
    best = int(np.argmax(away))
    return Hole(float(away[best]), places[best])


def _nearest_to_some(w: Array, low: Array, high: Array) -> Array:
    """Without points that are nearest to no place: the nearest place of the box is farther than another point's last.

    What is left is no farther than that point, so that squares keep their digits.
    """
    half = 0.5 * float(np.max(high - low))
    with np.errstate(over="ignore"):  # what is infinite is dropped, or refused
        nearest = np.linalg.norm((np.clip(w, low, high) - w) / half, axis=1)
        farthest = float(np.min(np.linalg.norm(np.maximum(np.abs(w - low), np.abs(w - high)) / half, axis=1)))
    if not farthest <= _FAR:
        raise ValueError(f"largest_hole points: all are {farthest:.3g} boxes away; give a box that is near some")
    return np.asarray(w[nearest <= farthest * (1.0 + 1e-12)])


def _vertices(w: Array, low: Array, high: Array) -> Array:
    """Of the polyhedron, cut off above all graphs; in units of the box about its middle.

    Vertices by the cut do no harm: their |z|^2 - s is below what z itself has.
    """
    middle, half = 0.5 * (low + high), 0.5 * float(np.max(high - low))
    u, a, b = (w - middle) / half, (low - middle) / half, (high - middle) / half
    dim, squares = u.shape[1], np.sum(u**2, axis=1)
    roof = float(np.max(2.0 * np.abs(u).sum(axis=1) - squares)) + 2.0 * _ABOVE
    graphs = np.column_stack([2.0 * u, -np.ones(len(u)), -squares])
    unit, zeros = np.eye(dim), np.zeros((dim, 1))
    walls = np.vstack([np.column_stack([unit, zeros, -b]), np.column_stack([-unit, zeros, a])])
    cut = np.append(np.zeros(dim), [1.0, -roof])
    inside = np.append(np.zeros(dim), float(np.max(-squares)) + _ABOVE)
    found = HalfspaceIntersection(np.vstack([graphs, walls, cut]), inside).intersections[:, :dim]
    places = np.clip(finite("largest_hole vertices", found), a, b)
    return np.asarray(middle + half * places)
