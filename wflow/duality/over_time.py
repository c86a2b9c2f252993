"""This file owns brackets along a run: which one applies, at each saved time, with the best lower bound kept."""

import math
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.duality.bracket import Bracket
from wflow.duality.fenchel import variation_bracket
from wflow.duality.gibbs import gibbs_bracket
from wflow.duality.homogeneous import ridge_bracket
from wflow.duality.mixtures import mixture_bracket
from wflow.duality.observed import observed, strength
from wflow.duality.quadratic import quadratic_bracket
from wflow.duality.teachers import refusal, teacher_bracket
from wflow.energy import Energy
from wflow.errors import Refused
from wflow.flow import Flow
from wflow.measure import Measure, SignedParticles
from wflow.signed_density import SignedDensity
from wflow.space_kernel import ReluSpaceKernel
from wflow.terms import Interaction, Potential
from wflow.trajectory import Trajectory


def bracket(flow: Flow, pi: Measure) -> Bracket | None:
    """The bracket of inf F that applies to a measure of a flow, None where none is known (`unknown` says why).

    Over measures on the flow's domain: a window, on which a grid stands for an infinite axis, is smaller, and a bound
    over it none of the flow's. Over signed measures for SignedParticles and SignedDensity (also where a flow keeps
    their signs: the class is then larger than need be, and the bound still one), over probability measures for all
    others.
    """
    energy, domain = flow.energy, flow.domain
    if isinstance(pi, SignedParticles | SignedDensity):
        return variation_bracket(energy, pi) if pi.domain == domain else None
    if energy.internal:
        found = quadratic_bracket(energy, pi, domain)
        return found if found is not None or not domain.bounded else gibbs_bracket(energy, pi, domain)
    return mixture_bracket(energy, pi, domain) if domain.bounded else _of_network(energy, pi)


def _of_network(energy: Energy, pi: Measure) -> Bracket | None:
    """Where w = (a, b) with a ridge: V is bounded below although the domain is not compact."""
    if not pi.atomic:
        return None
    for found in (ridge_bracket, teacher_bracket) if pi.domain.dim == 3 else (teacher_bracket,):
        try:
            return found(energy, pi)
        except Refused:
            continue
    return None


def unknown(flow: Flow, pi: Measure) -> str:
    """Why no bracket is known."""
    energy, domain = flow.energy, flow.domain
    if not energy.convex:
        return "F is not convex along mixtures"
    if energy.limits:
        return "the density has limits"
    if energy.internal and (not energy.temperature or len(energy.internal) > 1):
        return "there is an internal energy other than one entropy"
    if energy.internal and pi.atomic:
        return "atoms have no entropy"
    if not domain.bounded:
        kernels = [t.kernel for t in energy.terms if isinstance(t, Interaction)]
        ridged = any(isinstance(t, Potential) and t.ridge for t in energy.terms)
        why = refusal(energy) if ridged and any(isinstance(k, ReluSpaceKernel) for k in kernels) else None
        return why or "the domain is not compact, where min V need not be finite"
    if isinstance(pi, SignedParticles | SignedDensity) and not strength(energy):
        return "signed measures cost nothing without a total variation"
    if any(isinstance(t, Potential) and t.convolved is None for t in energy.terms):
        return "a potential is a function of w here, which can be evaluated and not bounded"
    if observed(energy, domain) is None:
        return "a dual is known of one risk and of kernels of the circle with a target of exact modes alone"
    return "min V has no rigorous lower bound for this activation and domain"


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


def bounds(run: Trajectory, *, most: int | None = None, known: float = -math.inf) -> Bounds | None:
    """Brackets of the saved measures of a run, the best dual kept; None where none is known at the end.

    most: of that many, evenly spread, the first and the last among them; all unless given.   known: a lower bound of
    inf F from elsewhere, as of an independent optimum: where a run is stuck its own duals say little.
    """
    if bracket(run.flow, run.final) is None:
        return None
    count = len(run.measures)
    asked = np.unique(np.linspace(0, count - 1, min(most or count, count)).astype(np.int64))
    found = [bracket(run.flow, run.measures[k]) for k in asked]
    asked_at = [(float(run.times[k]), one) for k, one in zip(asked, found, strict=True) if one is not None]
    brackets = tuple(one for _, one in asked_at)
    lower = np.maximum.accumulate([max(known, one.lower) for one in brackets])
    values = np.array([one.value + one.rounding for one in brackets])
    return Bounds(np.array([t for t, _ in asked_at]), values, lower, brackets)
