"""What multilayer and residual networks refuse, by name, and how they stop: every message names argument and remedy."""

from itertools import pairwise

import numpy as np
import pytest

from solvers.deep import GradientDescent, GradientFlow, Proximal, StochasticGradient
from solvers.deep.residual import GradientDescent as ResidualDescent
from wflow import Data, activation, deep
from wflow.deep import Compression, DeepFlow, Independent, Interval, Latent, Network, Rates, Sampled, Tensor, residual
from wflow.deep.best_fit import best_depth_four
from wflow.deep.collapse import collapse, translation
from wflow.deep.coupling import coupled
from wflow.deep.network import finite_network, with_activations
from wflow.deep.problems import deep_problem, sine_data
from wflow.deep.residual.limit import end_state, euler_state
from wflow.deep.residual.problems import moons_without_skips, turning_law, two_moons
from wflow.errors import EnergyRose, NotConverged, Refused
from wflow.loss import HalfSquare

TANH, ONE, TWO = activation("tanh"), np.ones((1, 2)), np.ones(2)
DATA = sine_data(4)


def net_of(widths=(4, 3), sigma=TANH):
    """Random weights on inputs (x, 1)."""
    rng = np.random.default_rng(0)
    tables = [rng.standard_normal(shape) for shape in pairwise(widths)]
    return finite_network(rng.standard_normal((widths[0], 2)), tables, rng.standard_normal(widths[-1]), sigma)


def flow_of(**more):
    """To t = 1."""
    return DeepFlow(DATA, net_of(), 1.0, **more)


def flow_of_problem():
    """Three layers."""
    return deep_problem("sine_independent", horizon=0.1).flow


