"""This file owns what `solve` returns."""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.flow import Flow
from wflow.measure import Measure
from wflow.solver import Solver


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Saved times (k,) with their measures, energies (k,) (nan where undefined) and dissipation summed since 0 (k,).

    diagnostics: name -> (k,): "step" the smallest step since the last saved time, "residual" the largest inner
    residual, "mass" the total mass, "least" the least density or weight, "edge" the mass within two cells of walls that
    stand for infinity, "fallbacks" the steps since then by a method of lower order, "coarse" those at the coarser of
    two resolutions; where there is one, "dual" the maximum of the last step's dual (nan at the start).
    steps: how many were taken in all.
    """

    flow: Flow
    solver: Solver
    times: Array
    measures: tuple[Measure, ...]
    energies: Array
    dissipated: Array
    diagnostics: dict[str, Array]
    steps: int

    @property
    def final(self) -> Measure:
        """The last measure."""
        return self.measures[-1]

    def at(self, t: float) -> Measure:
        """The measure at a saved time; raises ValueError naming the nearest saved one otherwise."""
        nearest = int(np.argmin(np.abs(self.times - t)))
        if abs(self.times[nearest] - t) > 1e-9 * max(1.0, abs(t)):
            raise ValueError(
                f"Trajectory.at: t = {t:g} was not saved, the nearest is {self.times[nearest]:g}; "
                "pass it in solve(times=[...])"
            )
        return self.measures[nearest]
