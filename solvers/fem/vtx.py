"""This file owns runs on meshes as ADIOS2's VTX files, written by DOLFINx: a folder NAME.bp that ParaView opens."""

import errno
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np

from solvers.fem import toolchain
from wflow.errors import Refused
from wflow.mesh_density import MeshDensity
from wflow.store.torn import on_one_mesh
from wflow.store.whole import TEMPORARY
from wflow.trajectory import Trajectory

_ENGINE = "BP4"
"""The one that ParaView reads."""
_PARTS = re.compile(r"m?md\.\d+|md\.idx|data\.\d+|profiling\.json")
"""What ADIOS2 writes into its folders."""


def write_vtx(run: Trajectory, path: str | Path) -> Path:
    """The folder NAME.bp, whole or not at all, another one of that name replaced; its path.

    The mesh once, and `density` at each saved time: of cells where rho is constant in each, else of degree 1 with jumps
    between cells. Each rank that calls writes all of it; the last one's stays. Raises ValueError for another suffix
    than .bp and where something else has that name, Refused for measures that are no densities on one mesh, and where
    DOLFINx or its ADIOS2 is missing.
    """
    target = Path(path)
    if target.suffix != ".bp":
        raise ValueError(f"path: {target.name!r} does not end in .bp, the folder that ADIOS2 writes")
    _look(target)
    measures = on_one_mesh("vtx", run.measures)
    if (lacking := toolchain.missing()) is not None:
        raise Refused(f"vtx: {lacking}, or write the run with `store.write_xdmf`")
    toolchain.start()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}{TEMPORARY}")
    try:
        _write(measures, run.times.tolist(), temporary)
        _put(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _look(target: Path) -> None:
    """ValueError where what stands there is no folder of ADIOS2's: it would be removed."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ValueError(f"path: {target} is no folder but a file or a link; remove it, or give another name")
    held: list[str] = []
    with suppress(FileNotFoundError):  # another rank may replace it just now
        held = os.listdir(target)
    strange = [name for name in held if not _PARTS.fullmatch(name)]
    if strange:
        raise ValueError(f"path: {target} holds {strange[0]!r}, which ADIOS2 did not write; give another name")


def _put(new: Path, target: Path) -> None:
    """In place of what stands there, which comes back where that fails. Another rank may do the same just now."""
    aside = new.with_name(f".{target.name}.{os.getpid()}.old{TEMPORARY}")
    try:
        while not _renamed(new, target):
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(FileNotFoundError):
                target.replace(aside)
    except BaseException:
        if aside.exists():  # it stays away where another rank has put its own there
            _renamed(aside, target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _renamed(folder: Path, target: Path) -> bool:
    """Not where another folder has that name."""
    try:
        folder.replace(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _write(measures: list[MeshDensity], times: list[float], path: Path) -> None:
    from dolfinx import fem, io

    from solvers.fem.simplices import made_on

    if not io.has_adios2:
        raise Refused("vtx: this DOLFINx is built without ADIOS2; install another one, or use `store.write_xdmf`")
    made = made_on(measures[0].mesh)
    density = fem.Function(fem.functionspace(made.mesh, ("DG", int(measures[0].linear))), name="density")
    dofs = np.asarray(density.function_space.dofmap.list, dtype=np.int64)
    with io.VTXWriter(made.mesh.comm, path, [density], _ENGINE, io.VTXMeshPolicy.reuse) as file:
        for t, pi in zip(times, measures, strict=True):
            density.x.array[dofs] = pi.values[made.order]
            file.write(t)
