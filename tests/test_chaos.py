"""The study of chaos: its closed forms, a small run of a cell, and claims that can fail."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from wflow import problems
from wflow.app.studies import Entry, chaos
from wflow.app.studies.chaos import CIRCLE, LINE, SIZES, claims, known, measure


def entry(problem, m, scale=1.0, *, power=-1.0, late=1.0):
    """A cell as the theory has it, times `scale` at the largest size."""
    times = [0.25 * 2.0**k for k in range(7)]
    record = {"times": times, "runs": 100}
    for name in ("fluctuation", "distance", "coupling"):
        exact = known(Entry({"problem": problem, "particles": m}, record), name)
        values = np.full(7, m**power) if exact is None else np.full(7, exact[-1]) if len(exact) == 1 else exact
        values = values * (scale if m == SIZES[-1] else 1.0)
        values[-1] *= late
        if problem == CIRCLE and name == "coupling":
            values[4:] *= 3.0
        record[name], record[f"{name}_error"] = values.tolist(), (0.02 * values).tolist()
    return Entry({"problem": problem, "particles": m}, record)


def test_claims_hold_of_the_theory_and_fail_without_it():
    """Fourteen rows; a constant off by a tenth, another power of m and growth in time are each seen."""
    theory = [entry(p, m) for p in (LINE, CIRCLE) for m in SIZES]
    rows = list(claims(theory))
    assert len(rows) == 14 and all(row.holds for row in rows)
    off = list(claims([entry(p, m, 1.1) for p in (LINE, CIRCLE) for m in SIZES]))
    assert not off[0].holds and not off[1].holds
    rooted = list(claims([entry(p, m, power=-0.5) for p in (LINE, CIRCLE) for m in SIZES]))
    assert sum(not row.holds for row in rooted if "slope" in row.claim) == 4
    grown = list(claims([entry(p, m, late=1.2) for p in (LINE, CIRCLE) for m in SIZES]))
    assert all(not row.holds for row in grown if "half the time" in row.claim)
    together = [entry(p, m) for p in (LINE, CIRCLE) for m in SIZES]
    for one in together:
        one.record["coupling"][4:] = [one.record["coupling"][3]] * 3
    assert not list(claims(together))[-1].holds


def test_closed_forms_solve_the_equations_of_second_moments():
    """d = X - Y, y = mean Y - w* of the linear equations: E y^2, E dy, E d^2 by their ODEs.

    At rest d^2 is the coupling, 1e-8; the variance of the mean by its own equation at all times.
    """
    given = problems.parameters_of(LINE)
    a, lam, temperature, var = (given[key] for key in ("a", "lam", "temperature", "var"))
    kappa, m = a + lam, 10

    def right(t, z):
        yy, dy, dd, mean = z
        return [
            -2.0 * lam * yy + 2.0 * temperature / m,
            -(kappa + lam) * dy - a * yy,
            -2.0 * kappa * dd - 2.0 * a * dy,
            -2.0 * kappa * mean + 2.0 * temperature / m,
        ]

    times = [0.5, 1.0, 40.0]
    found = solve_ivp(right, (0, 40), [temperature / (lam * m), 0, 0, var / m], t_eval=times, rtol=1e-11, atol=1e-13).y
    cell = Entry({"problem": LINE, "particles": m}, {"times": times})
    assert known(cell, "coupling")[0] == pytest.approx(found[2, -1], rel=1e-8)
    np.testing.assert_allclose(known(cell, "fluctuation"), found[3], rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("problem", [LINE, CIRCLE])
def test_a_cell_is_measured(problem, monkeypatch):
    """Fewer runs: all numbers are finite and above 0, and on the line within 4 standard errors of what is known."""
    monkeypatch.setattr(chaos, "PARTICLES", 4000)
    monkeypatch.setattr(chaos, "STEP", 0.1)
    monkeypatch.setattr(chaos, "WATCHED", 8)
    found = Entry({"problem": problem, "particles": 10}, measure(problem, 10))
    for name in ("fluctuation", "distance", "coupling"):
        values, error = np.array(found[name]), np.array(found[f"{name}_error"])
        assert np.all(np.isfinite(values)) and np.all(values > 0.0) and np.all(error > 0.0)
        if (exact := known(found, name)) is not None:
            assert np.all(np.abs(values[-len(exact) :] - exact) < 4.0 * error[-len(exact) :])
