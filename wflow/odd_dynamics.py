"""This file owns the dynamics of ReLU networks that learn an odd target from a symmetric start: a linear predictor.

Let x and -x have one law, f*(-x) = -f*(x), neurons a relu(b . x) of inputs in R^d, and a start unchanged by
(a, b) -> (-a, -b). As relu z = z/2 + |z|/2, f(x) = w . x with w = int a b dpi/2, the residual is odd, and what it sees
of |b . x| is 0: V(a, b) = a b . q/2 with q = S w - c, S = E x x^T, c = E f* x. V is a quadratic form, so the flow

    a' = -b . q/2,   b' = -a q/2        (it keeps the symmetry)

is linear in each neuron, and closed in w and the moments A = int a^2 dpi, B = int b b^T dpi (derived):

    w' = -(A I + B) q/4,        A' = -2 w . q,        B' = -(q w^T + w q^T)

F - inf F = (w - w*)^T S (w - w*)/2, S w* = c: where V = 0 for all (a, b), F is least, for it is convex. By Gronwall's
inequality F - inf F falls at least like exp(-(least eigenvalue of S) int A dt/2) (proved: B is nonnegative).
Source: Hajjar & Chizat 2022, On the symmetries in the dynamics of wide two-layer neural networks, arXiv:2211.08771.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import cho_factor, cho_solve

from wflow.arrays import Array, shaped
from wflow.data import Data
from wflow.errors import NotConverged, Refused
from wflow.measure import Measure

_TOLERANCE = 1e-13
_MIRRORED, _WAVES = 1e-12, 8
"""Largest mean of an odd function of size 1 that rounding explains; how many such functions are asked."""


@dataclass(frozen=True, eq=False)
class OddDynamics:
    """The flow of w, A and B for a second moment S (d, d) and c (d,), from the moments of a start."""

    second: Array
    correlation: Array
    start: Array
    """w, A and B in one row (d + 1 + d^2,)."""

    @classmethod
    def of(cls, data: Data, pi: Measure) -> "OddDynamics":
        """Of data (x, y) that hold (-x, -y) with each (x, y), and neurons (a, b) that hold (-a, -b) with each.

        Raises Refused where they do not (`_lopsided`), or S is singular.
        """
        x, y, p = data.inputs, data.targets, data.weights
        a, b, m = pi.points[:, 0], pi.points[:, 1:], pi.weights
        if max(_lopsided(np.column_stack([x, y]), p), _lopsided(np.column_stack([a, b]), m)) > _MIRRORED:
            raise Refused("odd dynamics: data or neurons are not symmetric; give (-x, -y) and (-a, -b) with each")
        second = (x * p[:, None]).T @ x
        if np.linalg.matrix_rank(second) < len(second):
            raise Refused(f"odd dynamics: {len(x)} data leave a direction of R^{len(second)} unseen; give more")
        start = np.concatenate([0.5 * (m * a) @ b, [m @ a**2], ((b * m[:, None]).T @ b).ravel()])
        return cls(second, (p * y) @ x, start)

    @property
    def dim(self) -> int:
        """d."""
        return len(self.correlation)

    @cached_property
    def best(self) -> Array:
        """(d,) w*, the best linear predictor."""
        return np.asarray(cho_solve(cho_factor(self.second), self.correlation))

    def at(self, times: Array) -> Array:
        """(k, d + 1 + d^2) rows of w, A and B at increasing times (k,) from 0 on, to 1e-13 by a method of order 8.

        Raises ValueError for other times, NotConverged where the integrator does not reach the last.
        """
        times = shaped("odd dynamics times", times, (None,))
        if times[0] < 0.0 or np.any(np.diff(times) <= 0.0):
            raise ValueError(f"odd dynamics times: {times.tolist()} are not increasing from 0 on; sort them, each once")
        span = (0.0, max(float(times[-1]), np.finfo(float).tiny))
        scale = float(np.max(np.abs(self.start)))
        found = solve_ivp(self._rate, span, self.start, "DOP853", times, rtol=_TOLERANCE, atol=_TOLERANCE * scale)
        if not found.success:
            raise NotConverged(f"odd dynamics: {found.message}", float("nan"))
        return np.asarray(found.y.T)

    def _rate(self, t: float, state: Array) -> Array:
        d = self.dim
        w, a, b = state[:d], state[d], state[d + 1 :].reshape(d, d)
        q = self.second @ w - self.correlation
        turned = np.outer(q, w)
        return np.concatenate([-0.25 * (a * q + b @ q), [-2.0 * float(w @ q)], -(turned + turned.T).ravel()])

    def predictors(self, times: Array) -> Array:
        """(k, d) w: f_t(x) = w(t) . x."""
        return self.at(times)[:, : self.dim]

    def excess(self, times: Array) -> Array:
        """(k,) F - inf F."""
        off = self.predictors(times) - self.best
        return np.asarray(0.5 * np.einsum("ki,ij,kj->k", off, self.second, off))

    def second_moment(self, t: float) -> float:
        """int |(a, b)|^2 dpi = A + trace B at t."""
        row = self.at(np.array([t]))[0]
        return float(row[self.dim] + np.trace(row[self.dim + 1 :].reshape(self.dim, self.dim)))


def _lopsided(z: Array, weights: Array) -> float:
    """The largest of |sum_i weights_i sin(g . z_i)| over a few g: 0 for all g just where z and -z have one law.

    That is the odd part of a characteristic function, analytic in g: if it is not 0, almost every g shows it (proved).
    Moments do not do: three points at 120 degrees have mean 0.
    """
    g = np.random.default_rng(0).standard_normal((z.shape[1], _WAVES)) / max(float(np.max(np.abs(z))), 1e-300)
    return float(np.max(np.abs(weights @ np.sin(z @ g))))
