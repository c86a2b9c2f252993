"""`wflow hypotheses`: a sentence, a table and strict JSON for named problems."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from wflow.app.cli import app


def wflow(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_report_as_a_table_and_as_json(tmp_path: Path) -> None:
    """one_spike to t = 1/10: its class, a row a hypothesis, and the same in JSON, nan as null; status 0."""
    path = tmp_path / "report.json"
    done = wflow("hypotheses", "one_spike", "--set", "horizon=0.1", "--json", path)
    assert done.exit_code == 0 and "theorem silent: pi_t is not seen to converge" in done.stdout
    assert (
        "support +" in done.stdout
        and "1 problems: hypotheses hold in 0, fail in 0, the theorem is silent on 1" in done.stdout
    )
    said = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    (entry,) = said["reports"]
    assert {"machine", "versions", "seed"} < set(said)
    assert (entry["problem"], entry["class"], entry["verdict"]) == ("one_spike", "charges", "silent")
    assert entry["parameters"]["horizon"] == 0.1 and entry["solver"].startswith("ConicParticles")
    rows = {row["topic"]: row for row in entry["rows"]}
    assert rows["antecedent"]["verdict"] == "not reached" and rows["support +"]["measured"] < rows["support +"]["limit"]
    assert rows["Sard"]["measured"] is None and rows["conclusion"]["needed"] is False


def test_of_no_network_one_sentence_is_said() -> None:
    """Two problems without a network: no run, no table."""
    done = wflow("hypotheses", "heat_mode", "aggregation")
    assert done.exit_code == 0
    assert "there is no network" in done.stdout and "act on each other in pairs" in done.stdout
    assert "antecedent" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("one_spik",), "unknown name 'one_spik'"),
        (("one_spike", "heat_mode", "--set", "horizon=1"), "exactly one problem, got 2"),
        (("one_spike", "--set", "horizon=-1"), "horizon"),
        (("one_spike", "--json", "absent/report.json"), "--json"),
    ],
)
def test_wrong_use_ends_with_two(arguments: tuple[str, ...], message: str) -> None:
    done = wflow("hypotheses", *arguments)
    assert done.exit_code == 2 and message in done.output
