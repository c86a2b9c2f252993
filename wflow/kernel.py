"""This file owns kernels k(w, w') of closed population risks, on the circle: k(w, w') = k(w - w').

The kernel decides how a measure is used. Modes: exactly, sum_n a_n Re(c_n e^{i n w}). Atoms against a kinked kernel:
exactly, by prefix sums over the sorted angles (wflow.piecewise).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, ComplexArray, shaped
from wflow.circle_series import circle_modes_of, series
from wflow.domain import TURN, Box, Domain, circle
from wflow.fourier import FourierDensity
from wflow.law import Atoms, Law
from wflow.measure import Density, Measure
from wflow.piecewise import differentiated, relu_pieces, sawtooth_pieces, sums_over_atoms
from wflow.signed_density import SignedDensity
from wflow.spectrum import Inputs, kernel_coefficients

COUPLED_MODES = 32
_SMOOTH_MODES = 256
_RESOLVED = 1e-12
_KINKED_MODES = 512
_LAW_MODES = 256


class Kernel(Protocol):
    """A symmetric kernel; of a risk positive semidefinite, so that the risk is convex along mixtures."""

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """d^j/dw^j int k(w, .) dpi at w (m, d): (m,), (m, d) or (m, d, d) for j = 0, 1, 2."""

    def double(self, pi: Measure | Law) -> float:
        """int int k dpi dpi."""

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """factor (m d, q) and core (q,) of d_w d_w' k = factor diag(core) factor^T, possibly truncated."""

    @property
    def jumps(self) -> float:
        """The lowest derivative of k(w, .) that jumps where moving neurons pass each other or a kink; inf: none."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the d parameters are called."""

    @property
    def domain(self) -> Domain:
        """Where w and w' live."""

    @property
    def convex(self) -> bool:
        """Positive semidefinite on measures of mass 0."""

    @property
    def by_moments(self) -> bool:
        """A measure enters by finitely many moments, which ranks that share it add up; else by pairs of points."""


def _shaped(values: Array, derivative: int) -> Array:
    return values.reshape((len(values),) + (1,) * derivative)


@dataclass(frozen=True, eq=False)
class FourierKernel:
    """A smooth kernel, sum_n a_n cos n theta, by its coefficients (N+1,) with a tail below rounding."""

    modes: Array
    by_moments = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", shaped("FourierKernel modes", self.modes, (None,)))

    def coefficients(self, count: int) -> Array:
        """a_0..a_count, zero beyond N."""
        out = np.zeros(count + 1)
        kept = min(count + 1, len(self.modes))
        out[:kept] = self.modes[:kept]
        return out

    @property
    def jumps(self) -> float:
        """None: a finite sum of cosines."""
        return math.inf

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """Exact for the modes of pi up to N."""
        c = circle_modes_of(pi, len(self.modes) - 1)
        return _shaped(series(self.modes, c, w, derivative), derivative)

    def double(self, pi: Measure | Law) -> float:
        """sum_n a_n |c_n|^2."""
        return float(self.modes @ np.abs(circle_modes_of(pi, len(self.modes) - 1)) ** 2)

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """Columns cos n w, sin n w with core n^2 a_n."""
        return _cosines(w, np.arange(len(self.modes)) ** 2 * self.modes)

    @property
    def names(self) -> tuple[str, ...]:
        """An angle."""
        return ("angle (radian)",)

    @property
    def domain(self) -> Box:
        """The circle."""
        return circle()

    @property
    def convex(self) -> bool:
        """Every a_n >= 0, to rounding."""
        return bool(np.all(self.modes >= -1e-15 * np.max(np.abs(self.modes))))


def _cosines(w: Array, core: Array) -> tuple[Array, Array]:
    n = np.flatnonzero(core)
    turn = np.exp(1j * w[:, 0])
    waves = np.ones((int(n[-1]) + 1 if len(n) else 1, len(turn)), dtype=np.complex128)
    for k in range(1, len(waves)):  # a product instead of a sine and a cosine
        np.multiply(waves[k - 1], turn, out=waves[k])
    sines = n[n > 0]
    return np.concatenate([waves.real[n], waves.imag[sines]]).T, np.concatenate([core[n], core[sines]])


