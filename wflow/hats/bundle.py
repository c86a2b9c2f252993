"""This file owns steps in which atoms share their mass among many places of nearly one value: by a corrective bundle.

Such steps end at a kink of D, which Newton's method on D does not find. But every place that an atom had in some field
is a column of couplings, and the best mixture of all columns is a quadratic programme. In the field of that mixture
atoms have other best places, which are the next columns; the gap is what the mixture pays in its own field, less the
sum of the least values. Where K has negative directions (attraction: along the mean) the programme's stationary points
are taken. Where these lead nowhere (F concave in many directions) such directions are held: |K| in place of K pulls the
mixture back to a centre along them, which follows it; F + cost falls with every round, F being below what is minimised.
Source: the fully corrective variant of conditional gradient (Jaggi 2013, ICML); what is held: derived for this project.
"""

from dataclasses import dataclass, replace

import numpy as np

from wflow.arrays import Array
from wflow.hats.columns import at_home, near
from wflow.hats.movement import Minimum, Movement
from wflow.hats.programme import Bend, Programme, largest_rank, solved

WORK = 2**31
"""The largest Bend.products: a bundle takes about a thousand times as many."""
_ROUNDS = 100
_NULL = 1e-14
"""Of the largest |eigenvalue| of K: rounding."""
_DRAWN = 1e-13
"""The same of the singular values of what K makes of random changes."""
_EXACT = 1e-3
"""Of the tolerance: gaps that programmes are solved to."""
_TOLD, _MOST = 3.0, 0.5
"""How far above its least a column may lie, in gaps; and in h^2/tau, what tells neighbouring cells apart."""
_EMPTY = 1e-9
"""Of an atom's mass: a column with less may be left out."""


@dataclass(frozen=True, eq=False)
class _Round:
    """The programme of the columns so far, its mixture rho (m,), and where to look for other columns.

    field (m,), slack: in which, and how far above the least.   best: that of the least gap so far.
    """

    programme: Programme
    rho: Array
    field: Array
    slack: float
    best: Minimum


def bundled(movement: Movement, bend: Bend, tolerance: float) -> Minimum:
    """The step, or the least gap met in so many rounds; bend: K."""
    start = movement.start.weights
    field = movement.field(movement.start)
    programme = Programme(at_home(movement.sheets, start), start, start, field, bend)
    here = _Round(programme, start, field, _MOST * sum(movement.sheets.pull), movement.ended(start, 0.0))
    for _ in range(_ROUNDS):
        if here.best.gap <= tolerance:
            return here.best
        here = _after(movement, here, tolerance)
    convex = bool(np.all(bend.signs > 0.0))
    return here.best if convex else _followed(movement, replace(here, rho=start), tolerance)


def _followed(movement: Movement, here: _Round, tolerance: float) -> Minimum:
    """With |K|, from the start, and the centre at the last mixture."""
    bend = here.programme.bend
    held = replace(here.programme, bend=replace(bend, signs=np.abs(bend.signs)))
    for _ in range(_ROUNDS):
        field = movement.field(movement.density(here.rho))
        here = replace(here, programme=replace(held, columns=here.programme.columns, centre=here.rho, field=field))
        here = _after(movement, here, tolerance)
        if here.best.gap <= tolerance:
            break
    return here.best


def _after(movement: Movement, here: _Round, tolerance: float) -> _Round:
    """With the next columns, and without those that neither have mass nor are near the least."""
    sheets, start = movement.sheets, movement.start.weights
    columns = here.programme.columns.joined(near(sheets, start, here.field, here.slack))
    programme = replace(here.programme, columns=columns)
    masses = solved(programme, _EXACT * tolerance * movement.scale(here.best.dual))
    rho, spent = programme.density(masses), float(masses @ columns.costs)
    best = min(here.best, movement.ended(rho, spent), key=lambda one: one.gap)
    field = programme.slope(masses)
    gap = float(field @ rho) + spent - movement.settle(field, 0.0).least
    slack = min(_TOLD * gap, _MOST * sum(sheets.pull))
    used = masses > _EMPTY * start[columns.atoms][columns.at]
    kept = columns.kept(used | (columns.above(field) <= slack))
    return _Round(replace(programme, columns=kept), rho, field, slack, best)


def curvature(movement: Movement) -> Bend | None:
    """K by its eigenvectors on changes of sum 0; None where a bundle would take long.

    On small grids from the field of each cell alone, V being affine. On larger ones the rank must be small: the range
    of K is what it makes of random changes, exact where the rank is less than their number.
    Source: Halko, Martinsson & Tropp 2011, SIAM Rev. 53(2), 217-288.
    """
    m = len(movement.start.weights)
    most = largest_rank(m, WORK)
    if m <= most:
        mass = float(movement.start.weights.sum())
        fields = [movement.field(movement.density(alone)) / mass for alone in mass * np.eye(m)]
        return _by_eigenvectors(np.eye(m), _centred(_centred(np.array(fields)).T))
    if most < 2:
        return None
    drawn = _centred(np.random.default_rng(0).normal(size=(m, most)))
    range_, sizes, _ = np.linalg.svd(_made(movement, drawn), full_matrices=False)
    range_ = range_[:, sizes > _DRAWN * sizes[0]]
    if range_.shape[1] == most:
        return None
    return _by_eigenvectors(range_, range_.T @ _made(movement, range_))


def _made(movement: Movement, changes: Array) -> Array:
    """K of columns (m, r) of sum 0, less its mean."""
    return _centred(np.stack([movement.curved(change) for change in changes.T], axis=1))


def _centred(columns: Array) -> Array:
    return np.asarray(columns - columns.mean(axis=0))


def _by_eigenvectors(basis: Array, matrix: Array) -> Bend:
    """basis matrix basis^T, the basis (m, r) orthonormal."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    seen = np.abs(values) > _NULL * float(np.abs(values).max())
    return Bend(basis @ vectors[:, seen] * np.sqrt(np.abs(values[seen])), np.sign(values[seen]))
