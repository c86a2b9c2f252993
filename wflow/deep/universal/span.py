"""This file owns how far functions are from what a last layer can make of given features, at a bounded norm.

Features phi_c in L2(P_X), labels c ~ P; a readout a in L2(P) makes f_a = E_C[a(C) phi_C]. For a target g and B >= 0

    d(B; g) = min |g - f_a| over |a| <= B, both norms those of L2,   d(infinity; g) = distance to the closed span.

With as many neurons as inputs any analytic activation interpolates, with huge readouts: d(infinity; g) is 0 for every
network and tells nothing; d(B; g) is a number of the law of the features alone (nodes split in halves leave it), the
limit of large widths, and the span is dense iff it falls to 0 as B grows, for every g (derived; the argument is in
docs/global_convergence.md).

With z = sqrt(p) a and A = sqrt(q) phi sqrt(p) = U s V^T it is min |b - A z| over |z| <= B: z_k = s_k b_k/(s_k^2 + mu),
b_k = U_k.b, on the ridge path at the mu with |z| = B.
Source: More & Sorensen 1983, SIAM J. Sci. Stat. Comput. 4, 553-572.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array, positive, shaped, weights_of_mass_one
from wflow.errors import NotConverged

RANK = 1e-10
"""Singular values below this share of the largest count as 0."""
_HALVINGS = 90
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Span:
    """features: (n, m) at n inputs of weights (n,), of m nodes of masses (m,); nodes of mass 0 take no part."""

    features: Array
    masses: Array
    weights: Array

    def __post_init__(self) -> None:
        features = shaped("Span features", self.features, (None, None))
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "masses", weights_of_mass_one("Span masses", self.masses, features.shape[1]))
        object.__setattr__(self, "weights", weights_of_mass_one("Span weights", self.weights, features.shape[0]))

    @cached_property
    def _factors(self) -> tuple[Array, Array]:
        """U (n, r) and s (r,), the numerical rank r."""
        acting = self.masses > 0.0  # the others' columns are 0
        scaled = np.sqrt(self.weights)[:, None] * self.features[:, acting] * np.sqrt(self.masses[acting])
        u, s, _ = np.linalg.svd(scaled, full_matrices=False)
        kept = s > RANK * s[0]
        return u[:, kept], s[kept]

    @property
    def rank(self) -> int:
        """The number of singular values of the features in L2(P_X) x L2(P) above RANK times the largest."""
        return len(self._factors[1])

    def unbounded(self, targets: Array) -> Array:
        """(t,) |g - span|/|g| of targets (n, t), the span of the singular functions above RANK."""
        wanted, size = self._scaled(targets)
        u, _ = self._factors
        return np.asarray(np.linalg.norm(wanted - u @ (u.T @ wanted), axis=0) / size)

    def distance(self, targets: Array, norm: float) -> Array:
        """(t,) d(norm |g|; g)/|g| of targets (n, t).

        By bisection of mu, held to its dual bound: NotConverged where |b - A z|^2 is above it by more than 1e-9 |g|^2.
        """
        positive("Span.distance norm", norm)
        wanted, size = self._scaled(targets)
        u, s = self._factors
        largest = float(s[0]) if len(s) else 1.0
        s, bound = s / largest, float(norm) * largest  # features of any unit
        b = u.T @ wanted / size
        outside = np.sum((wanted / size - u @ b) ** 2, axis=0)
        mu = _multiplier(s, b, bound)
        z, left = s[:, None] * b / (s[:, None] ** 2 + mu), mu * b / (s[:, None] ** 2 + mu)
        square = outside + np.sum(left**2, axis=0)
        length = np.linalg.norm(z, axis=0)
        lower = square + mu * (length - bound) * (length + bound)
        worst = float(np.max(square - lower, initial=0.0))
        if not worst <= _SLACK:
            raise NotConverged(f"Span.distance: squares are {worst:.2g} above their dual bounds, allowed 1e-9", worst)
        return np.asarray(np.sqrt(square))

    def _scaled(self, targets: Array) -> tuple[Array, Array]:
        """sqrt(q) g and |g|; ValueError for a target that vanishes."""
        wanted = np.sqrt(self.weights)[:, None] * shaped("Span targets", targets, (len(self.weights), None))
        size = np.linalg.norm(wanted, axis=0)
        if not np.all(size > 0.0):
            raise ValueError(f"Span targets: number {int(np.argmin(size))} is 0 at all inputs; leave it out")
        return wanted, size


def _multiplier(s: Array, b: Array, bound: float) -> Array:
    """mu (t,) with |z| <= bound, 0 where least squares needs no more; from above, so that the norm is never passed."""
    free = np.linalg.norm(b / s[:, None], axis=0) <= bound
    # |z| <= |s b|/mu
    high = np.linalg.norm(s[:, None] * b, axis=0) / bound
    low = high * 1e-30
    for _ in range(_HALVINGS):
        middle = np.sqrt(low) * np.sqrt(high)
        far = np.linalg.norm(s[:, None] * b / (s[:, None] ** 2 + middle), axis=0) > bound
        low, high = np.where(far, middle, low), np.where(far, high, middle)
    return np.where(free, 0.0, high)
