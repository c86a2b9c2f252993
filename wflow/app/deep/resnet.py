"""This file owns the rows on residual networks: adjoint, energy, two errors, JKO steps, training, and no collapse."""

from collections.abc import Iterator

import numpy as np

from solvers.deep import GradientFlow as DeepFlowMethod
from solvers.deep.residual import GradientFlow, Jko, optimal_partners
from wflow.app.deep.check import Check, mean_square, slope
from wflow.certificates import Certificate
from wflow.data import Data
from wflow.deep.collapse import collapse, translation
from wflow.deep.loop import solve as solve_deep
from wflow.deep.nodes import Sampled, Tensor
from wflow.deep.residual.flow import ResidualFlow
from wflow.deep.residual.gradient import gradient, risk
from wflow.deep.residual.limit import euler_state, limit
from wflow.deep.residual.loop import solve
from wflow.deep.residual.net import ResidualNet, changed
from wflow.deep.residual.problems import INPUTS, TANH, moons, moons_without_skips, turning_law, two_moons
from wflow.loss import HalfSquare

TRAINED = 1e-3
"""What F of two moons must come below."""
ERRORS = {(16, 32): 48, (64, 32): 48, (16, 128): 48}
"""Draws of a (depth, width)."""


def random_flow(*, equal: bool, horizon: float = 1.0, seed: int = 0) -> ResidualFlow:
    """Random weights, masses, data, a ridge, and a readout that is trained."""
    rng = np.random.default_rng(seed)
    p = np.full(6, 1.0 / 6.0) if equal else rng.uniform(0.3, 1.0, 6)
    start = ResidualNet(rng.standard_normal((5, 6, 5)), rng.standard_normal(2), TANH, 0.2, p / p.sum())
    data = Data(rng.standard_normal((8, 2)), rng.standard_normal(8))
    return ResidualFlow(data, start, horizon, ridge=0.1, rate=0.5)


def derivative(quick: bool) -> Iterator[Certificate]:
    """(p_j/L) grad V_l against central differences; F_0 - F against what is dissipated."""
    flow, h, worst = random_flow(equal=False), 1e-5, 0.0
    net, found = flow.start, gradient(flow.start, flow.data, HalfSquare(), flow.ridge)
    for place in np.ndindex(net.atoms.shape):
        kick = np.zeros_like(net.atoms)
        kick[place] = h
        ends = [
            risk(changed(net, net.atoms + s * kick, net.readout, net.offset), flow.data, HalfSquare(), flow.ridge)
            for s in (1.0, -1.0)
        ]
        raw = (ends[0] - ends[1]) / (2.0 * h)
        worst = max(worst, abs(float(net.masses[place[1]] * found.atoms[place]) / net.depth - raw))
    yield Certificate("adjoint against differences of F, largest entry", "at most", worst, 0.0, 1e-8)
    run = solve(flow, GradientFlow(), dt=0.02)
    gap = abs((run.energies[0] - run.energies[-1]) / run.dissipated[-1] - 1.0)
    yield Certificate("energy identity, random masses, ridge, readout trained, relative", "at most", gap, 0.0, 1e-7)


def errors(quick: bool) -> Iterator[Certificate]:
    """Over what is expected to leading order, four standard errors of 48 draws: .3."""
    law, known = turning_law(), limit(turning_law(), TANH, INPUTS)
    gaps = [euler_state(law, TANH, INPUTS, depth) - known.end for depth in (64, 128)]
    off = float(np.abs(2.0 * 128 * gaps[1] - 64 * gaps[0] - known.euler).max())
    yield Certificate("m = infinity: L (z_L - z(1)) - E by Richardson, L = 64, 128", "at most", off, 0.0, 2e-3)
    for tied in (False, True):
        draw = law.tied if tied else law.layerwise
        for (depth, m), draws in ERRORS.items():
            ends = [ResidualNet(draw(depth, m, s), np.ones(2), TANH).run(INPUTS).states[-1] for s in range(draws)]
            found = float(np.sqrt(np.mean(np.sum((np.array(ends) - known.end) ** 2, axis=2))))
            words = (
                f"{'the same draws' if tied else 'own draws'} in each layer, L = {depth}, m = {m}: rms over expected"
            )
            yield Certificate(words, "equal", found / known.expected(depth, m, tied=tied), 1.0, 0.3)


