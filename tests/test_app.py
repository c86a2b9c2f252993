"""What a person meets: commands, settings, configs, run folders, JSON and report. Wrong use is refused by name."""

import base64
import io
import json
import math
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner, Result

from solvers.finite_volume import ScharfetterGummel, Upwind
from solvers.jko import Quantile
from solvers.particles import Sampled
from wflow import Flow, NotConverged, Order, StepTooLarge, problems
from wflow.app import verify as verify_module
from wflow.app.cli import app
from wflow.app.config import interpret
from wflow.app.methods import FURTHER, METHODS
from wflow.app.rows import as_json, from_json, plain
from wflow.app.settings import UsageError, assignments, problem
from wflow.store import RunFolder, unpack

ROOT = Path(__file__).parent.parent
MOTORCYCLE = ROOT / "demos" / "motorcycle.toml"
TINY = """
[problem]
name = "linear_neuron"
horizon = 1.0
[[solver]]
name = "GradientFlow"
particles = 20
[[solver]]
name = "Quantile"
points = 16
[solve]
steps = 8
"""


def wflow(*arguments: object) -> Result:
    """The command line in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def config(folder: Path, text: str, name: str = "case.toml") -> Path:
    """A config file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_are_toml_values_bare_words_and_digit_keys() -> None:
    found = assignments(
        ["activation=cos_minus_sin", "modes={1 = 0.5, 3 = 0.3}", "b=2", "csv=data/a-b.csv", 'target="x y"', "c=[1, 2]"]
    )
    assert found == {
        "activation": "cos_minus_sin",
        "modes": {1: 0.5, 3: 0.3},
        "b": 2,
        "csv": "data/a-b.csv",
        "target": "x y",
        "c": [1, 2],
    }


BAD_SETTINGS: dict[str, tuple[str, ...]] = {
    "activation": ("activation", "key=value"),
    "=3": ("=3", "key=value"),
    "1x=3": ("1x=3", "key=value"),
    "b=": ("b", "nothing", "TOML value"),
    "b=1 2": ("b", "1 2", "TOML value"),
    "b=1\nhorizon = 3": ("b", "line break"),
    "b=nan": ("b", "nan", "finite"),
    "b=inf": ("b", "inf", "finite"),
    "b=1e999": ("b", "inf", "finite"),
    "b=relu": ("b", "relu", "a number"),
    "b=true": ("b", "True", "a number"),
    "b=[1]": ("b", "[1]", "a number"),
    "b=1979-05-27": ("b", "date", "numbers"),
    "b=-1": ("b", "-1", "b > 0"),
    "activation=3": ("activation", "3", "text"),
    "activation=rellu": ("activation", "rellu", "relu"),
    "activaton=relu": ("activaton", "did you mean 'activation'"),
    "inputs=gausian": ("inputs", "gausian", "did you mean 'gaussian'"),
    "horizon=-1": ("horizon", "-1", "above 0"),
    "horizon=0": ("horizon", "0", "above 0"),
    "horizon=1e7": ("horizon", "1e+06", "shorten"),
    "temperature=-0.1": ("temperature", "-0.1", ">= 0"),
    "modes=3": ("modes", "3", "a table"),
    "modes={1 = 0.8, 2 = 0.8}": ("modes", "1.6", "at most 1"),
    "modes={0 = 0.5}": ("modes", ">= 1"),
    "modes={a = 0.5}": ("modes", "a", "whole number"),
    "modes={1 = 'x'}": ("modes.1", "x", "a number"),
    "modes={99999999999 = 0.5}": ("modes", "99999999999", "10000"),
    "modes={1 = {2 = 0.5}}": ("modes.1", "a number"),
    "horizon=" + "9" * 400: ("horizon", "400 digits", "smaller"),
    "modes=" + "[" * 33: ("33 brackets", "32"),
    "b=" + "a." * 65 + "b = 1": ("65 dots", "64"),
    "activation='" + "x" * 5000 + "'": ("characters", "4096"),
}


