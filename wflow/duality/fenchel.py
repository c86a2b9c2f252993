"""This file owns the gap of problems with a total variation: J(nu) = sum_i omega_i l((Phi nu)_i, y_i) + lam |nu|.

eta = -Phi^*(omega l') (for the half square Phi^* p, p = y - Phi nu). A multiple q = s l' of the slope is admitted where
lam |nu| + int Phi^* q dnu >= 0 for all nu, that is s max |eta| <= lam over signed measures and s max eta <= lam over
nonnegative ones. With U a rigorous upper bound of that maximum, 0 <= s <= lam/U,

    J(nu) >= D(s) = -sum_i omega_i l*(s l'_i, y_i) + offset        (proved)

For the half square D = s <p, y> - s^2 |p|^2/2, largest at s = min(max(<p, y>/|p|^2, 0), lam/U).
Source of the certificate: Candes and Fernandez-Granda 2014, Comm. Pure Appl. Math. 67(6); the rescaling is standard.
"""

import numpy as np

from wflow.arrays import Array
from wflow.duality.bracket import Bracket
from wflow.duality.conjugates import best_multiple, furthest, paid
from wflow.duality.field import UNIT, largest
from wflow.duality.mixtures import ROUNDED, dual_vector
from wflow.duality.observed import Observed, observed, strength
from wflow.energy import Energy
from wflow.loss import HalfSquare
from wflow.measure import Measure

_STEEPEST = 1e8


def variation_bracket(energy: Energy, nu: Measure, *, signed: bool = True) -> Bracket | None:
    """inf J over signed measures (or nonnegative ones) on the domain of nu, bracketed; None where nothing is known."""
    view, lam = observed(energy, nu.domain), strength(energy)
    if view is None or lam <= 0.0 or energy.internal or energy.limits:
        return None
    found = admitted(view, dual_vector(view, nu), lam, signed=signed)
    if found is None:
        return None
    s, lower, peak, method = found
    rounding = view.rounding(nu) + UNIT * (len(nu.weights) + 8.0) * lam * float(np.sum(np.abs(nu.weights)))
    return Bracket(energy.value(nu), lower, rounding, "signed" if signed else "nonnegative", method, s, peak)


def admitted(view: Observed, q: Array, lam: float, *, signed: bool) -> tuple[float, float, float, str] | None:
    """s, D(s), U/lam and how U was bounded, for the dual vector s q; None where no bound is known."""
    field = view.against(q)
    if field is None:
        return None
    top, enclosure = largest(field, signed=signed)
    most = min(lam / top * (1.0 - ROUNDED) if top > 0.0 else _STEEPEST, furthest(view.loss, q, view.targets))

    def gain(s: float) -> float:
        return -paid(view.loss, s * q, view.targets, view.weights)

    if isinstance(view.loss, HalfSquare):
        square = float(view.weights @ q**2)
        ratio = -float(view.weights @ (q * view.targets)) / square if square > 0.0 else 0.0
        s = min(max(ratio, 0.0), most)
    else:
        s = best_multiple(gain, min(most, _STEEPEST))
    found = gain(s) + view.offset
    return s, found - ROUNDED * (abs(found) + abs(view.offset)), top / lam, enclosure.method
