"""This file owns zonal laws on the sphere, whose density depends on the height z = w . axis alone.

rho(w) = p(z)/2 pi with p the density of z on [-1, 1]; the angle round the axis is uniform and independent of z. By the
addition theorem int Y_lm drho = Y_lm(axis) int P_l(z) p(z) dz for every spherical harmonic of mean square 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.legendre import legder, legroots, legval

from wflow.arrays import Array, ComplexArray, count, finite, shaped
from wflow.domain import Domain, interval
from wflow.harmonics import gauss_legendre, legendre, moments
from wflow.law import Atoms, ClosedForm, Law, Uniform
from wflow.measure import Measure
from wflow.shapes import Sphere, sphere

Direction = tuple[float, float, float]
NORTH: Direction = (0.0, 0.0, 1.0)
_NODES = 400
_PARTS = 4000
_NEGATIVE = -1e-12


class Zonal(Law):
    """The law on S^2 whose heights z = w . axis have the law `heights` on [-1, 1]. The axis has length 1."""

    if TYPE_CHECKING:  # read-only for the checker; a field or a property in each law

        @property
        def heights(self) -> Law:
            """The law of w . axis on [-1, 1]."""

        @property
        def axis(self) -> Direction:
            """A unit vector."""

    @property
    def domain(self) -> Sphere:
        """S^2."""
        return sphere()

    @property
    def has_quantised(self) -> bool:
        return True

    @property
    def direction(self) -> Array:
        """The axis (3,)."""
        return np.asarray(self.axis)

    def density(self, w: Array) -> Array:
        """p(w . axis)/2 pi."""
        z = np.clip(w @ self.direction, -1.0, 1.0)
        return np.asarray(self.heights.density(z[:, None]) / (2.0 * math.pi))

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        """Heights by the inverse of their cdf, angles uniform: exact."""
        s, turns = rng.random((2, count("m", m)))
        return self.domain.turned(self.heights.quantile(s), 2.0 * math.pi * turns, self.direction)

    def quantised(self, m: int) -> Array:
        """Heights of the quantiles (j + 1/2)/m from the top, a golden angle apart: about m^(-1/2) in W2."""
        s = (np.arange(count("m", m)) + 0.5) / m
        return self.domain.spiral(self.heights.quantile(s)[::-1], self.direction)

    def moments(self, degree: int) -> Array:
        """(degree+1,) int P_l(w . axis) drho, by Gauss-Legendre with 400 nodes: for smooth p exact to rounding."""
        nodes, weights = gauss_legendre(max(_NODES, 2 * degree))
        return legendre(nodes, degree) @ (weights * self.heights.density(nodes[:, None]))


@dataclass(frozen=True, eq=False)
class ZonalDensity(Zonal):
    """rho(w) = (1 + sum_l h_l P_l(w . axis))/4 pi from modes {l: h_l}, l >= 1. The axis is scaled to length 1.

    Raises ValueError for other degrees, and where rho would be negative.
    """

    modes: Mapping[int, float]
    axis: Direction = NORTH

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", _checked(self.modes))
        object.__setattr__(self, "axis", _unit(self.axis))
        _nonnegative(self.modes, self._series)

    @cached_property
    def heights(self) -> Law:
        """p(z) = (1 + sum h_l P_l(z))/2."""
        h = self._series
        return ClosedForm(interval(-1.0, 1.0), lambda z: np.asarray(0.5 * legval(z, h)), lambda z: _cdf(h, z))

    @cached_property
    def _series(self) -> Array:
        """(L+1,) 1, h_1, .., h_L."""
        h = np.zeros(max(self.modes, default=0) + 1)
        h[0] = 1.0
        for degree, amplitude in self.modes.items():
            h[degree] = amplitude
        return h

    def moments(self, degree: int) -> Array:
        """h_l/(2l + 1), exact."""
        kept = self._series[: degree + 1]
        out = np.zeros(degree + 1)
        out[: len(kept)] = kept / (2.0 * np.arange(len(kept)) + 1.0)
        return out


@dataclass(frozen=True, eq=False)
class Drifted(Zonal):
    """The image of a zonal law under the conformal flow of V = -w . axis for the time t: tan(theta/2) shrinks by e^-t.

    theta' = -sin theta, so with E = e^{-2t} heights move to z = (1 + z_0 - E (1 - z_0))/(1 + z_0 + E (1 - z_0)), and
    p_t(z) = p(z_0) dz_0/dz, dz_0/dz = 4E/(1 - z + E (1 + z))^2: exact. A strength s of V: t becomes s t.
    """

    start: Zonal
    time: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", float(finite("Drifted time", self.time)))

    @property
    def axis(self) -> Direction:
        """That of the start."""
        return self.start.axis

    @cached_property
    def heights(self) -> Law:
        """The image of those of the start."""
        return _DriftedHeights(self.start.heights, self.time)

    def moments(self, degree: int) -> Array:
        """By Gauss-Legendre in z_0, where the density is that of the start however long the flow has squeezed it."""
        nodes, weights = gauss_legendre(max(_NODES, 2 * degree))
        here = drifted_heights(nodes, self.time)
        return legendre(here, degree) @ (weights * self.start.heights.density(nodes[:, None]))


def drifted_heights(heights: Array, time: float) -> Array:
    """w . axis (m,) after the conformal flow of V = -w . axis for a time of either sign."""
    up, down = 0.5 * (1.0 + heights) * math.exp(min(time, 0.0) * 2.0), 0.5 * (1.0 - heights)
    down = down * math.exp(-2.0 * max(time, 0.0))
    return np.asarray((up - down) / (up + down))


@dataclass(frozen=True, eq=False)
class _DriftedHeights(Law):
    """The law of z on [-1, 1] after the flow."""

    before: Law
    time: float

    @property
    def domain(self) -> Domain:
        return self.before.domain

    def density(self, w: Array) -> Array:
        z = w[:, 0]
        fade = math.exp(-2.0 * abs(self.time))
        near, far = (1.0 - z, 1.0 + z) if self.time > 0.0 else (1.0 + z, 1.0 - z)
        stretch = 4.0 * fade / (near + fade * far) ** 2
        return np.asarray(self.before.density(drifted_heights(z, -self.time)[:, None]) * stretch)

    def cdf(self, w: Array) -> Array:
        return self.before.cdf(drifted_heights(np.asarray(w), -self.time))

    def quantile(self, s: Array) -> Array:
        return drifted_heights(self.before.quantile(s), self.time)


def harmonic_moments(pi: Measure | Law, degree: int) -> ComplexArray:
    """(L+1, L+1) int (Y_lm + i Y_l,-m) dpi: sums over points; of zonal and uniform laws in closed form.

    Other laws raise TypeError.
    """
    if isinstance(pi, Measure):
        return pi.ranks.total(moments(pi.points, pi.weights, degree))
    if isinstance(pi, Atoms):
        return moments(pi.points, np.asarray(pi.weights), degree)
    if isinstance(pi, Uniform):
        out = np.zeros((degree + 1, degree + 1), dtype=np.complex128)
        out[0, 0] = 1.0
        return out
    if isinstance(pi, Zonal):
        return np.asarray(moments(pi.direction[None], np.ones(1), degree) * pi.moments(degree)[:, None])
    raise TypeError(f"harmonic moments: {type(pi).__name__} has none that are known; give a measure or a zonal law")


def coaxial(a: Measure | Law, b: Measure | Law) -> bool:
    """Two laws of the sphere that depend on the height about one axis alone; a uniform law does about every axis."""
    pair = [pi for pi in (a, b) if isinstance(pi, Zonal) or (isinstance(pi, Uniform) and isinstance(pi.domain, Sphere))]
    axes = {pi.axis for pi in pair if isinstance(pi, Zonal)}
    return len(pair) == 2 and len(axes) <= 1


def w2_along_meridians(a: Law, b: Law) -> float:
    """W2 of coaxial laws, (int_0^1 |theta_a(s) - theta_b(s)|^2 ds)^(1/2) with theta(s) the quantiles of polar angles.

    Moving along meridians is optimal (proved): the potentials of the one-dimensional problem, as functions of the polar
    angle, are dual feasible on the sphere, where the angle between two points is at least the difference of theirs.
    By the midpoint rule in u, s = sin^2(pi u/2), for which theta is smooth at the poles where the densities are
    positive; an error of about 1e-7 elsewhere.
    """
    u = (np.arange(_PARTS) + 0.5) / _PARTS
    s = np.sin(0.5 * math.pi * u) ** 2
    apart = np.subtract(*(np.arccos(np.clip(_heights(pi).quantile(s), -1.0, 1.0)) for pi in (a, b)))
    return math.sqrt(float(np.mean(apart**2 * 0.5 * math.pi * np.sin(math.pi * u))))


def _heights(law: Law) -> Law:
    return law.heights if isinstance(law, Zonal) else Uniform(interval(-1.0, 1.0))


def _cdf(h: Array, z: Array) -> Array:
    """(1 + z)/2 + sum_l h_l (P_l+1 - P_l-1)(z)/(2 (2l + 1)), by (2l + 1) P_l = (P_l+1 - P_l-1)'."""
    p = legendre(np.clip(np.ravel(z), -1.0, 1.0), len(h))
    l = np.arange(1, len(h))  # noqa: E741
    total = 0.5 * (1.0 + p[1]) + (0.5 * h[1:] / (2.0 * l + 1.0)) @ (p[2:] - p[:-2])
    return np.asarray(np.reshape(np.clip(total, 0.0, 1.0), np.shape(z)))


