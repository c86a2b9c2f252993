"""This file owns the study of quenching and activation: whose magnitudes grow in time, by three models.

The population risk in closed form, so that n = infinity. f = m^-s sum_j a_j relu(b_j . x) from a = 0, b ~ N(0, I/d):
the network (s = 0) and mean-field scaling (s = 1) by gradient descent, random features (s = 0, b frozen) exactly in
time; all in mean-field time, which for s = 0 is that of w' = -grad F (wflow.implicit.scaling).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from solvers.particles import GradientDescent, Sampled
from wflow import problems
from wflow.app.studies.bias import FEATURES, MODELS, NETWORK, SCALINGS, even
from wflow.app.studies.sweep import Cell, Entry, Record, Study
from wflow.certificates import Certificate
from wflow.implicit.diagnostics import active, alignment, carriers, magnitudes, path_norm, projections
from wflow.implicit.features import RandomFeatures
from wflow.implicit.targets import Kind, directions_of, population, teacher
from wflow.loop import solve
from wflow.measure import Particles

CASES: dict[str, tuple[Kind, int, int, int, float]] = {
    "single, d = 200": ("single", 1, 100, 200, 100.0),
    "5 teachers": ("several", 5, 50, 100, 1000.0),
    "40 teachers": ("several", 40, 50, 100, 1000.0),
    "ring": ("ring", 1, 50, 100, 1000.0),
    "single, d = 100": ("single", 1, 50, 100, 100.0),
}
"""Teacher, how many, m, d, and the last time."""
SEED = 0
_SAVED = 14


def cells(quick: bool) -> list[Cell]:
    """Every teacher and model; for a quick study one neuron alone."""
    return [{"case": case, "model": model} for case in (list(CASES)[-1:] if quick else CASES) for model in MODELS]


def measure(case: str, model: str) -> Record:
    """At some 15 times: F, |c_j|, active neurons, alignment, path norm; at the end projections on two teachers."""
    kind, count, _, dim, last = CASES[case]
    times = even(last, 0.5, _SAVED)
    target = teacher(kind, dim, teachers=count, seed=SEED)
    start, *found = _run(case, model, times)
    units = directions_of(target)
    axes = units[[0, len(units) // 4]] if kind == "ring" else np.eye(dim)[:2] if len(units) < 2 else units[:2]
    energy = population(target)
    return {
        "times": times,
        "energies": [energy.value(pi) for pi in found],
        "begun": energy.value(start),
        "magnitudes": [magnitudes(pi).tolist() for pi in found],
        "active": [active(pi) for pi in found],
        "tenth": [active(pi, share=0.1) for pi in found],
        "carriers": [carriers(pi) for pi in found],
        "alignment": [alignment(pi, units) for pi in found],
        "path": [path_norm(pi) for pi in found],
        "projections": projections(found[-1], axes).tolist(),
    }


def _run(case: str, model: str, times: Sequence[float]) -> Sequence[Particles]:
    """The network at 0 and at the times."""
    kind, count, m, dim, last = CASES[case]
    flow = problems.quenching(kind, dim, m, SCALINGS[model], teachers=count, seed=SEED, horizon=last).flow
    if model == FEATURES:
        start = Particles(flow.domain, Sampled(SEED).points(flow, m))
        exact = RandomFeatures.of_population(start, teacher(kind, dim, teachers=count, seed=SEED))
        return [exact.at(t) for t in (0.0, *times)]
    run = solve(flow, GradientDescent(m, Sampled(SEED)), dt=0.1 if m > 50 else 0.2, times=times)
    return [pi for pi in run.measures if isinstance(pi, Particles)]


def claims(entries: Sequence[Entry]) -> Iterator[Certificate]:
    """One neuron: together, then apart, few against many. Every teacher: the network ends below random features."""
    by = {(e["case"], e["model"]): e for e in entries}
    for case in dict.fromkeys(e["case"] for e in entries):
        net, features, field = (by[case, model] for model in MODELS)
        m, last = len(net["magnitudes"][-1]), f"t = {net['times'][-1]:g}"
        first = abs(net["energies"][0] / features["energies"][0] - 1.0)
        yield Certificate(f"{case}: F of network and random features at t = .5, ratio less 1", "at most", first, 0.05)
        ratio = net["energies"][-1] / features["energies"][-1]
        yield Certificate(f"{case}: F of the network at {last}, of that of random features", "at most", ratio, 0.5)
        if case.startswith("single"):
            yield Certificate(f"{case}: F(0)", "equal", net["begun"], 0.25, 1e-15)
            yield Certificate(f"{case}: carriers of the network, of {m}", "at most", net["carriers"][-1], 0.1 * m)
            yield Certificate(f"{case}: of random features", "at least", features["carriers"][-1], 0.5 * m)
            yield Certificate(f"{case}: in mean-field scaling", "at least", field["carriers"][-1], 0.5 * m)
            yield Certificate(f"{case}: active there", "at least", field["active"][-1], 0.8 * m)
    if (case := next(iter(CASES))) in {e["case"] for e in entries}:
        yield Certificate(f"{case}: F of the network", "at most", by[case, NETWORK]["energies"][-1], 2e-3)
        yield Certificate(f"{case}: F of random features", "at least", by[case, FEATURES]["energies"][-1], 0.12)
        yield Certificate(f"{case}: active neurons of the network", "at most", by[case, NETWORK]["active"][-1], 10.0)


def draw(entries: Sequence[Entry], path: Path) -> Path:
    """A row a teacher: magnitudes in time by the three models, and F; in a second file contributions at the end."""
    from wflow.picture import magnitudes_in_time, projected, save

    table = {
        case: {e["model"]: (e["times"], e["magnitudes"], e["energies"]) for e in entries if e["case"] == case}
        for case in dict.fromkeys(e["case"] for e in entries)
    }
    ends = {
        case: {e["model"]: e["projections"] for e in entries if e["case"] == case}
        for case in dict.fromkeys(e["case"] for e in entries)
    }
    save(projected(ends), path.with_name(f"{path.stem}_projections.png"))
    return save(magnitudes_in_time(table), path)


QUENCHING = Study(
    "quenching", "which neurons carry a network in time, as it learns one neuron, several, a ring?",
    cells, measure, claims, draw,
)  # fmt: skip