def steps(quick: bool) -> Iterator[Certificate]:
    """JKO steps of 1/2: Euler-Lagrange, the inequality, the coupling; long ones, whose atoms change partners."""
    flow = random_flow(equal=True, horizon=1.5)
    run = solve(flow, Jko(), dt=0.5)
    pairs = list(zip(run.networks, run.networks[1:], strict=False))
    worst = max(float(np.abs(b.atoms - a.atoms + 0.5 * flow.gradient(b).atoms).max()) for a, b in pairs)
    yield Certificate("JKO step: w - w_k + tau grad V, largest entry", "at most", worst, 0.0, 1e-8)
    risen = float(np.max(np.diff(run.energies) + np.diff(run.dissipated)))
    yield Certificate("JKO step: F + COT^2/(2 tau) less F before, the most", "at most", risen, 0.0, 1e-13)
    long = solve(moons(2, 12, seed=3, horizon=64.0), Jko(), dt=64.0)
    yield Certificate("JKO step of 64: atoms that changed partners", "at least", float(long.crossed[-1]), 1.0)
    others = [
        int(np.sum(optimal_partners(a.atoms, b.atoms) != np.arange(a.width)))
        for a, b in (*pairs, (long.networks[0], long.final))
    ]
    yield Certificate(
        "JKO steps end where the identity is the optimal coupling, atoms that differ", "equal", sum(others), 0
    )


def training(quick: bool) -> Iterator[Certificate]:
    """Two moons, L = 8, m = 16, readout fixed, to t = 200; by JKO steps of 2 too."""
    methods = ((GradientFlow(), 0.5), (Jko(), 2.0))
    for method, dt in methods[: 1 if quick else 2]:
        run = solve(moons(horizon=200.0), method, dt=dt, times=[200.0])
        wrong = float(np.sum(np.sign(run.final.predict(two_moons().inputs)) != two_moons().targets))
        yield Certificate(f"two moons by {type(method).__name__}, F(200)", "at most", float(run.energies[-1]), TRAINED)
        yield Certificate(f"two moons by {type(method).__name__}, rows on the wrong side", "equal", wrong, 0.0)
    if not quick:
        yield Certificate(
            "two moons, JKO steps of 2: atoms that changed partners", "equal", float(run.crossed[-1]), 0.0
        )
        shallow = solve(moons(1, 128, horizon=200.0), GradientFlow(), dt=0.25, times=[200.0])
        ratio = float(shallow.energies[-1] / run.energies[-1])
        yield Certificate(
            "two moons, F(200) of L = 1, m = 128 (as many weights) over L = 8, m = 16", "at least", ratio, 5.0
        )


def without_skips(quick: bool) -> Iterator[Certificate]:
    """The 1/m net of the same depth from a centred start, where its limit stands still."""
    flow = moons_without_skips(8, mean=0.0, horizon=200.0)
    run = solve_deep(flow, DeepFlowMethod(Sampled(16, 1)), dt=1.0, times=[200.0])
    fallen = float(run.energies[0] - run.energies[-1])
    yield Certificate("centred 1/m net of depth 8 and width 16 without skips: F(0) - F(200)", "at most", fallen, 1e-6)


def collapses(quick: bool) -> Iterator[Certificate]:
    """S of the 1/m net of depth 8 falls with the width, S of the residual net does not; uncentred, at t = 10."""
    sizes, rows = {16: 12, 64: 8, 256: 4}, []
    flow = moons_without_skips(8, horizon=10.0)
    for n, seeds in sizes.items():
        runs = [solve_deep(flow, DeepFlowMethod(Sampled(n, 100 * n + s)), dt=0.125, times=[10.0]) for s in range(seeds)]
        rows.append(mean_square([collapse(r.networks[0], r.final, flow.data.inputs).translations for r in runs]))
    for i, column in enumerate(zip(*rows, strict=True), 2):
        claim = f"uncentred 1/m net without skips: S(w_{i}), slope in n"
        yield Certificate(claim, "equal", slope(list(sizes), column), -0.5, 0.15)
    found = [mean_square([_residual(n, s) for s in range(4)]) for n in (16, 64, 256)]
    for i in (0, 4, 7):
        values = [row[i] for row in found]
        yield Certificate(f"residual net: S of layer {i + 1}, n = 256", "at least", values[-1], 0.5)
        yield Certificate(
            f"residual net: S of layer {i + 1}, slope in n", "equal", slope((16, 64, 256), values), 0.0, 0.1
        )
    limit_run = solve_deep(moons_without_skips(8, horizon=200.0), DeepFlowMethod(Tensor(6)), dt=0.25, times=[200.0])
    yield Certificate(
        "uncentred 1/m net: its limit, a chain of width one inside, F(200)",
        "at most",
        float(limit_run.energies[-1]),
        TRAINED,
    )


def _residual(width: int, seed: int) -> list[float]:
    """S of the change of each layer of a residual net at t = 10: what of it is no translation of the whole layer."""
    flow = moons(8, width, seed, horizon=10.0)
    change = solve(flow, GradientFlow(), dt=0.5, times=[10.0]).final.atoms - flow.start.atoms
    even = np.full(5, 0.2)
    return [translation(layer, 0, flow.start.masses, even) for layer in change]


RESNET = (
    Check("resnet adjoint", "residual.GradientFlow", derivative),
    Check("resnet errors", "euler", errors),
    Check("resnet JKO", "residual.Jko", steps),
    Check("resnet moons", "residual.GradientFlow", training),
    Check("resnet beside", "GradientFlow", without_skips),
    Check("resnet collapse", "GradientFlow", collapses, slow=True),
)
