"""This file owns the moving of cell masses along lines by rising maps: positive, of the same mass, of any length.

C, the mass to the left of a point, is known at the edges of cells; between them it is the polynomial of degree 7
through the eight nearest. A line moved by y = Y(x), Y rising, has the masses C(Y^-1(right)) - C(Y^-1(left)). What of a
cell lies left of a point is held within [0, its mass]: nothing else is needed for masses >= 0, and where cells resolve
the density nothing is held. Lines are columns of masses (n, q) and close to rings. Error of one move O(h^8) in C.
"""

import numpy as np

from wflow.arrays import Array

_REACH = 3
_NODES = np.arange(-_REACH, _REACH + 2, dtype=np.float64)
"""Edges about a cell, in widths from its left one: of the cell and of three more on each side."""


def shifted(masses: Array, shift: Array) -> Array:
    """Masses (n, q) moved by shift (q,) cells, of any sign and size, round each ring."""
    whole = np.floor(shift)
    staying = _before(masses, 1.0 - (shift - whole))
    n = len(masses)
    source = (np.arange(n)[:, None] - whole.astype(np.int64)[None, :]) % n
    leaving = masses - staying
    moved = np.take_along_axis(staying, source, axis=0) + np.take_along_axis(leaving, (source - 1) % n, axis=0)
    return np.asarray(moved)


def contracted(masses: Array, factor: float) -> Array:
    """Masses (n, q) drawn together about the middle of each line: x goes to factor x, 0 < factor < 1."""
    n = len(masses)
    edges = np.clip(0.5 * n + (np.arange(n + 1) - 0.5 * n) / factor, 0.0, float(n))
    cell = np.minimum(edges.astype(np.int64), n - 1)
    part = edges - cell
    stencil = (cell[:, None] + np.arange(-_REACH, _REACH + 1)) % n
    left = np.clip(np.einsum("kr,rkq->rq", _weights(part), masses[stencil]), 0.0, masses[cell])
    total = np.concatenate([np.zeros((1, masses.shape[1])), np.cumsum(masses, axis=0)])
    first, last = cell[:-1], cell[1:]
    between = total[last] - total[np.minimum(first + 1, last)]
    apart = masses[first] - left[:-1] + between + left[1:]
    return np.asarray(np.where((first == last)[:, None], left[1:] - left[:-1], apart))


def _before(masses: Array, share: Array) -> Array:
    """The mass of each cell (n, q) left of a share (q,) of its width, within [0, mass]."""
    total = np.zeros_like(masses)
    for k, weight in zip(range(-_REACH, _REACH + 1), _weights(share), strict=True):
        total += weight * np.roll(masses, -k, axis=0)
    return np.asarray(np.clip(total, 0.0, masses))


def _weights(share: Array) -> Array:
    """What masses (7,) of a cell and its neighbours count for the part (r,) of it: (7, r), from Lagrange's basis."""
    basis = np.ones((len(_NODES), len(share)))
    for j, node in enumerate(_NODES):
        for other in np.delete(_NODES, j):
            basis[j] *= (share - other) / (node - other)
    beyond = np.cumsum(basis[::-1], axis=0)[::-1][1:]
    beyond[:_REACH] -= 1.0
    return beyond
