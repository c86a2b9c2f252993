"""This file owns `wflow hypotheses`: a run of each named problem by the first method that takes it, and its report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wflow.app.commands import Names, Settings, chosen_problems, writable
from wflow.app.draws import SEED
from wflow.app.exits import exit_codes
from wflow.app.methods import METHODS
from wflow.app.progress import Fractions
from wflow.app.progress import Report as Progress
from wflow.app.progress import progress as progressing
from wflow.app.provenance import machine, versions
from wflow.app.rows import number, parameters, plain
from wflow.app.settings import problem as posed_by_name
from wflow.app.table import console
from wflow.hypotheses import Hypothesis, Report, no_network, report, saved_times
from wflow.loop import solve
from wflow.problems import Problem
from wflow.store import write_whole

_STYLES = {"hold": "bold green", "fail": "bold red", "silent": "bold"}
_VERDICTS = {"proved": "green", "consistent": "green", "refuted": "red", "not satisfied": "red"}


@dataclass(frozen=True)
class Asked:
    """A problem, the method that solved it ("" where none had to), and the report."""

    problem: Problem
    solver: str
    report: Report


def ask(problem: Problem, progress: Progress) -> Asked:
    """Solve a problem by the first of METHODS that takes it, saved at doublings, and report; no run for no network."""
    flow = problem.flow
    if no_network(flow) is not None:
        return Asked(problem, "", report(problem))
    solver = next(method for method in METHODS if method.refusal(flow) is None)
    told = Fractions(f"{problem.name} by {solver}", progress, every=4)
    run = solve(flow, solver, times=saved_times(flow.horizon), progress=told)
    return Asked(problem, str(solver), report(problem, run))


def show_reports(asked: Sequence[Asked], out: Console) -> None:
    """A table a problem, the sentence first; problems of which one sentence is all stand in one line."""
    for one in asked:
        found = one.report
        out.print(Text(f"{found.problem}({parameters(one.problem.parameters)})", style="bold"), soft_wrap=True)
        out.print(Text(found.sentence, style=_STYLES[found.verdict]), soft_wrap=True)
        if found.rows:
            out.print(Text(f"class: {found.setting.kind} ({found.setting.theorem}); {one.solver}"), soft_wrap=True)
            out.print(_table(found.rows))
        out.print()
    counts = [sum(one.report.verdict == verdict for one in asked) for verdict in ("hold", "fail", "silent")]
    out.print("{} problems: hypotheses hold in {}, fail in {}, the theorem is silent on {}".format(len(asked), *counts))


def _table(rows: Sequence[Hypothesis]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("topic", "supposed", "verdict", "measured", "limit", "because"):
        numeric = column in ("measured", "limit")
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        texts = (_number(row.measured), _number(row.limit), row.reason)
        verdict = Text(row.verdict, style=_VERDICTS.get(row.verdict, ""))
        front = Text(row.topic if row.needed else f"({row.topic})"), Text(row.statement)
        table.add_row(*front, verdict, *map(Text, texts), style="" if row.needed else "dim")
    return table


def _number(value: float) -> str:
    return "" if value != value else number(value)


def write_reports(path: Path, asked: Sequence[Asked]) -> None:
    """machine, versions, seed and reports, as strict JSON; nan and infinity are null."""
    whole: Mapping[str, Any] = {
        "machine": machine(),
        "versions": versions(),
        "seed": SEED,
        "reports": [_entry(one) for one in asked],
    }
    write_whole(path, json.dumps(whole, indent=1, allow_nan=False).encode())


def _entry(asked: Asked) -> dict[str, Any]:
    found = asked.report
    return {
        "problem": found.problem,
        "parameters": plain(asked.problem.parameters),
        "solver": asked.solver or None,
        "class": found.setting.kind,
        "theorem": found.setting.theorem,
        "verdict": found.verdict,
        "sentence": found.sentence,
        "failing": list(found.failing),
        "rows": [
            {
                "topic": row.topic,
                "statement": row.statement,
                "verdict": row.verdict,
                "measured": plain(row.measured),
                "limit": plain(row.limit),
                "reason": row.reason,
                "needed": row.needed,
            }
            for row in found.rows
        ],
    }


def hypotheses(
    names: Names = None,
    settings: Settings = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the reports into this file.")] = None,
) -> None:
    """What Chizat and Bach's theorem supposes of a problem and its start, one row a hypothesis; 0 whatever it says."""
    with exit_codes():
        given, chosen = chosen_problems(names, settings)
        posed = [posed_by_name(name, given) for name in chosen]
        writable(json_file, None)
        with progressing() as told:
            asked = [ask(one, told) for one in posed]
        show_reports(asked, console())
        if json_file is not None:
            write_reports(json_file, asked)
