"""Semi-discrete transport: closed forms, POT, slopes of the dual, identities, and densities and atoms that are hard."""

import math

import numpy as np
import ot
import pytest

from wflow import Box, Density, Grid, NotConverged, Particles, Refused, box, cylinder, interval, plane, torus, w2
from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the cells are compiled", allow_module_level=True)

from wflow import laguerre, laguerre_dual
from wflow import raised as raising
from wflow.bordering import linked
from wflow.clipping import runs
from wflow.fronts import solution
from wflow.intercepts import intercepts
from wflow.laguerre_dual import Dual, direction, start
from wflow.raised import raised
from wflow.semidiscrete import semidiscrete
from wflow.transport import w2_floor

UNIT = ((0.0, 0.0), (1.0, 1.0))


def density(formula=None, shape=(16, 16), corners=UNIT):
    """Cell averages proportional to a formula at the centres (n, 2); uniform by default."""
    grid = Grid(box(*corners), shape)
    values = np.ones(grid.size) if formula is None else np.asarray(formula(grid.centres), dtype=float)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def random(shape, seed=0, corners=UNIT):
    """Independent cell averages, uniform on [0.1, 1] before they are scaled."""
    rng = np.random.default_rng(seed)
    return density(lambda z: 0.1 + 0.9 * rng.random(len(z)), shape, corners)


def two_bumps(shape=(32, 32)):
    """Two rectangles, .5 apart."""
    return density(lambda z: (np.abs(np.abs(z[:, 0] - 0.5) - 0.35) < 0.1) & (np.abs(z[:, 1] - 0.5) < 0.2), shape)


def atoms(points, weights=None):
    """Particles of the plane."""
    return Particles(plane(), np.asarray(points, dtype=float), weights)


def second_moment(pi, at):
    """int |z - at|^2 rho, exactly: distances of the centres, and each cell's own variance."""
    return float(pi.weights @ np.sum((pi.grid.centres - at) ** 2, axis=1)) + float(np.sum(pi.grid.widths**2)) / 12.0


def blocks(pi, k, weights=None):
    """Its mass at the middles of k^2 parts of each cell, and the variance that this gives away."""
    fine = Grid(pi.domain, tuple(k * n for n in pi.grid.shape))
    mass = np.repeat(np.repeat(pi.values.reshape(pi.grid.shape), k, axis=0), k, axis=1).ravel() * fine.cell_volume
    return fine.centres, mass, float(np.sum(fine.widths**2)) / 12.0


# Closed forms


@pytest.mark.parametrize("at", [(0.3, 0.9), (-2.0, 0.5), (1.0, 0.0)])
def test_one_atom_costs_the_second_moment_about_it(at):
    """W2^2(delta_x, rho) = int |z - x|^2 rho; the barycentre is rho's mean."""
    pi = random((7, 12))
    found = semidiscrete(atoms([at]), pi)
    assert found.squared == pytest.approx(second_moment(pi, at), rel=1e-13)
    np.testing.assert_allclose(found.barycentres[0], pi.weights @ pi.grid.centres, rtol=1e-13)
    assert found.newton == 0
    assert found.residual < 1e-14


@pytest.mark.parametrize("share", [0.5, 0.3, 1e-3])
def test_two_atoms_in_a_square(share):
    """Masses s and 1 - s at (a, .5), (b, .5), a < b: the square is cut at the abscissa s.

    W2^2 = int_0^s (z - a)^2 + int_s^1 (z - b)^2 + 1/12, and g_1 - g_0 = (s - b)^2 - (s - a)^2.
    """
    a, b = 0.2, 0.85
    found = semidiscrete(atoms([(a, 0.5), (b, 0.5)], [share, 1.0 - share]), density(), tolerance=1e-12)
    cost = ((share - a) ** 3 + a**3 + (1.0 - b) ** 3 - (share - b) ** 3) / 3.0 + 1.0 / 12.0
    assert found.squared == pytest.approx(cost, rel=1e-12)
    assert found.g[1] - found.g[0] == pytest.approx((share - b) ** 2 - (share - a) ** 2, abs=1e-11)
    np.testing.assert_allclose(found.barycentres, [[share / 2.0, 0.5], [(1.0 + share) / 2.0, 0.5]], atol=1e-11)


