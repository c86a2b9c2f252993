"""This file owns the exact mean-square condition of SGD on several axes, between proved bounds.

Near a global minimum x' = x - (eta/B) sum_{i in batch} H_i x, and C = E x x^T obeys C' = T(C),             (derived)

    T(C) = (I - eta H) C (I - eta H) + eta^2 c [mean H_i C H_i - H C H] = E M C M,   M = I - eta mean_batch H_i

Stable iff the spectral radius of T is at most 1. On the orthogonal complement of the range of H nothing moves; all
here is asked on that range. T keeps the cone of positive semidefinite C and is symmetric for <A, B> = tr A B, so

    its radius is its largest eigenvalue, at least <C, T C>/<C, C> for every C,                                (proved)
    and below mu wherever X > 0 has T(X) < mu X (Collatz and Wielandt's bound of the cone)                     (proved)

The slides' sufficient condition is the second with X = I, as T(I) = (I - eta H)^2 + eta^2 c Sigma. The best X solves
mu X - T(X) = I, which is a positive system just where mu is above the radius: conjugate gradients, no matrix of d^2
by d^2. And <C, T C> is convex in eta: the stable eta are an interval from 0 on, up to 1 over the largest
eigenvalue of Q against L, L(C) = H C + C H, Q(C) = E H_batch C H_batch.                                       (proved)
Source: for that closed form Mulayoff & Michaeli 2024, COLT, PMLR 247, 3915-3969; the sufficient condition, Wu, Ma & E
2018, NeurIPS 31.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array, positive
from wflow.errors import NotConverged
from wflow.stability.batches import Batches
from wflow.stability.curvatures import Curvatures
from wflow.stability.krylov import leading, solved

_EPS = float(np.finfo(np.float64).eps)
_HALF = 0.5
"""The allowed residual of mu X - T(X) = I; any number below 1, less rounding, proves T(X) < mu X."""


@dataclass(frozen=True)
class SecondMoment:
    """T of SGD at the rate eta with those batches; C (d, d) in the coordinates of the curvatures."""

    curvatures: Curvatures
    eta: float
    draw: Batches

    def __post_init__(self) -> None:
        positive("SecondMoment eta", self.eta)
        check(self.curvatures, self.draw)

    def after(self, c: Array) -> Array:
        """T(C) of a symmetric C (d, d): O(n r d (d + r))."""
        h, noise = self.curvatures.mean, self.draw.noise
        left = c - self.eta * (h @ c)
        moved = left - self.eta * (left @ h)
        if noise > 0.0:
            moved = moved + self.eta**2 * noise * (self.curvatures.between(c) - h @ c @ h)
        return np.asarray(0.5 * (moved + moved.T))

    def sufficient(self) -> float:
        """The slides' number, the largest eigenvalue of (I - eta H)^2 + eta^2 c Sigma: stable where it is at most 1."""
        still = np.eye(self.curvatures.dim) - self.eta * self.curvatures.mean
        return float(np.linalg.eigvalsh(still @ still + self.eta**2 * self.draw.noise * self.curvatures.covariance)[-1])

    @cached_property
    def rounding(self) -> float:
        """By how much T(C) as computed may be off, over |C|: products of lengths d, r and n r, each gamma_k |A| |B|."""
        v = self.curvatures.factors
        n, r, d = v.shape
        fourth = float(np.mean(np.sum(v * v, axis=(1, 2)) ** 2))
        linear = (np.sqrt(d) + self.eta * np.linalg.norm(self.curvatures.mean)) ** 2
        drawn = self.eta**2 * self.draw.noise
        return 1.1 * _EPS * float((8 * d + 20) * linear + drawn * (2 * d + r + n * r + 10) * fourth)


def check(curvatures: Curvatures, draw: Batches) -> None:
    """ValueError where the batches are not of these data."""
    if draw.data != curvatures.count:
        raise ValueError(f"draw: its batches are of {draw.data} data, the curvatures of {curvatures.count}; give one n")


@dataclass(frozen=True)
class Radius:
    """lower <= spectral radius of T < upper on the range of H, with what proves it in coordinates of that range.

    least: C >= 0 with <C, T C>/<C, C> >= lower.   dominated: X > 0, T(X) < upper X.   residual: |T C - lower C|/|C|.
    """

    lower: float
    upper: float
    least: Array
    dominated: Array
    residual: float

    @property
    def stable(self) -> bool:
        """Proved: every second moment on the range of H tends to 0."""
        return self.upper <= 1.0

    @property
    def unstable(self) -> bool:
        """Proved: some second moment grows without bound."""
        return self.lower > 1.0


