"""This file owns the form of fitted two-point fluxes on abstract simplices. Imported after `toolchain.start` alone."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import basix.ufl
import ufl
from dolfinx.fem.forms import CompiledForm

from solvers.fem.forms import INNER, compiled
from solvers.fem.simplices import SHAPES, abstract_simplices

_COLDEST = 1e-12
_LEVEL = 1e-6
_EMPTY = 1e-18
_FLAT = 1e-3
_ONE_POINT = {"quadrature_degree": 0}


@dataclass(frozen=True, eq=False)
class FittedForms:
    """Backward Euler with exponentially fitted fluxes on abstract simplices, all functions constant on each cell:

        int u w + dt sum_e int_e (s/gap) [B(d/s) u+ - B(-d/s) u-] (w+ - w-)

    d = V- - V+, B(x) = x/(e^x - 1), gap the distance of the centres, s = T + jump(U')/jump(log rho), the temperature
    that a pressure strength rho^m has there, for a known rho.
    """

    domain: Any
    known: Any
    potential: Any
    centre: Any
    numbers: Any
    trial: Any
    test: Any

    @classmethod
    def on(cls, corners: int, dim: int) -> "FittedForms":
        """numbers: dt, T, strength m/(m - 1), m - 1."""
        shape, domain = SHAPES[corners], abstract_simplices(corners, dim)
        cells = ufl.FunctionSpace(domain, basix.ufl.element("DG", shape, 0))
        places = ufl.FunctionSpace(domain, basix.ufl.element("DG", shape, 0, shape=(dim,)))
        return cls(
            domain, ufl.Coefficient(cells), ufl.Coefficient(cells), ufl.Coefficient(places),
            ufl.Constant(domain, shape=(4,)), ufl.TrialFunction(cells), ufl.TestFunction(cells),
        )  # fmt: skip

    @cached_property
    def matrix(self) -> CompiledForm:
        """Bilinear, one point a cell and a facet."""
        u, w, known = self.trial, self.test, self.known
        dt, warm, scale, degree = (self.numbers[k] for k in range(4))
        normal = ufl.FacetNormal(self.domain)
        depth = ufl.SpatialCoordinate(self.domain) - self.centre
        gap = ufl.dot(depth("+"), normal("+")) + ufl.dot(depth("-"), normal("-"))
        s = warm + ufl.max_value(_mean_stiffness(known("+"), known("-"), scale, degree), _COLDEST)
        slope = (self.potential("-") - self.potential("+")) / s
        flux = s * (_bernoulli(slope) * u("+") - _bernoulli(-slope) * u("-"))
        across = dt / gap * flux * ufl.jump(w) * ufl.dS(INNER, domain=self.domain, metadata=_ONE_POINT)
        return compiled(u * w * ufl.dx(domain=self.domain, metadata=_ONE_POINT) + across)


def _bernoulli(x: Any) -> Any:
    """x/(e^x - 1), its series near 0: x^4/720 is left out, below 2e-15."""
    flat = ufl.lt(abs(x), _FLAT)
    away = ufl.conditional(flat, 1.0, x)
    return ufl.conditional(flat, 1.0 - x / 2.0 + x * x / 12.0, away / (ufl.exp(away) - 1.0))


def _mean_stiffness(a: Any, b: Any, scale: Any, degree: Any) -> Any:
    """jump(scale rho^degree)/jump(log rho): degree scale rho^degree at the mean where the jump is small.

    The lesser density counts as at least 1e-18 of the greater: beside an empty cell the jump of the logarithm is 41 and
    not infinite. With 0 there, no flux goes up V, an empty cell stays empty and Picard's iteration ends at that fixed
    point of its own, which no front that climbs V leaves. Where it may not climb the cell gets e^-41 of its neighbour.
    """
    a, b = ufl.max_value(a, 0.0), ufl.max_value(b, 0.0)
    top = ufl.max_value(a, b)
    low = ufl.max_value(ufl.min_value(a, b), _EMPTY * top)
    level = ufl.ge(low, top * (1.0 - _LEVEL))
    apart = ufl.And(ufl.gt(low, 0.0), ufl.Not(level))
    high, deep = ufl.conditional(apart, top, 2.0), ufl.conditional(apart, low, 1.0)
    steep = scale * (high**degree - deep**degree) / (ufl.ln(high) - ufl.ln(deep))
    middle = ufl.conditional(level, 0.5 * (a + b), 0.0)
    filled = ufl.conditional(ufl.gt(middle, 0.0), middle, 1.0)
    flat = ufl.conditional(ufl.gt(middle, 0.0), degree * scale * filled**degree, 0.0)
    return ufl.conditional(apart, steep, flat)


@lru_cache(maxsize=8)
def fitted_forms(corners: int, dim: int) -> FittedForms:
    return FittedForms.on(corners, dim)
