"""Run folders: an acknowledged file is never lost, a damaged one is never believed."""

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solvers.finite_volume import Upwind
from solvers.jko import Quantile
from solvers.particles import GradientFlow, Sampled
from solvers.spectral import Fourier
from wflow import (
    Atoms,
    Box,
    Density,
    Flow,
    Grid,
    Particles,
    SignedParticles,
    Solver,
    Trajectory,
    plane,
    problems,
    solve,
)
from wflow.errors import Damaged
from wflow.store import RunFolder, pack, unpack, write_whole
from wflow.store.archive import packed

ROOT = Path(__file__).parent.parent
TEACHER = problems.linear_neuron(horizon=1.0)


def run_of(solver: Solver) -> Trajectory:
    """A short run of the linear neuron."""
    return solve(TEACHER.flow, solver, steps=8)


@pytest.mark.parametrize(
    "solver", [GradientFlow(20), GradientFlow(20, Sampled(1)), Upwind(16), Fourier(24), Quantile(16)], ids=str
)
def test_a_trajectory_comes_back_as_it_was(solver: Solver) -> None:
    run = run_of(solver)
    saved = unpack(pack(run))
    again = saved.trajectory(run.flow, solver)
    assert again.steps == run.steps
    for name in ("times", "energies", "dissipated"):
        assert np.array_equal(getattr(again, name), getattr(run, name))
    assert {k: v.tolist() for k, v in again.diagnostics.items()} == {k: v.tolist() for k, v in run.diagnostics.items()}
    for a, b in zip(again.measures, run.measures, strict=True):
        assert type(a) is type(b) and a.domain == b.domain
        assert np.array_equal(a.points, b.points) and np.array_equal(a.weights, b.weights)


def test_signed_particles_in_the_plane_come_back() -> None:
    signed = SignedParticles(plane(), np.eye(2), np.array([1.0, -2.0]))
    atoms = Particles(plane(), np.eye(2))
    flow = Flow(problems.ornstein_uhlenbeck().flow.energy, plane(), Atoms(plane(), np.eye(2)), 1.0)
    for pi in (signed, atoms):
        run = Trajectory(flow, GradientFlow(2), np.zeros(1), (pi,), np.zeros(1), np.zeros(1), {}, 0)
        (again,) = unpack(pack(run)).measures
        assert type(again) is type(pi)
        assert np.array_equal(again.points, pi.points) and np.array_equal(again.weights, pi.weights)


@pytest.mark.parametrize("frozen", [(True, False), (False, False)])
def test_the_frozen_axes_of_a_domain_come_back(frozen: tuple[bool, bool]) -> None:
    """Two sheets a = +-1 on which b moves: read back as an ordinary box, mass would cross between the sheets."""
    home = Box((-1.0, 0.0), (1.0, 2.0), (False, False), frozen)
    pi = Density(Grid(home, (2, 3)), np.full(6, 0.25))
    run = Trajectory(TEACHER.flow, Upwind(4), np.zeros(1), (pi,), np.zeros(1), np.zeros(1), {}, 0)
    (again,) = unpack(pack(run)).measures
    assert isinstance(again, Density) and again.grid == pi.grid and again.domain.frozen == frozen


def test_the_same_trajectory_is_the_same_bytes_at_any_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(GradientFlow(20))
    data = pack(run)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    assert pack(run) == data


def test_no_array_is_pickled() -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        packed({"a": np.array([{}], dtype=object)})


def test_a_trajectory_too_large_to_read_back_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wflow.store.archive.MOST_BYTES", 1000)
    with pytest.raises(OSError, match="save fewer times"):
        pack(run_of(GradientFlow(200)))


# a member cut short in its __init__ says so when it is finalized; nothing follows from it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_at_any_line_of_packing_is_what_is_raised() -> None:
    """zipfile's own context manager turns some into a ValueError about a member still open."""
    ended: set[str] = set()
    for chosen in range(1, 10_000):
        seen = 0

        def step(frame: Any, event: str, argument: Any, chosen: int = chosen) -> Any:
            nonlocal seen
            seen += 1
            if seen == chosen:
                sys.settrace(None)
                raise KeyboardInterrupt
            # finalizers swallow what is raised in them
            return None if frame.f_code.co_name == "__del__" else step

        try:
            sys.settrace(step)
            packed({"x": np.zeros(3)})
            break
        except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001
            ended.add(type(error).__name__)
        finally:
            sys.settrace(None)
    assert chosen > 100 and ended == {"KeyboardInterrupt"}


