"""This file owns claims about flows of energies that are lambda-convex along W2 geodesics, lambda > 0.

    flow         F(t) - F* <= e^{-2 lambda t} (F(0) - F*),   W2(pi_t, pi*) <= e^{-lambda t} W2(pi_0, pi*)
    JKO steps    the same with (1 + lambda tau)^-1 a step in place of e^{-lambda tau}

Both are proved. Of a step from x to y, along the geodesic from y to x: F(x) - F(y) >= (1/tau + lambda/2) W2(x, y)^2,
and F(y) - F* <= W2(x, y)^2/(2 lambda tau^2) since W2/tau is at least the slope of F at y; hence F(x) - F* is at least
(1 + lambda tau)^2 (F(y) - F*). Flow: tau -> 0. Source: Ambrosio, Gigli & Savare 2008, Gradient Flows, Birkhauser.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.convergence import MARGIN
from wflow.domain import Box
from wflow.grid import Grid
from wflow.measure import Density
from wflow.problems.problem import Problem
from wflow.trajectory import Trajectory
from wflow.transport import LAW_CELLS, law_floor, w2


def contracting(problem: Problem, run: Trajectory, finer: Trajectory, error: float) -> Iterator[Certificate]:
    """Decay of F and of W2 to the minimiser at every saved time, where theory knows lambda and the minimiser.

    F* is that of the method's own cells or quantiles: the least of F at the minimiser as the method represents it and
    of F along the run, which is above the least of all by the square of their error. Allowed: 1.25 d/(1 - 2^-p),
    Richardson's estimate, d the largest difference from a run with twice the resolution and at least twice the steps, p
    the smaller declared order. W2 on one axis, allowed: the run's own estimated error.
    """
    lam, rest = problem.convexity, problem.minimiser
    if lam is None or rest is None:
        return
    left, how = fading(run, lam)
    claim = f"at every output, lambda = {lam:g}: largest excess"
    if not np.any(np.isnan(run.energies)):
        excess = excesses(problem, run, lam)
        refined = PchipInterpolator(finer.times, excesses(problem, finer, lam))(run.times)
        order = run.solver.order(run.flow)
        allowed = MARGIN * float(np.max(np.abs(excess - refined))) / (1.0 - math.exp2(-min(order.time, order.space)))
        measured = float(np.max(excess[1:]))
        yield Certificate(f"F - min F <= {how}^2 (F_0 - min F) {claim}", "at most", measured, 0.0, allowed)
    if run.flow.domain.dim == 1:
        # entered once: a law is else turned into its cells for every distance
        cells = (
            Grid(run.flow.domain, (LAW_CELLS,))
            if isinstance(run.flow.domain, Box) and run.flow.domain.bounded
            else None
        )
        known = rest if cells is None else Density(cells, rest.averages(cells))
        apart = np.array([w2(pi, known) for pi in run.measures])
        measured = float(np.max((apart - left * apart[0])[1:]))
        yield Certificate(
            f"W2 to the minimiser <= {how} W2_0 {claim}", "at most", measured, 0.0, error, law_floor(rest)
        )


def excesses(problem: Problem, run: Trajectory, lam: float) -> Array:
    """(k,) by how much F - F* is above its bound at the saved times; 0 at the start."""
    assert problem.minimiser is not None
    best = run.solver.init(replace(run.flow, initial=problem.minimiser)).measure
    above = run.energies - min(run.flow.energy.value(best), float(np.min(run.energies)))
    return np.asarray(above - fading(run, lam)[0] ** 2 * above[0])


def fading(run: Trajectory, lam: float) -> tuple[Array, str]:
    """What a lambda-convex energy leaves of a distance at the saved times (k,), at most, and its formula.

    Of methods of first order in time the bound of implicit Euler's steps, which JKO has; of others the flow's.
    """
    if run.solver.order(run.flow).time != 1.0:
        return np.exp(-lam * run.times), "e^(-lambda t)"
    steps = run.diagnostics["step"][1:]
    stretches = (1.0 + lam * steps) ** (-np.diff(run.times) / steps)
    return np.concatenate([[1.0], np.cumprod(stretches)]), "(1 + lambda dt)^(-t/dt)"
