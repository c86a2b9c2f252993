"""This file owns the kernel of neurons a relu(b . x) in R^d, x ~ N(0, I_d), in closed form over pairs of neurons.

    k((a, b), (a', b')) = a a' k1(b, b'),   V(a, b) = a |b| K(b/|b|),   K(u) = sum_j q_j k1(u, b_j/|b_j|)

with the charges q_j = pi_j a_j |b_j|. Any d from 2 on; in the plane wflow.plane_kernel has the same in O(m log m).
Homogeneous of degree 2: V(c w) = c^2 V(w).
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count
from wflow.domain import Box, space
from wflow.errors import Refused
from wflow.kernel import relu_kernel
from wflow.law import Atoms, Law
from wflow.measure import Measure
from wflow.space_sums import space_sums

_TAYLOR = (0.5 / math.pi, 0.25, 0.25 / math.pi)
"""k1 of unit vectors is sum_n c_n cos^n phi with c_n >= 0; these three are 98 % of it at phi = 0."""
_BENT = 24
"""Inputs up to which the coupling has the d (d + 1)/2 features of cos^2 phi; beyond, those of cos phi have the rest."""


@dataclass(frozen=True)
class ReluSpaceKernel:
    """k on R^(d+1) with w = (a, b), d = `inputs`. At b = 0, where b has no direction, derivatives in b are set to 0."""

    inputs: int
    by_moments = False

    def __post_init__(self) -> None:
        count("ReluSpaceKernel inputs", self.inputs, least=2)

    def against(self, pi: Measure | Law, w: Array, derivative: int) -> Array:
        """d^j/dw^j int k(w, .) dpi at w (m, d + 1), j = 0, 1, 2; O(m n d), n atoms of pi."""
        units, charges = charges_of(pi)
        a, radius, along = polar(w)
        if derivative == 0:
            return np.asarray(a * radius * space_sums(units, charges, along, 0))
        slope = np.where(radius > 0.0, 1.0, 0.0)[:, None] * space_sums(units, charges, along, 1)
        if derivative == 1:
            return np.concatenate([(radius * np.sum(slope * along, axis=1))[:, None], a[:, None] * slope], axis=1)
        out = np.zeros((len(w),) + (self.inputs + 1,) * 2)
        out[:, 0, 1:] = out[:, 1:, 0] = slope
        bend = np.where(radius > 0.0, a / np.where(radius > 0.0, radius, 1.0), 0.0)
        out[:, 1:, 1:] = bend[:, None, None] * space_sums(units, charges, along, 2)
        return out

    def double(self, pi: Measure | Law) -> float:
        """int int k dpi dpi."""
        units, charges = charges_of(pi)
        return float(charges @ space_sums(units, charges, units, 0))

    def coefficients(self, count: int) -> Array:
        """a_0..a_count of k1 = sum_n a_n cos n phi between unit vectors: in every d those of the plane."""
        return relu_kernel(0.0, "gaussian").coefficients(count)

    def coupling(self, w: Array) -> tuple[Array, Array]:
        """Gradients of the features a |b|, a b_i and a b_i b_j/|b| (m (d + 1), q): cos^n phi, n <= 2, of the kernel.

        Beyond 24 inputs of a |b| and a b_i alone, the latter with all that is left of k1(u, u) = 1/2, so that between
        neurons of one direction it is exact but for turns.
        """
        a, radius, along = polar(w)
        n, d = along.shape
        if d > _BENT:
            return _straight(a, radius, along), np.concatenate([[_TAYLOR[0]], np.full(d, 0.5 - _TAYLOR[0])])
        pairs = list(itertools.combinations_with_replacement(range(d), 2))
        first, second = (np.array([p[k] for p in pairs]) for k in (0, 1))
        x, y, eye = along[:, first], along[:, second], np.eye(d)
        outer = np.concatenate([np.ones((n, 1)), along, x * y], axis=1) * radius[:, None]
        # of b_i b_j/|b|: (b_i e_j + b_j e_i)/|b| - b_i b_j b/|b|^3
        bent = x[:, None, :] * eye[:, second] + y[:, None, :] * eye[:, first] - (x * y)[:, None, :] * along[:, :, None]
        straight = np.broadcast_to(eye, (n, d, d)) * (radius > 0.0)[:, None, None]
        inner = np.concatenate([along[:, :, None], straight, bent], axis=2) * a[:, None, None]
        twice = np.where(first == second, 1.0, 2.0)
        core = np.concatenate([[_TAYLOR[0]], np.full(d, _TAYLOR[1]), _TAYLOR[2] * twice])
        return np.concatenate([outer[:, None, :], inner], axis=1).reshape(n * (d + 1), -1), core

    @property
    def jumps(self) -> float:
        """k1 ~ |b - b'|^3 where directions meet: its third derivative jumps there, and where they become opposite."""
        return 3.0

    @property
    def names(self) -> tuple[str, ...]:
        """Outer weight, and the inner weight as a vector."""
        return ("outer weight a", *(f"inner weight b_{k}" for k in range(1, self.inputs + 1)))

    @property
    def domain(self) -> Box:
        """R^(d+1)."""
        return space(self.inputs + 1)

    @property
    def convex(self) -> bool:
        """A mean of products is positive semidefinite."""
        return True


def polar(w: Array) -> tuple[Array, Array, Array]:
    """a (m,), |b| (m,) and b/|b| (m, d), 0 where b = 0."""
    radius = np.linalg.norm(w[:, 1:], axis=1)
    return w[:, 0], radius, w[:, 1:] / np.where(radius > 0.0, radius, 1.0)[:, None]


def _straight(a: Array, radius: Array, along: Array) -> Array:
    """Gradients of a |b| and a b_i (m (d + 1), 1 + d)."""
    n, d = along.shape
    out = np.zeros((n, d + 1, d + 1))
    out[:, 0, 0], out[:, 0, 1:] = radius, radius[:, None] * along
    out[:, 1:, 0] = a[:, None] * along
    out[:, 1:, 1:] = (a * (radius > 0.0))[:, None, None] * np.eye(d)
    return out.reshape(n * (d + 1), d + 1)


def charges_of(pi: Measure | Law) -> tuple[Array, Array]:
    """Directions b_j/|b_j| (n, d) and charges pi_j a_j |b_j| (n,) of atoms; Refused for other measures."""
    if not isinstance(pi, Measure | Atoms) or (isinstance(pi, Measure) and not pi.atomic):
        raise Refused("a relu(b . x): this kernel takes atoms (particles); sample the law or use quadrature of x")
    a, radius, along = polar(pi.points)
    return along, np.asarray(pi.weights * a * radius)
