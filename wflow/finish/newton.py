"""This file owns Newton's method on masses and positions jointly: charges go down to where no force is left."""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.finish.jet import Jet
from wflow.measure import SignedParticles

_TRIALS = 40
_ROUNDING = 1e-13
_FIRST = 1e-6
_LEAST = 1e-10


def settled(energy: Energy, nu: SignedParticles, *, tolerance: float, limit: int) -> Jet:
    """Where Newton's method with a Levenberg-Marquardt shift, which F judges, ends from nu: at `tolerance`, or stuck.

    A mass that would change its sign becomes 0 and its charge is removed (an active set). Quadratic near a minimum
    whose Hessian is positive definite; there steps that F no longer resolves are judged by the residual.
    """
    here, shift = Jet(energy, nu), 0.0
    for _ in range(limit):
        if here.residual <= tolerance:
            break
        for _ in range(_TRIALS):
            there = _trial(here, shift)
            if there is not None and _lower(here, there):
                break
            shift = max(10.0 * shift, _FIRST)
        else:
            break
        here, shift = there, 0.1 * shift if shift > _LEAST else 0.0
    return here


def _lower(here: Jet, there: Jet) -> bool:
    """F falls, or does not rise beyond rounding while the forces fall."""
    slack = _ROUNDING * max(1.0, abs(here.value))
    fallen = here.value - there.value
    return fallen > slack or (fallen >= -slack and there.residual < 0.9 * here.residual)


def _trial(here: Jet, shift: float) -> Jet | None:
    """The charges one shifted step further; None where the shifted Hessian is indefinite or a step too long."""
    nu = here.nu
    m, d = nu.points.shape
    step = _direction(here, shift)
    if step is None:
        return None
    away = step[m:].reshape(m, d)
    if np.max(np.abs(away)) > here.reach:
        return None
    weights = nu.weights + step[:m]
    kept = weights * nu.weights > 0.0
    if not np.any(kept):
        return None
    points = nu.domain.retract(nu.points + away)
    return Jet(here.energy, SignedParticles(nu.domain, points[kept], weights[kept]))


def _direction(here: Jet, shift: float) -> Array | None:
    """-(H + shift diag D)^-1 g in scaled variables, D what each variable does alone."""
    m, d = here.nu.points.shape
    own = np.einsum("iaia->ia", here.pairs.mixed)
    alone = np.concatenate([np.diagonal(here.pairs.value), (here.nu.weights[:, None] ** 2 * own).ravel()])
    scale = 1.0 / np.sqrt(np.maximum(alone, 1e-300))
    matrix = here.hessian * scale[:, None] * scale[None, :] + shift * np.eye(m + m * d)
    if not np.all(np.isfinite(matrix)):
        return None
    try:
        factor = cho_factor(matrix, check_finite=False)
    except LinAlgError:
        return None
    return np.asarray(-scale * cho_solve(factor, scale * here.gradient, check_finite=False))
