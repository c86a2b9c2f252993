"""This file owns how mass that regions want of each other is carried across the emptiness between them.

From where to where is free: only what regions hold in all must be right, within each a flux does the rest. So a region
gives to, or takes of, the nearest cells of a larger one, whose account is settled later: mass goes from region to
region by small ways, and what passes through a large one moves much mass by little in place of little by much.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from wflow.arrays import Array
from wflow.plans import cheapest_plan

_SOME = 1e-12
"""Of all mass: what a region may want without its being carried by itself."""
_SHARE = 0.5
"""Of a cell's mass, the most that is taken from it or brought to it while others are near."""
_LINKS = 4_000_000
"""Pairs of cells between which POT looks for the cheapest plan."""


def relayed(a: Array, b: Array, region: NDArray[np.int64], widths: tuple[float, float]) -> Array:
    """Masses a (n0, n1) once regions have what they are to have, b's: what has been carried is the difference.

    region: a number for each cell, or below 0 where it takes no part. The largest is left with what is missing in all.
    """
    place = np.stack([h * (k + 0.5) for h, k in zip(widths, np.indices(a.shape), strict=True)], axis=-1).reshape(-1, 2)
    now, aim, number = a.ravel().copy(), b.ravel(), region.ravel()
    used = number >= 0
    if not np.any(used):
        return a
    held = np.bincount(number[used], (now + aim)[used])
    wants = np.bincount(number[used], (now - aim)[used])
    order, least = np.argsort(held, kind="stable"), _SOME * float(held.sum())
    rank = np.argsort(order, kind="stable")
    for s in order[np.flatnonzero(held[order] > 0.0)[0] : -1]:
        if abs(wants[s]) <= least:
            continue
        own = np.flatnonzero(number == s)
        larger = np.flatnonzero(used & (rank[number] > rank[s]))
        far, nearest = (np.asarray(found) for found in KDTree(place[own]).query(place[larger]))
        k = int(np.argmin(far))
        here, there = own[nearest[k]], larger[k]
        other = np.flatnonzero(number == number[there])
        ends = (own, there, other, here) if wants[s] > 0.0 else (other, here, own, there)
        giver, towards, taker, whence = ends
        mass = min(abs(float(wants[s])), float(now[giver].sum()))
        taken = _nearest(now[giver], place[giver] - place[towards], mass)
        brought = _nearest((now + aim)[taker], place[taker] - place[whence], mass)
        now[giver] = np.maximum(now[giver] - taken, 0.0)
        now[taker] += brought
        wants[number[there]] += math.copysign(mass, wants[s])
    return now.reshape(a.shape)


def _nearest(held: Array, way: Array, mass: float) -> Array:
    """A mass shared among cells (m,), nearest first, half of what they hold each, or more where that is not enough."""
    total = float(held.sum())
    if not total > 0.0:
        return np.full(len(held), mass / len(held))
    most = held * max(_SHARE, mass / total)
    order = np.argsort(np.sum(way * way, axis=1), kind="stable")
    before = np.concatenate([[0.0], np.cumsum(most[order])[:-1]])
    out = np.empty_like(held)
    out[order] = np.clip(mass - before, 0.0, most[order])
    return out


def carried_cost(excess: Array, widths: tuple[float, float]) -> float:
    """Cost of a coupling of what is above zero in masses (n0, n1) of sum zero with what is below it.

    The cheapest, by POT, where cells are few; else that of blocks. The cells' own extent cancels.
    """
    over, under = np.argwhere(excess > 0.0), np.argwhere(excess < 0.0)
    if not 0 < len(over) * len(under) <= _LINKS:
        return joined_cost(excess, widths)
    p, q = excess[excess > 0.0], -excess[excess < 0.0]
    h = np.asarray(widths)
    costs = np.sum(((over[:, None, :] - under[None, :, :]) * h) ** 2, axis=-1)
    return float(p.sum()) * cheapest_plan(p / p.sum(), q / q.sum(), costs).cost


def joined_cost(excess: Array, widths: tuple[float, float]) -> float:
    """The same by blocks of ever more cells: within each as much as can be is coupled, in proportion.

    In proportion: at the mean squared distance of independent points.
    """
    x, y = (h * (k + 0.5) for h, k in zip(widths, np.indices(excess.shape), strict=True))
    parts = np.maximum(excess, 0.0), np.maximum(-excess, 0.0)
    moments = [np.stack([m, m * x, m * y, m * (x * x + y * y)]) for m in parts]
    cost = 0.0
    while True:
        over, under = moments
        both = np.minimum(over[0], under[0])
        shares = [np.divide(both, m[0], out=np.zeros_like(both), where=m[0] > 0.0) for m in moments]
        a, b = (m * share for m, share in zip(moments, shares, strict=True))
        mixed = np.divide(a[1] * b[1] + a[2] * b[2], both, out=np.zeros_like(both), where=both > 0.0)
        cost += max(float((a[3] + b[3] - 2.0 * mixed).sum()), 0.0)
        if over[0].size == 1:
            return cost
        moments = [_halved(m * (1.0 - share)) for m, share in zip(moments, shares, strict=True)]


def _halved(m: Array) -> Array:
    """Sums over two by two blocks (k, n0, n1)."""
    m = np.pad(m, ((0, 0), (0, m.shape[1] % 2), (0, m.shape[2] % 2)))
    return np.asarray(m[:, 0::2, 0::2] + m[:, 1::2, 0::2] + m[:, 0::2, 1::2] + m[:, 1::2, 1::2])
