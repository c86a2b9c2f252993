"""This file owns runs on meshes as ADIOS2's VTX files, written by DOLFINx: a folder NAME.bp that ParaView opens."""

import os
import shutil
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


def write_vtx(run: Trajectory, path: str | Path) -> Path:
    """The folder NAME.bp, whole or not at all, another one of that name replaced; its path.

    The mesh once, and `density` at each saved time: of cells where rho is constant in each, else of degree 1 with jumps
    between cells. Raises ValueError for another suffix than .bp, Refused for measures that are no densities on one
    mesh, and where DOLFINx or its ADIOS2 is missing.
    """
    target = Path(path)
    if target.suffix != ".bp":
        raise ValueError(f"path: {target.name!r} does not end in .bp, the folder that ADIOS2 writes")
    measures = on_one_mesh("vtx", run.measures)
    if (lacking := toolchain.missing()) is not None:
        raise Refused(f"vtx: {lacking}, or write the run with `store.write_xdmf`")
    toolchain.start()
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}{TEMPORARY}")
    try:
        _write(measures, run.times.tolist(), temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


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
