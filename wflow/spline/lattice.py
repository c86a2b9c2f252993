"""This file owns tensor quadratic B-splines on the cells of a grid, compiled: values, nearest points and deposits.

Coordinates count cells, cell i is [i, i+1), and spline k sits at the middle of cell k. Within a cell, at the distance
u from its middle, the three splines that do not vanish are (1/2 - u)^2/2, 3/4 - u^2, (1/2 + u)^2/2. Coefficients come
with a layer of ghosts: mirrored at walls, so that the spline has no slope there, or wrapped. One axis is a grid (n, 1).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from wflow.arrays import Array
from wflow.compiled import inlined, kernel
from wflow.spline.waves import angles, scaled

_CLOSE = 1e-8
"""Cells that the last of Newton's steps towards a nearest point may still have moved."""
_STEPS = 60
_SHORTEST = 1e-6
_DEFINITE = 0.05
"""Of the curvature of the squared distance: below it the Hessian at a nearest point is not believed."""


class Sides(NamedTuple):
    """Whether each of the two axes is periodic."""

    first: bool
    second: bool


class Moved(NamedTuple):
    """sum of masses min(p + distance), and the part of it that is distance."""

    total: float
    distance: float


class _Spot(NamedTuple):
    """The cell of a point, by its number in an array with ghosts, and the place in it, from its middle."""

    i: int
    j: int
    u: float
    v: float


@inlined
def _spot(y0: float, y1: float, n0: int, n1: int, sides: Sides) -> _Spot:
    f0, f1 = math.floor(y0), math.floor(y1)
    if not sides.first:
        f0 = min(max(f0, 0), n0 - 1)
    if not sides.second:
        f1 = min(max(f1, 0), n1 - 1)
    u, v = y0 - f0 - 0.5, y1 - f1 - 0.5
    return _Spot(int(f0) % n0, int(f1) % n1, u, v)


@inlined
def _values(u: float) -> tuple[float, float, float]:
    return 0.5 * (0.5 - u) ** 2, 0.75 - u * u, 0.5 * (0.5 + u) ** 2


@inlined
def _slopes(u: float) -> tuple[float, float, float]:
    return u - 0.5, -2.0 * u, u + 0.5


@inlined
def _dot(w: tuple[float, float, float], c0: float, c1: float, c2: float) -> float:
    return w[0] * c0 + w[1] * c1 + w[2] * c2


@inlined
def _jet(c: Array, at: _Spot) -> tuple[float, float, float, float, float, float]:
    """p, its slopes d0, d1 and its curvatures d00, d01, d11."""
    i, j = at.i, at.j
    b, db = _values(at.v), _slopes(at.v)
    p0, p1, p2 = c[i, j], c[i, j + 1], c[i, j + 2]
    q0, q1, q2 = c[i + 1, j], c[i + 1, j + 1], c[i + 1, j + 2]
    r0, r1, r2 = c[i + 2, j], c[i + 2, j + 1], c[i + 2, j + 2]
    s0, s1, s2 = _dot(b, p0, p1, p2), _dot(b, q0, q1, q2), _dot(b, r0, r1, r2)
    e0, e1, e2 = _dot(db, p0, p1, p2), _dot(db, q0, q1, q2), _dot(db, r0, r1, r2)
    w0, w1, w2 = p0 - 2.0 * p1 + p2, q0 - 2.0 * q1 + q2, r0 - 2.0 * r1 + r2
    a, da = _values(at.u), _slopes(at.u)
    return (
        _dot(a, s0, s1, s2),
        _dot(da, s0, s1, s2),
        _dot(a, e0, e1, e2),
        s0 - 2.0 * s1 + s2,
        _dot(da, e0, e1, e2),
        _dot(a, w0, w1, w2),
    )


@inlined
def _added(field: Array, at: _Spot, amount: float) -> None:
    """amount B_k(y) to the nine coefficients k."""
    i, j = at.i, at.j
    a, b = _values(at.u), _values(at.v)
    for k in range(3):
        weight = amount * a[k]
        field[i + k, j] += weight * b[0]
        field[i + k, j + 1] += weight * b[1]
        field[i + k, j + 2] += weight * b[2]


