"""This file owns checkpoints that several ranks write together, each its own cells.

Parts first (`parts`), then, by rank 0, the checkpoint with the sha256 of each: it is there only if its parts are.
One rank, or any other number, goes on from it, since cells have their numbers in the whole mesh.
"""

import hashlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from wflow.ranks import Ranks
from wflow.reached import Reached
from wflow.store.checkpoints import EVERY, Checkpoints, decoded, encoded
from wflow.store.parts import part_of_run, part_path, read_bytes
from wflow.store.whole import synced, write_whole


class SharedCheckpoints(Checkpoints):
    """Checkpoints of a run on several ranks: each calls every method, alike.

    asked: whether this process was told to stop (a signal). Ranks are told at different steps of theirs: `offer` agrees
    on one, keeps it, and raises KeyboardInterrupt on all. The rest as for Checkpoints.
    """

    one_rank: ClassVar[bool] = False

    def __init__(
        self, ranks: Ranks, folder: Path, name: str, *, mark: str = "", every: float = EVERY,
        tell: Callable[[str], None] = warnings.warn, asked: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        super().__init__(folder, name, mark=mark, every=every, tell=tell, asked=asked)
        self.ranks = ranks

    def latest(self) -> Reached | None:
        """As rank 0 finds it; the others read the same file."""
        found = super().latest() if self.ranks.number == 0 else None
        path = self.ranks.told(self._good[0] if found is not None else None)
        if path is None or self.ranks.number == 0:
            return found
        found, self._before = decoded(read_bytes(path), path.stem, self.mark, path)
        self._good, self._last = [path], found
        return found

    def offer(self, now: Reached) -> None:
        """One small message a step: whether rank 0's clock says so, and whether anyone was told to stop."""
        due = self.ranks.number == 0 and self._due(now)
        due_by, told = self.ranks.total(np.array([float(due), float(self.asked())]))
        if due_by or told:
            self._kept(now)
        if told:
            raise KeyboardInterrupt

    def keep(self, now: Reached) -> None:
        """Where the run is interrupted or fails; not where this rank is the only one that does."""
        if self.ranks.all_here():
            self._kept(now)

    def _kept(self, now: Reached) -> None:
        if now is self._last:
            return
        began, first = time.monotonic(), self.ranks.number == 0
        path = self._path(now)
        if first and not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            synced(self.folder.parent)
        self.ranks.wait()
        digests: list[str] = []
        if now.state.measure.ranks.size > 1:  # else each rank has all of it
            data = part_of_run(now)
            write_whole(part_path(path, self.ranks.number), data)
            digests = self.ranks.listed(hashlib.sha256(data).hexdigest())
        if first:
            write_whole(path, encoded(now, path.stem, self.mark, self.seconds, digests))
            self._good = [*[p for p in self._good if p != path][-1:], path]
            self._clear(self._good)
        self.ranks.wait()
        self._last, self._written = now, time.monotonic()
        self._cost = self._written - began

    def clear(self) -> None:
        """By rank 0."""
        if self.ranks.number == 0:
            super().clear()
        self.ranks.wait()
