"""This file owns the law of (w, v) where a momentum method stands, as a measure of the house."""

import math

import numpy as np

from wflow.domain import Box
from wflow.errors import Refused
from wflow.grid import Grid
from wflow.measure import Density, Measure, Particles
from wflow.solver import State


def phase_of(state: State) -> Measure:
    """The law of places and velocities at a state of HeavyBall, KineticLangevin or PhaseSpace.

    Particles on 2 d axes, or the density on cells of (w, v); velocity axes have no walls, on cells they end at the
    method's reach. `solve(.., until=f)` hands states to f. Raises Refused for a state without velocities.
    """
    pi, memory = state.measure, state.memory
    home = pi.domain
    if isinstance(home, Box) and isinstance(pi, Particles) and isinstance(v := memory.get("velocities"), np.ndarray):
        ends = (math.inf,) * home.dim
        box = Box(home.lower + tuple(-e for e in ends), home.upper + ends, home.periodic + (False,) * home.dim)
        return Particles(box, np.hstack([pi.points, v]), pi.weights)
    phase, reach = memory.get("phase"), memory.get("reach")
    if isinstance(pi, Density) and isinstance(phase, np.ndarray) and isinstance(reach, float):
        own = pi.grid.domain
        box = Box((own.lower[0], -reach), (own.upper[0], reach), (own.periodic[0], False))
        grid = Grid(box, phase.shape)
        return Density(grid, phase.ravel() / grid.cell_volume)
    raise Refused("phase_of: the state has no velocities; take one of HeavyBall, KineticLangevin or PhaseSpace")
