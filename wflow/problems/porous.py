"""This file owns flows of power energies: the porous medium equation, free and in a quadratic well."""

import math
from collections.abc import Callable

from wflow.arrays import count, positive
from wflow.barenblatt import barenblatt_law, peak
from wflow.domain import space
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Power
from wflow.law import Law
from wflow.problems.problem import Problem
from wflow.terms import Potential

_MARGIN = 1.5  # windows are that much wider than the largest support
_PLANE_CELLS = 48  # fewer show the edge too coarsely for upwind fluxes to have their order


def barenblatt(
    exponent: float = 2.0, strength: float = 0.1, dim: int = 1, start: float = 0.01, horizon: float = 0.016
) -> Problem:
    """F = strength int rho^m/(m-1): d_t rho = strength Laplace rho^m from Barenblatt's self-similar solution.

    rho(t) = c (1 - |x|^2/R^2)_+^(1/(m-1)), R(t)^q = kappa q (start + t), q = d(m-1) + 2,
    kappa = 2 strength m/(m-1) c_1^(m-1), c_1 the density at 0 for R = 1. W2 between two times is |R - R'| times
    (d/(d + 2m/(m-1)))^(1/2). exponent: m > 1; dim: d = 1 or 2; start: the age at t = 0. The defaults, in the plane,
    are a test of the code published with Jacobs, Lee & Leger 2021, ESAIM Control Optim. Calc. Var. 27, 28.
    """
    q, kappa = _rates(exponent, strength, dim)
    begin = positive("start", start)

    def exact(t: float) -> Law:
        return barenblatt_law(1.0 / (exponent - 1.0), (kappa * q * (begin + t)) ** (1.0 / q), dim=dim)

    far = _MARGIN * (kappa * q * (begin + positive("horizon", horizon))) ** (1.0 / q)
    return Problem(
        Flow(Energy(Power(exponent, strength)), space(dim), exact(0.0), horizon, ((-far, far),) * dim),
        "Barenblatt 1952; Zel'dovich & Kompaneets 1950; as a gradient flow of W2: Otto 2001",
        "compact support that spreads at finite speed: the density has an edge, with a kink for m = 2",
        exact=exact,
        limit_reason="it spreads for ever",
        coarsest=_PLANE_CELLS,
    )


def porous_well(
    exponent: float = 2.0,
    strength: float = 1.0,
    dim: int = 1,
    mean: float = 0.5,
    reach: float = 2.0,
    horizon: float = 1.0,
    well: float = 1.0,
) -> Problem:
    """F = strength int rho^m/(m-1) + well int |x|^2/2 drho: porous medium in a well. Barenblatt's profile stays so.

    From centre (mean, 0) and radius `reach`: centre(t) = mean e^{-well t}, R(t)^q = K + (reach^q - K) e^{-q well t}
    with q = d(m-1) + 2, K = 2 strength m/(well (m-1)) c_1^(m-1), c_1 the density at the centre for R = 1. The limit is
    the minimiser, R^q = K: rho = ((m-1) well/(m strength) (R^2 - |x|^2)/2)_+^(1/(m-1)).
    """
    radius = settling(exponent, strength, dim, reach, well)

    def profile(size: float, centre: float) -> Law:
        return barenblatt_law(1.0 / (exponent - 1.0), size, (centre, 0.0)[:dim] if dim > 1 else centre, dim)

    rest = radius(math.inf)
    far = _MARGIN * max(reach, rest)
    ends = (min(mean, 0.0) - far, max(mean, 0.0) + far), (-far, far)
    energy = Energy(Power(exponent, strength), Potential.quadratic(well))
    return Problem(
        Flow(energy, space(dim), profile(reach, mean), horizon, ends[:dim]),
        "Carrillo & Toscani 2000, Indiana Univ. Math. J. 49(1), 113-142; solution derived for this project",
        "uniformly convex along geodesics: W2 of two solutions contracts by e^{-well t}",
        exact=lambda t: profile(radius(t), mean * math.exp(-well * t)),
        minimiser=profile(rest, 0.0),
        limit=profile(rest, 0.0),
        limit_reason="exact solution",
        coarsest=_PLANE_CELLS,
        convexity=well,
    )


def settling(exponent: float, strength: float, dim: int, reach: float, well: float) -> Callable[[float], float]:
    """R(t) of Barenblatt's profile in the potential well |x|^2/2: R' = kappa R^(1-q) - well R, from R(0) = reach.

    R(t)^q = K + (reach^q - K) e^{-q well t}, K = kappa/well; R(inf) = K^(1/q).
    """
    q, kappa = _rates(exponent, strength, dim)
    first, limit = positive("reach", reach) ** q, kappa / positive("well", well)
    return lambda t: float((limit + (first - limit) * math.exp(-q * well * t)) ** (1.0 / q))


def _rates(exponent: float, strength: float, dim: int) -> tuple[float, float]:
    """q and kappa of R' = kappa R^(1-q): inside the profile the velocity -grad U'(rho) is kappa R^(-q) x."""
    power = Power(exponent, strength)
    if count("dim", dim) > 2:
        raise ValueError(f"dim: {dim!r} is not allowed; give 1 (line) or 2 (plane)")
    m = power.exponent
    return dim * (m - 1.0) + 2.0, 2.0 * power.strength * m / (m - 1.0) * peak(1.0 / (m - 1.0), dim) ** (m - 1.0)
