"""This file owns sums of -log|w - y| over atoms and over cells, with their derivatives.

Atoms: sum_j weights_j W(w - y_j), an atom at w itself left out. Cells: with L an antiderivative of W along each axis,
d_1..d_d L = W, the integral of W over a cell is a difference of L at its corners, so that int W(w - y) rho(y) dy is a
sum over corners of the mixed jumps of rho: exact for a density constant in each cell. On the line and in the plane

    L = t - t log|t|           L = 3xy/2 - (xy log(x^2 + y^2) + x^2 atan(y/x) + y^2 atan(x/y))/2
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.fft import irfftn, next_fast_len, rfftn

from wflow import compiled
from wflow.arrays import Array, ComplexArray
from wflow.errors import Refused
from wflow.grid import Grid

_BLOCK = 1 << 20
_MANY = 20_000
"""From so many pairs on compiled loops are worth their import."""


def pair_weights(w: Array) -> Array:
    """1/|w_i - w_j|^2 (m, m), 0 on the diagonal. Raises Refused where two points coincide."""
    square = np.sum((w[:, None, :] - w[None, :, :]) ** 2, axis=2)
    np.fill_diagonal(square, np.inf)
    if not np.all(square > 0.0):
        raise _coincident()
    return np.asarray(1.0 / square)


def _coincident() -> Refused:
    return Refused("-log|x - y|: two atoms coincide and their energy is infinite; move them apart or merge them")


@dataclass(frozen=True, eq=False)
class LogSum:
    """Atoms: points (n, d), d = 1 or 2, and weights (n,)."""

    points: Array
    weights: Array

    def at(self, w: Array, derivative: int) -> Array:
        """(m,), (m, d) or (m, d, d) at w (m, d); one atom at each w may be left out, Refused for two."""
        if len(w) * len(self.points) >= _MANY and compiled.available():
            from wflow import compiled_pairs

            out, met = compiled_pairs.log_sums(self.points, self.weights, np.ascontiguousarray(w), derivative)
            if met > 1:
                raise _coincident()
            return out.reshape((len(w),) + w.shape[1:] * derivative)
        size = max(1, _BLOCK // (self.points.size + 1))
        parts = [self._block(w[start : start + size], derivative) for start in range(0, len(w), size)]
        return np.concatenate(parts)

    def _block(self, w: Array, derivative: int) -> Array:
        away = w[:, None, :] - self.points[None, :, :]
        square = np.einsum("ijk,ijk->ij", away, away)
        met = (square == 0.0) & (self.weights != 0.0)
        if np.any(met.sum(axis=1) > 1):
            raise _coincident()
        safe = np.where(square > 0.0, square, np.inf)
        if derivative == 0:
            return np.asarray(-0.5 * np.log(np.where(square > 0.0, square, 1.0)) @ self.weights)
        near = self.weights / safe
        if derivative == 1:
            return np.asarray(-np.einsum("ij,ijk->ik", near, away))
        outer = 2.0 * np.einsum("ij,ijk,ijl->ikl", near / safe, away, away)
        return np.asarray(outer - near.sum(axis=1)[:, None, None] * np.eye(w.shape[1]))

    def steepest(self) -> float:
        """max_i sum_{j != i} weights_j/|x_i - x_j|^2."""
        hessian = self.at(self.points, 2)
        if self.points.shape[1] == 1:
            return float(np.max(hessian))
        return float(np.max(pair_weights(self.points) @ self.weights))


@dataclass(frozen=True, eq=False)
class LogCells:
    """A grid of one or two axes, with the integrals of W over cells at every offset of two centres."""

    grid: Grid

    @staticmethod
    @lru_cache(maxsize=4)
    def of(grid: Grid) -> "LogCells":
        """Shared by all densities on a grid."""
        return LogCells(grid)

    def at_centres(self, weights: Array, derivative: int) -> Array:
        """int W(w - y) dpi and its derivatives at the centres, from weights (m,): O(m log m)."""
        shape = self.grid.shape
        spectrum = rfftn(weights.reshape(shape), self._turn)
        inner = tuple(slice(0, n) for n in shape)
        tables = self._spectra(derivative)
        parts = [np.asarray(irfftn(spectrum * table, self._turn)[inner]).ravel() for table in tables]
        return _arranged(parts, derivative, len(shape))

    def at(self, values: Array, w: Array, derivative: int) -> Array:
        """The same anywhere, from values (m,): O(m) a point. Corners at w itself are left out: L' is infinite."""
        jumps = np.pad(values.reshape(self.grid.shape), 1)
        for axis in range(jumps.ndim):
            jumps = np.diff(jumps, axis=axis)
        corners = [self.grid.edges(axis) for axis in range(jumps.ndim)]
        size = max(1, _BLOCK // jumps.size)
        blocks = [w[start : start + size] for start in range(0, len(w), size)]
        return np.concatenate([self._corner_sum(jumps, corners, block, derivative) for block in blocks])

    @staticmethod
    def _corner_sum(jumps: Array, corners: list[Array], w: Array, derivative: int) -> Array:
        away = [w[:, k : k + 1] - edges for k, edges in enumerate(corners)]
        if len(corners) == 1:
            return _arranged([_line(away[0], derivative) @ jumps], derivative, 1)
        x, y = away[0][:, :, None], away[1][:, None, :]
        return _arranged([np.einsum("ijk,jk->i", part, jumps) for part in _plane(x, y, derivative)], derivative, 2)

    @cached_property
    def response(self) -> float:
        """sum over offsets of |discrete Laplacian of the integrals of W|, a bound of Laplace_h V over max rho."""
        table = self._table(0)[0]
        total = np.zeros(tuple(n - 2 for n in table.shape))
        inner = tuple(slice(1, -1) for _ in table.shape)
        for axis, width in enumerate(self.grid.widths):
            bent = np.diff(table, 2, axis=axis) / width**2
            total += bent[tuple(slice(None) if k == axis else s for k, s in enumerate(inner))]
        return float(np.abs(total).sum())

    @property
    def _turn(self) -> tuple[int, ...]:
        """Length of a circle on which the 2n - 1 offsets do not overlap."""
        return tuple(next_fast_len(2 * n - 1, real=True) for n in self.grid.shape)

    def _table(self, derivative: int) -> list[Array]:
        """Integrals of W, of its gradient or of its Hessian over a cell, at the 2n - 1 offsets of centres an axis."""
        offsets = [h * (np.arange(2 * n) - n + 0.5) for h, n in zip(self.grid.widths, self.grid.shape, strict=True)]
        if len(offsets) == 1:
            return [np.diff(_line(offsets[0], derivative))]
        x, y = offsets[0][:, None], offsets[1][None, :]
        return [np.diff(np.diff(part, axis=0), axis=1) for part in _plane(x, y, derivative)]

    def _spectra(self, derivative: int) -> list[ComplexArray]:
        if derivative not in self._known:
            self._known[derivative] = [rfftn(self._wound(t) / self.grid.cell_volume) for t in self._table(derivative)]
        return self._known[derivative]

    def _wound(self, table: Array) -> Array:
        """Offsets -(n-1)..n-1 laid round the circle, 0 first."""
        round_ = np.zeros(self._turn)
        round_[tuple(slice(0, n) for n in table.shape)] = table
        return np.roll(round_, [1 - n for n in self.grid.shape], axis=tuple(range(table.ndim)))

    @cached_property
    def _known(self) -> dict[int, list[ComplexArray]]:
        return {}


def _arranged(parts: list[Array], derivative: int, dim: int) -> Array:
    """Partial derivatives, on two axes those of order 2 as (xx, xy, yy), as (m,), (m, d) or (m, d, d)."""
    if derivative == 2 and dim == 2:
        parts = [parts[0], parts[1], parts[1], parts[2]]
    return np.stack(parts, axis=1).reshape((-1,) + (dim,) * derivative)


def _line(t: Array, derivative: int) -> Array:
    """L = t - t log|t|, L' = -log|t|, L'' = -1/t; 0 at t = 0."""
    if derivative == 2:
        return np.asarray(-1.0 / np.where(t != 0.0, t, np.inf))
    logarithm = np.log(np.where(t != 0.0, np.abs(t), 1.0))
    return np.asarray(t - t * logarithm if derivative == 0 else -logarithm)


def _plane(x: Array, y: Array, derivative: int) -> list[Array]:
    """[L], [L_x, L_y] or [L_xx, L_xy, L_yy], L_xy = -log r; each arctangent is 0 where its argument is 0/0."""
    across, along = np.arctan2(x, np.abs(y)) * np.sign(y), np.arctan2(y, np.abs(x)) * np.sign(x)
    if derivative == 2:
        return [-along, -_log(x, y), -across]
    log = _log(x, y)
    if derivative == 1:
        return [y - y * log - x * along, x - x * log - y * across]
    return [1.5 * x * y - x * y * log - 0.5 * (x * x * along + y * y * across)]


def _log(x: Array, y: Array) -> Array:
    """log r, 0 at the origin."""
    square = x * x + y * y
    return np.asarray(0.5 * np.log(np.where(square > 0.0, square, 1.0)))
