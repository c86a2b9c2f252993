"""This file owns how strongly moving points act on one another through V[pi]: the norm of (d_i d_j k) weights_j.

The matrix is factor diag(core) factor^T weights with factor (m d, q), so its nonzero eigenvalues are those of the small

    sum_j weights_j core^(1/2) F_j^T F_j core^(1/2) (q, q),    F_j (d, q) the rows of point j:

a mean over the points, which many points allow to estimate by a sample of them.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.measure import Measure

_EIGENVALUES = 400
_ALL = 1 << 21
_SAMPLED = 1 << 19
_FEWEST = 64
_SIGMAS = 3.0


@dataclass(frozen=True, eq=False)
class Probe:
    """Points (m, d) with weights (m,) that stand for those of a measure; a sample, or all of them."""

    points: Array
    weights: Array
    sampled: bool

    @classmethod
    def of(cls, pi: Measure, columns: int) -> "Probe":
        """All points while factor has at most 2^21 numbers, else a seeded sample with 2^19 (64 points at least)."""
        m, d = pi.points.shape
        size = max(_FEWEST, _SAMPLED // max(1, columns * d))
        if m * d * columns <= _ALL or m <= size:
            return cls(pi.points, pi.weights, False)
        size_of = np.abs(pi.weights)
        mass = float(size_of.sum())
        chosen = np.random.default_rng(0).choice(m, size, p=size_of / mass)
        return cls(pi.points[chosen], np.full(size, mass / size), True)


def norm(factor: Array, core: Array, probe: Probe) -> float:
    """Largest |eigenvalue|; beyond 400 columns a bound, the trace. Of a sample: its estimate and 3 standard errors."""
    if not len(core):
        return 0.0
    weights = np.repeat(probe.weights, probe.points.shape[1])
    scaled = factor * np.sqrt(weights)[:, None]
    return _estimate(scaled, core, len(probe.weights)) if probe.sampled else _exact(scaled, core)


def _exact(scaled: Array, core: Array) -> float:
    if len(core) > _EIGENVALUES:
        return float(np.abs(core) @ np.sum(scaled * scaled, axis=0))
    if np.min(core) >= 0.0:
        half = scaled * np.sqrt(core)
        return float(np.linalg.eigvalsh(half.T @ half)[-1])
    return float(np.max(np.abs(np.linalg.eigvals(core[:, None] * (scaled.T @ scaled)))))


def _estimate(scaled: Array, core: Array, points: int) -> float:
    """Either number is a sum of shares of independent points; |core| bounds what an indefinite core does."""
    half = scaled * np.sqrt(np.abs(core))
    if len(core) > _EIGENVALUES:
        shares = np.sum(half * half, axis=1)
    else:
        shares = (half @ np.linalg.eigh(half.T @ half).eigenvectors[:, -1]) ** 2
    each = shares.reshape(points, -1).sum(axis=1)
    return float(np.sum(each) + _SIGMAS * np.std(each) * points**0.5)
