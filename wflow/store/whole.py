"""This file owns files written whole or not at all."""

import os
from pathlib import Path

TEMPORARY = ".tmp"
"""How the name of a temporary file ends; one that a killed process left has no other meaning."""


def write_whole(path: Path, data: bytes) -> None:
    """The file has all of `data` or is as it was before: temporary file, fsync, rename, fsync of the folder.

    Raises OSError with the path where that fails (a full disk); the temporary file is then removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        synced(path.parent)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path}: {len(data)} bytes cannot be written ({error.strerror}) and what stood there is kept; make room",
        ) from error


def synced(folder: Path) -> None:
    """What was renamed or removed in a folder survives a loss of power."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
