"""This file owns the support of the start: does it separate, in the sense of the theorem that speaks of the flow?

    2-homogeneous (3.3)    every direction of w in R^d is met; of balanced neurons, |a| = |b|, each direction of b on
                           each of the two sheets a = +-|b| that the flow keeps: there w = |b| u with psi = +-|w| phi(w)
    a phi(theta) (3.5)     every theta is met, for some a
    charges                every place is met by positive and by negative charges
    none                   told beside: where the density of the start is positive

Each is necessary: along a ray, or along a at fixed theta, a path leads from one end to the other. m points meet every
direction at a resolution: the largest empty cap or ball, against what m uniform draws leave in at
most 5 % of cases. A law of full support is named.
"""

import math
from collections.abc import Iterator

import numpy as np

from wflow.arrays import Array
from wflow.caps import cap_limit, largest_cap
from wflow.charged import Charged
from wflow.domain import Box
from wflow.errors import Refused
from wflow.hypotheses.balls import ball_limit, largest_ball
from wflow.hypotheses.densities import Vanishing, density_of
from wflow.hypotheses.setting import Setting
from wflow.hypotheses.verdicts import Hypothesis, argued, compared
from wflow.law import Gaussian, Law
from wflow.measure import Density, Measure, SignedParticles
from wflow.problems.problem import Problem
from wflow.shapes import Sphere
from wflow.signed_density import SignedDensity
from wflow.trajectory import Trajectory

BALANCED = 1e-10
_HELD = 1e-12


def support(problem: Problem, run: Trajectory, setting: Setting) -> Iterator[Hypothesis]:
    """The rows on the start's support for the flow's class."""
    match setting.kind:
        case "2-homogeneous":
            yield from _directions(run, setting)
            yield _within_ball(run.flow.initial, "the start lies in a ball", "all of w")
        case "partially 1-homogeneous":
            yield _thetas(run)
            yield _within_ball(run.flow.initial, "outer weights of the start are bounded", "a")
        case "charges":
            yield from _sheets(problem, run)
        case "none":
            yield _density(run)


def _directions(run: Trajectory, setting: Setting) -> Iterator[Hypothesis]:
    claim, w = "the start meets every direction of w", _met(run.measures[0])
    if full(run.flow.initial):
        seen = _by_cap("", "", w, f"{len(w)} points")
        reason = f"{type(run.flow.initial).__name__}: its support is all of R^d; measured: {seen.reason}"
        yield argued("support", claim, "proved", reason, measured=seen.measured)
        return
    if not (setting.outer and balanced(w)):
        yield _by_cap("support", claim, w, f"{len(w)} points")
        return
    yield argued(
        "support", claim, "not satisfied", "|a| = |b|: a cone, which the path a = 0 avoids; so read on its sheets",
        needed=False,
    )  # fmt: skip
    for sign, name in ((1.0, "a > 0"), (-1.0, "a < 0")):
        own = w[sign * w[:, 0] > 0.0, 1:]
        yield _by_cap(f"support {name}", f"neurons of {name} meet every direction of b", own, f"{len(own)} neurons")


def _by_cap(topic: str, claim: str, w: Array, who: str) -> Hypothesis:
    """The largest empty cap, in radians; on a line both directions."""
    w = w[np.any(w != 0.0, axis=1)]
    if w.shape[1] == 1:
        missing = 2 - len(np.unique(np.sign(w)))
        return compared(topic, claim, float(missing), 0.0, f"of the two directions of a line, by {who}")
    cap = largest_cap(w)
    how = "the largest empty cap" if cap.exact else "an empty cap, the largest that a search found"
    return compared(topic, claim, cap.radius, cap_limit(len(w), w.shape[1]), f"radius of {how}, {who}")


def _thetas(run: Trajectory) -> Hypothesis:
    """Theta is what follows the outer weight: a torus, R^p, or both."""
    claim, domain, w = "the start meets every theta", run.flow.domain, _met(run.measures[0])
    if full(run.flow.initial):
        return argued("support", claim, "proved", f"{type(run.flow.initial).__name__}: its support is all of R^d")
    endless = [k for k in range(1, domain.dim) if not math.isfinite(domain.lengths[k])]
    if endless:
        far = float(np.max(np.abs(w[:, endless])))
        return argued("support", claim, "refuted", "no theta beyond it is met: the support is bounded", measured=far)
    free = Box(domain.lower[1:], domain.upper[1:], domain.periodic[1:])
    return _by_ball("support", claim, free, w[:, 1:], f"{len(w)} points")


