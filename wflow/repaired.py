"""This file owns a bound of W2^2 from above by a map that misses its target a little, and by what repairs that.

Boxes of a start are shifted to where a map sends them and shared among the cells of a fine lattice that they meet, by
overlap: a coupling, of known cost C1, with a density a on the lattice. What it differs by from the target b is undone
by a flux f with div f = a - b, along the path rho_s = (1 - g) a + g b, g = s^2 (3 - 2 s), with velocity g' f/rho_s:

    W2^2(a, b) <= C2 = sum_cells int |f|^2 int_0^1 g'^2/rho_s ds dw          (Benamou & Brenier 2000)

Fluxes are linear in a cell, so both integrals are exact; g makes the second finite where a or b is empty. f is the
gradient flux of least such cost but for a mean over faces. Regions that emptiness parts may want mass of each other:
what they do, m in all, is first carried from cell to cell (wflow.relayed) at a cost C3. It had come no further than D,
so both together cost at most C1 + C3 + 2 D (m C3)^(1/2), and W2 is at most the root of that and C2^(1/2): whatever map
and flux are. Where the map is near that of a potential both hardly add up but in squares (wflow.cross_term).
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, cg

from wflow.arrays import Array
from wflow.compiled import kernel
from wflow.cross_term import Repair, Steered
from wflow.relayed import carried_cost, joined_cost, relayed
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
def _shared(starts: Array, ends: Array, masses: Array, widths: tuple[float, float], sides: Sides, out: Array) -> float:
    """Each box among the four cells that it meets, by overlap: a coupling. The square of its longest way.

    Added to out (4, n0, n1): mass, mass times the way back, its two parts, and mass times the way's square.
    """
    n0, n1 = out.shape[1:]
    longest = 0.0
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
            d0 = widths[0] * (i + a + 0.5 - starts[s, 0])
            for b in range(2):
                mass = along * (v if b else 1.0 - v)
                if mass > 0.0:
                    d1 = widths[1] * (j + b + 0.5 - starts[s, 1])
                    square = d0 * d0 + d1 * d1
                    k, m = (i + a) % n0, (j + b) % n1
                    out[0, k, m] += mass
                    out[1, k, m] -= mass * d0
                    out[2, k, m] -= mass * d1
                    out[3, k, m] += mass * square
                    longest = max(longest, square)
    return longest


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


def repaired_bound(
    boxes: Boxes,
    target: Array,
    widths: tuple[float, float],
    sides: Sides,
    potential: Array | None = None,
    thin: float = 0.0,
) -> float:
    """A bound of W2^2 from above between the boxes at their starts and a density (n0, n1) on the lattice, of one mass.

    widths: of the lattice's cells. The target is scaled to the mass of the boxes. potential (n0, n1): a function of
    which the map is near the gradient, start - end, at the cells' middles. thin: of the largest density; cells below
    and above it are regions of their own, so that no flux squeezes through thin bridges. The bound holds whatever both.
    """
    sums, volume = np.zeros((4, *target.shape)), widths[0] * widths[1]
    longest = _shared(boxes.starts, boxes.ends, boxes.masses, widths, sides, sums)
    came, cost = sums[0], float(sums[3].sum())
    wanted = target * (float(boxes.masses.sum()) / float(target.sum()))
    flux, carried = _flux(came / volume, wanted / volume, widths, sides, thin)
    moved = carried.moved(came, sums[3], longest)
    cost += carried.cost + 2.0 * math.sqrt(moved * carried.cost)
    left = np.maximum(came - carried.few - carried.rest, 0.0)
    costs = _flux_costs(flux, left / volume, wanted / volume, widths)
    repair = float(costs.sum())
    bound = (math.sqrt(cost) + math.sqrt(repair)) ** 2
    if potential is None:
        return bound
    rest = Repair(left, wanted, costs, carried.mass, (math.sqrt(moved) + math.sqrt(carried.cost)) ** 2)
    return min(bound, cost + repair + Steered.of(potential, widths, sides).cross(came, sums[1:3], rest))


@dataclass(frozen=True, eq=False)
class _Carried:
    """Masses (n0, n1) that are carried off or, below zero, brought: first few, by the cheapest plan, then the rest.

    cost: of a coupling; costs of the two add up like lengths.
    """

    few: Array
    rest: Array
    cost: float

    @classmethod
    def of(cls, few: Array, rest: Array, widths: tuple[float, float]) -> "_Carried":
        """The rest by blocks."""
        return cls(few, rest, (math.sqrt(carried_cost(few, widths)) + math.sqrt(joined_cost(rest, widths))) ** 2)

    @property
    def mass(self) -> float:
        """How much is carried."""
        return 0.5 * float(np.abs(self.few).sum() + np.abs(self.rest).sum())

    def moved(self, came: Array, squares: Array, longest: float) -> float:
        """int |way|^2 over the mass that is carried, of the way it had come, int |way|^2 over cells being `squares`."""
        off = (self.few > 0.0) & (came > 0.0)
        first = float((self.few[off] / came[off] * squares[off]).sum())
        return first + 0.5 * longest * float(np.abs(self.rest).sum())


def _flux(
    a: Array, b: Array, widths: tuple[float, float], sides: Sides, thin: float = 0.0
) -> tuple[list[Array], _Carried]:
    """Mass that passes the face below each cell along each axis, and what has been carried of a (n0, n1) before.

    a less that is >= 0, to rounding: no flux where none is found that keeps this.
    """
    volume, most = widths[0] * widths[1], float((a + b).max())
    filled, dense = a + b > _FAINT * most, a + b > thin * most
    price = np.where(filled, price_of_flux(a, b), math.inf)
    faces = [_conductance(1.0 / price, axis, widths, sides) for axis in range(2)]
    faces = [w * (dense == np.roll(dense, 1, axis)) for axis, w in enumerate(faces)]
    region = _regions(faces)
    now = relayed(a * volume, b * volume, np.where(filled, region, -1), widths)
    whole = now - b * volume
    excess = _balanced(np.where(filled, whole, 0.0), now * filled, b * filled, region)

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
    with np.errstate(divide="ignore", invalid="ignore"):  # of a solve that fails, see below
        x, _ = cg(operator, excess.ravel(), rtol=0.0, atol=goal, maxiter=_ROUNDS, M=smoother)
    flux = fluxes(x.reshape(shape))
    left = whole - gained(flux)
    if not np.minimum(now - left, 0.0).sum() >= -_OFF * float(a.sum()) * volume:
        # the solve failed, as on cells far longer than wide: no density is there for such a flux to set out from
        return [np.zeros_like(f) for f in flux], _Carried.of(np.zeros_like(a), (a - b) * volume, widths)
    return flux, _Carried.of(a * volume - now, left, widths)


def _flux_costs(flux: list[Array], a: Array, b: Array, widths: tuple[float, float]) -> Array:
    """C2, the part of each cell (n0, n1)."""
    square = np.zeros_like(a)
    for axis, f in enumerate(flux):
        low = f / widths[1 - axis]
        high = np.roll(low, -1, axis)
        square += (low * low + low * high + high * high) / 3.0
    used = square > (_ROUNDING * float(a.sum()) * min(widths)) ** 2
    out = np.zeros_like(a)
    out[used] = square[used] * price_of_flux(a[used], b[used]) * widths[0] * widths[1]
    return out


def _regions(faces: list[Array]) -> NDArray[np.int64]:
    """The number (n0, n1) of the region that each cell belongs to: those that open faces join."""
    number = np.arange(faces[0].size).reshape(faces[0].shape)
    ends = [(number[w > 0.0], np.roll(number, 1, axis)[w > 0.0]) for axis, w in enumerate(faces)]
    first, second = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(number.size, number.size))
    region: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return region.reshape(number.shape)


def _balanced(excess: Array, a: Array, b: Array, region: NDArray[np.int64]) -> Array:
    """What of the excess can be undone: in each region less its total.

    Where a has more mass than b that is taken off like a, else off like b.
    """
    number = region.ravel()
    total = np.bincount(number, excess.ravel())
    weight = np.where(total[number] > 0.0, a.ravel(), b.ravel())
    mass = np.bincount(number, weight)
    share = np.divide(total, mass, out=np.zeros_like(total), where=mass > 0.0)
    return np.asarray(excess - (share[number] * weight).reshape(excess.shape))


def _conductance(ease: Array, axis: int, widths: tuple[float, float], sides: Sides) -> Array:
    """Of the face below each cell along an axis: the harmonic mean, times width over distance; 0 at walls."""
    below = np.roll(ease, 1, axis)
    total = ease + below
    mean = np.divide(2.0 * ease * below, total, out=np.zeros_like(ease), where=total > 0.0)
    if not sides[axis]:
        mean[(slice(None),) * axis + (0,)] = 0.0
    return np.asarray(mean * (widths[1 - axis] / widths[axis]))
