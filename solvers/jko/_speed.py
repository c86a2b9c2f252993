"""This file owns how fast a density moves at its start, in cells: what steps on a grid are measured against."""

import numpy as np

from wflow.arrays import Array
from wflow.domain import Domain
from wflow.flow import Flow
from wflow.measure import Density

_VISIBLE = 1e-3


def slope_of(flow: Flow, pi: Density) -> Array:
    """dF/dq (m,) at the masses of a density: V + U'(rho), -inf for the entropy of an empty cell."""
    slope = flow.energy.potential(pi, pi.points)
    with np.errstate(divide="ignore"):
        for term in flow.energy.internal:
            slope = slope + term.slope(pi.values)
    return slope


def cells_a_time(flow: Flow, pi: Density) -> float:
    """The cells of its axis that the fastest visible mass crosses in a unit of time.

    Its speed: differences of dF/dq over faces between cells of at least a thousandth of the largest density.
    """
    slope = np.where(pi.values >= _VISIBLE * pi.values.max(), slope_of(flow, pi), np.nan).reshape(pi.grid.shape)
    widths = pi.grid.widths.tolist()
    return max((_rise(slope, axis, flow.domain) / float(widths[axis]) ** 2 for axis in flow.domain.moving), default=0.0)


def _rise(field: Array, axis: int, domain: Domain) -> float:
    """The largest difference of neighbours along an axis, nan left out."""
    rise = np.abs(np.roll(field, -1, axis) - field)
    faces = rise if domain.periodic[axis] else np.delete(rise, -1, axis)
    return float(np.fmax.reduce(faces, axis=None, initial=0.0))
