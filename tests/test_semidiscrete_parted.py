"""Semi-discrete transport to a density in parts: which way is taken across the gaps, and that it leads to the end.

Judges: closed forms, pieces of a density counted by hand, and POT in test_semidiscrete_hard.py.
"""

import numpy as np
import pytest

from wflow import Grid, Particles, box, plane
from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the cells are compiled", allow_module_level=True)

from tests.parted_cells import dual, strips, unit
from wflow import stiff_newton as module
from wflow.atom_clusters import carried, levels, nested
from wflow.clipping import runs
from wflow.laguerre_dual import start
from wflow.raised import amiss, raised
from wflow.regions import balanced, regions
from wflow.semidiscrete import semidiscrete
from wflow.stiff_newton import _way, climbed


def test_runs_end_where_the_density_changes():
    """By hand."""
    rho = np.array([[1.0, 1.0, 0.0, 0.0, 0.0, 2.0], [3.0, 3.0, 3.0, 3.0, 3.0, 3.0], [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]])
    expected = [[1, 1, 4, 4, 4, 5], [5] * 6, [0, 1, 2, 3, 4, 5]]
    assert runs(rho).tolist() == expected


def test_cells_are_those_of_a_density_without_runs():
    """1e-9 of noise parts all runs and changes no integral by more."""
    rng = np.random.default_rng(0)
    x, rho = rng.random((40, 2)), (rng.random((24, 24)) < 0.4).astype(float)
    smooth, rough = dual(x, rho), dual(x, rho + 1e-9 * rng.random(rho.shape))
    found, other = smooth.cells(np.zeros(40)), rough.cells(np.zeros(40))
    for name in ("mass", "area", "moment", "cost"):
        np.testing.assert_allclose(getattr(found, name), getattr(other, name), atol=1e-8)


def test_regions_are_parts_and_hold_their_mass():
    """Two blocks that touch at a corner are one, a third stands alone; places outside are those of the nearest cell."""
    rho = np.zeros((8, 8))
    rho[0:2, 0:2], rho[2:4, 2:4], rho[6:8, 0:2] = 1.0, 1.0, 2.0
    places = np.array([[0.1, 0.1], [0.4, 0.4], [0.8, 0.1], [0.6, 0.6], [-0.3, 0.1]])
    of, holds = regions(dual(np.array([[0.5, 0.5]]), rho), places)
    assert of.tolist() == [1, 1, 2, 1, 1]
    np.testing.assert_allclose(holds, [0.0, 0.5, 0.5])


def test_regions_get_what_they_hold():
    """Said: 0 for the first region, t for the second: max(c_1, t + c_2), so those with the least go to the first."""
    t = np.random.default_rng(1).normal(size=1000)
    said, of = np.stack([np.zeros(1000), t], axis=1), np.tile([1, 2], (1000, 1))
    largest = balanced(said, of, np.full(1000, 1e-3), np.array([0.0, 0.3, 0.7]))
    assert abs(np.sum(largest == largest.min()) - 300) <= 1
    went = largest > largest.min()
    np.testing.assert_allclose(np.ptp((largest - t)[went]), 0.0, atol=1e-14)
    assert t[~went].max() < t[went].min()


def test_who_has_no_choice_counts():
    """Half of the atoms know the first region alone, a tenth the second: of the others each gets what is missing."""
    t = np.random.default_rng(2).normal(size=1000)
    first = np.where(np.arange(1000) >= 900, -np.inf, 0.0)
    said, of = np.stack([first, np.where(np.arange(1000) < 500, -np.inf, t)], axis=1), np.tile([1, 2], (1000, 1))
    largest = balanced(said, of, np.full(1000, 1e-3), np.array([0.0, 0.8, 0.2]))
    assert abs(np.sum(largest[500:900] > largest[0]) - 100) <= 1


# A lattice of atoms against two strips: T = (x/2 or x/2 + 1/2, y), phi = x^2/4 + max(0, x/2 - 1/4) + y^2/2


def lattice(n=64):
    """Its atoms in the order of clusters, and the exact potentials |x|^2 - 2 phi."""
    x = Grid(box((0.0, 0.0), (1.0, 1.0)), (n, n)).centres
    x = x[nested(x)]
    return x, exact(x)


def exact(x):
    return 0.5 * x[:, 0] ** 2 - np.maximum(0.0, x[:, 0] - 0.5)


def test_a_kink_is_carried_exactly():
    """From the clusters' cells: potentials to 1e-5, where a mean over both sides is off by a tenth of a spacing."""
    x, g = lattice()
    fine = dual(x, strips())
    level = levels(fine)[0]
    coarse = exact(level.dual.x)
    found = carried(level, level.dual.cells(coarse), fine)
    np.testing.assert_allclose(found - found.mean(), g - g.mean(), atol=1e-5)
    np.testing.assert_allclose(fine.cells(found).mass, 1.0 / 4096, rtol=0.05)


