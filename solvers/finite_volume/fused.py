"""This file owns the explicit stage of finite volumes as one compiled pass over a grid.

Importing it imports numba: solvers.finite_volume.explicit, whose plain numpy is the oracle, takes it for large grids.
Cells lie as (n0, n1, n2), with axes of one cell in front where there are fewer than three. A row is (n2,): axis 2 runs
along it, axis 1 from row to row, axis 0 from plane to plane. Every loop runs over a whole row, that it be vectorised:
the flux upwards is found together with the row's divergence and handed on to the next row as the flux from below.
"""

import math
from typing import NamedTuple

import numpy as np

from wflow.arrays import Array
from wflow.compiled import inlined, kernel
from wflow.grid import Grid

_STILL, _WALLED, _CYCLIC = 0, 1, 2


class Fields(NamedTuple):
    """(n0, n1, n2) each: rho, xi = V + U'(rho), and log rho (0 in empty cells; unread at temperature 0)."""

    rho: Array
    xi: Array
    log: Array


class Faces(NamedTuple):
    """Velocity and flux at the face below each cell of a row, and half the limited slope in the cell: (n2,) each."""

    velocity: Array
    flux: Array
    half: Array


class Rule(NamedTuple):
    """What every row is told: 1/h an axis, how each axis ends, T, whether slopes are reconstructed, the step."""

    scales: tuple[float, float, float]
    ways: tuple[int, int, int]
    temperature: float
    limited: bool
    dt: float


class Stage(NamedTuple):
    """New cell averages (m,), the least of them, the fastest outflow rate of a cell, and sum over faces J force."""

    new: Array
    least: float
    drain: float
    work: float


def stage(grid: Grid, rho: Array, xi: Array, log: Array, temperature: float, limited: bool, dt: float) -> Stage:
    """rho - dt div J for J and force as in solvers.finite_volume.explicit, all three from one pass; (m,) arrays."""
    missing = 3 - grid.domain.dim
    shape = (1,) * missing + grid.shape
    ends = zip(grid.domain.frozen, grid.domain.periodic, strict=True)
    ways = (_STILL,) * missing + tuple(_STILL if f else _CYCLIC if p else _WALLED for f, p in ends)
    scales = (0.0,) * missing + tuple(1.0 / float(h) for h in grid.widths)
    rule = Rule(scales, ways, float(temperature), limited, float(dt))  # type: ignore[arg-type]
    new = np.empty(shape)
    fields = Fields(rho.reshape(shape), xi.reshape(shape), log.reshape(shape))
    least, drain, work = _swept(fields, rule, new)
    return Stage(new.ravel(), least, drain, work)


@inlined
def _next(i: int, n: int, way: int) -> int:
    """The next cell; at a wall and on a frozen axis the cell itself: then neither velocity nor slope nor flux arise."""
    if way == _STILL:
        return i
    return min(i + 1, n - 1) if way == _WALLED else (i + 1) % n


@inlined
def _last(i: int, n: int, way: int) -> int:
    if way == _STILL:
        return i
    return max(i - 1, 0) if way == _WALLED else (i + n - 1) % n


@inlined
def _half_slope(before: float, here: float, after: float) -> float:
    """Half of minmod(2 back, centre, 2 ahead), without asking for a sign: of lowest and highest at least one is 0."""
    back, ahead = here - before, after - here
    lowest, highest = min(0.0, max(back, ahead)), max(0.0, min(back, ahead))
    return min(max(0.25 * (back + ahead), lowest), highest)


@inlined
def _passed(u: float, left: float, right: float, half_left: float, half_right: float, warm: float) -> float:
    """J = v+ rho_left - v- rho_right - T jump(rho)/h; warm = T/h."""
    drift = max(u, 0.0) * (left + half_left) + min(u, 0.0) * (right - half_right)
    return drift - warm * (right - left) if warm > 0.0 else drift


@inlined
def _force(u: float, left: float, right: float, log_left: float, log_right: float, warm: float) -> float:
    """v - T jump(log rho)/h, the jump 0 beside an empty cell."""
    if warm > 0.0:
        return u - warm * (log_right - log_left if left > 0.0 and right > 0.0 else 0.0)
    return u


