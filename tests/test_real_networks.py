"""Studies of real networks: each claim fails on entries that break it; one cell of each, and pictures of all."""

import numpy as np
import pytest

from wflow.app.studies import STUDIES, Entry
from wflow.app.studies import corrupted as labels
from wflow.app.studies.intervals import line
from wflow.app.studies.minima import bound, slope
from wflow.app.studies.real import posed
from wflow.app.studies.regularisation import EARLY, KINDS, NONE, RANDOM, TRUE
from wflow.errors import Refused
from wflow.images import DIGITS, images
from wflow.picture import escapes, minima, regularisers, sharpness_by_step


def failing(study, entries):
    """The claims that do not hold."""
    return [c.claim for c in STUDIES[study].judged(entries) if not c.holds]


def ended(step, a, start=0, converged=True):
    """An entry of the study of sharpness."""
    record = {"converged": converged, "sharpness": a, "nonuniformity": 3.0 * a, "first": 7.0, "warmup": 0}
    return Entry({"data": DIGITS, "step": step, "start": start}, record)


def test_claims_of_sharpness_can_fail():
    """Too sharp for its step; far from 2/eta where that binds; too many that did not converge."""
    sound = [ended(0.1, 14.0, k) for k in range(5)] + [ended(0.5, 3.99, k) for k in range(5)]
    assert failing("sharpness", sound) == []
    assert "over 2/eta" in failing("sharpness", [*sound, ended(0.5, 4.3)])[0]
    assert "least sharpness" in failing("sharpness", [*sound, ended(0.5, 2.0)])[0]
    assert "converge" in failing("sharpness", [*sound, ended(0.5, 4.0, 6, False), ended(1.0, 2.0, 6, False)])[0]


def cloud(batch, step, a, s, lost=0, ratio=None):
    """One model; unless given eta over the largest stable one is a eta/2, as for all rows."""
    model = [a, s, 0.9, 0.5 * a * step if ratio is None else ratio]
    return Entry({"data": DIGITS, "batch": batch, "step": step, "group": 0}, {"models": [model], "lost": lost})


def sound_minima(whole=(1.0, 4.0, 16.0, 20.5), power=1.0, few=0.5, between=0.8, ratio=0.99, step=0.1, **last):
    """s = 3 a^power with all rows and less with fewer; batches of 10 near the largest step, above the bound of s."""
    found = [cloud(100, step, a, 3.0 * a**power) for a in whole]
    found += [cloud(20, step, a, between * 3.0 * a**power, ratio=0.5) for a in whole]
    found += [cloud(10, step, a, few * 3.0 * a**power, ratio=ratio) for a in whole]
    return [*found, cloud(10, step, 25.0, few * 3.0 * 25.0**power, **{"ratio": ratio} | last)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"lost": 4}, "converge"),
        ({"whole": (1.0, 4.0, 16.0, 21.5)}, "all rows: largest sharpness"),
        ({"power": 0.5}, "slope of log s"),
        ({"power": 1.6}, "slope of log s"),
        ({"ratio": 1.4}, "stable in mean square, 95 of 100 models (5 of 9 above 1)"),
        ({"ratio": 1.6}, "stable in mean square, all"),
        ({"ratio": 0.3}, "median of B = 10 at 0.1"),
        ({"few": 0.1}, "not needed"),
        ({"few": 0.9, "between": 0.85}, "next smaller"),
    ],
    ids=lambda value: "-".join(map(str, next(iter(value.items())))) if isinstance(value, dict) else "",
)  # fmt: skip
def test_claims_of_minima_can_fail(wrong, words):
    """Each claim is among those that fail on entries that break it; sound ones pass."""
    assert failing("minima", sound_minima()) == []
    assert any(words in claim for claim in failing("minima", sound_minima(**wrong)))


def test_more_claims_of_minima_can_fail():
    """No slope to speak of, batches that are no flatter, two conditions for all rows that differ; nothing to judge."""
    sound = sound_minima()
    assert any("R^2" in claim for claim in failing("minima", [*sound, cloud(100, 0.1, 4.0, 300.0)]))
    alike = sound_minima(few=0.74, between=0.96)
    assert failing("minima", alike) == [f"{DIGITS}: mean s of the smallest batch over that of the largest"]
    assert "off a eta/2" in failing("minima", [*sound, cloud(100, 0.1, 9.0, 27.0, ratio=0.47)])[0]
    none = failing("minima", [e for e in sound if e["batch"] < 100])
    assert len(none) == 2 and all("all rows" in claim for claim in none)
    none = failing("minima", [e for e in sound if e["batch"] == 100])
    assert sum("batches:" in claim for claim in none) == 4


def test_slopes_of_powers():
    """s = 2 a^1.5 has slope 3/2 with an interval of no width; the bound is its formula, infinite for all rows."""
    a = np.linspace(1.0, 9.0, 20)
    found = slope(np.stack([a, 2.0 * a**1.5], axis=1))
    assert (found.low, found.slope, found.high) == pytest.approx((1.5, 1.5, 1.5), rel=1e-7)
    assert line(a, 3.0 * a).slope == pytest.approx(3.0)
    assert bound(np.array([10.0, 100.0]), np.array([0.1, 0.1])) == pytest.approx([10.0 * 11.0**0.5, np.inf])