@pytest.mark.slow
def test_three_atoms_at_a_corner_of_a_square():
    """x_0 = (0, 0) with 1/8, x_1 = (1, 0) with 3/8 and x_2 = (0, 1) with 1/2, by the conditions on masses alone.

    The slope of the dual is the only thing that counts: cells of these masses that are Laguerre cells are optimal.
    With p, q the abscissa and ordinate of the walls of L_0 its mass is p q, or less a corner beyond the diagonal.
    """
    found = semidiscrete(atoms([(0, 0), (1, 0), (0, 1)], [0.125, 0.375, 0.5]), density(), tolerance=1e-12)
    p, q = (0.5 * (1.0 + found.g[0] - found.g[k]) for k in (1, 2))
    # L_1 is what lies right of p and below the line through (p, q) of slope 1
    assert p * q == pytest.approx(0.125, abs=1e-12)
    assert q * (1.0 - p) + 0.5 * (1.0 - p) ** 2 == pytest.approx(0.375, abs=1e-12)


@pytest.mark.parametrize(("shape", "corners"), [((16, 16), UNIT), ((12, 8), ((-1.0, 2.0), (2.0, 2.5)))])
def test_atoms_at_the_middles_of_blocks_cost_the_blocks_variance(shape, corners):
    """W2^2 = (a^2 + b^2)/12 for a uniform density and blocks a x b: no mass can go to a nearer atom."""
    pi = density(None, shape, corners)
    middles = Grid(pi.domain, (4, 4))
    found = semidiscrete(atoms(middles.centres), pi, tolerance=1e-12)
    assert found.squared == pytest.approx(float(np.sum(middles.widths**2)) / 12.0, abs=1e-12)
    np.testing.assert_allclose(found.barycentres, middles.centres, atol=1e-12)


# Other programs and differences


@pytest.mark.parametrize(("shape", "corners"), [((6, 6), UNIT), ((8, 5), ((0.0, -1.0), (3.0, -0.9)))])
def test_agrees_with_pot(shape, corners):
    """Mass at the middles of small parts, of variance s^2: (W2' - s)^2 <= W2^2 <= W2'^2 + s^2.

    Left: the triangle inequality. Right: a plan of the middles, spread over the parts, costs s^2 more.
    """
    pi = random(shape, 1, corners)
    rng = np.random.default_rng(2)
    lower, upper = np.asarray(corners)
    points, weights = lower + (upper - lower) * rng.random((20, 2)), rng.dirichlet(np.ones(20))
    middles, mass, variance = blocks(pi, 8)
    cost = ot.dist(points, middles)
    approximate = ot.emd2(weights, mass / mass.sum(), cost, numItermax=10**6)
    found = semidiscrete(atoms(points, weights), pi)
    assert (math.sqrt(approximate) - math.sqrt(variance)) ** 2 <= found.squared <= approximate + variance
    # the right side is met but for the parts that a wall of a cell runs through
    assert found.squared == pytest.approx(approximate + variance, rel=2e-3)


def problem(m=12, seed=3):
    """A dual away from its maximum, in a box that is not square."""
    rng = np.random.default_rng(seed)
    pi = random((9, 14), seed, ((-0.5, -0.4), (0.5, 0.5)))
    x, mu = rng.normal(size=(m, 2)) * 0.2, rng.dirichlet(np.ones(m) * 5.0)
    return Dual(x, mu, pi.values.reshape(pi.grid.shape), pi.grid)


def test_the_slope_of_the_dual_is_that_of_differences():
    """dPhi/dg_i = mu_i - rho(L_i), by central differences of second order."""
    dual = problem()
    g = start(dual)
    slope = dual.mu - dual.cells(g).mass
    step = 1e-6
    for i, unit in enumerate(np.eye(len(g))):
        ahead, behind = (g + s * step * unit for s in (1.0, -1.0))
        change = dual.value(ahead, dual.cells(ahead)) - dual.value(behind, dual.cells(behind))
        assert change / (2.0 * step) == pytest.approx(slope[i], abs=1e-8)


