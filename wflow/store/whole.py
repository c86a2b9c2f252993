"""This file owns files written whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path

TEMPORARY = ".tmp"
"""How the name of a temporary file ends; one that a killed process left has no other meaning."""


def write_whole(path: Path, data: bytes) -> None:
    """The file has all of `data` or is as it was before: temporary file, fsync, rename, fsync of the folder.

    Raises OSError with the path where that fails (a full disk); the temporary file is then removed.
    """
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """The same of files that belong together, in one folder: none is renamed before all are on the disk."""
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}") for path in files}
    path = next(iter(files))
    try:
        try:
            for path, data in files.items():
                with temporary[path].open("wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
            for path in files:
                temporary[path].replace(path)
        finally:
            for left in temporary.values():
                left.unlink(missing_ok=True)
        synced(path.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path}: {len(files[path])} bytes cannot be written ({error.strerror}) and what stood there is kept; "
            "make room",
        ) from error


def synced(folder: Path) -> None:
    """What was renamed or removed in a folder survives a loss of power."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
