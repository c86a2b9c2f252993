"""This file owns what `wflow verify` asks of noisy particles: means over seeds, slopes in m, weak orders without noise.

A run of them is a draw: its distance to another says nothing of an order in time. So the rows are

    means of cos, sin or powers over all particles of RUNS runs against the PDE, in standard errors     at most 4
    RMS W2(m particles, PDE) at the end: slope in m, on one axis                                        -1/2 +- .1
    weak order in the step by an exact recursion of moments (wflow.affine), where the drift is affine   p - .15
    dual averaging on cells: F(qbar) less its own lower bound, against the O(1/t) proved
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from solvers.dual_averaging import ParticleDualAveraging, dual_averaging
from solvers.ensemble import ensemble
from solvers.kinetic import KineticLangevin, PhaseSpace
from solvers.langevin import Langevin
from solvers.starts import Sampled
from wflow.affine import moment_error
from wflow.app.draws import PDE_CELLS, SEED
from wflow.app.methods import METHODS
from wflow.arrays import Array
from wflow.certificates import Certificate, of_run
from wflow.convergence import LOST
from wflow.course import SAVED
from wflow.domain import Box
from wflow.errors import WflowError
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.loop import solve
from wflow.measure import Density, Measure
from wflow.problems import Problem
from wflow.shapes import Sphere
from wflow.size_slopes import particle_slopes
from wflow.solver import Solver

RUNS, SEEDS, STEPS = 16, 24, 256
AVERAGED_CELLS, OUTER = 128, 100
STANDARD_ERRORS = 4.0


def of_noise(problem: Problem, solver: Langevin, quick: bool) -> Iterator[Certificate]:
    """All rows of one noisy method on one problem."""
    run = solve(problem.flow, solver, steps=2 * SAVED)
    yield from of_run(problem, run)
    if (limit := _limit(problem, quick)) is not None:
        yield _means(problem.flow, solver, limit)
        if problem.flow.domain.dim == 1:
            yield _slope(problem.flow, solver, limit, quick)
    yield from _weak(problem.flow, solver)


def of_moving_noise(problem: Problem, solver: KineticLangevin) -> Iterator[Certificate]:
    """Of particles with momentum: means over seeds against the density of places and velocities, on one axis."""
    flow = problem.flow
    yield from of_run(problem, solve(flow, solver, steps=2 * SAVED))
    cells = PhaseSpace(128, solver.friction, solver.speed)
    if cells.refusal(flow) is None:
        limit = solve(flow, cells, steps=2 * SAVED).final
        draws = [replace(solver, start=Sampled(SEED + k), seed=SEED + k) for k in range(RUNS)]
        ends = np.stack([solve(flow, draw, steps=2 * SAVED).final.points for draw in draws])
        means = _observed(flow, ends).mean(axis=1)
        error = means.std(axis=0, ddof=1) / math.sqrt(RUNS)
        yield _in_errors(flow, limit, means.mean(axis=0), error, RUNS * solver.particles)


def of_averages(problem: Problem, solver: ParticleDualAveraging) -> Iterator[Certificate]:
    """Of particle dual averaging what it keeps; of its outer iteration on cells, on one axis, the proved rate."""
    flow = problem.flow
    yield from of_run(problem, solve(flow, solver, steps=2 * SAVED))
    if isinstance(flow.domain, Box) and flow.domain.dim == 1:
        found = dual_averaging(flow, cells=AVERAGED_CELLS, iterations=OUTER)
        # psi(p) - psi(q_1) <= max osc(g_s) for the p of the lower bound
        most = float(found.rate(float(found.oscillation.max()))[-1])
        claim = f"dual averaging on {AVERAGED_CELLS} cells: proved gap of F after {OUTER} outer steps"
        yield Certificate(claim, "at most", float(found.averaged[-1] - found.lower[-1]), most)


def _limit(problem: Problem, quick: bool) -> Measure | None:
    """The density at the horizon: the exact one on fine cells, or by the first method with cells that takes it."""
    flow = problem.flow
    law = problem.exact(flow.horizon)
    if law is not None and flow.domain.dim == 1 and law.has_density:
        grid = flow.grid(PDE_CELLS)
        return Density(grid, law.averages(grid))
    for method in METHODS:
        if method.needs == "density" and method.refusal(flow) is None:
            finer = _fine(method, flow, quick)
            try:
                end = solve(flow, finer).final
            except WflowError:
                continue
            if not isinstance(flow.domain, Box) or flow.domain.dim > 1 or isinstance(end, Density):
                return end
            grid = Grid(flow.domain, (PDE_CELLS,))
            return Density(grid, np.maximum(end.averages(grid), 0.0))  # type: ignore[attr-defined]
    return None


def _fine(method: Solver, flow: Flow, quick: bool) -> Solver:
    return method.refined(2.0) if flow.domain.dim == 1 and not quick else method


def _observed(flow: Flow, w: Array) -> Array:
    """(..., q): cos and sin of periodic axes, first and second powers of the others, coordinates on the sphere."""
    if isinstance(flow.domain, Sphere):
        return np.concatenate([w, w[..., 2:] ** 2], axis=-1)
    out: list[Array] = []
    for axis, turns in enumerate(flow.domain.periodic):
        x = w[..., axis] * (2.0 * math.pi / flow.domain.lengths[axis] if turns else 1.0)
        out += [np.cos(x), np.sin(x), np.cos(2.0 * x), np.sin(2.0 * x)] if turns else [x, x * x]
    return np.stack(out, axis=-1)


def _means(flow: Flow, solver: Langevin, limit: Measure) -> Certificate:
    """Particles of one run are nearly independent: the spread of the runs' means is measured, not supposed.

    RUNS runs know a standard deviation to a fifth: the error is that of one particle's spread over all particles where
    it is larger. Bias: O(1/m) and O(dt^p), below these errors at RUNS << m.
    """
    found = ensemble(flow, solver, runs=RUNS, seed=SEED, steps=STEPS, observe=lambda w: _observed(flow, w).mean(axis=1))
    return _in_errors(flow, limit, found.mean[-1], found.error[-1], RUNS * solver.particles)


def _in_errors(flow: Flow, limit: Measure, mean: Array, error: Array, count: int) -> Certificate:
    """Means over `count` particles against the limit's, in standard errors of theirs or of as many draws."""
    seen = limit.weights @ _observed(flow, limit.points)
    variance = limit.weights @ (_observed(flow, limit.points) - seen) ** 2
    error = np.maximum(error, np.sqrt(variance / count))
    worst = float(np.max(np.abs(mean - seen) / error))
    claim = f"means over {RUNS} runs against the PDE, in standard errors (largest {error.max():.1e})"
    return Certificate(claim, "at most", worst, 0.0, STANDARD_ERRORS)


