"""W2 of densities on meshes: exact answers, POT at small size, and the floor above what is lost."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from tests.meshes import disk_mesh, line_mesh, linears, noise, square_mesh, uniform
from wflow import (
    Box,
    Density,
    Domain,
    Gaussian,
    Grid,
    Law,
    Mesh,
    MeshDensity,
    Particles,
    Refused,
    box,
    circle,
    disk,
    geodesic,
    interval,
    plane,
    space,
    w2,
)  # fmt: skip
from wflow.arrays import Array
from wflow.gridded import _averaging, gridded, quartered
from wflow.plans import cheapest_plan
from wflow.raster import raster
from wflow.simplex_rule import simplex_rule
from wflow.transport import law_floor, w2_floor

TURN = 2.0 * math.pi
SQUARE = box((0.0, 0.0), (1.0, 1.0))


@dataclass(frozen=True, eq=False)
class On(Law):
    """A density on a domain, uniform but for a tilt: (1 + tilt x)/area, the area given."""

    home: Domain
    area: float
    tilt: float = 0.0

    @property
    def domain(self) -> Domain:
        return self.home

    def density(self, w: Array) -> Array:
        return np.asarray((1.0 + self.tilt * w[:, 0]) / self.area)


def moment(pi: MeshDensity) -> float:
    """int |w|^2 dpi, by a rule of degree 5 in each triangle."""
    rule, share = simplex_rule(2, 3)
    ends = pi.values if pi.linear else np.repeat(pi.values, 3, axis=1)
    squares = np.sum(pi.mesh.at(rule) ** 2, axis=2)
    return float(np.sum(pi.mesh.volumes * ((squares * (ends @ rule.T)) @ share)))


def pieces(pi: MeshDensity, times: int) -> tuple[Array, Array, float]:
    """Points and weights of triangles quartered so often, and how far at most they are from the density."""
    mesh, ends = pi.mesh, np.broadcast_to(pi.values, pi.mesh.cells.shape)
    for _ in range(times):
        a, b, c = ends.T
        d, e, f = 0.5 * (b + c), 0.5 * (c + a), 0.5 * (a + b)
        ends = np.stack([np.stack(t, axis=1) for t in ((a, f, e), (f, b, d), (e, d, c), (d, e, f))], axis=1)
        ends, mesh = ends.reshape(-1, 3), quartered(mesh)
    return mesh.centres, ends.mean(axis=1) * mesh.volumes, mesh.width


def test_cells_get_the_masses_of_a_linear_density_exactly() -> None:
    """rho = (1 + x + 2y)/2.5 on the unit square: the average of a cell is rho at its middle, on any mesh."""
    grid = Grid(SQUARE, (13, 29))
    pi = linears(square_mesh(7, shake=0.8), lambda w: 1.0 + w[:, 0] + 2.0 * w[:, 1])
    expected = (1.0 + grid.centres @ [1.0, 2.0]) / 2.5
    np.testing.assert_allclose(raster(pi, grid).density.values, expected, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [disk_mesh(3), square_mesh(4, shake=0.9)], ids=["disk", "square"])
def test_cells_get_the_masses_of_a_density_that_jumps(mesh: Mesh) -> None:
    """Against 4^7 pieces a triangle, each counted where its barycentre lies: what is wrong is along the cells' edges.

    A cell has a boundary of 4 h, along which pieces of length l are miscounted: a share 2 l/h at most.
    """
    pi = noise(mesh)
    low, high = mesh.nodes.min(axis=0), mesh.nodes.max(axis=0)
    grid = Grid(box(low.tolist(), high.tolist()), (7, 5))
    points, weights, length = pieces(pi, 7)
    counted = np.histogram2d(*points.T, bins=(grid.edges(0), grid.edges(1)), weights=weights)[0].ravel()
    assert np.abs(counted - raster(pi, grid).density.weights).max() < 2.0 * length / 0.2 * counted.max() * 0.1


def test_a_mesh_along_a_periodic_axis_is_wrapped() -> None:
    """A cylinder's mesh lifted by a turn and a third gives the cells of the one that is not, moved."""
    home = Box((0.0, 0.0), (1.0, 2.0), (True, False))
    mesh = square_mesh(6, home, shake=0.5)
    pi, grid = noise(mesh), Grid(home, (9, 4))
    lifted = MeshDensity(Mesh(home, mesh.nodes + np.array([4.0 / 3.0, 0.0]), mesh.cells, mesh.vertices), pi.values)
    here = raster(pi, grid).density.values.reshape(9, 4)
    there = raster(lifted, grid).density.values.reshape(9, 4)
    np.testing.assert_allclose(np.roll(here, 3, axis=0), there, rtol=1e-12)


