"""This file owns networks of any scaling as mean-field networks: only the size of their start and their clock differ.

    f(x) = m^-s sum_j a_j relu(b_j . x),   a = 0,  b ~ N(0, I/d),   w_j' = -grad_{w_j} F      (s = 0: the sum; 1: 1/m)

With w~ = c w, c = m^((1-s)/2), f = (1/m) sum_j a~_j relu(b~_j . x), as the neuron is 2-homogeneous; and w' = -grad F is
w~' = -c^2 grad_{w~} F = -(c^2/m) grad V[pi](w~): the W2 gradient flow of F from N(0, m^(1-s)/d) at the time m^-s t
(derived; both sides are run in the tests). So scalings are starts of another size, and every method of the house
serves them. With b frozen, a moves by the same clock.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtri

from wflow.arrays import Array, count, finite, positive
from wflow.domain import Box, space
from wflow.law import Law

_ROOTS = 60


@dataclass(frozen=True)
class Scaling:
    """m neurons scaled by m^-power: 0 is the sum, 1/2 the root, 1 mean-field, or any number between."""

    neurons: int
    power: float = 0.0

    def __post_init__(self) -> None:
        count("neurons", self.neurons)
        if not 0.0 <= float(finite("scaling", self.power)) <= 1.0:
            raise ValueError(f"scaling: {self.power!r} is not allowed; give s of m^-s in [0, 1]")

    @property
    def size(self) -> float:
        """c = m^((1-s)/2): what w of the network is multiplied by."""
        return float(self.neurons ** (0.5 - 0.5 * self.power))

    @property
    def clock(self) -> float:
        """Mean-field time of a time 1 of w' = -grad F."""
        return float(self.neurons**-self.power)

    def start(self, dim: int, *, frozen: bool = False) -> "SilentStart":
        """The law of w~ at t = 0."""
        return SilentStart(dim, self.size, frozen)


@dataclass(frozen=True, eq=False)
class SilentStart(Law):
    """a = 0 and b ~ N(0, (size^2/d) I_d) in R^(d+1), so that f = 0; frozen: on a domain where b stays."""

    dim: int
    size: float = 1.0
    frozen: bool = False

    def __post_init__(self) -> None:
        count("SilentStart dim", self.dim)
        positive("SilentStart size", self.size)

    @cached_property
    def domain(self) -> Box:
        """R^(d+1)."""
        whole = space(self.dim + 1)
        still = (False, *(self.frozen,) * self.dim)
        return Box(whole.lower, whole.upper, whole.periodic, still)

    @property
    def has_quantised(self) -> bool:
        return True

    def quantised(self, m: int) -> Array:
        """m points (m, d + 1), no chance: Gaussian quantiles of the additive recurrence of `Law.quantised`."""
        g = 2.0
        for _ in range(_ROOTS):
            g = (1.0 + g) ** (1.0 / (self.dim + 1))
        s = np.mod(0.5 + np.arange(1, count("m", m) + 1)[:, None] * g ** -np.arange(1.0, self.dim + 1.0), 1.0)
        return self._at(np.asarray(ndtri(s), dtype=np.float64))

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        return self._at(rng.standard_normal((count("m", m), self.dim)))

    def _at(self, gauss: Array) -> Array:
        return np.column_stack([np.zeros(len(gauss)), self.size / math.sqrt(self.dim) * gauss])
