"""This file owns the study of global convergence: long runs of deep limits from many starts, and what they span.

To t = 300 and more: two and three layers with independent weights, in all of R^d and in a box; independent, latent and
staircase starts of depth 4 and more; three losses; and in the plane a start that sees one coordinate of two, beside
one that sees both. At each saved time the monitor of wflow.deep.universal looks at features and weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from solvers.deep import GradientFlow
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.deep.loop import solve
from wflow.deep.nodes import Rule, Sampled, Tensor, Watched
from wflow.deep.problems import deep_problem
from wflow.deep.universal import Seen, least_risk, line_monitor, plane_monitor, seen_share, verdict, watch
from wflow.deep.universal.monitor import FIRST, LAST, NORMS, greatest_speeds, last_speeds

FULL, BOX, INDEPENDENT, LATENT, STAIRCASE = "full support", "box", "independent", "latent", "staircase"
PLANE, AXIS = "plane, both coordinates", "plane, one coordinate"
CONVEX, OTHERS = "half_square", ("tanh_square", "cauchy")
TIMES = (0.0, 1.0, 3.0, 10.0, 20.0, 40.0, 70.0, 100.0, 150.0, 200.0, 250.0, 300.0)
LATER = (400.0, 500.0, 600.0, 700.0, 800.0, 900.0, 1000.0, 1200.0, 1500.0)
WATCHED = 200
NEAR, TWO_LAYERS, LEFT = 5e-4, 1e-3, 0.9
"""F(300) of three layers and of two; what share of F(300) of independent weights, L = 4, is below that plateau."""
ABOVE, FAR, SPANNED = 1e-3, 50.0, 0.3
"""Of the start of one coordinate above its bound at 300; how far the other one gets below that bound;
the median distance of the twenty while w_1 has full support, chosen after seeing .23 (the start of one: .98)."""
SEEN = (0, 2)
"""The inputs that the start of one coordinate sees: x_1 and the constant."""


@dataclass(frozen=True)
class Case:
    """A problem's name, its nodes, and until when."""

    problem: str
    rule: Rule
    times: tuple[float, ...] = TIMES
    step: float = 0.2


def case(start: str, depth: int) -> Case:
    """Nodes by Gauss rules, and labels of w_1 that watch; a latent start at 7 x 7 a layer."""
    match start:
        case "full support":
            rule = Tensor(6) if depth == 2 else Tensor((12, 12))
            return Case("sine_full_support", _watched(rule, depth))
        case "box":
            return Case("sine_independent", _watched(Tensor((10, 12)), 3))
        case "independent":
            rule = Tensor((10, *(1,) * (depth - 3), 12))
            return Case("sine_collapse", _watched(rule, depth), TIMES + LATER, 0.1)
        case "latent":
            return Case("sine_latent", _watched(Tensor(7), depth), TIMES + LATER[: {4: 0, 5: 2}.get(depth, 7)], 0.1)
        case "staircase":
            return Case("sine_staircase", _watched(Tensor(3), depth), TIMES + LATER[:7], 0.1)
        case "plane, both coordinates":
            return Case("plane_full_support", _watched(Tensor((6, 8)), depth))
        case _:
            return Case("plane_one_axis", _watched(Tensor((6, 8)), depth))


def _watched(rule: Tensor, depth: int) -> Watched:
    """With labels of w_1 that do not act, and one in each layer behind."""
    return Watched(rule, Sampled((WATCHED, *(1,) * (depth - 2)), seed=1))