@dataclass(frozen=True, eq=False)
class PiecewiseKernel:
    """A kernel with kinks: between breaks (S+1,) of [0, 2 pi] it is Re sum_{r,n} parts[s, r, n] theta^r e^{i n theta}.

    parts: (S, 3, 2) complex.   spectrum(count) gives a_0..a_count in closed form; densities and laws are used by
    their modes.   core: coefficients of the regular part of -k'' for `coupling`.
    Where a derivative jumps its value is the mean of both sides: a particle does not push itself.
    """

    breaks: Array
    parts: ComplexArray
    spectrum: Callable[[int], Array]
    core: Array
    jumps: float = math.inf
    by_moments = False

    def coefficients(self, count: int) -> Array:
        """a_0..a_count in closed form."""
        return self.spectrum(count)

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """Atoms and quantile points by prefix sums, exactly; densities and laws by their modes."""
        if isinstance(pi, FourierDensity | Density | SignedDensity) or (
            isinstance(pi, Law) and not isinstance(pi, Atoms)
        ):
            count = pi.degree if isinstance(pi, FourierDensity) else _modes_kept(pi)
            values = series(self.coefficients(count), circle_modes_of(pi, count), w, derivative)
            return _shaped(values, derivative)
        return _shaped(self.jet(pi, w[:, 0], (derivative,))[0], derivative)

    def jet(self, atoms: Atoms | Measure, theta: Array, derivatives: Sequence[int]) -> list[Array]:
        """Several derivatives of the sum over atoms at once, at angles (m,): their prefix sums are the same."""
        return sums_over_atoms(
            self.breaks, [self._derivatives[j] for j in derivatives], atoms.points[:, 0], atoms.weights, theta
        )

    @cached_property
    def _derivatives(self) -> tuple[ComplexArray, ...]:
        """The pieces of k, k' and k''."""
        slope = differentiated(self.parts)
        return self.parts, slope, differentiated(slope)

    def double(self, pi: Measure | Law) -> float:
        """int (k * pi) dpi for points and atoms, as `against` takes them; sum_n a_n |c_n|^2 for modes."""
        if isinstance(pi, Atoms) or (
            isinstance(pi, Measure) and not isinstance(pi, FourierDensity | Density | SignedDensity)
        ):
            return float(pi.weights @ self.against(pi, pi.points, 0))
        count = pi.degree if isinstance(pi, FourierDensity) else _modes_kept(pi)
        return float(self.coefficients(count) @ np.abs(circle_modes_of(pi, count)) ** 2)

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """Columns cos n w, sin n w with the low coefficients of -k''."""
        return _cosines(w, self.core)

    @property
    def names(self) -> tuple[str, ...]:
        """An angle."""
        return ("angle (radian)",)

    @property
    def domain(self) -> Box:
        """The circle."""
        return circle()

    @property
    def convex(self) -> bool:
        """Every a_n = 2 E mu_n^2 is a mean square."""
        return True

    def value(self, theta: Array) -> Array:
        """k(theta) at angles (m,), for tests and pictures."""
        return sums_over_atoms(self.breaks, [self.parts], np.zeros(1), np.ones(1), theta)[0]


def _modes_kept(pi: Measure | Law) -> int:
    return (pi.grid.size - 1) // 2 if isinstance(pi, Density | SignedDensity) else _LAW_MODES


def sawtooth_kernel() -> PiecewiseKernel:
    """k = sum_{n>=1} cos(n theta)/(pi n^2) = ((pi - theta)^2/2 - pi^2/6)/(2 pi) on [0, 2 pi]: -k'' = delta - 1/2pi."""

    @lru_cache(maxsize=32)
    def spectrum(count: int) -> Array:
        n = np.arange(1, count + 1)
        return np.concatenate([[0.0], 1.0 / (math.pi * n**2)])

    # k' jumps where two neurons meet, which on one axis they never do: `jumps` stays inf
    return PiecewiseKernel(*sawtooth_pieces(), spectrum, core=np.array([-1.0 / TURN]))


