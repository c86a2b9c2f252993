"""This file owns how PETSc solves the equations of a step in a linearised W2 metric on one mesh: Newton, LU.

Imported after `toolchain.start` alone.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from dolfinx import fem, mesh
from dolfinx.fem import petsc
from petsc4py import PETSc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from solvers.fem.linearised import Problem, Solved
from solvers.fem.linearised_forms import StepForms, step_forms
from solvers.fem.mesh import GridMesh, regions_of
from solvers.fem.simplices import SHAPES, made_on
from wflow.arrays import Array
from wflow.grid import Grid
from wflow.mesh import Mesh, Numbers

_SQUARES = ("interval", "quadrilateral", "hexahedron")
_BOUND = 8
_GOAL = 1e-13
"""Of the residual's norm, in units of mass: Newton squares it, so the last iteration ends far below."""
_REASONS = {value: name for name, value in vars(PETSc.SNES.ConvergedReason).items() if isinstance(value, int)}


@dataclass(frozen=True, eq=False)
class Cells:
    """DOLFINx's mesh of a grid or of a Mesh; order (m,): the number there of each of its cells."""

    mesh: mesh.Mesh
    order: Numbers
    shape: str
    centres: Array
    volumes: Array

    @classmethod
    def of(cls, given: Grid | Mesh) -> "Cells":
        """Centres of squares, circumcentres of flat simplices."""
        if isinstance(given, Grid):
            squares = GridMesh.of(given)
            shape, volumes = _SQUARES[given.domain.dim - 1], np.full(given.size, given.cell_volume)
            return cls(squares.mesh, squares.order, shape, given.centres, volumes)
        made = made_on(given)
        return cls(made.mesh, made.order, SHAPES[given.cells.shape[1]], given.circumcentres, given.volumes)

    @cached_property
    def regions(self) -> dict[Any, Any]:
        """Cells, and facets between two of them, as create_form wants them."""
        return regions_of(self.mesh)

    @cached_property
    def parts(self) -> list[Numbers]:
        """The given numbers of the cells of each connected part: one, but for the sheets of a frozen axis."""
        m = len(self.order)
        # (facet, (cell, its facet's number there) twice)
        sides = self.regions[fem.IntegralType.interior_facet][0][1].reshape(-1, 4)
        pairs = self.order[sides[:, ::2]]
        joined = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(m, m))
        many, part = connected_components(joined, directed=False)
        return [np.flatnonzero(part == k) for k in range(many)]


