"""This file owns one minimising movement from atoms to its end, with the gap that the step sees and the sampled one."""

import math
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.errors import NotConverged
from wflow.measure import Particles
from wflow.risk_dual.ascent import Climbed, Goal, by_newton, climb
from wflow.risk_dual.models import Refined, Tabulated
from wflow.risk_dual.movement import Coupling, Indices, Movement
from wflow.risk_dual.parts import DUST, parted, vertex
from wflow.risk_dual.search import least
from wflow.risk_dual.split import Split, finished, joined
from wflow.risk_dual.table import Nodes, sheets

_ROUGH, _FINE = 1e-7, 1e-2
"""Of the tolerance: gaps that the model of splines (in place of it) and that of features are asked for."""
_SMALLEST = 1e-5
"""Of max(1, |F|): gains below it count as that much."""
_ROUNDS, _LARGER = 3, 8
_MARGIN = 0.25
_EDGE = 2.0
Window = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Minimum:
    """The end, what its coupling costs, D at the last p, and gaps as shares of the gain.

    whose (g,): the atom of each point of the end.   gap: by the independent search.   own: as the step itself sees it.
    """

    end: Particles
    whose: Indices
    spent: float
    dual: float
    gap: float
    own: float


def minimised(movement: Movement, cells: int, tolerance: float, limit: int) -> Minimum:
    """The step, on a window that is made larger until no atom goes to its edge.

    What the search finds and the step did not know is taken in, up to three times.
    """
    return widened(movement, cells, tolerance, limit)[0]


def widened(movement: Movement, cells: int, tolerance: float, limit: int) -> tuple[Minimum, Nodes]:
    """The same with the nodes of the last window."""
    margin = _first_margin(movement)
    for _ in range(_LARGER):
        nodes = Nodes.on(movement.domain, window(movement.start, margin), cells)
        found = _on(movement, nodes, tolerance, limit)
        if not _at_edge(movement, nodes, found.end.points):
            return found, nodes
        margin = 2.0 * margin
    raise NotConverged(
        f"JKO step of the risk: atoms go to the edge of {nodes.lower}..{nodes.upper} in tau = {movement.tau:.3g}, "
        "however wide it is made: a residual may let them gain without end; shorten dt or add a ridge",
        math.inf,
    )


def window(start: Particles, margin: Array) -> Window:
    """The box of a domain, its infinite ends where atoms are and a margin (d,) further, rounded to share tables."""
    low, high = start.points.min(axis=0) - margin, start.points.max(axis=0) + margin
    unit = np.exp2(np.ceil(np.log2((high - low) / 8.0)))
    low, high = unit * np.floor(low / unit), unit * np.ceil(high / unit)
    domain = start.domain
    return tuple(
        (a if math.isfinite(a) else float(low[k]), b if math.isfinite(b) else float(high[k]))
        for k, (a, b) in enumerate(zip(domain.lower, domain.upper, strict=True))
    )


def _first_margin(movement: Movement) -> Array:
    """(d,) twice the way that the first slope would drive the fastest atom, at most what F could pay, and a quarter."""
    start, tau = movement.start, movement.tau
    p = movement.predict(start.points, start.weights) - movement.targets
    ways = tau * np.abs(movement.field(movement.omega * p, start.points, 1)).max(axis=0)
    paid = math.sqrt(2.0 * tau * max(movement.half(p), 0.0))
    extent = np.ptp(start.points, axis=0)
    return np.asarray(np.minimum(2.0 * ways, paid) + _MARGIN * np.maximum(extent, 0.1))


def _at_edge(movement: Movement, nodes: Nodes, places: Array) -> bool:
    """Whether an atom is within two cells of an end that stands for infinity."""
    cells = nodes.cells(places)
    for a, k in enumerate(nodes.axes):
        low, high = movement.domain.lower[k] < nodes.lower[a], movement.domain.upper[k] > nodes.upper[a]
        if (low and cells[:, a].min() < _EDGE) or (high and cells[:, a].max() > nodes.shape[a] - _EDGE):
            return True
    return False


def _on(movement: Movement, nodes: Nodes, tolerance: float, limit: int) -> Minimum:
    p, before = _stay(movement)
    model = Refined(movement, Tabulated(movement, sheets(movement, nodes)))

    def goal(share: float) -> Goal:
        return lambda dual: share * scaled(before, dual)

    split = _ended(model, climb(model.splines, p, goal(_ROUGH), limit), goal(_FINE * tolerance), limit)
    for _ in range(_ROUNDS):
        found, other = certified(movement, nodes, split, before)
        if found.gap <= tolerance:
            break
        split = finished(model, joined(model.movement, split.parts, other), goal(_FINE * tolerance))
    return found


def _stay(movement: Movement) -> tuple[Array, float]:
    """The residual and F, less its constants, at the start."""
    start = movement.start
    p = movement.predict(start.points, start.weights) - movement.targets
    return p, movement.half(p) + float(start.weights @ movement.potential(start.points, 0))


def scaled(before: float, after: float) -> float:
    """What gaps are shares of."""
    return max(before - after, _SMALLEST * max(1.0, abs(before)))


def _ended(model: Refined, rough: Climbed, goal: Goal, limit: int) -> Split:
    """From the splines' maximum to the features' own: by Newton where nothing splits, else by parts."""
    climbed = rough
    if len(rough.couplings) == 1:
        climbed = by_newton(model, rough.best.p, goal, limit)
        if len(climbed.couplings) == 1:
            return Split(parted(model.movement, climbed), climbed.best.value, climbed.gap)
    return finished(model, parted(model.movement, climbed), goal)


def certified(movement: Movement, nodes: Nodes, split: Split, before: float) -> tuple[Minimum, Coupling]:
    """The end of a step with its gap by the search, with features as they are; and the coupling to the minima found."""
    parts = vertex(movement, split.parts.merged(split.parts.kept(DUST)))
    q, mu, origins = movement.omega * parts.p, movement.start.weights, movement.start.points[parts.whose]
    ways = movement.ways(parts.places, origins)
    seen = least(movement, parts.p, nodes)
    lowest = seen.values.copy()
    np.minimum.at(lowest, parts.whose, movement.field(q, parts.places, 0) + ways)
    dual = movement.dual(parts.p, float(mu @ lowest))
    spent, end = float(parts.masses @ ways), Particles(movement.domain, parts.places, parts.masses)
    whose = parts.whose
    after = movement.half(movement.predict(parts.places, parts.masses) - movement.targets)
    after += float(parts.masses @ movement.potential(parts.places, 0)) + spent
    if after >= before:
        end, spent, after, whose = movement.start, 0.0, before, np.arange(len(mu))
    scale = scaled(before, after)
    gap = (after - dual) / scale
    return Minimum(end, whose, spent, dual + movement.constant, gap, split.gap / scale), movement.coupling(seen.places)
