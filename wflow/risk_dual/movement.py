"""This file owns what one minimising movement of a network's half-square risk is: its atoms, its features, its price.

With data of weights omega (n,), q = omega p and atoms w_j of masses mu_j,

    min over couplings   sum_i omega_i (f_i - y_i)^2/2 + int r dpi + sum_j mu_j |w_j - w_j+|^2/(2 tau)
    G_q(w) = sum_i q_i psi(x_i; w) + r(w)                     what an atom pays for where it goes, besides its way
    D(p)   = -<p, y> - |p|^2/2 + sum_j mu_j min_w [ G_q(w) + |w - w_j|^2/(2 tau) ],      <a, b> = sum_i omega_i a_i b_i
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wflow.activation import rounded
from wflow.arrays import Array
from wflow.domain import Domain
from wflow.energy import Energy
from wflow.forceless import Constant
from wflow.measure import Particles
from wflow.neuron import Neuron
from wflow.sums import Sums
from wflow.terms import Risk, Term

Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Coupling:
    """Where atoms go: places (m, d), the network's answer f (n,) there, the price sum mu_j (r + |w - w_j|^2/2 tau)."""

    places: Array
    prediction: Array
    price: float


@dataclass(frozen=True, eq=False)
class Movement:
    """A step of length tau from atoms.   width: over which kinks of sigma are rounded; 0: not at all.

    parabolas: weights omega (n,), of any sum, and targets y (n,) that stand for those of the data.
    """

    energy: Energy
    start: Particles
    tau: float
    width: float = 0.0
    parabolas: tuple[Array, Array] | None = None

    @property
    def domain(self) -> Domain:
        """Where atoms move."""
        return self.start.domain

    @cached_property
    def risk(self) -> Risk:
        """The term with data."""
        risk = self.energy.risk
        assert risk is not None
        return risk

    @cached_property
    def neuron(self) -> Neuron:
        """With its kinks rounded."""
        return neuron_of(self.risk, self.width)

    @property
    def targets(self) -> Array:
        """y (n,)."""
        return self.risk.data.targets if self.parabolas is None else self.parabolas[1]

    @property
    def omega(self) -> Array:
        """(n,) weights of the data."""
        return self.risk.data.weights if self.parabolas is None else self.parabolas[0]

    @cached_property
    def fields(self) -> tuple[Term, ...]:
        """Terms int r dpi."""
        return tuple(t for t in self.energy.terms if not isinstance(t, Risk | Constant))

    @cached_property
    def constant(self) -> float:
        """What F has besides: D leaves it out."""
        return sum(t.value(self.start) for t in self.energy.terms if isinstance(t, Constant))

    def rounded(self, width: float) -> "Movement":
        """The same with kinks rounded over another width."""
        return replace(self, width=width)

    def potential(self, w: Array, derivative: int) -> Array:
        """r and its derivatives."""
        total = np.zeros((len(w),) + w.shape[1:] * derivative)
        for term in self.fields:
            total = total + term.potential(self.start, w, derivative)
        return total

    def field(self, q: Array, w: Array, derivative: int) -> Array:
        """G_q (m,), its gradient (m, d) or Hessian (m, d, d)."""
        return self._sums.at(w).against(q, derivative) + self.potential(w, derivative)

    def slopes(self, w: Array) -> Array:
        """grad_w psi (n, m, d)."""
        return self.neuron.gradient(self.risk.data.inputs, w)

    def ways(self, w: Array, origins: Array) -> Array:
        """|w - w_j|^2/(2 tau) (m,): places are lifted where their atom is."""
        return np.asarray(np.sum((w - origins) ** 2, axis=1) / (2.0 * self.tau))

    def coupling(self, places: Array) -> Coupling:
        """Each atom whole to its place."""
        mu = self.start.weights
        price = mu @ (self.potential(places, 0) + self.ways(places, self.start.points))
        return Coupling(places, self.predict(places, mu), float(price))

    def predict(self, w: Array, masses: Array) -> Array:
        """f (n,) of atoms."""
        return self._sums.at(w).predict(masses)

    def half(self, residual: Array) -> float:
        """|residual|^2/2 in the weights of the data."""
        return 0.5 * float(self.omega @ residual**2)

    def dual(self, p: Array, inner: float) -> float:
        """D(p), given the sum of the inner minima."""
        return inner - float(self.omega @ (p * self.targets)) - self.half(p)

    @cached_property
    def _sums(self) -> Sums:
        return Sums(self.neuron, self.risk.data.inputs)


def neuron_of(risk: Risk, width: float) -> Neuron:
    """The neuron of a risk, with its kinks rounded over a width if that is above 0."""
    if not width or risk.neuron.activation.curvature is not None:
        return risk.neuron
    smooth = rounded(risk.neuron.activation, width)
    return replace(risk.neuron, activation=smooth)  # type: ignore[type-var]
