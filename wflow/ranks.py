"""This file owns the ranks of a job: processes started together (`mpiexec -n N`) that solve one flow between them.

Nothing here imports MPI before `on_ranks` is asked for its own communicator.
"""

import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, ComplexArray
from wflow.errors import Refused, WflowError

Value = TypeVar("Value")
Rows = TypeVar("Rows", bound=NDArray[Any])
Summed = TypeVar("Summed", float, Array, ComplexArray)


@dataclass(frozen=True)
class Ranks:
    """The one process that there is where nobody asked for more. Every method is collective: all ranks call it."""

    @property
    def size(self) -> int:
        """How many there are."""
        return 1

    @property
    def number(self) -> int:
        """Which of them this process is, from 0."""
        return 0

    def total(self, part: Summed) -> Summed:
        """The sum over ranks of arrays of one shape, or of numbers; the same bits on each."""
        return part

    def most(self, number: float) -> float:
        """The largest over ranks."""
        return number

    def stacked(self, part: Rows) -> Rows:
        """The ranks' arrays one after the other along the first axis, on each."""
        return part

    def told(self, value: Value) -> Value:
        """What rank 0 says, on each."""
        return value

    def listed(self, value: Value) -> list[Value]:
        """What every rank says, on each."""
        return [value]

    def wait(self) -> None:
        """Until all are here."""

    def all_here(self) -> bool:
        """Whether the others come here too, soon: asked by a rank that failed, which may be the only one."""
        return True

    def end(self, message: str) -> None:
        """End the job at once, with a message; not on one rank, where the failure itself does."""


ALONE = Ranks()
_GRACE = 1.0
"""Seconds within which ranks that fail alike are expected to fail."""


@dataclass(frozen=True, eq=False)
class Together(Ranks):
    """The processes of an MPI communicator (mpi4py's)."""

    comm: Any

    @property
    def size(self) -> int:
        return int(self.comm.size)

    @property
    def number(self) -> int:
        return int(self.comm.rank)

    def total(self, part: Summed) -> Summed:
        """One Allreduce."""
        given = np.ascontiguousarray(part)  # a number becomes one of an array's
        found: Any = np.empty_like(given)
        self.comm.Allreduce(given, found)
        return found if np.ndim(part) else type(part)(found[0])

    def most(self, number: float) -> float:
        found = np.empty(1)
        self.comm.Allreduce(np.array([number]), found, _mpi().MAX)
        return float(found[0])

    def stacked(self, part: Rows) -> Rows:
        given = np.ascontiguousarray(part)
        rows = self.comm.allgather(len(given))
        found: Rows = np.empty((sum(rows), *given.shape[1:]), given.dtype)  # type: ignore[assignment]
        each = int(np.prod(given.shape[1:], dtype=np.int64))
        self.comm.Allgatherv(given, (found, [each * n for n in rows]))
        return found

    def told(self, value: Value) -> Value:
        said: Value = self.comm.bcast(value)
        return said

    def listed(self, value: Value) -> list[Value]:
        return list(self.comm.allgather(value))

    def wait(self) -> None:
        self.comm.Barrier()

    @cached_property
    def _aside(self) -> Any:
        """A communicator for `all_here` alone: what is asked there is never mistaken for a sum of the work."""
        return self.comm.Dup()

    def all_here(self) -> bool:
        """Waits _GRACE seconds."""
        asked, until = self._aside.Ibarrier(), time.monotonic() + _GRACE
        while not asked.Test():
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def end(self, message: str) -> None:
        # the process's own: a command silences `sys.stderr` of all ranks but the first
        stream = sys.__stderr__ or sys.stderr
        stream.write(f"rank {self.number}: {message}\n")
        stream.flush()
        self.comm.Abort(1)


_current: list[Ranks] = [ALONE]


def current() -> Ranks:
    """The ranks that a flow is solved on here: those of the innermost `on_ranks`, or this process alone."""
    return _current[-1]


@contextmanager
def on_ranks(comm: Any = None) -> Iterator[Ranks]:
    """Within it `solve` shares a flow between the processes of an MPI communicator: every one of them calls it alike.

        with wflow.on_ranks():                      # started by  mpiexec -n 4 python script.py
            run = wflow.solve(flow, solvers.fem.DG1(cells=400))

    comm: mpi4py's; all processes of the job if none is given. Methods of solvers.fem alone take several ranks. What
    `solve` returns is whole on each rank; `until` is asked of each rank's part, and one that says yes is enough.
    What all ranks raise is raised; where some raise while others wait for them, the job ends with their message.
    Raises Refused where mpi4py is missing.
    """
    ranks = ranks_of(_mpi().COMM_WORLD if comm is None else comm)
    _current.append(ranks)
    try:
        yield ranks
    except BaseException as error:
        if not ranks.all_here():
            known = isinstance(error, WflowError | KeyboardInterrupt)
            ranks.end(f"{type(error).__name__}: {error}" if known else traceback.format_exc())
        raise
    finally:
        _current.pop()


@contextmanager
def alone() -> Iterator[None]:
    """Within it this process solves for itself, whatever is around."""
    _current.append(ALONE)
    try:
        yield
    finally:
        _current.pop()


_known: dict[int, Together] = {}


def ranks_of(comm: Any) -> Ranks:
    """The same object for the same communicator: meshes are kept by it."""
    if comm.size == 1:
        return ALONE
    key = int(comm.handle)
    if key not in _known or _known[key].comm != comm:
        _known[key] = Together(comm)
        _known[key]._aside  # noqa: B018  made while all are here
    return _known[key]


def _mpi() -> Any:
    try:
        return import_module("mpi4py.MPI")
    except ImportError as error:
        raise Refused(
            f"several ranks need mpi4py, which cannot be imported ({error}); install DOLFINx with it: see "
            "docs/finite_elements.md"
        ) from error