@pytest.mark.parametrize("setting", BAD_SETTINGS, ids=lambda s: s[:30])
def test_a_bad_setting_is_refused_by_name(setting: str) -> None:
    with pytest.raises(UsageError) as refusal:
        problem("circle_teacher", assignments([setting]), "--set")
    for part in BAD_SETTINGS[setting]:
        assert part in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_settings_need_one_problem_and_one_value_a_key() -> None:
    several = wflow("verify", "sawtooth", "heat_mode", "--set", "horizon=1")
    twice = wflow("verify", "sawtooth", "--set", "horizon=1", "--set", "horizon=2")
    unknown = wflow("verify", "sawtoth")
    assert [r.exit_code for r in (several, twice, unknown)] == [2, 2, 2]
    assert "exactly one problem, got 2" in several.output
    assert "horizon" in twice.output and "once" in twice.output
    assert "did you mean 'sawtooth'" in unknown.output
    assert "csv" in wflow("verify", "regression").output


# --- configs ----------------------------------------------------------------------------------------------------------

GOOD_PROBLEM = '[problem]\nname = "linear_neuron"\n'
GOOD_SOLVER = '[solver]\nname = "Quantile"\npoints = 16\n'
GOOD = GOOD_PROBLEM + GOOD_SOLVER

BAD_CONFIGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty": ("", ("[problem]", "missing")),
    "no problem": (GOOD_SOLVER, ("[problem]", "missing")),
    "no solver": (GOOD_PROBLEM, ("[solver]", "missing")),
    "empty solver list": ("solver = []\n" + GOOD_PROBLEM, ("[solver]", "missing")),
    "problem is no table": ("problem = 3\n" + GOOD_SOLVER, ("problem", "3", "table")),
    "problem without name": ("[problem]\nhorizon = 1.0\n" + GOOD_SOLVER, ("[problem]", "name")),
    "name is a number": ("[problem]\nname = 3\n" + GOOD_SOLVER, ("name", "3", "quotes")),
    "unknown problem": ('[problem]\nname = "sawtoth"\n' + GOOD_SOLVER, ("sawtoth", "did you mean 'sawtooth'")),
    "unknown table": (GOOD + "[sole]\nsteps = 3\n", ("[sole]", "did you mean 'solve'")),
    "unknown parameter": (GOOD_PROBLEM + "horizn = 3\n" + GOOD_SOLVER, ("horizn", "did you mean 'horizon'")),
    "unknown solver": (GOOD_PROBLEM + '[solver]\nname = "Quantiles"\n', ("Quantiles", "did you mean 'Quantile'")),
    "unknown field": (GOOD + "pionts = 3\n", ("pionts", "did you mean 'points'")),
    "unknown option": (GOOD + "[solve]\nstep = 3\n", ("step", "did you mean 'steps'")),
    "points as text": (GOOD_PROBLEM + '[solver]\nname = "Quantile"\npoints = "16"\n', ("points", "16", "whole number")),
    "points as float": (GOOD_PROBLEM + '[solver]\nname = "Quantile"\npoints = 16.5\n', ("points", "whole number")),
    "too few points": (GOOD_PROBLEM + '[solver]\nname = "Quantile"\npoints = 1\n', ("points", "1", "at least 4")),
    "too many points": (GOOD_PROBLEM + '[solver]\nname = "Quantile"\npoints = 10000000\n', ("points", "1000000")),
    "endless points": (
        GOOD_PROBLEM + '[solver]\nname = "Quantile"\npoints = 1000000000000000000\n',
        ("points", "digits"),
    ),
    "steps and dt": (GOOD + "[solve]\nsteps = 3\ndt = 0.1\n", ("steps and dt", "one of", "leave dt out")),
    "dt and tolerance": (GOOD + "[solve]\ndt = 0.1\ntolerance = 0.1\n", ("dt and tolerance", "one of")),
    "dt below zero": (GOOD + "[solve]\ndt = -0.1\n", ("dt", "-0.1", "above 0")),
    "dt is nan": (GOOD + "[solve]\ndt = nan\n", ("dt", "nan", "finite")),
    "dt is tiny": (GOOD + "[solve]\ndt = 1e-300\n", ("dt", "1e-300", "at least")),
    "no steps": (GOOD + "[solve]\nsteps = 0\n", ("steps", "0", "above 0")),
    "half a step": (GOOD + "[solve]\nsteps = 0.5\n", ("steps", "0.5", "whole number")),
    "true steps": (GOOD + "[solve]\nsteps = true\n", ("steps", "True", "whole number")),
    "solve is no table": ("solve = 3\n" + GOOD, ("[solve]", "3", "table")),
    "times beyond": (GOOD + "[solve]\ntimes = [1.0, 50.0]\n", ("times", "50", "horizon")),
    "times below": (GOOD + "[solve]\ntimes = [-1.0]\n", ("times", "-1", "from 0")),
    "times empty": (GOOD + "[solve]\ntimes = []\n", ("times", "list of numbers")),
    "times of text": (GOOD + '[solve]\ntimes = ["a"]\n', ("times", "list of numbers")),
    "refused by the solver": (GOOD_PROBLEM + '[solver]\nname = "ScharfetterGummel"\n', ("refuses", "temperature")),
    "window too narrow": (
        '[problem]\nname = "ornstein_uhlenbeck"\n[solver]\nname = "Upwind"\nwindow = [0.0, 1.0]\n',
        ("Upwind", "window", "widen"),
    ),
    "window of three": (
        '[problem]\nname = "ornstein_uhlenbeck"\n[solver]\nname = "Upwind"\nwindow = [0, 1, 2]\n',
        ("window", "a list of 2", "or a list"),
    ),
    "unknown start": (GOOD_PROBLEM + '[solver]\nname = "GradientFlow"\nstart = "sample"\n', ("start", "'sampled'")),
    "seed without sample": (
        GOOD_PROBLEM + '[solver]\nname = "GradientFlow"\nstart = "quantised"\nseed = 3\n',
        ("seed", "sampled", "leave one"),
    ),
    "seed below zero": (GOOD_PROBLEM + '[solver]\nname = "GradientFlow"\nseed = -1\n', ("seed", "-1", "at least 0")),
    "csv missing": (
        '[problem]\nname = "regression"\ncsv = "none.csv"\ninputs = ["x"]\ntarget = "y"\n' + GOOD_SOLVER,
        ("none.csv", "does not exist", "relative to the config"),
    ),
    "csv not given": ('[problem]\nname = "regression"\n' + GOOD_SOLVER, ("csv", "no default")),
    "csv is a number": (
        '[problem]\nname = "regression"\ncsv = 3\ninputs = ["x"]\ntarget = "y"\n' + GOOD_SOLVER,
        ("csv", "3", "text"),
    ),
    "csv is a folder": (
        '[problem]\nname = "regression"\ncsv = ".."\ninputs = ["x"]\ntarget = "y"\n' + GOOD_SOLVER,
        ("does not exist",),
    ),
    "a key twice": (GOOD_PROBLEM + "horizon = 1.0\nhorizon = 2.0\n" + GOOD_SOLVER, ("not TOML", "line 4")),
    "no TOML": ("[problem\n", ("not TOML", "line 1")),
    "NUL": ("[problem]\nname = \x00\n", ("not TOML", "line 2")),
    "deep keys": ("a" + ".a" * 20000 + " = 1\n", ("characters", "4096")),
    "deep keys in pieces": ("a" + ".a" * 65 + " = 1\n", ("65 dots", "64")),
    "deep arrays": ("a = " + "[" * 500 + "\n", ("brackets", "32")),
    "deep arrays over lines": ("a = " + "[\n" * 5000 + "]\n" * 5000, ("nesting", "8 levels")),
    "deep arrays of few": ("a = " + "[\n" * 20 + "]\n" * 20, ("nesting", "8 levels")),
    "huge integer": (GOOD_PROBLEM + f"horizon = {'9' * 4000}\n" + GOOD_SOLVER, ("horizon", "digits")),
    "overflow": (GOOD_PROBLEM + "horizon = 1e999\n" + GOOD_SOLVER, ("horizon", "inf", "finite")),
    "a date": (GOOD_PROBLEM + "horizon = 1979-05-27\n" + GOOD_SOLVER, ("horizon", "date")),
    "a mebibyte": ("#" * 1000 + "\n" + ("# x\n" * 250_000), ("bytes", "65536", "CSV")),
    "many solvers": (GOOD_PROBLEM + ('[[solver]]\nname = "Quantile"\n' * 40), ("40 of them", "32")),
}


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_hostile_config_is_refused_at_once_by_the_name_of_the_field(case: str, tmp_path: Path) -> None:
    """Unguarded, the deep keys alone take a minute."""
    text, parts = BAD_CONFIGS[case]
    path, began = config(tmp_path, text), time.monotonic()
    found = wflow("run", path, "--out", tmp_path / "out")
    assert time.monotonic() - began < 5.0
    assert found.exit_code == 2, found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)
    for part in parts:
        assert part in found.output, found.output
    assert len(found.output.replace(", ".join(problems.NAMES), "")) < 600  # but for the catalogue, which may grow
    assert not (tmp_path / "out").exists(), "a refused config makes no run folder"


