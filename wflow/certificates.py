"""This file owns certificates: claims about a trajectory, the number measured, the one expected, whether it holds.

A certificate function takes (problem, trajectory) or (trajectory) and yields zero or more certificates: "where they
apply" is one `if` inside it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wflow.dual_norm import dual_norm
from wflow.duality.cells import cells_gap
from wflow.duality.over_time import bounds, bracket, unknown
from wflow.harmonic_norm import harmonic_norm
from wflow.law import Law, Uniform
from wflow.measure import Density, Measure, Quantiles
from wflow.mesh_density import MeshDensity
from wflow.mesh_norm import comparable, mesh_distance, seen_on
from wflow.parted import of_the_density, on_one_axis
from wflow.problems.problem import Problem
from wflow.shapes import Sphere
from wflow.signed_density import SignedDensity
from wflow.trajectory import Trajectory
from wflow.transport import law_floor, w2
from wflow.watch import EDGE
from wflow.zonal import Zonal

Relation = Literal["equal", "at most", "at least"]
MASS = 1e-12
ROUNDING = 1e-13
SAMPLES = 4096
_ASKED = 5
"""Saved measures, evenly spread, whose duals are tried."""
NO_RISK = 1e-10
REFUTED = "refutes W2 -> 0: W2 to the minimiser stays"
_RICHARDSON = 1.25
_EARLY = 1e-3
APPROACHES = "to the predicted limit, end against start"


@dataclass(frozen=True)
class Certificate:
    """measured (relation) expected, within tolerance + floor. A nan measured never holds."""

    claim: str
    relation: Relation
    measured: float
    expected: float
    tolerance: float = 0.0
    floor: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the claim is true of the numbers."""
        slack = self.tolerance + self.floor
        if self.relation == "at most":
            return bool(self.measured <= self.expected + slack)
        if self.relation == "at least":
            return bool(self.measured >= self.expected - slack)
        return bool(abs(self.measured - self.expected) <= slack)


def of_run(problem: Problem, run: Trajectory) -> Iterator[Certificate]:
    """All that one run says for itself, by any method."""
    yield from kept(run)
    yield from truncated(run)
    yield from moved_downhill(run)
    yield from solved(run)
    yield from generalises(problem, run)
    yield from above_the_minimum(problem, run)
    yield from relaxes(problem, run)


def above_the_minimum(problem: Problem, run: Trajectory) -> Iterator[Certificate]:
    """F - inf F at the end where theory knows inf F: no measure is below it, but for rounding.

    F of quantiles with an internal energy may be, by an error of space: no row. So may F of cells, whose entropy is of
    a density and whose V is taken at centres (below its mean where it is convex): then F of that density is asked.
    """
    pi = run.final
    if problem.lowest is None or _lumped(run) or (run.flow.energy.internal and pi.atomic):
        return
    # of the measure: energies of another equation are not F, and at another temperature may be below inf F
    last = float(run.energies[-1]) if not run.solver.equation else run.flow.energy.value(pi)
    if not math.isnan(last):
        claim, slack, floor = "F - inf F at the end, inf F known", ROUNDING * max(1.0, abs(float(run.energies[0]))), 0.0
        if last < problem.lowest and (cells := on_one_axis(pi)) is not None:
            claim, (last, floor) = f"{claim} (F of the cells parted)", of_the_density(run.flow.energy, cells)
        yield Certificate(claim, "at least", last - problem.lowest, 0.0, slack, floor)


def relaxes(problem: Problem, run: Trajectory) -> Iterator[Certificate]:
    """F - inf F at all saved times against the proved bound of the method's own equation, where it has one."""
    if problem.lowest is None or _lumped(run) or np.any(np.isnan(run.energies)):
        return
    above = run.energies - problem.lowest
    if (rate := run.solver.decay(run.flow)) is not None:
        bound = np.exp(-rate * run.times)
        early = bound >= _EARLY  # later F is that of cells
        worst = float(np.max((above / bound)[early] / above[0]))
        yield Certificate(f"F - inf F over e^(-{rate:g} t)(F_0 - inf F), largest", "at most", worst, 1.0, ROUNDING)


def _lumped(run: Trajectory) -> bool:
    """With an internal energy F of quantiles is that of no measure: V at the edges, the entropy of pieces between."""
    return isinstance(run.final, Quantiles) and bool(run.flow.energy.internal)


