"""This file owns one minimising movement of a tabulated energy, by Newton's method on its concave dual.

The tabulated energy of any measure gamma is F of the cells that get its mass by hats, F_h(gamma) = F(P gamma); its
first variation is V[P gamma] by hats. Over couplings of the start's atoms mu_i, the step is

    min over gamma of  F(P gamma) + sum of mass |y - x|^2/(2 tau),
    D(rho) = F(rho) - sum_k V_k rho_k + sum_i mu_i min_y [ V(y) + |y - x_i|^2/(2 tau) ],     V = V[rho],

D(rho) <= the minimum for every rho where F is convex (its tangent lies below it), and rho = P gamma at the optimum,
gamma the atoms at their minima. F is quadratic, V' = K: then D' = K (P gamma - rho), D is concave where F is convex,
and Newton's step solves (1 + S K) d = P gamma - rho, S the answer of the deposit to the field. Where an atom has two
equally good places D has a kink, and minima are softened over a width that shrinks.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.hats.settled import Settled, Sheets, settled
from wflow.measure import Density

WIDEST = 1e-3
"""Of the gain: the first width over which minima are softened where atoms tie."""
_SHRUNK, _STAGES = 0.1, 18
_SMALLEST = 1e-5
"""Of max(1, |F|): gains below it count as that much."""
_SHORTER, _FAR, _ROUGH = 6, 0.1, 1e-2
"""How often a step's length is taken by eighths, and from which gap on; to which gap the shorter steps go."""
_NEWTON, _KRYLOV, _HALVINGS = 25, 80, 14
_SOLVED, _RISE, _EXACT = 1e-6, 1e-4, 1e-4


@dataclass(frozen=True, eq=False)
class Minimum:
    """The end, the cost of its coupling over 2 tau, and how far F + cost is above the least, as a share of the gain.

    dual: F + cost less that distance; where F is convex a bound of the least value from below.
    """

    end: Density
    spent: float
    dual: float
    gap: float


@dataclass(frozen=True, eq=False)
class Point:
    """D at rho (m,), which need not be a measure: field V[rho], base = F(rho) - V . rho, and where mass goes."""

    rho: Array
    field: Array
    base: float
    settled: Settled

    def moved(self, step: Array, bend: Array, share: float) -> "Point":
        """At rho + share step, bend = K step; mass is not settled anew."""
        base = self.base - share * float(self.rho @ bend) - 0.5 * share**2 * float(step @ bend)
        return Point(self.rho + share * step, self.field + share * bend, base, self.settled)

    @property
    def value(self) -> float:
        """D, with softened minima."""
        return self.base + self.settled.soft

    @cached_property
    def ahead(self) -> Array:
        """P gamma - rho."""
        return self.settled.masses - self.rho


@dataclass(frozen=True, eq=False)
class Movement:
    """A step of length tau of an energy from a density; F without internal terms, quadratic in the density."""

    energy: Energy
    start: Density
    tau: float

    @cached_property
    def sheets(self) -> Sheets:
        """The grid's cells."""
        return Sheets(self.start.grid, self.tau)

    @cached_property
    def before(self) -> float:
        """F of the start."""
        return self.energy.value(self.start)

    def density(self, masses: Array) -> Density:
        """Masses (m,) >= 0, of the start's mass but for rounding."""
        return Density(self.start.grid, masses * (self.start.mass / (masses.sum() * self.start.grid.cell_volume)))

    def field(self, pi: Density) -> Array:
        """V (m,) at the centres."""
        return self.energy.potential(pi, pi.points)

    def curved(self, change: Array) -> Array:
        """K change (m,) for a change of masses of sum 0: V is affine in the density."""
        up, down = np.maximum(change, 0.0), np.maximum(-change, 0.0)
        size = float(up.sum())
        if not size > 0.0 or not down.sum() > 0.0:
            return np.zeros_like(change)
        return size * (self.field(self.density(up)) - self.field(self.density(down)))

    def settle(self, field: Array, width: float) -> Settled:
        """The start's mass in a field."""
        return settled(self.sheets, self.start.weights, field, width)

    def widened(self, here: Point, width: float) -> Point:
        """With mass settled in the field of the point, minima softened over the width."""
        return Point(here.rho, here.field, here.base, self.settle(here.field, width))

    def at(self, pi: Density, width: float) -> Point:
        """D at a density."""
        field = self.field(pi)
        return Point(pi.weights, field, self.energy.value(pi) - float(field @ pi.weights), self.settle(field, width))

    def scale(self, dual: float) -> float:
        """What gaps are shares of: at least what the step gains."""
        return max(self.before - dual, _SMALLEST * max(1.0, abs(self.before)))


