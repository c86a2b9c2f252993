"""This file owns exact W2 between atoms and a piecewise constant density on two axes: semi-discrete transport.

With atoms x_i of masses mu_i and rho constant on the cells of a grid, W2^2 is the maximum of the concave

    Phi(g) = sum_i mu_i g_i + int min_i (|z - x_i|^2 - g_i) rho(z) dz,        dPhi/dg_i = mu_i - rho(L_i),

L_i the Laguerre cells of wflow.laguerre, d rho(L_i)/dg_j = -int_{L_i cap L_j} rho ds / (2 |x_i - x_j|). Newton's
method, shortened so that no cell loses its mass. Where rho vanishes it is mixed with the uniform law, by less and less,
and where the start is far from the answer it is blurred first, by less and less.
Source: Kitagawa, Merigot & Thibert 2019, J. Eur. Math. Soc. 21, 2603-2651 (algorithm 1); Aurenhammer, Hoffmann &
Aronov 1998, Algorithmica 20, 61-76 (the dual).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from wflow.arrays import Array
from wflow.domain import Box
from wflow.errors import NotConverged, Refused
from wflow.grid import Grid
from wflow.laguerre import Cells, cells
from wflow.measure import Density, Particles

TOLERANCE = 1e-8
_LIMIT = 200
_HALVINGS = 20
_KEPT = 0.1
"""Of min(its mass, mu_i) a step must leave each cell this much."""
_HALF = 0.5
_INSIDE = 0.999
_EMPTY = 1e-3
_LESS, _MORE, _ANEW, _ROUNDING = 0.5, 10.0, 1e-6, 1e-6
_NARROWEST, _SHARE, _PARTS = 0.3, 0.01, (0.5, 0.25, 0.12, 0.06, 0.03)
_FAINT = 1e-13
"""Of the uniform law in Newton's matrix, so that regions without mass do not divide it."""
_FLAT = 1e-10


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


@dataclass(frozen=True, eq=False)
class Dual:
    """Phi for atoms x (m, 2), apart from each other, of masses mu (m,) > 0, and rho (n0, n1) on a grid, of mass 1."""

    x: Array
    mu: Array
    rho: Array
    grid: Grid

    def cells(self, g: Array) -> Cells:
        """The Laguerre cells of g (m,)."""
        return cells(self.x, g, self.rho, self.grid)

    def blurred(self, sigma: float) -> "Dual":
        """The same with rho convolved with a Gaussian of standard deviation `sigma`, mirrored at the walls."""
        modes: list[Literal["wrap", "reflect"]] = ["wrap" if p else "reflect" for p in self.grid.domain.periodic]
        rho = gaussian_filter(self.rho, sigma / self.grid.widths, mode=modes, truncate=6.0)
        return Dual(self.x, self.mu, rho, self.grid)

    def blended(self, other: "Dual", part: float) -> "Dual":
        """The same with (1 - part) rho + part of the other's."""
        return Dual(self.x, self.mu, (1.0 - part) * self.rho + part * other.rho, self.grid)

    def value(self, g: Array, found: Cells) -> float:
        """Phi(g), with the cells of g."""
        return float(found.cost.sum() + (self.mu - found.mass) @ g)

    def slack(self, residual: float) -> float:
        """W2^2 - Phi(g) is at most this where sum_i |mu_i - rho(L_i)| = residual and each cell holds something."""
        domain = self.grid.domain
        middle = 0.5 * (np.asarray(domain.lower) + domain.upper)
        furthest = np.where(domain.periodic, 0.0, np.abs(self.x - middle)) + 0.5 * domain.lengths
        return residual * float(np.max(np.sum(furthest**2, axis=1)))


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


def start(dual: Dual) -> Array:
    """Potentials (m,) under which the cell of x_i contains S(x_i), S affine: none is empty.

    S takes the atoms' Gaussian to that of rho (mean and covariance, Bures), and is contracted about the mean until all
    atoms land in the box. |x_i|^2 - g_i is then the convex x_i.S x_i + 2 mean.x_i, the atoms' mean being 0. Along a
    periodic axis S stands still, and knows nothing of it along the other: there g says nothing.
    """
    grid, weights = dual.grid, dual.rho.ravel() * dual.grid.cell_volume
    walled = ~np.asarray(grid.domain.periodic)
    mean = weights @ grid.centres
    out, here = (grid.centres - mean) * walled, dual.x * walled
    target = (out.T * weights) @ out + np.diag(grid.widths**2) / 12.0
    source = (here.T * dual.mu) @ here
    stretch = _bures(source + _FLAT * np.trace(source) * np.eye(2), target) if here.any() else np.eye(2)
    landed = here @ stretch
    room = np.where(landed > 0.0, np.asarray(grid.domain.upper) - mean, mean - np.asarray(grid.domain.lower))
    stretch *= min(1.0, _INSIDE / max(float(np.max(np.abs(landed) / room)), _FLAT))
    return np.sum(here**2, axis=1) - np.sum(here @ stretch * here, axis=1) - 2.0 * here @ mean


