"""Semi-discrete transport where mass is far from the atoms: islands, a ring, a checkerboard, clustered atoms, one cell.

Exact answers: atoms at the middles of blocks, moved and contracted. The way from clusters of the atoms is taken at any
number of atoms here (`coarse`), so that it is tested where POT and closed forms reach.
"""

import math

import numpy as np
import ot
import pytest

from wflow import Box, Density, Grid, Particles, box, plane
from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the cells are compiled", allow_module_level=True)

from wflow import atom_clusters as clusters
from wflow import dual_ascent as module
from wflow.atom_clusters import carried, levels, nested
from wflow.bordering import repaired
from wflow.laguerre_dual import Dual, start
from wflow.semidiscrete import semidiscrete
from wflow.stiff_newton import Climbed

UNIT = (0.0, 0.0, 1.0, 1.0)


@pytest.fixture
def coarse(monkeypatch):
    """Clusters of four atoms each from 32 atoms on, instead of from 2048, and however near the start is."""
    monkeypatch.setattr(clusters, "_FEWEST", 8)
    monkeypatch.setattr(module, "_near", lambda *_: False)


def density(formula, n=32):
    """Cell averages proportional to a formula at the centres of n^2 cells of the unit square."""
    grid = Grid(box((0.0, 0.0), (1.0, 1.0)), (n, n))
    values = np.asarray(formula(grid.centres), dtype=float)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def rectangles(z):
    """Two, .5 apart."""
    return (np.abs(np.abs(z[:, 0] - 0.5) - 0.35) < 0.1) & (np.abs(z[:, 1] - 0.5) < 0.2)


def islands(z):
    """Four squares of side 1/8, alike, one away from the others."""
    corners = np.array([[0.125, 0.125], [0.75, 0.125], [0.125, 0.75], [0.5, 0.5]])
    return np.any(np.all(np.abs(z[:, None] - corners - 0.0625) < 0.0625, axis=2), axis=1)


def ring(z):
    """Of radii .32 and .45."""
    return np.abs(np.hypot(z[:, 0] - 0.5, z[:, 1] - 0.5) - 0.385) < 0.065


def checkerboard(z):
    """Of 8 x 8 squares, every other one empty."""
    return np.sum(np.floor(8.0 * z), axis=1) % 2 == 0


def one_cell(z):
    """Of 32^2, a little off the middle."""
    return np.arange(len(z)) == 32 * 17 + 20


def two_cells(z):
    """Of 32^2, in opposite corners nearly."""
    return (np.arange(len(z)) == 32 * 3 + 5) | (np.arange(len(z)) == 32 * 28 + 26)


def middles(pi, k):
    """The middles of k^2 equal parts of each cell with mass, all masses alike; and the variance within a part."""
    fine = Grid(pi.domain, tuple(k * n for n in pi.grid.shape))
    held = np.repeat(np.repeat(pi.values.reshape(pi.grid.shape), k, axis=0), k, axis=1).ravel() > 0.0
    return fine.centres[held], float(np.sum(fine.widths**2)) / 12.0


def atoms(points):
    """Of equal masses, in the plane."""
    return Particles(plane(), points)


# Closed forms


@pytest.mark.parametrize(
    ("shape", "k"), [(rectangles, 1), (islands, 2), (checkerboard, 1), (one_cell, 20), (two_cells, 12), (ring, 1)]
)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.4, -0.3), (30.0, 20.0)])
def test_moved_middles_cost_their_square(shape, k, shift, coarse):
    """x = y + a, y the middles of equal parts: W2^2 = |a|^2 + the variance of a part, each part going to its own."""
    pi = density(shape)
    points, variance = middles(pi, k)
    found = semidiscrete(atoms(points + shift), pi)
    exact = variance + np.sum(np.square(shift))
    assert found.residual <= 1e-8
    assert found.squared == pytest.approx(exact, abs=1e-12 * exact + found.slack)
    np.testing.assert_allclose(found.barycentres, points, atol=1e-5)


@pytest.mark.parametrize("t", [0.1, 3.0])
@pytest.mark.parametrize(("shape", "k"), [(rectangles, 1), (islands, 2), (one_cell, 20), (checkerboard, 1)])
def test_contracted_middles_cost_what_the_contraction_does(shape, k, t, coarse):
    """x = c + t (y - c): W2^2 = (1 - t)^2 var y + the variance of a part, z -> x being a slope of a convex function.

    y is that of phi(z) = max over parts of y.z - |y|^2/2, and t y + (1 - t) c that of t phi + (1 - t) c.z.
    """
    pi = density(shape)
    points, variance = middles(pi, k)
    away = points - points.mean(axis=0)
    found = semidiscrete(atoms(points.mean(axis=0) + t * away), pi)
    exact = variance + (1.0 - t) ** 2 * float(np.mean(np.sum(away**2, axis=1)))
    assert found.squared == pytest.approx(exact, abs=1e-12 + found.slack)


# POT


