"""This file owns neurons psi(x; w): how parameters enter an activation.

Letters: n data, p input dimension, m points, d parameter dimension.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, count
from wflow.domain import TURN, Box, circle, space
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

    @property
    def names(self) -> tuple[str, ...]:
        """What the d parameters are called."""

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

    @property
    def names(self) -> tuple[str, ...]:
        """An angle."""
        return ("angle (radian)",)

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

    def bends(self, x: Array, w: Array) -> tuple[Array, Array]:
        """1 (m,) and z = x . w (n, m): psi = sigma(z) is not smooth where z passes a kink of sigma."""
        return np.ones(len(w)), self._along(x, w)

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
    def names(self) -> tuple[str, ...]:
        """Outer weight a, inner weights v, bias c."""
        inner = ["v"] if self.inputs == 1 else [f"v_{k}" for k in range(1, self.inputs + 1)]
        outer, bias = ["outer weight a"] * self.outer, ["bias c"] * self.bias
        return (*outer, *(f"inner weight {v}" for v in inner), *bias)

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

    def bends(self, x: Array, w: Array) -> tuple[Array, Array]:
        """a (m,) and z = v . x + c (n, m): psi = a sigma(z) is not smooth where z passes a kink of sigma."""
        return self._outer(w), self._inner(x, w)

    @property
    def _direction(self) -> slice:
        return slice(int(self.outer), int(self.outer) + self.inputs)

    def _outer(self, w: Array) -> Array:
        return w[:, 0] if self.outer else np.ones(len(w))

    def _inner(self, x: Array, w: Array) -> Array:
        z = x @ w[:, self._direction].T
        return np.asarray(z + w[:, -1] if self.bias else z)


_PROBES = np.linspace(0.0, TURN, 7)


@dataclass(frozen=True)
class TranslationNeuron:
    """psi(x; w) = a prod_k sigma(x_k - t_k), x on the torus, w = (a, t_1, .., t_q); a is 1 without `outer`.

    Deconvolution: f_pi is the measure of the t_k, with charges a, seen through the filter sigma, which must have period
    2 pi (`dirichlet`, `cos_minus_sin` of whole frequency). On the circle (q = 1), the torus, or with `outer` on the
    line times these: the cylinder.
    """

    activation: Activation
    inputs: int = 1
    outer: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            raise TypeError(f"TranslationNeuron activation: got {self.activation!r}; pass activation(name)")
        count("TranslationNeuron inputs", self.inputs)
        apart = float(np.max(np.abs(self.activation.value(_PROBES) - self.activation.value(_PROBES + TURN))))
        if apart > 1e-9:
            raise ValueError(
                f"TranslationNeuron activation: {self.activation} changes by {apart:.3g} over 2 pi, so x - w on the "
                "circle has no sigma; give one of period 2 pi, such as activation('dirichlet', 3)"
            )

    @property
    def domain(self) -> Box:
        """The torus of as many angles as inputs, with `outer` times a line in front."""
        q, first = self.inputs, int(self.outer)
        line = (-np.inf,) * first, (np.inf,) * first
        return Box((*line[0], *(0.0,) * q), (*line[1], *(TURN,) * q), (False,) * first + (True,) * q)

    @property
    def names(self) -> tuple[str, ...]:
        """The outer weight, then angles."""
        angles = ("angle t",) if self.inputs == 1 else tuple(f"angle t_{k}" for k in range(1, self.inputs + 1))
        return ("outer weight a", *angles) if self.outer else angles

    def value(self, x: Array, w: Array) -> Array:
        """(n, m)."""
        return np.asarray(self._outer(w) * np.prod(self._factors(x, w, 0)[0], axis=0))

    def gradient(self, x: Array, w: Array) -> Array:
        """(n, m, d)."""
        sigma, slope = self._factors(x, w, 1)
        parts = [-self._outer(w) * _product(sigma, {k: slope[k]}) for k in range(self.inputs)]
        return np.stack([np.prod(sigma, axis=0), *parts] if self.outer else parts, axis=-1)

    def curvature(self, x: Array, w: Array) -> Array:
        """(n, m, d, d)."""
        sigma, slope, second = self._factors(x, w, 2)
        first, d = int(self.outer), self.domain.dim
        out = np.zeros((len(x), len(w), d, d))
        for k in range(self.inputs):
            for j in range(self.inputs):
                swapped = {k: second[k]} if j == k else {k: slope[k], j: slope[j]}
                out[..., first + k, first + j] = self._outer(w) * _product(sigma, swapped)
            if self.outer:
                out[..., 0, 1 + k] = out[..., 1 + k, 0] = -_product(sigma, {k: slope[k]})
        return out

    def _outer(self, w: Array) -> Array:
        return w[:, 0] if self.outer else np.ones(len(w))

    def _factors(self, x: Array, w: Array, order: int) -> list[Array]:
        """sigma, sigma', .. of x_k - t_k (q, n, m) up to that order; a Dirichlet kernel by its waves, a product."""
        angles = w[:, int(self.outer) :]
        if self.activation.name == "dirichlet" and self.activation.parameter is not None:
            degree = int(self.activation.parameter)
            there = np.swapaxes(waves(angles.T, degree, 0), 1, 2)
            return [waves(x.T, degree, power) @ there for power in range(order + 1)]
        shifts = np.asarray(x.T[:, :, None] - angles.T[:, None, :])
        found = [self.activation.value(shifts), self.activation.slope(shifts)]
        return [*found, second_derivative(self.activation, shifts)] if order == 2 else found


def waves(z: Array, degree: int, power: int) -> Array:
    """d^power of (1, sqrt 2 cos kz, sqrt 2 sin kz), k = 1..degree, on one more axis: waves(x) . waves(t) is D(x - t).

    With a power, waves(x, power) . waves(t, 0) is that derivative of the Dirichlet kernel D at x - t.
    """
    k = np.arange(1, degree + 1)
    turn = math.sqrt(2.0) * np.exp(1j * z[..., None] * k) * (1j * k) ** power
    constant = np.full((*z.shape, 1), float(power == 0))
    return np.concatenate([constant, turn.real, turn.imag], axis=-1)


def _product(factors: Array, swapped: dict[int, Array]) -> Array:
    """prod_k factors_k over the first axis, some of them swapped for others."""
    return np.asarray(np.prod([swapped.get(k, factor) for k, factor in enumerate(factors)], axis=0))
