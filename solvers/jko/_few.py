"""This file owns when a step is one of mass in few cells, and into how many atoms these go (solvers.jko._heights)."""

import math
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from solvers.jko._atoms import FAINT, Atoms
from solvers.jko._climb import allowed
from solvers.jko._heights import FewDual
from solvers.jko._minimum import Minimum
from solvers.jko._stage import SETTLED, Stage
from wflow.arrays import Array
from wflow.errors import NotConverged
from wflow.limits import Obstacle
from wflow.measure import Density
from wflow.spline.lattice import fitted

_FEW = 8
"""Cells."""
_ATOMS = 512
"""At most."""
_FINE, _ROUGH = 1.0 / 32.0, 1.0 / 4.0
"""Of the distance that mass moves: how far it may be from its atom for parts to be fine enough, and at most."""


def taken_apart(stage: Stage, start: Density) -> bool:
    """Whether each cell with mass can be an atom, and no obstacle is in its way."""
    obstacles = any(isinstance(limit, Obstacle) for limit in stage.flow.energy.limits)
    return not obstacles and occupied(start) <= _ATOMS


def few(start: Density) -> bool:
    """Whether mass lies in few cells."""
    return occupied(start) <= _FEW


def occupied(start: Density) -> int:
    """How many cells hold more than a faint share of the largest density."""
    return int(np.count_nonzero(start.values > FAINT * start.values.max()))


def minimum_of_few(stage: Stage, start: Density, tau: float, tolerance: float, limit: int) -> Minimum:
    """The minimiser with cells in ever more parts, until these are small to how far mass moves.

    Raises NotConverged where the most parts are not: mass that moves less than a cell's parts is better on splines.
    """
    axes = sum(n > 1 for n in stage.shape)
    split, (found, heights) = 1, _minimum(stage, start, 1, tau, limit)
    while not (small := math.sqrt(_variance(stage, split, start))) <= _FINE * found.moved:
        if occupied(start) * (2 * split) ** axes > _ATOMS:
            break
        finer, heights = _minimum(stage, start, 2 * split, tau, limit, heights)
        if not finer.off <= allowed(tolerance, finer.moved, float(stage.grid.widths.max())):
            break  # rounding of D: heavier atoms say more
        split, found = 2 * split, finer
    if not small <= _ROUGH * found.moved:
        raise NotConverged(
            f"JKO step: mass moves by {found.moved:.3g}, less than four times as far as it is from its atoms "
            f"({small:.3g}), {split} on an axis of a cell, tau = {tau:.3g}; lengthen dt or use more cells",
            small,
        )
    # W2 of even mass in cells is known to `small`, and so is what a step gains
    return replace(found, dual=found.dual - found.moved * small / tau)


def _variance(stage: Stage, split: int, start: Density) -> float:
    """int |x - its atom|^2 of even mass in cells."""
    squares = sum(h * h for h, n in zip(stage.widths, stage.shape, strict=True) if n > 1)
    return start.mass * squares / (12.0 * split**2)


def _minimum(
    stage: Stage, start: Density, split: int, tau: float, limit: int, coarser: tuple[Atoms, Array] | None = None
) -> tuple[Minimum, tuple[Atoms, Array]]:
    """With split^d atoms a cell, and their heights, at first those of fewer atoms; V by fixed point."""
    atoms, field, before = Atoms.of(start, False, split), stage.potential(start), start
    price, _, free = stage.begun(atoms, tau, field, stage.first_guess(start))
    phi, change = np.zeros(len(atoms.masses)), math.inf
    if coarser is not None:
        phi = coarser[1][KDTree(coarser[0].places).query(atoms.places)[1]]
    for _ in range(limit):
        dual = FewDual(atoms, stage.shape, stage.sides, stage.widths, tau, price, stage.temperature)
        here, residual = dual.climbed(dual.balanced(phi), limit)
        total = float(here.rho.sum()) * stage.grid.cell_volume
        if not 0.0 < total < math.inf:
            raise NotConverged(f"JKO step: rho has a mass of {total:.3g}, tau = {tau:.3g}; shorten dt", start.mass)
        end = Density(stage.grid, here.rho.ravel() * (start.mass / total))
        change = float(np.abs(end.values - before.values).sum()) * stage.grid.cell_volume
        if not stage.flow.energy.interacting or change <= SETTLED:
            break
        before, phi = end, here.phi
        price = replace(price, field=stage.potential(end))
    else:
        raise NotConverged(
            f"JKO step: the fixed point for V moves {change:.3g} > {SETTLED:g} of mass after {limit} rounds, "
            f"tau = {tau:.3g}; shorten dt or raise `limit`",
            change,
        )
    length, square = math.sqrt(2.0 * tau), 2.0 * tau * here.distance
    # what is in the wrong Laguerre cell may come from as far as the box is wide
    wrong = float(np.abs(here.slope).sum()) * float((stage.grid.domain.lengths**2).sum())
    least = Minimum(
        end, fitted(here.p, (1, 1), stage.sides), price, here.value, math.sqrt(square), length * residual, free,
        square=square + _variance(stage, split, start) + wrong,
    )  # fmt: skip
    return least, (atoms, here.phi)
