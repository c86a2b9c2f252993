"""Regions given by a file of triangles: reading, walls, refinement, the same flow as on our own mesh, refusals."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy.spatial import Delaunay
from typer.testing import CliRunner

from solvers.fem import DG1, TwoPoint, toolchain
from solvers.particles import GradientFlow
from tests.mesh_files import write_msh2, write_msh4, write_xdmf
from tests.test_dg import PULL, contracting
from wflow import (
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Gibbs,
    MeshDensity,
    Potential,
    Refused,
    Region,
    Uniform,
    Within,
    annulus,
    box,
    disk,
    mesh_file,
    picture,
    polygon,
    region,
    solve,
    w2,
)
from wflow.app import config as configs
from wflow.app.cli import app
from wflow.app.resume import mark
from wflow.app.settings import UsageError
from wflow.flips import flipped
from wflow.meshing import mesh_of
from wflow.store import unpack

meshio = pytest.importorskip("meshio")
fem = [
    pytest.mark.fem,
    pytest.mark.skipif(toolchain.missing() is not None, reason=toolchain.missing() or ""),
]
WRITERS = {"2.2": (write_msh2, ".msh"), "4.1": (write_msh4, ".msh"), "xdmf": (write_xdmf, ".xdmf")}
L = polygon((0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2))
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def region_of(domain, cells):
    """The region of our own mesh."""
    mesh = mesh_of(domain, cells)
    return Region(mesh.nodes, mesh.cells)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_gives_its_triangles_to_the_bit(kind, tmp_path):
    """Units and origin too; what is no corner of a triangle is dropped, and triangles are turned counterclockwise."""
    write, suffix = WRITERS[kind]
    mesh = mesh_of(annulus(0.4, 1.0, (300.0, -7.0)), 12)
    nodes = np.concatenate([[[300.0, -7.0]], 1000.0 * mesh.nodes, [[0.0, 0.0]]])
    turned = mesh.cells + 1
    turned[::3] = turned[::3, ::-1]
    found = region(write(tmp_path / f"ring{suffix}", nodes, turned))
    assert np.array_equal(found.nodes, 1000.0 * mesh.nodes)
    assert np.array_equal(np.sort(found.cells, axis=1), np.sort(mesh.cells, axis=1))
    assert found.volume == pytest.approx(1e6 * mesh.volumes.sum(), rel=1e-12) and len(found.holes) == 1
    assert np.all(twice_areas(found.nodes, found.cells) > 0.0)


@pytest.mark.parametrize(("version", "binary"), [("2.2", False), ("2.2", True), ("4.1", False), ("4.1", True)])
def test_files_of_another_writer(version, binary, tmp_path):
    """meshio's own, text and binary, with a height that is constant."""
    mesh = mesh_of(disk(), 8)
    points = np.column_stack([mesh.nodes, np.full(len(mesh.nodes), 3.0)])
    meshio.gmsh.write(tmp_path / "a.msh", meshio.Mesh(points, [("triangle", mesh.cells)]), version, binary=binary)
    found = region(tmp_path / "a.msh")
    assert np.array_equal(found.nodes, mesh.nodes) and np.array_equal(found.cells, mesh.cells)


def test_a_triangle_of_two_groups_is_one(tmp_path):
    """Version 2.2 lists an element once for each group it is in. Source: Gmsh reference manual, "MSH file format"."""
    found = region(write_msh2(tmp_path / "a.msh", SQUARE, np.concatenate([HALVES, HALVES[::-1, [1, 2, 0]]])))
    assert np.array_equal(found.cells, HALVES) and found.volume == 1.0


@pytest.mark.fem
@fem[1]
@pytest.mark.parametrize("series", [False, True])
def test_xdmf_files_of_dolfinx(series, tmp_path):
    """Numbers in an .h5 file beside it; of a time series the mesh."""
    toolchain.start()
    from dolfinx import fem, io
    from mpi4py import MPI

    from solvers.fem.simplices import made_on

    mesh = mesh_of(L, 8)
    made = made_on(mesh).mesh
    with io.XDMFFile(MPI.COMM_SELF, str(tmp_path / "l.xdmf"), "w") as file:
        file.write_mesh(made)
        if series:
            for t in (0.0, 1.0):
                file.write_function(fem.Function(fem.functionspace(made, ("DG", 0))), t)
    found = region(tmp_path / "l.xdmf")

    def places(nodes, cells):
        return sorted(map(tuple, nodes[cells].mean(axis=1).round(12).tolist()))

    assert places(found.nodes, found.cells) == places(mesh.nodes, mesh.cells)
    assert found.volume == pytest.approx(3.0, rel=1e-12)


