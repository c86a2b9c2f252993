"""This file owns two-point fluxes across the facets of a Delaunay mesh: their form, and PETSc's factors of a step.

Imported after `toolchain.start` alone.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem.forms import CompiledForm

from solvers.fem.factors import assembled, factored, matrix_of
from solvers.fem.forms import INNER, compiled
from solvers.fem.kept import Kept
from solvers.fem.mesh import regions_of
from solvers.fem.simplices import SHAPES, Made, abstract_simplices, made_on
from wflow.arrays import Array
from wflow.mesh import Mesh, Numbers

_COLDEST = 1e-12
_LEVEL = 1e-6
_FLAT = 1e-3
_ONE_POINT = {"quadrature_degree": 0}
_MESHES = 4


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
    """jump(scale rho^degree)/jump(log rho): degree scale rho^degree at the mean where the jump is small; 0 beside 0."""
    a, b = ufl.max_value(a, 0.0), ufl.max_value(b, 0.0)
    top, low = ufl.max_value(a, b), ufl.min_value(a, b)
    level = ufl.ge(low, top * (1.0 - _LEVEL))
    apart = ufl.And(ufl.gt(low, 0.0), ufl.Not(level))
    high, deep = ufl.conditional(apart, top, 2.0), ufl.conditional(apart, low, 1.0)
    steep = scale * (high**degree - deep**degree) / (ufl.ln(high) - ufl.ln(deep))
    middle = ufl.conditional(level, 0.5 * (a + b), 0.0)
    filled = ufl.conditional(ufl.gt(middle, 0.0), middle, 1.0)
    flat = ufl.conditional(ufl.gt(middle, 0.0), degree * scale * filled**degree, 0.0)
    return ufl.conditional(apart, steep, flat)


@lru_cache(maxsize=8)
def _forms_of(corners: int, dim: int) -> FittedForms:
    return FittedForms.on(corners, dim)


@dataclass(frozen=True, eq=False)
class Fitted:
    """The forms bound to one mesh; functions, vectors and matrices are workspace, written over at each call."""

    given: Mesh
    made: Made
    forms: FittedForms
    known: fem.Function
    potential: fem.Function
    centre: fem.Function
    numbers: fem.Constant

    @classmethod
    def on(cls, given: Mesh) -> "Fitted":
        """With the circumcentres of the flat cells."""
        made = made_on(given)
        dim = given.domain.dim
        space = fem.functionspace(made.mesh, ("DG", 0))
        centre = fem.Function(fem.functionspace(made.mesh, ("DG", 0, (dim,))))
        dofs = centre.function_space.dofmap.list[:, 0]
        centre.x.array.reshape(-1, dim)[dofs] = given.whole.circumcentres[made.numbers]
        forms = _forms_of(given.cells.shape[1], dim)
        numbers = fem.Constant(made.mesh, np.zeros(4))
        return cls(given, made, forms, fem.Function(space), fem.Function(space), centre, numbers)

    def set(self, potential: Array, numbers: tuple[float, float, float, float]) -> None:
        """V (m,) at the centres, and the step's numbers."""
        self.numbers.value[:] = numbers
        self._put(self.potential, potential)

    def factors(self, known: Array) -> "Factors":
        """Of the matrix with s by `known` (m,)."""
        self._put(self.known, known)
        matrix = matrix_of(self._matrix)
        return Factors.of(self, matrix)

    @cached_property
    def _matrix(self) -> fem.Form:
        f, made, space = self.forms, self.made.mesh, self.known.function_space
        given = {f.known: self.known, f.potential: self.potential, f.centre: self.centre}
        return fem.create_form(f.matrix, [space, space], made, regions_of(made), given, {f.numbers: self.numbers})

    def solved(self, known: Array, values: Array) -> Array:
        """u (m,) of one step with s by `known` (m,), from `values` (m,): in a matrix analysed once for all such."""
        factors = self._own  # made by `factors`, which has a `known` of its own
        self._put(self.known, known)
        matrix = factors.solver.getOperators()[0]
        assembled(matrix, self._matrix)
        factors.solver.setOperators(matrix)
        return factors.solve(values)

    @cached_property
    def _own(self) -> "Factors":
        return self.factors(np.ones(self.given.size))

    def free(self) -> None:
        """Give PETSc's objects back."""
        if (own := self.__dict__.pop("_own", None)) is not None:
            own.free()

    def _put(self, function: fem.Function, values: Array) -> None:
        function.x.array[self._dofs] = values[self.made.order]
        function.x.scatter_forward()

    def _in_order(self, local: Array) -> Array:
        values = np.empty(self.given.size)
        values[self.made.order] = local[self._dofs]
        return values

    @cached_property
    def _dofs(self) -> Numbers:
        """Of own cells."""
        return np.asarray(self.known.function_space.dofmap.list[: self.given.size, 0], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Factors:
    """L U of a step's M-matrix."""

    fitted: Fitted
    solver: Any
    right: Any
    answer: Any

    @classmethod
    def of(cls, fitted: Fitted, matrix: Any) -> "Factors":
        """Factored here."""
        return cls(fitted, factored(matrix), *matrix.createVecs())

    def solve(self, values: Array) -> Array:
        """u (m,) for the rho (m,) before."""
        right, answer, fitted = self.right, self.answer, self.fitted
        right.array[fitted._dofs] = (values * fitted.given.volumes)[fitted.made.order]
        self.solver.solve(right, answer)
        return fitted._in_order(answer.array)

    def free(self) -> None:
        """Give PETSc's objects back."""
        for held in (self.solver.getOperators()[0], self.solver, self.right, self.answer):
            held.destroy()


fitted_on = Kept(_MESHES, Fitted.on)
"""Kept for the last few meshes."""
