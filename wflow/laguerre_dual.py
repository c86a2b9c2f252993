"""This file owns the dual of semi-discrete transport: its value, a start without empty cells, Newton's direction.

    Phi(g) = sum_i mu_i g_i + int min_i (|z - x_i|^2 - g_i) rho(z) dz,        dPhi/dg_i = mu_i - rho(L_i),

L_i the Laguerre cells of wflow.laguerre, d rho(L_i)/dg_j = -int_{L_i cap L_j} rho ds / (2 |x_i - x_j|).
Source: Aurenhammer, Hoffmann & Aronov 1998, Algorithmica 20, 61-76; Kitagawa, Merigot & Thibert 2019, J. Eur. Math.
Soc. 21, 2603-2651.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from wflow.arrays import Array
from wflow.clipping import Indices
from wflow.dissection import dissected
from wflow.errors import NotConverged
from wflow.fronts import solution
from wflow.grid import Grid
from wflow.intercepts import intercepts, shifted
from wflow.laguerre import Cells, cells, overlapping, tiling

_INSIDE = 0.999
_FLAT = 1e-10
_ROUNDING = 1e-15
FAINT = 1e-13
"""Of the uniform law in Newton's matrix, so that regions without mass do not divide it."""


@dataclass(frozen=True, eq=False)
class Dual:
    """Phi for atoms x (m, 2), apart from each other, of masses mu (m,) > 0, and rho (n0, n1) on a grid, of mass 1.

    Potentials are g = |x|^2 - 2 base + what is given, base (m, 2) the intercepts of 0 (wflow.intercepts), as given
    themselves without it. With the base near the answer what is given is small, and as exact as small numbers are.
    """

    x: Array
    mu: Array
    rho: Array
    grid: Grid
    base: Array | None = None

    def based(self, base: Array) -> "Dual":
        """The same, potentials counted from other intercepts (m, 2)."""
        return Dual(self.x, self.mu, self.rho, self.grid, base)

    def intercepts(self, g: Array) -> Array:
        """phi (m, 2) of what is given, (m,)."""
        return intercepts(self.x, g) if self.base is None else shifted(self.base, -0.5 * g)

    def given(self, phi: Array) -> Array:
        """What is given for intercepts phi (m,) of one number each."""
        if self.base is None:
            return np.asarray(np.sum(self.x**2, axis=1) - 2.0 * phi)
        return np.asarray(2.0 * ((self.base[:, 0] - phi) + self.base[:, 1]))

    def potentials(self, g: Array) -> Array:
        """The potentials (m,) of the cost |z - x|^2."""
        return g if self.base is None else np.sum(self.x**2, axis=1) - 2.0 * self.intercepts(g).sum(axis=1)

    def cells(self, g: Array, near: Cells | None = None) -> Cells:
        """The Laguerre cells of g (m,), from those of potentials near it."""
        return cells(self.x, self.intercepts(g), self.rho, self.grid, near)

    def overlapping(self, g: Array, near: Cells) -> Cells:
        """Cells that contain those of g, found from those of potentials near it; some may be too large."""
        return overlapping(self.x, self.intercepts(g), self.rho, self.grid, near)

    def tiling(self, found: Cells) -> bool:
        """Whether these are too large nowhere."""
        return tiling(found, self.rho, self.grid)

    def blurred(self, sigma: float) -> "Dual":
        """The same with rho convolved with a Gaussian of standard deviation `sigma`, mirrored at the walls."""
        modes: list[Literal["wrap", "reflect"]] = ["wrap" if p else "reflect" for p in self.grid.domain.periodic]
        rho = gaussian_filter(self.rho, sigma / self.grid.widths, mode=modes, truncate=6.0)
        return Dual(self.x, self.mu, rho, self.grid, self.base)

    def blended(self, other: "Dual", part: float) -> "Dual":
        """The same with (1 - part) rho + part of the other's."""
        return Dual(self.x, self.mu, (1.0 - part) * self.rho + part * other.rho, self.grid, self.base)

    def value(self, g: Array, found: Cells) -> float:
        """Phi(g), with the cells of g."""
        return float(found.cost.sum() + (self.mu - found.mass) @ self.potentials(g))

    def rise(self, g: Array, found: Cells, end: Array, after: Cells) -> float:
        """Phi(end) - Phi(g), with the cells of both, to `rounding`.

        Phi = const - 2 sum_i (x_i.int_{L_i} z rho + (mu_i - rho(L_i)) phi_i), where cells tile the box: linear in the
        atoms' distances, and where little has changed a sum of little.
        """
        phi = self.intercepts(g).sum(axis=1)
        moved = float(np.sum(self.x * (after.moment - found.moment)) - phi @ (after.mass - found.mass))
        return float((self.mu - after.mass) @ (end - g)) - 2.0 * moved

    def rounding(self, g: Array, found: Cells) -> float:
        """Of `rise`."""
        phi = self.intercepts(g).sum(axis=1)
        return _ROUNDING * float(np.sum(np.abs(self.x * found.moment)) + self.mu @ np.abs(phi))

    def slack(self, g: Array, residual: float) -> float:
        """W2^2 - Phi(g) is at most this where sum_i |mu_i - rho(L_i)| = residual: residual (D^2 + max g - min g)/2.

        Between walls at most residual (R + max u - min u) as well, u_i = (|x_i|^2 - g_i)/2 - c.x_i, c the box's middle,
        R = sum_k (half the box's k-th side) (max x_k - min x_k): less where atoms are far from each other.
        D is the largest distance of a place of the box from an atom. Phi is concave and its slope sums to 0, so the
        difference is at most half the residual times the spread of g* - g, g* at the maximum. Under g* no cell is
        empty, and z in L_i says g*_j - g*_i <= |z - x_j|^2 - |z - x_i|^2, so that g* spreads by at most D^2, and
        u*_i - u*_j <= (z - c).(x_i - x_j) <= R. Of the cells of g nothing is asked: some may be empty.
        """
        domain = self.grid.domain
        middle = 0.5 * (np.asarray(domain.lower) + domain.upper)
        furthest = np.where(domain.periodic, 0.0, np.abs(self.x - middle)) + 0.5 * domain.lengths
        bound = 0.5 * residual * float(np.max(np.sum(furthest**2, axis=1)) + np.ptp(self.potentials(g)))
        if any(domain.periodic):
            return bound
        u = self.intercepts(g).sum(axis=1) - self.x @ middle
        return min(bound, residual * float(0.5 * domain.lengths @ np.ptp(self.x, axis=0) + np.ptp(u)))


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
    along = 0.5 * np.sum((dual.x * ~walled) ** 2, axis=1)
    return dual.given(0.5 * np.sum(here @ stretch * here, axis=1) + here @ mean + along)