def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"[problem]\nname = '\xff\xfe'\n")
    for path, part in ((tmp_path / "none.toml", "none.toml"), (tmp_path, "read"), (binary, "UTF-8")):
        found = wflow("run", path)
        assert found.exit_code == 2 and part in found.output
    assert "65536" in wflow("run", "/dev/zero").output


@settings(max_examples=40)
@given(st.text(max_size=300))
def test_whatever_the_text_a_config_is_read_or_refused(text: str) -> None:
    for body in (GOOD + text, GOOD_PROBLEM + f"horizon = {text}\n" + GOOD_SOLVER):
        with suppress(UsageError):
            interpret(body, Path("case.toml"))


def test_a_config_takes_starts_several_solvers_and_paths_relative_to_itself() -> None:
    asked = interpret(MOTORCYCLE.read_text(), MOTORCYCLE)
    assert [s.particles for s in asked.solvers.values()] == [50, 200, 1000]  # type: ignore[attr-defined]
    assert all(s.start == Sampled(1) for s in asked.solvers.values())  # type: ignore[attr-defined]
    assert asked.csv is not None and asked.csv.is_file()
    twice = interpret(GOOD_PROBLEM + ('[[solver]]\nname = "Quantile"\npoints = 16\n' * 2), Path("case.toml"))
    assert list(twice.solvers) == ["Quantile(points=16)", "Quantile(points=16) #2"]