def test_a_damaged_trajectory_is_refused_or_unchanged() -> None:
    """Truncated at 16 places; 256 single bits flipped: whatever is not refused says the same as before."""
    data = pack(run_of(Quantile(16)))
    whole = unpack(data)
    for k in range(16):
        with pytest.raises(Damaged):
            unpack(data[: k * len(data) // 16])
    for place in np.random.default_rng(1).integers(0, 8 * len(data), 256):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << (place % 8)
        try:
            saved = unpack(bytes(flipped))
        except Damaged:
            continue
        assert np.array_equal(saved.energies, whole.energies)
        assert np.array_equal(saved.measures[-1].points, whole.measures[-1].points)


def bomb(**arrays: Any) -> bytes:
    """An npz file of these arrays."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def test_foreign_npz_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wflow.store.archive.MOST_BYTES", 1 << 20)
    objects = bomb(format=np.array([{}], dtype=object))
    for data in (b"", b"PK", b"x" * 1000, bomb(format=np.zeros(1 << 20)), bomb(a=np.zeros(3)), objects):
        with pytest.raises(Damaged):
            unpack(data)


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(4,)", "(2, 2)"])
def test_the_length_that_an_array_claims_must_be_there(shape: str) -> None:
    """Three numbers are stored: the header is compared with them before anything is allocated."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    member = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + head.ljust(117).encode() + b"\n" + bytes(24)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as members:
        members.writestr("format.npy", member)
    with pytest.raises(Damaged, match="says that it is"):
        unpack(stream.getvalue())


def test_a_folder_checks_what_it_wrote(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "case")
    folder.write("a.bin", b"one")
    folder.write("figures/b.bin", b"two")
    folder.note(seed=3)
    folder.check()
    assert RunFolder.open(folder.path).manifest["seed"] == 3
    with pytest.raises(Damaged, match="does not list"):
        folder.read("c.bin")
    (folder.path / "a.bin").write_bytes(b"One")
    with pytest.raises(Damaged, match=r"a\.bin.*checksum"):
        folder.check()


def test_the_manifest_is_sealed(tmp_path: Path) -> None:
    """Whoever changes a checksum in the manifest must also forge the manifest's own."""
    folder = RunFolder.create(tmp_path, "case")
    folder.write("a.bin", b"one")
    path = folder.path / "manifest.json"
    entries = json.loads(path.read_text())
    entries["files"]["a.bin"] = "0" * 64
    path.write_text(json.dumps(entries))
    with pytest.raises(Damaged, match=r"manifest\.json"):
        folder.check()


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.bin"
    write_whole(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(target, b"new" * 1000)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


KILLED = """
import os, sys
from pathlib import Path
from wflow import store

target, point = Path(sys.argv[1]), sys.argv[2]
dies = lambda *arguments, **options: os._exit(9)
half = lambda stream, data: (stream.write(data[: len(data) // 2]), stream.flush(), os._exit(9))
match point:
    case "fsync": os.fsync = dies
    case "rename": Path.replace = dies
    case "unlink": Path.unlink = dies
    case "folder": os.open = dies
    case "write":
        whole = Path.open
        class Half:
            def __init__(self, stream): self.stream = stream
            def __enter__(self): return self
            def __exit__(self, *rest): return None
            def write(self, data): half(self.stream, data)
        Path.open = lambda self, mode: Half(whole(self, mode))
store.write_whole(target, b"new" * 1000)
"""


@pytest.mark.parametrize("point", ["write", "fsync", "rename", "unlink", "folder"])
def test_a_process_killed_while_writing_leaves_the_old_or_the_new_file(tmp_path: Path, point: str) -> None:
    target = tmp_path / "a.bin"
    write_whole(target, b"old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(target), point], cwd=ROOT, check=False)
    assert ended.returncode == 9
    assert target.read_bytes() == (b"old" if point in ("write", "fsync", "rename") else b"new" * 1000)


def test_a_run_killed_leaves_its_status_and_what_it_had_finished(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "case")
    with pytest.raises(RuntimeError), folder.recorded():
        assert folder.status == "running"
        folder.write("a.bin", b"one")
        raise RuntimeError("boom")
    assert folder.status == "failed: RuntimeError: boom"
    assert folder.read("a.bin") == b"one"
    with pytest.raises(KeyboardInterrupt), folder.recorded():
        raise KeyboardInterrupt
    assert folder.status == "interrupted"
    with folder.recorded():
        pass
    assert folder.status == "done"
    log = (folder.path / "log.txt").read_text().splitlines()
    said = [line.split("  ")[1].split(":")[0] for line in log]
    assert said == ["running", "failed", "running", "interrupted", "running", "done"]


@pytest.mark.slow
def test_names_are_never_used_twice_by_two_processes(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from wflow.store import RunFolder\n"
    code += "for _ in range(20): print(RunFolder.create(Path(sys.argv[1]), 'case').path)"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    names = [line for process in started for line in process.communicate(timeout=50)[0].split()]
    assert len(names) == len(set(names)) == 40