def test_newtons_direction_is_that_of_differences_of_masses():
    """sum_j (d rho(L_i)/dg_j) direction_j = mu_i - rho(L_i), by a central difference along the direction."""
    dual = problem()
    g = start(dual)
    found = dual.cells(g)
    way = direction(dual, found)
    step = 1e-6
    change = (dual.cells(g + step * way).mass - dual.cells(g - step * way).mass) / (2.0 * step)
    np.testing.assert_allclose(change, dual.mu - found.mass, atol=1e-7)


def test_the_cells_tile_the_box():
    """Masses, moments and costs over the cells sum to those over the box; random potentials, with hidden atoms."""
    dual = problem(60)
    found = dual.cells(0.02 * np.random.default_rng(4).random(60))
    assert (found.area == 0.0).any()
    assert found.mass.sum() == pytest.approx(1.0, rel=1e-13)
    assert found.area.sum() == pytest.approx(1.0, rel=1e-13)
    mean = dual.rho.ravel() @ dual.grid.centres * dual.grid.cell_volume
    np.testing.assert_allclose(found.moment.sum(axis=0), mean, atol=1e-14)


# Identities


@pytest.mark.parametrize("shift", [(0.3, -0.2), (40.0, 9.0), (1e3, 1e3)])
def test_a_translation_costs_its_square_and_the_means(shift):
    """W2^2(x + a, rho) = W2^2(x, rho) + |a|^2 + 2 a.(mean x - mean rho); the cells stay."""
    rng, pi = np.random.default_rng(5), random((10, 10))
    points, a = rng.random((40, 2)), np.asarray(shift)
    here, there = semidiscrete(atoms(points), pi), semidiscrete(atoms(points + a), pi)
    apart = points.mean(axis=0) - pi.weights @ pi.grid.centres
    assert there.squared == pytest.approx(here.squared + a @ a + 2.0 * a @ apart, rel=1e-12)
    np.testing.assert_allclose(there.barycentres, here.barycentres, atol=1e-7)


def test_the_potentials_and_barycentres_say_the_same_as_the_cost():
    """W2^2 = sum mu g + int min(|z - x|^2 - g) rho, here by sampling cells; sum mu barycentre = mean of rho."""
    rng, pi = np.random.default_rng(6), random((8, 8))
    points, weights = rng.random((15, 2)) * 2.0, rng.dirichlet(np.ones(15))
    found = semidiscrete(atoms(points, weights), pi)
    middles, mass, variance = blocks(pi, 40)
    least = np.min(np.sum((middles[:, None] - points) ** 2, axis=2) - found.g, axis=1)
    # |z|^2 less a convex function, linear but for the parts that a wall runs through
    assert weights @ found.g + mass @ least + variance == pytest.approx(found.squared, rel=1e-5)
    np.testing.assert_allclose(weights @ found.barycentres, pi.weights @ pi.grid.centres, atol=1e-8)
    assert weights @ found.g == pytest.approx(0.0, abs=1e-13)
    np.testing.assert_allclose(found.masses, weights, atol=1e-8)


# Periodic axes

TURNS = [(False, True), (True, False), (True, True)]


def repeated(turns, formula=None, shape=(12, 10), seed=0):
    """A rough density on [0, 1] x [-1, 1], with periodic axes."""
    grid = Grid(Box((0.0, -1.0), (1.0, 1.0), turns), shape)
    draw = np.random.default_rng(seed)
    values = 0.1 + 0.9 * draw.random(grid.size) if formula is None else formula(grid.centres)
    return Density(grid, values / (values.sum() * grid.cell_volume))


@pytest.mark.parametrize("turns", TURNS)
def test_one_atom_costs_the_mean_squared_distance(turns):
    """Atom at the middle of a face of cells: int d^2 rho, d the short way; h^2/12 an axis for the cells themselves."""
    pi = repeated(turns)
    at = np.array([[0.25, 0.4]])
    found = semidiscrete(Particles(pi.domain, at), pi)
    exact = pi.weights @ pi.domain.distance(pi.grid.centres, at) ** 2 + np.sum(pi.grid.widths**2) / 12.0
    assert found.squared == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("shift", [0.0, 0.03, 0.125])
