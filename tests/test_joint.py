"""Laws, windows and frozen axes of several axes: products, radial laws, cylinders, sheets."""

import math

import numpy as np
import pytest

from wflow import (
    Atoms,
    Box,
    Energy,
    Flow,
    Gaussian,
    Grid,
    Particles,
    Potential,
    Product,
    Radial,
    Uniform,
    box,
    circle,
    cylinder,
    interval,
    line,
    plane,
    torus,
    w2,
)
from wflow.fourier import FourierDensity

TUBE = Product(Gaussian(0.3, 0.5), FourierDensity.cosines({1: 0.4}))


def disc(radius=1.0):
    """Uniform on a disc: density 1/(pi R^2), mass (r/R)^2 within r."""
    return Radial(
        lambda r: np.where(r <= radius, 1.0 / (math.pi * radius**2), 0.0),
        lambda r: np.clip(r / radius, 0.0, 1.0) ** 2,
        radius,
    )


def test_cell_averages_of_a_product_are_products_of_cell_masses():
    """Sums along one axis are the other factor's cell masses, to rounding."""
    grid = Grid(Box((-4.0, 0.0), (4.0, 2 * math.pi), (False, True)), (32, 24))
    masses = (TUBE.averages(grid) * grid.cell_volume).reshape(grid.shape)
    tall, around = TUBE.laws
    assert masses.sum(axis=1) == pytest.approx(tall.cell_masses(grid.edges(0)), abs=1e-15)
    inside = tall.cell_masses(grid.edges(0)).sum()
    assert masses.sum(axis=0) == pytest.approx(around.cell_masses(grid.edges(1)) * inside, abs=1e-15)


@pytest.mark.parametrize(
    ("joint", "factors"),
    [
        (Gaussian([0.1, -1.0], [0.5, 2.0], dim=2), (Gaussian(0.1, 0.5), Gaussian(-1.0, 2.0))),
        (Uniform(box([0, -1], [1, 3])), (Uniform(interval(0, 1)), Uniform(interval(-1, 3)))),
    ],
    ids=["gaussian", "uniform"],
)
def test_laws_that_are_products_say_so(joint, factors):
    """Gaussian(dim=2) and Uniform(box) have the density and the cell masses of the product of their marginals."""
    product, w = Product(*factors), np.random.default_rng(0).uniform(-1, 1, (50, 2))
    assert joint.density(w) == pytest.approx(product.density(w), rel=1e-14)
    grid = Grid(box([-1, -1], [1, 3]), (5, 7))
    assert joint.averages(grid) == pytest.approx(product.averages(grid), rel=1e-13)


@pytest.mark.parametrize(
    "law", [TUBE, Uniform(torus(2)), Gaussian(0.0, 1.0, dim=2), disc()], ids=["tube", "torus", "plane", "disc"]
)
def test_quantised_points_come_nearer_than_drawn_ones(law):
    """W2 of 200 quantised points to 2000 others is 15 % below that of 200 draws, for each of five seeds."""
    near = Particles(law.domain, law.quantised(2000))
    even = w2(Particles(law.domain, law.quantised(200)), near)
    drawn = [w2(Particles(law.domain, law.sample(200, np.random.default_rng(seed))), near) for seed in range(5)]
    assert even < 0.85 * min(drawn)


def test_a_radial_law_knows_its_disc():
    """Uniform disc of radius 2 about (1, 0): mean, E|w - c|^2 = R^2/2 of the sunflower to 1/m, no point outside."""
    law = Radial(disc(2.0).radial, disc(2.0).within, 2.0, (1.0, 0.0))
    w = law.quantised(4000) - [1.0, 0.0]
    assert np.linalg.norm(w, axis=1).max() <= 2.0
    assert np.mean(np.sum(w**2, axis=1)) == pytest.approx(2.0, abs=1e-3)
    assert np.linalg.norm(w.mean(axis=0)) < 1e-2
    grid = Grid(box([-2, -3], [4, 3]), (60, 60))
    masses = law.averages(grid) * grid.cell_volume
    assert masses.sum() == pytest.approx(1.0, abs=1e-13)
    assert masses @ grid.centres == pytest.approx([1.0, 0.0], abs=1e-12)


def test_a_radial_law_cut_by_its_window_is_not_scaled_up():
    """A half disc keeps half the mass (6 x 6 Gauss points a cell at the edge: 1e-3)."""
    half = disc().averages(Grid(box([0, -1], [1, 1]), (50, 100)))
    assert half.sum() * (1 / 50) * (2 / 100) == pytest.approx(0.5, abs=1e-3)


def test_windows_cut_infinite_axes_alone():
    """On the cylinder the window takes the line; the circle stays whole; the cut walls stand for infinity."""
    flow = Flow(Energy(Potential.quadratic(1.0)), cylinder(), TUBE, 1.0, ((-3.0, 4.0), None))
    grid = flow.grid(16)
    assert grid.shape == (16, 16)
    assert grid.domain == Box((-3.0, 0.0), (4.0, 2 * math.pi), (False, True))
    assert flow.open_ends(grid) == ((True, True), (False, False))
    half = Flow(flow.energy, Box((0.0,), (math.inf,), (False,)), _OnHalfLine(), 1.0, (-1.0, 4.0))
    assert half.open_ends(half.grid(8)) == ((False, True),)


class _OnHalfLine(Uniform):
    """Uniform on [1, 2], as a law on the half line."""

    def __init__(self):
        object.__setattr__(self, "domain", Box((0.0,), (math.inf,), (False,)))

    def __post_init__(self):
        pass

    def cdf(self, w):
        return np.clip(np.asarray(w) - 1.0, 0.0, 1.0)


def test_nothing_moves_along_a_frozen_axis():
    """Two sheets a = +-1: the velocity keeps its second part only, and a grid has two cells across."""
    sheets = Product(Atoms(interval(-2, 2), np.array([[-1.0], [1.0]])), Gaussian(), frozen=(True, False))
    assert sheets.domain.moving == (1,)
    flow = Flow(Energy(Potential.quadratic(1.0)), sheets.domain, sheets, 1.0, (None, (-8.0, 8.0)))
    grid = flow.grid(10)
    assert grid.shape == (2, 10) and np.unique(grid.centres[:, 0]).tolist() == [-1.0, 1.0]
    w = np.array([[1.0, 2.0]])
    assert flow.domain.slide(w, flow.energy.velocity(Particles(flow.domain, w), w)).tolist() == [[0.0, -2.0]]
    assert sheets.averages(grid).reshape(2, 10).sum(axis=1) * grid.cell_volume == pytest.approx([0.5, 0.5], abs=1e-14)


def test_the_plane_has_no_walls_and_a_cylinder_may():
    """Shapes of the helpers."""
    assert not plane().walled and not cylinder().walled and cylinder(-1, 1).walled
    assert Product(Uniform(circle()), Uniform(circle())).domain == torus(2)
    assert Product(Gaussian()).domain == line()
