"""This file owns the dual of a step of transport with a spline p = sum_k c_k B_k as potential, and its slope.

    D(c) = sum_i mu_i min_y [ p(y) + |x_i - y|^2/(2 tau) ]  -  sum_j |x_j| U*_j(p(x_j)),       concave in c

x_j the nodes, the middles of equal parts of the spline's cells

JKO: U*_j(q) = sup_r q r - U(r) - V_j r; at the maximum p = U'(rho) + V and mass moves by y = x - tau grad p(y).
Transport to a measure nu: int p dnu in place of the second sum, and W2^2 = 2 tau max D. The slope of D,

    g_k = sum_i mu_i B_k(y_i) - sum_j |x_j| rho_j B_k(x_j),     rho_j = (U*_j)'(p(x_j)),

asks that the mass that moved and rho agree against every spline. Splines hold 1, y and y^2 (away from walls): mass,
mean and variance are transported exactly, and where p is constant nothing moves: there is no diffusion by the grid.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.spline.envelope import started, transformed
from wflow.spline.lattice import Moved, Sides, deposited, folded, given, moved, padded, product, read
from wflow.spline.multigrid import Multigrid

Conjugate = Callable[[Array], tuple[float, Array, Array]]
"""p at the nodes to sum_j U*_j, rho = (U*)' and (U*)'' each."""


_FAST = 1e6
"""How fast idle coefficients are held, in the largest weights."""
_STEEPEST = 100.0
"""Largest (U*)'' that the metric believes, in its mean over rho."""


@dataclass(frozen=True, eq=False)
class Ended:
    """What the end of the transport says to p: sum |x_j| U*_j, its slope in c (n0, n1), rho and (U*)'' at the nodes."""

    total: float
    moments: Array
    rho: Array
    bend: Array


@dataclass(frozen=True, eq=False)
class Reached:
    """D at coefficients c (n0, n1), its slope, and the end there; where atoms went, in cells (m, 2); the distance.

    give (m, 3): masses times (I + tau D^2 p)^-1, times tau over the squared widths.   distance: sum mu |x - y|^2/2 tau.
    idle (n0, n1): coefficients whose spline meets neither mass that came nor rho.
    """

    c: Array
    value: float
    slope: Array
    end: Ended
    places: Array
    give: Array
    distance: float
    idle: NDArray[np.bool_]


