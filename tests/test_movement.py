"""What a minimising movement of quantile edges minimises: its derivatives, and Newton's directions."""

import math

import numpy as np
import pytest
from scipy.linalg import LinAlgError

from solvers.jko._movement import Movement
from solvers.jko._newton import _direction, minimise
from wflow import Energy, Flow, Gaussian, Potential, Power, Quantiles, Uniform, circle, interval, line, problems
from wflow.internal import Entropy

TEACHER = problems.circle_teacher(b=2.0).flow
WELL = Potential.quadratic(1.3, 0.2)
DOUBLE = Potential(
    lambda w, j: ((w[:, 0] ** 2 - 1) ** 2 / 4, w**3 - w, (3 * w**2 - 1)[:, :, None])[j], "double well", convex=False
)


def on_the_circle(*internal):
    """The teacher's risk with internal terms."""
    return Flow(Energy(*TEACHER.energy.terms, *internal), circle(), TEACHER.initial, 1.0)


FLOWS = {
    "risk": on_the_circle(),
    "risk, entropy": on_the_circle(Entropy(0.1)),
    "risk, power": on_the_circle(Power(2.5, 0.3)),
    "well, entropy and power": Flow(Energy(WELL, Entropy(0.7), Power(3.0, 0.2)), line(), Gaussian(), 1.0),
    "double well, entropy": Flow(Energy(DOUBLE, Entropy(0.1)), line(), Gaussian(), 1.0),
    "interval, power": Flow(Energy(WELL, Power(1.5)), interval(-2, 2), Uniform(interval(-2, 2)), 1.0),
}
CASES = pytest.mark.parametrize("case", FLOWS)


def posed(case, tau=0.4, m=12):
    """A movement with its anchor and a measure that is not its minimiser, neither symmetric."""
    flow, rng = FLOWS[case], np.random.default_rng(7)
    edges = -1.5 + np.cumsum(rng.uniform(0.1, 0.35, m if flow.domain.is_circle else m + 1))
    anchor = edges + rng.normal(0.0, 0.3, len(edges))
    return Movement(flow, anchor, tau), Quantiles(flow.domain, edges)


def derivative(function, x, step):
    """Central differences along each coordinate, one row each."""
    return np.array([(function(x + step * e) - function(x - step * e)) / (2 * step) for e in np.eye(len(x))])


def dense(hessian, n):
    """A + U C U^T."""
    return np.linalg.inv(hessian.tridiagonal.solve(np.eye(n))) + (hessian.wide * hessian.core) @ hessian.wide.T


@CASES
def test_the_gradient_is_that_of_the_objective(case):
    """Central differences of G, steps 1e-5: error 1e-10 of third derivatives near 1, rounding 1e-11."""
    movement, pi = posed(case)
    numeric = derivative(lambda x: movement.at(pi.moved(x)).objective, pi.edges, 1e-5)
    np.testing.assert_allclose(movement.at(pi).gradient, numeric, rtol=0.0, atol=1e-8)


@CASES
def test_the_hessian_is_that_of_the_objective(case):
    """Central differences of the gradient, at tau = 0.1 where the tridiagonal part is positive definite as it is."""
    movement, pi = posed(case, tau=0.1)
    here = movement.at(pi)
    numeric = derivative(lambda x: movement.at(pi.moved(x)).gradient, pi.edges, 1e-5)
    found = dense(movement.hessian(here), len(pi.edges))
    np.testing.assert_allclose(found, numeric, rtol=0.0, atol=1e-6 * np.max(np.abs(numeric)))


@CASES
@pytest.mark.parametrize("share", [1e-2, 1e-6, 1e-12])
def test_conjugate_gradients_solve_newtons_system(case, share):
    """|g + H d| in the norm of A^-1 is at most the share of |g| asked for (0.1 dt: H positive definite)."""
    movement, pi = posed(case, tau=0.1)
    here = movement.at(pi)
    hessian = movement.hessian(here)
    d = _direction(hessian, here.gradient, share)
    left = here.gradient + dense(hessian, len(d)) @ d
    size = [math.sqrt(r @ hessian.tridiagonal.solve(r)) for r in (left, here.gradient)]
    assert size[0] <= max(share, 1e-11) * size[1] * 1.001


@pytest.mark.parametrize("weight", [5.0, 10.0, 40.0])
def test_an_indefinite_hessian_still_gives_a_direction_of_descent(weight):
    """The coupling turned round against 1/tau = 1: conjugate gradients stop at negative curvature, and descend."""
    movement, pi = posed("risk", tau=1.0)
    here = movement.at(pi)
    hessian = movement.hessian(here)
    turned = type(hessian)(hessian.tridiagonal, hessian.wide, -weight * hessian.core)
    with pytest.raises(LinAlgError):
        np.linalg.cholesky(dense(turned, len(pi.edges)))
    assert here.gradient @ _direction(turned, here.gradient, 1e-8) < 0.0


@pytest.mark.parametrize("tau", [1.0, 10.0, 1000.0])
def test_a_step_across_a_concave_part_converges(tau):
    """Double well: where 1 + tau V'' < 0 entropy may keep the tridiagonal part positive; Newton stays quadratic.

    At most sixty iterations to the tolerance; with the negative V'' always left out it needs hundreds.
    """
    flow = FLOWS["double well, entropy"]
    start = Quantiles(line(), Gaussian(0.1, 0.5).quantile(np.linspace(0.001, 0.999, 101)))
    found = minimise(Movement(flow, start.edges, tau), start, 1e-9, 60)
    assert found.residual < 1e-9


def test_every_iterate_is_lower_and_increasing():
    """From a far guess: the objective never rises and no gap closes, one iteration at a time."""
    movement, pi = posed("risk, entropy", tau=50.0)
    objectives = []
    for _ in range(12):
        objectives.append(movement.at(pi).objective)
        pi = minimise(movement, pi, 1e-9, 1).pi
        assert pi.gaps.min() > 0.0
    assert np.max(np.diff(objectives)) <= 1e-14


@pytest.mark.parametrize("side", [0, 1])
def test_an_end_driven_into_its_wall_stays_there(side):
    """Anchors beyond the wall: the end is on it to the bit, held by the wall's force; the others are stationary."""
    flow = Flow(Energy(Entropy(0.2)), interval(0, 1), Uniform(interval(0, 1)), 1.0)
    start = Quantiles(interval(0, 1), np.linspace(0.1, 0.9, 21))
    anchor = start.edges + (0.6 if side else -0.6)
    found = minimise(Movement(flow, anchor, 0.05), start, 1e-9, 100)
    assert found.residual < 1e-9
    assert found.pi.edges[-side] == float(side)
    assert not found.free[-side] and found.free[1:-1].all()