# --- run and show -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    """One config run twice into one folder."""
    folder = tmp_path_factory.mktemp("finished")
    path = config(folder, TINY)
    for _ in range(2):
        found = wflow("run", path, "--out", folder / "out")
        assert found.exit_code == 0, found.output
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["case-001", "case-002"], "never written over"
    return RunFolder.open(folder / "out" / "case-001"), RunFolder.open(folder / "out" / "case-002")


@pytest.fixture
def copied(finished: tuple[RunFolder, RunFolder], tmp_path: Path) -> Path:
    """A finished run to be damaged."""
    return shutil.copytree(finished[0].path, tmp_path / "copy")


def test_a_run_fills_its_folder_and_show_reads_it(finished: tuple[RunFolder, RunFolder]) -> None:
    folder = finished[0]
    manifest = folder.manifest
    assert folder.status == "done"
    assert (folder.path / "config.toml").read_text() == TINY
    assert {"versions", "machine", "seed", "started", "ended", "runs"} <= set(manifest)
    assert {"figures/densities.png", "figures/energies.png", "figures/w2_exact.png"} <= set(manifest["files"])
    assert "steps in" in (folder.path / "log.txt").read_text()
    for run in manifest["runs"].values():
        saved = unpack(folder.read(run["file"]))
        assert len(saved.times) == len(saved.measures) == len(saved.energies) == 9
        assert saved.steps == run["steps"] == 8
    shown = wflow("show", folder.path)
    assert shown.exit_code == 0
    for part in ("done", "linear_neuron", "Quantile(points=16)", "exact answer", "energy never rises", "figures/"):
        assert part in shown.output


