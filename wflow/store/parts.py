"""This file owns the parts of a checkpoint: what each of several ranks wrote of its own cells.

    NAME-000000001234.0.part, NAME-000000001234.1.part, ...     npz files (`archive`) of

own (m,), the numbers of the cells in the whole mesh;   and with one row a cell, (m, ...): state.values; kept, whose
rows are (k, c) for k saved times; memory.NAME, what the solver carries along.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wflow.errors import Damaged
from wflow.measure import Measure
from wflow.mesh_density import MeshDensity
from wflow.part import Part
from wflow.reached import Reached
from wflow.solver import Remembered
from wflow.store.archive import MOST_BYTES, Arrays, packed, unpacked

PART = ".part"
_OWN, _KEPT = "own", "kept"


def part_path(path: Path, rank: int) -> Path:
    """The file of one rank beside a checkpoint."""
    return path.with_name(f"{path.stem}.{rank}{PART}")


def of_cells(entry: Remembered, pi: Measure) -> bool:
    """Whether an entry of a state's memory has one row for each cell of a mesh density."""
    return isinstance(entry, np.ndarray) and isinstance(pi, MeshDensity) and len(entry) == pi.mesh.size


def part_of_run(now: Reached) -> bytes:
    """What this rank holds of the cells."""
    state, pi = now.state, now.state.measure
    assert isinstance(pi, MeshDensity) and isinstance(pi.mesh, Part)
    arrays = {_OWN: pi.mesh.own, "state.values": pi.values}
    arrays[_KEPT] = np.stack([k.measure.values for k in now.kept], axis=1)  # type: ignore[attr-defined]
    arrays |= {f"memory.{name}": np.asarray(a) for name, a in state.memory.items() if of_cells(a, pi)}
    return packed(arrays)


def joined(path: Path, digests: Sequence[str]) -> Arrays:
    """The arrays of a checkpoint at `path` that have rows for cells, from its parts; Damaged where one is not whole."""
    parts = [_read(part_path(path, rank), digest) for rank, digest in enumerate(digests)]
    own = np.concatenate([part[_OWN] for part in parts])
    if not np.array_equal(np.sort(own), np.arange(len(own))):
        raise Damaged("its parts are not those of one mesh")
    order = np.argsort(own)
    whole = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0] if name != _OWN}
    whole["measure.values"] = np.ascontiguousarray(np.moveaxis(whole.pop(_KEPT), 1, 0))
    return whole


def _read(path: Path, digest: str) -> Arrays:
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise Damaged(f"the checksum of its part {path.name} is not that of its contents")
    return unpacked(data)


def read_bytes(path: Path) -> bytes:
    """The file, if it is no longer than a checkpoint may be."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Damaged(f"{path.name} has more than {MOST_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read ({error.strerror})") from error
