"""Multilayer networks: their gradient in Hilbert space, the energy identity, and L = 2 as a flow of a measure.

With half masses (a derivative dF/dw_i of the table is G_i times the masses of its ends) and F of any loss:

    G_i = dF/dw_i / (p_{i-1} p_i)        dF/dt = - sum_i xi_i |G_i|^2        L = 2: f(x) = (1/m) sum_j a_j sigma(v_j.x)
"""

from itertools import pairwise

import numpy as np
import pytest

from solvers.deep import GradientDescent, GradientFlow, Proximal, StochasticGradient, raw_rates
from solvers.deep.newton import minimum
from solvers.particles import GradientDescent as ParticleDescent
from solvers.particles import GradientFlow as ParticleFlow
from wflow import Atoms, Data, Flow, RidgeNeuron, Risk, activation, deep
from wflow import solve as solve_measure
from wflow.activation import ONE_PARAMETER, PARAMETERLESS
from wflow.deep.network import replace_weights
from wflow.deep.pairs import Pairs
from wflow.deep.solver import DeepStep
from wflow.energy import Energy
from wflow.errors import EnergyRose, NotConverged, Refused
from wflow.loss import HalfSquare, Huber, Logistic
from wflow.schedules import Exponential

TANH = activation("tanh")
LOSSES = {
    "half_square": HalfSquare(),
    "tanh_square": deep.TanhSquare(),
    "cauchy": deep.Cauchy(),
    "huber": Huber(0.5),
    "logistic": Logistic(),
}


def data_of(rows=7, labels=False, seed=0):
    """Inputs (x, 1), weights of their own; targets sin pi x, or their signs."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-0.9, 1.0, rows)
    q = rng.uniform(0.5, 1.5, rows)
    y = np.sin(np.pi * x)
    return Data(np.stack([x, np.ones(rows)], axis=1), np.sign(y) if labels else y, q / q.sum())


def random_network(depth, widths, seed=1, sigma=TANH, output="linear", biased=True, table=True):
    """Random weights, masses and biases; a middle layer is a table, or a sum of three products."""
    rng = np.random.default_rng(seed)
    masses = [rng.uniform(0.2, 1.0, n) for n in widths]
    masses = [p / p.sum() for p in masses]
    pairs = [
        Pairs.full(rng.standard_normal(shape))
        if table
        else Pairs.products(rng.standard_normal((3, shape[0])), rng.standard_normal((3, shape[1])))
        for shape in pairwise(widths)
    ]
    biases = [rng.standard_normal(n) if biased and i % 2 == 0 else None for i, n in enumerate(widths)]
    return deep.Network(
        tuple(masses), rng.standard_normal((widths[0], 2)), tuple(pairs), rng.standard_normal(widths[-1]),
        (sigma,) * (depth - 1), activation(output), tuple(biases),
    )  # fmt: skip


WIDTHS = (4, 3, 5, 2, 3)


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_gradient_is_the_derivative_of_the_energy(depth, loss):
    """V1: every G_i against central differences of F, whose error is h^2 of a third derivative, 1e-10 here."""
    net = random_network(depth, WIDTHS[: depth - 1], output="tanh" if depth == 4 else "linear")
    data = data_of(labels=loss == "logistic")
    found = deep.gradient(net, data, LOSSES[loss])

    def difference(**pairs_of_ends):
        (name, ends), h = next(iter(pairs_of_ends.items())), 1e-5
        plus, minus = (deep.risk(replace_weights(net, **{name: end}), data, LOSSES[loss]) for end in ends(h))
        return (plus - minus) / (2.0 * h)

    p = net.masses
    for j in range(net.widths[0]):
        kick = np.zeros_like(net.first)
        kick[j, 1] = 1.0
        assert difference(first=lambda h, k=kick: (net.first + h * k, net.first - h * k)) == pytest.approx(
            p[0][j] * found.first[j, 1], abs=1e-8
        )
    for j in range(net.widths[-1]):
        kick = np.eye(net.widths[-1])[j]
        assert difference(last=lambda h, k=kick: (net.last + h * k, net.last - h * k)) == pytest.approx(
            p[-1][j] * found.last[j], abs=1e-8
        )
    for i, w in enumerate(net.middle):
        kick = np.zeros(w.shape)
        kick[-1, 1] = 1.0

        def ends(h, i=i, w=w, kick=kick):
            return [
                tuple(Pairs.full(w.values() + s * h * kick) if k == i else v for k, v in enumerate(net.middle))
                for s in (1.0, -1.0)
            ]

        assert difference(middle=ends) == pytest.approx(p[i][-1] * p[i + 1][1] * found.table(i)[-1, 1], abs=1e-8)
    for i, b in enumerate(net.biases):
        if b is not None:
            kick = np.eye(len(b))[0]

            def shifted(h, i=i, b=b, kick=kick):
                return [tuple(b + s * h * kick if k == i else v for k, v in enumerate(net.biases)) for s in (1.0, -1.0)]

            assert difference(biases=shifted) == pytest.approx(p[i][0] * found.biases[i][0], abs=1e-8)


@pytest.mark.parametrize("depth", [2, 3, 5, 6])
@pytest.mark.parametrize("loss", ["half_square", "tanh_square", "cauchy"])
def test_energy_identity(depth, loss):
    """V2: F_0 - F = int sum_i xi_i |G_i|^2 dt to 1e-6 of itself, random masses and rates (one of them falling)."""
    rng = np.random.default_rng(depth)
    net = random_network(depth, WIDTHS[: depth - 1], seed=depth + 3)
    rates = [Exponential(0.8, 0.3), *rng.uniform(0.3, 1.5, depth - 1)]
    flow = deep.DeepFlow(data_of(), net, 1.0, LOSSES[loss], rates)
    run = deep.solve(flow, GradientFlow(), dt=0.05)
    fallen = run.energies[0] - run.energies[-1]
    assert fallen > 1e-4
    assert abs(fallen - run.dissipated[-1]) < 1e-6 * fallen


@pytest.mark.parametrize("widths", [(3, 4), (30, 40)])
def test_squares_are_those_of_the_tables(widths):
    """|G_i|^2 = sum p p' G_i^2 + sum p (db_i)^2, by tables (fewer nodes than data) and by Gram matrices (more)."""
    net = random_network(3, widths)
    found = deep.gradient(net, data_of(), HalfSquare())
    p, q = net.masses
    by_hand = [
        p @ np.sum(found.first**2, axis=1) + p @ found.biases[0] ** 2, p @ found.table(0) ** 2 @ q, q @ found.last**2
    ]  # fmt: skip
    assert found.squares(net.masses) == pytest.approx(by_hand, rel=1e-12)