def test_atoms_at_the_middles_of_blocks_of_a_torus(turns, shift):
    """A uniform density and the middles of 4 x 4 blocks, pushed along a periodic axis: (a^2 + b^2)/12 all the same."""
    pi = repeated(turns, lambda z: np.ones(len(z)))
    middles = Grid(pi.domain, (4, 4))
    found = semidiscrete(Particles(pi.domain, middles.centres + shift * np.array(turns)), pi, tolerance=1e-12)
    assert found.squared == pytest.approx(float(np.sum(middles.widths**2)) / 12.0, abs=1e-12)


def test_two_atoms_on_a_torus():
    """Masses s and 1 - s at angles a, b of a square of side 1: strips, cut at p and q with q - p = s.

    Slope: d(p, a)^2 - d(p, b)^2 = g_0 - g_1 = d(q, a)^2 - d(q, b)^2. With a = .5 and b = 0 = 1 the strip is centred.
    """
    s = 0.3
    grid = Grid(Box((0.0, 0.0), (1.0, 1.0), (True, True)), (16, 16))
    found = semidiscrete(
        Particles(grid.domain, np.array([[0.5, 0.2], [0.0, 0.2]]), np.array([s, 1.0 - s])),
        Density(grid, np.ones(grid.size)), tolerance=1e-12,
    )  # fmt: skip
    assert found.squared == pytest.approx((s**3 + (1.0 - s) ** 3) / 12.0 + 1.0 / 12.0, rel=1e-12)
    assert found.g[0] - found.g[1] == pytest.approx((0.5 * s) ** 2 - (0.5 * (1.0 - s)) ** 2, abs=1e-11)


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("m", [1, 2, 3, 25])
def test_agrees_with_pot_the_short_way(turns, m):
    """As above on cylinders and tori, atoms also beyond the walls: (W2' - s)^2 <= W2^2 <= W2'^2 + s^2."""
    pi = repeated(turns)
    draw = np.random.default_rng(m)
    points, weights = draw.random((m, 2)) * [1.5, 3.0] - [0.2, 1.5], draw.dirichlet(np.ones(m))
    middles, mass, variance = blocks(pi, 6)
    cost = np.sum(pi.domain.difference(points[:, None], middles[None]) ** 2, axis=2)
    approximate = ot.emd2(weights, mass / mass.sum(), cost, numItermax=10**6)
    found = semidiscrete(Particles(pi.domain, points, weights), pi)
    assert (math.sqrt(approximate) - math.sqrt(variance)) ** 2 <= found.squared <= approximate + variance
    assert found.squared == pytest.approx(approximate + variance, rel=2e-3)
    np.testing.assert_allclose(found.masses, weights, atol=1e-8)


@pytest.mark.parametrize("turns", TURNS)
def test_turning_both_changes_nothing(turns):
    """Atoms and cells turned by three cells along the periodic axes: potentials, cost, and barycentres turned alike."""
    pi = repeated(turns)
    step = np.array([3, 3]) * turns
    points = np.random.default_rng(12).random((30, 2)) * [1.0, 2.0] - [0.0, 1.0]
    rolled = np.roll(pi.values.reshape(pi.grid.shape), step, (0, 1)).ravel()
    here = semidiscrete(Particles(pi.domain, points), pi)
    there = semidiscrete(Particles(pi.domain, points + step * pi.grid.widths), Density(pi.grid, rolled))
    assert there.squared == pytest.approx(here.squared, rel=1e-10)
    np.testing.assert_allclose(there.g, here.g, atol=1e-8)
    away = pi.domain.difference(there.barycentres, here.barycentres + step * pi.grid.widths)
    np.testing.assert_allclose(away, 0.0, atol=1e-6)


