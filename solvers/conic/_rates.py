"""This file owns the conic flow's right-hand side: how fast each charge grows and moves, and its stability bound.

    nu = sum_j s_j m_j delta_{theta_j}, s_j = +-1:   m_j' = -4 alpha m_j (s_j V + lambda),  theta_j' = -beta s_j grad V

with V the first variation of F less lambda |nu|, at theta_j. It is the gradient flow of F in the metric of wflow.cone:
dF/dt = -sum_j m_j (4 alpha (s_j V + lambda)^2 + beta |grad V|^2)  (derived; with r_j = sqrt(m_j) the first equation is
r_j' = -2 alpha r_j (s_j V + lambda)).
"""

import math
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.flow import Flow
from wflow.measure import SignedParticles
from wflow.terms import Interaction, Risk, Term

_EIGENVALUES = 400


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


def smoothness(flow: Flow, pi: SignedParticles, speeds: Speeds) -> float:
    """A bound L of the second derivative of F along unit speed at pi: explicit steps below 2/L do not raise F.

    In log masses and positions, each scaled to unit speed, the Hessian of F is that of the risk in nu, positive
    semidefinite; beta s V'' on the diagonal; 2 sqrt(alpha beta) |grad V| between a charge's mass and its place; and
    4 alpha |s V + lambda| for a mass that grows. Negative curvature lowers F and does not count.
    """
    rest, sign = flow.energy.unpenalised, np.sign(pi.weights)
    rates = Rates.at(flow, pi, speeds)
    slope = np.linalg.norm(rates.velocity, axis=1) / speeds.beta
    own = 2.0 * math.sqrt(speeds.alpha * speeds.beta) * slope + np.maximum(rates.growth, 0.0)
    if flow.energy.curved:
        bent = np.linalg.eigvalsh(sign[:, None, None] * rest.curvature(pi, pi.points))[:, -1]
        own += speeds.beta * np.maximum(bent, 0.0)
    return float(np.max(own)) + sum(_of_term(term, pi, speeds) for term in rest.terms)


def _of_term(term: Term, pi: SignedParticles, speeds: Speeds) -> float:
    """The largest eigenvalue of k between charges in scaled variables; beyond 400 data, and for kernels, its trace."""
    coupled = term.coupling(pi, pi.points)
    if coupled is None:
        return 0.0
    (factor, core), root = coupled, np.sqrt(np.abs(pi.weights))
    moves = math.sqrt(speeds.beta) * np.repeat(root, pi.points.shape[1])[:, None] * factor
    if not isinstance(term, Risk):
        grown = 4.0 * speeds.alpha * float(np.abs(pi.weights) @ _self_energy(term, pi))
        return grown + float(np.sum(moves**2 @ np.abs(core)))
    grows = 2.0 * math.sqrt(speeds.alpha) * root[:, None] * term.features(pi).T
    rows = np.concatenate([moves, grows]) * np.sqrt(np.abs(core))
    if len(core) > _EIGENVALUES:
        return float(np.sum(rows**2))
    return float(np.linalg.eigvalsh(rows.T @ rows)[-1])


def _self_energy(term: Term, pi: SignedParticles) -> Array:
    """k(theta_j, theta_j) (m,) of an Interaction."""
    assert isinstance(term, Interaction)
    points = pi.points[:1] if pi.domain.is_circle else pi.points  # there k(w, w) does not depend on w
    alone = [SignedParticles(pi.domain, w[None], np.ones(1)) for w in points]
    own = np.concatenate([term.kernel.against(one, one.points, 0) for one in alone])
    return np.broadcast_to(own, pi.weights.shape)
