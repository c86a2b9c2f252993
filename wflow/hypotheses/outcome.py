"""This file owns what a run shows of the theorem's conclusion: F -> min F, and gaps to inf F where one is known."""

import math

import numpy as np

from wflow.convergence import distance
from wflow.duality.homogeneous import charge_bracket, ridge_bracket
from wflow.errors import Refused
from wflow.hypotheses.verdicts import Hypothesis, Verdict
from wflow.problems.problem import Problem
from wflow.trajectory import Trajectory

REACHED = 0.01
"""Share of F(0) - min F that may be left where the conclusion counts as consistent."""


def convergence(run: Trajectory) -> Hypothesis:
    """pi_t converges in W2: supposed by the theorem. Measured: how far the second half of the time still moved it."""
    half = int(np.argmin(np.abs(run.times - 0.5 * run.times[-1])))
    moved = distance(run.measures[half], run.final)
    reason = f"particles moved so far between t = {run.times[half]:g} and {run.times[-1]:g}"
    return Hypothesis("pi_t converges in W2", "supposed", moved, math.nan, reason)


def conclusion(problem: Problem, run: Trajectory) -> Hypothesis:
    """F -> min F: the share of it that is left where the minimum is known (0, at the minimiser), and the gap."""
    claim = "F comes to its minimum"
    start, end = float(run.energies[0]), float(run.energies[-1])
    if problem.minimiser is None:
        return _certified(claim, start, end, *gap_of(run))
    verdict: Verdict = "consistent" if end <= REACHED * start else "not reached"
    reason = f"share of F(0) - min F left at t = {run.times[-1]:g}, where F - min F = {end:.2g}; {gap_of(run)[0]}"
    return Hypothesis(claim, verdict, end / start, REACHED, reason)


def _certified(claim: str, start: float, end: float, words: str, lower: float) -> Hypothesis:
    """min F is not known: the share of F(0) - inf F that may be left, where inf F has a proved lower bound."""
    if lower == -math.inf:
        return Hypothesis(claim, "supposed", end, math.nan, f"min F is not known; {words}")
    share = (end - lower) / (start - lower)
    verdict: Verdict = "consistent" if share <= REACHED else "not reached"
    return Hypothesis(claim, verdict, share, REACHED, f"share of F(0) - inf F left at most; {words}")


def gap_of(run: Trajectory) -> tuple[str, float]:
    """What is proved of F - inf F, in words and as inf F >= a number (-infinity: nothing).

    V(c w) = c^2 V(w): min V is 0 or -infinity, without ridge the latter. With a ridge inf F is that of a problem with
    a total variation on the circle of directions (wflow.duality.homogeneous).
    """
    try:
        found = ridge_bracket(run.flow.energy, run.final)
    except Refused:
        return "gap: none known, V is not bounded below", -math.inf
    return f"F - inf F <= {found.gap:.2g} (proved, rounding included)", found.lower


def bounded_gap(run: Trajectory, bound: float) -> float:
    """F(pi_end) - min F over networks of total charge int |a||b| dpi <= bound is at most this, rounding included.

    F is convex in the signed charge nu on the circle of directions, V = a |b| K there:
    F(nu') >= F(nu) + int K d(nu' - nu) >= F(nu) - int K dnu - bound max |K| (proved), or better by a multiple of that
    dual vector. max |K| is exact on arcs for data, and by branch and bound for the closed kernel. Refused with a ridge,
    and for other networks than relu or leaky relu in the plane.
    """
    return charge_bracket(run.flow.energy, run.final, bound).gap
