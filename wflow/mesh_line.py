"""This file owns densities on meshes of one axis as pieces of constant density, from left to right."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wflow.arrays import Array
from wflow.mesh_density import MeshDensity

_PIECES = 20000


@dataclass(frozen=True, eq=False)
class Steps:
    """masses (k,) spread evenly between left (k,) and right (k,), and how far in W2 that is from the density."""

    masses: Array
    left: Array
    right: Array
    floor: float


@lru_cache(maxsize=16)
def steps_of(pi: MeshDensity) -> Steps:
    """The cells themselves where rho is constant in each; else each cut into equal parts, some 20000 in all.

    A part of mass m and length d in which rho runs linearly from u to v moves by m d^2 t^2/30 in W2^2 when it is spread
    evenly, t = (v - u)/(v + u): with x in [0, 1] the map is x + t (x^2 - x), and int (x^2 - x)^2 (1 + t(2x - 1)) dx
    is 1/30. floor is the root of the sum.
    """
    ends = pi.mesh.corners[:, :, 0]
    heights = pi.values if pi.linear else np.repeat(pi.values, 2, axis=1)
    turned = ends[:, 0] > ends[:, 1]
    ends, heights = (np.where(turned[:, None], pair[:, ::-1], pair) for pair in (ends, heights))
    if pi.domain.periodic[0]:
        # cells may be lifted by whole turns
        low, length = pi.domain.lower[0], float(pi.domain.lengths[0])
        ends = ends - length * np.floor((ends[:, :1] - low) / length)
    order = np.argsort(ends[:, 0], kind="stable")
    ends, heights = ends[order], heights[order]
    s = np.linspace(0.0, 1.0, 1 + (max(1, _PIECES // len(ends)) if pi.linear else 1))
    places, rho = (pair[:, :1] + (pair[:, 1:] - pair[:, :1]) * s for pair in (ends, heights))
    left, right = places[:, :-1].ravel(), places[:, 1:].ravel()
    u, v = rho[:, :-1].ravel(), rho[:, 1:].ravel()
    masses = 0.5 * (u + v) * (right - left)
    tilt = np.divide(v - u, v + u, out=np.zeros_like(u), where=u + v > 0.0)
    return Steps(masses, left, right, math.sqrt(float(np.sum(masses * ((right - left) * tilt) ** 2)) / 30.0))
