"""Stochastic gradient descent: unbiased, its moments in closed form, its distance to the flow and to its Ito equation.

A linear neuron w x, one input x ~ N(0, 1), y = c x + s z, z ~ N(0, 1), batches of b: every particle moves by the same
(dt/b) sum (wbar x_i - y_i) x_i, and u = wbar - c has closed moments:

    descent    E u -> (1 - dt) E u               E u^2 -> ((1 - dt)^2 + 2 dt^2/b) E u^2 + dt^2 s^2/b
    equation   E u = u_0 e^{-t}                  (E u^2)' = -2 E u^2 + dt (2 E u^2 + s^2)/b
    second     E u = u_0 e^{-(1 + dt/2) t}       (E u^2)' = -(2 + dt) E u^2 + dt (2 E u^2 + s^2)/b
    flow       u = u_0 e^{-t}
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from solvers.particles import GradientDescent, GradientFlow
from solvers.stochastic import Epochs, Fresh, ModifiedEquation, OnePass, Replaced, Sampled, StochasticGradient
from wflow import Atoms, Data, Flow, Gaussian, Potential, Refused, RidgeNeuron, Risk, activation, problems, solve, w2
from wflow.app.config import read
from wflow.app.settings import UsageError
from wflow.convergence import Laboratory
from wflow.data import circle_inputs, gaussian_inputs, gaussian_plane_inputs, uniform_inputs
from wflow.energy import Energy
from wflow.estimates import estimated_error
from wflow.size_slopes import slope_of
from wflow.solver import State

SLOPE, NOISE = 0.7, 0.5


@dataclass(frozen=True)
class Given(Replaced):
    """Those rows, at every step."""

    rows: tuple[int, ...] = (0,)

    def batch(self, data, size, seed, step):
        """Whatever the seed."""
        return Data(data.inputs[list(self.rows)], data.targets[list(self.rows)])


def curved(ridge=0.0, rows=12, horizon=2.0):
    """Five neurons a tanh(w x) on twelve rows of sin 2x with noise; a ridge that a batch sees whole."""
    rng = np.random.default_rng(0)
    x = np.linspace(-2.0, 2.0, rows)[:, None]
    neuron = RidgeNeuron(activation("tanh"), outer=True)
    data = Data(x, np.sin(2.0 * x[:, 0]) + 0.5 * rng.standard_normal(rows))
    start = Atoms(neuron.domain, np.random.default_rng(1).standard_normal((5, 2)))
    return Flow(Energy(Risk(neuron, data), Potential.quadratic(ridge)), neuron.domain, start, horizon)


def linear(particles=(0.2, 2.2)):
    """x and z by three Gauss-Hermite nodes each: their fourth moments are exact."""
    rule = gaussian_inputs(2, 3)
    x, z = rule.inputs.T
    data = Data(x[:, None], SLOPE * x + NOISE * z, rule.weights)
    neuron = RidgeNeuron(activation("linear"))
    return Flow(Energy(Risk(neuron, data)), neuron.domain, Atoms(neuron.domain, np.array(particles)[:, None]), 1.0)


def stepped(flow, solver, dt, state=None):
    """The points after one step."""
    return solver.step(flow, solver.init(flow) if state is None else state, dt).state.measure.points


def test_the_mean_step_over_all_rows_is_a_step_of_gradient_descent():
    """E over one row of the step, by their weights, to rounding; the ridge enters each step whole."""
    for flow in (curved(0.3), linear()):
        data = flow.energy.risk.data
        steps = [stepped(flow, StochasticGradient(5, rows=Given((i,))), 0.1) for i in range(len(data))]
        mean = np.tensordot(data.weights, steps, axes=1)
        np.testing.assert_allclose(mean, stepped(flow, GradientDescent(5), 0.1), rtol=0.0, atol=1e-14)


def test_the_whole_data_in_one_batch_are_gradient_descent():
    """An epoch's batch of all rows has no noise left."""
    flow = curved(0.3)
    steps = [stepped(flow, s, 0.1) for s in (StochasticGradient(5, batch=12, rows=Epochs()), GradientDescent(5))]
    np.testing.assert_allclose(*steps, rtol=0.0, atol=1e-14)


