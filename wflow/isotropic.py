"""This file owns laws of neurons (a, b) with b in any direction of R^d: a sign, two sizes and a direction."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from wflow.arrays import Array, count, finite
from wflow.domain import Box, space
from wflow.law import Law

_ROOTS = 60


@dataclass(frozen=True, eq=False)
class Isotropic(Law):
    """(a, b) = (s A, B u): s = +-1 alike, A uniform in `outer`, B in `inner`, u on the unit sphere of R^d; independent.

    inputs: d >= 2.   outer, inner: (least, largest), 0 < least <= largest: at b = 0 there is no direction.
    """

    inputs: int
    outer: tuple[float, float] = (0.5, 1.0)
    inner: tuple[float, float] = (1.0, 1.5)

    def __post_init__(self) -> None:
        count("Isotropic inputs", self.inputs, least=2)
        for name in ("outer", "inner"):
            ends = finite(f"Isotropic {name}", getattr(self, name))
            if ends.shape != (2,) or not 0.0 < ends[0] <= ends[1]:
                raise ValueError(
                    f"Isotropic {name}: {getattr(self, name)} is not (least, largest), 0 < least <= largest"
                )

    @property
    def domain(self) -> Box:
        """R^(d+1)."""
        return space(self.inputs + 1)

    @property
    def has_quantised(self) -> bool:
        return True

    def quantised(self, m: int) -> Array:
        """m points (m, d + 1), no chance: signs alternate, the rest by the additive recurrence of `Law.quantised`.

        Directions are normalised Gaussian quantiles of d of its d + 2 coordinates.
        """
        j, axes = np.arange(1, count("m", m) + 1)[:, None], self.inputs + 2
        g = 2.0
        for _ in range(_ROOTS):
            g = (1.0 + g) ** (1.0 / (axes + 1))
        s = np.mod(0.5 + j * g ** -np.arange(1.0, axes + 1.0), 1.0)
        return self._at(
            np.where(np.arange(m) % 2, -1.0, 1.0), s[:, 0], s[:, 1], np.asarray(ndtri(s[:, 2:]), dtype=np.float64)
        )

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        first, second, chance = rng.random((3, count("m", m)))
        gauss = rng.standard_normal((m, self.inputs))
        return self._at(np.where(chance < 0.5, -1.0, 1.0), first, second, gauss)

    def _at(self, sign: Array, first: Array, second: Array, gauss: Array) -> Array:
        """From signs, two numbers in [0, 1] and vectors (m, d) of any length."""
        a = sign * (self.outer[0] + (self.outer[1] - self.outer[0]) * first)
        size = self.inner[0] + (self.inner[1] - self.inner[0]) * second
        return np.column_stack([a, gauss * (size / np.linalg.norm(gauss, axis=1))[:, None]])
