"""This file owns independent optima: F minimised without any flow, so that "global" is judged from outside.

On a grid of positions F is a convex problem in the weights, solved to rounding by wflow.duality.active_set (by Newton's
method about it for other losses than the half square). Its
residual is a dual vector: with the rigorous bound of its field a lower bound of inf F over the whole domain, the
weights an upper one. Then positions are exchanged: the minima of the field, where the dual is violated most, enter as
new columns, which are solved again with the atoms that are left; atoms of smooth neurons then slide together. Every
round ends with a bracket; the best of each side is kept.
Source of the exchange: Bredies and Pikkarainen 2013, ESAIM: COCV 19(1) (conditional gradient for measures).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.domain import Box
from wflow.duality.active_set import on_simplex, priced
from wflow.duality.bracket import Bracket, Over
from wflow.duality.fenchel import variation_bracket
from wflow.duality.field import Field
from wflow.duality.mixtures import dual_vector, mixture_bracket
from wflow.duality.observed import Observed, observed, strength
from wflow.duality.sliding import Sliding, joined
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.loss import HalfSquare
from wflow.measure import Measure, Particles, SignedParticles

_CELLS = {1: 256, 2: 32}
_PATIENCE = 4
"""Rounds without a gain of a hundredth of the gap after which no more are tried."""
_NEWTON, _SHORTEST = 40, 1e-8
_JOINED = 1.01
"""Diagonals of a cell: an atom between the points of a grid appears at the corners of its cell."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """A measure of few atoms that nearly minimises F, its bracket, and the brackets of all rounds, the grid's first."""

    measure: Measure
    bracket: Bracket
    rounds: tuple[Bracket, ...]


@dataclass(frozen=True, eq=False)
class _Question:
    """F over a class of measures on a box, in weights and places."""

    energy: Energy
    view: Observed
    domain: Box
    over: Over

    def solved(self, points: Array) -> Measure:
        """The best measure on points (m, d), of its atoms alone."""
        columns = self.view.columns(points)
        if self.over == "signed":
            both = self._weights(np.concatenate([columns, -columns], axis=1))
            w = both[: len(points)] - both[len(points) :]
        else:
            w = self._weights(columns)
        kept = w != 0.0
        if not np.any(kept):
            kept[0] = True
        return self._of(points[kept], w[kept])

    def _weights(self, columns: Array) -> Array:
        """The best nonnegative weights (m,) of columns (n, m): least squares, for other losses again and again.

        The loss is replaced by its second order about the last answer (Newton), and the way there halved until J falls.
        """
        view, lam = self.view, strength(self.energy)
        if isinstance(view.loss, HalfSquare):
            return self._least(np.sqrt(view.weights), columns, view.targets)
        w = np.zeros(columns.shape[1])
        if self.over == "probability":
            w[0] = 1.0
        best = self._price(columns @ w, w, lam)
        for _ in range(_NEWTON):
            f = columns @ w
            bend = view.loss.curvature(f, view.targets)
            step = self._least(np.sqrt(view.weights * bend), columns, f - view.loss.slope(f, view.targets) / bend) - w
            share, value = 1.0, math.inf
            while not (value := self._price(f + share * (columns @ step), w + share * step, lam)) < best:
                share *= 0.5
                if share < _SHORTEST:
                    return w
            w, best = w + share * step, value
        return w

    def _least(self, root: Array, columns: Array, targets: Array) -> Array:
        b, y = root[:, None] * columns, root * targets
        return on_simplex(b, y) if self.over == "probability" else priced(b, y, strength(self.energy))

    def _price(self, f: Array, w: Array, lam: float) -> float:
        """J less its constants, which nonnegative weights w have at predictions f."""
        return float(self.view.weights @ self.view.loss.value(f, self.view.targets)) + lam * float(np.sum(w))

    def slid(self, pi: Measure, reach: float) -> Measure:
        """Atoms nearer than reach made one, then masses and positions by Newton's method; pi where J is not lower.

        Kinked neurons have no second derivative and stay.
        """
        sliding = Sliding(
            self.view.jet, self.view.weights, self.view.targets, strength(self.energy), self.domain,
            fixed=self.over == "probability", loss=self.view.loss,
        )  # fmt: skip
        try:
            c, w = sliding.slid(*joined(self.domain, pi.weights, pi.points, reach))
        except Refused:
            return pi
        return self._of(w, c) if sliding.value(c, w) < sliding.value(pi.weights, pi.points) else pi

    def _of(self, points: Array, c: Array) -> Measure:
        if self.over == "probability":
            return Particles(self.domain, points, c / np.sum(c))
        return SignedParticles(self.domain, points, c)

    def bracket(self, pi: Measure) -> Bracket:
        """Of a measure in the class."""
        if self.over == "probability":
            found = mixture_bracket(self.energy, pi)
        else:
            found = variation_bracket(self.energy, pi, signed=self.over == "signed")
        if found is None:
            raise Refused("independent optimum: no rigorous bound of min V is known for this activation and domain")
        return found

    def violated(self, pi: Measure) -> Array:
        """(l, d) minima of the field at pi, of both signs for signed measures."""
        field = self.view.against(dual_vector(self.view, pi))
        sides: Sequence[Field] = () if field is None else (field, field.negated())
        return np.concatenate([side.lowest().minima for side in sides[: 2 if self.over == "signed" else 1]])


def independent(
    energy: Energy, domain: Box, over: Over, *, cells: int | None = None, rounds: int = 20, tolerance: float = 1e-12
) -> Optimum:
    """inf F over probability, nonnegative or signed measures, bracketed: a grid of cells^d points, then exchanges.

    cells: 256 on one axis and 32 on each of two unless given.   rounds: at most so many exchanges; they end when the
    gap is below tolerance max(1, |F|), or has not fallen in four of them. Raises Refused for losses without a second
    derivative (Huber), for energies or domains of which no dual is known, and without a total variation where masses
    are free.
    """
    view = observed(energy, domain)
    if view is None or view.loss.kinked or over in ("networks", "bounded"):
        raise Refused(
            "independent optimum: F is no risk of a known kind with a loss that has a second derivative; "
            "give a Risk (half square, logistic) or a kernel's risk"
        )
    if over != "probability" and strength(energy) <= 0.0:
        raise Refused("independent optimum: masses are free and cost nothing; add TotalVariation(strength)")
    question = _Question(energy, view, domain, over)
    count = cells or _CELLS.get(domain.dim, 8)
    grid = Grid(domain, (count,) * domain.dim)
    reach = _JOINED * float(np.linalg.norm(grid.widths))
    pi = question.solved(grid.centres)
    measures, found = [pi], [question.bracket(pi)]
    for _ in range(rounds):
        best = _best(found)
        stalled = len(found) > _PATIENCE and best.gap > 0.99 * _best(found[:-_PATIENCE]).gap
        if stalled or best.gap <= tolerance * max(1.0, abs(best.value)):
            break
        pi = question.slid(question.solved(np.concatenate([pi.points, question.violated(pi)])), reach)
        measures.append(pi)
        found.append(question.bracket(pi))
    least = min(range(len(found)), key=lambda k: found[k].value)
    return Optimum(measures[least], _best(found), tuple(found))


def _best(found: Sequence[Bracket]) -> Bracket:
    """The lowest value with the highest bound."""
    return min(found, key=lambda one: one.value).raised(max(one.lower for one in found))