def test_walls_are_those_of_the_polygon():
    """Nodes within straight walls are no corners: the same corners, depths, nearest points and sliding velocities."""
    found = region_of(L, 12)
    assert sorted(found.outer.points) == sorted(L.outer.points) and not found.holes
    rng = np.random.default_rng(0)
    w = rng.uniform(-0.5, 2.5, (200, 2))
    assert np.array_equal(found.outside(w) <= 0.0, L.outside(w) <= 0.0)
    np.testing.assert_allclose(found.outside(w), L.outside(w), atol=1e-14)
    on = L.retract(w)
    np.testing.assert_allclose(found.retract(w), on, atol=1e-14)
    v = rng.normal(size=(200, 2))
    np.testing.assert_allclose(found.slide(on, v), L.slide(on, v), atol=1e-14)


def test_regions_are_equal_where_their_triangles_are():
    """They are keys of caches; the text does not list the corners."""
    a, b = region_of(disk(), 10), region_of(disk(), 10)
    assert a == b and hash(a) == hash(b) and mesh_of(a, 10) is mesh_of(b, 10)
    assert a != Region(2.0 * a.nodes, a.cells) and a != Region(a.nodes, a.cells[::-1]) and a != disk()
    assert repr(a) == f"Region({len(a.cells)} triangles, area {a.volume:.6g})"


def test_the_mesh_is_the_files_until_finer_is_asked():
    """Nearest power of two; each doubling is one more, so that refinement studies refine."""
    found = region_of(disk(), 16)
    assert found.cells_across == pytest.approx(16, rel=0.05)
    for cells, parts in ((4, 1), (16, 1), (21, 1), (25, 4), (32, 4), (64, 16), (128, 64)):
        mesh = mesh_of(found, cells)
        assert mesh.size == parts * len(found.cells) and mesh.volumes.sum() == pytest.approx(found.volume, rel=1e-13)
    given = mesh_of(found, 16)
    assert np.array_equal(given.nodes, found.nodes) and np.array_equal(given.cells, found.cells)
    with pytest.raises(Refused, match="lower cells"):
        mesh_of(found, 1_000_000)


def test_refined_triangles_are_like_their_own():
    """Of an equilateral triangle all are equilateral; nodes of the file stay, the new ones are middles of sides."""
    nodes = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
    mesh = mesh_of(Region(nodes, [[0, 1, 2]]), 4)
    sides = np.linalg.norm(mesh.corners - np.roll(mesh.corners, 1, axis=1), axis=2)
    np.testing.assert_allclose(sides, 0.25, rtol=1e-13)
    assert mesh.size == 16 and np.array_equal(mesh.nodes[:3], nodes)


def convex_cloud():
    """Random points inside a polygon with corners on the unit circle, in general position."""
    rng = np.random.default_rng(3)
    turn = np.sort(rng.uniform(0.0, 2.0 * math.pi, 14))
    return np.concatenate([np.stack([np.cos(turn), np.sin(turn)], axis=1), rng.uniform(-0.6, 0.6, (40, 2))])


def twice_areas(nodes, cells):
    """(m,) above 0 where corners run counterclockwise."""
    u, v = (nodes[cells[:, k]] - nodes[cells[:, 0]] for k in (1, 2))
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def as_sets(cells):
    """Whatever their order and where they begin."""
    return {frozenset(cell) for cell in cells.tolist()}


def test_flips_find_the_delaunay_triangulation():
    """From triangles that are Delaunay for points pressed to a tenth of their height, in several rounds, as Qhull's.

    On an ellipse the fourteen outer corners stay convex: both triangulations cover the same polygon.
    """
    nodes = convex_cloud()
    pressed = Region(nodes, Delaunay(nodes * [1.0, 0.1]).simplices)
    assert np.sum(mesh_of(pressed, 4).facets.gaps < 0.0) > 20
    mesh = flipped(pressed, pressed.nodes, pressed.cells)
    assert as_sets(mesh.cells) == as_sets(Delaunay(nodes).simplices)
    assert np.all(twice_areas(mesh.nodes, mesh.cells) > 0.0)


