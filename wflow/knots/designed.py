"""This file owns data sets of which the network without noise, and its knots, are known: the bounds are attained.

nu minimises J (wflow.knots.sparse) for the targets y = f_nu - p whenever |M_p| <= lam, with equality and the sign of
-nu where nu has charges: choose p and its points of contact first, then any sizes, and read off y.         (proved)
"""

import math
from collections.abc import Sequence

import numpy as np

from wflow.arrays import finite, shaped
from wflow.data import Data
from wflow.domain import circle
from wflow.duality.arcwise import Arcwise
from wflow.knots.angles import RELU, highest
from wflow.knots.minimiser import homogeneous
from wflow.knots.sparse import predictions
from wflow.measure import SignedParticles

_TOUCHING = 1e-9


def designed(
    inputs: Sequence[float], p: Sequence[float], lam: float, angles: Sequence[float], sizes: Sequence[float]
) -> tuple[Data, SignedParticles]:
    """Data (equal weights) of which the charges sizes_k > 0, of the sign of -M_p, at `angles` minimise J: y = f_nu - p.

    Raises ValueError where |M_p| exceeds lam somewhere, or is not lam at one of the angles, by more than 1e-9 lam.
    """
    x = shaped("inputs", inputs, (None,))
    dual, t, size = shaped("p", p, (len(x),)), shaped("angles", angles, (None,)), finite("sizes", sizes)
    r, rows = dual / len(x), homogeneous(x[:, None])
    field = Arcwise(r, rows, RELU)
    ends, plane = field.arcs()
    most, here = highest(ends[:-1], ends[1:], plane[:, 0], plane[:, 1]), field.value(t)
    if most > lam * (1.0 + _TOUCHING) or np.any(np.abs(here) < lam * (1.0 - _TOUCHING)):
        raise ValueError(f"p: |M| is {np.abs(here)} at the angles and at most {most:g}; both must be lam = {lam:g}")
    nu = SignedParticles(circle(), t[:, None], -np.sign(here) * shaped("sizes", size, (len(t),)))
    return Data(x[:, None], predictions(nu, x) - dual), nu


def two_inside(lam: float = 0.1, size: float = 1.0) -> tuple[Data, SignedParticles]:
    """Two inputs, +-2, and two knots strictly between them, at -+1/2: the most on an open interval.

    g(x) = sum over x_i > x of p_i (x_i - x)/2 = lam (1 - x/2)/(5/4)^(1/2) touches lam (1 + x^2)^(1/2) at x = -1/2; the
    other side is its mirror image.
    """
    p = 2.0 * lam * np.full(2, 0.5 / math.sqrt(1.25))
    return designed([-2.0, 2.0], list(p), lam, [math.atan(0.5), math.pi - math.atan(0.5)], [size, size])


def three_on_closed(lam: float = 0.1, size: float = 1.0) -> tuple[Data, SignedParticles]:
    """Four inputs -4, -2, 2, 4 and three knots on [-2, 2], at -2, -3/5 and 2: the most on a closed interval.

    With s = (1 + x^2)^(1/2), in units of lam: the side w < 0, sum over x_i < x of q_i p_i (x - x_i), goes from 0 at -4
    to s = 5^(1/2) at -2, to -s at 2, and on to where w > 0 has nothing left; the side w > 0 is the tangent of s at
    c = -3/5 there, (1 + c x)/(1 + c^2)^(1/2). Their difference is linear, S_1 - S_0 x, and decides the rest.
    """
    c, root = -0.6, math.sqrt(5.0)
    s1, s0 = 1.0 / math.hypot(1.0, c), -(c / math.hypot(1.0, c) + 0.5 * root)
    slopes = np.array([0.0, 0.5 * root, -0.5 * root, 0.5 * (root - (s1 - 4.0 * s0)), s0])
    p = 4.0 * lam * np.diff(slopes)
    angles = [math.pi - math.atan(-2.0), math.pi - math.atan(2.0), -math.atan(c)]
    return designed([-4.0, -2.0, 2.0, 4.0], list(p), lam, angles, [size] * 3)