@dataclass(eq=False)
class Dual(ABC):
    """D for atoms (m, 2) of masses (m,), a step tau, and cells of two widths, each with parts[0] x parts[1] nodes.

    Atoms and places count cells of the spline. One axis is a grid (n, 1).
    """

    shape: tuple[int, int]
    parts: tuple[int, int]
    sides: Sides
    widths: tuple[float, float]
    atoms: Array
    masses: Array
    tau: float
    evaluations: int = field(default=0, init=False)

    @property
    def pull(self) -> tuple[float, float]:
        """Squared widths over tau: |x - y|^2/2 tau is sum pull (x - y)^2/2 in cells."""
        return self.widths[0] ** 2 / self.tau, self.widths[1] ** 2 / self.tau

    @property
    def volume(self) -> float:
        """Of what a node stands for."""
        return self.widths[0] * self.widths[1] / (self.parts[0] * self.parts[1])

    @abstractmethod
    def ended(self, c: Array, p: Array) -> Ended:
        """For coefficients c and p at the nodes."""

    def nodal(self, c: Array) -> Array:
        """p at the nodes."""
        return read(c, self.parts, self.sides)

    def _node_pull(self) -> tuple[float, float]:
        """`pull` where distances count nodes."""
        pull = self.pull
        return pull[0] / self.parts[0] ** 2, pull[1] / self.parts[1] ** 2

    def at(self, c: Array) -> Reached:
        """D and its slope; value is -inf where U* overflows.

        The minima are global up to what the nodes can tell: Newton starts where the nodes' own minimum is.
        """
        self.evaluations += 1
        p = self.nodal(c)
        end = self.ended(c, p)
        places, give = np.empty_like(self.atoms), np.empty((len(self.atoms), 3))
        if not np.isfinite(end.total):
            return Reached(c, -np.inf, np.zeros_like(c), end, places, give, 0.0, np.zeros(c.shape, dtype=bool))
        came, move = self._moves(c, p, places, give)
        idle = (came == 0.0) & (end.moments == 0.0)
        return Reached(c, move.total - end.total, came - end.moments, end, places, give, move.distance, idle)

    def places(self, c: Array) -> Array:
        """Where atoms go (m, 2), in cells."""
        places = np.empty_like(self.atoms)
        self._moves(c, self.nodal(c), places, np.empty((len(self.atoms), 3)))
        return places

    def _moves(self, c: Array, p: Array, places: Array, give: Array) -> tuple[Array, Moved]:
        """The minima over y into `places`, the inverse Hessians into `give`; what came to each spline; the sums."""
        pull, fine = self._node_pull(), np.asarray(self.parts, dtype=np.float64)
        started(p, pull, self.sides, transformed(p, pull, self.sides)[1], self.atoms * fine, places)
        places /= fine
        ghosts = padded(c, self.sides)
        deposit = np.zeros_like(ghosts)
        move = moved(ghosts, self.masses, self.atoms, places, self.pull, self.sides, deposit, give)
        return folded(deposit, self.sides), move

    def metric(self, here: Reached, floor: float) -> Multigrid:
        """A cycle for a five-point stand-in of -D'' at a point: -div(w grad) + (U*)''.

        w: the larger of the deposit of `give` and tau rho over the squared widths; at the maximum of D they agree, and
        where one of them still vanishes p stays smooth. floor: of the largest w and the mean (U*)'', added everywhere.
        Idle coefficients stay.
        """
        faces, end = [], here.end
        for axis, turns in enumerate(self.sides):
            ghosts = np.zeros((self.shape[0] + 2, self.shape[1] + 2))
            if self.shape[axis] == 1:
                faces.append(np.zeros(self.shape))
                continue
            deposited(here.places, here.give[:, 2 * axis], self.sides, ghosts)
            cells = np.maximum(folded(ghosts, self.sides), end.moments / self.pull[axis])
            weight = 0.5 * (cells + np.roll(cells, 1, axis))
            weight += floor * weight.max()
            if not turns:
                weight[(slice(None),) * axis + (0,)] = 0.0
            faces.append(weight)
        # of densities that end like (U*)'' = 1/rho the mean says more than the largest
        mean = product(end.bend, end.rho) / max(float(end.rho.sum()), np.finfo(float).tiny)
        bend = given(np.minimum(end.bend, _STEEPEST * mean), self.parts, self.sides)
        diagonal = self.volume * (bend + floor * mean * self.parts[0] * self.parts[1])
        diagonal[here.idle] += _FAST * (diagonal.max() + faces[0].max() + faces[1].max())
        return Multigrid.of(faces[0], faces[1], diagonal)


@dataclass(eq=False)
class StepDual(Dual):
    """Of a JKO step: the end is free, at the price U*."""

    conjugate: Conjugate

    def ended(self, c: Array, p: Array) -> Ended:
        with np.errstate(over="ignore", invalid="ignore"):
            total, rho, bend = self.conjugate(p)
        return Ended(self.volume * total, self.volume * given(rho, self.parts, self.sides), rho, bend)


@dataclass(eq=False)
class TransportDual(Dual):
    """Of transport to a measure nu, known by moments_k = int B_k dnu (n0, n1), of the mass of the atoms."""

    moments: Array

    def ended(self, c: Array, p: Array) -> Ended:
        return Ended(product(self.moments, c), self.moments, self._still, self._still)

    @cached_property
    def _still(self) -> Array:
        """(U*)'' vanishes, and rho is not asked for."""
        return np.zeros((self.shape[0] * self.parts[0], self.shape[1] * self.parts[1]))
