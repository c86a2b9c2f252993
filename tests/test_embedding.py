"""Embeddings of multilayer networks: quadrature of their limits, the staircase, and the collapse of independent starts.

The demonstration problem: inputs (x, 1), 16 points x in [-1, 1], y = sin pi x, tanh. F(0) of a start that predicts 0 is
(1/2) mean sin^2 = (1/2)(15/16)/2 = 15/64: the 16 points are 15 of a period and its end again.
"""

from dataclasses import replace

import numpy as np
import pytest

from solvers.deep import GradientFlow
from wflow import Data, activation, deep
from wflow.deep import Independent, Interval, MonteCarlo, Normal, Point, Sampled, Sobol, Tensor, Watched
from wflow.deep.collapse import collapse, translation
from wflow.deep.marginals import Dyadic, block_of, deviation
from wflow.deep.staircase import nearness
from wflow.errors import Refused

TANH = activation("tanh")
X = np.linspace(-1.0, 1.0, 16)
SINE = Data(np.stack([X, np.ones(16)], axis=1), np.sin(np.pi * X))


def independent(depth, middle=0.7, ends=(0.0, 2.0)):
    """Laws without symmetry: with odd targets symmetric laws make the collapsed flow itself stationary."""
    laws = [Interval(*ends), Interval(-1.0, 1.0)]
    return Independent(laws, [Interval(middle - 1.0, middle + 1.0)] * (depth - 2), Interval(*ends), TANH)


def latent(depth, labels=2):
    """Labels of two coordinates."""
    rng = np.random.default_rng(7)
    return deep.Latent(
        rng.uniform(-1.5, 1.5, (2, labels)), np.array([0.5, 0.1]), [0.7] * (depth - 2), 1.0,
        rng.uniform(0.5, 1.5, labels), 1.0, TANH,
    )  # fmt: skip


def ended(start, nodes, horizon, dt=0.05):
    """The network at the end."""
    return deep.solve(deep.DeepFlow(SINE, start, horizon), GradientFlow(nodes), dt=dt, times=[horizon]).final


def test_gauss_rules_are_exact():
    """Of degree 2n - 1: moments of the uniform and normal laws; composite on dyadic blocks."""
    for law, moments in (
        (Interval(-2.0, 4.0), {1: 1.0, 2: 4.0, 3: 10.0}),
        (Normal(1.0, 2.0), {1: 1.0, 2: 5.0, 3: 13.0}),
        (Point(3.0), {1: 3.0, 2: 9.0}),
        (Dyadic(5), {1: 1 / 2, 2: 1 / 3, 3: 1 / 4}),
    ):
        u, q = law.gauss(2)
        assert q.sum() == pytest.approx(1.0, abs=1e-14)
        for power, moment in moments.items():
            assert q @ u**power == pytest.approx(moment, abs=1e-12)
    assert deviation(Interval(-1.0, 1.0)) == pytest.approx(3**-0.5, abs=1e-12)


def test_blocks_of_labels():
    """I_k = (2^-k, 2^{1-k}]: both ends."""
    assert block_of(np.array([1.0, 0.75, 0.5, 0.500001, 0.25, 2.0**-40, 1.5 * 2.0**-40])).tolist() == [
        1, 1, 2, 1, 3, 41, 40,
    ]  # fmt: skip


def test_three_layers_to_their_values():
    """V3 to t = 1: rules of 8, 12 and 14 nodes come together by two digits; F(0) = 15/64 exactly."""
    start = Independent([Interval(-2.0, 2.0)] * 2, [Interval(-0.5, 1.5)], Interval(-2.0, 2.0), TANH)
    flow = deep.DeepFlow(SINE, start, 1.0)
    runs = [deep.solve(flow, GradientFlow(Tensor(n)), dt=0.1, times=[1.0]) for n in (8, 12, 14)]
    assert runs[0].energies[0] == pytest.approx(15.0 / 64.0, abs=1e-12)
    errors = [abs(run.energies[1] - runs[2].energies[1]) for run in runs]
    assert errors[0] < 1e-5
    assert errors[1] < 0.03 * errors[0]


def test_rules_state_their_errors():
    """Tensor, Sobol and Monte Carlo find the same prediction within 4 of their stated standard errors, and in order."""
    flow = deep.DeepFlow(SINE, independent(3), 0.5)

    def measure(rule):
        run = deep.solve(flow, GradientFlow(rule), dt=0.25, times=[0.5])
        return run.final.predict(SINE.inputs)

    truth = Tensor(8).estimate(measure)
    assert truth.error.max() < 1e-6
    sizes = []
    for rule in (Sobol(64), MonteCarlo(64)):
        found = rule.estimate(measure)
        assert np.all(np.abs(found.value - truth.value) < 4.0 * found.error + truth.error)
        sizes.append(found.error.max())
    assert sizes[0] < 0.25 * sizes[1]


