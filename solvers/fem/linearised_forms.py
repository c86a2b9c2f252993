"""This file owns the equations of a step in a linearised W2 metric across the facets of a mesh, in UFL, and their
compilation: once a machine for each kind of cell.

Imported after `toolchain.start` alone.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import basix.ufl
import ufl
from dolfinx.fem.forms import CompiledForm

from solvers.fem.forms import INNER, compiled

_ONE_POINT = {"quadrature_degree": 0}


@dataclass(frozen=True, eq=False)
class StepForms:
    """On abstract cells, all functions constant on each, u = log rho, and for each earlier density rho_i (one or two) a
    potential phi_i; d the jump of phi_i across a facet, gap the distance of the centres, m_i the mobility there:

        int (rho - rho_i) b_i + sum_e int_e m_i d/gap jump(b_i) = 0
        int [U'(rho) + V + sum_i c_i (phi_i - q_i)] a = 0,     int q_i a = sum_e int_e (dm_i/drho a) d^2/(2 gap)

    one family for every test b_i and a. Upwind: m = rho of the cell where phi is less. Centred: m = the mean of both
    cells, each by the share of the gap that is its own, of the mean of rho and rho_i.
    Of two earlier densities phi_2 is pinned to 0 in one cell (a term p phi_2 b_2, p > 0 in that cell): since both have
    the same mass, constants with c_1 phi_1 + c_2 phi_2 = 0 change nothing, and that cell's equation of mass follows
    from the others'.
    u is tested by the second equation, each phi by its own: Newton's matrix then has no zero on its diagonal.
    """

    domain: Any
    unknown: Any
    test: Any
    given: Any
    centre: Any
    numbers: Any
    earlier: int
    centred: bool

    @classmethod
    def on(cls, shape: str, dim: int, earlier: int, centred: bool) -> "StepForms":
        """given: rho_1, V, or rho_1, rho_2, V, p; numbers: c_1, (c_2,) T, strength m/(m - 1), m - 1."""
        domain = ufl.Mesh(basix.ufl.element("Lagrange", shape, 1, shape=(dim,)))
        unknowns, givens, places = (
            ufl.FunctionSpace(domain, basix.ufl.element("DG", shape, 0, shape=(size,)))
            for size in (earlier + 1, 2 * earlier, dim)
        )
        return cls(
            domain, ufl.Coefficient(unknowns), ufl.TestFunction(unknowns), ufl.Coefficient(givens),
            ufl.Coefficient(places), ufl.Constant(domain, shape=(earlier + 3,)), earlier, centred,
        )  # fmt: skip

    @cached_property
    def residual(self) -> CompiledForm:
        """Compiled."""
        return compiled(self._form)

    @cached_property
    def matrix(self) -> CompiledForm:
        """Its derivative, compiled."""
        return compiled(ufl.derivative(self._form, self.unknown))

    @cached_property
    def _form(self) -> Any:
        """One point a cell and a facet."""
        k = self.earlier
        rho, test = ufl.exp(self.unknown[0]), self.test
        warm, scale, degree = (self.numbers[k + i] for i in range(3))
        driving = warm * (self.unknown[0] + 1.0) + scale * ufl.exp(degree * self.unknown[0]) + self.given[k]
        inside, across = driving * test[0], 0.0
        for i in range(k):
            share, phi, b = self.numbers[i], self.unknown[i + 1], test[i + 1]
            inside += share * phi * test[0] + (rho - self.given[i]) * b
            d = phi("-") - phi("+")
            mobility, bend = self._mobility(i, rho, d)
            across += d / self._gap * (mobility * (b("+") - b("-")) - 0.5 * share * d * bend)
        if k == 2:
            inside += self.given[3] * self.unknown[2] * test[2]
        dx, dS = ufl.dx(domain=self.domain, metadata=_ONE_POINT), ufl.dS(INNER, domain=self.domain, metadata=_ONE_POINT)
        return inside * dx + across * dS

    def _mobility(self, i: int, rho: Any, d: Any) -> tuple[Any, Any]:
        """m, and its derivative along the test function of u."""
        a = self.test[0]
        if not self.centred:
            upwind = ufl.gt(d, 0.0)
            return tuple(ufl.conditional(upwind, f("+"), f("-")) for f in (rho, a))
        ahead, behind = (ufl.max_value(self._depth(side), 0.0) for side in ("+", "-"))
        first = ahead / (ahead + behind)
        middle = 0.5 * (rho + self.given[i])
        return tuple(first * f("+") + (1.0 - first) * f("-") for f in (middle, 0.5 * a))

    def _depth(self, side: str) -> Any:
        """From the centre of a cell to its facet."""
        away = ufl.SpatialCoordinate(self.domain) - self.centre
        return ufl.dot(away(side), ufl.FacetNormal(self.domain)(side))

    @property
    def _gap(self) -> Any:
        return self._depth("+") + self._depth("-")


@lru_cache(maxsize=16)
def step_forms(shape: str, dim: int, earlier: int, centred: bool) -> StepForms:
    """The same object each time."""
    return StepForms.on(shape, dim, earlier, centred)
