"""This file owns the study of one problem by one solver: its base run, refinements and comparisons, a row a claim."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from solvers.dual_averaging import ParticleDualAveraging
from solvers.kinetic import KineticLangevin
from solvers.langevin import Langevin
from solvers.particles import GradientFlow
from solvers.stochastic import ModifiedEquation, StochasticGradient
from wflow.app.draws import of_draws, of_steps
from wflow.app.levels import LEVELS, narrow, space_factors
from wflow.app.long_steps import not_compared, of_long_steps
from wflow.app.methods import METHODS
from wflow.app.noise import of_averages, of_moving_noise, of_noise
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
from wflow.convergence import (
    LOST,
    Laboratory,
    Refinement,
    dissipation_refinement,
    distance,
    estimated_error,
    in_both,
    in_space,
    in_time,
    matched_error,
    norm_of,
    with_longer_steps,
)
from wflow.dual_norm import nested
from wflow.errors import Truncated, WflowError
from wflow.flow import SHEETS
from wflow.fourier import FourierDensity
from wflow.held import held
from wflow.loop import SAVED
from wflow.measure import Density, Measure
from wflow.mesh_norm import comparable
from wflow.problems import Problem, build
from wflow.signed_density import SignedDensity
from wflow.solver import Solver
from wflow.trajectory import Trajectory
from wflow.transport import law_floor, w2

BASE_STEPS = 2 * SAVED
"""Base runs take a multiple of SAVED steps, so that all methods share their saved times in the pictures."""
SHORT = 100
"""Steps of an explicit method from which on its error in time is asymptotic (seen: 604; not yet at 51)."""
DECAYED = 1e-3
_CUT = 1e-5
"""Of the last coefficients on the way: at 1e-2 the energy identity stops at 1e-6, at 1e-6 below 1e-9 (seen)."""


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
    error = estimated_error(lab, run)
    refinements: dict[str, Refinement] = {}
    finer = lab.enough(solver.refined(2.0), 2 * run.steps)
    claims = [
        *_of_run(problem, run, error),
        *(second_moment(problem, run, finer) if not solver.equation else ()),
        *(contracting(problem, run, finer, error) if not solver.equation else ()),
        *relaxing(problem, run, finer),
        *_of_refinements(lab, problem, solver, refinements, quick),
    ]
    if isinstance(solver, GradientFlow):
        claims += of_draws(lab, solver, quick)
    found = _rows(problem, solver, claims, began)
    for reason in filter(None, (no_gap(run), _no_identity(lab, solver))):
        found += (Row(problem.name, problem.parameters, (str(solver),), None, 0.0, reason),)
    return Outcome(
        problem.name, solver, found, run.times, run.measures, run.energies,
        run.dissipated, run.diagnostics, run.steps, error, matched_error(lab, run), refinements,
    )  # fmt: skip


def _rows(problem: Problem, solver: Solver, found: Iterable[Certificate], began: float) -> tuple[Row, ...]:
    """A row a certificate, the time shared evenly."""
    held = list(found)
    seconds = (time.monotonic() - began) / max(1, len(held))
    return tuple(Row(problem.name, problem.parameters, (str(solver),), c, seconds) for c in held)


def _of_run(problem: Problem, run: Trajectory, error: float) -> Iterator[Certificate]:
    yield from of_run(problem, run)
    yield from global_gap(problem, run)
    yield from gap_on_cells(problem, run)
    if not run.solver.equation:
        yield from distance_to_exact(problem, run, error)
        yield from distance_to_limit(problem, run, error)


def _of_refinements(
    lab: Laboratory, problem: Problem, solver: Solver, out: dict[str, Refinement], quick: bool
) -> Iterator[Certificate]:
    """Orders in time (at half the resolution) and space, and of the energy identity; all kept in `out` for pictures.

    In time with the resolution where steps remap cells, else at twice or four times the resolution where the method
    says that at less no order is to be seen.

    quick leaves out the coarsest grid, on which a window's walls may be felt, and the largest number of steps where
    it is not needed: on several axes, and where stability asks for steps so short that all show the order. So is it of
    a costly method. Where on one axis the order does not show so, quick takes the levels of the full run: an order is a
    limit, and too coarse levels refute none.
    """
    if isinstance(solver, StochasticGradient | ModifiedEquation):
        yield from of_steps(lab, solver, quick)
        return
    if solver.judged:
        return
    order = solver.order(lab.flow)
    several = lab.flow.domain.dim > 1
    coarse = solver if several and solver.needs == "density" else solver.refined(0.5)
    coarse = _resolving(lab, coarse)
    first = lab.enough(coarse, 10 if order.time > 2.0 else 20 * (1 + 2 * solver.remapping)).steps
    fewer = solver.costly or (quick and (several or first >= SHORT))
    levels = LEVELS - 1 if fewer else LEVELS
    out["time"] = (in_both if solver.remapping else in_time)(lab, coarse, first, levels)
    if coarse.resolved(lab.flow) > 0.0:
        finer = [coarse] if several or quick else [coarse, solver, solver.refined(2.0), solver.refined(4.0)]
        out["time"] = with_longer_steps(lab, finer, out["time"], order.time)
    more = quick and not (several or solver.costly or solver.remapping)
    if more and not order_certificate("", out["time"], order.time).holds:
        coarse, levels = _resolving(lab, solver), LEVELS
        first = lab.enough(coarse, first).steps
        out["time"] = in_time(lab, coarse, first, levels)
    yield order_certificate("order in time", out["time"], order.time)
    if several and solver.needs != "density":
        pass  # clouds of different sizes on several axes: only their mean over draws has an order, `_of_draws`
    elif np.isfinite(order.space):
        sharper = narrow(problem, lab.enough(solver, BASE_STEPS, SAVED))
        factors = [sharper * factor for factor in space_factors(solver, problem, quick or solver.remapping)]
        out["space"] = in_space(lab, solver, factors, _space_steps(lab, solver.refined(factors[-1])))
        if more and not order_certificate("", out["space"], order.space).holds:
            factors = [2.0 * sharper * factor for factor in space_factors(solver, problem, quick=False)]
            out["space"] = in_space(lab, solver, factors, _space_steps(lab, solver.refined(factors[-1])))
        yield order_certificate("order in space", out["space"], order.space)
    else:
        yield from _decay(lab.enough(solver, BASE_STEPS, SAVED).final)
    if not solver.variational and order.identity != 0.0 and _no_identity(lab, solver) is None:
        out["dissipation"] = dissipation_refinement(lab, coarse, first, levels)
        declared = order.time if order.identity is None else order.identity
        yield order_certificate("energy identity F_0 - F = dissipated, order", out["dissipation"], declared)


def _no_identity(lab: Laboratory, solver: Solver) -> str | None:
    """Why F_0 - F = dissipated is not asked, or None: particles are held on kinks of V (wflow.held)."""
    if lab.flow.energy.jumps > 1.0 or solver.needs == "density" or solver.variational:
        return None
    run = lab.enough(solver, BASE_STEPS, SAVED)
    count = held(run)
    if not count:
        return None
    return (
        f"energy identity: V has kinks, and {count} of {len(run.final.points)} particles are held on them at a saved "
        "time: they move along a kink, by less than grad V on either side, which is what counts as dissipated"
    )


def _resolving(lab: Laboratory, solver: Solver) -> Solver:
    """The solver, or twice or four times its resolution where that is not enough to see its order in time.

    The method says so itself, or modes are cut off on the way: then F falls by what they miss, whatever the step.
    """
    finer = [solver.refined(2.0**k) for k in range(3)]
    return next((s for s in finer if s.resolves(lab.flow) and _tail(lab, s) <= _CUT), solver)


def _tail(lab: Laboratory, solver: Solver) -> float:
    """Size of the last four coefficients, the largest of the way; 0 without modes."""
    if np.isfinite(solver.order(lab.flow).space):
        return 0.0
    ends = [pi for pi in lab.enough(solver, 10).measures if isinstance(pi, FourierDensity)]
    return max((float(np.max(np.abs(pi.coefficients[-4:]))) for pi in ends), default=0.0)


def _space_steps(lab: Laboratory, finest: Solver) -> int:
    """Steps of a refinement in space: four times those of the CFL bound from rough starts.

    Upwind smears by (h - |v| dt)|v|/2 in place of h|v|/2: from smooth data dt drops out of differences, but the root
    of that number, which atoms and jumps cost, is near h^(1/2) only where dt is much shorter than h/|v|. No costly
    method smears so.
    """
    return 20 if finest.costly or lab.flow.initial.regularity == "smooth" else 4 * lab.enough(finest, 20).steps


def _decay(end: Measure) -> Iterator[Certificate]:
    """The last modes of a spectral answer: what the truncation leaves out."""
    if isinstance(end, FourierDensity):
        tail = float(np.max(np.abs(end.coefficients[-4:])))
        yield Certificate("size of the last four coefficients", "at most", tail, 0.0, DECAYED)


def order_certificate(claim: str, refinement: Refinement, declared: float) -> Certificate:
    """Observed order >= declared - .15; where nothing is left to refine, that the distance is at rounding."""
    if refinement.at_rounding:
        return Certificate(
            f"{claim}: nothing left to refine", "at most", refinement.distances[-1], 0.0, 10.0 * refinement.resolved
        )
    return Certificate(f"{claim} ({refinement})", "at least", refinement.observed, declared, LOST)


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
        if a.solver.equation != b.solver.equation:
            continue
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
