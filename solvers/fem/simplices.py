"""This file owns DOLFINx's mesh of intervals or triangles and the upwind transport that it assembles there.

Imported after `toolchain.start` alone.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import basix.ufl
import numpy as np
import ufl
from dolfinx import cpp, fem, mesh
from dolfinx.common import IndexMap
from dolfinx.fem.forms import CompiledForm
from mpi4py import MPI

from solvers.fem.forms import INNER, compiled
from solvers.fem.mesh import regions_of
from solvers.fem.shared import comm_of, made_of
from wflow.arrays import Array
from wflow.mesh import Mesh, Numbers
from wflow.part import Part, owners

SHAPES = {2: "interval", 3: "triangle", 4: "tetrahedron"}
_MESHES = 8


@dataclass(frozen=True, eq=False)
class TransportForm:
    """On abstract simplices of a dimension in d coordinates, for rho of degree 0 or 1 with test functions w:

        int rho v . grad w  -  sum_e int_e (rho+ (v.n)^+ - rho- (v.n)^-) (w+ - w-),    v.n = (v.n+ - v.n-)/2

    v is continuous and linear between vertices. On a surface the conormals n+ and -n- of a facet differ by O(h); their
    mean carries the same mass out of one cell that it carries into the other. Exact for such rho and v in the plane.
    """

    domain: Any
    density: Any
    velocity: Any
    test: Any
    degree: int

    @classmethod
    def on(cls, corners: int, dim: int, degree: int) -> "TransportForm":
        """With its spaces."""
        shape, domain = SHAPES[corners], abstract_simplices(corners, dim)
        cells = ufl.FunctionSpace(domain, basix.ufl.element("DG", shape, degree))
        velocities = ufl.FunctionSpace(domain, domain.ufl_coordinate_element())
        return cls(domain, ufl.Coefficient(cells), ufl.Coefficient(velocities), ufl.TestFunction(cells), degree)

    @cached_property
    def compiled(self) -> CompiledForm:
        """Quadrature exact for polynomials; at one point of a facet for degree 0."""
        rho, v, w, n = self.density, self.velocity, self.test, ufl.FacetNormal(self.domain)
        along = 0.5 * (ufl.dot(v("+"), n("+")) - ufl.dot(v("-"), n("-")))
        flux = rho("+") * ufl.max_value(along, 0.0) - rho("-") * ufl.max_value(-along, 0.0)
        facets = ufl.dS(INNER, domain=self.domain, metadata={"quadrature_degree": 3 * self.degree})
        form = flux * (w("-") - w("+")) * facets
        if self.degree:
            inside = ufl.dx(domain=self.domain, metadata={"quadrature_degree": 2})
            form += rho * ufl.dot(v, ufl.grad(w)) * inside
        return compiled(form)


def abstract_simplices(corners: int, dim: int) -> Any:
    """A UFL domain of cells with so many corners in `dim` coordinates; each mesh needs its own."""
    return ufl.Mesh(basix.ufl.element("Lagrange", SHAPES[corners], 1, shape=(dim,)))


@lru_cache(maxsize=8)
def _form_of(corners: int, dim: int, degree: int) -> TransportForm:
    return TransportForm.on(corners, dim, degree)


@dataclass(frozen=True, eq=False)
class Made:
    """DOLFINx's mesh of a Mesh, closed where nodes are one vertex.

    order (m,): the number in the given mesh or part of each own cell.   numbers (m + k,): the number in the whole one
    of each cell, ghosts last.
    """

    given: Mesh
    mesh: mesh.Mesh
    order: Numbers
    numbers: Numbers

    @classmethod
    def of(cls, given: Mesh) -> "Made":
        """On the ranks that share it."""
        whole, ranks = given.whole, given.ranks
        names, closed_cells = np.unique(whole.vertices[whole.cells], return_inverse=True)
        closed_cells = closed_cells.reshape(whole.cells.shape).astype(np.int64)
        domain = abstract_simplices(whole.cells.shape[1], whole.domain.dim)
        owner, pairs = owners(whole, ranks.size), whole.facets.cells
        places = np.ascontiguousarray(whole.nodes[names])
        closed, numbers = made_of(ranks, closed_cells, places, domain, owner, pairs)
        own = numbers[: given.size]
        order = np.searchsorted(given.own, own) if isinstance(given, Part) else own
        if len(names) == len(whole.nodes):
            return cls(given, closed, order, numbers)
        # coordinates of a rank's own, all of them: nothing of the geometry is sent
        geometry = mesh.create_geometry(
            IndexMap(MPI.COMM_SELF, len(whole.nodes)), whole.cells[numbers].astype(np.int32),
            closed.geometry.cmaps[0], whole.nodes, np.arange(len(whole.nodes)),
        )  # fmt: skip
        joined = cpp.mesh.Mesh_float64(comm_of(ranks), closed.topology._cpp_object, geometry._cpp_object)
        return cls(given, mesh.Mesh(joined, domain), order, numbers)

    @property
    def nodes(self) -> Numbers:
        """(m + k, c) the nodes of the whole mesh at the corners of each cell."""
        return np.asarray(self.given.whole.cells[self.numbers])


@dataclass(frozen=True, eq=False)
class Transport:
    """The assembled form on one mesh; its functions are workspace, written over at each call."""

    given: Mesh
    made: Made
    form: TransportForm
    density: fem.Function
    velocity: fem.Function

    @classmethod
    def on(cls, given: Mesh, degree: int) -> "Transport":
        """The spaces."""
        made = made_on(given)
        form = _form_of(given.cells.shape[1], given.domain.dim, degree)
        cells = fem.functionspace(made.mesh, ("DG", degree))
        continuous = fem.functionspace(made.mesh, ("Lagrange", 1, (given.domain.dim,)))
        return cls(given, made, form, fem.Function(cells), fem.Function(continuous))

    @cached_property
    def points(self) -> Array:
        """(s, d) where the velocity is asked: a node for each vertex."""
        places = np.empty((len(self._node_of), self.given.domain.dim))
        places[:] = self.given.nodes[self._node_of]
        places.flags.writeable = False
        return places

    def moments(self, values: Array, velocity: Array) -> Array:
        """(m, q) the form tested with each of the cells' q basis functions, for rho (m, q) and v (s, d) at `points`."""
        self.density.x.array[self._dofs] = values[self.made.order]
        self.density.x.scatter_forward()
        self.velocity.x.array[:] = velocity.ravel()
        # one vector for all calls: DOLFINx's have a Python `__del__`, and an interrupt that falls there is lost
        total = self._vector.array
        total[:] = 0.0
        fem.assemble_vector(total, self._bound)
        found = np.empty_like(values)
        found[self.made.order] = total[self._dofs]
        return found

    def at_nodes(self, velocity: Array) -> Array:
        """(s, d) the velocity at the nodes of the given mesh, of which several may be one vertex."""
        found = np.empty_like(self.given.nodes)
        found[self.made.nodes] = velocity[self.velocity.function_space.dofmap.list]
        return found

    @cached_property
    def _dofs(self) -> Numbers:
        """Of own cells."""
        return np.asarray(self.density.function_space.dofmap.list[: self.given.size], dtype=np.int64)

    @cached_property
    def _node_of(self) -> Numbers:
        """A node for each degree of freedom of the velocity."""
        dofs = self.velocity.function_space.dofmap.list
        nodes = np.empty(int(dofs.max()) + 1, dtype=np.int64)
        nodes[dofs] = self.made.nodes
        return nodes

    @cached_property
    def _vector(self) -> Any:
        return fem.create_vector(self.density.function_space)

    @cached_property
    def _bound(self) -> fem.Form:
        given = {self.form.density: self.density, self.form.velocity: self.velocity}
        made = self.made.mesh
        return fem.create_form(self.form.compiled, [self.density.function_space], made, regions_of(made), given, {})


@lru_cache(maxsize=_MESHES)
def made_on(given: Mesh) -> Made:
    """Kept for the last few meshes."""
    return Made.of(given)


@lru_cache(maxsize=_MESHES)
def transport_on(given: Mesh, degree: int) -> Transport:
    """Kept for the last few meshes."""
    return Transport.on(given, degree)
