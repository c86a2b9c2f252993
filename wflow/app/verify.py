"""This file owns `wflow verify`: every problem by every solver that takes it, one row a claim."""

import inspect
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from solvers.particles import GradientFlow, Sampled
from solvers.spectral import Fourier
from wflow.app.methods import METHODS
from wflow.arrays import Array
from wflow.certificates import (
    Certificate,
    distance_to_exact,
    distance_to_limit,
    global_gap,
    kept,
    moved_downhill,
    truncated,
)
from wflow.convergence import (
    LOST,
    Laboratory,
    Refinement,
    dissipation_refinement,
    estimated_error,
    in_space,
    in_time,
    particle_slope,
)
from wflow.errors import WflowError
from wflow.fourier import FourierDensity
from wflow.grid import Grid
from wflow.loop import SAVED
from wflow.measure import Density, Measure
from wflow.problems import CATALOGUE, Problem, build, parameters_of
from wflow.solver import Solver
from wflow.trajectory import Trajectory
from wflow.transport import law_floor, w2

SEED = 20260
BASE_STEPS = 2 * SAVED
"""Base runs take a multiple of SAVED steps, so that all methods share their saved times in the pictures."""
LEVELS = 4
DECAYED = 1e-3
PDE_CELLS = 2000
"""Exact averages by which the spectral answer enters many W2 distances: an error of 1e-6, far below 1/m."""
VERIFIED = tuple(name for name in CATALOGUE if inspect.Parameter.empty not in parameters_of(name).values())
"""What `wflow verify` takes without names: the catalogue less the problems that need a file."""


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
    refinements: dict[str, Refinement] = field(default_factory=dict)

    def trajectory(self, problem: Problem) -> Trajectory | None:
        """The base run, None after a refusal."""
        if self.times is None or self.energies is None or self.dissipated is None:
            return None
        return Trajectory(
            problem.flow, self.solver, self.times, self.measures, self.energies, self.dissipated,
            self.diagnostics, self.steps,
        )  # fmt: skip


@dataclass(frozen=True)
class Report:
    """Problems with their outcomes, and every row: those of single solvers, then agreements of pairs."""

    problems: tuple[Problem, ...]
    outcomes: tuple[Outcome, ...]
    rows: tuple[Row, ...]
    seconds: float
    quick: bool

    @property
    def holds(self) -> bool:
        """Every claim holds."""
        return all(row.holds for row in self.rows)

    def of(self, problem: Problem) -> tuple[Outcome, ...]:
        """The outcomes of one problem that were run (not refused)."""
        return tuple(o for o in self.outcomes if o.problem == problem.name and o.times is not None)


Progress = Callable[[str, int, int], None]


def verify(
    names: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    *,
    quick: bool = False,
    workers: int = 2,
    progress: Progress | None = None,
) -> Report:
    """Run every solver on every named problem (all by default) and certify what came out.

    settings: parameters for the named problems, of which there must then be exactly one. quick: half the resolution.
    progress(what, done, total) is called as studies end. Raises ValueError for unknown names.
    """
    began = time.monotonic()
    settings = dict(settings or {})
    if settings and len(names) != 1:
        raise ValueError(
            f"--set: parameters need exactly one problem, got {len(names)}; name it: wflow verify NAME --set ..."
        )
    problems = [build(name, **settings) for name in dict.fromkeys(names or VERIFIED)]
    methods = [s.refined(0.5) if quick else s for s in METHODS]
    tasks = [(p.name, dict(p.parameters), s, quick) for p in problems for s in methods]
    outcomes = _run_all(tasks, workers, progress or (lambda what, done, total: None))
    rows = [row for outcome in outcomes for row in outcome.rows]
    for problem in problems:
        rows += agreements(problem, [o for o in outcomes if o.problem == problem.name and o.times is not None])
    return Report(tuple(problems), tuple(outcomes), tuple(rows), time.monotonic() - began, quick)


Task = tuple[str, dict[str, Any], Solver, bool]


