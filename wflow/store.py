"""This file owns run folders: names never used twice, files written whole or not at all, checksums, a status.

    NAME-001/   STATUS        running | done | failed: why | interrupted
                manifest.json what it was made with, and the sha256 of every other file but STATUS and log.txt
                log.txt       one line an event
                *.npz         trajectories (`pack`, `unpack`), figures/*.png, and what else the run writes

A trajectory file: format, kind (of measure), times (k,), energies (k,), dissipated (k,), steps, diagnostics.NAME (k,),
lower, upper, periodic (d,) of the domain, and measure.FIELD (k, ...) with one row a saved time. Nothing is pickled.
"""

import hashlib
import io
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array
from wflow.domain import Box
from wflow.errors import Damaged
from wflow.flow import Flow
from wflow.fourier import FourierDensity
from wflow.grid import Grid
from wflow.measure import Density, Measure, Particles, Quantiles, SignedParticles
from wflow.solver import Solver
from wflow.trajectory import Trajectory

FORMAT = 1
MOST_BYTES = 1 << 31
"""A trajectory file that would unpack to more is refused."""
MANIFEST, STATUS, LOG = "manifest.json", "STATUS", "log.txt"
_MOST_RUNS = 100_000
Kind = Callable[..., Measure]
_FIELDS: dict[Kind, tuple[str, ...]] = {
    Particles: ("points", "weights"),
    SignedParticles: ("points", "weights"),
    Density: ("values",),
    Quantiles: ("edges",),
    FourierDensity: ("coefficients",),
}
# what zipfile, numpy and our own constructors raise at damaged bytes (NotImplementedError is a RuntimeError)
_UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
_KINDS = {kind.__name__: kind for kind in _FIELDS}


def write_whole(path: Path, data: bytes) -> None:
    """The file has all of `data` or is as it was before: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


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
        if not whole or found["format"] != FORMAT:
            raise Damaged(f"{self.path / MANIFEST}: its checksum or format is not what was written; run it again")
        return dict(found)

    def _write_manifest(self, entries: dict[str, Any]) -> None:
        data = json.dumps({**entries, "sha256": _seal(entries)}, indent=1, allow_nan=False)
        write_whole(self.path / MANIFEST, data.encode())

    @property
    def status(self) -> str:
        """What STATUS says; "unknown" if it is missing."""
        try:
            return (self.path / STATUS).read_text(encoding="utf-8", errors="replace").strip() or "unknown"
        except OSError:
            return "unknown"

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """STATUS of the body: running, then done, failed with its message, or interrupted."""
        self._say("running")
        try:
            yield
        except KeyboardInterrupt:
            self._say("interrupted")
            raise
        except BaseException as error:
            self._say(f"failed: {type(error).__name__}: {error}")
            raise
        self._say("done")

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


@dataclass(frozen=True, eq=False)
class Saved:
    """A trajectory as it was stored: all but the flow and the solver, which are code."""

    times: Array
    measures: tuple[Measure, ...]
    energies: Array
    dissipated: Array
    diagnostics: dict[str, Array]
    steps: int

    def trajectory(self, flow: Flow, solver: Solver) -> Trajectory:
        """With the flow and the solver it came from."""
        return Trajectory(
            flow, solver, self.times, self.measures, self.energies, self.dissipated, self.diagnostics, self.steps
        )


def pack(run: Trajectory) -> bytes:
    """A trajectory as the bytes of an npz file."""
    kind = type(run.final)
    if kind not in _FIELDS or any(type(pi) is not kind for pi in run.measures):
        raise TypeError(f"pack: {kind.__name__} is not among {', '.join(_KINDS)}, the measures that can be stored")
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT),
        "kind": np.array(kind.__name__),
        "steps": np.array(run.steps),
        "times": run.times,
        "energies": run.energies,
        "dissipated": run.dissipated,
        **{f"diagnostics.{name}": values for name, values in run.diagnostics.items()},
        **{name: np.array(getattr(run.final.domain, name)) for name in ("lower", "upper", "periodic")},
        **{f"measure.{name}": np.stack([getattr(pi, name) for pi in run.measures]) for name in _FIELDS[kind]},
    }
    if isinstance(run.final, Density):
        arrays["shape"] = np.array(run.final.grid.shape)
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # the stubs take `allow_pickle` for an array
    return stream.getvalue()


def unpack(data: bytes) -> Saved:
    """What `pack` wrote; Damaged if the bytes are anything else, or would unpack to more than 2 GiB."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > MOST_BYTES:
            raise Damaged(f"trajectory: it would unpack to {size:.3g} bytes, allowed: {MOST_BYTES}")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _saved({name: arrays[name] for name in arrays.files})
    except Damaged:
        raise
    except _UNREADABLE as error:
        raise Damaged(f"trajectory: this is no trajectory file ({error}); run it again") from error


def _saved(arrays: dict[str, NDArray[Any]]) -> Saved:
    if int(arrays["format"]) != FORMAT:
        raise ValueError(f"format {int(arrays['format'])}, this version reads {FORMAT}")
    kind = _KINDS[str(arrays["kind"])]
    lower, upper = map(tuple, (arrays["lower"].tolist(), arrays["upper"].tolist()))
    domain = Box(lower, upper, tuple(arrays["periodic"].tolist()))
    columns = [arrays[f"measure.{name}"] for name in _FIELDS[kind]]
    measures = tuple(_measure(kind, domain, arrays, row) for row in zip(*columns, strict=True))
    return Saved(
        arrays["times"], measures, arrays["energies"], arrays["dissipated"],
        {name.removeprefix("diagnostics."): a for name, a in arrays.items() if name.startswith("diagnostics.")},
        int(arrays["steps"]),
    )  # fmt: skip


def _measure(kind: Kind, domain: Box, arrays: dict[str, NDArray[Any]], row: Sequence[NDArray[Any]]) -> Measure:
    if kind is Density:
        return Density(Grid(domain, tuple(arrays["shape"].tolist())), row[0])
    return kind(row[0]) if kind is FourierDensity else kind(domain, *row)
