"""This file owns the antecedent of the theorem: does pi_t converge in W2?

Looked at by doublings, d_k = W2(pi_t, pi_2t) at t = T/2^k. If pi_t converges d_k tends to 0; sum d_k < infinity over
all doublings is enough for convergence along t = 2^k (triangle inequality). A finite run shows neither: it shows
whether d_k falls by a factor at the end, and what the next ones add up to if it goes on so.

Where the mass runs away. Let psi have a direction of degree p > 0 (w p = 2, or an outer weight a, p = 1), the loss be
log(1 + e^{-y f}) on rows of weights omega_i, without penalty, and F(pi_t) < min_i omega_i log 2 at some t. F never
rises, so from t on each s_i = y_i f(x_i) is positive, and by Euler's identity

    d/dt int |w|^2 dpi = -2 int w . grad V dpi = -2 p int V dpi = 2 p sum_i omega_i s_i/(1 + e^{s_i}) > 0

(|a|^2 for |w|^2 in the second case). A limit in W2 has a finite second moment and f converges with it, to s_i > 0; so
the right side tends to a positive number and the moment to infinity: a contradiction. pi_t does not converge (derived).
For charges the same with |nu| and V of degree 1 in them.
"""

import math

import numpy as np

from wflow.convergence import distance
from wflow.hypotheses.setting import Setting, kernel_of, penalty_of
from wflow.hypotheses.verdicts import Hypothesis, Verdict, argued
from wflow.loss import Logistic
from wflow.measure import SignedParticles
from wflow.signed_density import SignedDensity
from wflow.terms import Risk
from wflow.trajectory import Trajectory

FALLING = 0.9
"""Largest ratio of successive d_k that counts as falling: t^(-p) has 2^(-p), so p = .15; log t comes to 1."""
DOUBLINGS = 7
_STILL = 1e-10
_CLAIM = "pi_t converges in W2"


def antecedent(run: Trajectory, setting: Setting) -> Hypothesis:
    """Whether pi_t converges: refused by an argument where the mass runs away, else what the doublings show."""
    return _runs_away(run, setting) or _by_doublings(run)


def saved_times(horizon: float) -> list[float]:
    """T/2^7, .., T/2, T: the times at which a run has to be saved for the report."""
    return [horizon * 2.0**-k for k in range(DOUBLINGS, -1, -1)]


def doublings(run: Trajectory) -> tuple[list[float], list[float]]:
    """t and d = W2(pi_t, pi_2t) for t = T/2^k, earliest first, as far as both are among the saved times."""
    last, found = run.times[-1], []
    for k in range(DOUBLINGS, 0, -1):
        ends = [int(np.argmin(np.abs(run.times - last * 2.0**-j))) for j in (k, k - 1)]
        if all(
            abs(run.times[e] - last * 2.0**-j) <= 1e-6 * last * 2.0**-j for e, j in zip(ends, (k, k - 1), strict=True)
        ):
            found.append((float(run.times[ends[0]]), distance(run.measures[ends[0]], run.measures[ends[1]])))
    return [t for t, _ in found], [d for _, d in found]


def _by_doublings(run: Trajectory) -> Hypothesis:
    t, d = doublings(run)
    if len(d) < 3:
        return argued(
            "antecedent", _CLAIM, "supposed", "fewer than three doublings are saved: solve(times=saved_times(T))"
        )
    size = max(1.0, float(np.sqrt(np.mean(np.sum(run.final.points**2, axis=1)))))
    if max(d[-3:]) <= _STILL * size:
        return Hypothesis(_CLAIM, "consistent", max(d[-3:]), _STILL * size, "nothing moves", "antecedent")
    ratio = max(d[-1] / max(d[-2], 1e-300), d[-2] / max(d[-3], 1e-300))
    shown = ", ".join(f"{one:.2g}" for one in d)
    reason = (
        f"{_norm(run)} of pi_t, pi_2t: {shown} at t = {t[0]:.2g}, .., {t[-1]:.2g}; the larger of the last two ratios"
    )
    if ratio > FALLING:
        return Hypothesis(
            _CLAIM, "not reached", ratio, FALLING, f"{reason}; not seen to fall, run longer", "antecedent"
        )
    rest = d[-1] * ratio / (1.0 - ratio)
    reason += f"; later ones add up to {rest:.2g} if it stays so ({len(run.final.points)} points)"
    return Hypothesis(_CLAIM, "consistent", ratio, FALLING, reason, "antecedent")


def _norm(run: Trajectory) -> str:
    """What `distance` measures between two measures of a run."""
    if isinstance(run.final, SignedParticles):
        return "cone distance"
    if isinstance(run.final, SignedDensity):
        return "a dual norm"
    if run.flow.domain.dim == 1:
        return "W2"
    return "coupled distance, at least W2," if run.final.atomic else "H^-1 distance"


def _runs_away(run: Trajectory, setting: Setting) -> Hypothesis | None:
    energy = run.flow.energy
    risk = energy.risk
    if setting.kind == "none" or risk is None or not isinstance(risk.loss, Logistic) or penalty_of(energy):
        return None
    if sum(isinstance(term, Risk) for term in energy.terms) > 1 or kernel_of(energy) is not None:
        return None
    data, value = risk.data, risk.value(run.final)
    limit = float(np.min(data.weights[data.weights > 0.0])) * math.log(2.0)
    if value < limit:
        reason = (
            "F < min_i omega_i log 2, so every row stays on its side and int |w|^2 dpi grows without bound (derived)"
        )
        return Hypothesis(_CLAIM, "not satisfied", value, limit, reason, "antecedent")
    if float(np.min(data.targets * risk.predict(run.final))) > 0.0:
        verdict: Verdict = "not reached"
        reason = "this network separates the classes: inf F = 0 is not attained, and F has no minimiser to converge to"
        return Hypothesis(
            _CLAIM, verdict, value, limit, f"{reason}; F < limit would prove that pi_t does not", "antecedent"
        )
    return None
