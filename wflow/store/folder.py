"""This file owns run folders: names never used twice, checksums of what is in them, a status.

NAME-001/   STATUS        running | done | failed: why | interrupted
            manifest.json what it was made with, and the sha256 of every other file that is done
            log.txt       one line an event
            *.npz         trajectories (`pack`, `unpack`), figures/*.png, and what else the run writes
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from wflow.errors import Damaged
from wflow.store.lock import holder, locked
from wflow.store.whole import TEMPORARY, write_whole

FORMAT = 2
MANIFEST, STATUS, LOG = "manifest.json", "STATUS", "log.txt"
_MOST_RUNS = 100_000


def now() -> str:
    """The local time with its zone, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def slug(text: str) -> str:
    """A file name of letters, digits, dots, dashes and underscores that begins with a letter or a digit."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:60] or "run"


@dataclass(frozen=True)
class RunFolder:
    """One folder that one run wrote."""

    path: Path

    @classmethod
    def create(cls, parent: Path, name: str) -> "RunFolder":
        """A new folder parent/NAME-001, or the next free number; two processes never get the same one."""
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"{parent}: this folder cannot be made ({error.strerror}); choose another") from error
        for number in range(1, _MOST_RUNS):
            path = parent / f"{slug(name)}-{number:03d}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            folder = cls(path)
            folder._write_manifest({"format": FORMAT, "started": now(), "files": {}})
            return folder
        raise FileExistsError(f"{parent}: it holds {_MOST_RUNS} runs named {name}; remove some or give another folder")

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run folder; FileNotFoundError if it is none."""
        if not (path / MANIFEST).is_file():
            raise FileNotFoundError(
                f"{path}: no run folder (it has no {MANIFEST}); give a folder that `wflow run` wrote"
            )
        return cls(path)

    def write(self, name: str, data: bytes) -> Path:
        """Write a file, whole, and its sha256 into the manifest."""
        target = self.path / name
        target.parent.mkdir(exist_ok=True)
        write_whole(target, data)
        manifest = self.manifest
        manifest["files"][name] = hashlib.sha256(data).hexdigest()
        self._write_manifest(manifest)
        return target

    def read(self, name: str) -> bytes:
        """A file's bytes, after its checksum; Damaged if it is missing or not what was written."""
        known = self.manifest["files"]
        if name not in known:
            raise Damaged(f"{self.path / name}: the manifest does not list it; it has {', '.join(known) or 'nothing'}")
        try:
            data = (self.path / name).read_bytes()
        except OSError as error:
            raise Damaged(f"{self.path / name}: {error.strerror}, but the manifest lists it; run it again") from error
        found = hashlib.sha256(data).hexdigest()
        if found != known[name]:
            raise Damaged(
                f"{self.path / name}: its checksum is {found[:12]}..., the manifest says {known[name][:12]}...; "
                "the file has changed since it was written, run it again"
            )
        return data

    def check(self) -> None:
        """Read every file against its checksum; Damaged names the first that fails."""
        for name in self.manifest["files"]:
            self.read(name)

    def note(self, **entries: Any) -> None:
        """Add entries to the manifest."""
        self._write_manifest({**self.manifest, **entries})

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, after its own checksum; Damaged if it is not what was written."""
        try:
            found = json.loads((self.path / MANIFEST).read_bytes())
            seal = found.pop("sha256")
            whole = isinstance(found["files"], dict) and seal == _seal(found)
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise Damaged(f"{self.path / MANIFEST}: it cannot be read ({error}); run it again") from error
        if not whole:
            raise Damaged(f"{self.path / MANIFEST}: its checksum is not what was written; run it again")
        if found.get("format") != FORMAT:
            raise Damaged(
                f"{self.path}: its format is {found.get('format')}, this version reads {FORMAT}; run it again"
            )
        return dict(found)

    def _write_manifest(self, entries: dict[str, Any]) -> None:
        data = json.dumps({**entries, "sha256": _seal(entries)}, indent=1, allow_nan=False)
        write_whole(self.path / MANIFEST, data.encode())

    def tidy(self) -> None:
        """Remove what killed processes left half written; only under the lock."""
        for path in self.path.rglob(f".*{TEMPORARY}"):
            path.unlink()

    @property
    def status(self) -> str:
        """What STATUS says; "unknown" if it is missing."""
        try:
            return (self.path / STATUS).read_text(encoding="utf-8", errors="replace").strip() or "unknown"
        except OSError:
            return "unknown"

    @property
    def writer(self) -> str | None:
        """The live process that writes this folder, None if there is none."""
        return holder(self.path)

    def locked(self) -> AbstractContextManager[None]:
        """Held while this process writes; Busy names another one that does."""
        return locked(self.path, now())

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """STATUS of the body: running, then done, failed with its message, or interrupted."""
        self._say("running")
        try:
            yield
            self._say("done")  # stopped in the middle of this word, it is interrupted too
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            with suppress(OSError):  # a full disk has no room for its own name: the error itself goes on
                self._say("interrupted" if stopped else f"failed: {type(error).__name__}: {error}")
            raise

    def _say(self, status: str) -> None:
        self.log(status)
        write_whole(self.path / STATUS, f"{status}\n".encode())

    def log(self, line: str) -> None:
        """One line with its time into log.txt."""
        with (self.path / LOG).open("a", encoding="utf-8") as stream:
            stream.write(f"{now()}  {line}\n")


def _seal(entries: dict[str, Any]) -> str:
    """sha256 of the manifest without its seal, in one canonical spelling."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True, allow_nan=False).encode()).hexdigest()