@pytest.mark.parametrize("turns", TURNS)
def test_slopes_on_a_torus(turns):
    """The cells tile the box; masses are the dual's slope, and Newton's direction theirs, by differences.

    Three atoms: each borders itself and the others on several sides.
    """
    pi = repeated(turns)
    x = np.random.default_rng(13).random((3, 2)) * [1.0, 2.0] - [0.0, 1.0]
    dual = Dual(x, np.array([0.2, 0.3, 0.5]), pi.values.reshape(pi.grid.shape), pi.grid)
    g, step = 0.05 * np.arange(3.0), 1e-6
    found = dual.cells(g)
    assert found.mass.sum() == pytest.approx(1.0, rel=1e-13)
    assert found.area.sum() == pytest.approx(1.0, rel=1e-13)
    for i, unit in enumerate(np.eye(3)):
        ahead, behind = (dual.value(g + s * unit, dual.cells(g + s * unit)) for s in (step, -step))
        assert (ahead - behind) / (2.0 * step) == pytest.approx(dual.mu[i] - found.mass[i], abs=1e-8)
    way = direction(dual, found)
    change = (dual.cells(g + step * way).mass - dual.cells(g - step * way).mass) / (2.0 * step)
    np.testing.assert_allclose(change, dual.mu - found.mass, atol=1e-6)


def test_the_slack_of_a_torus_goes_the_short_way():
    """D^2 = |L|^2/4 on a torus, wherever atoms are; on a box one atom has nothing to gain."""
    x, mu, rho = np.array([[0.1, 0.2]]), np.ones(1), np.full((4, 4), 0.5)
    for turns, most in (((True, True), 0.25 + 1.0), ((True, False), 0.25 + 1.2**2), ((False, False), 0.0)):
        dual = Dual(x, mu, rho, Grid(Box((0.0, -1.0), (1.0, 1.0), turns), (4, 4)))
        assert dual.slack(np.zeros(1), 2.0) == pytest.approx(most)


def test_blur_runs_over_the_seam():
    """Turned cells blur to turned cells along periodic axes; mass is kept."""
    pi = repeated((True, True), shape=(16, 16))
    rho = pi.values.reshape(16, 16)
    dual = Dual(np.zeros((1, 2)), np.ones(1), rho, pi.grid)
    turned = Dual(np.zeros((1, 2)), np.ones(1), np.roll(rho, (5, 7), (0, 1)), pi.grid)
    np.testing.assert_allclose(turned.blurred(0.2).rho, np.roll(dual.blurred(0.2).rho, (5, 7), (0, 1)), atol=1e-14)
    assert dual.blurred(0.2).rho.sum() == pytest.approx(rho.sum(), rel=1e-12)


def test_w2_of_atoms_on_a_torus_is_exact():
    """w2 takes the pair either way round, at no floor."""
    pi = repeated((True, True))
    particles = Particles(pi.domain, np.random.default_rng(14).random((20, 2)))
    assert w2(particles, pi) == w2(pi, particles) == math.sqrt(semidiscrete(particles, pi).squared)
    assert w2_floor(particles, pi) == 0.0


# Hard densities and atoms


@pytest.mark.slow
@pytest.mark.parametrize(("m", "scale"), [(2, 1.0), (3, 3.0), (10, 1.0), (100, 1.0), (100, 3.0)])
def test_two_separate_bumps(m, scale):
    """Where rho is 0 the cells' walls weigh nothing. Agreement with POT as above."""
    pi = two_bumps((20, 20))
    points = scale * np.random.default_rng(m).random((m, 2))
    found = semidiscrete(atoms(points), pi)
    middles, mass, variance = blocks(pi, 4)
    kept = mass > 0.0
    approximate = ot.emd2(
        np.full(m, 1.0 / m), mass[kept] / mass.sum(), ot.dist(points, middles[kept]), numItermax=10**6
    )
    assert found.residual <= 1e-8
    assert (math.sqrt(approximate) - math.sqrt(variance)) ** 2 <= found.squared <= approximate + variance + found.slack


