"""This file owns the largest margin in the norm of a kernel's space: what the output layer alone converges to.

    gamma_2 = max over f in H, |f| <= 1, of min_i y_i f(x_i) = min over p >= 0, sum p = 1, of (p . Q p)^(1/2)
    Q_ij = y_i y_j K(x_i, x_j);   f = sum_j p_j y_j K(x_j, .)/(p . Q p)^(1/2) has margin min_i (Q p)_i/(p . Q p)^(1/2)

K of relu(b . (x, 1)) with b uniform on S^2, |f|^2 = min int a^2 dtau over f = int a(b) relu(b . (x, 1)) dtau(b):

    K(x, x') = |X| |X'| (sin t + (pi - t) cos t)/(6 pi),  t the angle between X = (x, 1) and X'
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from wflow.arrays import Array, positive, shaped
from wflow.errors import NotConverged
from wflow.margins.labelled import Labelled


@dataclass(frozen=True, eq=False)
class KernelMargin:
    """lower <= gamma_2 <= upper, with the weights p (n,) that prove both."""

    lower: float
    upper: float
    weights: Array


def arc_cosine(x: Array, other: Array) -> Array:
    """K (n, m) of points x (n, 2) and other (m, 2), as at the head of this file. (E relu^2 = |X|^2/6.)

    Source: Cho & Saul 2009, NIPS 22, degree 1; there b is Gaussian, E |b|^2 = 3.
    """
    ahead, behind = (np.column_stack([v, np.ones(len(v))]) for v in (x, other))
    inner = ahead @ behind.T
    across = np.linalg.norm(np.cross(ahead[:, None], behind[None]), axis=2)
    angle = np.arctan2(across, inner)
    return np.asarray((across + (np.pi - angle) * inner) / (6.0 * np.pi))


def kernel_margin(x: ArrayLike, y: ArrayLike, *, tolerance: float = 1e-9) -> KernelMargin:
    """The largest margin of infinitely wide networks with frozen uniform directions, on x (n, 2), y = +-1 (n,).

    Raises NotConverged where the bracket is wider than tolerance upper and rounding.
    Source: Chizat & Bach 2020, COLT, arXiv:2002.04486.
    """
    data = Labelled.of(x, y)
    found = hard_margin(arc_cosine(data.points[:, :2], data.points[:, :2]), data.labels, tolerance=tolerance)
    return KernelMargin(found.lower, found.upper, data.spread(found.weights))


def hard_margin(kernel: ArrayLike, y: ArrayLike, *, tolerance: float = 1e-9) -> KernelMargin:
    """gamma_2 of any kernel's matrix (n, n) and labels (n,); of a network of m frozen neurons, psi psi^T/m.

    min p . Q p over the simplex has the ray of  min over u >= 0 of u . Q u + (1 - sum u)^2, u = s p: nonnegative least
    squares (Lawson and Hanson). Rounding, (n + 8) eps max_i (|Q| p)_i of either square, is added to both ends.
    Raises ValueError for a matrix that is not positive semidefinite, NotConverged as `kernel_margin`,
    and where this kernel does not separate the data beyond rounding.
    """
    labels = shaped("hard_margin labels", y, (None,))
    matrix = shaped("hard_margin kernel", kernel, (len(labels), len(labels)))
    positive("hard_margin tolerance", tolerance)
    q = labels[:, None] * labels * matrix
    scale, axes = np.linalg.eigh(0.5 * (q + q.T))
    if scale[0] < -1e-12 * abs(scale[-1]) * len(scale) or scale[-1] <= 0.0:
        raise ValueError(
            f"hard_margin kernel: eigenvalues from {scale[0]:.3g} to {scale[-1]:.3g}; give a kernel's matrix"
        )
    size = float(scale[-1])
    root = np.sqrt(np.maximum(scale, 0.0) / size)[:, None] * axes.T
    u, _ = nnls(np.vstack([root, np.ones(len(labels))]), np.append(np.zeros(len(labels)), 1.0))
    p = u / u.sum()
    # sums of n terms, and entries of Q that are known to a few units themselves
    rounding = (len(p) + 8) * np.finfo(float).eps * float(np.max(np.abs(q) @ p))
    square, least = float(p @ q @ p), float(np.min(q @ p))
    upper = float(np.sqrt(square + rounding))
    # rounding is in the bracket, and no iteration makes it smaller
    if least <= rounding or square - least > tolerance * square + rounding:
        raise NotConverged(
            f"hard_margin: bracket [{least / upper:.12g}, {upper:.12g}]; the data may not be separable by this "
            "kernel, else raise `tolerance`", upper - least / upper,
        )  # fmt: skip
    return KernelMargin((least - rounding) / upper, upper, p)
