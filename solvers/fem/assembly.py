"""This file owns the forms of DG0 on the mesh of one grid: assembled vectors and factored matrices, in grid order.

Imported after `toolchain.start` alone. One object serves every flow on a grid; its functions are workspace, written
over at each call.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from dolfinx import fem

from solvers.fem.factors import factored, matrix_of
from solvers.fem.forms import Forms, forms_of
from solvers.fem.kept import Kept
from solvers.fem.mesh import GridMesh, regions_of
from wflow.arrays import Array
from wflow.grid import Grid
from wflow.mesh import Numbers
from wflow.ranks import Ranks

_GRIDS, _FACTORS = 16, 4


@dataclass(frozen=True, eq=False)
class Assembly:
    """Cell functions (m,) in the grid's order, whole on each of several ranks, which share the sums alone; velocities
    (s, d) at `points`.
    """

    grid: Grid
    ranks: Ranks
    forms: Forms
    made: GridMesh
    density: fem.Function
    solution: fem.Function
    velocity: fem.Function

    @classmethod
    def on(cls, grid: Grid, ranks: Ranks) -> "Assembly":
        """The mesh and its spaces."""
        forms = forms_of(grid.domain.dim)
        made = GridMesh.of(grid, ranks)
        constant = fem.functionspace(made.mesh, ("DG", 0))
        continuous = fem.functionspace(made.mesh, ("Lagrange", 1, (grid.domain.dim,)))
        return cls(grid, ranks, forms, made, fem.Function(constant), fem.Function(constant), fem.Function(continuous))

    @property
    def points(self) -> Array:
        """Where the velocity is asked (s, d)."""
        return self.made.points

    def exchanged(self, velocity: Array, values: Array) -> tuple[Array, Array]:
        """For rho = values (m,): what each cell gains from its neighbours (m,), and the rate (m,) at which it empties.

        Both over the volume of a cell; rho changes by the first less the second times rho.
        """
        self.density.x.array[:] = values[self._cells]
        self.velocity.x.array[:] = velocity[self._corners].ravel()
        # one vector for all calls: DOLFINx's have a Python `__del__`, and an interrupt that falls there is lost
        total = self._pairs.array
        total[:] = 0.0
        fem.assemble_vector(total, self._exchange)
        local = total.reshape(-1, 2) / self.grid.cell_volume
        return self._in_order(local[:, 0]), self._in_order(local[:, 1])

    def spread(self, values: Array, share: float) -> Array:
        """rho (m,) with rho - share Laplace rho = values, two-point fluxes."""
        self.density.x.array[:] = values[self._cells]
        _factors(self, share).solver.solve(self.density.x.petsc_vec, self.solution.x.petsc_vec)
        return self._in_order(self.solution.x.array)

    def heat_matrix(self, share: float) -> Any:
        """I + share K, columns of sum 1: the form `heat` over the volume of a cell, a PETSc matrix."""
        mesh, forms, space = self.made.mesh, self.forms, self.density.function_space
        numbers = {forms.share: fem.Constant(mesh, share), forms.spacing: fem.Constant(mesh, self.grid.widths)}
        form = fem.create_form(forms.heat, [space, space], mesh, regions_of(mesh), {}, numbers)
        matrix = matrix_of(form)
        matrix.scale(1.0 / self.grid.cell_volume)
        return matrix

    def _in_order(self, local: Array) -> Array:
        """From own cells, and ghosts that are left out."""
        values = np.empty(self.grid.size)
        values[self._everyone] = self.ranks.stacked(local[: self.made.own])
        return values

    @cached_property
    def _cells(self) -> Numbers:
        """The grid's cell of each degree of freedom of a cell function."""
        cells = np.empty_like(self.made.order)
        cells[self.density.function_space.dofmap.list[:, 0]] = self.made.order
        return cells

    @cached_property
    def _everyone(self) -> Numbers:
        """The grid's cells as ranks own them, one rank after the other."""
        return self.ranks.stacked(self._cells[: self.made.own])

    @cached_property
    def _corners(self) -> Numbers:
        """The point of each degree of freedom of the velocity."""
        dofs = self.velocity.function_space.dofmap.list
        corners = np.empty(int(dofs.max()) + 1, dtype=np.int64)
        corners[dofs] = self.made.corners
        return corners

    @cached_property
    def _facets(self) -> dict[Any, Any]:
        """The facets between two cells, as create_form wants them."""
        kind = fem.IntegralType.interior_facet
        return {kind: regions_of(self.made.mesh)[kind]}

    @cached_property
    def _pairs(self) -> Any:
        """The vector into which `exchange` is assembled."""
        return fem.create_vector(self._exchange.function_spaces[0])

    @cached_property
    def _exchange(self) -> fem.Form:
        forms, mesh = self.forms, self.made.mesh
        pairs = fem.functionspace(mesh, ("DG", 0, (2,)))
        given = {forms.density: self.density, forms.velocity: self.velocity}
        return fem.create_form(forms.exchange, [pairs], mesh, dict(self._facets), given, {})


@dataclass(frozen=True, eq=False)
class _Factors:
    """Of I + share K, an M-matrix."""

    solver: Any

    @classmethod
    def of(cls, assembly: Assembly, share: float) -> "_Factors":
        """Factored here."""
        return cls(factored(assembly.heat_matrix(share)))

    def free(self) -> None:
        """Give PETSc's objects back."""
        self.solver.getOperators()[0].destroy()
        self.solver.destroy()


@lru_cache(maxsize=_GRIDS)
def assembly_of(grid: Grid, ranks: Ranks) -> Assembly:
    """The assembly on a grid, kept for the last few."""
    return Assembly.on(grid, ranks)


_factors = Kept(_FACTORS, _Factors.of)