def test_a_refined_mesh_is_delaunay_again():
    """Of a convex region it is the one Delaunay triangulation of the old nodes and the middles of sides, by Qhull."""
    nodes = convex_cloud()
    found = Region(nodes, Delaunay(nodes).simplices)
    mesh, before = mesh_of(found, round(2.0 * found.cells_across)), len(found.nodes)
    assert mesh.size == 4 * len(found.cells) and mesh.delaunay
    middles = 0.5 * (found.nodes[found.cells] + found.nodes[np.roll(found.cells, 1, axis=1)])
    assert np.array_equal(mesh.nodes[:before], found.nodes)
    assert {tuple(x) for x in mesh.nodes[before:].tolist()} == {tuple(x) for x in middles.reshape(-1, 2).tolist()}
    assert np.all(twice_areas(mesh.nodes, mesh.cells) > 0.0)
    # middles of walls lie on straight lines, where Qhull may add slivers
    best = Delaunay(mesh.nodes).simplices
    assert as_sets(mesh.cells) == as_sets(best[np.abs(twice_areas(mesh.nodes, best)) > 1e-9])


def test_right_triangles_may_be_refined():
    """Four of their corners lie on a circle, on which no two-point flux stands: new nodes off the walls are moved."""
    mesh = mesh_of(box((0.0, 0.0), (1.0, 1.0)), 6)
    found = Region(mesh.nodes, mesh.cells)
    square = np.sum((np.roll(mesh.corners, 1, axis=1) - mesh.corners) ** 2, axis=2)
    assert np.any(np.abs(2.0 * square.max(axis=1) - square.sum(axis=1)) < 1e-12)  # Pythagoras
    for cells in (12, 24):
        fine = mesh_of(found, cells)
        assert fine.delaunay and fine.volumes.sum() == pytest.approx(1.0, rel=1e-13)
        assert np.array_equal(fine.nodes[: len(mesh.nodes)], found.nodes)
        assert fine.nodes.min() == 0.0 and fine.nodes.max() == 1.0
    still = mesh_of(Region(SQUARE, HALVES), 8)  # squares stay squares
    assert still.size == 128 and not still.delaunay


def quadratic(w, derivative):
    """|w - (.1, .2)|^2/2."""
    away = w - np.array([0.1, 0.2])
    return (0.5 * np.sum(away**2, axis=1), away, np.broadcast_to(np.eye(2), (len(w), 2, 2)))[derivative]