def test_the_same_seed_gives_the_same_bytes(finished: tuple[RunFolder, RunFolder]) -> None:
    first, second = (folder.manifest["runs"] for folder in finished)
    for a, b in zip(first.values(), second.values(), strict=True):
        one, other = unpack(finished[0].read(a["file"])), unpack(finished[1].read(b["file"]))
        assert all(np.array_equal(p.points, q.points) for p, q in zip(one.measures, other.measures, strict=True))
        assert np.array_equal(one.energies, other.energies)


@pytest.mark.parametrize("name", ["../../x", "-rf", "a\nb", "x" * 300, "..", ""])
def test_a_run_folder_stays_where_it_belongs(name: str, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, name)
    assert folder.path.parent == tmp_path and len(folder.path.name) < 80
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*-001", folder.path.name)


@pytest.mark.parametrize("victim", ["results.json", "config.toml", "figures/energies.png", "02-Quantile_points_16.npz"])
def test_show_refuses_a_file_that_has_changed(copied: Path, victim: str) -> None:
    data = bytearray((copied / victim).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / victim).write_bytes(data)
    changed = wflow("show", copied)
    (copied / victim).unlink()
    missing = wflow("show", copied)
    for found, part in ((changed, "checksum"), (missing, "manifest lists it")):
        assert found.exit_code == 1 and Path(victim).name in found.output and part in found.output


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"files": 3, "sha256": 3}', b"\xff", b"[" * 100_000])
def test_show_refuses_a_manifest_that_has_changed(tmp_path: Path, damage: bytes) -> None:
    folder = RunFolder.create(tmp_path, "case")
    (folder.path / "manifest.json").write_bytes(damage)
    found = wflow("show", folder.path)
    assert found.exit_code == 1 and "manifest.json" in found.output


def test_show_needs_a_run_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        found = wflow("show", path)
        assert found.exit_code == 2 and "no run folder" in found.output


def test_a_run_that_fails_says_so_in_its_status_and_its_exit_code(tmp_path: Path) -> None:
    long = TINY.replace("steps = 8", "steps = 1").replace("horizon = 1.0", "horizon = 100.0")
    stuck = GOOD_PROBLEM + '[solver]\nname = "Quantile"\ntolerance = 1e-15\nlimit = 1\n[solve]\nsteps = 2\n'
    for text, code, part in ((long, 2, "largest stable step"), (stuck, 3, "JKO step stopped")):
        found = wflow("run", config(tmp_path, text), "--out", tmp_path / str(code))
        assert found.exit_code == code, found.output
        assert part in found.output
        status = RunFolder.open(tmp_path / str(code) / "case-001").status
        assert status.startswith("failed") and part in status
        shown = wflow("show", tmp_path / str(code) / "case-001")
        assert shown.exit_code == 0 and "failed" in shown.output


def test_an_output_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "inside"):
        found = wflow("run", config(tmp_path, TINY), "--out", out)
        assert found.exit_code == 2 and "choose another" in found.output


def test_networks_of_several_sizes_learn_a_csv_file(tmp_path: Path) -> None:
    text = MOTORCYCLE.read_text().replace('"data/', f'"{ROOT}/demos/data/').replace("horizon = 100.0", "horizon = 4.0")
    text = text.replace("particles = 1000", "particles = 100")
    found = wflow("run", config(tmp_path, text), "--out", tmp_path)
    assert found.exit_code == 0, found.output
    folder = RunFolder.open(tmp_path / "case-001")
    assert {"figures/fit.png", "figures/neurons.png", "figures/risk.png"} <= set(folder.manifest["files"])
    assert re.fullmatch("[0-9a-f]{64}", folder.manifest["csv"]["sha256"])
    results = json.loads(folder.read("results.json"))
    pairs = {(d["from"], d["to"]) for d in results["distances"]}
    assert len(pairs) == 3 and all(d["w2"] > 0.0 for d in results["distances"])
    assert {r["claim"] for r in results["rows"]} >= {"mass is kept", "energy never rises (largest rise)"}


