"""This file owns `wflow verify --ranks N`: flows solved by one process and by N, which must agree.

The N are a job of their own, started by mpiexec:   mpiexec -n N python -m wflow.app.ranked FOLDER
    FOLDER/tasks.json     what is solved       FOLDER/K.npz   the trajectory of each, as `wflow run` stores it
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wflow.app.methods import FURTHER, METHODS
from wflow.app.rows import plain
from wflow.app.settings import UsageError, problem
from wflow.app.study import Row, suited
from wflow.certificates import Certificate
from wflow.convergence import Laboratory
from wflow.errors import WflowError
from wflow.loop import solve
from wflow.problems import Problem
from wflow.ranks import on_ranks
from wflow.solver import Solver
from wflow.store import pack, unpack
from wflow.trajectory import Trajectory

STEPS = 64
AGREED = 1e-10
"""Of densities in L1 and of F, relative to max(1, |F_0|)."""
_TIGHT = 1e-12
"""Tolerance of inner iterations, so that they stop at the same answer."""
TASKS = "tasks.json"
_TABLE = "table"


@dataclass(frozen=True)
class Task:
    """One flow of one method, in that many equal steps."""

    problem: Problem
    method: int
    quick: bool
    steps: int

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> "Task":
        """What `written` gave."""
        posed = problem(entry["problem"], {key: _read(value) for key, value in entry["parameters"].items()})
        return cls(posed, entry["method"], entry["quick"], entry["steps"])

    def written(self) -> dict[str, Any]:
        """As JSON has it; the method by its place in METHODS and FURTHER."""
        given = self.problem.parameters.items()
        parameters = {key: _pairs(value) for key, value in given if value is not None}
        return {
            "problem": self.problem.name, "parameters": parameters, "method": self.method, "quick": self.quick,
            "steps": self.steps,
        }  # fmt: skip

    @property
    def solver(self) -> Solver:
        """At the resolution of a study, its inner iterations tight."""
        return _tight(suited((*METHODS, *FURTHER)[self.method], self.problem, self.quick))

    def solved(self) -> Trajectory:
        """On the ranks that there are."""
        return solve(self.problem.flow, self.solver, steps=self.steps)


def ranked(problems: Sequence[Problem], ranks: int, *, quick: bool, told: Callable[[str, int, int], None]) -> list[Row]:
    """Rows of every method of solvers.fem that takes each problem.

    Raises UsageError where there is no mpiexec.
    """
    launcher = mpiexec()
    rows, tasks, alone = list[Row](), list[Task](), list[Trajectory]()
    pairs = [(p, place) for p in problems for place, s in enumerate((*METHODS, *FURTHER)) if s.distributed]
    for k, (posed, place) in enumerate(pairs):
        task = Task(posed, place, quick, STEPS)
        solver = task.solver
        told(f"{posed.name} by {solver} on 1 rank", k, len(pairs) + 1)
        if (reason := solver.refusal(posed.flow)) is not None:
            rows.append(Row(posed.name, posed.parameters, (str(solver),), None, 0.0, reason))
            continue
        try:
            alone.append(Laboratory(posed.flow).enough(solver, STEPS))
        except WflowError as error:
            rows.append(Row(posed.name, posed.parameters, (str(solver),), _failed(error), 0.0))
            continue
        tasks.append(replace(task, steps=alone[-1].steps))
    told(f"{len(tasks)} flows on {ranks} ranks", len(pairs), len(pairs) + 1)
    return rows + _compared(launcher, ranks, tasks, alone)


def _compared(launcher: str, ranks: int, tasks: Sequence[Task], alone: Sequence[Trajectory]) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.monotonic()
        (folder / TASKS).write_text(json.dumps([task.written() for task in tasks]), encoding="utf-8")
        said = _run(launcher, ranks, folder)
        seconds, rows = (time.monotonic() - began) / max(1, len(tasks)), []
        for k, (task, run) in enumerate(zip(tasks, alone, strict=True)):
            path = folder / f"{k}.npz"
            found = list(_agreement(ranks, run, path)) if path.is_file() else [_failed(said)]
            posed, label = task.problem, (str(task.solver),)
            rows += [Row(posed.name, posed.parameters, label, c, seconds) for c in found]
    return rows


def _agreement(ranks: int, run: Trajectory, path: Path) -> list[Certificate]:
    other = unpack(path.read_bytes())
    pairs = zip(run.measures, other.measures, strict=True)
    apart = max(float(np.abs(a.weights - b.weights).sum()) for a, b in pairs)
    energies = float(np.max(np.abs(run.energies - other.energies))) / max(1.0, abs(float(run.energies[0])))
    return [
        Certificate(f"{ranks} ranks end and pass where one does (L1)", "at most", apart, 0.0, AGREED),
        Certificate(f"{ranks} ranks have the energies of one", "at most", energies, 0.0, AGREED),
    ]


def _pairs(value: Any) -> Any:
    """A parameter as JSON has it; a table, whose keys may be numbers, as its pairs."""
    return {_TABLE: [list(pair) for pair in value.items()]} if isinstance(value, Mapping) else plain(value)


def _read(value: Any) -> Any:
    return dict(value[_TABLE]) if isinstance(value, dict) else value


def _failed(why: object) -> Certificate:
    named = f"{type(why).__name__}: {why}" if isinstance(why, WflowError) else why
    return Certificate(f"no run fails; {named}", "equal", 1.0, 0.0, 0.0)


def _tight(solver: Solver) -> Solver:
    if not hasattr(solver, "tolerance"):
        return solver
    tight: Solver = replace(solver, tolerance=_TIGHT)  # type: ignore[type-var]
    return tight


def mpiexec() -> str:
    """The launcher of this environment, or the one on PATH; UsageError where there is none."""
    own = Path(sysconfig.get_path("scripts")) / "mpiexec"
    found = str(own) if own.is_file() else shutil.which("mpiexec")
    if found is None:
        raise UsageError("--ranks: no mpiexec beside this Python nor on PATH; install DOLFINx (the extra fem) with MPI")
    return found


def _run(launcher: str, ranks: int, folder: Path) -> str:
    """What the job said at its end; its answers are in the folder."""
    command = [launcher, "-n", str(ranks), sys.executable, "-m", "wflow.app.ranked", str(folder)]
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"mpiexec ended with status {done.returncode} without a word"


def main(folder: Path) -> None:
    """The job's own part: what fails on every rank is left out, what fails on one ends the job."""
    tasks = [Task.read(entry) for entry in json.loads((folder / TASKS).read_text(encoding="utf-8"))]
    with on_ranks() as ranks:
        for k, task in enumerate(tasks):
            try:
                run = task.solved()
            except WflowError as error:
                if not ranks.all_here():
                    raise
                sys.stderr.write(f"{type(error).__name__}: {error}\n" if ranks.number == 0 else "")
                continue
            if ranks.number == 0:
                (folder / f"{k}.npz").write_bytes(pack(run))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
