"""This file owns a bound of W2^2 from above by a map that misses its target a little, and by what repairs that.

Boxes of a start are shifted to where a map sends them and shared among the cells of a fine lattice that they meet, by
overlap: a coupling, of known cost C1, with a density a on the lattice. What it differs by from the target b is undone
by a flux f with div f = a - b, along the path rho_s = (1 - g) a + g b, g = s^2 (3 - 2 s), with velocity g' f/rho_s:

    W2^2(a, b) <= C2 = sum_cells int |f|^2 int_0^1 g'^2/rho_s ds dw          (Benamou & Brenier 2000)

Fluxes are linear in a cell, so both integrals are exact; g makes the second finite where a or b is empty. f is the
gradient flux of least such cost but for a mean over faces. Regions that emptiness parts may want mass of each other:
what they do, m in all, is first carried from cell to cell at a cost C3. It had come no further than D, so both together
cost at most C1 + C3 + 2 D (m C3)^(1/2), and W2 is at most the root of that and C2^(1/2): whatever map and flux are.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, cg

from wflow.arrays import Array
from wflow.compiled import kernel
from wflow.spline.lattice import Sides
from wflow.spline.multigrid import Multigrid

_NODES, _TABLE = 60, 513
_SOLVED, _ROUNDS = 1e-13, 300
_ROUNDING = 1e-14
"""Of all mass over a length: what such a flux costs is rounding."""
_OFF = 1e-9
"""Of all mass: what a flux may take from cells beyond what they hold, a solve's rounding."""
_FAINT = 1e-6
"""Of the largest density: through emptier cells no flux goes, and their mass is among what is left."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of the size of a lattice's cells, uniform, of masses (m,), with middles `starts` moved to `ends` (m, 2).

    In cells of the lattice; on periodic axes ends are lifted, so that ends - starts is how far they go.
    """

    starts: Array
    ends: Array
    masses: Array


@kernel
def _shared(
    starts: Array, ends: Array, masses: Array, squares: tuple[float, float], sides: Sides, out: Array
) -> tuple[float, float]:
    """Each box among the four cells that it meets, by overlap, added to masses (n0, n1).

    The cost of that coupling, and the square of its longest way.
    """
    n0, n1 = out.shape
    cost, longest = 0.0, 0.0
    for s in range(len(masses)):
        q0, q1 = ends[s, 0] - 0.5, ends[s, 1] - 0.5
        if not sides[0]:
            q0 = min(max(q0, 0.0), n0 - 1.0)
        if not sides[1]:
            q1 = min(max(q1, 0.0), n1 - 1.0)
        i, j = int(np.floor(q0)), int(np.floor(q1))
        u, v = q0 - i, q1 - j
        for a in range(2):
            along = masses[s] * (u if a else 1.0 - u)
            d0 = i + a + 0.5 - starts[s, 0]
            for b in range(2):
                mass = along * (v if b else 1.0 - v)
                if mass > 0.0:
                    d1 = j + b + 0.5 - starts[s, 1]
                    out[(i + a) % n0, (j + b) % n1] += mass
                    square = squares[0] * d0 * d0 + squares[1] * d1 * d1
                    cost += mass * square
                    longest = max(longest, square)
    return cost, longest


@cache
def _dearest() -> tuple[Array, Array]:
    """Numbers r in [0, 1], dense at both ends, and k(r) = int_0^1 g'^2/((1 - g) r + g (1 - r)) ds.

    k is convex, so chords lie above it.
    """
    s, weights = np.polynomial.legendre.leggauss(_NODES)
    s, weights = 0.5 * (1.0 + s)[:, None], 0.5 * weights[:, None]
    g, slope = s * s * (3.0 - 2.0 * s), 6.0 * s * (1.0 - s)
    r = np.sin(np.linspace(0.0, 0.5 * math.pi, _TABLE)) ** 2
    return r, np.asarray(np.sum(weights * slope**2 / ((1.0 - g) * r + g * (1.0 - r)), axis=0))


def price_of_flux(a: Array, b: Array) -> Array:
    """int_0^1 g'^2/rho_s ds from densities a to b >= 0: 6/5 over them where equal, infinite where both vanish."""
    total = a + b
    filled = total > 0.0
    share = np.where(filled, a / np.where(filled, total, 1.0), 0.5)
    k = np.interp(share, *_dearest())
    return np.where(filled, k / np.where(filled, total, 1.0), math.inf)


def repaired_bound(boxes: Boxes, target: Array, widths: tuple[float, float], sides: Sides) -> float:
    """A bound of W2^2 from above between the boxes at their starts and a density (n0, n1) on the lattice, of one mass.

    widths: of the lattice's cells. The target is scaled to the mass of the boxes.
    """
    came = np.zeros_like(target)
    squares, volume = (widths[0] ** 2, widths[1] ** 2), widths[0] * widths[1]
    cost, longest = _shared(boxes.starts, boxes.ends, boxes.masses, squares, sides, came)
    wanted = target * (float(boxes.masses.sum()) / float(target.sum()))
    flux, left = _flux(came / volume, wanted / volume, widths, sides)
    carried = joined_cost(left, widths)
    cost += carried + math.sqrt(longest * 2.0 * float(np.abs(left).sum()) * carried)
    repair = _flux_cost(flux, np.maximum(came - left, 0.0) / volume, wanted / volume, widths)
    return (math.sqrt(cost) + math.sqrt(repair)) ** 2


