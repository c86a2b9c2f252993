"""This file owns the gap over probability measures on a compact domain, for F convex along mixtures.

V = Phi^*(omega l'(f, y)), the first variation. By convexity F(nu) >= F(pi) - (int V dpi - min V): the raw gap. It is
one of a family: by Fenchel (wflow.duality.observed) with the dual vector t l', t >= 0, and int dnu = 1,

    F(nu) >= D(t) = t min V - sum_i omega_i l*(t l'_i, y_i) + offset        (proved)

t = 1 gives the raw gap, since l* (l') = l' f - l. For the half square, r = f - y, D is largest at
t = max(0, (min V - <r, y>)/|r|^2), which is never worse, and t = 0 says F >= offset. The computed t l' is off by u of
itself, for which the operations counted in the rounding of V have room; the sums of D have their own in `paid`.
"""

import math

import numpy as np

from wflow.arrays import Array
from wflow.domain import Domain
from wflow.duality.bracket import Bracket
from wflow.duality.conjugates import best_multiple, furthest, paid
from wflow.duality.field import UNIT, Enclosure
from wflow.duality.observed import Observed, observed, strength
from wflow.energy import Energy
from wflow.loss import HalfSquare
from wflow.measure import Measure

_STEEPEST = 1e8
ROUNDED = 4.0 * UNIT


def mixture_bracket(energy: Energy, pi: Measure, domain: Domain | None = None) -> Bracket | None:
    """inf F over probability measures on a domain, that of pi unless given, bracketed; None where nothing is known.

    None with an internal energy (wflow.duality.gibbs), with limits, where F is not convex, and where no lower bound of
    V is known.
    """
    view = observed(energy, domain or pi.domain)
    if view is None or energy.internal or energy.limits:
        return None
    q = dual_vector(view, pi)
    field = view.against(q)
    if field is None:
        return None
    lowest = field.lowest()
    t, lower = scaled(view, q, lowest)
    # mass one: the total variation is a constant
    own = strength(energy)
    return Bracket(energy.value(pi), lower + own, view.rounding(pi) + ROUNDED * own, "probability", lowest.method, t)


def dual_vector(view: Observed, pi: Measure) -> Array:
    """l'(f, y) (n,) at pi."""
    return np.asarray(view.loss.slope(view.seen(pi), view.targets))


def scaled(view: Observed, q: Array, lowest: Enclosure) -> tuple[float, float]:
    """t >= 0 and D(t), a lower bound of F over probability measures."""
    y, weights, loss = view.targets, view.weights, view.loss

    def gain(t: float) -> float:
        return t * lowest.lower - paid(loss, t * q, y, weights)

    if isinstance(loss, HalfSquare):
        square = float(weights @ q**2)
        ratio = (lowest.lower - float(weights @ (q * y))) / square if square > 0.0 else 0.0
        candidates = (0.0, 1.0, max(0.0, ratio))
        t = max(candidates, key=gain)
    else:
        t = best_multiple(gain, min(furthest(loss, q, y), _STEEPEST))
    found = gain(t) + view.offset
    return t, found - ROUNDED * (abs(found) + abs(view.offset) + abs(t * lowest.lower)) if math.isfinite(
        found
    ) else found
