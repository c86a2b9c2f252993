"""This file owns how a study runs: its cells in parallel, each kept on disk as it ends, continued after a stop.

A cell is a set of parameters, a record what was measured there; a study is a list of cells, one function that measures
a cell, and claims about all records. Cells share nothing, so that they may run in any order and on any worker.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wflow.app.provenance import accelerator, machine, versions
from wflow.app.settings import UsageError
from wflow.app.workers import workers as processes
from wflow.certificates import Certificate
from wflow.errors import WflowError
from wflow.store import write_whole

CELLS = "cells.json"
"""The file of a study's folder: what made it, and every cell with its record."""
Cell = Mapping[str, Any]
Record = Mapping[str, Any]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Entry:
    """A cell and what was measured there; `failed` is the message of a cell that could not be measured."""

    cell: Cell
    record: Record
    failed: str = ""

    def __getitem__(self, name: str) -> Any:
        """A parameter or a number measured, by its name."""
        return self.cell[name] if name in self.cell else self.record[name]


@dataclass(frozen=True)
class Study:
    """name and question; cells(quick); measure(**cell), of a module; claims(entries); draw(entries, path)."""

    name: str
    question: str
    cells: Callable[[bool], Sequence[Cell]]
    measure: Callable[..., Record]
    claims: Callable[[Sequence[Entry]], Iterator[Certificate]]
    draw: Callable[[Sequence[Entry], Path], Path]

    def judged(self, entries: Sequence[Entry]) -> Iterator[Certificate]:
        """That no cell failed, and if so the claims about all of them."""
        failed = [entry for entry in entries if entry.failed]
        words = f"; {_label(failed[0].cell)}: {failed[0].failed}" if failed else ""
        yield Certificate(f"cells that failed{words}", "equal", float(len(failed)), 0.0)
        if not failed:
            yield from self.claims(entries)


def sweep(
    study: Study, folder: Path, *, quick: bool = False, workers: int = 2, progress: Progress | None = None
) -> list[Entry]:
    """The entries of all cells of a study, in their order; those that folder/cells.json holds are not measured again.

    The file is written after each cell, and has all or nothing of it. A cell that raises one of the house's errors is
    an entry that failed, and is tried again next time. Raises UsageError where the file was made by other versions.
    """
    told = progress or (lambda what, done, total: None)
    cells = list(study.cells(quick))
    path = folder / CELLS
    folder.mkdir(parents=True, exist_ok=True)
    kept = _kept(study, path)
    missing = [cell for cell in cells if _key(cell) not in kept]
    done = len(cells) - len(missing)
    for entry in _measured(study, missing, workers):
        kept[_key(entry.cell)] = entry
        _write(study, path, [e for e in kept.values() if not e.failed])
        done += 1
        told(f"{study.name}: {_label(entry.cell)}", done, len(cells))
    return [kept[_key(cell)] for cell in cells]


def _measured(study: Study, cells: Sequence[Cell], workers: int) -> Iterator[Entry]:
    """As they end; by this process where one worker is enough."""
    if workers <= 1 or len(cells) <= 1:
        for cell in cells:
            yield _entry(study.measure, cell)
        return
    with processes(workers) as pool:
        futures: list[Future[Entry]] = [pool.submit(_entry, study.measure, cell) for cell in cells]
        for future in as_completed(futures):
            yield future.result()


def _entry(measure: Callable[..., Record], cell: Cell) -> Entry:
    try:
        return Entry(cell, measure(**cell))
    except WflowError as error:
        return Entry(cell, {}, f"{type(error).__name__}: {error}")


def _kept(study: Study, path: Path) -> dict[str, Entry]:
    """What an earlier sweep left, by cell."""
    if not path.exists():
        return {}
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        name, made, entries = whole["study"], whole["made"], whole["entries"]
        found = {_key(one["cell"]): Entry(one["cell"], one["record"]) for one in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no file of a study ({error!r}); remove it, or name another folder") from error
    if name != study.name or made != _made():
        raise UsageError(
            f"{path} holds {name!r} as made by {made}; now it would be {study.name!r} by {_made()}; "
            "name another folder, or remove the file"
        )
    return found


def _write(study: Study, path: Path, entries: Sequence[Entry]) -> None:
    whole = {
        "study": study.name,
        "question": study.question,
        "made": _made(),
        "machine": machine(),
        "entries": [{"cell": dict(e.cell), "record": dict(e.record)} for e in entries],
    }
    write_whole(path, json.dumps(whole, indent=1, allow_nan=False).encode())


def _made() -> dict[str, str]:
    """On what the bits of a record rest."""
    return {**versions(), "numba": accelerator()}


def _key(cell: Cell) -> str:
    return json.dumps(dict(cell), sort_keys=True)


def _label(cell: Cell) -> str:
    return ", ".join(f"{name}={value}" for name, value in cell.items())
