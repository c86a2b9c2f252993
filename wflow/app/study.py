"""This file owns the study of one problem by one solver: its base run, refinements and comparisons, a row a claim."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from solvers.finite_volume import Muscl
from solvers.particles import GradientFlow, Sampled
from solvers.spectral import Fourier
from wflow.app.long_steps import of_long_steps
from wflow.app.methods import METHODS
from wflow.arrays import Array
from wflow.certificates import (
    Certificate,
    distance_to_exact,
    distance_to_limit,
    generalises,
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
    distance,
    estimated_error,
    in_space,
    in_time,
    particle_slopes,
)
from wflow.errors import WflowError
from wflow.flow import SHEETS, Flow
from wflow.fourier import FourierDensity
from wflow.grid import Grid
from wflow.law import Gaussian
from wflow.loop import SAVED, solve
from wflow.measure import Density, Measure, Particles
from wflow.plans import gathered
from wflow.problems import Problem, build
from wflow.solver import Solver
from wflow.trajectory import Trajectory
from wflow.transport import law_floor, w2

SEED = 20260
BASE_STEPS = 2 * SAVED
"""Base runs take a multiple of SAVED steps, so that all methods share their saved times in the pictures."""
LEVELS = 4
SHORT = 100
"""Steps of an explicit method from which on its error in time is asymptotic (seen: 604; not yet at 51)."""
DECAYED = 1e-3
PDE_CELLS = 2000
"""Exact averages by which the spectral answer enters many W2 distances: an error of 1e-6, far below 1/m."""
PLANE_CELLS, PLANE_SEEDS, PLANE_SIZES = 128, 10, (100, 200, 400, 800)


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


def suited(solver: Solver, problem: Problem, quick: bool) -> Solver:
    """The resolution of a study: half for `quick`; on several axes half the cells, at least the problem's coarsest.

    A method whose work grows faster than its grid says how many cells in all are enough.
    """
    fewer = solver.refined(0.5) if quick else solver
    if problem.flow.domain.dim == 1 or solver.needs != "density":
        return fewer
    now, domain = getattr(fewer, fewer.resolution), problem.flow.domain
    room = solver.most / (2.0 if quick else 1.0) / SHEETS ** sum(domain.frozen)
    cells = min(max(0.5 * now, problem.coarsest), room ** (1.0 / len(domain.moving)))
    return fewer.refined(int(cells) / now)


def _space_factors(solver: Solver, problem: Problem, quick: bool) -> list[float]:
    """Resolutions of a refinement in space, each twice the one before."""
    if problem.flow.domain.dim > 1 and solver.needs == "density":
        cells = getattr(solver, solver.resolution)
        return [problem.coarsest * 2**k / cells for k in range(LEVELS - 1)]
    return [2.0**k for k in range((3 if quick else 2) - LEVELS, 2)]


def study(name: str, parameters: Mapping[str, Any], solver: Solver, quick: bool) -> Outcome:
    """One solver on one problem: the base run with its certificates, then refinements in time and space.

    A run that ends in one of the house's named failures is a claim that fails, not the end of everybody's study.
    """
    problem = build(name, **parameters)
    began = time.monotonic()
    try:
        reason = solver.refusal(problem.flow)
        if reason is None:
            return _studied(problem, solver, quick)
        return Outcome(name, solver, (Row(name, parameters, (str(solver),), None, 0.0, refusal=reason),))
    except WflowError as error:
        failed = Certificate(f"no run fails; {type(error).__name__}: {error}", "equal", 1.0, 0.0, 0.0)
        return Outcome(name, solver, (Row(name, parameters, (str(solver),), failed, time.monotonic() - began),))


def _studied(problem: Problem, solver: Solver, quick: bool) -> Outcome:
    began = time.monotonic()
    if solver.smallest_step(problem.flow):
        others = [suited(method, problem, quick) for method in METHODS]
        found = _rows(problem, solver, of_long_steps(problem.flow, solver, others), began)
        return Outcome(problem.name, solver, found)
    lab = Laboratory(problem.flow)
    run = lab.enough(solver, BASE_STEPS, SAVED)
    error = estimated_error(lab, run)
    refinements: dict[str, Refinement] = {}
    claims = [*_of_run(problem, run, error), *_of_refinements(lab, problem, solver, refinements, quick)]
    if isinstance(solver, GradientFlow) and problem.flow.domain.is_circle:
        claims += _of_particles(lab, solver, quick)
    plane = isinstance(solver, GradientFlow) and problem.flow.domain.dim == 2
    # draws of a singular interaction are pushed apart at once: the rates of a Lipschitz field are not theirs
    if plane and not quick and not problem.flow.energy.singular:
        assert isinstance(solver, GradientFlow)
        claims += _of_draws(lab, solver)
    return Outcome(
        problem.name, solver, _rows(problem, solver, claims, began), run.times, run.measures, run.energies,
        run.dissipated, run.diagnostics, run.steps, error, refinements,
    )  # fmt: skip


def _rows(problem: Problem, solver: Solver, found: Iterable[Certificate], began: float) -> tuple[Row, ...]:
    """A row a certificate, the time shared evenly."""
    held = list(found)
    seconds = (time.monotonic() - began) / max(1, len(held))
    return tuple(Row(problem.name, problem.parameters, (str(solver),), c, seconds) for c in held)


def _of_run(problem: Problem, run: Trajectory, error: float) -> Iterator[Certificate]:
    yield from kept(run)
    yield from truncated(run)
    yield from moved_downhill(run)
    yield from generalises(problem, run)
    yield from global_gap(problem, run)
    yield from distance_to_exact(problem, run, error)
    yield from distance_to_limit(problem, run, error)


def _of_refinements(
    lab: Laboratory, problem: Problem, solver: Solver, out: dict[str, Refinement], quick: bool
) -> Iterator[Certificate]:
    """Orders in time (at half the resolution) and space, and of the energy identity; all kept in `out` for pictures.

    quick leaves out the coarsest grid, on which a window's walls may be felt, and the largest number of steps where
    it is not needed: on several axes, and where stability asks for steps so short that all show the order.
    """
    order = solver.order(lab.flow)
    several = lab.flow.domain.dim > 1
    coarse = solver if several and solver.needs == "density" else solver.refined(0.5)
    first = lab.enough(coarse, 10 if order.time > 2.0 else 20).steps
    levels = LEVELS - 1 if quick and (several or first >= SHORT) else LEVELS
    out["time"] = in_time(lab, coarse, first, levels)
    yield order_certificate("order in time", out["time"], order.time)
    if several and solver.needs != "density":
        pass  # clouds of different sizes on several axes: only their mean over draws has an order, `_of_draws`
    elif np.isfinite(order.space):
        factors = _space_factors(solver, problem, quick)
        out["space"] = in_space(lab, solver, factors, _space_steps(lab, solver.refined(factors[-1])))
        yield order_certificate("order in space", out["space"], order.space)
    else:
        yield from _decay(lab.enough(solver, BASE_STEPS, SAVED).final)
    if not solver.variational:
        out["dissipation"] = dissipation_refinement(lab, coarse, first, levels)
        declared = order.time if order.identity is None else order.identity
        yield order_certificate("energy identity F_0 - F = dissipated, order", out["dissipation"], declared)


def _space_steps(lab: Laboratory, finest: Solver) -> int:
    """Steps of a refinement in space: four times those of the CFL bound from rough starts.

    Upwind smears by (h - |v| dt)|v|/2 in place of h|v|/2: from smooth data dt drops out of differences, but the root
    of that number, which atoms and jumps cost, is near h^(1/2) only where dt is much shorter than h/|v|.
    """
    return 20 if lab.flow.initial.regularity == "smooth" else 4 * lab.enough(finest, 20).steps


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


def _of_particles(lab: Laboratory, solver: GradientFlow, quick: bool) -> Iterator[Certificate]:
    """RMS W2(m particles, PDE) in m: slope -1 from quantiles, -1/2 from i.i.d. draws; the PDE by the Fourier method."""
    fourier = next(s for s in METHODS if isinstance(s, Fourier))
    if fourier.refusal(lab.flow) is not None:
        return
    limit = lab.enough(fourier).final
    assert isinstance(limit, FourierDensity)
    grid = Grid(limit.domain, (PDE_CELLS,))
    pde = {lab.flow.horizon: Density(grid, np.maximum(limit.averages(grid), 0.0))}
    steps = lab.enough(solver).steps
    sizes = [solver.particles * k // 4 for k in (1, 2, 4, 8)]
    ((exact, _),) = particle_slopes(lab.flow, [[GradientFlow(m)] for m in sizes], pde, steps)
    yield Certificate("W2(m quantile particles, PDE): slope in m", "equal", exact, -1.0, 0.1)
    seeds = 24 if quick else 48
    ((slope, deviation),) = particle_slopes(lab.flow, _draws(sizes, seeds), pde, steps)
    claim = f"RMS W2(m i.i.d. particles, PDE): slope in m ({seeds} seeds, s.e. {deviation:.2f})"
    yield Certificate(claim, "equal", slope, -0.5, 0.1)


def _draws(sizes: Sequence[int], seeds: int) -> list[list[GradientFlow]]:
    """One row a size, one i.i.d. start a seed."""
    return [[GradientFlow(m, Sampled(SEED + 1000 * m + k)) for k in range(seeds)] for m in sizes]


def _of_draws(lab: Laboratory, solver: GradientFlow) -> Iterator[Certificate]:
    """RMS W2(m i.i.d. particles, PDE) on two axes at three times: slope -1/2 but for logarithms.

    E W2^2 of m draws is of the order log m/m for densities bounded below on a square (Ajtai, Komlos & Tusnady 1984),
    which the range +-.1 leaves room for, and (log m)^2/m for Gaussian ones (Ledoux 2017), whose slope on these m is
    expected instead; the flow's map between start and end is smooth.
    """
    pde = Muscl(cells=PLANE_CELLS)
    if pde.refusal(lab.flow) is not None:
        return
    times = [lab.flow.horizon * k / 4 for k in (1, 2, 4)]
    limit, floors = {}, {}
    for t, end in zip(times, _ends(lab.flow, pde, times), strict=True):
        atoms = gathered(end)
        limit[t], floors[t] = Particles(end.domain, atoms.points, atoms.weights), atoms.floor
    slopes = particle_slopes(lab.flow, _draws(PLANE_SIZES, PLANE_SEEDS), limit, lab.enough(solver).steps)
    logarithms = 1.0 / float(np.mean(np.log(PLANE_SIZES))) if isinstance(lab.flow.initial, Gaussian) else 0.0
    for t, (slope, deviation) in zip(times, slopes, strict=True):
        detail = f"t = {t:g}, {PLANE_SEEDS} seeds, s.e. {deviation:.2f}, floor {floors[t]:.2g}"
        claim = f"RMS W2(m i.i.d. particles, PDE): slope in m ({detail})"
        yield Certificate(claim, "equal", slope, -0.5 + logarithms, 0.1)


def _ends(flow: Flow, solver: Solver, times: Sequence[float]) -> list[Density]:
    """The density at the given times, by a method on cells."""
    run = solve(flow, solver, times=times)
    return [pi for pi in run.measures[1:] if isinstance(pi, Density)]


def agreements(problem: Problem, outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """W2 of the ends of two methods, allowed: both estimated errors, above the floor W2 of their starts.

    Two densities on several axes: the H^-1 distance, which resolves what transport of 2000 atoms cannot.
    """
    for a, b in combinations(outcomes, 2):
        began = time.monotonic()
        start, end = (a.measures[0], b.measures[0]), (a.measures[-1], b.measures[-1])
        cells = all(isinstance(pi, Density) and pi.domain.dim > 1 for pi in end)
        norm, measured = ("H^-1", distance) if cells else ("W2", w2)
        floor = measured(*start) + sum(law_floor(pi) for pi in start if isinstance(pi, FourierDensity))
        claim = f"the two agree at the end ({norm})"
        held = Certificate(claim, "at most", measured(*end), 0.0, a.error + b.error, floor)
        solvers = (str(a.solver), str(b.solver))
        yield Row(problem.name, problem.parameters, solvers, held, time.monotonic() - began)
