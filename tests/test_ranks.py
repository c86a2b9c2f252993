"""Several ranks: parts of a mesh as arrays, and real jobs of two processes against one."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from solvers.fem import toolchain
from wflow import Refused, disk, problems, sphere
from wflow.app.ranked import mpiexec, ranked
from wflow.app.settings import UsageError
from wflow.meshing import mesh_of
from wflow.part import Part, bisected, part_of
from wflow.ranks import ALONE, Ranks
from wflow.store import unpack

ROOT = Path(__file__).parent.parent
job = pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or "")


@dataclass(frozen=True)
class Pretended(Ranks):
    """Rank `me` of `many`, alone in the room: what needs the others it cannot do."""

    me: int
    many: int

    @property
    def size(self) -> int:
        return self.many

    @property
    def number(self) -> int:
        return self.me


def parts(mesh, many):
    return [part_of(mesh, Pretended(k, many)) for k in range(many)]


@pytest.mark.parametrize("many", [2, 3, 5, 8])
def test_every_cell_has_one_owner_and_each_as_many(many):
    owner = bisected(np.random.default_rng(3).normal(size=(1001, 2)), many)
    shares = np.bincount(owner, minlength=many)
    assert shares.sum() == 1001 and np.ptp(shares) <= 2  # a cut rounds, twice at most for 8


def test_ties_of_a_lattice_are_cut_by_number():
    """32 points on two lines: the cut across the line is even, whatever the order of equal coordinates."""
    points = np.repeat([[0.0, 0.0], [1.0, 0.0]], 16, axis=0)
    assert np.array_equal(bisected(points, 4), np.repeat([0, 1, 2, 3], 8))


@pytest.mark.parametrize("domain", [disk(), sphere()], ids=["disk", "sphere"])
def test_parts_of_a_mesh_are_the_mesh(domain):
    """Volumes add up. A facet between two ranks is on both, any other on one, with the volumes of both its cells."""
    mesh = mesh_of(domain, 10)
    shared = parts(mesh, 3)
    assert all(isinstance(part, Part) for part in shared)
    assert np.array_equal(np.sort(np.concatenate([part.own for part in shared])), np.arange(mesh.size))
    assert sum(part.volumes.sum() for part in shared) == pytest.approx(mesh.volumes.sum(), rel=1e-14)
    rows = {tuple(corners): k for k, corners in enumerate(mesh.facets.corners.tolist())}
    seen = np.zeros(len(rows), dtype=int)
    for part in shared:
        assert part.delaunay == mesh.delaunay and part.width == mesh.width
        found = [rows[tuple(corners)] for corners in part.facets.corners.tolist()]
        seen[found] += 1
        assert np.array_equal(part.around[part.facets.cells], mesh.volumes[mesh.facets.cells[found]])
        assert np.array_equal(part.facets.normals, mesh.facets.normals[found])
        inside = part.facets.cells < part.size
        assert np.array_equal(part.own[part.facets.cells[inside]], mesh.facets.cells[found][inside])
    owner = np.empty(mesh.size, dtype=int)
    for k, part in enumerate(shared):
        owner[part.own] = k
    across = owner[mesh.facets.cells[:, 0]] != owner[mesh.facets.cells[:, 1]]
    assert across.any() and np.array_equal(seen, 1 + across)


def test_one_rank_has_the_mesh_itself_and_too_many_are_refused():
    mesh = mesh_of(disk(), 4)
    assert part_of(mesh, ALONE) is mesh
    with pytest.raises(Refused, match=r"cells on 50 ranks, allowed: at least 4 each"):
        part_of(mesh, Pretended(0, 50))


def launched(*command, many=2, **options):
    """mpiexec -n MANY COMMAND, done."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    given = {"capture_output": True, "text": True, "env": environment, "timeout": 150, **options}
    return subprocess.run([mpiexec(), "-n", str(many), *command], check=False, **given)


SCRIPT = """
import sys, time
import numpy as np
import wflow, solvers.fem, solvers.finite_volume
from wflow import problems
with wflow.on_ranks() as ranks:
    {body}
"""


def script(body, **options):
    return launched(sys.executable, "-c", SCRIPT.format(body=body.replace("\n", "\n    ")), **options)


