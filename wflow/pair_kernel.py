"""This file owns kernels k(w, w') = W(w - w') of attraction and repulsion on the line and in the plane.

F = (1/2) int int W dpi dpi attracts where W grows and repels where it falls. Atoms do not act on themselves, by
principal values; cells enter by exact integrals of W over them: no grid meets a singularity.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wflow.arrays import Array, count, finite
from wflow.domain import Box, space
from wflow.errors import Refused
from wflow.law import Atoms, Law
from wflow.measure import Density, Measure
from wflow.pair_sums import LogCells, LogSum, pair_weights


class PairKernel(ABC):
    """A kernel of the difference of two points of R^d. Laws other than atoms are refused: give a measure."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The number d of axes."""

    by_moments = False

    @property
    @abstractmethod
    def convex(self) -> bool:
        """Conditionally positive definite: int int k dsigma dsigma >= 0 for sigma of mass 0.

        That is what F needs to be convex along mixtures of measures of one mass.
        """

    @property
    @abstractmethod
    def singular(self) -> bool:
        """W is infinite at 0: atoms must not meet, and forces grow without bound as they near each other."""

    @property
    def jumps(self) -> float:
        """None on a point's way: W is smooth off 0, and points that repel each other do not meet."""
        return math.inf

    @property
    def names(self) -> tuple[str, ...]:
        """A place."""
        return ("position x",) if self.dim == 1 else tuple(f"position x_{k}" for k in range(1, self.dim + 1))

    @property
    def domain(self) -> Box:
        """R^d."""
        return space(self.dim)

    @abstractmethod
    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """d^j/dw^j int k(w, .) dpi at w (m, d): (m,), (m, d) or (m, d, d) for j = 0, 1, 2."""

    @abstractmethod
    def coupling(self, w: Array) -> tuple[Array, Array]:
        """factor (m d, q) and core (q,) of d_w d_w' k = factor diag(core) factor^T for points that are atoms."""

    @abstractmethod
    def stiffness(self, pi: Measure) -> float:
        """A bound of the rates by which points, or cells, of pi answer to each other through k."""

    def double(self, pi: Measure | Law) -> float:
        """int int k dpi dpi by the potential at the points of pi: F's gradient in the weights is V there, exactly."""
        points, weights = pointed(pi)
        return float(weights @ self.against(pi, points, 0))


def pointed(pi: Measure | Law) -> tuple[Array, Array]:
    """Points (m, d) and weights (m,) of a measure or of atoms."""
    if not isinstance(pi, Measure | Atoms):
        raise Refused(f"{type(pi).__name__}: pair kernels take measures and atoms; discretise the law first")
    return pi.points, np.asarray(pi.weights)


@dataclass(frozen=True)
class QuadraticKernel(PairKernel):
    """W = |x|^2/2: every point is drawn to the mean, V = |w|^2/2 - w . mean + (1/2) int |y|^2, in closed form.

    int int k dsigma dsigma = -|int x dsigma|^2 for mass 0: F is concave along mixtures, linear where the mean is fixed.
    """

    dim: int = 1
    convex = False
    singular = False

    def __post_init__(self) -> None:
        count("QuadraticKernel dim", self.dim)

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        points, weights = pointed(pi)
        mass, first = float(weights.sum()), weights @ points
        if derivative == 0:
            spread = mass * float(np.sum(pi.grid.widths**2)) / 12.0 if isinstance(pi, Density) else 0.0
            second = float(weights @ np.sum(points**2, axis=1)) + spread
            return np.asarray(0.5 * (mass * np.sum(w * w, axis=1) + second) - w @ first)
        if derivative == 1:
            return mass * w - first
        return np.broadcast_to(mass * np.eye(self.dim), (len(w), self.dim, self.dim)).copy()

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """-1 on each axis: all points move the mean alike."""
        return np.tile(np.eye(self.dim), (len(w), 1)), -np.ones(self.dim)

    def stiffness(self, pi: Measure) -> float:
        """The mass."""
        return pi.mass


@dataclass(frozen=True)
class NewtonianKernel(PairKernel):
    """W = -|x| on the line, the repulsion whose field is the difference of the masses to both sides: W'' = -2 delta.

    Atoms by sorting, O(m log m); cells exactly. int int k dsigma dsigma = 2 int (distribution function)^2 >= 0.
    """

    dim = 1
    convex = True
    singular = False

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        at = w[:, 0]
        if isinstance(pi, Density):
            values = _cells_on_the_line(pi, at, derivative)
        else:
            points, weights = pointed(pi)
            values = _ranks(points[:, 0], weights, at, derivative)
        return values.reshape((len(w),) + (1,) * derivative)

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """None: the force between atoms does not depend on their distance."""
        return np.zeros((len(w), 0)), np.zeros(0)

    def stiffness(self, pi: Measure) -> float:
        """2 max rho for cells, whose density relaxes as rho' = -rho (Laplace V) does; 0 for points."""
        return 2.0 * float(pi.values.max()) if isinstance(pi, Density) else 0.0