def test_a_grid_that_does_not_cover_the_mesh_is_refused() -> None:
    with pytest.raises(ValueError, match="covers the mesh"):
        raster(uniform(square_mesh(3)), Grid(box((0.0, 0.0), (1.0, 0.9)), (4, 4)))
    with pytest.raises(Refused, match="same two axes"):
        raster(uniform(square_mesh(3)), Grid(interval(0.0, 1.0), (4,)))


def test_the_floor_stands_above_what_a_cell_loses() -> None:
    """Half a cell, a triangle, against the whole cell evenly: W2 by POT on 1024 and 1024 points, and their own width.

    With a share p of a cell covered it is delta (2/pi) ((1 - p)/p)^(1/2). Where rho is constant in each cell nothing
    is lost.
    """
    corner = Mesh(SQUARE, np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]]), np.array([[0, 1, 2]]))
    found = raster(uniform(corner), Grid(SQUARE, (2, 2)))
    points, weights, width = pieces(uniform(corner), 5)
    i = (np.arange(32) + 0.5) / 64
    even = np.stack(np.meshgrid(i, i, indexing="ij"), axis=2).reshape(-1, 2)
    cost = np.sum((points[:, None] - even) ** 2, axis=2)
    exact = math.sqrt(cheapest_plan(weights, np.full(1024, 1.0 / 1024), cost).cost)
    assert 0.05 < exact - width <= exact + width < found.floor < 4.0 * exact
    assert found.floor == pytest.approx(math.sqrt(0.5) * 2.0 / math.pi, rel=1e-9)
    assert raster(uniform(square_mesh(4)), Grid(SQUARE, (8, 8))).floor < 1e-6


