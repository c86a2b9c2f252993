"""This file owns the study of teachers and students: two phases of descent, and directions found to O(lam).

Two ReLU teachers at a right angle in R^d, 100 students from random starts, plain descent and steps by norms. J(nu_k) -
J* at step k, with J* enclosed to 1e-10 by a certificate that knows of no run (wflow.duality.teachers): exploration ends
at k_0, the first step with a certified relative excess below 1/10; after it log(J - J*) is fitted by a line in k.

What the slowest mode leaves at last is known. At the optimum -V/a|b| = h(u) has its maximum lam at the directions of
nu*; students beside one of them come to it at the rate |h''|, and J - J* is quadratic in their distances, so that it
falls like exp(-2 |h''| dt k) with the least curvature h'' (derived).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.particles import GradientDescent, NormDescent, Sampled
from wflow import problems
from wflow.app.studies.intervals import Line, line, mean, power
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.duality import teacher_bracket
from wflow.energy import Energy
from wflow.loop import solve
from wflow.measure import Particles
from wflow.space_kernel import polar
from wflow.students import imbalance, recovered

TEACHERS = ((1.0, 0.0), (0.0, 1.0))
PLAIN, SCALED = "plain descent", "steps by norms"
METHODS: dict[str, Callable[..., GradientDescent]] = {PLAIN: GradientDescent, SCALED: NormDescent}
DIMENSIONS, STRENGTHS, SEEDS = (2, 3, 10), (0.005, 0.01, 0.02, 0.05, 0.1), 3
EXPLORED, LATE, FLOOR = 0.1, 1e-4, 1e-8
"""Relative excesses: where exploration ends, where the late fit begins, and where the gap of J* begins to count."""
DT = 0.75
_STUDENTS, _LENGTH, _SAVED, _FEWEST = 100, 40.0, 200, 4
"""A run goes to t = 40/lam: all rates after exploration are of the order of lam."""


def cells(quick: bool) -> list[Cell]:
    """Every method, d, lam and seed; of two lam and one seed for a quick study."""
    strengths, seeds = ((0.02, 0.1), 1) if quick else (STRENGTHS, SEEDS)
    return [
        {"method": name, "dim": d, "lam": lam, "seed": seed}
        for seed in range(seeds) for name in METHODS for d in DIMENSIONS for lam in strengths
    ]  # fmt: skip


def measure(method: str, dim: int, lam: float, seed: int) -> Record:
    """Relative excess at some 200 equispaced steps, k_0 exactly, and what was recovered."""
    count = round(_LENGTH / lam / DT)
    flow = problems.relu_teacher_space(TEACHERS, lam, dim, horizon=count * DT).flow
    best = problems.planar_optimum(TEACHERS, lam, dim)
    known = teacher_bracket(flow.energy, best)
    even = np.unique(np.linspace(0.0, count, _SAVED + 1).astype(np.int64))
    steps = np.union1d(even, np.arange(min(count, round(2.0 / lam)) + 1))
    run = solve(flow, METHODS[method](_STUDENTS, Sampled(seed)), dt=DT, times=(steps[1:] * DT).tolist())
    above = np.array(run.energies) - [0.5 * lam * imbalance(pi) for pi in run.measures] - known.lower
    excess = above / known.lower
    kept = np.isin(steps, even)
    units = np.eye(dim)[:2]
    charges, angles = recovered(run.final, units)
    return {
        "steps": steps[kept].tolist(),
        "excess": excess[kept].tolist(),
        "explored": int(steps[np.argmax(excess < EXPLORED)]) if np.any(excess < EXPLORED) else None,
        "least": float(excess.min()),
        "gap": known.gap / known.lower,
        "rate": 2.0 * curvature(flow.energy, best) * DT,
        "charges": charges.tolist(),
        "angles": angles.tolist(),
        "optimal": float(recovered(best, units)[1].mean()),
    }


def curvature(energy: Energy, best: Particles) -> float:
    """The least |h''| at the directions of a balanced optimum.

    At w = (1, u) the Hessian of V along tangents of the sphere is K'' + K + lam = -h'': there K = -h = -lam.
    """
    _, _, units = polar(best.points)
    bent = energy.curvature(best, np.column_stack([np.ones(len(units)), units]))[:, 1:, 1:]
    across = np.eye(units.shape[1]) - units[:, :, None] * units[:, None, :]
    return float(np.min(np.linalg.eigvalsh(across @ bent @ across)[:, 1]))


def fitted(entry: Entry, below: float) -> Line | None:
    """log excess by the step, from where it is below a number to where the certificate's gap would count."""
    k, excess = np.array(entry["steps"], dtype=float), np.array(entry["excess"])
    first = int(np.argmax(excess < below))
    used = (np.arange(len(k)) >= first) & (excess > FLOOR)
    return line(k[used], np.log(excess[used])) if excess[first] < below and np.sum(used) >= 4 else None