def minimised(movement: Movement, tolerance: float) -> Minimum:
    """The step; with wider minima where Newton's method on D as it is does not come to the tolerance."""
    return _from(movement, movement.start, tolerance, _SHORTER)


def _from(movement: Movement, begin: Density, tolerance: float, shorter: int) -> Minimum:
    """From D at a density; where that is too far away, anew from the end of a step an eighth as long."""
    goal = 0.1 * tolerance
    here = climbed(movement, movement.at(begin, 0.0), goal)
    best = judged(movement, here)
    if best.gap <= tolerance or not movement.energy.interacting:
        return best
    if best.gap > _FAR and shorter:
        short = replace(movement, tau=movement.tau / 8.0)
        return _from(movement, _from(short, begin, _ROUGH, shorter - 1).end, tolerance, 0)
    return min(best, _softened(movement, here, tolerance), key=lambda one: one.gap)


def _softened(movement: Movement, here: Point, tolerance: float) -> Minimum:
    """By maxima of D with softened minima along a path of widths, until the gap is the tolerance.

    Each width a tenth of the one before; where Newton's method does not follow, from the last one by the root of that.
    """
    width, shrunk = WIDEST * movement.scale(here.base + here.settled.least), _SHRUNK
    path, best = list[Point](), judged(movement, here)
    for _ in range(_STAGES):
        starts = [here, *path[-1:], *_ahead(path, width)]
        here = max((movement.widened(one, width) for one in starts), key=lambda one: one.value)
        here = climbed(movement, here, 0.1 * tolerance)
        best = min(best, judged(movement, here), key=lambda one: one.gap)
        if best.gap <= tolerance:
            break
        if path and not arrived(movement, here, 0.1 * tolerance):
            shrunk = math.sqrt(shrunk)
        else:
            path.append(here)
        width = shrunk * path[-1].settled.width
    return best


def _ahead(path: list[Point], width: float) -> list[Point]:
    """Where the last two maxima point to: where places tie, their values differ by a multiple of the width."""
    if len(path) < 2:
        return []
    before, last = path[-2:]
    share = (last.settled.width - width) / (before.settled.width - last.settled.width)
    return [last.moved(last.rho - before.rho, last.field - before.field, share)]


def climbed(movement: Movement, here: Point, tolerance: float) -> Point:
    """By Newton's method until the mass that is off counts for less than the tolerance, or nothing is gained."""
    if not movement.energy.interacting:
        return here
    for _ in range(_NEWTON):
        there = None if arrived(movement, here, tolerance) else _searched(movement, here)
        if there is None:
            break
        here = there
    return here


def arrived(movement: Movement, here: Point, tolerance: float) -> bool:
    """Whether the mass that is off counts for far less than the tolerance: for D, half its K-norm squared."""
    fall = 0.5 * abs(float(here.ahead @ movement.curved(here.ahead)))
    return fall <= _EXACT * tolerance * movement.scale(here.base + here.settled.least)


def _searched(movement: Movement, here: Point) -> Point | None:
    """Newton's step, or the first of its halves by which D rises enough or the mass that is off falls to a quarter."""
    step = _newton(movement, here)
    bend = movement.curved(step)
    rise, share = float(here.ahead @ bend), 1.0
    for _ in range(_HALVINGS):
        there = movement.widened(here.moved(step, bend, share), here.settled.width)
        off = float(np.abs(there.ahead).sum()) / float(np.abs(here.ahead).sum())
        if off < 0.25 or there.value >= here.value + _RISE * share * rise:
            return there
        share *= 0.5
    return None


def _newton(movement: Movement, here: Point) -> Array:
    """(1 + S K)^(-1) (P gamma - rho), by a Krylov method: K is smooth, few directions count."""
    m = len(here.rho)

    def applied(change: Array) -> Array:
        change = change.ravel() - change.mean()
        return change + here.settled.answer(movement.curved(change))

    operator = LinearOperator((m, m), matvec=applied, dtype=np.float64)
    step, _ = gmres(operator, here.ahead, rtol=_SOLVED, restart=_KRYLOV, maxiter=1)
    return np.asarray(step - step.mean())


def judged(movement: Movement, here: Point) -> Minimum:
    """The end of a point with the gap of its own field: sum over its coupling of V + |y - x|^2/2tau, less the minima.

    If F + cost did not fall, the start.
    """
    end, spent = movement.density(here.settled.masses), here.settled.cost
    after = movement.energy.value(end)
    if after + spent >= movement.before:
        end, spent, after = movement.start, 0.0, movement.before
    field = movement.field(end)
    gap = max(float(field @ end.weights) + spent - movement.settle(field, 0.0).least, 0.0)
    dual = after + spent - gap
    return Minimum(end, spent, dual, gap / movement.scale(dual))
