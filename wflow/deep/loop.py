"""This file owns runs of multilayer networks, with the verbs of `wflow.solve`, and what they return."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.course import Progress
from wflow.deep.flow import DeepFlow
from wflow.deep.march import Store, march
from wflow.deep.network import Network
from wflow.deep.solver import DeepSolver, DeepState


@dataclass(frozen=True, eq=False)
class DeepTrajectory:
    """Saved times (k,) with their networks, F (k,) and dissipation summed since 0 (k,; nan where there is none).

    diagnostics: name -> (k,): "residual" the largest of an inner iteration since the last saved time, "discarded" what
    recompressions left out since 0, in L2(P).   steps: how many were taken.
    """

    flow: DeepFlow
    solver: DeepSolver
    times: Array
    networks: tuple[Network, ...]
    energies: Array
    dissipated: Array
    diagnostics: dict[str, Array]
    steps: int

    @property
    def final(self) -> Network:
        """The last network."""
        return self.networks[-1]

    def at(self, t: float) -> Network:
        """The network at a saved time; raises ValueError naming the nearest saved one otherwise."""
        nearest = int(np.argmin(np.abs(self.times - t)))
        if abs(self.times[nearest] - t) > 1e-9 * max(1.0, abs(t)):
            raise ValueError(
                f"DeepTrajectory.at: t = {t:g} was not saved, the nearest is {self.times[nearest]:g}; "
                "pass it in solve(times=[...])"
            )
        return self.networks[nearest]


def solve(
    flow: DeepFlow,
    solver: DeepSolver,
    *,
    steps: int | None = None,
    dt: float | None = None,
    times: Sequence[float] | None = None,
    until: float | Callable[[DeepState], bool] | None = None,
    progress: Progress = False,
    store: Store | None = None,
) -> DeepTrajectory:
    """Solve a multilayer flow by a method; the arguments are those of `wflow.solve` that make sense here.

    Exactly one of: steps, equal ones over the horizon; dt, an upper bound of the step.   times: saved times (0 is
    always saved; each is hit exactly by equal steps); wflow.course.SAVED equal stretches otherwise.   until: an earlier
    end, or a function of the state asked after every step.   progress: True writes to stderr; a function receives the
    fraction done.   store: where the run is kept as it goes (`wflow.store.DeepCheckpoints`): what is kept there of this
    very run is continued, and ends with the same bits; an interrupt or a failure leaves the last good step there.
    Raises Refused where the method refuses the flow; EnergyRose where a method that descends raised F by more than
    1e-13 max(1, |F_0|), nan included; NotConverged from inner iterations, where the descent inequality fails, and where
    F of a method without such promises is no finite number.
    """
    if not isinstance(flow, DeepFlow) or not isinstance(solver, DeepSolver):
        raise TypeError(
            f"solve: got {type(flow).__name__} and {solver!r}; pass a DeepFlow and a method, such as Proximal()"
        )
    kept = march(
        flow, solver, steps=steps, dt=dt, times=times, until=until, progress=progress, store=store
    ).kept  # fmt: skip
    return DeepTrajectory(
        flow,
        solver,
        np.array([k.time for k in kept]),
        tuple(k.network for k in kept),
        np.array([k.energy for k in kept]),
        np.array([k.dissipated for k in kept]),
        {"residual": np.array([k.residual for k in kept]), "discarded": np.array([k.tally for k in kept])},
        kept[-1].count,
    )
