"""This file owns claims about flows whose energy falls at a proved rate: lambda-convex along geodesics, or log-Sobolev.

    flow         F(t) - F* <= e^{-2 lambda t} (F(0) - F*),   W2(pi_t, pi*) <= e^{-lambda t} W2(pi_0, pi*)
    JKO steps    the same with (1 + lambda tau)^-1 a step in place of e^{-lambda tau}

Both are proved. Of a step from x to y, along the geodesic from y to x: F(x) - F(y) >= (1/tau + lambda/2) W2(x, y)^2,
and F(y) - F* <= W2(x, y)^2/(2 lambda tau^2) since W2/tau is at least the slope of F at y; hence F(x) - F* is at least
(1 + lambda tau)^2 (F(y) - F*). Flow: tau -> 0. Source: Ambrosio, Gigli & Savare 2008, Gradient Flows, Birkhauser.

Log-Sobolev constants rho of the Gibbs laws (wflow.duality.log_sobolev) say |slope of F|^2 >= 2 rho T (F - F*) alone:

    flow         F(t) - F* <= e^{-2 rho T t} (F(0) - F*)
    JKO steps    F(x) - F(y) >= W2(x, y)^2/(2 tau) >= tau rho T (F(y) - F*): (1 + rho T tau)^-1 a step       (proved)
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from wflow.arrays import Array
from wflow.certificates import ROUNDING, Certificate
from wflow.convergence import MARGIN
from wflow.domain import Box
from wflow.duality import log_sobolev
from wflow.grid import Grid
from wflow.measure import Density, Quantiles
from wflow.problems.problem import Problem
from wflow.trajectory import Trajectory
from wflow.transport import LAW_CELLS, law_floor, w2


def contracting(problem: Problem, run: Trajectory, finer: Trajectory) -> Iterator[Certificate]:
    """Decay of F and of W2 to the minimiser at every saved time, where theory knows lambda and the minimiser.

    F* is that of the method's own cells or quantiles: the least of F at the minimiser as the method represents it and
    of F along the run, which is above the least of all by the square of their error. Allowed: 1.25 d/(1 - 2^-p),
    Richardson's estimate, d the largest difference from a run with twice the resolution and at least twice the steps, p
    the smaller declared order. W2 on one axis, allowed: the same with d the largest W2 of the two runs at a saved time,
    each of which `finer` has saved too: a first order is further off on the way than at rest.
    """
    lam, rest = problem.convexity, problem.minimiser
    if lam is None or rest is None:
        return
    left, how = fading(run, lam)
    claim = f"at every output, lambda = {lam:g}: largest excess"
    if not np.any(np.isnan(run.energies)):
        excess = excesses(problem, run, lam)
        allowed = _left_open(run, excess, finer, excesses(problem, finer, lam))
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
        moved = max(w2(pi, finer.at(float(t))) for t, pi in zip(run.times[1:], run.measures[1:], strict=True))
        yield Certificate(
            f"W2 to the minimiser <= {how} W2_0 {claim}", "at most", measured, 0.0, _richardson(run, moved),
            law_floor(rest),
        )  # fmt: skip


def relaxing(problem: Problem, run: Trajectory, finer: Trajectory | None) -> Iterator[Certificate]:
    """F - inf F at all saved times against the bound of a log-Sobolev constant, where one and inf F are known.

    The bound is that of the exact flow, and is attained (by a Gaussian that moves in a fixed well), so that a method
    may pass it by its error: allowed is Richardson's estimate, as above. Without a finer run (a method of long steps)
    the bound is that of its own steps, and nothing is allowed.
    """
    lowest, lsi = problem.lowest, None if run.solver.equation else log_sobolev(run.flow)
    lumped = isinstance(run.final, Quantiles) and bool(run.flow.energy.internal)  # F of quantiles is that of no measure
    if (
        lsi is None
        or lowest is None
        or lumped
        or np.any(np.isnan(run.energies))
        or (finer is None and not run.solver.variational)
    ):
        return
    rate, why = lsi.constant * lsi.temperature, f"rho = {lsi.constant:.3g}: {lsi.reason}"

    def above(one: Trajectory) -> Array:
        gaps = one.energies - lowest
        bound = lsi.bound(one.times, float(gaps[0])) if finer is not None else gaps[0] * _stepped(one, rate)
        return np.asarray(gaps - bound)

    excess, how = above(run), "e^(-2 rho T t)" if finer is not None else "(1 + rho T dt)^(-t/dt)"
    slack = ROUNDING * max(1.0, abs(float(run.energies[0])))
    allowed = _left_open(run, excess, finer, above(finer)) if finer is not None else 0.0
    claim = f"F - inf F <= {how} (F_0 - inf F) at every output, {why}: largest excess"
    yield Certificate(claim, "at most", float(np.max(excess[1:])), 0.0, max(allowed, slack))


def _left_open(run: Trajectory, excess: Array, finer: Trajectory, refined: Array) -> float:
    """1.25 d/(1 - 2^-p), d the largest difference of the excesses of a run and a finer one."""
    return _richardson(run, float(np.max(np.abs(excess - PchipInterpolator(finer.times, refined)(run.times)))))


def _richardson(run: Trajectory, apart: float) -> float:
    """What the difference from a finer run says of a run's error."""
    order = run.solver.order(run.flow)
    return MARGIN * apart / (1.0 - math.exp2(-min(order.time, order.space)))


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
    return _stepped(run, lam), "(1 + lambda dt)^(-t/dt)"


def _stepped(run: Trajectory, rate: float) -> Array:
    """(1 + rate dt)^(-t/dt) at the saved times (k,)."""
    steps = run.diagnostics["step"][1:]
    return np.concatenate([[1.0], np.cumprod((1.0 + rate * steps) ** (-np.diff(run.times) / steps))])
