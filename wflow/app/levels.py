"""This file owns the levels of a refinement in space: from which cells on an order can be asked for."""

import math

import numpy as np

from wflow.convergence import Laboratory
from wflow.measure import Density
from wflow.problems import Problem
from wflow.solver import Solver
from wflow.trajectory import Trajectory

LEVELS = 4
_CELL, _FINER = 0.6, (1, 2, 4)
"""Cells over standard deviations of the narrowest law, where orders in space begin to show (1.1: order 2 seen as 1.8;
.5: as 2.0); how much finer at once."""
FINEST = 16
"""At most so much finer in all: above it no order is asked for."""
_SMEARED, _DISPERSED = 0.7, 0.4
"""Of that deviation, what a scheme of first order may smear on the way, and one of second disperse."""


def space_factors(solver: Solver, problem: Problem, quick: bool) -> list[float]:
    """Resolutions of a refinement in space, each twice the one before.

    From rough starts on several axes costly methods begin lower; on one axis all begin higher: where in its cell a jump
    lies changes errors from one coarse grid to the next.
    """
    rough = problem.flow.initial.regularity != "smooth"
    if problem.flow.domain.dim > 1 and solver.needs == "density":
        cells = getattr(solver, solver.resolution)
        first = problem.coarsest / 2 if solver.costly and rough else problem.coarsest
        return [first * 2**k / cells for k in range(LEVELS - 1)]
    return [2.0 ** (k + rough) for k in range((3 if quick else 2) - LEVELS, 2)]


def narrow(problem: Problem, run: Trajectory) -> int:
    """1, 2, 4: how much finer a refinement on one axis begins where the window is wide beside the law on it.

    No order in h shows where cells are as wide as the law: the last level but one, which has the run's own cells, gets
    cells of at most _CELL standard deviations of the narrowest law at a saved time, of the exact one where it is known
    (a first order smears), and of at most what `_thin` says. Rough starts begin one level higher anyway.
    """
    cells = [pi for pi in run.measures if isinstance(pi, Density)]
    if not cells or run.flow.domain.dim > 1 or run.flow.domain.is_circle or run.flow.initial.regularity != "smooth":
        return 1
    laws, grid = [problem.exact(float(t)) for t in run.times], cells[0].grid
    known = [law.averages(grid) if law is not None else pi.values for law, pi in zip(laws, cells, strict=True)]
    x, h = grid.centres[:, 0], float(grid.widths[0])
    spread = math.sqrt(min(h * float(rho @ (x - h * (rho @ x)) ** 2) for rho in known))
    most = min(_CELL * spread, _thin(run, spread))
    return next(k for k in _FINER if k == _FINER[-1] or h <= k * most)


def _thin(run: Trajectory, spread: float) -> float:
    """The widest cells with which a law of that standard deviation is carried along the run's way without heat.

    Upwinding adds the viscosity h |v|/2: over a way of length L it smears a law by the deviation (h L)^(1/2). A second
    order disperses, c h^2 |v| rho_xxx, to waves as wide as (h^2 L)^(1/3) (derived: modified equations). Where these are
    not thin beside the law no order shows. Minimising movements carry no cells.
    """
    length = way(run)
    if run.flow.energy.internal or run.solver.variational or run.flow.domain.dim > 1 or not length > 0.0:
        return math.inf
    if run.solver.order(run.flow).space < 2.0:
        return (_SMEARED * spread) ** 2 / length
    return math.sqrt((_DISPERSED * spread) ** 3 / length)


def way(run: Trajectory) -> float:
    """int (int |grad V|^2 dpi)^(1/2) dt, from what was dissipated between saved times: an upper bound, Jensen's."""
    spent = np.maximum(np.diff(run.dissipated), 0.0)
    return float(np.sum(np.sqrt(spent * np.diff(run.times))))


def sharper(lab: Laboratory, problem: Problem, run: Trajectory) -> int | None:
    """How much finer than a run a refinement begins: `narrow` asked again of finer runs, which smear the law less.

    None: FINEST times as many cells are too few.
    """
    solver, factor, now = run.solver, 1, run
    while (more := narrow(problem, now)) > 1:
        if factor == FINEST:
            return None
        factor = min(FINEST, factor * more)
        now = lab.enough(solver.refined(factor))
    return factor
