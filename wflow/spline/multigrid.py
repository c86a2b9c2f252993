"""This file owns a multigrid cycle for -div(w grad x) + d x on the cells of a grid, compiled: a preconditioner.

w on the faces below each cell (0 at a wall), d in the cells, both >= 0 and of any contrast. Coarse cells are joined
pairs; a coarse face carries half the sum of the fine ones, as its cells lie twice as far apart; corrections are
constant on coarse cells. One red-black Gauss-Seidel sweep before and one in reverse after: symmetric, but on a
periodic axis that has an odd length on some level, and positive definite.
Source: Trottenberg, Oosterlee & Schueller 2001, Multigrid.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

from wflow.arrays import Array
from wflow.compiled import inlined, kernel

_COARSEST = 4
_SWEEPS = 8
"""Sweeps, and as many back, on the coarsest cells."""


class Level(NamedTuple):
    """w on the face below each cell along the first and the second axis, and d: (n0, n1) each."""

    first: Array
    second: Array
    diagonal: Array


@inlined
def _around(x: Array, first: Array, second: Array, i: int, j: int, up: int, down: int) -> tuple[float, float]:
    """The sum of the weights of a cell's faces, and of their weights times x beyond them; up, down: the rows beside."""
    n1 = x.shape[1]
    left, right = (j - 1 if j > 0 else n1 - 1), (j + 1 if j < n1 - 1 else 0)
    # faces above the last cells are those below the first ones, which are 0 at walls
    a, b, c, d = first[i, j], first[down, j], second[i, j], second[i, right]
    return a + b + c + d, a * x[up, j] + b * x[down, j] + c * x[i, left] + d * x[i, right]


@kernel
def _relaxed(x: Array, b: Array, first: Array, second: Array, diagonal: Array, colour: int) -> None:
    """Gauss-Seidel on the cells of a colour, then on those of the other."""
    n0, n1 = x.shape
    for half in range(2):
        for i in range(n0):
            up, down = (i - 1 if i > 0 else n0 - 1), (i + 1 if i < n0 - 1 else 0)
            for j in range((i + colour + half) & 1, n1, 2):
                weight, beside = _around(x, first, second, i, j, up, down)
                total = diagonal[i, j] + weight
                if total > 0.0:
                    x[i, j] = (b[i, j] + beside) / total


@kernel
def _left(x: Array, b: Array, first: Array, second: Array, diagonal: Array, coarse: Array) -> None:
    """What is left of b, summed over joined cells."""
    n0, n1 = x.shape
    step0, step1 = (1 if coarse.shape[0] == n0 else 2), (1 if coarse.shape[1] == n1 else 2)
    coarse[:] = 0.0
    for i in range(n0):
        up, down = (i - 1 if i > 0 else n0 - 1), (i + 1 if i < n0 - 1 else 0)
        for j in range(n1):
            weight, beside = _around(x, first, second, i, j, up, down)
            coarse[i // step0, j // step1] += b[i, j] - (diagonal[i, j] + weight) * x[i, j] + beside


@kernel
def _corrected(x: Array, coarse: Array) -> None:
    step0, step1 = (1 if coarse.shape[0] == x.shape[0] else 2), (1 if coarse.shape[1] == x.shape[1] else 2)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] += coarse[i // step0, j // step1]


@kernel
def _joined(fine: Level, coarse: Level) -> None:
    """The weights of joined cells."""
    n0, n1 = fine.diagonal.shape
    step0 = 1 if coarse.diagonal.shape[0] == n0 else 2
    step1 = 1 if coarse.diagonal.shape[1] == n1 else 2
    for i in range(n0):
        for j in range(n1):
            k, m = i // step0, j // step1
            coarse.diagonal[k, m] += fine.diagonal[i, j]
            if i % step0 == 0:
                coarse.first[k, m] += fine.first[i, j] / step0
            if j % step1 == 0:
                coarse.second[k, m] += fine.second[i, j] / step1


@dataclass(frozen=True)
class Multigrid:
    """Levels from fine to coarse."""

    levels: tuple[Level, ...]

    @classmethod
    def of(cls, first: Array, second: Array, diagonal: Array) -> Self:
        """From weights (n0, n1) each. Cells are joined while an axis has more than four."""
        levels = [Level(first, second, diagonal)]
        while max(levels[-1].diagonal.shape) > _COARSEST:
            shape = tuple((n + 1) // 2 if n > _COARSEST else n for n in levels[-1].diagonal.shape)
            coarse = Level(np.zeros(shape), np.zeros(shape), np.zeros(shape))
            _joined(levels[-1], coarse)
            levels.append(coarse)
        return cls(tuple(levels))

    def __call__(self, b: Array) -> Array:
        """One cycle from 0 for the right-hand side b (n0, n1)."""
        rights, found = [np.ascontiguousarray(b)], []
        for level, coarse in pairwise(self.levels):
            x = np.zeros_like(rights[-1])
            _relaxed(x, rights[-1], *level, 0)
            found.append(x)
            rights.append(np.empty_like(coarse.diagonal))
            _left(x, rights[-2], *level, rights[-1])
        x = np.zeros_like(rights[-1])
        for colour in (0,) * _SWEEPS + (1,) * _SWEEPS:
            _relaxed(x, rights[-1], *self.levels[-1], colour)
        for level, fine, right in zip(self.levels[-2::-1], found[::-1], rights[-2::-1], strict=True):
            _corrected(fine, x)
            _relaxed(fine, right, *level, 1)
            x = fine
        return x
