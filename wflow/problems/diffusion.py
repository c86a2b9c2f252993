"""This file owns linear entropic flows with closed solutions: line and plane, interval and square."""

import math
from collections.abc import Sequence

import numpy as np

from wflow.arrays import Array, finite, positive
from wflow.domain import interval, space
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.joint import Product
from wflow.law import ClosedForm, Gaussian, Law, Uniform
from wflow.problems.problem import Problem
from wflow.terms import Potential

_AXES = 2
# standard deviations a window keeps: on 16 cells an axis, on 64 in the plane, the outer two hold less than 1e-10
_REACH, _PLANE_REACH, _PLANE_CELLS = 12.0, 9.0, 64


def ornstein_uhlenbeck(
    lam: float = 1.0,
    mean: float | Sequence[float] = 2.0,
    std: float | Sequence[float] = 0.5,
    horizon: float = 1.0,
) -> Problem:
    """F = int rho log rho + lam |x|^2/2 on the line or in the plane from N(mean, diag(std^2)): stays Gaussian.

    mean(t) = mean e^{-lam t}, var(t) = std^2 e^{-2 lam t} + (1 - e^{-2 lam t})/lam on each axis; lam > 0. mean, std: a
    number, or a pair for the plane (if one of them is a pair, the other number counts for both axes).
    """
    positive("lam", lam)
    m0, s0 = np.atleast_1d(finite("mean", mean)), np.atleast_1d(finite("std", std))
    dim = max(m0.size, s0.size)
    if dim > _AXES or {m0.shape, s0.shape} - {(1,), (dim,)}:
        raise ValueError(f"mean, std: {mean!r} and {std!r} are not numbers or pairs; give one number or two each")
    if not np.all(s0 > 0.0):
        raise ValueError(f"std: {std!r} is not allowed; give numbers above 0")

    def exact(t: float) -> Gaussian:
        fade = math.exp(-lam * t)
        return Gaussian(m0 * fade, np.sqrt(s0**2 * fade**2 + (1.0 - fade**2) / lam), dim)

    # the mean moves monotonically to 0 and the variance monotonically between its ends
    wide = (_REACH if dim == 1 else _PLANE_REACH) * np.maximum(s0, 1.0 / math.sqrt(lam))
    lower, upper = np.broadcast_to(np.minimum(m0, 0.0) - wide, dim), np.broadcast_to(np.maximum(m0, 0.0) + wide, dim)
    gibbs = Gaussian(0.0, 1.0 / math.sqrt(lam), dim)
    window = tuple(zip(lower.tolist(), upper.tolist(), strict=True))
    return Problem(
        Flow(Energy(Potential.quadratic(lam), Entropy(1.0)), space(dim), exact(0.0), horizon, window),
        "textbook; in the form of Jordan, Kinderlehrer & Otto 1998",
        "Gaussian stays Gaussian; W2 of two solutions contracts by e^{-lam t}",
        exact=exact,
        minimiser=gibbs,
        limit=gibbs,
        limit_reason="exact solution",
        coarsest=_PLANE_CELLS,
        convexity=lam,
    )


def heat_mode(amplitude: float = 0.5, horizon: float = 0.1) -> Problem:
    """F = int rho log rho on [0, 1], no flux: 1 + amplitude e^{-pi^2 t} cos pi x; |amplitude| <= 1."""
    size = float(finite("amplitude", amplitude))
    if abs(size) > 1.0:
        raise ValueError(f"amplitude: {size:g} makes the density negative, allowed: -1 to 1")
    domain = interval(0.0, 1.0)

    def exact(t: float) -> ClosedForm:
        now = size * math.exp(-(math.pi**2) * t)
        return ClosedForm(
            domain,
            lambda x: 1.0 + now * np.cos(math.pi * x),
            lambda x: np.clip(x, 0.0, 1.0) + now * np.sin(math.pi * np.clip(x, 0.0, 1.0)) / math.pi,
        )

    return Problem(
        Flow(Energy(Entropy(1.0)), domain, exact(0.0), horizon),
        "textbook: the first Neumann mode of the heat equation",
        "pure entropy: W2 gradient flow of int rho log rho",
        exact=exact,
        minimiser=Uniform(domain),
        limit=Uniform(domain),
        limit_reason="exact solution",
    )


def drift_diffusion(g: float | Sequence[float] = 1.0, start: float = 0.05, horizon: float = 0.2) -> Problem:
    """F = int rho log rho - g . x rho on [0, 1] or [0, 1]^2, no flux: Fokker-Planck with constant drift g >= 0.

    On an axis with g > 0: rho = [e^{-alpha t + g x/2}(pi cos pi x + (g/2) sin pi x) + pi e^{g(x - 1/2)}] / M,
    alpha = pi^2 + g^2/4, M = (2 pi/g) sinh(g/2); on the square the product, uniform along an axis with g = 0 (the
    published case: g = (1, 0)). The solution touches zero at x = 1 at t = 0; the flow begins at t = start >= 0.
    """
    drift = np.atleast_1d(finite("g", g))
    if drift.ndim != 1 or drift.size > _AXES or np.any(drift < 0.0) or not np.any(drift > 0.0):
        raise ValueError(f"g: {g!r} is not allowed; give a number above 0, or for the square two >= 0, not both 0")
    begin = float(finite("start", start))
    if begin < 0.0:
        raise ValueError(f"start: {begin:g} is before the closed solution is positive; give start >= 0")

    def exact(t: float) -> Law:
        return _joint([_drifted(slope, begin + t) for slope in drift.tolist()])

    gibbs = _joint([_drifted(slope, math.inf) for slope in drift.tolist()])
    return Problem(
        Flow(Energy(Potential.linear((-drift).tolist()), Entropy(1.0)), gibbs.domain, exact(0.0), horizon),
        "test case of Cances, Gallouet & Todeschi 2020, Numer. Math. 146, arXiv:1907.08305",
        "drift, diffusion and walls in closed form",
        exact=exact,
        minimiser=gibbs,
        limit=gibbs,
        limit_reason="exact solution",
    )


def _joint(laws: list[Law]) -> Law:
    return laws[0] if len(laws) == 1 else Product(*laws)


def _drifted(g: float, t: float) -> Law:
    """The solution on [0, 1] at time t with drift g; uniform for g = 0, where that start is at rest."""
    domain = interval(0.0, 1.0)
    if g == 0.0:
        return Uniform(domain)
    # all over e^{g/2}, so that no exponent is above 0
    fade, mass = math.exp(-(math.pi**2 + g * g / 4.0) * t), math.pi / g * -math.expm1(-g)

    def density(x: Array) -> Array:
        wave = math.pi * np.cos(math.pi * x) + g / 2.0 * np.sin(math.pi * x)
        total = fade * np.exp(g * (x - 1.0) / 2.0) * wave + math.pi * np.exp(g * (x - 1.0))
        return np.asarray(total / mass)

    def cdf(x: Array) -> Array:
        inside = np.clip(x, 0.0, 1.0)
        # sin pi x from the nearer end: 0 at both
        wave = fade * np.exp(g * (inside - 1.0) / 2.0) * np.sin(math.pi * np.minimum(inside, 1.0 - inside))
        rest = math.pi / g * np.exp(g * (inside - 1.0)) * -np.expm1(-g * inside)
        return np.asarray((wave + rest) / mass)

    return ClosedForm(domain, density, cdf)
