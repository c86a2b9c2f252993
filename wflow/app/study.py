"""This file owns the study of one problem by one solver: its base run, refinements and comparisons, a row a claim."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from solvers.dual_averaging import ParticleDualAveraging
from solvers.kinetic import KineticLangevin
from solvers.langevin import Langevin
from solvers.particles import GradientFlow
from wflow.app.draws import of_draws
from wflow.app.long_steps import not_compared, of_long_steps
from wflow.app.methods import METHODS
from wflow.app.noise import of_averages, of_moving_noise, of_noise
from wflow.app.orders import Orders
from wflow.arrays import Array
from wflow.certificates import (
    Certificate,
    distance_to_exact,
    distance_to_limit,
    gap_on_cells,
    global_gap,
    no_gap,
    of_run,
    second_moment,
)
from wflow.cone import spread
from wflow.contracting import contracting, relaxing
from wflow.convergence import Laboratory, Refinement, distance, norm_of
from wflow.course import SAVED
from wflow.dual_norm import nested
from wflow.errors import Truncated, WflowError
from wflow.estimates import estimated_error, matched_error, twice
from wflow.flow import SHEETS
from wflow.fourier import FourierDensity
from wflow.measure import Density, Measure
from wflow.mesh_norm import comparable
from wflow.problems import Problem, build
from wflow.signed_density import SignedDensity
from wflow.solver import Solver
from wflow.trajectory import Trajectory
from wflow.transport import law_floor, w2

BASE_STEPS = 2 * SAVED
"""Base runs take a multiple of SAVED steps, so that all methods share their saved times in the pictures."""


@dataclass(frozen=True)
class Row:
    """One claim of one problem by one or two solvers, or a refusal (then `refusal` is its sentence)."""

    problem: str
    parameters: Mapping[str, Any]
    solvers: tuple[str, ...]
    certificate: Certificate | None
    seconds: float
    refusal: str = ""

    @property
    def holds(self) -> bool:
        """Refusals hold: refusing wrong mathematics is what is promised."""
        return self.certificate is None or self.certificate.holds


@dataclass(frozen=True)
class Outcome:
    """What one solver's study of one problem leaves behind, as plain arrays that travel between processes."""

    problem: str
    solver: Solver
    rows: tuple[Row, ...]
    times: Array | None = None
    measures: tuple[Measure, ...] = ()
    energies: Array | None = None
    dissipated: Array | None = None
    diagnostics: dict[str, Array] = field(default_factory=dict)
    steps: int = 0
    error: float = 0.0
    matched: float = 0.0
    """The error in time of charges that match one by one, in the cone metric."""
    refinements: dict[str, Refinement] = field(default_factory=dict)

    def trajectory(self, problem: Problem) -> Trajectory | None:
        """The base run, None after a refusal."""
        if self.times is None or self.energies is None or self.dissipated is None:
            return None
        return Trajectory(
            problem.flow, self.solver, self.times, self.measures, self.energies, self.dissipated,
            self.diagnostics, self.steps,
        )  # fmt: skip


def suited(solver: Solver, problem: Problem, quick: bool) -> Solver:
    """The resolution of a study: half for `quick`; on several axes half the cells, at least the problem's coarsest.

    A method whose work grows faster than its grid says how many cells in all are enough. An even number: those that
    jko.Spline joins in pairs.
    """
    fewer = solver.refined(0.5) if quick else solver
    if problem.flow.domain.dim == 1 or solver.needs != "density":
        return fewer
    now, domain = getattr(fewer, fewer.resolution), problem.flow.domain
    room = solver.room(problem.flow) / (2.0 if quick else 1.0) / SHEETS ** sum(domain.frozen)
    cells = min(max(0.5 * now, problem.coarsest), room ** (1.0 / len(domain.moving)))
    return fewer.refined(2 * int(cells / 2.0) / now)


def study(name: str, parameters: Mapping[str, Any], solver: Solver, quick: bool) -> Outcome:
    """One solver on one problem: the base run with its certificates, then refinements in time and space.

    A run whose mass comes near the walls of its window is refused. One that ends in another of the house's named
    failures is a claim that fails, not the end of everybody's study.
    """
    problem = build(name, **parameters)
    began = time.monotonic()
    try:
        reason = solver.refusal(problem.flow)
        if reason is None:
            return _studied(problem, solver, quick)
    except Truncated as error:
        reason = str(error)
    except WflowError as error:
        failed = Certificate(f"no run fails; {type(error).__name__}: {error}", "equal", 1.0, 0.0, 0.0)
        return Outcome(name, solver, (Row(name, parameters, (str(solver),), failed, time.monotonic() - began),))
    return Outcome(name, solver, (Row(name, parameters, (str(solver),), None, time.monotonic() - began, reason),))


