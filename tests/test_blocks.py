"""Blocks of cells: atoms that stand for a density, and coarser densities."""

import numpy as np
import pytest

from wflow import Density, Gaussian, Grid, plane, problems
from wflow.domain import Box
from wflow.plans import gathered
from wflow.solver import explicit_bound


def bumps(shape=(48, 40), seed=None):
    """A density on [-3, 3]^2 that is even in both coordinates, or random in each cell."""
    grid = Grid(Box((-3.0, -3.0), (3.0, 3.0), (False, False)), shape)
    x, y = grid.centres.T
    values = np.exp(-np.abs(x) - y * y)
    if seed is not None:
        values = values * np.random.default_rng(seed).uniform(0.5, 1.5, grid.size)
    return Density(grid, values / (values.sum() * grid.cell_volume))


@pytest.mark.parametrize("most", [1, 10, 100, 400, 1500])
def test_no_more_atoms_than_allowed_and_hardly_fewer(most):
    """A split of one block adds at most three atoms, and costs of random blocks do not tie."""
    count = len(gathered(bumps(seed=1), most).points)
    assert most - 3 <= count <= most


@pytest.mark.parametrize("most", [4, 50, 400, 1000])
def test_the_floor_falls_and_mean_and_mass_stay(most):
    """W2(density, atoms)^2 <= sum mass variance: less for more atoms; barycentres keep the mean."""
    pi = bumps(seed=2)
    few, many = gathered(pi, most), gathered(pi, 2 * most)
    assert many.floor <= few.floor
    for atoms in (few, many):
        assert atoms.weights.sum() == pytest.approx(1.0, abs=1e-14)
        np.testing.assert_allclose(atoms.weights @ atoms.points, pi.weights @ pi.points, atol=1e-13)


@pytest.mark.parametrize("most", [37, 100, 399, 1111])
def test_atoms_of_an_even_density_are_even(most):
    """Blocks that are mirror images tie, and ties are split together."""
    atoms = gathered(bumps((32, 32)), most)
    here = np.round(np.column_stack([atoms.points, atoms.weights]), 9)
    mirrored = here * np.array([-1.0, 1.0, 1.0]) + 0.0
    assert {tuple(row) for row in here + 0.0} == {tuple(row) for row in mirrored}


def test_merged_cells_are_averages():
    """Mass and the mean of a block's cells; merging by four is merging by two twice."""
    pi = bumps((48, 40), seed=3)
    half, quarter = pi.merged((24, 20)), pi.merged((12, 10))
    np.testing.assert_allclose(half.merged((12, 10)).values, quarter.values, rtol=1e-14)
    block = pi.values.reshape(48, 40)[8:12, 12:16]
    assert quarter.values.reshape(12, 10)[2, 3] == pytest.approx(block.mean(), rel=1e-14)
    assert quarter.mass == pytest.approx(pi.mass, abs=1e-14)


def test_the_stability_bound_of_a_fine_grid_is_that_of_a_coarse_one():
    """1/(max|V''| + coupling) at 400 barycentres: 64 and 256 cells an axis agree to 2 %."""
    flow = problems.two_layer_1d().flow
    law = Gaussian(0.3, 0.6, dim=2)
    assert law.domain == plane()
    bounds = []
    for cells in (64, 256):
        grid = flow.grid(cells)
        values = law.averages(grid)
        bounds.append(explicit_bound(flow.energy, Density(grid, values / (values.sum() * grid.cell_volume))))
    assert bounds[1] == pytest.approx(bounds[0], rel=0.02)
