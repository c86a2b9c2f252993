"""Runs that are killed, stopped and starved of disk, in processes forked from this one; no test by itself.

    python tests/faults.py FOLDER kills=20 boundaries=1 full=1 signals=3 commands=3

One line of JSON for each: what was done, or the failure, if a run was not continued to the bits of one that had never
stopped.
"""

import errno
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from solvers.particles import GradientFlow
from wflow import Flow, State, Step, problems, solve
from wflow.app import cli, run
from wflow.errors import WflowError
from wflow.reached import Reached
from wflow.store import Checkpoints, RunFolder, pack

FLOW = problems.circle_teacher(horizon=0.5).flow
BALLAST = np.random.default_rng(0).normal(size=200_000)


class Heavy(GradientFlow):
    """A method whose checkpoints are large: a kill while one is written is likely."""

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        """With something to carry."""
        step = super().step(flow, state, dt)
        return replace(step, state=replace(step.state, memory={**step.state.memory, "ballast": BALLAST}))


SOLVER = Heavy(100)
STEPS = 24
DIED = 9
TOLD = 7
CONFIG = """
[problem]
name = "circle_teacher"
temperature = 0.1
horizon = 0.3
[[solver]]
name = "Upwind"
cells = 16
[[solver]]
name = "Quantile"
points = 16
[solve]
steps = 20
"""


class Acknowledging(Checkpoints):
    """Writes at every step, and says so through a pipe after it was done; calls `before` before the third."""

    def __init__(self, folder: Path, pipe: int, before: Callable[[Path], None] = lambda folder: None) -> None:
        super().__init__(folder, "a", every=0.0)
        self.pipe, self.before = pipe, before

    def keep(self, now: Reached) -> None:
        """Acknowledge."""
        if now.state.count == 3:
            self.before(self.folder)
        super().keep(now)
        os.write(self.pipe, f"{now.state.count}\n".encode())


def forked(work: Callable[[int], None]) -> tuple[int, int]:
    """The process that does the work, and the end of the pipe into which it speaks."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    code = 1
    try:
        os.close(reading)
        work(writing)
        code = 0
    finally:  # nothing of the parent may go on in the child
        if code:
            traceback.print_exc()
        os._exit(code)


def heard(pipe: int) -> list[str]:
    """All that was said until the other end was closed."""
    with os.fdopen(pipe) as stream:
        return stream.read().split("\n")[:-1]


def ended(child: int) -> int:
    """The exit code of a process, minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def solved(**options: Any) -> bytes:
    """The end of the one run of this file."""
    return pack(solve(FLOW, SOLVER, steps=STEPS, times=[FLOW.horizon], **options))


def continues(folder: Path, acknowledged: int, whole: bytes) -> int:
    """The step found in a folder: no acknowledged one is lost, none is damaged, and the end has the same bits."""
    said: list[str] = []
    found = Checkpoints(folder, "a", tell=said.append).latest()
    step = 0 if found is None else found.state.count
    assert not said, said
    assert step >= acknowledged, f"step {acknowledged} was acknowledged, {step} is there"
    assert solved(store=Checkpoints(folder, "a", every=0.05)) == whole, f"resumed from step {step}"
    assert not list(folder.glob(".*")), "half-written files are removed"
    return step


def kills(count: int, parent: Path) -> dict[str, Any]:
    """kill -9 at a random time up to 50 ms after the first checkpoint."""
    whole, steps = solved(), []
    for trial, delay in enumerate(np.random.default_rng(1).uniform(0.0, 0.05, count)):
        folder = parent / str(trial)
        child, pipe = forked(lambda writing, folder=folder: solved(store=Acknowledging(folder, writing)) and None)
        first = os.read(pipe, 2)
        assert first.startswith(b"1")
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        said = heard(pipe)
        assert ended(child) == -signal.SIGKILL
        steps.append(continues(folder, int(said[-1] or 1) if said else 1, whole))
        shutil.rmtree(folder)
    return {"killed": count, "at steps": [min(steps), max(steps)]}


# --- at each boundary of a system call --------------------------------------------------------------------------------


def die(*arguments: Any, **options: Any) -> Any:
    """End at once, as if killed."""
    os._exit(DIED)


def then_die(function: Callable[..., Any], calls: int = 1) -> Callable[..., Any]:
    """End after so many calls."""
    left = [calls]

    def dying(*arguments: Any, **options: Any) -> Any:
        answer = function(*arguments, **options)
        left[0] -= 1
        return answer if left[0] else die()

    return dying


