"""This file owns `wflow verify`: every problem by every solver that takes it, one row a claim."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from typing import Any

from wflow.app.deep import CHECKS, DEEP, table
from wflow.app.draws import SEED
from wflow.app.methods import FURTHER, METHODS
from wflow.app.ranked import ranked
from wflow.app.study import Outcome, Row, agreements, study, suited
from wflow.app.workers import workers as processes
from wflow.problems import NAMES, Problem, build, parameters_of
from wflow.solver import Solver

VERIFIED = tuple(name for name in NAMES if inspect.Parameter.empty not in parameters_of(name).values())
"""What `wflow verify` takes without names: the catalogue and its variants, less the problems that need a file."""
LONG = (
    "two_layer_1d_square", "two_layer_1d_waves", "keller_segel", "congestion_2d", "crowd", "sphere_teacher",
    "sphere_drift", "barenblatt_disk", "porous_well_disk", "displacement_convex_noisy",
)  # fmt: skip
"""Left out of a quick run of everything: on two axes, where studies take longest, and noisy variants."""
__all__ = ["LONG", "SEED", "VERIFIED", "Outcome", "Report", "Row", "verify"]


@dataclass(frozen=True)
class Report:
    """Problems with their outcomes, and every row: those of single solvers, then agreements of pairs."""

    problems: tuple[Problem, ...]
    outcomes: tuple[Outcome, ...]
    rows: tuple[Row, ...]
    seconds: float
    quick: bool

    @property
    def holds(self) -> bool:
        """Every claim holds."""
        return all(row.holds for row in self.rows)

    def of(self, problem: Problem) -> tuple[Outcome, ...]:
        """The outcomes of one problem that were run (not refused)."""
        return tuple(o for o in self.outcomes if o.problem == problem.name and o.times is not None)


Progress = Callable[[str, int, int], None]
Keep = Callable[[Report], None]


def verify(
    names: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    *,
    quick: bool = False,
    further: bool = False,
    workers: int = 2,
    ranks: int = 1,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Report:
    """Run every solver on every named problem (all by default) and certify what came out.

    The name "deep" stands for the table of multilayer networks (wflow.app.deep); it is one of all where none is named,
    unless ranks are compared.

    settings: parameters for the named problems, of which there must then be exactly one; of the table `rows`, names of
    its checks. quick: half the resolution,
    of all problems those that are not LONG, and of all methods those that are not costly. further: besides METHODS
    those that `run` takes in addition. ranks: on so many, which must agree with one (wflow.app.ranked), and nothing
    else.
    progress(what, done, total) is called as studies end, keep(report) with what there is so far, also where an
    exception ends it all: then without agreements of pairs. Raises ValueError for unknown names.
    """
    began = time.monotonic()
    settings = dict(settings or {})
    if settings and len(names) != 1:
        raise ValueError(
            f"--set: parameters need exactly one problem, got {len(names)}; name it: wflow verify NAME --set ..."
        )
    everything = [name for name in VERIFIED if not (quick and name in LONG)]
    rows_of_deep = settings.pop("rows", None) if list(names) == [DEEP] else None
    problems = [build(name, **settings) for name in dict.fromkeys(names or everything) if name != DEEP]
    progress = progress or (lambda what, done, total: None)
    if ranks > 1:
        found = tuple(ranked(problems, ranks, quick=quick, told=progress))
        return Report(tuple(problems), (), found, time.monotonic() - began, quick)
    rows: list[Row] = []
    if DEEP in names or not names:
        rows = table(CHECKS, rows=rows_of_deep, quick=quick, workers=workers, progress=progress)
    deep = tuple(rows)
    methods = (*METHODS, *FURTHER) if further else METHODS
    tasks = [
        (p.name, dict(p.parameters), suited(s, p, quick), quick) for p in problems for s in _asked(p, methods, quick)
    ]

    def so_far(outcomes: Sequence[Outcome]) -> None:
        rows = (*deep, *(row for outcome in outcomes for row in outcome.rows))
        if keep is not None:
            keep(Report(tuple(problems), tuple(outcomes), rows, time.monotonic() - began, quick))

    outcomes = _run_all(tasks, workers, progress, so_far) if tasks else []
    rows += [row for outcome in outcomes for row in outcome.rows]
    for problem in problems:
        rows += agreements(problem, [o for o in outcomes if o.problem == problem.name and o.times is not None])
    return Report(tuple(problems), tuple(outcomes), tuple(rows), time.monotonic() - began, quick)


def _asked(problem: Problem, methods: Sequence[Solver], quick: bool) -> Sequence[Solver]:
    """The methods of a study: in a quick one without the costly ones, unless no other takes the problem."""
    cheap = [method for method in methods if not method.costly]
    taken = any(suited(method, problem, quick).refusal(problem.flow) is None for method in cheap)
    return cheap if quick and taken else methods


Task = tuple[str, dict[str, Any], Solver, bool]


def _run_all(
    tasks: Sequence[Task], workers: int, progress: Progress, keep: Callable[[Sequence[Outcome]], None]
) -> list[Outcome]:
    """Every study, in worker processes."""
    if workers <= 1:
        done = []
        for k, task in enumerate(tasks, 1):
            done.append(study(*task))
            keep(done)
            progress(_label(task), k, len(tasks))
        return done
    with processes(workers) as pool:
        futures: dict[Future[Outcome], int] = {pool.submit(study, *task): k for k, task in enumerate(tasks)}
        for done_count, future in enumerate(as_completed(futures), 1):
            future.result()
            keep([found.result() for found in futures if found.done()])
            progress(_label(tasks[futures[future]]), done_count, len(tasks))
        return [future.result() for future in futures]


def _label(task: Task) -> str:
    return f"{task[0]} by {task[2]}"
