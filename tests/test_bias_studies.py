"""Studies of implicit bias: what they compare, that their claims can fail, and that each measures and draws."""

import math

import numpy as np
import pytest

from solvers import small
from solvers.small import train
from wflow.app.studies import STUDIES, Entry, active, heat_map, nearness, quenching, widths
from wflow.app.studies.bias import FEATURES, FIELD, MODELS, NETWORK, Case, compared
from wflow.implicit.diagnostics import predicted
from wflow.implicit.features import RandomFeatures
from wflow.implicit.targets import drawn, empirical, teacher


def failing(study, entries):
    """The claims that do not hold."""
    return [c.claim for c in STUDIES[study].judged(entries) if not c.holds]


def test_models_are_compared_on_the_same():
    """One sample for all; one start but for its size, m^(1/2) for the network."""
    net, field = (Case.of("single", 4, 6, 9, model, 3) for model in (NETWORK, FIELD))
    np.testing.assert_array_equal(net.data.inputs, field.data.inputs)
    np.testing.assert_allclose(net.start.points, 3.0 * field.start.points, rtol=1e-14)
    more = Case.of("single", 4, 8, 9, NETWORK, 3)
    np.testing.assert_array_equal(more.data.inputs[:6], net.data.inputs)


def test_factors_have_intervals():
    """Of equal ratios the interval is a point; of e and 1/e the factor is 1, Student's 12.7 for two on either side."""
    assert compared([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.0, 2.0))
    factor, low, high = compared([math.e, 1.0 / math.e], [1.0, 1.0])
    assert factor == pytest.approx(1.0)
    assert math.log(high) == -math.log(low) == pytest.approx(12.706, rel=1e-4)


def test_random_features_after_steps_of_descent(monkeypatch):
    """(1 - rate dt)^k against the loop with b held by a start that cannot move it: a network of far larger b, 1e-6."""
    monkeypatch.setattr(small, "_descent", lambda: small.plain)  # to compile takes seconds
    case = Case.of("single", 3, 9, 400, NETWORK, 1)
    big = case.start.moved(1e3 * case.start.points)
    exact = RandomFeatures.on_data(big, case.data)
    dt = 0.5 / float(np.max(exact.rates))
    found = train(big, case.data, enough=1e-14, horizon=30 * dt, dt=dt)
    assert found.steps == 30
    np.testing.assert_allclose(exact.after(30, dt).points[:, 0], found.measure.points[:, 0], rtol=1e-6, atol=1e-12)


def test_empirical_energy_is_that_of_the_data():
    """F of `empirical` is (1/2n) |f - y|^2."""
    data = drawn(teacher("single", 3), 9, np.random.default_rng(0))
    pi = Case.of("single", 3, 9, 4, FIELD, 0).start.moved(np.random.default_rng(1).normal(size=(4, 4)))
    expected = 0.5 * np.mean((predicted(pi, data.inputs) - data.targets) ** 2)
    assert empirical(data).value(pi) == pytest.approx(expected, rel=1e-12)


# Claims


def map_of(peak=8.0, field=1.5, net=1.0):
    """Errors of 1, a ridge of random features, a mean-field error that grows, a network's level."""
    out = []
    for n in heat_map.DATA:
        sizes = np.array(heat_map.SIZES)
        rows = {
            NETWORK: np.full(len(sizes), net),
            FEATURES: np.where(sizes == n, peak, 1.0 + 0.01 * (sizes == 4)),
            FIELD: np.where(sizes > n, field, 1.0),
        }
        out += [Entry({"model": model, "data": n}, {"test": rows[model].tolist()}) for model in MODELS]
    return out


def test_claims_of_heat_maps_can_fail():
    """No ridge, a mean-field error that varies elevenfold, a network above the ridge."""
    assert failing("heat_map", map_of()) == []
    assert any("not at m = n" in claim for claim in failing("heat_map", map_of(peak=0.5)))
    assert any("mean-field" in claim for claim in failing("heat_map", map_of(field=11.0)))
    few = [e if e["data"] > 10 else w for e, w in zip(map_of(), map_of(field=11.0), strict=True)]
    assert any("worst at n = 10" in claim for claim in failing("heat_map", few))  # no row is left out
    assert any("of the network" in claim for claim in failing("heat_map", map_of(net=9.0)))


