"""This file owns the study of the plane of sharpness and non-uniformity: linearised SGD run, against what is predicted.

    axis       n = 16 numbers a_i of mean a and deviation s, eta = 1: growth of E x^2 a step, run and by the factor
    rank one   random problems of rank one, each at its largest stable eta: where the exact condition puts the edge

On one axis the edge is the half ellipse of wflow.stability.factor for each B. On several, numbers without a scale are
eta a and eta s c^(1/2): the slides' box is [0, 2] x [0, 1], and edges lie beyond its upper side.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.stability import WithoutReplacement, edge, factor, moments, placed, scattered, widest

AXIS, RANK_ONE = "axis", "rank one"
DATA, BATCHES = 16, (1, 2, 4, 16)
SHARP = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 1.9, 2.1)
SPREAD = np.linspace(0.0, 2.4, 13)
STANDARD_ERRORS, NEAR = 4.5, 0.02
"""Of some four hundred places: one is beyond 4.5 with a chance of 3e-3."""
BEYOND = 0.05
"""The share of random problems beyond the box that is asked for at batch 1 in the plane: .3 seen."""
_RUNS, _STEPS, _SEED, _PROBLEMS = 100_000, 3, 21, 100
_DIMS = (2, 4)
_OF_DIM = {2: 4, 4: 8}
"""Data of a random problem by its dimension."""
_EXACT = 1e-12


def cells(quick: bool) -> Sequence[Cell]:
    """One a batch and sharpness, and one a batch and dimension."""
    axis = [
        {"kind": AXIS, "batch": b, "place": a} for b in BATCHES for a in (SHARP[1::3] if quick else SHARP)
    ]  # fmt: skip
    return axis + [{"kind": RANK_ONE, "batch": b, "place": d} for b in (1, 2) for d in _DIMS]


def measure(kind: str, batch: int, place: float) -> Record:
    """Growth of E x^2 a step with its error for each s that can be; or edges of random problems."""
    if kind == RANK_ONE:
        return _edges(batch, int(place))
    draw = WithoutReplacement(DATA, batch)
    spreads = [float(s) for s in SPREAD if s <= place * np.sqrt(DATA - 1.0)]
    growth, errors = [], []
    for k, s in enumerate(spreads):
        # of the full batch all runs are one
        runs = _RUNS if batch < DATA else 2
        seen = moments(placed(place, s, DATA), 1.0, draw, np.eye(1), steps=_STEPS, runs=runs, seed=_SEED + k)
        step = float(seen.mean[-1]) ** (1.0 / _STEPS)
        growth.append(step)
        errors.append(step * float(seen.error[-1] / seen.mean[-1]) / _STEPS)
    return {"spreads": spreads, "growth": growth, "errors": errors}


def _edges(batch: int, dim: int) -> Record:
    rng, data = np.random.default_rng([_SEED, batch, dim]), _OF_DIM[dim]
    found = [edge(scattered(rng, data, dim), WithoutReplacement(data, batch)) for _ in range(_PROBLEMS)]
    return {
        "sharpness": [one.sharpness for one in found],
        "spread": [one.spread for one in found],
        "sufficient": [one.sufficient for one in found],
    }


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Growth is the factor's, sides and edges are as predicted; on several axes what is necessary and what is not."""
    axis = [e for e in entries if e["kind"] == AXIS]
    worst = max(float(np.max(_off(e))) for e in axis)
    yield Certificate("growth of E x^2 against the factor, in standard errors", "at most", worst, 0.0, STANDARD_ERRORS)
    decided = [np.abs(_growth(e) - 1.0) > STANDARD_ERRORS * np.array(e["errors"]) + _EXACT for e in axis]
    wrong = [np.sum(d & ((_growth(e) > 1.0) != (_factor(e) > 1.0))) for d, e in zip(decided, axis, strict=True)]
    yield Certificate("places seen on the wrong side of the edge", "equal", float(np.sum(wrong)), 0.0)
    yield Certificate(
        "share of places that are seen to be on a side", "at least", float(np.mean(np.hstack(decided))), 0.9
    )
    for batch in BATCHES:
        crossings = [c for e in axis if e["batch"] == batch for c in [crossing(e)] if c is not None]
        if crossings:
            far = max(abs(seen / float(known) - 1.0) for seen, known in crossings)
            claim = f"B = {batch}: s of the edge over the predicted one, less 1, at {len(crossings)} sharpnesses"
            yield Certificate(claim, "at most", far, 0.0, NEAR)
    full = sorted((e for e in axis if e["batch"] == DATA), key=lambda e: float(e["place"]))
    sharpest = float(np.interp(1.0, [e["growth"][0] for e in full[-2:]], [e["place"] for e in full[-2:]]))
    if full[-1]["growth"][0] > 1.0:
        yield Certificate(f"B = {DATA}: a of the edge, eta = 1", "equal", sharpest, 2.0, NEAR * 2.0)
    yield from _of_rank_one([e for e in entries if e["kind"] == RANK_ONE])