@job
@pytest.mark.fem
def test_a_rank_that_raises_alone_ends_the_job_with_its_message():
    """The other waits for it in a sum that never comes."""
    began = time.monotonic()
    done = script(
        "if ranks.number == 1: raise wflow.Refused('rank one will not')\nranks.total(np.ones(3)); print('went on')"
    )
    assert done.returncode != 0 and "rank 1: Refused: rank one will not" in done.stderr
    assert "went on" not in done.stdout and time.monotonic() - began < 30.0


@pytest.mark.slow
@job
@pytest.mark.fem
def test_what_all_ranks_raise_is_raised():
    body = (
        "flow, said = problems.circle_teacher().flow, []\n"
        "try: wflow.solve(flow, solvers.fem.DG1(32), steps=2)\n"
        "except wflow.StepTooLarge as error: said.append(error.largest)\n"
        "try: wflow.solve(flow, solvers.finite_volume.Upwind(32))\n"
        "except wflow.Refused as error: said.append(str(error))\n"
        "both = ranks.listed(said)\n"
        "if ranks.number == 0: print(both[0] == both[1], both[0][1])\n"
        "wflow.solve(flow, solvers.fem.DG1(32), steps=2)"
    )
    done = script(body)
    assert done.stdout.startswith("True Upwind(cells=32) runs on one rank; take a method of solvers.fem"), done.stderr
    assert done.returncode != 0 and done.stderr.count("wflow.errors.StepTooLarge: DG1(cells=32): dt = 10") == 2


@job
@pytest.mark.fem
@pytest.mark.slow
def test_what_would_go_wrong_on_several_ranks_is_refused(tmp_path):
    """One file for all, and a launcher of another MPI, whose processes would each solve all of it."""
    body = (
        "from wflow.store import Checkpoints\n"
        "flow, store = problems.circle_teacher().flow, Checkpoints('nowhere', 'run')\n"
        "wflow.solve(flow, solvers.fem.DG1(16), store=store)"
    )
    assert "several ranks would write one file; use wflow.store.SharedCheckpoints" in script(body).stderr
    config = tmp_path / "other.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "wflow.app.cli", "run", str(config), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "OMPI_COMM_WORLD_SIZE": "2"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "the launcher belongs to another MPI" in done.stderr
    assert not (tmp_path / "out").exists()


@job
@pytest.mark.fem
def test_sums_over_ranks():
    """Of arrays, complex ones and numbers; rows one after the other; the largest; what the first says."""
    body = (
        "k = ranks.number\n"
        "assert ranks.size == 2 and ranks.total(2.5) == 5.0 and isinstance(ranks.total(2.5), float)\n"
        "assert np.array_equal(ranks.total(np.array([[k, 1.0]])), [[1.0, 2.0]])\n"
        "assert ranks.total(np.array([1j * k]))[0] == 1j and ranks.most(-float(k)) == 0.0\n"
        "assert np.array_equal(ranks.stacked(np.full((k + 1, 2), k)), [[0, 0], [1, 1], [1, 1]])\n"
        "assert ranks.told(f'{k}') == '0' and ranks.listed(k) == [0, 1] and ranks.all_here()\n"
        "print('held')"
    )
    done = script(body)
    assert done.stdout.count("held") == 2, done.stderr


@job
@pytest.mark.fem
@pytest.mark.slow
def test_ranks_that_see_different_parts_stop_together():
    """One rank's yes is enough; W2 of parts is that of the whole, on each rank."""
    body = (
        "flow, solver = problems.around_obstacle().flow, solvers.fem.TwoPoint(8)\n"
        "stop = lambda state: ranks.number == 1 and state.count == 5\n"
        "run = wflow.solve(flow, solver, steps=50, until=stop)\n"
        "a = solver.init(flow)\n"
        "b = solver.step(flow, a, 0.05).state\n"
        "found, exact = wflow.w2(a.measure, b.measure), wflow.w2(a.measure.whole(), b.measure.whole())\n"
        "both = ranks.listed((run.steps, found == exact, found))\n"
        "if ranks.number == 0: print(both[0] == both[1], both[0][:2])"
    )
    done = script(body)
    assert done.stdout.strip() == "True (5, True)", done.stderr


