"""This file owns the study of success: how often conic particles find the global minimum, by their number and start.

Five signed spikes seen through a filter of degree 8 (`deconvolution_1d`), a problem a seed. A run succeeds where its F
ends within 1e-3 of inf F, relative to it; inf F is enclosed from outside, by linear programming's cousin on a grid with
exchanges (wflow.duality.independent), which knows of no flow.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from solvers.conic import ConicDescent
from solvers.starts import Quantised, Sampled
from wflow import problems
from wflow.app.studies.intervals import Chance, chances, fall
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.charged import Charged
from wflow.domain import Box
from wflow.duality.independent import independent
from wflow.duality.over_time import bounds, bracket
from wflow.errors import NotConverged
from wflow.finish import finish
from wflow.loop import solve
from wflow.measure import SignedParticles
from wflow.trajectory import Trajectory

PARTICLES = (4, 5, 6, 8, 10, 14, 20, 40)
SEEDS, QUICK_SEEDS = 20, 3
SPREAD = 40
"""Charges of the equispaced starts."""
GLOBAL, NEAR, FALSE = 1e-3, 1e-6, 1e-10
"""Relative excess of a success; of one whose certificate must close; and what rounding may do to a certificate."""
_STEPS, _HORIZON, _DUALS = 40, 20.0, 5
RANDOM, EVEN, ONE_SIGN = "random", "equispaced", "equispaced, one sign"


def cells(quick: bool) -> list[Cell]:
    """Random starts of every size for all seeds; equispaced ones of both signs and of one for half of them."""
    seeds = QUICK_SEEDS if quick else SEEDS
    sizes = PARTICLES[2::2] if quick else PARTICLES
    found: list[Cell] = [{"start": RANDOM, "particles": m, "seed": seed} for m in sizes for seed in range(seeds)]
    halved = range(max(seeds // 2, 2))
    return found + [{"start": kind, "particles": SPREAD, "seed": seed} for kind in (EVEN, ONE_SIGN) for seed in halved]


def measure(start: str, particles: int, seed: int) -> Record:
    """F at the end of a run by ConicDescent, inf F from outside, and the gaps that the run's own duals prove.

    gap: by the best dual of the run.   finished: by that of its finish too, where that ends.
    """
    flow = problems.deconvolution_1d(seed=seed, horizon=_HORIZON).flow
    law, domain = flow.initial, flow.domain
    assert isinstance(law, Charged) and isinstance(domain, Box)
    if start == ONE_SIGN:
        flow = replace(flow, initial=Charged(law.positive, None, (law.total_variation, 0.0)))
    solver = ConicDescent(particles, start=Sampled(seed) if start == RANDOM else Quantised())
    run = solve(flow, solver, steps=_STEPS)
    best = independent(flow.energy, domain, "signed").bracket
    end, own = float(run.energies[-1]), bounds(run, most=_DUALS)
    assert own is not None
    lower = float(own.lower[-1])
    return {
        "value": end,
        "least": best.lower,
        "most": best.value,
        "gap": end - lower,
        "finished": end - max(lower, _polished(run)),
    }


def _polished(run: Trajectory) -> float:
    """The lower bound of inf F by the dual vector of the run's finish; -infinity where that does not end."""
    end = run.final
    assert isinstance(end, SignedParticles)
    try:
        found = bracket(run.flow, finish(run.flow, end).measure)
    except NotConverged:
        return -math.inf
    assert found is not None
    return found.lower


def excess(entry: Entry) -> float:
    """(F - inf F)/inf F at most."""
    return float((entry["value"] - entry["least"]) / entry["least"])


def successes(entries: Sequence[Entry], start: str) -> dict[int, Chance]:
    """The chance of success by number of charges."""
    of = [entry for entry in entries if entry["start"] == start]
    sizes = sorted({int(entry["particles"]) for entry in of})
    outcomes = [[excess(entry) <= GLOBAL for entry in of if entry["particles"] == m] for m in sizes]
    return dict(zip(sizes, chances([(sum(found), len(found)) for found in outcomes]), strict=True)) if of else {}


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Success does not fall with m; signs decide at equispaced starts; no certificate is false, and most close."""
    curve = list(successes(entries, RANDOM).values())
    yield Certificate(
        "chance of success from random starts falls with the number of charges by (95 % intervals together)",
        "at most", fall(curve), 0.0,
    )  # fmt: skip
    for start, expected in ((EVEN, 1.0), (ONE_SIGN, 0.0)):
        (found,) = successes(entries, start).values()
        yield Certificate(f"share of successes of {SPREAD} charges, {start}", "equal", found.share, expected)
    false = sum(e["finished"] < e["value"] - e["most"] - FALSE for e in entries)
    yield Certificate(f"false certificates in {len(entries)} runs", "equal", float(false), 0.0)
    near = [e for e in entries if excess(e) <= NEAR]
    closed = sum(e["finished"] <= 2.0 * NEAR * e["least"] for e in near)
    yield Certificate(
        f"share of the {len(near)} runs within 1e-6 of inf F whose certificate says 2e-6 or less",
        "at least", closed / max(len(near), 1), 0.95,
    )  # fmt: skip


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Chances with intervals, and the excess of every run."""
    from wflow.picture import save, success

    curve = successes(entries, RANDOM)
    of = {kind: [e for e in entries if e["start"] == kind] for kind in (RANDOM, EVEN, ONE_SIGN)}
    return save(
        success(
            {m: (c.share, c.low, c.high) for m, c in curve.items()},
            {kind: [(int(e["particles"]), excess(e)) for e in found] for kind, found in of.items()},
            GLOBAL,
        ),
        path,
    )


SUCCESS = Study(
    "success", "how often do m charges find the global minimum of a signed deconvolution?", cells, measure, claims, draw
)
