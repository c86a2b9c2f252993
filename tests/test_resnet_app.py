"""The study of residual networks: true errors pass, wrong powers and wrong constants are found."""

import numpy as np
import pytest

from wflow import picture
from wflow.app.deep.check import checked
from wflow.app.deep.resnet import RESNET
from wflow.app.studies import STUDIES, Entry, write_study
from wflow.app.studies import resnet as study


def entries(in_m=-0.5, layers=-0.5, of_euler=-1.0, factor=1.0):
    """Errors by powers of m and L, of two seeds, times a factor of what is expected."""
    found = [
        Entry(
            {"draw": study.WIDE, "depth": depth, "m": 0},
            {"errors": [depth**of_euler], "noises": [0.0], "expected": 1.0 / depth},
        )
        for depth in study.DEPTHS
    ]
    for draw, in_depth in ((study.LAYERWISE, layers), (study.TIED, 0.0)):
        for depth in study.DEPTHS:
            for m in study.WIDTHS:
                noise = m**in_m * depth**in_depth
                record = {"errors": [noise] * 2, "noises": [noise, 1.1 * noise], "expected": noise * factor}
                found.append(Entry({"draw": draw, "depth": depth, "m": m}, record))
    return found


def failing(**wrong):
    """The claims that do not hold."""
    return [c.claim for c in study.claims(entries(**wrong)) if not c.holds]


def test_claims_of_the_study_can_fail():
    """Each power and the constants."""
    assert failing() == []
    assert len(failing(in_m=-0.4)) == 2
    assert [claim.split(":")[0] for claim in failing(layers=0.0)] == ["layerwise"]
    assert any("slope in depth" in claim for claim in failing(of_euler=-0.9))
    assert len(failing(factor=1.3)) == 2


@pytest.mark.slow
def test_a_cell_measures_what_it_says():
    """Infinite width has no draws; a cell of draws one number a seed, and the expected one of its kind."""
    wide = study.measure(study.WIDE, 8, 0)
    assert wide["noises"] == [0.0] and len(wide["errors"]) == 1
    own, tied = (study.measure(draw, 8, 8) for draw in (study.LAYERWISE, study.TIED))
    assert len(own["errors"]) == study.SEEDS
    assert tied["expected"] > 1.5 * own["expected"]
    assert np.median(tied["noises"]) > 1.5 * np.median(own["noises"])


def test_the_picture_draws_every_line():
    """A marked line and an expected one for each name, the key once."""
    rows = [(4.0, 0.2, 0.21), (8.0, 0.1, 0.1)]
    figure = picture.two_errors({"one": {"m = 8": rows, "m = 9": rows}, "two": {"m = 8": rows}})
    assert [len(axes.lines) for axes in figure.axes] == [5, 3]
    assert list(figure.axes[0].lines[1].get_ydata()) == [0.21, 0.1]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_quick_rows_hold():
    """Each within two seconds of processor time."""
    rows = [row for check in RESNET if not check.slow for row in checked(check, True)]
    assert len(rows) >= 14
    assert all(row.holds for row in rows), [row.certificate for row in rows if not row.holds]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_quick_study_holds_and_draws(tmp_path):
    """Cells, claims and a picture."""
    rows, paths = write_study(STUDIES["resnet"], tmp_path, quick=True, workers=2)
    assert all(row.holds for row in rows), [row.certificate for row in rows if not row.holds]
    assert paths[-1].read_bytes().startswith(b"\x89PNG")
