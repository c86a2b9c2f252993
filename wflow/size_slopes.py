"""This file owns slopes of distances in the number of particles, with their standard errors."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from wflow.arrays import Array
from wflow.flow import Flow
from wflow.loop import solve
from wflow.measure import Measure
from wflow.solver import Solver
from wflow.transport import w2


def particle_slopes(
    flow: Flow, solvers: Sequence[Sequence[Solver]], pde: Mapping[float, Measure], steps: int
) -> list[tuple[float, float]]:
    """Least-squares slopes of log RMS W2(m particles, pde) in log m, and their standard errors, one a time.

    solvers: one row a size m, one solver a seed (one for a deterministic start). pde: time -> measure; steps over the
    horizon.
    """
    times = sorted(pde)
    sizes = np.array([math.log(int(getattr(row[0], row[0].resolution))) for row in solvers])
    squares = [[_squares(flow, solver, times, pde, steps) for solver in row] for row in solvers]
    return [slope_of(sizes, [np.array([seed[k] for seed in row]) for row in squares]) for k in range(len(times))]


def _squares(
    flow: Flow, solver: Solver, times: Sequence[float], pde: Mapping[float, Measure], steps: int
) -> list[float]:
    """W2^2 of one run to the PDE at each time."""
    run = solve(flow, solver, dt=flow.horizon / steps, times=times, until=times[-1])
    return [w2(run.at(t), pde[t]) ** 2 for t in times]


def slope_of(sizes: Array, squares: Sequence[Array]) -> tuple[float, float]:
    """Of half the log mean square in the numbers `sizes`, and its standard error.

    Delta method: sd(log rms) = sd(mean square)/(2 mean square).
    """
    means = np.array([0.5 * math.log(float(row.mean())) for row in squares])
    spreads = np.array([float(row.std() / math.sqrt(len(row)) / (2.0 * row.mean())) for row in squares])
    x = sizes - sizes.mean()
    return float(x @ means / (x @ x)), float(np.sqrt(np.sum((x * spreads) ** 2)) / (x @ x))