def _by_ball(topic: str, claim: str, domain: Box, w: Array, who: str, *, needed: bool = True) -> Hypothesis:
    try:
        radius = largest_ball(domain, w)
    except Refused as why:
        return argued(topic, claim, "supposed", str(why), needed=needed)
    limit = ball_limit(max(len(w), 1), domain)
    return compared(topic, claim, radius, limit, f"radius of the largest empty ball, {who}", needed=needed)


def _sheets(problem: Problem, run: Trajectory) -> Iterator[Hypothesis]:
    start, law = run.measures[0], run.flow.initial
    assert isinstance(start, SignedParticles | SignedDensity) and isinstance(law, Charged)
    for sign, name, own in ((1.0, "positive", law.positive), (-1.0, "negative", law.negative)):
        claim, topic = f"{name} charges are everywhere", f"support {'+' if sign > 0 else '-'}"
        if own is None:
            yield _one_sign(problem, topic, claim, sign)
        elif isinstance(start, SignedDensity):
            values = start.positive if sign > 0 else start.negative
            seen = Vanishing.of(start.grid.centres, values, f"{start.grid.size} cells", 0.0)
            yield compared(topic, claim, seen.share, seen.limit, seen.words)
        else:
            yield sheet(topic, claim, own, start.points[sign * start.weights > 0.0])


def sheet(topic: str, claim: str, law: Law, w: Array) -> Hypothesis:
    """Points against uniform ones; a law that is known decides where they are too coarse, or where it has a gap."""
    domain, who = law.domain, f"{len(w)} charges"
    if isinstance(domain, Box):
        points = _by_ball(topic, claim, domain, w, who)
    elif isinstance(domain, Sphere):
        points = _by_cap(topic, claim, w, who)
    else:
        return argued(topic, claim, "supposed", f"empty balls are not searched on {domain}")
    known = density_of(law)
    if known is None or (known.everywhere and not points.fails):
        return points
    if not known.everywhere:
        return compared(topic, claim, known.share, known.limit, known.words) if not points.fails else points
    reason = f"of the law, which has mass everywhere ({known.words}); {points.reason}: too few to show it"
    return Hypothesis(claim, "supposed", points.measured, points.limit, reason, topic)


def _one_sign(problem: Problem, topic: str, claim: str, sign: float) -> Hypothesis:
    """A sign that is missing stays so: F is then minimised among charges of the other sign."""
    known = problem.charges
    if known is not None and bool(np.all(sign * known.weights <= 0.0)):
        return argued(topic, claim, "proved", "there are none and none is needed: a known minimiser has none")
    return argued(
        topic,
        claim,
        "not satisfied",
        "there are none, and none come: the theorem then speaks of minima among the others",
    )


def _within_ball(law: Law, claim: str, what: str) -> Hypothesis:
    if any(isinstance(one, Gaussian) for one in (law, *law.marginals)):
        return argued(
            "bounded start", claim, "not satisfied", f"a normal law has no bound of {what}: cut its tails off"
        )
    return argued("bounded start", claim, "proved", f"{type(law).__name__}: a bounded support")


def _density(run: Trajectory) -> Hypothesis:
    """Told beside: the least density on a fine grid; caps and balls where the start is points."""
    claim, law, start = "the start has mass everywhere", run.flow.initial, run.measures[0]
    domain = run.flow.domain
    if isinstance(start, Density):
        seen = Vanishing.of(start.points, start.values, f"{start.grid.size} cells", 0.0)
        return compared("support", claim, seen.share, seen.limit, seen.words, needed=False)
    if (known := density_of(law)) is not None:
        return compared("support", claim, known.share, known.limit, known.words, needed=False)
    w, who = _met(start), f"{len(start.points)} points"
    if isinstance(domain, Sphere):
        cap = largest_cap(w)
        return compared(
            "support", claim, cap.radius, cap_limit(len(w), 3), f"the largest empty cap, {who}", needed=False
        )
    if isinstance(domain, Box) and domain.bounded:
        return _by_ball("support", claim, domain, w, who, needed=False)
    return argued("support", claim, "supposed", f"not asked on {domain}", needed=False)


def full(law: Law) -> bool:
    """A normal law on all axes."""
    return isinstance(law, Gaussian)


def balanced(w: Array) -> bool:
    """|a| = |b| for each neuron (a, b)."""
    if w.shape[1] < 2:
        return False
    size = np.sum(w**2, axis=1)
    return bool(np.max(np.abs(2.0 * w[:, 0] ** 2 - size)) <= BALANCED * np.max(size))


def _met(pi: Measure) -> Array:
    """Points that carry mass."""
    size = np.abs(pi.weights)
    return np.asarray(pi.points[size > _HELD * np.max(size)])
