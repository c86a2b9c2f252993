"""This file owns a density warmed for the time of a step, for the step's first guess.

A power warms like a temperature: p(rho)/rho a mass, in the mean, p its pressure, and as mass spreads it falls. So mass
spreads by the variance 2 tau S, with S = T + sum p(rho_S)/sum rho_S of what it has spread to: implicit Euler, without
which a dense start would be thrown beyond all walls.
"""

import math
from collections.abc import Sequence

import numpy as np

from wflow.arrays import Array
from wflow.internal import Entropy, Internal
from wflow.spline.lattice import Sides
from wflow.spline.waves import angles, scaled

_KNOWN = 1.5
"""How well S is known, a ratio."""
_LEAST = 1e-4
"""Of S of the density as it is: no S is sought below."""


def warmed(rho: Array, terms: Sequence[Internal], variances: tuple[float, float], sides: Sides) -> Array:
    """A density (n0, n1) spread by S variances, squared cells an axis; S by bisection, which right side falls."""
    temperature = sum(term.temperature for term in terms if isinstance(term, Entropy))
    powers = [term for term in terms if not isinstance(term, Entropy)]

    def pressed(spread: Array) -> float:
        return temperature + sum(float(term.pressure(spread).sum()) for term in powers) / float(spread.sum())

    if not powers:
        return _spread(rho, temperature, variances, sides)
    most = pressed(np.maximum(rho, 0.0))
    least = max(temperature, _LEAST * most)
    while most > _KNOWN * least:
        middle = math.sqrt(least * most)
        high = pressed(_spread(rho, middle, variances, sides)) > middle
        least, most = (middle, most) if high else (least, middle)
    return _spread(rho, least, variances, sides)


def _spread(rho: Array, warmth: float, variances: tuple[float, float], sides: Sides) -> Array:
    for axis, turns in enumerate(sides):
        if rho.shape[axis] > 1:
            fade = np.exp(-0.5 * warmth * variances[axis] * angles(rho.shape[axis], turns) ** 2)
            rho = scaled(rho, axis, turns, fade)
    return np.maximum(rho, 0.0)
