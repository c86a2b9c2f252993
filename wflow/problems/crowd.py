"""This file owns crowds: people who all want to be nearest to a door, and cannot stand denser than they can."""

import math
from collections.abc import Sequence

import numpy as np

from wflow.arrays import Array, finite, positive
from wflow.barenblatt import barenblatt_law, peak
from wflow.domain import box, interval, space
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.joint import Product, Radial
from wflow.law import Law
from wflow.limits import Congestion, Obstacle
from wflow.problems.problem import Problem
from wflow.steps import Steps
from wflow.terms import Potential

_ROOM = 1.5
"""Half the width of a window, in the reach of the crowd at the start."""
_CELLS = 48
SOURCE = "Maury, Roudneff-Chupin & Santambrogio 2010, Math. Models Methods Appl. Sci. 20(10), 1787-1821"


def nearness(door: Sequence[float]) -> Potential:
    """V = |w - door|: everybody walks straight to the door, one length in a unit of time. No slope is taken there."""
    middle = np.asarray(door, dtype=np.float64)

    def field(w: Array, derivative: int) -> Array:
        way = w - middle
        far = np.linalg.norm(way, axis=1)
        if derivative == 0:
            return np.asarray(far)
        safe = np.where(far > 0.0, far, 1.0)
        unit = way / safe[:, None]
        if derivative == 1:
            return unit
        across = np.eye(w.shape[1]) - unit[:, :, None] * unit[:, None, :]
        return np.where((far > 0.0)[:, None, None], across / safe[:, None, None], 0.0)

    return Potential(field, f"|w - {list(door)}|")


def congestion(share: float = 0.4, dim: int = 1, reach: float = 1.0, horizon: float = 0.4) -> Problem:
    """F = int |x| drho + {rho <= most} from the uniform ball of radius `reach`, of density share * most.

    The middle fills: with c = share^(1/dim), rho = most for r < s(t) = c t/(1 - c) and share most ((r + t)/r)^(dim - 1)
    from there to reach - t, until all is full at t = reach (1 - c): the ball of radius c reach, the minimiser.
    dim: 1 or 2. Derived from mass within s: most s^dim = share most (s + t)^dim.
    """
    if not 0.0 < float(share) < 1.0:
        raise ValueError(f"share: {share!r} is not in (0, 1); it is the density at the start over the largest")
    start = barenblatt_law(0.0, positive("reach", reach), dim=dim)
    c = share ** (1.0 / dim)
    thin = peak(0.0, dim) / reach**dim
    full = barenblatt_law(0.0, c * reach, dim=dim)

    def exact(t: float) -> Law:
        if t >= reach * (1.0 - c):
            return full
        return _filling(c * t / (1.0 - c), reach - t, t, thin, share, dim) if t > 0.0 else start

    energy = Energy(nearness((0.0,) * dim), Congestion(thin / share))
    far = _ROOM * reach
    return Problem(
        Flow(energy, space(dim), start, horizon, ((-far, far),) * dim),
        f"{SOURCE}; derived",
        "hard congestion: the middle of a crowd fills and its front moves outwards, against the stream",
        exact=exact,
        minimiser=full,
        limit=full,
        coarsest=_CELLS,
    )


def _filling(s: float, end: float, t: float, thin: float, share: float, dim: int) -> Law:
    """Full within s, streaming from there to `end`, at time t."""
    if dim == 1:
        masses = np.array([thin * (end - s), 2.0 * s * thin / share, thin * (end - s)])
        return Steps(space(1), np.array([-end, -s, s, end]), masses / masses.sum())

    def density(r: Array) -> Array:
        streaming = thin * (r + t) / np.maximum(r, s)
        return np.where(r < s, thin / share, np.where(r <= end, streaming, 0.0))

    def within(r: Array) -> Array:
        return np.where(r < s, math.pi * thin / share * r**2, math.pi * thin * (np.minimum(r, end) + t) ** 2)

    return Radial(density, within, end, edge=0.0)


def crowd(
    most: float = 4.0,
    column: float = 0.15,
    place: tuple[float, float] = (1.4, 0.55),
    door: tuple[float, float] = (2.0, 0.5),
    temperature: float = 0.0,
    horizon: float = 1.2,
) -> Problem:
    """F = int |w - door| drho + {rho <= most, 0 in the column} (+ temperature int rho log rho) in [0, 2] x [0, 1].

    The crowd starts even in [.1, .7] x [.1, .9], walks to the door in the right wall, which stays closed, and gives way
    to a column of radius `column` at `place` (0: none). At rest the nearest places to the door are full, and F is
    least: those within sqrt(2/(pi most)) of it, where that is no more than to the next wall or column.
    most: at least 1/.48, the density of the start.
    """
    for name, point in (("place", place), ("door", door)):
        if finite(f"crowd {name}", point).shape != (2,):
            raise ValueError(f"crowd {name}: {point!r} is no point of the room; give two numbers")
    room = box((0.0, 0.0), (2.0, 1.0))
    limits: list[Congestion | Obstacle] = [Congestion(most)]
    if column:
        limits.append(Obstacle.disc(place, column))
    warm = [Entropy(temperature)] if temperature else []
    x = Steps(interval(0.0, 2.0), np.array([0.1, 0.7]), np.array([1.0]))
    y = Steps(interval(0.0, 1.0), np.array([0.1, 0.9]), np.array([1.0]))
    return Problem(
        Flow(Energy(nearness(door), *limits, *warm), room, Product(x, y), horizon),
        SOURCE,
        "a crowd, a column and a door: hard congestion with an obstacle",
        limit_reason="the nearest places to the door are full, a half disc: no law of the catalogue",
        coarsest=_CELLS,
    )
