"""This file owns W2 on several axes: exact transport of atoms by POT's network simplex, densities gathered into atoms.

A density is gathered by a tree of blocks, each replaced by its barycentre: that moves its mass by its standard
deviation, so W2(density, atoms) <= (sum_blocks mass spread^2)^(1/2), the floor. Blocks with the largest share of it are
split first. The same holds for a law, which enters by its averages on a grid, and on meshes and the sphere
(wflow.clusters).
"""

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import ModuleType
from typing import cast

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.clusters import AtomsOf, of_mesh, of_zonal
from wflow.domain import Box, Domain
from wflow.errors import NotConverged, Refused
from wflow.grid import Grid
from wflow.law import Atoms, Law, Uniform
from wflow.measure import Density, Measure, Particles
from wflow.mesh_density import MeshDensity
from wflow.shapes import Sphere
from wflow.zonal import Zonal

MOST_ATOMS = 2000
GAP = 1e-9
_LAW_CELLS = 256
_REACH = 9.0
_SMALLEST = 2.0**-60
"""Blocks of a smaller cost are never split."""
_TIE = 1e-9
_BLOCK = 1 << 18


def atoms_of(measure: Measure | Law) -> AtomsOf:
    """At most 2000 atoms; Refused for more particles, and for laws without cell masses."""
    if isinstance(measure, Particles | Atoms):
        if len(measure.points) > MOST_ATOMS:
            raise Refused(
                f"w2: {len(measure.points)} atoms on {measure.domain.dim} axes; at most {MOST_ATOMS}, compare a sample"
            )
        return AtomsOf(measure.points, np.asarray(measure.weights))
    if isinstance(measure, Density):
        return gathered(measure)
    if isinstance(measure, MeshDensity):
        return of_mesh(measure, MOST_ATOMS)
    if isinstance(measure, Zonal) or (isinstance(measure, Uniform) and isinstance(measure.domain, Sphere)):
        return of_zonal(measure, MOST_ATOMS)
    if isinstance(measure, Law) and measure.has_averages:
        return gathered(on_grid(measure))
    raise Refused(
        f"w2: {type(measure).__name__} on {measure.domain.dim} axes is neither atoms nor a density; "
        "pass Particles (for a law: Particles(domain, law.sample(m, rng)))"
    )


def on_grid(law: Law) -> Density:
    """The averages of a law on 256 cells an axis; infinite axes are cut nine standard deviations from the mean."""
    box = law.domain
    if not isinstance(box, Box):
        raise Refused(f"w2: a law on {box}, which has no grid; pass its cell averages on a mesh, or a sample")
    if not box.bounded:
        drawn = law.quantised(MOST_ATOMS)
        middle, reach = drawn.mean(axis=0), _REACH * drawn.std(axis=0)
        lower = [float(max(a, m - r)) for a, m, r in zip(box.lower, middle, reach, strict=True)]
        upper = [float(min(b, m + r)) for b, m, r in zip(box.upper, middle, reach, strict=True)]
        box = Box(tuple(lower), tuple(upper), box.periodic, box.frozen)
    grid = Grid(box, tuple(2 if still else _LAW_CELLS for still in box.frozen))
    values = np.maximum(law.averages(grid), 0.0)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def gathered(pi: Density, most: int = MOST_ATOMS) -> AtomsOf:
    """A density as at most `most` barycentres of blocks of cells; blocks that tie are split together."""
    levels = _pyramid(pi)
    leaves = _leaves(levels, _threshold(levels, most))
    points = np.concatenate([level.centres[chosen] for level, chosen in zip(levels, leaves, strict=True)])
    weights = np.concatenate([level.mass[chosen] for level, chosen in zip(levels, leaves, strict=True)])
    cost = sum(float(level.cost[chosen].sum()) for level, chosen in zip(levels, leaves, strict=True))
    return AtomsOf(points, weights / weights.sum(), math.sqrt(cost))


@dataclass(frozen=True, eq=False)
class _Level:
    """Blocks of one size: masses (k,), barycentres (k, d), mass times variance (k,), and each block's parent."""

    mass: Array
    centres: Array
    cost: Array
    parents: NDArray[np.intp] | None


def _pyramid(pi: Density) -> list[_Level]:
    """From one block to single cells; blocks are never joined across a frozen axis.

    Summed from below: a block's mass times variance is its parts' own plus their mass times distance^2 to its centre.
    """
    grid = pi.grid
    widths = np.where(grid.domain.frozen, 0.0, grid.widths)
    mass, centres, cost = pi.weights, grid.centres, pi.weights * (float(np.sum(widths**2)) / 12.0)
    levels = []
    for parents in _ancestry(grid):
        levels.append(_Level(mass, centres, cost, parents))
        if parents is None:
            break
        count = int(parents[-1]) + 1
        whole = np.bincount(parents, mass, count)
        safe = np.where(whole > 0.0, whole, 1.0)
        middle = np.stack([np.bincount(parents, mass * x, count) / safe for x in centres.T], axis=1)
        apart = sum((x - c[parents]) ** 2 for x, c in zip(centres.T, middle.T, strict=True))
        cost = np.bincount(parents, cost + mass * apart, count)
        mass, centres = whole, middle
    return levels[::-1]


