"""This file owns the maximum of the semi-discrete dual, from far away: potentials whose Laguerre cells hold mu.

Newton's method in two manners. Shortened so that no cell loses its mass and the residual falls by half of what the
step's length promises (Kitagawa, Merigot & Thibert, algorithm 1: it converges). Or, for many atoms, as long as it
gains: who is left in want is fed (wflow.raised), and a step is taken where the residual falls by a tenth of its length.
No theorem covers the second; where it ends, the first goes on. The answer is judged by its residual alone.
Where rho vanishes it is mixed with the uniform law, by less and less. Where the start is far from the answer many atoms
begin from clusters of them (wflow.atom_clusters), few from rho blurred, by less and less.
Source: Kitagawa, Merigot & Thibert 2019, J. Eur. Math. Soc. 21, 2603-2651; Merigot 2011, Comput. Graph. Forum 30,
1583-1592 (clusters).
"""

import math
from collections.abc import Sequence

import numpy as np

from wflow.arrays import Array
from wflow.atom_clusters import Level, carried, levels
from wflow.errors import NotConverged
from wflow.laguerre import Cells
from wflow.laguerre_dual import FAINT, Dual, direction, mixed, start
from wflow.raised import raised

_LIMIT = 200
_PATIENCE = 50
"""Steps, where another way is left."""
_HALVINGS = 20
_TRIES = 6
_LENGTHS, _GAIN, _FEEDINGS = (1.0, 0.5), 0.1, 6
_FAINTEST, _FAINTER, _STIFFER = 1e-3, 100.0, 30.0
_ROUGH = 1e-2
_CROWD = 0.05
"""Of the mass: where a step puts more than that in want it is too long for feeding to mend."""
_LONGER = 4.0
"""Than the step before, at most."""
_KEPT = 0.1
"""Of min(its mass, mu_i) a step must leave each cell this much."""
_HALF = 0.5
_EMPTY = 1e-3
_LESS, _MORE, _ANEW, _ROUNDING = 0.5, 10.0, 1e-6, 1e-6
_NARROWEST, _SHARE, _PARTS = 0.3, 0.01, (0.5, 0.25, 0.12, 0.06, 0.03)


def ascent(dual: Dual, tolerance: float) -> tuple[Array, Cells, int]:
    """Newton's method: potentials, their cells, and the number of steps with all atoms.

    Begun from `start` where that is near. Else many atoms begin from what clusters of them have led to, and end by
    steps that feed; where that is not possible, or does not lead to the end, it is begun from blurred densities.
    """
    coarse = levels(dual)
    # where the clusters' start is far from their answer, that of all atoms is
    if not coarse or _started(coarse[-1].dual) is not None:
        near = _started(dual)
        if near is not None:
            g, found, count, done = _mixing_less(dual, *raised(dual, *near), tolerance)
            return _ended(dual, g, found, count, done)
    if coarse:
        g, found, count, done = _feeding(dual, *_from_clusters(dual, coarse), tolerance)
        if not done and float(np.abs(dual.mu - found.mass).sum()) <= _KEPT:
            g, found, count, done = _mixing_less(dual, g, found, tolerance, _PATIENCE)
        if done:
            return g, found, count
    g, before = _blurred(dual)
    g, found, count, done = _mixing_less(dual, *raised(dual, g, dual.cells(g)), tolerance)
    return _ended(dual, g, found, before + count, done)


def _started(dual: Dual) -> tuple[Array, Cells] | None:
    """`start` and its cells, if they are near the answer."""
    g = start(dual)
    found = dual.cells(g)
    return (g, found) if _near(dual.mu, found.mass) else None


