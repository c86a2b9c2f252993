"""This file owns the flow of networks that fit a concave function by narrow bumps, in the limit of width zero."""

import math

import numpy as np

from wflow.arrays import Array, finite, positive
from wflow.barenblatt import Barenblatt
from wflow.bump import BumpNeuron
from wflow.data import Data
from wflow.domain import interval
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.forceless import Constant
from wflow.internal import Entropy, Power
from wflow.lambert import LambertLaw
from wflow.law import Law
from wflow.problems.porous import settling
from wflow.problems.problem import Problem, nothing
from wflow.terms import Potential, Risk

_NODES = 64


def displacement_convex(
    alpha: float = 1.0,
    width: float = 0.8,
    mean: float = 0.8,
    temperature: float = 0.0,
    reach: float = 2.0,
    horizon: float = 1.0,
    bump: float = 0.0,
) -> Problem:
    """F = (1/2) int (f - rho)^2 + T int rho log rho on [-reach, reach], no flux, f = (alpha/2)(L^2 - w^2) concave.

    d_t rho = div(rho grad(rho - f)) + T Laplace rho: the limit of networks (1/m) sum_j K_delta(x - w_j) that fit f, as
    m grows and then their bumps narrow. L^3 = 3/(2 alpha), so that the positive part of f has mass one.
    T = 0, from the parabola of half-width `width` about `mean`: it stays one, its centre mean e^{-alpha t}, its
    half-width^3 L^3 + (width^3 - L^3) e^{-3 alpha t}, while it meets no wall (else ValueError); W2 of two is
    hypot(difference of means, of half-widths/sqrt 5). The minimiser is f's positive part.
    bump > 0: the network itself, F = (1/2) int (f - K * rho)^2 + T int rho log rho, K the density of N(0, bump^2), the
    integral by Gauss; of it no answer is known.
    T > 0, from the same start as heat would round it, T W(exp((level - (3/(2 width^3))(w - mean)^2/2)/T)/T), W
    Lambert's; the minimiser is T W(exp((level - alpha w^2/2)/T)/T).
    """
    edge = _half_width(positive("alpha", alpha))
    home = interval(-positive("reach", reach), reach)
    cold, centre = float(finite("temperature", temperature)), float(finite("mean", mean))
    if cold < 0.0:
        raise ValueError(f"temperature: {temperature!r} is not allowed; give a number >= 0 (0: no noise)")
    if abs(centre) + max(positive("width", width), edge) > reach:
        raise ValueError(
            f"reach: {reach:g} is below |mean| + half-width, which is at most {abs(centre) + max(width, edge):.4g} on "
            "the way; give a longer reach, or less mean or width"
        )
    radius = settling(2.0, 0.5, 1, width, alpha)

    def parabola(t: float) -> Law:
        return Barenblatt(1.0, radius(t), centre * math.exp(-alpha * t), home)

    rounded = (LambertLaw(1.5 / width**3, cold, reach, centre), LambertLaw(alpha, cold, reach)) if cold else None
    start, rest = rounded or (parabola(0.0), parabola(math.inf))
    heat = (Entropy(cold),) if cold else ()
    source = "Javanmard, Mondelli & Montanari 2020, Ann. Statist. 48(6), arXiv:1901.01375; solutions derived here"
    if bump:
        network = Flow(Energy(_network(alpha, bump, reach), *heat), home, start, horizon)
        return Problem(network, source, "convex along geodesics in the limit of narrow bumps alone")
    # -int f drho + (1/2) int f^2
    fit = Potential.quadratic(alpha), Constant(0.5 * _squared(alpha, edge, reach) - 0.5 * alpha * edge**2)
    return Problem(
        Flow(Energy(Power(2.0, 0.5), *heat, *fit), home, start, horizon),
        source,
        "alpha-convex along geodesics: F - min F falls by e^{-2 alpha t}, W2 of two solutions by e^{-alpha t}",
        exact=nothing if cold else parabola,
        minimiser=rest,
        limit=rest,
        limit_reason="the only minimiser, F being alpha-convex along geodesics",
        convexity=alpha,
    )


def _network(alpha: float, bump: float, reach: float) -> Risk:
    """(1/2) int (f - K * pi)^2 over [-reach, reach], as a mean over uniform inputs: both sides times sqrt(2 reach).

    Gauss's nodes lie bump/3 apart in the middle, where two bumps' product, a Gaussian, is integrated to e^-88.
    """
    x, weights = np.polynomial.legendre.leggauss(max(_NODES, math.ceil(6.0 * reach / positive("bump", bump))))
    inputs, scale = reach * x[:, None], math.sqrt(2.0 * reach)
    neuron = BumpNeuron(bump, interval(-reach, reach), scale / (math.sqrt(2.0 * math.pi) * bump))
    return Risk(neuron, Data(inputs, scale * concave_target(alpha, inputs), weights / 2.0))


def concave_target(alpha: float, w: Array) -> Array:
    """f (m,) at w (m, 1)."""
    return np.asarray(0.5 * alpha * (_half_width(alpha) ** 2 - w[:, 0] ** 2))


def _half_width(alpha: float) -> float:
    return float((1.5 / alpha) ** (1.0 / 3.0))


def _squared(alpha: float, edge: float, reach: float) -> float:
    """int f^2 over [-reach, reach]."""
    return 0.5 * alpha**2 * (edge**4 * reach - 2.0 / 3.0 * edge**2 * reach**3 + reach**5 / 5.0)
