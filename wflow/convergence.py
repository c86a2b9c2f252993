"""This file owns refinement studies: observed orders from distances of successive refinements; no exact answer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from wflow.cone import Charges, Cone, weak
from wflow.dual_norm import dual_norm
from wflow.errors import NotConverged, StepTooLarge
from wflow.flow import Flow
from wflow.fourier import FourierDensity
from wflow.harmonic_norm import harmonic_norm
from wflow.loop import solve
from wflow.measure import Density, Measure, Particles, SignedParticles
from wflow.mesh_density import MeshDensity
from wflow.mesh_norm import comparable, mesh_distance
from wflow.shapes import Sphere
from wflow.solver import Solver
from wflow.trajectory import Trajectory
from wflow.transport import w2

LOST = 0.15
"""An observed order may fall short of the declared one by this much."""
MARGIN = 1.25
"""Estimated errors are allowed this factor: the estimate is exact only in the limit."""
ROUNDING = 1e-12
_FIRST = 20
_FEWEST = 2
_CLEAR = 10.0
"""What a distance must be of what a method leaves open, for its slope to be known to a tenth."""
_SAFETY = 0.7


def distance(a: Measure, b: Measure) -> float:
    """W2; between Fourier densities the H^-1 norm (2 sum_{n>=1} |a_n - b_n|^2 / n^2)^(1/2), without a floor at 1e-7.

    That is W2 to first order at the uniform law: W2^2 = int (F - G)^2 / rho, F and G the distribution functions.
    On several axes: densities by wflow.dual_norm, on meshes of the plane by wflow.mesh_norm; particles that match one
    by one by their coupling, (sum_j weights_j |x_j - y_j|^2)^(1/2), an upper bound of W2 that is equal to it where they
    are near. On the sphere, where one of them lies on a mesh: H^-1 by spherical harmonics (wflow.harmonic_norm).
    Charges, and particles with other masses, that match one by one: by the cone metric; other charges, and signed
    densities, in a dual norm (wflow.cone).
    """
    if _by_harmonics(a, b):
        return harmonic_norm(a, b)
    if (pair := _one_by_one(a, b)) is not None:
        return Cone().coupled(*pair)
    if isinstance(a, Charges) and isinstance(b, Charges):
        return weak(a, b)
    if a.domain.dim > 1 and isinstance(a, Density) and isinstance(b, Density):
        return dual_norm(a, b)
    if comparable(a, b):
        return mesh_distance(a, b)
    if a.domain.dim > 1 and isinstance(a, Particles) and isinstance(b, Particles) and len(a.points) == len(b.points):
        return math.sqrt(float(a.weights @ a.domain.distance(a.points, b.points) ** 2))
    if isinstance(a, FourierDensity) and isinstance(b, FourierDensity):
        count = max(a.degree, b.degree)
        n = np.arange(1, count + 1)
        return math.sqrt(2.0) * float(np.linalg.norm((a.modes(count) - b.modes(count))[1:] / n))
    return w2(a, b)


def _by_harmonics(a: Measure, b: Measure) -> bool:
    """On the sphere, and not both are particles."""
    return isinstance(a.domain, Sphere) and (isinstance(a, MeshDensity) or isinstance(b, MeshDensity))


def _one_by_one(a: Measure, b: Measure) -> tuple[SignedParticles, SignedParticles] | None:
    """Both as charges, where there are as many of them: signed ones, or particles whose masses have changed.

    W2 of two measures that differ by a mass e is of the order e^(1/2): it would halve orders.
    """
    if len(a.points) != len(b.points):
        return None
    if isinstance(a, SignedParticles) and isinstance(b, SignedParticles):
        return a, b
    particles = isinstance(a, Particles) and isinstance(b, Particles)
    if not particles or np.array_equal(a.weights, b.weights):
        return None
    return SignedParticles(a.domain, a.points, a.weights), SignedParticles(b.domain, b.points, b.weights)


@dataclass(frozen=True)
class Refinement:
    """Levels (steps or resolution), each twice the one before, and the distances of successive ends."""

    levels: tuple[int, ...]
    distances: tuple[float, ...]
    norm: str = "W2"
    resolved: float = ROUNDING
    """Distances below it are rounding, or left by the method's inner iteration."""

    @property
    def slopes(self) -> tuple[float, ...]:
        """Observed orders between successive distances."""
        return tuple(math.log2(a / b) if a > 0.0 and b > 0.0 else math.nan for a, b in pairwise(self.distances))

    @property
    def observed(self) -> float:
        """The order on the three finest levels."""
        return self.slopes[-1]

    @property
    def at_rounding(self) -> bool:
        """The distances are too small for an order to mean anything."""
        return self.distances[-1] < self.resolved or self.distances[-2] < 10.0 * self.resolved

    @property
    def clear(self) -> bool:
        """The distances are far above that."""
        return self.distances[-1] >= _CLEAR * self.resolved

    def __str__(self) -> str:
        low, high = min(self.slopes), max(self.slopes)
        seen = f"{low:.2f}" if len(self.slopes) == 1 else f"{low:.2f}..{high:.2f}"
        return f"{self.norm}, {self.levels[0]}..{self.levels[-1]}, seen {seen}"