@pytest.mark.fem
@fem[1]
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.slow
def test_the_same_disk_gives_the_same_run(warm, tmp_path):
    """Our own mesh written to .msh and read back: the same values to rounding, by DG1 and with heat by TwoPoint."""
    mesh = mesh_of(disk(), 16)
    read = region(write_msh4(tmp_path / "disk.msh", mesh.nodes, mesh.cells))
    energy = Energy(Potential(quadratic), Entropy(0.1)) if warm else Energy(Potential(quadratic))
    solver, steps = (TwoPoint(cells=16), 10) if warm else (DG1(cells=16), 50)
    ours, theirs = (
        solve(Flow(energy, domain, Within(Gaussian((0.2, -0.1), 0.2, 2), domain), 0.4), solver, steps=steps)
        for domain in (disk(), read)
    )
    np.testing.assert_allclose(theirs.final.values, ours.final.values, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(theirs.energies, ours.energies, rtol=1e-13)
    assert w2(ours.measures[0], ours.final) > 0.05
    assert w2(theirs.final, theirs.measures[0]) == pytest.approx(w2(ours.final, ours.measures[0]), rel=1e-12)


@pytest.mark.fem
@fem[1]
@pytest.mark.slow
def test_dg1_converges_on_a_mesh_that_was_read(tmp_path):
    """w' = -w on a disk whose mesh is a file's and is refined: L1 falls at order 2, as on our own meshes."""
    mesh = mesh_of(disk(4.0), 20)
    read = region(write_msh2(tmp_path / "disk.msh", mesh.nodes, mesh.cells))
    errors = []
    for cells in (20, 40, 80):
        solver = DG1(cells=cells)
        run = solve(Flow(Energy(PULL), read, contracting(read, 0.0), 0.5), solver)
        exact = MeshDensity.averages_of(contracting(read, 0.5), run.final.mesh)
        errors.append(float(np.abs(run.final.averages - exact.averages) @ run.final.mesh.volumes))
    assert math.log2(errors[1] / errors[2]) >= 1.85 and math.log2(errors[0] / errors[1]) >= 1.85
    assert errors[-1] <= 1.2e-3  # as on our own meshes, tests.test_dg


def test_laws_on_a_region():
    """The uniform law has its area; Gibbs' normaliser is an integral over the polygon, exact for a plane wave."""
    read = region_of(L, 12)
    assert MeshDensity.averages_of(Uniform(read), mesh_of(read, 12)).values == pytest.approx(1.0 / 3.0, rel=1e-12)
    drawn = Uniform(read).sample(500, np.random.default_rng(0))
    assert np.all(L.outside(drawn) <= 0.0)
    # 4 sigma: int w_1 = (2 + 1/2)/3
    assert drawn[:, 0].mean() == pytest.approx(2.5 / 3.0, abs=4.0 * 0.56 / math.sqrt(500))
    law = Gibbs(read, lambda w: w[:, 0], 1.0)
    assert law.normaliser[0] == pytest.approx((1 - math.exp(-2.0)) + (1 - math.exp(-1.0)), rel=1e-9)


@pytest.mark.slow
def test_particles_slide_along_the_walls_of_a_region():
    """They fall to the right, in the L as it is and in its region, alike."""
    flow = [Flow(Energy(Potential.linear((-1.0, -0.3))), home, Uniform(home), 3.0) for home in (L, region_of(L, 12))]
    ours, theirs = (solve(f, GradientFlow(particles=60, start=sampled()), steps=30).final.points for f in flow)
    np.testing.assert_allclose(theirs, ours, atol=1e-12)
    assert np.mean(ours[:, 0] > 1.0 - 1e-9) > 0.9


def sampled():
    from solvers.particles import Sampled

    return Sampled(2)


@pytest.mark.fem
@fem[1]
def test_two_point_fluxes_refuse_a_mesh_that_is_not_delaunay():
    """DG1 takes it. A side of a square's halves is crossed by no circumcentre: they lie in one place."""
    nodes = np.array([[0.0, 0.0], [2.0, -0.3], [4.0, 0.0], [2.0, 0.3]])
    thin = Region(nodes, [[0, 1, 2], [0, 2, 3]])  # its long diagonal
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])  # which parts the two by a rounding of either sign
    squares = [Region(SQUARE, HALVES), Region(SQUARE @ turn, HALVES)]
    for read, bad in ((thin, 1), *((read, mesh_of(read, 4).size // 2) for read in squares)):  # a diagonal each
        start = Uniform(read)
        with pytest.raises(Refused, match=f"not Delaunay: across {bad} facets"):
            solve(Flow(Energy(Potential.linear((1.0, 0.0)), Entropy(1.0)), read, start, 0.1), TwoPoint(4), steps=2)
    cells = max(4, round(thin.cells_across))
    assert np.all(mesh_of(thin, 2 * cells).facets.gaps > 0.0)
    run = solve(Flow(Energy(Potential.linear((1.0, 0.0))), thin, Uniform(thin), 0.01), DG1(4), steps=4)
    assert run.final.mass == pytest.approx(1.0, abs=1e-12)


def strip(*cells):
    """The unit square's corners and some beside it."""
    beside = np.array([[2.0, 0.0], [2.0, 1.0], [3.0, 0.0], [3.0, 1.0], [0.5, 0.0], [0.5, 0.5], [1.0, 1.0 + 1e-12]])
    return np.concatenate([SQUARE, beside]), np.array(cells)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (strip((0, 1, 2), (0, 2, 3), (4, 6, 5)), "2 pieces"),
        (strip((0, 1, 2), (0, 8, 1)), "1 triangles are flat"),
        (strip((0, 1, 2), (0, 1, 3)), "lie on one another"),
        (strip((0, 1, 2), (0, 10, 3)), "in one place.*2 and 10"),
        (strip((0, 1, 2), (1, 4, 5)), "walls touch or cross"),
        (strip((0, 1, 3), (1, 4, 2), (0, 4, 9)), "lie on one another|touch or cross"),
        (strip((0, 1, 2), (0, 2, 11)), "name nodes"),
        (strip((0.0, 1.0, 2.0)), "whole numbers"),
        (strip((0, 1, 2, 3)), r"\(m, 3\)"),
    ],
)
def test_triangles_that_make_no_region(given, said):
    """Each with what is wrong, where, and what to do."""
    with pytest.raises(ValueError, match=said):
        Region(*given)


def test_a_corner_within_anothers_side_is_refused():
    """In the middle of a square: its side from (0, 0) to (1, 1) ends nowhere on one hand."""
    nodes = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [-0.5, 0.0], [0.5, 0.0], [0.0, 0.0]])
    around = [(0, 1, 5), (0, 5, 4), (1, 2, 5), (2, 3, 5), (3, 0, 4)]
    Region(nodes, [*around, (3, 4, 5)])
    with pytest.raises(ValueError, match="crack"):
        Region(nodes, [(0, 1, 5), (0, 6, 4), (0, 5, 6), (1, 2, 5), (2, 3, 5), (3, 0, 4), (3, 4, 5)])


