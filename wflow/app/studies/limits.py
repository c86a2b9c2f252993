"""This file owns the study of both limits: F of m charges at time t as m and t grow, in either order.

The flow of m charges is followed to F(m, t) on a table of both: lim_m F(m, t) is the mean-field flow at t, the limit in
t the end of a finite network. From starts spread over both signs both orders end at inf F once m is large enough; from
one sign neither does; and few charges end above it whatever t, although F(m, t) -> F(infinity, t) at each t.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from solvers.conic import ConicHeun
from wflow import problems
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.charged import Charged
from wflow.domain import Box
from wflow.duality.independent import independent
from wflow.loop import solve

SIZES = (8, 16, 32, 64, 128, 256)
TIMES = 12
BOTH, ONE = "both signs", "one sign"
GLOBAL, STAYS = 1e-3, 0.5
"""Relative excess: of what found inf F, and of what stays away from it."""
_HORIZON, _TOLERANCE = 8.0, 1.0


def cells(quick: bool) -> list[Cell]:
    """One a start and a number of charges."""
    sizes = SIZES[:4] if quick else SIZES
    return [{"start": start, "particles": m} for start in (BOTH, ONE) for m in sizes]


def measure(start: str, particles: int) -> Record:
    """F(m, t) at doubling times, by ConicHeun to a tolerance, and inf F from outside."""
    flow = problems.deconvolution_1d(horizon=_HORIZON).flow
    law, domain = flow.initial, flow.domain
    assert isinstance(law, Charged) and isinstance(domain, Box)
    if start == ONE:
        flow = replace(flow, initial=Charged(law.positive, None, (law.total_variation, 0.0)))
    times = np.concatenate([[0.0], _HORIZON * 2.0 ** -np.arange(TIMES - 2.0, -1.0, -1.0)])
    run = solve(flow, ConicHeun(particles), tolerance=_TOLERANCE, times=times.tolist())
    best = independent(flow.energy, domain, "signed").bracket
    return {"times": run.times.tolist(), "values": run.energies.tolist(), "least": best.lower}


def table(entries: Sequence[Entry], start: str) -> tuple[Array, Array, Array]:
    """Numbers of charges (k,), times (l,) and (F(m, t) - inf F)/inf F (k, l)."""
    of = sorted((e for e in entries if e["start"] == start), key=lambda e: int(e["particles"]))
    sizes = np.array([float(e["particles"]) for e in of])
    return sizes, np.array(of[0]["times"]), np.array([(np.array(e["values"]) - e["least"]) / e["least"] for e in of])


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Each corner of the table, and that F(m, t) settles as m grows at each time."""
    sizes, _, both = table(entries, BOTH)
    _, _, one = table(entries, ONE)
    rise = max(float(np.max(np.diff(t, axis=1))) for t in (both, one))
    yield Certificate("largest rise of F between saved times over inf F", "at most", rise, 0.0, 1e-12)
    yield Certificate(
        f"relative excess of {sizes[-1]:g} charges of both signs at the end", "at most", both[-1, -1], GLOBAL
    )
    yield Certificate(
        f"relative excess of {sizes[0]:g} charges of both signs at the end", "at least", both[0, -1], STAYS
    )
    yield Certificate(
        f"least relative excess at the end, one sign, {sizes[0]:g} to {sizes[-1]:g}",
        "at least",
        float(one[:, -1].min()),
        STAYS,
    )
    apart = np.max(np.abs(np.diff(both, axis=0)), axis=1) / np.max(both[-1])
    yield Certificate(
        f"largest |F(m, t) - F(m/2, t)| over t, of max F: m = {sizes[-1]:g}", "at most", float(apart[-1]), 0.01
    )


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Both tables as curves of t, one a number of charges."""
    from wflow.picture import limits, save

    return save(limits({start: table(entries, start) for start in (BOTH, ONE)}), path)


LIMITS = Study("limits", "does F(m, t) reach inf F as m and t grow, in either order?", cells, measure, claims, draw)
