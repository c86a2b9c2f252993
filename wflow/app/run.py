"""This file owns `wflow run`: one config solved into one run folder.

config.toml    as it was given      results.json   rows, and W2 between the runs and to what is known
N-SOLVER.npz   the trajectories     figures/*.png
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from wflow.app.config import Config
from wflow.app.figures import of_runs, shared_times
from wflow.app.progress import Fractions, Report
from wflow.app.provenance import machine, versions
from wflow.app.rows import RESULTS, as_json, plain
from wflow.app.study import Row
from wflow.certificates import generalises, kept, moved_downhill, truncated
from wflow.errors import Refused
from wflow.law import Law
from wflow.loop import solve
from wflow.measure import Measure
from wflow.problems import Problem
from wflow.solver import Solver
from wflow.store import RunFolder, now, pack, slug
from wflow.trajectory import Trajectory
from wflow.transport import w2

COMPARED = 5
"""Times, both ends among them, at which runs are compared with each other."""

Runs = dict[str, Trajectory]


def run(config: Config, folder: RunFolder, report: Report, *, every: int) -> None:
    """Solve the config with each of its solvers into a new folder; progress is told in `every`-ths."""
    with folder.recorded():
        folder.write("config.toml", config.text.encode())
        folder.note(**_origin(config))
        runs, rows = {}, []
        for place, (label, solver) in enumerate(config.solvers.items(), 1):
            began = time.monotonic()
            runs[label] = solve(
                config.problem.flow, solver, progress=Fractions(label, report, every=every), **config.options
            )
            seconds = time.monotonic() - began
            file = f"{place:02d}-{slug(label)}.npz"
            folder.write(file, pack(runs[label]))
            _record(folder, label, file, runs[label], seconds)
            rows += list(_rows(config.problem, label, runs[label], seconds))
        results = {"rows": [as_json(row) for row in rows], "distances": list(distances(config.problem, runs))}
        folder.write(RESULTS, json.dumps(results, indent=1, allow_nan=False).encode())
        report("drawing", 100, 100)
        for drawn in of_runs(config.problem, runs):
            folder.write(f"figures/{drawn.name}.png", drawn.png)
        folder.note(ended=now())


def _origin(config: Config) -> dict[str, Any]:
    """What the manifest says of how the run was made."""
    origin: dict[str, Any] = {
        "versions": versions(),
        "machine": machine(),
        "seed": {label: _seed(solver) for label, solver in config.solvers.items()},
        "problem": {"name": config.problem.name, "parameters": plain(config.problem.parameters)},
        "solve": plain(config.options),
        "runs": {},
    }
    if config.csv is not None:
        origin["csv"] = {"path": str(config.csv), "sha256": hashlib.sha256(config.csv.read_bytes()).hexdigest()}
    return origin


def _seed(solver: Solver) -> int | None:
    """The seed of a random solver or of a sampled start."""
    seed = getattr(solver, "seed", getattr(getattr(solver, "start", None), "seed", None))
    return seed if isinstance(seed, int) else None


def _record(folder: RunFolder, label: str, file: str, run: Trajectory, seconds: float) -> None:
    """One finished run in the manifest and the log."""
    energies = {"start": plain(float(run.energies[0])), "end": plain(float(run.energies[-1]))}
    entry = {
        "file": file,
        "steps": run.steps,
        "horizon": float(run.times[-1]),
        "energy": energies,
        "dissipated": plain(float(run.dissipated[-1])),
        "seconds": round(seconds, 3),
    }
    folder.note(runs={**folder.manifest["runs"], label: entry})
    folder.log(f"{label}: {run.steps} steps in {seconds:.1f} s, F {energies['start']} -> {energies['end']}")


def _rows(problem: Problem, label: str, run: Trajectory, seconds: float) -> Iterator[Row]:
    """What the solver says it keeps."""
    for certificate in (*kept(run), *truncated(run), *moved_downhill(run), *generalises(problem, run)):
        yield Row(problem.name, problem.parameters, (label,), certificate, seconds)


def distances(problem: Problem, runs: Mapping[str, Trajectory]) -> Iterator[dict[str, Any]]:
    """W2 of every two runs at five shared times, and of each end to the laws that are known."""
    shared = shared_times(list(runs.values()))
    chosen = sorted({shared[round(k * (len(shared) - 1) / (COMPARED - 1))] for k in range(COMPARED)})
    for (a, first), (b, second) in combinations(runs.items(), 2):
        for t in chosen:
            yield _distance(a, b, t, first.at(t), second.at(t))
    known = {
        "exact answer": problem.exact(shared[-1]),
        "minimiser": problem.minimiser,
        "predicted limit": problem.limit,
    }
    for label, trajectory in runs.items():
        for what, law in known.items():
            if law is not None:
                yield _distance(label, what, shared[-1], trajectory.final, law)


def _distance(a: str, b: str, t: float, first: Measure, second: Measure | Law) -> dict[str, Any]:
    try:
        return {"from": a, "to": b, "time": t, "w2": w2(first, second)}
    except Refused as reason:
        return {"from": a, "to": b, "time": t, "refused": str(reason)}
