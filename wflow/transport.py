"""This file owns W2 between any two measures or laws (the root, not the square).

One axis: every measure is a quantile function made of pieces linear in s; W2^2 = int |X(s) - Y(s)|^2 ds is summed
exactly over the common refinement. Circle: X(s+1) = X(s) + 2 pi and W2^2 = min over a shift alpha of
C(alpha) = int_0^1 |X(s) - Y(s + alpha)|^2 ds, a convex function (Delon, Salomon & Sobolevski 2010, SIAM J. Appl.
Math. 70(7), 2239-2258). More axes: wflow.plans.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow import planar, plans
from wflow.arrays import Array
from wflow.charged import Charged
from wflow.domain import Domain
from wflow.errors import NotConverged, Refused
from wflow.fourier import FourierDensity
from wflow.gridded import gridded
from wflow.law import Atoms, Law, Transported, Uniform
from wflow.measure import Density, Measure, Particles, Quantiles, SignedParticles
from wflow.mesh_density import MeshDensity
from wflow.mesh_line import steps_of
from wflow.shapes import Planar
from wflow.signed_density import SignedDensity
from wflow.zonal import coaxial, w2_along_meridians

LAW_CELLS = 20000
"""Cells by which a law enters; its W2 floor is about 1e-7 of the domain's length."""
COAXIAL = 1e-7
_SLIVER = 32.0 * np.finfo(float).eps
_SHIFTS = 200


@dataclass(frozen=True)
class Pieces:
    """A quantile function: on [cumulated_k, cumulated_{k+1}] it runs linearly from left_k to right_k."""

    cumulated: Array
    left: Array
    right: Array

    @classmethod
    def of(cls, masses: Array, left: Array, right: Array) -> "Pieces":
        """From piece masses (n,); empty pieces are dropped, the mass is scaled to one."""
        kept = masses > 0.0
        total = float(masses.sum())
        cumulated = np.concatenate([[0.0], np.cumsum(masses[kept])]) / total
        cumulated[-1] = 1.0
        return cls(cumulated, left[kept], right[kept])

    def at(self, s: Array, piece: Array) -> Array:
        """The linear formula of each given piece at s (m,)."""
        start, end = self.cumulated[piece], self.cumulated[piece + 1]
        return np.asarray(self.left[piece] + (self.right[piece] - self.left[piece]) * ((s - start) / (end - start)))


def pieces(measure: Measure | Law) -> Pieces:
    """The quantile function of a one-dimensional measure or law as linear pieces (uniform: one; other laws: 20000)."""
    if measure.domain.dim != 1:
        raise Refused(f"pieces: the domain has {measure.domain.dim} axes; quantile functions need one")
    match measure:
        case SignedParticles() | SignedDensity() | Charged():
            raise _signed()
        case Particles() | Atoms():
            assert measure.weights is not None
            order = np.argsort(position := measure.domain.wrap(measure.points)[:, 0], kind="stable")
            return Pieces.of(measure.weights[order], position[order], position[order])
        case Density():
            edges = measure.grid.edges()
            return Pieces.of(measure.weights, edges[:-1], edges[1:])
        case MeshDensity():
            steps = steps_of(measure)
            return Pieces.of(steps.masses, steps.left, steps.right)
        case Quantiles():
            m = len(measure.gaps)
            return Pieces.of(np.full(m, 1.0 / m), measure.edges[:m], measure.edges[:m] + measure.gaps)
        case Uniform():
            return Pieces.of(np.ones(1), *(np.array([end]) for end in measure.support))
        case Transported():
            # known by its quantile: inverting it at 20000 edges would cost a hundred times as much
            knots = finite_quantiles(measure, LAW_CELLS)
            return Pieces.of(np.full(LAW_CELLS, 1.0 / LAW_CELLS), knots[:-1], knots[1:])
        case FourierDensity() | Law():
            low, high = measure.support
            edges = np.linspace(low, high, LAW_CELLS + 1)
            return Pieces.of(np.maximum(measure.cell_masses(edges), 0.0), edges[:-1], edges[1:])
    raise Refused(f"w2: {type(measure).__name__} is not a one-dimensional measure or law")


def finite_quantiles(law: Law, m: int) -> Array:
    """Quantiles (m+1,) of 0, 1/m, .., 1; an infinite end is placed so that its cell keeps its mean."""
    edges = law.quantile(np.arange(m + 1) / m)
    if not (np.isfinite(edges[0]) and np.isfinite(edges[-1])):
        low, high = law.tail_means(1.0 / m)
        edges[0] = edges[0] if np.isfinite(edges[0]) else 2.0 * low - edges[1]
        edges[-1] = edges[-1] if np.isfinite(edges[-1]) else 2.0 * high - edges[-2]
    return edges