def test_a_lattice_against_two_strips():
    """W2^2 = mean |x - T x|^2 + the variance of a part, 1/128 x 1/64; the start is far, clusters lead there."""
    x, _ = lattice()
    found = semidiscrete(Particles(plane(), x), unit(strips()))
    moved = 0.5 * np.where(x[:, 0] < 0.5, x[:, 0], 1.0 - x[:, 0])
    exactly = np.mean(moved**2) + (1.0 / 128**2 + 1.0 / 64**2) / 12.0
    assert found.squared == pytest.approx(exactly, abs=1e-13 + found.slack)


# Steps


def fed(x, rho):
    """The dual, start's potentials, no cell in want, and the cells."""
    found = dual(x, rho)
    g = start(found)
    return found, *raised(found, g, found.cells(g))


def test_the_way_is_newtons_where_nothing_is_stiff():
    """A step of 1e-6 of it takes 1e-6 of the residual off, to 1e-4 of that; after a whole one none is expected."""
    phi, g, found = fed(np.random.default_rng(3).random((60, 2)), np.random.default_rng(4).random((12, 12)))
    way, expected = _way(phi, found, 0.0)
    left = phi.mu - found.mass
    assert np.abs(expected).max() < 1e-12
    after = phi.mu - phi.cells(g + 1e-6 * way).mass
    np.testing.assert_allclose((left - after) / 1e-6, left, atol=1e-4 * np.abs(left).max())


def test_no_step_lowers_phi(monkeypatch):
    """Across a gap, from far away, to the end: each step is at least as high as the one before.

    Begun with hardly any stiffness, so that the first trial overshoots.
    """
    phi, g, found = fed(np.random.default_rng(0).random((200, 2)), strips())
    values, step = [phi.value(g, found)], module._step

    def recorded(*args):
        stepped = step(*args)
        values.append(args[0].value(stepped[0], stepped[1]))
        return stepped

    monkeypatch.setattr(module, "_step", recorded)
    assert climbed(phi, g, found, 1e-9, 1e-6, 100).done
    assert np.diff(values).min() >= -1e-15
    assert values[-1] > values[0]


def test_steps_that_do_not_halve_the_residual_end_where_patience_does():
    """So stiff that three steps gain next to nothing: with a patience of three that is the end; without, it comes."""
    phi = dual(np.random.default_rng(5).random((50, 2)), strips())
    g = start(phi)
    found = phi.cells(g)
    ended = climbed(phi, g, found, 1e-9, 1e6, 100, 3)
    assert (ended.steps, ended.done) == (3, False)
    assert climbed(phi, g, found, 1e-9, 1e6, 100).done


def test_who_holds_too_much_gives():
    """One atom is far too high and holds most: it is brought down to 2 mu at most, and no one is left in want."""
    phi = dual(np.random.default_rng(5).random((50, 2)), strips())
    g = np.zeros(50)
    g[7] = 0.3
    before = phi.cells(g)
    assert before.mass[7] > 15 * phi.mu[7]
    after, found = raised(phi, g, before, glut=2.5)
    assert found.mass[7] <= 2.5 * phi.mu[7]
    assert not len(amiss(phi, found, 2.5))
    assert phi.value(after, found) > phi.value(g, before)


def test_who_is_hidden_moves_as_the_nearest():
    """An atom without walls goes the way of the atom nearest to it that has one; the median of these is 0."""
    phi = dual(np.random.default_rng(6).random((40, 2)), strips())
    g = np.zeros(40)
    g[3] = -2.0
    way, _ = _way(phi, phi.cells(g), 0.1)
    nearest = np.argsort(np.hypot(*(phi.x - phi.x[3]).T))[1]
    assert way[3] == way[nearest] != 0.0
    assert np.median(np.delete(way, 3)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_small_islands_are_reached(seed):
    """Twelve discs of a few cells each, anywhere, and Gaussian atoms: it ends at the tolerance."""
    rng = np.random.default_rng(seed)
    grid = Grid(box((0.0, 0.0), (1.0, 1.0)), (128, 128))
    middles = rng.random((12, 2))
    rho = np.any(np.hypot(*(grid.centres[:, None] - middles).transpose(2, 0, 1)) < 0.015, axis=1).astype(float)
    found = semidiscrete(Particles(plane(), 0.5 + 0.15 * rng.normal(size=(400, 2))), unit(rho.reshape(128, 128)))
    assert found.residual <= 1e-8
