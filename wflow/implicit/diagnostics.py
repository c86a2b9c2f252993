"""This file owns what is looked at in networks (1/m) sum_j a_j relu(b_j . x): who carries them, how far they are.

c_j = a_j |b_j|/m is what neuron j contributes along its direction; with any scaling it is m^-s a |b| of the network
(wflow.implicit.scaling), so that all of these are those of the network as it was written.
"""

import numpy as np

from wflow.arrays import Array, count, positive, shaped
from wflow.measure import Measure
from wflow.space_kernel import charges_of

ACTIVE = 0.01
"""Of the largest |c_j|: a neuron with more is active."""
_BLOCK = 1 << 21


def magnitudes(pi: Measure) -> Array:
    """|c_j| (m,)."""
    return np.abs(charges_of(pi)[1])


def path_norm(pi: Measure) -> float:
    """sum_j |c_j| = int |a| |b| dpi."""
    return float(np.sum(magnitudes(pi)))


def active(pi: Measure, *, share: float = ACTIVE) -> int:
    """How many |c_j| are above a share of the largest; 0 where all are 0."""
    size = magnitudes(pi)
    return int(np.sum(size > positive("active share", share) * np.max(size)))


def carriers(pi: Measure) -> float:
    """(sum |c|)^2/sum c^2: m where all are alike, 1 where one neuron carries the network, nan where all are 0."""
    size = magnitudes(pi)
    square = float(size @ size)
    return float(np.sum(size)) ** 2 / square if square else float("nan")


def alignment(pi: Measure, units: Array) -> float:
    """Mean over |c_j| of the cosine between b_j and the nearest of unit vectors (k, d); nan where all c_j are 0."""
    directions, charges = charges_of(pi)
    units = shaped("alignment units", units, (None, directions.shape[1]))
    if np.any(np.abs(np.linalg.norm(units, axis=1) - 1.0) > 1e-9):
        raise ValueError("alignment units: not all of length 1; divide each by its length")
    total = float(np.sum(np.abs(charges)))
    return float(np.abs(charges) @ np.max(directions @ units.T, axis=1)) / total if total else float("nan")


def projections(pi: Measure, axes: Array) -> Array:
    """c_j (b_j/|b_j|) . axis (m, k): where the contributions point, seen along axes (k, d)."""
    directions, charges = charges_of(pi)
    axes = shaped("projections axes", axes, (None, directions.shape[1]))
    return np.asarray((charges[:, None] * directions) @ axes.T)


def predicted(pi: Measure, x: Array) -> Array:
    """f (n,) at inputs x (n, d)."""
    x = shaped("predicted x", x, (None, pi.points.shape[1] - 1))
    outer, size = pi.weights * pi.points[:, 0], max(1, _BLOCK // len(pi.points))
    blocks = [np.maximum(x[k : k + size] @ pi.points[:, 1:].T, 0.0) @ outer for k in range(0, len(x), size)]
    return np.concatenate(blocks)


def apart(first: Measure, second: Measure, x: Array) -> float:
    """max |f_1 - f_2| over inputs x (n, d)."""
    return float(np.max(np.abs(predicted(first, x) - predicted(second, x))))


def moved(pi: Measure, start: Measure) -> Array:
    """|b_j - b_j(0)|/(rms |b_j(0)|) (m,): how far inner weights have gone, free of scaling and d."""
    shaped("moved start", start.points, pi.points.shape)
    gone = np.linalg.norm(pi.points[:, 1:] - start.points[:, 1:], axis=1)
    return np.asarray(gone / np.sqrt(np.mean(np.sum(start.points[:, 1:] ** 2, axis=1))))


def sphere_points(n: int, dim: int, *, seed: int = 0) -> Array:
    """n points (n, dim) uniform on the unit sphere."""
    gauss = np.random.default_rng([count("seed", seed, least=0), 3]).standard_normal((count("n", n), count("dim", dim)))
    return np.asarray(gauss / np.linalg.norm(gauss, axis=1)[:, None])
