"""This file owns the conic flow's right-hand side: how fast each charge grows and moves.

    nu = sum_j s_j m_j delta_{theta_j}, s_j = +-1:   m_j' = -4 alpha m_j (s_j V + lambda),  theta_j' = -beta s_j grad V

with V the first variation of F less lambda |nu|, at theta_j. It is the gradient flow of F in the metric of wflow.cone:
dF/dt = -sum_j m_j (4 alpha (s_j V + lambda)^2 + beta |grad V|^2)  (derived; with r_j = sqrt(m_j) the first equation is
r_j' = -2 alpha r_j (s_j V + lambda)). Where the sum of masses is conserved s_j V + lambda stands without its mean.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, finite
from wflow.flow import Flow
from wflow.measure import SignedParticles


@dataclass(frozen=True)
class Speeds:
    """alpha of masses, beta of positions; one of them may be 0."""

    alpha: float
    beta: float

    @classmethod
    def checked(cls, name: str, alpha: float, beta: float) -> "Speeds":
        """ValueError for a negative speed, or where nothing would change."""
        for speed, value in (("alpha", alpha), ("beta", beta)):
            if not float(finite(f"{name} {speed}", value)) >= 0.0:
                raise ValueError(f"{name} {speed}: {value!r} is not allowed; give a number >= 0")
        if not max(alpha, beta) > 0.0:
            raise ValueError(f"{name} alpha, beta: both are 0 and nothing would change; give one above 0")
        return cls(float(alpha), float(beta))

    def growth(self, flow: Flow, masses: Array, driving: Array) -> Array:
        """Of log masses (m,), for driving = s V + lambda (m,)."""
        if flow.conserved:
            driving = driving - masses @ driving / masses.sum()
        return -4.0 * self.alpha * driving

    def power(self, masses: Array, growth: Array, squares: Array | float) -> float:
        """-dF/dt, squares (m,) being those of velocities."""
        total = float(masses @ growth**2) / (4.0 * self.alpha) if self.alpha else 0.0
        return total + (float(np.sum(masses * squares)) / self.beta if self.beta else 0.0)


@dataclass(frozen=True, eq=False)
class Rates:
    """growth (m,): of log m_j.   velocity (m, d): of theta_j, along walls where it meets them."""

    growth: Array
    velocity: Array

    @classmethod
    def at(cls, flow: Flow, pi: SignedParticles, speeds: Speeds) -> "Rates":
        """At the charges of pi."""
        rest, sign = flow.energy.unpenalised, np.sign(pi.weights)
        driving = sign * rest.potential(pi, pi.points) + flow.energy.variation
        growth = speeds.growth(flow, np.abs(pi.weights), driving)
        if not speeds.beta:
            return cls(growth, np.zeros_like(pi.points))
        velocity = speeds.beta * sign[:, None] * rest.velocity(pi, pi.points)
        return cls(growth, flow.domain.slide(pi.points, velocity))

    def power(self, pi: SignedParticles, speeds: Speeds) -> float:
        """-dF/dt."""
        return speeds.power(np.abs(pi.weights), self.growth, np.sum(self.velocity**2, axis=1))

    def mean(self, other: "Rates") -> "Rates":
        """Of two."""
        return Rates(0.5 * (self.growth + other.growth), 0.5 * (self.velocity + other.velocity))


def moved(flow: Flow, pi: SignedParticles, rates: Rates, dt: float) -> SignedParticles:
    """The mirror step: masses by exp(dt growth), which keeps their signs, positions along a line.

    Where their sum is conserved masses are scaled to it: the mirror step on the simplex.
    """
    points = flow.domain.retract(pi.points + dt * rates.velocity)
    weights = pi.weights * np.exp(dt * rates.growth)
    if flow.conserved:
        weights *= pi.mass / weights.sum()
    return SignedParticles(pi.domain, points, weights)
