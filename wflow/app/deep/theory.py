"""This file owns what is verified of dynamical mean-field theory: one function a row, V19 to V26.

Quick rows are exact answers; the others compare the limit with finite networks of many seeds. Slopes are of mean
squares over all times, data and seeds; how far a slope may be off stands beside it.
"""

import math
from collections.abc import Iterator

import numpy as np

from solvers.deep import networks
from solvers.particles import GradientDescent
from wflow.activation import linear, tanh
from wflow.app.deep.check import Check
from wflow.app.studies.dmft import RATES, slope, tanh_setting, three_data
from wflow.arrays import Array
from wflow.certificates import Certificate
from wflow.data import Data
from wflow.deep.dmft import (
    Difference,
    Setting,
    difference,
    first_fields,
    linear_limit,
    sampled_limit,
)
from wflow.domain import space
from wflow.energy import Energy
from wflow.flow import Flow
from wflow.law import Atoms
from wflow.loop import solve
from wflow.neuron import RidgeNeuron
from wflow.terms import Risk
from wflow.trajectory import Trajectory

ROUNDING = 1e-12
SWEPT = {1: (0.931737146434, 1.347755354648), 2: (0.996479982906, 1.751853607912), 3: (0.999989566445, 2.087567740236)}
"""f after ten steps of .1 and <h h> = <g g> then, P = 1: by another program, sweeps to 1e-12 over a growing horizon."""
WIDTHS = {1: (32, 64, 128, 256), 2: (32, 64, 128, 256), 3: (64, 128, 256, 512)}
NARROW, TANH_WIDTHS = (16, 32, 64, 128), (32, 64, 128, 256, 512)
SLOPE, BIAS_SLOPE = 0.1, 0.12


def one_datum(hidden: int = 1, *, rate: float = 0.1, gamma0: float = 1.0) -> Setting:
    """x = y = 1 until time 1: K = 1."""
    return Setting([[1.0]], [1.0], hidden=hidden, gamma0=gamma0, rate=rate, steps=round(1.0 / rate))


def exact_flow(t: float) -> float:
    """f of one hidden linear layer, P = K = y = gamma0 = 1, in continuous time (derived).

    f' = 2 (1 - f) (1 + f^2)^{1/2}, f(0) = 0; q = (1 + f)/(1 - f) has (arsinh q)' = 2 sqrt(2): q = sinh(2 sqrt(2) t +
    arsinh 1).
    """
    q = math.sinh(2.0 * math.sqrt(2.0) * t + math.asinh(1.0))
    return (q - 1.0) / (q + 1.0)


def closed_flow(quick: bool) -> Iterator[Certificate]:
    """V19: as the rate falls f(1) tends to that of the flow, at order one."""
    off = [abs(float(linear_limit(one_datum(rate=r)).f[-1, 0]) - exact_flow(1.0)) for r in (0.1, 0.05, 0.025)]
    yield Certificate("one hidden linear layer, rate .025: f(1) off the flow's", "at most", off[-1], 0.0, 0.01)
    order = math.log2(off[-2] / off[-1])
    yield Certificate("f(1) of the flow: order in the rate", "equal", order, 1.0, 0.05)


def deep_linear(quick: bool) -> Iterator[Certificate]:
    """V20: f after ten steps, and <h^L h^L> = <g^1 g^1>, by another program and by each other."""
    for hidden, (f, kernel) in SWEPT.items():
        limit = linear_limit(one_datum(hidden))
        yield Certificate(f"{hidden} hidden, P = 1: f after 10 steps", "equal", float(limit.f[-1, 0]), f, 1e-8)
        last = float(limit.Phi[hidden, -1, 0, -1, 0])
        yield Certificate(f"{hidden} hidden, P = 1: <h^L h^L> at the end", "equal", last, kernel, 1e-8)
        first = float(limit.G[0, -1, -1])
        yield Certificate(f"{hidden} hidden, P = 1: <g^1 g^1> is <h^L h^L>", "equal", first, last, ROUNDING)
        yield Certificate(f"{hidden} hidden: residual of closed equations", "at most", limit.residual, 0.0, 1e-12)


def lazy(quick: bool) -> Iterator[Certificate]:
    """V21: gamma0 = 1e-3 moves like its kernel at the start, 3 for two hidden layers and x = 1."""
    f = float(linear_limit(one_datum(2, gamma0=1e-3)).f[-1, 0])
    yield Certificate("gamma0 = 1e-3, 2 hidden: f after 10 steps", "equal", f, 1.0 - 0.7**10, 1e-6)
    ratio = (float(linear_limit(one_datum(2, gamma0=2e-3)).f[-1, 0]) - 1.0 + 0.7**10) / (f - 1.0 + 0.7**10)
    yield Certificate("its distance to the lazy limit: order in gamma0", "equal", math.log2(ratio), 2.0, 0.01)


def single_networks(quick: bool) -> Iterator[Certificate]:
    """V22: single linear networks are O(N^{-1/2}) off, in f at all times and in the last kernel."""
    for hidden, widths in WIDTHS.items():
        off = [_of_linear(hidden, n, 200 if n < 512 else 100) for n in widths]
        yield slope(f"{hidden} hidden linear: rms of f", widths, [f.rms for f, _ in off], -0.5, SLOPE)
        yield slope(f"{hidden} hidden linear: rms of Phi^L", widths, [k.rms for _, k in off], -0.5, SLOPE)


