"""This file owns checkpoints: the last two states of a run, each in a file that is whole, checked and says whose it is.

    NAME-000000001234.checkpoint   a line of magic, the sha256 of the rest in hex, and an npz file (`archive`):

head, a JSON text of format, name, mark, plan, count, seconds and parts;   numbers (8,): time, energy, dissipated,
smallest, residual, dual, fallbacks, coarse;   memory.NAME, what the solver carries along;   state.FIELD, the measure;
kept (k, 9) and measure.FIELD (k, ...), what was kept at saved times;   and the form of these measures.

Where ranks shared the run, `parts` has the sha256 of a file of each beside it, with the rows of its cells (`parts`).
"""

import hashlib
import json
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from glob import escape
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from wflow.errors import Damaged, Refused
from wflow.ranks import current
from wflow.reached import Kept, Reached
from wflow.solver import Recomputable, State
from wflow.store.archive import UNREADABLE, Arrays, packed, unpacked
from wflow.store.forms import FIELDS, Form
from wflow.store.parts import PART, joined, of_cells, read_bytes
from wflow.store.trajectories import stacked, unstacked
from wflow.store.whole import TEMPORARY, synced, write_whole

FORMAT = 4
MAGIC = b"wflow checkpoint\n"
SUFFIX = ".checkpoint"
EVERY = 10.0
"""Seconds between checkpoints."""
_SHARE = 20.0
"""A checkpoint is followed by at least so many times what it took: they lengthen a run by at most a twentieth."""
_EARLIER = 0.1
"""At a saved time, whose measure is kept for good, this part of the pause is enough."""
_DIGITS = 12
_STATE, _MEMORY = "state.", "memory."
_HEAD = len(MAGIC) + 65
_NUMBERS = ("energy", "dissipated", "smallest", "residual", "dual", "fallbacks", "coarse")
_COLUMNS = ("time", "energy", "dissipated", "step", "residual", "edge", "dual", "fallbacks", "coarse")


class Furthest(Protocol):
    """What files need to know of a run."""

    @property
    def state(self) -> Any:
        """Has `count`, the steps taken."""

    @property
    def at_saved_time(self) -> bool:
        """Nothing was done since the last saved time."""


class CheckpointFiles[Run: Furthest](ABC):
    """FOLDER/NAME-*.checkpoint, two of them, written every `every` seconds; 0: after every step.

    A checkpoint that was acknowledged (`keep` returned) survives whatever happens to the process. One that is damaged
    is refused by its checksum, and the one before it is used and `tell` told; where all are, Damaged is raised.
    mark: what else the run depends on (a digest of its config and data); with another mark a checkpoint is refused.
    One process at a time: a run folder is locked for that.
    """

    one_rank: ClassVar[bool] = True

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        mark: str = "",
        every: float = EVERY,
        tell: Callable[[str], None] = warnings.warn,
        asked: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder, self.name, self.mark, self.every, self.tell, self.asked = folder, name, mark, every, tell, asked
        self._good: list[Path] = []
        self._last: Run | None = None
        self._before, self._began = 0.0, time.monotonic()
        self._written, self._cost = self._began, 0.0

    @abstractmethod
    def encoded(self, now: Run, path: Path) -> bytes:
        """The bytes of a checkpoint."""

    @abstractmethod
    def decoded(self, data: bytes, path: Path) -> tuple[Run, float]:
        """What was encoded, and the seconds spent; Damaged if it is anything else, or of another name or mark."""

    @property
    def seconds(self) -> float:
        """Time spent on the run, in earlier processes (up to their last checkpoint) and in this one."""
        return self._before + time.monotonic() - self._began

    @property
    def files(self) -> list[Path]:
        """The checkpoints of this run, the furthest first."""
        return sorted(self.folder.glob(f"{escape(self.name)}-{'[0-9]' * _DIGITS}{SUFFIX}"), reverse=True)

    def latest(self) -> Run | None:
        """The furthest that can be read. Refused on several ranks, which would write one file."""
        if self.one_rank and current().size > 1:
            raise Refused("Checkpoints: several ranks would write one file; use wflow.store.SharedCheckpoints")
        found = self.files
        for path in found:
            try:
                now, self._before = self.decoded(read_bytes(path), path)
            except Damaged as error:
                self.tell(f"{path}: {error}; the checkpoint before it is used")
                continue
            self._good, self._last = [path], now
            return now
        if found:
            raise Damaged(
                f"{self.folder}: none of the checkpoints {', '.join(p.name for p in found)} can be read; "
                "remove them to solve from the start"
            )
        return None

    def offer(self, now: Run) -> None:
        """Keep it if the last one is old enough, or the run is asked to stop: then KeyboardInterrupt is raised."""
        if (stopped := self.asked()) or self._due(now):
            self.keep(now)
        if stopped:
            raise KeyboardInterrupt

    def _due(self, now: Run) -> bool:
        pause = _EARLIER * self.every if now.at_saved_time else self.every
        return not self.every or time.monotonic() - self._written >= max(pause, _SHARE * self._cost)

    def _path(self, now: Run) -> Path:
        return self.folder / f"{self.name}-{now.state.count:0{_DIGITS}d}{SUFFIX}"

    def keep(self, now: Run) -> None:
        """Write it, whole, and remove all but the last two good ones."""
        if now is self._last:
            return
        began = time.monotonic()
        path = self._path(now)
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            synced(self.folder.parent)
        write_whole(path, self.encoded(now, path))
        self._good = [*[p for p in self._good if p != path][-1:], path]
        self._last, self._written = now, time.monotonic()
        self._clear(self._good)
        self._cost = self._written - began

    def clear(self) -> None:
        """Remove the checkpoints of a run that is finished."""
        self._clear([])
        self._good, self._last = [], None

    def _clear(self, good: list[Path]) -> None:
        """Remove all but the good ones, and what a killed process left half written."""
        names = [f".{escape(self.name)}-*{kind}.*{TEMPORARY}" for kind in (SUFFIX, PART)]
        litter = [path for name in names for path in self.folder.glob(name)]
        kept = {path.stem for path in good}
        shared = self.folder.glob(f"{escape(self.name)}-{'[0-9]' * _DIGITS}.*{PART}")
        litter += [path for path in shared if path.name[: -len(PART)].rpartition(".")[0] not in kept]
        for path in [*(p for p in self.files if p not in good), *litter]:
            if not path.is_dir():
                path.unlink(missing_ok=True)