class Laboratory:
    """Runs of one flow, each computed once: refinement studies share them."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self._runs: dict[tuple[Solver, int], Trajectory] = {}

    def run(self, solver: Solver, steps: int) -> Trajectory:
        """The run with that many equal steps; raises StepTooLarge."""
        if (solver, steps) not in self._runs:
            self._runs[solver, steps] = solve(self.flow, solver, steps=steps)
        return self._runs[solver, steps]

    def enough(self, solver: Solver, least: int = _FIRST, multiple: int = 1) -> Trajectory:
        """The run with the fewest equal steps, at least `least`, that an explicit solver accepts to the end.

        The number of steps is a multiple of `multiple`: of wflow.course.SAVED, and all such runs share saved times.
        """
        n, largest = least, solver.largest_step(self.flow, solver.init(self.flow))
        while True:
            n = max(n, math.ceil(self.flow.horizon / (_SAFETY * largest)))
            n = multiple * math.ceil(n / multiple)
            try:
                return self.run(solver, n)
            except StepTooLarge as error:
                largest = min(error.largest, 0.9 * largest)


def in_time(lab: Laboratory, solver: Solver, steps: int, levels: int) -> Refinement:
    """steps, 2 steps, 4 steps, ... at one resolution."""
    counts = tuple(steps * 2**k for k in range(levels))
    return _refinement(counts, [lab.run(solver, n) for n in counts], solver)


def in_both(lab: Laboratory, solver: Solver, steps: int, levels: int) -> Refinement:
    """steps, 2 steps, .. at the resolution, twice it, ..: where time alone has no order (Solver.remapping)."""
    counts = tuple(steps * 2**k for k in range(levels))
    return _refinement(counts, [lab.run(solver.refined(2.0**k), n) for k, n in enumerate(counts)], solver)


def with_longer_steps(lab: Laboratory, solvers: Sequence[Solver], found: Refinement, order: float) -> Refinement:
    """A refinement in time, or one from half as many steps, and so on down to two, whose distances are clear.

    Where what the method's inner iteration leaves open hides the order, longer steps show it; but steps may be too long
    to have one, so that before still longer ones the next resolution is asked, at which less is left open. Not by runs
    in which a step fell back to another method, or failed, and not where even two steps would be too many then.
    """
    steps = found.levels[0] // 2
    grown = found.distances[-1] * (found.levels[0] / _FEWEST) ** order
    open_ = {solver: max(ROUNDING, solver.resolved(lab.flow)) for solver in solvers}
    left = [solver for solver in solvers if grown >= _CLEAR * open_[solver]]
    while found.at_rounding and left and steps >= _FEWEST:
        for solver in tuple(left):
            longer = _by_plain_steps(lab, solver, steps, len(found.levels))
            if longer is None:
                left.remove(solver)
            elif longer.clear:
                return longer
        steps //= 2
    return found


def _by_plain_steps(lab: Laboratory, solver: Solver, steps: int, levels: int) -> Refinement | None:
    """In time; None where a step failed or fell back to another method."""
    try:
        found = in_time(lab, solver, steps, levels)
    except NotConverged:
        return None
    fallen = any(np.any(lab.run(solver, n).diagnostics["fallbacks"]) for n in found.levels)
    return None if fallen else found


def in_space(lab: Laboratory, solver: Solver, factors: Sequence[float], steps: int) -> Refinement:
    """Resolutions solver.refined(f), each twice the one before, all with one number of steps fit for the finest."""
    return _refinement(*_by_resolution(lab, solver, factors, steps), solver)


def on_the_way(lab: Laboratory, solver: Solver, factors: Sequence[float], steps: int) -> Refinement:
    """The same runs, at the saved time where the two finest are furthest apart; at the end if that is the start.

    Where V fades as the law comes to rest, so does the error of a transport by V, and less of the next order may be
    left at the end than the order of what has been. Starts say nothing of a scheme.
    """
    levels, runs = _by_resolution(lab, solver, factors, steps)
    found = _refinement(levels, runs, solver)
    coarse, fine = runs[-2:]
    apart = [distance(x, y) for x, y in zip(coarse.measures, fine.measures, strict=True)]
    if not (k := int(np.argmax(apart))):
        return found
    there = tuple(distance(a.measures[k], b.measures[k]) for a, b in pairwise(runs))
    return replace(found, distances=there, norm=f"{found.norm} at t = {fine.times[k]:.3g}, the largest on the way")


def _by_resolution(
    lab: Laboratory, solver: Solver, factors: Sequence[float], steps: int
) -> tuple[tuple[int, ...], list[Trajectory]]:
    """Levels and runs, which share their saved times."""
    solvers = [solver.refined(f) for f in factors]
    n = lab.enough(solvers[-1], steps).steps
    return tuple(int(getattr(s, s.resolution)) for s in solvers), [lab.run(s, n) for s in solvers]


def _refinement(levels: tuple[int, ...], runs: Sequence[Trajectory], solver: Solver) -> Refinement:
    distances = tuple(distance(a.final, b.final) for a, b in pairwise(runs))
    return Refinement(levels, distances, norm_of(runs[0].final, runs[1].final), max(ROUNDING, left_open(runs, solver)))


def left_open(runs: Sequence[Trajectory], solver: Solver) -> float:
    """What W2 distances of runs owe to the solver's inner iteration, and to fine splines where there were any."""
    flow = runs[0].flow
    coarse = sum(float(run.diagnostics["coarse"].sum()) for run in runs)
    fine = coarse < sum(run.steps for run in runs)
    return solver.resolved(flow) + (solver.waves(flow) if fine else 0.0)