def test_the_error_of_a_tensor_rule():
    """int u^6 on [-1, 1] = 1/7, exact from 4 nodes on; 2 find 1/27: stated is what 6 nodes change, with their value."""

    def sixth(rule):
        cloud = rule.cloud([[Interval(-1.0, 1.0)]])
        return cloud.masses[0] @ cloud.labels[0][:, 0] ** 6

    found = Tensor(2).estimate(sixth)
    assert found.value == pytest.approx(1.0 / 7.0, rel=1e-13)
    assert found.error == pytest.approx(1.0 / 7.0 - 1.0 / 27.0, rel=1e-13)
    assert Tensor((2,)).estimate(sixth).error == found.error


@pytest.mark.parametrize("rule", [Sobol(64, 1), MonteCarlo(64, 1), Sampled(64, 1)], ids=str)
def test_layers_have_points_of_their_own(rule):
    """Two layers of the same law: no label of one is a label of the other."""
    start = Independent([Interval(-1.0, 1.0)], [Normal()], Interval(-1.0, 1.0), TANH)
    net = start.network(rule)
    assert not np.intersect1d(net.first[:, 0], net.last).size


def test_tables_are_drawn_apart():
    """Entries of two tables, and of two seeds: correlated by less than five standard deviations, 1/n each."""
    start = Independent([Interval(-1.0, 1.0)], [Normal(), Normal()], Interval(-1.0, 1.0), TANH)
    one, two = (start.network(Sampled(64, seed)) for seed in (1, 2))
    entries = [w.values().ravel() for w in (*one.middle, two.middle[0])]
    assert np.abs(np.corrcoef(entries) - np.eye(3)).max() < 5.0 / 64.0


@pytest.mark.slow
def test_rates_of_rules():
    """Predictions at t = .5, 40 seeds each: errors fall faster than M^{-.8} by Sobol, as M^{-.5 +- .15} by Monte Carlo.

    A root mean square of 40 is known to 10 %, a slope over a factor 16 to .05: three deviations are allowed.
    """
    flow = deep.DeepFlow(SINE, independent(3), 0.5)

    def prediction(rule):
        return deep.solve(flow, GradientFlow(rule), dt=0.25, times=[0.5]).final.predict(SINE.inputs)

    truth, sizes = prediction(Tensor(14)), [16, 64, 256]
    slopes = []
    for rule in (Sobol, MonteCarlo):
        squares = [np.mean([(prediction(rule(n, seed)) - truth) ** 2 for seed in range(40)]) for n in sizes]
        slopes.append(0.5 * np.polyfit(np.log(sizes), np.log(squares), 1)[0])
    assert slopes[0] < -0.8
    assert abs(slopes[1] + 0.5) < 0.15


def test_watched_labels_follow_the_limit():
    """Nodes of mass 0 at the labels of a sample leave the limit, and one at a node's label moves as that node."""
    start, rule = independent(3), Tensor(4)
    watched = ended(start, Watched(rule, Sampled(5, 3)), 0.5)
    plain = ended(start, rule, 0.5)
    n = plain.widths
    assert np.abs(watched.first[: n[0]] - plain.first).max() < 1e-14
    assert np.abs(watched.middle[0].values()[: n[0], : n[1]] - plain.middle[0].values()).max() < 1e-14
    assert watched.widths == (n[0] + 5, n[1] + 5)


def test_biases_of_embeddings():
    """Constant biases add no label, random ones a coordinate each; both start as they say."""
    laws = [Interval(0.0, 2.0), Interval(-1.0, 1.0)]
    start = Independent(laws, [Interval(0.0, 1.0)] * 2, Interval(0.0, 2.0), TANH, biases=(Normal(), Point(0.3), None))
    assert [len(space) for space in start.spaces] == [3, 0, 1]
    net = start.network(Tensor(3))
    assert net.widths == (27, 1, 3)
    assert net.biases[1].tolist() == [0.3]
    assert net.masses[0] @ net.biases[0] ** 2 == pytest.approx(1.0, abs=1e-12)
    assert net.biases[2] is None


def test_latent_by_functions():
    """The latent start written as functions of labels is the same network."""
    one = latent(4)
    other = deep.Functions(
        one.spaces, lambda u: u @ one.into.T + one.shift, [lambda u, v: 0.7 + u @ v.T] * 2,
        lambda v: v @ one.out + one.level, TANH,
    )  # fmt: skip
    a, b = one.network(Tensor(3)), other.network(Tensor(3))
    assert np.abs(a.predict(SINE.inputs) - b.predict(SINE.inputs)).max() < 1e-13
    biased = replace(other, biases=[None, lambda u: u[:, 0] - 0.5, None]).network(Tensor(3))
    assert biased.biases[0] is None
    assert biased.biases[1] == pytest.approx([-np.sqrt(0.6) - 0.5] * 3 + [-0.5] * 3 + [np.sqrt(0.6) - 0.5] * 3)


@pytest.mark.parametrize("hidden", [2, 3, 4])
def test_staircase_is_diverse(hidden):
    """V28: in every block of every layer the column and the row are within the proved distance of their pair."""
    found = list(nearness(deep.Staircase(2, hidden, 41, TANH)))
    assert len(found) == 40 * hidden
    assert all(one.holds for one in found)
    late = [one for one in found if one.block == 40]
    assert all(max(one.column, one.row) < 1e-5 for one in late)
    assert any(one.row > 0.1 * one.row_bound for one in found)


