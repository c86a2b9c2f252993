"""This file owns kernels k(w, w') of closed population risks, on the circle: k(w, w') = k(w - w').

The kernel decides how a measure is used. Modes: exactly, sum_n a_n Re(c_n e^{i n w}). Atoms against a kinked kernel:
exactly, by prefix sums over the sorted angles in O(m log m), since nodal quadrature of a kink is not accurate.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, ComplexArray, shaped
from wflow.domain import TURN, Box, circle
from wflow.fourier import FourierDensity, series_at_nodes
from wflow.law import Atoms, Law, Uniform
from wflow.measure import Density, Measure, circle_modes
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
    def domain(self) -> Box:
        """Where w and w' live."""

    @property
    def convex(self) -> bool:
        """Positive semidefinite on measures of mass 0."""


def circle_modes_of(pi: Measure | Law, count: int) -> ComplexArray:
    """c_0..c_count of a measure, of atoms, or of a law on the circle."""
    if isinstance(pi, Measure):
        return pi.modes(count)
    if isinstance(pi, Atoms):
        return circle_modes(pi.points[:, 0], pi.weights, count)
    if isinstance(pi, Uniform):
        return np.asarray(np.arange(count + 1) == 0, dtype=np.complex128)
    # a smooth law: c_n = e^{-i n theta} against the quantile, spectrally accurate in s for positive analytic densities
    s = (np.arange(16 * (count + 1)) + 0.5) / (16 * (count + 1))
    return circle_modes(pi.quantile(s), np.full(len(s), 1.0 / len(s)), count)


def _shaped(values: Array, derivative: int) -> Array:
    return values.reshape((len(values),) + (1,) * derivative)


def _series(a: Array, c: ComplexArray, w: Array, derivative: int) -> Array:
    """d^j/dw^j sum_n a_n Re(c_n e^{i n w}); FFT where w are the centres of a circle grid or the nodes of a density."""
    n = np.arange(len(a))
    spectrum = 0.5 * a * c
    spectrum[0] *= 2.0
    for _ in range(derivative):
        spectrum *= 1j * n
    used = np.flatnonzero(spectrum)
    if not len(used) or used[-1] == 0:  # as of a uniform target
        return np.full(len(w), spectrum[0].real)
    nodes = len(w)
    step = TURN / nodes
    # equispaced points over the turn, by their ends: two comparisons, then an FFT instead of a matrix
    equispaced = nodes > 2 * len(a) and abs(w[-1, 0] - w[0, 0] - (nodes - 1) * step) < 1e-12 * nodes
    if equispaced and np.max(np.abs(w[1:, 0] - w[:-1, 0] - step)) <= 1e-13:
        return series_at_nodes(spectrum, nodes, float(w[0, 0]))
    turn = np.exp(1j * w[:, 0])
    total = np.zeros(nodes, dtype=np.complex128)
    for k in range(int(used[-1]), 0, -1):
        total += spectrum[k]
        total *= turn
    return np.asarray(spectrum[0].real + 2.0 * total.real)


@dataclass(frozen=True, eq=False)
class FourierKernel:
    """A smooth kernel, sum_n a_n cos n theta, by its coefficients (N+1,) with a tail below rounding."""

    modes: Array

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
        return _shaped(_series(self.modes, c, w, derivative), derivative)

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

    def coefficients(self, count: int) -> Array:
        """a_0..a_count in closed form."""
        return self.spectrum(count)

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """Atoms and quantile points by prefix sums, exactly; densities and laws by their modes."""
        if isinstance(pi, FourierDensity | Density) or (isinstance(pi, Law) and not isinstance(pi, Atoms)):
            count = pi.degree if isinstance(pi, FourierDensity) else _modes_kept(pi)
            values = _series(self.coefficients(count), circle_modes_of(pi, count), w, derivative)
            return _shaped(values, derivative)
        parts = self.parts
        for _ in range(derivative):
            parts = _differentiated(parts)
        return _shaped(_prefix_sums(self.breaks, parts, pi.points[:, 0], pi.weights, w[:, 0]), derivative)

    def double(self, pi: Measure | Law) -> float:
        """int (k * pi) dpi for points, sum_n a_n |c_n|^2 for modes."""
        if isinstance(pi, Measure) and not isinstance(pi, FourierDensity | Density):
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
        return _prefix_sums(self.breaks, self.parts, np.zeros(1), np.ones(1), theta)


def _modes_kept(pi: Measure | Law) -> int:
    return (pi.grid.size - 1) // 2 if isinstance(pi, Density) else _LAW_MODES


def _differentiated(parts: ComplexArray) -> ComplexArray:
    """d/dt of t^r e^{i n t} = r t^{r-1} e^{i n t} + i n t^r e^{i n t}."""
    out = parts * (1j * np.arange(parts.shape[2]))
    out[:, :-1] += parts[:, 1:] * np.arange(1, parts.shape[1])[:, None]
    return out


