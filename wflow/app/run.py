"""This file owns `wflow run` and `wflow resume`: one config solved into one run folder, in one session or several.

config.toml    as it was given      results.json   rows, and W2 between the runs and to what is known
N-SOLVER.npz   the trajectories     figures/*.png
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from wflow.app.config import Config
from wflow.app.figures import of_runs, shared_times
from wflow.app.progress import Fractions, Report
from wflow.app.resume import CHECKPOINTS, CONFIG, checkpoints, continued, mark, origin, places
from wflow.app.rows import RESULTS, as_json, plain
from wflow.app.study import Row
from wflow.certificates import global_gap, of_run
from wflow.errors import Refused
from wflow.law import Law
from wflow.loop import solve
from wflow.measure import Measure
from wflow.problems import Problem
from wflow.ranks import ALONE, Ranks, alone
from wflow.store import RunFolder, now, pack, unpack
from wflow.trajectory import Trajectory
from wflow.transport import w2

COMPARED = 5
"""Times, both ends among them, at which runs are compared with each other."""

Runs = dict[str, Trajectory]


@dataclass(frozen=True)
class Session:
    """One process, or several ranks, at one run folder: whom it tells, progress in `quanta`-ths, and the seconds
    between checkpoints. The first rank alone writes the folder; asked: whether this one was told to stop.
    """

    folder: RunFolder
    report: Report
    warn: Callable[[str], None]
    quanta: int
    every: float
    ranks: Ranks = ALONE
    asked: Callable[[], bool] = lambda: False

    @property
    def writes(self) -> bool:
        """Of one rank."""
        return self.ranks.number == 0

    @contextmanager
    def writing(self, *, recorded: bool = True) -> Iterator[None]:
        """The folder locked, and its status kept."""
        with ExitStack() as held:
            if self.writes:
                held.enter_context(self.folder.recorded() if recorded else self.folder.locked())
            self.ranks.wait()
            yield

    def tell(self, line: str) -> None:
        """What the user must know, into the log too."""
        if self.writes:
            self.folder.log(line)
            self.warn(line)


def run(config: Config, session: Session) -> None:
    """Solve the config with each of its solvers into a new folder."""
    folder = session.folder
    with session.writing(recorded=False), session.writing():
        if session.writes:
            folder.write(CONFIG, config.text.encode())
            folder.note(**origin(config))
        _fill(config, session)


def resume(session: Session) -> None:
    """Continue what was interrupted, killed or failed: it ends where it would have ended. UsageError says why not."""
    folder = session.folder
    with session.writing(recorded=False):
        config, changes = continued(folder)
        with session.writing():
            if session.writes:
                folder.tidy()
                folder.note(resumed=[*folder.manifest.get("resumed", []), now()])
            for line in changes:
                session.tell(line)
            _fill(config, session)


def _fill(config: Config, session: Session) -> None:
    """Solve what is not yet solved, and write down what it all says."""
    for label, place in places(config.solvers).items():
        if session.ranks.told(session.writes and label not in session.folder.manifest["runs"]):
            _solve(config, label, place, session)
    if session.writes:
        with alone():
            _write_down(config, session)
    session.ranks.wait()


def _write_down(config: Config, session: Session) -> None:
    """What the finished runs say."""
    folder, runs, rows = session.folder, Runs(), list[Row]()
    for label, place in places(config.solvers).items():
        # what is said here is said of what was stored, whichever session stored it
        saved = unpack(folder.read(f"{place}.npz"))
        runs[label] = saved.trajectory(config.problem.flow, config.solvers[label])
        rows += _rows(config.problem, label, runs[label], folder.manifest["runs"][label]["seconds"])
    results = {"rows": [as_json(row) for row in rows], "distances": list(distances(config.problem, runs))}
    folder.write(RESULTS, json.dumps(results, indent=1, allow_nan=False).encode())
    session.report("drawing", 100, 100)
    for drawn in of_runs(config.problem, runs):
        folder.write(f"figures/{drawn.name}.png", drawn.png)
    # a process may have been killed after it had recorded a run and before it had removed its checkpoints
    if (folder.path / CHECKPOINTS).is_dir():
        shutil.rmtree(folder.path / CHECKPOINTS)
    folder.note(ended=now())


def _solve(config: Config, label: str, place: str, session: Session) -> None:
    """One solver from where it stands to the end: its trajectory stored and recorded, its checkpoints removed.

    On several ranks by all of them; what takes one rank by the first, while the others wait.
    """
    folder, solver, ranks = session.folder, config.solvers[label], session.ranks
    shared = ranks.size > 1 and solver.distributed
    if shared or session.writes:
        # a rank that is stopped alone tells the others below
        lone = ranks.size > 1 and not shared
        stopped: AbstractContextManager[None] = suppress(KeyboardInterrupt) if lone else nullcontext()
        with stopped, nullcontext() if shared else alone():
            store = checkpoints(
                folder, place, mark(config), every=session.every, tell=session.tell,
                ranks=ranks if shared else ALONE, asked=session.asked,
            )  # fmt: skip
            fractions = Fractions(label, session.report, every=session.quanta)
            trajectory = solve(config.problem.flow, solver, progress=fractions, store=store, **config.options)
            if session.writes:
                folder.write(f"{place}.npz", pack(trajectory))
                _record(folder, label, f"{place}.npz", trajectory, store.seconds)
            store.clear()
    if ranks.most(float(session.asked())):  # a signal that came too late for the last step
        raise KeyboardInterrupt


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
    """What the solver says it keeps, and what is proved of F - inf F."""
    for certificate in (*of_run(problem, run), *global_gap(problem, run)):
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
