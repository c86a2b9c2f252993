"""This file owns paths between two measures of atoms, straight in two senses, and how an energy bends along them.

    mixture    pi_s = (1 - s) a + s b
    geodesic   pi_s = (w + s (w' - w))_# gamma(w, w'),  gamma an optimal plan of a and b (McCann 1997)

For F = E (f_pi - y)^2/2:  along a mixture F'' = E (f_b - f_a)^2 >= 0, and F is a quadratic function of s;
along a geodesic F'' = E (df/ds)^2 + int v . Hess V[pi_s] v dgamma with v = w' - w.   So F is convex along all geodesics
iff w -> V[delta_u](w) is convex for every u (derived: docs/convexity.md), and where it is not, a pair of measures
(1 - e) delta_u + e delta_w with small e shows it: `most_bent` searches those.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.arrays import Array, count
from wflow.certificates import Certificate
from wflow.compiled import available
from wflow.domain import Domain
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.gridded import gridded
from wflow.law import Atoms, Law
from wflow.loss import HalfSquare
from wflow.measure import Density, Measure, Particles
from wflow.neuron import RidgeNeuron
from wflow.planar import between, densities
from wflow.plans import atoms_of, optimal_plan
from wflow.terms import Risk
from wflow.transport import monotone, w2

ROUNDING = 1e-12
"""A second difference below -1e-12 max(1, max |F|) is negative; F itself carries errors of 1e-16."""
FOUND = 1e-6
"""What a geodesic that shows F not to be convex must reach, as a second difference over max(1, max |F|)."""
AXES = 2
_OUTSIDE = 1e-6
_NONNEGATIVE = ("relu", "relu_squared", "softplus")


class Path(Protocol):
    """A curve of atoms from s = 0 to s = 1."""

    def at(self, s: float) -> Particles:
        """The measure at s."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """(1 - s) first + s second: mass is exchanged where it stands."""

    first: Particles
    second: Particles

    def at(self, s: float) -> Particles:
        points = np.concatenate([self.first.points, self.second.points])
        weights = np.concatenate([(1.0 - s) * self.first.weights, s * self.second.weights])
        return Particles(self.first.domain, points, weights)


@dataclass(frozen=True, eq=False)
class Geodesic:
    """sum_k weights_k delta at start_k + s shift_k: mass is moved, by the plan that moves it least; length is W2."""

    domain: Domain
    start: Array
    shift: Array
    weights: Array
    length: float

    @property
    def end(self) -> Array:
        """(m, d): where the atoms at `start` go; periodic coordinates are lifted."""
        return self.start + self.shift

    def at(self, s: float) -> Particles:
        return Particles(self.domain, self.start + s * self.shift, self.weights)

    def density(self, s: float, grid: Grid) -> Density:
        """The measure at s as averages over cells, each atom spread by the quadratic B-spline of the cells.

        One or two axes; mass and, away from walls, mean are kept, the variance grows by h^2/4 an axis. Needs numba.
        """
        if not available():
            raise Refused("Geodesic.density: it needs numba, the extra `fast`: pip install 'wflow[fast]'")
        from wflow.spline.lattice import Sides, deposited, folded

        if grid.domain.dim != self.domain.dim or grid.domain.periodic != self.domain.periodic:
            raise Refused(
                f"Geodesic.density: the grid lies on {grid.domain}, the path on {self.domain}; give one domain"
            )
        if not 0.0 <= s <= 1.0:
            raise ValueError(f"Geodesic.density s: {s!r} is not between 0 and 1")
        if grid.domain.dim > AXES:
            raise Refused(f"Geodesic.density: the grid has {grid.domain.dim} axes; at most {AXES}")
        shape = grid.plane
        places = np.full((len(self.weights), AXES), 0.5)
        places[:, : grid.domain.dim] = (self.at(s).points - np.asarray(grid.domain.lower)) / grid.widths
        sides = Sides(grid.domain.periodic[0], len(grid.shape) > 1 and grid.domain.periodic[1])
        ghosts = np.zeros((shape[0] + 2, shape[1] + 2))
        low, high = np.where(sides, -np.inf, 0.0), np.where(sides, np.inf, np.asarray(shape, dtype=np.float64))
        inside = np.clip(places, low, high)
        if self.weights[np.any(np.abs(inside - places) > 1e-9, axis=1)].sum() > _OUTSIDE:
            raise Refused(
                f"Geodesic.density: mass lies outside the grid's {grid.domain}; give a grid that covers the path"
            )
        # an atom outside the cells would be dealt out with negative weights
        deposited(inside, self.weights, sides, ghosts)
        masses = folded(ghosts, sides).ravel()
        return Density(grid, masses / (masses.sum() * grid.cell_volume))


def geodesic(a: Measure | Law, b: Measure | Law) -> Geodesic:
    """The W2 geodesic between two measures or laws; angles go the short way.

    One axis: exact pairs of pieces. Two axes and two densities, on meshes as wflow.gridded says: the map of
    wflow.planar, from the one that is spread out. Else at most 2000 atoms each, by POT; densities are gathered into
    that many. ValueError for two domains.
    """
    if a.domain != b.domain:
        raise ValueError(f"geodesic: the measures live on {a.domain} and {b.domain}; give one domain")
    domain = a.domain
    if a.domain.dim == 1 and not (isinstance(a, Particles | Atoms) and isinstance(b, Particles | Atoms)):
        start, shift, weights = monotone(a, b)
        return Geodesic(a.domain, start[:, None], shift[:, None], weights / weights.sum(), w2(a, b))
    on_grids = gridded(a, b)
    a, b = on_grids.first, on_grids.second
    if (pair := densities(a, b)) is not None:
        moved = between(*pair)
        return Geodesic(domain, moved.start, moved.shift, moved.weights, math.sqrt(moved.squared))
    first, second = atoms_of(a), atoms_of(b)
    plan = optimal_plan(first, second, domain)
    i, j = np.nonzero(plan.masses)
    masses = plan.masses[i, j]
    shift = domain.difference(second.points[j], first.points[i])
    return Geodesic(domain, first.points[i], shift, masses / masses.sum(), math.sqrt(plan.cost))


def profile(energy: Energy, path: Path, pieces: int = 16) -> Array:
    """F (pieces + 1,) along a path at s = 0, 1/pieces, .., 1."""
    return np.array([energy.value(path.at(k / count("pieces", pieces, least=2))) for k in range(pieces + 1)])


def bend(energy: Energy, path: Path, pieces: int = 16) -> float:
    """Least second difference F(s - h) - 2 F(s) + F(s + h), h = 1/pieces, over max(1, max |F|) along the path."""
    values = profile(energy, path, pieces)
    return float(np.min(np.diff(values, 2)) / max(1.0, float(np.max(np.abs(values)))))


def mixtures(around: Law, pairs: int, seed: int, atoms: int = 8) -> Iterator[Mixture]:
    """Random pairs of up to `atoms` atoms each, drawn from a law, with random weights."""
    rng = np.random.default_rng([seed, pairs])
    for _ in range(pairs):
        yield Mixture(*(_drawn(around, int(rng.integers(1, atoms + 1)), rng) for _ in range(2)))


def _drawn(around: Law, m: int, rng: np.random.Generator) -> Particles:
    return Particles(around.domain, around.sample(m, rng), rng.dirichlet(np.ones(m)))


def most_bent(
    energy: Energy, around: Law, *, seed: int, trials: int = 100, share: float = 0.1, pieces: int = 8
) -> tuple[Geodesic, float]:
    """The geodesic of least `bend` among (1 - share) delta_u + share delta_w -> (1 - share) delta_u + share delta_w'.

    u, w, w' are drawn from the law `around`. A bend below -FOUND refutes convexity along geodesics; none found among
    `trials` refutes nothing.
    """
    rng = np.random.default_rng([seed, count("trials", trials)])
    weights = np.array([1.0 - share, share])
    best: tuple[Geodesic, float] | None = None
    for _ in range(trials):
        u, w, other = around.sample(3, rng)
        ends = (Particles(around.domain, np.stack([u, x]), weights) for x in (w, other))
        path = geodesic(*ends)
        found = bend(energy, path, pieces)
        if best is None or found < best[1]:
            best = path, found
    assert best is not None
    return best


def reason_for_convexity(energy: Energy) -> str | None:
    """Why F is convex along every geodesic, where that is known (derived), or None: then a bent one is expected.

    Known for F = E (f_pi - y)^2/2 with neurons sigma(v . x + c) without outer weight, on R^d.
    """
    term = energy.terms[0]
    if len(energy.terms) > 1 or energy.internal or not (isinstance(term, Risk) and isinstance(term.loss, HalfSquare)):
        return None
    if not isinstance(term.neuron, RidgeNeuron) or term.neuron.outer:
        return None
    name, data = term.neuron.activation.name, term.data
    if name == "linear":
        return "f depends on the mean of pi alone, linearly, and F is a convex quadratic function of it"
    if name in _NONNEGATIVE and np.all(data.targets <= 0.0):
        return "f >= 0 >= y is convex along geodesics, and (f - y)^2 grows with f"
    if name == "quadratic":
        lifted = np.column_stack([data.inputs, np.ones(len(data))]) if term.neuron.bias else data.inputs
        moment = lifted.T @ ((data.weights * data.targets)[:, None] * lifted)
        if float(np.linalg.eigvalsh(moment)[-1]) <= 0.0:
            return "E y (x, 1)(x, 1)^T <= 0, so the Hessian E (f - y) 2 (x, 1)(x, 1)^T of V is nonnegative for every pi"
    return None


def convexity(energy: Energy, around: Law, *, seed: int, pairs: int = 100, trials: int = 100) -> Iterator[Certificate]:
    """F on random mixtures has no negative second difference; along a geodesic it has one, unless it is known why not.

    Yields the first row only where F is declared convex along mixtures.
    """
    if energy.convex:
        least = min(bend(energy, path) for path in mixtures(around, pairs, seed))
        claim = f"F on {pairs} mixtures: least second difference"
        yield Certificate(claim, "at least", least, 0.0, ROUNDING)
    _, least = most_bent(energy, around, seed=seed, trials=trials)
    reason = reason_for_convexity(energy)
    if reason is None:
        yield Certificate("F is not convex along some geodesic: second difference", "at most", least, -FOUND)
    else:
        yield Certificate(f"F is convex along {trials} geodesics: {reason}", "at least", least, 0.0, ROUNDING)
