"""This file owns bounds of smooth activations and of sums of smooth neurons on boxes, and lower bounds of those sums.

V(w) = sum_i r_i psi(x_i; w). With |sigma^(j)| <= S_j and e a unit direction in w, the j-th derivative of psi along e is

    sigma(x . (cos t, sin t)):     |.| <= S_1 rho,  S_2 rho^2 + S_1 rho,  S_3 rho^3 + 3 S_2 rho^2 + S_1 rho,  rho = |x|
    sigma(X . v):                  |.| <= S_j |X|^j
    a sigma(X . v), |a| <= A:      |.| <= A S_j |X|^j + j S_{j-1} |X|^{j-1}
    exp(-|x - w|^2/(2 s^2)):       |.| <= G_j s^{-j},  G_j = sup |g^(j)|, g(z) = e^{-z^2/2}

(proved: z = rho cos(t - phi) has all derivatives at most rho; the product rule, the derivative of a along e being at
most 1; along a line a Gaussian is a factor below 1 times g).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.activation import Activation, parameter_of
from wflow.arrays import Array
from wflow.bump import BumpNeuron
from wflow.domain import Box
from wflow.duality.branch import Search, Smooth, enclosed
from wflow.duality.field import UNIT, Enclosure
from wflow.neuron import CircleNeuron, Neuron, RidgeNeuron

Bounds = tuple[float, float, float, float]
_BELL: Bounds = (1.0, math.exp(-0.5), 1.0, 1.3802)
_STEEP = 4.0 / (3.0 * math.sqrt(3.0))
_CELLS = {1: 64, 2: 16, 3: 6}
_LIMIT = 20_000
_OPERATIONS = 64.0


def derivative_bounds(sigma: Activation, reach: float) -> Bounds | None:
    """Bounds S_0, .., S_3 of |sigma|, |sigma'|, |sigma''|, |sigma'''| on |z| <= reach; None where not known.

    S_3 is infinite where sigma'' jumps. None for kinked activations (wflow.duality.arcwise) and for unknown ones.
    """
    b = parameter_of(sigma)
    if b is None:
        return None
    slopes: dict[str, tuple[float, float, float]] = {
        "linear": (1.0, 0.0, 0.0),
        "quadratic": (2.0 * reach, 2.0, 0.0),
        "relu_squared": (2.0 * reach, 2.0, math.inf),
        "elu": (1.0, 1.0, math.inf),
        # sup |phi''| = 2/sqrt(2 pi), the others at z^2 = 2 and z^2 = (7 - sqrt 33)/2
        "gelu": (1.1290, 0.7979, 0.7791),
        "softplus": (1.0, b / 4.0, b**2 * _STEEP / 8.0),
        "sigmoid": (b / 4.0, b**2 * _STEEP / 8.0, b**3 / 8.0),
        "tanh": (b, b**2 * _STEEP, 2.0 * b**3),
        "erf": tuple(b**j * c for j, c in enumerate((1.12838, 0.96789, 2.25676), 1)),  # type: ignore[dict-item]
        "cos_minus_sin": tuple(1.4142136 * b**j for j in (1, 2, 3)),  # type: ignore[dict-item]
        "dirichlet": tuple(2.0 * float(np.sum(np.arange(1.0, b + 1.0) ** j)) for j in (1, 2, 3)),  # type: ignore[dict-item]
    }
    if sigma.name not in slopes:
        return None
    first, second, third = slopes[sigma.name]
    at_0 = abs(float(sigma.value(np.zeros(1))[0]))
    return at_0 + first * reach, first, second, third


@dataclass(frozen=True, eq=False)
class Bounded:
    """V = sum_i r_i psi(x_i; w) on a box, r (n,), and per datum bounds (n, 4) of psi and three derivatives."""

    neuron: Neuron
    x: Array
    r: Array
    box: Box
    each: Array

    @classmethod
    def of(cls, neuron: Neuron, x: Array, r: Array, box: Box) -> "Bounded | None":
        """None where the box is infinite, the neuron of another kind, or its activation of unknown bounds."""
        each = neuron_bounds(neuron, x, box)
        return None if each is None or box.dim not in _CELLS else cls(neuron, x, r, box, each)

    def negated(self) -> "Bounded":
        """-V."""
        return Bounded(self.neuron, self.x, -self.r, self.box, self.each)

    @cached_property
    def sizes(self) -> Array:
        """(4,) bounds of V and its derivatives along unit directions."""
        return np.asarray(np.abs(self.r) @ self.each)

    def jet(self, w: Array) -> tuple[Array, Array, Array]:
        """V (m,), V' (m, d), V'' (m, d, d)."""
        values, slopes = self.r @ self.neuron.value(self.x, w), self.neuron.gradient(self.x, w)
        bends = self.neuron.curvature(self.x, w)
        return values, np.tensordot(self.r, slopes, 1), np.tensordot(self.r, bends, 1)

    def lowest(self, below: float = np.inf) -> Enclosure:
        """min V by branch and bound, to a width of 2e-14 of its range beside the rounding.

        Rounding: an argument z is off by 16 u times its size, which a derivative of one order more turns into the error
        of the value; n terms are summed: (n + 64) u times the bounds of this order and the next.
        """
        n = len(self.r) + _OPERATIONS
        following = np.where(np.isfinite(self.sizes[1:]), self.sizes[1:], 0.0)
        errors = UNIT * n * (self.sizes[:3] + following * (1.0 + float(np.max(np.abs(_corners(self.box))))))
        d = self.box.dim
        low, high = np.asarray(self.box.lower), np.asarray(self.box.upper)
        v = Smooth(
            low, high, self.box.periodic, self.jet, float(self.sizes[2]), float(self.sizes[3]),
            (float(errors[0]), float(errors[1]), float(errors[2])), _CELLS[d],
        )  # fmt: skip
        tolerance = max(2e-14 * float(self.sizes[1] * np.linalg.norm(high - low)), 2.0 * float(errors[0]))
        return enclosed(v, Search(tolerance, _LIMIT, below), "bounded derivatives, branch and bound")


