"""This file owns the table that a terminal shows: one row a claim."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wflow.app.rows import cells, counts, parameters
from wflow.app.study import Row

PIPED = 180
"""Columns where the output is no terminal."""
NARROW = 120
_STYLES = {"yes": "green", "NO": "bold red", "refused": "dim"}


def console() -> Console:
    """The console of the answers."""
    there = Console(highlight=False)
    return there if there.is_terminal else Console(highlight=False, width=PIPED)


def show_rows(rows: Sequence[Row], out: Console) -> None:
    """One table a problem, then the failed claims once more."""
    for (name, given), group in grouped(rows).items():
        out.print(Text(f"{name}({given})", style="bold"), soft_wrap=True)
        out.print(_table(name, group, wide=out.width >= NARROW))
        out.print()
    failed = [row for row in rows if not row.holds]
    for row in failed:
        out.print(Text(f"FAILED  {row.problem}: {'  '.join(cells(row))}", style="bold red"))
    held, wrong, refused = counts(rows)
    out.print(f"{held + wrong} claims: {held} hold, {wrong} fail; {refused} flows refused")


def grouped(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows by their problem and its parameters."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.problem, parameters(row.parameters)), []).append(row)
    return found


def _table(name: str, rows: Sequence[Row], *, wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in (("problem",) if wide else ()) + ("solver(s)", "claim"):
        table.add_column(column, overflow="fold")
    for column in ("measured", "expected", "tolerance"):
        table.add_column(column, justify="right", no_wrap=column != "tolerance")
    table.add_column("holds", no_wrap=True)
    for row in rows:
        texts = cells(row)
        style = _STYLES[texts[-1]]
        front = [Text(name)] if wide else []
        whole = style if style == "dim" else ""
        table.add_row(*front, *map(Text, texts[:-1]), Text(texts[-1], style=style), style=whole)
    return table
