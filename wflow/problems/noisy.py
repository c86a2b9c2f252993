"""This file owns mean-field Langevin flows with known answers: interaction, confinement and noise together."""

import math
from collections.abc import Mapping

import numpy as np
from scipy.optimize import brentq
from scipy.special import ive

from wflow.activation import activation
from wflow.arrays import finite, positive
from wflow.data import Data
from wflow.domain import circle, line
from wflow.energy import Energy, population_risk
from wflow.flow import Flow
from wflow.fourier import FourierDensity
from wflow.internal import Entropy
from wflow.kernel import FourierKernel
from wflow.law import Gaussian
from wflow.neuron import RidgeNeuron
from wflow.problems.circle import cosine_start, poisson_law
from wflow.problems.problem import Problem
from wflow.terms import Potential, Risk

# standard deviations a window keeps, as for ornstein_uhlenbeck
_REACH = 12.0
_TAIL = 1e-18


def gaussian_langevin(
    a: float = 1.0,
    b: float = 1.0,
    lam: float = 0.5,
    temperature: float = 0.2,
    mean: float = -1.0,
    var: float = 0.25,
    horizon: float = 2.0,
) -> Problem:
    """F = (a/2)(wbar - b)^2 + (lam/2) E w^2 + T int rho log rho on the line, wbar = E w, from N(mean, var).

    A network of linear neurons w x that learns one number, with weight decay and noise. It stays Gaussian:

        wbar(t) = w* + (mean - w*) e^{-(a + lam) t}, w* = a b/(a + lam);   var(t) = T/lam + (var - T/lam) e^{-2 lam t}

    F - F* = T KL(N(wbar, var)|N(w*, T/lam)) + (a/2)(wbar - w*)^2, F* at N(w*, T/lam). a >= 0; the others above 0.
    """
    for name, value in (("lam", lam), ("temperature", temperature), ("var", var)):
        positive(name, value)
    if not float(finite("a", a)) >= 0.0:
        raise ValueError(f"a: {a!r} is not allowed; give a number >= 0 (0: no interaction)")
    finite("b", b)
    finite("mean", mean)
    middle, spread = a * b / (a + lam), temperature / lam

    def exact(t: float) -> Gaussian:
        now = middle + (mean - middle) * math.exp(-(a + lam) * t)
        return Gaussian(now, math.sqrt(spread + (var - spread) * math.exp(-2.0 * lam * t)))

    root = math.sqrt(a)
    risk = Risk(RidgeNeuron(activation("linear")), Data(np.array([[root]]), np.array([root * b])))
    # mean and variance are monotone: the window holds both ends
    wide = _REACH * math.sqrt(max(var, spread))
    window = (min(mean, middle) - wide, max(mean, middle) + wide)
    gibbs = Gaussian(middle, math.sqrt(spread))
    lowest = (
        0.5 * a * (middle - b) ** 2
        + 0.5 * lam * (middle**2 + spread)
        - 0.5 * temperature * math.log(2.0 * math.pi * math.e * spread)
    )
    return Problem(
        Flow(Energy(risk, Potential.quadratic(lam), Entropy(temperature)), line(), exact(0.0), horizon, window),
        "derived for this project; mean-field Langevin dynamics as in Hu, Ren, Siska & Szpruch 2021, arXiv:1905.07769",
        "Gaussian stays Gaussian, and so do finitely many particles: bias and fluctuations in closed form",
        exact=exact,
        minimiser=gibbs,
        limit=gibbs,
        limit_reason="exact solution",
        lowest=lowest,
    )


def von_mises_langevin(
    a: float = 0.5,
    target: float = 0.8,
    temperature: float = 0.1,
    modes: Mapping[int, float] = {1: -0.5, 3: 0.3},
    horizon: float = 20.0,
) -> Problem:
    """F = (a/2)|c_1 - target|^2 + T int rho log rho on the circle, c_1 = int e^{-i theta} dpi: linear neurons, noisy.

    The minimiser is von Mises, e^{kappa cos theta}/(2 pi I_0(kappa)) with kappa = a (target - r)/T, r = I_1/I_0(kappa);
    F* = (a/2)(r - target)^2 + T (kappa r - log 2 pi I_0(kappa)). target in [0, 1): c_1 of the teacher;
    modes: of the start, as in circle_teacher (cosines).
    """
    positive("a", a)
    positive("temperature", temperature)
    kappa = von_mises_concentration(a, target, temperature)
    minimiser = von_mises_law(kappa)
    r = float(minimiser.coefficients[1].real)
    lowest = 0.5 * a * (r - target) ** 2 + temperature * (kappa * r - math.log(2.0 * math.pi * ive(0, kappa)) - kappa)
    terms = population_risk(FourierKernel(np.array([0.0, a])), poisson_law(target))
    return Problem(
        Flow(Energy(*terms, Entropy(temperature)), circle(), cosine_start(modes), horizon),
        "derived for this project; convergence: Chizat 2022, arXiv:2202.01009; Nitanda, Wu & Suzuki 2022, "
        "arXiv:2201.10469",
        f"the minimiser is von Mises with kappa = {kappa:.6g}; without noise every law with that c_1 would do",
        minimiser=minimiser,
        limit=minimiser,
        limit_reason="F is convex and its Gibbs laws have log-Sobolev constants bounded below (cited: Chizat 2022)",
        lowest=lowest,
    )


def von_mises_concentration(a: float, target: float, temperature: float) -> float:
    """kappa with kappa T = a (target - I_1(kappa)/I_0(kappa)): the left rises from 0, the right falls."""
    if not 0.0 <= float(finite("target", target)) < 1.0:
        raise ValueError(
            f"target: {target!r} is not in [0, 1), where the first moment of a density lies; turn the axes"
        )
    if target == 0.0:
        return 0.0
    most = a * target / temperature
    return float(
        brentq(lambda k: k * temperature - a * (target - ive(1, k) / ive(0, k)), 0.0, most, xtol=1e-15, rtol=1e-15)
    )


def von_mises_law(kappa: float) -> FourierDensity:
    """e^{kappa cos theta}/(2 pi I_0(kappa)), kappa >= 0: coefficients I_n/I_0, up to 1e-18."""
    n = np.arange(max(8, math.ceil(30.0 + 2.0 * kappa)))
    c = np.asarray(ive(n, kappa) / ive(0, kappa), dtype=np.complex128)
    return FourierDensity(c[: max(2, int(np.sum(np.abs(c) > _TAIL)))])
