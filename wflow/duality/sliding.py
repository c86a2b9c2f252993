"""This file owns the polish of a sparse measure: atoms that stand for one are joined, then all slide.

With J(c, w) = sum_i omega_i l((Phi nu)_i, y_i) + lam sum |c_j|, nu = sum_j c_j delta_{w_j}, V = Phi^*(omega l'), the
gradient is (V(w_j) + lam sign c_j, c_j V'(w_j)) and the Hessian, in blocks of (c_j, w_j),

    B^T B + diag(0, V'(w_j); V'(w_j)^T, c_j V''(w_j)),    B = sqrt(omega l'') (psi_j, c_j grad psi_j).

On the simplex sum c = 1 is kept by a multiplier. Newton's steps, halved until J falls; where the Hessian is not
positive on them it is shifted. Whatever comes out is a measure of the class: its bracket says what it is worth.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from wflow.arrays import Array
from wflow.domain import Box
from wflow.loss import HalfSquare, Loss

_STEPS = 30
_HALVINGS = 30
_SHIFTS = 12


class Jet(Protocol):
    """psi (n, m), its gradient (n, m, d) and Hessian (n, m, d, d) at points (m, d)."""

    def __call__(self, w: Array) -> tuple[Array, Array, Array]: ...


@dataclass(frozen=True, eq=False)
class Sliding:
    """J of atoms on a box, for weights omega (n,), targets y (n,), price lam and a convex loss.

    fixed: masses sum to one.
    """

    jet: Jet
    weights: Array
    targets: Array
    price: float
    domain: Box
    fixed: bool
    loss: Loss = field(default_factory=HalfSquare)

    def value(self, c: Array, w: Array) -> float:
        """J."""
        paid = self.loss.value(self.jet(w)[0] @ c, self.targets)
        return float(self.weights @ paid) + self.price * float(np.sum(np.abs(c)))

    def slid(self, c: Array, w: Array) -> tuple[Array, Array]:
        """Masses (m,) and points (m, d) after Newton's method, no higher in J; signs stay."""
        best = self.value(c, w)
        for _ in range(_STEPS):
            gradient, hessian = self.derivatives(c, w)
            found = self._lower(c, w, best, gradient, hessian)
            if found is None:
                break
            c, w, now = found
            if not now < best:
                break
            best = now
        return c, w

    def derivatives(self, c: Array, w: Array) -> tuple[Array, Array]:
        """(m + m d,) and its square."""
        psi, slope, bend = self.jet(w)
        n, (m, d) = len(psi), w.shape
        f = psi @ c
        q = self.weights * self.loss.slope(f, self.targets)
        along, curved = np.tensordot(q, slope, 1), np.tensordot(q, bend, 1)
        b = np.concatenate([psi, (c[:, None] * slope).reshape(n, m * d)], axis=1)
        hessian = b.T @ ((self.weights * self.loss.curvature(f, self.targets))[:, None] * b)
        for j in range(m):
            at = m + d * j + np.arange(d)
            hessian[j, at] += along[j]
            hessian[at, j] += along[j]
            hessian[np.ix_(at, at)] += c[j] * curved[j]
        return np.concatenate([q @ psi + self.price * np.sign(c), (c[:, None] * along).ravel()]), hessian

    def _lower(
        self, c: Array, w: Array, best: float, gradient: Array, hessian: Array
    ) -> tuple[Array, Array, float] | None:
        """A point with J <= best along a Newton direction, None where none is found."""
        m, size = len(c), float(np.trace(np.abs(hessian))) / len(gradient)
        for shift in (0.0, *(1e-12 * 10.0**k for k in range(_SHIFTS))):
            step = self._direction(gradient, hessian + shift * size * np.eye(len(gradient)), m)
            if step is None:
                continue
            for k in range(_HALVINGS):
                moved = c + 0.5**k * step[:m]
                there = self.domain.retract(self.domain.wrap(w + 0.5**k * step[m:].reshape(w.shape)))
                if np.all(moved * c > 0.0) and (value := self.value(moved, there)) <= best:
                    return moved, there, value
        return None

    def _direction(self, gradient: Array, hessian: Array, m: int) -> Array | None:
        """-H^{-1} gradient, on sum dc = 0 where masses are fixed; None where it does not descend."""
        k = len(gradient)
        if self.fixed:
            row = np.concatenate([np.ones(m), np.zeros(k - m)])
            matrix = np.block([[hessian, row[:, None]], [row[None, :], np.zeros((1, 1))]])
            right = np.append(-gradient, 0.0)
        else:
            matrix, right = hessian, -gradient
        try:
            step = np.linalg.solve(matrix, right)[:k]
        except np.linalg.LinAlgError:
            return None
        return step if float(step @ gradient) < 0.0 else None


def joined(domain: Box, c: Array, w: Array, reach: float) -> tuple[Array, Array]:
    """Atoms of one sign nearer than reach to the heaviest of them, made one: masses add, the place is their mean.

    Atoms of mass 0 are left out, unless there are no others: they are then as they were.
    """
    masses, points = [], []
    left = c != 0.0
    if not np.any(left):
        return c, w
    for j in np.argsort(-np.abs(c)):
        if not left[j]:
            continue
        near = left & (domain.distance(np.broadcast_to(w[j], w.shape), w) <= reach) & (c * c[j] > 0.0)
        left &= ~near
        away = domain.difference(w[near], np.broadcast_to(w[j], w[near].shape))
        masses.append(float(np.sum(c[near])))
        points.append(w[j] + (c[near] @ away) / masses[-1])
    return np.array(masses), domain.wrap(np.array(points))
