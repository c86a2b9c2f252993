"""This file owns intervals: of chances that were counted, what they say of a curve of them, and of a line's slope."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, linregress, norm, t

from wflow.arrays import Array
from wflow.size_slopes import slope_of


@dataclass(frozen=True)
class Chance:
    """hits of tries, and an interval that covers their chance with the level's confidence or more (Clopper-Pearson)."""

    hits: int
    tries: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """hits/tries."""
        return self.hits / self.tries


def chances(counts: Sequence[tuple[int, int]], level: float = 0.95) -> list[Chance]:
    """Of (hits, tries) each; all intervals together cover with at least `level` (Bonferroni).

    Source: Clopper & Pearson 1934, Biometrika 26, 404-413.
    """
    each = 1.0 - (1.0 - level) / len(counts)
    found = []
    for hits, tries in counts:
        interval = binomtest(hits, tries).proportion_ci(each, "exact")
        found.append(Chance(hits, tries, float(interval.low), float(interval.high)))
    return found


def fall(curve: Sequence[Chance]) -> float:
    """By how much the intervals refute a chance that never falls: max over i < j of low_i - high_j.

    At most 0: there is a monotone curve in all intervals, max_{i<=j} low_i for one; above 0 there is none.
    """
    return max((a.low - b.high for i, a in enumerate(curve) for b in curve[i + 1 :]), default=-1.0)


@dataclass(frozen=True)
class Line:
    """A slope by least squares, with Student's interval at the level, and R^2.

    Student's interval supposes independent errors of one size. Points of one run have none such: there it tells how
    straight the run is, not how another would go.
    """

    slope: float
    low: float
    high: float
    squared: float


def line(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Line:
    """Through three points (n,) or more, not all of one x."""
    found = linregress(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    half = float(t.ppf(0.5 * (1.0 + level), np.size(x) - 2)) * float(found.stderr)
    slope = float(found.slope)
    return Line(slope, slope - half, slope + half, float(found.rvalue) ** 2)


def power(sizes: ArrayLike, values: ArrayLike) -> Line:
    """The line of log values in log sizes: its slope is the exponent of a power law."""
    return line(np.log(sizes), np.log(values))


def power_of_draws(sizes: Sequence[float], draws: Sequence[Sequence[float]], level: float = 0.95) -> Line:
    """The exponent of root mean squares of independent draws, two or more at each size, with an interval by their
    spread (delta method, normal): how another set of draws would go, however few sizes there are.
    """
    x, squares = np.log(np.asarray(sizes, dtype=np.float64)), [np.square(d) for d in draws]
    slope, deviation = slope_of(x, squares)
    half = float(norm.ppf(0.5 * (1.0 + level))) * deviation
    return Line(slope, slope - half, slope + half, line(x, [math.log(float(s.mean())) for s in squares]).squared)


def mean(values: Array, level: float = 0.95) -> tuple[float, float, float]:
    """m, low, high: the mean of two values (n,) or more with Student's interval, for independent Gaussian ones."""
    v = np.asarray(values, dtype=np.float64)
    half = float(t.ppf(0.5 * (1.0 + level), len(v) - 1)) * float(np.std(v, ddof=1)) / len(v) ** 0.5
    return float(v.mean()), float(v.mean()) - half, float(v.mean()) + half