def _slope(flow: Flow, solver: Langevin, limit: Measure, quick: bool) -> Certificate:
    sizes = [solver.particles * k // 4 for k in (1, 2, 4)]
    seeds = SEEDS if quick else 2 * SEEDS
    rows = [[type(solver)(m, SEED + 1000 * m + k, solver.start) for k in range(seeds)] for m in sizes]
    ((slope, deviation),) = particle_slopes(flow, rows, {flow.horizon: limit}, 2 * SAVED)
    claim = f"RMS W2(m noisy particles, PDE): slope in m ({seeds} seeds, s.e. {deviation:.2f})"
    return Certificate(claim, "equal", slope, -0.5, 0.1 + 2.0 * deviation)


def _weak(flow: Flow, solver: Langevin) -> Iterator[Certificate]:
    """Of three particles, in 20, 40, 80 steps."""
    few = type(solver)(3, solver.seed, solver.start)
    errors = [moment_error(flow, few, steps) for steps in (20, 40, 80)]
    found = [error for error in errors if error is not None]
    if len(found) == len(errors):
        slopes = [math.log2(a / b) for a, b in pairwise(found)]
        claim = f"weak order in time (moments of 3 particles, 20..80, seen {slopes[0]:.2f}..{slopes[1]:.2f})"
        yield Certificate(claim, "at least", slopes[-1], solver.order(flow).time, LOST)
