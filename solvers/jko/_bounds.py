"""This file owns how far a JKO step on a grid can be from optimal: its price by POT and two lower bounds.

F is convex with slope phi = dF/dq at q, and p . u + q' . v is at most the cost of any plan of p to q' where
u_i + v_j <= C_ij. With v = -phi: for every u with u_i <= r_i = min_j (C_ij + phi_j), and every q' of that mass,

    G(q') >= F(q) + phi . (q' - q) + p . u - q' . phi = F(q) - phi . q + p . u.

u = r is the best choice. Another u, even one that is not below r, gives a bound too once it is lowered to r.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wflow.arrays import Array
from wflow.plans import Plan, cheapest_plan

_HEAVY = 1e-6
"""Mass that a link of POT's plan must carry for its potentials to tie a source to a target."""


@dataclass(frozen=True)
class Bounds:
    """price: the exact transport cost of p to q.   by_slope, by_potentials: upper bounds of G(q) - min G."""

    price: float
    by_slope: float
    by_potentials: float

    def __add__(self, other: "Bounds") -> "Bounds":
        """For two sheets between which no mass moves."""
        return Bounds(
            self.price + other.price, self.by_slope + other.by_slope, self.by_potentials + other.by_potentials
        )


def bounds(p: Array, q: Array, costs: Array, slope: Array) -> Bounds:
    """For masses p, q (m,) of equal sum, finite costs (m, m) = C, and slope (m,) = phi = dF/dq at q.

    by_slope: with u = r, the gap of conditional gradient over couplings.
    by_potentials: with u from POT, whose plan proves the price. POT's (u, v) is unique up to a constant on each part of
    the plan that hangs together, and q is optimal if and only if v + phi is constant there and not below elsewhere.
    The constant is fixed by the mean, u is lowered to r + lambda, lambda the mean of u - r over p; this costs
    sum_i p_i (r_i + lambda - u_i)_+ more than by_slope, which is 0 where POT's potentials agree with phi.
    """
    here, there = p > 0.0, q > 0.0
    plan = cheapest_plan(p[here], q[there], costs[np.ix_(here, there)])
    weights, best = p[here], np.min(costs[here] + slope, axis=1)
    price = float(p.sum()) * plan.cost
    by_slope = float(slope @ q) + price - float(weights @ best)
    apart = best - _tied(plan, best, slope[there])
    disagreement = np.maximum(apart - weights @ apart / weights.sum(), 0.0)
    return Bounds(price, by_slope, by_slope + float(weights @ disagreement))


def _tied(plan: Plan, best: Array, slope: Array) -> Array:
    """POT's u (n,), shifted on each connected part of the plan so that phi + v is 0 there in the mean over the mass.

    Links of less than 1e-6 rest on rounding and tie nothing; a source without any other takes `best`.
    """
    n, m = plan.masses.shape
    heavy = plan.masses >= _HEAVY
    rows, columns = np.nonzero(heavy)
    links = coo_array((np.ones(len(rows)), (rows, n + columns)), shape=(n + m, n + m))
    parts, part = connected_components(links, directed=False)
    received = np.where(heavy, plan.masses, 0.0).sum(axis=0)
    weight = np.bincount(part[n:], received, parts)
    level = np.bincount(part[n:], received * (slope + plan.right), parts) / np.where(weight > 0.0, weight, 1.0)
    return np.where(heavy.any(axis=1), plan.left + level[part[:n]], best)


def sheets_of(centres: Array, frozen: tuple[bool, ...]) -> list[NDArray[np.bool_]]:
    """The cells (m,) of each set between which no mass moves: equal coordinates on the frozen axes."""
    _, sheet = np.unique(centres[:, list(frozen)], axis=0, return_inverse=True)
    return [sheet.ravel() == k for k in range(sheet.max() + 1)]
