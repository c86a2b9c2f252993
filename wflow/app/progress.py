"""This file owns progress: a bar in a terminal, plain lines otherwise; both on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

QUARTERS = 4


class Report(Protocol):
    """What is being done, how much of it is done, and how much there is."""

    def __call__(self, what: str, done: int, total: int) -> None: ...


@contextmanager
def progress() -> Iterator[Report]:
    """Report studies as they end."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda what, done, total: console.print(f"[{done}/{total}] {what}", markup=False, soft_wrap=True)
        return
    columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


class Fractions:
    """Fractions of one run, told to a Report as percent: every one in a terminal, quarters otherwise."""

    def __init__(self, what: str, report: Report, *, every: int) -> None:
        self.what, self.report, self.every, self.last = what, report, every, -1

    def __call__(self, fraction: float) -> None:
        """Tell it if it has moved on."""
        reached = int(fraction * self.every + 1e-9)
        if reached > self.last:
            self.last = reached
            self.report(self.what, round(100 * reached / self.every), 100)