def left(step=0.1, before=20.0, after=10.0, escaped=(5, 9, None, None), spike=1.0):
    """An entry of the study of corrupted labels."""
    state = {"loss": 1e-5, "sharpness": before, "nonuniformity": 3.0 * before, "test": 0.7}
    rest = state | {"sharpness": after, "nonuniformity": 3.0 * after}
    batches = [
        {
            "batch": b, "escaped": at, "spike": spike if at else 1e-5, "losses": [1e-5, 1.0],
            "after": rest if at else state,
        }
        for b, at in zip(labels.BATCHES, escaped, strict=True)
    ]  # fmt: skip
    return Entry({"step": step, "start": 0}, {"before": state, "batches": batches})


def test_claims_of_corrupted_labels_can_fail():
    """A minimum too sharp; a small batch that stays, a large one that leaves; no spike; nothing flatter."""
    assert failing("corrupted", [left()]) == []
    assert "gradient descent" in failing("corrupted", [left(before=22.0)])[0]
    assert "batches of 4" in failing("corrupted", [left(escaped=(None, 9, None, None))])[0]
    assert "batches of 40" in failing("corrupted", [left(escaped=(5, 9, None, 80))])[0]
    assert "spike" in failing("corrupted", [left(spike=1e-3)])[0]
    assert len(failing("corrupted", [left(after=19.5)])) == 2


def learnt(kind, seen, train, test, seed=0):
    return Entry({"data": DIGITS, "labels": seen, "regulariser": kind, "seed": seed}, {"train": train, "test": test})


def accuracies(plain=0.97, best=0.975, fitted=1.0, chance=0.1, early=0.2):
    """Entries of the study of regularisers."""
    true = [learnt(kind, TRUE, 1.0, plain if kind == NONE else best) for kind in KINDS]
    return true + [learnt(kind, RANDOM, early if kind == EARLY else fitted, chance) for kind in KINDS]


@pytest.mark.parametrize("wrong", [{"plain": 0.8, "best": 0.8}, {"best": 1.0, "plain": 0.9}, {"fitted": 0.9}])
def test_claims_of_regularisers_can_fail(wrong):
    """Too little learnt, too much gained, random labels not fitted."""
    assert failing("regularisation", accuracies()) == []
    assert len(failing("regularisation", accuracies(**wrong))) == 1


@pytest.mark.parametrize("wrong", [{"chance": 0.3}, {"early": 0.9}])
def test_random_labels_are_not_to_be_learnt(wrong):
    """Accuracy off chance; early stopping that lets them be fitted."""
    assert len(failing("regularisation", accuracies(**wrong))) == 1


def test_pictures(tmp_path):
    """Each from few numbers: panels and curves as many as were given."""
    seeds = np.array([0.9, 1.0])
    bars = regularisers({"digits, true": dict.fromkeys(KINDS, (seeds, seeds)), "b": {NONE: (seeds, seeds)}}, 0.1)
    steps = sharpness_by_step({"digits": ({0.1: [14.0, 15.0], 0.5: [4.0]}, 7.0)})
    models = np.array([[9.0, 27.0, 0.9, 0.6, 10.0, 0.1], [4.0, 12.0, 0.9, 1.0, 100.0, 0.5]])
    scatter = minima({"digits": (models, 1.0)})
    state = {"sharpness": 20.0, "nonuniformity": 55.0}
    moved = escapes({4: np.array([1e-5, 1.0])}, [(4, 0.1, state, state)], 1e-2, 0.1)
    assert [len(figure.axes) for figure in (bars, steps, scatter, moved)] == [2, 1, 2, 2]
    scatter.savefig(tmp_path / "scatter.png")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("study", ["sharpness", "minima", "corrupted", "regularisation"])
def test_a_cell_of_each(study):
    """The last cell of a quick study, as the command measures it: its record holds numbers that are numbers."""
    try:
        images(DIGITS)
    except Refused as lacking:
        pytest.skip(str(lacking))
    cell = STUDIES[study].cells(True)[-1]
    assert cell in STUDIES[study].cells(False)
    record = STUDIES[study].measure(**cell)
    assert record
    if study == "minima":
        assert len(record["models"]) + record["lost"] == 5
        assert np.all(np.isfinite(record["models"]))
        whole = STUDIES["minima"].measure(**{**cell, "batch": 100})
        for a, _, _, ratio in whole["models"]:  # no noise: the exact condition is a <= 2/eta
            assert ratio == pytest.approx(0.5 * cell["step"] * a, rel=5e-3)


def test_targets_of_the_studies():
    """Half of the digits are odd, within 4 deviations; with a fifth wrong exactly 40 of 200 targets differ."""
    try:
        sound, wrong = posed(DIGITS, 200, 5), posed(DIGITS, 200, 5, wrong=0.2)
    except Refused as lacking:
        pytest.skip(str(lacking))
    assert np.sum(sound.train.targets != wrong.train.targets) == 40
    assert np.array_equal(sound.test.targets, wrong.test.targets)
    assert abs(sound.train.targets.mean()) < 4.0 / 200**0.5
    assert 0.0 <= sound.agreement(sound.network.start(0)) <= 1.0