def after_descent(dt, b, u, square):
    """(E u, E u^2) after a step, from theirs before."""
    return (1.0 - dt) * u, ((1.0 - dt) ** 2 + 2.0 * dt**2 / b) * square + dt**2 * NOISE**2 / b


@pytest.mark.parametrize("b", [1, 2])
def test_a_step_has_the_moments_of_the_recursion(b):
    """Over all batches of b rows, by their chances, to rounding."""
    flow, dt = linear(), 0.2
    p = flow.energy.risk.data.weights
    u = np.mean(flow.initial.points) - SLOPE
    first = second = 0.0
    for rows in np.ndindex(*(len(p),) * b):
        found = stepped(flow, StochasticGradient(2, batch=b, rows=Given(rows)), dt).mean() - SLOPE
        chance = math.prod(p[i] for i in rows)
        first, second = first + chance * found, second + chance * found**2
    assert (first, second) == pytest.approx(after_descent(dt, b, u, u * u), rel=1e-12)


def moments(kind, dt, b=2, u=0.6, t=1.0):
    """(E u, Var u) at t, by the recursion or the closed solution of its equation y' = -rate y + source."""
    mean, square = u, u * u
    if kind == "descent":
        for _ in range(round(t / dt)):
            mean, square = after_descent(dt, b, mean, square)
        return mean, square - mean**2
    extra = {"flow": 0.0, "equation": 0.0, "second": dt}[kind]
    noise = 0.0 if kind == "flow" else dt / b
    rate, source = 2.0 + extra - 2.0 * noise, noise * NOISE**2
    square = source / rate + (square - source / rate) * math.exp(-rate * t)
    mean = u * math.exp(-(1.0 + 0.5 * extra) * t)
    return mean, square - mean**2


@pytest.mark.parametrize(
    ("kind", "orders"), [("flow", (1, 1)), ("equation", (1, 2)), ("second", (2, 2))], ids=lambda x: str(x)
)
def test_weak_orders_without_noise(kind, orders):
    """|E u - E u_descent| and |Var - Var_descent| at t = 1 for dt = 2^-4 .. 2^-8: slopes on the finest three, +-.1.

    The flow has no variance: it misses O(dt). The equation has it to O(dt^2), and only its mean is O(dt) off, as the
    flow's is; the drift of second order mends that.
    """
    steps = 0.5 ** np.arange(4, 9)
    errors = np.array([np.subtract(moments(kind, dt), moments("descent", dt)) for dt in steps])
    slopes = np.log2(np.abs(errors[:-1] / errors[1:]))[-2:].mean(axis=0)
    np.testing.assert_allclose(slopes, orders, rtol=0.0, atol=0.1)


@pytest.mark.parametrize("second", [False, True])
def test_a_step_of_the_equation_has_its_moments(second):
    """400 seeds of one step of .05 at length .4, b = 2: mean and variance within four standard errors.

    The mean is Heun's of the drift; the variance dt length (2 u^2 + s^2)/b (1 - dt/2 rate)^2 + higher order: 2 % off.
    """
    flow, dt, length = linear(), 0.05, 0.4
    solver = ModifiedEquation(2, batch=2, length=length, second=second)
    u = np.mean(flow.initial.points) - SLOPE
    ends = np.array([stepped(flow, replace(solver, seed=k), dt).mean() - SLOPE for k in range(400)])
    rate = 1.0 + 0.5 * length * second
    variance = dt * length * (2.0 * u * u + NOISE**2) / 2.0 * (1.0 - 0.5 * dt * rate) ** 2
    mean = u * (1.0 - dt * rate + 0.5 * (dt * rate) ** 2)
    assert abs(ends.mean() - mean) <= 4.0 * math.sqrt(variance / 400)
    assert abs(ends.var() / variance - 1.0) <= 0.02 + 4.0 * math.sqrt(2.0 / 400)


@pytest.mark.slow
@pytest.mark.parametrize(("second", "order"), [(False, 1.0), (True, 2.0)])
def test_without_noise_the_equation_follows_the_descent(second, order):
    """One row, no covariance: descent of step h against the equation of length h, solved finely, at t = 2: h or h^2.

    Slope from h = 1/8 to 1/16 within .15. The second order takes the coupling and the Hessian of all particles.
    """
    flow = curved(0.2, rows=1)
    errors = []
    for n in (16, 32):
        down = solve(flow, GradientDescent(5), steps=n).final.points
        along = solve(flow, ModifiedEquation(5, length=2.0 / n, second=second), steps=4 * n).final.points
        errors.append(np.linalg.norm(down - along))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


