"""This file owns Newton's method for the semi-discrete dual where regions without mass part the density.

Between two regions the second derivative of Phi says next to nothing: no wall with mass may lie there, and yet, as the
potentials of one region rise against the other's, one atom after the other goes over. Phi's slope along such a rise is
a staircase. Newton's matrix knows the stair it stands on; what says how far to go is the stairs' mean slope. So walls
are counted as if they held `stiffness` times the uniform law more,

    w_ij = int over the wall of (rho + stiffness/|box|) ds / (2 |x_i - x_j|),

and the stiffness follows what steps have met. Along d the slope of Phi falls from 1 to s, shares of what it is at the
start; had all of it been stiffness, a stiffness 1 - s times as large would have ended at 0. Where the masses came out
as their derivative said, there are no stairs any more, and it is let go.

Phi alone judges: a step is taken if Phi does not fall. The matrix being positive, a stiff enough one is. Whoever is in
want after it is fed (wflow.raised), which raises Phi too, as no cell is given more than its mass.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.laguerre import Cells
from wflow.laguerre_dual import FAINT, Dual, solved
from wflow.raised import amiss, raised

_TRIES = 12
_SWEEPS, _GLUT = 3, 2.5
_LINEAR, _LET_GO = 0.1, 0.1
_LEAST, _MOST = 0.3, 3.0
_STIFFER, _STIFFEST, _ANEW = 3.0, 30.0, 1e-6
_ROUNDING = 1e-15
_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Climbed:
    """Where steps have led: g (m,), its cells, their number, whether the end is reached, the first step's stiffness."""

    g: Array
    found: Cells
    steps: int
    done: bool
    stiffness: float


def climbed(dual: Dual, g: Array, found: Cells, tolerance: float, stiffness: float, limit: int) -> Climbed:
    """Potentials whose cells `found` are off by at most `tolerance` in sum, each holding half of mu_i at least.

    Begun at g, and with that stiffness; at most `limit` steps. Not done where no step is found that raises Phi.
    """
    g, found = raised(dual, g, found, _SWEEPS, _GLUT)
    first = stiffness
    for count in range(limit):
        if there(dual, found, tolerance):
            return Climbed(g, found, count, True, first)
        stepped = _step(dual, g, found, stiffness)
        if stepped is None:
            return Climbed(g, found, count, False, first)
        g, found, used, stiffness = stepped
        first = used if count == 0 else first
    return Climbed(g, found, limit, there(dual, found, tolerance), first)


def there(dual: Dual, found: Cells, tolerance: float) -> bool:
    """The residual is within the tolerance, and each cell holds half of its mass at least."""
    return bool(np.abs(dual.mu - found.mass).sum() <= tolerance and np.all(found.mass >= _HALF * dual.mu))


def _step(dual: Dual, g: Array, found: Cells, stiffness: float) -> tuple[Array, Cells, float, float] | None:
    """A step that does not lower Phi, fed: potentials, cells, the stiffness it took, and that for the next one."""
    left = dual.mu - found.mass
    before = dual.value(g, found)
    rounding = _ROUNDING * (float(found.cost.sum()) + float(dual.mu @ np.abs(g)))
    for _ in range(_TRIES):
        try:
            way, expected = _way(dual, found, stiffness)
        except RuntimeError:  # of an atom that the hull cannot tell from its neighbour
            return None
        tried = g + way
        bare = dual.cells(tried, found)
        slope = float((dual.mu - bare.mass) @ way) / float(left @ way)
        if dual.value(tried, bare) >= before - rounding:
            off = float(np.abs(dual.mu - bare.mass - expected).sum() / np.abs(left).sum())
            change = _LET_GO if off < _LINEAR else float(np.clip(1.0 - slope, _LEAST, _MOST))
            end, fed = raised(dual, tried, bare, _SWEEPS, _GLUT) if len(amiss(dual, bare, _GLUT)) else (tried, bare)
            return end, fed, stiffness, max(change * stiffness, FAINT)
        stiffness = max(float(np.clip(1.0 - slope, _STIFFER, _STIFFEST)) * stiffness, _ANEW)
    return None


def _way(dual: Dual, found: Cells, stiffness: float) -> tuple[Array, Array]:
    """The direction (m,), of median 0, and mu - rho(L) (m,) after it where masses are linear. Who has no wall stays."""
    i, j = found.pairs.T
    m, left = len(dual.mu), dual.mu - found.mass
    true = found.along / (2.0 * found.apart)
    way = solved(found.pairs, true + stiffness * found.length / (2.0 * found.apart), left)
    walled = np.zeros(m, dtype=bool)
    walled[found.pairs] = True
    way[walled] -= np.median(way[walled])
    flow = true * (way[i] - way[j])
    return way, left - np.bincount(i, flow, m) + np.bincount(j, flow, m)