def test_the_floor_falls_with_the_cells() -> None:
    """Cells on the wall lose delta each and hold a share delta of the mass: order 3/2."""
    pi = uniform(disk_mesh(16))
    floors = [raster(pi, Grid(box((-1.0, -1.0), (1.0, 1.0)), (n, n))).floor for n in (32, 64, 128)]
    assert np.all(np.abs(np.log2(floors[:-1]) - np.log2(floors[1:]) - 1.5) < 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("rings", [6, 12])
def test_dilations_of_a_polygon(rings: int) -> None:
    """w -> s w is optimal, the gradient of s |w|^2/2: W2 = |1 - s| (int |w|^2)^(1/2), on meshes with other cells too.

    Of a disk of radius R against r: |R - r|/2^(1/2), to O(h^2).
    """
    a, b = uniform(disk_mesh(rings)), uniform(disk_mesh(rings, 0.7))
    exact = 0.3 * math.sqrt(moment(a))
    assert abs(w2(a, b) - exact) < 2e-4 * exact
    assert abs(exact - 0.3 / math.sqrt(2.0)) < 0.3 / rings**2
    assert abs(w2(a, MeshDensity(quartered(b.mesh), np.repeat(b.values, 4, axis=0))) - exact) < 2e-4 * exact


def test_translations_are_exact() -> None:
    """A density that jumps, moved by no whole number of cells: W2 is the length of the way."""
    here = noise(disk_mesh(6))
    there = MeshDensity(disk_mesh(6, 1.0, (0.3, 0.1234)), here.values)
    assert w2(here, there) == pytest.approx(math.hypot(0.3, 0.1234), rel=1e-6)


@pytest.mark.slow
def test_gaussians_on_meshes() -> None:
    """N(0, 1) and N((.5, .2), diag(.8, 1.1)^2): W2^2 = .5^2 + .2^2 + .2^2 + .1^2, on linears of width h = 1/4.

    A linear interpolant is wider by h^2/6 an axis, as a hat is: standard deviations by .005; of two both, of one it
    shows.
    """
    mesh = square_mesh(48, box((-6.0, -6.0), (6.0, 6.0)), shake=0.4)
    laws = Gaussian(dim=2), Gaussian((0.5, 0.2), (0.8, 1.1), dim=2)
    a, b = (linears(mesh, law.density) for law in laws)
    exact = math.sqrt(0.25 + 0.04 + 0.04 + 0.01)
    assert w2(a, b) == pytest.approx(exact, abs=1e-3)
    on_plane = MeshDensity(Mesh(plane(), mesh.nodes, mesh.cells), a.values)
    assert w2(on_plane, laws[1]) == pytest.approx(exact, abs=5e-3)


@pytest.mark.slow
def test_a_mesh_of_squares_is_its_grid() -> None:
    """Constant on both halves of each cell: the same density, and the same W2 to another one."""
    grid = Grid(SQUARE, (16, 16))
    values = np.random.default_rng(3).random((16, 16))
    cells = Density(grid, (values / values.mean()).ravel())
    mesh = square_mesh(16)
    place = np.floor(mesh.centres * 16).astype(int)
    same = MeshDensity(mesh, cells.values.reshape(16, 16)[tuple(place.T)][:, None])
    other = linears(square_mesh(9, shake=0.5), lambda w: 1.0 + w[:, 0])
    assert w2(same, cells) < 1e-7
    assert w2(same, other) == pytest.approx(w2(cells, other), rel=1e-6)
    assert gridded(same, cells).floor < 1e-6


@pytest.mark.slow
def test_one_atom_and_a_disk() -> None:
    """W2^2 = int |w - x|^2 drho, whatever rho; the floor holds what averaging does."""
    pi, atom = noise(disk_mesh(5)), Particles(disk(), np.array([[0.2, -0.1]]))
    moved = MeshDensity(disk_mesh(5, 1.0, (-0.2, 0.1)), pi.values)
    exact = math.sqrt(moment(moved))
    assert abs(w2(pi, atom) - exact) < min(1e-4, w2_floor(pi, atom))
    assert w2(atom, pi) == w2(pi, atom) and w2_floor(atom, pi) == w2_floor(pi, atom)
    assert w2_floor(pi, atom) < 5e-3


@pytest.mark.slow
def test_densities_that_jump_against_pot() -> None:
    """Two meshes with nothing in common: POT on 1536 and 1600 pieces, which stand a piece's spread from each other."""
    a, b = noise(disk_mesh(4), 1), noise(square_mesh(5, box((-0.5, -0.5), (0.5, 0.5)), shake=0.9), 2)
    x, p, _ = pieces(a, 2)
    y, q, _ = pieces(b, 2)
    spread = sum(0.25 * pi.mesh.spread for pi in (a, b))
    oracle = math.sqrt(cheapest_plan(p, q, np.sum((x[:, None] - y) ** 2, axis=2)).cost)
    assert abs(w2(a, b) - oracle) < 0.1 * spread


@pytest.mark.slow
def test_without_numba_densities_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the floor, which is then larger."""
    a, b = uniform(disk_mesh(8)), uniform(disk_mesh(8, 0.7))
    exact, fine = 0.3 * math.sqrt(moment(a)), w2_floor(a, b)
    monkeypatch.setattr("wflow.planar.available", lambda: False)
    assert abs(w2(a, b) - exact) < w2_floor(a, b)
    assert fine < w2_floor(a, b) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("tilt", [0.0, 0.5])
def test_a_law_of_a_region_enters_by_the_mesh_of_the_other(tilt: float) -> None:
    """(1 + tilt x)/pi on the disk against its averages on triangles of width h: less than h^2 and the floor."""
    mesh = disk_mesh(12)
    law = On(disk(), math.pi, tilt)
    pi = MeshDensity.averages_of(law, mesh)
    assert w2(pi, law) <= 0.5 * mesh.width**2 <= w2_floor(pi, law)
    # moved by the map x -> x + ..., the tilt is a distance of its own: against the uniform one it is seen
    assert abs(w2(uniform(mesh), law) - tilt * _tilt_distance()) < 1e-3


def test_what_averages_over_triangles_lose_of_a_law() -> None:
    """1 + x/2: int (rho - F)^2 = abs(K) var_x/4 in a triangle, the variance that of the corners over 4."""
    mesh = disk_mesh(5)
    law = On(disk(), math.pi, 0.5)
    pi = MeshDensity.averages_of(law, mesh)
    squares = mesh.volumes * np.var(mesh.corners[:, :, 0], axis=1) / 4.0 * (0.5 / math.pi) ** 2
    # averages_of scales what the polygon misses away, 2 %
    law = On(disk(), float(mesh.volumes.sum()), 0.5)
    squares *= (math.pi / mesh.volumes.sum()) ** 2
    expected = 2.0 * mesh.width / math.pi * math.sqrt(float(np.sum(squares / pi.averages)))
    assert _averaging(law, pi) == pytest.approx(expected, rel=1e-3)
    flat = On(disk(), float(mesh.volumes.sum()))
    # the grids' parts are alike, but for a tilt of a half
    assert gridded(pi, law).floor > 1.01 * gridded(uniform(mesh), flat).floor


@pytest.mark.slow
def test_a_law_of_a_region_and_an_atom() -> None:
    """1 + x/2 on the disk and the atom at 0: W2^2 = int |w|^2 = 1/2; its own floor stands above what is seen."""
    law, atom = On(disk(), math.pi, 0.5), Particles(disk(), np.zeros((1, 2)))
    exact = math.sqrt(0.5)
    assert w2(atom, law) == w2(law, atom) == pytest.approx(exact, abs=1e-3)
    assert abs(w2(law, atom) - exact) < law_floor(law) < 2e-2


def test_both_grids_have_the_same_cells() -> None:
    """Whatever boxes they cover: the spline's lattice wants it."""
    both = gridded(noise(disk_mesh(4)), noise(square_mesh(5, box((-0.5, -0.5), (0.77, 0.31)))))
    assert isinstance(both.first, Density) and isinstance(both.second, Density)
    np.testing.assert_allclose(both.first.grid.widths, both.second.grid.widths, rtol=1e-12)


def _tilt_distance() -> float:
    """W2 of the uniform law on the disk and 1 + x/2, over the tilt 1/2: |difference| in H^-1 to first order.

    -Laplace phi = x, no flux on |w| = 1: phi = (3 r - r^3) cos/8; int |grad phi|^2/pi = int x phi/pi = 7/96.
    """
    return math.sqrt(7.0 / 96.0)


def test_the_geodesic_of_two_densities_on_meshes() -> None:
    """Half of the way from a disk to one of .5 the size is one of .75: second moments."""
    mesh = disk_mesh(8)
    half = Mesh(mesh.domain, 0.5 * mesh.nodes, mesh.cells)
    path = geodesic(uniform(mesh), uniform(half))
    assert path.length == pytest.approx(0.5 * math.sqrt(moment(uniform(mesh))), rel=1e-4)
    middle = path.at(0.5)
    assert middle.weights @ np.sum(middle.points**2, axis=1) == pytest.approx(0.75**2 * moment(uniform(mesh)), rel=1e-3)


def test_cells_of_an_axis_are_quantile_pieces() -> None:
    """The same density by a mesh and by a grid: W2 to atoms to rounding; cells in no order."""
    edges = np.linspace(0.0, 3.0, 13)
    values = np.random.default_rng(4).random(12)
    values /= values.sum() * 0.25
    mesh = line_mesh(interval(0.0, 3.0), edges)
    left = mesh.corners[:, :, 0].min(axis=1)
    pi = MeshDensity(mesh, values[np.rint(left / 0.25).astype(int)][:, None])
    cells = Density(Grid(interval(0.0, 3.0), (12,)), values)
    atoms = Particles(interval(0.0, 3.0), np.array([[0.1], [2.0], [2.2]]))
    assert w2(pi, cells) < 1e-12 and w2(pi, atoms) == pytest.approx(w2(cells, atoms), rel=1e-13)
    assert w2_floor(pi, atoms) == 0.0


def test_a_linear_density_of_an_axis() -> None:
    """2x on [0, 1] has the quantile s^(1/2): W2^2 to the uniform law is int (s^(1/2) - s)^2 ds = 1/30.

    One cell, cut finely; and one that runs from right to left.
    """
    for nodes, ends in (([[0.0], [1.0]], [[0.0, 2.0]]), ([[1.0], [0.0]], [[2.0, 0.0]])):
        ramp = MeshDensity(Mesh(interval(0.0, 1.0), np.array(nodes), np.array([[0, 1]])), np.array(ends))
        flat = uniform(line_mesh(interval(0.0, 1.0), np.array([0.0, 1.0])))
        assert w2(ramp, flat) == pytest.approx(math.sqrt(1.0 / 30.0), abs=max(1e-8, w2_floor(ramp, flat)))
        assert 0.0 < w2_floor(ramp, flat) < 2e-9


def test_the_floor_of_a_linear_cell_is_what_its_pieces_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    """One piece a cell: 2x becomes uniform, which is (1/30)^(1/2) away, the whole floor."""
    from wflow import mesh_line

    ramp = MeshDensity(Mesh(interval(0.0, 1.0), np.array([[0.0], [1.0]]), np.array([[0, 1]])), np.array([[0.0, 2.0]]))
    monkeypatch.setattr(mesh_line, "_PIECES", 1)
    assert mesh_line.steps_of(ramp).floor == pytest.approx(math.sqrt(1.0 / 30.0), rel=1e-14)


def test_a_circle_is_turned() -> None:
    """A density moved by a turn and an angle across the seam is as far away as the same one on a grid, short way."""
    edges = np.linspace(0.0, TURN, 17)
    values = 1.0 + 0.5 * np.cos(edges[:-1] + 0.2)
    values /= values.sum() * TURN / 16
    mesh = line_mesh(circle(), edges)
    number = np.rint(mesh.corners[:, :, 0].min(axis=1) / (TURN / 16)).astype(int)
    pi = MeshDensity(mesh, values[number][:, None])
    lifted = MeshDensity(Mesh(circle(), mesh.nodes + TURN * 19 / 16, mesh.cells, mesh.vertices), pi.values)
    cells = [Density(Grid(circle(), (16,)), np.roll(values, k)) for k in (0, 3)]
    assert w2(pi, cells[0]) < 1e-12
    assert w2(pi, lifted) == pytest.approx(w2(*cells), rel=1e-12)
    turns = TURN * np.array([[k % 3] for k in range(16)])
    apart = np.concatenate([mesh.corners[:, 0] - turns, mesh.corners[:, 1] - turns])
    torn = Mesh(circle(), apart, np.stack([np.arange(16), np.arange(16, 32)], axis=1))
    assert w2(MeshDensity(torn, pi.values), pi) < 1e-7


def test_meshes_of_three_axes_enter_as_atoms() -> None:
    """A tetrahedron and itself moved: one atom each, as far apart as the way, and the floor is their spread."""
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    cells, way = np.array([[0, 1, 2, 3]]), np.array([0.3, -0.2, 0.1])
    a, b = (uniform(Mesh(space(3), nodes, cells)) for nodes in (corners, corners + way))
    assert w2(a, b) == pytest.approx(np.linalg.norm(way), rel=1e-12)
    assert w2_floor(a, b) == pytest.approx(2.0 * a.mesh.spread, rel=1e-12)