def two_layer(loss, sigma, m=9):
    """The same network as a measure and as two layers."""
    neuron = RidgeNeuron(sigma, inputs=2, outer=True)
    w = np.random.default_rng(5).standard_normal((m, 3))
    data = data_of()
    flow = Flow(Energy(Risk(neuron, data, loss)), neuron.domain, Atoms(neuron.domain, w), 2.0)
    net = deep.finite_network(w[:, 1:], (), w[:, 0], sigma)
    return flow, deep.DeepFlow(data, net, 2.0, loss)


@pytest.mark.parametrize("sigma", ["tanh", "softplus", "relu"])
@pytest.mark.parametrize(
    "methods", [(GradientFlow(), ParticleFlow(9)), (GradientDescent(), ParticleDescent(9))], ids=str
)
def test_two_layers_are_the_core_solver(sigma, methods):
    """L = 2 is the particle flow of the measure: the same weights and F to 1e-12."""
    flow, twin = two_layer(HalfSquare(), activation(sigma))
    theirs = solve_measure(flow, methods[1], dt=0.02)
    ours = deep.solve(twin, methods[0], dt=0.02)
    points = np.column_stack([ours.final.last, ours.final.first])
    assert np.abs(points - theirs.final.points).max() < 1e-12
    assert abs(ours.energies[-1] - theirs.energies[-1]) < 1e-12
    assert abs(ours.dissipated[-1] - theirs.dissipated[-1]) < 1e-7


