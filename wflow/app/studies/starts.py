"""This file owns the study of starts: which of them the conic flow leaves for the global minimum, and which it cannot.

The published deconvolution of three spikes on the torus (`deconvolution_2d`), whose minimum is enclosed from outside,
from spread charges and from starts that are poor in one way each; no chance but in the cluster, whose seed is fixed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from solvers.conic import ConicDescent
from wflow import problems
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.charged import Charged
from wflow.domain import TURN, Box
from wflow.duality.independent import independent
from wflow.duality.over_time import bounds
from wflow.law import Atoms
from wflow.loop import solve

KINDS = {
    "spread": "a grid of 10 x 10",
    "four": "four near the spikes",
    "three": "three near the spikes",
    "line": "100 on the line y = x",
    "cluster": "100 within .1 of a spike",
    "two": "two",
    "one": "one",
    "point": "100 at one point",
}
_FEW = ("four", "three", "two", "one")
STUCK = {"two", "one", "point"}
GLOBAL = 1e-6
"""Of F - inf F, at the end of a run that found the minimum; one that is stuck keeps STAYS."""
STAYS = 1.0
_HORIZON, _STEPS, _DUALS = 60.0, 60, 13


def points_of(kind: str, domain: Box) -> Array:
    """(m, 2) places of the charges."""
    counts = {"spread": 100, "four": 4, "three": 3, "two": 2, "one": 1}
    if kind in counts:
        law = problems.deconvolution_2d(particles=counts[kind]).flow.initial
        assert isinstance(law, Charged) and isinstance(law.positive, Atoms)
        return law.positive.points
    if kind == "point":
        return np.tile(math.pi + np.array([0.5, -0.5]), (100, 1))
    if kind == "line":
        return np.repeat(TURN * (np.arange(100) + 0.5)[:, None] / 100, 2, axis=1)
    return np.asarray(math.pi + 0.1 * np.random.default_rng(0).uniform(-1.0, 1.0, (100, 2)) / math.sqrt(2.0))


def cells(quick: bool) -> list[Cell]:
    """One a start; of few charges for a quick study."""
    return [{"start": kind} for kind in (_FEW if quick else KINDS)]


def measure(start: str) -> Record:
    """F and the gap that the run proves of itself, along a run by ConicDescent; inf F between bounds from outside."""
    flow = problems.deconvolution_2d(horizon=_HORIZON).flow
    assert isinstance(flow.domain, Box)
    posed = replace(flow, initial=Charged(Atoms(flow.domain, points_of(start, flow.domain)), None, (0.25, 0.0)))
    run = solve(posed, ConicDescent(100), steps=_STEPS)
    best = independent(flow.energy, flow.domain, "nonnegative").bracket
    own = bounds(run, most=_DUALS)
    assert own is not None
    return {
        "times": own.times.tolist(),
        "values": own.values.tolist(),
        "gaps": own.gaps.tolist(),
        "least": best.lower,
        "most": best.value,
    }


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Spread, clustered and aligned starts end at inf F, too few charges do not, and each gap says which."""
    for entry in entries:
        kind, end = entry["start"], entry["values"][-1] - entry["least"]
        name = f"F - inf F at the end, {KINDS[kind]}"
        if kind in STUCK:
            yield Certificate(f"{name} (stuck)", "at least", end, STAYS)
            yield Certificate(f"flagged: proved gap over that, {KINDS[kind]}", "at least", entry["gaps"][-1] / end, 1.0)
        else:
            yield Certificate(name, "at most", end, GLOBAL)
    short = [
        gap - (value - entry["most"])
        for entry in entries
        for gap, value in zip(entry["gaps"], entry["values"], strict=True)
    ]
    yield Certificate("least of proved gap - (F - inf F), all runs and times", "at least", min(short), 0.0, 1e-11)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """F - inf F and gaps along all runs."""
    from wflow.picture import save, starts

    curves = {
        KINDS[e["start"]]: (e["times"], [v - e["least"] for v in e["values"]], e["gaps"], e["start"] in STUCK)
        for e in entries
    }
    return save(starts(curves), path)


STARTS = Study(
    "starts", "which starts does the conic flow leave for the global minimum of a deconvolution?",
    cells, measure, claims, draw,
)  # fmt: skip
