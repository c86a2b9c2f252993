"""Runs on meshes as XDMF and VTX files: read back by meshio and by ADIOS2, they are the densities of the run."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from solvers.fem import toolchain, write_vtx
from tests.meshes import disk_mesh, noise, uniform
from tests.test_meshes_store import MESHES, run_of
from wflow import MeshDensity, Particles, Refused, Trajectory, box
from wflow.arrays import Array
from wflow.store import write_xdmf, xdmf

fem = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]
KIND = {2: ("line", 3), 3: ("triangle", 5)}
"""meshio's name of a simplex, and VTK's number."""


def a_run(kind: str, linear: bool) -> Trajectory:
    """Three densities that have nothing in common."""
    mesh = MESHES[kind]
    rng = np.random.default_rng(1)
    if linear:
        return run_of([noise(mesh, k) for k in range(3)])
    drawn = rng.random((3, mesh.size, 1))
    return run_of([MeshDensity(mesh, v / (v[:, 0] @ mesh.volumes)) for v in drawn])


def assert_same_density(pi: MeshDensity, corners: Array, values: Array, tolerance: float) -> None:
    """corners (m, c, 3) and values (m, 1 or c) of cells in any order, their corners in any order."""
    own = np.zeros((*pi.mesh.cells.shape, 3))
    own[:, :, : pi.domain.dim] = pi.mesh.corners
    far, number = cKDTree(own.mean(axis=1)).query(corners.mean(axis=1))
    assert far.max() <= 1e-14 and sorted(number.tolist()) == list(range(pi.mesh.size))
    apart = np.linalg.norm(corners[:, :, None, :] - own[number][:, None, :, :], axis=3)
    which = apart.argmin(axis=2)
    assert apart.min(axis=2).max() <= 1e-14 and np.all(np.sort(which, axis=1) == np.arange(which.shape[1]))
    expected = pi.values[number]
    if pi.linear:
        expected = np.take_along_axis(expected, which, axis=1)
    np.testing.assert_allclose(values, expected, rtol=tolerance, atol=0.0)


@pytest.mark.parametrize("kind", MESHES)
@pytest.mark.parametrize("linear", [False, True])
def test_xdmf_files_hold_the_densities(kind: str, linear: bool, tmp_path: Path) -> None:
    """To the bit, by meshio's reader of time series; the same run gives the same bytes."""
    meshio = pytest.importorskip("meshio")
    run = a_run(kind, linear)
    written = write_xdmf(run, tmp_path / "new" / "flow.xdmf")
    c = MESHES[kind].cells.shape[1]
    with meshio.xdmf.TimeSeriesReader(written) as series:
        points, blocks = series.read_points_cells()
        assert [block.type for block in blocks] == [KIND[c][0]] and series.num_steps == 3
        for k, pi in enumerate(run.measures):
            assert isinstance(pi, MeshDensity)
            t, at_points, in_cells = series.read_data(k)
            assert t == run.times[k] and ("density" in at_points) == linear
            values = at_points["density"][blocks[0].data] if linear else in_cells["density"][0][:, None]
            assert_same_density(pi, points[blocks[0].data], values, 0.0)
    before = written.read_bytes(), written.with_suffix(".h5").read_bytes()
    write_xdmf(run, written)
    assert (written.read_bytes(), written.with_suffix(".h5").read_bytes()) == before


def test_both_files_of_xdmf_are_those_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full after the numbers: the text before them still has its own."""
    path = write_xdmf(run_of([noise(disk_mesh(3), k) for k in range(3)]), tmp_path / "a.xdmf")
    before = [file.read_bytes() for file in sorted(tmp_path.iterdir())]
    opened = Path.open

    def full(self: Path, *given: Any, **more: Any) -> Any:
        if self.name.startswith(".a.xdmf"):
            raise OSError(28, "No space left on device")
        return opened(self, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match=r"a\.xdmf: .*No space left"):
            write_xdmf(run_of([noise(disk_mesh(2))]), path)
    assert [file.read_bytes() for file in sorted(tmp_path.iterdir())] == before


@pytest.mark.parametrize("name", ["a:b.xdmf", " a.xdmf"])
def test_names_that_xdmf_cannot_say_are_refused(name: str, tmp_path: Path) -> None:
    """It writes FILE:/PLACE, and readers drop spaces around that."""
    with pytest.raises(ValueError, match="colon, or begins with a space"):
        write_xdmf(run_of([noise(disk_mesh(2))]), tmp_path / name)
    assert not list(tmp_path.iterdir())


def needs_adios2() -> None:
    """Not imported here: DOLFINx has a library of the same name, which could not be loaded any more."""
    if find_spec("adios2") is None:
        pytest.skip("adios2 is not installed")


READER = """
import json, sys
import adios2

steps = []
with adios2.Stream(sys.argv[1], "r") as file:
    for step in file.steps():
        names = [n for n in ("connectivity", "geometry", "types", "density", "step") if n in step.available_variables()]
        steps.append({n: step.read(n, block_id=0).tolist() for n in names})
        text = file.read_attribute("vtk.xml")
