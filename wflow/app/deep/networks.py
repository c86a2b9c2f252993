"""This file owns the rows on one network: V1 gradient, V2 energy, two layers, V27 proximal step, V28, low rank."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from solvers.deep import GradientDescent, GradientFlow, Proximal, raw_rates
from solvers.particles import GradientFlow as ParticleFlow
from wflow.activation import activation
from wflow.app.deep.check import Check
from wflow.certificates import Certificate
from wflow.data import Data
from wflow.deep.compression import Compression
from wflow.deep.flow import DeepFlow
from wflow.deep.gradient import gradient, risk
from wflow.deep.loop import solve
from wflow.deep.network import Network, finite_network, replace_weights
from wflow.deep.pairs import Pairs
from wflow.deep.problems import LOSSES, TANH, sine_data
from wflow.deep.staircase import Staircase, nearness
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.loop import solve as solve_measure
from wflow.loss import HalfSquare
from wflow.neuron import RidgeNeuron
from wflow.terms import Risk

_WIDTHS = (6, 5, 7, 4, 6)


def random_network(depth: int, seed: int, *, biased: bool = True) -> Network:
    """Random weights, masses and every second bias, on widths that differ."""
    rng, widths = np.random.default_rng(seed), _WIDTHS[: depth - 1]
    masses = [rng.uniform(0.2, 1.0, n) for n in widths]
    middle = tuple(Pairs.full(2.0 * rng.standard_normal(shape)) for shape in pairwise(widths))
    biases = tuple(rng.standard_normal(n) if biased and not i % 2 else None for i, n in enumerate(widths))
    return Network(
        tuple(p / p.sum() for p in masses), rng.standard_normal((widths[0], 2)), middle,
        2.0 * rng.standard_normal(widths[-1]), (TANH,) * (depth - 1), biases=biases,
    )  # fmt: skip


def derivative(quick: bool) -> Iterator[Certificate]:
    """-n_{i-1} n_i dF/dw_i by central differences against one step of descent, entry by entry."""
    depths, data = ((4,) if quick else (2, 3, 4, 5, 6)), sine_data()
    worst = max(_of_descent(_equal(random_network(depth, depth)), data) for depth in depths)
    yield Certificate("step of descent = -n_{i-1} n_i dF/dw_i, largest difference", "at most", worst, 0.0, 1e-8)


def _equal(net: Network) -> Network:
    """With masses 1/n."""
    return replace_weights(net, masses=tuple(np.full(n, 1.0 / n) for n in net.widths))


def _of_descent(net: Network, data: Data, h: float = 1e-5) -> float:
    """Over entries of every layer."""
    after = solve(DeepFlow(data, net, 1e-3), GradientDescent(), steps=1).final
    rates, worst, rng = raw_rates(net.widths), 0.0, np.random.default_rng(0)
    before, moved = _layers(net), _layers(after)
    for i, w in enumerate(before):
        for _ in range(6):
            kick = np.zeros_like(w)
            kick[tuple(rng.integers(0, n) for n in w.shape)] = h
            ends = [risk(_with(net, i, w + s * kick), data, HalfSquare()) for s in (1.0, -1.0)]
            raw = (ends[0] - ends[1]) / (2.0 * h)
            change = float(np.sum((moved[i] - w)[kick > 0.0])) / 1e-3
            worst = max(worst, abs(change + rates[i] * raw))
    return worst


def _layers(net: Network) -> list[np.ndarray]:
    return [net.first, *(w.values() for w in net.middle), net.last]


def _with(net: Network, i: int, w: np.ndarray) -> Network:
    """Another layer i."""
    if i == 0:
        return replace_weights(net, first=w)
    if i == net.depth - 1:
        return replace_weights(net, last=w)
    return replace_weights(net, middle=tuple(Pairs.full(w) if k == i - 1 else v for k, v in enumerate(net.middle)))


def identity(quick: bool) -> Iterator[Certificate]:
    """F_0 - F = int sum_i xi_i |G_i|^2 dt, random masses and rates."""
    depths, horizon = ((3,), 1.0) if quick else ((2, 3, 5), 4.0)
    for name, loss in list(LOSSES.items())[: 1 if quick else 3]:
        worst = 0.0
        for depth in depths:
            rates = tuple(np.random.default_rng(depth).uniform(0.3, 1.5, depth))
            flow = DeepFlow(sine_data(), random_network(depth, 10 + depth), horizon, loss, rates)
            run = solve(flow, GradientFlow(), dt=0.02)
            worst = max(worst, abs((run.energies[0] - run.energies[-1]) / run.dissipated[-1] - 1.0))
        yield Certificate(f"energy identity, {name}, relative", "at most", worst, 0.0, 1e-6)


def two_layers(quick: bool) -> Iterator[Certificate]:
    """L = 2 from the same particles by the solver of measures."""
    rng = np.random.default_rng(5)
    for name in ("tanh",) if quick else ("tanh", "relu", "gelu"):
        w, sigma = rng.standard_normal((30, 3)), activation(name)
        neuron = RidgeNeuron(sigma, inputs=2, outer=True)
        flow = Flow(Energy(Risk(neuron, sine_data())), neuron.domain, Atoms(neuron.domain, w), 2.0)
        theirs = solve_measure(flow, ParticleFlow(30), dt=0.05).final.points
        net = finite_network(w[:, 1:], (), w[:, 0], sigma)
        ours = solve(DeepFlow(sine_data(), net, 2.0), GradientFlow(), dt=0.05).final
        apart = float(np.abs(np.column_stack([ours.last, ours.first]) - theirs).max())
        yield Certificate(f"L = 2 is the particle flow, {name}, largest difference", "at most", apart, 0.0, 1e-12)


def proximal(quick: bool) -> Iterator[Certificate]:
    """Six steps of 1/2."""
    flow = DeepFlow(sine_data(), random_network(3, 8), 3.0)
    run = solve(flow, Proximal(), dt=0.5)
    risen = float(np.max(np.diff(run.energies) + np.diff(run.dissipated)))
    yield Certificate("proximal step: F + movement less F before, the most", "at most", risen, 0.0, 1e-13)
    worst = 0.0
    for before, after in pairwise(run.networks):
        found = gradient(after, flow.data, flow.loss)
        layers = zip(_layers(before), _layers(after), [found.first, found.table(0), found.last], strict=True)
        worst = max([worst, *(float(np.abs(b - a + 0.5 * g).max()) for a, b, g in layers)])
    yield Certificate("proximal step: Euler-Lagrange, largest entry", "at most", worst, 0.0, 1e-10)


def diverse(quick: bool) -> Iterator[Certificate]:
    """Columns and rows of all blocks, over what is proved of them."""
    for hidden in (3,) if quick else (2, 3, 5):
        found = list(nearness(Staircase(2, hidden, 41, TANH)))
        worst = max(
            gap / bound
            for one in found
            for gap, bound in ((one.column, one.column_bound), (one.row, one.row_bound))
            if gap > 0.0
        )
        claim = f"staircase, 40 blocks, {hidden} hidden layers: L2 distances over their bounds, the largest"
        yield Certificate(claim, "at most", worst, 1.0)


def low_rank(quick: bool) -> Iterator[Certificate]:
    """A latent start kept as sums of products against one written as tables; numbers held at two widths."""
    from wflow.deep.nodes import Sampled
    from wflow.deep.problems import sine_latent

    flow, held, apart = sine_latent(4, horizon=1.0).flow, [], 0.0
    for n in (64, 128) if quick else (256, 1024):
        kept = solve(flow, GradientFlow(Sampled(n), Compression(80)), dt=0.1, times=[1.0])
        whole = solve(flow, GradientFlow(Sampled(n)), dt=0.1, times=[1.0])
        x = flow.data.inputs
        apart = max(apart, float(np.abs(kept.final.predict(x) - whole.final.predict(x)).max()))
        held.append(sum(w.left.size + w.right.size for w in kept.final.middle))
    yield Certificate("products and tables, predictions, largest difference", "at most", apart, 0.0, 1e-9)
    ratio = held[1] / held[0]
    grown = 2.0 if quick else 4.0
    claim = f"numbers held at {grown:g} times the width, ratio (a table: {grown**2:g})"
    yield Certificate(claim, "at most", ratio, 1.25 * grown)


NETWORKS = (
    Check("V1", "GradientDescent", derivative),
    Check("V2", "GradientFlow", identity),
    Check("two layers", "GradientFlow", two_layers),
    Check("V27", "Proximal", proximal),
    Check("V28", "Staircase", diverse),
    Check("low rank", "GradientFlow", low_rank),
)
