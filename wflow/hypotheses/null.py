"""This file owns what a network does not see: null modes of its kernel, and what data have beyond its features.

F of a closed kernel is (1/2) sum a_n |c_n(pi) - c_n(target)|^2. Where a_n = 0 the mode is free: the target is one of
many minimisers, min F = 0 stays, and no gradient acts on what the start has there. On data y that part of y which no
features reach stays in F: half its square is the least F (half square).
"""

import math
from itertools import pairwise

import numpy as np

from wflow.arrays import Array, ComplexArray
from wflow.circle_series import circle_modes_of
from wflow.domain import Domain
from wflow.hypotheses.setting import Setting, kernel_of
from wflow.hypotheses.verdicts import Hypothesis, Verdict, argued
from wflow.kernel import Kernel
from wflow.law import Law
from wflow.loss import HalfSquare
from wflow.measure import Measure
from wflow.shapes import Sphere
from wflow.terms import Potential
from wflow.trajectory import Trajectory
from wflow.zonal import Zonal, harmonic_moments

SEARCHED = 24
_TAIL = 12
_SEEN, _ABOVE, _ABRUPT = 1e-26, 1e-20, 1e-10
_REACHED = 1e-6
_MANY, _ROWS = 4, 500


def null_of(kernel: Kernel) -> tuple[int, ...]:
    """The n from 1 to 24 of a_n = 0: not seen to rounding although a higher mode is, or beyond a spectrum that ends.

    A smooth spectrum that falls below rounding is not null there: its last coefficients are small, and none follows.
    """
    a = np.asarray(kernel.coefficients(SEARCHED + _TAIL)) / np.max(kernel.coefficients(SEARCHED + _TAIL))  # type: ignore[attr-defined]
    last = int(np.flatnonzero(a > _SEEN).max())
    ends = a[last] > _ABRUPT and last < SEARCHED
    seen_above = [bool(np.any(a[n + 1 :] > _ABOVE)) for n in range(SEARCHED + 1)]
    return tuple(n for n in range(1, SEARCHED + 1) if a[n] <= _SEEN and (seen_above[n] or (ends and n > last)))


def in_words(null: tuple[int, ...]) -> str:
    """Families as odd n >= 3, others by their numbers."""
    if not null:
        return f"none up to {SEARCHED}"
    if null == tuple(range(null[0], SEARCHED + 1)):
        return f"all n >= {null[0]}"
    parts = []
    for parity, name in ((1, "odd"), (0, "even")):
        own = [n for n in null if n % 2 == parity]
        if len(own) > 2 and own[-1] >= null[-1] - 1 and all(b - a == 2 for a, b in pairwise(own)):
            parts.append(f"{name} n >= {own[0]}")
        else:
            parts += [f"n = {n}" for n in own]
    return ", ".join(parts)


def null_modes_row(run: Trajectory, setting: Setting) -> Hypothesis | None:
    """Modes that the kernel does not see, and what the start has there besides the target; None without a kernel."""
    term = kernel_of(run.flow.energy)
    if term is None:
        return None
    claim, null = "the network sees every mode", null_of(term.kernel)
    if not null:
        return argued("null modes", claim, "consistent", f"no a_n = 0 for n <= {SEARCHED}", needed=False)
    reason = f"null: {in_words(null)}; F does not change there, so minimisers are not unique"
    if setting.kind == "none":
        reason += " and the circle theorem of the lecture fails (docs/circle_theorem.md)"
    weight = math.nan
    domain = run.flow.domain
    if (domain.is_circle or isinstance(domain, Sphere)) and not run.flow.charged:
        weight = _hidden(run, null)
        reason += "; measured: what start and target differ by in null modes, on which no gradient acts"
    return argued("null modes", claim, "not satisfied", reason, measured=weight, needed=False)


def _hidden(run: Trajectory, null: tuple[int, ...]) -> float:
    """(sum |c_n(start) - c_n(target)|^2)^(1/2) over null n; on S^2 of |int Y_lm|^2/(2l + 1), for zonal laws int P_l."""
    difference = _moments(run.flow.domain, _start(run))
    for term in run.flow.energy.terms:
        if isinstance(term, Potential) and term.convolved is not None:
            difference = difference - _moments(run.flow.domain, term.convolved[1])
    return float(np.linalg.norm(difference[list(null)]))


def _moments(domain: Domain, pi: Law | Measure) -> ComplexArray:
    """Up to 24: (25,) on the circle, (25, 25) on the sphere."""
    if domain.is_circle:
        return circle_modes_of(pi, SEARCHED)
    return np.asarray(harmonic_moments(pi, SEARCHED) / np.sqrt(2.0 * np.arange(SEARCHED + 1.0) + 1.0)[:, None])


def _start(run: Trajectory) -> Law | Measure:
    """The law where its modes are exact, not the points that stand for it."""
    exact = isinstance(run.flow.initial, Measure | Zonal)
    return run.flow.initial if exact else run.measures[0]


def span_row(run: Trajectory) -> Hypothesis | None:
    """The share of E y^2 beyond the span of the features at 4 n random neurons; None without half-square data."""
    risk = run.flow.energy.risk
    if risk is None or not isinstance(risk.loss, HalfSquare):
        return None
    claim, data = "networks of any width reach the data", risk.data
    if len(data) > _ROWS:
        return argued("null modes", claim, "supposed", f"not asked of more than {_ROWS} rows", needed=False)
    root = np.sqrt(data.weights)
    left = root * data.targets - _fitted(
        root[:, None] * risk.neuron.value(data.inputs, _random(run)), root * data.targets
    )
    share = float(left @ left / max(np.sum((root * data.targets) ** 2), 1e-300))
    verdict: Verdict = "consistent" if share <= _REACHED else "not reached"
    reason = f"share of E y^2 that {_MANY * len(data)} random neurons leave by least squares: at most so much is beyond"
    return Hypothesis(claim, verdict, share, _REACHED, reason, "null modes", needed=False)


def _random(run: Trajectory) -> Array:
    """4 n neurons: uniform on bounded axes, normal on others with scales from 1/10 to 10."""
    domain, risk = run.flow.domain, run.flow.energy.risk
    assert risk is not None
    m = _MANY * len(risk.data)
    rng = np.random.default_rng([0, m])
    w = rng.standard_normal((m, domain.dim)) * 10.0 ** rng.uniform(-1.0, 1.0, (m, 1))
    bounded = np.isfinite(domain.lengths)
    w[:, bounded] = np.array(domain.lower)[bounded] + domain.lengths[bounded] * rng.random((m, int(bounded.sum())))
    return w


def _fitted(features: Array, y: Array) -> Array:
    """The part of y in the span of the columns, of size 1 each."""
    size = np.linalg.norm(features, axis=0)
    features = features[:, size > 0.0] / size[size > 0.0]
    return np.asarray(features @ np.linalg.lstsq(features, y, rcond=1e-12)[0])
