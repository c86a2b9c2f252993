"""The studies of SGD at a minimum: their records are those of theory, and each claim can fail."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from wflow.app.studies import STUDIES, Entry, escape, stability, write_study
from wflow.picture import descents
from wflow.picture import stability as stability_picture
from wflow.stability import WithoutReplacement, edge, factor, largest_rates, placed, scattered, sufficient_rate
from wflow.stability.covariance import SecondMoment


@pytest.mark.parametrize(("a", "s", "n"), [(1.0, 0.0, 1), (0.3, 0.8, 16), (0.5, 1.9, 16), (2.0, 1.0, 2), (1.0, 0.2, 7)])
def test_a_problem_at_a_place(a, s, n):
    """n numbers >= 0 of that mean and deviation; none above a (n - 1)^(1/2)."""
    found = placed(a, s, n)
    values = found.factors[:, 0, 0] ** 2
    assert (found.sharpness, found.nonuniformity) == pytest.approx((a, s), rel=1e-7, abs=1e-7)
    assert values.min() >= 0.0 and (values.mean(), values.std()) == pytest.approx((a, s), abs=1e-13)
    with pytest.raises(ValueError, match="smaller s"):
        placed(a, a * np.sqrt(n - 1.0) + 0.01, n)


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_the_sufficient_rate(batch):
    """lambda_max = 1 there, so T(I) <= I; not above the exact rate, and equal to it for the full batch."""
    curvatures, draw = scattered(np.random.default_rng(1), 5, 3), WithoutReplacement(5, batch)
    eta, exact = sufficient_rate(curvatures, draw), largest_rates(curvatures, draw)
    assert SecondMoment(curvatures, eta, draw).sufficient() == pytest.approx(1.0, abs=1e-10)
    assert eta <= exact.upper
    found = edge(curvatures, draw)
    assert found.sufficient == pytest.approx(eta / exact.lower)
    assert found.sharpness <= 2.0 and (batch < 5 or found.sufficient == pytest.approx(1.0, abs=2e-6))


def axis(batch, place, tilt=1.0):
    """An entry of the plane as theory has it, growth times tilt."""
    draw, s = WithoutReplacement(stability.DATA, batch), np.arange(0.0, 2.5, 0.2)
    growth = tilt * factor(1.0, place, s, draw)
    record = {"spreads": s.tolist(), "growth": growth.tolist(), "errors": [0.003] * len(s)}
    return Entry({"kind": stability.AXIS, "batch": batch, "place": place}, record)


def plane(tilt=1.0, spread=1.05, sufficient=0.9, sharpness=1.2, random=True):
    """All entries, or broken ones."""
    own = [axis(b, a, tilt) for b in stability.BATCHES for a in stability.SHARP]
    record = {"sharpness": [sharpness] * 3, "spread": [0.5, 0.8, spread], "sufficient": [sufficient] * 3}
    cells = [{"kind": stability.RANK_ONE, "batch": b, "place": d} for b in (1, 2) for d in (2, 4)]
    return own + [Entry(cell, record) for cell in cells if random]


def failing(study, entries):
    """The claims that do not hold."""
    return [c.claim for c in STUDIES[study].judged(entries) if not c.holds]


def test_claims_of_the_plane_can_fail():
    """Growth that is off, sides that are wrong, an edge beyond what is necessary, a sufficient rate above the exact."""
    assert failing("stability", plane()) == []
    off = failing("stability", plane(tilt=1.1))
    for words in ("standard errors", "wrong side", "B = 1:", "B = 2:", "B = 4:", "a of the edge"):
        assert any(words in claim for claim in off), words
    assert any("s c^(1/2) on" in claim for claim in failing("stability", plane(spread=1.5)))
    assert any("eta a on" in claim for claim in failing("stability", plane(sharpness=2.1)))
    assert any("sufficient" in claim for claim in failing("stability", plane(sufficient=1.01)))
    assert any("beyond the box" in claim for claim in failing("stability", plane(spread=0.9)))


def leaving(**changes):
    """Entries of the escape as theory has them; `changes` break one record each."""
    found = []
    for cell in escape.cells(False):
        record = {"left": 0, "runs": 4000, "chance": 0.0, "mean": 1.0, "error": 0.1, "exact": 1.0}
        eta = cell["eta"]
        record |= {"almost": eta - 0.559472, "square": eta - 0.552486}
        if cell["descent"]:
            record |= {"left": int(eta > 1.0), "runs": 1}
        elif eta == escape.LEAVING:
            steps = (-np.log(cell["distance"] / 0.3) + 0.22) / 0.177997
            record |= {"left": 4000, "chance": 1.0, "mean": steps, "exact": steps}
        found.append(Entry(cell, record | changes if not cell["descent"] else record))
    return found


@pytest.mark.slow
def test_claims_of_the_escape_can_fail():
    """A law that is missed, thresholds that are off, paths that stay, times that are none of the law's."""
    good = leaving()
    assert failing("escape", good) == []
    broken = failing("escape", leaving(chance=0.1, left=400, exact=7.0, square=0.1))
    for words in ("bound", "share of", "standard errors", "in mean square"):
        assert any(words in claim for claim in broken), words
    broken = failing("escape", leaving(chance=0.5, left=3999, mean=7.0, exact=7.0, almost=0.1))
    for words in ("intervals", "share of", "slope", "from 1e-05", "almost surely"):
        assert any(words in claim for claim in broken), words
    for entry in good:
        entry.record["left"] = 0
    with pytest.raises(ValueError, match="empty"):
        failing("escape", good)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["stability", "escape"])
def test_the_quick_study_holds(name, tmp_path):
    """Every claim, and a picture."""
    rows, written = write_study(STUDIES[name], tmp_path, quick=True, workers=1)
    assert [row.certificate.claim for row in rows if not row.holds] == []
    assert written[-1].name == f"{name}.png" and written[-1].stat().st_size > 10_000


def test_pictures_are_drawn():
    """One panel or several; paths of one run and of many."""
    places = [(0.5, 0.5, 0.9, 0.01), (1.0, 1.5, 1.4, 0.01), (1.0, 1.0, 1.0, 0.01)]
    sharp = np.linspace(0.0, 2.0, 11)
    one = stability_picture({"B = 1": (places, sharp, np.ones(11))}, {"d = 2": (np.ones(2), np.ones(2))})
    assert isinstance(one, Figure) and len(one.axes) == 2
    assert len(descents({"SGD": np.ones((5, 7)), "descent": np.ones((5, 1))}, (0.0, 1.0)).axes) == 2