@kernel
def moved(
    c: Array, masses: Array, x: Array, y: Array, pull: tuple[float, float], sides: Sides, deposit: Array, give: Array
) -> Moved:
    """The minima over y of p(y) + sum_a pull_a (y_a - x_a)^2/2 for points x (m, 2), by Newton from y (m, 2), in place.

    deposit, with ghosts: sum_i masses_i B_k(y_i) is added.   give (m, 3): masses times the inverse Hessian there, the
    inverse of the pull's own where that is not clearly positive definite.
    """
    n0, n1 = c.shape[0] - 2, c.shape[1] - 2
    a0, a1 = pull
    total = distance = 0.0
    for s in range(len(masses)):
        x0, x1, y0, y1 = x[s, 0], x[s, 1], y[s, 0], y[s, 1]
        from0, from1, d0, d1, share, last = y0, y1, 0.0, 0.0, 1.0, np.inf
        found = False
        at = _spot(y0, y1, n0, n1, sides)
        value, h00, h01, h11 = 0.0, a0, 0.0, a1
        for step in range(_STEPS):
            at = _spot(y0, y1, n0, n1, sides)
            p, g0, g1, h00, h01, h11 = _jet(c, at)
            value = p + 0.5 * a0 * (y0 - x0) ** 2 + 0.5 * a1 * (y1 - x1) ** 2
            h00, h11 = h00 + a0, h11 + a1
            if found:
                break
            if value > last + 1e-14 * abs(last):
                share *= 0.5
                if share < _SHORTEST:
                    share, found = 0.0, True
            else:
                from0, from1, last, share = y0, y1, value, 1.0
                g0, g1 = g0 + a0 * (y0 - x0), g1 + a1 * (y1 - x1)
                det = h00 * h11 - h01 * h01
                if h00 > 0.0 and det > 1e-3 * a0 * a1:
                    d0, d1 = -(h11 * g0 - h01 * g1) / det, -(h00 * g1 - h01 * g0) / det
                else:
                    d0, d1 = -g0 / (abs(h00) + abs(h01) + a0), -g1 / (abs(h11) + abs(h01) + a1)
                found = abs(d0) + abs(d1) < _CLOSE
            if step == _STEPS - 2:  # back to the best place, whose value the last round takes
                share, found = 0.0, True
            y0, y1 = from0 + share * d0, from1 + share * d1
            if not sides.first:
                y0 = min(max(y0, 0.0), float(n0))
            if not sides.second:
                y1 = min(max(y1, 0.0), float(n1))
        y[s, 0], y[s, 1] = y0, y1
        mass = masses[s]
        total += mass * value
        distance += mass * (0.5 * a0 * (y0 - x0) ** 2 + 0.5 * a1 * (y1 - x1) ** 2)
        _added(deposit, at, mass)
        det = h00 * h11 - h01 * h01
        if not (h00 > _DEFINITE * a0 and h11 > _DEFINITE * a1 and det > _DEFINITE * a0 * a1):
            h00, h01, h11, det = a0, 0.0, a1, a0 * a1
        give[s, 0], give[s, 1], give[s, 2] = mass * h11 / det, -mass * h01 / det, mass * h00 / det
    return Moved(total, distance)


@kernel
def deposited(y: Array, amounts: Array, sides: Sides, field: Array) -> None:
    """sum_i amounts_i B_k(y_i) is added to a field with ghosts."""
    n0, n1 = field.shape[0] - 2, field.shape[1] - 2
    for s in range(len(amounts)):
        _added(field, _spot(y[s, 0], y[s, 1], n0, n1, sides), amounts[s])


@kernel
def carried(c: Array, masses: Array, y: Array, share: tuple[float, float], sides: Sides, out: Array) -> float:
    """y + share grad p (m, 2), in cells, and the mass at which that map folds: where its Jacobian is not positive."""
    n0, n1 = c.shape[0] - 2, c.shape[1] - 2
    folded_mass = 0.0
    for s in range(len(y)):
        _, g0, g1, h00, h01, h11 = _jet(c, _spot(y[s, 0], y[s, 1], n0, n1, sides))
        out[s, 0], out[s, 1] = y[s, 0] + share[0] * g0, y[s, 1] + share[1] * g1
        a, b = 1.0 + share[0] * h00, 1.0 + share[1] * h11
        if not (a > 0.0 and b > 0.0 and a * b > share[0] * share[1] * h01 * h01):
            folded_mass += masses[s]
    return folded_mass


@kernel
def _product(a: Array, b: Array) -> float:
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


def product(a: Array, b: Array) -> float:
    """sum a b. Not by numpy: its threads wait for each other by spinning, which costs more than it gains."""
    return float(_product(a.ravel(), b.ravel()))


