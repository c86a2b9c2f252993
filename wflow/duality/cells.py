"""This file owns the gap of a density on its own cells at a temperature T > 0, where nothing is known between cells.

F of densities that are constant on cells is a function of their masses m (n,), F(m) = E(m) + T sum m log(m/|cell|),
with dE/dm_i = V at the middle of cell i (tests/test_cells_gap.py asks it of kinds of terms; a power, which is convex,
counts as part of E with its U'(rho_i)). With E convex along mixtures and g_i = e^{-V_i/T}/sum_j e^{-V_j/T}

    F(m) - min F over masses of the same total <= T sum m_i log(m_i/g_i)       (proved)

by the Gibbs variational principle on n points, for any domain, window, activation or potential. It is a bound within
the cells that were computed with: F of finer cells may be lower, by the error of space.
"""

import math

import numpy as np

from wflow.energy import Energy
from wflow.measure import Density, Measure


def cells_gap(energy: Energy, pi: Measure) -> float | None:
    """F - min F over densities on the cells of pi is at most this; None but at T > 0 and for a convex E."""
    temperature = energy.temperature
    if not isinstance(pi, Density) or not temperature or energy.limits or not energy.convex:
        return None
    v = energy.potential(pi, pi.grid.centres)
    if energy.power is not None:
        v = v + energy.power.slope(pi.values)
    v = v / temperature
    least = float(v.min())
    log_gibbs = least - v - math.log(float(np.sum(np.exp(least - v))))
    masses = pi.weights / pi.mass
    held = masses > 0.0
    apart = float(masses[held] @ (np.log(masses[held]) - log_gibbs[held]))
    return temperature * max(apart, 0.0)  # of rounding alone
