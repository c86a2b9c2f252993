"""This file owns what makes a run the same run: how its folder says what it was made with, and who may continue it."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wflow.app.config import Config, interpret
from wflow.app.provenance import accelerator, machine, versions
from wflow.app.rows import plain
from wflow.app.settings import UsageError
from wflow.ranks import ALONE, Ranks
from wflow.solver import Solver
from wflow.store import Checkpoints, RunFolder, SharedCheckpoints, slug

CONFIG = "config.toml"
CHECKPOINTS = "checkpoints"
_MADE_WITH = ("versions", "accelerator", "machine")


def places(labels: Iterable[str]) -> dict[str, str]:
    """The name of each run's files, without suffix."""
    return {label: f"{place:02d}-{slug(label)}" for place, label in enumerate(labels, 1)}


def origin(config: Config) -> dict[str, Any]:
    """What the manifest says of how the run was made."""
    return {
        **_made_with(),
        "seed": {label: _seed(solver) for label, solver in config.solvers.items()},
        "problem": {"name": config.problem.name, "parameters": plain(config.problem.parameters)},
        "solve": plain(config.options),
        "runs": {},
        "config": str(config.path),
        "csv": None if config.csv is None else {"path": str(config.csv), "sha256": _digest(config.csv)},
        "mark": mark(config),
    }


def _made_with() -> dict[str, Any]:
    return dict(zip(_MADE_WITH, (versions(), accelerator(), machine()), strict=True))


def mark(config: Config) -> str:
    """What its checkpoints must have been made from: the config and its data."""
    data = "" if config.csv is None else _digest(config.csv)
    return hashlib.sha256(f"{config.text}\0{data}".encode()).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _seed(solver: Solver) -> int | None:
    """The seed of a random solver or of a sampled start."""
    seed = getattr(solver, "seed", getattr(getattr(solver, "start", None), "seed", None))
    return seed if isinstance(seed, int) else None


def checkpoints(
    folder: RunFolder, place: str, mark: str, *, every: float, tell: Callable[[str], None], ranks: Ranks = ALONE,
    asked: Callable[[], bool] = lambda: False,
) -> Checkpoints:  # fmt: skip
    """Those of one solver of a run."""
    path = folder.path / CHECKPOINTS
    if ranks.size > 1:
        return SharedCheckpoints(ranks, path, place, mark=mark, every=every, tell=tell, asked=asked)
    return Checkpoints(path, place, mark=mark, every=every, tell=tell, asked=asked)


def continued(folder: RunFolder) -> tuple[Config, list[str]]:
    """The config of a run that can be continued, and what has changed about the machine since; UsageError if none can.

    Damaged where a file of the folder has changed, the config among them.
    """
    if folder.status == "done":
        raise UsageError(f"{folder.path}: nothing to resume, it is done; `wflow show` shows it")
    manifest = folder.manifest
    if CONFIG not in manifest["files"] or "mark" not in manifest:
        raise UsageError(f"{folder.path}: nothing to resume, it was stopped before it began; use `wflow run`")
    text, path = folder.read(CONFIG).decode(), Path(manifest["config"])
    _same_version(folder.path, manifest["versions"]["wflow"])
    _same_data(folder.path, manifest["csv"])
    config = interpret(text, path)
    here = plain(_made_with())
    changes = [
        f"{what}: {manifest[what]} when this run began, {here[what]} now; equal bits are not promised then"
        for what in _MADE_WITH
        if here[what] != manifest[what]
    ]
    return config, changes


def _same_version(folder: Path, began: str) -> None:
    here = versions()["wflow"]
    if here != began:
        raise UsageError(f"{folder}: it was begun by wflow {began}, this is {here}; use that one or run it anew")


def _same_data(folder: Path, csv: dict[str, str] | None) -> None:
    if csv is None:
        return
    path = Path(csv["path"])
    if not path.is_file():
        raise UsageError(f"{folder}: its data {path} are gone; put them back")
    if _digest(path) != csv["sha256"]:
        raise UsageError(f"{folder}: its data {path} have changed since it was begun; put them back or run it anew")