def test_more_than_2000_points_in_three_dimensions_are_refused_in_the_table(tmp_path: Path) -> None:
    text = MOTORCYCLE.read_text().replace('"data/', f'"{ROOT}/demos/data/').replace("horizon = 100.0", "horizon = 0.5")
    text = text.replace("particles = 1000", "particles = 2001")
    found = wflow("run", config(tmp_path, text), "--out", tmp_path)
    assert found.exit_code == 0 and "at most 2000" in found.output


@pytest.mark.slow
def test_the_motorcycle_networks_fit(tmp_path: Path) -> None:
    """The risk of the standardised data falls below .22; pure noise about the trend leaves about .2."""
    assert wflow("run", MOTORCYCLE, "--out", tmp_path).exit_code == 0
    runs = RunFolder.open(tmp_path / "motorcycle-001").manifest["runs"]
    assert len(runs) == 3 and all(2.0 * run["energy"]["end"] < 0.22 for run in runs.values())


def start(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """The command line in another process."""
    command = [sys.executable, "-m", "wflow.app.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options)


def limit_of_work() -> None:
    """Thirty seconds of the processor, then SIGXCPU: other work on the machine does not count, unlike on a clock."""
    resource.setrlimit(resource.RLIMIT_CPU, (30, 31))


@pytest.mark.timeout(600)  # for a run that hangs without any work
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_so(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """A run of ten million steps ends by the signal, with its code and its word, or else by its limit of work."""
    endless = TINY.replace("steps = 8", "steps = 9999999")
    process = start("run", config(tmp_path, endless), "--out", tmp_path, preexec_fn=limit_of_work)
    try:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("[0/100]"):
            assert process.poll() is None
        process.send_signal(number)
        _, error = process.communicate()
    finally:
        process.kill()
    assert process.returncode == code, error
    assert "interrupted" in error and "Traceback" not in error
    assert RunFolder.open(tmp_path / "case-001").status == "interrupted"
    assert "interrupted" in wflow("show", tmp_path / "case-001").output


# --- verify, JSON, report ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Boastful(Quantile):
    """A JKO step that promises order 3 in time. It has order 1."""

    def order(self, flow: Flow) -> Order:
        return Order(3.0, 2.0)


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set THE list of methods for one test (in this process: --workers 1)."""
    return lambda *chosen: monkeypatch.setattr(verify_module, "METHODS", chosen)


def strict(text: str) -> Any:
    """JSON without NaN and Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Result]]:
    """A quick verify of one flow by three methods in this process, with its JSON and its report."""
    folder = tmp_path_factory.mktemp("verify")
    files = ("--json", folder / "a.json", "--report", folder / "r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify_module, "METHODS", (Upwind(64), ScharfetterGummel(64), Quantile(64)))
        yield folder, wflow("verify", "linear_neuron", "--set", "horizon=1", "--quick", "--workers", 1, *files)


def test_verify_prints_one_row_a_claim_and_a_refusal_is_a_row(written: tuple[Path, Result]) -> None:
    _, found = written
    rows = [line for line in found.output.splitlines() if line.startswith("linear_neuron ")]
    entries = strict((written[0] / "a.json").read_text())["rows"]
    assert len(rows) == len(entries)
    refused = [row for row in rows if "ScharfetterGummel" in row]
    assert len(refused) == 1 and "refused" in refused[0] and "temperature is 0" in refused[0]
    assert found.exit_code == (0 if all(entry["holds"] for entry in entries) else 1)


def test_the_json_is_strict_and_has_the_promised_form(written: tuple[Path, Result]) -> None:
    whole = strict((written[0] / "a.json").read_text())
    assert set(whole) == {"machine", "versions", "seed", "rows"}
    assert set(whole["versions"]) == {"wflow", "python", "numpy", "scipy", "ot"}
    assert isinstance(whole["machine"]["cores"], int) and isinstance(whole["seed"], int)
    keys = ["problem", "parameters", "solvers", "claim", "measured", "expected", "relation", "tolerance", "floor"]
    for row in whole["rows"]:
        assert list(row) == [*keys, "holds", "seconds"]
        assert row["problem"] == "linear_neuron" and row["parameters"]["horizon"] == 1.0
        assert isinstance(row["holds"], bool) and 1 <= len(row["solvers"]) <= 2
        if row["relation"] is not None:
            assert row["relation"] in ("equal", "at most", "at least")
            assert all(isinstance(row[k], float) for k in ("measured", "expected", "tolerance", "floor", "seconds"))


def test_rows_survive_json(written: tuple[Path, Result]) -> None:
    entries = strict((written[0] / "a.json").read_text())["rows"]
    assert [as_json(from_json(entry)) for entry in entries] == entries


def test_no_number_is_written_as_nan() -> None:
    wild = {1: math.nan, "a": [math.inf, np.float64("nan"), np.int64(3), np.array([1.0, math.nan])], "p": Path("x")}
    assert plain(wild) == {"1": None, "a": [None, None, 3, [1.0, None]], "p": "x"}


def test_the_report_needs_nothing_but_itself(written: tuple[Path, Result]) -> None:
    page = (written[0] / "r" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<iframe", re.sub(r'base64,[^"]*', "", page))
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) >= 6
    for source in sources:
        head, _, body = source.partition(",")
        assert head == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(body, validate=True)))
        image.load()
        assert image.size[0] > 300


