"""This file owns linear entropic flows with closed solutions on the line and the interval."""

import math

import numpy as np

from wflow.arrays import Array, finite, positive
from wflow.domain import interval, line
from wflow.energy import Energy, Potential
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.law import ClosedForm, Gaussian, Law, Uniform
from wflow.problems.problem import Problem

_REACH = 12.0  # standard deviations a window keeps: on 16 cells the outer two still hold less than 1e-10


def ornstein_uhlenbeck(lam: float = 1.0, mean: float = 2.0, std: float = 0.5, horizon: float = 1.0) -> Problem:
    """F = int rho log rho + lam |x|^2/2 on the line from N(mean, std^2): stays Gaussian.

    mean(t) = mean e^{-lam t}, var(t) = std^2 e^{-2 lam t} + (1 - e^{-2 lam t})/lam; lam > 0.
    """
    positive("lam", lam)
    m0, s0 = float(finite("mean", mean)), positive("std", std)

    def exact(t: float) -> Gaussian:
        fade = math.exp(-lam * t)
        return Gaussian(m0 * fade, math.sqrt(s0**2 * fade**2 + (1.0 - fade**2) / lam))

    # the mean moves monotonically to 0 and the variance monotonically between its ends
    wide = max(s0, 1.0 / math.sqrt(lam))
    window = (min(m0, 0.0) - _REACH * wide, max(m0, 0.0) + _REACH * wide)
    gibbs = Gaussian(0.0, 1.0 / math.sqrt(lam))
    return Problem(
        Flow(Energy(Potential.quadratic(lam), Entropy(1.0)), line(), Gaussian(m0, s0), horizon, window),
        "textbook; in the form of Jordan, Kinderlehrer & Otto 1998",
        "Gaussian stays Gaussian; W2 of two solutions contracts by e^{-lam t}",
        exact=exact,
        minimiser=gibbs,
        limit=gibbs,
        limit_reason="exact solution",
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


def drift_diffusion(g: float = 1.0, start: float = 0.05, horizon: float = 0.2) -> Problem:
    """F = int rho log rho - g x rho on [0, 1], no flux: Fokker-Planck with constant drift g > 0.

    rho = [e^{-alpha t + g x/2}(pi cos pi x + (g/2) sin pi x) + pi e^{g(x - 1/2)}] / M, alpha = pi^2 + g^2/4,
    M = (2 pi/g) sinh(g/2). The solution touches zero at x = 1 at t = 0; the flow begins at t = start >= 0.
    """
    positive("g", g)
    begin = float(finite("start", start))
    if begin < 0.0:
        raise ValueError(f"start: {begin:g} is before the closed solution is positive; give start >= 0")
    domain, alpha = interval(0.0, 1.0), math.pi**2 + g * g / 4.0
    mass = 2.0 * math.pi / g * math.sinh(g / 2.0)

    def exact(t: float) -> ClosedForm:
        fade = math.exp(-alpha * (begin + t))

        def density(x: Array) -> Array:
            wave = math.pi * np.cos(math.pi * x) + g / 2.0 * np.sin(math.pi * x)
            total = fade * np.exp(g * x / 2.0) * wave + math.pi * np.exp(g * (x - 0.5))
            return np.asarray(total / mass)

        def cdf(x: Array) -> Array:
            inside = np.clip(x, 0.0, 1.0)
            wave = fade * np.exp(g * inside / 2.0) * np.sin(math.pi * inside)
            rest = math.pi / g * math.exp(-g / 2.0) * np.expm1(g * inside)
            return np.asarray((wave + rest) / mass)

        return ClosedForm(domain, density, cdf)

    gibbs = ClosedForm(
        domain,
        lambda x: math.pi * np.exp(g * (x - 0.5)) / mass,
        lambda x: np.expm1(g * np.clip(x, 0.0, 1.0)) / math.expm1(g),
    )
    limit: Law = gibbs
    return Problem(
        Flow(Energy(Potential.linear(-g), Entropy(1.0)), domain, exact(0.0), horizon),
        "test case of Cances, Gallouet & Todeschi 2020, Numer. Math. 146, arXiv:1907.08305",
        "drift, diffusion and walls in closed form",
        exact=exact,
        minimiser=limit,
        limit=limit,
        limit_reason="exact solution",
    )