DOORS = {
    "layer 1 has no nodes": (ValueError, lambda: Network((np.ones(0),), np.ones((0, 2)), (), np.ones(0), (TANH,))),
    "finite_network first": (ValueError, lambda: finite_network(np.ones((0, 2)), (), np.ones(0), TANH)),
    "Pairs table: expected shape": (ValueError, lambda: finite_network(ONE, [np.ones(1)], np.ones(1), TANH)),
    "Network activations: got 'tanh'": (TypeError, lambda: finite_network(ONE, (), np.ones(1), "tanh")),
    "Network output: got 'tanh'": (TypeError, lambda: finite_network(ONE, (), np.ones(1), TANH, output="tanh")),
    "Network activations: 3 for 2": (ValueError, lambda: with_activations(net_of(), [TANH] * 3)),
    r"Network inputs: expected shape \(any, 2\)": (ValueError, lambda: net_of().predict(np.ones((3, 5)))),
    "Network inputs: 1 of 2": (ValueError, lambda: net_of().predict(np.array([[0.0, np.nan]]))),
    "DeepFlow loss: 'half_square' is no loss": (TypeError, lambda: flow_of(loss="half_square")),
    "DeepFlow loss: <class": (TypeError, lambda: flow_of(loss=HalfSquare)),
    "Rates layers: 1.0 is no list": (TypeError, lambda: flow_of(rates=1.0)),
    "Rates layers: 'abc' is no list": (TypeError, lambda: Rates("abc")),
    "xi_2 is a function that returned None": (TypeError, lambda: Rates((1.0, lambda t: None))),
    "xi_1 is a function that returned array": (TypeError, lambda: Rates((lambda t: TWO,))),
    "Independent first: Interval": (TypeError, lambda: Independent(Interval(0.0, 1.0), [], Interval(0.0, 1.0), TANH)),
    "Latent strength": (ValueError, lambda: Latent(ONE.T, TWO, [1.0], np.nan, np.ones(1), 1.0, TANH)),
    "Latent means": (ValueError, lambda: Latent(ONE.T, TWO, [np.nan], 1.0, np.ones(1), 1.0, TANH)),
    "compression: got 5": (TypeError, lambda: GradientFlow(compression=5)),
    "depth: 1 is too small": (ValueError, lambda: deep_problem("sine_collapse", depth=1)),
    "depth: 0 is too small": (ValueError, lambda: deep_problem("sine_latent", depth=0)),
    "depth: 2.5 is not an int": (TypeError, lambda: deep_problem("lecture_chain", depth=2.5)),
    "sine_independent loss: unknown name 'x'": (ValueError, lambda: deep_problem("sine_independent", loss="x")),
    "until: 'x' is neither": (TypeError, lambda: deep.solve(flow_of(), GradientFlow(), dt=0.5, until="x")),
    r"until: 2.0 lies outside \(0, 1.0\]": (
        ValueError, lambda: deep.solve(flow_of(), GradientFlow(), dt=0.5, until=2.0),
    ),
    "pass a DeepFlow and a method": (TypeError, lambda: deep.solve(flow_of(), GradientFlow, dt=0.5)),
    "times:": (ValueError, lambda: deep.solve(flow_of(), GradientFlow(), dt=0.5, times=[2.0])),
    "euler_state x": (ValueError, lambda: euler_state(turning_law(), TANH, np.ones((2, 3)), 4)),
    "end_state x": (ValueError, lambda: end_state(turning_law(), TANH, np.ones(2))),
    "end_state tolerance: 1e-15": (ValueError, lambda: end_state(turning_law(), TANH, TWO[None], tolerance=1e-15)),
    "GaussianPath factor": (TypeError, lambda: residual.GaussianPath(lambda s: np.ones(3), np.ones((3, 1)))),
    "ResidualNet offset": (ValueError, lambda: residual.ResidualNet(np.zeros((2, 3, 5)), TWO, offset=TWO)),
    "depth: 0 is too": (ValueError, lambda: moons_without_skips(0)),
    "best_depth_four inputs": (
        ValueError, lambda: best_depth_four(deep_problem("sine_collapse", depth=5).flow.network(Tensor(2)), TWO),
    ),
    "translation axis: 3": (ValueError, lambda: translation(np.ones((2, 2)), 3, TWO / 2, TWO / 2)),
    "collapse: widths": (ValueError, lambda: collapse(net_of(), net_of((4, 5)), DATA.inputs)),
    "collapse inputs": (ValueError, lambda: collapse(net_of(), net_of(), np.ones((3, 5)))),
    r"has no place in a limit of \(4, 2\) nodes": (
        ValueError,
        lambda: coupled(flow_of_problem(), GradientFlow(Sampled(9)), GradientFlow(Tensor((2, 2))), [0.1], 0.1),
    ),
    "ResidualNet inputs": (
        ValueError, lambda: residual.ResidualNet(np.zeros((2, 3, 5)), TWO).predict(np.ones((4, 3))),
    ),
    "ResidualFlow loss": (
        TypeError, lambda: residual.ResidualFlow(DATA, residual.ResidualNet(np.zeros((2, 3, 5)), TWO), 1.0, "square"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", list(DOORS))
def test_wrong_arguments_are_named(said):
    """TypeError or ValueError, with the name, the value and what is taken."""
    error, call = DOORS[said]
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize("method", [GradientFlow, GradientDescent, StochasticGradient])
def test_compression_asks_for_products_at_the_door(method):
    """A start of tables has no low rank: refused, whatever its size, before the first step."""
    for widths in ((4, 3), (70, 70)):
        flow = DeepFlow(DATA, net_of(widths), 1.0)
        with pytest.raises(Refused, match="w_2 starts as a table"):
            deep.solve(flow, method(compression=Compression(5)), dt=0.5)


def test_what_overflows_has_a_name():
    """Squares of squares at steps of 1e6, without a warning: F rose, or is no finite number."""
    flow = DeepFlow(DATA, net_of(sigma=activation("quadratic")), 1e9)
    for method in (GradientFlow(), GradientDescent()):
        with pytest.raises(EnergyRose, match="shorter step"):
            deep.solve(flow, method, dt=1e6)
    with pytest.raises(NotConverged, match=r"F = (nan|inf)"):
        deep.solve(flow, StochasticGradient(), dt=1e6)
    with pytest.raises(NotConverged, match="use a shorter step"):
        deep.solve(flow, Proximal(limit=5), dt=1e6)
    start = residual.ResidualNet(np.random.default_rng(0).standard_normal((3, 4, 5)), TWO, activation("quadratic"))
    with pytest.raises(EnergyRose, match="shorter step"):
        residual.solve(residual.ResidualFlow(DATA, start, 1e9), ResidualDescent(), dt=1e6)


@pytest.mark.parametrize("method", [GradientFlow(), GradientDescent(), StochasticGradient(), Proximal()], ids=str)
def test_all_layers_frozen(method):
    """Rates 0 throughout: every weight keeps its bits, F its value, and nothing is dissipated."""
    run = deep.solve(flow_of(rates=(0.0, 0.0, 0.0)), method, dt=0.5)
    start, end = (net.arrays() for net in (run.networks[0], run.final))
    assert all(np.array_equal(start[name], end[name]) for name in start)
    assert run.energies[-1] == run.energies[0]
    assert method.random or run.dissipated[-1] == 0.0


@pytest.mark.parametrize("method", [GradientFlow(), GradientDescent(), StochasticGradient(), Proximal()], ids=str)
@pytest.mark.parametrize("depth", range(2, 9))
def test_smallest_networks(depth, method):
    """Depths 2 to 8, widths 1 and 2, one data row of one input: F falls (a stochastic step on one row is descent)."""
    rng, widths = np.random.default_rng(depth), [1 + i % 2 for i in range(depth - 1)]
    tables = [rng.standard_normal(shape) for shape in pairwise(widths)]
    biases = [rng.standard_normal(n) for n in widths]
    start = finite_network(
        rng.standard_normal((widths[0], 1)), tables, rng.standard_normal(widths[-1]), TANH, biases=biases
    )  # fmt: skip
    run = deep.solve(DeepFlow(Data(np.array([[0.7]]), np.array([1.0])), start, 0.2), method, dt=0.1)
    assert run.energies[-1] < run.energies[0]
    assert run.final.biases[0] is not None and not np.array_equal(run.final.biases[0], biases[0])


def test_progress_and_until(capsys):
    """True writes the last line to stderr, a function hears increasing shares, a time and a state end the run."""
    heard = []
    deep.solve(flow_of(), GradientFlow(), dt=0.25, progress=heard.append)
    assert heard == [0.25, 0.5, 0.75, 1.0]
    deep.solve(flow_of(), GradientFlow(), dt=0.25, progress=True)
    assert "100.0 %" in capsys.readouterr().err
    assert deep.solve(flow_of(), GradientFlow(), dt=0.1, until=0.5).times[-1] == 0.5
    assert deep.solve(flow_of(), GradientFlow(), dt=0.1, until=lambda state: state.count == 3).steps == 3


def test_points_of_sobol_are_inside():
    """No point is 0, at which a normal law would give a weight of -inf: all are odd multiples of 2^-31."""
    start = Independent([Interval(0.0, 1.0)], [], Interval(0.0, 1.0), TANH)
    points = deep.Sobol(64, 3).cloud(start.spaces).labels[0] * 2.0**31
    assert np.array_equal(points % 2.0, np.ones_like(points))


def test_sampled_widths_of_their_own():
    """One number a hidden layer."""
    assert deep_problem("sine_collapse", depth=4).flow.network(Sampled((3, 1, 2))).widths == (3, 1, 2)
    assert deep_problem("sine_collapse", depth=2).flow.network(Tensor(2)).widths == (8,)


def test_odd_moons():
    """The upper one has the odd row."""
    assert two_moons(5).targets.tolist() == [1.0, 1.0, 1.0, -1.0, -1.0]