def kept(run: Trajectory) -> Iterator[Certificate]:
    """What the solver says it keeps: mass to 1e-12, no negative density, energy that never rises."""
    promises = run.solver.keeps(run.flow)
    if "mass" in promises:
        drift = float(np.max(np.abs(run.diagnostics["mass"] - run.diagnostics["mass"][0])))
        yield Certificate("mass is kept", "at most", drift, 0.0, MASS)
    if "positivity" in promises:
        yield Certificate("no negative density", "at least", float(run.diagnostics["least"].min()), 0.0)
    if "energy" in promises and not np.any(np.isnan(run.energies)):
        rise = float(np.max(np.diff(run.energies), initial=-math.inf))
        slack = ROUNDING * max(1.0, abs(float(run.energies[0])))
        yield Certificate("energy never rises (largest rise)", "at most", rise, 0.0, slack)


def truncated(run: Trajectory) -> Iterator[Certificate]:
    """Grids on windows: the mass within two cells of a wall that stands for infinity, never above 1e-10."""
    first = run.measures[0]
    if isinstance(first, Density | MeshDensity | SignedDensity) and first.domain != run.flow.domain:
        most = float(np.max(run.diagnostics["edge"]))
        yield Certificate("mass within two cells of a wall that stands for infinity", "at most", most, 0.0, EDGE)


def generalises(problem: Problem, run: Trajectory) -> Iterator[Certificate]:
    """Rows held out: the mean loss at the end is below that of the best constant of the training rows."""
    risk, test = run.flow.energy.risk, problem.held_out
    if risk is None or test is None:
        return
    measured = float(test.weights @ risk.loss.value(risk.predict_at(test.inputs, run.final), test.targets))
    best = risk.loss.best_constant(risk.data.targets, risk.data.weights)
    if not math.isfinite(best):
        return  # labels of one class alone: their constant loses nothing, or without bound on a row of the other
    level = np.full(len(test), best)
    constant = float(test.weights @ risk.loss.value(level, test.targets))
    yield Certificate("loss on held-out rows, against the best constant", "at most", measured, constant)


def moved_downhill(run: Trajectory) -> Iterator[Certificate]:
    """Minimising movements: sum W2^2/(2 dt) <= F_0 - F_end, since each step does no worse than standing still."""
    if run.solver.variational:
        fallen = float(run.energies[0] - run.energies[-1])
        slack = run.steps * ROUNDING * max(1.0, abs(float(run.energies[0])))
        yield Certificate("sum W2^2/(2 tau) <= F_0 - F_end", "at most", float(run.dissipated[-1]), fallen, slack)


def solved(run: Trajectory) -> Iterator[Certificate]:
    """Where residuals are gaps, shares of what a step gains: the largest against what the method allows itself."""
    if run.solver.optimality:
        claim = f"KKT residual, largest of {run.steps} steps"
        worst = float(run.diagnostics["residual"].max())
        yield Certificate(claim, "at most", worst, 0.0, getattr(run.solver, "tolerance", 0.0))


def global_gap(problem: Problem, run: Trajectory) -> Iterator[Certificate]:
    """What the end is proved to be above inf F at most: above its excess over a known minimiser, else above 0.

    The best lower bound of the saved measures, the first, the last and some between (wflow.duality.over_time). No row
    where none is known: `no_gap` says why.
    """
    found = bounds(run, most=_ASKED)
    if found is None:
        return
    excess = 0.0
    if problem.minimiser is not None:
        # any measure near the minimiser serves: F - F(it) <= F - inf F <= gap
        grid = run.flow.grid(SAMPLES) if run.flow.domain.dim == 1 else None
        if grid is not None:
            nearby = Density(grid, np.maximum(problem.minimiser.averages(grid), 0.0))
            excess = found.brackets[-1].value - run.flow.energy.value(nearby)
    last = found.brackets[-1]
    peak = "" if math.isnan(last.peak) else f"; max |eta|/lam <= {last.peak:.12g}"
    claim = f"F - inf F is at most ({last.method}{peak}; rounding included)"
    yield Certificate(claim, "at least", float(found.gaps[-1]), excess, ROUNDING)


def gap_on_cells(problem: Problem, run: Trajectory) -> Iterator[Certificate]:
    """At T > 0 where no bracket is known: F - min F over densities on the run's cells, at every saved time.

    Proved for the cells; at the end at least what F is above the known minimiser's averages, or any saved measure.
    """
    if bracket(run.flow, run.final) is not None:
        return
    found = [cells_gap(run.flow.energy, pi) for pi in run.measures]
    gaps = np.array([gap for gap in found if gap is not None])
    if len(gaps) < len(run.measures):
        return
    values = np.array([run.flow.energy.value(pi) for pi in run.measures])
    lowest = float(values.min())
    grid = getattr(run.final, "grid", None)
    if problem.minimiser is not None and grid is not None and problem.minimiser.has_averages:
        averages = np.maximum(problem.minimiser.averages(grid), 0.0)
        lowest = min(lowest, run.flow.energy.value(Density(grid, averages / (averages.sum() * grid.cell_volume))))
    spare = float(np.min(gaps - (values - lowest)))
    claim = f"F - min F on these cells, at the end at most {gaps[-1]:.3g} (proved): spare over what is known, least"
    yield Certificate(claim, "at least", spare, 0.0, ROUNDING * max(1.0, abs(float(values[0]))))


