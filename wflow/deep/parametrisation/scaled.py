"""This file owns networks of width n in a parametrisation: scales, start and rates of a dense network of the house."""

import math
from dataclasses import dataclass
from fractions import Fraction

from wflow.activation import Activation
from wflow.arrays import Array, count
from wflow.deep.parametrisation.table import Exponents, Parametrisation
from wflow.perceptron import EmpiricalRisk, Perceptron

_DIGITS = 300
"""Of a power of n in double precision."""


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
        for name, kind in (("parametrisation", Parametrisation), ("activation", Activation)):
            if not isinstance(given := getattr(self, name), kind):
                raise TypeError(f"ScaledNetwork {name}: got {given!r}; pass one of type {kind.__name__}")
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
        count("ScaledNetwork.start seed", seed, least=0)
        return self.perceptron.start(seed, self._powers(self.parametrisation.b))

    def risk(self, inputs: Array, targets: Array) -> EmpiricalRisk:
        """F = (1/P) sum_i |f(x_i) - y_i|^2/2."""
        return EmpiricalRisk(self.perceptron, inputs, targets)


def _power(n: int, exponent: Fraction) -> float:
    """n^{-exponent}, or ValueError where that is no number of double precision above 0."""
    if abs(logarithm := float(exponent) * math.log10(n)) > _DIGITS:
        raise ValueError(
            f"ScaledNetwork: width {n} to the power {-exponent} has {logarithm:.0f} digits, more than {_DIGITS}; "
            "take a shift of the parametrisation with smaller exponents (.plain, .shifted)"
        )
    return math.pow(n, -exponent)
