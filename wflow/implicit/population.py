"""This file owns the kernel of relu neurons under Gaussian or spherical inputs, against atoms or a ring of neurons.

    k((a, b), (a', b')) = a a' E relu(b . x) relu(b' . x)

x ~ N(0, I_d): wflow.space_kernel. x uniform on the unit sphere: that over d, since x = |x| x/|x| with independent
factors, E |x|^2 = d, and relu is homogeneous (proved). Against a ring of neurons: wflow.implicit.ring.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from wflow.arrays import Array
from wflow.domain import Box
from wflow.implicit.ring import Ring, ring_sums
from wflow.law import Law
from wflow.measure import Measure
from wflow.space_kernel import ReluSpaceKernel, polar

Inputs = Literal["gaussian", "sphere"]
INPUTS = ("gaussian", "sphere")


@dataclass(frozen=True)
class PopulationKernel:
    """k on R^(d+1) with w = (a, b), d = `dim` >= 2. At b = 0, which has no direction, derivatives in b are set to 0."""

    dim: int
    inputs: Inputs = "gaussian"
    by_moments = False

    def __post_init__(self) -> None:
        ReluSpaceKernel(self.dim)
        if self.inputs not in INPUTS:
            raise ValueError(f"inputs: {self.inputs!r} is not known; give one of {', '.join(INPUTS)}")

    @property
    def share(self) -> float:
        """Of the Gaussian kernel: E |x|^2/d."""
        return 1.0 if self.inputs == "gaussian" else 1.0 / self.dim

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """d^j/dw^j int k(w, .) dpi at w (m, d + 1), j = 0, 1, 2."""
        found = _of_ring(w, derivative) if isinstance(pi, Ring) else self._atoms.against(pi, w, derivative)
        return self.share * found

    def double(self, pi: Measure | Law) -> float:
        """int int k dpi dpi; of the ring 2/pi^2 = E |(x_1, x_2)|^2/pi^2."""
        return self.share * (2.0 / np.pi**2 if isinstance(pi, Ring) else self._atoms.double(pi))

    def coefficients(self, count: int) -> Array:
        """Of cos n phi between unit vectors."""
        return self.share * self._atoms.coefficients(count)

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """The Gaussian kernel's, its core times the share."""
        factor, core = self._atoms.coupling(w)
        return factor, self.share * core

    @property
    def jumps(self) -> float:
        """As the Gaussian kernel."""
        return self._atoms.jumps

    @property
    def names(self) -> tuple[str, ...]:
        """Outer weight, and the inner weight as a vector."""
        return self._atoms.names

    @property
    def domain(self) -> Box:
        """R^(d+1)."""
        return self._atoms.domain

    @property
    def convex(self) -> bool:
        """A mean of products is positive semidefinite."""
        return True

    @property
    def _atoms(self) -> ReluSpaceKernel:
        return ReluSpaceKernel(self.dim)


def _of_ring(w: Array, derivative: int) -> Array:
    """a g(b) and its derivatives in (a, b)."""
    a, radius, along = polar(w)
    if derivative == 0:
        return np.asarray(a * radius * ring_sums(along, 0))
    slope = ring_sums(along, 1)
    if derivative == 1:
        return np.concatenate([(radius * np.sum(slope * along, axis=1))[:, None], a[:, None] * slope], axis=1)
    out = np.zeros((len(w), w.shape[1], w.shape[1]))
    out[:, 0, 1:] = out[:, 1:, 0] = slope
    bend = np.where(radius > 0.0, a / np.where(radius > 0.0, radius, 1.0), 0.0)
    out[:, 1:, 1:] = bend[:, None, None] * ring_sums(along, 2)
    return out