def _ended(dual: Dual, g: Array, found: Cells, count: int, done: bool) -> tuple[Array, Cells, int]:
    """The answer; or NotConverged, with its bound, where Newton's method has ended above the tolerance."""
    if done:
        return g, found, count
    residual = float(np.abs(dual.mu - found.mass).sum())
    raise NotConverged(
        f"semidiscrete: after {count} steps of Newton's method the cells' masses are off by {residual:.3g} in sum, so "
        f"that Phi(g) is below W2^2 by up to {dual.slack(g, residual):.3g}; raise `tolerance`, or merge atoms that "
        "nearly coincide",
        residual,
    )


def _from_clusters(dual: Dual, coarse: Sequence[Level]) -> tuple[Array, Cells]:
    """Potentials (m,) that clusters of the atoms have led to, ever finer ones, each only roughly solved; fed; cells."""
    g, _ = _blurred(coarse[-1].dual)
    g, found = raised(coarse[-1].dual, g, coarse[-1].dual.cells(g))
    for level, finer in zip(coarse[::-1], [*(one.dual for one in coarse[-2::-1]), dual], strict=True):
        g, found, _, done = _feeding(level.dual, g, found, _ROUGH)
        if not done:
            g, found, _, _ = _mixing_less(level.dual, g, found, _ROUGH, _PATIENCE)
        g = carried(level, g, found, finer)
        g, found = raised(finer, g, finer.cells(g))
    return g, found


def _blurred(dual: Dual) -> tuple[Array, int]:
    """Potentials near the answer, and the number of steps.

    Begun from `start` for rho blurred as little as it takes for that to be near, and thence by halves of the blur.
    """
    least = _NARROWEST * float(np.min(dual.grid.widths))
    widths = float(np.max(dual.grid.domain.lengths)) / 4.0 ** np.arange(1.0, 20.0, 0.5)
    ladder = [dual, *(dual.blurred(width) for width in widths[widths > least][::-1])]
    g, first = _first(ladder)
    before = 0
    last = [dual.blended(ladder[1], part) for part in _PARTS] if first else []
    for blurred in ladder[first:0:-1] + last:
        g, count = _settle(blurred, g)
        before += count
    return g, before


def _first(ladder: Sequence[Dual]) -> tuple[Array, int]:
    """The start for the first density to which it is near, or for that to which it is nearest."""
    best, chosen = math.inf, (np.empty(0), 0)
    for k, dual in enumerate(ladder):
        g = start(dual)
        mass = dual.cells(g).mass
        residual = float(np.abs(mass - dual.mu).sum())
        if _near(dual.mu, mass):
            return g, k
        if residual < best:
            best, chosen = residual, (g, k)
    return chosen


def _settle(dual: Dual, g: Array) -> tuple[Array, int]:
    """Potentials whose cells hold about mu of rho and some of the uniform law, as far as steps go; and their number."""
    found, length = dual.cells(g), 1.0
    for count in range(_LIMIT):
        if _settled(dual.mu, mixed(found, _SHARE)):
            return g, count
        stepped = _step(dual, g, found, _SHARE, min(1.0, _LONGER * length))
        if stepped is None:
            return g, count
        g, found, length = stepped
    return g, _LIMIT


def _feeding(dual: Dual, g: Array, found: Cells, tolerance: float) -> tuple[Array, Cells, int, bool]:
    """Newton's method, cells that a step empties being fed; potentials, cells, steps, and whether it has come there."""
    faint = _FAINTEST
    for count in range(_LIMIT):
        if _there(dual, found, tolerance):
            return g, found, count, True
        fed = _fed(dual, g, found, faint)
        if fed is None:
            return g, found, count, False
        g, found, faint = fed
    return g, found, _LIMIT, False


