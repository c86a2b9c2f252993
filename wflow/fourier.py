"""This file owns densities on the circle known by their Fourier coefficients: laws that are also measures."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from wflow.arrays import Array, ComplexArray
from wflow.domain import TURN, Box, circle
from wflow.errors import LostDensity
from wflow.law import Law
from wflow.measure import Measure

NEGATIVE = -1e-9
_OFF = 1e-15
_INVERSIONS = 60


@lru_cache(maxsize=64)
def circle_nodes(n: int) -> Array:
    """(n, 1) equispaced angles from 0; one shared, read-only array a size, so that `is` recognises it."""
    nodes = (TURN * np.arange(n) / n)[:, None]
    nodes.flags.writeable = False
    return nodes


@dataclass(frozen=True, eq=False)
class FourierDensity(Law, Measure):
    """rho(theta) = (1/2 pi) sum_{|n| <= N} c_n e^{i n theta}, c_n = int e^{-i n theta} dpi, c_0 = 1.

    coefficients: (N+1,) complex c_0..c_N. Raises LostDensity where rho falls below -1e-9: it is not a law.
    As a measure: quadrature on 4N or more equispaced nodes, exact for trigonometric polynomials of degree 3N.
    """

    coefficients: ComplexArray

    def __post_init__(self) -> None:
        raw = np.atleast_1d(np.asarray(self.coefficients))
        if raw.dtype.kind not in "iufc":
            raise TypeError(f"FourierDensity coefficients: {raw.dtype} is not a number type; give c_0..c_N")
        c = raw.astype(np.complex128)
        if c.ndim != 1 or not np.all(np.isfinite(c)):
            raise ValueError(
                f"FourierDensity coefficients: shape {c.shape}, {int(np.sum(~np.isfinite(c)))} not finite; "
                "give a one-dimensional array of finite numbers c_0..c_N"
            )
        if abs(c[0] - 1.0) > 1e-9:
            raise ValueError(f"FourierDensity coefficients: c_0 = {c[0]:.12g} is the mass, allowed: 1 to within 1e-9")
        object.__setattr__(self, "coefficients", c)
        lowest = float(np.min(self.nodal))
        if lowest < NEGATIVE:
            where = float(self.points[int(np.argmin(self.nodal)), 0])
            raise LostDensity(
                f"FourierDensity: the density is {lowest:.3g} at angle {where:.4f}, allowed: >= {NEGATIVE}; "
                "use more modes, a shorter step, or smaller coefficients (sum |h_n| <= 1 is enough)"
            )

    @classmethod
    def cosines(cls, modes: dict[int, float]) -> "FourierDensity":
        """(1 + sum_n h_n cos n theta) / (2 pi) from {n: h_n}."""
        c = np.zeros(max(modes, default=0) + 1, dtype=np.complex128)
        c[0] = 1.0
        for n, h in modes.items():
            c[n] += 0.5 * h
        return cls(c)

    @property
    def domain(self) -> Box:
        """The circle."""
        return circle()

    @property
    def degree(self) -> int:
        """N, the highest mode."""
        return len(self.coefficients) - 1

    @property
    def points(self) -> Array:
        return circle_nodes(max(64, 4 * self.degree))

    @cached_property
    def nodal(self) -> Array:
        """Density (m,) at `points`, by FFT."""
        return series_at_nodes(self.coefficients / TURN, len(self.points))

    @cached_property
    def weights(self) -> Array:
        return self.nodal * (TURN / len(self.points))

    @property
    def mass(self) -> float:
        return float(self.coefficients[0].real)

    def internal(self) -> float:
        filled = self.nodal[self.nodal > 0.0]
        return float(np.sum(filled * np.log(filled)) * TURN / len(self.points))

    def power(self, exponent: float) -> float:
        return float(np.sum(np.maximum(self.nodal, 0.0) ** exponent) * TURN / len(self.points))

    def modes(self, count: int) -> ComplexArray:
        out = np.zeros(count + 1, dtype=np.complex128)
        kept = min(count, self.degree) + 1
        out[:kept] = self.coefficients[:kept]
        return out

    def density(self, w: Array) -> Array:
        return series(self.coefficients / TURN, w[:, 0])

    def cdf(self, w: Array) -> Array:
        """theta/2 pi + Re sum_{n>=1} c_n (e^{i n theta} - 1) / (i n pi)."""
        n = np.arange(1, self.degree + 1)
        primitive = self.coefficients[1:] / (2j * np.pi * n)
        w = np.asarray(w, dtype=np.float64)
        rise = series(np.concatenate([[0.0], primitive]), w) - 2.0 * np.sum(primitive.real)
        return np.asarray(w / TURN + rise)

    def quantile(self, s: Array) -> Array:
        """Lifted angles (m,) with mass s to their left, to rounding of the mass: Newton's steps from a table.

        A step that leaves its bracket, or where the density is 0, is a bisection instead.
        """
        turns = np.floor(s)
        mass, (nodes, known) = np.ravel(s - turns), self._table
        cell = np.clip(np.searchsorted(known, mass, side="left") - 1, 0, len(nodes) - 2)
        low, high, x = nodes[cell], nodes[cell + 1], np.interp(mass, known, nodes)
        left = np.arange(len(mass))
        for _ in range(_INVERSIONS):
            at = x[left]
            off = self.cdf(at) - mass[left]
            unsettled = np.abs(off) > _OFF
            left, at, off = left[unsettled], at[unsettled], off[unsettled]
            if not len(left):
                break
            low[left], high[left] = np.where(off < 0.0, at, low[left]), np.where(off < 0.0, high[left], at)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ahead = at - off / self.density(at[:, None])
            inside = (ahead > low[left]) & (ahead < high[left])
            x[left] = np.where(inside, ahead, 0.5 * (low[left] + high[left]))
        return np.asarray(turns * TURN + x.reshape(np.shape(s)))

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """Nodes of a whole turn (n,) and the masses to their left, which do not fall."""
        nodes = np.append(self.points[:, 0], TURN)
        known = np.maximum.accumulate(self.cdf(nodes))
        known[0], known[-1] = 0.0, 1.0
        return nodes, np.minimum(known, 1.0)


def series(coefficients: ComplexArray, theta: Array) -> Array:
    """Re(c_0 + 2 sum_{n>=1} c_n e^{i n theta}) at any angles (m,), by Horner's rule."""
    turn = np.exp(1j * np.asarray(theta))
    total = np.zeros_like(turn)
    for c in coefficients[:0:-1]:
        total = (total + c) * turn
    return np.asarray(coefficients[0].real + 2.0 * total.real)


def series_at_nodes(coefficients: ComplexArray, nodes: int, offset: float = 0.0) -> Array:
    """The same series at `nodes` equispaced angles from `offset`; more than 2N nodes, by FFT."""
    n = np.arange(len(coefficients))
    padded = np.zeros(nodes // 2 + 1, dtype=np.complex128)
    kept = min(len(padded), len(coefficients))
    padded[:kept] = (coefficients * np.exp(1j * n * offset))[:kept]
    return np.fft.irfft(padded, nodes, norm="forward")
