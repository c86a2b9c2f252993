"""Checkpoints: two are kept, each whole or absent; a damaged one is never believed, and the one before it is used."""

import hashlib
import json
import os
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solvers.particles import GradientFlow
from wflow import problems, solve
from wflow.errors import Busy, Damaged
from wflow.reached import Reached
from wflow.store import Checkpoints, RunFolder
from wflow.store.checkpoints import MAGIC, decoded, encoded

FLOW = problems.circle_teacher(horizon=0.2).flow
SOLVER = GradientFlow(16)


class Steps:
    """A Store in memory of every state."""

    def __init__(self) -> None:
        self.seen: list[Reached] = []

    def latest(self) -> None:
        """None."""

    def offer(self, now: Reached) -> None:
        """Remember it."""
        self.seen.append(now)

    keep = offer


@pytest.fixture(scope="module")
def states() -> list[Reached]:
    """A run of eight steps, after each of them."""
    steps = Steps()
    solve(FLOW, SOLVER, steps=8, store=steps)
    return steps.seen


@pytest.fixture
def two(states: list[Reached], tmp_path: Path) -> Path:
    """A folder with the checkpoints of steps 3 and 4 of run `a`."""
    store = Checkpoints(tmp_path / "c", "a")
    for now in states[:4]:
        store.keep(now)
    return store.folder


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(os.listdir(folder))


def step_of(folder: Path, **options: Any) -> tuple[int | None, list[str]]:
    """The step that a folder gives back, and what was said."""
    said: list[str] = []
    now = Checkpoints(folder, "a", tell=said.append, **options).latest()
    return None if now is None else now.state.count, said


def test_two_are_kept_under_the_number_of_their_step(two: Path) -> None:
    assert names(two) == ["a-000000000003.checkpoint", "a-000000000004.checkpoint"]
    assert step_of(two) == (4, [])


def test_a_run_leaves_those_of_others_alone(states: list[Reached], two: Path) -> None:
    """Also of one whose name begins with its own."""
    before = names(two)
    other = Checkpoints(two, "a-000000000004")
    other.keep(states[5])
    other.clear()
    Checkpoints(two, "b").clear()
    assert names(two) == before
    Checkpoints(two, "a").clear()
    assert names(two) == []


def test_without_checkpoints_a_run_starts_at_its_start(tmp_path: Path) -> None:
    assert step_of(tmp_path / "none") == (None, [])


