"""This file owns linearised SGD run forward: mean |x_t|^2 over many runs, with its standard error."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count, positive, shaped
from wflow.stability.batches import Batches
from wflow.stability.covariance import check
from wflow.stability.curvatures import Curvatures

_BLOCK = 8000
_ROUNDING = 1e-10


@dataclass(frozen=True)
class Moments:
    """Mean of |x_t|^2 and its standard error, t = 0 .. steps (steps + 1,)."""

    mean: Array
    error: Array


def moments(
    curvatures: Curvatures, eta: float, draw: Batches, start: Array, *, steps: int, runs: int, seed: int
) -> Moments:
    """From x_0 = start^(1/2) times random signs, start (d, d) positive semidefinite: E |x_t|^2 = tr T^t(start).

    Runs go in blocks, each with its own generator. Tails are heavy: the error itself is one only while
    runs (E m^2)^2t is large against E m^4t, m a run's multiplier.
    """
    check(curvatures, draw)
    positive("moments eta", eta)
    count("moments steps", steps)
    count("moments runs", runs, least=2)
    c = shaped("moments start", start, (curvatures.dim, curvatures.dim))
    values, vectors = np.linalg.eigh(c)
    slack = _ROUNDING * float(np.max(np.abs(c)))
    if values[0] < -slack or np.max(np.abs(c - c.T)) > slack:
        raise ValueError(f"moments start: least eigenvalue {values[0]:g}; give E x x^T, symmetric and >= 0")
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    sums = np.zeros((2, steps + 1))
    for block, first in enumerate(range(0, runs, _BLOCK)):
        rng = np.random.default_rng([seed, block])
        x = (2.0 * rng.integers(2, size=(min(_BLOCK, runs - first), curvatures.dim)) - 1.0) @ root.T
        square = np.empty((steps + 1, len(x)))
        for t in range(steps + 1):
            square[t] = np.sum(x * x, axis=1)
            if t < steps:
                x = _after(curvatures, eta, draw, x, rng)
        sums += [square.sum(axis=1), (square * square).sum(axis=1)]
    mean = sums[0] / runs
    return Moments(mean, np.sqrt(np.maximum(sums[1] / runs - mean * mean, 0.0) / (runs - 1)))


def _after(curvatures: Curvatures, eta: float, draw: Batches, x: Array, rng: np.random.Generator) -> Array:
    """One step of each run, x (runs, d)."""
    n, r, d = curvatures.factors.shape
    along = (x @ curvatures.factors.reshape(-1, d).T).reshape(-1, n, r)
    weighted = draw.counts(rng, len(x))[:, :, None] * along
    return np.asarray(x - eta / draw.batch * weighted.reshape(-1, n * r) @ curvatures.factors.reshape(-1, d))
