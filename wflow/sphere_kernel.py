"""This file owns kernels k(w . w') of closed population risks on the sphere S^2.

k = sum_l a_l P_l(w . w') = sum_l a_l/(2l + 1) sum_m Y_lm(w) Y_lm(w'). Smooth kernels use a measure by its
spherical-harmonic moments, finitely many; that of relu by its closed form over pairs of points. Laws enter by their
moments in both. Derivatives are tangential gradients (m, 3) and Riemannian Hessians (m, 3, 3) on tangent vectors.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import legder, legval

from wflow.activation import Activation
from wflow.arc_sums import arc_sums
from wflow.arrays import Array, shaped
from wflow.harmonics import convolved, gradients, restricted, series
from wflow.kernel import Kernel
from wflow.law import Atoms, Law, Uniform
from wflow.measure import Measure
from wflow.shapes import Sphere, sphere
from wflow.sphere_spectrum import SphereInputs, sphere_coefficients
from wflow.zonal import Zonal, harmonic_moments

COUPLED_DEGREES = 8
_SMOOTH_DEGREES = 96
_LAW_DEGREES = 128
_RESOLVED = 1e-12
_RELATIVE = 1e-17


class _OnSphere:
    """What kernels on S^2 share."""

    by_moments = False

    @property
    def names(self) -> tuple[str, ...]:
        """Coordinates of a unit vector."""
        return ("neuron w_1", "neuron w_2", "neuron w_3")

    @property
    def domain(self) -> Sphere:
        """S^2."""
        return sphere()

    def coefficients(self, count: int) -> Array:
        """a_0..a_count."""
        raise NotImplementedError

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """Tangential gradients of Y_lm (3 m, q) with core a_l/(2l + 1), l <= 8."""
        a = self.coefficients(COUPLED_DEGREES)
        factor, l = gradients(w, COUPLED_DEGREES)  # noqa: E741
        core = (a / (2.0 * np.arange(len(a)) + 1.0))[l]
        return factor.reshape(3 * len(w), -1)[:, core != 0.0], core[core != 0.0]


@dataclass(frozen=True, eq=False)
class LegendreKernel(_OnSphere):
    """A smooth kernel, sum_l a_l P_l(w . w'), by its coefficients (L+1,) with a tail below rounding."""

    degrees: Array
    by_moments = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "degrees", shaped("LegendreKernel degrees", self.degrees, (None,)))

    def coefficients(self, count: int) -> Array:
        """a_0..a_count, zero beyond L."""
        out = np.zeros(count + 1)
        kept = min(count + 1, len(self.degrees))
        out[:kept] = self.degrees[:kept]
        return out

    @property
    def jumps(self) -> float:
        """None: a polynomial."""
        return math.inf

    @property
    def convex(self) -> bool:
        """Every a_l >= 0, to rounding."""
        return bool(np.all(self.degrees >= -1e-15 * np.max(np.abs(self.degrees))))

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """Exact for the moments of pi up to L: O(m L^2)."""
        if isinstance(pi, Uniform | Zonal):
            return _against_law(self.degrees, pi, w, derivative)
        points, weights = _pointed(pi)
        if isinstance(pi, Measure) and pi.ranks.size > 1:
            return series(self._shares[:, None] * harmonic_moments(pi, len(self.degrees) - 1), w, derivative)
        return convolved(self._shares, points, weights, w, derivative)

    def double(self, pi: Measure | Law) -> float:
        """sum_l a_l/(2l + 1) sum_m |c_lm|^2."""
        return float(self._shares @ np.sum(np.abs(harmonic_moments(pi, len(self.degrees) - 1)) ** 2, axis=1))

    @property
    def _shares(self) -> Array:
        return np.asarray(self.degrees / (2.0 * np.arange(len(self.degrees)) + 1.0))


@dataclass(frozen=True, eq=False)
class ArcCosineKernel(_OnSphere):
    """strength kappa(angle(w, w')) + linear w . w', kappa of wflow.arc_sums: relu and leaky relu.

    spectrum(count) gives a_0..a_count. Measures and atoms by sums over pairs, O(m n): exact for their points.
    """

    strength: float
    linear: float
    spectrum: Callable[[int], Array]

    def coefficients(self, count: int) -> Array:
        """a_0..a_count in closed form."""
        return self.spectrum(count)

    @property
    def jumps(self) -> float:
        """k ~ 1/2 - phi^2/4 + |phi|^3/6 pi: its third derivative jumps where two neurons pass each other."""
        return 3.0

    @property
    def convex(self) -> bool:
        """Every a_l = (2l + 1) E mu_l^2 is a mean square."""
        return True

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """Points exactly; laws by a_l and their moments, l <= 128."""
        if isinstance(pi, Uniform | Zonal):
            return _against_law(self.coefficients(_LAW_DEGREES), pi, w, derivative)
        points, weights = _pointed(pi)
        total = self.strength * arc_sums(points, weights, w, derivative)
        if not self.linear:
            return total
        mean = self.linear * (weights @ points)
        jet = (w @ mean, np.broadcast_to(mean, w.shape), np.zeros((len(w), 3, 3)))
        return np.asarray(total + restricted(w, *jet[: derivative + 1]))

    def double(self, pi: Measure | Law) -> float:
        """int (k * pi) dpi for points, sum_l a_l m_l^2 for laws with moments m_l about their axis."""
        if isinstance(pi, Uniform | Zonal):
            return float(self.coefficients(_LAW_DEGREES) @ _heights(pi, _LAW_DEGREES) ** 2)
        points, weights = _pointed(pi)
        return float(weights @ self.against(pi, points, 0))


