"""This file owns flows on regions of the plane that are no boxes: round an obstacle, and known ones within a disk."""

import math
from dataclasses import replace

import numpy as np

from wflow.arrays import finite, positive
from wflow.curves import place
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.internal import Entropy
from wflow.joint import Radial
from wflow.law import Gaussian, Law, Uniform
from wflow.mesh_file import region
from wflow.problems.porous import barenblatt, porous_well
from wflow.problems.problem import Problem
from wflow.shapes import disk, punched
from wflow.terms import Potential
from wflow.within import Gibbs, Within

_START, _WIDTH = (-1.1, 0.0), 0.15
_ROOM = 1.2
_COARSEST = 24


def around_obstacle(
    wind: float = 1.0, temperature: float = 0.1, radius: float = 0.4, aside: float = 0.1, horizon: float = 1.5
) -> Problem:
    """F = T int rho log rho - wind int w_1 drho in [-2, 2] x [-1, 1] without a disk: Fokker-Planck, no flux at walls.

    From N((-1.1, 0), .15^2) the mass is blown against the disk of that radius about (0, aside), divides and gathers at
    the right wall. The limit is the Gibbs law e^{wind w_1/T}/Z, the minimiser.
    """
    hole = float(positive("radius", radius)), float(finite("aside", aside))
    if hole[0] + abs(hole[1]) >= 1.0:
        raise ValueError(
            f"radius, aside: a disk of radius {radius:g} about (0, {aside:g}) meets the walls; make it less"
        )
    domain = punched((-2.0, -1.0), (2.0, 1.0), (0.0, hole[1]), hole[0])
    start = Within(Gaussian(_START, _WIDTH, 2), domain)
    blown = float(finite("wind", wind))
    rest = Gibbs(domain, lambda w: -blown * w[:, 0], positive("temperature", temperature))
    return Problem(
        Flow(Energy(Potential.linear((-blown, 0.0)), Entropy(temperature)), domain, start, horizon),
        "textbook: Fokker-Planck with no flux; Gibbs law by the variational principle",
        "a domain with a hole, which grids do not have: finite elements and finite volumes on triangles",
        minimiser=rest,
        limit=rest,
        limit_reason="the Gibbs law, the only minimiser since F is strictly convex along mixtures",
    )


def blown_region(
    mesh: str, wind: tuple[float, float] = (1.0, 0.0), temperature: float = 0.1, horizon: float = 1.5
) -> Problem:
    """F = T int rho log rho - int wind . w drho on the region of a mesh file: Fokker-Planck, no flux at walls.

    mesh: a Gmsh or XDMF file of triangles (relative to the config), in whose units wind and T are. From the uniform law
    to the Gibbs law e^{wind . w/T}/Z, the minimiser.
    """
    domain, (x, y) = region(mesh), place("wind", wind)
    rest = Gibbs(domain, lambda w: -(x * w[:, 0] + y * w[:, 1]), positive("temperature", temperature))
    return Problem(
        Flow(Energy(Potential.linear((-x, -y)), Entropy(temperature)), domain, Uniform(domain), horizon),
        f"data: {mesh}",
        f"{domain!r} of somebody's own, {domain.cells_across:.3g} triangles across; no flux at its walls",
        coarsest=max(4, math.ceil(domain.cells_across)),
        minimiser=rest,
        limit=rest,
        limit_reason="the Gibbs law, the only minimiser since F is strictly convex along mixtures",
    )


def barenblatt_disk(
    exponent: float = 2.0, strength: float = 0.1, start: float = 0.01, horizon: float = 0.003
) -> Problem:
    """barenblatt in the plane, on a disk that its support does not fill: the same solution, on triangles."""
    return _on_disk(barenblatt(exponent, strength, 2, start, horizon))


def porous_well_disk(
    exponent: float = 2.0, strength: float = 0.1, mean: float = 0.5, reach: float = 1.0, horizon: float = 1.0
) -> Problem:
    """porous_well in the plane, on a disk that its support does not reach: the same solution, on triangles."""
    return _on_disk(porous_well(exponent, strength, 2, mean, reach, horizon))


def _on_disk(problem: Problem) -> Problem:
    """The problem on a disk about 0 that is 1.2 times as wide as what its law ever fills."""
    times = np.linspace(0.0, problem.flow.horizon, 65)
    ends = [problem.exact(float(t)) for t in times]
    domain = disk(_ROOM * max(_farthest(law) for law in ends if law is not None))

    def within(law: Law | None) -> Law | None:
        return None if law is None else Within(law, domain)

    start = within(problem.flow.initial)
    assert start is not None
    return replace(
        problem,
        coarsest=_COARSEST,
        flow=Flow(problem.flow.energy, domain, start, problem.flow.horizon),
        exact=lambda t: within(problem.exact(t)),
        minimiser=within(problem.minimiser),
        limit=within(problem.limit),
    )


def _farthest(law: Law) -> float:
    """How far from 0 the support of a radial law reaches."""
    assert isinstance(law, Radial)
    return float(np.linalg.norm(law.centre)) + law.reach