def radius(
    curvatures: Curvatures, eta: float, draw: Batches, *, tolerance: float = 1e-8, limit: int = 20_000
) -> Radius:
    """The spectral radius of T between proved bounds, `tolerance` apart (of 1, or of itself if larger).

    The rounding of T is counted; that of the turn into coordinates of the range, some eps of the factors, is not.
    Raises NotConverged where an iteration stops before, and where `tolerance` is less than rounding allows.
    """
    positive("radius tolerance", tolerance)
    step = SecondMoment(curvatures.spanned, eta, draw)
    theta, e = leading(step.after, np.eye(step.curvatures.dim), tolerance=0.1 * tolerance, limit=limit)
    theta, residual = rayleigh(step, e)
    upper = theta + tolerance * max(1.0, theta)
    return Radius(theta, upper, e, dominated(step, upper, e, theta, limit=limit), residual)


def rayleigh(step: SecondMoment, e: Array) -> tuple[float, float]:
    """A proved bound from below <E, T E>/<E, E> less rounding, and the residual |T E - theta E|/|E|."""
    size, image = float(np.linalg.norm(e)), step.after(e)
    theta = float(np.vdot(e, image)) / size**2
    spent = step.rounding + e.size * _EPS * float(np.linalg.norm(image)) / size
    return theta - spent, float(np.linalg.norm(image - theta * e)) / size


def dominated(step: SecondMoment, mu: float, e: Array, theta: float, *, limit: int = 20_000) -> Array:
    """X > 0 with T(X) < mu X, seen to be so, rounding counted; begins at the part along E >= 0, of eigenvalue theta.

    Raises NotConverged where there is none (mu is at most the radius), or none within `limit` maps.
    """
    h = np.diag(step.curvatures.mean)
    still = 1.0 - step.eta * h
    one = np.eye(len(h))
    guess = float(np.trace(e)) / ((mu - theta) * float(np.vdot(e, e))) * e
    x = solved(
        lambda c: mu * c - step.after(c), one, guess, mu - np.outer(still, still), tolerance=_HALF, limit=limit
    )  # fmt: skip
    x = 0.5 * (x + x.T)
    off = float(np.linalg.norm(one - (mu * x - step.after(x))))
    size = float(np.linalg.norm(x))
    spent = (step.rounding + 4.0 * mu * _EPS) * size
    least = float(np.linalg.eigvalsh(x)[0])
    if off + spent >= 1.0 or least <= len(h) * _EPS * size:
        raise NotConverged(
            f"dominated: X has residual {off:.1e}, rounding {spent:.1e} and least eigenvalue {least:.1e}: no proof "
            f"that the radius is below {mu:.12g}; ask for a wider tolerance", off + spent,
        )  # fmt: skip
    return x


@dataclass(frozen=True)
class Rate:
    """Stable in mean square for all eta from 0 to `lower`, for none from `upper` on: both proved."""

    lower: float
    upper: float


def largest_rates(curvatures: Curvatures, draw: Batches, *, tolerance: float = 1e-6, limit: int = 20_000) -> Rate:
    """The largest stable eta between bounds (1 -+ tolerance) apart.

    Q against L on the range of H, where L is diagonal: Lanczos, in units of a. Below, X > 0 with T(X) < X; above, C
    with <C, T C> > <C, C>: either proves its side, as the stable eta are an interval. Raises as `radius` does.
    """
    positive("largest_rates tolerance", tolerance)
    check(curvatures, draw)
    span = curvatures.spanned
    h, noise = np.diag(span.mean), draw.noise
    root = np.sqrt(h[:, None] + h)

    def pencil(e: Array) -> Array:
        c = e / root
        drawn = (1.0 - noise) * np.outer(h, h) * c + (noise * span.between(c) if noise > 0.0 else 0.0)
        return np.asarray(0.5 * (drawn + drawn.T) / (h[0] * root))

    top, e = leading(pencil, root * np.eye(len(h)), tolerance=0.1 * tolerance, limit=limit)
    c = e / root
    under, over = (SecondMoment(span, (1.0 + sign * tolerance) / (top * float(h[0])), draw) for sign in (-1.0, 1.0))
    value, _ = rayleigh(over, c)
    if value <= 1.0:
        raise NotConverged(
            f"largest_rates: <C, T C>/<C, C> = {value!r} at eta = {over.eta:.12g}; widen tolerance", value
        )
    theta, near = leading(under.after, c, tolerance=0.01 * tolerance, limit=limit)
    dominated(under, 1.0, near, theta, limit=limit)
    return Rate(under.eta, over.eta)
