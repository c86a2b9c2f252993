"""`wflow resume`: a run in several sessions says what a run in one says, byte for byte, or is refused by name."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from solvers.finite_volume import Upwind
from solvers.jko import Quantile
from solvers.particles import GradientFlow
from wflow import Flow, Solver, State, Step
from wflow.app import run as run_module
from wflow.app.cli import app
from wflow.app.figures import Picture, Runs, of_runs
from wflow.problems import Problem
from wflow.store import RunFolder, whole

ROOT = Path(__file__).parent.parent
LABELS = ["GradientFlow(particles=20)", "Upwind(cells=16)", "Quantile(points=16)"]
KINDS: list[type[Solver]] = [GradientFlow, Upwind, Quantile]
CASE = """
[problem]
name = "circle_teacher"
horizon = 0.2
[[solver]]
name = "GradientFlow"
particles = 20
[[solver]]
name = "Upwind"
cells = 16
[[solver]]
name = "Quantile"
points = 16
[solve]
steps = 8
"""


def wflow(*arguments: object) -> Result:
    """The command line in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def contents(folder: RunFolder) -> dict[str, Any]:
    """All that a run says, but for when and how long: the checksums of its files, and its rows without seconds."""
    folder.check()
    manifest = folder.manifest
    results = json.loads(folder.read("results.json"))
    files = {name: seal for name, seal in manifest["files"].items() if name != "results.json"}
    runs = {label: {**run, "seconds": 0} for label, run in manifest["runs"].items()}
    rows = [{**row, "seconds": 0} for row in results["rows"]]
    return {"files": files, "runs": runs, "rows": rows, "distances": results["distances"]}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run in one session, with its figures."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "case.toml").write_text(CASE)
    found = wflow("run", folder / "case.toml", "--out", folder)
    assert found.exit_code == 0, found.output
    assert {p.name for p in (folder / "case-001").iterdir()} == {
        *("STATUS", "log.txt", "manifest.json", "config.toml", "results.json", "figures"),
        *("01-GradientFlow_particles_20.npz", "02-Upwind_cells_16.npz", "03-Quantile_points_16.npz"),
    }
    return contents(RunFolder.open(folder / "case-001"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures, which take most of the time."""
    monkeypatch.setattr(run_module, "of_runs", lambda problem, runs: iter(()))


def without_figures(said: dict[str, Any]) -> dict[str, Any]:
    """What a run says in words."""
    return {**said, "files": {k: v for k, v in said["files"].items() if not k.startswith("figures")}}


def interrupted(folder: Path, kind: type[Solver] = Upwind, at: int = 4, error: type = KeyboardInterrupt) -> RunFolder:
    """The case, stopped inside a step of one solver (called `at` + 1 times)."""
    (folder / "case.toml").write_text(CASE)
    step = kind.step

    def stopping(self: Solver, flow: Flow, state: State, dt: float) -> Step:
        if state.count == at:
            raise error
        return step(self, flow, state, dt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "step", stopping)
        found = wflow("run", folder / "case.toml", "--out", folder, "--checkpoint-every", 0)
    assert found.exit_code == (130 if error is KeyboardInterrupt else 1), found.output
    return RunFolder.open(next(folder.glob("case-*")))


@pytest.mark.slow
def test_a_run_in_two_sessions_has_the_files_of_one(tmp_path: Path, reference: dict[str, Any]) -> None:
    """Trajectories and figures byte by byte, rows and distances number by number."""
    folder = interrupted(tmp_path)
    assert wflow("resume", folder.path).exit_code == 0
    assert folder.status == "done" and contents(folder) == reference
    assert {p.name for p in folder.path.iterdir()} >= {"STATUS", "results.json"}
    assert not (folder.path / "checkpoints").exists() and not (folder.path / "LOCK").exists()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("at", [0, 1, 7])
@pytest.mark.parametrize("place", range(3))
def test_finished_solvers_are_kept_the_interrupted_one_goes_on_the_others_are_run(
    tmp_path: Path, reference: dict[str, Any], place: int, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its first step, in its second and in its last."""
    folder = interrupted(tmp_path, KINDS[place], at)
    assert folder.status == "interrupted"
    assert list(folder.manifest["runs"]) == LABELS[:place]
    taken: dict[type[Solver], list[int]] = {kind: [] for kind in KINDS}
    for kind in KINDS:

        def counting(
            self: Solver, flow: Flow, state: State, dt: float, kind: Any = kind, step: Any = kind.step
        ) -> Step:
            taken[kind].append(state.count)
            stepped: Step = step(self, flow, state, dt)
            return stepped

        monkeypatch.setattr(kind, "step", counting)
    found = wflow("resume", folder.path)
    assert found.exit_code == 0, found.output
    expected = [*([[]] * place), list(range(at, 8)), *([list(range(8))] * (2 - place))]
    assert [taken[kind] for kind in KINDS] == expected
    assert contents(folder) == without_figures(reference)


@pytest.mark.usefixtures("undrawn")
def test_a_run_may_be_interrupted_again_and_again(tmp_path: Path, reference: dict[str, Any]) -> None:
    """At most two of eight steps of each solver a session, after a session of one: they end in 5, 8 and 11 sessions."""
    folder, code, session = interrupted(tmp_path, GradientFlow, 1), 130, 1
    while code == 130:
        assert folder.status == "interrupted"
        with pytest.MonkeyPatch.context() as patch:
            for kind in KINDS:
                calls = [0]

                def one(
                    self: Solver, flow: Flow, state: State, dt: float, step: Any = kind.step, calls: list[int] = calls
                ) -> Step:
                    calls[0] += 1
                    if calls[0] == 3:
                        raise KeyboardInterrupt
                    stepped: Step = step(self, flow, state, dt)
                    return stepped

                patch.setattr(kind, "step", one)
            code, session = wflow("resume", folder.path).exit_code, session + 1
    assert code == 0 and session == 11
    assert len(folder.manifest["resumed"]) == session - 1
    assert contents(folder) == without_figures(reference)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_finished_run_has_nothing_to_resume(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "case")
    with folder.recorded():
        pass
    found = wflow("resume", folder.path)
    assert found.exit_code == 2 and "nothing to resume, it is done" in found.output
    early = RunFolder.create(tmp_path, "case")
    found = wflow("resume", early.path)
    assert found.exit_code == 2 and "stopped before it began" in found.output
    assert "no run folder" in wflow("resume", tmp_path).output
    assert not list(tmp_path.rglob("LOCK"))


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interrupted run, to be copied."""
    return interrupted(tmp_path_factory.mktemp("half")).path


@pytest.fixture
def copied(half: Path, tmp_path: Path) -> RunFolder:
    """A copy of it in another place."""
    return RunFolder.open(shutil.copytree(half, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("victim", "part"),
    [("config.toml", "config.toml: its checksum"), ("01-GradientFlow_particles_20.npz", "its checksum")],
)
def test_a_file_that_has_changed_is_named(copied: RunFolder, victim: str, part: str) -> None:
    """The config, and the trajectory of a solver that was finished."""
    with (copied.path / victim).open("ab") as stream:
        stream.write(b"#")
    found = wflow("resume", copied.path)
    assert found.exit_code == 1 and part in found.output


@pytest.mark.parametrize(
    ("entries", "code", "part"),
    [
        ({"format": 1}, 1, "its format is 1, this version reads 2"),
        ({"versions": {"wflow": "0.0.9"}}, 2, "begun by wflow 0.0.9"),
    ],
)
def test_another_format_or_version_of_wflow_is_refused(
    copied: RunFolder, entries: dict[str, Any], code: int, part: str
) -> None:
    copied.note(**entries)
    found = wflow("resume", copied.path)
    assert found.exit_code == code and part in found.output
    assert copied.status == "interrupted"


@pytest.mark.usefixtures("undrawn")
def test_another_machine_or_library_is_said(copied: RunFolder, reference: dict[str, Any]) -> None:
    """Sums may then be rounded in another order: the run goes on and does not promise its bits."""
    versions = copied.manifest["versions"]
    copied.note(versions={**versions, "numpy": "1.0"})
    found = wflow("resume", copied.path)
    assert found.exit_code == 0
    for told in (found.output, (copied.path / "log.txt").read_text()):
        assert "'numpy': '1.0'" in told and "equal bits are not promised" in told
    assert contents(copied) == without_figures(reference)


def test_a_folder_that_another_process_writes_is_refused(copied: RunFolder) -> None:
    with copied.locked():
        found, shown = wflow("resume", copied.path), wflow("show", copied.path)
    assert found.exit_code == 2 and f"process {os.getpid()} on" in found.output
    assert f"process {os.getpid()} on" in shown.output and "wflow resume" not in shown.output
    assert copied.status == "interrupted"


DATA = "x,y\n" + "".join(f"{0.1 * k},{np.sin(0.1 * k)}\n" for k in range(30))


@pytest.mark.usefixtures("undrawn")
def test_data_must_be_what_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked for where they were, wherever one is; changed or gone, they are named."""
    (tmp_path / "xy.csv").write_text(DATA)
    text = '[problem]\nname = "regression"\ncsv = "xy.csv"\ninputs = ["x"]\ntarget = "y"\nheld_out = 0.0\n'
    text += 'horizon = 0.5\n[solver]\nname = "GradientFlow"\nparticles = 8\n[solve]\nsteps = 8\n'
    (tmp_path / "case.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    step, fails = GradientFlow.step, [True]

    def stopping(self: GradientFlow, flow: Flow, state: State, dt: float) -> Step:
        if state.count == 4 and fails[0]:
            raise KeyboardInterrupt
        return step(self, flow, state, dt)

    monkeypatch.setattr(GradientFlow, "step", stopping)
    assert wflow("run", "case.toml", "--out", "out").exit_code == 130
    fails[0] = False
    assert wflow("run", "case.toml", "--out", "whole").exit_code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = RunFolder.open(tmp_path / "out" / "case-001")
    (tmp_path / "xy.csv").write_text(DATA.replace("0.1,", "0.11,"))
    changed = wflow("resume", folder.path)
    (tmp_path / "xy.csv").unlink()
    gone = wflow("resume", folder.path)
    for found, part in ((changed, "have changed"), (gone, "are gone")):
        assert found.exit_code == 2 and "xy.csv" in found.output and part in found.output
    (tmp_path / "xy.csv").write_text(DATA)
    assert wflow("resume", folder.path).exit_code == 0
    assert contents(folder) == contents(RunFolder.open(tmp_path / "whole" / "case-001"))


# --- damage and full disks --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_checkpoint_is_said_and_the_one_before_it_used(copied: RunFolder, reference: dict[str, Any]) -> None:
    """On stderr and in the log; `wflow show` says it too."""
    newest = max((copied.path / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-7])
    shown, found = wflow("show", copied.path), wflow("resume", copied.path)
    assert found.exit_code == 0
    for told in (shown.output, found.output, (copied.path / "log.txt").read_text()):
        assert newest.name in told and "the checkpoint before it is used" in told
    assert contents(copied) == without_figures(reference)


def test_where_both_are_damaged_the_user_decides(copied: RunFolder) -> None:
    for path in (copied.path / "checkpoints").iterdir():
        path.write_bytes(b"")
    found = wflow("resume", copied.path)
    assert found.exit_code == 1 and "none of the checkpoints" in found.output and "remove them" in found.output


VICTIMS = (".checkpoint", ".npz", "results.json", "manifest.json")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_full_disk_ends_the_run_with_its_reason_and_it_can_go_on(
    tmp_path: Path, reference: dict[str, Any], victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for no file of one kind: checkpoint, trajectory, rows, manifest."""
    (tmp_path / "case.toml").write_text(CASE)
    whole_open = Path.open
    calls = [0]

    def full(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        calls[0] += victim in self.name and mode == "wb"
        if victim in self.name and mode == "wb" and calls[0] > 4 * (victim == "manifest.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole_open(self, mode, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        found = wflow("run", tmp_path / "case.toml", "--out", tmp_path, "--checkpoint-every", 0)
    folder = RunFolder.open(tmp_path / "case-001")
    assert found.exit_code == 2, found.output
    assert victim in found.output and "No space left" in found.output and "make room" in found.output
    assert folder.status.startswith("failed: OSError") and "No space left" in folder.status
    assert not [p for p in folder.path.rglob("*") if p.name.endswith(whole.TEMPORARY)]
    assert wflow("resume", folder.path).exit_code == 0
    assert contents(folder) == without_figures(reference)


def test_a_run_that_failed_over_its_figures_draws_them_all(tmp_path: Path, reference: dict[str, Any]) -> None:
    (tmp_path / "case.toml").write_text(CASE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "of_runs", failing)
        assert wflow("run", tmp_path / "case.toml", "--out", tmp_path).exit_code == 2
    folder = RunFolder.open(tmp_path / "case-001")
    assert wflow("resume", folder.path).exit_code == 0
    assert contents(folder) == reference


def failing(problem: Problem, runs: Runs) -> Iterator[Picture]:
    """The first figure, and no room for the second."""
    yield next(of_runs(problem, runs))
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("undrawn")
def test_without_room_for_a_line_of_the_log_the_reason_is_still_said(
    tmp_path: Path, reference: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "case.toml").write_text(CASE)
    whole_open = Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if mode == "a" and self.exists() and self.stat().st_size > 50:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return whole_open(self, mode, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        found = wflow("run", tmp_path / "case.toml", "--out", tmp_path)
    folder = RunFolder.open(tmp_path / "case-001")
    assert found.exit_code == 2 and "No space left" in found.output and "log.txt" in found.output
    assert folder.status == "running" and "killed while it was running" in wflow("show", folder.path).output
    assert wflow("resume", folder.path).exit_code == 0
    assert contents(folder) == without_figures(reference)


# --- show -------------------------------------------------------------------------------------------------------------


def test_show_says_how_far_a_run_has_come_and_what_continues_it(copied: RunFolder) -> None:
    shown = wflow("show", copied.path)
    assert shown.exit_code == 0
    said = re.sub(r"\s+", " ", shown.output)
    assert f"interrupted; `wflow resume {copied.path}` continues it" in said
    assert "GradientFlow(particles=20)" in said and " 8 " in said
    assert "Upwind(cells=16): a checkpoint at t = 0.1, step 4" in said
    assert "Quantile(points=16): no checkpoint, it will be solved from its start" in said


# --- the house --------------------------------------------------------------------------------------------------------

FORBIDDEN = re.compile(
    r"import pickle|pickle\.|joblib|marshal|shelve|allow_pickle=True|\beval\(|\bexec\(|yaml\.load|shell=True"
)


def sources() -> Iterator[Path]:
    """All that is installed."""
    for package in ("wflow", "solvers"):
        yield from sorted((ROOT / package).rglob("*.py"))


def test_nothing_is_pickled_and_no_text_is_run() -> None:
    """A file that is read is data; it cannot name code."""
    found = [f"{path}: {word}" for path in sources() for word in FORBIDDEN.findall(path.read_text(encoding="utf-8"))]
    assert not found
    for text in ("pickle.load(f)", "np.load(f, allow_pickle=True)", "eval(x)", "subprocess.run(c, shell=True)"):
        assert FORBIDDEN.search(text), "the words that are looked for"