def mean_networks(quick: bool) -> Iterator[Certificate]:
    """V23: the mean over seeds is O(1/N) off."""
    off = [_of_linear(2, n, 3000 if n == NARROW[-1] else 6000) for n in NARROW]
    yield slope("2 hidden linear: mean error of f", NARROW, [f.bias for f, _ in off], -1.0, BIAS_SLOPE)
    yield slope("2 hidden linear: mean error of Phi^2", NARROW, [k.bias for _, k in off], -1.0, BIAS_SLOPE)


def _of_linear(hidden: int, width: int, seeds: int) -> tuple[Difference, Difference]:
    """f and the last kernel."""
    setting = three_data(hidden, rate=RATES[hidden])
    limit, found = linear_limit(setting), networks(setting, linear(), width=width, seeds=seeds)
    last = limit.Phi[hidden, -1, :, -1]
    return difference(found.f, limit.f), difference(found.Phi[:, hidden], last)


def tanh_networks(quick: bool) -> Iterator[Certificate]:
    """V24: so are networks of tanh."""
    setting = tanh_setting()
    limit = sampled_limit(setting, tanh()).mean
    off = []
    for n in TANH_WIDTHS:
        found = networks(setting, tanh(), width=n, seeds=max(24, 12288 // n))
        off.append((difference(found.f, limit.f), difference(found.Phi[:, 2], limit.Phi[2, -1, :, -1])))
    yield slope("2 hidden tanh: rms of f", TANH_WIDTHS, [f.rms for f, _ in off], -0.5, SLOPE)
    yield slope("2 hidden tanh: rms of Phi^2", TANH_WIDTHS, [k.rms for _, k in off], -0.5, SLOPE)


def responses(quick: bool) -> Iterator[Certificate]:
    """V25: the mean of wide networks is the limit within bars; without A and B it is not."""
    setting, sigma = tanh_setting(), tanh()
    found = networks(setting, sigma, width=512, seeds=96)
    limit, without = (sampled_limit(setting, sigma, runs=5, responses=kept) for kept in (True, False))
    mean, error = found.f.mean(axis=0), found.f.std(axis=0, ddof=1) / math.sqrt(len(found))
    bar = _size(np.hypot(error, limit.error.f))
    off, dropped = _size(mean - limit.mean.f), _size(mean - without.mean.f)
    claim = "mean f of 96 networks, N = 512, off the limit, in bars (seeds and Monte Carlo)"
    yield Certificate(claim, "at most", off / bar, 0.0, 2.0)
    yield Certificate("the same without A and B, over that with them", "at least", dropped / off, 5.0)


def particles(quick: bool) -> Iterator[Certificate]:
    """V26: one hidden layer is gradient descent of the house on the same Gaussians, at every step."""
    setting = three_data(1, gamma0=1.5, rate=0.1, steps=12)
    limit = sampled_limit(setting, tanh(), samples=600, runs=1).mean
    run = descent(setting, *first_fields(setting, samples=600))
    risk = run.flow.energy.risk
    assert isinstance(risk, Risk)
    f = np.array([risk.predict(pi) for pi in run.measures]) / setting.gamma0
    off = float(np.max(np.abs(f - limit.f)))
    yield Certificate("one hidden layer against particle descent: f at 13 times", "at most", off, 0.0, ROUNDING)
    features = np.tanh(risk.data.inputs @ run.final.points[:, 1:].T)
    off = float(np.max(np.abs(features @ features.T / 600 - limit.Phi[1, -1, :, -1])))
    yield Certificate("the same: Phi^1 at the end", "at most", off, 0.0, ROUNDING)


def descent(setting: Setting, u: Array, r: Array) -> Trajectory:
    """Particles psi = a tanh(w . x/sqrt(D)) by the house's own descent, from a = r (S,) and w . x/sqrt(D) = u (S, P).

    f_pi = gamma0 f: targets gamma0 y, and the step of the flow of F = mean/2 is P rate (derived, docs/dmft.md).
    """
    x, P = setting.x / math.sqrt(setting.x.shape[1]), setting.data
    start = np.column_stack([r, u @ np.linalg.pinv(x).T])
    domain = space(start.shape[1])
    energy = Energy(Risk(RidgeNeuron(tanh(), x.shape[1], outer=True), Data(x, setting.gamma0 * setting.y)))
    dt, steps = P * setting.rate, setting.steps
    flow = Flow(energy, domain, Atoms(domain, start), steps * dt)
    return solve(flow, GradientDescent(len(r)), steps=steps, times=[dt * k for k in range(1, steps + 1)])


def _size(values: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(values**2)))


THEORY = (
    Check("V19", "dmft", closed_flow),
    Check("V20", "dmft", deep_linear),
    Check("V21", "dmft", lazy),
    Check("V22", "dmft", single_networks, slow=True),
    Check("V23", "dmft", mean_networks, slow=True),
    Check("V24", "dmft", tanh_networks, slow=True),
    Check("V25", "dmft", responses, slow=True),
    Check("V26", "dmft", particles),
)