def _pointed(pi: Measure | Law) -> tuple[Array, Array]:
    if not isinstance(pi, Measure | Atoms):
        raise TypeError(f"sphere kernel: {type(pi).__name__} is no measure and no zonal law; sample it first")
    return pi.points, np.asarray(pi.weights)


def _heights(pi: Uniform | Zonal, degree: int) -> Array:
    """(degree+1,) int P_l(w . axis) dpi."""
    return pi.moments(degree) if isinstance(pi, Zonal) else np.eye(1, degree + 1)[0]


def _against_law(a: Array, pi: Uniform | Zonal, w: Array, derivative: int) -> Array:
    """f(w . axis), f = sum_l a_l m_l P_l (addition theorem): gradient f' u, Hessian f'' u u^T - f' z P, u = P axis."""
    c = np.trim_zeros(a * _heights(pi, len(a) - 1), "b")
    c = c if len(c) else np.zeros(1)
    axis = pi.direction if isinstance(pi, Zonal) else np.array([0.0, 0.0, 1.0])
    if len(c) == 1:  # as of a uniform target
        return np.full((len(w),) + (3,) * derivative, c[0] if derivative == 0 else 0.0)
    z = w @ axis
    value, slope, bend = (np.asarray(legval(z, legder(c, j)), dtype=np.float64) for j in range(3))
    jet = value, slope[:, None] * axis, bend[:, None, None] * np.outer(axis, axis)
    return restricted(w, *jet[: derivative + 1])


def sphere_kernel(sigma: Activation, inputs: SphereInputs) -> Kernel:
    """The kernel of sigma(x . w) on S^2 for x ~ N(0, I_3) ("gaussian") or uniform on S^2 ("sphere").

    relu without threshold and leaky relu: closed form. Smooth sigma: Legendre coefficients, cut where they fall below
    1e-17 of the largest.
    Raises ValueError for inputs of another name, other activations with kinks, and those that are not resolved by 96
    degrees to 1e-12 of the largest coefficient.
    """
    if inputs not in ("gaussian", "sphere"):
        raise ValueError(f"inputs: unknown law {inputs!r}; known: gaussian (N(0, I_3)), sphere (uniform on S^2)")
    if (sigma.name == "relu" and sigma.parameter is None) or sigma.name == "leaky_relu":
        return _arc_cosine(sigma, inputs)
    if sigma.kinks:
        raise ValueError(
            f"activation: the kernel of {sigma}, which has a kink, is not known in closed form on the sphere; "
            "give relu (b = 0), leaky_relu or a smooth activation such as cos_minus_sin"
        )
    a = sphere_coefficients(sigma, inputs, _SMOOTH_DEGREES)
    if a[-8:].max() > _RESOLVED * a.max():
        raise ValueError(
            f"activation b: {sigma} needs more than {_SMOOTH_DEGREES} degrees (the last ones are "
            f"{a[-8:].max() / a.max():.1e} of the largest, allowed: {_RESOLVED:g}); give a smaller |b|"
        )
    return LegendreKernel(a[: int(np.flatnonzero(a > _RELATIVE * a.max()).max()) + 1])


def _arc_cosine(sigma: Activation, inputs: SphereInputs) -> ArcCosineKernel:
    """leak z + (1 - leak) max(z, 0) = (1 + leak) z/2 + (1 - leak) |z|/2: relu's kernel with another linear part."""
    from wflow.activation import relu

    leak = (sigma.parameter or 0.0) if sigma.name == "leaky_relu" else 0.0
    length = 1.0 if inputs == "gaussian" else 1.0 / 3.0

    def spectrum(count: int) -> Array:
        a = sphere_coefficients(relu(), inputs, count) * (1.0 - leak) ** 2
        a[1:2] += leak * length
        return a

    return ArcCosineKernel((1.0 - leak) ** 2 * length, leak * length, spectrum)