@pytest.mark.parametrize("name", [*PARAMETERLESS, *ONE_PARAMETER])
def test_two_layers_of_every_kind_are_the_core_solver(name):
    """Every activation with every loss, one to three inputs, with a bias and without, weighted rows: 1e-12."""
    rng, x = np.random.default_rng(2), np.linspace(-0.9, 1.0, 5)
    for k, (label, loss) in enumerate(LOSSES.items()):
        p, biased = 1 + k % 3, bool(k % 2)
        y = np.sin(np.pi * x)
        q = rng.uniform(0.5, 1.5, 5)
        data = Data(
            np.stack([x, np.ones(5), x * x], axis=1)[:, :p], np.sign(y) if label == "logistic" else y, q / q.sum()
        )
        neuron = RidgeNeuron(activation(name), inputs=p, outer=True, bias=biased)
        w = rng.standard_normal((4, neuron.dim))
        flow = Flow(Energy(Risk(neuron, data, loss)), neuron.domain, Atoms(neuron.domain, w), 0.1)
        theirs = solve_measure(flow, ParticleFlow(4), dt=0.05)
        net = deep.finite_network(
            w[:, 1 : p + 1], (), w[:, 0], activation(name), biases=[w[:, -1]] if biased else ()
        )  # fmt: skip
        ours = deep.solve(deep.DeepFlow(data, net, 0.1, loss), GradientFlow(), dt=0.05)
        end = ours.final
        points = np.column_stack([end.last, end.first, *([end.biases[0]] if biased else [])])
        assert np.abs(points - theirs.final.points).max() < 1e-12
        assert np.abs(points - w).max() > 1e-4
        assert abs(ours.energies[-1] - theirs.energies[-1]) < 1e-12


def test_two_layers_by_samples_are_the_core_solver():
    """Descent by samples with the same seed sees the same rows: the same weights to 1e-12."""
    from solvers.stochastic import StochasticGradient as ParticleSamples

    flow, twin = two_layer(Huber(0.5), TANH)
    theirs = solve_measure(flow, ParticleSamples(9, batch=2, seed=4), dt=0.1).final.points
    ours = deep.solve(twin, StochasticGradient(batch=2, seed=4), dt=0.1).final
    assert np.abs(np.column_stack([ours.last, ours.first]) - theirs).max() < 1e-12


def test_order_of_runge_kutta():
    """Order 4 in the step with rates that fall, and 1 of descent, less .15: errors against a run of 128 steps."""
    rates = (Exponential(1.0, 1.0), 1.0, Exponential(2.0, 0.5), 1.0)
    flow = deep.DeepFlow(data_of(), random_network(4, (4, 3, 5)), 2.0, rates=rates)
    fine = deep.solve(flow, GradientFlow(), steps=128).final.first
    for method, order, least in ((GradientFlow(), 4.0, 2), (GradientDescent(), 1.0, 8)):
        errors = [np.abs(deep.solve(flow, method, steps=least * 2**k).final.first - fine).max() for k in range(4)]
        assert np.log2(errors[-2] / errors[-1]) > order - 0.15


def test_products_and_tables_agree():
    """A stage with products apart, a network of products alone, and one of tables: the same flow to rounding."""
    net = random_network(4, (40, 50, 30), table=False)
    whole = replace_weights(net, middle=tuple(Pairs.full(w.values()) for w in net.middle))
    runs = [
        deep.solve(deep.DeepFlow(data_of(), start, 0.5), GradientFlow(compression=kept), dt=0.1)
        for start, kept in ((net, deep.Compression(20, 1e-15)), (whole, None))
    ]
    assert runs[0].final.middle[0].table is None
    assert runs[0].final.middle[0].rank <= 3 + 28
    assert runs[0].diagnostics["discarded"][-1] < 1e-11
    assert runs[1].final.middle[0].rank == 0
    for a, b in zip(runs[0].final.middle, runs[1].final.middle, strict=True):
        assert np.abs(a.values() - b.values()).max() < 1e-12
    assert abs(runs[0].dissipated[-1] - runs[1].dissipated[-1]) < 1e-12


