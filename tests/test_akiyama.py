"""The study of teachers and students: lines with intervals, what is recovered, the derived rate, failing claims."""

import json
import math

import numpy as np
import pytest

from wflow import Particles, SignedParticles, circle, problems, space
from wflow.app.studies import STUDIES, Entry, write_study
from wflow.app.studies.akiyama import PLAIN, SCALED, TEACHERS, curvature
from wflow.app.studies.intervals import line, mean
from wflow.isotropic import Isotropic
from wflow.students import imbalance, recovered


def test_the_interval_of_a_slope():
    """By hand for four points: slope S_xy/S_xx, error (RSS/2/S_xx)^(1/2), Student's 97.5 % of 2 degrees is 4.302653."""
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 2.0, 3.0, 7.0])
    found = line(x, y)
    assert found.slope == pytest.approx(2.2)
    error = math.sqrt(np.sum((y - 3.0 - 2.2 * (x - 1.5)) ** 2) / 2 / 5)
    assert (found.low, found.high) == pytest.approx((2.2 - 4.302653 * error, 2.2 + 4.302653 * error), rel=1e-6)
    assert found.squared == pytest.approx(2.2**2 * 5 / 26)


@pytest.mark.slow
def test_intervals_of_slopes_cover():
    """500 lines of six points with Gaussian errors: 95 % within four standard errors, .039."""
    rng, x = np.random.default_rng(0), np.arange(6.0)
    slopes = [line(x, 0.5 * x + rng.normal(size=6)) for _ in range(500)]
    share = np.mean([one.low <= 0.5 <= one.high for one in slopes])
    assert share == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 500))


def test_the_interval_of_a_mean():
    """Of 1, 2, 3, 6: 3 +- 3.182446 (14/3/4)^(1/2), Student's 97.5 % of 3 degrees."""
    half = 3.182446 * math.sqrt(14 / 3 / 4)
    assert mean(np.array([1.0, 2.0, 3.0, 6.0])) == pytest.approx((3.0, 3.0 - half, 3.0 + half), rel=1e-6)


def test_what_weight_decay_costs_beyond_the_charges():
    """F = J + lam/2 int (|a| - |b|)^2 dpi: J of the charges by the kernel of the circle, d = 2: 1e-13."""
    pi = Particles(space(3), Isotropic(2).quantised(20))
    angles = np.mod(np.arctan2(pi.points[:, 2], pi.points[:, 1]), 2 * math.pi)
    charges = pi.weights * pi.points[:, 0] * np.linalg.norm(pi.points[:, 1:], axis=1)
    j = problems.relu_teacher(lam=0.05).flow.energy.value(SignedParticles(circle(), angles[:, None], charges))
    f = problems.relu_teacher_space(TEACHERS, 0.05, 2).flow.energy.value(pi)
    assert f - 0.025 * imbalance(pi) == pytest.approx(j, abs=1e-13)


def test_what_is_recovered():
    """Charges near a teacher with the angle of their barycentre; far and other ones are left out; nan without any."""
    t = 0.2
    points = [
        [1.0, math.cos(t), math.sin(t), 0.0],
        [1.0, math.cos(t), -math.sin(t), 0.0],
        [2.0, math.cos(t), math.sin(t), 0.0],
    ]
    pi = Particles(space(4), np.array([*points, [9.0, 0.0, 0.0, 1.0]]))
    mass, angle = recovered(pi, np.eye(3)[:2])
    assert mass[0] == pytest.approx(1.0)
    assert angle[0] == pytest.approx(math.atan(math.tan(t) / 2))
    assert np.isnan(mass[1]) and np.isnan(angle[1])


def test_the_derived_rate():
    """|h''|: lam for one teacher, exactly; for two the difference quotient of h along the circle, step 1e-5.

    The third derivative jumps at a charge, by which the quotient is off by c 1e-5/3 pi, 1e-6: 3e-4 of it.
    """
    one = problems.relu_teacher_space(TEACHERS[:1], 0.02, 3).flow.energy
    assert curvature(one, problems.planar_optimum(TEACHERS[:1], 0.02, 3)) == pytest.approx(0.02, rel=1e-9)
    energy, best = (
        problems.relu_teacher_space(TEACHERS, 0.02, 10).flow.energy,
        problems.planar_optimum(TEACHERS, 0.02, 10),
    )
    middle = math.atan2(best.points[0, 2], best.points[0, 1])
    turned = middle + np.array([-1e-5, 0.0, 1e-5])
    at = np.zeros((3, 11))
    at[:, :3] = np.column_stack([np.ones(3), np.cos(turned), np.sin(turned)])
    v = energy.potential(best, at)
    assert curvature(energy, best) == pytest.approx((v[0] - 2 * v[1] + v[2]) / 1e-10, rel=1e-3)


def entry(method, lam, rate=1.0, explored=10, turn=1.0, least=1e-9, gap=1e-10):
    """A run whose excess falls from 100 J* to 1e-2 at once and then by e^(-rate lam) a step; angles turn lam."""
    steps = np.arange(0, 2001, 10)
    excess = np.where(steps < 10, 100.0, 0.05 * np.exp(-rate * lam * steps))
    record = {
        "steps": steps.tolist(), "excess": excess.tolist(), "explored": explored, "least": least, "gap": gap,
        "rate": lam, "charges": [1.0, 1.0], "angles": [turn * lam, turn * lam], "optimal": lam,
    }  # fmt: skip
    return Entry({"method": method, "dim": 3, "lam": lam, "seed": 0}, record)


def failing(entries):
    return [c.claim for c in STUDIES["akiyama"].judged(entries) if not c.holds]


def study(**changes):
    """Four strengths by each method, all with these changes."""
    return [entry(m, lam, **changes) for m in (PLAIN, SCALED) for lam in (0.01, 0.02, 0.05, 0.1)]


def test_claims_of_the_study_can_fail():
    """A run that never explores, one below J*, an open gap, a rate that is another, angles that are not found."""
    assert failing(study()) == []
    assert "exploration" in failing([*study(), entry(PLAIN, 0.01, explored=None)])[0]
    assert "least" in failing([*study(), entry(PLAIN, 0.01, least=-1e-6)])[0]
    assert "gap" in failing([*study(), entry(PLAIN, 0.01, gap=1e-6)])[0]
    assert ["late rate" in claim for claim in failing(study(rate=2.0))] == [True]
    assert any("upper end" in claim for claim in failing([*study(), entry(PLAIN, 0.01, rate=-0.1)]))
    assert any("its low" in claim for claim in failing(study(rate=-0.1)))
    assert "error of an angle" in failing([*study(), entry(PLAIN, 0.01, turn=1.5)])[0]
    bent = [entry(PLAIN, lam, turn=lam**0.5) for lam in (0.01, 0.02, 0.05, 0.1)]
    assert any("log angle" in claim for claim in failing([*study()[4:], *bent]))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_quick_study_holds(tmp_path):
    """Twelve runs, every claim."""
    rows, paths = write_study(STUDIES["akiyama"], tmp_path, quick=True, workers=1)
    assert [row.certificate.claim for row in rows if not row.holds] == []
    assert len(json.loads(paths[0].read_text())["entries"]) == 12
    assert paths[-1].stat().st_size > 10_000