def _flux(a: Array, b: Array, widths: tuple[float, float], sides: Sides) -> tuple[list[Array], Array]:
    """Mass that passes the face below each cell along each axis, and what is left of the masses a - b (n0, n1).

    a less what is left is >= 0, to rounding: no flux where none is found that keeps this.
    """
    volume, filled = widths[0] * widths[1], a + b > _FAINT * float((a + b).max())
    price = np.where(filled, price_of_flux(a, b), math.inf)
    faces = [_conductance(1.0 / price, axis, widths, sides) for axis in range(2)]
    whole = (a - b) * volume
    excess = _balanced(np.where(filled, whole, 0.0), a * filled, b * filled, faces)

    def fluxes(x: Array) -> list[Array]:
        """Mass that passes the face below each cell, upwards, down the slope of x."""
        return [w * (np.roll(x, 1, axis) - x) for axis, w in enumerate(faces)]

    def gained(flux: list[Array]) -> Array:
        return np.asarray(sum(np.roll(f, -1, axis) - f for axis, f in enumerate(flux)))

    shape = a.shape
    operator = LinearOperator((a.size, a.size), lambda x: gained(fluxes(x.reshape(shape))).ravel(), dtype=np.float64)
    cycle = Multigrid.of(faces[0], faces[1], np.zeros(shape))
    smoother = LinearOperator((a.size, a.size), lambda x: cycle(x.reshape(shape)).ravel(), dtype=np.float64)
    goal = _SOLVED * float(a.sum()) * volume / math.sqrt(a.size)
    x, _ = cg(operator, excess.ravel(), rtol=0.0, atol=goal, maxiter=_ROUNDS, M=smoother)
    flux = fluxes(x.reshape(shape))
    left = whole - gained(flux)
    if np.minimum(a * volume - left, 0.0).sum() < -_OFF * float(a.sum()) * volume:
        # the solve failed, as on cells far longer than wide: no density is there for such a flux to set out from
        return [np.zeros_like(f) for f in flux], whole
    return flux, left


def _flux_cost(flux: list[Array], a: Array, b: Array, widths: tuple[float, float]) -> float:
    """C2."""
    square = np.zeros_like(a)
    for axis, f in enumerate(flux):
        low = f / widths[1 - axis]
        high = np.roll(low, -1, axis)
        square += (low * low + low * high + high * high) / 3.0
    used = square > (_ROUNDING * float(a.sum()) * min(widths)) ** 2
    return float((square[used] * price_of_flux(a[used], b[used])).sum()) * widths[0] * widths[1]


def joined_cost(excess: Array, widths: tuple[float, float]) -> float:
    """Cost of a coupling of what is above zero in masses (n0, n1) of sum zero with what is below it.

    Within blocks of ever more cells as much as can be is coupled, in proportion: the mean squared distance of
    independent points. The cells' own extent cancels: what goes from cell to cell is shifted.
    """
    x, y = (h * (k + 0.5) for h, k in zip(widths, np.indices(excess.shape), strict=True))
    parts = np.maximum(excess, 0.0), np.maximum(-excess, 0.0)
    moments = [np.stack([m, m * x, m * y, m * (x * x + y * y)]) for m in parts]
    cost = 0.0
    while True:
        over, under = moments
        both = np.minimum(over[0], under[0])
        shares = [np.divide(both, m[0], out=np.zeros_like(both), where=m[0] > 0.0) for m in moments]
        a, b = (m * share for m, share in zip(moments, shares, strict=True))
        mixed = np.divide(a[1] * b[1] + a[2] * b[2], both, out=np.zeros_like(both), where=both > 0.0)
        cost += max(float((a[3] + b[3] - 2.0 * mixed).sum()), 0.0)
        if over[0].size == 1:
            return cost
        moments = [_halved(m * (1.0 - share)) for m, share in zip(moments, shares, strict=True)]


def _halved(m: Array) -> Array:
    """Sums over two by two blocks (k, n0, n1)."""
    m = np.pad(m, ((0, 0), (0, m.shape[1] % 2), (0, m.shape[2] % 2)))
    return np.asarray(m[:, 0::2, 0::2] + m[:, 1::2, 0::2] + m[:, 0::2, 1::2] + m[:, 1::2, 1::2])


def _balanced(excess: Array, a: Array, b: Array, faces: list[Array]) -> Array:
    """What of the excess can be undone: in each region that faces join, less its total.

    Where a has more mass than b that is taken off like a, else off like b.
    """
    number = np.arange(excess.size).reshape(excess.shape)
    ends = [(number[w > 0.0], np.roll(number, 1, axis)[w > 0.0]) for axis, w in enumerate(faces)]
    first, second = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(excess.size, excess.size))
    region = connected_components(graph, directed=False)[1]
    total = np.bincount(region, excess.ravel())
    weight = np.where(total[region] > 0.0, a.ravel(), b.ravel())
    mass = np.bincount(region, weight)
    share = np.divide(total, mass, out=np.zeros_like(total), where=mass > 0.0)
    return np.asarray(excess - (share[region] * weight).reshape(excess.shape))


def _conductance(ease: Array, axis: int, widths: tuple[float, float], sides: Sides) -> Array:
    """Of the face below each cell along an axis: the harmonic mean, times width over distance; 0 at walls."""
    below = np.roll(ease, 1, axis)
    total = ease + below
    mean = np.divide(2.0 * ease * below, total, out=np.zeros_like(ease), where=total > 0.0)
    if not sides[axis]:
        mean[(slice(None),) * axis + (0,)] = 0.0
    return np.asarray(mean * (widths[1 - axis] / widths[axis]))