@pytest.mark.parametrize(
    "method", [GradientFlow, GradientDescent, StochasticGradient], ids=lambda method: method.__name__
)
def test_recompression_on_every_explicit_method(method):
    """Products recompressed every step or two and tables: one run, a limit of one law or many, biases or none."""
    latent = random_network(4, (40, 50, 30), table=False)
    limit = deep.Independent(
        [deep.Interval(0.0, 2.0), deep.Interval(-1.0, 1.0)],
        [deep.Interval(0.0, 1.0)] * 2,
        deep.Interval(0.0, 2.0),
        TANH,
    ).network(deep.Tensor((6, 1, 20)))
    for start in (latent, limit):
        flow = deep.DeepFlow(data_of(), start, 0.5, rates=(1.0, Exponential(1.0, 1.0), 0.5, 2.0))
        kept, whole = (
            deep.solve(flow, method(compression=c), dt=0.1).final for c in (deep.Compression(9, 1e-15), None)
        )
        assert kept.middle[0].table is None
        assert kept.middle[1].rank <= 32
        assert whole.middle[0].rank == 0
        assert np.abs(kept.predict(flow.data.inputs) - whole.predict(flow.data.inputs)).max() < 1e-12
        for a, b in zip(kept.middle, whole.middle, strict=True):
            assert np.abs(a.values() - b.values()).max() < 1e-11


def test_descent_is_descent_on_raw_derivatives():
    """On widths n_i a step is eps n_{i-1} n_i times the raw derivative of the finite network."""
    n = (6, 8, 5)
    assert raw_rates(n).tolist() == [6.0, 48.0, 40.0, 5.0]
    rng = np.random.default_rng(0)
    net = deep.finite_network(
        rng.standard_normal((6, 2)), [rng.standard_normal((6, 8)), rng.standard_normal((8, 5))],
        rng.standard_normal(5), TANH,
    )  # fmt: skip
    data, h, eps = data_of(), 1e-5, 0.1
    kick = np.zeros((8, 5))
    kick[2, 3] = h
    ends = [
        replace_weights(net, middle=(net.middle[0], Pairs.full(net.middle[1].values() + s * kick))) for s in (1, -1)
    ]
    raw = (deep.risk(ends[0], data, HalfSquare()) - deep.risk(ends[1], data, HalfSquare())) / (2 * h)
    after = deep.solve(deep.DeepFlow(data, net, eps), GradientDescent(), steps=1).final
    change = after.middle[1].values()[2, 3] - net.middle[1].values()[2, 3]
    assert change == pytest.approx(-eps * 40.0 * raw, abs=1e-8)


def test_passive_nodes_do_not_act():
    """Nodes of mass 0 leave the others' flow as it is, and move as their own copies of mass above 0 do."""
    net = random_network(3, (4, 3), biased=False)
    passive = deep.Network(
        (np.append(net.masses[0], 0.0), np.append(net.masses[1], 0.0)),
        np.vstack([net.first, net.first[1]]),
        (Pairs.full(np.pad(net.middle[0].values(), ((0, 1), (0, 1)), mode="edge")),),
        np.append(net.last, net.last[2]), net.activations,
    )  # fmt: skip
    table = passive.middle[0].values().copy()
    table[4], table[:, 3] = table[1], table[:, 2]
    passive = replace_weights(passive, middle=(Pairs.full(table),))
    a, b = (deep.solve(deep.DeepFlow(data_of(), start, 1.0), GradientFlow(), dt=0.1).final for start in (net, passive))
    assert np.abs(b.first[:4] - a.first).max() < 1e-14
    assert np.abs(b.first[4] - a.first[1]).max() < 1e-14
    assert abs(b.last[3] - a.last[2]) < 1e-14
    assert np.abs(b.middle[0].values()[4, :3] - a.middle[0].values()[1]).max() < 1e-14


def test_frozen_layers_stay():
    """Rates 0 at the ends: they keep their bits, the middle moves."""
    net = random_network(4, (4, 3, 5), biased=False)
    end = deep.solve(deep.DeepFlow(data_of(), net, 1.0, rates=(0.0, 1.0, 1.0, 0.0)), GradientFlow(), dt=0.1).final
    assert np.array_equal(end.first, net.first)
    assert np.array_equal(end.last, net.last)
    assert np.abs(end.middle[0].values() - net.middle[0].values()).max() > 1e-3


def test_best_constants_of_losses_without_convexity():
    """Two clusters of targets: the mean loss has two wells, and the best constant is in the deeper."""
    y, q = np.array([-3.0, -2.9, 3.0]), np.array([0.3, 0.3, 0.4])
    grid = np.linspace(-3.0, 3.0, 600001)
    for loss in (deep.TanhSquare(), deep.Cauchy()):
        values = loss.value(grid[:, None], y) @ q
        assert loss.best_constant(y, q) == pytest.approx(grid[np.argmin(values)], abs=2e-5)