@kernel
def _swept(fields: Fields, rule: Rule, new: Array) -> tuple[float, float, float]:
    """(least, drain, work); `new` is written."""
    n0, n1, n2 = new.shape
    lowest, worst = np.full(n2, math.inf), np.zeros(n2)
    # divergence and outflow along axis 0, for rows that have one
    rest, leak = np.zeros(n2), np.zeros(n2)
    planes = np.zeros((3, n1, n2)) if rule.ways[0] else np.zeros((3, 1, 1))
    below = Faces(np.zeros(n2), np.zeros(n2), np.zeros(n2))
    along = Faces(np.zeros(n2 + 1), np.zeros(n2 + 1), np.zeros(n2))
    work = 0.0
    for i in range(n0):
        _enter(fields, rule, 1, i, 0, below)
        for j in range(n1):
            if rule.ways[0]:
                beneath = Faces(planes[0, j], planes[1, j], planes[2, j])
                if i == 0:
                    _enter(fields, rule, 0, i, j, beneath)
                work += _lift(fields, rule, i, j, beneath, rest, leak)
            if rule.ways[2]:
                work += _along(fields.rho[i, j], fields.xi[i, j], fields.log[i, j], rule, along)
            work += _row(fields, rule, i, j, below, along, rest, leak, new[i, j], lowest, worst)
    return lowest.min(), worst.max(), work


@kernel
def _neighbour(i: int, j: int, axis: int, step: int, rule: Rule, shape: tuple[int, int, int]) -> tuple[int, int]:
    """The row one step along an axis that leads across rows."""
    if axis == 0:
        return (_next(i, shape[0], rule.ways[0]) if step > 0 else _last(i, shape[0], rule.ways[0])), j
    return i, (_next(j, shape[1], rule.ways[1]) if step > 0 else _last(j, shape[1], rule.ways[1]))


@kernel
def _enter(fields: Fields, rule: Rule, axis: int, i: int, j: int, below: Faces) -> None:
    """The faces below the first row of an axis: those above its last where it turns round, else nothing."""
    rho, xi, _ = fields
    p, q = _neighbour(i, j, axis, -1, rule, rho.shape)
    before = rho[_neighbour(p, q, axis, -1, rule, rho.shape)]
    left, right, after = rho[p, q], rho[i, j], rho[_neighbour(i, j, axis, 1, rule, rho.shape)]
    x_left, x_right = xi[p, q], xi[i, j]
    scale, warm, limited = rule.scales[axis], rule.temperature * rule.scales[axis], rule.limited
    for k in range(len(left)):
        u = (x_left[k] - x_right[k]) * scale
        half_left = _half_slope(before[k], left[k], right[k]) if limited else 0.0
        half_right = _half_slope(left[k], right[k], after[k]) if limited else 0.0
        below.velocity[k], below.half[k] = u, half_right
        below.flux[k] = _passed(u, left[k], right[k], half_left, half_right, warm)


@kernel
def _along(rho: Array, xi: Array, log: Array, rule: Rule, along: Faces) -> float:
    """The n2 + 1 faces of a row: nothing passes the first and last, which are one where the axis turns round."""
    v, flux, half = along
    n, cyclic = len(rho), rule.ways[2] == _CYCLIC
    if rule.limited:
        before, here, after, slope = rho[:-2], rho[1:-1], rho[2:], half[1:-1]
        for k in range(len(slope)):
            slope[k] = _half_slope(before[k], here[k], after[k])
        if cyclic:
            half[0] = _half_slope(rho[n - 1], rho[0], rho[1])
            half[n - 1] = _half_slope(rho[n - 2], rho[n - 1], rho[0])
    left, right = Fields(rho[:-1], xi[:-1], log[:-1]), Fields(rho[1:], xi[1:], log[1:])
    work = _between(left, right, half[:-1], half[1:], rule, v[1:-1], flux[1:-1])
    if cyclic:
        left, right = Fields(rho[n - 1 :], xi[n - 1 :], log[n - 1 :]), Fields(rho[:1], xi[:1], log[:1])
        work += _between(left, right, half[n - 1 :], half[:1], rule, v[:1], flux[:1])
        v[n], flux[n] = v[0], flux[0]
    return work