def recovery(entries: Sequence[Entry], dim: int, method: str) -> Line | None:
    """log angle between barycentre and teacher by log lam, all seeds; None for fewer than three strengths."""
    of = [e for e in entries if e["dim"] == dim and e["method"] == method]
    if len({e["lam"] for e in of}) < 3:
        return None
    return power([e["lam"] for e in of], [float(np.mean(e["angles"])) for e in of])


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Both phases in every run, the late rate against the derived one, and what was recovered."""
    least = min(e["least"] for e in entries)
    yield Certificate("least (J - J*)/J* of all runs and steps", "at least", least, 0.0, 1e-12)
    yield Certificate("largest gap of J* proved, over J*", "at most", max(e["gap"] for e in entries), 0.0, 1e-8)
    ends = [np.inf if e["explored"] is None else e["explored"] * DT * e["lam"] for e in entries]
    yield Certificate("latest end of exploration, lam dt k_0", "at most", float(max(ends)), 2.0)
    yield from _phases(entries)
    astray = [np.max(np.abs(np.array(e["angles"]) / e["optimal"] - 1.0)) for e in entries]
    yield Certificate("largest error of an angle, of the optimum's", "at most", float(np.max(astray)), 0.2)
    for method in METHODS:
        for dim in sorted({e["dim"] for e in entries}):
            found = recovery(entries, dim, method)
            if found is not None:
                name = f"log angle by log lam, {method}, d = {dim} (95 %: {found.low:.3f} to {found.high:.3f})"
                yield Certificate(name, "equal", found.slope, 1.0, 0.1)


def _phases(entries: Sequence[Entry]) -> Iterator[Certificate]:
    whole = [found for found in (fitted(e, EXPLORED) for e in entries) if found is not None]
    for method, dim in sorted({(e["method"], e["dim"]) for e in entries}):
        of = [e for e in entries if (e["method"], e["dim"]) == (method, dim)]
        rates = [-found.slope / (e["lam"] * DT) for e in of if (found := fitted(e, EXPLORED)) is not None]
        if len(rates) >= _FEWEST:
            m, low, high = mean(np.array(rates))
            name = (
                f"rate after k_0 over lam dt, {method}, d = {dim}: mean {m:.3f}, 95 %: {low:.3f} to {high:.3f}; its low"
            )
            yield Certificate(name, "at least", low, 0.0)
    late = [(e, found) for e in entries if (found := fitted(e, LATE)) is not None]
    yield Certificate("runs without a line after k_0", "equal", float(len(entries) - len(whole)), 0.0)
    slowest = max(found.high for found in whole) if whole else np.inf
    yield Certificate("log(J - J*) by k after k_0: largest upper end of a 95 % interval", "at most", slowest, 0.0)
    fits = [found.squared for _, found in late]
    yield Certificate("R^2 of the line from 1e-4 on, median", "at least", float(np.median(fits or [0.0])), 0.98)
    ratios = np.array([-found.slope / e["rate"] for e, found in late])
    name = f"late rate over 2 |h''| dt, median (all: {ratios.min():.2f} to {ratios.max():.2f})" if late else "late rate"
    yield Certificate(name, "equal", float(np.median(ratios)) if late else 0.0, 1.0, 0.25)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Excess by lam dt k with the derived rate, and angles by lam."""
    from wflow.picture import save, two_phases

    runs = [(e["dim"], e["method"], e["lam"], e["lam"] * DT * np.array(e["steps"]), e["excess"]) for e in entries]
    found = [(e["dim"], e["method"], e["lam"], float(np.mean(e["angles"])), e["optimal"]) for e in entries]
    slopes = {lam: e["rate"] / (lam * DT) for e in entries for lam in (e["lam"],)}
    return save(two_phases(runs, found, slopes, EXPLORED), path)


AKIYAMA = Study(
    "akiyama", "does descent explore, then converge geometrically, and find the teachers' directions to O(lam)?",
    cells, measure, claims, draw,
)  # fmt: skip
