"""This file owns densities of the unit square in parts, and the dual problem of atoms before them."""

import numpy as np

from wflow import Density, Grid, box
from wflow.laguerre_dual import Dual


def unit(rho):
    """Cells of the unit square with values proportional to rho (n0, n1)."""
    grid = Grid(box((0.0, 0.0), (1.0, 1.0)), rho.shape)
    return Density(grid, (rho / (rho.sum() * grid.cell_volume)).ravel())


def dual(x, rho):
    """Of atoms of equal masses."""
    pi = unit(rho)
    return Dual(x, np.full(len(x), 1.0 / len(x)), pi.values.reshape(rho.shape), pi.grid)


def strips(n=32):
    """The outer quarters of the square's first axis."""
    rho = np.zeros((n, n))
    rho[: n // 4] = rho[-(n // 4) :] = 1.0
    return rho
