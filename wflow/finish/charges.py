"""This file owns `finish`: merge, prune, settle by Newton's method, give birth where V says that it pays, and again.

At a minimum of F = R + lambda |nu|, R convex with first variation V (proved: F(nu + mu) - F(nu) >= int V dmu + lambda
(|nu + mu| - |nu|), which is >= 0 for every mu if and only if)

    V = -lambda s at each charge of sign s,    |V| <= lambda everywhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, count, positive
from wflow.errors import NotConverged, Refused
from wflow.finish.jet import Jet
from wflow.finish.newton import settled
from wflow.finish.peaks import Peaks, peaks
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.measure import SignedParticles

Places = NDArray[np.bool_]
_NEAR = 0.25
"""Charges of one sign closer than this part of the distance over which features change are merged."""
_SHARE = 1e-2
"""Charges below this part of the heaviest are pruned at the start; a birth brings back what was needed."""
_ROUNDING = 1e-12
_SEARCHED = 1 << 12
_HALVINGS = 30


@dataclass(frozen=True, eq=False)
class Finished:
    """Charges without forces.

    residual: max_j of |V + lambda s| and l |grad V|, l the distance over which features change.   value: F.
    excess: max |V| - lambda over the peaks of |V| that were found, a search and no proof.   rounds: of births.
    """

    measure: SignedParticles
    value: float
    residual: float
    excess: float
    rounds: int


def finish(
    flow: Flow, nu: SignedParticles, *, tolerance: float = 1e-13, excess: float = 1e-9, limit: int = 100
) -> Finished:
    """From charges near a minimum to the minimum: F never rises, but for what merging and pruning cost at first.

    tolerance: largest residual; excess: largest share of lambda (of 1 without a penalty) by which |V| may be above it,
    or `tolerance` where that is more.
    limit: rounds, and Newton steps in each. Where no mass pays for itself, |V| <= lambda everywhere at nu = 0, the
    answer is one charge of mass 0. Raises Refused for energies without a Hessian or with internal terms, for
    domains without a grid, and NotConverged where the forces or the excess stay, naming them, or where F ends above
    its start.
    """
    positive("finish tolerance", tolerance)
    positive("finish excess", excess)
    _check(flow, nu)
    lam = flow.energy.variation
    bar = lam + max(excess * (lam if lam else 1.0), tolerance)
    search = flow.grid(round(_SEARCHED ** (1.0 / flow.domain.dim)))
    if (nothing := _nothing(flow, nu, lam, search)) is not None:
        return nothing
    if not np.any(nu.weights):
        raise ValueError("finish: every mass is 0, which is no minimum here; start from charges near the minimum")
    here = settled(flow.energy, _gathered(Jet(flow.energy, nu)), tolerance=tolerance, limit=count("limit", limit))
    for rounds in range(limit):
        here = _merged(here, tolerance, limit)
        found = peaks(flow.energy, here.nu, search)
        paying = found.above(bar)
        born = _born(here, paying) if len(paying.points) else None
        if born is None:
            return _ended(flow, nu, here, found, tolerance, bar, rounds)
        here = settled(flow.energy, born, tolerance=tolerance, limit=limit)
    raise NotConverged(
        f"finish: births go on after {limit} rounds, |V| - lambda {found.highest - lam:.3g}", here.residual
    )


def _check(flow: Flow, nu: SignedParticles) -> None:
    if flow.energy.internal or flow.energy.limits:
        raise Refused("finish: charges are atoms, which have no internal energy and no limits; give an energy without")
    if not flow.energy.interacting:
        raise Refused("finish: F is linear in the masses, so they have no minimum; give a risk or an interaction")
    if not flow.energy.curved:
        raise Refused("finish: V has no Hessian where an activation has a kink on data; use a closed kernel")
    if flow.domain.intrinsic != flow.domain.dim:
        raise Refused(f"finish: {flow.domain} is curved; Newton's method here takes flat domains")


def _nothing(flow: Flow, nu: SignedParticles, lam: float, search: Grid) -> Finished | None:
    """nu = 0 where no mass pays, looked for beyond the places of nu only if none pays there."""
    empty, rest = SignedParticles(nu.domain, nu.points[:1], np.zeros(1)), flow.energy.unpenalised
    if not lam > 0.0 or np.max(np.abs(rest.potential(empty, nu.points))) > lam:
        return None
    excess = peaks(flow.energy, empty, search).highest - lam
    return Finished(empty, flow.energy.value(empty), 0.0, excess, 0) if excess <= 0.0 else None


def _ended(
    flow: Flow, start: SignedParticles, here: Jet, found: Peaks, tolerance: float, bar: float, rounds: int
) -> Finished:
    """The answer, after a look at all that was promised."""
    lam, was = flow.energy.variation, flow.energy.value(start)
    if here.residual > tolerance:
        raise NotConverged(
            f"finish: forces of {here.residual:.3g} > {tolerance:g} are left on {len(here.nu.weights)} charges; "
            "raise `tolerance`, or start nearer to the minimum",
            here.residual,
        )
    if found.highest > bar:
        raise NotConverged(
            f"finish: |V| - lambda = {found.highest - lam:.3g} stays, and no birth lowers F", found.highest
        )
    if here.value > was + _ROUNDING * max(1.0, abs(was)):
        raise NotConverged(f"finish: F ends at {here.value:.15g}, above its start {was:.15g}; start nearer", here.value)
    return Finished(here.nu, here.value, here.residual, found.highest - lam, rounds)


def _gathered(start: Jet) -> SignedParticles:
    """The heaviest charge takes in those of its sign within reach, then the next; what stays light is pruned."""
    nu = start.nu
    radius, left = _NEAR * start.reach, np.abs(nu.weights) > 0.0
    points, weights = [], []
    for j in np.argsort(-np.abs(nu.weights), kind="stable"):
        if not left[j]:
            continue
        near = left & (nu.weights * nu.weights[j] > 0.0)
        near &= nu.domain.distance(nu.points, nu.points[j]) <= radius
        points.append(_middle(nu, near, j))
        weights.append(float(nu.weights[near].sum()))
        left &= ~near
    masses = np.array(weights)
    kept = np.abs(masses) >= _SHARE * np.max(np.abs(masses))
    return SignedParticles(nu.domain, np.array(points)[kept], masses[kept])


def _middle(nu: SignedParticles, chosen: Places, j: int) -> Array:
    """The barycentre of some charges seen from number j (d,)."""
    shares = nu.weights[chosen] / nu.weights[chosen].sum()
    return np.asarray(
        nu.domain.retract(nu.points[j][None] + shares @ nu.domain.difference(nu.points[chosen], nu.points[j]))[0]
    )


def _merged(here: Jet, tolerance: float, limit: int) -> Jet:
    """Pairs of one sign within reach become one, as long as F, settled again, does not rise."""
    while True:
        pair = _nearest(here)
        if pair is None:
            return here
        nu, j = here.nu, pair[0]
        chosen = np.isin(np.arange(len(nu.weights)), pair)
        points = np.concatenate([nu.points[~chosen], _middle(nu, chosen, j)[None]])
        weights = np.append(nu.weights[~chosen], nu.weights[chosen].sum())
        there = settled(here.energy, SignedParticles(nu.domain, points, weights), tolerance=tolerance, limit=limit)
        if there.value > here.value + _ROUNDING * max(1.0, abs(here.value)):
            return here
        here = there


def _nearest(here: Jet) -> tuple[int, int] | None:
    """The closest two charges of one sign within reach."""
    nu = here.nu
    away = nu.domain.distance(nu.points[:, None, :], nu.points[None, :, :])
    away[nu.weights[:, None] * nu.weights[None, :] < 0.0] = np.inf
    np.fill_diagonal(away, np.inf)
    i, j = np.unravel_index(int(np.argmin(away)), away.shape)
    return (int(i), int(j)) if away[i, j] <= _NEAR * here.reach else None


def _born(here: Jet, paying: Peaks) -> SignedParticles | None:
    """With a charge at each paying peak, of the mass best for it alone, halved until F falls; None if it does not."""
    nu, lam = here.nu, here.energy.variation
    gain = np.abs(paying.potential) - lam
    alone = Jet(here.energy, SignedParticles(nu.domain, paying.points, -np.sign(paying.potential)))
    masses = -np.sign(paying.potential) * gain / np.diagonal(alone.pairs.value)
    points = np.concatenate([nu.points, paying.points])
    for _ in range(_HALVINGS):
        born = SignedParticles(nu.domain, points, np.concatenate([nu.weights, masses]))
        if here.energy.value(born) < here.value:
            return born
        masses = 0.5 * masses
    return None
