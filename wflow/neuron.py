"""This file owns neurons psi(x; w): how parameters enter an activation.

Letters: n data, p input dimension, m points, d parameter dimension.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow.activation import Activation, gaussian
from wflow.arrays import Array, count, positive
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

    @property
    def _direction(self) -> slice:
        return slice(int(self.outer), int(self.outer) + self.inputs)

    def _outer(self, w: Array) -> Array:
        return w[:, 0] if self.outer else np.ones(len(w))

    def _inner(self, x: Array, w: Array) -> Array:
        z = x @ w[:, self._direction].T
        return np.asarray(z + w[:, -1] if self.bias else z)


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
        return np.asarray(self._outer(w) * np.prod(self.activation.value(self._shifts(x, w)), axis=0))

    def gradient(self, x: Array, w: Array) -> Array:
        """(n, m, d)."""
        sigma, slope = self._factors(self._shifts(x, w))
        parts = [-self._outer(w) * _product(sigma, {k: slope[k]}) for k in range(self.inputs)]
        return np.stack([np.prod(sigma, axis=0), *parts] if self.outer else parts, axis=-1)

    def curvature(self, x: Array, w: Array) -> Array:
        """(n, m, d, d)."""
        shifts = self._shifts(x, w)
        (sigma, slope), second = self._factors(shifts), second_derivative(self.activation, shifts)
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

    def _shifts(self, x: Array, w: Array) -> Array:
        """x_k - t_k (q, n, m)."""
        return np.asarray(x.T[:, :, None] - w[:, int(self.outer) :].T[:, None, :])

    def _factors(self, shifts: Array) -> tuple[Array, Array]:
        return self.activation.value(shifts), self.activation.slope(shifts)


@dataclass(frozen=True)
class BumpNeuron:
    """psi(x; w) = exp(-|x - w|^2/(2 width^2)), x and w in a box with walls: a bump that moves."""

    width: float
    box: Box

    def __post_init__(self) -> None:
        positive("BumpNeuron width", self.width)
        if any(self.box.periodic):
            raise ValueError(f"BumpNeuron box: {self.box} has a periodic axis; give walls, or use TranslationNeuron")

    @property
    def activation(self) -> Activation:
        """exp(-z^2/2), of each coordinate of (x - w)/width."""
        return gaussian()

    @property
    def domain(self) -> Box:
        """The box."""
        return self.box

    @property
    def inputs(self) -> int:
        """As many as parameters."""
        return self.box.dim

    @property
    def names(self) -> tuple[str, ...]:
        """Positions."""
        return tuple(f"position w_{k}" for k in range(1, self.box.dim + 1))

    def value(self, x: Array, w: Array) -> Array:
        """(n, m)."""
        return np.asarray(np.exp(-0.5 * sum(z**2 for z in self._away(x, w))))

    def gradient(self, x: Array, w: Array) -> Array:
        """(n, m, d)."""
        z = self._away(x, w)
        return np.stack([self.value(x, w) * part / self.width for part in z], axis=-1)

    def curvature(self, x: Array, w: Array) -> Array:
        """(n, m, d, d): psi (z z^T - I)/width^2."""
        z, psi = self._away(x, w), self.value(x, w)
        out = np.empty((*psi.shape, len(z), len(z)))
        for k, j in np.ndindex(len(z), len(z)):
            out[..., k, j] = psi * (z[k] * z[j] - (k == j)) / self.width**2
        return out

    def _away(self, x: Array, w: Array) -> Array:
        """(x - w)/width (d, n, m)."""
        return np.asarray((x.T[:, :, None] - w.T[:, None, :]) / self.width)


_PROBES = np.linspace(0.0, TURN, 7)


def _product(factors: Array, swapped: dict[int, Array]) -> Array:
    """prod_k factors_k over the first axis, some of them swapped for others."""
    return np.asarray(np.prod([swapped.get(k, factor) for k, factor in enumerate(factors)], axis=0))
