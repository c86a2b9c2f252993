"""Studies: intervals of chances, sweeps that go on after a stop, and what the three studies of starts claim."""

import json

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from tests.sweeps import UNLUCKY, squares
from wflow.app.commands import app
from wflow.app.settings import UsageError
from wflow.app.studies import CELLS, STUDIES, Entry, sweep, write_study
from wflow.app.studies.intervals import chances, fall
from wflow.app.studies.limits import BOTH, ONE
from wflow.app.studies.success import EVEN, ONE_SIGN, RANDOM


def test_an_interval_of_a_chance():
    """Clopper and Pearson: each end is the chance at which what was counted, or more, has chance alpha/2."""
    (found,) = chances([(3, 10)], level=0.9)
    assert binom.sf(2, 10, found.low) == pytest.approx(0.05, rel=1e-9)
    assert binom.cdf(3, 10, found.high) == pytest.approx(0.05, rel=1e-9)
    none, every = chances([(0, 20), (20, 20)], level=0.95)
    assert (none.low, every.high) == (0.0, 1.0)
    assert none.high == pytest.approx(1.0 - 0.0125 ** (1 / 20), rel=1e-12)  # two intervals share 5 %
    assert every.low == pytest.approx(0.0125 ** (1 / 20), rel=1e-12)


def test_intervals_cover():
    """Whatever the chance: what 20 tries may count is covered with 90 % or more, summed exactly."""
    found = [chances([(k, 20)], level=0.9)[0] for k in range(21)]
    for p in np.linspace(0.0, 1.0, 101):
        covering = [k for k, c in enumerate(found) if c.low <= p <= c.high]
        assert float(np.sum(binom.pmf(covering, 20, p))) >= 0.9


def test_a_curve_that_falls_is_refuted():
    """By the intervals alone: dips within them are not."""
    assert fall(chances([(18, 20), (15, 20), (20, 20)])) <= 0.0
    steep = chances([(0, 20), (20, 20), (2, 20)])
    assert fall(steep) == pytest.approx(steep[1].low - steep[2].high)
    assert fall(steep) > 0.0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_sweep_goes_on_where_it_stopped(tmp_path, workers):
    """A cell that failed is told and tried again; what was measured is not."""
    study, out = squares(tmp_path, (1, 2, UNLUCKY)), tmp_path / "out"
    (tmp_path / "bad").touch()
    told = []
    first = sweep(study, out, workers=workers, progress=lambda what, done, total: told.append((done, total)))
    assert [e.failed for e in first] == ["", "", "NotConverged: thirteen did not converge"]
    assert told == [(1, 3), (2, 3), (3, 3)]
    claims = list(study.judged(first))
    assert [c.measured for c in claims] == [1.0]
    assert "thirteen" in claims[0].claim
    (tmp_path / "bad").unlink()
    again = sweep(study, out, workers=workers)
    assert [e["square"] for e in again] == [1.0, 4.0, 169.0]
    assert all(c.holds for c in study.judged(again))
    assert sorted(p.name for p in tmp_path.glob("*.[0-9]")) == ["1.0", "13.0", "13.1", "2.0"]


def test_what_a_quick_study_measured_is_kept(tmp_path):
    """The cells of a quick one are among those of the whole."""
    study, out = squares(tmp_path, (1, 2)), tmp_path / "out"
    sweep(study, out, quick=True, workers=1)
    rows, paths = write_study(study, out, workers=1)
    assert [p.name for p in paths] == [CELLS, "claims.json", "squares.png"]
    assert all(row.holds for row in rows)
    assert all(path.exists() for path in paths)
    assert not (tmp_path / "1.1").exists()


@pytest.mark.parametrize("fault", ["versions", "study", "text"])
def test_a_file_of_others_is_refused(tmp_path, fault):
    """Records of other versions are not mixed with new ones; nor is what is no file of a study."""
    study, out = squares(tmp_path, (1,)), tmp_path / "out"
    sweep(study, out, workers=1)
    whole = json.loads((out / CELLS).read_text())
    if fault == "versions":
        whole["made"]["numpy"] = "0.0"
    elif fault == "study":
        whole["study"] = "cubes"
    (out / CELLS).write_text("no" if fault == "text" else json.dumps(whole))
    with pytest.raises(UsageError, match="name another folder"):
        sweep(study, out, workers=1)


def test_the_command_lists_and_refuses(tmp_path):
    """`wflow study` names the studies; an unknown name is answered with the nearest."""
    listed = CliRunner().invoke(app, ["study"])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == list(STUDIES)
    wrong = CliRunner().invoke(app, ["study", "sucess", "--out", str(tmp_path)])
    assert wrong.exit_code == 2
    assert "success" in wrong.output


def failing(study, entries):
    """The claims that do not hold."""
    return [c.claim for c in STUDIES[study].judged(entries) if not c.holds]


def run_of(start, m, seed, excess, finished=None):
    """An entry of the study of success with inf F = 1."""
    record = {"value": 1.0 + excess, "least": 1.0, "most": 1.0, "gap": 2.0 * excess}
    return Entry(
        {"start": start, "particles": m, "seed": seed}, record | {"finished": excess if finished is None else finished}
    )