def _studied(problem: Problem, solver: Solver, quick: bool) -> Outcome:
    began = time.monotonic()
    if solver.smallest_step(problem.flow):
        others = [suited(method, problem, quick) for method in METHODS]
        found = _rows(problem, solver, of_long_steps(problem, solver, others, quick), began)
        if reason := not_compared(problem.flow, solver):
            found += (Row(problem.name, problem.parameters, (str(solver),), None, 0.0, reason),)
        return Outcome(problem.name, solver, found)
    if isinstance(solver, Langevin):
        return Outcome(problem.name, solver, _rows(problem, solver, of_noise(problem, solver, quick), began))
    if isinstance(solver, KineticLangevin):
        return Outcome(problem.name, solver, _rows(problem, solver, of_moving_noise(problem, solver), began))
    if isinstance(solver, ParticleDualAveraging):
        return Outcome(problem.name, solver, _rows(problem, solver, of_averages(problem, solver), began))
    lab = Laboratory(problem.flow)
    run = lab.enough(solver, BASE_STEPS, SAVED)
    orders = Orders(lab, problem, run, quick)
    error = _error(lab, run, orders.finer)
    finer = twice(lab, solver, run.steps)
    claims = [
        *_of_run(problem, run, error),
        *(second_moment(problem, run, finer) if not solver.equation else ()),
        *(contracting(problem, run, finer) if not solver.equation else ()),
        *relaxing(problem, run, finer),
        *orders.certificates(),
    ]
    if isinstance(solver, GradientFlow):
        claims += of_draws(lab, solver, quick)
    found = _rows(problem, solver, claims, began)
    for reason in filter(None, (no_gap(run), *orders.refusals())):
        found += (Row(problem.name, problem.parameters, (str(solver),), None, 0.0, reason),)
    return Outcome(
        problem.name, solver, found, run.times, run.measures, run.energies,
        run.dissipated, run.diagnostics, run.steps, error, matched_error(lab, run), orders.found,
    )  # fmt: skip


def _error(lab: Laboratory, run: Trajectory, finer: int | None) -> float:
    """The estimate of a run where levels from its own on show orders; nan where none within reach do.

    Between them: the distance to a run that is so much finer, and the estimate of that.
    """
    if finer is None:
        return math.nan
    if finer == 1:
        return estimated_error(lab, run)
    near = lab.enough(run.solver.refined(float(finer)), run.steps)
    return distance(run.final, near.final) + estimated_error(lab, near)


def _rows(problem: Problem, solver: Solver, found: Iterable[Certificate], began: float) -> tuple[Row, ...]:
    """A row a certificate, the time shared evenly."""
    held = list(found)
    seconds = (time.monotonic() - began) / max(1, len(held))
    return tuple(Row(problem.name, problem.parameters, (str(solver),), c, seconds) for c in held)


def _of_run(problem: Problem, run: Trajectory, error: float) -> Iterator[Certificate]:
    yield from of_run(problem, run)
    yield from global_gap(problem, run)
    yield from gap_on_cells(problem, run)
    if not run.solver.equation and not math.isnan(error):
        yield from distance_to_exact(problem, run, error)
        yield from distance_to_limit(problem, run, error)


def _without_floor(a: Measure, b: Measure) -> bool:
    """Whether `distance` is the H^-1 distance of cells of several axes."""
    if isinstance(a, Density) and isinstance(b, Density):
        return a.domain.dim > 1 and nested(a, b)
    return comparable(a, b)


def _of_cells(a: Measure, b: Measure) -> float:
    """Between charges and cells what cells cannot tell: how far their densities are from charges at their centres."""
    cells = [pi for pi in (a, b) if isinstance(pi, SignedDensity)]
    return spread(cells[0]) if len(cells) == 1 else 0.0


def agreements(problem: Problem, outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """W2 of the ends of two methods, allowed: both estimated errors, above the floor W2 of their starts.

    Of charges and signed densities the dual norm, above what cells cannot tell besides; of charges that match one by
    one the cone metric and both errors in it, of the time steps alone since both have the same charges.

    Two densities on several axes and grids that fit, or on meshes: the H^-1 distance, which resolves what 2000 atoms
    cannot.
    """
    for a, b in combinations(outcomes, 2):
        if a.solver.equation != b.solver.equation or math.isnan(a.error + b.error):
            continue  # of an error without an estimate the refusal of orders speaks
        began = time.monotonic()
        start, end = (a.measures[0], b.measures[0]), (a.measures[-1], b.measures[-1])
        charged = problem.flow.charged and not problem.flow.conserved
        norm, measured = (norm_of(*end), distance) if charged or _without_floor(*end) else ("W2", w2)
        floor = measured(*start) + sum(law_floor(pi) for pi in start if isinstance(pi, FourierDensity))
        floor += _of_cells(*end)
        claim = f"the two agree at the end ({norm})"
        errors = a.matched + b.matched if norm == "cone" else a.error + b.error
        held = Certificate(claim, "at most", measured(*end), 0.0, errors, floor)
        solvers = (str(a.solver), str(b.solver))
        yield Row(problem.name, problem.parameters, solvers, held, time.monotonic() - began)