def test_the_report_has_its_parts(written: tuple[Path, Result]) -> None:
    page = (written[0] / "r" / "report.html").read_text(encoding="utf-8")
    for target in re.findall(r'href="#([^"]*)"', page):
        assert f'id="{target}"' in page
    posed = problems.linear_neuron()
    for part in (posed.source, posed.limit_reason, "Numbers prove no limit", "Chizat", "refuted", "temperature is 0"):
        assert part in page
    assert 'name="viewport"' in page and "$" not in re.sub(r'base64,[^"]*', "", page)
    entries = strict((written[0] / "a.json").read_text())["rows"]
    claims = page[page.index("<h3>Claims</h3>") :]
    assert claims.count("<tr") == 1 + sum(entry["relation"] is not None for entry in entries)


def test_a_failing_claim_ends_with_status_1_and_leads_the_report(methods: Callable[..., None], tmp_path: Path) -> None:
    methods(Boastful(points=32))
    found = wflow("verify", "linear_neuron", "--set", "horizon=1", "--quick", "--workers", 1, "--report", tmp_path)
    assert found.exit_code == 1
    assert re.search(r"FAILED +linear_neuron: Boastful\(points=16\) +order in time", found.output)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    failed = page.index("<h3>Failed claims</h3>")
    assert failed < page.index("order in time") < page.index('id="contents"')


