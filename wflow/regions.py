"""This file owns regions of a density that emptiness parts, and which atoms go where by what each region can hold.

What is said of an atom differs by the region that it would be sent to: said_ik, k in region r. With constants c_r it
goes where said_ik + c_r is largest. The c_r are such that each region gets the mass it holds, to an atom: one region
after the other, by a quantile, since what it gets is an increasing function of its c_r alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from wflow.arrays import Array
from wflow.clipping import Indices
from wflow.laguerre_dual import Dual

_SWEEPS = 10
_TOUCHING = np.ones((3, 3), dtype=int)
"""Cells that touch, be it at a corner, are of one region."""


def regions(dual: Dual, places: Array) -> tuple[Indices, Array]:
    """The region nearest to each place (k, 2), counted from 1 on; and the mass of each region, that of 0, 0, first.

    Nearest: the middles of clusters' cells, of a coarser density, may lie a little beyond the finer one's edges.
    """
    grid = dual.grid
    filled = dual.rho > 0.0
    found = np.asarray(label(filled, _TOUCHING)[0], dtype=np.int64)
    nearest = distance_transform_edt(~filled, grid.widths, return_distances=False, return_indices=True)
    at = np.floor((grid.domain.wrap(places) - np.asarray(grid.domain.lower)) / grid.widths).astype(np.int64)
    at = np.clip(at, 0, np.array(grid.shape) - 1)
    return found[tuple(nearest[:, at[:, 0], at[:, 1]])], np.bincount(found.ravel(), dual.rho.ravel()) * grid.cell_volume


def balanced(said: Array, of: Indices, mu: Array, holds: Array) -> Array:
    """max over k of said_ik + c_r (m,), r = of_ik (m, n), each region r >= 1 getting holds_r as far as sweeps lead.

    said may be -inf where nothing is said. c_0 = 0.
    """
    c = np.zeros(len(holds))
    several = np.any(of != of[:, :1], axis=1)
    left = holds - np.bincount(of[~several, 0], mu[~several], len(holds))
    for _ in range(_SWEEPS if len(holds) > 2 else 0):
        before = c.copy()
        for k in range(1, len(holds)):
            c[k] = _shift(said[several], of[several] == k, c[of[several]], mu[several], left[k], c[k])
        if np.array_equal(before, c):
            break
    return np.asarray(np.max(said + c[of], axis=1))


def _shift(said: Array, inside: NDArray[np.bool_], c: Array, mu: Array, wanted: float, before: float) -> float:
    """The c of a region with which it gets `wanted` of these atoms, those of others standing; as before if it may."""
    mine = np.max(np.where(inside, said, -np.inf), axis=1)
    other = np.max(np.where(inside, -np.inf, said + c), axis=1)
    able, sure = np.isfinite(mine) & np.isfinite(other), np.isfinite(mine) & ~np.isfinite(other)
    key, weights = (other - mine)[able], mu[able]
    order = np.argsort(key)
    # the middle of an atom's mass decides: of a sum that is met exactly rounding would
    at = int(np.searchsorted(np.cumsum(weights[order]) - 0.5 * weights[order], wanted - mu[sure].sum()))
    if not 0 < at < len(key):
        return before
    low, high = float(key[order[at - 1]]), float(key[order[at]])
    return before if low < before < high else 0.5 * (low + high)
