"""This file owns how measures and laws off the grids become few atoms, with a bound of how far in W2 that moves them.

Points are parted into blocks, the costliest block first, across its longest extent; each block becomes its barycentre,
brought back to the domain. Moving mass m_j by d_j costs W2 at most (sum m_j d_j^2)^(1/2), and costs of stages add up.
"""

import heapq
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.domain import Domain, interval
from wflow.errors import Refused
from wflow.law import Law, Uniform
from wflow.mesh_density import MeshDensity
from wflow.shapes import Sphere, sphere
from wflow.simplex_rule import simplex_rule
from wflow.zonal import NORTH, Zonal

_BANDS = 400
_SMALLEST = 2.0**-60
"""Blocks of a smaller cost are never split."""


@dataclass(frozen=True, eq=False)
class AtomsOf:
    """Points (m, d) with weights (m,), within W2 `floor` of the measure that they stand for."""

    points: Array
    weights: Array
    floor: float = 0.0


def of_mesh(pi: MeshDensity, most: int) -> AtomsOf:
    """The mass of each cell at its barycentre, then at most `most` blocks of cells.

    On a surface a cell is flat and its mass lies above it: radially from x to x/abs(x).
    """
    mesh = pi.mesh
    nodes, share = simplex_rule(mesh.domain.intrinsic, 2)
    places = np.einsum("qc,mcd->mqd", nodes, mesh.corners)
    rho = pi.values @ nodes.T if pi.linear else np.broadcast_to(pi.values, (mesh.size, len(share)))
    mass = rho * share * mesh.volumes[:, None]
    cell = mass.sum(axis=1)
    kept = cell > 0.0
    middle = np.einsum("mq,mqd->md", mass[kept], places[kept]) / cell[kept, None]
    within = float(np.sum(mass[kept, :, None] * (places[kept] - middle[:, None, :]) ** 2))
    own = math.sqrt(within) * _stretch(pi)
    blocks = clustered(mesh.domain.retract(middle), cell[kept] / cell[kept].sum(), mesh.domain, most)
    return AtomsOf(blocks.points, blocks.weights, own + blocks.floor)


def _stretch(pi: MeshDensity) -> float:
    """By how much at most x -> x/abs(x) and the way along the sphere lengthen a chord of a flat cell; 1 off surfaces.

    At x = sum l_i v_i, 1 - abs(x)^2 = sum_{i<j} l_i l_j abs(v_i - v_j)^2 <= width^2/3.
    """
    if not isinstance(pi.domain, Sphere):
        return 1.0
    least = 1.0 - pi.mesh.width**2 / 3.0
    chord = pi.mesh.width / math.sqrt(least) if least > 0.0 else math.inf
    if chord > 1.0:
        raise Refused(f"w2: cells with edges of {pi.mesh.width:.3g} are too long for the unit sphere; refine the mesh")
    return 2.0 * math.asin(0.5 * chord) / pi.mesh.width


@lru_cache(maxsize=8)
def of_zonal(law: Law, most: int) -> AtomsOf:
    """400 bands of equal width in angles from the axis, parted into cells as long as they are wide, then blocks.

    In a cell mass lies at most half a band from the middle, and is uniform round the axis.
    """
    heights, axis = (law.heights, law.axis) if isinstance(law, Zonal) else (Uniform(interval(-1.0, 1.0)), NORTH)
    edges = np.linspace(0.0, math.pi, _BANDS + 1)
    width, middle = math.pi / _BANDS, 0.5 * (edges[:-1] + edges[1:])
    mass = -np.diff(heights.cdf(np.cos(edges)))
    parts = np.maximum(1, np.ceil(2 * _BANDS * np.sin(middle))).astype(np.int64)
    band = np.repeat(np.arange(_BANDS), parts)
    turn = 2.0 * math.pi / parts
    number = np.arange(len(band)) - np.repeat(np.cumsum(parts) - parts, parts)
    points = sphere().turned(np.cos(middle)[band], (number + 0.5) * turn[band], np.asarray(axis))
    # sin at the far end of half a band bounds the ways round the axis
    across = np.minimum(1.0, np.sin(middle) + 0.5 * width) * turn
    own = math.sqrt(float(mass @ (0.25 * width**2 + across**2 / 12.0)))
    weights = (mass / parts)[band]
    kept = weights > 0.0
    blocks = clustered(points[kept], weights[kept] / weights[kept].sum(), sphere(), most)
    return AtomsOf(blocks.points, blocks.weights, own + blocks.floor)


def clustered(points: Array, weights: Array, domain: Domain, most: int) -> AtomsOf:
    """Atoms (n, d) as at most `most` barycentres of blocks of them."""
    heap = [_block(points, weights, np.arange(len(points)), 0)]
    done: list[NDArray[np.intp]] = []
    made = 1
    while heap and len(heap) + len(done) < most:
        cost, _, members, above = heapq.heappop(heap)
        if -cost <= _SMALLEST or above.all() or not above.any():
            done.append(members)
            continue
        for part in (members[above], members[~above]):
            heapq.heappush(heap, _block(points, weights, part, made))
            made += 1
    blocks = done + [entry[2] for entry in heap]
    label = np.empty(len(points), dtype=np.int64)
    for k, members in enumerate(blocks):
        label[members] = k
    mass = np.bincount(label, weights)
    middle = np.stack([np.bincount(label, weights * x) / mass for x in points.T], axis=1)
    middle = domain.retract(middle)
    cost = float(weights @ domain.distance(points, middle[label]) ** 2)
    return AtomsOf(middle, mass / mass.sum(), math.sqrt(cost))


_Entry = tuple[float, int, NDArray[np.intp], NDArray[np.bool_]]


def _block(points: Array, weights: Array, members: NDArray[np.intp], number: int) -> _Entry:
    """-(mass times variance), a number to tell ties apart, the members, and which lie above the middle."""
    x, w = points[members], weights[members]
    away = x - (w @ x) / w.sum()
    spread = w @ away**2
    axis = int(np.argmax(spread))
    return -float(spread.sum()), number, members, np.asarray(away[:, axis] > 0.0)
