"""This file owns how a command is run by several ranks: `mpiexec -n N wflow run CONFIG`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wflow.app.settings import UsageError
from wflow.ranks import ALONE, Ranks, on_ranks

_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
"""What launchers tell their processes: MPICH's and its descendants', Open MPI's, srun."""


def launched() -> bool:
    """Whether a launcher started this process together with others. MPI is not asked: starting it takes a second."""
    return any(os.environ.get(name, "1") not in ("", "0", "1") for name in _SIZES)


@contextmanager
def together() -> Iterator[Ranks]:
    """The ranks of this command. All but the first say nothing, but for the rank that fails alone."""
    if not launched():
        yield ALONE
        return
    with on_ranks() as ranks:
        if ranks.size == 1:
            raise UsageError(
                "several processes were started together, but MPI here knows of one: the launcher belongs to another "
                "MPI; use the mpiexec beside this Python"
            )
        if ranks.number:
            # to the end of the process: how a command ends is said there too
            sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        yield ranks
