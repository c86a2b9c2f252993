"""Semi-discrete transport of atoms anywhere: clouds 1e9 apart, and narrow ones with atoms that have no cell.

Exact: for clouds A, B far apart along an axis, B beyond A, each goes to its own side of a line z_0 = c, which holds its
mass; to one rounding in 1e9 both are then problems of their own, and W2^2 is the sum of these two: z.(x_B - x_A) is
largest for B on the far side of a line that is straight but for the clouds' widths over their distance.
"""

from dataclasses import replace

import numpy as np
import pytest

from wflow import Density, Grid, Particles, box, plane
from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the cells are compiled", allow_module_level=True)

from wflow import atom_clusters
from wflow.dual_ascent import ascent
from wflow.intercepts import gap, intercepts, moved, shifted
from wflow.laguerre import cells
from wflow.laguerre_dual import Dual, direction
from wflow.semidiscrete import semidiscrete

N = 16


def rough(lower, upper, values):
    """Cells of the unit square between two shares of its first axis, with these values, and mass 1."""
    grid = Grid(box((lower, 0.0), (upper, 1.0)), values.shape)
    return Density(grid, (values / (values.sum() * grid.cell_volume)).ravel())


@pytest.mark.parametrize("away", [0.0, 1e9, 1e12])
def test_intercepts_tell_walls_apart(away):
    """phi_j - phi_i of atoms d apart and `away` from 0, walls at b: d.b to a rounding of d.b, by integers."""
    rng = np.random.default_rng(0)
    # all of these products are integers below 2^106 over a power of 2
    x = np.round(2.0**10 * rng.random((200, 2))) / 2.0**10 + away
    phi = intercepts(x, np.zeros(200))
    exact = [sum(int(1024 * c) ** 2 for c in at) for at in x.tolist()]
    for i in range(199):
        assert gap(phi, i, i + 1) == pytest.approx((exact[i + 1] - exact[i]) / 2.0**21, rel=1e-15, abs=1e-300)


def test_shifts_of_intercepts_add_up():
    """One after the other, compiled or not: a thousand of 1e-9 added to 1e9 are 1e-6, to 1e-20."""
    phi = np.array([[1e9, 0.0]])
    pair = (1e9, 0.0)
    for _ in range(1000):
        phi, pair = shifted(phi, np.array([1e-9])), moved(*pair, 1e-9)
    for high, low in (phi[0], pair):
        assert (high - 1e9) + low == pytest.approx(1e-6, abs=1e-20)


