"""This file owns the H^-1 distance of two densities on grids: W2 to first order, without a floor.

With -Laplace phi = a - b (no flux at walls), |a - b|^2 = int |grad phi|^2 / rbar and rbar = int rho^2 of the first
measure, the density that its mass sees on average. At a uniform density it is W2 to first order in a - b.
Source for the comparison with W2: Peyre 2018, ESAIM Control Optim. Calc. Var. 24(4), 1489-1501.
"""

import math

import numpy as np
from scipy.fft import dct, fft

from wflow.arrays import Array, ComplexArray
from wflow.errors import Refused
from wflow.measure import Density


def nested(a: Density, b: Density) -> bool:
    """Whether the grid of one refines that of the other by whole numbers on one box."""
    fine, coarse = sorted((a.grid, b.grid), key=lambda grid: -grid.size)
    return fine.refines(coarse)


def dual_norm(a: Density, b: Density) -> float:
    """|a - b| in H^-1 on the coarser of both grids, of which the finer one must be a refinement by whole numbers.

    Refused for grids that do not match, and where the mass on a sheet of a frozen axis differs by more than 1e-9.
    """
    if a.grid.size < b.grid.size:
        a, b = b, a
    fine, coarse = a.grid, b.grid
    if not nested(a, b):
        raise Refused(f"H^-1: cells {fine.shape} and {coarse.shape} do not match; refine by a whole number on one box")
    difference = (a.merged(coarse.shape).values - b.values).reshape(coarse.shape)
    spectrum: Array | ComplexArray = difference
    symbol = np.zeros(coarse.shape)
    for axis, n in enumerate(coarse.shape):
        if coarse.domain.frozen[axis]:
            continue
        turns = coarse.domain.periodic[axis]
        spectrum = fft(spectrum, axis=axis, norm="ortho") if turns else dct(spectrum, axis=axis, norm="ortho")
        angle = np.arange(n) * (2.0 * math.pi if turns else math.pi) / n
        along = (2.0 - 2.0 * np.cos(angle)) / coarse.widths[axis] ** 2
        symbol += along.reshape([-1 if k == axis else 1 for k in range(len(coarse.shape))])
    still = symbol <= 1e-12 * symbol.max()
    left = float(np.abs(spectrum[still]).max()) * math.sqrt(coarse.cell_volume)
    if left > 1e-9:
        raise Refused(f"H^-1: the masses differ by about {left:.3g} on a sheet; they cannot be moved into one another")
    energy = np.abs(spectrum[~still]) ** 2 / symbol[~still]
    mean = float(b.values @ b.weights)
    return math.sqrt(float(energy.sum()) * coarse.cell_volume / mean)