def test_a_strip_that_runs_over_its_own_beginning_is_refused():
    """A turn and a bit around a centre: every side has two triangles or one, but walls cross; a bit less is fine."""

    def strip_to(turn):
        angle = np.repeat(np.linspace(0.0, turn, 31), 2)
        nodes = np.tile([1.0, 1.5], 31)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        k = 2 * np.arange(30)[:, None]
        return nodes, np.concatenate([k + np.array([0, 1, 3]), k + np.array([0, 3, 2])])

    assert Region(*strip_to(1.9 * math.pi)).volume > 3.0
    with pytest.raises(ValueError, match="walls touch or cross"):
        Region(*strip_to(2.2 * math.pi))


def test_a_region_far_from_the_origin_has_its_area():
    """In metres of a map: 1e-9 of a coordinate, 1e7, is what its last bits are worth."""
    mesh = mesh_of(annulus(0.4, 1.0), 12)
    far = Region(mesh.nodes + 1e7, mesh.cells)
    assert far.volume == pytest.approx(mesh.volumes.sum(), rel=1e-8)
    assert MeshDensity.averages_of(Uniform(far), mesh_of(far, 12)).mass == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("turn", [0.0, 0.3])
@pytest.mark.parametrize("power", [1, 4])
def test_walls_may_be_graded(turn, power):
    """Sides of one straight wall lie on one line, the short ones nearer to each other than the longest is long."""
    s = np.linspace(0.0, 1.0, 9) ** power
    o, one = np.zeros(9), np.ones(9)
    nodes = np.unique(np.concatenate([np.stack(side, axis=1) for side in ((s, o), (one, s), (s, one), (o, s))]), axis=0)
    inside = np.random.default_rng(power).uniform(0.05, 0.95, (30, 2)) ** power
    nodes = np.concatenate([nodes, inside])
    turned = nodes @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    found = Region(turned, Delaunay(nodes).simplices)
    assert found.volume == pytest.approx(1.0, rel=1e-14) and len(found.outer.points) == 4


@pytest.mark.slow
def test_a_fine_hole_in_coarse_walls_takes_little_memory():
    """Of its 4096 sides all pairs are 8 million, but each is asked about those near it alone."""
    rings, n, r = [], 4096, 0.3
    while n >= 16:
        angle = 2.0 * math.pi * (np.arange(n) + 0.37) / n
        rings.append(r * np.stack([np.cos(angle), np.sin(angle)], axis=1))
        n, r = n // 2, r + 0.05
    nodes = np.concatenate([*rings, 4.0 * SQUARE - 2.0])
    cells = Delaunay(nodes).simplices
    tracemalloc.start()
    found = Region(nodes, cells[np.any(cells >= 4096, axis=1)])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.holes[0].points) == 4096 and most < 3e7


def test_a_thin_strip_that_runs_into_a_long_side_is_refused():
    """It is as a ring that tapers off; a turn and a bit later its short sides cross the long one it began with."""

    def tapering(turn):
        angle = np.concatenate([np.linspace(0.0, math.pi, 9), np.linspace(math.pi, turn, 300)[1:]])
        half = np.repeat(np.interp(angle, [0.0, math.pi, 7.0], [0.25, 0.03, 0.01]), 2)
        nodes = np.stack([np.cos(angle), np.sin(angle)], axis=1).repeat(2, axis=0)
        k = 2 * np.arange(len(angle) - 1)[:, None]
        nodes *= (1.25 + np.tile([-1.0, 1.0], len(angle)) * half)[:, None]
        return nodes, np.concatenate([k + np.array([0, 1, 3]), k + np.array([0, 3, 2])])

    assert Region(*tapering(1.95 * math.pi)).volume > 0.2
    with pytest.raises(ValueError, match="walls touch or cross"):
        Region(*tapering(2.01 * math.pi))


