"""This file owns networks of width n in a parametrisation: scales, start and rates of a dense network of the house."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from wflow.activation import Activation
from wflow.arrays import Array, count
from wflow.deep.parametrisation.table import Exponents, Parametrisation
from wflow.perceptron import EmpiricalRisk, Perceptron


@dataclass(frozen=True)
class ScaledNetwork:
    """h^1 = W^1 x/d^{1/2}, h^l = W^l phi(h^{l-1}), f = W^{L+1} phi(h^L): L hidden layers of width n, no biases.

    W^l = n^{-a_l} w^l, as `Perceptron.scales`; theta holds w.
    """

    parametrisation: Parametrisation
    activation: Activation
    inputs: int
    width: int
    hidden: int
    outputs: int = 1

    def __post_init__(self) -> None:
        for name in ("inputs", "width", "hidden", "outputs"):
            count(f"ScaledNetwork {name}", getattr(self, name))

    def _powers(self, each: Exponents) -> list[float]:
        """n^{-exponent} of all L + 1 layers."""
        first, middle, last = each
        return [_power(self.width, e) for e in (first, *[middle] * (self.hidden - 1), last)]

    @property
    def perceptron(self) -> Perceptron:
        """The dense network."""
        first, *others = self._powers(self.parametrisation.a)
        widths = (self.inputs, *[self.width] * self.hidden, self.outputs)
        return Perceptron(widths, self.activation, biases=False, scales=(first / math.sqrt(self.inputs), *others))

    @property
    def rates(self) -> tuple[float, ...]:
        """n^{-c_l}: eta times it is the step of w^l."""
        return tuple(self._powers(self.parametrisation.c))

    def start(self, seed: int) -> Array:
        """theta (size,): w^l ~ N(0, n^{-2 b_l}); the same Gaussians in every form of a parametrisation."""
        return self.perceptron.start(seed, self._powers(self.parametrisation.b))

    def risk(self, inputs: Array, targets: Array) -> EmpiricalRisk:
        """F = (1/P) sum_i |f(x_i) - y_i|^2/2."""
        return EmpiricalRisk(self.perceptron, inputs, targets)


def _power(n: int, exponent: Fraction) -> float:
    return math.pow(n, -exponent)


def per_layer(network: Perceptron, rates: Sequence[float]) -> list[float]:
    """One positive rate for each layer, or ValueError."""
    if len(rates) != network.depth or not all(0.0 < r < math.inf for r in rates):
        raise ValueError(f"rates: {rates!r}; give {network.depth} positive numbers, one a layer")
    return [float(r) for r in rates]
