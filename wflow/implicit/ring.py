"""This file owns the teacher that is a ring of neurons, and what relu neurons correlate with it, in closed form.

    f*(x) = E relu(cos t x_1 + sin t x_2) = |(x_1, x_2)|/pi,   t uniform,   x ~ N(0, I_d)
    g(b)  = E f* relu(b . x) = |b| (E + k^2 B)/pi^2,           k = |p|, p the part of b/|b| in the plane of the ring
    grad g = (E b/|b| + B p)/pi^2
    hess g = (E (I - u u^T) + B P + (D' - B) q q^T + D' (e e^T - u u^T))/(pi^2 |b|)

with u = b/|b|, q = p/k, e = (u - p)/k', P the projection to the plane, k'^2 = 1 - k^2, E and K the complete elliptic
integrals, B = (E - k'^2 K)/k^2 = int cos^2/sqrt(1 - k^2 sin^2), D = (K - E)/k^2, D' = k'^2 D (derived: the mean of k1
over the ring has the slope mean(cos t arcsin(k cos t))/2 pi in k; dE/dk = -k D, dB/dk = (D - B)/k).
At k = 1, in the plane, g = 2 |b|/pi^2; at k = 0, across it, g = |b|/2 pi.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ellipe, elliprd

from wflow.arrays import Array, count
from wflow.domain import Box, space
from wflow.law import Law

_LEAST = 1e-200
"""For 1 - k^2: B and D' have their limits there, and R_D no overflow."""


@dataclass(frozen=True, eq=False)
class Ring(Law):
    """Neurons (1, cos t, sin t, 0, ..) in R^(inputs + 1), t uniform; inputs >= 2."""

    inputs: int

    def __post_init__(self) -> None:
        count("Ring inputs", self.inputs, least=2)

    @property
    def domain(self) -> Box:
        """R^(d+1)."""
        return space(self.inputs + 1)

    def sample(self, m: int, rng: np.random.Generator) -> Array:
        return self._at(rng.random(count("m", m)))

    @property
    def has_quantised(self) -> bool:
        return True

    def quantised(self, m: int) -> Array:
        """m equispaced neurons."""
        return self._at((np.arange(count("m", m)) + 0.5) / m)

    def _at(self, turns: Array) -> Array:
        w = np.zeros((len(turns), self.inputs + 1))
        w[:, 0], w[:, 1], w[:, 2] = 1.0, np.cos(2.0 * math.pi * turns), np.sin(2.0 * math.pi * turns)
        return w


def ring_target(x: Array) -> Array:
    """f* (n,) at inputs x (n, d)."""
    return np.asarray(np.hypot(x[:, 0], x[:, 1]) / math.pi)


def ring_sums(units: Array, derivative: int) -> Array:
    """g at unit vectors (m, d), or its gradient (m, d) or Hessian (m, d, d) there; the zero vector has no force."""
    plane = np.zeros_like(units)
    plane[:, :2] = units[:, :2]
    square, rest = np.minimum(np.sum(plane**2, axis=1), 1.0), np.sum(units[:, 2:] ** 2, axis=1)
    near = np.maximum(rest, _LEAST)
    whole = np.asarray(ellipe(square), dtype=np.float64)
    b = near * elliprd(0.0, 1.0, near) / 3.0
    if derivative == 0:
        return np.asarray((whole + square * b) / math.pi**2)
    if derivative == 1:
        return np.asarray((whole[:, None] * units + b[:, None] * plane) / math.pi**2)
    d = near * elliprd(0.0, near, 1.0) / 3.0
    return _bent(units, plane, (square, rest), whole, b, d)


def _bent(units: Array, plane: Array, parts: tuple[Array, Array], whole: Array, b: Array, d: Array) -> Array:
    """The Hessian from E, B and D'."""
    across, along = units - plane, plane
    e, q = (v / np.where(s > 0.0, np.sqrt(s), 1.0)[:, None] for v, s in ((across, parts[1]), (along, parts[0])))
    uu, ee, qq = (v[:, :, None] * v[:, None, :] for v in (units, e, q))
    eye, flat = np.eye(units.shape[1]), np.diag((np.arange(units.shape[1]) < 2).astype(float))
    whole, b, d = (v[:, None, None] for v in (whole, b, d))
    return np.asarray((whole * (eye - uu) + b * flat + (d - b) * qq + d * (ee - uu)) / math.pi**2)