def no_gap(run: Trajectory) -> str | None:
    """Why no bound of F - inf F is known at the end of a run; None where one is."""
    if bracket(run.flow, run.final) is not None:
        return None
    return f"F - inf F: no bound known, since {unknown(run.flow, run.final)}"


def distance_to_exact(problem: Problem, run: Trajectory, error: float) -> Iterator[Certificate]:
    """W2 to the exact answer at the horizon (H^-1 on cells of several axes), allowed: the run's own estimated error."""
    law = problem.exact(float(run.times[-1]))
    if law is None:
        return
    if _in_dual_norm(run.final, law):
        claim, floor = "H^-1 distance to the exact answer at the end", 0.0
    else:
        claim, floor = "W2 to the exact answer at the end", law_floor(law)
    yield Certificate(claim, "at most", _apart(run.final, law), 0.0, error, floor)


def second_moment(problem: Problem, run: Trajectory, finer: Trajectory) -> Iterator[Certificate]:
    """By how much int |w|^2 dpi has changed, against what is known of it.

    Allowed: 1.25 d/(1 - 2^-p), Richardson's estimate, d how far it is from that of a run with twice the resolution and
    at least twice the steps, p the smaller declared order.
    """
    if problem.second_moment is None:
        return
    change = problem.second_moment(float(run.times[-1])) - problem.second_moment(0.0)
    coarse, fine = _spread_by(run), _spread_by(finer)
    order = run.solver.order(run.flow)
    allowed = _RICHARDSON * abs(coarse - fine) / (1.0 - math.exp2(-min(order.time, order.space)))
    yield Certificate("change of int |w|^2 dpi, by the virial identity", "equal", coarse, change, allowed)


def _spread_by(run: Trajectory) -> float:
    """int |w|^2 dpi at the end less that at the start."""
    start, end = (float(pi.weights @ np.sum(pi.points**2, axis=1)) for pi in (run.measures[0], run.final))
    return end - start


def _in_dual_norm(pi: Measure, law: Law) -> bool:
    """Whether `_apart` is the H^-1 distance: cells of several axes and averages, meshes and laws that they see."""
    if isinstance(pi, MeshDensity):
        return law.has_density and (isinstance(pi.domain, Sphere) or comparable(pi, pi))
    return isinstance(pi, Density) and pi.domain.dim > 1 and law.has_averages


def _apart(pi: Measure, law: Law) -> float:
    """W2 of a measure and a law, on cells of several axes H^-1, which resolves what transport of 2000 atoms cannot."""
    if isinstance(pi, MeshDensity) and _in_dual_norm(pi, law):
        if isinstance(pi.domain, Sphere):
            return harmonic_norm(pi, law if isinstance(law, Zonal | Uniform) else seen_on(pi, law))
        return mesh_distance(pi, seen_on(pi, law))
    if isinstance(pi, Density) and _in_dual_norm(pi, law):
        return dual_norm(pi, Density(pi.grid, law.averages(pi.grid)))
    return w2(pi, law)


def distance_to_limit(problem: Problem, run: Trajectory, error: float) -> Iterator[Certificate]:
    """W2 (H^-1 on cells of several axes) to the predicted limit: no larger than at the start, whatever the finite time.

    Where the start itself is the limit although it is no minimiser's law (it sits in null modes of the activation),
    the row is the counterexample: W2 to the minimiser stays what it was, at zero risk.
    """
    if problem.limit is problem.flow.initial and problem.minimiser is not None:
        was, now = w2(problem.flow.initial, problem.minimiser), w2(run.final, problem.minimiser)
        # the run may start quantised: its own distance to the law it stands for adds to the error
        apart = error + w2(run.measures[0], problem.flow.initial)
        yield Certificate(REFUTED, "equal", now, was, apart, law_floor(problem.flow.initial))
        yield Certificate("zero risk: F at the end", "at most", float(run.energies[-1]), 0.0, NO_RISK, run.energies[0])
    elif problem.limit is not None:
        start, end = _apart(run.measures[0], problem.limit), _apart(run.final, problem.limit)
        share = end / start if start > 0.0 else 0.0
        norm = "H^-1" if _in_dual_norm(run.final, problem.limit) else "W2"
        yield Certificate(f"{norm} {APPROACHES} (share of the start left: {share:.3g})", "at most", end, start, error)
