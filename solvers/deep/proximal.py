"""This file owns the proximal step of multilayer networks: the minimising movement in the Hilbert space of weights."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from solvers.deep.newton import minimum
from wflow.arrays import Array, count, positive
from wflow.deep.flow import DeepFlow
from wflow.deep.gradient import Gradient, gradient, risk
from wflow.deep.network import Network, replace_weights
from wflow.deep.nodes import Rule
from wflow.deep.pairs import Pairs
from wflow.deep.solver import DeepSolver, DeepState, DeepStep
from wflow.errors import Refused


@dataclass(frozen=True)
class Proximal(DeepSolver):
    """W_{k+1} = argmin F(W) + sum_i |W_i - W_i^k|^2_{L2(P)}/(2 dt xi_i): implicit Euler, a deep JKO step.

    At L = 2 it is the two-layer step with the coupling held at the identity. First order; xi at the end of the step.
    Unknowns z = (p p'/xi)^(1/2) W, in which the metric is Euclidean; Newton's method with conjugate gradients, whose
    products with the Hessian are differences of gradients; a step only goes where the objective falls, so that
    F_{k+1} + dissipated <= F_k with dissipated the movement. Beyond a dt at which 1 + dt F'' loses its sign the point
    found is stationary and below the start, not known to be the least.
    A minimum may lie at a kink of an activation, where no slope is 0: a long step is then NotConverged.
    residual: |W - W^k + dt xi G(W)| in the metric.   Raises NotConverged above `tolerance`, Refused at passive nodes.
    Source: Jordan, Kinderlehrer & Otto 1998, SIAM J. Math. Anal. 29(1), 1-17, in place of whose W2 the norm of L2(P).
    """

    nodes: Rule | None = None
    tolerance: float = 1e-11
    limit: int = 60
    order: ClassVar[float] = 1.0
    variational: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive("Proximal tolerance", self.tolerance)
        count("Proximal limit", self.limit)

    def init(self, flow: DeepFlow) -> DeepState:
        net = flow.network(self.nodes).tabled()
        for i, p in enumerate(net.masses, 1):
            if not np.all(p > 0.0):
                raise Refused(f"Proximal: layer {i} has passive nodes, which no minimum sees; use GradientFlow")
        return DeepState(0.0, net)

    def step(self, flow: DeepFlow, state: DeepState, dt: float) -> DeepStep:
        chart = _Chart(state.network, flow.speeds.at(state.time + dt))
        start = chart.flat(state.network)

        def objective(z: Array) -> float:
            return dt * risk(chart.network(z), flow.data, flow.loss) + 0.5 * float(np.sum((z - start) ** 2))

        def slope(z: Array) -> Array:
            return dt * chart.slope(gradient(chart.network(z), flow.data, flow.loss)) + z - start

        z, residual = minimum("Proximal", objective, slope, start, tolerance=self.tolerance, limit=self.limit)
        end = chart.network(z)
        spent = float(np.sum((z - start) ** 2)) / (2.0 * dt)
        found = gradient(end, flow.data, flow.loss)
        return DeepStep(DeepState(state.time + dt, end, state.count + 1, found), spent, residual)


class _Chart:
    """z = (p p'/xi)^(1/2) W of the layers with xi > 0, one after another with their biases."""

    def __init__(self, net: Network, rates: Array) -> None:
        self._net, p = net, net.masses
        weights = [p[0][:, None] * np.ones(net.first.shape[1])]
        weights += [np.outer(a, b) for a, b in pairwise(p)] + [p[-1]]
        self._moving = rates > 0.0
        self._roots = [np.sqrt(w / xi) if xi > 0.0 else w for w, xi in zip(weights, rates, strict=True)]
        self._bias_roots = [
            np.sqrt(w / xi) if b is not None and xi > 0.0 else None
            for w, b, xi in zip(p, net.biases, rates, strict=False)
        ]
        self._rates = rates

    def flat(self, net: Network) -> Array:
        """z of a network."""
        parts = [root * w for root, w in self._pairs(_layers(net))]
        parts += [root * b for root, b in zip(self._bias_roots, net.biases, strict=True) if root is not None]
        return np.concatenate([np.empty(0), *(part.ravel() for part in parts)])

    def slope(self, g: Gradient) -> Array:
        """dF/dz = (p p' xi)^(1/2) G."""
        tables = [g.first, *(g.table(i) for i in range(len(g.middle))), g.last]
        parts = [xi * root * t for root, t, xi in zip(self._roots, tables, self._rates, strict=True) if xi > 0.0]
        parts += [
            xi * root * b
            for root, b, xi in zip(self._bias_roots, g.biases, self._rates, strict=False)
            if root is not None and b is not None
        ]
        return np.concatenate([np.empty(0), *(part.ravel() for part in parts)])

    def network(self, z: Array) -> Network:
        """The network of z."""
        layers, place = _layers(self._net), 0
        for i, root in enumerate(self._roots):
            if self._moving[i]:
                layers[i] = z[place : place + root.size].reshape(root.shape) / root
                place += root.size
        biases = list(self._net.biases)
        for i, bias_root in enumerate(self._bias_roots):
            if bias_root is not None:
                biases[i] = z[place : place + bias_root.size] / bias_root
                place += bias_root.size
        middle = tuple(Pairs.full(w) for w in layers[1:-1])
        return replace_weights(self._net, first=layers[0], middle=middle, last=layers[-1], biases=tuple(biases))

    def _pairs(self, layers: list[Array]) -> list[tuple[Array, Array]]:
        return [(r, w) for r, w, moves in zip(self._roots, layers, self._moving, strict=True) if moves]


def _layers(net: Network) -> list[Array]:
    return [net.first, *(w.values() for w in net.middle), net.last]
