"""This file owns what is claimed of means over draws: a slope of a log RMS distance a claim.

Rates at which particles approach the density in their number m, draws of `GradientFlow` alone: another integrator of
the same equation would move the same draws. Rates at which a random method approaches that flow in its step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from solvers.finite_volume import Muscl
from solvers.particles import GradientFlow, Sampled
from solvers.spectral import Fourier
from solvers.stochastic import ModifiedEquation, StochasticGradient
from wflow.app.methods import METHODS
from wflow.certificates import Certificate
from wflow.convergence import LOST, Laboratory, distance
from wflow.flow import Flow
from wflow.fourier import FourierDensity
from wflow.grid import Grid
from wflow.law import Gaussian
from wflow.loop import solve
from wflow.measure import Density, Particles
from wflow.plans import gathered
from wflow.size_slopes import particle_slopes, slope_of
from wflow.solver import Solver

SEED = 20260
PDE_CELLS = 2000
"""Exact averages by which the spectral answer enters many W2 distances: an error of 1e-6, far below 1/m."""
_STEPS, _LEVELS, _FEW_SEEDS = 20, 4, 12
PLANE_CELLS, PLANE_SEEDS, PLANE_SIZES = 128, 10, (100, 200, 400, 800)


def of_draws(lab: Laboratory, solver: GradientFlow, quick: bool) -> Iterator[Certificate]:
    """On the circle, and on two axes unless the run is quick."""
    if lab.flow.domain.is_circle:
        yield from _on_the_circle(lab, solver, quick)
    # draws of a singular interaction are pushed apart at once: the rates of a Lipschitz field are not theirs
    elif lab.flow.domain.dim == 2 and not quick and not lab.flow.energy.singular:
        yield from _on_two_axes(lab, solver)


def of_steps(lab: Laboratory, solver: StochasticGradient | ModifiedEquation, quick: bool) -> Iterator[Certificate]:
    """RMS over seeds of the distance to `GradientFlow` from the same start: O(dt^(1/2)); the equation's length is dt.

    An observed slope may fall short by LOST and two standard errors.
    """
    limit = lab.enough(GradientFlow(solver.particles, solver.start)).final
    first = lab.enough(solver, _STEPS).steps
    counts = [first * 2**k for k in range(_LEVELS)]
    squares = []
    for steps in counts:
        length = lab.flow.horizon / steps
        same = {"length": length} if isinstance(solver, ModifiedEquation) else {}
        seeds = [replace(solver, seed=SEED + k, **same) for k in range(_FEW_SEEDS if quick else 2 * _FEW_SEEDS)]
        squares.append(np.array([distance(solve(lab.flow, s, steps=steps).final, limit) ** 2 for s in seeds]))
    slope, deviation = slope_of(-np.log(counts), squares)
    detail = f"{len(squares[0])} seeds, {first}..{counts[-1]} steps, s.e. {deviation:.2f}"
    claim = f"RMS distance to GradientFlow: order in dt ({detail})"
    yield Certificate(claim, "at least", slope, solver.order(lab.flow).time, LOST + 2.0 * deviation)


def _on_the_circle(lab: Laboratory, solver: GradientFlow, quick: bool) -> Iterator[Certificate]:
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


def _on_two_axes(lab: Laboratory, solver: GradientFlow) -> Iterator[Certificate]:
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
