"""This file owns runs of residual networks, with the verbs of `wflow.deep.solve`, and what they return."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.course import Progress
from wflow.deep.march import Store, march
from wflow.deep.residual.flow import ResidualFlow
from wflow.deep.residual.net import ResidualNet
from wflow.deep.residual.solver import ResidualSolver, ResidualState


@dataclass(frozen=True, eq=False)
class ResidualTrajectory:
    """Saved times (k,) with their networks, F (k,), dissipation summed since 0 (k,); residuals (k,) and crossed (k,).

    residuals: the largest since the last saved time.   crossed: atoms whose partner was another, since 0.
    """

    flow: ResidualFlow
    solver: ResidualSolver
    times: Array
    networks: tuple[ResidualNet, ...]
    energies: Array
    dissipated: Array
    residuals: Array
    crossed: NDArray[np.int64]
    steps: int

    @property
    def final(self) -> ResidualNet:
        """The last network."""
        return self.networks[-1]


def solve(
    flow: ResidualFlow,
    solver: ResidualSolver,
    *,
    steps: int | None = None,
    dt: float | None = None,
    times: Sequence[float] | None = None,
    until: float | Callable[[ResidualState], bool] | None = None,
    progress: Progress = False,
    store: Store | None = None,
) -> ResidualTrajectory:
    """Solve a residual flow by a method; exactly one of steps, equal ones over the horizon, and dt, an upper bound.

    The arguments are those of `wflow.deep.solve`.
    Raises EnergyRose where F rose by more than 1e-13 max(1, |F_0|), nan included; NotConverged from inner iterations
    and where a JKO step misses F + COT^2/(2 tau) <= F.
    """
    if not isinstance(flow, ResidualFlow) or not isinstance(solver, ResidualSolver):
        raise TypeError(
            f"solve: got {type(flow).__name__} and {solver!r}; pass a ResidualFlow and a method, such as Jko()"
        )
    kept = march(
        flow, solver, steps=steps, dt=dt, times=times, until=until, progress=progress, store=store
    ).kept  # fmt: skip
    return ResidualTrajectory(
        flow, solver, np.array([k.time for k in kept]), tuple(k.network for k in kept),
        np.array([k.energy for k in kept]), np.array([k.dissipated for k in kept]),
        np.array([k.residual for k in kept]), np.array([k.tally for k in kept], dtype=np.int64), kept[-1].count,
    )  # fmt: skip
