"""This file owns where a density vanishes: how much of its domain it leaves empty, and which part, in words."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.caps import largest_cap
from wflow.domain import Box, Domain
from wflow.law import Law
from wflow.shapes import Sphere

Flags = NDArray[np.bool_]
_PLACES = {1: 720, 2: 60}
"""An axis."""
_ON_SPHERE = 2000


@dataclass(frozen=True)
class Vanishing:
    """The share of places without mass, the share that means nothing (one of them), and words."""

    share: float
    limit: float
    words: str

    @property
    def everywhere(self) -> bool:
        """Mass is seen everywhere."""
        return self.share <= self.limit

    @classmethod
    def of(cls, places: Array, values: Array, who: str, limit: float) -> "Vanishing":
        """From a density's values (n,) at places (n, d), on one axis in order."""
        empty = values <= 0.0
        share, words = float(np.mean(empty)), f"share of {who} without mass; least density {values.min():.2g}"
        return cls(share, limit, words if share <= limit else f"{words}; none {where_empty(places, empty)}")


def density_of(law: Law) -> Vanishing | None:
    """Where a law's density vanishes on a circle, an interval, in a box of two axes or on the sphere; None elsewhere.

    A density may vanish at one place and be positive about it, as 1 + cos does: that is no gap.
    """
    places = _places(law.domain)
    if places is None or not law.has_density:
        return None
    return Vanishing.of(places, law.density(places), f"{len(places)} places", 1.0 / len(places))


def _places(domain: Domain) -> Array | None:
    """Middles of 720 or 60^2 cells, or 2000 spherical Fibonacci points."""
    if isinstance(domain, Sphere):
        return domain.spiral(1.0 - (2.0 * np.arange(_ON_SPHERE) + 1.0) / _ON_SPHERE, np.array([0.0, 0.0, 1.0]))
    if not isinstance(domain, Box) or not domain.bounded or domain.dim not in _PLACES:
        return None
    n = _PLACES[domain.dim]
    axes = [low + length * (np.arange(n) + 0.5) / n for low, length in zip(domain.lower, domain.lengths, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, domain.dim)


def where_empty(places: Array, empty: Flags) -> str:
    """In words: the widest gap of one axis, which may go over the end; the largest cap; or one such place."""
    if np.all(empty):
        return "anywhere"
    if places.shape[1] == 1:
        held = np.flatnonzero(~empty)
        gaps = np.diff(held, append=held[0] + len(empty))
        first = held[int(np.argmax(gaps))]
        last = (first + int(np.max(gaps))) % len(empty)
        return f"between {places[first, 0]:.2g} and {places[last, 0]:.2g}"
    if places.shape[1] == 3 and math.isclose(float(np.mean(np.sum(places**2, axis=1))), 1.0):
        cap = largest_cap(places[~empty])
        return f"within {cap.radius:.2g} of ({', '.join(f'{x:.2g}' for x in cap.centre)})"
    return f"about ({', '.join(f'{x:.2g}' for x in places[empty][0])}) and elsewhere"