def relu_kernel(threshold: float, inputs: Inputs, leak: float = 0.0) -> PiecewiseKernel:
    """The kernel of max(z - b, 0), |b| < 1 (b = 0 for Gaussian x); with a leak, of leak z + (1 - leak) max(z, 0).

    Gaussian x: twice the kernel of unit x at b = 0.
    """
    breaks, parts = relu_pieces(threshold)
    parts *= (2.0 if inputs == "gaussian" else 1.0) * (1.0 - leak) ** 2
    sigma_modes = _relu_spectrum(threshold, inputs, leak)
    if leak:
        plain = _relu_spectrum(threshold, inputs, 0.0)(1)[1] * (1.0 - leak) ** 2
        parts[:, 0, 1] += sigma_modes(1)[1] - plain
    n = np.arange(COUPLED_MODES + 1)
    return PiecewiseKernel(breaks, parts, sigma_modes, core=n**2 * sigma_modes(COUPLED_MODES), jumps=3.0)


def _relu_spectrum(threshold: float, inputs: Inputs, leak: float) -> Callable[[int], Array]:
    from wflow.activation import relu

    plain = relu(threshold)
    # z = leak z + (1 - leak) max(z, 0) has mean slope (1 + leak)/2: mode 1 is the linear neuron's times its square
    first = (1.0 + leak) ** 2 / (4.0 if inputs == "gaussian" else 8.0)

    @lru_cache(maxsize=32)
    def spectrum(count: int) -> Array:
        a = kernel_coefficients(plain, inputs, count) * (1.0 - leak) ** 2
        if leak and count >= 1:
            a[1] = first
        return a

    return spectrum


def circle_kernel(sigma: Activation, inputs: Inputs) -> Kernel:
    """The kernel of sigma(x . w) on the circle for x ~ N(0, I_2) ("gaussian") or uniform on S^1 ("circle").

    ReLU and leaky ReLU: piecewise closed form. Others: Fourier coefficients, cut where they fall below 1e-17 of the
    largest, or at 256 modes (512 where sigma' jumps). Smooth sigma: refused where the last
    modes are above 1e-12 of the largest (a steep sigma); where sigma'' jumps
    a_n ~ n^-6, where sigma' does n^-4, and V' keeps a relative error near 1e-9 and 1e-6.
    Raises ValueError for inputs of another name, a threshold beyond the reach of unit inputs, a sigma too steep.
    """
    if inputs not in ("gaussian", "circle"):
        raise ValueError(f"inputs: unknown law {inputs!r}; known: gaussian (N(0, I_2)), circle (uniform on S^1)")
    b = sigma.parameter or 0.0
    if sigma.name == "relu" and inputs == "circle" and b >= 1.0:
        raise ValueError(f"activation b: a ReLU threshold of {b:g} is never reached by unit inputs; give b < 1")
    if sigma.name == "relu" and (b == 0.0 or (inputs == "circle" and b > -1.0)):
        return relu_kernel(b, inputs)
    if sigma.name == "leaky_relu":
        return relu_kernel(0.0, inputs, leak=b)
    jumps = sigma.kinks and sigma.curvature is None
    count = _KINKED_MODES if jumps else _SMOOTH_MODES
    a = kernel_coefficients(sigma, inputs, count)
    if not sigma.kinks and a[-8:].max() > _RESOLVED * a.max():
        raise ValueError(
            f"activation b: {sigma} needs more than {count} Fourier modes (the last ones are "
            f"{a[-8:].max() / a.max():.1e} of the largest, allowed: {_RESOLVED:g}); give a smaller |b|"
        )
    last = int(np.flatnonzero(a > 1e-17 * a.max()).max())
    return FourierKernel(a[: last + 1])


__all__ = ["FourierKernel", "Kernel", "PiecewiseKernel", "circle_kernel", "relu_kernel", "sawtooth_kernel"]
