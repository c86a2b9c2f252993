"""Where DOLFINx is missing DG0 refuses in one sentence; where it is there, signals, caches and workers stay whole."""

import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from solvers.fem import DG0, toolchain
from wflow import Refused, problems, solve
from wflow.app.verify import _run_all

ROOT = Path(__file__).parent.parent
FLOW = problems.heat_mode().flow
here = pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or "")


# Without


def without_dolfinx(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setitem(sys.modules, "dolfinx", None)


def without_compiler(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("CC", "no-such-compiler -pthread")


def without_path(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.delenv("CC", raising=False)
    patch.setenv("PATH", str(folder))


def without_headers(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setattr(sysconfig, "get_path", lambda name: str(folder))


LACKING = {
    "DOLFINx": (without_dolfinx, ("DOLFINx is not installed", "pip install", "conda")),
    "a compiler by name": (without_compiler, ("no C compiler 'no-such-compiler'", "CC")),
    "a compiler on PATH": (without_path, ("no C compiler", "install gcc")),
    "headers": (without_headers, ("Python.h", "python3-dev")),
}


@pytest.mark.parametrize("what", LACKING)
def test_what_is_missing_is_said_in_one_sentence(what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`refusal` and `solve` say the same, before any of DOLFINx is imported."""
    take_away, parts = LACKING[what]
    if what != "DOLFINx" and toolchain.find_spec("dolfinx") is None:
        pytest.skip("DOLFINx is not installed, which is said first")
    take_away(monkeypatch, tmp_path)
    reason = DG0(8).refusal(FLOW)
    assert reason is not None and "\n" not in reason and len(reason) < 160
    for part in parts:
        assert part in reason
    with pytest.raises(Refused) as caught:
        solve(FLOW, DG0(8))
    assert reason in str(caught.value)


def test_an_installation_that_cannot_be_imported_is_a_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where another PETSc stands beside the wheel's own."""
    (tmp_path / "dolfinx").mkdir()
    (tmp_path / "dolfinx" / "__init__.py").write_text("raise ImportError('two stacks of PETSc')")
    for name in [m for m in sys.modules if m.split(".")[0] in ("dolfinx", "dolfinx_solver")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "petsc4py", type(sys)("petsc4py"))
    monkeypatch.setattr(sys.modules["petsc4py"], "init", lambda arguments: None, raising=False)
    with pytest.raises(Refused, match=r"cannot be imported.*two stacks"):
        toolchain.start.__wrapped__()


@pytest.mark.slow
def test_neither_import_nor_refusal_imports_dolfinx() -> None:
    """So that `wflow list` stays quick, and wflow is whole without the extra."""
    code = (
        "import sys; from wflow.app.methods import METHODS; from wflow import problems; from solvers.fem import DG0;"
        "DG0(8).refusal(problems.heat_mode().flow); print([m for m in sys.modules if m.split('.')[0] in "
        "('dolfinx', 'dolfinx_solver', 'mpi4py', 'petsc4py', 'ufl', 'ffcx')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


# With

INTERRUPTED = """
import signal
from solvers.fem import DG0
from wflow import problems

class Terminated(Exception): pass

def stop(number, frame): raise Terminated

signal.signal(signal.SIGTERM, stop)
flow, solver = problems.circle_teacher(temperature=0.1).flow, DG0(16)
state = solver.init(flow)
for _ in range(2):
    try:
        while True:
            state = solver.step(flow, state, 1e-6).state
            if state.count % 100 == 2: print("stepping", flush=True)
    except (KeyboardInterrupt, Terminated) as error:
        print(type(error).__name__, flush=True)
"""


@pytest.mark.slow
@pytest.mark.fem
@here
def test_interrupts_reach_python() -> None:
    """Ctrl-C, then SIGTERM to the handler that was set before MPI and PETSc began: theirs would abort with a page."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
    with process:
        assert process.stdout is not None and process.stderr is not None
        for number, name in ((signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "Terminated")):
            assert process.stdout.readline() == "stepping\n", process.stderr.read()
            process.send_signal(number)
            while (line := process.stdout.readline()) == "stepping\n":
                pass
            assert line == f"{name}\n"
        assert (process.wait(10), process.stderr.read()) == (0, "")


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module of the forms, none compiled yet, its cache in an empty folder."""
    toolchain.start()
    from solvers.fem import forms

    usual = forms.jit.get_options

    monkeypatch.setattr(forms.jit, "get_options", lambda *given: {**usual(), "cache_dir": tmp_path})
    return forms


@pytest.mark.fem
@here
def test_a_cache_that_cannot_be_written_is_named(forms: Any, tmp_path: Path) -> None:
    """Here because the folder would lie where a file is; what it needs is said, not where FFCx stumbled."""
    (tmp_path / "wflow").write_text("")
    with pytest.raises(OSError, match=r"cannot keep its compiled forms in .*wflow.*set XDG_CACHE_HOME"):
        _ = forms.Forms.on(1).exchange


@pytest.mark.fem
@here
def test_a_compiler_that_fails_is_a_refusal(forms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(Refused, match="the C compiler failed"):
        _ = forms.Forms.on(1).exchange


@pytest.mark.fem
@here
def test_what_was_compiled_serves_the_next_process(forms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the cache filled no compiler is called again."""
    _ = forms.Forms.on(1).exchange
    monkeypatch.setenv("CC", "false")
    _ = forms.Forms.on(1).exchange


@pytest.mark.fem
@here
def test_a_compilation_that_was_killed_is_begun_anew(tmp_path: Path) -> None:
    """Its source lies there without the mark of completion, for which FFCx alone would wait in vain."""
    toolchain.start()
    from solvers.fem.forms import _alone_in

    for name in ("killed.c", "whole.c", "whole.c.cached"):
        (tmp_path / name).write_text("")
    with _alone_in(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == ["lock", "whole.c", "whole.c.cached"]


@pytest.mark.slow
@pytest.mark.fem
@here
def test_worker_processes_solve_by_it() -> None:
    """Two of them, spawned, each starting MPI for itself: every claim of a quick study holds."""
    tasks = [(name, {"horizon": 0.05}, DG0(16), True) for name in ("heat_mode", "drift_diffusion")]
    outcomes = _run_all(tasks, 2, lambda what, done, total: None, lambda found: None)
    assert all(row.holds for outcome in outcomes for row in outcome.rows)
    assert all(outcome.times is not None for outcome in outcomes)
