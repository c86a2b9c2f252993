"""Processes that are killed, stopped and starved of disk lose nothing that was acknowledged. The faults: faults.py."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
QUICK = {"kills": 20, "boundaries": 1, "full": 1, "signals": 3, "commands": 3}
LONG = {"kills": 480, "signals": 30, "commands": 30}

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="processes are forked"),
    pytest.mark.timeout(240),  # twenty seconds of work, which others may slow down
]


def injected(folder: Path, counts: dict[str, int]) -> dict[str, Any]:
    """What became of so many faults of each kind."""
    asked = [f"{kind}={count}" for kind, count in counts.items()]
    command = [sys.executable, str(ROOT / "tests" / "faults.py"), str(folder), *asked]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = {kind: what for line in done.stdout.splitlines() for kind, what in json.loads(line).items()}
    for what in found.values():
        print(what.get("failure", ""))  # whole, where the assertion that follows shows the first lines only
    return found


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All kinds once, in one process that forks the others."""
    return injected(tmp_path_factory.mktemp("faults"), QUICK)


@pytest.mark.slow
def test_a_run_killed_at_any_time_keeps_every_acknowledged_checkpoint(quick: dict[str, Any]) -> None:
    """Twenty kill -9 at random times: at least the last acknowledged step is there, and the end has the same bits."""
    assert quick["kills"].get("killed") == 20, quick["kills"]


def test_at_each_boundary_of_writing_the_old_or_the_new_checkpoint_is_there(quick: dict[str, Any]) -> None:
    """Death at open, half the bytes, fsync, rename, fsync of the folder, unlink, before and after each."""
    assert quick["boundaries"] == {"points": 10}


def test_a_full_disk_ends_the_run_with_its_reason_and_keeps_what_was_there(quick: dict[str, Any]) -> None:
    """A limit on the length of files, /dev/full, a quota that is noticed at fsync."""
    assert quick["full"] == {"ways": 3}


def test_signals_leave_a_checkpoint_and_their_exit_codes(quick: dict[str, Any]) -> None:
    """SIGINT, SIGTERM, SIGINT twice: 130 or 143, STATUS interrupted, no LOCK; `wflow resume` ends as if unbroken."""
    assert quick["signals"].get("stopped", 0) >= 1, quick["signals"]


def test_a_command_killed_at_any_time_can_be_resumed(quick: dict[str, Any]) -> None:
    """kill -9 of `wflow run`: rows, distances and the bytes of every other file are those of a run never stopped."""
    assert quick["commands"].get("killed", 0) >= 1, quick["commands"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_hundred_faults_lose_nothing(tmp_path: Path) -> None:
    """None of 500 kills (with the quick ones) loses a step: at 95 % confidence the rate of loss is below .6 %.

    A signal ends the run within two seconds beyond its step (a thousandth of one); ten where others use the machine.
    """
    found = injected(tmp_path, LONG)
    assert found["kills"].get("killed") == LONG["kills"], found["kills"]
    assert found["signals"].get("stopped", 0) >= 20 and found["signals"]["median"] < 2.0, found["signals"]
    assert found["signals"]["longest"] < 10.0
    assert found["commands"].get("killed", 0) >= 20, found["commands"]