@pytest.mark.parametrize("loss", [deep.TanhSquare(), deep.Cauchy()], ids=str)
def test_derivatives_of_losses_without_convexity(loss):
    """l' and l'' by central differences, |l''| at most `bend`, l' = 0 only at l = 0, and no convexity."""
    f, y, h = np.linspace(-3.0, 3.0, 61), np.full(61, 0.3), 1e-5
    assert loss.slope(f, y) == pytest.approx((loss.value(f + h, y) - loss.value(f - h, y)) / (2 * h), abs=1e-9)
    bent = loss.curvature(f, y)
    assert bent == pytest.approx((loss.slope(f + h, y) - loss.slope(f - h, y)) / (2 * h), abs=1e-9)
    assert np.abs(bent).max() <= loss.bend
    assert bent.min() < 0.0 and not loss.convex
    away = np.abs(f - y) > 1e-9
    assert np.array_equal(np.sign(loss.slope(f, y))[away], np.sign(f - y)[away])


class _Told(GradientFlow):
    """Runge-Kutta that says of step k that it stopped at 1/k, and that it spent `much` more."""

    much = 0.0
    variational = True
    descends = False

    def step(self, flow, state, dt):
        step = super().step(flow, state, dt)
        return DeepStep(step.state, self.much, 1.0 / step.state.count)


def test_the_loop_looks_at_what_steps_say():
    """Residuals are the largest since the saved time before; F + movement above F before it is no minimum."""
    flow = deep.DeepFlow(data_of(), random_network(3, (4, 3)), 0.4)
    run = deep.solve(flow, _Told(), dt=0.1, times=[0.2, 0.4])
    assert run.diagnostics["residual"] == pytest.approx([0.0, 1.0, 1.0 / 3.0])
    greedy = _Told()
    object.__setattr__(greedy, "much", 1.0)
    with pytest.raises(NotConverged, match="found no minimum"):
        deep.solve(flow, greedy, dt=0.1)


def test_rises_and_refusals_are_named():
    """A step that raises F, rates below 0, shapes that do not follow, nodes of a network."""
    net = random_network(3, (4, 3))
    with pytest.raises(EnergyRose, match="shorter step"):
        deep.solve(deep.DeepFlow(data_of(), net, 400.0), GradientDescent(), dt=200.0)
    with pytest.raises(ValueError, match=r"xi_2 = -1"):
        deep.DeepFlow(data_of(), net, 1.0, rates=(1.0, -1.0, 1.0))
    with pytest.raises(ValueError, match="3 layers"):
        deep.DeepFlow(data_of(), net, 1.0, rates=(1.0, 1.0))
    with pytest.raises(ValueError, match=r"w_2 has shape"):
        deep.Network(net.masses, net.first, (np.ones((3, 4)),), net.last, (TANH,))
    with pytest.raises(ValueError, match="exactly one"):
        deep.solve(deep.DeepFlow(data_of(), net, 1.0), GradientFlow())
    with pytest.raises(ValueError, match="leave nodes out"):
        deep.solve(deep.DeepFlow(data_of(), net, 1.0), GradientFlow(nodes=deep.Tensor(4)), dt=0.1)
    with pytest.raises(Refused, match="weighted"):
        from solvers.rows import Epochs

        deep.solve(deep.DeepFlow(data_of(), net, 1.0), StochasticGradient(rows=Epochs()), dt=0.1)