def cells(quick: bool) -> list[Cell]:
    """One a start, depth and loss; a quick study takes the half square and few depths."""
    asked = [(FULL, 3), (INDEPENDENT, 4), (LATENT, 4), (PLANE, 3), (AXIS, 3)]
    found: list[Cell] = [{"start": s, "depth": d, "loss": CONVEX} for s, d in asked]
    if quick:
        return found
    more = [(FULL, 2), (BOX, 3), (LATENT, 5), (LATENT, 6), (STAIRCASE, 4)]
    found += [{"start": s, "depth": d, "loss": CONVEX} for s, d in more]
    losses = [(FULL, 2), (FULL, 3), (BOX, 3), (PLANE, 3), (AXIS, 3)]
    return found + [{"start": s, "depth": d, "loss": loss} for s, d in losses for loss in OTHERS]


def measure(start: str, depth: int, loss: str) -> Record:
    """F, the speed of w_L, what the monitor sees at each saved time, and the verdict at the end."""
    chosen = case(start, depth)
    given: dict[str, Any] = {"depth": depth} if start != BOX else {}
    given |= {"loss": loss} if start in (FULL, BOX, PLANE, AXIS) else {}
    flow = deep_problem(chosen.problem, horizon=chosen.times[-1], **given).flow
    run = solve(flow, GradientFlow(chosen.rule), dt=chosen.step, times=chosen.times)
    flat = start in (PLANE, AXIS)
    monitor, speeds = plane_monitor() if flat else line_monitor(), last_speeds(run)
    seen = watch(run, monitor)
    least = least_risk(flow.data, flow.loss, range(flow.data.inputs.shape[1]))
    fastest = float(greatest_speeds(run)[-1])
    words = verdict(flow, float(run.energies[-1]) - least, fastest, tolerance=NEAR)
    found: dict[str, Any] = {
        "times": run.times.tolist(),
        "energies": run.energies.tolist(),
        "speeds": speeds.tolist(),
        "words": words,
    }
    if flat:
        shares = seen_share(monitor.table, monitor.inputs, monitor.weights, SEEN)
        found["bound"] = least_risk(flow.data, flow.loss, SEEN)
        found["nearer"] = float(min(np.min(one.distances - shares) for one in seen))
        found["listens"] = float(max(np.max(np.abs(net.first[:, 1])) for net in run.networks))
    return found | _spans(seen)


def _spans(seen: Sequence[Seen]) -> dict[str, Any]:
    """Lists over times: medians and worst of the twenty distances at the middle norm, ranks, holes, caps; and the
    medians at all norms at the end."""
    found: dict[str, Any] = {
        "holes": [one.hole for one in seen],
        "caps": [one.cap for one in seen],
        "ranks": [list(one.ranks) for one in seen],
    }
    for layer, name in ((FIRST, "first"), (LAST, "last")):
        tables = np.array([one.distances[layer] for one in seen])
        found[f"{name} median"] = np.median(tables[:, 1], axis=1).tolist()
        found[f"{name} worst"] = np.max(tables[:, 1], axis=1).tolist()
        found[f"{name} end"] = np.median(tables[-1], axis=1).tolist()
    return found


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Of every run that F falls and no verdict refutes; then starts against each other, controls, and the monitor."""
    risen = max(float(np.max(np.diff(e["energies"]))) for e in entries)
    yield Certificate("largest rise of F between saved times", "at most", risen, 0.0)
    refuted = sum(str(e["words"]).startswith("refuted") for e in entries)
    yield Certificate("runs at rest above inf F where the theorem speaks", "equal", float(refuted), 0.0)
    for e in entries:
        if e["start"] in (FULL, BOX):
            limit = TWO_LAYERS if e["depth"] == 2 else NEAR
            yield Certificate(f"{_name(e)}, {e['loss']}: F(300)", "at most", _at(e, 300.0), limit)
    yield from _deep(entries)
    yield from _controls(entries)
    yield from _monitored(entries)


def _deep(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Starts of depth 4 and more against the plateau of independent ones of depth 4, which these leave later."""
    plateau = next(e for e in entries if e["start"] == INDEPENDENT)
    level, last = _at(plateau, 300.0), plateau["times"][-1]
    yield Certificate("independent, L = 4: F(200)/F(300)", "equal", _at(plateau, 200.0) / level, 1.0, 0.02)
    yield Certificate(f"independent, L = 4: F({last:g})/F(300)", "at most", _at(plateau, last) / level, LEFT)
    for e in entries:
        if e["start"] in (LATENT, STAIRCASE):
            end = e["times"][-1]
            words = f"{_name(e)}: F({end:g}) over F(300) of independent weights, L = 4"
            yield Certificate(words, "at most", _at(e, end) / level, LEFT)


