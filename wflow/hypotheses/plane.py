"""This file owns the report on runs by particles w = (a, b_1, b_2): networks of two inputs, or of one with a bias.

Neurons w = (a, b) with psi(x; w) = a sigma(b . x). The theorem (Chizat & Bach 2018, Theorem 3.3; cited): let psi and
the regulariser be positively 2-homogeneous and smooth enough, let the support of the start separate two spheres about
the origin, and let pi_t converge in W2. Then the limit minimises F.
"""

import math
from collections.abc import Iterator

import numpy as np

from wflow.arrays import Array
from wflow.caps import largest_cap
from wflow.errors import Refused
from wflow.hypotheses.degree import HOMOGENEOUS, homogeneity
from wflow.hypotheses.outcome import conclusion, convergence
from wflow.hypotheses.regularity import smoothness
from wflow.hypotheses.verdicts import Hypothesis, Verdict
from wflow.measure import Measure
from wflow.problems.problem import Problem
from wflow.trajectory import Trajectory

BALANCE = 1e-3
"""Of max |w|^2: what the errors of the steps may do to a^2 - |b|^2."""
_LEVEL = 3.0
"""m uniform draws leave an arc emptier than (2 pi/m)(log m + 3) in 5 % of all cases."""


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
    return 2.0 * largest_cap(b[np.any(b != 0.0, axis=1)]).radius


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