@pytest.mark.parametrize("turns", [pytest.param((False, False), marks=pytest.mark.slow), (True, False), (True, True)])
@pytest.mark.slow
def test_cells_in_the_void_are_fed(turns):
    """g = 0 and two bumps: most cells lie in the void. Raised, each holds a hundredth of its mass at least.

    Potentials never fall, and atoms that were not in want keep theirs unless others ate from them.
    """
    bumps = two_bumps((20, 20))
    grid = Grid(Box((0.0, 0.0), (1.0, 1.0), turns), (20, 20))
    x, mu, rho = np.random.default_rng(15).random((60, 2)), np.full(60, 1.0 / 60.0), bumps.values.reshape(20, 20)
    dual = Dual(x, mu, rho, grid)
    before = dual.cells(np.zeros(60))
    assert (before.mass == 0.0).sum() > 20
    g, found = raised(dual, np.zeros(60), before)
    assert found.mass.min() >= 0.01 / 60.0
    assert found.mass.sum() == pytest.approx(1.0, rel=1e-12)
    assert g.min() == 0.0
    np.testing.assert_allclose(dual.cells(g).mass, found.mass, atol=1e-13)


def test_an_atom_does_not_outbid_its_own_repetitions():
    """Alone on a torus it holds all of the mass, once, whatever its potential."""
    pi = repeated((True, True))
    every, tiled = laguerre.repeated(np.array([[0.3, 0.1]]), pi.grid), np.tile(pi.values.reshape(pi.grid.shape), (3, 3))
    frame = np.array([-1.0, -3.0, *pi.grid.widths, 0.0])
    room = np.empty((6, 32, 2)), np.empty((2, 32), np.int64)
    borders = laguerre.cells(
        every[:1], intercepts(every[:1], np.zeros(1)), pi.values.reshape(pi.grid.shape), pi.grid
    ).borders
    links, seed = linked(borders.start, borders.other), borders.seed.copy()
    mass, _, _ = raising._mass(
        every, intercepts(every, np.full(9, 0.7)), 1, 0, tiled, runs(tiled), frame, links, seed, *room
    )
    assert mass == pytest.approx(1.0, rel=1e-12)


def test_one_atom_in_the_void():
    """Mass on (0, .2); an atom at (.9, .5) in want beside one at (.1, .5): to a factor of two it gets half of its half.

    Then the wall stands at u = .2 (1 - its mass), where (u - .1)^2 - g_0 = (u - .9)^2 - g_1.
    """
    pi = density(lambda z: z[:, 0] < 0.2, (20, 20))
    x, mu = np.array([[0.1, 0.5], [0.9, 0.5]]), np.array([0.5, 0.5])
    dual = Dual(x, mu, pi.values.reshape(20, 20), pi.grid)
    g, found = raised(dual, np.zeros(2), dual.cells(np.zeros(2)))
    assert 0.125 <= found.mass[1] <= 0.5
    wall = 0.2 * (1.0 - found.mass[1])
    assert g[1] - g[0] == pytest.approx((wall - 0.9) ** 2 - (wall - 0.1) ** 2, rel=1e-12)


@pytest.mark.slow
def test_many_atoms_against_two_bumps():
    """1e4 atoms on 256^2 cells, where some fifty cells lie between the bumps at first: residual below 1e-8.

    Left and right are two problems but for an atom that both supply: W2^2 is at least what moving a half costs along
    the first axis, and at most that of a map, here the quantiles of both axes one after the other.
    """
    pi = two_bumps((256, 256))
    points = np.random.default_rng(0).random((10_000, 2))
    found = semidiscrete(atoms(points), pi)
    assert found.residual <= 1e-8
    along = w2(Particles(interval(0, 1), np.sort(points[:, :1], axis=0)), axis_of(pi, 0)) ** 2
    across = w2(Particles(interval(0, 1), np.sort(points[:, 1:], axis=0)), axis_of(pi, 1)) ** 2
    assert along + across <= found.squared <= 1.01 * (along + across)


