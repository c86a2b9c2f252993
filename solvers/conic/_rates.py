"""This file owns the conic flow's right-hand side: how fast each charge grows and moves.

    nu = sum_j s_j m_j delta_{theta_j}, s_j = +-1:   m_j' = -4 alpha m_j (s_j V + lambda),  theta_j' = -beta s_j grad V

with V the first variation of F less lambda |nu|, at theta_j. It is the gradient flow of F in the metric of wflow.cone:
dF/dt = -sum_j m_j (4 alpha (s_j V + lambda)^2 + beta |grad V|^2)  (derived; with r_j = sqrt(m_j) the first equation is
r_j' = -2 alpha r_j (s_j V + lambda)).
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.flow import Flow
from wflow.measure import SignedParticles


@dataclass(frozen=True)
class Speeds:
    """alpha of masses, beta of positions."""

    alpha: float
    beta: float


@dataclass(frozen=True, eq=False)
class Rates:
    """growth (m,): of log m_j.   velocity (m, d): of theta_j, along walls where it meets them."""

    growth: Array
    velocity: Array

    @classmethod
    def at(cls, flow: Flow, pi: SignedParticles, speeds: Speeds) -> "Rates":
        """At the charges of pi."""
        rest, sign = flow.energy.unpenalised, np.sign(pi.weights)
        growth = -4.0 * speeds.alpha * (sign * rest.potential(pi, pi.points) + flow.energy.variation)
        velocity = speeds.beta * sign[:, None] * rest.velocity(pi, pi.points)
        return cls(growth, flow.domain.slide(pi.points, velocity))

    def power(self, pi: SignedParticles, speeds: Speeds) -> float:
        """-dF/dt."""
        each = self.growth**2 / (4.0 * speeds.alpha) + np.sum(self.velocity**2, axis=1) / speeds.beta
        return float(np.abs(pi.weights) @ each)

    def mean(self, other: "Rates") -> "Rates":
        """Of two."""
        return Rates(0.5 * (self.growth + other.growth), 0.5 * (self.velocity + other.velocity))


def moved(flow: Flow, pi: SignedParticles, rates: Rates, dt: float) -> SignedParticles:
    """The mirror step: masses by exp(dt growth), which keeps their signs, positions along a line."""
    points = flow.domain.retract(pi.points + dt * rates.velocity)
    return SignedParticles(pi.domain, points, pi.weights * np.exp(dt * rates.growth))
