"""Orders of errors whose size scatters: fitted to many numbers of steps (wflow.scattered)."""

import numpy as np
import pytest

from solvers.particles import DormandPrince, GradientFlow
from wflow import problems
from wflow.app.observed import fitted_certificate
from wflow.convergence import Laboratory
from wflow.scattered import Fitted, fitted_identity, fitted_in_time

LEVELS = tuple(round(20 * 2.0 ** (j / 8)) for j in range(33))


def scattered(order: float, seed: int) -> Fitted:
    """Errors n^-order |g|, g normal: of any size, and near 0 at times."""
    size = np.abs(np.random.default_rng(seed).standard_normal(len(LEVELS)))
    return Fitted(LEVELS, tuple(np.array(LEVELS, dtype=float) ** -order * size), "W2")


def test_errors_without_scatter_give_their_order() -> None:
    found = Fitted(LEVELS, tuple(3.0 * np.array(LEVELS) ** -2.5), "W2")
    assert found.order == pytest.approx(2.5, abs=1e-12) and found.deviation < 1e-12
    assert "W2, fitted to 33 numbers of steps 20..320" in str(found)


def test_the_deviation_is_that_of_the_fits() -> None:
    """400 draws: mean of the orders within three deviations of a mean; their spread that stated, to a sixth."""
    found = [scattered(2.0, seed) for seed in range(400)]
    orders = np.array([f.order for f in found])
    assert abs(orders.mean() - 2.0) < 3.0 * orders.std() / 20.0
    assert np.sqrt(np.mean([f.deviation**2 for f in found])) == pytest.approx(orders.std(), rel=1.0 / 6.0)


def test_a_certificate_holds_of_the_order_and_not_of_one_less() -> None:
    """100 draws, asked for 2: of 2 at least 93 hold (two deviations, .22 each, and .15); of 1 at most 6."""
    held = [sum(fitted_certificate("", scattered(p, seed), 2.0).holds for seed in range(100)) for p in (2.0, 1.0)]
    assert held[0] >= 93 and held[1] <= 6


def test_no_more_than_six_tenths_are_allowed_for_scatter() -> None:
    errors = np.array(LEVELS) ** -1.0 * np.where(np.arange(33) % 2, 1e-8, 1.0)
    found = Fitted(LEVELS, tuple(errors), "W2")
    assert found.deviation > 1.0 and fitted_certificate("", found, 2.0).tolerance == 0.75


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "method"),
    [(3, DormandPrince(50)), (4, GradientFlow(50)), (5, DormandPrince(50)), (6, GradientFlow(50))],
    ids=["3", "4", "5", "6"],
)
def test_bends_of_a_power_p_leave_order_p_in_time(d: int, method: GradientFlow) -> None:
    """isotropic_gaussians: p = (d + 1)/2, which no smooth V would show of orders 4 and 5.

    Three standard errors and .15 either way.
    """
    lab = Laboratory(problems.isotropic_gaussians(d=d).flow)
    found = fitted_in_time(lab, method, lab.enough(method, 20).steps)
    assert found.deviation < 0.2 and found.order == pytest.approx(0.5 * (d + 1), abs=0.15 + 3.0 * found.deviation)
    print(f"d = {d}: {found.order:.2f}, standard error {found.deviation:.2f}")
    balance = fitted_identity(lab, method, found.levels[0])
    assert balance.order > 0.5 * (d + 1) - 0.15 - 3.0 * balance.deviation
