"""This file owns the kernel of neurons a relu(b . x) in the plane, x ~ N(0, I_2), in closed form.

k((a, b), (a', b')) = a |b| a' |b'| kappa(angle between b and b'), kappa the ReLU kernel of the circle, so that with
charges q_j = pi_j a_j |b_j| at the angles t_j of b_j: V(a, b) = a |b| K(angle b), K(t) = sum_j q_j kappa(t - t_j).
Exact for atoms by prefix sums over sorted angles, O(m log m). Homogeneous of degree 2: V(c w) = c^2 V(w).
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.domain import Box, circle, space
from wflow.errors import Refused
from wflow.kernel import COUPLED_MODES, relu_kernel
from wflow.law import Atoms, Law
from wflow.measure import Measure, SignedParticles

_KAPPA = relu_kernel(0.0, "gaussian")


@dataclass(frozen=True)
class ReluPlaneKernel:
    """k on R^3 with w = (a, b_1, b_2). At b = 0, where b has no direction, the derivatives in b are set to 0."""

    by_moments = False

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """d^j/dw^j int k(w, .) dpi at w (m, 3): (m,), (m, 3) or (m, 3, 3)."""
        charges = _charges(pi)
        a, radius, along, across = _polar(w)
        parts = _KAPPA.jet(charges, np.arctan2(w[:, 2], w[:, 1]), range(derivative + 1))
        if derivative == 0:
            return np.asarray(a * radius * parts[0])
        if derivative == 1:
            inner = a[:, None] * (parts[0][:, None] * along + parts[1][:, None] * across)
            return np.concatenate([(radius * parts[0])[:, None], inner], axis=1)
        out = np.zeros((len(w), 3, 3))
        out[:, 0, 1:] = out[:, 1:, 0] = parts[0][:, None] * along + parts[1][:, None] * across
        safe = np.where(radius > 0.0, radius, 1.0)
        bend = np.where(radius > 0.0, a * (parts[0] + parts[2]) / safe, 0.0)
        out[:, 1:, 1:] = bend[:, None, None] * across[:, :, None] * across[:, None, :]
        return out

    def double(self, pi: Measure | Law) -> float:
        """int int k dpi dpi."""
        return _KAPPA.double(_charges(pi))

    def coefficients(self, count: int) -> Array:
        """Of kappa, a_0..a_count."""
        return _KAPPA.coefficients(count)

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """Gradients of the features a |b| cos n theta, a |b| sin n theta (3 m, q) with core a_n, n <= 32."""
        a, _, along, across = _polar(w)
        radius = np.linalg.norm(w[:, 1:], axis=1)
        n = np.arange(COUPLED_MODES + 1)
        phase = np.arctan2(w[:, 2], w[:, 1])[:, None] * n
        waves = [(np.cos(phase), -n * np.sin(phase)), (np.sin(phase), n * np.cos(phase))]
        blocks = []
        for value, slope in waves:
            inner = a[:, None, None] * (value[:, None, :] * along[:, :, None] + slope[:, None, :] * across[:, :, None])
            blocks.append(np.concatenate([(radius[:, None] * value)[:, None, :], inner], axis=1))
        factor = np.concatenate(blocks, axis=2).reshape(3 * len(w), -1)
        core = np.tile(self.coefficients(COUPLED_MODES), 2)
        return factor[:, core != 0.0], core[core != 0.0]

    @property
    def jumps(self) -> float:
        """kappa''' jumps by 2/pi at 0 and at pi: where directions of two neurons become equal or opposite."""
        return 3.0

    @property
    def names(self) -> tuple[str, ...]:
        """Outer weight, and the inner weight as a vector."""
        return ("outer weight a", "inner weight b_1", "inner weight b_2")

    @property
    def domain(self) -> Box:
        """R^3."""
        return space(3)

    @property
    def convex(self) -> bool:
        """kappa is positive semidefinite."""
        return True


def _polar(w: Array) -> tuple[Array, Array, Array, Array]:
    """a, |b|, b/|b| and its quarter turn; at b = 0 the unit vectors vanish."""
    radius = np.linalg.norm(w[:, 1:], axis=1)
    along = w[:, 1:] / np.where(radius > 0.0, radius, 1.0)[:, None]
    return w[:, 0], radius, along, np.stack([-along[:, 1], along[:, 0]], axis=1)


def _charges(pi: Measure | Law) -> SignedParticles:
    """pi_j a_j |b_j| at the angles of b_j."""
    if not isinstance(pi, Measure | Atoms) or (isinstance(pi, Measure) and not pi.atomic):
        raise Refused("a relu(b . x): this kernel takes atoms (particles); sample the law or use quadrature of x")
    points = pi.points
    angle = np.mod(np.arctan2(points[:, 2], points[:, 1]), 2.0 * np.pi)[:, None]
    return SignedParticles(circle(), angle, pi.weights * points[:, 0] * np.linalg.norm(points[:, 1:], axis=1))