SHAPES = [rectangles, islands, ring, checkerboard, one_cell, two_cells]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_hard_densities_agree_with_pot(shape, scale, coarse):
    """Mass at the middles of parts, of variance s^2: (W2' - s)^2 <= W2^2 <= W2'^2 + s^2; atoms also far outside."""
    pi = density(shape)
    points = scale * np.random.default_rng(1).random((100, 2))
    agrees(points, pi, semidiscrete(atoms(points), pi))


def agrees(points, pi, found):
    """With POT, as above."""
    held = pi.values.sum() / pi.values.max()
    parts, variance = middles(pi, max(1, round(math.sqrt(1500 / held))))
    m, n = len(points), len(parts)
    approximate = ot.emd2(np.full(m, 1.0 / m), np.full(n, 1.0 / n), ot.dist(points, parts), numItermax=10**6)
    assert found.residual <= 1e-8
    assert (math.sqrt(approximate) - math.sqrt(variance)) ** 2 <= found.squared <= approximate + variance + found.slack


@pytest.mark.parametrize("shape", [rectangles, ring])
def test_clustered_atoms_agree_with_pot(shape, coarse):
    """Four clouds of 25 atoms, of width 1e-3 to .1."""
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.random(2) + width * rng.normal(size=(25, 2)) for width in (1e-1, 3e-2, 1e-2, 1e-3)])
    agrees(points, density(shape), semidiscrete(atoms(points), density(shape)))


# The two ways, and either's end


def test_clusters_lead_where_blurred_densities_do(monkeypatch):
    """Begun either way: the same maximum, to the slack of both."""
    pi, points = density(ring), np.random.default_rng(3).random((300, 2))
    blurred = semidiscrete(atoms(points), pi)
    monkeypatch.setattr(clusters, "_FEWEST", 20)
    found = semidiscrete(atoms(points), pi)
    assert found.newton != blurred.newton
    assert found.squared == pytest.approx(blurred.squared, abs=found.slack + blurred.slack + 1e-14)
    np.testing.assert_allclose(found.barycentres, blurred.barycentres, atol=1e-4)


def test_where_clusters_fail_it_is_begun_otherwise(monkeypatch):
    """Clusters that lead nowhere: the answer is that of blurred densities."""
    pi, points = density(ring), np.random.default_rng(3).random((300, 2))
    blurred = semidiscrete(atoms(points), pi)
    monkeypatch.setattr(clusters, "_FEWEST", 20)
    lost = Climbed(None, 0, False, 0.0)
    monkeypatch.setattr(module, "_from_clusters", lambda *_: lost)
    assert semidiscrete(atoms(points), pi).squared == blurred.squared


# The bound


def biased(height):
    """Phi of two atoms in a square, far from its maximum: g = (height, 0); the cell of the second may be empty."""
    pi = density(lambda z: np.ones(len(z)), 4)
    dual = Dual(np.array([[0.2, 0.5], [0.85, 0.5]]), np.array([0.7, 0.3]), pi.values.reshape(4, 4), pi.grid)
    g = np.array([height, 0.0])
    found = dual.cells(g)
    exact = (0.7 - 0.2) ** 3 / 3 + 0.2**3 / 3 + (1 - 0.85) ** 3 / 3 - (0.7 - 0.85) ** 3 / 3 + 1.0 / 12.0
    return exact - dual.value(g, found), dual.slack(g, float(np.abs(dual.mu - found.mass).sum())), found


@pytest.mark.parametrize("height", [-5.0, -0.2, 0.0, 0.3, 1.0, 100.0])
def test_the_slack_bounds_what_is_missing(height):
    """0 <= W2^2 - Phi(g) <= slack, W2^2 in closed form (two atoms, wall at .7), whether or not cells are empty."""
    missing, slack, _ = biased(height)
    assert -1e-14 <= missing <= slack


def test_the_slack_is_sharp():
    """g_0 -> inf, all of the mass in L_0: missing/slack -> 1, for both are mu_1 g_0 at leading order."""
    missing, slack, found = biased(1e4)
    assert found.area[1] == 0.0
    assert 0.999 < missing / slack <= 1.0


# Cells found from a diagram nearby


def scattered(m, seed, spread=1.0):
    """A dual with a rough density."""
    rng = np.random.default_rng(seed)
    pi = density(lambda z: rng.random(len(z)) * (rng.random(len(z)) < 0.7), 12)
    return Dual(spread * rng.random((m, 2)), np.full(m, 1.0 / m), pi.values.reshape(12, 12), pi.grid)


@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("m", [2, 3, 30, 400])
def test_cells_from_borders_are_those_of_the_hull(m, size):
    """Potentials changed at random, hidden atoms among them: all integrals to rounding, walls too."""
    dual, rng = scattered(m, m), np.random.default_rng(4)
    before = 0.3 * size * rng.random(m)
    g = before + size * rng.random(m)
    found, exact = dual.cells(g, dual.cells(before)), dual.cells(g)
    for name in ("mass", "area", "moment", "cost"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), atol=1e-13)
    assert walls(found) == pytest.approx(walls(exact), abs=1e-11)


def walls(found):
    """Length of the walls that are longer than rounding, by their atoms."""
    return {(int(i), int(j)): w for (i, j), w in zip(found.pairs, found.length, strict=True) if w > 1e-11}