def test_functions_of_the_staircase_grow_slowly():
    """sup norms at most log(m + 2), so that what is left out of a column or a row falls."""
    start = deep.Staircase(2, 3, 41, TANH)
    sizes = np.array([[start.column(1, m).size, start.row(1, m).size] for m in range(1, 300)])
    assert np.all(sizes <= np.log(np.arange(1, 300) + 2.0)[:, None])
    assert sizes.max() >= 2.0


def test_staircase_repeats_its_elements():
    """The pair of a block comes again in later blocks, so that it is approached as nearly as one likes."""
    start = deep.Staircase(2, 3, 41, TANH)
    wanted = start.column(1, 3).coefficients
    again = [m for m in range(1, 41) if np.array_equal(start.column(1, m).coefficients, wanted)]
    assert len(again) > 3
    assert np.abs(wanted).max() > 0.0


@pytest.mark.parametrize("depth", [4, 5, 6])
def test_collapse_is_an_invariant_set(depth):
    """With constant middle layers on many nodes every statistic of the collapse stays 0 to rounding, for all times."""
    flow = deep.DeepFlow(SINE, independent(depth), 1.0)
    run = deep.solve(flow, GradientFlow(MonteCarlo(6)), dt=0.25, times=[1.0])
    found = collapse(run.networks[0], run.final, SINE.inputs)
    assert len(found.translations) == depth - 2
    assert max(found.translations) < 1e-12
    assert max(found.spreads) < 1e-13
    assert run.energies[1] < run.energies[0] - 1e-3


def test_collapsed_system_has_one_node_a_layer():
    """The rule of an independent start puts one node in each of layers 2 .. L - 2."""
    net = independent(6).network(Tensor(4))
    assert net.widths == (16, 1, 1, 1, 4)
    assert all(np.array_equal(w.values(), np.full(w.shape, 0.7)) for w in net.middle)


def test_statistics_fall_for_independent_starts_only():
    """n = 16, 64, 4 seeds: S falls by 2 +- .6 (independent, L = 4), and by less than 1.3 (latent L = 4, and L = 3)."""
    ratios = {}
    for name, start in (("independent", independent(4)), ("latent", latent(4)), ("three", independent(3))):
        flow, sizes = deep.DeepFlow(SINE, start, 1.0), []
        for n in (16, 64):
            runs = [deep.solve(flow, GradientFlow(Sampled(n, s)), dt=0.25, times=[1.0]) for s in range(4)]
            found = [collapse(r.networks[0], r.final, SINE.inputs).translations[0] for r in runs]
            sizes.append(np.sqrt(np.mean(np.square(found))))
        ratios[name] = sizes[0] / sizes[1]
    assert abs(ratios["independent"] - 2.0) < 0.6
    assert ratios["latent"] < 1.3
    assert ratios["three"] < 1.3


def test_centred_layers_are_a_trap():
    """phi(0) = 0, middle means 0: the collapsed system is stationary, and no statistic of it is asked."""
    flow = deep.DeepFlow(SINE, independent(4, middle=0.0), 1.0)
    run = deep.solve(flow, GradientFlow(Tensor(3)), dt=0.5, times=[1.0])
    assert run.energies[1] == pytest.approx(run.energies[0], abs=1e-15)
    with pytest.raises(Refused, match="0/0"):
        collapse(run.networks[0], run.final, SINE.inputs)


def test_translation_statistic():
    """A function of the other index alone has S = 0, one of this index alone, of mean 0, has S = 1."""
    u = np.array([1.0, -1.0, 2.0, -2.0])
    same, p = np.outer(u, np.ones(3)), np.full(4, 0.25)
    q = np.full(3, 1 / 3)
    assert translation(same, 1, p, q) == 0.0
    assert translation(same, 0, p, q) == 1.0
    assert translation(same + 1.0, None, p, q) == pytest.approx((2.5 / 3.5) ** 0.5)
    p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.7, 0.2, 0.1])
    v = np.array([1.0, 2.0, 4.0])  # mean 1.5, mean square 3.1
    assert translation(np.outer(np.ones(4), v), 1, p, q) == pytest.approx(((3.1 - 1.5**2) / 3.1) ** 0.5)
    assert translation(np.outer(u, np.ones(3)), 0, p, q) == pytest.approx((1.0 - 0.3**2 / 1.9) ** 0.5)
    assert translation(np.outer(u, v), None, p, q) == pytest.approx((1.0 - (0.3 * 1.5) ** 2 / (1.9 * 3.1)) ** 0.5)


def test_bad_nodes_are_named():
    """No power of two; as many numbers as layers; nodes for an embedding."""
    with pytest.raises(ValueError, match="power of two"):
        Sobol(48)
    with pytest.raises(ValueError, match="one a layer"):
        independent(4).network(Tensor((3, 3)))
    with pytest.raises(ValueError, match="nodes: none"):
        ended(independent(3), None, 1.0)
    with pytest.raises(TypeError, match="no rule"):
        independent(3).network(12)
    with pytest.raises(ValueError, match="low < high"):
        Interval(1.0, 1.0)