@dataclass(frozen=True, eq=False)
class Newton:
    """The forms bound to one mesh; functions, the matrix and vectors are workspace, written over at each call."""

    cells: Cells
    forms: StepForms
    unknown: fem.Function
    given: fem.Function
    centre: fem.Function
    numbers: fem.Constant

    @classmethod
    def on(cls, given: Grid | Mesh, earlier: int, centred: bool) -> "Newton":
        """For steps from one or two earlier densities."""
        cells, dim = Cells.of(given), given.domain.dim
        forms = step_forms(cells.shape, dim, earlier, centred)
        spaces = (fem.functionspace(cells.mesh, ("DG", 0, (size,))) for size in (earlier + 1, 2 * earlier, dim))
        unknown, known, centre = (fem.Function(space) for space in spaces)
        bound = cls(cells, forms, unknown, known, centre, fem.Constant(cells.mesh, np.zeros(earlier + 3)))
        bound._put(centre.x.array, cells.centres.T)
        return bound

    def solve(self, problem: Problem, guess: Array, limit: int) -> Solved:
        """guess (k + 1, m): log rho and the potentials."""
        self._set(problem)
        snes, x = self._snes, self._vector
        snes.setTolerances(rtol=0.0, atol=_GOAL, stol=0.0, max_it=limit)
        self._put(x.array, self._pinned(problem, guess))
        try:
            snes.solve(None, x)
        except PETSc.Error as error:
            # what is raised in a form, such as an interrupt, leaves PETSc's vectors locked: they are made anew
            for name in ("_snes", "_vector", "_matrix"):
                self.__dict__.pop(name, None)
            raise error.__cause__ or error from None
        found = self._taken(x.array_r)
        left = np.abs(self._taken(snes.getFunction()[0].array_r))
        with np.errstate(over="ignore", invalid="ignore"):
            unbalanced = float(left[0] @ np.exp(found[0])) / problem.terms[0]
        residual = float(np.max([unbalanced, *left[1:].sum(axis=1)]))
        reason = _REASONS.get(snes.getConvergedReason(), "unknown")
        return Solved(found[0], found[1:], residual, reason)

    def _set(self, problem: Problem) -> None:
        given = [*problem.earlier, problem.potential]
        if len(problem.earlier) == 2:
            pins = np.zeros(len(self.cells.order))
            for cell in self._fixed(problem):
                pins[cell] = problem.earlier[0][cell] / self.cells.volumes[cell]
            given.append(pins)
        self._put(self.given.x.array, np.array(given))
        self.numbers.value[:] = [*problem.shares, *problem.terms]

    def _fixed(self, problem: Problem) -> list[int]:
        """Of each connected part the fullest cell."""
        rho = problem.earlier[0]
        return [int(part[rho[part].argmax()]) for part in self.cells.parts]

    def _pinned(self, problem: Problem, guess: Array) -> Array:
        """The guess with phi_2 = 0 in the pinned cells, c_1 phi_1 + c_2 phi_2 being as it was."""
        if len(problem.earlier) == 1:
            return guess
        moved = guess.copy()
        for part, cell in zip(self.cells.parts, self._fixed(problem), strict=True):
            level = guess[2, cell]
            moved[2, part] -= level
            moved[1, part] += problem.shares[1] / problem.shares[0] * level
        return moved

    def _residual(self, _: Any, x: Any, out: Any) -> None:
        self.unknown.x.array[:] = x.array_r
        # PETSc's own vector: DOLFINx's have a Python `__del__`, and an interrupt that falls there is lost
        total = out.array
        total[:] = 0.0
        fem.assemble_vector(total, self._equations)

    def _jacobian(self, _: Any, x: Any, matrix: Any, __: Any) -> None:
        self.unknown.x.array[:] = x.array_r
        matrix.zeroEntries()
        petsc.assemble_matrix(matrix, self._derivative)
        matrix.assemble()

    @cached_property
    def _equations(self) -> fem.Form:
        return self._bound(self.forms.residual, 1)

    @cached_property
    def _derivative(self) -> fem.Form:
        return self._bound(self.forms.matrix, 2)

    def _bound(self, form: Any, rank: int) -> fem.Form:
        f, made, space = self.forms, self.cells.mesh, self.unknown.function_space
        given = {f.unknown: self.unknown, f.given: self.given, f.centre: self.centre}
        return fem.create_form(form, [space] * rank, made, dict(self.cells.regions), given, {f.numbers: self.numbers})

    @cached_property
    def _matrix(self) -> Any:
        return petsc.create_matrix(self._derivative)

    @cached_property
    def _vector(self) -> Any:
        return self._matrix.createVecRight()

    @cached_property
    def _snes(self) -> Any:
        """Newton with a line search on the norm; L U by MUMPS."""
        snes = PETSc.SNES().create(PETSc.COMM_SELF)
        snes.setType("newtonls")
        snes.getLineSearch().setType("bt")
        snes.setFunction(self._residual, self._vector.duplicate())
        snes.setJacobian(self._jacobian, self._matrix)
        ksp = snes.getKSP()
        ksp.setType("preonly")
        ksp.getPC().setType("lu")
        ksp.getPC().setFactorSolverType("mumps")
        ksp.setOperators(self._matrix)
        ksp.getPC().setFactorSetUpSolverType()
        # 24: pivots that vanish (an empty cell among empty ones) are passed over: PETSc would raise in the solve.
        # 6, 8: no permutation by values, scaling at each factorisation. The symbolic factors serve all steps, and so
        # depend on the mesh alone, not on the numbers that came first: a resumed run has the same bits. 14: room for it
        for option, value in ((6, 0), (7, 4), (8, 7), (14, 100), (24, 1)):
            ksp.getPC().getFactorMatrix().setMumpsIcntl(option, value)
        return snes

    def _put(self, target: Array, values: Array) -> None:
        target.reshape(-1, len(values))[self._dofs] = values[:, self.cells.order].T

    def _taken(self, local: Array) -> Array:
        values = np.empty((self.forms.earlier + 1, len(self.cells.order)))
        values[:, self.cells.order] = local.reshape(-1, len(values))[self._dofs].T
        return values

    @cached_property
    def _dofs(self) -> Numbers:
        return np.asarray(self.unknown.function_space.dofmap.list[:, 0], dtype=np.int64)


@lru_cache(maxsize=_BOUND)
def newton_on(given: Grid | Mesh, earlier: int, centred: bool) -> Newton:
    """Kept for the last few meshes."""
    return Newton.on(given, earlier, centred)
