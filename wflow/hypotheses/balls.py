"""This file owns the largest empty ball: the widest part of a bounded box without any of m points, and chance.

The distance to the points is locally largest at vertices of their Voronoi cells. Periodic axes carry their points round
by copies; a wall is a mirror: points and their images in it have the distance that the points have inside (images are
further), and its maxima on the wall are vertices of both together. So every bounded box is a torus (derived).

Of many uniform points with `rate` a unit volume the vertices have empty balls whose radius r is distributed by
rate kappa_d r^d ~ Gamma(d), and c_d vertices a point: 1, 2, 24 pi^2/35 in 1, 2, 3 dimensions.
    E number of empty balls beyond r = c_d m e^(-x) sum_{k<d} x^k/k!,     x = m kappa_d r^d/volume
is at least the probability that one exists (Markov).  Source: Moller 1989, Adv. Appl. Probab. 21, 37-73.
"""

import math
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.spatial import Voronoi
from scipy.special import gammaincc

from wflow.arrays import Array, count
from wflow.caps import CHANCE
from wflow.domain import Box
from wflow.errors import Refused

_VERTICES = (1.0, 2.0, 24.0 * math.pi**2 / 35.0)
_MOST = 20_000


def largest_ball(domain: Box, points: Array) -> float:
    """The radius of the largest ball about a point of a bounded box without any of points (m, d), exact; d <= 3.

    Refused for more axes, a box without end and more than 2e4 points with their images in walls; inf without points.
    """
    dim = domain.dim
    if not domain.bounded or dim > len(_VERTICES):
        raise Refused(f"largest_ball: {domain} is not a bounded box with at most {len(_VERTICES)} axes; take one")
    if not len(points):
        return math.inf
    lower, w = np.array(domain.lower), np.asarray(domain.wrap(np.asarray(points, dtype=np.float64)))
    lengths = np.array(domain.lengths)
    for axis in np.flatnonzero(~np.asarray(domain.periodic)):
        image = w.copy()
        image[:, axis] = 2.0 * lower[axis] - image[:, axis]
        w = np.concatenate([w, image])
        lengths[axis] *= 2.0
    if dim == 1:
        ordered = np.sort(w[:, 0])
        return 0.5 * float(np.max(np.diff(ordered, append=ordered[0] + lengths[0])))
    if len(w) > _MOST:
        raise Refused(f"largest_ball: {len(points)} points, with their images {len(w)}; give at most {_MOST}")
    return _on_torus(w, lengths)


def _on_torus(w: Array, lengths: Array) -> float:
    """By the vertices in one period, of w (m, d) and its copies within reach: no empty ball has more than |lengths|/2.

    Vertices by the outermost copies may lack points on their other side: distances are measured round the torus.
    """
    w, dim = np.unique(w, axis=0), len(lengths)
    middle, reach = np.mean(w, axis=0), 0.5 * lengths + 0.5 * float(np.linalg.norm(lengths)) * (1.0 + 1e-9)
    copies = np.concatenate([w + np.array(turn) * lengths for turn in product(range(-2, 3), repeat=dim)])
    found = Voronoi(copies[np.all(np.abs(copies - middle) <= reach, axis=1)]).vertices
    near = found[np.all(np.abs(found - middle) <= 0.5 * lengths * (1.0 + 1e-9), axis=1)]
    return float(max(np.min(np.linalg.norm(_shortest(w - v, lengths), axis=1)) for v in near))


def _shortest(away: Array, lengths: Array) -> Array:
    return np.asarray(away - lengths * np.round(away / lengths))


def ball_limit(m: int, domain: Box, chance: float = CHANCE) -> float:
    """The radius that the largest empty ball of m uniform points exceeds with at most that chance, for large m.

    At most half of what one point may leave, the half diagonal of the torus: on the circle an arc of half a turn.
    """
    dim, volume = domain.dim, float(np.prod(domain.lengths))
    most = 0.25 * float(np.linalg.norm(domain.lengths * np.where(domain.periodic, 1.0, 2.0)))
    kappa = math.pi ** (0.5 * dim) / math.gamma(0.5 * dim + 1.0)
    shares = _VERTICES[dim - 1] * count("ball_limit m", m)
    x = brentq(lambda x: math.log(shares * gammaincc(dim, x) / chance), 0.0, 500.0) if shares > chance else 0.0
    return min(most, float((x * volume / (kappa * m)) ** (1.0 / dim)))