LAWS = {
    "circle": circle_inputs(16),
    "gaussian": gaussian_inputs(2, 4),
    "polar": gaussian_plane_inputs(4, 8),
    "box": uniform_inputs([-1.0, 0.0], [2.0, 1.0], 3),
}


@pytest.mark.parametrize("name", LAWS)
def test_fresh_data_are_of_the_law_of_the_quadrature(name):
    """Means of x, y = x_1 x_2 and their squares over 4000 draws, four standard errors; labels are the target's."""
    data = LAWS[name].with_targets(lambda x: x[:, 0] * x[:, 1])
    drawn = Fresh().batch(data, 4000, 3, 7)
    for f in (lambda d: d.inputs[:, 0], lambda d: d.inputs[:, 0] ** 2, lambda d: d.targets, lambda d: d.targets**2):
        error = f(drawn).std() / math.sqrt(4000)
        assert abs(f(drawn).mean() - data.weights @ f(data)) <= 4.0 * error
    np.testing.assert_array_equal(drawn.targets, drawn.inputs[:, 0] * drawn.inputs[:, 1])
    assert np.any(drawn.inputs != Fresh().batch(data, 4000, 3, 8).inputs)


def test_rows_are_replaced_by_their_weights():
    """Shares of three rows of weights .2, .3, .5 among 4000 draws, four standard errors."""
    data = Data(np.arange(3.0)[:, None], np.zeros(3), np.array([0.2, 0.3, 0.5]))
    seen = Replaced().batch(data, 4000, 1, 2).inputs[:, 0]
    for row, p in enumerate(data.weights):
        assert abs(np.mean(seen == row) - p) <= 4.0 * math.sqrt(p * (1.0 - p) / 4000)


def test_an_epoch_sees_every_row_once():
    """Seven rows by batches of three: 21 consecutive rows are three epochs, each in another order."""
    data = Data(np.arange(7.0)[:, None], np.zeros(7))
    seen = np.concatenate([Epochs().batch(data, 3, 5, k).inputs[:, 0] for k in range(7)]).reshape(3, 7)
    assert [sorted(epoch) for epoch in seen.tolist()] == [list(range(7))] * 3
    assert len({tuple(epoch) for epoch in seen.tolist()}) == 3


def test_one_pass_ends_with_its_rows():
    """Twelve rows, six steps of two; a seventh is refused."""
    solver = StochasticGradient(5, batch=2, rows=OnePass())
    solve(curved(), solver, steps=6)
    with pytest.raises(Refused, match="12 rows are used up after 6 steps of 2"):
        solve(curved(), solver, steps=7)


def test_what_cannot_be_drawn_is_refused():
    """Weighted rows by epochs, fresh data of no law, closed kernels, kinks at second order; what is no way to draw."""
    assert "use Replaced()" in StochasticGradient(5, rows=Epochs()).refusal(linear())
    assert "Data.law" in StochasticGradient(5, rows=Fresh()).refusal(linear())
    assert "not by a kernel" in StochasticGradient(5).refusal(problems.circle_teacher().flow)
    kinked = problems.two_layer_1d(activation="relu").flow
    assert "second=False" in ModifiedEquation(5, second=True).refusal(kinked)
    with pytest.raises(TypeError, match=r"rows: 'epochs' is no way to draw; give Replaced"):
        StochasticGradient(5, rows="epochs")
    with pytest.raises(ValueError, match="length"):
        ModifiedEquation(5, length=0.0)
    with pytest.raises(ValueError, match="batch"):
        StochasticGradient(5, batch=0)


@pytest.mark.parametrize("rows", [Fresh(), Replaced()], ids=str)
def test_draws_depend_on_seed_and_step_alone(rows):
    """The same step from a copy of the state, another one at another count or seed."""
    flow, solver = problems.two_layer_1d().flow, StochasticGradient(5, batch=2, rows=rows)
    state = solver.init(flow)
    once = stepped(flow, solver, 0.1, state)
    np.testing.assert_array_equal(once, stepped(flow, solver, 0.1, State(3.0, state.measure, 0)))
    for other in (State(0.0, state.measure, 1), state):
        again = stepped(flow, replace(solver, seed=int(other is state)), 0.1, other)
        assert np.any(again != once)


