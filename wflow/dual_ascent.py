"""This file owns the maximum of the semi-discrete dual, from far away: potentials whose Laguerre cells hold mu.

Where `start` is near, Newton's method with steps shortened so that no cell loses its mass and the residual falls by
half of what the step's length promises (Kitagawa, Merigot & Thibert, algorithm 1: it converges). Where it is far, or
these end above the tolerance: many atoms begin from clusters of them (wflow.atom_clusters), few from rho blurred, by
less and less; and go on by Newton's method with a matrix that knows of gaps (wflow.stiff_newton), each step judged by
Phi. The answer is judged by its residual alone.
Source: Kitagawa, Merigot & Thibert 2019, J. Eur. Math. Soc. 21, 2603-2651; Merigot 2011, Comput. Graph. Forum 30,
1583-1592 (clusters).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from wflow.arrays import Array
from wflow.atom_clusters import Level, carried, levels
from wflow.errors import NotConverged
from wflow.laguerre import Cells
from wflow.laguerre_dual import Dual, direction, mixed, start
from wflow.product_start import product_start
from wflow.raised import raised
from wflow.regions import regions
from wflow.stiff_newton import STAIRS, Climbed, climbed, there

_LIMIT = 200
_HALVINGS = 20
_FEW = 12
_SHORTEST = 0.1
"""With shorter steps, and more of them with a few clusters, Newton's method does not lead to the end soon."""
_STIFFEST = 100.0
"""With which finer atoms begin."""
_ROUGH = 1e-4
_LONGER = 4.0
"""Than the step before, at most."""
_KEPT = 0.1
"""Of min(its mass, mu_i) a step must leave each cell this much."""
_HALF = 0.5
_EMPTY = 1e-3
_LESS, _MORE, _ANEW, _ROUNDING = 0.5, 10.0, 1e-6, 1e-6
_NARROWEST, _SHARE, _PARTS = 0.3, 0.01, (0.5, 0.25, 0.12, 0.06, 0.03)


Starts = tuple[Callable[[Dual], Array], ...]
STARTS: Starts = (start, product_start)


def ascent(dual: Dual, tolerance: float) -> tuple[Cells, int]:
    """Newton's method: the cells, and the number of steps with all atoms.

    Begun from a start where that is near. Else many atoms begin from what clusters of them have led to; few, and where
    that does not lead to the end, from blurred densities.
    """
    coarse = levels(dual)
    # as with the coarsest clusters so with all atoms, but across a gap
    starts = STARTS if not coarse else () if _parted(dual) else _led(coarse[-1].dual)
    if starts:
        near = _started(dual, starts)
        if near is not None:
            found, count, done = _mixing_less(dual, raised(dual, *near)[1], tolerance, shortest=_SHORTEST)
            if done:
                return found, count
    if coarse:
        led = _from_clusters(dual, coarse, tolerance)
        if led.done:
            return led.found, led.steps
    g, before = _blurred(dual)
    led = climbed(dual, g, dual.cells(g), tolerance, STAIRS, _LIMIT)
    return _ended(dual, led.found, before + led.steps, led.done)


def _parted(dual: Dual) -> bool:
    """The density has several regions."""
    return len(regions(dual, np.empty((0, 2)))[1]) > 2


def _led(dual: Dual) -> Starts:
    """The one start from which Newton's method leads these few to the end, if one is near and does."""
    for begun in STARTS:
        near = _started(dual, (begun,))
        if near is not None and _mixing_less(dual, raised(dual, *near)[1], _ROUGH, _FEW, _SHORTEST)[2]:
            return (begun,)
    return ()


def _started(dual: Dual, starts: Starts = STARTS) -> tuple[Array, Cells] | None:
    """The best start and its cells, if they are near the answer."""
    g, found = _nearest(dual, starts)
    return (g, found) if _near(dual.mu, found.mass) else None


def _nearest(dual: Dual, starts: Starts = STARTS) -> tuple[Array, Cells]:
    """The start whose cells are least off, and these."""
    every = [(g, dual.cells(g)) for g in (begun(dual) for begun in starts)]
    return min(every, key=lambda one: float(np.abs(one[1].mass - dual.mu).sum()))


def _ended(dual: Dual, found: Cells, count: int, done: bool) -> tuple[Cells, int]:
    """The answer; or NotConverged, with its bound, where Newton's method has ended above the tolerance."""
    if done:
        return found, count
    residual = float(np.abs(dual.mu - found.mass).sum())
    slack = dual.based(found.phi).slack(np.zeros_like(dual.mu), residual)
    raise NotConverged(
        f"semidiscrete: after {count} steps of Newton's method the cells' masses are off by {residual:.3g} in sum, so "
        f"that Phi(g) is below W2^2 by up to {slack:.3g}; raise `tolerance`, or blur the density where "
        "emptiness parts it",
        residual,
    )


def _from_clusters(dual: Dual, coarse: Sequence[Level], tolerance: float) -> Climbed:
    """Where clusters of the atoms lead to, ever finer ones, and at last the atoms themselves."""
    g, _ = _blurred(coarse[-1].dual)
    found, stiffness = coarse[-1].dual.cells(g), STAIRS
    for level, finer in zip(coarse[::-1], [*(one.dual for one in coarse[-2::-1]), dual], strict=True):
        # so many steps cost one with all atoms
        patience = len(dual.mu) // len(level.dual.mu)
        led = climbed(level.dual, g, found, _ROUGH, stiffness, _LIMIT, patience)
        g = carried(level, led.found, finer)
        found, stiffness = finer.cells(g), min(led.stiffness, _STIFFEST)
    return climbed(dual, g, found, tolerance, stiffness, _LIMIT)


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
        g, found = _nearest(dual)
        mass = found.mass
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


def _mixing_less(
    dual: Dual, found: Cells, tolerance: float, limit: int = _LIMIT, shortest: float = 0.0
) -> tuple[Cells, int, bool]:
    """Newton's method with some of the uniform law, and less and less of it.

    The cells, the number of steps, and whether they have come to the tolerance.
    """
    share, moved = _mixing(found, dual.mu, _SHARE), True
    for count in range(limit):
        if there(dual, found, tolerance):
            return found, count, True
        # a share that was raised since no step is found with less of it stays until one is
        if moved and share > 0.0 and _settled(dual.mu, mixed(found, share)):
            share = _mixing(found, dual.mu, _LESS * share)
        # counted from where it stands, the next step is as exact as it is small
        stepped = _step(dual.based(found.phi), np.zeros_like(dual.mu), found, share)
        moved = stepped is not None
        if stepped is not None:
            _, found, length = stepped
            if length < shortest:
                return found, count, False
        elif float(np.abs(dual.mu - found.mass).sum()) > _ROUNDING and share < _SHARE:
            share = max(_MORE * share, _ANEW)
        else:
            return found, count, False
    return found, limit, False


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
