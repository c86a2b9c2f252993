"""The mesh and the forms of DG0 against plain sums over faces, and what is made only once.

With v at the vertices, continuous and linear between them, n from + to -, and one quadrature point a facet:
rho_i' = (sum of what neighbours send - what i sends)/|cell|, sent = |facet| rho (v.n)^+;  heat by two-point fluxes.
"""

import functools
import itertools
import math

import numpy as np
import pytest

from solvers.fem import DG0, toolchain
from wflow import Box, Flow, Grid, Potential, Product, Uniform, box, circle, cylinder, interval, problems, solve, torus
from wflow.energy import Energy
from wflow.internal import Entropy
from wflow.measure import Density
from wflow.ranks import ALONE
from wflow.solver import State

pytestmark = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]
TURN = 2.0 * math.pi


@pytest.fixture(scope="module")
def assembly():
    """`assembly_of` on one rank, DOLFINx started."""
    toolchain.start()
    from solvers.fem.assembly import assembly_of

    return lambda grid: assembly_of(grid, ALONE)


def sheets(shape):
    """Two sheets across a frozen axis, walls, a circle: every kind of axis at once."""
    return Grid(Box((-2.0, 0.0, 0.0), (2.0, 1.0, TURN), (False, False, True), (True, False, False)), shape)


GRIDS = {
    "interval": Grid(interval(-1.0, 2.0), (7,)),
    "circle": Grid(circle(), (5,)),
    "square": Grid(box([0, 0], [1, 3]), (4, 6)),
    "cylinder": Grid(cylinder(0.0, 1.0), (6, 4)),
    "torus": Grid(torus(2), (4, 7)),
    "cube": Grid(box([0, 0, 0], [1, 2, 3]), (4, 5, 6)),
    "sheets": sheets((2, 5, 6)),
}


def neighbours(values, grid, axis):
    """Cell values on the left and on the right of the faces that are crossed, faces along `axis` first."""
    left = np.moveaxis(values.reshape(grid.shape), axis, 0)
    if grid.domain.frozen[axis]:
        return left[:0], left[:0]
    return (left, np.roll(left, -1, axis=0)) if grid.domain.periodic[axis] else (left[:-1], left[1:])


def returned(flow, grid, axis):
    """What the cells gain by a flow (faces first) through the faces on their left and on their right."""
    total = np.zeros((grid.shape[axis], *flow.shape[1:]))
    faces = np.arange(len(flow))
    np.add.at(total, (faces + 1) % grid.shape[axis], np.maximum(flow, 0.0))
    np.add.at(total, faces, np.maximum(-flow, 0.0))
    return np.moveaxis(total, 0, axis).ravel()


def face_velocities(velocity, grid, axis):
    """The component of `axis` at the middle of each crossed face: the mean over the corners of the face."""
    kinds = zip(grid.shape, grid.domain.periodic, grid.domain.frozen, strict=True)
    corners = [n if turns or still else n + 1 for n, turns, still in kinds]
    v = velocity[:, axis].reshape(corners)
    for k in range(len(corners)):
        if k != axis and not grid.domain.frozen[k]:
            after = np.roll(v, -1, axis=k)
            v = 0.5 * (v + after) if grid.domain.periodic[k] else (0.5 * (v + after)).take(range(grid.shape[k]), axis=k)
    v = np.moveaxis(v, axis, 0)
    if grid.domain.frozen[axis]:
        return v[:0]
    return np.roll(v, -1, axis=0) if grid.domain.periodic[axis] else v[1:-1]


