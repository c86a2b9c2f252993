"""This file owns the study of the escape of SGD from a minimum at which gradient descent stays: how often, how soon.

`Valleys` from 1 + distance, batch 1, until |x - 1| >= .3: 4000 paths of 2000 steps at each eta, beside the exact law of
the exit (wflow.stability.exits); at eta = .7 from six distances. Both thresholds are measured besides, by 2e5 short
paths near 1: eta where the mean of log((x_T - 1)^2) stops falling, and where the log of the mean of (x_T - 1)^2 does.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from wflow.app.studies.intervals import Chance, chances, line
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.stability import Valleys, WithoutReplacement, almost_sure_rates, exit_times, exits, largest_rate, lyapunov
from wflow.stability import paths as paths_of
from wflow.stability import ruin as exponent

TOY = Valleys()
RATES = (0.5, 0.52, 0.54, 0.545, 0.55, 0.5525, 0.555, 0.5575, 0.56, 0.5625, 0.565, 0.57, 0.58, 0.6, 0.7)
DISTANCES = (1e-2, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
LEAVING, START, RADIUS, STEPS, RUNS = 0.7, 1e-3, 0.3, 2000, 4000
CLOSE = 1e-5
STANDARD_ERRORS, NEAR = 4.0, 0.002
_DESCENT = (LEAVING, 0.9, 0.98, 0.99, 1.01, 1.02)
_SHORT, _MANY, _SMALL, _SEED = 12, 200_000, 1e-6, 31


def cells(quick: bool) -> Sequence[Cell]:
    """One an eta, and one a distance; and rates of gradient descent."""
    rates, distances = (RATES[1::3], DISTANCES[::2]) if quick else (RATES, DISTANCES)
    found = [{"eta": eta, "distance": START, "descent": False} for eta in (*rates, LEAVING) if eta != LEAVING]
    found += [{"eta": LEAVING, "distance": d, "descent": False} for d in (START, *distances)]
    return found + [{"eta": eta, "distance": START, "descent": True} for eta in _DESCENT]


def measure(eta: float, distance: float, descent: bool) -> Record:
    """How many left, when, the exact law of it, and growth a step near 1 in both senses."""
    seed = None if descent else _SEED
    runs = 1 if descent else RUNS
    times = exit_times(TOY, eta, distance=distance, radius=RADIUS, steps=STEPS, runs=runs, seed=seed)
    left = times[np.isfinite(times)]
    record: dict[str, object] = {"left": len(left), "runs": runs}
    if not descent:
        law = exits(TOY.curvatures, eta, RADIUS / distance, STEPS)
        record |= {"chance": min(1.0, float(law.sum())), **_growth(eta)}
        if len(left) == runs:
            record |= {"mean": float(left.mean()), "error": float(left.std(ddof=1) / math.sqrt(runs)),
                       "exact": float(np.arange(1, STEPS + 1) @ law / law.sum())}  # fmt: skip
    return record


def _growth(eta: float) -> dict[str, float]:
    """Mean of log|x'/x| and half of log of the mean of (x'/x)^2 a step, x = distance to 1, over short paths."""
    ends = paths_of(TOY, np.full(_MANY, 1.0 + _SMALL), eta, steps=_SHORT, seed=_SEED + 1)[-1] - 1.0
    logs = np.log(np.abs(ends / _SMALL)) / _SHORT
    return {"almost": float(logs.mean()), "square": 0.5 * math.log(float(np.mean((ends / _SMALL) ** 2))) / _SHORT}


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Counts against the exact law, both thresholds and descent's, times against the law and the logarithm."""
    paths = [e for e in entries if not e["descent"]]
    by_rate = sorted((e for e in paths if e["distance"] == START), key=lambda e: float(e["eta"]))
    missed = [c for c, e in zip(_chances(by_rate), by_rate, strict=True) if not c.low <= e["chance"] <= c.high]
    yield Certificate(f"of {len(by_rate)} intervals of chances to leave, those without the exact one", "equal",
                      float(len(missed)), 0.0)  # fmt: skip
    a = TOY.curvatures
    square = largest_rate(float(a.mean()), float(a.std()), WithoutReplacement(2))
    almost = almost_sure_rates(a)[0][1]
    for name, known in (("square", square), ("almost", almost)):
        seen = float(np.interp(0.0, [e[name] for e in by_rate], [e["eta"] for e in by_rate]))
        what = "in mean square" if name == "square" else "almost surely"
        yield Certificate(f"largest stable eta {what}", "equal", seen, known, NEAR * known)
    yield from _of_descent([e for e in entries if e["descent"]])
    last = by_rate[-1]
    yield Certificate(
        f"eta = {LEAVING}: share of {last['runs']} paths that left", "equal", last["left"] / last["runs"], 1.0
    )
    above = max(e["chance"] - bound(e) for e in by_rate)
    yield Certificate("chance to leave less (distance/radius)^theta, its proved bound", "at most", above, 0.0, 1e-12)
    yield from _of_times(sorted((e for e in paths if e["eta"] == LEAVING), key=lambda e: float(e["distance"])))