def norm_of(a: Measure, b: Measure) -> str:
    """The name of what `distance` measures between the two."""
    if isinstance(a, FourierDensity) or _by_harmonics(a, b) or comparable(a, b):
        return "H^-1"
    if a.domain.dim > 1 and isinstance(a, Density):
        return "H^-1"
    if _one_by_one(a, b) is not None:
        return "cone"
    if isinstance(a, Charges):
        return "dual norm"
    if a.domain.dim > 1 and len(a.points) == len(b.points):
        return "coupled"
    return "W2"


def dissipation_refinement(lab: Laboratory, solver: Solver, steps: int, levels: int) -> Refinement:
    """|F_0 - F_end - int int |grad V|^2 dpi dt| at steps, 2 steps, ...: residuals in place of distances.

    An end that a method leaves open by r in W2 leaves F open by r times its slope: with the root of the mean of
    int |grad V|^2 dpi over the run for a slope that is the least residual of which an order can be asked.
    """
    counts = tuple(steps * 2**k for k in range(levels))
    runs = [lab.run(solver, n) for n in counts]
    slope = math.sqrt(max(float(runs[-1].dissipated[-1]), 0.0) / lab.flow.horizon)
    resolved = max(ROUNDING, left_open(runs, solver) * slope)
    return Refinement(counts, tuple(map(imbalance, runs)), "residual", resolved)


def imbalance(run: Trajectory) -> float:
    """|F_0 - F_end - dissipated|."""
    return abs(float(run.energies[0] - run.energies[-1] - run.dissipated[-1]))
