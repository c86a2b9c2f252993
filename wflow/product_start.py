"""This file owns a start for semi-discrete transport that is the answer where both measures are products of marginals.

Along each axis k, T_k takes the atoms' marginal to that of rho, increasing: a step for each atom, between quantiles.
With phi_k' = T_k the convex phi = phi_1(x_1) + phi_2(x_2) has in its slope at x_i the rectangle between the quantiles
of x_i, in the box and of positive size; so L_i contains it, whatever tails the atoms have and however narrow a cloud
of them is. An affine map, as in wflow.laguerre_dual, sends all but the furthest of heavy tails to one place.
"""

import numpy as np

from wflow.arrays import Array
from wflow.laguerre_dual import Dual


def product_start(dual: Dual) -> Array:
    """Potentials g_i = |x_i|^2 - 2 phi(x_i) (m,), phi 0 at the middle. Along periodic axes g says nothing."""
    grid, weights = dual.grid, dual.rho * dual.grid.cell_volume
    phi = np.zeros(len(dual.mu))
    for axis in np.flatnonzero(~np.asarray(grid.domain.periodic)):
        held = np.append(0.0, np.cumsum(weights.sum(axis=1 - int(axis))))
        edges = grid.domain.lower[axis] + grid.widths[axis] * np.arange(grid.shape[axis] + 1)
        x = dual.x[:, axis]
        order = np.argsort(x, kind="stable")
        below = np.cumsum(dual.mu[order])
        between = np.interp(below[:-1] / below[-1], held / held[-1], edges)
        steps = np.diff(x[order])
        rise, middle = steps * between, len(order) // 2
        # from the middle atom on, so that far ones do not blur the near
        before = -np.cumsum(rise[:middle][::-1])[::-1]
        phi[order] += np.concatenate([before, [0.0], np.cumsum(rise[middle:])])
    turned = dual.x * np.asarray(grid.domain.periodic)
    return dual.given(phi + 0.5 * np.sum(turned**2, axis=1))