def width_entries(peak=8.0, net=1.0, field=2.0, path=3.0):
    out = []
    sizes = np.array(widths.SIZES)
    for seed in range(4):
        for kind in widths.KINDS:
            tests = {
                NETWORK: np.where(sizes == widths.DATA, net, 1.0),
                FEATURES: np.where(sizes == widths.DATA, peak * (1.0 + 0.01 * seed), 1.0),
                FIELD: np.where(sizes > widths.DATA, field, 1.0),
            }
            for model in MODELS:
                record = {"test": tests[model].tolist(), "path": [path if model == NETWORK else 1.0] * len(sizes)}
                out.append(Entry({"target": kind, "model": model, "seed": seed}, record))
    return out


def test_claims_of_widths_can_fail():
    """No peak of random features, one of the network, a mean-field error that varies, a network of the smaller norm."""
    good = failing("widths", width_entries())
    assert good == []
    assert sum("random features" in claim for claim in failing("widths", width_entries(peak=1.2))) == 2
    assert sum("network: error" in claim for claim in failing("widths", width_entries(net=2.0))) == 2
    assert sum("mean-field: largest" in claim for claim in failing("widths", width_entries(field=11.0))) == 2
    assert sum("path norm" in claim for claim in failing("widths", width_entries(path=0.5))) == 2


def near(power=-2.0, train=1e-7):
    return [
        Entry({"neurons": m, "seed": s}, {"apart": [m**power * (1 + 0.01 * s)], "moved": [m**power], "train": train})
        for m in nearness.SIZES
        for s in range(2)
    ]


def test_claims_of_nearness_can_fail():
    """Slopes of -.8, and data that are not fitted."""
    assert failing("nearness", near()) == []
    assert len(failing("nearness", near(power=-0.8))) == 2
    assert any("F on the data" in claim for claim in failing("nearness", near(train=1e-3)))
    assert nearness.slope(near(power=-1.5), "moved").slope == pytest.approx(-1.5)


def counts(few=0.1, many=0.7, first=1.0, error=0.01):
    out = []
    for width, m in active.SIZES.items():
        end = {"2n/(d+1)": few, ".8n": many}.get(width, 0.5)
        record = {
            "active": [first * m, m], "tenth": [m, end * m], "neurons": m,
            "test": [1.0, error if width == "2n/(d+1)" else 1.0],
        }  # fmt: skip
        out.append(Entry({"width": width, "seed": 0}, record))
    return out


def test_claims_of_active_neurons_can_fail():
    """Many left at the smallest width, few at the largest, a silent start, no smaller error."""
    assert failing("active", counts()) == []
    for wrong in ({"few": 0.6}, {"many": 0.1}, {"error": 0.5}):
        assert len(failing("active", counts(**wrong))) == 1
    assert len(failing("active", counts(first=0.5))) == 3


def course(first=0.01, last=1e-3, active_net=3):
    out = []
    for case, (_, _, m, _, horizon) in quenching.CASES.items():
        for model in MODELS:
            energies = {NETWORK: [0.2 * (1 + first), last], FEATURES: [0.2, 0.13], FIELD: [0.1, 1e-4]}[model]
            left = active_net if model == NETWORK else m
            record = {
                "energies": energies, "begun": 0.25, "active": [m, left], "carriers": [m, left],
                "magnitudes": [[0.1] * m] * 2, "times": [0.5, horizon],
            }  # fmt: skip
            out.append(Entry({"case": case, "model": model}, record))
    return out


def test_claims_of_quenching_can_fail():
    """Apart from the first, a network that does not learn, one that uses all of its neurons."""
    assert failing("quenching", course()) == []
    assert len(failing("quenching", course(first=0.2))) == len(quenching.CASES)
    assert any(claim.endswith("F of the network") for claim in failing("quenching", course(last=5e-3)))
    wide = failing("quenching", course(active_net=50))
    assert sum("carriers of the network" in claim for claim in wide) == 2
    assert sum("active neurons of the network" in claim for claim in wide) == 1


# Measuring and drawing


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) for name in ("quenching", "active", "widths", "heat_map", "nearness")],
)
@pytest.mark.timeout(400)
def test_a_quick_study_is_measured_and_drawn(name, tmp_path):
    """Some cells of it: records as long as their tables, and a picture."""
    study = STUDIES[name]
    some = study.cells(True)[:3]
    entries = [Entry(cell, study.measure(**cell)) for cell in some]
    if name == "widths":
        other = [Entry({**e.cell, "target": "ring"}, e.record) for e in entries]
        entries += other
    path = study.draw(entries, tmp_path / f"{name}.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    again = study.measure(**some[0])
    assert again == entries[0].record
