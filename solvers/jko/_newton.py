"""This file owns the minimisation of G over increasing edges by Newton's method.

The Newton system (A + U C U^T) d = -gradient is solved by conjugate gradients preconditioned by the tridiagonal A, as
closely as the residual deserves. They end at a direction of negative curvature; what they have by then descends.
Source: Steihaug 1983, SIAM J. Numer. Anal. 20(3), 626-637; Dembo, Eisenstat & Steihaug 1982, ibid. 19(2), 400-408.
"""

import numpy as np

from solvers.jko._movement import Hessian, Movement, Point
from wflow.arrays import Array
from wflow.measure import Quantiles

_ARMIJO = 1e-4
_HALVINGS = 60
_CLOSER = 1e-2
_LOOSEST = 1e-2
_EXTRA = 10


def minimise(movement: Movement, start: Quantiles, tolerance: float, limit: int) -> Point:
    """The iterate whose residual is at most 1e-2 tolerance, or the best one if rounding or `limit` ends the iteration.

    Every iterate is increasing and no higher in G than the one before, to rounding.
    """
    here = movement.at(start)
    for _ in range(limit):
        if here.residual <= _CLOSER * tolerance:
            break
        there = _newton(movement, here)
        if there is None:
            break
        better = min(here, there, key=lambda point: point.residual)
        if there.residual >= 0.5 * here.residual and better.residual <= tolerance:
            return better  # rounding: no further decrease to be had
        here = there
    return here


def _newton(movement: Movement, here: Point) -> Point | None:
    """The next iterate, or None where no step decreases G beyond rounding."""
    direction = _direction(movement.hessian(here), here.gradient, min(_LOOSEST, here.residual))
    slope = float(here.gradient @ direction)
    t = min(1.0, movement.room(here.pi, direction))
    for _ in range(_HALVINGS):
        edges = here.pi.edges + t * direction
        if np.all(np.diff(edges) > 0.0):
            there = movement.at(here.pi.moved(edges))
            if there.objective <= here.objective + _ARMIJO * t * slope + _noise(here):
                return there
        t *= 0.5
    return None


def _noise(here: Point) -> float:
    """Rounding of G."""
    return 1e-15 * max(1.0, abs(here.objective))


def _direction(hessian: Hessian, gradient: Array, share: float) -> Array:
    """d with (A + U C U^T) d = -gradient up to that share of the gradient, in the norm of A^-1."""
    tridiagonal, wide, core = hessian.tridiagonal, hessian.wide, hessian.core
    left = -gradient
    across = tridiagonal.solve(left)
    if not len(core):
        return across
    total = np.zeros_like(gradient)
    search, image = across, left  # image = A search throughout: A needs no product of its own
    size = first = float(left @ across)
    for _ in range(len(core) + _EXTRA):
        turned = image + wide @ (core * (search @ wide))
        bend = float(search @ turned)
        if bend <= 0.0:  # the Hessian is indefinite
            return total if np.any(total) else across
        total = total + (size / bend) * search
        left = left - (size / bend) * turned
        across = tridiagonal.solve(left)
        before, size = size, float(left @ across)
        if size <= share**2 * first:
            break
        search, image = across + (size / before) * search, left + (size / before) * image
    return total
