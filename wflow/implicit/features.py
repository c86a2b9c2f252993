"""This file owns random features: networks whose b are frozen, moved exactly in time, and their least-squares limit.

f = (1/m) sum_j a_j relu(b_j . x) is linear in a, and a' = -grad V is a linear equation, from a(0) = 0:

    data, Phi_ij = relu(b_j . x_i):   Phi/sqrt(mn) = U S W^T    a(t) = sqrt(m/n) W ((1 - e^{-S^2 t})/S) U^T y
    population, K_ij = k1(b_i, b_j):  K/m = W M W^T             a(t) = W ((1 - e^{-M t})/M) W^T g,  g = E f* relu

t -> infinity: the least-squares a, of least norm among them, since a(0) = 0 (proved: a stays in the range).
Starts of another a, or neurons or data of unequal weight, are refused: these formulas are not theirs.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count, positive, shaped
from wflow.data import Data
from wflow.domain import Domain
from wflow.errors import StepTooLarge
from wflow.implicit.population import Inputs, PopulationKernel
from wflow.implicit.targets import Teacher, dim_of
from wflow.measure import Particles
from wflow.space_sums import arc_cosine

LEAST = 1e-12
"""Singular values below this share of the largest are those of rounding, and their directions are left out."""


@dataclass(frozen=True, eq=False)
class RandomFeatures:
    """a(t) = sum_k axes_k gains_k (1 - e^{-rates_k t}): axes (m, q), gains and rates (q,); b (m, d) as given."""

    domain: Domain
    inner: Array
    axes: Array
    gains: Array
    rates: Array

    @classmethod
    def on_data(cls, pi: Particles, data: Data) -> "RandomFeatures":
        """From the b of equal neurons pi with a = 0, on n rows of equal weight; ValueError for others."""
        n, m = len(data), len(_silent(pi, data.inputs.shape[1]))
        _even("data", data.weights)
        phi = np.maximum(data.inputs @ pi.points[:, 1:].T, 0.0) / np.sqrt(m * n)
        left, size, right = np.linalg.svd(phi, full_matrices=False)
        kept = size > LEAST * size[0]
        gains = np.sqrt(m / n) * (left.T @ data.targets)[kept] / size[kept]
        return cls(pi.domain, pi.points[:, 1:], right[kept].T, gains, size[kept] ** 2)

    @classmethod
    def of_population(cls, pi: Particles, target: Teacher, inputs: Inputs = "gaussian") -> "RandomFeatures":
        """From the b of equal neurons pi with a = 0, on all inputs; ValueError for others, and where a b is 0."""
        m = len(_silent(pi, dim_of(target)))
        if not np.all(np.any(pi.points[:, 1:] != 0.0, axis=1)):
            raise ValueError("RandomFeatures start: a neuron has b = 0 and no direction; leave it out")
        kernel = PopulationKernel(pi.points.shape[1] - 1, inputs)
        ones = Particles(pi.domain, np.column_stack([np.ones(m), pi.points[:, 1:]]))
        matrix = _gram(kernel, ones)
        rates, axes = np.linalg.eigh(matrix / m)
        kept = rates > LEAST * rates[-1]
        gains = (axes.T @ kernel.against(target, ones.points, 0))[kept] / rates[kept]
        return cls(pi.domain, pi.points[:, 1:], axes[:, kept], gains, rates[kept])

    def at(self, t: float) -> Particles:
        """The network at a mean-field time t >= 0; np.inf: the limit."""
        if not t >= 0.0:
            raise ValueError(f"RandomFeatures t: {t!r} is not a time; give t >= 0, or np.inf for the limit")
        return self._with(np.ones_like(self.rates) if np.isinf(t) else -np.expm1(-self.rates * t))

    def after(self, steps: int, dt: float) -> Particles:
        """After so many steps of gradient descent: 1 - (1 - rates dt)^steps in place of 1 - e^{-rates t}.

        Raises StepTooLarge above 2 over the largest rate, where descent diverges.
        """
        count("RandomFeatures steps", steps, least=0)
        most = 2.0 / float(np.max(self.rates)) if len(self.rates) else np.inf
        if positive("RandomFeatures dt", dt) > most:
            raise StepTooLarge(f"RandomFeatures dt: {dt:.3g} is above 2/(largest rate) = {most:.3g}; shorten it", dt)
        return self._with(1.0 - (1.0 - self.rates * dt) ** steps)

    def _with(self, share: Array) -> Particles:
        return Particles(self.domain, np.column_stack([self.axes @ (self.gains * share), self.inner]))


def _silent(pi: Particles, dim: int) -> Array:
    """The points (m, dim + 1), of equal weight and a = 0."""
    points = shaped("RandomFeatures start", pi.points, (None, dim + 1))
    _even("start", pi.weights)
    if np.any(points[:, 0] != 0.0):
        raise ValueError(
            f"RandomFeatures start: a up to {np.max(np.abs(points[:, 0])):g}; the formulas begin at a = 0, set it so"
        )
    return points


def _even(name: str, weights: Array) -> None:
    if np.ptp(weights) > 1e-12 / len(weights):
        raise ValueError(f"RandomFeatures {name}: weights from {weights.min():g} to {weights.max():g}; give equal ones")


def _gram(kernel: PopulationKernel, ones: Particles) -> Array:
    """k1(b_i, b_j) (m, m)."""
    size = np.linalg.norm(ones.points[:, 1:], axis=1)
    units = ones.points[:, 1:] / size[:, None]
    return np.asarray(kernel.share * arc_cosine(np.clip(units @ units.T, -1.0, 1.0)) * size * size[:, None])
