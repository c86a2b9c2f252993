"""This file owns how PETSc solves the equations of a step in a linearised W2 metric on one mesh: Newton, LU.

Imported after `toolchain.start` alone.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from dolfinx import fem, mesh
from petsc4py import PETSc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from solvers.fem.factors import assembled, empty_of, reason_of
from solvers.fem.kept import Kept
from solvers.fem.linearised import Problem, Solved
from solvers.fem.linearised_forms import StepForms, step_forms
from solvers.fem.mesh import GridMesh, neighbours, regions_of
from solvers.fem.shared import comm_of
from solvers.fem.simplices import SHAPES, made_on
from wflow.arrays import Array
from wflow.grid import Grid
from wflow.mesh import Mesh, Numbers
from wflow.part import Part
from wflow.ranks import ALONE, Ranks

_SQUARES = ("interval", "quadrilateral", "hexahedron")
_BOUND = 8
_GOAL = 1e-13
"""Of the residual's norm, in units of mass: Newton squares it, so the last iteration ends far below."""


@dataclass(frozen=True, eq=False)
class Cells:
    """DOLFINx's mesh of a grid or of a Mesh, on several ranks that of all of them.

    Functions (m,) are those of the grid, whole on each rank, or of the rank's part of the Mesh. order: the number there
    of each own cell.   centres (n, d): of own cells and ghosts, in DOLFINx's order.   volumes (m,).   pairs (f, 2):
    cells beside each other, by their numbers in the whole.
    """

    mesh: mesh.Mesh
    order: Numbers
    shape: str
    centres: Array
    volumes: Array
    pairs: Numbers
    given: Grid | Mesh
    ranks: Ranks

    @classmethod
    def of(cls, given: Grid | Mesh, ranks: Ranks) -> "Cells":
        """Centres of squares, circumcentres of flat simplices."""
        if isinstance(given, Grid):
            squares = GridMesh.of(given, ranks)
            shape, volumes = _SQUARES[given.domain.dim - 1], np.full(given.size, given.cell_volume)
            own, centres = squares.order[: squares.own], given.centres[squares.order]
            return cls(squares.mesh, own, shape, centres, volumes, neighbours(given), given, ranks)
        made, whole = made_on(given), given.whole
        shape, centres = SHAPES[given.cells.shape[1]], whole.circumcentres[made.numbers]
        return cls(made.mesh, made.order, shape, centres, given.volumes, whole.facets.cells, given, ranks)

    @property
    def own(self) -> int:
        """Cells that this rank owns: DOLFINx's first ones."""
        return len(self.order)

    @property
    def shared(self) -> Ranks:
        """Those between which the cells of functions are shared."""
        return ALONE if isinstance(self.given, Grid) else self.ranks

    @cached_property
    def everyone(self) -> Numbers:
        """`order` of one rank after the other, where functions are whole."""
        return self.order if isinstance(self.given, Mesh) else self.ranks.stacked(self.order)

    def collected(self, own: Array) -> Array:
        """A function (m, k) from the rows of own cells."""
        values = np.empty((len(self.volumes), own.shape[1]))
        values[self.everyone] = own if isinstance(self.given, Mesh) else self.ranks.stacked(own)
        return values

    @cached_property
    def names(self) -> Numbers:
        """(m,) the number in the whole of each cell of functions."""
        return self.given.own if isinstance(self.given, Part) else np.arange(len(self.volumes))

    @cached_property
    def parts(self) -> list[Numbers]:
        """The cells of functions in each connected part of the whole: one, but for the sheets of a frozen axis."""
        m = self.given.size if isinstance(self.given, Grid) else self.given.whole.size
        joined = coo_array((np.ones(len(self.pairs)), tuple(self.pairs.T)), shape=(m, m))
        many, part = connected_components(joined, directed=False)
        return [np.flatnonzero(part[self.names] == k) for k in range(many)]


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
    def on(cls, given: Grid | Mesh, ranks: Ranks, earlier: int, centred: bool) -> "Newton":
        """For steps from one or two earlier densities."""
        cells, dim = Cells.of(given, ranks), given.domain.dim
        forms = step_forms(cells.shape, dim, earlier, centred)
        spaces = (fem.functionspace(cells.mesh, ("DG", 0, (size,))) for size in (earlier + 1, 2 * earlier, dim))
        unknown, known, centre = (fem.Function(space) for space in spaces)
        bound = cls(cells, forms, unknown, known, centre, fem.Constant(cells.mesh, np.zeros(earlier + 3)))
        centre.x.array.reshape(-1, dim)[centre.function_space.dofmap.list[:, 0]] = cells.centres
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
        residual = float(np.max(self.cells.shared.total(np.array([unbalanced, *left[1:].sum(axis=1)]))))
        reason = reason_of(snes)
        return Solved(found[0], found[1:], residual, reason)

    def free(self) -> None:
        """Give PETSc's objects back."""
        for name in ("_snes", "_vector", "_matrix"):
            if (held := self.__dict__.pop(name, None)) is not None:
                held.destroy()
        if self.cells.ranks.size > 1:  # what Python dropped on the way
            PETSc.garbage_cleanup(self.cells.mesh.comm)

    def _set(self, problem: Problem) -> None:
        given = [*problem.earlier, problem.potential]
        if len(problem.earlier) == 2:
            pins = np.zeros(len(self.cells.volumes))
            cell = self._fixed(problem)
            pins[cell] = problem.earlier[0][cell] / self.cells.volumes[cell]
            given.append(pins)
        self._put(self.given.x.array, np.array(given))
        self.given.x.scatter_forward()
        self.numbers.value[:] = [*problem.shares, *problem.terms]

    def _fixed(self, problem: Problem) -> Numbers:
        """Of each connected part the fullest cell, the first of equals: those that are among the rank's."""
        rho, shared, names = problem.earlier[0], self.cells.shared, self.cells.names
        fixed = []
        for part in self.cells.parts:
            fullest = shared.most(float(rho[part].max(initial=-np.inf)))
            found = part[rho[part] == fullest]
            first = -shared.most(-float(names[found].min()) if len(found) else -np.inf)
            fixed += [cell for cell in found if names[cell] == first]
        return np.array(fixed, dtype=np.int64)

    def _pinned(self, problem: Problem, guess: Array) -> Array:
        """The guess with phi_2 = 0 in the pinned cells, c_1 phi_1 + c_2 phi_2 being as it was."""
        if len(problem.earlier) == 1:
            return guess
        moved, fixed = guess.copy(), self._fixed(problem)
        for part in self.cells.parts:
            level = self.cells.shared.total(float(guess[2, np.intersect1d(part, fixed)].sum()))
            moved[2, part] -= level
            moved[1, part] += problem.shares[1] / problem.shares[0] * level
        return moved

    def _residual(self, _: Any, x: Any, out: Any) -> None:
        self._looked_at(x)
        total = self._rows
        total[:] = 0.0
        fem.assemble_vector(total, self._equations)
        out.array[:] = total[: out.local_size]

    def _jacobian(self, _: Any, x: Any, matrix: Any, __: Any) -> None:
        self._looked_at(x)
        assembled(matrix, self._derivative)

    def _looked_at(self, x: Any) -> None:
        self.unknown.x.array[: x.local_size] = x.array_r
        self.unknown.x.scatter_forward()

    @cached_property
    def _rows(self) -> Array:
        """Into which equations are assembled, rows of ghosts last, which are left out."""
        return np.zeros(len(self.unknown.x.array))

    @cached_property
    def _equations(self) -> fem.Form:
        return self._bound(self.forms.residual, 1)

    @cached_property
    def _derivative(self) -> fem.Form:
        return self._bound(self.forms.matrix, 2)

    def _bound(self, form: Any, rank: int) -> fem.Form:
        f, made, space = self.forms, self.cells.mesh, self.unknown.function_space
        given = {f.unknown: self.unknown, f.given: self.given, f.centre: self.centre}
        return fem.create_form(form, [space] * rank, made, regions_of(made), given, {f.numbers: self.numbers})

    @cached_property
    def _matrix(self) -> Any:
        return empty_of(self._derivative)

    @cached_property
    def _vector(self) -> Any:
        return self._matrix.createVecRight()

    @cached_property
    def _snes(self) -> Any:
        """Newton with a line search on the norm; L U by MUMPS."""
        snes = PETSc.SNES().create(comm_of(self.cells.ranks))
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
        return np.ascontiguousarray(self.cells.collected(local.reshape(-1, self.forms.earlier + 1)[self._dofs]).T)

    @cached_property
    def _dofs(self) -> Numbers:
        """Of own cells."""
        return np.asarray(self.unknown.function_space.dofmap.list[: self.cells.own, 0], dtype=np.int64)


newton_on = Kept(_BOUND, Newton.on)
"""Kept for the last few meshes."""