def test_a_claim_that_holds_ends_with_status_0(methods: Callable[..., None]) -> None:
    methods(Quantile(points=32))
    found = wflow("verify", "linear_neuron", "--set", "horizon=1", "--quick", "--workers", 1)
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize("error", [StepTooLarge("too long", 0.5), NotConverged("stuck", 0.25)], ids=repr)
def test_failures_come_back_from_worker_processes(error: StepTooLarge | NotConverged) -> None:
    """An exception that cannot be unpickled breaks the pool, and what went wrong is lost."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


def test_what_could_not_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    began = time.monotonic()
    for option, path in (("--json", tmp_path), ("--json", tmp_path / "none" / "a"), ("--report", tmp_path / "file")):
        found = wflow("verify", option, path)
        assert found.exit_code == 2 and option in found.output
    assert time.monotonic() - began < 2.0


@pytest.mark.slow
def test_an_interrupted_verify_ends_its_workers() -> None:
    process = start("verify", "circle_teacher", start_new_session=True)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("[1/"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 130 and "Traceback" not in error, error


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_list_names_every_problem_and_every_method_and_why_not() -> None:
    found = wflow("list")
    assert found.exit_code == 0
    for name in problems.CATALOGUE:
        assert f"  {name}(" in found.output
    for method in (*METHODS, *FURTHER):
        assert f"  {type(method).__name__}(" in found.output
    assert "atoms have no entropy" in found.output


def test_wrong_commands_and_options_are_usage_errors() -> None:
    for arguments in (["verfy"], ["verify", "--quik"], ["run"], ["show"], ["verify", "--workers", "0"]):
        assert wflow(*arguments).exit_code == 2
    assert wflow("--version").output.startswith("wflow ")


@pytest.mark.parametrize("absent", ["typer", "rich"])
def test_without_the_extra_the_command_says_what_to_install(absent: str) -> None:
    code = f"import sys; sys.modules[{absent!r}] = None; from wflow.app.cli import main; main()"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1 and absent in found.stderr and "pip install 'wflow[app]'" in found.stderr


@pytest.mark.slow
def test_two_workers_find_what_one_finds(tmp_path: Path) -> None:
    found = [tmp_path / f"{workers}.json" for workers in (1, 2)]
    for workers, file in enumerate(found, 1):
        wflow("verify", "linear_neuron", "--quick", "--workers", workers, "--json", file)
    one, two = ([{**row, "seconds": 0} for row in strict(file.read_text())["rows"]] for file in found)
    assert one == two


@pytest.mark.parametrize("command", [("demo", "--out"), ("verify", "linear_neuron", "--report")])
def test_a_folder_that_is_a_file_is_refused_by_its_option(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.write_text("")
    found = wflow(*command, file)
    assert found.exit_code == 2 and f"{command[-1]}: {file} cannot be made" in found.output.replace("\n", "")


@pytest.mark.slow
def test_the_demo_holds_and_writes_a_report_and_an_animation(tmp_path: Path) -> None:
    found = wflow("demo", "--out", tmp_path)
    assert found.exit_code == 0, found.output
    last = found.output.strip().splitlines()[-2:]
    assert [Path(line.split()[-1]).name for line in last] == ["report.html", "circle.gif"]
    with Image.open(tmp_path / "circle.gif") as movie:
        assert getattr(movie, "n_frames", 1) >= 30


@pytest.mark.slow
def test_further_methods_have_rows_too() -> None:
    """Only where they are asked for: of a network on the circle those of Midpoint and Bdf2, all of which hold."""
    from wflow.app.verify import verify

    named = {type(o.solver).__name__ for o in verify(["linear_neuron"], quick=True, workers=1).outcomes}
    found = verify(["linear_neuron"], quick=True, further=True, workers=1)
    taken = {type(o.solver).__name__ for o in found.outcomes if o.times is not None}
    assert {"Midpoint", "Bdf2"} <= taken and not {"Midpoint", "Bdf2"} & named
    own = [row for row in found.rows if row.solvers in ((str(o.solver),) for o in found.outcomes[len(named) :])]
    assert own and all(row.holds for row in own)


def test_rows_of_studies_outlive_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of --json has those of the studies that ended."""
    done: list[str] = []
    true = verify_module.study

    def stopped(name: str, parameters: dict[str, Any], solver: Any, quick: bool) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(str(solver))
        return true(name, parameters, solver, quick)

    monkeypatch.setattr(verify_module, "study", stopped)
    monkeypatch.setattr("wflow.app.commands._PAUSE", 0.0)
    found = wflow("verify", "linear_neuron", "--quick", "--workers", "1", "--json", tmp_path / "rows.json")
    assert found.exit_code == 130
    kept = strict((tmp_path / "rows.json").read_text())["rows"]
    assert {name for row in kept for name in row["solvers"]} == set(done)
