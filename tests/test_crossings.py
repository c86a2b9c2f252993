"""What an energy identity owes to places where V'' jumps (wflow.crossings).

F_0 - F - dissipated = sum over crossings dt^2 q K(theta) + O(dt^3): a radial network in d = 3, whose activation has
straight pieces before it is averaged over directions, meets such places at knots over its inputs.
"""

import numpy as np
import pytest

from solvers.particles import DormandPrince, GradientFlow
from wflow import problems, solve
from wflow.activation import activation
from wflow.app.orders import Orders, _owed, _Steps
from wflow.convergence import Laboratory
from wflow.crossings import Owed, peano, traced
from wflow.data import Data
from wflow.domain import circle
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.neuron import CircleNeuron
from wflow.terms import Risk
from wflow.trajectory import Trajectory

METHODS = [GradientFlow(particles=6), DormandPrince(particles=6)]
COUNTS = (40, 53, 71)


def one_atom(**given: float) -> Flow:
    return problems.isotropic_gaussians(d=3, start="infinity", **given).flow  # type: ignore[arg-type]


def of(flow: Flow, solver: GradientFlow | DormandPrince, steps: int) -> Owed:
    return _owed(Laboratory(flow), solver, steps)


@pytest.mark.parametrize("method", METHODS, ids=["GradientFlow", "DormandPrince"])
def test_the_kernel_is_that_of_a_rule_exact_for_straight_lines(method: GradientFlow) -> None:
    """K and its first moment vanish: both rules are exact for s^2 and s^3, whose second derivatives are 2 and 6 s."""
    s, w = np.polynomial.legendre.leggauss(600)
    theta = 0.5 * (1.0 + s)
    k = peano(theta, *method.quadrature)
    assert abs(w @ k) < 1e-6
    assert abs(w @ (theta * k)) < 1e-6
    if isinstance(method, GradientFlow):
        assert peano(np.array([0.5]), *method.quadrature) == pytest.approx(1.0 / 24.0)


@pytest.mark.parametrize("method", METHODS, ids=["GradientFlow", "DormandPrince"])
def test_one_atom_owes_what_its_crossings_tell(method: GradientFlow) -> None:
    """Nine crossings; what is left is allowed to them at every number of steps, and is far below the residual."""
    flow = one_atom()
    found = [of(flow, method, n) for n in COUNTS]
    assert all(o.count == 9 for o in found)
    assert all(o.left <= o.allowed for o in found)
    assert sum(o.left for o in found) < 0.2 * sum(abs(o.share) for o in found)
    assert all(abs(o.share) <= o.bound for o in found)


def test_a_kernel_of_the_other_sign_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wflow.crossings.peano", lambda *given: -peano(*given))
    found = [of(one_atom(), METHODS[0], n) for n in COUNTS]
    assert any(o.left > o.allowed for o in found)


def row(flow: Flow, solver: GradientFlow, first: int) -> object:
    run = solve(flow, solver, steps=first)
    orders = Orders(Laboratory(flow), problems.isotropic_gaussians(d=3), run, quick=True)
    return orders._of_crossings(_Steps(solver, first, 3))


@pytest.mark.parametrize("broken", ["", "stages", "weights"])
def test_the_row_sees_a_broken_scheme(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the last stage left out, or weights of the trapezoidal rule (both of order 2), the row is red."""

    def without_the_last(velocity, w, k1, dt):  # type: ignore[no-untyped-def]
        return w + dt * velocity(w + 0.45 * dt * k1)

    if broken == "stages":
        monkeypatch.setattr("solvers.particles._runge_kutta", without_the_last)
    step = GradientFlow.step
    if broken == "weights":

        def trapezoidal(self, flow, state, dt):  # type: ignore[no-untyped-def]
            done = step(self, flow, state, dt)
            pi = state.measure
            v, w = state.memory.get("velocity"), done.state.memory["velocity"]
            first = flow.energy.velocity(pi, pi.points) if v is None else v
            spent = 0.5 * dt * sum(float(pi.weights @ np.sum(u * u, axis=1)) for u in (first, w))
            return type(done)(done.state, dissipated=spent)

        monkeypatch.setattr(GradientFlow, "step", trapezoidal)
    seen = row(one_atom(), GradientFlow(particles=6), 40)
    assert seen is not None
    assert seen.holds == (not broken)  # type: ignore[attr-defined]


def test_many_atoms_hold_and_no_crossing_gives_no_row() -> None:
    assert row(problems.isotropic_gaussians(d=3, horizon=0.2).flow, GradientFlow(particles=20), 20).holds  # type: ignore[attr-defined]
    assert row(one_atom(horizon=1e-4), GradientFlow(particles=20), 8) is None


def test_neurons_on_the_circle_cross_too() -> None:
    """elu on the circle: sigma'' jumps at 0, where w . x does."""
    rng = np.random.default_rng([4, 1])
    x = rng.standard_normal((5, 2))
    energy = Energy(Risk(CircleNeuron(activation("elu")), Data(x, rng.standard_normal(5))))
    flow = Flow(energy, circle(), Atoms(circle(), np.linspace(0.1, 6.0, 12)[:, None]), 3.0)
    assert traced(energy)
    found = [of(flow, GradientFlow(particles=12), n) for n in COUNTS]
    assert found[0].count > 2
    assert all(o.left <= o.allowed for o in found)
    assert sum(o.left for o in found) < 0.2 * sum(abs(o.share) for o in found)


def test_steps_that_were_not_saved_are_named() -> None:
    from wflow.crossings import owed

    run: Trajectory = solve(one_atom(), METHODS[0], steps=100)
    with pytest.raises(ValueError, match="save every step"):
        owed(run, *METHODS[0].quadrature)
