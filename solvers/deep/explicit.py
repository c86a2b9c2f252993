"""This file owns explicit methods for multilayer networks: Runge-Kutta, gradient descent, and descent by samples."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from solvers.rows import Replaced, Rows
from wflow.arrays import Array, count
from wflow.deep.compression import Compression
from wflow.deep.flow import DeepFlow
from wflow.deep.gradient import Gradient, gradient, moved
from wflow.deep.network import Network
from wflow.deep.nodes import Rule
from wflow.deep.solver import DeepSolver, DeepState, DeepStep
from wflow.errors import Refused


@dataclass(frozen=True)
class _Explicit(DeepSolver):
    """nodes: by what an embedding becomes a network (wflow.deep.nodes); None where the start is one.

    compression: middle layers that start as sums of products stay so; None: they are written as tables.
    """

    nodes: Rule | None = None
    compression: Compression | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.compression, Compression | None):
            raise TypeError(f"{type(self).__name__} compression: got {self.compression!r}; give Compression(limit)")

    def init(self, flow: DeepFlow) -> DeepState:
        net = flow.network(self.nodes)
        if self.compression is None:
            return DeepState(0.0, net.tabled())
        for i, w in enumerate(net.middle, 2):
            if w.table is not None:
                raise Refused(
                    f"{type(self).__name__} compression: w_{i} starts as a table of {w.table.size} numbers, which is "
                    "no sum of products; start from Pairs.products (Latent, limits of Independent), or leave it out"
                )
        return DeepState(0.0, net)

    def _after(self, state: DeepState, dt: float, net: Network) -> DeepState:
        """The state a step later, tables settled, sums of products recompressed."""
        lost = 0.0
        if self.compression is not None:
            net, lost = self.compression.applied(net)
        return DeepState(state.time + dt, net.settled(), state.count + 1, None, state.discarded + lost)


def _gradient(flow: DeepFlow, net: Network) -> Gradient:
    return gradient(net, flow.data, flow.loss)


def _known(flow: DeepFlow, state: DeepState) -> Gradient:
    """The gradient, as the step before left it."""
    return _gradient(flow, state.network) if state.gradient is None else state.gradient


@dataclass(frozen=True)
class GradientFlow(_Explicit):
    """d_t w_i = -xi_i G_i by the classical Runge-Kutta method of order 4.

    A stage is the start plus a sum of as many products as there are data, which is kept apart from the tables while it
    is cheaper: a step writes each table once.   dissipated: int sum_i xi_i |G_i|^2 dt as one more component, order 4.
    A rate that jumps costs the order: let the steps end there (`solve(times=)`).
    """

    order: ClassVar[float] = 4.0

    def step(self, flow: DeepFlow, state: DeepState, dt: float) -> DeepStep:
        net = state.network
        rates = [flow.speeds.at(state.time + c * dt) for c in (0.0, 0.5, 1.0)]
        k1 = _known(flow, state)
        k2 = _gradient(flow, moved(net, [(0.5 * dt * rates[0], k1)]))
        k3 = _gradient(flow, moved(net, [(0.5 * dt * rates[1], k2)]))
        k4 = _gradient(flow, moved(net, [(dt * rates[1], k3)]))
        shares = [(1.0, rates[0], k1), (2.0, rates[1], k2), (2.0, rates[1], k3), (1.0, rates[2], k4)]
        end = self._after(state, dt, moved(net, [(dt / 6.0 * b * xi, k) for b, xi, k in shares]))
        spent = dt / 6.0 * sum(b * float(xi @ k.squares(net.masses)) for b, xi, k in shares)
        return DeepStep(replace(end, gradient=_gradient(flow, end.network)), spent)


@dataclass(frozen=True)
class GradientDescent(_Explicit):
    """w_i <- w_i - dt xi_i G_i: gradient descent as it is run, explicit Euler on the flow. Order 1.

    On a network of widths n_i it is w_i <- w_i - dt xi_i r_i dF/dw_i with raw derivatives and the rates r_1 = n_1,
    r_i = n_{i-1} n_i, r_L = n_{L-1}, n_i for biases.   dissipated: the trapezoidal rule.
    """

    order: ClassVar[float] = 1.0

    def step(self, flow: DeepFlow, state: DeepState, dt: float) -> DeepStep:
        first, masses = _known(flow, state), state.network.masses
        rates = flow.speeds.at(state.time)
        end = self._after(state, dt, moved(state.network, [(dt * rates, first)]))
        last, then = _gradient(flow, end.network), flow.speeds.at(state.time + dt)
        spent = 0.5 * dt * float(rates @ first.squares(masses) + then @ last.squares(masses))
        return DeepStep(replace(end, gradient=last), spent)


@dataclass(frozen=True)
class StochasticGradient(_Explicit):
    """w_i <- w_i - dt xi_i G_i^batch: descent on `batch` data a step, drawn by `rows` with the seed.

    In mean square its distance to the flow at a fixed time is O((dt/batch)^(1/2)). Draws come from
    default_rng([seed, step]).   Source: Robbins & Monro 1951; for the limit Nguyen & Pham 2020, arXiv:2001.11443.
    """

    batch: int = 1
    seed: int = 0
    rows: Rows = field(default_factory=Replaced)
    order: ClassVar[float] = 0.5
    random: ClassVar[bool] = True
    descends: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        count("StochasticGradient batch", self.batch)
        count("StochasticGradient seed", self.seed, least=0)
        if not isinstance(self.rows, Rows):
            raise TypeError(f"StochasticGradient rows: {self.rows!r} is no way to draw; give Replaced() or Epochs()")

    def refusal(self, flow: DeepFlow) -> str | None:
        """Data that the way of drawing cannot take."""
        return self.rows.refusal(flow.data)

    def step(self, flow: DeepFlow, state: DeepState, dt: float) -> DeepStep:
        seen = self.rows.batch(flow.data, self.batch, self.seed, state.count)
        lengths: Array = dt * flow.speeds.at(state.time)
        found = gradient(state.network, seen, flow.loss)
        return DeepStep(self._after(state, dt, moved(state.network, [(lengths, found)])))


def raw_rates(widths: tuple[int, ...]) -> Array:
    """By what raw derivatives dF/dw_i of a network of these widths are multiplied: n_1, n_{i-1} n_i, .., n_{L-1}."""
    n = np.array([1, *widths, 1], dtype=np.float64)
    return np.asarray(n[:-1] * n[1:])
