"""This file owns knotted neurons with rotation-invariant weights in two blocks of inputs: functions of two lengths."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array
from wflow.domain import Box
from wflow.knotted import Knots, knotted, pieces
from wflow.two_blocks import TwoBlockNeuron


@dataclass(frozen=True, eq=False)
class TwoRadiiNeuron:
    """psi(s_1, s_2; r_1, r_2) = E sigma(r_1 s_1 T_1 + r_2 s_2 T_2), the mean over directions, sigma knotted.

    Of neurons sigma(w . x) on R^(d_1 + d_2), as wflow.two_blocks has them of a relu(w . x + b): with sigma = s_1 +
    sum_k c_k (. - t_k)_+ it is s_1 plus c_k times the mean of relu at b = -t_k, to O(1/d^2), with exact derivatives of
    that formula. r_1, r_2 >= 0, and psi is even in both.   Raises ValueError for a block of less than two inputs.
    """

    knots: Knots
    sizes: tuple[int, int]

    @property
    def activation(self) -> Activation:
        """sigma with the derivatives of its mean, which has no kink."""
        sigma = knotted(self.knots)
        return Activation("knotted, mean over directions of two blocks", sigma.value, sigma.slope, np.zeros_like)

    @property
    def domain(self) -> Box:
        """A quarter plane."""
        return Box((0.0, 0.0), (math.inf,) * 2, (False,) * 2)

    @property
    def inputs(self) -> int:
        """The two lengths."""
        return 2

    @property
    def names(self) -> tuple[str, ...]:
        """Lengths."""
        return "length r_1", "length r_2"

    def value(self, x: Array, w: Array) -> Array:
        """(n, m)."""
        least = float(self.knots[0][1])
        return np.asarray(least + sum(c * self._relu.value(x, self._at(t, w)) for t, c in pieces(self.knots)))

    def gradient(self, x: Array, w: Array) -> Array:
        """(n, m, 2)."""
        return np.asarray(sum(c * self._relu.gradient(x, self._at(t, w))[..., 2:] for t, c in pieces(self.knots)))

    def curvature(self, x: Array, w: Array) -> Array:
        """(n, m, 2, 2)."""
        found = sum(c * self._relu.curvature(x, self._at(t, w))[..., 2:, 2:] for t, c in pieces(self.knots))
        return np.asarray(found)

    @cached_property
    def _relu(self) -> TwoBlockNeuron:
        return TwoBlockNeuron(self.sizes)

    @staticmethod
    def _at(knot: float, w: Array) -> Array:
        """(a, b, r_1, r_2) = (1, -knot, r_1, r_2)."""
        return np.column_stack([np.ones(len(w)), np.full(len(w), -knot), w])
