"""This file owns knots: where the tangent of a univariate ReLU network changes, located and counted between its data.

A neuron a relu(w x + b) of angle phi bends at x = -tan phi. On the way round the circle |M| has a highest point

    inside an arc between two kinks, where |M| = R:    at most one an arc, strictly between two inputs (or beyond all)
    at a kink, if |M| falls to both sides:             at an input

and nowhere else. The charges of `NoisyFit` have the density 2 T |M| h^2/int h, h = 1/(lam^2 - M^2), growing with
|M|: the highest points of |nu|'s density are those of |M|, at every temperature. A *peak* is such a point with all
charges of its sign up to the lowest points of |M| on both sides; its jump of slope is its charge times |cos phi|. A
*knot at resolution e* is a peak whose jump is more than e (constants, cos phi = 0, are none; peaks of both sides of the
circle at one input, or nearer to each other than their widths together, are one knot of the sum of their jumps).

Where |M| <= lam - d there are at most T lam/(pi d^2) charges a radian, for h <= 1/(d lam) and int h >= 2 pi/lam^2. So
as T -> 0 all gather at the points of contact |M| = lam of the limit, and no interval has many of these      (derived)

    each side of the circle (w > 0, w < 0) has on the interval between neighbouring inputs a, b one sinusoid
    M = R cos, on an arc shorter than pi. If it touches lam or -lam inside, it does so once and is below lam elsewhere
    on the closed arc; if not, it may touch at the two ends, with opposite signs.
    So the closed interval [a, b] has at most 1 + 2 = 3 points of contact, the open one at most 2, of different sides;
    beyond the inputs, x < x_1 and x > x_n together, there is at most one.

Minimisers of the problem without noise are carried by points of contact: they are piecewise linear, with at most three
knots on [a, b]. For the setting and the count of three: Shevchenko, Kungurtsev & Mondelli 2022, arXiv:2111.02278
(abstract); the argument above is this project's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.duality.arcwise import Arcwise
from wflow.knots.angles import RELU, angle_law
from wflow.knots.minimiser import NoisyFit

_SAME = 1e-9
"""Angles that are one: kinks of repeated inputs, or an atom at an input."""
_NOUGHT = 1e-12


@dataclass(frozen=True, eq=False)
class Peaks:
    """Highest points of |M| with a charge: angles (k,), charges (k,), widths (k,), and whether at an input's kink (k,).

    widths: the standard deviation of the angle under the peak's charges.   variation: |nu| in all.
    """

    angles: Array
    charges: Array
    widths: Array
    at_input: NDArray[np.bool_]
    variation: float

    @property
    def places(self) -> Array:
        """x = -tan phi (k,)."""
        return -np.tan(self.angles)


@dataclass(frozen=True, eq=False)
class Knots:
    """Places (k,) in order, jumps of slope (k,), their widths in x, whether at an input, and `intervals`.

    jumps: the sum over the peaks of charge |cos phi|.   inputs: the distinct x_1 < ... < x_l of the data.
    """

    places: Array
    jumps: Array
    widths: Array
    at_input: NDArray[np.bool_]
    inputs: Array

    @property
    def inside(self) -> NDArray[np.int64]:
        """(l - 1,) how many strictly between neighbouring inputs."""
        free = self.places[~self.at_input]
        cut = np.searchsorted(self.inputs, free)
        return np.array([int(np.sum(cut == k)) for k in range(1, len(self.inputs))], dtype=np.int64)

    @property
    def closed(self) -> NDArray[np.int64]:
        """(l - 1,) how many on each closed interval, those at its ends included: at most three as T -> 0."""
        held = np.isin(self.inputs, self.places[self.at_input])
        return np.asarray(self.inside + held[:-1] + held[1:], dtype=np.int64)

    @property
    def beyond(self) -> int:
        """How many outside of all inputs."""
        free = self.places[~self.at_input]
        return int(np.sum((free < self.inputs[0]) | (free > self.inputs[-1])))


def peaks(fit: NoisyFit) -> Peaks:
    """All peaks of a fit, by the exact law of its angles cut at the lowest points of |M|."""
    r, x = fit.data.weights * fit.p, fit.inputs
    tops, kinked, lows = _critical(*Arcwise(r, x, RELU).arcs())
    if not len(tops) or not len(lows):
        empty = np.zeros(0)
        return Peaks(empty, empty, empty, np.zeros(0, dtype=bool), fit.variation)
    law = angle_law(r, x, fit.lam, np.stack([-np.sin(lows), np.cos(lows)], axis=1))
    charges = law.charges(fit.temperature)
    at = np.mod(np.arctan2(law.u[:, 1], law.u[:, 0]) - lows[0], 2.0 * np.pi)
    basin = np.searchsorted(np.mod(lows - lows[0], 2.0 * np.pi), at, side="right") - 1
    mine = np.searchsorted(np.mod(lows - lows[0], 2.0 * np.pi), np.mod(tops - lows[0], 2.0 * np.pi), side="right") - 1
    total = np.bincount(basin, charges, len(lows))[mine]
    centre = np.zeros(len(lows))
    centre[mine] = tops
    off = np.mod(np.arctan2(law.u[:, 1], law.u[:, 0]) - centre[basin] + np.pi, 2.0 * np.pi) - np.pi
    spread = np.bincount(basin, np.abs(charges) * off**2, len(lows))[mine]
    size = np.bincount(basin, np.abs(charges), len(lows))[mine]
    return Peaks(tops, total, np.sqrt(spread / np.where(size > 0.0, size, 1.0)), kinked, fit.variation)


def _critical(ends: Array, plane: Array) -> tuple[Array, NDArray[np.bool_], Array]:
    """Angles of highest points of |M|, which of them are at kinks, and angles of lowest points, each in order."""
    left, right, a, b = ends[:-1], ends[1:], plane[:, 0], plane[:, 1]
    kept = right - left > _SAME
    left, right, a, b = left[kept], right[kept], a[kept], b[kept]
    alive = np.hypot(a, b) > 0.0
    peak, zero = np.arctan2(b, a), np.arctan2(b, a) + 0.5 * np.pi
    inner = [left + np.mod(t - left, np.pi) for t in (peak, zero)]
    tops: list[Array] = []
    lows: list[Array] = []
    for t, into in zip(inner, (tops, lows), strict=True):
        for turn in (0.0, np.pi):
            into.append((t + turn)[alive & (t + turn > left) & (t + turn < right)])
    # slopes of |M| before and after each kink
    at = np.arange(len(left))
    before = _slope(a[at - 1], b[at - 1], left, -1.0)
    after = _slope(a, b, left, 1.0)
    corner = (before > 0.0) & (after < 0.0)
    low = (before <= 0.0) & (after >= 0.0) & (after - before > 0.0)
    highest = np.concatenate([*tops, left[corner]])
    kinked = np.arange(len(highest)) >= len(highest) - int(np.sum(corner))
    order = np.argsort(np.mod(highest, 2.0 * np.pi))
    found = np.mod(np.concatenate([*lows, left[low]]), 2.0 * np.pi)
    return np.mod(highest[order], 2.0 * np.pi), kinked[order], np.sort(found)


def _slope(a: Array, b: Array, t: Array, side: float) -> Array:
    """Derivative of |A cos + B sin| at t on one side of it; from a zero it rises to both. 0 on an arc without field."""
    value, slope = a * np.cos(t) + b * np.sin(t), b * np.cos(t) - a * np.sin(t)
    nought = np.abs(value) <= _NOUGHT * np.hypot(a, b)
    return np.asarray(np.where(nought, side * np.abs(slope), np.sign(value) * slope))


def knots(fit: NoisyFit, resolution: float) -> Knots:
    """Changes of the slope by more than `resolution`; those nearer to each other than their widths are one."""
    found = peaks(fit)
    cosine = np.abs(np.cos(found.angles))
    jumps = found.charges * cosine
    kept = np.abs(jumps) > resolution
    return joined(found.angles[kept], jumps[kept], found.widths[kept], found.at_input[kept], fit.data.inputs[:, 0])


def joined(angles: Array, jumps: Array, widths: Array, at_input: NDArray[np.bool_], inputs: Array) -> Knots:
    """Knots in order of place; neighbours nearer than their widths together are one, at an input if one of them is."""
    order = np.argsort(-np.tan(angles))
    places, jumps, at_input = -np.tan(angles[order]), jumps[order], at_input[order]
    cosine, widths = np.cos(angles[order]) ** 2, widths[order]
    turn = np.arctan(places)
    same = np.diff(turn) <= widths[1:] + widths[:-1] + _SAME
    first = np.flatnonzero(np.concatenate([np.ones(min(len(places), 1), dtype=bool), ~same]))
    own = np.unique(inputs)
    if not len(first):
        return Knots(places, jumps, widths, at_input, own)
    held = np.logical_or.reduceat(at_input, first)
    inner = np.add.reduceat(np.abs(jumps) * places, first) / np.add.reduceat(np.abs(jumps), first)
    fixed = np.add.reduceat(np.where(at_input, places, 0.0), first) / np.maximum(
        np.add.reduceat(at_input * 1.0, first), 1.0
    )
    near = own[np.argmin(np.abs(np.arctan(fixed)[:, None] - np.arctan(own)), axis=1)]
    return Knots(
        np.where(held, near, inner),
        np.add.reduceat(jumps, first),
        np.maximum.reduceat(widths / cosine, first),
        held,
        own,
    )