def w2(a: Measure | Law, b: Measure | Law) -> float:
    """W2(a, b) in the geodesic distance of their domain.

    One axis: exact for atoms, cells, quantiles and uniform laws; other laws by 20000 pieces (floor about 1e-7), and
    densities linear in the cells of a mesh by as many (floor: their own, some 1e-9).
    Two axes, two densities or laws with averages: at their full size by the dual with a spline as potential
    (wflow.planar); smooth ones on the same 256^2 cells to a share of 1e-4, any to `w2_floor` and a share of 1e-3.
    (What emd2 says of the masses at their middles: wflow.nodal.)
    Two axes, atoms and a density: exact, by Newton's method on Laguerre cells (wflow.semidiscrete).
    Two axes, a density on a mesh: by its averages on a grid fine beside the mesh (wflow.gridded), then as above.
    These need numba. Two zonal laws about one axis of the sphere: along meridians, to 1e-7.
    Otherwise, on more axes and the sphere: exact by POT with the primal-dual gap checked to 1e-9, of at most 2000 atoms
    each; densities and laws are gathered into that many first, which costs at most `w2_floor`.
    Raises Refused for measures it cannot compare, NotConverged if an optimum is not certified.
    """
    for name, measure in (("first", a), ("second", b)):
        if not isinstance(measure, Measure | Law):
            raise TypeError(
                f"w2: the {name} argument is {type(measure).__name__}; pass a measure or a law (of a run: .final) "
                "or Particles(domain, points)"
            )
    if not a.domain.alike(b.domain):
        raise Refused(f"w2: the measures live on different domains ({a.domain} and {b.domain}); compare like with like")
    a, b = (x.whole() if isinstance(x, Measure) else x for x in (a, b))  # of several ranks
    for name, measure in (("first", a), ("second", b)):
        if abs(measure.mass - 1.0) > 1e-6:
            raise Refused(f"w2: the {name} measure has mass {measure.mass:.9g}, allowed: 1 to within 1e-6")
        if isinstance(measure, SignedParticles | SignedDensity | Charged):
            raise _signed()
    if isinstance(a, Law) and isinstance(b, Law) and coaxial(a, b):
        return w2_along_meridians(a, b)
    on_grids = gridded(a, b)
    a, b = on_grids.first, on_grids.second
    if (pair := planar.densities(a, b)) is not None:
        return math.sqrt(planar.between(*pair).squared)
    if (mixed := planar.atoms_and_density(a, b)) is not None:
        from wflow.semidiscrete import semidiscrete

        return math.sqrt(max(semidiscrete(*mixed).squared, 0.0))
    if a.domain.dim > 1:
        return plans.w2_of_atoms(plans.atoms_of(a), plans.atoms_of(b), a.domain)
    return math.sqrt(max(_paired(a, b).cost, 0.0))


def _signed() -> Refused:
    return Refused("w2: a signed measure has no W2 distance; compare its projections or its predictions")


def monotone(a: Measure | Law, b: Measure | Law) -> tuple[Array, Array, Array]:
    """Where pieces of a stand (m,), by how much each moves to b (m,), and their masses (m,), on one axis.

    Pieces of uniform mass are represented by their middles.
    """
    pairing = _paired(a, b)
    start, end = 0.5 * (pairing.x0 + pairing.x1), 0.5 * (pairing.y0 + pairing.y1)
    return start, end - start, pairing.width


def _paired(a: Measure | Law, b: Measure | Law) -> "_Pairing":
    """The optimal pairing on one axis."""
    x, y = pieces(a), pieces(b)
    return _circle_pairing(x, y, a.domain) if a.domain.periodic[0] else _Pairing(x, y)


def w2_floor(a: Measure | Law, b: Measure | Law) -> float:
    """What w2(a, b) may be off by: 0 on one axis for measures, 1e-7 of the support for laws, more on several axes."""
    if coaxial(a, b):
        return COAXIAL
    on_grids = gridded(a, b)
    return on_grids.floor + _floor(on_grids.first, on_grids.second)