def test_other_cells_are_refused(tmp_path):
    """Quadrilaterals, curved triangles, lines alone, a volume's skin."""
    quad = write_msh4(tmp_path / "quad.msh", SQUARE, np.array([[0, 1, 2, 3]]), kind=3)
    with pytest.raises(ValueError, match=r"quad.msh: it holds quadrilaterals.*Recombine"):
        region(quad)
    curved = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.5, 0.5], [0.0, 0.5]])
    with pytest.raises(ValueError, match=r"second or higher order.*ElementOrder = 1"):
        region(write_msh2(tmp_path / "c.msh", curved, np.arange(6)[None], kind=9))
    with pytest.raises(ValueError, match=r"cells of another kind \(tetra\)"):
        region(write_msh2(tmp_path / "t.msh", np.vstack([np.eye(3), np.zeros((1, 3))]), np.arange(4)[None], kind=4))
    with pytest.raises(ValueError, match="no triangles; mesh the surface"):
        region(write_msh2(tmp_path / "l.msh", SQUARE, HALVES[:, :2], kind=1))
    tent = np.column_stack([SQUARE, [0.0, 0.0, 0.5, 0.0]])
    with pytest.raises(ValueError, match=r"heights differ by 0.5.*sphere"):
        region(write_msh4(tmp_path / "s.msh", tent, HALVES))


def test_files_that_are_no_meshes(tmp_path, monkeypatch):
    """Missing, of another suffix, cut short, of other contents; and no meshio."""
    with pytest.raises(FileNotFoundError, match="there is no file"):
        region(tmp_path / "none.msh")
    (tmp_path / "a.stl").write_text("solid")
    with pytest.raises(ValueError, match=r"'\.stl' is not allowed; allowed: \.msh, \.xdmf"):
        region(tmp_path / "a.stl")
    whole = write_msh4(tmp_path / "w.msh", SQUARE, HALVES).read_bytes()
    for k, data in enumerate((b"", b"hello", whole[: len(whole) // 2], whole[:-60], b"\xff" * 100)):
        for suffix in (".msh", ".xdmf"):
            bad = tmp_path / f"bad{k}{suffix}"
            bad.write_bytes(data)
            with pytest.raises(ValueError, match=f"bad{k}{suffix}"):
                region(bad)
    monkeypatch.setattr(mesh_file, "find_spec", lambda name: None)
    with pytest.raises(Refused, match=r"wflow\[mesh\]"):
        region(tmp_path / "w.msh")


def test_a_region_is_drawn_with_its_walls():
    """One line a wall: the outer one and the hole."""
    read = region_of(annulus(0.4, 1.0), 12)
    flow = Flow(Energy(Potential.linear((1.0, 0.0))), read, Uniform(read), 0.1)
    run = solve(flow, GradientFlow(particles=20, start=sampled()), steps=2)
    figure = picture.regions(run, times=[0.1])
    drawn = [p for p in figure.axes[0].patches if p.get_fill() is False]
    assert len(drawn) == 2


CONFIG = """[problem]
name = "blown_region"
mesh = "disk.msh"
horizon = 0.2
[solver]
name = "TwoPoint"
cells = 12
[solve]
steps = 4
"""


@pytest.mark.slow
@pytest.mark.fem
@fem[1]
def test_a_config_names_a_mesh_whose_loss_loses_no_result(tmp_path):
    """Relative to the config; `show` and the trajectory need it no more. Its bytes mark the checkpoints."""
    mesh = mesh_of(disk(), 12)
    file = write_msh4(tmp_path / "disk.msh", mesh.nodes, mesh.cells)
    (tmp_path / "case.toml").write_text(CONFIG)
    config = configs.read(tmp_path / "case.toml")
    assert config.csv == file and config.problem.flow.domain == region(file)
    before = mark(config)
    runner = CliRunner()
    done = runner.invoke(app, ["run", str(tmp_path / "case.toml"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    write_msh4(file, 2.0 * mesh.nodes, mesh.cells)
    assert mark(configs.read(tmp_path / "case.toml")) != before
    file.unlink()
    folder = tmp_path / "out" / "case-001"
    assert runner.invoke(app, ["show", str(folder)]).exit_code == 0
    saved = unpack((folder / "01-TwoPoint_cells_12.npz").read_bytes())
    assert saved.measures[-1].domain == config.problem.flow.domain
    with pytest.raises(UsageError, match="there is no file"):
        configs.read(tmp_path / "case.toml")
