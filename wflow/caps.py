"""This file owns the largest empty cap: the widest part of a sphere S^(n-1) without any of m points, and chance.

    h = min over unit e of max_j u_j . e,     radius = arccos h:     no u_j is nearer to e than that

If 0 lies outside the hull of the u_j, h < 0 is its distance from the hull, a convex problem. Else -h is the least
offset of a facet: the hull's inscribed ball about 0 touches a facet, whose normal is e (derived). So the cap is exact
where the hull can be made, in few dimensions; elsewhere it is searched for, and what is found is a lower bound.

Of m uniform points on S^(n-1) the planes through n of them are at height cos r with density ~ sin^(n^2 - 2n) r in the
angle r, and n points are a facet if the cap beyond is empty of the rest:

    E number of empty caps of radius >= s through n points = 2 C(m, n) int_s^pi g(r) (1 - p(r))^(m - n) dr,

g that density normalised over [0, pi], p the share of the sphere in a cap (derived from the spherical Blaschke and
Petkantschin formula). n = 2: m (1 - s/pi)^(m-1), the first term of Stevens's formula; n = 3: 2 m - 4 triangles at
s = 0. The number is at least the probability that one exists (Markov).
Source: Miles 1971, Isotropic random simplices, Adv. Appl. Probab. 3, 353-382.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, linprog, nnls
from scipy.spatial import ConvexHull
from scipy.special import betainc, gammaln, logsumexp

from wflow.arrays import Array, count, finite
from wflow.harmonics import gauss_legendre

CHANCE = 0.05
"""Of m uniform draws: how many leave a cap beyond the limit, at most."""
_FACETS = {3: 2.0, 4: 7.0, 5: 32.0, 6: 190.0}
"""Facets a point of the hull of many uniform points, rounded up."""
_MOST_FACETS = 200_000
_STARTS = 40
_CLIMBS = 50
_NODES = 400
_GATHERED = 6
_FLAT = 1e-12


@dataclass(frozen=True, eq=False)
class Cap:
    """An empty cap: its angular radius, its centre (n,), and whether none is larger."""

    radius: float
    centre: Array
    exact: bool


def largest_cap(points: Array, *, seed: int = 0) -> Cap:
    """The largest open cap of S^(n-1) without any of the directions of points (m, n), n >= 2.

    Exact for n = 2 and wherever a hull of at most 2e5 facets is expected (n <= 6); else the best of 40 searches.
    Raises ValueError for a point at 0, which has no direction, and for n = 1.
    """
    w = np.atleast_2d(finite("largest_cap points", points))
    length = np.linalg.norm(w, axis=1)
    if w.shape[1] < 2:
        raise ValueError(f"largest_cap points: shape {w.shape}; a sphere needs at least two coordinates")
    if not len(w):
        return Cap(math.pi, np.eye(w.shape[1])[0], True)
    if not np.all(length > 0.0):
        raise ValueError(f"largest_cap points: {int(np.sum(length == 0.0))} points are 0 and have no direction")
    u = w / length[:, None]
    if u.shape[1] == 2:
        return _arc(u)
    return _one_sided(u) or _inscribed(u, seed)


def _arc(u: Array) -> Cap:
    """Half the widest arc between neighbours of the circle."""
    angles = np.sort(np.arctan2(u[:, 1], u[:, 0]))
    gaps = np.diff(angles, append=angles[0] + 2.0 * math.pi)
    widest = int(np.argmax(gaps))
    middle = angles[widest] + 0.5 * gaps[widest]
    return Cap(0.5 * float(gaps[widest]), np.array([math.cos(middle), math.sin(middle)]), True)


def _one_sided(u: Array) -> Cap | None:
    """Where 0 is no inner point of the hull: its nearest point x gives e = -x/|x|; in a subspace e is normal to it."""
    # min |U^T y|^2 + (sum y - 1)^2 over y >= 0 is at a multiple of the nearest point
    y, _ = nnls(np.vstack([u.T, np.ones(len(u))]), np.append(np.zeros(u.shape[1]), 1.0), maxiter=50 * len(u))
    nearest = u.T @ y / np.sum(y)
    if (distance := float(np.linalg.norm(nearest))) > 1e-9:
        return _at(u, -nearest / distance, True)
    _, sizes, axes = np.linalg.svd(u, full_matrices=True)
    if len(sizes) < u.shape[1] or sizes[-1] <= _FLAT * math.sqrt(len(u)):
        return _at(u, axes[-1], True)
    return None


def _at(u: Array, e: Array, exact: bool) -> Cap:
    """The cap about e up to the nearest point, by a formula without loss near 0 and pi."""
    nearest = u[int(np.argmax(u @ e))]
    return Cap(2.0 * math.atan2(float(np.linalg.norm(nearest - e)), float(np.linalg.norm(nearest + e))), e, exact)


def _inscribed(u: Array, seed: int) -> Cap:
    """0 inside the hull."""
    n = u.shape[1]
    if n in _FACETS and _FACETS[n] * len(u) <= _MOST_FACETS:
        planes = ConvexHull(u).equations
        return _at(u, planes[int(np.argmax(planes[:, -1])), :-1], True)
    rng = np.random.default_rng([seed, len(u)])
    starts = rng.standard_normal((_STARTS, n))
    return max((_climbed(u, e / np.linalg.norm(e)) for e in starts), key=lambda cap: cap.radius)


def _climbed(u: Array, e: Array) -> Cap:
    """From e to a cap that is locally largest: d = argmin max_j u_j . d on the plane d . e = 1, then e = d/|d|.

    max_j u_j . d/|d| <= max_j u_j . d <= max_j u_j . e, since |d| >= 1: each step widens the cap.
    """
    best, n = _at(u, e, False), len(e)
    upper = np.column_stack([u, -np.ones(len(u))])
    for _ in range(_CLIMBS):
        found = linprog(
            np.append(np.zeros(n), 1.0), A_ub=upper, b_ub=np.zeros(len(u)), A_eq=[[*best.centre, 0.0]], b_eq=[1.0],
            bounds=[(None, None)] * (n + 1),
        )  # fmt: skip
        if found.x is None:
            return best
        d = found.x[:n]
        wider = _at(u, d / np.linalg.norm(d), False)
        if wider.radius <= best.radius + 1e-13:
            return best
        best = wider
    return best


def expected_caps(m: int, n: int, radius: float) -> float:
    """E number of empty caps of at least that radius through n of m uniform points of S^(n-1)."""
    return math.exp(_log_expected(m, n, radius))


def _log_expected(m: int, n: int, radius: float) -> float:
    """Its logarithm, by a Gauss rule whose nodes gather at `radius`, where the integrand is when m is large."""
    power = n * n - 2 * n
    t, weights = gauss_legendre(_NODES)
    s, span = 0.5 * (t + 1.0), math.pi - radius
    r = radius + span * s**_GATHERED
    half = 0.5 * betainc(0.5 * (n - 1), 0.5, np.sin(r) ** 2)
    outside = np.where(r <= 0.5 * math.pi, 1.0 - half, half)
    whole = 0.5 * math.log(math.pi) + gammaln(0.5 * (power + 1)) - gammaln(0.5 * power + 1.0)
    chosen = gammaln(m + 1) - gammaln(n + 1) - gammaln(m - n + 1)
    with np.errstate(divide="ignore"):
        logs = power * np.log(np.sin(r)) + (m - n) * np.log(outside) + np.log(weights * s ** (_GATHERED - 1))
    return float(chosen - whole + logsumexp(logs) + math.log(_GATHERED * span))


def cap_limit(m: int, n: int, chance: float = CHANCE) -> float:
    """The radius that the largest cap of m uniform points on S^(n-1) exceeds with at most that chance; pi/2 at most.

    A cap of pi/2 is an empty half space, whatever m: separation is refuted then.
    """
    half = 0.5 * math.pi
    if count("cap_limit m", m, least=0) <= n or _log_expected(m, n, half) >= math.log(chance):
        return half
    return float(brentq(lambda s: _log_expected(m, n, s) - math.log(chance), 1e-9, half, xtol=1e-12))
