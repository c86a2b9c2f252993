"""This file owns how PETSc solves a step of two-point fluxes across the facets of a Delaunay mesh.

Imported after `toolchain.start` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from dolfinx import fem
from petsc4py import PETSc

from solvers.fem.factors import assembled, empty_of, factored, matrix_of, reason_of, solve_by_factors
from solvers.fem.fitted_forms import FittedForms, fitted_forms
from solvers.fem.kept import Kept
from solvers.fem.mesh import regions_of
from solvers.fem.simplices import Made, made_on
from wflow.arrays import Array
from wflow.mesh import Mesh, Numbers

_MESHES = 4


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
        forms = fitted_forms(given.cells.shape[1], dim)
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

    def settled(self, potential_of: Callable[[Array], Array], before: Array, tolerance: float, limit: int) -> "Settled":
        """u (m,) with A(u) u = M rho, A by V = potential_of(u) (m,).

        SNES with the matrix A itself for a derivative (Picard's iteration), by full steps, ends where a step moves no
        more than `tolerance` in L1. A^-1 M rho is returned: A is an M-matrix whose columns sum to the volumes, so no
        value is negative and the mass is that of rho.
        """
        snes, x, right = self._snes, *self._vectors
        snes.setTolerances(max_it=limit)
        snes.setConvergenceTest(self._ended, args=(tolerance, limit))
        snes.setFunction(self._residual, snes.getFunction()[0], args=(potential_of,))
        x.array[self._dofs] = before[self.made.order]
        right.array[self._dofs] = (before * self.given.volumes)[self.made.order]
        try:
            snes.solve(None, x)
        except PETSc.Error as error:
            if self.given.ranks.size == 1:  # on several it waits for the others, which may not have failed
                snes.reset()  # an error leaves it held by PETSc, with its factors
            self.free()  # what is raised within leaves PETSc's vectors locked: they are made anew
            raise error.__cause__ or error from None
        moved = self._moved(snes) if snes.getIterationNumber() else np.inf
        if converged := snes.getConvergedReason() > 0:
            snes.getKSP().solve(right, x)
        return Settled(self._in_order(x.array_r), converged, moved, reason_of(snes))

    def _ended(self, snes: Any, count: int, norms: tuple[float, float, float], tolerance: float, limit: int) -> int:
        """SNES's reason to stop, or 0."""
        reasons = PETSc.SNES.ConvergedReason
        if not np.isfinite(norms[2]):
            return int(reasons.DIVERGED_FUNCTION_NANORINF)
        if count > 0 and self._moved(snes) <= tolerance:
            return int(reasons.CONVERGED_SNORM_RELATIVE)
        return int(reasons.DIVERGED_MAX_IT) if count >= limit else 0

    def _moved(self, snes: Any) -> float:
        """By the last step, in L1."""
        step = np.abs(snes.getSolutionUpdate().array_r[self._dofs])
        return self.given.ranks.total(float(step @ self.given.volumes[self.made.order]))

    def _residual(self, _: Any, x: Any, out: Any, potential_of: Callable[[Array], Array]) -> None:
        """A(x) x - M rho; A stays, and is SNES's derivative: its callback has nothing left to do."""
        # a correction leaves cells that should be empty at rounding of either sign
        values = np.maximum(self._in_order(x.array_r), 0.0)
        self._put(self.potential, potential_of(values))
        self._put(self.known, values)
        assembled(self._square, self._matrix).mult(x, out)
        out.axpy(-1.0, self._vectors[1])

    @cached_property
    def _square(self) -> Any:
        return empty_of(self._matrix)

    @cached_property
    def _vectors(self) -> tuple[Any, Any]:
        """The unknown and M rho."""
        return self._square.createVecRight(), self._square.createVecRight()

    @cached_property
    def _snes(self) -> Any:
        """Full steps, each a solve with A; analysed once for all steps on the mesh."""
        snes = PETSc.SNES().create(self._square.comm)
        snes.setType("newtonls")
        snes.getLineSearch().setType("basic")
        snes.setFunction(self._residual, self._square.createVecRight(), args=(None,))
        snes.setJacobian(lambda *_: None, self._square)
        solve_by_factors(snes.getKSP(), self._square)
        return snes

    def free(self) -> None:
        """Give PETSc's objects back."""
        if (snes := self.__dict__.pop("_snes", None)) is not None:
            snes.destroy()
        for held in (*self.__dict__.pop("_vectors", ()), self.__dict__.pop("_square", None)):
            if held is not None:
                held.destroy()

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
class Settled:
    """values (m,) of a step; moved: mass that the last iteration moved; reason: SNES's own."""

    values: Array
    converged: bool
    moved: float
    reason: str


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
