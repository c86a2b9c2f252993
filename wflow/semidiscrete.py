"""This file owns exact W2 between atoms and a piecewise constant density on two axes: semi-discrete transport.

With atoms x_i of masses mu_i and rho constant on the cells of a grid, W2^2 is the maximum of the concave

    Phi(g) = sum_i mu_i g_i + int min_i (|z - x_i|^2 - g_i) rho(z) dz        (wflow.laguerre_dual),

by Newton's method, shortened so that no cell loses its mass. Where rho vanishes it is mixed with the uniform law, by
less and less; where the start is far from the answer it is blurred first, by less and less; and where cells are empty
in the end their potentials are raised one by one (wflow.raised).
Source: Kitagawa, Merigot & Thibert 2019, J. Eur. Math. Soc. 21, 2603-2651 (algorithm 1); Aurenhammer, Hoffmann &
Aronov 1998, Algorithmica 20, 61-76 (the dual).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.domain import Box
from wflow.errors import NotConverged, Refused
from wflow.grid import Grid
from wflow.laguerre import Cells
from wflow.laguerre_dual import Dual, direction, mixed, start
from wflow.measure import Density, Particles
from wflow.raised import raised

TOLERANCE = 1e-8
_LIMIT = 200
_HALVINGS = 20
_LONGER = 4.0
"""Than the step before, at most."""
_KEPT = 0.1
"""Of min(its mass, mu_i) a step must leave each cell this much."""
_HALF = 0.5
_EMPTY = 1e-3
_LESS, _MORE, _ANEW, _ROUNDING = 0.5, 10.0, 1e-6, 1e-6
_NARROWEST, _SHARE, _PARTS = 0.3, 0.01, (0.5, 0.25, 0.12, 0.06, 0.03)


@dataclass(frozen=True, eq=False)
class SemiDiscrete:
    """The optimal transport between m atoms and a density, to `residual`.

    squared: Phi(g), with Phi(g) <= W2^2 <= Phi(g) + slack. g (m,): the potentials, of mean 0 in mu. masses (m,) and
    barycentres (m, 2): what each atom's cell holds of the density, and its middle, from where atom i is supplied.
    residual: sum_i |mu_i - masses_i|. newton: the steps taken.
    """

    squared: float
    slack: float
    g: Array
    masses: Array
    barycentres: Array
    residual: float
    newton: int


def semidiscrete(particles: Particles, density: Density, *, tolerance: float = TOLERANCE) -> SemiDiscrete:
    """Optimal transport between atoms and a density that is constant on each cell of its grid of two axes.

    Coincident atoms are one, and share its cell by their masses; atoms without mass have g = -inf and no barycentre
    (nan). Atoms may lie beyond the grid's walls; along periodic axes all distances go the short way, and the barycentre
    is that of the cell next to its atom.
    Raises Refused for other domains, NotConverged where sum_i |mu_i - rho(L_i)| stays above `tolerance`.
    """
    _admit(particles, density)
    places, group = np.unique(density.domain.wrap(particles.points), axis=0, return_inverse=True)
    mass = np.bincount(group, particles.weights, len(places))
    held = mass > 0.0
    dual, here, there = _centred(places[held], mass[held] / mass.sum(), density)
    g, found, count = _ascent(dual, tolerance)
    residual = float(np.abs(dual.mu - found.mass).sum())
    potential = g - 2.0 * dual.x @ (there - here)
    index = np.where(held, np.cumsum(held) - 1, -1)[group]
    share = np.where(held[group], particles.weights / np.where(held, mass, 1.0)[group], 0.0)
    return SemiDiscrete(
        dual.value(g, found) + float(np.sum((there - here) ** 2)),
        dual.slack(residual),
        np.append(potential - dual.mu @ potential, -np.inf)[index],
        share * np.append(found.mass, 0.0)[index],
        np.vstack([density.domain.wrap(found.moment / found.mass[:, None] + there), [np.nan, np.nan]])[index],
        residual,
        count,
    )


def _admit(particles: Particles, density: Density) -> None:
    """Raise Refused unless both live on the same two axes, none of them frozen."""
    for name, domain in (("particles", particles.domain), ("density", density.domain)):
        if domain.dim != 2:
            raise Refused(
                f"semidiscrete: the {name} have {domain.dim} axes; the cells are polygons of the plane, use w2"
            )
        if any(domain.frozen):
            raise Refused(f"semidiscrete: an axis of the {name} is frozen ({domain}); mass moves along both, use w2")
    one, other = particles.domain, density.domain
    turns = np.asarray(one.periodic)
    if one.periodic != other.periodic or not np.allclose(one.lengths[turns], other.lengths[turns], rtol=1e-12):
        raise Refused(f"semidiscrete: the particles live on {one}, the density on {other}; give both the same turns")


def _centred(x: Array, mu: Array, density: Density) -> tuple[Dual, Array, Array]:
    """The problem with both means at 0, the atoms' mean and the density's; W2^2 falls by their squared distance.

    Cells are then as exact as the distances of the atoms, however far away and close together these are. Periodic axes
    have no mean: there nothing moves.
    """
    grid, turns = density.grid, density.domain.periodic
    here, there = (np.where(turns, 0.0, mean) for mean in (mu @ x, density.weights @ grid.centres / density.mass))
    lower, upper = (np.asarray(side) - there for side in (grid.domain.lower, grid.domain.upper))
    moved = Grid(Box(tuple(lower.tolist()), tuple(upper.tolist()), turns), grid.shape)
    rho = np.ascontiguousarray(density.values.reshape(grid.shape) / density.mass)
    return Dual(x - here, mu, rho, moved), here, there


def _ascent(dual: Dual, tolerance: float) -> tuple[Array, Cells, int]:
    """Newton's method: potentials, their cells, and the number of steps.

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
    return _finish(dual, g, tolerance, before)


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


def _finish(dual: Dual, g: Array, tolerance: float, before: int) -> tuple[Array, Cells, int]:
    """Newton's method to the tolerance, with less and less of the uniform law; steps are counted from `before`."""
    g, found = raised(dual.x, dual.mu, g, dual.rho, dual.grid)
    share = _mixing(found, dual.mu, _SHARE)
    for count in range(before, before + _LIMIT):
        residual = float(np.abs(dual.mu - found.mass).sum())
        if residual <= tolerance and np.all(found.mass >= _HALF * dual.mu):
            return g, found, count
        if share > 0.0 and _settled(dual.mu, mixed(found, share)):
            share = _mixing(found, dual.mu, _LESS * share)
        stepped = _step(dual, g, found, share)
        if stepped is not None:
            g, found, _ = stepped
        elif residual > _ROUNDING and share < _SHARE:
            share = max(_MORE * share, _ANEW)
        else:
            break
    raise _stopped(dual, found, count)


def _stopped(dual: Dual, found: Cells, count: int) -> NotConverged:
    """What is said where Newton's method ends above the tolerance."""
    residual = float(np.abs(dual.mu - found.mass).sum())
    below = f"by up to {dual.slack(residual):.3g}" if found.area.all() else "by an unknown amount, a cell being empty"
    return NotConverged(
        f"semidiscrete: after {count} steps of Newton's method the cells' masses are off by {residual:.3g} in sum, so "
        f"that Phi(g) is below W2^2 {below}; raise `tolerance`, or merge atoms that nearly coincide",
        residual,
    )


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
        tried = dual.cells(g + length * way)
        left = mixed(tried, share)
        if np.all(left >= least) and np.abs(dual.mu - left).sum() <= (1.0 - 0.5 * length) * residual:
            return g + length * way, tried, length
        length *= 0.5
    return None
