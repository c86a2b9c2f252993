"""This file owns the step of mass that lies in few cells: its dual in one number for each atom, by Newton's method.

For atoms of masses a_i at x_i the least potential that lets the mass of x_i be worth phi_i is, without loss,

    p(y) = max_i phi_i - |y - x_i|^2/(2 tau),        D(phi) = sum_i a_i phi_i - sum_j |C_j| U*_j(mean of p over C_j),

rho constant on the cells C_j. D is concave and, means being smooth in phi, has a slope: a_i less what rho has in the
Laguerre cell L_i of x_i. So at its maximum the mass of L_i comes from x_i, and F(rho) + W2^2/(2 tau) = max D: nothing
is relaxed. One atom: rho = (U')^-1(phi - V - mean of |y - x|^2/(2 tau)), phi by its mass.
With A_ji = |L_i n C_j|,  -D'' = A^T diag((U*)''/|C|) A + the Laplacian of walls, tau int rho ds/|x_i - x_k| each.

A cell's mass is that of the middles of s^d parts of it. rho as their even mass would have it costs at most the atoms'
variance more (proved: what goes from a part goes on without regard to where in it one was; so W2^2 of the densities is
at most that of the atoms plus s2, the mean square distance of mass from its atom) and its root differs by at most s.
Source: Merigot & Mirebeau 2016, SIAM J. Numer. Anal. 54(6), 3465-3492 (energies on Laguerre cells); Kitagawa, Merigot
& Thibert 2019, J. Eur. Math. Soc. 21, 2603-2651 (Newton).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import csr_array

from solvers.jko._atoms import Atoms
from solvers.jko._pieces import pieces, repeated
from wflow.arrays import Array
from wflow.spline.lattice import Sides

Conjugate = Callable[[Array], tuple[float, Array, Array]]
_ROUNDING = 1e-14
_MASS = 1e-11
"""Of all mass: what need not be in the right Laguerre cell."""
_DAMPED, _LESS, _MORE, _MOST = 1e-2, 0.1, 6.0, 1e16
"""Of the mean curvature: what is added at first, how it changes with luck and without, and up to what."""
_ARMIJO = 1e-4
_RISE = 3.0
"""Temperatures by which a potential rises in a step of Newton, at most."""
_TURNS = 200


@dataclass(frozen=True, eq=False)
class Heights:
    """D at phi (m,), its slope (m,) and -D'' (m, m); the density and the mean of p (n0, n1); the distance.

    distance: int |y - x|^2/(2 tau).
    """

    phi: Array
    value: float
    slope: Array
    bend: Array
    rho: Array
    p: Array
    distance: float


@dataclass(frozen=True, eq=False)
class FewDual:
    """D for atoms, in cells of widths (2,), a step tau and U*; temperature: of the entropy, 0 without."""

    atoms: Atoms
    shape: tuple[int, int]
    sides: Sides
    widths: tuple[float, float]
    tau: float
    conjugate: Conjugate
    temperature: float

    @property
    def pull(self) -> tuple[float, float]:
        """|x - y|^2/2 tau is sum pull (x - y)^2/2 in cells; 0 along an axis that is none."""
        first, second = (h * h / self.tau if n > 1 else 0.0 for h, n in zip(self.widths, self.shape, strict=True))
        return first, second

    def at(self, phi: Array) -> Heights:
        """D there; value is -inf where U* overflows."""
        size, m, volume = self.shape[0] * self.shape[1], len(phi), self.widths[0] * self.widths[1]
        sites, owner = repeated(self.atoms.places, self.shape, self.sides)
        found = pieces(sites, phi[owner], self.shape, self.pull)
        whose = owner[found.site]
        inside = found.area * phi[whose] - found.spread
        p = np.bincount(found.cell, inside, size).reshape(self.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            total, rho, bend = self.conjugate(p)
        if not (math.isfinite(total) and np.all(np.isfinite(bend))):
            return Heights(phi, -math.inf, np.zeros(m), np.zeros((m, m)), rho, p, math.inf)
        rho_of, masses = rho.ravel(), self.atoms.masses
        part = csr_array((found.area, (found.cell, whose)), shape=(size, m))
        slope = masses - volume * (part.T @ rho_of)
        held = np.asarray((part.T @ part.multiply(volume * bend.ravel()[:, None])).todense())
        i, k, w = owner[found.first], owner[found.second], volume * rho_of[found.edge] * found.rate
        for row, column, sign in ((i, i, 1.0), (k, k, 1.0), (i, k, -1.0), (k, i, -1.0)):
            np.add.at(held, (row, column), sign * w)
        distance = volume * float(rho_of[found.cell] @ found.spread)
        return Heights(phi, float(masses @ phi) - volume * total, slope, held, rho, p, distance)

    def balanced(self, phi: Array) -> Array:
        """phi and a constant, with which rho has the mass of the atoms."""
        flat = self.at(phi).p
        mass, volume = float(self.atoms.masses.sum()), self.widths[0] * self.widths[1]

        def missing(c: float) -> float:
            with np.errstate(over="ignore", invalid="ignore"):
                held = volume * float(self.conjugate(flat + c)[1].sum())
            return mass - held if math.isfinite(held) else -math.inf

        low, width = -float(flat.max()), 1.0
        while missing(low) <= 0.0 and width < math.inf:
            low, width = low - width, 2.0 * width
        high, width = low, 1.0
        while missing(high) > 0.0 and width < math.inf:
            high, width = high + width, 2.0 * width
        for _ in range(_TURNS):
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
            low, high = (middle, high) if missing(middle) > 0.0 else (low, middle)
        return phi + low

    def climbed(self, phi: Array, limit: int) -> tuple[Heights, float]:
        """The maximum from phi, and (g . H g)^(1/2) there, H the inverse of -D''."""
        here, damped = self.at(phi), _DAMPED
        mass = float(self.atoms.masses.sum())
        for _ in range(limit):
            if float(np.abs(here.slope).sum()) <= _MASS * mass:
                break
            step = self._newton(here, damped)
            if self.temperature:
                step = np.minimum(step, self._rise(here))
            there, gain = self.at(here.phi + step), float(here.slope @ step)
            if there.value >= here.value + _ARMIJO * gain - _ROUNDING * abs(here.value) and self._nearer(
                here, there, gain
            ):
                here, damped = there, damped * _LESS
            elif (damped := max(damped, _ROUNDING) * _MORE) > _MOST:
                break
        return here, math.sqrt(max(float(here.slope @ self._newton(here, 0.0)), 0.0))

    def _rise(self, here: Heights) -> Array:
        """(m,) three temperatures, or, where a power makes that more, of mass over its slope: exponentials overflow."""
        curvature = np.diag(here.bend)
        held = np.maximum(self.atoms.masses - here.slope, 0.0)
        stiff = np.divide(held, curvature, out=np.zeros_like(held), where=curvature > 0.0)
        return _RISE * np.maximum(stiff, self.temperature)

    def _nearer(self, here: Heights, there: Heights, gain: float) -> bool:
        """Where D rises by less than it is rounded to, its slope is to fall."""
        if gain > _ROUNDING * abs(here.value):
            return True
        return float(np.abs(there.slope).sum()) < float(np.abs(here.slope).sum())

    def _newton(self, here: Heights, damped: float) -> Array:
        """(-D'' + damped times its mean diagonal)^-1 times the slope."""
        mean = float(np.trace(here.bend)) / len(here.phi)
        mean = mean if mean > 0.0 else float(self.atoms.masses.sum()) / max(1.0, abs(here.value))
        for _ in range(20):
            try:
                factor = cho_factor(here.bend + max(damped, _ROUNDING) * mean * np.eye(len(here.phi)))
                return np.asarray(cho_solve(factor, here.slope))
            except LinAlgError:
                damped = _MORE * max(damped, _ROUNDING)
        return here.slope / mean
