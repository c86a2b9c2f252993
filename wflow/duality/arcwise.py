"""This file owns the exact minimum of sums of kinked neurons on the circle of directions.

V(t) = sum_i r_i sigma(X_i . (cos t, sin t)) with sigma(z) = al (z - b) + be |z - b| and X_i = rho_i (cos phi_i,
sin phi_i) has kinks at t = phi_i +- arccos(b/rho_i). Between two neighbouring kinks

    V = A cos t + B sin t + C,   least at its ends, or where (cos t, sin t) = -(A, B)/|(A, B)|:  C - |(A, B)|   (proved)

with A, B, C by prefix sums over the kinks. wflow.arcs sums at given directions, of lines through 0; here every arc is
asked for its minimum, and b need not be 0.

Rounding: a computed kink t has |X_i . (cos t, sin t) - b| <= 24 u rho_i (arccos is backward stable, adding phi_i costs
2 pi u), and between it and the true one the neuron is counted on the wrong side of its kink by no more: 48 u |be r_i|
rho_i. Prefix sums of 2 n steps and the n terms before them err by (3 n + 8) u sum_i |r_i| (rho_i + |b|)(|al| + |be|).
"""

import math
from dataclasses import dataclass

import numpy as np

from wflow.activation import Activation, parameter_of, piecewise_linear
from wflow.arrays import Array
from wflow.domain import TURN
from wflow.duality.field import UNIT, Enclosure


def kinks_of(sigma: Activation) -> tuple[float, float, float] | None:
    """al, be, b with sigma(z) = al (z - b) + be |z - b|; None where sigma is not known to be of that form."""
    if not piecewise_linear(sigma):
        return None
    parameter = parameter_of(sigma) or 0.0
    leak, threshold = (parameter, 0.0) if sigma.name == "leaky_relu" else (0.0, parameter)
    return 0.5 * (1.0 + leak), 0.5 * (1.0 - leak), threshold


@dataclass(frozen=True, eq=False)
class Arcwise:
    """V by its coefficients r (n,), the points X (n, 2), and (al, be, b)."""

    r: Array
    x: Array
    kinked: tuple[float, float, float]

    def negated(self) -> "Arcwise":
        """-V."""
        return Arcwise(-self.r, self.x, self.kinked)

    @property
    def rounding(self) -> float:
        """As the head of this file says."""
        linear, bent, threshold = self.kinked
        size = np.abs(self.r) * (np.hypot(self.x[:, 0], self.x[:, 1]) + abs(threshold))
        return float(UNIT * (3.0 * len(self.r) + 64.0) * np.sum(size) * (abs(linear) + abs(bent)))

    def value(self, t: Array) -> Array:
        """V at angles (m,), by the whole sum."""
        linear, bent, threshold = self.kinked
        z = self.x @ np.stack([np.cos(t), np.sin(t)]) - threshold
        return np.asarray(self.r @ (linear * z + bent * np.abs(z)))

    def arcs(self) -> tuple[Array, Array]:
        """Kinks (g + 1,) in order, from one to the same a turn later, and (A, B, C) (g, 3) on the arcs between."""
        linear, bent, threshold = self.kinked
        rho, phi = np.hypot(self.x[:, 0], self.x[:, 1]), np.arctan2(self.x[:, 1], self.x[:, 0])
        met = rho > abs(threshold)
        half = np.arccos(threshold / rho[met])
        # from phi - half on the neuron is on, from phi + half on it is off
        on, off = np.mod(phi[met] - half, TURN), np.mod(phi[met] + half, TURN)
        at = np.concatenate([on, off]) if np.any(met) else np.zeros(1)
        order = np.argsort(at, kind="stable")
        # the widest arc closes the turn: in its middle every sign is beyond doubt; the others follow by steps
        order = np.roll(order, -1 - int(np.argmax(np.diff(at[order], append=at[order[0]] + TURN))))
        ends = np.concatenate([at[order], at[order[:1]]])
        ends = ends + TURN * np.cumsum(np.diff(ends, prepend=ends[0]) < 0.0)
        ends[-1] = ends[0] + TURN
        middle = 0.5 * (ends[-2] + ends[-1])
        sign = np.full(len(self.r), 1.0 if threshold < 0.0 else -1.0)
        sign[met] = np.where(np.mod(middle - on, TURN) < np.mod(off - on, TURN), 1.0, -1.0)
        plane = self.r[:, None] * np.column_stack([self.x, np.full(len(self.r), -threshold)])
        last = (linear + bent * sign) @ plane
        steps = 2.0 * bent * np.concatenate([plane[met], -plane[met]]) if np.any(met) else np.zeros((1, 3))
        return ends, last + np.cumsum(steps[order], axis=0)

    def lowest(self, below: float = np.inf) -> Enclosure:
        """min V, exact but for rounding, also where it is not below."""
        ends, (a, b, c) = (found := self.arcs())[0], found[1].T
        left, right = ends[:-1], ends[1:]
        valley = np.arctan2(-b, -a)
        valley = left + np.mod(valley - left, TURN)
        inside = valley <= right
        at = np.stack([left, right, np.where(inside, valley, left)])
        values = a * np.cos(at) + b * np.sin(at) + c
        values[2] = np.where(inside, c - np.hypot(a, b), values[2])
        row, arc = np.unravel_index(int(np.argmin(values)), values.shape)
        least, where = float(values[row, arc]), np.array([math.fmod(at[row, arc], TURN)])
        away = self.rounding
        return Enclosure(least - away, least + away, where, where[None, :], values.size, "exact on each arc")
