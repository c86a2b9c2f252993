"""This file owns Newton's method for the semi-discrete dual where regions without mass part the density.

Between two regions the second derivative of Phi says next to nothing: no wall with mass may lie there, and yet, as the
potentials of one region rise against the other's, one atom after the other goes over. Phi's slope along such a rise is
a staircase. Newton's matrix knows the stair it stands on; what says how far to go is the stairs' mean slope. Where the
map jumps by j, potentials g apart by t more move the kink by t/(2 j), over atoms of some density m'. A wall between two
atoms whose cells have their middles b far apart stands for a piece of the kink as long as half of their distance, so

    w_ij = int over the wall of rho ds / (2 |x_i - x_j|) + stiffness mu / (4 |x_i - x_j| |b_i - b_j|),

the last for walls across a gap only; and of all walls as if they held a little of the uniform law, `stiffness` times.

Who goes over at a leap meets prices there that are not its own: some take what a hundred others should hold. They are
brought down, the others raised (wflow.raised), and only then Phi judges: a step is taken if Phi has not fallen. If it
has, the step is shortened to where the slope of Phi would be 0; if that is no remedy the stiffness grows, and with it
all walls: the matrix being positive, a stiff enough one is taken. Along d the slope of Phi falls from 1 to s, shares of
what it is at the start; had all of it been stiffness, one 1 - s times as large would have ended at 0. Where the masses
came out as their derivative said, there are no stairs any more, and it is let go.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.laguerre import Cells
from wflow.laguerre_dual import FAINT, Dual, together, walled
from wflow.raised import amiss, lowered, raised

_TRIES, _LENGTHS = 12, 3
_SWEEPS, _GLUT = 3, 2.5
_FEW = 0.05
"""Of the atoms: where more are amiss after a step, it was too long to be mended one by one."""
_LINEAR, _LET_GO = 0.1, 0.1
_LEAST, _MOST = 0.3, 2.0
_SHORTEST, _WILD = 0.1, 20.0
STAIRS = 5.0
"""The stiffness to begin with."""
_STIFFER, _STIFFEST, _ANEW = 3.0, 30.0, 1.0
_REACH, _HELD, _UNIFORM = 8.0, 1e-3, 2e-3
"""Middles further apart than so many sizes are on two sides of a gap; of less than that share no middle is known."""
_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Climbed:
    """Where steps have led: cells, the steps' number, whether the end is reached, the first step's stiffness."""

    found: Cells
    steps: int
    done: bool
    stiffness: float


def climbed(
    dual: Dual, g: Array, found: Cells, tolerance: float, stiffness: float, limit: int, patience: int = 0
) -> Climbed:
    """Potentials whose cells `found` are off by at most `tolerance` in sum, each holding half of mu_i at least.

    Begun at g, and with that stiffness; at most `limit` steps. Not done where no step is found that raises Phi, nor,
    with `patience`, where that many steps have not halved the residual.
    """
    g, found = raised(dual, g, found, _SWEEPS, _GLUT)
    first, off = stiffness, list[float]()
    for count in range(limit):
        if there(dual, found, tolerance):
            return Climbed(found, count, True, first)
        off.append(float(np.abs(dual.mu - found.mass).sum()))
        if 0 < patience <= count and off[-1] > _HALF * off[-1 - patience]:
            return Climbed(found, count, False, first)
        # counted from where it stands, the next step is as exact as it is small
        stepped = _step(dual.based(found.phi), np.zeros_like(g), found, stiffness)
        if stepped is None:
            return Climbed(found, count, False, first)
        _, found, used, stiffness = stepped
        first = used if count == 0 else first
    return Climbed(found, limit, there(dual, found, tolerance), first)


def there(dual: Dual, found: Cells, tolerance: float) -> bool:
    """The residual is within the tolerance, and each cell holds half of its mass at least."""
    return bool(np.abs(dual.mu - found.mass).sum() <= tolerance and np.all(found.mass >= _HALF * dual.mu))


def _step(dual: Dual, g: Array, found: Cells, stiffness: float) -> tuple[Array, Cells, float, float] | None:
    """A step that does not lower Phi, fed: potentials, cells, the stiffness it took, and that for the next one."""
    left = dual.mu - found.mass
    rounding = dual.rounding(g, found)
    for _ in range(_TRIES):
        try:
            way, expected = _way(dual, found, stiffness)
        except RuntimeError:  # of an atom that the hull cannot tell from its neighbour
            return None
        length = 1.0
        for _ in range(_LENGTHS):
            end, fed = _leapt(dual, g, g + length * way, found, -rounding)
            now = dual.mu - fed.mass
            rise = float(left @ (end - g))
            if not rise > 0.0:  # the direction is lost in the potentials' rounding
                return None
            slope = float(now @ (end - g)) / rise
            if slope >= 0.0 or dual.rise(g, found, end, fed) >= -rounding:
                if length < 1.0:
                    change = 1.0 / length
                else:
                    off = float(np.abs(now - expected).sum() / np.abs(left).sum())
                    change = _LET_GO if off < _LINEAR else float(np.clip(1.0 - slope, _LEAST, _MOST))
                stiffer = min(max(change * stiffness, FAINT), max(stiffness, STAIRS))
                return end, fed, stiffness, stiffer
            if not -_WILD < slope < 0.0:
                break
            length *= max(1.0 / (1.0 - slope), _SHORTEST)
        stiffness = max(float(np.clip(1.0 - slope, _STIFFER, _STIFFEST)) * stiffness, _ANEW)
    return None


def _leapt(dual: Dual, g: Array, end: Array, near: Cells, least: float) -> tuple[Array, Cells]:
    """Potentials `end` (m,) some way from g, whose cells are `near`, fed, and their cells.

    As they are where more than a few are amiss and Phi does not rise by `least`: feeding them all would take long.
    """
    found = dual.overlapping(end, near)
    if len(amiss(dual, found, _GLUT)) <= _FEW * len(g) or dual.rise(g, near, end, found) >= least:
        return lowered(dual, end, found, near, _SWEEPS, _GLUT)
    return end, found


def _way(dual: Dual, found: Cells, stiffness: float) -> tuple[Array, Array]:
    """The direction (m,), of median 0, and mu - rho(L) (m,) after it where masses are linear."""
    i, j = found.pairs.T
    m, left = len(dual.mu), dual.mu - found.mass
    true = found.along / (2.0 * found.apart)
    way = together(dual, found, true + stiffness * _stairs(dual, found), left)
    way -= np.median(way[walled(found)])
    flow = true * (way[i] - way[j])
    return way, left - np.bincount(i, flow, m) + np.bincount(j, flow, m)


def _stairs(dual: Dual, found: Cells) -> Array:
    """What a unit of stiffness adds to w (e,): the stairs' mean slope across gaps, and some of the uniform law.

    The size of a cell is the root of its variance. Of cells that hold next to nothing all walls are across a gap.
    """
    i, j = found.pairs.T
    held = found.mass > _HELD * dual.mu
    mass = np.where(held, found.mass, 1.0)
    b = found.moment / mass[:, None]
    size = found.size
    both = held[i] & held[j]
    far = np.where(both, np.hypot(*(b[i] - b[j]).T), float(np.hypot(*dual.grid.domain.lengths)))
    across = ~both | (far > _REACH * np.minimum(size[i], size[j]))
    mean = 0.5 * (dual.mu[i] + dual.mu[j]) / (4.0 * found.apart * np.where(across, far, 1.0))
    return np.where(across, mean, 0.0) + _UNIFORM * found.length / (2.0 * found.apart)
