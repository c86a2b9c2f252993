"""This file owns hypothesis reports: what Chizat & Bach's global convergence supposes of a flow, tested on a run.

Neurons w = (a, b) with psi(x; w) = a sigma(b . x). The theorem (2018, Theorem 3.3; cited): let psi and the regulariser
be positively 2-homogeneous and smooth enough, let the support of the start separate two spheres about the origin, and
let pi_t converge in W2. Then the limit minimises F. Numbers at finite m and t prove none of this: a verdict is one of

    refuted          the run shows the contrary               consistent     with the resolution stated
    proved           by an argument, named                    not satisfied  by an argument, named
    supposed         the theorem assumes it, and so does whoever quotes it; what the run shows of it is measured
    not reached      of the conclusion alone, at the end of this run
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wflow.arrays import Array
from wflow.convergence import distance
from wflow.duality.homogeneous import charge_bracket, ridge_bracket
from wflow.errors import Refused
from wflow.measure import Measure
from wflow.problems.problem import Problem
from wflow.trajectory import Trajectory

Verdict = Literal["proved", "consistent", "refuted", "not satisfied", "supposed", "not reached"]
HOMOGENEOUS = 1e-10
"""Largest |V(c w) - c^p V(w)| over max |V| that rounding explains."""
BALANCE = 1e-3
"""Of max |w|^2: what the errors of the steps may do to a^2 - |b|^2."""
REACHED = 0.01
"""Share of F(0) - min F that may be left where the conclusion counts as consistent."""
_TRIES = 200
_LEVEL = 3.0
"""m uniform draws leave an arc emptier than (2 pi/m)(log m + 3) in 5 % of all cases."""


@dataclass(frozen=True)
class Hypothesis:
    """One thing that is supposed: the verdict on it, the number measured and its limit, and at which resolution."""

    statement: str
    verdict: Verdict
    measured: float
    limit: float
    reason: str

    def __str__(self) -> str:
        numbers = "" if math.isnan(self.measured) else f" {self.measured:.2g}"
        numbers += "" if math.isnan(self.limit) else f" (limit {self.limit:.2g})"
        return f"{self.statement}: {self.verdict}{numbers}; {self.reason}"


def chizat_bach(problem: Problem, run: Trajectory) -> Iterator[Hypothesis]:
    """Every hypothesis of the 2-homogeneous theorem in its order, and its conclusion; Refused unless w = (a, b_1, b_2).

    The spheres of the theorem are those of all of R^3. A balanced start has its support in the cone |a| = |b|, which
    the path a = 0 avoids; but the flow stays in that cone, two sheets a = +-|b| over the plane of b. So separation is
    asked twice: as printed, and on each sheet, where it says that every direction of b is met.
    """
    if run.flow.domain.dim != 3 or not run.final.atomic:
        raise Refused(
            f"hypotheses: {run.solver} on {run.flow.domain.dim} axes; give a run by particles w = (a, b_1, b_2)"
        )
    yield homogeneity(run, 2.0)
    yield smoothness(run)
    yield as_printed(run.measures[0])
    yield directions(run.measures[0])
    yield balance(run)
    yield convergence(run)
    yield conclusion(problem, run)


def homogeneity(run: Trajectory, degree: float, *, seed: int = 0) -> Hypothesis:
    """V(c w) = c^degree V(w) for V of the start, at 200 random w and c between 1/10 and 10."""
    rng = np.random.default_rng([seed, _TRIES])
    pi, dim = run.measures[0], run.flow.domain.dim
    w, scale = rng.standard_normal((_TRIES, dim)), 10.0 ** rng.uniform(-1.0, 1.0, _TRIES)
    plain, scaled = (run.flow.energy.potential(pi, at) for at in (w, scale[:, None] * w))
    off = float(np.max(np.abs(scaled / scale**degree - plain)) / np.max(np.abs(plain)))
    verdict: Verdict = "consistent" if off <= HOMOGENEOUS else "refuted"
    claim = f"V is positively homogeneous of degree {degree:g}"
    return Hypothesis(claim, verdict, off, HOMOGENEOUS, f"{_TRIES} points, factors 0.1 to 10")


def smoothness(run: Trajectory) -> Hypothesis:
    """psi differentiable in w with locally Lipschitz derivative, into L^2 of x: not so where sigma' jumps.

    For x ~ N(0, I_2) two directions at an angle e differ in their half planes on a sector of chance e/pi, so that
    |dpsi - dpsi'| = O(e^(1/2)): Hoelder 1/2 and no better (derived). The paper meets ReLU by another parametrisation.
    """
    claim = "psi has a locally Lipschitz derivative"
    energy = run.flow.energy
    # on data the second derivative of V may jump: sigma' is Lipschitz still; of ReLU's closed kernel the third does
    if energy.jumps >= 2.0 if energy.risk is not None else energy.jumps > 3.0:
        return Hypothesis(claim, "proved", math.nan, math.nan, "sigma' is Lipschitz, or the kernel smooth")
    return Hypothesis(
        claim, "not satisfied", math.nan, math.nan,
        "sigma' jumps: dpsi is Hoelder 1/2 in L^2(x); the theorem for relu needs a smoother parametrisation",
    )  # fmt: skip


def as_printed(start: Measure) -> Hypothesis:
    """The support of the start separates {|w| = r} from {|w| = r'} in R^3: refuted where it lies in |a| = |b|."""
    claim = "the support of the start separates two spheres of R^3"
    off = float(np.max(np.abs(_imbalance(start))))
    if off <= HOMOGENEOUS:
        reason = "max ||a|^2 - |b|^2|: it lies in a cone that the path a = 0 avoids; read on its two sheets below"
        return Hypothesis(claim, "refuted", off, HOMOGENEOUS, reason)
    reason = "finitely many points separate nothing: it is supposed of the law for m -> infinity"
    return Hypothesis(claim, "supposed", math.nan, math.nan, reason)


def directions(start: Measure) -> Hypothesis:
    """Every direction of b is met, for each sign of a, at the resolution of m_s neurons of that sign."""
    claim = "each sign of a meets every direction of b"
    gaps = [largest_gap(start, sign) for sign in (1.0, -1.0)]
    counts = [int(np.sum(sign * start.points[:, 0] > 0.0)) for sign in (1.0, -1.0)]
    limits = [min(math.pi, 2.0 * math.pi / max(m, 1) * (math.log(max(m, 1)) + _LEVEL)) for m in counts]
    worst = int(np.argmax(np.array(gaps) / limits))
    verdict: Verdict = "consistent" if gaps[worst] <= limits[worst] else "refuted"
    reason = f"largest empty arc; {counts[0]} neurons with a > 0, {counts[1]} with a < 0, 2 pi/m_s apart at best"
    return Hypothesis(claim, verdict, gaps[worst], limits[worst], reason)


def largest_gap(pi: Measure, sign: float) -> float:
    """The widest arc without a direction of b among neurons with that sign of a; 2 pi where there is none of them."""
    b = pi.points[sign * pi.points[:, 0] > 0.0, 1:]
    if len(b) < 2:
        return 2.0 * math.pi
    angles = np.sort(np.mod(np.arctan2(b[:, 1], b[:, 0]), 2.0 * math.pi))
    return float(np.max(np.diff(angles, append=angles[0] + 2.0 * math.pi)))


def balance(run: Trajectory) -> Hypothesis:
    """Each neuron keeps a^2 - |b|^2 (proved for the flow), and no |b| comes near 0, where b has no direction."""
    kept = [_imbalance(pi) for pi in run.measures]
    size = max(float(np.max(np.sum(pi.points**2, axis=1))) for pi in run.measures)
    drift = max(float(np.max(np.abs(now - kept[0]))) for now in kept) / size
    least = min(float(np.min(np.linalg.norm(pi.points[:, 1:], axis=1))) for pi in run.measures)
    verdict: Verdict = "consistent" if drift <= BALANCE else "refuted"
    reason = f"largest drift over max |w|^2, the error of {run.steps} steps; least |b| {least:.2g}"
    return Hypothesis("a^2 - |b|^2 is kept", verdict, drift, BALANCE, reason)


def _imbalance(pi: Measure) -> Array:
    return np.asarray(pi.points[:, 0] ** 2 - np.sum(pi.points[:, 1:] ** 2, axis=1))


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
