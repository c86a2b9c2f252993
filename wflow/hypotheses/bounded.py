"""This file owns boundedness: of phi in psi = a phi(theta), and what happens where theta goes to infinity or to a wall.

Theorem 3.5 wants phi and its derivative bounded, and either a closed bounded domain of theta with Neumann conditions,
or R^p with g(r theta) -> a limit as r -> infinity that is C^1 on the sphere of directions, for every g = <f, phi>.
A circle or a torus has no end, and nothing is asked.
"""

from collections.abc import Iterator

import numpy as np

from wflow.hypotheses.setting import Setting, regular_penalty
from wflow.hypotheses.verdicts import Hypothesis, argued, compared
from wflow.trajectory import Trajectory

BOUNDED = ("tanh", "erf", "sigmoid", "cos_minus_sin", "dirichlet", "gaussian")
SIGMOIDAL = ("tanh", "erf", "sigmoid")
_NEUMANN = 1e-10


def boundedness(run: Trajectory, setting: Setting) -> Iterator[Hypothesis]:
    """The rows that the class of the flow asks for."""
    energy, domain = run.flow.energy, run.flow.domain
    if setting.kind == "2-homogeneous":
        claim = "what penalises w is 2-homogeneous and semiconvex"
        if regular_penalty(energy):
            yield argued("penalty", claim, "proved", "nothing, or ridge |w|^2/2")
        else:
            yield argued("penalty", claim, "not satisfied", "a potential of w other than ridge |w|^2/2")
    elif setting.kind == "charges":
        compact, claim = domain.bounded, "the domain of theta is compact"
        reason = "a bounded domain" if compact else "charges may go to infinity"
        yield argued("bounded", claim, "proved" if compact else "not satisfied", reason)
        if domain.bounded and not all(domain.periodic) and domain.intrinsic == domain.dim:
            yield _walls(run)
    elif setting.kind == "partially 1-homogeneous":
        sigma = None if energy.risk is None else energy.risk.neuron.activation
        bounded = sigma is not None and sigma.name in BOUNDED
        yield argued(
            "bounded", "phi is bounded", "proved" if bounded else "not satisfied",
            f"{sigma} is bounded" if bounded else f"{sigma} grows without bound",
        )  # fmt: skip
        yield _at_infinity(run, None if sigma is None else sigma.name)


def _at_infinity(run: Trajectory, name: str | None) -> Hypothesis:
    domain, claim = run.flow.domain, "phi has C^1 limits where theta goes to infinity"
    lengths = domain.lengths[1:]
    if np.all(np.isfinite(lengths)):
        if all(domain.periodic[1:]):
            return argued("infinity", claim, "proved", "theta lives on a torus: there is no infinity and no wall")
        return _walls(run)
    if name not in SIGMOIDAL:
        return argued("infinity", claim, "not satisfied", f"{name} of r b . x has no limit as r grows")
    if domain.dim == 2:
        return argued("infinity", claim, "proved", "one b: sigma(+-infinity) at its two ends")
    reason = "on data the limit jumps in the direction of b, where b . x_i = 0; of x with a density it is not checked"
    return argued("infinity", claim, "not satisfied", reason)


def _walls(run: Trajectory) -> Hypothesis:
    """Neumann: the normal derivative of V at the start vanishes on walls, at 64 points each."""
    domain, pi, rng, worst = run.flow.domain, run.measures[0], np.random.default_rng(0), 0.0
    finite = np.isfinite(domain.lengths)
    low, span = np.where(finite, domain.lower, -1.0), np.where(finite, domain.lengths, 2.0)
    inside = low + span * rng.random((256, domain.dim))
    size = float(np.max(np.abs(run.flow.energy.velocity(pi, inside)))) or 1.0
    for axis in np.flatnonzero(finite & ~np.array(domain.periodic)):
        for end in (domain.lower[axis], domain.upper[axis]):
            w = inside[:64].copy()
            w[:, axis] = end
            worst = max(worst, float(np.max(np.abs(run.flow.energy.velocity(pi, w)[:, axis]))))
    claim = "V has no slope across walls (Neumann)"
    return compared(
        "infinity", claim, worst / size, _NEUMANN, "largest normal derivative on walls over the largest inside"
    )