def axis_of(pi, axis):
    """The marginal of a density on the unit square."""
    grid = Grid(interval(0, 1), (pi.grid.shape[axis],))
    values = pi.values.reshape(pi.grid.shape).mean(axis=1 - axis)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def test_a_density_in_a_single_cell():
    """One cell of 64^2 is a small square: W2^2 by the closed form for four atoms about its middle.

    By symmetry each atom is supplied by a quarter of the square: side a = h/2, atoms at distance d from its middle.
    """
    pi = density(lambda z: np.arange(len(z)) == 64 * 20 + 30, (64, 64))
    middle = pi.grid.centres[64 * 20 + 30]
    points = middle + 0.1 * np.array([[1, 1], [-1, 1], [1, -1], [-1, -1]])
    h = 1.0 / 64
    found = semidiscrete(atoms(points), pi)
    assert found.squared == pytest.approx(2.0 * ((0.1 - h / 4.0) ** 2 + (h / 2.0) ** 2 / 12.0), rel=1e-9)


def test_coincident_atoms_are_one():
    """They share its cell by their masses; those without mass have no barycentre."""
    pi = random((8, 8))
    points = np.array([(0.2, 0.3), (0.7, 0.6), (0.2, 0.3), (0.5, 0.1)])
    once = semidiscrete(atoms(points[:2], [0.6, 0.4]), pi)
    found = semidiscrete(atoms(points, [0.1, 0.4, 0.5, 0.0]), pi)
    assert found.squared == pytest.approx(once.squared, rel=1e-13)
    np.testing.assert_allclose(found.masses[:3], [0.1, 0.4, 0.5], atol=1e-8)
    np.testing.assert_array_equal(found.barycentres[0], found.barycentres[2])
    np.testing.assert_allclose(found.barycentres[:2], once.barycentres, rtol=1e-13)
    assert found.masses[3] == 0.0
    assert found.g[3] == -math.inf
    assert np.isnan(found.barycentres[3]).all()


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0), (1, 0), (1, 1), (0, 1), (0.5, 0.0), (0, 0.5)],
        [(5, 0), (6, 0), (-7, 1), (3, 3)],
        [(0.1, 0.3), (0.2, 0.3), (0.9, 0.3)],
        [(0.1, 0.1), (0.2, 0.2), (0.9, 0.9), (3.0, 3.0)],
    ],
    ids=["on the walls", "outside", "on a line", "on a diagonal"],
)
def test_atoms_anywhere(points):
    """Agreement with POT as above, masses to 1e-8."""
    pi = random((8, 8))
    m = len(points)
    found = semidiscrete(atoms(points), pi)
    middles, mass, variance = blocks(pi, 8)
    approximate = ot.emd2(np.full(m, 1.0 / m), mass / mass.sum(), ot.dist(np.asarray(points, dtype=float), middles))
    np.testing.assert_allclose(found.masses, 1.0 / m, atol=1e-8)
    assert (math.sqrt(approximate) - math.sqrt(variance)) ** 2 <= found.squared <= approximate + variance


@pytest.mark.parametrize("pi", [density(), two_bumps()], ids=["uniform", "bumps"])
def test_masses_down_to_1e_12(pi):
    """Ten atoms of 1e-12: their cells hold at least half of that, and W2^2 moves by no more than their mass times 2."""
    rng = np.random.default_rng(7)
    points, weights = rng.random((100, 2)), np.ones(100)
    weights[:10] = 1e-10
    found = semidiscrete(atoms(points, weights / weights.sum()), pi)
    without = semidiscrete(atoms(points[10:]), pi)
    assert np.all(found.masses[:10] >= 0.5 * weights[:10] / weights.sum())
    assert found.squared == pytest.approx(without.squared, abs=2e-11 + found.slack + without.slack)


def test_a_small_cloud_is_as_exact_as_a_wide_one():
    """x = mean + s y with s -> 0: W2^2 = |mean - mean rho|^2 + var rho - 2 s (E y.z) + s^2 var y; residual to 1e-11."""
    pi, y = density(), np.random.default_rng(8).random((50, 2))
    found = semidiscrete(atoms(0.5 + 1e-6 * (y - y.mean(axis=0))), pi, tolerance=1e-11)
    correlation = np.mean(np.sum((y - y.mean(axis=0)) * (found.barycentres - 0.5), axis=1))
    assert found.squared == pytest.approx(1.0 / 6.0 - 2e-6 * correlation, abs=1e-11)
    assert correlation > 0.1