def _mixing_less(
    dual: Dual, g: Array, found: Cells, tolerance: float, limit: int = _LIMIT
) -> tuple[Array, Cells, int, bool]:
    """Newton's method with some of the uniform law, and less and less of it; the same as `_feeding` gives."""
    share = _mixing(found, dual.mu, _SHARE)
    for count in range(limit):
        if _there(dual, found, tolerance):
            return g, found, count, True
        if share > 0.0 and _settled(dual.mu, mixed(found, share)):
            share = _mixing(found, dual.mu, _LESS * share)
        stepped = _step(dual, g, found, share)
        if stepped is not None:
            g, found, _ = stepped
        elif float(np.abs(dual.mu - found.mass).sum()) > _ROUNDING and share < _SHARE:
            share = max(_MORE * share, _ANEW)
        else:
            return g, found, count, False
    return g, found, limit, False


def _there(dual: Dual, found: Cells, tolerance: float) -> bool:
    """The residual is within the tolerance, and each cell holds half of its mass at least."""
    return bool(np.abs(dual.mu - found.mass).sum() <= tolerance and np.all(found.mass >= _HALF * dual.mu))


def _fed(dual: Dual, g: Array, found: Cells, faint: float) -> tuple[Array, Cells, float] | None:
    """A step of Newton's method, whoever is in want after it being fed; or None where none makes the residual fall.

    faint: how much of the uniform law the matrix counts with, least where the last step was good. Between regions that
    share no wall with mass it alone says how far a difference goes: more of it makes that shorter.
    """
    residual = float(np.abs(dual.mu - found.mass).sum())
    for _ in range(_TRIES):
        try:
            way = direction(dual, found, 0.0, faint)
        except RuntimeError:  # of an atom that the hull cannot tell from its neighbour
            return None
        for length in _LENGTHS:
            tried = g + length * way
            bare = dual.cells(tried, found)
            if float(dual.mu[bare.mass < _EMPTY * dual.mu].sum()) > _CROWD:
                continue
            there, left = raised(dual, tried, bare, _FEEDINGS)
            gained = float(np.abs(dual.mu - left.mass).sum()) / residual
            if gained <= 1.0 - _GAIN * length and np.all(left.mass >= _EMPTY * dual.mu):
                return there, left, max(faint / _FAINTER, FAINT) if length == 1.0 else faint
        faint = max(_STIFFER * faint, _ANEW)
        if faint > 1.0:
            return None
    return None


def _near(mu: Array, mass: Array) -> bool:
    """Newton's method has not far to go: of most atoms the cells hold something, and half of the mass is in place."""
    return float(mu[mass < _EMPTY * mu].sum()) <= _KEPT and float(np.abs(mass - mu).sum()) <= 1.0


def _settled(mu: Array, mass: Array) -> bool:
    """The masses of a mixture are near enough to mu for the next one."""
    return bool(np.all(mass >= _HALF * mu)) and float(np.abs(mass - mu).sum()) <= _KEPT


def _mixing(found: Cells, mu: Array, most: float) -> float:
    """The least share of the uniform law, of 0 and some up to `most`, from which Newton's method has not far to go."""
    for share in most * np.concatenate([[0.0], 10.0 ** np.arange(-8.0, 0.0, 0.25)]):
        mass = mixed(found, share)
        if np.all(mass >= _EMPTY * mu) and np.abs(mass - mu).sum() <= 1.0:
            return float(share)
    return most


def _step(dual: Dual, g: Array, found: Cells, share: float, length: float = 1.0) -> tuple[Array, Cells, float] | None:
    """One step of Newton's method, halved until each cell keeps a part of its mass and the residual falls; or None.

    Its length is tried first and given back.
    """
    mass = mixed(found, share)
    residual = float(np.abs(dual.mu - mass).sum())
    least = _KEPT * np.minimum(mass, dual.mu)
    try:
        way = direction(dual, found, share)
    except RuntimeError:  # of an atom that the hull cannot tell from its neighbour
        return None
    for _ in range(_HALVINGS):
        tried = dual.cells(g + length * way, found)
        left = mixed(tried, share)
        if np.all(left >= least) and np.abs(dual.mu - left).sum() <= (1.0 - 0.5 * length) * residual:
            return g + length * way, tried, length
        length *= 0.5
    return None
