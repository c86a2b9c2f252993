"""This file owns one minimising movement of a tabulated energy, by Newton's method on its concave dual.

F is quadratic, V' = K: then D' = K (P gamma - rho), D is concave where F is convex, and Newton's step solves
(1 + S K) d = P gamma - rho, S the answer of the deposit to the field (wflow.hats.movement has D). Where atoms have
equally good places D has a kink; then a bundle, or on large grids minima softened over a width that shrinks.
"""

import math
from dataclasses import replace

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from wflow.arrays import Array
from wflow.hats.bundle import bundled, curvature
from wflow.hats.movement import Minimum, Movement, Point

WIDEST = 1e-3
"""Of the gain: the first width over which minima are softened where atoms tie."""
_QUICK = 2**29
"""Bend.products for which a bundle takes less than softened minima."""
_SHRUNK, _STAGES = 0.1, 18
_SHORTER, _FAR, _ROUGH = 6, 0.1, 1e-2
"""How often a step's length is taken by eighths, and from which gap on; to which gap the shorter steps go."""
_NEWTON, _KRYLOV, _HALVINGS = 25, 80, 14
_SOLVED, _RISE, _EXACT = 1e-6, 1e-4, 1e-4


def minimised(movement: Movement, tolerance: float) -> Minimum:
    """The step; by a bundle or with softened minima where Newton's method on D does not come to the tolerance.

    Where a bundle takes long softened minima are tried before it.
    """
    here = climbed(movement, movement.at(movement.start, 0.0), 0.1 * tolerance)
    best = judged(movement, here)
    if best.gap <= tolerance or not movement.energy.interacting:
        return best
    bend = curvature(movement)
    if bend is None or bend.products > _QUICK:
        best = min(best, _softly(movement, here, tolerance, _SHORTER), key=lambda one: one.gap)
    if bend is not None and best.gap > tolerance:
        best = min(best, bundled(movement, bend, tolerance), key=lambda one: one.gap)
    return best


def _softly(movement: Movement, here: Point, tolerance: float, shorter: int) -> Minimum:
    """With softened minima from a point; where that is too far away, from the end of a step an eighth as long."""
    best = judged(movement, here)
    if best.gap <= tolerance:
        return best
    if best.gap > _FAR and shorter:
        short = replace(movement, tau=movement.tau / 8.0)
        first = climbed(short, short.at(movement.start, 0.0), 0.1 * _ROUGH)
        nearer = movement.at(_softly(short, first, _ROUGH, shorter - 1).end, 0.0)
        return _softly(movement, climbed(movement, nearer, 0.1 * tolerance), tolerance, 0)
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
    """The end of a point, with its gap."""
    return movement.ended(here.settled.masses, here.settled.cost)
