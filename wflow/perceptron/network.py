"""This file owns dense multilayer networks: their shape, the flat vector of their parameters, their outputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wflow.activation import Activation
from wflow.arrays import Array, count, finite, shaped

Layer = tuple[Array, Array | None]
"""W_l (n_l, n_{l-1}) and b_l (n_l,), or None."""


@dataclass(frozen=True)
class Perceptron:
    """f(x) = z^{L+1},   z^l = s_l W_l h^{l-1} + b_l,   h^l = sigma(z^l),   h^0 = x:   L >= 1 hidden layers.

    widths: (p, n_1, .., n_L, q).   biases: one choice, or one for each of the L + 1 layers.   scales: s_l, 1 unless
    given: (1, 1/m) is the mean-field network of m neurons, (1/sqrt p, 1/sqrt n, .., ) the neural tangent one.
    theta (size,) is flat: W_1 row by row, b_1, W_2, b_2, ...
    """

    widths: tuple[int, ...]
    activation: Activation
    biases: bool | tuple[bool, ...] = True
    scales: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.widths) < 3:
            raise ValueError(f"Perceptron widths: {self.widths} has no hidden layer; give (inputs, hidden.., outputs)")
        for width in self.widths:
            count("Perceptron widths", width)
        for name, given in (("biases", self.biases), ("scales", self.scales)):
            if isinstance(given, tuple) and len(given) != self.depth:
                raise ValueError(f"Perceptron {name}: {len(given)} for {self.depth} layers; give one a layer")
        if self.scales is not None and np.any(finite("Perceptron scales", self.scales) == 0.0):
            raise ValueError(f"Perceptron scales: {self.scales}: a layer of scale 0 sees nothing; leave none at 0")

    @property
    def depth(self) -> int:
        """L + 1, the number of layers with parameters."""
        return len(self.widths) - 1

    def scale(self, layer: int) -> float:
        """s_l; layers are counted from 0."""
        return 1.0 if self.scales is None else float(self.scales[layer])

    def biased(self, layer: int) -> bool:
        """Whether it has a bias."""
        return self.biases[layer] if isinstance(self.biases, tuple) else self.biases

    @property
    def size(self) -> int:
        """How many parameters."""
        return sum(out * (into + self.biased(k)) for k, (into, out) in enumerate(pairwise(self.widths)))

    def layers(self, theta: Array) -> list[Layer]:
        """Views of theta, layer by layer."""
        found: list[Layer] = []
        at = 0
        for k, (into, out) in enumerate(pairwise(self.widths)):
            matrix = theta[at : at + into * out].reshape(out, into)
            at += into * out
            bias = theta[at : at + out] if self.biased(k) else None
            at += out if self.biased(k) else 0
            found.append((matrix, bias))
        return found

    def flat(self, layers: Sequence[Layer]) -> Array:
        """theta of matrices and biases: the inverse of `layers`."""
        return np.concatenate([part.ravel() for layer in layers for part in layer if part is not None])

    def checked(self, theta: Array, name: str = "theta") -> Array:
        """theta, finite and of this network's size."""
        return shaped(f"Perceptron {name}", theta, (self.size,))

    def start(self, seed: int, deviations: Sequence[float] | None = None) -> Array:
        """W_l ~ N(0, deviations_l^2), biases 0; unless given |s_l| deviations_l = n_{l-1}^(-1/2)."""
        wide = [1.0 / (abs(self.scale(k)) * math.sqrt(n)) for k, n in enumerate(self.widths[:-1])]
        sizes = wide if deviations is None else shaped("deviations", deviations, (self.depth,)).tolist()
        rng = np.random.default_rng(seed)
        theta = np.zeros(self.size)
        for (matrix, _), size in zip(self.layers(theta), sizes, strict=True):
            matrix[:] = size * rng.standard_normal(matrix.shape)
        return theta

    def outputs(self, theta: Array, x: Array) -> Array:
        """f (n, q) of inputs x (n, p)."""
        h = x
        for k, (matrix, bias) in enumerate(self.layers(theta)):
            z = self.linear(k, matrix, bias, h)
            h = z if k == self.depth - 1 else self.activation.value(z)
        return h

    def linear(self, layer: int, matrix: Array, bias: Array | None, h: Array) -> Array:
        """s W h + b of rows h (n, n_{l-1})."""
        z = h @ matrix.T
        if (s := self.scale(layer)) != 1.0:
            z *= s
        return z if bias is None else z + bias