def _floor(a: Measure | Law, b: Measure | Law) -> float:
    """Without densities on meshes of two axes."""
    if (pair := planar.densities(a, b)) is not None:
        return sum(planar.spread(pi.grid) for pi in pair)
    if (mixed := planar.atoms_and_density(a, b)) is not None:
        return 0.0 if isinstance(a, Density) or isinstance(b, Density) else planar.spread(mixed[1].grid)
    if a.domain.dim > 1:
        return plans.atoms_of(a).floor + plans.atoms_of(b).floor
    laws = sum(law_floor(x) for x in (a, b) if isinstance(x, Law) and not isinstance(x, Atoms | Uniform))
    return laws + sum(steps_of(x).floor for x in (a, b) if isinstance(x, MeshDensity))


def law_floor(law: Law) -> float:
    """What W2 cannot resolve when a law enters by its 20000 cells: 1e-7 of the support's length."""
    if isinstance(law.domain, Planar):
        return 0.5 * w2_floor(law, law)
    if law.domain.dim > 1:
        return plans.atoms_of(law).floor
    low, high = law.support
    return 1e-7 * (high - low)


class _Pairing:
    """X(s) against Y(s + alpha) on the common refinement; `length` is one turn (circle) or unused (line)."""

    def __init__(self, x: Pieces, y: Pieces, alpha: float = 0.0, length: float = 0.0) -> None:
        cuts = np.concatenate([x.cumulated, np.mod(y.cumulated[:-1] - alpha, 1.0), y.cumulated[-1:]])
        cuts.sort()
        # slivers at round-off are coincident breaks; dropping them makes W2 of equal atoms exactly zero
        wide = np.diff(cuts) > _SLIVER
        start, end = cuts[:-1][wide], cuts[1:][wide]
        middle = 0.5 * (start + end)
        turn = np.floor(middle + alpha)
        k = np.clip(np.searchsorted(x.cumulated, middle, side="right") - 1, 0, len(x.left) - 1)
        j = np.clip(np.searchsorted(y.cumulated, middle + alpha - turn, side="right") - 1, 0, len(y.left) - 1)
        lift = turn * length
        self.x0, self.x1 = x.at(start, k), x.at(end, k)
        self.y0 = y.at(start + alpha - turn, j) + lift
        self.y1 = y.at(end + alpha - turn, j) + lift
        self.width, self.length = end - start, length

    @cached_property
    def cost(self) -> float:
        """int |X - Y|^2 ds, exact for linear pieces."""
        d0, d1 = self.x0 - self.y0, self.x1 - self.y1
        return float(np.sum(self.width * (d0 * d0 + d0 * d1 + d1 * d1)) / 3.0)

    @property
    def slope(self) -> float:
        """C'(alpha) = int 2 (Y - X) dY over one turn, jumps of Y included."""
        inside = np.sum((self.y0 + self.y1 - self.x0 - self.x1) * (self.y1 - self.y0))
        y_next = np.append(self.y0[1:], self.y0[0] + self.length)
        x_next = np.append(self.x0[1:], self.x0[0] + self.length)
        jumps = (y_next - self.y1) * (y_next + self.y1 - self.x1 - x_next)
        return float(inside + np.sum(jumps))


def _circle_pairing(x: Pieces, y: Pieces, domain: Domain) -> _Pairing:
    """min over alpha of C(alpha), by tangents and secants until the tangents' lower bound meets the value."""
    length = float(domain.lengths[0])
    # one turn of Y against X shifts the difference by the whole circle, so the minimum lies in [-2, 2]
    low, high = -2.0, 2.0
    at_low, at_high = _Pairing(x, y, low, length), _Pairing(x, y, high, length)
    c_low, g_low, c_high, g_high = at_low.cost, at_low.slope, at_high.cost, at_high.slope
    found = at_low if c_low < c_high else at_high
    for count in range(_SHIFTS):
        best = found.cost
        tangent = (c_low - c_high + g_high * high - g_low * low) / (g_high - g_low)
        bound = c_low + g_low * (tangent - low)
        if best - bound <= 1e-14 * best or best < 1e-30 * length**2 or high - low < 1e-16:
            return found
        secant = low - g_low * (high - low) / (g_high - g_low)
        alpha = (tangent, secant, 0.5 * (low + high))[count % 3]
        if not low < alpha < high:
            alpha = 0.5 * (low + high)
        pairing = _Pairing(x, y, alpha, length)
        cost, slope = pairing.cost, pairing.slope
        found = pairing if cost < best else found
        if slope == 0.0:
            return pairing
        if slope < 0.0:
            low, c_low, g_low = alpha, cost, slope
        else:
            high, c_high, g_high = alpha, cost, slope
    raise NotConverged(
        f"w2: the shift on the circle stopped at a gap of {found.cost - bound:.3g} in W2^2 after {_SHIFTS} trials; "
        "check the weights for entries near rounding",
        found.cost - bound,
    )