@job
@pytest.mark.fem
@pytest.mark.slow
def test_squares_too_few_for_the_ranks_are_refused():
    body = "wflow.solve(problems.circle_teacher(temperature=0.1).flow, solvers.fem.Ljko(4), steps=2)"
    assert "4 cells on 2 ranks, allowed: at least 4 each; use fewer ranks" in script(body).stderr


RAISING = """
asked = [0]
def field(w, derivative):
    asked[0] += 1
    if asked[0] == 2 and ranks.number == 1: raise ArithmeticError("no height here")
    return 0.5 * np.sum(w**2, axis=1)
energy, home = wflow.Energy(wflow.Potential(field), wflow.Power(2.0, 0.5)), wflow.disk()
flow, solver = wflow.Flow(energy, home, wflow.Uniform(home), 1.0), solvers.fem.TwoPoint(cells=20)
start = solver.init(flow)
"""


@job
@pytest.mark.fem
@pytest.mark.slow
def test_a_potential_that_raises_on_one_rank_within_newtons_method_ends_the_job():
    """The other is in PETSc by then, where giving anything back would wait for it."""
    done = script(RAISING + "solver.step(flow, start, 0.01)", timeout=60)
    assert done.returncode != 0 and "no height here" in done.stderr


@job
@pytest.mark.fem
@pytest.mark.slow
def test_ranks_may_all_write_what_they_have(tmp_path):
    """Each has the whole run; two that write at once leave one folder, in place of another or not."""
    body = f"""
flow = wflow.Flow(wflow.Energy(wflow.Potential.quadratic(1.0)), wflow.disk(), wflow.Uniform(wflow.disk()), .2)
run = wflow.solve(flow, solvers.fem.DG0(cells=12), times=[.1, .2])
for k in range(100):
    ranks.wait()
    solvers.fem.write_vtx(run, f"{tmp_path}/{{k % 2 and k}}.bp")
"""
    done = script(body)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({f"{k % 2 and k}.bp" for k in range(100)})


@job
@pytest.mark.fem
@pytest.mark.slow
@pytest.mark.timeout(450)
def test_what_leaves_the_cache_is_given_back():
    """MPI has some 2000 communicators; meshes that were not given back took them all after 230 solves.

    Some seconds, minutes where other jobs have the cores: ranks that wait for each other do so without a pause.
    """
    body = (
        "flow = problems.circle_teacher(temperature=0.05).flow\n"
        "for k in range(300): wflow.solve(flow, solvers.fem.TwoPoint(16 + k), dt=0.05, until=0.05)\n"
        "if ranks.number == 0: print('all')"
    )
    done = script(body, timeout=400)
    assert done.stdout.strip() == "all", done.stderr[-400:]


@job
@pytest.mark.fem
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_signal_reaches_a_solver_that_runs_on_one_rank(tmp_path):
    text = CONFIG.replace("DG1", "Upwind").replace("2000", "40000")
    status, _, folder = stopped(tmp_path, "lone", 1000.0, signal.SIGTERM, text, 25)
    assert status == 143
    assert (folder / "STATUS").read_text() == "interrupted\n"
    assert len(list((folder / "checkpoints").glob("*.checkpoint"))) == 1


@job
@pytest.mark.fem
@pytest.mark.slow
def test_what_a_two_step_method_remembers_is_kept_by_parts(tmp_path):
    """Three steps, then from the store the other three, against six at once. One rank reads it too.

    To rounding, since MUMPS adds up in the order of messages.
    """
    body = f"""from wflow.store import Checkpoints, SharedCheckpoints
from pathlib import Path
flow, solver, folder = problems.around_obstacle().flow, solvers.fem.Ljko2(12), Path({str(tmp_path)!r})
def to(count, stored=True):
    store = SharedCheckpoints(ranks, folder, "run", mark="", every=0.0, tell=print) if stored else None
    until = lambda state: state.count == count
    return wflow.solve(flow, solver, steps=60, store=store, until=until).final.values
def kept_by_one():
    with wflow.ranks.alone():
        return Checkpoints(folder, "run").latest().state
to(3)
halfway = kept_by_one()
found, once = to(6), to(6, stored=False)
kept = kept_by_one()
said = [halfway.count == 3 and kept.count == 6, np.allclose(found, once, rtol=0.0, atol=1e-12)]
said += [np.array_equal(kept.measure.values, found), len(kept.memory["before"]) == len(once)]
if ranks.number == 0: print(*said)
"""
    done = script(body)
    assert done.stdout.split() == ["True"] * 4, done.stderr
    assert len(list(tmp_path.glob("*.part"))) == 4 and len(list(tmp_path.glob("*.checkpoint"))) == 2


