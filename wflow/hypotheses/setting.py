"""This file owns which theorem a flow belongs to: how far its neurons are homogeneous.

2-homogeneous               psi(c w) = c^2 psi(w), w in R^d: a relu(b . x), relu(b . x)^2          Theorem 3.3
partially 1-homogeneous     psi = a phi(theta), w = (a, theta): a tanh(b . x)                      Theorem 3.5
charges                     nu = sum of +- r^2 delta_theta: psi = +- r^2 phi(theta) in the cone metric of (r, theta)
                            is 2-homogeneous in r: Theorem 3.3 read on the cone (solvers.conic, wflow.cone)
none                        neurons of one mass each on a circle, a sphere or a box, or of masses whose sum is held;
                            no network at all
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from wflow.charged import Charged
from wflow.domain import Box
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.forceless import Constant, TotalVariation
from wflow.hypotheses.degree import HOMOGENEOUS, off_degree, off_first
from wflow.measure import Particles
from wflow.pair_kernel import PairKernel
from wflow.terms import Interaction, Potential, Risk, Term

Kind = Literal["2-homogeneous", "partially 1-homogeneous", "charges", "none"]


@dataclass(frozen=True)
class Setting:
    """The class of a flow, and in one sentence why it is that one.

    outer: psi is of degree 1 in the first coordinate, an outer weight a. With degree 2 in (a, b) a^2 - |b|^2 stays.
    """

    kind: Kind
    reason: str
    outer: bool = False

    @property
    def theorem(self) -> str:
        """Which statement speaks of it."""
        return {
            "2-homogeneous": "Theorem 3.3",
            "partially 1-homogeneous": "Theorem 3.5",
            "charges": "Theorem 3.3, read on the cone over the domain",
            "none": "none",
        }[self.kind]


def no_network(flow: Flow) -> str | None:
    """In one sentence why a flow is not that of a network's risk without noise, None where it is."""
    energy = flow.energy
    if not any(isinstance(term, Risk) or _of_risk(term) for term in energy.terms):
        if any(isinstance(term, Interaction) for term in energy.terms):
            return "points act on each other in pairs: F is no loss of what a network predicts"
        return "there is no network: no part of F is a loss of int psi dpi"
    if energy.temperature:
        return f"there is noise (temperature {energy.temperature:g}): the theorem is about flows without diffusion"
    if energy.power is not None or energy.limits:
        return "F is a function of the density, which atoms do not have: the theorem is about flows that move atoms"
    return None


def setting_of(flow: Flow) -> Setting:
    """The class of a flow; degrees of psi are measured to rounding, on V of seven random neurons."""
    if (why := no_network(flow)) is not None:
        return Setting("none", why)
    if isinstance(flow.initial, Charged) and flow.initial.conserved:
        return Setting("none", "masses change but not their sum: no direction in which a mass grows alone is there")
    if flow.charged:
        return Setting(
            "charges", "psi = +- r^2 phi(theta), r^2 the charge: 2-homogeneous in r, in the metric of the cone"
        )
    domain = flow.domain
    if any(domain.frozen):
        return Setting("none", "some parameters are frozen: the theorem lets all of w move")
    if not isinstance(domain, Box):
        return Setting("none", f"neurons live on {domain}, with one mass each: no direction is homogeneous")
    network, probe = network_of(flow.energy), _probe(domain)
    outer = domain.dim > 1 and _endless(domain, 0, 1) and off_first(network, probe) <= HOMOGENEOUS
    if _endless(domain, 0) and off_degree(network, probe, 2.0) <= HOMOGENEOUS:
        return Setting("2-homogeneous", "psi(c w) = c^2 psi(w) for c > 0", outer)
    if outer:
        return Setting("partially 1-homogeneous", "psi = a phi(theta) with an outer weight a", outer)
    where = "the circle" if domain.is_circle else "their domain"
    return Setting("none", f"neurons have one mass each on {where}, which cannot change: no direction is homogeneous")


def _probe(domain: Box) -> Particles:
    """Random neurons, whose f is no target: V of a start may vanish."""
    return Particles(domain, domain.retract(np.random.default_rng(7).standard_normal((7, domain.dim))))


def network_of(energy: Energy) -> Energy:
    """The terms that see int psi dpi, with the target's part of V; what penalises w itself is left out."""
    return Energy(*(term for term in energy.terms if isinstance(term, Risk | Constant) or _of_risk(term)))


def kernel_of(energy: Energy) -> Interaction | None:
    """The closed population risk, None where x are data."""
    return next((t for t in energy.terms if isinstance(t, Interaction) and _of_risk(t)), None)


def penalty_of(energy: Energy) -> tuple[Term, ...]:
    """The terms that penalise w itself."""
    kept = Risk | Constant | Interaction
    return tuple(t for t in energy.terms if not isinstance(t, kept) and not _of_risk(t))


def regular_penalty(energy: Energy) -> bool:
    """Only |w|^2 and |nu|, which scale with the network of a 2-homogeneous neuron or a charge."""
    return all(
        isinstance(t, TotalVariation) or (isinstance(t, Potential) and t.ridge is not None) for t in penalty_of(energy)
    )


def _of_risk(term: Term) -> bool:
    """A kernel that is no interaction of pairs, or the potential of its target."""
    if isinstance(term, Interaction):
        return not isinstance(term.kernel, PairKernel)
    return isinstance(term, Potential) and term.convolved is not None and not isinstance(term.convolved[0], PairKernel)


def _endless(domain: Box, first: int, last: int | None = None) -> bool:
    """Axes first..last-1 have no end."""
    return not np.any(np.isfinite(domain.lengths[first:last]))
