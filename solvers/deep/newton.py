"""This file owns Newton's method by differences of gradients, for steps that minimise F + |z - z_k|^2/2."""

from collections.abc import Callable

import numpy as np

from wflow.arrays import Array
from wflow.errors import NotConverged

_SUFFICIENT, _SHORTEST, _NUDGE = 1e-4, 1e-9, 1e-6


def minimum(
    name: str,
    objective: Callable[[Array], float],
    slope: Callable[[Array], Array],
    z: Array,
    *,
    tolerance: float,
    limit: int,
) -> tuple[Array, float]:
    """A stationary point below the start z (q,), and the norm of the slope there, at most `tolerance`.

    Conjugate gradients for each step, products with the Hessian as differences of slopes; the objective falls at every
    step.   Raises NotConverged in the `name` of the method.
    """
    now = slope(z)
    for _ in range(limit):
        size = float(np.linalg.norm(now))
        if size <= tolerance:
            return z, size
        z = _lowered(name, objective, z, now, _newton(slope, z, now))
        now = slope(z)
    size = float(np.linalg.norm(now))
    if not size <= tolerance:
        raise NotConverged(
            f"{name}: stopped at residual {size:.3g} > {tolerance:g} after {limit} iterations; "
            "use a shorter step, or raise `limit` or `tolerance`",
            size,
        )
    return z, size


def _newton(slope: Callable[[Array], Array], z: Array, now: Array) -> Array:
    """A direction d with (1 + dt F'') d = -slope by conjugate gradients; what there is where the curvature ends."""
    d, rest = np.zeros_like(z), -now
    along, square = rest, float(rest @ rest)
    wanted = min(0.1, square**0.25) * square**0.5
    for _ in range(len(z)):
        bent = _bent(slope, z, along)
        curvature = float(along @ bent)
        if curvature <= 0.0:
            return d if np.any(d) else rest
        length = square / curvature
        d, rest = d + length * along, rest - length * bent
        before, square = square, float(rest @ rest)
        if square**0.5 <= wanted:
            break
        along = rest + square / before * along
    return d


def _bent(slope: Callable[[Array], Array], z: Array, d: Array) -> Array:
    """The Hessian times d, by central differences: error 1e-12 of a third derivative, and rounding 1e-10."""
    h = _NUDGE / float(np.linalg.norm(d))
    return (slope(z + h * d) - slope(z - h * d)) / (2.0 * h)


def _lowered(name: str, objective: Callable[[Array], float], z: Array, now: Array, d: Array) -> Array:
    """z + s d with the first s = 1, 1/2, .. by which the objective falls enough; rounding of it is no rise."""
    value, along = objective(z), float(now @ d)
    slack, s = 1e-14 * max(1.0, abs(value)), 1.0
    while not objective(z + s * d) <= value + _SUFFICIENT * s * along + slack:
        s *= 0.5
        if s < _SHORTEST:
            raise NotConverged(
                f"{name}: no step lowers the objective (slope {along:.3g}); use a shorter step", abs(along)
            )
    return z + s * d