def _run_all(tasks: Sequence[Task], workers: int, progress: Progress) -> list[Outcome]:
    """Every study, in worker processes with one thread each (two BLAS threads on two cores spin against each other)."""
    if workers <= 1:
        done = []
        for k, task in enumerate(tasks, 1):
            done.append(study(*task))
            progress(_label(task), k, len(tasks))
        return done
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures: dict[Future[Outcome], int] = {pool.submit(study, *task): k for k, task in enumerate(tasks)}
        try:
            for done_count, future in enumerate(as_completed(futures), 1):
                future.result()
                progress(_label(tasks[futures[future]]), done_count, len(tasks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in futures]


def _label(task: Task) -> str:
    return f"{task[0]} by {task[2]}"


def study(name: str, parameters: Mapping[str, Any], solver: Solver, quick: bool) -> Outcome:
    """One solver on one problem: the base run with its certificates, then refinements in time and space.

    A run that ends in one of the house's named failures is a claim that fails, not the end of everybody's study.
    """
    problem = build(name, **parameters)
    began = time.monotonic()
    reason = solver.refusal(problem.flow)
    if reason is not None:
        return Outcome(name, solver, (Row(name, parameters, (str(solver),), None, 0.0, refusal=reason),))
    try:
        return _studied(problem, solver, quick)
    except WflowError as error:
        failed = Certificate(f"no run fails; {type(error).__name__}: {error}", "equal", 1.0, 0.0, 0.0)
        return Outcome(name, solver, (Row(name, parameters, (str(solver),), failed, time.monotonic() - began),))


def _studied(problem: Problem, solver: Solver, quick: bool) -> Outcome:
    began = time.monotonic()
    name, parameters = problem.name, problem.parameters
    lab = Laboratory(problem.flow)
    run = lab.enough(solver, BASE_STEPS, SAVED)
    error = estimated_error(lab, run)
    refinements: dict[str, Refinement] = {}
    found = [*_of_run(problem, run, error), *_of_refinements(lab, solver, refinements, quick)]
    if isinstance(solver, GradientFlow) and problem.flow.domain.is_circle:
        found += _of_particles(lab, solver, quick)
    seconds = (time.monotonic() - began) / max(1, len(found))
    rows = tuple(Row(name, parameters, (str(solver),), c, seconds) for c in found)
    return Outcome(
        name, solver, rows, run.times, run.measures, run.energies, run.dissipated, run.diagnostics, run.steps,
        error, refinements,
    )  # fmt: skip


def _of_run(problem: Problem, run: Trajectory, error: float) -> Iterator[Certificate]:
    yield from kept(run)
    yield from truncated(run)
    yield from moved_downhill(run)
    yield from global_gap(problem, run)
    yield from distance_to_exact(problem, run, error)
    yield from distance_to_limit(problem, run, error)


def _of_refinements(lab: Laboratory, solver: Solver, out: dict[str, Refinement], quick: bool) -> Iterator[Certificate]:
    """Orders in time (at half the resolution) and space, and of the energy identity; all kept in `out` for pictures.

    quick leaves out the coarsest grid, on which a window's walls may be felt.
    """
    order = solver.order(lab.flow)
    coarse = solver.refined(0.5)
    first = lab.enough(coarse, 10 if order.time > 2.0 else 20).steps
    out["time"] = in_time(lab, coarse, first, LEVELS)
    yield order_certificate("order in time", out["time"], order.time)
    if np.isfinite(order.space):
        out["space"] = in_space(lab, solver, [2.0**k for k in range((3 if quick else 2) - LEVELS, 2)], 20)
        yield order_certificate("order in space", out["space"], order.space)
    else:
        yield from _decay(lab.enough(solver, BASE_STEPS, SAVED).final)
    if not solver.variational:
        out["dissipation"] = dissipation_refinement(lab, coarse, first, LEVELS)
        yield order_certificate("energy identity F_0 - F = dissipated, order", out["dissipation"], order.time)


def _decay(end: Measure) -> Iterator[Certificate]:
    """The last modes of a spectral answer: what the truncation leaves out."""
    if isinstance(end, FourierDensity):
        tail = float(np.max(np.abs(end.coefficients[-4:])))
        yield Certificate("size of the last four coefficients", "at most", tail, 0.0, DECAYED)


def order_certificate(claim: str, refinement: Refinement, declared: float) -> Certificate:
    """Observed order >= declared - .15; where nothing is left to refine, that the distance is at rounding."""
    if refinement.at_rounding:
        return Certificate(f"{claim}: nothing left to refine", "at most", refinement.distances[-1], 0.0, 1e-11)
    return Certificate(f"{claim} ({refinement})", "at least", refinement.observed, declared, LOST)


def _of_particles(lab: Laboratory, solver: GradientFlow, quick: bool) -> Iterator[Certificate]:
    """RMS W2(m particles, PDE) in m: slope -1 from quantiles, -1/2 from i.i.d. draws; the PDE by the Fourier method."""
    fourier = next(s for s in METHODS if isinstance(s, Fourier))
    if fourier.refusal(lab.flow) is not None:
        return
    limit = lab.enough(fourier).final
    assert isinstance(limit, FourierDensity)
    grid = Grid(limit.domain, (PDE_CELLS,))
    pde = Density(grid, np.maximum(limit.averages(grid), 0.0))
    steps = lab.enough(solver).steps
    sizes = [solver.particles * k // 4 for k in (1, 2, 4, 8)]
    exact, _ = particle_slope(lab.flow, [[GradientFlow(m)] for m in sizes], pde, steps)
    yield Certificate("W2(m quantile particles, PDE): slope in m", "equal", exact, -1.0, 0.1)
    seeds = 24 if quick else 48
    drawn = [[GradientFlow(m, Sampled(SEED + 1000 * m + k)) for k in range(seeds)] for m in sizes]
    slope, deviation = particle_slope(lab.flow, drawn, pde, steps)
    claim = f"RMS W2(m i.i.d. particles, PDE): slope in m ({seeds} seeds, s.e. {deviation:.2f})"
    yield Certificate(claim, "equal", slope, -0.5, 0.1)


def agreements(problem: Problem, outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """W2 of the ends of two methods, allowed: both estimated errors, above the floor W2 of their starts."""
    for a, b in combinations(outcomes, 2):
        began = time.monotonic()
        floor = w2(a.measures[0], b.measures[0])
        for outcome in (a, b):
            floor += law_floor(outcome.measures[0]) if isinstance(outcome.measures[0], FourierDensity) else 0.0
        apart = w2(a.measures[-1], b.measures[-1])
        claim = Certificate("the two agree at the end (W2)", "at most", apart, 0.0, a.error + b.error, floor)
        solvers = (str(a.solver), str(b.solver))
        yield Row(problem.name, problem.parameters, solvers, claim, time.monotonic() - began)
