"""This file owns the study of two Gaussian clouds: how many radii the flow ends with as the widths 1 +- delta part.

The radial flow of `isotropic_gaussians` from |w|, w ~ N(0, (.64/40) I_40), at d = infinity, at d = 40, and at d = 40
with noise and ridge. At d = infinity one radius is optimal up to delta_s = .47421895 exactly, and R = 0 is reached
above.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.finite_volume import ScharfetterGummel
from solvers.particles import GradientFlow
from wflow import problems
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.loop import solve
from wflow.measure import Measure
from wflow.problems.isotropic import CLIPPED
from wflow.problems.single_radius import SingleRadius, threshold

GAPS = (0.1, 0.2, 0.3, 0.4, 0.44, 0.46, 0.48, 0.5, 0.55, 0.6, 0.7, 0.8)
LIMIT, FINITE, NOISY = "d = infinity", "d = 40", "d = 40, noise"
WIDE = 0.02
"""Deviation of r above which it is more than one radius: .0031 below the threshold, .13 above (seen)."""
_START, _NODES, _HORIZON, _NOISY_HORIZON = 40, 16, 300.0, 80.0
_TEMPERATURE, _RIDGE, _WINDOW = 0.02, 0.02, (0.0, 7.0)


def cells(quick: bool) -> list[Cell]:
    """One a kind and a delta."""
    gaps = GAPS[1::3] if quick else GAPS
    return [{"kind": kind, "delta": delta} for kind in (LIMIT, FINITE, NOISY) for delta in gaps]


def measure(kind: str, delta: float) -> Record:
    """R, mean and deviation of r at the end, F near it, and what the best single radius has at d = infinity."""
    if kind == NOISY:
        noisy = {"ridge": _RIDGE, "temperature": _TEMPERATURE, "window": _WINDOW, "horizon": _NOISY_HORIZON}
        flow = problems.build("isotropic_gaussians", d=_START, delta=delta, nodes=_NODES, **noisy).flow
        run = solve(flow, ScharfetterGummel(200), steps=400, times=[0.9 * _NOISY_HORIZON, _NOISY_HORIZON])
    else:
        d = "infinity" if kind == LIMIT else _START
        flow = problems.build(
            "isotropic_gaussians", d=d, delta=delta, start=_START, nodes=_NODES, horizon=_HORIZON
        ).flow
        run = solve(flow, GradientFlow(100), times=[0.9 * _HORIZON, _HORIZON])
    middle, deviation = _sizes(run.final)
    single = SingleRadius(delta, CLIPPED)
    assert flow.energy.risk is not None
    return {
        "risk": 2.0 * flow.energy.risk.value(run.final),
        "mean": middle,
        "deviation": deviation,
        "late": float(run.energies[-2] - run.energies[-1]),
        "energy": float(run.energies[-1]),
        "radius": single.best,
        "single": float(single.risk(np.array([single.best]))[0]),
    }


def _sizes(pi: Measure) -> tuple[float, float]:
    """Mean and deviation of r."""
    r = pi.points[:, 0]
    middle = float(pi.weights @ r)
    return middle, float(np.sqrt(pi.weights @ (r - middle) ** 2))


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """One radius below the threshold, and the best; above it more than one and less risk; noise costs risk."""
    of = {kind: [e for e in entries if e["kind"] == kind] for kind in (LIMIT, FINITE, NOISY)}
    exact = threshold(CLIPPED)[2]
    below = [e for e in of[LIMIT] if e["delta"] < exact]
    above = [e for e in of[LIMIT] if e["delta"] > exact]
    name = f"{LIMIT}, delta < {exact:.6f}"
    yield Certificate(f"{name}: deviation of r", "at most", max(e["deviation"] for e in below), WIDE)
    off = max(abs(e["mean"] - e["radius"]) for e in below)
    yield Certificate(f"{name}: mean of r off the optimal radius", "at most", off, WIDE)
    yield Certificate(
        f"{name}: R over the optimal one, less 1", "at most", max(e["risk"] / e["single"] - 1.0 for e in below), 0.01
    )
    name = f"{LIMIT}, delta > {exact:.6f}"
    yield Certificate(f"{name}: deviation of r", "at least", min(e["deviation"] for e in above), WIDE)
    yield Certificate(
        f"{name}: R over that of the best radius", "at most", max(e["risk"] / e["single"] for e in above), 1.0
    )
    cost = min(b["risk"] - a["risk"] for a, b in zip(of[FINITE], of[NOISY], strict=True))
    yield Certificate("R with noise less R without, d = 40", "at least", cost, 0.0)
    still = max(e["late"] / max(abs(e["energy"]), 1e-3) for e in of[NOISY])
    yield Certificate("noise: F still falls over the last tenth, of F", "at most", still, 0.01)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """R and sizes over delta."""
    from wflow.picture import phases, save

    kinds = {
        kind: [(e["delta"], e["risk"], e["mean"], e["deviation"]) for e in entries if e["kind"] == kind]
        for kind in (LIMIT, FINITE, NOISY)
    }
    known = [(e["delta"], e["single"], e["radius"]) for e in entries if e["kind"] == LIMIT]
    return save(phases(kinds, known, threshold(CLIPPED)[2]), path)


CLOUDS = Study(
    "clouds", "one radius or several: what does the flow of two Gaussian clouds end with?", cells, measure, claims, draw
)
