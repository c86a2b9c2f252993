"""This file owns straight ways beside closed cells: which of them lead through what nobody could go round nearby."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from wflow.arrays import Array

Truths = NDArray[np.bool_]
_FINE = 4
"""Points a cell at which a way is looked at."""


def meeting(closed: Truths, starts: Array, ends: Array, sides: tuple[bool, bool]) -> Truths:
    """(m,) ways from starts to ends (m, 2), in cells, that have a point in a closed cell (n0, n1).

    Looked at four times a cell. On periodic axes ends are lifted.
    """
    if not len(starts) or not np.any(closed):
        return np.zeros(len(starts), dtype=bool)
    pad = _pad(starts, ends)
    return _meets(_walls(closed, pad, sides), starts, ends, sides, closed.shape, pad)


def barred(closed: Truths, starts: Array, ends: Array, sides: tuple[bool, bool]) -> Truths:
    """(m,) ways from starts to ends (m, 2), in cells, that meet closed cells (n0, n1) and have no way round nearby.

    Nearby: in the rectangle that holds the way and as much again on every side, through open cells that share a face.
    An end in a closed cell counts as in the open one nearest to it. On periodic axes ends are lifted.
    """
    found = np.zeros(len(starts), dtype=bool)
    if not len(starts) or not np.any(closed):
        return found
    pad = _pad(starts, ends)
    reach, walls = pad // 2, _walls(closed, pad, sides)
    open_near = distance_transform_edt(walls, return_distances=False, return_indices=True)
    first, last = _cells(starts, closed.shape, sides) + pad, _cells(ends, closed.shape, sides, starts) + pad
    for k in np.flatnonzero(_meets(walls, starts, ends, sides, closed.shape, pad)):
        a = open_near[:, *first[k]]
        b = open_near[:, *last[k]]
        low = np.maximum(np.minimum(a, b) - reach, 0)
        high = np.maximum(a, b) + reach + 1
        joined, _ = label(~walls[low[0] : high[0], low[1] : high[1]])
        found[k] = joined[*(a - low)] != joined[*(b - low)]
    return found


def _pad(starts: Array, ends: Array) -> int:
    """Cells beyond the grid that ways and what is round them may reach: twice the longest, and one."""
    return 2 * (math.ceil(float(np.abs(ends - starts).max())) + 1) + 1


def _walls(closed: Truths, pad: int, sides: tuple[bool, bool]) -> Truths:
    """The closed cells with so many more on every side: repeated, or closed beyond walls."""
    for axis, turns in enumerate(sides):
        width = [(pad, pad) if k == axis else (0, 0) for k in range(2)]
        closed = np.pad(closed, width, mode="wrap") if turns else np.pad(closed, width, constant_values=True)
    return closed


def _cells(
    places: Array, shape: tuple[int, ...], sides: tuple[bool, bool], lifted: Array | None = None
) -> NDArray[np.int64]:
    """(m, 2) the cells of places; periodic ones as far from the first period as `lifted`, if given, is not."""
    cells = np.floor(places).astype(np.int64)
    base = np.floor(places if lifted is None else lifted).astype(np.int64)
    for axis, turns in enumerate(sides):
        if turns:
            cells[:, axis] -= base[:, axis] // shape[axis] * shape[axis]
        else:
            cells[:, axis] = np.clip(cells[:, axis], 0, shape[axis] - 1)
    return cells


def _meets(
    walls: Truths, starts: Array, ends: Array, sides: tuple[bool, bool], shape: tuple[int, ...], pad: int
) -> Truths:
    """(m,) whether a way has a point in a closed cell."""
    count = _FINE * math.ceil(float(np.abs(ends - starts).max()) + 1.0)
    met = np.zeros(len(starts), dtype=bool)
    for share in np.linspace(0.0, 1.0, count + 1):
        cells = _cells(starts + share * (ends - starts), shape, sides, starts) + pad
        met |= walls[cells[:, 0], cells[:, 1]]
    return met
