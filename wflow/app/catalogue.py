"""This file owns `wflow list`: problems, solvers, who takes what and why not."""

import inspect
from dataclasses import fields

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wflow.app.methods import FURTHER, METHODS
from wflow.app.settings import defaults
from wflow.app.study import suited
from wflow.deep.problems import CATALOGUE as DEEP_CATALOGUE
from wflow.problems import CATALOGUE, NAMES, VARIANTS, Problem, build, parameters_of
from wflow.solver import Solver


def first_line(thing: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").split("\n")[0]


def show_catalogue(out: Console) -> None:
    """Problems with their parameters, solvers with their fields, multilayer problems, and who takes what."""
    _heading(out, "Problems (--set key=value changes a parameter)")
    for name, function in CATALOGUE.items():
        out.print(Text(f"  {name}({defaults(name)})"), soft_wrap=True)
        out.print(Text(f"      {first_line(function)}"), soft_wrap=True)
    for name, (base, parameters) in VARIANTS.items():
        out.print(Text(f"  {name}: {base}({', '.join(f'{k}={v}' for k, v in parameters.items())})"), soft_wrap=True)
    out.print()
    _heading(out, "Solvers ([solver] name = ... in a config)")
    for method in (*METHODS, *FURTHER):
        out.print(Text(f"  {type(method).__name__}({_fields(method)})"), soft_wrap=True)
        out.print(Text(f"      {first_line(type(method))}"), soft_wrap=True)
    out.print()
    _heading(out, "Multilayer problems (wflow.deep.problems; their table is `wflow verify deep`)")
    for name, made in DEEP_CATALOGUE.items():
        out.print(Text(f"  {name}: {first_line(made)}"), soft_wrap=True)
    out.print()
    _heading(out, "Who takes what (at default parameters and at the resolution of `wflow verify`)")
    reasons: list[str] = []
    out.print(_takers(reasons))
    for k, reason in enumerate(reasons, 1):
        out.print(Text(f"  [{k}] {reason}"), soft_wrap=True)


def _heading(out: Console, text: str) -> None:
    out.print(Text(text, style="bold"))


def _fields(method: Solver) -> str:
    return ", ".join(f"{f.name}={getattr(method, f.name)}" for f in fields(method))  # type: ignore[arg-type]


def _takers(reasons: list[str]) -> Table:
    """Problem by solver: yes, or the number of a reason, which is added to `reasons`."""
    table = Table("", *(type(method).__name__ for method in METHODS), show_edge=False, pad_edge=False, box=SIMPLE_HEAD)
    for name in NAMES:
        posed = _default(name)
        found = (_missing(name) if posed is None else suited(m, posed, False).refusal(posed.flow) for m in METHODS)
        table.add_row(name, *(_cell(reason, reasons) for reason in found))
    return table


def _cell(reason: str | None, reasons: list[str]) -> Text:
    if reason is None:
        return Text("yes", style="green")
    if reason not in reasons:
        reasons.append(reason)
    return Text(f"[{reasons.index(reason) + 1}]", style="dim")


def _default(name: str) -> Problem | None:
    """The problem at its defaults, None where a parameter has none."""
    empty = inspect.Parameter.empty
    return None if any(value is empty for value in parameters_of(name).values()) else build(name)


def _missing(name: str) -> str:
    needed = [key for key, value in parameters_of(name).items() if value is inspect.Parameter.empty]
    return f"{name} has no default for {', '.join(needed)}: give them in a config of `wflow run`"
