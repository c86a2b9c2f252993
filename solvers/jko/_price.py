"""This file owns U*, what a JKO step's dual pays for the density at the end, with limits and where U alone bends not.

    U*(q) = sup_{0 <= r <= bound} q r - U(r),    q = p - V,    (U*)'(q) = min(bound, (U')^-1(q)),

so above U'(bound) a cell is full and U* goes on with slope `bound`. Without U, U*(q) = bound q_+ has a kink and says
nothing of rho where p = V, nor do splines of what is below their cells. Then U(r) = weight (r - centre)^2/2 with the
density that V alone would lead to as centre, and a weight that vanishes like a cell's width: of the densities that cost
alike to a cell's width, that nearest to it.
"""

from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array
from wflow.internal import Internal, conjugate_slope


@dataclass(frozen=True, eq=False)
class Price:
    """U* for internal terms, V (n0, n1) and perhaps a bound (n0, n1) of rho; without terms, for a centre (n0, n1)."""

    terms: tuple[Internal, ...]
    field: Array
    bound: Array | None = None
    centre: Array | None = None
    weight: float = 0.0

    def __call__(self, p: Array) -> tuple[float, Array, Array]:
        """sum U*, rho = (U*)' and (U*)'' at the nodes."""
        return self._centred(p - self.field) if self.centre is not None else self._smooth(p - self.field)

    def pulled(self, rho: Array) -> float:
        """sum weight (rho - centre)^2/2, 0 without a centre."""
        return 0.0 if self.centre is None else 0.5 * self.weight * float(((rho - self.centre) ** 2).sum())

    def _smooth(self, q: Array) -> tuple[float, Array, Array]:
        """At rho = (U*)' below the bound U* is the pressure, and (U*)'' = rho/p'(rho)."""
        rho = conjugate_slope(self.terms, q)
        full = None
        if self.bound is not None:
            full = rho >= self.bound
            rho = np.where(full, self.bound, rho)
        filled = rho > 0.0
        stiff = np.where(filled, sum(term.stiffness(np.where(filled, rho, 1.0)) for term in self.terms), 1.0)
        bend, total = rho / stiff, float(sum(term.pressure(rho).sum() for term in self.terms))
        if full is not None and np.any(full):
            above = full & filled
            slope = sum(term.slope(rho[above]) for term in self.terms)
            total += float((rho[above] * (q[above] - slope)).sum())
            bend[full] = 0.0
        return total, rho, bend

    def _centred(self, q: Array) -> tuple[float, Array, Array]:
        assert self.centre is not None and self.bound is not None
        rho = np.clip(self.centre + q / self.weight, 0.0, self.bound)
        total = float((q * rho - 0.5 * self.weight * (rho - self.centre) ** 2).sum())
        return total, rho, np.where((rho > 0.0) & (rho < self.bound), 1.0 / self.weight, 0.0)