# Doors


def test_refuses_what_it_cannot_cut():
    """Other dimensions on either side, unlike turns, frozen axes."""
    line = Density(Grid(interval(0, 1), (4,)), np.ones(4))
    with pytest.raises(Refused, match="density have 1 axes"):
        semidiscrete(atoms([(0, 0)]), line)
    with pytest.raises(Refused, match="particles have 1 axes"):
        semidiscrete(Particles(line.domain, np.zeros((1, 1))), density())
    with pytest.raises(Refused, match="the same turns"):
        semidiscrete(Particles(cylinder(), np.zeros((1, 2))), density())
    with pytest.raises(Refused, match="the same turns"):
        semidiscrete(Particles(torus(2), np.zeros((1, 2))), repeated((True, True)))
    sheets = Box((0.0, 0.0), (1.0, 1.0), (False, False), (False, True))
    with pytest.raises(Refused, match="particles is frozen"):
        semidiscrete(Particles(sheets, np.zeros((1, 2))), density())


@pytest.mark.parametrize("apart", [1e-6, 1e-10, 1e-14])
def test_atoms_too_close_for_potentials_in_doubles(apart):
    """1e-14 apart in a unit square: each gets its mass, and W2 is that of both in one place, to their distance.

    g_1 - g_0 moves their wall by its size over 2e-14, the square for a last digit of g: intercepts are two numbers.
    """
    points = np.random.default_rng(9).random((50, 2))
    points[1] = points[0]
    one = semidiscrete(atoms(points), density())
    points[1] += apart
    two = semidiscrete(atoms(points), density())
    np.testing.assert_allclose(two.masses, 0.02, atol=1e-8)
    cost = [found.squared for found in (one, two)]
    assert abs(cost[1] ** 0.5 - cost[0] ** 0.5) <= 0.2 * apart + one.slack + two.slack


def test_a_singular_matrix_is_no_crash(monkeypatch):
    """No walls tie the atoms together: that ends Newton's method, and the message says where."""

    def singular(pairs, w, excess, right, order, first):
        return solution(pairs[:0], w[:0], 0.0 * excess, right, order, first)

    monkeypatch.setattr(laguerre_dual, "solution", singular)
    with pytest.raises(NotConverged, match="masses are off by"):
        semidiscrete(atoms(np.random.default_rng(16).random((20, 2))), random((16, 16)))


@pytest.mark.slow
@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.5, -1.0)])
def test_many_atoms_of_a_gaussian(shift):
    """1e5 atoms on 512^2 cells: residual below 1e-8, W2^2 that of the mean shift and i.i.d. atoms' fluctuation.

    Ambrosio, Stra & Trevisan 2019, Probab. Theory Relat. Fields 173: log m/(4 pi m) on a square for i.i.d. atoms, 9e-6;
    for a Gaussian larger by a factor that grows like log m. Here only: below 1e-3 after the means are taken out.
    """
    rng = np.random.default_rng(10)
    pi = density(lambda z: np.exp(-0.5 * np.sum(z**2, axis=1)), (512, 512), ((-6.0, -6.0), (6.0, 6.0)))
    points = rng.normal(size=(100_000, 2)) + shift
    found = semidiscrete(atoms(points), pi)
    away = points.mean(axis=0) - pi.weights @ pi.grid.centres
    assert found.residual <= 1e-8
    assert 0.0 < found.squared - away @ away < 1e-3


def test_a_tolerance_out_of_reach_is_reported_with_its_bound():
    """Below rounding nothing converges: the residual is in the exception, times D^2 about in the message."""
    points = np.random.default_rng(11).random((200, 2))
    with pytest.raises(NotConverged, match=r"below W2.2 by up to") as stopped:
        semidiscrete(atoms(points), random((16, 16)), tolerance=1e-18)
    assert stopped.value.residual < 1e-11