@pytest.mark.slow
def test_distance_to_the_flow_is_of_order_one_half():
    """RMS W2 of two_layer_1d, m = 50 draws, b = 4, to GradientFlow at t = 2: 48 seeds, dt = 2/20, 2/80, 2/320.

    Slope of the log within three of its standard errors of 1/2, and the standard error below .06.
    """

    flow = problems.two_layer_1d().flow
    limit = solve(flow, GradientFlow(50, Sampled(1)), steps=100).final
    counts = (20, 80, 320)
    squares = [
        np.array(
            [
                w2(solve(flow, StochasticGradient(50, 4, seed, Sampled(1), Fresh()), steps=n).final, limit) ** 2
                for seed in range(48)
            ]
        )
        for n in counts
    ]
    slope, deviation = slope_of(-np.log(counts), squares)
    print(f"slope {slope:.3f} +- {deviation:.3f}, RMS {[float(np.sqrt(s.mean())) for s in squares]}")
    assert deviation <= 0.06
    assert abs(slope - 0.5) <= 3.0 * deviation


def mean_risk(flow, solver, steps, runs):
    """E F at the horizon and its standard error."""
    values = []
    for seed in range(runs):
        one = replace(solver, seed=seed)
        state = one.init(flow)
        for _ in range(steps):
            state = one.step(flow, state, flow.horizon / steps).state
        values.append(flow.energy.value(state.measure))
    return float(np.mean(values)), float(np.std(values) / math.sqrt(runs))


@pytest.mark.slow
def test_a_curved_network_follows_its_equation_and_not_the_flow():
    """Five neurons a tanh(w x), dt = .2, b = 1, t = 2: E F of 4000 descents, of 1000 solutions of the equation.

    The equation is within three standard errors, the flow more than twenty off.
    """
    flow, dt = curved(), 0.2
    down, s = mean_risk(flow, StochasticGradient(5), 10, 4000)
    along, t = mean_risk(flow, ModifiedEquation(5, length=dt), 40, 1000)
    limit = flow.energy.value(solve(flow, GradientFlow(5), steps=100).final)
    print(f"descent {down:.5f} +- {s:.5f}, equation {along:.5f} +- {t:.5f}, flow {limit:.5f}")
    assert abs(down - along) <= 3.0 * math.hypot(s, t)
    assert abs(down - limit) >= 20.0 * s


@pytest.mark.slow
def test_the_estimated_error_covers_other_seeds():
    """Of isotropic_gaussians at infinity, whose one atom has an exact way: twelve seeds, each within the estimate, and
    their RMS at least a tenth of it."""
    problem = problems.build("isotropic_gaussians_limit")
    lab = Laboratory(problem.flow)
    runs = [lab.run(StochasticGradient(1, seed=k), 64) for k in range(12)]
    exact = problem.exact(problem.flow.horizon)
    apart = np.array([w2(run.final, exact) for run in runs])
    allowed = estimated_error(lab, runs[0])
    assert np.all(apart <= allowed) and math.sqrt(np.mean(apart**2)) >= 0.1 * allowed


def test_a_start_by_draws_and_walls():
    """Sampled starts are those of GradientFlow; a Gaussian law needs no quantiles then."""
    flow = replace(curved(), initial=Gaussian(0.0, 1.0, dim=2))
    ours, theirs = (
        s.init(flow).measure.points for s in (StochasticGradient(9, start=Sampled(4)), GradientFlow(9, Sampled(4)))
    )
    np.testing.assert_array_equal(ours, theirs)


def test_a_config_says_how_rows_are_drawn(tmp_path):
    """rows by name, the seed the method's own, shared with a sampled start; a wrong name is answered."""
    file = tmp_path / "one.toml"
    text = (
        '[problem]\nname = "two_layer_1d"\n[solver]\nname = "StochasticGradient"\nseed = 7\nstart = "sampled"\nrows = '
    )
    file.write_text(f'{text}"fresh"\n')
    (found,) = read(file).solvers.values()
    assert found == StochasticGradient(100, seed=7, start=Sampled(7), rows=Fresh())
    file.write_text(f'{text}"frsh"\n')
    with pytest.raises(UsageError, match=r"frsh.*fresh"):
        read(file)
