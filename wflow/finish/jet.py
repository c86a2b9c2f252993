"""This file owns the derivatives of F in the masses and positions of a few charges, signs kept.

F(c, theta) = R(sum_j c_j delta_{theta_j}) + lambda sum_j s_j c_j,    V the first, k the second variation of R:

dF/dc_i = V_i + lambda s_i                      dF/dtheta_i = c_i grad V_i
d2F/dc_i dc_j = k_ij     d2F/dc_i dtheta_j = c_j grad_2 k_ij + delta_ij grad V_i
d2F/dtheta_i dtheta_j = c_i c_j grad_1 grad_2 k_ij + delta_ij c_i hess V_i
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array
from wflow.energy import Energy
from wflow.measure import SignedParticles
from wflow.terms import Interaction, Risk, Term


@dataclass(frozen=True, eq=False)
class Pairs:
    """k between charges: value (m, m), slope (m, d, m) in the first argument, mixed (m, d, m, d) in both."""

    value: Array
    slope: Array
    mixed: Array

    @classmethod
    def of(cls, energy: Energy, nu: SignedParticles) -> "Pairs":
        """Of all terms; exact for a Risk, and for kernels of the circle. Other kernels may cut off grad_1 grad_2 k."""
        m, d = nu.points.shape
        zero = cls(np.zeros((m, m)), np.zeros((m, d, m)), np.zeros((m, d, m, d)))
        found = [part for part in (_of_term(term, nu) for term in energy.terms) if part is not None]
        for part in found:
            zero = cls(zero.value + part.value, zero.slope + part.slope, zero.mixed + part.mixed)
        return zero


def _of_term(term: Term, nu: SignedParticles) -> Pairs | None:
    m, d = nu.points.shape
    if isinstance(term, Risk):
        core = term.data.weights * term.loss.curvature(term.predict(nu), term.data.targets)
        psi, slope = term.features(nu), term.neuron.gradient(term.data.inputs, nu.points).reshape(len(core), m * d)
        along = (slope.T * core) @ psi
        mixed = (slope.T * core) @ slope
        return Pairs((psi.T * core) @ psi, along.reshape(m, d, m), mixed.reshape(m, d, m, d))
    if not isinstance(term, Interaction):
        return None
    alone = [SignedParticles(nu.domain, w[None], np.ones(1)) for w in nu.points]
    value, slope = (np.stack([term.kernel.against(one, nu.points, j) for one in alone], axis=-1) for j in (0, 1))
    if nu.domain.is_circle:  # k(w - w'): the mixed derivative is minus the second one
        bent = np.stack([term.kernel.against(one, nu.points, 2) for one in alone], axis=-1)
        return Pairs(value, slope, -np.moveaxis(bent, -1, -2))
    factor, core = term.coupling(nu, nu.points)
    return Pairs(value, slope, ((factor * core) @ factor.T).reshape(m, d, m, d))


@dataclass(frozen=True, eq=False)
class Jet:
    """F at charges, with its derivatives in (c, theta)."""

    energy: Energy
    nu: SignedParticles

    @property
    def signs(self) -> Array:
        """(m,)."""
        return np.sign(self.nu.weights)

    @cached_property
    def value(self) -> float:
        """F."""
        return self.energy.value(self.nu)

    @cached_property
    def level(self) -> Array:
        """V + lambda s (m,)."""
        return self.energy.unpenalised.potential(self.nu, self.nu.points) + self.energy.variation * self.signs

    @cached_property
    def slope(self) -> Array:
        """grad V (m, d), none of it into a wall."""
        away = self.signs[:, None] * self.energy.unpenalised.velocity(self.nu, self.nu.points)
        return np.asarray(-self.signs[:, None] * self.nu.domain.slide(self.nu.points, away))

    @cached_property
    def pairs(self) -> Pairs:
        """k between the charges."""
        return Pairs.of(self.energy.unpenalised, self.nu)

    @cached_property
    def reach(self) -> float:
        """The distance sqrt(k/|grad_1 grad_2 k|) over which the heaviest charge's feature changes."""
        j = int(np.argmax(np.abs(self.nu.weights)))
        bend = float(np.trace(self.pairs.mixed[j, :, j, :])) / self.nu.points.shape[1]
        return float(np.sqrt(self.pairs.value[j, j] / bend)) if bend > 0.0 else np.inf

    @cached_property
    def residual(self) -> float:
        """max_j of |V_j + lambda s_j| and reach |grad V_j|: 0 where no mass and no position has a force."""
        unit = self.reach if np.isfinite(self.reach) else 1.0
        return float(max(np.max(np.abs(self.level)), unit * np.max(np.abs(self.slope))))

    @cached_property
    def gradient(self) -> Array:
        """(m + m d,)."""
        return np.concatenate([self.level, (self.nu.weights[:, None] * self.slope).ravel()])

    @cached_property
    def hessian(self) -> Array:
        """(m + m d, m + m d); a coordinate that a wall holds has a row of its own."""
        m, d = self.nu.points.shape
        c, each = self.nu.weights, np.arange(len(self.nu.weights))
        across = np.moveaxis(self.pairs.slope, 2, 0) * c[None, :, None]
        across[each, each] += self.slope
        bent = c[:, None, None, None] * self.pairs.mixed * c[None, None, :, None]
        bent[each, :, each, :] += c[:, None, None] * self.energy.unpenalised.curvature(self.nu, self.nu.points)
        side = across.reshape(m, m * d)
        out = np.block([[self.pairs.value, side], [side.T, bent.reshape(m * d, m * d)]])
        held = m + np.flatnonzero(
            (self.slope == 0.0) & (self.energy.unpenalised.velocity(self.nu, self.nu.points) != 0.0)
        )
        out[held, :] = out[:, held] = 0.0
        out[held, held] = 1.0
        return out
