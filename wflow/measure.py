"""This file owns measures: points with weights, whatever stands behind them (particles, cells, quantiles).

f_pi, F and V[pi] are written once for `points` (m, d) and `weights` (m,). All measures are immutable.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from wflow.arrays import Array, ComplexArray, finite, shaped, weights_of_mass_one
from wflow.domain import Box, Domain
from wflow.errors import LostDensity, Refused
from wflow.grid import Grid
from wflow.ranks import ALONE, Ranks

_BLOCK = 1 << 21


class Measure:
    """A measure on a domain as a solver holds it."""

    if TYPE_CHECKING:  # read-only for the checker; a field or a property in each measure

        @property
        def domain(self) -> Domain:
            """Where the points live."""

        @property
        def points(self) -> Array:
            """Quadrature points (m, d)."""

        @property
        def weights(self) -> Array:
            """Quadrature weights (m,)."""

    @property
    def atomic(self) -> bool:
        """The measure *is* its points: it has no density and no internal energy."""
        return False

    @property
    def mass(self) -> float:
        """Total mass."""
        return float(np.sum(self.weights))

    @property
    def ranks(self) -> Ranks:
        """The ranks between which its points are shared: each holds some. Sums over points go through `ranks.total`."""
        return ALONE

    def whole(self) -> "Measure":
        """With all of its points, on each rank; collective."""
        return self

    def internal(self) -> float:
        """int rho log rho dw; atoms have none and raise."""
        raise Refused(
            f"{type(self).__name__}: atoms have no entropy int rho log rho (it is +infinity); "
            "use a solver with a density or set the temperature to 0"
        )

    def power(self, exponent: float) -> float:
        """int rho^exponent dw; atoms have none and raise."""
        raise Refused(
            f"{type(self).__name__}: atoms have no int rho^{exponent:g} (it is +infinity); use a solver with a density"
        )

    def modes(self, count: int) -> ComplexArray:
        """Moments (count+1,) c_n = int e^{-i n theta} dpi, n = 0..count, of a measure on the circle."""
        return self.ranks.total(circle_modes(self.points[:, 0], self.weights, count))


def circle_modes(theta: Array, weights: Array, count: int) -> ComplexArray:
    """sum_j weights_j e^{-i n theta_j} for n = 0..count, in blocks so that memory stays bounded."""
    out = np.zeros(count + 1, dtype=np.complex128)
    size = max(1, _BLOCK // (count + 1))
    for start in range(0, len(theta), size):
        turn = np.exp(-1j * theta[start : start + size])
        powers = np.empty((count + 1, len(turn)), dtype=np.complex128)
        powers[0] = weights[start : start + size]
        for n in range(count):
            np.multiply(powers[n], turn, out=powers[n + 1])
        out += powers.sum(axis=1)
    return out


def cell_modes(grid: Grid, spectrum: ComplexArray, count: int) -> ComplexArray:
    """Moments (count+1,) of masses at the centres of the circle's cells, from their FFT; 0 at and beyond m/2."""
    out = np.zeros(count + 1, dtype=np.complex128)
    kept = min(count, (grid.size - 1) // 2)
    # the first centre is where the turn begins, at 0 or elsewhere, and half a cell
    first = grid.domain.lower[0] + 0.5 * grid.widths[0]
    out[: kept + 1] = spectrum[: kept + 1] * np.exp(-1j * np.arange(kept + 1) * first)
    return out


@dataclass(frozen=True, eq=False)
class Particles(Measure):
    """sum_j weights_j delta_{points_j}; equal weights by default. Angles may be lifted beyond one turn."""

    domain: Domain
    points: Array
    weights: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        points = shaped("Particles points", self.points, (None, self.domain.dim))
        n = len(points)
        weights = np.full(n, 1.0 / n) if self.weights is None else self.weights
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "weights", weights_of_mass_one("Particles weights", weights, n))

    @property
    def atomic(self) -> bool:
        return True

    def moved(self, points: Array) -> "Particles":
        """The same weights at other points."""
        return Particles(self.domain, points, self.weights)


@dataclass(frozen=True, eq=False)
class SignedParticles(Measure):
    """sum_j weights_j delta_{points_j} with weights of either sign: networks with outer weights as charges."""

    domain: Domain
    points: Array
    weights: Array

    def __post_init__(self) -> None:
        points = shaped("SignedParticles points", self.points, (None, self.domain.dim))
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "weights", shaped("SignedParticles weights", self.weights, (len(points),)))

    @property
    def atomic(self) -> bool:
        return True

    @property
    def total_variation(self) -> float:
        """sum_j |weights_j|."""
        return float(np.sum(np.abs(self.weights)))