@kernel
def _between(
    left: Fields, right: Fields, half_left: Array, half_right: Array, rule: Rule, v: Array, flux: Array
) -> float:
    """v and J at faces whose left and right cells are given; sum of J force."""
    low, high, x_low, x_high, log_low, log_high = left.rho, right.rho, left.xi, right.xi, left.log, right.log
    scale, warm = rule.scales[2], rule.temperature * rule.scales[2]
    work = 0.0
    for k in range(len(flux)):
        u = (x_low[k] - x_high[k]) * scale
        j = _passed(u, low[k], high[k], half_left[k], half_right[k], warm)
        work += j * _force(u, low[k], high[k], log_low[k], log_high[k], warm)
        v[k], flux[k] = u, j
    return work


@kernel
def _lift(fields: Fields, rule: Rule, i: int, j: int, below: Faces, rest: Array, leak: Array) -> float:
    """The faces above a row along axis 0, its divergence and outflow there; sum of J force."""
    rho, xi, log = fields
    p = _next(i, len(rho), rule.ways[0])
    here, above, beyond = rho[i, j], rho[p, j], rho[_next(p, len(rho), rule.ways[0]), j]
    x_here, x_above, log_here, log_above = xi[i, j], xi[p, j], log[i, j], log[p, j]
    v, flux, half = below
    scale, warm, limited = rule.scales[0], rule.temperature * rule.scales[0], rule.limited
    work = 0.0
    for k in range(len(rest)):
        u = (x_here[k] - x_above[k]) * scale
        half_above = _half_slope(here[k], above[k], beyond[k]) if limited else 0.0
        passed = _passed(u, here[k], above[k], half[k], half_above, warm)
        work += passed * _force(u, here[k], above[k], log_here[k], log_above[k], warm)
        rest[k] = scale * (passed - flux[k])
        leak[k] = scale * (max(u, 0.0) - min(v[k], 0.0))
        v[k], flux[k], half[k] = u, passed, half_above
    return work


@kernel
def _row(
    fields: Fields, rule: Rule, i: int, j: int, below: Faces, along: Faces, rest: Array, leak: Array, row: Array,
    lowest: Array, worst: Array,
) -> float:  # fmt: skip
    """The faces above a row along axis 1, and the row's new averages; sum of J force."""
    rho, xi, log = fields
    q = _next(j, rho.shape[1], rule.ways[1])
    here, above, beyond = rho[i, j], rho[i, q], rho[i, _next(q, rho.shape[1], rule.ways[1])]
    x_here, x_above, log_here, log_above = xi[i, j], xi[i, q], log[i, j], log[i, q]
    v, flux, half = below
    v_left, v_right, left, right = along.velocity[:-1], along.velocity[1:], along.flux[:-1], along.flux[1:]
    scale, across, warm, limited, dt = (
        rule.scales[1],
        rule.scales[2],
        rule.temperature * rule.scales[1],
        rule.limited,
        rule.dt,
    )
    stacked = rule.ways[0] != _STILL
    work = 0.0
    for k in range(len(row)):
        u = (x_here[k] - x_above[k]) * scale
        half_above = _half_slope(here[k], above[k], beyond[k]) if limited else 0.0
        passed = _passed(u, here[k], above[k], half[k], half_above, warm)
        work += passed * _force(u, here[k], above[k], log_here[k], log_above[k], warm)
        new = here[k] - dt * (scale * (passed - flux[k]) + across * (right[k] - left[k]))
        drain = scale * (max(u, 0.0) - min(v[k], 0.0)) + across * (max(v_right[k], 0.0) - min(v_left[k], 0.0))
        if stacked:
            new -= dt * rest[k]
            drain += leak[k]
        row[k], lowest[k], worst[k] = new, min(lowest[k], new), max(worst[k], drain)
        v[k], flux[k], half[k] = u, passed, half_above
    return work
