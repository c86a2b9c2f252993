"""This file owns the search that a step's certificate rests on: min_w [ G_q(w) + |w - w_j|^2/(2 tau) ] atom by atom.

It shares no spline and no start with the step. G_q with its true features is sampled at the nodes of another grid,
finer and wider; every node within the atom's reach is looked at, one by one, and the least four that are lower than
their neighbours are followed down. Nothing lies further away than the reach R: R^2/(2 tau) = G_q(w_j) - min G_q.
Sampled, not proved: a valley narrower than a cell, or beyond the nodes of an infinite axis, can be missed.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wflow.arrays import Array
from wflow.compiled import inlined, kernel
from wflow.risk_dual.inner import settled
from wflow.risk_dual.movement import Indices, Movement
from wflow.risk_dual.table import Nodes
from wflow.terms import Risk

FOUND = 4
_FINER = 1.37
"""Nodes of the search over those of the splines, on each axis: no node of one is one of the other."""
_WIDER = 0.25
"""By how much of its length the window of an infinite axis is longer at each end."""


@dataclass(frozen=True, eq=False)
class Least:
    """Places (m, d) and values (m,) of the least minima found."""

    places: Array
    values: Array


def least(movement: Movement, p: Array, nodes: Nodes) -> Least:
    """For every atom; nodes: those of the splines, which the search leaves alone."""
    q, points = movement.omega * p, movement.start.points
    others = _others(movement, nodes)
    still = [k for k in range(points.shape[1]) if k not in nodes.axes]
    rows, which = np.unique(points[:, still], axis=0, return_inverse=True)
    best = Least(points.copy(), movement.field(q, points, 0))
    for k in range(len(rows)):
        those = np.flatnonzero(which.ravel() == k)
        found = _on_sheet(movement, q, others, those)
        best.places[those], best.values[those] = found.places, found.values
    return best


def _others(movement: Movement, nodes: Nodes) -> Nodes:
    domain, ends = movement.domain, []
    for k, low, high in zip(nodes.axes, nodes.lower, nodes.upper, strict=True):
        wider = _WIDER * (high - low)
        ends.append((max(low - wider, domain.lower[k]), min(high + wider, domain.upper[k])))
        if domain.periodic[k]:
            ends[-1] = (low, high)
    shape = tuple(math.ceil(_FINER * n) if n > 1 else 1 for n in nodes.shape)
    lower, upper = zip(*ends, strict=True)
    return Nodes(nodes.axes, lower, upper, (shape[0], shape[1]), nodes.sides)


def _on_sheet(movement: Movement, q: Array, nodes: Nodes, those: Indices) -> Least:
    atoms = movement.start.points[those]
    everywhere = nodes.all(atoms[0])
    values = q @ _features(movement.risk, nodes, _frozen(nodes, atoms[0]))
    values = values + movement.potential(everywhere, 0)
    here = movement.field(q, atoms, 0)
    pull = nodes.widths**2 / movement.tau
    reach = np.sqrt(2.0 * np.maximum(here - values.min(), 0.0) * movement.tau)
    cells, found = nodes.cells(atoms), np.full((len(atoms), FOUND, 2), np.nan)
    _scanned(
        values.reshape(nodes.shape),
        (pull[0], pull[1]),
        (nodes.sides.first, nodes.sides.second),
        cells,
        reach[:, None] / nodes.widths + 2.0,
        found,
    )
    best = Least(atoms.copy(), here)
    for k in range(FOUND):
        some = np.flatnonzero(np.isfinite(found[:, k, 0]))
        if len(some):
            _better(best, some, movement, q, nodes.points(found[some, k], atoms[some]), atoms[some])
    return best


def _better(best: Least, some: Indices, movement: Movement, q: Array, starts: Array, origins: Array) -> None:
    """Starts, and where they go down to with kinks rounded on the way; what is lower than the best is written there."""
    for places in (starts, settled(movement, q, starts, origins).places):
        values = movement.field(q, places, 0) + movement.ways(places, origins)
        won = values < best.values[some]
        best.places[some[won]], best.values[some[won]] = places[won], values[won]


def _frozen(nodes: Nodes, row: Array) -> tuple[float, ...]:
    return tuple(0.0 if k in nodes.axes else float(row[k]) for k in range(len(row)))


@lru_cache(maxsize=4)
def _features(risk: Risk, nodes: Nodes, row: tuple[float, ...]) -> Array:
    """psi (n, N) at the nodes of a sheet; read-only."""
    table = risk.neuron.value(risk.data.inputs, nodes.all(np.array(row)))
    table.flags.writeable = False
    return table


@inlined
def _range(x: float, reach: float, n: int, turns: bool) -> tuple[int, int]:
    """First and last node within reach, lifted; at most one turn of a periodic axis."""
    if turns:
        reach = min(reach, 0.5 * n)
        return math.floor(x - reach), math.floor(x + reach)
    return max(math.floor(x - reach), 0), min(math.floor(x + reach), n - 1)


@inlined
def _lowest(
    values: Array, pull: tuple[float, float], turns: tuple[bool, bool], at: tuple[float, float], i: int, j: int
) -> bool:
    """Whether none of the four neighbours of a node is lower."""
    n0, n1 = values.shape
    value = values[i % n0, j % n1] + _way(pull, at, i, j)
    for a, b in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
        there = (turns[0] or 0 <= a < n0) and (turns[1] or 0 <= b < n1)
        if there and values[a % n0, b % n1] + _way(pull, at, a, b) < value:
            return False
    return True


@inlined
def _way(pull: tuple[float, float], at: tuple[float, float], i: int, j: int) -> float:
    return 0.5 * pull[0] * (i + 0.5 - at[0]) ** 2 + 0.5 * pull[1] * (j + 0.5 - at[1]) ** 2


@kernel
def _scanned(
    values: Array, pull: tuple[float, float], turns: tuple[bool, bool], x: Array, reach: Array, found: Array
) -> None:
    """found (m, k, 2): the k least of the nodes within reach that are no higher than their four neighbours, lifted."""
    n0, n1 = values.shape
    kept = np.empty(found.shape[1])
    for s in range(len(x)):
        kept[:] = np.inf
        at = (x[s, 0], x[s, 1])
        low0, high0 = _range(at[0], reach[s, 0], n0, turns[0])
        low1, high1 = _range(at[1], reach[s, 1], n1, turns[1])
        for i in range(low0, high0 + 1):
            line, lift, most = values[i % n0], (low1 // n1) * n1, kept[-1] - _way(pull, at, i, 0)
            most += 0.5 * pull[1] * (0.5 - at[1]) ** 2
            for j in range(low1, high1 + 1):
                if j - lift >= n1:
                    lift += n1
                if not line[j - lift] + 0.5 * pull[1] * (j + 0.5 - at[1]) ** 2 < most:
                    continue
                value = line[j - lift] + _way(pull, at, i, j)
                if value < kept[-1] and _lowest(values, pull, turns, at, i, j):
                    k = len(kept) - 1
                    while k > 0 and kept[k - 1] > value:
                        kept[k], found[s, k, 0], found[s, k, 1] = kept[k - 1], found[s, k - 1, 0], found[s, k - 1, 1]
                        k -= 1
                    kept[k], found[s, k, 0], found[s, k, 1] = value, i + 0.5, j + 0.5
