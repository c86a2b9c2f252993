"""This file owns parts of atoms: whose, where and how much; from a mixture of couplings, merged, and few of them.

At most n atoms need to split: of the mixtures with one f and the least price some are vertices of a linear programme
with n rows beside those of the atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog

from wflow.arrays import Array
from wflow.risk_dual.ascent import Climbed
from wflow.risk_dual.inner import Minima, settled
from wflow.risk_dual.models import Reached
from wflow.risk_dual.movement import Coupling, Indices, Movement

DUST = 1e-14
"""Of its atom's largest part: what another must have to be one."""
_SAME = 1e-6
"""Of max(1, |w|): places nearer than that are one."""
_VALLEY = 1e-2
"""Of the way: places nearer than that are taken for one valley."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of atoms: whose (g,), where (g, d), how much (g,); p (n,) goes with them."""

    p: Array
    whose: Indices
    places: Array
    masses: Array

    def kept(self, dust: float = -1.0) -> Indices:
        """Parts, atom by atom, the largest first: one for each place, of more than a share `dust` of their atom."""
        order = np.lexsort((-self.masses, self.whose))
        first = np.flatnonzero(np.diff(self.whose[order], prepend=-1))
        keep = np.ones(len(order), dtype=bool)
        for a, b in zip(first, np.append(first[1:], len(order)), strict=True):
            for g in range(a + 1, b):
                near = any(keep[k] and _near(self.places[order[k]], self.places[order[g]]) for k in range(a, g))
                keep[g] = not near and self.masses[order[g]] > dust * self.masses[order[a]]
        return np.asarray(order[keep])

    def merged(self, keep: Indices) -> "Parts":
        """Those parts, with the masses of the others at their atom's nearest."""
        masses = self.masses[keep]
        for g in np.setdiff1d(np.arange(len(self.whose)), keep):
            own = np.flatnonzero(self.whose[keep] == self.whose[g])
            masses[own[np.argmin(np.abs(self.places[keep[own]] - self.places[g]).max(axis=1))]] += self.masses[g]
        return Parts(self.p, self.whose[keep], self.places[keep], masses)


def _near(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max() <= _SAME * max(1.0, float(np.abs(a).max())))


def parted(movement: Movement, climbed: Climbed) -> Parts:
    """Parts of the mixture that a climb left."""
    if len(climbed.couplings) == 1:
        return _whole(movement, climbed.best)
    f = sum(share * one.prediction for share, one in zip(climbed.shares, climbed.couplings, strict=True))
    return vertex(movement, _parts(movement, climbed.couplings, climbed.shares, f - movement.targets))


def _whole(movement: Movement, here: Reached) -> Parts:
    mu = movement.start.weights
    return Parts(here.p, np.arange(len(mu)), here.coupling.places, mu)


def _parts(movement: Movement, couplings: Sequence[Coupling], shares: Array, p: Array) -> Parts:
    """The parts of a mixture: a place of another coupling is one only where it lies in another valley."""
    mu, atoms = movement.start.weights, np.arange(len(movement.start.weights))
    order = np.argsort(-shares)
    main = couplings[order[0]].places
    way = np.linalg.norm(main - movement.start.points, axis=1)
    whose, places, masses = [atoms], [main], [mu.copy()]
    for k in order[1:]:
        apart = np.linalg.norm(couplings[k].places - main, axis=1)
        those = np.flatnonzero(apart > _VALLEY * way + _SAME)
        masses[0][those] -= shares[k] * mu[those]
        whose.append(those)
        places.append(couplings[k].places[those])
        masses.append(shares[k] * mu[those])
    return at_minima(movement, Parts(p, np.concatenate(whose), np.concatenate(places), np.concatenate(masses)))[0]


def at_minima(movement: Movement, parts: Parts) -> tuple[Parts, Minima]:
    """With places at the local minima for its p, and what is known of them."""
    q, origins = movement.omega * parts.p, movement.start.points
    found = settled(movement, q, parts.places, origins[parts.whose])
    there = replace(parts, places=found.places)
    keep = there.kept()
    return there.merged(keep), Minima(found.places[keep], found.values[keep], found.inverse[keep])


def vertex(movement: Movement, parts: Parts) -> Parts:
    """The same f at no higher price with at most n atoms split: a vertex, by the simplex method."""
    split = np.flatnonzero(np.bincount(parts.whose)[parts.whose] > 1)
    rows, which = np.unique(parts.whose[split], return_inverse=True)
    if len(rows) <= len(movement.targets):
        return parts
    origins = movement.start.points[parts.whose[split]]
    values = movement.field(movement.omega * parts.p, parts.places[split], 0)
    values = values + movement.ways(parts.places[split], origins)
    scale = movement.start.weights[parts.whose[split]]
    features = movement.neuron.value(movement.risk.data.inputs, parts.places[split]) * scale / scale.mean()
    whole = (np.arange(len(rows))[:, None] == which[None, :]).astype(float)
    share = parts.masses[split] / scale
    found = linprog(
        values * scale / scale.mean(),
        A_eq=np.vstack([features, whole]),
        b_eq=np.concatenate([features @ share, whole @ share]),
        method="highs-ds",
    )
    if found.x is None:
        return parts
    masses = parts.masses.copy()
    masses[split] = found.x * scale
    parts = replace(parts, masses=masses)
    return parts.merged(parts.kept(DUST))


def beside(parts: Parts) -> tuple[Indices, Indices]:
    """Parts that are not their atom's first, and for each of them that first one (parts are sorted by atom)."""
    first = np.flatnonzero(np.diff(parts.whose, prepend=-1))
    home = first[np.cumsum(np.diff(parts.whose, prepend=-1) != 0) - 1]
    beside = np.flatnonzero(home != np.arange(len(home)))
    return beside, home[beside]