def test_claims_of_success_can_fail():
    """A curve that falls, an even start that fails, one sign that succeeds, a false certificate, one left open."""
    even = [run_of(EVEN, 40, s, 0.0) for s in range(5)]
    alone = [run_of(ONE_SIGN, 40, s, 9.0) for s in range(5)]
    rising = [run_of(RANDOM, m, s, 5.0 if m < 20 else 1e-8) for m in (4, 20) for s in range(20)]
    assert failing("success", rising + even + alone) == []
    falling = [run_of(RANDOM, m, s, 5.0 if m > 4 else 1e-8) for m in (4, 20) for s in range(20)]
    assert "falls" in failing("success", falling + even + alone)[0]
    assert len(failing("success", rising + alone + [run_of(EVEN, 40, 0, 5.0)])) == 1
    assert len(failing("success", rising + even + [run_of(ONE_SIGN, 40, 0, 0.0)])) == 1
    false = [run_of(RANDOM, 20, 30, 5.0, finished=4.0)]
    assert "false certificates" in failing("success", rising + false + even + alone)[0]
    left = [run_of(RANDOM, 20, s, 1e-8, finished=1e-3) for s in range(30, 50)]
    assert "certificate says" in failing("success", rising + left + even + alone)[0]


def test_claims_of_limits_can_fail():
    """Each corner of the table, a rise in time, and sizes that do not settle."""

    def entries(corner=0.0, few=2.0, alone=5.0, rise=0.0, apart=0.0):
        table = {
            (BOTH, 8): [10.0, few, few],
            (BOTH, 16): [10.0, 1.0, 0.0],
            (BOTH, 32): [10.0 + apart, 1.0, corner],
            (ONE, 8): [10.0, 6.0, 6.0 + rise],
            (ONE, 16): [10.0, 6.0, alone],
        }
        return [
            Entry(
                {"start": s, "particles": m}, {"times": [0.0, 1.0, 2.0], "values": [1.0 + e for e in x], "least": 1.0}
            )
            for (s, m), x in table.items()
        ]

    assert failing("limits", entries()) == []
    for wrong in ({"corner": 0.05}, {"few": 0.0}, {"alone": 0.0}, {"rise": 1e-6}, {"apart": 1.0}):
        assert len(failing("limits", entries(**wrong))) == 1


def test_claims_of_clouds_can_fail():
    """Two radii below the threshold, one above, another radius, a risk too large, noise that helps, or no rest."""

    def entries(**wrong):
        right = {"mean": 1.6, "radius": 1.6, "single": 0.1, "late": 0.0, "energy": 1.0}
        rows = {
            ("d = infinity", 0.4): {"deviation": 0.0, "risk": 0.1},
            ("d = infinity", 0.6): {"deviation": 0.5, "risk": 0.0},
            ("d = 40", 0.4): {"deviation": 0.1, "risk": 0.2},
            ("d = 40, noise", 0.4): {"deviation": 0.1, "risk": 0.3},
        }
        for key, changes in wrong.items():
            rows[list(rows)[int(key[1])]] |= changes
        return [Entry({"kind": k, "delta": d}, right | row) for (k, d), row in rows.items()]

    assert failing("clouds", entries()) == []
    for wrong in (
        {"r0": {"deviation": 0.1}}, {"r0": {"mean": 1.7}}, {"r0": {"risk": 0.2}}, {"r1": {"deviation": 0.0}},
        {"r1": {"risk": 0.2}}, {"r3": {"risk": 0.1}}, {"r3": {"late": 0.1}},
    ):  # fmt: skip
        assert len(failing("clouds", entries(**wrong))) == 1


def test_claims_of_starts_can_fail():
    """A spread start that is stuck, a point that is not, a gap below the excess."""

    def entry(kind, excess, gap):
        record = {"values": [9.0, 1.0 + excess], "gaps": [9.0, gap], "least": 1.0, "most": 1.0}
        return Entry({"start": kind}, record | {"times": [0.0, 1.0]})

    right = [entry("spread", 0.0, 1e-9), entry("point", 10.0, 11.0)]
    assert failing("starts", right) == []
    assert len(failing("starts", [entry("spread", 1.0, 2.0), right[1]])) == 1
    assert len(failing("starts", [right[0], entry("point", 0.1, 0.2)])) == 1
    assert len(failing("starts", [entry("spread", 1e-8, 1e-9), right[1]])) == 1


@pytest.mark.slow
def test_the_study_of_starts(tmp_path):
    """Three and four charges, two, one, with their claims."""
    rows, paths = write_study(STUDIES["starts"], tmp_path, quick=True)
    assert all(row.holds for row in rows)
    assert {c["cell"]["start"] for c in json.loads(paths[0].read_text())["entries"]} == {"four", "three", "two", "one"}


@pytest.mark.slow
def test_a_success_is_measured(tmp_path):
    """One run of each start: even charges succeed, those of one sign do not; the certificate is about the excess."""
    study = STUDIES["success"]
    both, alone = (study.measure(start=kind, particles=40, seed=0) for kind in (EVEN, ONE_SIGN))
    assert both["value"] - both["most"] <= 1e-6 <= 1.0 <= alone["value"] - alone["most"]
    assert -1e-11 <= both["finished"] - (both["value"] - both["most"]) <= 1e-10
    assert alone["gap"] >= alone["value"] - alone["most"]
