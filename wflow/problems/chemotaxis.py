"""This file owns the flow of Keller and Segel: bacteria diffuse and attract each other by the logarithm."""

import math
from dataclasses import replace

from wflow.arrays import positive
from wflow.domain import plane
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.joint import Product
from wflow.law import Gaussian
from wflow.pair_kernel import LogKernel
from wflow.problems.problem import Problem
from wflow.terms import Interaction

_REACH = 7.5
"""Standard deviations that the window keeps, of the start or of the end."""
_CELLS = 80


def keller_segel(
    share: float = 0.5, temperature: float = 0.25, std: float = 0.5, horizon: float = 0.1, densest: float = 100.0
) -> Problem:
    """F = T int rho log rho + 2 T share int int log|x - y| drho drho in the plane, from N(0, std^2 I).

    d_t rho = T Laplace rho - div(rho grad c), -Laplace c = 8 pi T share rho: with chi the attraction, share is the mass
    over the critical mass 8 pi T/chi. Virial identity: d/dt int |x|^2 drho = 4 T (1 - share). Below 1 the second moment
    grows and solutions live for ever; above 1 it would vanish at t* = std^2/(2 T (share - 1)), and rho blows up before.
    densest: the density at which a run is ended (Concentrated).
    """
    strength = 4.0 * positive("temperature", temperature) * positive("share", share)
    start = Gaussian(0.0, positive("std", std))
    grown = math.sqrt(std**2 + 2.0 * temperature * positive("horizon", horizon))
    far = _REACH * grown
    energy = Energy(Interaction(LogKernel(2, -strength)), Entropy(temperature))
    flow = Flow(energy, plane(), Product(start, start), horizon, ((-far, far),) * 2)
    fate = "lives for ever and spreads" if share < 1.0 else "blows up in finite time" if share > 1.0 else "critical"
    return Problem(
        replace(flow, densest=positive("densest", densest)),
        "Blanchet, Dolbeault & Perthame 2006, Electron. J. Differ. Equ. 2006(44), 1-33",
        f"{share:g} of the critical mass: {fate}; the second moment is linear in time",
        second_moment=lambda t: 2.0 * std**2 + 4.0 * temperature * (1.0 - share) * t,
        coarsest=_CELLS,
    )