@kernel
def _read(c: Array, first: Array, second: Array, out: Array) -> None:
    """out[i r + k, j r' + l] = sum first[k, a] second[l, b] c[i + a, j + b]; c with ghosts."""
    for i in range(c.shape[0] - 2):
        for j in range(c.shape[1] - 2):
            for b in range(len(second)):
                w = (second[b, 0], second[b, 1], second[b, 2])
                s0 = _dot(w, c[i, j], c[i, j + 1], c[i, j + 2])
                s1 = _dot(w, c[i + 1, j], c[i + 1, j + 1], c[i + 1, j + 2])
                s2 = _dot(w, c[i + 2, j], c[i + 2, j + 1], c[i + 2, j + 2])
                for a in range(len(first)):
                    row = i * len(first) + a
                    out[row, j * len(second) + b] = first[a, 0] * s0 + first[a, 1] * s1 + first[a, 2] * s2


@kernel
def _given(field: Array, first: Array, second: Array, out: Array) -> None:
    """The transpose of _read: out, with ghosts, is added to."""
    for i in range(out.shape[0] - 2):
        for j in range(out.shape[1] - 2):
            for b in range(len(second)):
                s0 = s1 = s2 = 0.0
                for a in range(len(first)):
                    value = field[i * len(first) + a, j * len(second) + b]
                    s0, s1, s2 = s0 + first[a, 0] * value, s1 + first[a, 1] * value, s2 + first[a, 2] * value
                for k in range(3):
                    weight = second[b, k]
                    out[i, j + k] += weight * s0
                    out[i + 1, j + k] += weight * s1
                    out[i + 2, j + k] += weight * s2


@lru_cache(maxsize=16)
def _weights(count: int) -> Array:
    """(count, 3) values of the three splines at the middles of `count` equal parts of a cell."""
    return np.array([_values((k + 0.5) / count - 0.5) for k in range(count)])


def padded(c: Array, sides: Sides) -> Array:
    """Coefficients (n0, n1) with ghosts (n0 + 2, n1 + 2)."""
    out = np.empty((c.shape[0] + 2, c.shape[1] + 2))
    out[1:-1, 1:-1] = c
    out[0, 1:-1], out[-1, 1:-1] = (c[-1], c[0]) if sides.first else (c[0], c[-1])
    out[:, 0], out[:, -1] = (out[:, -2], out[:, 1]) if sides.second else (out[:, 1], out[:, -2])
    return out


def folded(field: Array, sides: Sides) -> Array:
    """What fell on ghosts, given to the cells that they repeat: the transpose of `padded`; (n0, n1), in place."""
    low, high = (-2, 1) if sides.second else (1, -2)
    field[:, low] += field[:, 0]
    field[:, high] += field[:, -1]
    low, high = (-2, 1) if sides.first else (1, -2)
    field[low] += field[0]
    field[high] += field[-1]
    return field[1:-1, 1:-1]


def read(c: Array, parts: tuple[int, int], sides: Sides) -> Array:
    """The spline at the nodes: the middles of parts[0] x parts[1] equal parts of each cell."""
    out = np.empty((c.shape[0] * parts[0], c.shape[1] * parts[1]))
    _read(padded(c, sides), _weights(parts[0]), _weights(parts[1]), out)
    return out


def given(field: Array, parts: tuple[int, int], sides: Sides) -> Array:
    """sum_j field_j B_k(x_j) over the nodes x_j: the transpose of `read`."""
    out = np.zeros((field.shape[0] // parts[0] + 2, field.shape[1] // parts[1] + 2))
    _given(field, _weights(parts[0]), _weights(parts[1]), out)
    return folded(out, sides)


def averaged(values: Array, parts: tuple[int, int]) -> Array:
    """The mean over the nodes of each cell. As coefficients it keeps what is convex convex on each axis."""
    n0, n1 = values.shape
    return values.reshape(n0 // parts[0], parts[0], n1 // parts[1], parts[1]).mean(axis=(1, 3))


def fitted(values: Array, parts: tuple[int, int], sides: Sides) -> Array:
    """Coefficients of the spline with these means over the nodes of each cell: exact for splines."""
    c = averaged(values, parts)
    for axis, turns in enumerate(sides):
        if (n := c.shape[axis]) > 1:
            beside = float(_weights(parts[axis])[:, 0].mean())
            c = scaled(c, axis, turns, 1.0 / (1.0 - 2.0 * beside * (1.0 - np.cos(angles(n, turns)))))
    return np.ascontiguousarray(c)