def _bures(source: Array, target: Array) -> Array:
    """The symmetric positive S with S source S = target."""
    root = np.real(sqrtm(source))
    inverse = np.linalg.inv(root)
    return np.asarray(inverse @ np.real(sqrtm(root @ target @ root)) @ inverse)


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
    found = dual.cells(g)
    for count in range(_LIMIT):
        if _settled(dual.mu, _mixed(found, _SHARE)):
            return g, count
        stepped = _step(dual, g, found, _SHARE)
        if stepped is None:
            return g, count
        g, found = stepped
    return g, _LIMIT


def _finish(dual: Dual, g: Array, tolerance: float, before: int) -> tuple[Array, Cells, int]:
    """Newton's method to the tolerance, with less and less of the uniform law; steps are counted from `before`."""
    found = dual.cells(g)
    share = _mixing(found, dual.mu, _SHARE)
    for count in range(before, before + _LIMIT):
        residual = float(np.abs(dual.mu - found.mass).sum())
        if residual <= tolerance and np.all(found.mass >= _HALF * dual.mu):
            return g, found, count
        if share > 0.0 and _settled(dual.mu, _mixed(found, share)):
            share = _mixing(found, dual.mu, _LESS * share)
        stepped = _step(dual, g, found, share)
        if stepped is not None:
            g, found = stepped
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


def _mixed(found: Cells, share: float) -> Array:
    """Masses (m,) of (1 - share) rho + share/|box|."""
    return np.asarray((1.0 - share) * found.mass + share * found.area)


def _settled(mu: Array, mass: Array) -> bool:
    """The masses of a mixture are near enough to mu for the next one."""
    return bool(np.all(mass >= _HALF * mu)) and float(np.abs(mass - mu).sum()) <= _KEPT


def _mixing(found: Cells, mu: Array, most: float) -> float:
    """The least share of the uniform law, of 0 and some up to `most`, from which Newton's method has not far to go."""
    for share in most * np.concatenate([[0.0], 10.0 ** np.arange(-8.0, 0.0, 0.25)]):
        mass = _mixed(found, share)
        if np.all(mass >= _EMPTY * mu) and np.abs(mass - mu).sum() <= 1.0:
            return float(share)
    return most


def _step(dual: Dual, g: Array, found: Cells, share: float) -> tuple[Array, Cells] | None:
    """One step of Newton's method, halved until each cell keeps a part of its mass and the residual falls; or None."""
    mass = _mixed(found, share)
    residual = float(np.abs(dual.mu - mass).sum())
    least = _KEPT * np.minimum(mass, dual.mu)
    try:
        way = direction(dual, found, share)
    except RuntimeError:  # of an atom that the hull cannot tell from its neighbour
        return None
    length = 1.0
    for _ in range(_HALVINGS):
        tried = dual.cells(g + length * way)
        left = _mixed(tried, share)
        if np.all(left >= least) and np.abs(dual.mu - left).sum() <= (1.0 - 0.5 * length) * residual:
            return g + length * way, tried
        length *= 0.5
    return None


def direction(dual: Dual, found: Cells, share: float = 0.0) -> Array:
    """Newton's direction (m,), 0 at the first atom: the Laplacian of the graph of cells, inverted."""
    m = len(dual.mu)
    i, j = found.pairs.T
    uniform = max(share, _FAINT)
    w = ((1.0 - uniform) * found.along + uniform * found.length) / (2.0 * found.apart)
    diagonal = np.bincount(i, w, m) + np.bincount(j, w, m)
    every = np.arange(m)
    entries = np.concatenate([diagonal, -w, -w]), (np.concatenate([every, i, j]), np.concatenate([every, j, i]))
    matrix = coo_array(entries, shape=(m, m)).tocsc()[1:, 1:]
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.concatenate([[0.0], factors.solve((dual.mu - _mixed(found, share))[1:])])