def _controls(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """One coordinate: w_1 stays 0 on the other, F above its bound and near it, distances above theirs."""
    ends = {(e["start"], e["loss"]): e for e in entries if e["start"] in (PLANE, AXIS)}
    for (start, loss), e in ends.items():
        bound, energies = e["bound"], np.array(e["energies"])
        if start == PLANE:
            ratio = bound / energies[-1]
            yield Certificate(f"{PLANE}, {loss}: bound of one coordinate over F(300)", "at least", ratio, FAR)
            continue
        yield Certificate(f"{AXIS}, {loss}: largest w_1 on the other", "at most", e["listens"], 0.0, 1e-12)
        yield Certificate(f"{AXIS}, {loss}: least F less its bound", "at least", float(energies.min()) - bound, 0.0)
        yield Certificate(f"{AXIS}, {loss}: F(300) less its bound", "at most", energies[-1] - bound, ABOVE)
        yield Certificate(f"{AXIS}, {loss}: distances less shares not seen", "at least", e["nearer"], 0.0, 1e-12)


def _monitored(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """Full support: holes hardly grow, first features span at all times. The control: a hole that stays."""
    for e in entries:
        if e["start"] in (FULL, PLANE):
            grown = float(np.max(e["holes"])) / e["holes"][0]
            words = f"{_name(e)}, {e['loss']}: largest hole of w_1 over that of the start"
            yield Certificate(words, "at most", grown, 2.0)
            words = f"{_name(e)}, {e['loss']}: median distance to first features at norm {NORMS[1]:g}, largest"
            yield Certificate(words, "at most", float(np.max(e["first median"])), SPANNED)
        if e["start"] == AXIS:
            words = f"{AXIS}, {e['loss']}: least hole of w_1 in [-2, 2]^3"
            yield Certificate(words, "at least", float(np.min(e["holes"])), 2.0)


def _at(e: Entry, t: float) -> float:
    """F at a saved time."""
    return float(e["energies"][e["times"].index(t)])


def _name(e: Entry) -> str:
    return f"{e['start']}, L = {e['depth']}"


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """F on the line and in the plane, distances to first and last features, holes."""
    from wflow.picture import Panel, over_time, save

    line = [e for e in entries if e["start"] not in (PLANE, AXIS)]
    flat = [e for e in entries if e["start"] in (PLANE, AXIS)]
    half = [e for e in entries if e["loss"] == CONVEX]
    bounds = {f"bound, {e['loss']}": e["bound"] for e in flat if e["start"] == AXIS}
    medians = {(_name(e), k): (e["times"], e[f"{k} median"]) for e in half for k in ("first", "last")}
    panels = [
        Panel("$y = \\sin \\pi x$", "F", {(_name(e), e["loss"]): (e["times"], e["energies"]) for e in line}),
        Panel(
            "two waves in the plane", "F", {(_name(e), e["loss"]): (e["times"], e["energies"]) for e in flat}, bounds
        ),
        Panel("first and last hidden layer", f"median of 20 distances, norm {NORMS[1]:g}", medians),
        Panel("first layer", "largest hole of $w_1$", {(_name(e), ""): (e["times"], e["holes"]) for e in half}),
    ]
    return save(over_time(panels), path)


CONVERGENCE = Study(
    "convergence",
    "from which starts do deep networks reach inf F, and what do they span?",
    cells,
    measure,
    claims,
    draw,
)
