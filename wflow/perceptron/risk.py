"""This file owns the empirical risk of a multilayer network and one pass at a parameter: value, gradient, tangents."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from wflow.activation import piecewise_linear
from wflow.arrays import Array, shaped
from wflow.neuron import second_derivative
from wflow.perceptron.losses import HalfSquares, VectorLoss
from wflow.perceptron.network import Layer, Perceptron


@dataclass(frozen=True, eq=False)
class EmpiricalRisk:
    """F(theta) = (1/n) sum_i l(f(x_i; theta), y_i): inputs (n, p), targets (n, q)."""

    network: Perceptron
    inputs: Array
    targets: Array
    loss: VectorLoss = field(default_factory=HalfSquares)

    def __post_init__(self) -> None:
        p, q = self.network.widths[0], self.network.widths[-1]
        inputs = shaped("EmpiricalRisk inputs", self.inputs, (None, p))
        targets = shaped("EmpiricalRisk targets", self.targets, (len(inputs), q))
        self.loss.check(targets)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", targets)

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, chosen: slice | np.ndarray) -> "EmpiricalRisk":
        """That of some rows. They were looked at when this was made; to look again costs a sixth of a small batch."""
        few = object.__new__(EmpiricalRisk)
        parts = (self.network, self.inputs[chosen], self.targets[chosen], self.loss)
        for name, part in zip(("network", "inputs", "targets", "loss"), parts, strict=True):
            object.__setattr__(few, name, part)
        return few

    def at(self, theta: Array, masks: tuple[Array, ...] | None = None) -> "Pass":
        """The forward pass at theta (size,); masks: factors (n, n_l) of the hidden layers, for dropout."""
        return Pass(self, self.network.checked(theta), masks)

    def value(self, theta: Array) -> float:
        """F."""
        return self.at(theta).value

    def gradient(self, theta: Array) -> Array:
        """grad F (size,)."""
        return self.at(theta).gradient

    def accuracy(self, theta: Array) -> float:
        """Share of rows whose largest output is that of the largest target; ValueError where there is one output."""
        if self.network.widths[-1] == 1:
            raise ValueError("accuracy: of one output the largest is always right; give a class each, or compare signs")
        f = self.network.outputs(self.network.checked(theta), self.inputs)
        return float(np.mean(np.argmax(f, axis=1) == np.argmax(self.targets, axis=1)))


@dataclass(frozen=True, eq=False)
class Pass:
    """What one forward and one backward pass leave behind; h[l] and d[l] are those of layer l, counted from 0.

    h[l] (n, n_l) enters layer l, z[l] leaves it, d[l] = dl_i/dz_i of each row's own loss, not divided by n.
    With masks h = mask sigma(z), whose derivatives are masked alike.
    Source: Rumelhart, Hinton & Williams 1986, Nature 323, 533-536.
    """

    risk: EmpiricalRisk
    theta: Array
    masks: tuple[Array, ...] | None = None

    @cached_property
    def layers(self) -> list[Layer]:
        """Matrices and biases."""
        return self.risk.network.layers(self.theta)

    @cached_property
    def _forward(self) -> tuple[list[Array], list[Array]]:
        """h and z."""
        network = self.risk.network
        h, z = [self.risk.inputs], []
        for k, (matrix, bias) in enumerate(self.layers):
            z.append(network.linear(k, matrix, bias, h[k]))
            if k < network.depth - 1:
                h.append(self._masked(k, network.activation.value(z[k])))
        return h, z

    def _masked(self, layer: int, values: Array) -> Array:
        return values if self.masks is None else values * self.masks[layer]

    @property
    def h(self) -> list[Array]:
        """What enters each layer."""
        return self._forward[0]

    @property
    def outputs(self) -> Array:
        """f (n, q)."""
        return self._forward[1][-1]

    @cached_property
    def slopes(self) -> list[Array]:
        """dh/dz of the hidden layers."""
        sigma = self.risk.network.activation
        return [self._masked(k, sigma.slope(z)) for k, z in enumerate(self._forward[1][:-1])]

    @cached_property
    def curvatures(self) -> list[Array]:
        """d2h/dz2 of the hidden layers; 0 for relu and leaky relu, right but at their kinks, where none exists."""
        sigma, z = self.risk.network.activation, self._forward[1][:-1]
        if piecewise_linear(sigma):
            return [np.zeros_like(one) for one in z]
        return [self._masked(k, second_derivative(sigma, one)) for k, one in enumerate(z)]

    @property
    def value(self) -> float:
        """F."""
        return float(np.mean(self.risk.loss.value(self.outputs, self.risk.targets)))

    @cached_property
    def d(self) -> list[Array]:
        """dl_i/dz_i of each layer."""
        return self.back(self.risk.loss.slope(self.outputs, self.risk.targets))

    def back(self, last: Array) -> list[Array]:
        """d of every layer from that of the last (n, q)."""
        found = [last]
        for k in range(len(self.layers) - 1, 0, -1):
            found.append(self.before(k, found[-1]) * self.slopes[k - 1])
        return found[::-1]

    def before(self, layer: int, d: Array) -> Array:
        """s d W: what a derivative in z of a layer is in what entered it."""
        e = d @ self.layers[layer][0]
        s = self.risk.network.scale(layer)
        return e if s == 1.0 else s * e

    @cached_property
    def gradient(self) -> Array:
        """grad F (size,)."""
        n, network = len(self.risk), self.risk.network
        return network.flat(
            [
                (network.scale(k) / n * (d.T @ h), d.sum(axis=0) / n if network.biased(k) else None)
                for k, (d, h) in enumerate(zip(self.d, self.h, strict=True))
            ]
        )

    def gram(self) -> Array:
        """(n, n) of the rows' own gradients, g_i . g_j, g_i = dl_i/dtheta; no array (n, size) is made."""
        return self._gram(self.d, self.d)

    def tangents(self) -> Array:
        """(n q, n q): grad f_k(x_i) . grad f_l(x_j), rows i q + k. Where f = y, sharpness is its largest number/n.

        (Half square: there F'' = (1/n) sum_ik grad f_k(x_i) grad f_k(x_i)^T, which has the numbers of this Gram/n.)
        """
        n, q = self.outputs.shape
        each = [self.back(np.tile(row, (n, 1))) for row in np.eye(q)]
        blocks = np.array([[self._gram(a, b) for b in each] for a in each])
        return blocks.transpose(2, 0, 3, 1).reshape(n * q, n * q)

    def _gram(self, a: list[Array], b: list[Array]) -> Array:
        network, total = self.risk.network, np.zeros((len(self.risk),) * 2)
        for k, h in enumerate(self.h):
            total += (a[k] @ b[k].T) * (network.scale(k) ** 2 * (h @ h.T) + float(network.biased(k)))
        return total
