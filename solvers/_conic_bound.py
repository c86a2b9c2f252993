"""This file owns how long a mirror step may be: until F would no longer fall."""

import math
from dataclasses import dataclass

import numpy as np

from solvers._conic_rates import Rates, Speeds
from wflow.arrays import Array
from wflow.flow import Flow
from wflow.measure import SignedParticles
from wflow.terms import Interaction, Risk, Term

_EIGENVALUES = 400
_HALVINGS = 12
_STEEPEST = 5.0


def largest_step(flow: Flow, pi: SignedParticles, speeds: Speeds) -> float:
    """The longest dt with dt L <= 2, L a bound of the second derivative of F along unit speed on both ends of a step.

    In log masses and positions, each scaled to unit speed, the Hessian of F is that of the risk in nu, positive
    semidefinite, and for each charge by itself (derived)

        [ 4 alpha (s V + lambda)          2 sqrt(alpha beta) s grad V^T ]
        [ 2 sqrt(alpha beta) s grad V     beta s hess V                 ]

    Negative curvature lowers F and does not count. The Hessian of the risk grows with the masses: it is asked at those
    of the end, m exp(dt growth), where they grow.
    """
    rates, m = Rates.at(flow, pi, speeds), np.abs(pi.weights)
    growth = np.maximum(rates.growth, 0.0)
    alone = _alone(flow, pi, rates, speeds)
    found = (_Coupled.of(term, pi, speeds) for term in flow.energy.unpenalised.terms)
    parts = [part for part in found if part is not None]

    def allowed(dt: float) -> bool:
        return dt * (alone + sum(part.norm(m * np.exp(dt * growth)) for part in parts)) <= 2.0

    limits = alone + sum(part.norm(m) for part in parts), 2.0 / _STEEPEST * float(growth.max())
    if not max(limits) > 0.0:
        return math.inf
    low, high = 0.0, 2.0 / max(limits)
    if allowed(high):
        return high
    for _ in range(_HALVINGS):  # masses grow by at most e^5 = 148 < 2^12 up to `high`: some middle is allowed
        middle = 0.5 * (low + high)
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return low


def _alone(flow: Flow, pi: SignedParticles, rates: Rates, speeds: Speeds) -> float:
    """The largest eigenvalue of a charge's own block, 0 if all are negative."""
    m, d = pi.points.shape
    own = np.zeros((m, d + 1, d + 1))
    own[:, 0, 0] = -rates.growth
    if speeds.beta:
        own[:, 0, 1:] = own[:, 1:, 0] = 2.0 * math.sqrt(speeds.alpha / speeds.beta) * rates.velocity
    if flow.energy.curved and speeds.beta:
        bent = flow.energy.unpenalised.curvature(pi, pi.points)
        own[:, 1:, 1:] = speeds.beta * np.sign(pi.weights)[:, None, None] * bent
    return max(float(np.max(np.linalg.eigvalsh(own))), 0.0)


@dataclass(frozen=True, eq=False)
class _Coupled:
    """sqrt(m_i m_j) (2 sqrt(alpha) + sqrt(beta) grad)_i (..)_j k_ij of one term: rows (m, q) of a charge, or its trace.

    rows: (m, 1 + d, q) scaled so that the matrix is sum_q of products, if q is at most 400; traces: (m,) else.
    """

    rows: Array | None
    traces: Array

    @classmethod
    def of(cls, term: Term, pi: SignedParticles, speeds: Speeds) -> "_Coupled | None":
        """None for a term without a second variation."""
        coupled = term.coupling(pi, pi.points)
        if coupled is None:
            return None
        m, d = pi.points.shape
        factor, core = coupled
        moves = math.sqrt(speeds.beta) * (factor * np.sqrt(np.abs(core))).reshape(m, d, -1)
        if not isinstance(term, Risk):
            return cls(None, 4.0 * speeds.alpha * _self_energy(term, pi) + np.sum(moves**2, axis=(1, 2)))
        grows = 2.0 * math.sqrt(speeds.alpha) * term.features(pi).T * np.sqrt(np.abs(core))
        rows = np.concatenate([grows[:, None, :], moves], axis=1)
        return cls(rows if len(core) <= _EIGENVALUES else None, np.sum(rows**2, axis=(1, 2)))

    def norm(self, masses: Array) -> float:
        """The largest eigenvalue with these masses, or the trace."""
        if self.rows is None:
            return float(masses @ self.traces)
        rows = (np.sqrt(masses)[:, None, None] * self.rows).reshape(-1, self.rows.shape[2])
        return float(np.linalg.eigvalsh(rows.T @ rows)[-1])


def _self_energy(term: Term, pi: SignedParticles) -> Array:
    """k(theta_j, theta_j) (m,) of an Interaction."""
    assert isinstance(term, Interaction)
    points = pi.points[:1] if pi.domain.is_circle else pi.points  # there k(w, w) does not depend on w
    alone = [SignedParticles(pi.domain, w[None], np.ones(1)) for w in points]
    own = np.concatenate([term.kernel.against(one, one.points, 0) for one in alone])
    return np.broadcast_to(own, pi.weights.shape)
