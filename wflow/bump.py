"""This file owns the neuron that is a bump in a box with walls."""

from dataclasses import dataclass

import numpy as np

from wflow.activation import Activation, gaussian
from wflow.arrays import Array, positive
from wflow.domain import Box


@dataclass(frozen=True)
class BumpNeuron:
    """psi(x; w) = height exp(-|x - w|^2/(2 width^2)), x and w in a box with walls: a bump that moves."""

    width: float
    box: Box
    height: float = 1.0

    def __post_init__(self) -> None:
        positive("BumpNeuron width", self.width)
        positive("BumpNeuron height", self.height)
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
        return np.asarray(self.height * np.exp(-0.5 * sum(z**2 for z in self._away(x, w))))

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