def _ranks(points: Array, weights: Array, at: Array, derivative: int) -> Array:
    """-sum_j weights_j |at - x_j| and its derivatives; an atom counts half to each side of itself."""
    if derivative == 2:
        return np.zeros_like(at)
    order = np.argsort(points, kind="stable")
    line = points[order]
    mass = np.concatenate([[0.0], np.cumsum(weights[order])])
    left, right = np.searchsorted(line, at, side="left"), np.searchsorted(line, at, side="right")
    below = 0.5 * (mass[left] + mass[right])
    if derivative == 1:
        return np.asarray(mass[-1] - 2.0 * below)
    first = np.concatenate([[0.0], np.cumsum(weights[order] * line)])
    moment = 0.5 * (first[left] + first[right])
    return np.asarray(2.0 * moment - first[-1] - at * (2.0 * below - mass[-1]))


def _cells_on_the_line(pi: Density, at: Array, derivative: int) -> Array:
    """The same for a density constant in each cell: -(2 G - M w + m_1), M - 2 F, -2 rho, with G' = F, F' = rho."""
    edges, h = pi.grid.edges(), float(pi.grid.widths[0])
    cell = np.clip(((at - edges[0]) / h).astype(np.intp), 0, pi.grid.size - 1)
    inside = np.clip(at - edges[cell], 0.0, h)
    rho = pi.values[cell]
    if derivative == 2:
        return np.where((at >= edges[0]) & (at <= edges[-1]), -2.0 * rho, 0.0)
    below = np.concatenate([[0.0], np.cumsum(pi.weights)])
    if derivative == 1:
        return np.asarray(below[-1] - 2.0 * (below[cell] + rho * inside))
    area = np.concatenate([[0.0], np.cumsum(h * (below[:-1] + 0.5 * pi.weights))])
    beyond = below[-1] * np.maximum(at - edges[-1], 0.0)
    integral = area[cell] + below[cell] * inside + 0.5 * rho * inside**2 + beyond
    return np.asarray(below[-1] * at - float(pi.weights @ pi.points[:, 0]) - 2.0 * integral)


@dataclass(frozen=True)
class LogKernel(PairKernel):
    """W = -strength log|x| on the line (the logarithmic gas) or in the plane (Laplace W = -2 pi strength delta).

    strength > 0: repulsion, int int k dsigma dsigma >= 0 for mass 0. strength < 0: attraction, as by what bacteria
    smell in the model of Keller and Segel.
    Atoms: all pairs, O(m^2), compiled where numba is installed. Cells: exact integrals of W, by FFT at the centres.
    On the line W'' = 1/x^2 is not integrable: of a density V'' is a finite part, of atoms it grows like m.
    Raises Refused where two atoms coincide: their energy is infinite.
    Order of points as quadrature of a density: 1/m (the neighbours' 1/x meets a gap that varies).
    """

    dim: int = 1
    strength: float = 1.0
    singular = True

    def __post_init__(self) -> None:
        if count("LogKernel dim", self.dim) > 2:
            raise ValueError(f"LogKernel dim: {self.dim!r} is not allowed; give 1 (line) or 2 (plane)")
        if float(finite("LogKernel strength", self.strength)) == 0.0:
            raise ValueError("LogKernel strength: 0 is not allowed; leave the term out")

    @property
    def convex(self) -> bool:
        """Where it repels."""
        return self.strength > 0.0

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        if isinstance(pi, Density):
            cells = _at_centres(pi, derivative) if w is pi.points else LogCells.of(pi.grid).at(pi.values, w, derivative)
            return self.strength * cells
        points, weights = pointed(pi)
        return self.strength * LogSum(points, weights).at(w, derivative)

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """On the line, K = -1/(w_i - w_j)^2 off the diagonal as (s I + K)^2/4s - (s I - K)^2/4s; none in the plane."""
        if self.dim > 1:
            return np.zeros((w.size, 0)), np.zeros(0)
        pairs = -pair_weights(w)
        size = float(np.max(-pairs.sum(axis=1), initial=1.0))
        ones = size * np.eye(len(w))
        core = np.full(2 * len(w), 0.25 * self.strength / size)
        core[len(w) :] *= -1.0
        return np.concatenate([ones + pairs, ones - pairs], axis=1), core

    def stiffness(self, pi: Measure) -> float:
        """Atoms: the largest sum_j weights_j/|x_i - x_j|^2 (Gershgorin). Cells: max rho times sum |Laplace_h of W|."""
        if isinstance(pi, Density):
            return abs(self.strength) * float(pi.values.max()) * LogCells.of(pi.grid).response
        points, weights = pointed(pi)
        return abs(self.strength) * LogSum(points, weights).steepest()


@lru_cache(maxsize=4)
def _at_centres(pi: Density, derivative: int) -> Array:
    """At the cells of a density, asked again for the energy and for the next step; read-only."""
    values = LogCells.of(pi.grid).at_centres(pi.weights, derivative)
    values.flags.writeable = False
    return values
