"""Semi-discrete transport of atoms on many scales: heavy tails, clouds of widths .1 to 1e-6 at once.

Exact: let f increase. The atom (f(b_0), f(b_1)) for each block of a lattice, b its middle, with the mass that any
density has in the block. Walls between atoms of a row or column are lines, and the blocks are the Laguerre cells of
phi(x) = phi_0(x_0) + phi_0(x_1), phi_0' the step function that takes f(b) to b: the map is the block's atom.
"""

import numpy as np
import pytest

from wflow import Box, Density, Grid, Particles, box, plane
from wflow.compiled import available

if not available():
    pytest.skip("numba, the extra `fast`, is not installed: the cells are compiled", allow_module_level=True)

from wflow.atom_clusters import nested
from wflow.laguerre import _by_hull
from wflow.laguerre_dual import Dual, start
from wflow.product_start import product_start
from wflow.semidiscrete import semidiscrete

N, K = 32, 2
"""Cells an axis, and of these in a block."""


def rough(seed=0):
    """A density on the unit square, nowhere below a third of its mean."""
    grid = Grid(box((0.0, 0.0), (1.0, 1.0)), (N, N))
    values = 0.5 + np.random.default_rng(seed).random(N * N)
    return Density(grid, values / (values.sum() * grid.cell_volume))


def blocks(pi):
    """Middles (m, 2), masses and barycentres of the blocks."""
    k = N // K
    middles = Grid(pi.domain, (k, k)).centres
    of = np.arange(N) // K
    of = (of[:, None] * k + of).ravel()
    mass = np.bincount(of, pi.weights)
    return middles, mass, np.stack([np.bincount(of, pi.weights * z) for z in pi.grid.centres.T], axis=1) / mass[:, None]


def tan(b):
    """The quantiles of Cauchy's law."""
    return np.tan(np.pi * (b - 0.5))


def clouds(b):
    """Four intervals to four of widths .1, 1e-3, 1e-4, 1e-6."""
    k = np.floor(4.0 * b).astype(int)
    return 0.25 * k + np.array([1e-1, 1e-3, 1e-4, 1e-6])[k] * (4.0 * b - k)


@pytest.mark.slow
@pytest.mark.parametrize("f", [tan, lambda b: tan(b) * np.abs(tan(b)), clouds], ids=["cauchy", "squared", "clouds"])
def test_atoms_on_many_scales(f):
    """W2^2 = sum_cells rho |z - x_i|^2 + the cells' own variance, with the blocks' mass and barycentres."""
    pi = rough()
    middles, mass, barycentres = blocks(pi)
    x = f(middles)
    index = (np.floor(pi.grid.centres * (N // K)) @ np.array([N // K, 1])).astype(int)
    exact = pi.weights @ np.sum((pi.grid.centres - x[index]) ** 2, axis=1) + np.sum(pi.grid.widths**2) / 12.0
    found = semidiscrete(Particles(plane(), x, mass), pi)
    assert found.residual <= 1e-8
    assert found.squared == pytest.approx(exact, rel=1e-13, abs=found.slack)
    np.testing.assert_allclose(found.masses, mass, atol=1e-8)
    np.testing.assert_allclose(found.barycentres, barycentres, atol=1e-6)


def parted(n=16):
    """A product of marginals that vanish in the middle."""
    one = np.repeat([1.0, 0.0, 3.0], [6, 4, 6])
    return np.outer(one, one[::-1]) / (np.outer(one, one).sum() / n**2)


def test_products_are_solved_by_their_marginals():
    """Atoms on a lattice, masses a product, rho a product with gaps: the start's cells hold mu."""
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.standard_cauchy(9)), np.sort(rng.normal(size=7))
    p, q = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(7))
    x = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
    dual = Dual(x, np.outer(p, q).ravel(), parted(), Grid(box((0.0, 0.0), (1.0, 1.0)), (16, 16)))
    np.testing.assert_allclose(dual.cells(product_start(dual)).mass, dual.mu, atol=1e-13)
    assert np.abs(dual.cells(start(dual)).mass - dual.mu).sum() > 0.1


@pytest.mark.parametrize("turns", [(True, False), (True, True)])
def test_the_start_says_nothing_along_periodic_axes(turns):
    """g is a function of the coordinates along walls; of none on a torus."""
    rng = np.random.default_rng(1)
    x = rng.random((20, 2))
    dual = Dual(x, np.full(20, 0.05), np.ones((8, 8)), Grid(Box((0.0, 0.0), (1.0, 1.0), turns), (8, 8)))
    other = Dual(np.stack([rng.random(20), x[:, 1]], axis=1), dual.mu, dual.rho, dual.grid)  # moved along the first
    np.testing.assert_allclose(product_start(dual), product_start(other), atol=1e-14)
    assert (np.ptp(product_start(dual)) > 0.01) == (not all(turns))


def far(m=1000, power=2.5):
    """i.i.d. Cauchy atoms, each coordinate to a power, against the uniform law; furthest at 5e9."""
    x = np.random.default_rng(1).standard_cauchy((m, 2))
    x = x[nested(x)]
    grid = Grid(box((-0.5, -0.5), (0.5, 0.5)), (8, 8))
    return Dual(np.sign(x) * np.abs(x) ** power, np.full(m, 1.0 / m), np.ones((8, 8)), grid)


def test_atoms_that_the_hull_has_lost_are_found_again():
    """The hull's cells hold something twice, which the areas show; those that walks mend tile the box."""
    dual = far()
    g = product_start(dual)
    assert _by_hull(dual.x, dual.intercepts(g), dual.rho, dual.grid).area.sum() > 1.0 + 1e-3
    assert dual.cells(g).area.sum() == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize("away", [1.0, 1e3])
def test_the_slack_of_atoms_far_from_each_other(away):
    """Two atoms at (+-a, 0), g off by 4 a e: the wall by e, Phi by 2 a e^2; the slack is at most 2 a e (1 + 2 e).

    With D^2 in place of R it would be some a^2 e.
    """
    x = np.array([[-away, 0.0], [away, 0.0]])
    dual = Dual(x, np.array([0.5, 0.5]), np.ones((4, 4)), Grid(box((-0.5, -0.5), (0.5, 0.5)), (4, 4)))
    e = 1e-2
    g = np.array([4.0 * away * e, 0.0])
    found = dual.cells(g)
    residual = float(np.abs(dual.mu - found.mass).sum())
    missing = dual.value(np.zeros(2), dual.cells(np.zeros(2))) - dual.value(g, found)
    assert residual == pytest.approx(2.0 * e)
    assert missing == pytest.approx(2.0 * away * e**2, rel=1e-6 * away)
    assert missing <= dual.slack(g, residual) <= residual * away * (1.0 + 2.0 * e) * (1.0 + 1e-12)
