"""This file owns neurons psi(x; w): how parameters enter an activation.

Letters: n data, p input dimension, m points, d parameter dimension.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, count
from wflow.domain import Box, circle, space
from wflow.errors import Refused


class Neuron(Protocol):
    """psi with its derivatives in w."""

    @property
    def activation(self) -> Activation:
        """sigma."""

    @property
    def domain(self) -> Box:
        """Where w lives."""

    @property
    def inputs(self) -> int:
        """The input dimension p."""

    def value(self, x: Array, w: Array) -> Array:
        """psi (n, m) for inputs x (n, p) and parameters w (m, d)."""

    def gradient(self, x: Array, w: Array) -> Array:
        """grad_w psi (n, m, d)."""

    def curvature(self, x: Array, w: Array) -> Array:
        """grad_w^2 psi (n, m, d, d); raises Refused where sigma' jumps (relu)."""


def second_derivative(sigma: Activation, z: Array) -> Array:
    """sigma''(z); raises Refused where sigma' jumps."""
    if sigma.curvature is None:
        raise Refused(f"{sigma}: sigma' jumps at {sigma.kinks}, so psi has no second derivative; use a method without")
    return sigma.curvature(z)


@dataclass(frozen=True)
class CircleNeuron:
    """psi(x; theta) = sigma(x . (cos theta, sin theta)), x in R^2, theta on the circle (d = 1)."""

    activation: Activation

    @property
    def domain(self) -> Box:
        """The circle."""
        return circle()

    @property
    def inputs(self) -> int:
        """Two."""
        return 2

    def value(self, x: Array, w: Array) -> Array:
        """(n, m)."""
        return self.activation.value(self._along(x, w))

    def gradient(self, x: Array, w: Array) -> Array:
        """(n, m, 1)."""
        return (self.activation.slope(self._along(x, w)) * self._across(x, w))[..., None]

    def curvature(self, x: Array, w: Array) -> Array:
        """(n, m, 1, 1): sigma'' (x.w')^2 - sigma' x.w."""
        along, across = self._along(x, w), self._across(x, w)
        second = second_derivative(self.activation, along) * across**2 - self.activation.slope(along) * along
        return second[..., None, None]

    @staticmethod
    def _along(x: Array, w: Array) -> Array:
        return np.asarray(x @ np.stack([np.cos(w[:, 0]), np.sin(w[:, 0])]))

    @staticmethod
    def _across(x: Array, w: Array) -> Array:
        return np.asarray(x @ np.stack([-np.sin(w[:, 0]), np.cos(w[:, 0])]))


@dataclass(frozen=True)
class RidgeNeuron:
    """psi(x; w) = a sigma(v . x + c) on R^d with w = (a, v, c); a is 1 without `outer`, c is 0 without `bias`."""

    activation: Activation
    inputs: int = 1
    bias: bool = False
    outer: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            raise TypeError(f"RidgeNeuron activation: got {self.activation!r}; pass activation(name), an Activation")
        count("RidgeNeuron inputs", self.inputs)

    @property
    def dim(self) -> int:
        """d = outer + p + bias."""
        return self.outer + self.inputs + self.bias

    @property
    def domain(self) -> Box:
        """R^d."""
        return space(self.dim)

    def value(self, x: Array, w: Array) -> Array:
        """(n, m)."""
        return self._outer(w) * self.activation.value(self._inner(x, w))

    def gradient(self, x: Array, w: Array) -> Array:
        """(n, m, d)."""
        z = self._inner(x, w)
        slope = self._outer(w) * self.activation.slope(z)
        out = np.empty((*z.shape, self.dim))
        if self.outer:
            out[..., 0] = self.activation.value(z)
        out[..., self._direction] = slope[..., None] * x[:, None, :]
        if self.bias:
            out[..., -1] = slope
        return out

    def curvature(self, x: Array, w: Array) -> Array:
        """(n, m, d, d)."""
        z = self._inner(x, w)
        ray = np.zeros((len(x), self.dim))
        ray[:, self._direction] = x
        if self.bias:
            ray[:, -1] = 1.0
        second = self._outer(w) * second_derivative(self.activation, z)
        out = second[..., None, None] * (ray[:, None, :, None] * ray[:, None, None, :])
        if self.outer:
            mixed = self.activation.slope(z)[..., None] * ray[:, None, :]
            out[..., 0, :] += mixed
            out[..., :, 0] += mixed
        return out

    @property
    def _direction(self) -> slice:
        return slice(int(self.outer), int(self.outer) + self.inputs)

    def _outer(self, w: Array) -> Array:
        return w[:, 0] if self.outer else np.ones(len(w))

    def _inner(self, x: Array, w: Array) -> Array:
        z = x @ w[:, self._direction].T
        return np.asarray(z + w[:, -1] if self.bias else z)
