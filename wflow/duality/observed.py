"""This file owns what an energy sees of a measure: F(pi) = sum_i omega_i l((Phi pi)_i, y_i) + offset + lam |pi|.

Phi is linear. For data (Phi pi)_i = f_pi(x_i), omega the weights of the data. For a kernel k = sum_n a_n cos n(w - w')
with a_n >= 0 and a target it is the modes of pi, omega = a_n, and l the half square; a kernel with kinks is cut off at
`MODES`, which leaves F too small by sums of squares (so a lower bound of what is left is one of F; proved).

The adjoint of a vector q is the field V(w) = sum_i omega_i q_i (Phi delta_w)_i. By Fenchel's inequality
l(f, y) >= q f - l*(q, y), every q, whatever its rounding, bounds F from below:

    F(pi) >= int V dpi - sum_i omega_i l*(q_i, y_i) + offset + lam |pi|        (proved)
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from wflow.arrays import Array, ComplexArray
from wflow.circle_series import circle_modes_of
from wflow.data import Data
from wflow.domain import TURN, Box, Domain
from wflow.duality.arcwise import Arcwise, kinks_of
from wflow.duality.bounded import Bounded, neuron_bounds
from wflow.duality.field import UNIT, Field
from wflow.duality.filters import filter_modes
from wflow.duality.series import Series
from wflow.duality.waves import shifted, turned
from wflow.energy import Energy
from wflow.forceless import Constant, TotalVariation
from wflow.fourier import FourierDensity
from wflow.kernel import FourierKernel, Kernel, PiecewiseKernel
from wflow.law import Atoms, Law, Uniform
from wflow.loss import HalfSquare, Loss
from wflow.measure import Measure, SignedParticles
from wflow.neuron import CircleNeuron, Neuron, TranslationNeuron
from wflow.terms import Interaction, Potential, Risk

MODES = 1024
_OPERATIONS = 64.0


class Observed(Protocol):
    """Phi with its weights omega (n,), targets y (n,), the loss, and what is added to F."""

    @property
    def weights(self) -> Array:
        """omega (n,)."""

    @property
    def targets(self) -> Array:
        """y (n,)."""

    @property
    def loss(self) -> Loss:
        """l, convex."""

    @property
    def offset(self) -> float:
        """Added to F."""

    def seen(self, pi: Measure) -> Array:
        """Phi pi (n,)."""

    def columns(self, w: Array) -> Array:
        """Phi delta_w (n, m)."""

    def jet(self, w: Array) -> tuple[Array, Array, Array]:
        """Phi delta_w (n, m), its gradient (n, m, d) and Hessian (n, m, d, d) in w; Refused where sigma' jumps."""

    def against(self, q: Array) -> Field | None:
        """The adjoint of q (n,); None where no lower bound is known."""

    def rounding(self, pi: Measure) -> float:
        """How far off the computed F(pi) may be."""


@dataclass(frozen=True, eq=False)
class OfData:
    """A risk over data on a domain."""

    risk: Risk
    domain: Domain
    offset: float = 0.0

    @property
    def data(self) -> Data:
        """The law of the inputs with its targets."""
        return self.risk.data

    @property
    def weights(self) -> Array:
        return self.data.weights

    @property
    def targets(self) -> Array:
        return self.data.targets

    @property
    def loss(self) -> Loss:
        return self.risk.loss

    def seen(self, pi: Measure) -> Array:
        return self.risk.predict(pi)

    def columns(self, w: Array) -> Array:
        return self.risk.neuron.value(self.data.inputs, w)

    def jet(self, w: Array) -> tuple[Array, Array, Array]:
        neuron, x = self.risk.neuron, self.data.inputs
        return neuron.value(x, w), neuron.gradient(x, w), neuron.curvature(x, w)

    def against(self, q: Array) -> Field | None:
        r, neuron, domain = self.weights * q, self.risk.neuron, self.domain
        if not isinstance(domain, Box) or not domain.bounded or any(domain.frozen):
            return None
        if type(neuron) is TranslationNeuron:
            return None if neuron.outer else shifted(neuron, self.data.inputs, r)
        if type(neuron) is CircleNeuron:
            kinked = kinks_of(neuron.activation)
            if kinked is not None:
                return Arcwise(r, self.data.inputs, kinked)
            return turned(neuron, self.data.inputs, r) or Bounded.of(neuron, self.data.inputs, r, domain)
        return Bounded.of(neuron, self.data.inputs, r, domain)

    def rounding(self, pi: Measure) -> float:
        """f_i is off by (m + 64) u |pi| sup |psi_i|, which moves l by no more than (|l'| + error/2) times that."""
        largest = _largest(self.risk.neuron, self.data.inputs, self.domain)
        away = UNIT * (len(pi.weights) + _OPERATIONS * lifted(pi)) * float(np.sum(np.abs(pi.weights))) * largest
        slope = np.abs(self.loss.slope(self.seen(pi), self.targets))
        value = self.loss.value(self.seen(pi), self.targets)
        return float(self.weights @ (away * (slope + away) + UNIT * (len(value) + 8.0) * np.abs(value)))


def lifted(pi: Measure) -> float:
    """How many turns from 0 the points of a measure lie, at least 1: angles err in proportion."""
    return max(1.0, float(np.max(np.abs(pi.points), initial=0.0)) / TURN)


