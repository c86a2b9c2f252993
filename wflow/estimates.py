"""This file owns estimates of a run's error, from finer runs of the same flow."""

import math
from dataclasses import replace

from wflow.convergence import LOST, MARGIN, ROUNDING, Laboratory, distance
from wflow.course import SAVED
from wflow.measure import SignedParticles
from wflow.solver import Solver
from wflow.trajectory import Trajectory

_SEEDS = 8
_DOUBLINGS = 6
"""Of the steps, until distances are to fall by their order."""


def estimated_error(lab: Laboratory, run: Trajectory) -> float:
    """1.25 d/(1 - 2^-p), d the distance to the run with twice the resolution and at least twice the steps.

    If the error is C h^p, d = C h^p (1 - 2^-p): Richardson's estimate. p is the smaller declared order. Of a random
    method d is the RMS over eight seeds: of one it may be small by chance.
    """
    order = run.solver.order(lab.flow)
    squares = []
    for solver in _seeds(run.solver):
        finer = twice(lab, solver, run.steps)
        squares.append(distance(lab.run(solver, run.steps).final, finer.final) ** 2)
    apart = math.sqrt(sum(squares) / len(squares))
    return MARGIN * apart / (1.0 - math.exp2(-min(order.time, order.space)))


def twice(lab: Laboratory, solver: Solver, steps: int) -> Trajectory:
    """The run with twice the resolution and at least twice the steps; it shares the saved times of one that has SAVED.

    Those of fewer steps are not made to wait for as many.
    """
    return lab.enough(solver.refined(2.0), 2 * steps, 1 if steps % SAVED else SAVED)


def _seeds(solver: Solver) -> list[Solver]:
    """The solver; a random one with eight seeds, its own first."""
    if not solver.random:
        return [solver]
    own = int(getattr(solver, "seed"))  # noqa: B009
    return [replace(solver, seed=own + k) for k in range(_SEEDS)]  # type: ignore[type-var]


def matched_error(lab: Laboratory, run: Trajectory) -> float:
    """The error in time in the cone metric, of charges that match one by one; 0 for other measures.

    Runs of the same charges with 2, 4, .. times the steps, until two successive distances d fall by the order in time p
    less LOST: 1.25 (sum d + last d/(2^p - 1)), Richardson's estimate where all fall so. Of steps too long to have
    an order the first distances say too little (those of conic.ConicDescent grow before they fall).
    """
    if not isinstance(run.final, SignedParticles):
        return 0.0
    order, found, last = run.solver.order(lab.flow).time, [math.inf], run
    for k in range(1, _DOUBLINGS + 1):
        finer = lab.enough(run.solver, 2**k * run.steps)
        found.append(distance(last.final, finer.final))
        last = finer
        if found[-1] <= max(ROUNDING, found[-2] * math.exp2(LOST - order)) and k > 1:
            break
    return MARGIN * (sum(found[1:]) + found[-1] / (math.exp2(order) - 1.0))