def _unit(axis: Direction) -> Direction:
    direction = shaped("axis", axis, (3,))
    length = float(np.linalg.norm(direction))
    if not length > 0.0:
        raise ValueError(f"axis: {direction.tolist()} points nowhere; give a vector that is not 0")
    x, y, z = (direction / length).tolist()
    return x, y, z


def _checked(modes: Mapping[int, float]) -> dict[int, float]:
    if not isinstance(modes, Mapping) or not all(isinstance(l, int) for l in modes):  # noqa: E741
        raise TypeError(f"modes: {modes!r} is not a mapping from degrees to amplitudes; give e.g. {{1: 0.5, 2: 0.3}}")
    if any(degree < 1 for degree in modes):
        raise ValueError(f"modes: {dict(modes)} has a degree below 1; degree 0 is the mass")
    return {int(degree): float(finite(f"modes[{degree}]", h)) for degree, h in modes.items()}


def _nonnegative(modes: Mapping[int, float], h: Array) -> None:
    """ValueError where the series dips below 0: looked for at its ends and where its slope vanishes."""
    slope = legder(h)
    flat = legroots(np.trim_zeros(slope, "b")) if np.any(slope) else np.zeros(0)
    z = np.concatenate([[-1.0, 1.0], np.clip(np.real(flat[np.abs(np.imag(flat)) < 1e-6]), -1.0, 1.0)])
    lowest = float(legval(z, h).min())
    if lowest < _NEGATIVE:
        where = float(z[int(np.argmin(legval(z, h)))])
        raise ValueError(
            f"modes: {dict(modes)} makes the density negative, 1 + sum h_l P_l(z) = {lowest:.4g} at z = {where:.3g}; "
            "scale the amplitudes down (sum |h_l| <= 1 is always enough)"
        )