@lru_cache(maxsize=16)
def _ancestry(grid: Grid) -> tuple[NDArray[np.intp] | None, ...]:
    """For single cells, then blocks of two cells an axis, of four, ...: the block above each; None for the last."""
    still = np.asarray(grid.domain.frozen)
    found: list[NDArray[np.intp] | None] = []
    shape = grid.shape
    while any(n > 1 for n, frozen in zip(shape, still, strict=True) if not frozen):
        above = tuple(n if frozen else (n + 1) // 2 for n, frozen in zip(shape, still, strict=True))
        index = np.unravel_index(np.arange(math.prod(shape)), shape)
        halved = tuple(i if frozen else i >> 1 for i, frozen in zip(index, still, strict=True))
        found.append(np.asarray(np.ravel_multi_index(halved, above)))
        shape = above
    return (*found, None)


def _threshold(levels: list[_Level], most: int) -> float:
    """The least cost up to which blocks stay whole so that at most `most` blocks with mass are left."""
    costs, gains, above = [], [], np.full(len(levels[0].mass), math.inf)
    for level, parts in pairwise(levels):
        # no less than its parts', but for rounding
        above = np.minimum(level.cost, above if level.parents is None else above[level.parents])
        costs.append(above)
        assert parts.parents is not None
        gains.append(np.bincount(parts.parents, parts.mass > 0.0, len(level.mass)) - 1.0)
    cost, gain = np.concatenate(costs), np.concatenate(gains)
    filled = cost > _SMALLEST
    order = np.argsort(-cost[filled], kind="stable")
    blocks = np.count_nonzero(levels[0].mass > 0.0) + np.cumsum(gain[filled][order])
    split = int(np.searchsorted(blocks, most, side="right"))
    return float(cost[filled][order][split]) * (1.0 + _TIE) if split < len(order) else _SMALLEST


def _leaves(levels: list[_Level], most: float) -> list[NDArray[np.bool_]]:
    """Blocks that stay whole: the first on each way down whose cost is at most `most`."""
    out, open_above = [], np.ones(1, dtype=bool)
    for depth, level in enumerate(levels):
        reached = np.ones(len(level.mass), dtype=bool) if level.parents is None else open_above[level.parents]
        last = depth == len(levels) - 1
        whole = reached & ((level.cost <= most) | last)
        out.append(whole & (level.mass > 0.0))
        open_above = reached & ~whole
    return out


def _pot() -> ModuleType:
    """POT, imported where it is used; its first import on Python 3.13 warns of its own docstrings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        import ot
    return cast("ModuleType", ot)


@dataclass(frozen=True, eq=False)
class Plan:
    """An optimal plan (n, m), what it costs, and the potentials that prove it.

    left_i + right_j <= cost_ij, with equality where mass goes; they mean nothing at points without mass.
    """

    masses: Array
    cost: float
    left: Array
    right: Array


def cheapest_plan(p: Array, q: Array, cost: Array) -> Plan:
    """Exact transport of masses p (n,) to q (m,) at cost (n, m) by POT, with the checks that POT does not make.

    p and q are scaled to sum 1 first, cost by its maximum (POT's tolerance is absolute).
    Raises ValueError for empty, negative or infinite data, on which POT crashes or answers 0, and NotConverged unless
    POT says that it is optimal and its potentials prove it to 1e-9 of the largest cost.
    """
    if not len(p) or not len(q) or cost.shape != (len(p), len(q)):
        raise ValueError(f"cheapest_plan: shapes {p.shape}, {q.shape}, {cost.shape}; give p (n,), q (m,), cost (n, m)")
    if not (min(p.min(), q.min()) >= 0.0 and math.isfinite(p.sum() + q.sum() + cost.sum())):
        raise ValueError("cheapest_plan: a mass is negative or an entry not finite; clean p, q and cost")
    p, q, scale = p / p.sum(), q / q.sum(), float(cost.max())
    if scale == 0.0:
        return Plan(np.outer(p, q), 0.0, np.zeros(len(p)), np.zeros(len(q)))
    masses, log = _pot().emd(p, q, cost / scale, numItermax=10**7, log=True)
    left, right = log["u"], log["v"]
    gap = log["cost"] - float(p @ left + q @ right)
    violation = float(np.max(left[:, None] + right[None, :] - cost / scale))
    if log["result_code"] != 1 or abs(gap) > GAP or violation > GAP:
        raise NotConverged(
            f"w2: POT stopped with code {log['result_code']}, gap {gap:.3g}, dual violation {violation:.3g} "
            "(relative to the largest cost); use fewer points",
            abs(gap),
        )
    return Plan(masses, scale * max(float(log["cost"]), 0.0), scale * left, scale * right)


def optimal_plan(a: AtomsOf, b: AtomsOf, domain: Domain) -> Plan:
    """Of atoms at the squared geodesic distance."""
    return cheapest_plan(a.weights, b.weights, _squares(a.points, b.points, domain))


def _squares(a: Array, b: Array, domain: Domain) -> Array:
    """(n, m) squared distances, by blocks of rows: an array (n, m, d) is not held."""
    size = max(1, _BLOCK // b.size)
    rows = [a[k : k + size, None, :] for k in range(0, len(a), size)]
    if domain.intrinsic < domain.dim:  # the way along a great circle needs no direction
        return np.concatenate([domain.distance(row, b[None]) ** 2 for row in rows])
    return np.concatenate([np.sum(domain.difference(row, b[None]) ** 2, axis=2) for row in rows])


def w2_of_atoms(a: AtomsOf, b: AtomsOf, domain: Domain) -> float:
    """Exact W2 of atoms."""
    return math.sqrt(optimal_plan(a, b, domain).cost)
