"""This file owns where |V| is largest: the places at which a new charge would pay most."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.grid import Grid
from wflow.measure import SignedParticles

_CLIMBS = 30


@dataclass(frozen=True, eq=False)
class Peaks:
    """Local maxima of |V| (k, d), highest first, with V there (k,)."""

    points: Array
    potential: Array

    def above(self, level: float) -> "Peaks":
        """Those with |V| > level."""
        kept = np.abs(self.potential) > level
        return Peaks(self.points[kept], self.potential[kept])

    @property
    def highest(self) -> float:
        """The largest |V|."""
        return float(np.max(np.abs(self.potential), initial=0.0))


def peaks(energy: Energy, nu: SignedParticles, grid: Grid) -> Peaks:
    """From the local maxima of |V| on a grid, each climbed by Newton's method to the maximum beside it.

    A peak narrower than the cells may be missed: this proves nothing, it finds.
    """
    rest = energy.unpenalised
    values = np.abs(rest.potential(nu, grid.centres)).reshape(grid.shape)
    start = grid.centres[_maxima(values, grid.domain.periodic)]
    points, potential = _climbed(rest, nu, start)
    order = np.argsort(-np.abs(potential), kind="stable")
    return Peaks(points[order], potential[order])


def _maxima(values: Array, periodic: tuple[bool, ...]) -> NDArray[np.intp]:
    """Flat indices of cells that are at least as high as all their neighbours, diagonal ones too."""
    dim = values.ndim
    padded = values
    for axis, turns in enumerate(periodic):
        widths = [(1, 1) if k == axis else (0, 0) for k in range(dim)]
        padded = np.pad(padded, widths, mode="wrap") if turns else np.pad(padded, widths, constant_values=-np.inf)
    highest = np.full(values.shape, -np.inf)
    for shift in itertools.product((0, 1, 2), repeat=dim):
        window = tuple(slice(s, s + n) for s, n in zip(shift, values.shape, strict=True))
        highest = np.maximum(highest, padded[window])
    return np.flatnonzero(values.ravel() >= highest.ravel())


def _climbed(rest: Energy, nu: SignedParticles, w: Array) -> tuple[Array, Array]:
    """Each point to the maximum of s V beside it, s the sign of V there, by Newton steps that must not lower it."""
    v = rest.potential(nu, w)
    step = np.full(len(w), 1.0)
    for _ in range(_CLIMBS):
        s = np.sign(v)
        slope = nu.domain.slide(w, -s[:, None] * rest.velocity(nu, w))
        bend = -s[:, None, None] * rest.curvature(nu, w)
        values, vectors = np.linalg.eigh(bend)
        # uphill whatever the curvature: its size serves as a metric
        along = np.einsum("kai,ka->ki", vectors, slope) / np.maximum(np.abs(values), 1e-300)
        there = nu.domain.retract(w + step[:, None] * np.einsum("kai,ki->ka", vectors, along))
        found = rest.potential(nu, there)
        higher = s * found >= s * v
        w, v = np.where(higher[:, None], there, w), np.where(higher, found, v)
        step = np.where(higher, 1.0, 0.25 * step)
        if np.max(np.abs(slope), initial=0.0) <= 1e-12 or np.max(step) < 1e-3:
            break
    return w, v