class Checkpoints(CheckpointFiles[Reached]):
    """A Store of `wflow.solve` on a disk."""

    def encoded(self, now: Reached, path: Path) -> bytes:
        """The whole of it in one file."""
        return encoded(now, path.stem, self.mark, self.seconds)

    def decoded(self, data: bytes, path: Path) -> tuple[Reached, float]:
        """Parts, where ranks wrote them, are beside it."""
        return decoded(data, path.stem, self.mark, path)


def framed(body: bytes) -> bytes:
    """With a line of magic and the sha256 before it."""
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unframed(data: bytes) -> bytes:
    """What was framed; Damaged where it is not what was."""
    body = data[_HEAD:]
    if data[:_HEAD] != framed(body)[:_HEAD]:
        raise Damaged("its checksum is not that of its contents")
    return body


def encoded(now: Reached, name: str, mark: str, seconds: float, parts: Sequence[str] = ()) -> bytes:
    """The bytes of a checkpoint. parts: the sha256 of files that hold what has rows for cells; it is left out here."""
    kept, state = now.kept, now.state
    measures = [*(k.measure for k in kept), state.measure]
    head = {
        "format": FORMAT, "name": name, "mark": mark, "plan": now.plan, "count": state.count, "seconds": seconds,
        "parts": list(parts),
    }  # fmt: skip
    arrays = {
        "head": np.array(json.dumps(head)),
        "numbers": np.array([state.time, *(getattr(now, number) for number in _NUMBERS)]),
        "kept": np.array([[getattr(k, column) for column in _COLUMNS] for k in kept]),
    }
    stored = {entry: value for entry, value in state.memory.items() if not isinstance(value, Recomputable)}
    if parts:
        arrays |= Form.of(measures).arrays()
        stored = {entry: value for entry, value in stored.items() if not of_cells(value, state.measure)}
    else:
        arrays |= {f"{_STATE}{field}": getattr(state.measure, field) for field in FIELDS[Form.of(measures).kind]}
        arrays |= stacked([k.measure for k in kept])
    arrays |= {f"{_MEMORY}{entry}": np.asarray(value) for entry, value in stored.items()}
    return framed(packed(arrays))


def decoded(data: bytes, name: str, mark: str, path: Path = Path()) -> tuple[Reached, float]:
    """What was encoded, and the seconds spent; Damaged if it is anything else, or not the one of that name and mark.

    path: where it was, beside which its parts are.
    """
    body = unframed(data)
    try:
        arrays = unpacked(body)
        head = json.loads(str(arrays["head"]))
        if head["format"] != FORMAT:
            raise Damaged(f"it has format {head['format']}, this version reads {FORMAT}")
        if (head["name"], head["mark"]) != (name, mark):
            raise Damaged(f"it belongs to another run or step, {head['name']}")
        if head["parts"]:
            arrays |= joined(path, head["parts"])
        return _reached(str(head["plan"]), int(head["count"]), arrays), float(head["seconds"])
    except UNREADABLE as error:
        raise Damaged(f"it is no checkpoint ({error})") from error


def _reached(plan: str, count: int, arrays: Arrays) -> Reached:
    form = Form.read(arrays)
    last: Kept | None = None
    for measure, row in zip(unstacked(arrays, form), arrays["kept"].tolist(), strict=True):
        last = Kept(measure, before=last, **dict(zip(_COLUMNS, row, strict=True)))
    if last is None:
        raise ValueError("nothing is kept in it")
    memory = {
        name.removeprefix(_MEMORY): array if array.ndim else array.item()
        for name, array in arrays.items()
        if name.startswith(_MEMORY)
    }
    time, *numbers = arrays["numbers"].tolist()
    measure = form.measure([arrays[f"{_STATE}{field}"] for field in FIELDS[form.kind]])
    state = State(time, measure, count, memory)
    return Reached(plan, state, last=last, **dict(zip(_NUMBERS, numbers, strict=True)))