@pytest.mark.slow
@pytest.mark.parametrize("away", [1e6, 1e9, 1e12])
@pytest.mark.parametrize("hole", [0, 4])
def test_clouds_far_apart_are_problems_of_their_own(away, hole):
    """Masses and barycentres are those of either half alone, to 1e-7 and what the line's slope, 1/away, and x's
    rounding do. hole: columns without mass, before the line and behind it."""
    rng = np.random.default_rng(1)
    values = 0.5 + rng.random((2 * N, N))
    values[:N] /= values[:N].sum()
    values[N:] /= values[N:].sum()
    values[N - hole : N + hole] = 0.0
    values[:N] *= 0.5 / values[:N].sum()
    values[N:] *= 0.5 / values[N:].sum()
    # atoms on a lattice that doubles at 1e12 hold
    x = np.round(2.0**10 * rng.random((60, 2))) / 2.0**10
    there = x + np.array([away, 0.0])
    both = semidiscrete(Particles(plane(), np.concatenate([x, there])), rough(0.0, 1.0, values))
    left = semidiscrete(Particles(plane(), x), rough(0.0, 0.5, values[:N]))
    right = semidiscrete(Particles(plane(), x), rough(0.5, 1.0, values[N:]))
    np.testing.assert_allclose(both.masses, 1.0 / 120, atol=1e-8)
    halves = np.concatenate([left.barycentres, right.barycentres])
    np.testing.assert_allclose(both.barycentres, halves, atol=1e-4 * 1e6 / away + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("m", [600, 3000])
def test_three_clouds_before_two_rectangles(m):
    """1e9 from each other, one of them split between the rectangles: all get their mass.

    3000 are begun from clusters, of which some lie in two clouds.
    """
    x = np.random.default_rng(0).random((m, 2))
    x[m // 2 + 7 :, 0] += 1e9
    x[: m // 5, 1] += 1e9
    values = np.zeros((64, 64))
    values[4:16, 20:44] = values[48:60, 20:44] = 1.0
    found = semidiscrete(Particles(plane(), x), rough(0.0, 1.0, values))
    assert found.residual <= 1e-8


@pytest.mark.slow
def test_walls_that_rounding_gives_to_an_atom_without_a_cell():
    """3000 atoms in three clouds 1e11 apart: some have no cell, and walls with another cloud, by rounding.

    Alone on such a wall an atom would go 1e11 times as far as its cloud: 39 steps where the others take 6.
    """
    x = np.random.default_rng(4).random((3000, 2))
    x[1500:, 0] += 1e11
    x[:600, 1] += 1e11
    values = np.zeros((64, 64))
    for k in (0.15, 0.85):
        values[np.abs(np.arange(64) + 0.5 - 64 * k) < 6.4, 19:45] = 1.0
    found = semidiscrete(Particles(plane(), x), rough(0.0, 1.0, values))
    assert found.residual <= 1e-8
    assert found.newton <= 12


@pytest.mark.parametrize("seed", range(4))
def test_cells_of_clouds_so_far_apart_that_their_heights_are_blurred_tile(seed):
    """Their areas sum to the box's, to 1e-13: at 1e11 an atom's height is blurred by 1e-5 as seen from another cloud,
    and among neighbours it differs by 1e-3. Walks that trust it overlook cells at the clouds' common walls: 5e-6."""
    m, away = 1000, 1e11
    x = np.random.default_rng(seed).random((m, 2)) - 0.5
    of = np.zeros((m, 2))
    of[m // 2 :, 0] = of[: m // 5, 1] = 1.0
    phi = away * of @ [0.1, 0.05] + 0.5 * np.sum(x**2, axis=1)
    grid = Grid(box((-0.5, -0.5), (0.5, 0.5)), (2, 2))
    found = cells(x + away * of, np.stack([phi, np.zeros(m)], axis=1), np.ones((2, 2)), grid)
    assert found.area.sum() == pytest.approx(1.0, abs=1e-13)


@pytest.mark.slow
def test_cauchy_atoms_squared():
    """A thousand, out to some 1e6 squared: Newton's method ends, in a dozen steps."""
    x = np.random.default_rng(1).standard_cauchy((1000, 2))
    found = semidiscrete(Particles(plane(), x * np.abs(x)), rough(0.0, 1.0, np.ones((64, 64))))
    assert found.residual <= 1e-8
    assert found.newton <= 12


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 3, 4, 8])
def test_the_size_of_clusters_does_not_matter(monkeypatch, parts):
    """Clouds of widths .1 to 1e-5 before two rectangles: begun from blocks of at least so many atoms, the same W2."""
    rng = np.random.default_rng(3)
    x = rng.random((5, 2))[rng.integers(0, 5, 3500)] + 10.0 ** -rng.integers(1, 6, (3500, 1)) * rng.normal(
        size=(3500, 2)
    )
    values = np.zeros((64, 64))
    values[4:16, 20:44] = values[48:60, 20:44] = 1.0
    pi = rough(0.0, 1.0, values)
    usual = semidiscrete(Particles(plane(), x), pi)
    monkeypatch.setattr(atom_clusters, "_PARTS", parts)
    found = semidiscrete(Particles(plane(), x), pi)
    assert found.squared == pytest.approx(usual.squared, abs=found.slack + usual.slack + 1e-14)


def test_an_atom_without_a_cell_moves_with_its_cloud():
    """Two narrow clouds, the second's potentials 1e-3 too high: Newton's direction brings them down, all alike.

    One of its atoms has no cell. Standing still it would take all of its cloud's mass.
    """
    rng = np.random.default_rng(2)
    x = np.concatenate([[-0.3, 0.0] + 1e-6 * rng.random((20, 2)), [0.3, 0.0] + 1e-6 * rng.random((20, 2))])
    grid = Grid(box((-0.5, -0.5), (0.5, 0.5)), (8, 8))
    dual = Dual(x, np.repeat([0.03, 0.02], 20), np.ones((8, 8)), grid, np.zeros_like(x))
    dual = dual.based(ascent(dual, 1e-9)[0].phi)
    g = np.repeat([0.0, 1e-3], 20)
    g[30] -= 1e-5
    found = dual.cells(g)
    assert found.area[30] == 0.0 < np.delete(found.area, 30).min()
    way = direction(dual, found)
    np.testing.assert_allclose(way[20:], -1e-3, rtol=0.1)
    # a wall with the other cloud that rounding has given to it is its nearest one's: the same, but for that wall
    wall = np.array([[1e-3], [1e-3], [1e9]])
    named = replace(found, pairs=np.append(found.pairs, [[0, 30]], axis=0), walls=np.append(found.walls, wall, axis=1))
    np.testing.assert_allclose(direction(dual, named), way, rtol=1e-9, atol=1e-12)