print(json.dumps([steps, text]))
"""


def read_vtx(path: Path) -> tuple[list[dict[str, Any]], str]:
    """In a process of its own, since ADIOS2 and the one in DOLFINx are two libraries with the same names."""
    done = subprocess.run([sys.executable, "-c", READER, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps, text = json.loads(done.stdout)
    return steps, text


@pytest.mark.fem
@fem[1]
@pytest.mark.parametrize(
    ("kind", "linear"),
    [("disk", True), ("region", False), ("torus", True), ("circle", False), ("sphere", True), ("sphere", False)],
)
def test_vtx_files_hold_the_densities(kind: str, linear: bool, tmp_path: Path) -> None:
    """To rounding of the corners, by ADIOS2's own reader: the mesh in the first step, the numbers in each."""
    needs_adios2()
    run = a_run(kind, linear)
    written = write_vtx(run, tmp_path / "new" / "flow.bp")
    assert [p.name for p in written.parent.iterdir()] == ["flow.bp"]
    steps, text = read_vtx(written)
    first = steps[0]
    c = MESHES[kind].cells.shape[1]
    cells = np.array(first["connectivity"])
    assert np.all(cells[:, 0] == c) and set(np.ravel(first["types"])) <= {KIND[c][1], {2: 68, 3: 69}[c]}
    corners = np.array(first["geometry"])[cells[:, 1:]]
    where = "PointData" if linear else "CellData"
    assert '<DataArray Name="density"' in text.split(f"<{where}>")[1].split(f"</{where}>")[0]
    assert [np.ravel(step["step"])[0] for step in steps] == run.times.tolist()
    for step, pi in zip(steps, run.measures, strict=True):
        assert isinstance(pi, MeshDensity)
        values = np.ravel(step["density"])
        assert_same_density(pi, corners, values[cells[:, 1:]] if linear else values[:, None], 1e-15)


@pytest.mark.fem
@fem[1]
def test_a_vtx_file_takes_the_place_of_another(tmp_path: Path) -> None:
    """A longer one; where writing fails the old one stays, and nothing else."""
    needs_adios2()
    path = write_vtx(run_of([noise(disk_mesh(3), k) for k in range(4)]), tmp_path / "a.bp")
    write_vtx(run_of([noise(disk_mesh(2))]), path)
    assert len(read_vtx(path)[0]) == 1
    from dolfinx import io

    def full(self: Any, t: float) -> None:
        """The folder is there, its disk is full."""
        assert len(list(tmp_path.iterdir())) == 2
        raise OSError("no room")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io.VTXWriter, "write", full)
        with pytest.raises(OSError, match="no room"):
            write_vtx(run_of([noise(disk_mesh(3))]), path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.bp"] and len(read_vtx(path)[0]) == 1


@pytest.mark.fem
@fem[1]
def test_a_folder_of_others_is_not_removed(tmp_path: Path) -> None:
    """Nor a file or a link of that name; an empty folder is."""
    run, path = run_of([noise(disk_mesh(2))]), tmp_path / "a.bp"
    path.mkdir()
    write_vtx(run, path)
    (path / "thesis.tex").write_text("so far")
    with pytest.raises(ValueError, match=r"a\.bp holds 'thesis.tex'"):
        write_vtx(run, path)
    assert (path / "thesis.tex").read_text() == "so far"
    (tmp_path / "b.bp").write_text("a file")
    (tmp_path / "c.bp").symlink_to(path)
    for name in ("b.bp", "c.bp"):
        with pytest.raises(ValueError, match="no folder but a file or a link"):
            write_vtx(run, tmp_path / name)


@pytest.mark.fem
@fem[1]
def test_the_old_folder_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the new one cannot take its name after it was moved aside."""
    path = write_vtx(run_of([noise(disk_mesh(3))]), tmp_path / "a.bp")
    before = (path / "data.0").read_bytes()
    renamed, moves = Path.replace, []

    def stopped(self: Path, target: Path) -> Path:
        moves.append(self.name)
        if len(moves) == 3:  # the first found the old one, the second moved it
            raise KeyboardInterrupt
        return renamed(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_vtx(run_of([noise(disk_mesh(2))]), path)
    assert moves[1] == "a.bp" and [p.name for p in tmp_path.iterdir()] == ["a.bp"]
    assert (path / "data.0").read_bytes() == before


def test_other_runs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another suffix, particles, two meshes or two degrees, no h5py, no DOLFINx."""
    run = run_of([noise(disk_mesh(2))])
    writers = ((write_xdmf, ".xdmf"), (write_vtx, ".bp"))
    for write, suffix in writers:
        with pytest.raises(ValueError, match=rf"does not end in \{suffix}"):
            write(run, tmp_path / "flow.vtu")
        with pytest.raises(Refused, match="no density on a mesh"):
            write(run_of([Particles(box((0, 0), (1, 1)), np.zeros((1, 2)))]), tmp_path / f"flow{suffix}")
        for other in (noise(disk_mesh(3)), uniform(disk_mesh(2))):
            with pytest.raises(Refused, match="different meshes"):
                write(run_of([other, noise(disk_mesh(2))]), tmp_path / f"flow{suffix}")
    monkeypatch.setattr(xdmf, "find_spec", lambda name: None)
    monkeypatch.setattr(toolchain, "missing", lambda: "DOLFINx is not installed")
    for (write, suffix), said in zip(writers, (r"wflow\[mesh\]", "DOLFINx is not installed.*write_xdmf"), strict=True):
        with pytest.raises(Refused, match=said):
            write(run, tmp_path / f"flow{suffix}")
    assert not list(tmp_path.iterdir())