class Half:
    """A file that takes half of what it is given, and the process with it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> "Half":
        return self

    def __exit__(self, *rest: object) -> None:
        return None

    def write(self, data: bytes) -> None:
        """Half of it."""
        self.stream.write(data[: len(data) // 2])
        self.stream.flush()
        die()


def boundary(point: str) -> Callable[[Path], None]:
    """What makes a process die at one point of writing a checkpoint and removing the third last."""
    opened, unlinked = Path.open, Path.unlink
    whole: dict[str, tuple[Any, str, Any]] = {
        "open": (Path, "open", die),
        "half written": (Path, "open", lambda self, mode: Half(opened(self, mode))),
        "fsync": (os, "fsync", die),
        "fsynced": (os, "fsync", then_die(os.fsync)),
        "rename": (Path, "replace", die),
        "renamed": (Path, "replace", then_die(Path.replace)),
        "folder opened": (os, "open", then_die(os.open)),
        "folder fsynced": (os, "fsync", then_die(os.fsync, 2)),
        "unlink": (Path, "unlink", then_die(unlinked)),
        "unlinked": (Path, "unlink", then_die(unlinked, 2)),
    }
    return lambda folder: setattr(*whole[point])


OLD = ("open", "half written", "fsync", "fsynced", "rename")
NEW = ("renamed", "folder opened", "folder fsynced", "unlink", "unlinked")


def boundaries(times: int, parent: Path) -> dict[str, Any]:
    """Before the rename the old checkpoint is found, after it the new one."""
    whole = solved()
    for number, point in enumerate((*OLD, *NEW)):
        folder = parent / str(number)
        before = boundary(point)
        child, pipe = forked(
            lambda writing, f=folder, b=before: solved(store=Acknowledging(f, writing, b)) and None  # type: ignore[misc]
        )
        assert heard(pipe) == ["1", "2"]
        assert ended(child) == DIED, point
        assert continues(folder, 2, whole) == (2 if point in OLD else 3), point
    return {"points": len(OLD) + len(NEW)}


# --- a full disk ------------------------------------------------------------------------------------------------------


def limited(folder: Path) -> None:
    """No file may become longer than a thousand bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))


def device(folder: Path) -> None:
    """The temporary file of the third checkpoint lies on a device that is always full."""
    (folder / f".a-{3:012d}.checkpoint.{os.getpid()}.tmp").symlink_to("/dev/full")


def unsynced(folder: Path) -> None:
    """The room is gone when the system comes to write."""

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    os.fsync = fsync


STARVED = {limited: errno.EFBIG, device: errno.ENOSPC, unsynced: errno.EDQUOT}


def full(times: int, parent: Path) -> dict[str, Any]:
    """The run ends with an OSError that names the file and the reason; what was written before is there."""
    whole = solved()
    for how, number in STARVED.items():
        folder = parent / how.__name__

        def work(writing: int, folder: Path = folder, how: Callable[[Path], None] = how, number: int = number) -> None:
            try:
                solved(store=Acknowledging(folder, writing, how))
            except OSError as error:
                assert error.errno == number, error
                for part in (f"a-{3:012d}.checkpoint", os.strerror(number), "kept", "make room"):
                    assert part in str(error), error
                os._exit(TOLD)

        child, pipe = forked(work)
        assert heard(pipe) == ["1", "2"]
        assert ended(child) == TOLD
        assert sorted(p.name for p in folder.iterdir()) == [f"a-{k:012d}.checkpoint" for k in (1, 2)]
        assert continues(folder, 2, whole) == 2
    return {"ways": len(STARVED)}


# --- the command ------------------------------------------------------------------------------------------------------


def command(log: Path, *arguments: object) -> int:
    """The command line in a process of its own, its output in a file; without figures."""

    def work(writing: int) -> None:
        run.of_runs = lambda problem, runs: iter(())
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        sys.argv = ["wflow", *map(str, arguments)]
        try:
            cli.main()
        except SystemExit as exit:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(exit.code or 0))

    child, pipe = forked(work)
    os.close(pipe)
    return child


def contents(folder: RunFolder) -> dict[str, Any]:
    """All that a run says, but for when and how long."""
    folder.check()
    manifest = folder.manifest
    results = json.loads(folder.read("results.json"))
    files = {name: seal for name, seal in manifest["files"].items() if name != "results.json"}
    runs = {label: {**run, "seconds": 0} for label, run in manifest["runs"].items()}
    rows = [{**row, "seconds": 0} for row in results["rows"]]
    left = {p.name for p in folder.path.rglob("*")} - {"STATUS", "log.txt", "manifest.json", "results.json", "figures"}
    return {"files": files, "runs": runs, "rows": rows, "distances": results["distances"], "left": left}


