"""This file owns steps in which an atom goes to several places: their masses and the residual, by Newton together.

Parts g of mass m_g, of the atom j(g), sit at local minima w_g of G_q(w) + |w - w_j|^2/(2 tau), of values h_g. With
f = sum_g m_g psi(w_g), whatever p,

    cost - D(p) = |p - (f - y)|^2/2 + sum_g m_g (h_g - min_w),        so at the optimum p = f - y and parts tie in h.

Newton's unknowns are p and the masses: with p eliminated, a quadratic programme over nonnegative masses.
"""

from dataclasses import dataclass, replace

import numpy as np

from wflow.arrays import Array
from wflow.risk_dual.ascent import Goal
from wflow.risk_dual.inner import Minima
from wflow.risk_dual.models import Refined
from wflow.risk_dual.movement import Coupling, Indices, Movement
from wflow.risk_dual.parts import Parts, at_minima, beside
from wflow.risk_dual.simplex import nonnegative

_STEPS, _HALVINGS, _TURNS = 12, 4, 8
_STALLS, _STALLED = 3, 0.95
_ENOUGH = 0.8
"""A step that leaves more than this share of the gap is Newton's last."""
_TINY = 1e-18
"""Below it the gap is rounding; the step that comes there may be followed by another."""


@dataclass(frozen=True, eq=False)
class Split:
    """The parts, D(p) with the best minima known, what the parts cost, and the difference."""

    parts: Parts
    dual: float
    gap: float


def finished(model: Refined, parts: Parts, goal: Goal) -> Split:
    """Parts refined until the gap is goal(D), or rounds gain nothing: then only other places could help."""
    best, found = _judged(model, _newton(model.movement, parts))
    stalls = 0
    while best.gap > goal(best.dual) and stalls < _STALLS:
        here, found = _judged(model, _newton(model.movement, joined(model.movement, best.parts, found)))
        stalls = stalls + 1 if here.gap > _STALLED * best.gap else 0
        best = min(best, here, key=lambda one: one.gap)
    return best


@dataclass(frozen=True, eq=False)
class _Stand:
    """Parts at local minima, the mismatch f - y - p, and the gap as far as the parts know."""

    parts: Parts
    minima: Minima
    ahead: Array
    merit: float


def _stand(movement: Movement, parts: Parts) -> _Stand:
    parts, minima = at_minima(movement, parts)
    ahead = movement.predict(parts.places, parts.masses) - movement.targets - parts.p
    lowest = np.full(len(movement.start.weights), np.inf)
    np.minimum.at(lowest, parts.whose, minima.values)
    merit = movement.half(ahead) + float(parts.masses @ (minima.values - lowest[parts.whose]))
    return _Stand(parts, minima, ahead, merit)


def _newton(movement: Movement, parts: Parts) -> Parts:
    """Until p and the ties are right, or nothing is gained."""
    here = _stand(movement, parts)
    for _ in range(_STEPS):
        there = _searched(movement, here)
        if there is None:
            break
        done, here = not _TINY < there.merit < _ENOUGH * here.merit, there
        if done:
            break
    return here.parts


def _searched(movement: Movement, here: _Stand) -> _Stand | None:
    """Newton's step or the first of its halves that gains."""
    p, change = _step(movement, here)
    parts, share = here.parts, 1.0
    for _ in range(_HALVINGS):
        masses = np.maximum(parts.masses + share * change, 0.0)
        there = _stand(movement, replace(parts, p=parts.p + share * p, masses=masses))
        if there.merit < here.merit:
            return there
        share *= 0.5
    return None


