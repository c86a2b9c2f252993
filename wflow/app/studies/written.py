"""This file owns what a study leaves in its folder: cells.json, claims.json and its picture."""

import json
import time
from pathlib import Path

from wflow.app.rows import as_json
from wflow.app.studies.sweep import CELLS, Progress, Study, sweep
from wflow.app.study import Row
from wflow.store import write_whole

CLAIMS = "claims.json"


def write_study(
    study: Study, folder: Path, *, quick: bool = False, workers: int = 2, told: Progress | None = None
) -> tuple[list[Row], list[Path]]:
    """Measure what is missing, judge and draw; one row a claim, and the files written. No picture of failed cells."""
    began = time.monotonic()
    entries = sweep(study, folder, quick=quick, workers=workers, progress=told)
    found = list(study.judged(entries))
    seconds = (time.monotonic() - began) / len(found)
    rows = [Row(study.name, {"quick": True} if quick else {}, (), one, seconds) for one in found]
    write_whole(folder / CLAIMS, json.dumps([as_json(row) for row in rows], indent=1, allow_nan=False).encode())
    written = [folder / CELLS, folder / CLAIMS]
    if not any(entry.failed for entry in entries):
        written.append(study.draw(entries, folder / f"{study.name}.png"))
    return rows, written