def references(parent: Path) -> tuple[Path, dict[str, Any], float]:
    """The config, what its run says, and how long that took."""
    config = parent / "case.toml"
    config.write_text(CONFIG)
    began = time.monotonic()
    assert ended(command(parent / "log", "run", config, "--out", parent, "--checkpoint-every", 0)) == 0
    return config, contents(RunFolder.open(parent / "case-001")), time.monotonic() - began


def stopped(parent: Path, config: Path, delay: float, numbers: list[int]) -> tuple[RunFolder, int, float]:
    """A run that hears these signals some time after its start: its folder, exit code, and the time that it took."""
    before = set(parent.glob("case-*"))
    child = command(parent / "log", "run", config, "--out", parent, "--checkpoint-every", 0)
    while not (fresh := [p for p in set(parent.glob("case-*")) - before if (p / "STATUS").exists()]):
        time.sleep(0.001)
    until = time.monotonic() + delay
    while time.monotonic() < until and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG):
        time.sleep(0.001)
    began = time.monotonic()
    for number in numbers:
        os.kill(child, number)
        time.sleep(0.002)
    return RunFolder.open(fresh[0]), ended(child), time.monotonic() - began


def resumed(parent: Path, folder: RunFolder, whole: dict[str, Any]) -> None:
    """It goes on to where the reference ended."""
    code = ended(command(parent / "log", "resume", folder.path))
    assert code == 0, (parent / "log").read_text()
    assert folder.status == "done" and contents(folder) == whole
    shutil.rmtree(folder.path)


HEARD = ([signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT])


def signals(count: int, parent: Path) -> dict[str, Any]:
    """SIGINT, SIGTERM, SIGINT twice at random times: 130 or 143, STATUS interrupted, and the run can be continued."""
    config, whole, seconds = references(parent)
    waits: list[float] = []
    for trial, share in enumerate(np.random.default_rng(2).uniform(0.0, 0.9, count)):
        numbers = HEARD[trial % len(HEARD)]
        folder, code, waited = stopped(parent, config, share * seconds, list(numbers))
        if code == 0:  # the machine has become faster
            seconds *= share
            continue
        said = (parent / "log").read_text()
        assert code == (143 if numbers[0] == signal.SIGTERM else 130), (code, said)
        assert folder.status in ("interrupted", "done"), (folder.status, said)
        assert "interrupted" in said and "Traceback" not in said, said
        assert folder.writer is None and not (folder.path / "LOCK").exists()
        if folder.status == "done":  # while the finished run is shown
            assert "continues it" not in said, said
            continue
        waits.append(waited)
        if "config.toml" in folder.manifest["files"] and "mark" in folder.manifest:
            resumed(parent, folder, whole)
    return {"stopped": len(waits), "median": round(float(np.median(waits)), 3), "longest": round(max(waits), 3)}


def commands(count: int, parent: Path) -> dict[str, Any]:
    """kill -9 at a random time of the whole command: STATUS still says running, and the run can be continued."""
    config, whole, seconds = references(parent)
    killed = 0
    for share in np.random.default_rng(3).uniform(0.0, 1.0, count):
        folder, code, _ = stopped(parent, config, share * seconds, [signal.SIGKILL])
        if code == 0:
            seconds *= share
            continue
        killed += 1
        assert folder.writer is None, "the lock of a dead process is no lock"
        if folder.status == "done":  # between its last word and its end
            continue
        assert folder.status == "running"
        if "config.toml" in folder.manifest["files"] and "mark" in folder.manifest:
            resumed(parent, folder, whole)
    return {"killed": killed}


def main(parent: Path, *asked: str) -> None:
    """Do what the command line asks; a failure of one leaves the others their turn."""
    for kind, _, count in (word.partition("=") for word in asked):
        found: dict[str, Any] = {}
        try:
            (parent / kind).mkdir(parents=True)
            found = globals()[kind](int(count), parent / kind)
        except (AssertionError, OSError, WflowError):
            found = {"failure": traceback.format_exc()}
        print(json.dumps({kind: found}), flush=True)


if __name__ == "__main__":
    # a shell starts what runs in the background with SIGINT ignored, and so would all that is forked here
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(Path(sys.argv[1]), *sys.argv[2:])