def _bures(source: Array, target: Array) -> Array:
    """The symmetric positive S with S source S = target."""
    root = np.real(sqrtm(source))
    inverse = np.linalg.inv(root)
    return np.asarray(inverse @ np.real(sqrtm(root @ target @ root)) @ inverse)


def mixed(found: Cells, share: float) -> Array:
    """Masses (m,) of (1 - share) rho + share/|box|."""
    return np.asarray((1.0 - share) * found.mass + share * found.area)


def direction(dual: Dual, found: Cells, share: float = 0.0) -> Array:
    """Newton's direction (m,), 0 at the first atom: the Laplacian of the graph of cells, inverted."""
    uniform = max(share, FAINT)
    w = ((1.0 - uniform) * found.along + uniform * found.length) / (2.0 * found.apart)
    return together(dual, found, w, dual.mu - mixed(found, share))


def together(dual: Dual, found: Cells, w: Array, right: Array) -> Array:
    """u (m,) of `solved`, but who has no cell moves as the nearest who has one, who answers for both.

    Left standing while a narrow cloud of atoms moves by more than what tells them apart, it would take all they have,
    or be out of reach for ever; and what it lacks the cloud lacks. It may be said to have a wall all the same: seen
    from another cloud, far away, by rounding alone. That wall is of who has the place.
    """
    pairs, has = found.pairs, walled(found)
    if has.all() or not has.any():
        return solved(pairs, w, right)
    of = np.arange(len(right))
    of[~has] = of[has][cKDTree(dual.x[has]).query(dual.x[~has])[1]]
    pairs = of[pairs]
    two = pairs[:, 0] != pairs[:, 1]
    return solved(pairs[two], w[two], np.bincount(of, right, len(right)))[of]


def walled(found: Cells) -> NDArray[np.bool_]:
    """Which atoms (m,) have a cell, with a wall."""
    has = np.zeros(len(found.area), dtype=bool)
    has[found.pairs] = True
    return np.asarray(has & (found.area > 0.0))


def solved(pairs: Indices, w: Array, right: Array) -> Array:
    """u (m,) with sum_j w_ij (u_i - u_j) = right_i; 0 where there are no walls, and at the first atom that has one.

    pairs (e, 2), w (e,): the walls between atoms, those with w > 0, eliminated by nested dissection; right (m,).
    Raises NotConverged where walls do not tie all of them together.
    """
    m = len(right)
    stays = np.ones(m, bool)
    stays[pairs[w > 0.0]] = False
    if stays.all():
        return np.zeros(m)
    # the first who has a wall is told to stay: others are tied to him, as to a wall of theirs
    stays[np.argmin(stays)] = True
    one, other = stays[pairs[:, 0]], stays[pairs[:, 1]]
    to = np.bincount(pairs[other, 0], w[other], m) + np.bincount(pairs[one, 1], w[one], m)
    free = ~(one | other)
    pairs = pairs[free]
    u = solution(pairs, w[free], stays + to, np.where(stays, 0.0, right), *dissected(pairs, m))
    if not np.isfinite(u).all():
        raise NotConverged("semidiscrete: walls do not tie all atoms together; move atoms apart", np.inf)
    return u