def _largest(neuron: Neuron, x: Array, domain: Domain) -> Array:
    """(n,) sup over w of |psi(x_i; w)|, times how much worse than 64 u it is computed (the waves of a filter)."""
    if isinstance(neuron, TranslationNeuron):
        modes = filter_modes(neuron.activation)
        if modes is None:
            return np.full(len(x), np.inf)
        # the k-th wave is off by 4 pi k u, so the sum of n by the square of n
        count = 2.0 * len(modes) * (1.0 + 0.25 * len(modes)) * float(np.max(np.abs(modes)))
        return np.full(len(x), count**neuron.inputs)
    found = neuron_bounds(neuron, x, domain) if isinstance(domain, Box) else None
    return np.full(len(x), np.inf) if found is None else found[:, 0]


@dataclass(frozen=True, eq=False)
class OfModes:
    """(1/2) sum_n a_n |c_n(pi) - y_n|^2 on the circle: rows cos n w, then -sin n w; modes (count+1,) are a_n."""

    modes: Array
    target: Array
    offset: float = 0.0

    @classmethod
    def of(cls, kernel: Kernel, target: Law | Measure | None, constant: float) -> "OfModes | None":
        """None for kernels of another kind, where an a_n is negative, and for targets whose modes are not exact."""
        if not isinstance(kernel, FourierKernel | PiecewiseKernel):
            return None
        if target is not None and not isinstance(target, Atoms | Uniform | FourierDensity | SignedParticles):
            return None
        a = kernel.coefficients(len(kernel.modes) - 1 if isinstance(kernel, FourierKernel) else MODES)
        if np.any(a < 0.0):
            return None
        c = circle_modes_of(target, len(a) - 1) if target is not None else np.zeros(len(a), dtype=np.complex128)
        # what the target has beyond the modes belongs to F, so its double integral is that of the whole kernel
        own = 0.5 * kernel.double(target) if target is not None else 0.0
        return cls(a, rows(c), constant - own)

    @property
    def loss(self) -> Loss:
        return HalfSquare()

    @cached_property
    def weights(self) -> Array:
        return np.concatenate([self.modes, self.modes[1:]])

    @property
    def targets(self) -> Array:
        return self.target

    def seen(self, pi: Measure) -> Array:
        return rows(circle_modes_of(pi, len(self.modes) - 1))

    def columns(self, w: Array) -> Array:
        return self._derived(w, 0)

    def jet(self, w: Array) -> tuple[Array, Array, Array]:
        return self._derived(w, 0), self._derived(w, 1)[..., None], self._derived(w, 2)[..., None, None]

    def _derived(self, w: Array, order: int) -> Array:
        """(n, m) a derivative of e^{-i k w}, real parts and then imaginary ones."""
        k = np.arange(len(self.modes))[:, None]
        turns = (-1j * k) ** order * np.exp(-1j * k * w[:, 0])
        return np.concatenate([turns.real, turns.imag[1:]])

    def against(self, q: Array) -> Field | None:
        count = len(self.modes)
        sines = np.concatenate([[0.0], q[count:]])
        return Series.of_circle(self.modes * (q[:count] + 1j * sines))

    def rounding(self, pi: Measure) -> float:
        """Modes are off by (n + m + 64) u |pi|, as powers of e^{i w} and sums make them."""
        total = float(np.sum(np.abs(pi.weights)))
        away = UNIT * (np.arange(len(self.modes)) * lifted(pi) + len(pi.weights) + _OPERATIONS) * total
        away = np.concatenate([away, away[1:]])
        apart = np.abs(self.seen(pi) - self.targets)
        scale = float(self.weights @ (apart + np.abs(self.targets)) ** 2)
        return float(self.weights @ (away * (apart + away))) + UNIT * (len(away) + 8.0) * scale


def rows(c: ComplexArray) -> Array:
    """Re c_0.., then Im c_1..: what OfModes sees of moments c_0..c_N."""
    return np.concatenate([c.real, c.imag[1:]])


def observed(energy: Energy, domain: Domain) -> Observed | None:
    """What an energy without its internal terms and limits sees; None where it is of no form above.

    One Risk, or one Interaction with or without the Potential of a target of the same kernel; any Constant and
    TotalVariation (left out: `strength`).
    """
    constant = sum(term.number for term in energy.terms if isinstance(term, Constant))
    terms = [term for term in energy.terms if not isinstance(term, Constant | TotalVariation)]
    if not energy.convex or not terms:
        return None
    if len(terms) == 1 and isinstance(terms[0], Risk):
        return OfData(terms[0], domain, constant)
    if not domain.is_circle or not isinstance(terms[0], Interaction):
        return None
    kernel = terms[0].kernel
    if len(terms) == 1:
        return OfModes.of(kernel, None, constant)
    seen = terms[1].convolved if len(terms) == 2 and isinstance(terms[1], Potential) else None
    return None if seen is None or seen[0] is not kernel else OfModes.of(kernel, seen[1], constant)


def strength(energy: Energy) -> float:
    """lam, of all TotalVariation terms."""
    return sum(term.strength for term in energy.terms if isinstance(term, TotalVariation))
