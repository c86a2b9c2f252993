"""This file owns F of a density that is constant in the cells of one axis, where F of its cells takes V at centres."""

import numpy as np

from wflow.domain import Box
from wflow.energy import Energy
from wflow.grid import Grid
from wflow.measure import Density, Measure
from wflow.mesh_density import MeshDensity
from wflow.mesh_line import steps_of


def on_one_axis(pi: Measure) -> Density | None:
    """A density that is constant in cells of one length, on a grid or a mesh of one axis, as one on a grid."""
    if isinstance(pi, Density):
        return pi if pi.domain.dim == 1 else None
    if not isinstance(pi, MeshDensity) or pi.linear or not isinstance(pi.domain, Box) or pi.domain.dim > 1:
        return None
    found, grid = steps_of(pi.whole()), Grid(pi.domain, (pi.whole().mesh.size,))
    even = np.allclose(found.right - found.left, grid.widths[0], rtol=1e-9, atol=0.0)
    return Density(grid, found.masses / grid.cell_volume) if even else None


def of_the_density(energy: Energy, pi: Density) -> tuple[float, float]:
    """F of the density that is constant in cells, and how far off: midpoints of its cells, halves and quarters.

    The rule errs by c h^2 + O(h^4): two of Richardson's extrapolations, which differ by the error of the first.
    """
    parts = [Density(Grid(pi.domain, (k * len(pi.values),)), np.repeat(pi.values, k)) for k in (1, 2, 4)]
    whole, halves, quarters = map(energy.value, parts)
    first, second = halves + (halves - whole) / 3.0, quarters + (quarters - halves) / 3.0
    return second, abs(second - first)