def _corners(box: Box) -> Array:
    return np.array([box.lower, box.upper])


def neuron_bounds(neuron: Neuron, x: Array, box: Box) -> Array | None:
    """(n, 4) bounds of psi(x_i; .) and of its first three derivatives along unit directions of the box; None: unknown.

    Of kinked neurons the value and the slope alone, the others infinite.
    """
    if not box.bounded:
        return None
    if type(neuron) is BumpNeuron:
        return np.tile(neuron.height * np.array(_BELL) / neuron.width ** np.arange(4.0), (len(x), 1))
    if type(neuron) is CircleNeuron:
        rho = np.linalg.norm(x, axis=1)
        found = _scalar(neuron.activation, float(rho.max(initial=0.0)))
        return None if found is None else _turning(np.array(found), rho)
    if type(neuron) is RidgeNeuron:
        return _affine(neuron, x, np.max(np.abs(_corners(box)), axis=0))
    return None


def _scalar(sigma: Activation, reach: float) -> Bounds | None:
    """Of kinked activations: Lipschitz with constant 1, or the leak where that is more."""
    if sigma.curvature is None and parameter_of(sigma) is not None:
        steepest = max(1.0, abs(sigma.parameter or 0.0)) if sigma.name == "leaky_relu" else 1.0
        return abs(float(sigma.value(np.zeros(1))[0])) + steepest * reach, steepest, math.inf, math.inf
    return derivative_bounds(sigma, reach)


def _turning(s: Array, rho: Array) -> Array:
    first, second, third = s[1] * rho, s[2] * rho**2 + s[1] * rho, s[3] * rho**3 + 3.0 * s[2] * rho**2 + s[1] * rho
    return np.stack([np.full_like(rho, s[0]), first, second, third], axis=1)


def _affine(neuron: RidgeNeuron, x: Array, most: Array) -> Array | None:
    """most (d,): the largest absolute value of each parameter."""
    columns = np.column_stack([x, np.ones(len(x))]) if neuron.bias else x
    inner = most[int(neuron.outer) :]
    size, reach = np.linalg.norm(columns, axis=1), float(np.max(np.abs(columns) @ inner, initial=0.0))
    found = _scalar(neuron.activation, reach)
    if found is None:
        return None
    plain = np.stack([found[j] * size**j for j in range(4)], axis=1)
    if not neuron.outer:
        return plain
    mixed = np.stack([j * plain[:, j - 1] for j in range(1, 4)], axis=1)
    return np.column_stack([most[0] * plain[:, 0], most[0] * plain[:, 1:] + mixed])