def _prefix_sums(breaks: Array, parts: ComplexArray, theta: Array, weights: Array, w: Array) -> Array:
    """sum_j weights_j k((w - theta_j) mod 2 pi) for each w, exactly, in O((m + len(w)) log m).

    The sources are laid out twice, one turn apart, so that t = w - theta_j in [0, 2 pi) picks each of them once.
    (w - L)^r e^{i n (w - L)} splits into powers of w times prefix sums of weights L^q e^{-i n L}.
    """
    source = np.mod(theta, TURN)
    order = np.argsort(source, kind="stable")
    line = np.concatenate([source[order] - TURN, source[order]])
    mass = np.concatenate([weights[order], weights[order]])
    target = np.mod(w, TURN)
    powers, waves = parts.shape[1], parts.shape[2]
    prefix = np.zeros((powers, waves, len(line) + 1), dtype=np.complex128)
    for q in range(powers):
        for n in range(waves):
            np.cumsum(mass * (-line) ** q * np.exp(-1j * n * line), out=prefix[q, n, 1:])
    turn = np.exp(1j * np.outer(np.arange(waves), target))
    total = np.zeros(len(target))
    before = _both_sides(prefix, line, target - breaks[0])
    for s in range(len(parts)):
        after = _both_sides(prefix, line, target - breaks[s + 1])
        inside, before = before - after, after
        for r in range(powers):
            if not np.any(parts[s, r]):
                continue
            shifted = sum(math.comb(r, q) * target ** (r - q) * inside[q] for q in range(r + 1))
            total += np.sum((parts[s, r][:, None] * turn * shifted).real, axis=0)
    return total


def _both_sides(prefix: ComplexArray, line: Array, cut: Array) -> ComplexArray:
    """Prefix sums up to `cut`, atoms exactly at the cut counted half."""
    left = np.searchsorted(line, cut, side="left")
    right = np.searchsorted(line, cut, side="right")
    return np.asarray(0.5 * (prefix[:, :, left] + prefix[:, :, right]))


def sawtooth_kernel() -> PiecewiseKernel:
    """k = sum_{n>=1} cos(n theta)/(pi n^2) = ((pi - theta)^2/2 - pi^2/6)/(2 pi) on [0, 2 pi]: -k'' = delta - 1/2pi."""
    parts = np.zeros((1, 3, 2), dtype=np.complex128)
    parts[0, :, 0] = np.array([math.pi**2 / 3.0, -math.pi, 0.5]) / TURN

    @lru_cache(maxsize=32)
    def spectrum(count: int) -> Array:
        n = np.arange(1, count + 1)
        return np.concatenate([[0.0], 1.0 / (math.pi * n**2)])

    # k' jumps where two neurons meet, which on one axis they never do: `jumps` stays inf
    return PiecewiseKernel(np.array([0.0, TURN]), parts, spectrum, core=np.array([-1.0 / TURN]))


def relu_kernel(threshold: float, inputs: Inputs, leak: float = 0.0) -> PiecewiseKernel:
    """The kernel of max(z - b, 0), |b| < 1 (b = 0 for Gaussian x); with a leak, of leak z + (1 - leak) max(z, 0).

    Unit x, p = arccos b: k = (I(theta) 1{theta < 2p} + I(2 pi - theta) 1{2 pi - theta < 2p}) / 2 pi,
    I(t) = (2p - t)(cos(t)/2 + b^2) + sin(2p - t)/2 - 2b (sin p + sin(p - t)); Gaussian x: twice that at b = 0.
    """
    b, p = threshold, math.acos(threshold)
    breaks = np.unique(np.round([0.0, min(2 * p, TURN - 2 * p), max(2 * p, TURN - 2 * p), TURN], 15))
    parts = np.zeros((len(breaks) - 1, 3, 2), dtype=np.complex128)
    scale = (2.0 if inputs == "gaussian" else 1.0) * (1.0 - leak) ** 2 / TURN
    # I(t) by parts: sin(2p - t)/2 = Re(e^{it} i e^{-2ip}/2), sin(p - t) = Re(e^{it} i e^{-ip})
    wave = 0.5j * np.exp(-2j * p) - 2j * b * np.exp(-1j * p)
    here = np.zeros((3, 2), dtype=np.complex128)
    here[0] = [2 * p * b * b - 2 * b * math.sin(p), p + wave]
    here[1] = [-b * b, -0.5]
    # I(2 pi - t): (2p - 2 pi + t)(cos(t)/2 + b^2) + sin(2p + t)/2 - 2b (sin p + sin(p + t))
    mirrored = np.zeros((3, 2), dtype=np.complex128)
    mirrored[0] = [(2 * p - TURN) * b * b - 2 * b * math.sin(p), p - math.pi + wave.conjugate()]
    mirrored[1] = [b * b, 0.5]
    for s, middle in enumerate(0.5 * (breaks[1:] + breaks[:-1])):
        parts[s] = scale * ((middle < 2 * p) * here + (TURN - middle < 2 * p) * mirrored)
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