def _of_descent(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """The middle between the last eta at which it stays and the first at which it leaves."""
    stays = max(float(e["eta"]) for e in entries if not e["left"])
    leaves = min(float(e["eta"]) for e in entries if e["left"])
    yield Certificate("gradient descent: largest stable eta", "equal", 0.5 * (stays + leaves), 1.0, 0.02)


def _of_times(entries: Sequence[Entry]) -> Iterator[Certificate]:
    off = max(abs(e["mean"] - e["exact"]) / e["error"] for e in entries)
    yield Certificate(
        "mean time to leave against the exact law, in standard errors", "at most", off, 0.0, STANDARD_ERRORS
    )
    fitted = line(-np.log([e["distance"] for e in entries]), np.array([e["mean"] for e in entries]))
    rate = lyapunov(TOY.curvatures, LEAVING)
    within = f"95 %: {fitted.low * rate:.4f} to {fitted.high * rate:.4f}"
    claim = f"slope of the mean time in log(1/distance), times lambda ({within})"
    yield Certificate(claim, "equal", fitted.slope * rate, 1.0, 0.02)
    # what is left is log(radius) and the mean overshoot, -5.6 steps together
    for e in (e for e in entries if e["distance"] == CLOSE):
        part = e["mean"] * rate / -math.log(CLOSE)
        yield Certificate(f"mean time from {CLOSE:g} over log(1/distance)/lambda", "equal", part, 1.0, 0.1)


def bound(entry: Entry) -> float:
    """(distance/radius)^theta."""
    return float((entry["distance"] / RADIUS) ** exponent(TOY.curvatures, entry["eta"]))


def _chances(entries: Sequence[Entry]) -> list[Chance]:
    return chances([(int(e["left"]), int(e["runs"])) for e in entries])


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """Shares that left over eta, and times over log(1/distance)."""
    from wflow.picture import escape, save

    paths = [e for e in entries if not e["descent"]]
    by_rate = sorted(
        (e for e in paths if e["distance"] == START and 0.535 < e["eta"] < 0.65), key=lambda e: float(e["eta"])
    )
    shares = {float(e["eta"]): (c.share, c.low, c.high) for e, c in zip(by_rate, _chances(by_rate), strict=True)}
    fine = np.linspace(min(shares), max(shares), 121)
    exact = np.array([exits(TOY.curvatures, float(eta), RADIUS / START, STEPS).sum() for eta in fine])
    a = TOY.curvatures
    thresholds = {
        "mean square": largest_rate(float(a.mean()), float(a.std()), WithoutReplacement(2)),
        "almost surely": almost_sure_rates(a)[0][1],
    }
    times: list[Array] = [
        np.array([e["distance"], e["mean"], e["error"], e["exact"]]) for e in paths if e["eta"] == LEAVING
    ]
    return save(escape(shares, (fine, exact), thresholds, np.array(times), lyapunov(a, LEAVING)), path)


ESCAPE = Study("escape", "how often and how soon does SGD leave a sharp minimum?", cells, measure, claims, draw)
