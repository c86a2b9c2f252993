"""This file owns `wflow show`: what a run folder says, after its checksums."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wflow.app.resume import checkpoints, places
from wflow.app.rows import RESULTS, from_json, number, parameters
from wflow.app.table import show_rows
from wflow.store import RunFolder


def show(folder: RunFolder, out: Console) -> bool:
    """Print the summary of a run folder; whether every claim in it holds. Raises Damaged before it prints."""
    folder.check()
    manifest = folder.manifest
    out.print(Text(f"{folder.path}: {_status(folder)}", style="bold"), soft_wrap=True)
    posed = manifest.get("problem")
    if posed:
        out.print(Text(f"{posed['name']}({parameters(posed['parameters'])})"), soft_wrap=True)
        out.print(Text(f"solve: {parameters(manifest['solve']) or 'default steps'}"))
    made = ", ".join(f"{name} {number}" for name, number in manifest.get("versions", {}).items())
    out.print(Text(f"started {manifest['started']}, ended {manifest.get('ended', '-')}; {made}"), soft_wrap=True)
    out.print()
    if manifest.get("runs"):
        out.print(_energies(manifest["runs"], manifest["seed"]))
        out.print()
    for line in _unfinished(folder):
        out.print(Text(line), soft_wrap=True)
    if RESULTS not in manifest["files"]:
        return False
    results = json.loads(folder.read(RESULTS))
    rows = [from_json(entry) for entry in results["rows"]]
    if results["distances"]:
        out.print(_distances(results["distances"]))
        out.print()
    show_rows(rows, out)
    out.print(Text(f"files, their checksums hold: {', '.join(manifest['files'])}"), soft_wrap=True)
    return all(row.holds for row in rows)


def _status(folder: RunFolder) -> str:
    """What STATUS says, whether that is still so, and what can be done."""
    status, writer = folder.status, folder.writer
    if writer is not None:
        return f"{status}: {writer}"
    if status == "done":
        return status
    said = "killed while it was running" if status == "running" else status
    return f"{said}; `wflow resume {folder.path}` continues it"


def _unfinished(folder: RunFolder) -> Iterator[str]:
    """How far the checkpoints of each unfinished run have come."""
    manifest = folder.manifest
    if folder.writer is not None or "mark" not in manifest:
        return
    for label, place in places(manifest["seed"]).items():
        if label in manifest["runs"]:
            continue
        said: list[str] = []
        found = checkpoints(folder, place, manifest["mark"], every=0.0, tell=said.append).latest()
        yield from said
        if found is None:
            yield f"{label}: no checkpoint, it will be solved from its start"
        else:
            yield f"{label}: a checkpoint at t = {found.state.time:g}, step {found.state.count}"


def _energies(runs: Mapping[str, Any], seeds: Mapping[str, Any]) -> Table:
    table = Table(
        "solver", "seed", "steps", "F at 0", "F at end", "dissipated", "seconds", show_edge=False, box=SIMPLE_HEAD
    )
    for label, run in runs.items():
        values = (run["energy"]["start"], run["energy"]["end"], run["dissipated"])
        seed = "-" if seeds.get(label) is None else str(seeds[label])
        shown = ("-" if v is None else f"{v:.6g}" for v in values)
        table.add_row(Text(label), seed, str(run["steps"]), *shown, f"{run['seconds']:.1f}")
    return table


def _distances(entries: list[dict[str, Any]]) -> Table:
    """One row a pair, one column a time."""
    times = sorted({entry["time"] for entry in entries})
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("W2 from", "to", *(f"t = {t:g}" for t in times)):
        table.add_column(column, overflow="fold")
    pairs: dict[tuple[str, str], dict[float, str]] = {}
    for entry in entries:
        shown = entry["refused"] if "refused" in entry else number(entry["w2"])
        pairs.setdefault((entry["from"], entry["to"]), {})[entry["time"]] = shown
    for (a, b), row in pairs.items():
        table.add_row(Text(a), Text(b), *(Text(row.get(t, "")) for t in times))
    return table