CONFIG = """
[problem]
name = "circle_teacher"
[solver]
name = "DG1"
cells = 24
[solve]
steps = 2000
"""


def stored(folder):
    return unpack(next(folder.glob("*.npz")).read_bytes())


def alike(a, b):
    apart = max(np.abs(p.weights - q.weights).sum() for p, q in zip(a.measures, b.measures, strict=True))
    return max(apart, float(np.abs(a.energies - b.energies).max()))


def stopped(tmp_path, name, every, number, text=CONFIG, reached=75):
    """A job of two ranks, told to stop by a signal once it has come so far: its status, last words and run folder."""
    config = tmp_path / f"{name}.toml"
    config.write_text(text)
    command = [sys.executable, "-m", "wflow.app.cli", "run", str(config), "--out", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [mpiexec(), "-n", "2", *command, "--checkpoint-every", str(every)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    with process:
        while f"[{reached}/100]" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        return process.wait(20), process.stderr.read(), tmp_path / f"{name}-001"


@job
@pytest.mark.fem
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_run_is_interrupted_by_both_and_resumed_by_one_or_three(tmp_path):
    status, said, folder = stopped(tmp_path, "shared", 1000.0, signal.SIGTERM)
    assert status == 143 and "interrupted" in said
    kept = sorted(path.suffix for path in (folder / "checkpoints").iterdir())
    assert kept == [".checkpoint", ".part", ".part"] and (folder / "STATUS").read_text() == "interrupted\n"
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", folder, copy], check=True)
    command = [sys.executable, "-m", "wflow.app.cli"]
    for many, where in ((1, folder), (3, copy)):
        done = launched(*command, "resume", str(where), many=many)
        assert done.returncode == 0, done.stderr
    config = tmp_path / "alone.toml"
    config.write_text((tmp_path / "shared.toml").read_text())
    subprocess.run([*command, "run", str(config), "--out", str(tmp_path)], check=True, cwd=ROOT, capture_output=True)
    alone = stored(tmp_path / "alone-001")
    assert max(alike(alone, stored(where)) for where in (folder, copy)) <= 1e-12


@job
@pytest.mark.fem
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_checkpoint_with_a_damaged_part_is_not_used(tmp_path):
    """A flipped bit in the part of one rank: the checkpoint before it is."""
    status, _, folder = stopped(tmp_path, "hurt", 0.05, signal.SIGINT)
    assert status == 130
    last = sorted((folder / "checkpoints").glob("*.1.part"))[-1]
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(bytes(data))
    done = launched(sys.executable, "-m", "wflow.app.cli", "resume", str(folder))
    assert done.returncode == 0 and "the checksum of its part" in done.stderr
    assert stored(folder).steps == 2000


@pytest.mark.slow
@job
@pytest.mark.fem
@pytest.mark.timeout(300)
def test_two_ranks_end_where_one_does():
    """A step of every method, on what they are for."""
    found = ranked([problems.build("drift_diffusion")], 2, quick=True, told=lambda *said: None)
    measured = [row.certificate for row in found if row.certificate is not None]
    assert len(measured) == 8 and all(row.holds for row in found), found


@job
@pytest.mark.fem
@pytest.mark.slow
@pytest.mark.parametrize("name", ["sphere_teacher", "around_obstacle", "barenblatt_disk", "two_layer_1d", "heat_mode"])
def test_two_ranks_end_where_one_does_on(name):
    found = ranked([problems.build(name)], 2, quick=True, told=lambda *said: None)
    measured = [row.certificate for row in found if row.certificate is not None]
    assert measured and all(row.holds for row in found), found


def test_without_a_launcher_ranks_are_refused(monkeypatch):
    monkeypatch.setattr("wflow.app.ranked.shutil.which", lambda name: None)
    monkeypatch.setattr("wflow.app.ranked.sysconfig.get_path", lambda name: "/nowhere")
    with pytest.raises(UsageError, match=r"no mpiexec beside this Python nor on PATH"):
        ranked([problems.build("circle_teacher")], 2, quick=True, told=lambda *said: None)