@pytest.mark.parametrize("k", range(16))
def test_a_truncated_checkpoint_is_refused_and_the_one_before_it_used(two: Path, k: int) -> None:
    """At every sixteenth of its length, 0 among them."""
    newest = two / "a-000000000004.checkpoint"
    data = newest.read_bytes()
    newest.write_bytes(data[: k * len(data) // 16])
    count, said = step_of(two)
    assert count == 3
    assert len(said) == 1 and newest.name in said[0] and "checksum" in said[0] and "before it is used" in said[0]


def test_every_number_of_a_run_comes_back(states: list[Reached]) -> None:
    """Of the run and of what it kept, each by its name; numbers that no method of this run sets, too."""
    numbers = {"dissipated": 0.25, "smallest": 0.5, "residual": 3.0, "dual": -1.5, "fallbacks": 2.0, "coarse": 7.0}
    kept = replace(states[3].last, step=0.125, residual=4.0, edge=5.0, dual=-6.0, fallbacks=8.0, coarse=9.0)
    now = replace(states[3], **numbers, last=kept)  # type: ignore[arg-type]
    found, seconds = decoded(encoded(now, "a", "", 1.5), "a", "")
    assert seconds == 1.5
    for before, after in ((now, found), (kept, found.last)):
        for field in fields(before):
            if isinstance(value := getattr(before, field.name), float):
                assert getattr(after, field.name) == value, field.name


def test_no_flipped_bit_is_believed(states: list[Reached]) -> None:
    """256 of them at random, and each bit of the first line and of the checksum."""
    data = encoded(states[3], "a", "", 1.0)
    drawn = np.random.default_rng(1).integers(0, 8 * len(data), 256)
    for place in [*range(8 * (len(MAGIC) + 65)), *drawn]:
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << (place % 8)
        with pytest.raises(Damaged, match="checksum"):
            decoded(bytes(flipped), "a", "")


def forged(data: bytes, **head: Any) -> bytes:
    """A checkpoint with other entries in its head and the checksum that belongs to them."""
    from wflow.store.archive import packed, unpacked

    arrays = unpacked(data[len(MAGIC) + 65 :])
    arrays["head"] = np.array(json.dumps({**json.loads(str(arrays["head"])), **head}))
    body = packed(arrays)
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def broken(name: str, folder: Path, states: list[Reached]) -> str:
    """Do one thing to the newest checkpoint; what must be said of it."""
    newest, older = folder / "a-000000000004.checkpoint", folder / "a-000000000003.checkpoint"
    data = newest.read_bytes()
    match name:
        case "the older one under its name":
            shutil.copy(older, newest)
            return "another run or step"
        case "that of another run":
            newest.write_bytes(encoded(states[3], "b-000000000004", "", 1.0))
            return "another run or step"
        case "that of another config":
            newest.write_bytes(encoded(states[3], newest.stem, "other", 1.0))
            return "another run or step"
        case "another format":
            newest.write_bytes(forged(data, format=99))
            return "format 99"
        case "no name":
            newest.write_bytes(forged(data, name=None))
            return "another run or step"
        case "a folder":
            newest.unlink()
            newest.mkdir()
            return "cannot be read"
        case "a link to nowhere":
            newest.unlink()
            newest.symlink_to("nowhere")
            return "cannot be read"
        case "another kind of file":
            newest.write_bytes(b"\x89HDF\r\n\x1a\n" * 1000)
            return "checksum"
    raise AssertionError(name)


BROKEN = (
    *("the older one under its name", "that of another run", "that of another config", "another format", "no name"),
    *("a folder", "a link to nowhere", "another kind of file"),
)


@pytest.mark.parametrize("name", BROKEN)
def test_a_checkpoint_that_is_not_the_one_it_should_be_is_refused(two: Path, states: list[Reached], name: str) -> None:
    """And the run goes on from the one before it, after which two good ones are kept again."""
    part = broken(name, two, states)
    said: list[str] = []
    store = Checkpoints(two, "a", tell=said.append)
    now = store.latest()
    assert now is not None and now.state.count == 3
    assert len(said) == 1 and part in said[0]
    for later in states[4:6]:
        store.keep(later)
    assert {f"a-00000000000{k}.checkpoint" for k in (5, 6)} <= set(names(two))
    assert Checkpoints(two, "a").latest() is not None
    assert len(names(two)) == (3 if name == "a folder" else 2)


def test_the_good_one_is_kept_while_the_damaged_one_goes(two: Path, states: list[Reached]) -> None:
    """Of the two that stand after the next is written, none is the damaged one."""
    (two / "a-000000000004.checkpoint").write_bytes(b"")
    store = Checkpoints(two, "a", tell=lambda line: None)
    assert store.latest() is not None
    store.keep(states[5])
    assert names(two) == ["a-000000000003.checkpoint", "a-000000000006.checkpoint"]


def test_where_all_are_damaged_nothing_is_made_up(two: Path) -> None:
    for path in two.iterdir():
        path.write_bytes(b"")
    with pytest.raises(Damaged, match=r"none of the checkpoints .* can be read; remove them"):
        step_of(two)


def test_a_checkpoint_larger_than_may_be_is_not_even_read(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its length is asked before its bytes."""
    with (two / "a-000000000004.checkpoint").open("r+b") as stream:
        stream.truncate(1 << 40)
    count, said = step_of(two)
    assert count == 3 and "more than" in said[0]


def test_what_a_killed_process_left_half_written_is_removed(two: Path, states: list[Reached]) -> None:
    (two / ".a-000000000005.checkpoint.12345.tmp").write_bytes(b"half")
    store = Checkpoints(two, "a")
    assert store.latest() is not None
    store.keep(states[4])
    assert names(two) == ["a-000000000004.checkpoint", "a-000000000005.checkpoint"]


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("wflow.store.checkpoints.time.monotonic", lambda: self.now)


def test_short_runs_write_none_and_long_ones_one_every_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step a second, a saved time after 33 of them: there a second is enough."""
    clock, steps = Clock(monkeypatch), Steps()
    solve(FLOW, SOLVER, steps=100, times=[0.066, 0.2], store=steps)
    store, written = Checkpoints(tmp_path, "a"), []
    for now in steps.seen:
        clock.now += 1.0
        before = names(tmp_path)
        store.offer(now)
        if names(tmp_path) != before:
            written.append(now.state.count)
    assert written == [10, 20, 30, 33, 43, 53, 63, 73, 83, 93, 100]
    assert store.seconds == 100.0
    short = Checkpoints(tmp_path / "short", "a")
    for now in steps.seen:
        clock.now += 0.005
        short.offer(now)
    assert not (tmp_path / "short").exists()


def test_checkpoints_that_take_long_are_rare(
    states: list[Reached], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that took three seconds is followed by a minute of work."""
    clock, store, written = Clock(monkeypatch), Checkpoints(tmp_path, "a"), []

    def slow(path: Path, data: bytes) -> None:
        clock.now += 3.0
        written.append(clock.now)

    monkeypatch.setattr("wflow.store.checkpoints.write_whole", slow)
    for _ in range(2000):
        clock.now += 0.1
        store.offer(states[0] if len(written) % 2 else states[1])
    assert len(written) == 4 and min(np.diff(written)) >= 60.0


def test_the_time_spent_is_counted_over_all_processes(
    states: list[Reached], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    first = Checkpoints(tmp_path, "a")
    clock.now += 5.0
    first.keep(states[0])
    clock.now += 50.0
    second = Checkpoints(tmp_path, "a")
    assert second.latest() is not None
    clock.now += 2.0
    assert second.seconds == 7.0


# --- one process a folder ---------------------------------------------------------------------------------------------


def test_a_folder_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    """The second is refused and told who the first is; afterwards nothing is left."""
    folder = RunFolder.create(tmp_path, "case")
    assert folder.writer is None
    with folder.locked():
        assert folder.writer is not None and f"process {os.getpid()} on " in folder.writer
        with pytest.raises(Busy, match=f"process {os.getpid()} on .* is writing this folder"), folder.locked():
            pass
        assert folder.writer is not None, "a refusal does not take the lock away"
    assert folder.writer is None and not (folder.path / "LOCK").exists()


@pytest.mark.parametrize(
    "said",
    ["", "process 1 on elsewhere since yesterday", f"process {os.getpid()} on here"],
    ids=["empty", "another machine", "this process"],
)
def test_a_stale_lock_is_taken(tmp_path: Path, said: str) -> None:
    """Its process is dead, whatever number it had and whoever has that number now."""
    folder = RunFolder.create(tmp_path, "case")
    (folder.path / "LOCK").write_text(said * 3)
    assert folder.writer is None
    with folder.locked():
        assert folder.writer is not None and folder.writer.count("process") == 1
