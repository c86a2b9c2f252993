"""This file owns brackets along a run: which one applies, at each saved time, with the best lower bound kept."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.duality.bracket import Bracket
from wflow.duality.fenchel import variation_bracket
from wflow.duality.gibbs import gibbs_bracket
from wflow.duality.mixtures import mixture_bracket
from wflow.duality.observed import observed, strength
from wflow.energy import Energy
from wflow.measure import Measure, SignedParticles
from wflow.trajectory import Trajectory


def bracket(energy: Energy, pi: Measure) -> Bracket | None:
    """The bracket of inf F that applies to a measure, None where none is known (`unknown` says why).

    Over signed measures for SignedParticles (also where a flow keeps their signs: the class is then larger than need
    be, and the bound still one), over probability measures for all others.
    """
    if isinstance(pi, SignedParticles):
        return variation_bracket(energy, pi)
    return gibbs_bracket(energy, pi) if energy.internal else mixture_bracket(energy, pi)


def unknown(energy: Energy, pi: Measure) -> str:
    """Why no bracket is known."""
    if not energy.convex:
        return "F is not convex along mixtures"
    if energy.limits:
        return "the density has limits"
    if energy.internal and (not energy.temperature or len(energy.internal) > 1):
        return "an internal energy other than one entropy"
    if energy.internal and pi.atomic:
        return "atoms have no entropy"
    if not pi.domain.bounded:
        return "the domain is not compact, and min V need not be finite"
    if isinstance(pi, SignedParticles) and not strength(energy):
        return "signed measures without a total variation are not bounded"
    if observed(energy, pi.domain) is None:
        return "no form of F for which a dual is known (one risk, or a kernel of the circle with a target of exact modes)"
    return "no rigorous lower bound of min V is known for this activation and domain"


@dataclass(frozen=True, eq=False)
class Bounds:
    """times (k,), F with its rounding added (k,), and lower (k,), the best lower bound of inf F up to each time.

    Any dual vector of the past bounds inf F as well as one of today.
    """

    times: Array
    values: Array
    lower: Array
    brackets: tuple[Bracket, ...]

    @property
    def gaps(self) -> Array:
        """(k,) F - inf F is at most this."""
        return self.values - self.lower


def bounds(run: Trajectory) -> Bounds | None:
    """Brackets of all saved measures of a run, the best dual kept; None where none is known."""
    found = []
    for pi in run.measures:
        one = bracket(run.flow.energy, pi)
        if one is None:
            return None
        found.append(one)
    lower = np.maximum.accumulate([one.lower for one in found])
    return Bounds(run.times, np.array([one.value + one.rounding for one in found]), lower, tuple(found))
