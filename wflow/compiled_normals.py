"""This file owns the compiled loop of wflow.normals, which says what it computes. Importing this file imports numba."""

import math
from functools import partial

import numpy as np

from wflow import elementary
from wflow.arrays import Array
from wflow.compiled import in_order, kernel
from wflow.elementary import cos, log_unit, sin

# words and whole numbers with a sign make doubles in numba: all of these are words
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _12, _1 = (np.uint64(n) for n in (30, 27, 31, 12, 1))
_UNIT = np.uint64(0x3FF0000000000000)
"""The bits of 1: with 52 bits below them, a number in [1, 2)."""
_kernel = partial(kernel, uses=(elementary,), beside=True)


@in_order
def _mixed(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


@in_order
def _above_one(z: np.uint64) -> np.float64:
    """1 + (z >> 12)/2^52."""
    return np.float64(np.uint64((z >> _12) | _UNIT).view(np.float64))


@_kernel
def fill(start: np.uint64, gamma: np.uint64, first: np.uint64, out: Array, scale: float) -> None:
    """scale times the numbers first .. first + n - 1 of a stream, first and n even."""
    for i in range(len(out) // 2):
        z = start + gamma * (first + np.uint64(2 * i) + _1)
        u = 2.0 - _above_one(_mixed(z))
        turn = (_above_one(_mixed(z + gamma)) - 1.5) * (2.0 * math.pi)
        size = scale * np.sqrt(-2.0 * log_unit(u))
        out[2 * i] = size * cos(turn)
        out[2 * i + 1] = size * sin(turn)
