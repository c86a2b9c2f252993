"""This file owns the problem without noise: its minimiser by a convex problem in finitely many vectors, no path.

    J(nu) = sum_i q_i (f_nu(x_i) - y_i)^2/2 + lam |nu|,   nu signed charges on the circle of angles

The ridge (lam/2) int |(a, w, b)|^2 of neurons a relu(w x + b) is lam |nu| (wflow.lifts). On an arc between two kinks
relu(u . X_i) is linear in u, so charges of one sign there count by their sum v in R^2 alone, and J is least where they
are one charge |v| at v/|v|:                                                                                 (proved)

    min sum_i q_i (sum_k (A_k v_k)_i - y_i)^2/2 + lam sum_k |v_k|,   +-v_k in the cone of arc k
    (A_k)_i = X_i if row i is on there, else 0

One round: nonnegative least squares on a grid of angles, all kinks and the charges so far; charges of one sign on one
arc become their sum; Newton's method on those vectors and on the sizes at kinks; the maxima of |M|, p = f - y, on all
arcs are exact, prove a lower bound and enter the next round. Source of the reduction to cones: Pilanci & Ergen 2020,
ICML, arXiv:2002.10553; of the exchange: Bredies and Pikkarainen 2013, ESAIM: COCV 19(1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wflow.arrays import Array, finite
from wflow.data import Data
from wflow.domain import circle
from wflow.duality.active_set import priced
from wflow.duality.arcwise import Arcwise
from wflow.duality.bracket import Bracket
from wflow.duality.field import UNIT
from wflow.errors import NotConverged
from wflow.knots.angles import RELU, tops
from wflow.knots.counted import Knots, joined
from wflow.knots.minimiser import checked, homogeneous
from wflow.measure import SignedParticles

_TURN = 2.0 * np.pi
_GRID, _ROUNDS, _NEWTON, _SHORTEST = 128, 60, 40, 1e-10
_SAME, _AT_INPUT = 1e-12, 1e-8
"""Angles: of kinks that are one; of a charge from the kink at which it counts as lying."""


@dataclass(frozen=True, eq=False)
class Noiseless:
    """A minimiser: angles (k,), sizes with signs (k,), the kink at which each lies or -1 (k,); J in a bracket."""

    data: Data
    lam: float
    angles: Array
    sizes: Array
    kink: NDArray[np.int64]
    bracket: Bracket

    @property
    def charges(self) -> SignedParticles:
        """nu on the circle; one charge 0 where nu = 0."""
        none = not len(self.sizes)
        return SignedParticles(
            circle(), np.zeros((1, 1)) if none else self.angles[:, None], np.zeros(1) if none else self.sizes
        )

    def predicted(self, x: Array) -> Array:
        """f_nu at x (k,)."""
        return predictions(self.charges, x)

    def knots(self, resolution: float, apart: float = 1e-6) -> Knots:
        """Changes of the slope by more than `resolution`; those nearer than `apart` in angle are one."""
        jumps = self.sizes * np.abs(np.cos(self.angles))
        kept = np.abs(jumps) > resolution
        half = np.full(int(np.sum(kept)), 0.5 * apart)
        return joined(self.angles[kept], jumps[kept], half, self.kink[kept] >= 0, self.data.inputs[:, 0])


def predictions(nu: SignedParticles, x: Array) -> Array:
    """f_nu at x (k,)."""
    t = nu.points[:, 0]
    u = np.stack([np.cos(t), np.sin(t)])
    return np.asarray(np.maximum(homogeneous(finite("x", x).reshape(-1, 1)) @ u, 0.0) @ nu.weights)


def noiseless(data: Data, lam: float, *, tolerance: float = 1e-11) -> Noiseless:
    """A minimiser of J, proved to tolerance max(1, sum q y^2/2 = J(0)).

    Raises NotConverged with the width of the bracket where 60 rounds do not suffice, ValueError for bad input.
    """
    checked(data, lam)
    cones = _Cones.of(data, lam)
    angles = np.concatenate([cones.ends, _TURN * (np.arange(_GRID) + 0.5) / _GRID])
    kink = np.concatenate([np.arange(len(cones.ends)), np.full(_GRID, -1)])
    scale = max(1.0, cones.value(np.zeros(len(data)), 0.0))
    lower, best = -np.inf, None
    for _ in range(_ROUNDS):
        z = cones.polished(cones.merged(angles, kink))
        p = cones.predicted(z) - data.targets
        value, bound = cones.value(p + data.targets, z.variation), cones.bound(p)
        lower = max(lower, bound)
        if best is None or value < best[1]:
            best = z, value
        if best[1] - lower <= tolerance * scale:
            return cones.answer(*best, lower)
        # each kink once: of two equal columns least squares may take either, and both
        angles = np.concatenate([cones.ends, z.angles[z.kinks < 0], tops(*cones.arcs(p))])
        kink = np.concatenate([np.arange(len(cones.ends)), np.full(len(angles) - len(cones.ends), -1)])
    assert best is not None
    off = (best[1] - lower) / scale
    raise NotConverged(
        f"noiseless: J is known to {off:.1e} > {tolerance:.1e} after {_ROUNDS} rounds; raise the tolerance", off
    )


@dataclass(frozen=True, eq=False)
class _Vectors:
    """v (k, 2) of one sign each (k,) on arcs (k,), and sizes with signs (l,) at kinks (l,)."""

    v: Array
    sign: Array
    arc: NDArray[np.int64]
    size: Array
    kink: NDArray[np.int64]
    ends: Array

    @property
    def angles(self) -> Array:
        return np.concatenate([np.arctan2(self.sign * self.v[:, 1], self.sign * self.v[:, 0]), self.ends[self.kink]])

    @property
    def kinks(self) -> NDArray[np.int64]:
        return np.concatenate([np.full(len(self.v), -1), self.kink])

    @property
    def sizes(self) -> Array:
        return np.concatenate([self.sign * np.hypot(self.v[:, 0], self.v[:, 1]), self.size])

    @property
    def variation(self) -> float:
        return float(np.sum(np.abs(self.sizes)))


@dataclass(frozen=True, eq=False)
class _Cones:
    """The data, the kinks (g,) in order on [0, 2 pi), and which rows are on, on the arc after each kink (g, n)."""

    data: Data
    lam: float
    x: Array
    ends: Array
    on: NDArray[np.bool_]

    @classmethod
    def of(cls, data: Data, lam: float) -> "_Cones":
        x = homogeneous(data.inputs)
        ends = np.sort(np.mod(Arcwise(np.ones(len(x)), x, RELU).arcs()[0][:-1], _TURN))
        ends = ends[np.diff(ends, prepend=ends[-1] - _TURN) > _SAME]
        middle = ends + 0.5 * np.diff(ends, append=ends[0] + _TURN)
        return cls(data, lam, x, ends, np.cos(middle)[:, None] * x[:, 0] + np.sin(middle)[:, None] * x[:, 1] > 0.0)

    def arcs(self, p: Array) -> tuple[Array, Array, Array, Array]:
        """Left and right ends, A and B of M_p on the arcs."""
        ends, plane = Arcwise(self.data.weights * p, self.x, RELU).arcs()
        return ends[:-1], ends[1:], plane[:, 0], plane[:, 1]

    def columns(self, angles: Array) -> Array:
        return np.asarray(np.maximum(self.x @ np.stack([np.cos(angles), np.sin(angles)]), 0.0))

    def value(self, f: Array, variation: float) -> float:
        return 0.5 * float(self.data.weights @ (f - self.data.targets) ** 2) + self.lam * variation

    def bound(self, p: Array) -> float:
        """The dual's value at the best multiple t p with |M| <= lam."""
        q, y = self.data.weights, self.data.targets
        left, right, a, b = self.arcs(p)
        inside = tops(left, right, a, b)
        at = np.concatenate([left, inside])
        most = float(np.max(np.abs(Arcwise(q * p, self.x, RELU).value(at)), initial=0.0))
        square, along = float(q @ p**2), -float(q @ (p * y))
        t = along / square if square > 0.0 else 0.0
        t = min(t, self.lam / most) if most > 0.0 else t
        return t * along - 0.5 * t * t * square

    def merged(self, angles: Array, kink: NDArray[np.int64]) -> _Vectors:
        """Least squares with a price on these angles; charges of one sign on one arc as their sum."""
        root, columns = np.sqrt(self.data.weights)[:, None], self.columns(angles)
        both = priced(
            np.concatenate([root * columns, -root * columns], axis=1), root[:, 0] * self.data.targets, self.lam
        )
        c = both[: len(angles)] - both[len(angles) :]
        held = (c != 0.0) & (kink >= 0)
        free = np.flatnonzero((c != 0.0) & (kink < 0))
        arc = (np.searchsorted(self.ends, np.mod(angles[free], _TURN), side="right") - 1) % len(self.ends)
        group, mine = np.unique(2 * arc + (c[free] > 0.0), return_inverse=True)
        v = np.zeros((len(group), 2))
        np.add.at(v, mine, c[free, None] * np.stack([np.cos(angles[free]), np.sin(angles[free])], axis=1))
        return _Vectors(v, np.where(group % 2, 1.0, -1.0), group // 2, c[held], kink[held], self.ends)

    def design(self, z: _Vectors) -> Array:
        """(n, 2 k + l): predictions by the coordinates of v, then by the sizes."""
        by_arc = self.on[z.arc][:, :, None] * self.x
        return np.concatenate(
            [by_arc.transpose(1, 0, 2).reshape(len(self.x), -1), self.columns(self.ends[z.kink])], axis=1
        )

    def predicted(self, z: _Vectors) -> Array:
        return np.asarray(self.design(z) @ np.concatenate([z.v.ravel(), z.size]))

    def polished(self, z: _Vectors) -> _Vectors:
        """Newton's method on v and the sizes while their signs and arcs stay; z where it does not lower J."""
        if not len(z.sizes):
            return z
        design, q, y = self.design(z), self.data.weights, self.data.targets
        k = z.v.size
        for _ in range(_NEWTON):
            now = np.concatenate([z.v.ravel(), z.size])
            r = np.hypot(z.v[:, 0], z.v[:, 1])
            unit = z.v / r[:, None]
            slope = design.T @ (q * (design @ now - y)) + self.lam * np.concatenate([unit.ravel(), np.sign(z.size)])
            hessian = design.T @ (q[:, None] * design)
            for j, (e, size) in enumerate(zip(unit, r, strict=True)):
                hessian[2 * j : 2 * j + 2, 2 * j : 2 * j + 2] += self.lam / size * (np.eye(2) - np.outer(e, e))
            way = -np.linalg.lstsq(hessian, slope, rcond=1e-14)[0]
            before, share, found = self.value(design @ now, z.variation), 1.0, None
            while share > _SHORTEST:
                new = now + share * way
                tried = _Vectors(new[:k].reshape(-1, 2), z.sign, z.arc, new[k:], z.kink, z.ends)
                if self._stays(tried, z) and self.value(design @ new, tried.variation) < before:
                    found = tried
                    break
                share *= 0.5
            if found is None:
                return z
            z = found
        return z

    def _stays(self, tried: _Vectors, z: _Vectors) -> bool:
        """Signs as before, and each vector within its arc."""
        if np.any(np.sign(tried.size) != np.sign(z.size)):
            return False
        if not len(tried.v):
            return True
        width = np.diff(self.ends, append=self.ends[0] + _TURN)[z.arc]
        at = np.arctan2(z.sign * tried.v[:, 1], z.sign * tried.v[:, 0])
        return bool(np.all(np.mod(at - self.ends[z.arc], _TURN) < width))

    def answer(self, z: _Vectors, value: float, lower: float) -> Noiseless:
        """With what rounding makes of J and of the bound, to first order: as for `NoisyFit.rounding`."""
        q, y, x = self.data.weights, self.data.targets, self.x
        p = self.predicted(z) - y
        size = float(np.sum(np.abs(q * p) * np.hypot(x[:, 0], x[:, 1]))) * z.variation + float(
            q @ (p**2 + np.abs(p * y))
        )
        away = UNIT * (3.0 * len(y) + 64.0) * (size + self.lam * z.variation)
        found = Bracket(value, lower, float(away), "signed", "exact on each arc")
        angles = np.mod(z.angles, _TURN)
        off = np.abs(np.mod(angles[:, None] - self.ends + np.pi, _TURN) - np.pi)
        kink = np.where(off.min(axis=1) <= _AT_INPUT, off.argmin(axis=1), -1)
        return Noiseless(self.data, self.lam, np.where(kink >= 0, self.ends[kink], angles), z.sizes, kink, found)