@pytest.mark.parametrize("kind", GRIDS)
def test_the_assembled_exchange_is_the_sum_over_faces(kind, assembly):
    """Random densities and velocities: what each cell gains and how fast it empties, to rounding.

    No two values are alike, so a wrong order of cells or corners, a lost or doubled face, a wrong side would all show.
    """
    grid = GRIDS[kind]
    made, rng = assembly(grid), np.random.default_rng(7)
    rho, velocity = rng.uniform(0.5, 1.5, grid.size), rng.normal(size=made.points.shape)
    gained, out = np.zeros(grid.size), np.zeros(grid.size)
    for axis in grid.domain.moving:
        (left, right), v = neighbours(rho, grid, axis), face_velocities(velocity, grid, axis) / grid.widths[axis]
        gained += returned(np.maximum(v, 0.0) * left, grid, axis) + returned(-np.maximum(-v, 0.0) * right, grid, axis)
        ones = np.ones_like(left)
        into = returned(v * ones, grid, axis)
        out += returned(-v * ones, grid, axis)
        assert into.sum() == pytest.approx(np.abs(v).sum(), rel=1e-13, abs=0.0)
    found = made.exchanged(velocity, rho)
    np.testing.assert_allclose(found[0], gained, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[1], out, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", GRIDS)
def test_the_assembled_heat_is_the_sum_over_faces(kind, assembly):
    """(I - s Laplace_h) rho_new = rho for the rho_new that `spread` finds: two-point fluxes summed here, to 1e-12."""
    grid, share = GRIDS[kind], 0.3
    rho = np.random.default_rng(8).uniform(0.5, 1.5, grid.size)
    new = assembly(grid).spread(rho, share)
    gained = np.zeros(grid.size)
    for axis in grid.domain.moving:
        left, right = neighbours(new, grid, axis)
        flow = share * (left - right) / grid.widths[axis] ** 2
        gained += returned(flow, grid, axis) - returned(-flow, grid, axis)
    np.testing.assert_allclose(new - gained, rho, rtol=1e-12, atol=0.0)


FACETS = {"interval": 6, "circle": 5, "square": 38, "cylinder": 44, "torus": 56, "cube": 286, "sheets": 108}
VERTICES = {"interval": 8, "circle": 5, "square": 35, "cylinder": 28, "torus": 28, "cube": 210, "sheets": 144}


@pytest.mark.parametrize("kind", GRIDS)
def test_the_mesh_is_closed_where_its_grid_is_and_torn_at_sheets(kind, assembly):
    """Inner facets and vertices by count (n or n - 1 an axis); volumes and the corners of each cell by coordinates."""
    from dolfinx import fem
    from ufl import dx

    grid, made = GRIDS[kind], assembly(GRIDS[kind]).made
    mesh, dim = made.mesh, GRIDS[kind].domain.dim
    mesh.topology.create_connectivity(dim - 1, dim)
    assert np.sum(np.diff(mesh.topology.connectivity(dim - 1, dim).offsets) == 2) == FACETS[kind]
    assert mesh.topology.index_map(0).size_local == VERTICES[kind]
    assert fem.assemble_scalar(fem.form(fem.Constant(mesh, 1.0) * dx)) == pytest.approx(
        grid.cell_volume * grid.size, rel=1e-13, abs=0.0
    )
    nodes = mesh.geometry.x[mesh.geometry.dofmaps[0]][:, :, :dim]
    np.testing.assert_allclose(nodes.mean(axis=1), grid.centres[made.order], rtol=0.0, atol=1e-13)
    # the first axis varies fastest from corner to corner, all rising: the reference cell's own order
    rising = [(nodes[:, 2**k] - nodes[:, 0])[:, k] for k in range(dim)]
    np.testing.assert_allclose(np.array(rising).T, np.tile(grid.widths, (grid.size, 1)), rtol=1e-12, atol=0.0)


def test_sheets_do_not_mix():
    """Heat and drift on two sheets a = +-1 of unequal mass: each keeps its own to 1e-12, and both move."""
    grid = sheets((2, 8, 8))
    start = np.random.default_rng(3).uniform(0.2, 1.0, grid.shape) * np.array([1.0, 3.0])[:, None, None]
    pi = Density(grid, start.ravel() / (start.sum() * grid.cell_volume))
    energy = Energy(Potential.linear([0.3, 1.0, 0.0]), Entropy(0.5))
    flow = Flow(
        energy,
        grid.domain,
        Product(Uniform(interval(-2, 2)), Uniform(interval(0, 1)), Uniform(circle()), frozen=(True, False, False)),
        1.0,
    )
    after = DG0(8).step(flow, State(0.0, pi), 0.01).state.measure
    before, now = (m.weights.reshape(2, -1) for m in (pi, after))
    np.testing.assert_allclose(now.sum(axis=1), before.sum(axis=1), rtol=0.0, atol=1e-12)
    assert np.min(np.abs(now - before).sum(axis=1)) > 1e-3


# What is made once


def test_forms_compile_once_for_each_number_of_axes(monkeypatch):
    """Four grids, three temperatures, three step lengths on one axis: two forms, two compilations."""
    toolchain.start()
    from solvers.fem import assembly, forms

    compiled = []
    compiler = forms.compiled
    monkeypatch.setattr(forms, "compiled", lambda form: compiled.append(form) or compiler(form))
    monkeypatch.setattr(assembly, "forms_of", functools.cache(forms.Forms.on))
    assembly.assembly_of.cache_clear()
    for cells, temperature in itertools.product((16, 24, 32, 40), (0.1, 0.2, 0.3)):
        flow = problems.circle_teacher(temperature=temperature, horizon=0.1).flow
        for steps in (2, 3, 5):
            solve(flow, DG0(cells), steps=steps)
    assembly.assembly_of.cache_clear()
    assert len(compiled) == 2


def test_a_run_of_equal_steps_assembles_one_matrix_and_one_exchange_a_step(monkeypatch):
    """100 steps with 64 saved times: the bound asked there takes what the step has assembled.

    Vectors are as many as for one step: where they end, in `__del__`, Python would lose an interrupt.
    """
    toolchain.start()
    from dolfinx import la

    from solvers.fem.assembly import Assembly

    calls = {"heat_matrix": 0, "exchanged": 0}
    vectors = []
    made = la.Vector.__init__
    monkeypatch.setattr(la.Vector, "__init__", lambda self, *given: vectors.append(1) or made(self, *given))

    def counted(name):
        method = getattr(Assembly, name)

        def count(self, *arguments):
            calls[name] += 1
            return method(self, *arguments)

        monkeypatch.setattr(Assembly, name, count)

    for name in calls:
        counted(name)
    solve(problems.circle_teacher(temperature=0.123, horizon=1.0).flow, DG0(36), steps=100)
    assert calls == {"heat_matrix": 1, "exchanged": 100}
    assert len(vectors) < 10


def test_a_fixed_velocity_is_asked_once_a_grid():
    """V of drift and diffusion does not depend on pi: one call of its field for the gradient, none in later runs."""
    asked = []

    def field(w, derivative):
        asked.append(derivative)
        return Potential.linear(-1.0).field(w, derivative)

    square = interval(0.0, 1.0)
    flow = Flow(Energy(Potential(field), Entropy(1.0)), square, Uniform(square), 0.1)
    for _ in range(2):
        solve(flow, DG0(16), steps=10)
    assert asked.count(1) == 1
