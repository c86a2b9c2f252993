"""This file owns the lock of a folder: one process writes it at a time.

The lock is the operating system's, on the open file LOCK, and ends with the process that holds it, however that ends.
What LOCK says (the process, the machine, since when) is for the reader; a LOCK that nobody holds is stale and is taken.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wflow.errors import Busy

LOCK = "LOCK"
_HELD = (BlockingIOError, PermissionError)

if sys.platform == "win32":
    import msvcrt

    def _hold(descriptor: int) -> None:
        """Take the lock, or raise one of _HELD."""
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # beyond the text, which stays readable
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _hold(descriptor: int) -> None:
        """Take the lock, or raise one of _HELD."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(folder: Path, since: str) -> Iterator[None]:
    """Hold the lock of a folder; Busy names the process that holds it."""
    path = folder / LOCK
    descriptor = _taken(path)
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} on {platform.node()} since {since}\n".encode())
        yield
    finally:
        if os.name == "posix":
            path.unlink(missing_ok=True)
            os.close(descriptor)
        else:  # there an open file cannot be removed, nor one that the next holder has opened meanwhile
            os.close(descriptor)
            with suppress(PermissionError):
                path.unlink(missing_ok=True)


def _taken(path: Path) -> int:
    """The descriptor of LOCK, held."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _hold(descriptor)
        except _HELD:
            os.close(descriptor)
            raise Busy(f"{path.parent}: {_said(path)} is writing this folder; wait for it or end it") from None
        if _same(descriptor, path):
            return descriptor
        os.close(descriptor)  # its last holder removed it before we had it: a file that nobody else can find


def holder(folder: Path) -> str | None:
    """The live process that writes a folder, in the words of LOCK; None if there is none."""
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        _hold(descriptor)
    except _HELD:
        return _said(path)
    finally:
        os.close(descriptor)
    return None


def _said(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
    except OSError:
        return "another process"


def _same(descriptor: int, path: Path) -> bool:
    """The open file is the one at that path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