def _step(movement: Movement, here: _Stand) -> tuple[Array, Array]:
    """Newton's step in p (n,) and in the masses (g,), which stay nonnegative."""
    root, parts = np.sqrt(movement.omega), here.parts
    slopes = root[:, None, None] * movement.slopes(parts.places)
    give = parts.masses[:, None, None] * here.minima.inverse
    moved = np.einsum("ngd,gde->nge", slopes, give, optimize=True)
    core = np.eye(len(root)) + moved.reshape(len(root), -1) @ slopes.reshape(len(root), -1).T
    split = np.bincount(parts.whose)[parts.whose] > 1
    psi = root[:, None] * movement.neuron.value(movement.risk.data.inputs, parts.places[split])
    given, answer = np.linalg.solve(core, root * here.ahead), np.linalg.solve(core, psi)
    # p eliminated, a convex quadratic in the masses: its slope is h with p moved on
    gram, masses = psi.T @ answer, parts.masses[split]
    slope = here.minima.values[split] + psi.T @ given - gram @ masses
    change = np.zeros(len(parts.masses))
    change[split] = _bounded(_shared(gram, slope, parts.whose[split], masses) - masses, parts.whose[split], masses)
    step = given + answer @ change[split]
    return np.divide(step, root, out=np.zeros(len(root)), where=root > 0.0), change


def _shared(gram: Array, slope: Array, whose: Indices, masses: Array) -> Array:
    """Masses (k,) that minimise m.gram m/2 + slope.m with what each atom has; nonnegative as far as turns allow.

    One part of each atom, its home, has what the others leave. Where that is below zero the largest of them is the next
    home, so many times.
    """
    whole, scale = np.bincount(whose, masses), float(masses.max(initial=0.0))
    homes = np.flatnonzero(np.diff(whose, prepend=-1))
    atoms = np.cumsum(np.diff(whose, prepend=-1) != 0) - 1
    for _ in range(_TURNS):
        home = homes[atoms]
        others = np.flatnonzero(home != np.arange(len(whose)))
        apart = np.zeros((len(whose), len(others)))
        apart[others, np.arange(len(others))] = scale
        apart[home[others], np.arange(len(others))] -= scale
        base = np.zeros(len(whose))
        base[homes] = whole[whose[homes]]
        found = base + apart @ nonnegative(apart.T @ gram @ apart / scale, apart.T @ (gram @ base + slope) / scale)
        below = np.flatnonzero(found[homes] < 0.0)
        if not len(below):
            break
        for k in below:
            own = np.flatnonzero(atoms == k)
            homes[k] = own[np.argmax(found[own])]
    return found


def _bounded(change: Array, whose: Indices, masses: Array) -> Array:
    """Changes of masses, shortened atom by atom where one of its parts would go below zero."""
    room = np.divide(masses, -change, out=np.full(len(change), np.inf), where=change < 0.0)
    most = np.ones(whose.max(initial=0) + 1)
    np.minimum.at(most, whose, room)
    return np.asarray(change * most[whose])


def _judged(model: Refined, parts: Parts) -> tuple[Split, Coupling]:
    """The gap of parts by global minima, and the coupling of these."""
    movement = model.movement
    first = np.flatnonzero(np.diff(parts.whose, prepend=-1))
    known = [movement.coupling(parts.places[first])]
    others, _ = beside(parts)
    if len(others):
        other = parts.places[first].copy()
        other[parts.whose[others]] = parts.places[others]
        known.append(movement.coupling(other))
    there = model.at(parts.p, known)
    ways = movement.ways(parts.places, movement.start.points[parts.whose])
    f = movement.predict(parts.places, parts.masses)
    cost = movement.half(f - movement.targets) + float(parts.masses @ (movement.potential(parts.places, 0) + ways))
    return Split(parts, there.value, cost - there.value), there.coupling


def joined(movement: Movement, parts: Parts, found: Coupling) -> Parts:
    """With a coupling mixed in by as much as pays; where nothing pays, as parts of no mass that Newton may fill."""
    f = movement.predict(parts.places, parts.masses)
    ways = movement.ways(parts.places, movement.start.points[parts.whose])
    price = float(parts.masses @ (movement.potential(parts.places, 0) + ways))
    ahead, off = found.prediction - f, f - movement.targets
    size = 2.0 * movement.half(ahead)
    fall = -float(movement.omega @ (ahead * off)) - (found.price - price)
    share = min(max(fall / size, 0.0), 1.0) if size > 0.0 else 0.0
    mu = movement.start.weights
    both = Parts(
        parts.p,
        np.concatenate([parts.whose, np.arange(len(mu))]),
        np.concatenate([parts.places, found.places]),
        np.concatenate([(1.0 - share) * parts.masses, share * mu]),
    )
    return both.merged(both.kept())