def _of_rank_one(entries: Sequence[Entry]) -> Iterator[Certificate]:
    for e in entries:
        name = f"rank one, d = {e['place']}, B = {e['batch']}"
        spread, part = np.array(e["spread"]), np.array(e["sufficient"])
        yield Certificate(f"{name}: eta a on the edge", "at most", float(np.max(e["sharpness"])), 2.0)
        yield Certificate(
            f"{name}: eta s c^(1/2) on the edge", "at most", float(spread.max()), float(e["place"]) ** 0.5
        )
        yield Certificate(f"{name}: sufficient eta over the exact one", "at most", float(part.max()), 1.0, 1e-6)
        if (e["place"], e["batch"]) == (2, 1):
            beyond = float(np.mean(spread > 1.0))
            yield Certificate(f"{name}: share of edges beyond the box", "at least", beyond, BEYOND)


def _growth(entry: Entry) -> Array:
    return np.array(entry["growth"])


def _factor(entry: Entry) -> Array:
    return factor(1.0, entry["place"], entry["spreads"], WithoutReplacement(DATA, entry["batch"]))


def _off(entry: Entry) -> Array:
    """Growth less factor over its standard error; where nothing is random, over rounding."""
    return np.asarray(np.abs(_growth(entry) - _factor(entry)) / (np.array(entry["errors"]) + _EXACT))


def crossing(entry: Entry) -> tuple[float, float] | None:
    """s where the growth that was seen passes 1, linear in s^2 as the factor is, and the predicted one; or None."""
    growth, square = _growth(entry), np.square(entry["spreads"])
    above = np.flatnonzero((growth[:-1] < 1.0) & (growth[1:] >= 1.0))
    if not len(above):
        return None
    k = int(above[0])
    seen = square[k] + (square[k + 1] - square[k]) * (1.0 - growth[k]) / (growth[k + 1] - growth[k])
    return float(np.sqrt(seen)), float(widest(1.0, entry["place"], WithoutReplacement(DATA, entry["batch"])))


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """A panel a batch size with the predicted edge; and edges of random problems beside the box."""
    from wflow.picture import save, stability

    panels, edges = {}, {}
    for batch in BATCHES:
        rows = [
            (float(e["place"]), s, g, STANDARD_ERRORS * x)
            for e in entries
            if e["kind"] == AXIS and e["batch"] == batch
            for s, g, x in zip(e["spreads"], e["growth"], e["errors"], strict=True)
        ]
        sharp = np.linspace(0.0, 2.0, 201)
        panels[f"B = {batch} of {DATA}"] = (rows, sharp, widest(1.0, sharp, WithoutReplacement(DATA, batch)))
    for e in entries:
        if e["kind"] == RANK_ONE:
            edges[f"d = {e['place']}, B = {e['batch']}"] = (np.array(e["sharpness"]), np.array(e["spread"]))
    return save(stability(panels, edges), path)


STABILITY = Study(
    "stability", "sharpness and non-uniformity: where is a minimum stable under SGD?", cells, measure, claims, draw
)