@dataclass(frozen=True, eq=False)
class Density(Measure):
    """Cell averages values (m,) on a grid. Each value is nonnegative and the mass is 1 to 1e-9."""

    grid: Grid
    values: Array

    def __post_init__(self) -> None:
        if not isinstance(self.values, np.ndarray) or self.values.dtype != np.float64 or self.values.ndim != 1:
            object.__setattr__(self, "values", shaped("Density values", self.values, (self.grid.size,)))
        # a sum of mass one has finite terms
        if self.values.size != self.grid.size or not (self.least >= 0.0 and abs(self.mass - 1.0) <= 1e-9):
            self._refuse()

    def _refuse(self) -> None:
        values = shaped("Density values", self.values, (self.grid.size,))
        if self.least < 0.0:
            worst = int(np.argmin(values))
            raise ValueError(
                f"Density values: {int(np.sum(values < 0))} of {values.size} cells negative "
                f"(min {values[worst]:.3g} at cell {worst}). Allowed: >= 0. Check the units of the input or the step"
            )
        raise ValueError(
            f"Density values: the mass is {self.mass:.12g}, allowed: 1 to within 1e-9; "
            "values are averages per unit length, divide them by their mass"
        )

    @property
    def domain(self) -> Box:
        return self.grid.domain

    @property
    def points(self) -> Array:
        return self.grid.centres

    @cached_property
    def weights(self) -> Array:
        return self.values * self.grid.cell_volume

    @cached_property
    def mass(self) -> float:
        """Total mass."""
        return float(self.values.sum()) * self.grid.cell_volume

    @cached_property
    def least(self) -> float:
        """The smallest cell average."""
        return float(self.values.min())

    @cached_property
    def logarithms(self) -> Array:
        """(m,) log rho; 0 in an empty cell, where rho log rho is 0."""
        return np.log(self.values if self.least > 0.0 else np.where(self.values > 0.0, self.values, 1.0))

    def merged(self, shape: tuple[int, ...]) -> "Density":
        """Averages over blocks of cells; each entry of `shape` divides the grid's own."""
        return Density(Grid(self.domain, shape), self.grid.block_means(self.values, shape))

    def internal(self) -> float:
        return float(self.values.dot(self.logarithms)) * self.grid.cell_volume

    def power(self, exponent: float) -> float:
        return float(np.sum(self.values**exponent)) * self.grid.cell_volume

    def modes(self, count: int) -> ComplexArray:
        """By FFT where the grid is the circle's; modes at and beyond m/2 are not resolved and set to zero."""
        if not self.domain.is_circle:
            return super().modes(count)
        return cell_modes(self.grid, self._spectrum, count)

    @cached_property
    def _spectrum(self) -> ComplexArray:
        """(m//2 + 1,) FFT of the weights."""
        return np.fft.rfft(self.weights)


@dataclass(frozen=True, eq=False)
class Quantiles(Measure):
    """Equal mass between neighbouring edges, uniformly spread: a density that moves with its mass (one axis).

    Line: m+1 increasing edges.   Circle: m lifted increasing edges, the last gap closes the turn:

        x0 --1/m-- x1 --1/m-- x2 ... x_{m-1} --1/m-- (x0 + 2 pi)

    `points` are the edges with trapezoidal weights: the mean is exact, other moments to O(gap^2).
    """

    domain: Domain
    edges: Array

    def __post_init__(self) -> None:
        edges = shaped("Quantiles edges", self.edges, (None,))
        object.__setattr__(self, "edges", edges)
        if self.domain.dim != 1:
            raise Refused(f"Quantiles: the domain has {self.domain.dim} axes, quantiles need one; use particles")
        if len(edges) < 3:
            raise ValueError(f"Quantiles edges: {len(edges)} edges are too few; give at least 3")
        if np.any(self.gaps <= 0.0):
            worst = int(np.argmin(self.gaps))
            raise LostDensity(
                f"Quantiles edges: not increasing at gap {worst} ({self.gaps[worst]:.3g}); "
                "sort the edges, or shorten the step that crossed them"
            )

    @cached_property
    def gaps(self) -> Array:
        """(m,) distances of neighbouring edges."""
        if self.domain.periodic[0]:
            return np.diff(self.edges, append=self.edges[0] + self.domain.lengths[0])
        return np.diff(self.edges)

    @cached_property
    def points(self) -> Array:
        return self.edges[:, None]

    @cached_property
    def weights(self) -> Array:
        return _trapezoidal(len(self.gaps), self.domain.periodic[0])

    def internal(self) -> float:
        """int rho log rho = -mean log(m gap): exact for the piecewise constant density."""
        return -float(np.mean(np.log(len(self.gaps) * self.gaps)))

    def power(self, exponent: float) -> float:
        """int rho^exponent = mean (m gap)^(1 - exponent): exact for the piecewise constant density."""
        return float(np.mean((len(self.gaps) * self.gaps) ** (1.0 - exponent)))

    def modes(self, count: int) -> ComplexArray:
        """Asked for V, its derivatives and F of one measure: kept for the last two; read-only."""
        return _modes_of_edges(self, count)

    def moved(self, edges: Array) -> "Quantiles":
        """Other edges on the same domain."""
        return Quantiles(self.domain, finite("Quantiles edges", edges))


@lru_cache(maxsize=16)
def _trapezoidal(m: int, closed: bool) -> Array:
    """Weights of the edges of m gaps; shared, hence read-only."""
    weights = np.full(m if closed else m + 1, 1.0 / m)
    if not closed:
        weights[[0, -1]] = 0.5 / m
    weights.flags.writeable = False
    return weights


@lru_cache(maxsize=2)
def _modes_of_edges(pi: Quantiles, count: int) -> ComplexArray:
    modes = circle_modes(pi.edges, pi.weights, count)
    modes.flags.writeable = False
    return modes