@pytest.mark.parametrize("method", [GradientDescent(), StochasticGradient(), Proximal()], ids=str)
def test_rates_are_those_of_their_time(method):
    """xi(t) of 1, 1/4, 1/9 at t = 0, 1/2, 1, on one row: descent takes that of the start of a step, Proximal its end's.

    Descent dissipates dt/2 (xi(0)|G(0)|^2 + xi(dt)|G(dt)|^2) a step, layer by layer.
    """
    xi = [lambda t: 1.0 / (1.0 + 2.0 * t) ** 2, 0.7, lambda t: 2.0 / (1.0 + 2.0 * t) ** 2]
    data = Data(np.array([[0.7, 1.0]]), np.array([1.0]))
    run = deep.solve(deep.DeepFlow(data, random_network(3, (4, 3)), 1.0, rates=xi), method, dt=0.5)
    spent = 0.0
    for k, (before, after) in enumerate(pairwise(run.networks)):
        now, then = (deep.gradient(net, data, HalfSquare()) for net in (before, after))
        early, late = (np.array([xi[0](t), 0.7, xi[2](t)]) for t in (0.5 * k, 0.5 * (k + 1)))
        found, rate = (then, late) if isinstance(method, Proximal) else (now, early)
        assert np.abs(after.first - before.first + 0.5 * rate[0] * found.first).max() < 1e-9
        assert np.abs(after.last - before.last + 0.5 * rate[2] * found.last).max() < 1e-9
        assert np.abs(after.biases[0] - before.biases[0] + 0.5 * rate[0] * found.biases[0]).max() < 1e-9
        spent += 0.25 * float(early @ now.squares(before.masses) + late @ then.squares(before.masses))
    if isinstance(method, GradientDescent):
        assert run.dissipated[-1] == pytest.approx(spent, rel=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_proximal_step_is_a_minimum(depth):
    """V27: F + movement <= F before it, W - W_k + tau xi G(W) = 0 to 1e-10 in the metric."""
    net = random_network(depth, WIDTHS[: depth - 1], seed=8)
    rates = np.linspace(0.5, 1.5, depth)
    flow = deep.DeepFlow(data_of(), net, 3.0, rates=tuple(rates))
    run = deep.solve(flow, Proximal(), dt=0.5)
    assert np.all(np.diff(run.energies) + np.diff(run.dissipated) <= 1e-13)
    assert run.diagnostics["residual"].max() < 1e-10
    for before, after in pairwise(run.networks):
        found = deep.gradient(after, flow.data, flow.loss)
        assert np.abs(after.first - before.first + 0.5 * rates[0] * found.first).max() < 1e-9
        assert np.abs(after.last - before.last + 0.5 * rates[-1] * found.last).max() < 1e-9
        for i, (a, b) in enumerate(zip(before.middle, after.middle, strict=True)):
            assert np.abs(b.values() - a.values() + 0.5 * rates[i + 1] * found.table(i)).max() < 1e-9
        for a, b, g, xi in zip(before.biases, after.biases, found.biases, rates, strict=False):
            assert a is None or np.abs(b - a + 0.5 * xi * g).max() < 1e-9


def test_proximal_step_is_of_first_order():
    """Against the flow: halving the step halves the error; long steps still descend."""
    flow = deep.DeepFlow(data_of(), random_network(3, (4, 3)), 1.0)
    fine = deep.solve(flow, GradientFlow(), steps=16).final.last
    errors = [np.abs(deep.solve(flow, Proximal(tolerance=1e-9), steps=n).final.last - fine).max() for n in (4, 8)]
    assert np.log2(errors[0] / errors[1]) > 0.85
    far = deep.DeepFlow(data_of(), random_network(3, (4, 3)), 400.0)
    assert np.all(np.diff(deep.solve(far, Proximal(), dt=100.0).energies) < 0.0)


def test_newton_steps_back_from_where_nothing_is_defined():
    """-10 z - log(1 - z) from z = 0: the full step goes to z = 9, where the logarithm is nan; the minimum is .9."""

    def objective(z):
        with np.errstate(invalid="ignore"):
            return float(-10.0 * z[0] - np.log(1.0 - z[0]))

    z, size = minimum("test", objective, lambda z: -10.0 + 1.0 / (1.0 - z), np.zeros(1), tolerance=1e-7, limit=60)
    assert z[0] == pytest.approx(0.9, abs=1e-8)
    assert size <= 1e-7


def test_proximal_step_refuses_and_reports():
    """Passive nodes, and an iteration that is cut short."""
    net = random_network(3, (4, 3), biased=False)
    still = deep.Network(
        (np.append(net.masses[0], 0.0), net.masses[1]), np.vstack([net.first, net.first[:1]]),
        (Pairs.full(np.vstack([net.middle[0].values(), np.ones((1, 3))])),), net.last, net.activations,
    )  # fmt: skip
    with pytest.raises(Refused, match="passive"):
        deep.solve(deep.DeepFlow(data_of(), still, 1.0), Proximal(), dt=0.5)
    with pytest.raises(NotConverged, match="residual"):
        deep.solve(deep.DeepFlow(data_of(), net, 1.0), Proximal(limit=1), dt=0.5)