def test_borders_are_repaired_more_often_than_not():
    """Of small changes all lead to a tiling without a hull; borders of none at all do not."""
    dual, rng = scattered(400, 5), np.random.default_rng(6)
    before = np.zeros(400)
    near = dual.cells(before).borders
    for _ in range(5):
        assert repaired(dual.x, dual.intercepts(before + 1e-4 * rng.random(400)), UNIT, near) is not None
    nobody = np.zeros(401, np.int64)
    bare = type(near)(nobody, np.empty(0, np.int64), np.arange(400), np.ones(400, dtype=bool))
    assert repaired(dual.x, dual.intercepts(before), UNIT, bare) is None


def test_an_atom_that_takes_all_keeps_it():
    """All others hidden: it has no neighbours, and all of the mass."""
    dual = scattered(5, 7)
    g, near = np.array([9.0, 0.0, 0.0, 0.0, 0.0]), dual.cells(np.zeros(5))
    borders = repaired(dual.x, dual.intercepts(g), UNIT, near.borders)
    assert borders is not None
    assert borders.seen.tolist() == [True, False, False, False, False]
    found = dual.cells(g, near)
    np.testing.assert_allclose(found.mass, [1.0, 0.0, 0.0, 0.0, 0.0], atol=1e-14)
    back = dual.cells(np.zeros(5), found)
    np.testing.assert_allclose(back.mass, dual.cells(np.zeros(5)).mass, atol=1e-14)


# Clusters


def test_clusters_keep_mass_and_mean():
    """Each cluster's atoms stand together, in a rectangle that no other's meets and that is not long."""
    rng = np.random.default_rng(8)
    x = rng.random((3000, 2))
    x = x[nested(x)]
    dual = Dual(x, rng.dirichlet(np.ones(3000)), np.ones((4, 4)), Grid(box((0.0, 0.0), (1.0, 1.0)), (4, 4)))
    found = levels(dual)
    assert [len(level.dual.mu) for level in found] == [512]
    level = found[0]
    assert level.dual.mu.sum() == pytest.approx(1.0, rel=1e-13)
    np.testing.assert_allclose(level.dual.mu @ level.dual.x, dual.mu @ x, atol=1e-14)
    lower, upper = (f(x, level.edges[:-1]) for f in (np.minimum.reduceat, np.maximum.reduceat))
    meet = np.all((lower[:, None] < upper) & (lower < upper[:, None]), axis=2)
    assert meet.sum() == 512
    assert (upper - lower).max() < 5.0 / math.sqrt(512)


@pytest.mark.parametrize("stretch", [(1.0, 1.0), (0.25, 2.0)])
def test_a_linear_map_is_carried_exactly(stretch):
    """Atoms A y, y a lattice, against a uniform density: phi = x.A^(-1) x/2 from the clusters' cells; masses alike."""
    y = Grid(box((-0.5, -0.5), (0.5, 0.5)), (64, 64)).centres
    x = y[nested(y)] * stretch
    dual = Dual(x, np.full(4096, 1 / 4096), np.ones((64, 64)), Grid(box((-0.5, -0.5), (0.5, 0.5)), (64, 64)))
    level = levels(dual)[0]
    g = np.sum(level.dual.x**2 * (1.0 - 1.0 / np.asarray(stretch)), axis=1)
    fine = carried(level, level.dual.cells(g), dual)
    np.testing.assert_allclose(dual.cells(fine).mass, 1 / 4096, rtol=0.05)
    exact = np.sum(x**2 * (1.0 - 1.0 / np.asarray(stretch)), axis=1)
    np.testing.assert_allclose(fine - fine.mean(), exact - exact.mean(), atol=1e-5)


def test_narrow_clusters_do_not_overflow():
    """One heavy atom in a cluster, light ones far from it: exp(1e8), were weights not relative to the largest."""
    rng = np.random.default_rng(10)
    x = rng.random((2400, 2))
    x, mu = x[nested(x)], np.tile([1.0, 1e-9, 1e-9, 1e-9], 600)
    dual = Dual(x, mu / mu.sum(), np.ones((8, 8)), Grid(box((0.0, 0.0), (1.0, 1.0)), (8, 8)))
    level = levels(dual)[0]
    g = start(level.dual)
    assert np.isfinite(carried(level, level.dual.cells(g), dual)).all()


def test_periodic_axes_take_clusters_too(coarse):
    """A cylinder, two rectangles: the middles pushed around by a: W2^2 = a^2 + the variance of a cell."""
    grid = Grid(Box((0.0, 0.0), (1.0, 1.0), (True, False)), (32, 32))
    values = rectangles(grid.centres).astype(float)
    pi = Density(grid, values / (values.sum() * grid.cell_volume))
    points = grid.centres[values > 0.0]
    found = semidiscrete(Particles(grid.domain, points + np.array([0.1, 0.0])), pi)
    assert found.squared == pytest.approx(0.01 + 2.0 / 32**2 / 12.0, abs=1e-12 + found.slack)
