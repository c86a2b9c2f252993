"""Laws, windows and frozen axes of several axes: products, radial laws, cylinders, sheets."""

import math
from dataclasses import replace

import numpy as np
import pytest

from solvers.finite_volume import ScharfetterGummel, Upwind
from solvers.jko import Exact, Linearised
from solvers.particles import GradientFlow
from wflow import (
    Atoms,
    Box,
    Density,
    Energy,
    Entropy,
    Flow,
    FourierDensity,
    Gaussian,
    Grid,
    Particles,
    Potential,
    Product,
    Radial,
    Refused,
    Truncated,
    Uniform,
    box,
    circle,
    cylinder,
    interval,
    line,
    plane,
    solve,
    torus,
    w2,
)
from wflow.certificates import truncated
from wflow.dual_norm import dual_norm
from wflow.plans import gathered
from wflow.transport import w2_floor

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


@pytest.mark.slow
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


@pytest.mark.parametrize(("place", "reach"), [(0.9, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_sheets_that_cells_would_move_are_refused(place, reach):
    """Two cells across [-R, R] stand at +-R/2. On other sheets a network is another one, however fine the grid."""
    across = Atoms(interval(-reach, reach), np.array([[-place], [place]]))
    sheets = Product(across, Uniform(interval(0, 1)), frozen=(True, False))
    flow = Flow(Energy(Potential.quadratic(1.0)), sheets.domain, sheets, 1.0)
    assert f"sheets at {-reach / 2:g} and {reach / 2:g}" in Upwind(8).refusal(flow)


@pytest.mark.parametrize("solver", [Upwind(8), ScharfetterGummel(8), Exact(8), Linearised(8)], ids=str)
def test_a_density_along_a_frozen_axis_is_refused(solver):
    """Uniform on [-R, R] has E a^2 = R^2/3, on two cells R^2/4: F is another one, and stays it at any resolution."""
    spread = Product(Uniform(interval(-2, 2)), Uniform(interval(0, 1)), frozen=(True, False))
    flow = Flow(Energy(Potential.quadratic(2.0), Entropy(0.1)), spread.domain, spread, 1.0)
    lumped = Density(flow.grid(2000), spread.averages(flow.grid(2000)))
    squares = [float(lumped.weights @ lumped.points[:, axis] ** 2) for axis in (0, 1)]
    assert squares == pytest.approx([1.0, 1.0 / 3.0], abs=1e-6)
    assert "Uniform, which cells gather on sheets at -1 and 1" in solver.refusal(flow)
    assert GradientFlow(8).refusal(replace(flow, energy=Energy(Potential.quadratic(2.0)))) is None


@pytest.mark.parametrize(("reach", "taken"), [(2.0, True), (3.0, False)])
def test_sheets_of_an_infinite_frozen_axis_stand_in_its_window(reach, taken):
    """Two cells across the window [-R, R] are at +-R/2: atoms a = +-1 of the line need R = 2."""
    sheets = Product(Atoms(line(), np.array([[-1.0], [1.0]])), Uniform(interval(0, 1)), frozen=(True, False))
    flow = Flow(Energy(Potential.quadratic(1.0)), sheets.domain, sheets, 1.0, ((-reach, reach), None))
    found = Upwind(8).refusal(flow)
    assert found is None if taken else "sheets at -1.5 and 1.5" in found


def test_the_plane_has_no_walls_and_a_cylinder_may():
    """Shapes of the helpers."""
    assert not plane().walled and not cylinder().walled and cylinder(-1, 1).walled
    assert Product(Uniform(circle()), Uniform(circle())).domain == torus(2)
    assert Product(Gaussian()).domain == line()


@pytest.mark.parametrize(("most", "holds"), [(-6.0, True), (-2.0, False)])
def test_mass_at_a_wall_that_stands_for_infinity_ends_the_run(most, holds):
    """A Gaussian of std 1/4 driven to the left: fine in a wide window, Truncated where the wall is felt."""
    flow = Flow(Energy(Potential.linear(1.0)), line(), Gaussian(0.0, 0.25), 1.0, (most, 3.0))
    if holds:
        run = solve(flow, Upwind(256))
        assert 0.0 <= run.diagnostics["edge"].max() < 1e-10
        (row,) = truncated(run)
        assert row.holds
    else:
        with pytest.raises(Truncated, match="Widen the window"):
            solve(flow, Upwind(256))


def test_walls_of_the_domain_itself_may_hold_mass():
    """On an interval the wall is real: no row, and the edge diagnostic is 0."""
    run = solve(Flow(Energy(Potential.linear(1.0)), interval(0, 1), Uniform(interval(0, 1)), 1.0), Upwind(16))
    assert not list(truncated(run)) and run.diagnostics["edge"].max() == 0.0


# W2 on several axes, and H^-1


def averaged(law, shape, bounds):
    """A density of mass one on a grid."""
    grid = Grid(box(*zip(*bounds, strict=True)), shape)
    values = law.averages(grid)
    return Density(grid, values / (values.sum() * grid.cell_volume))


@pytest.mark.parametrize("cells", [32, 64, 128])
def test_gathered_atoms_keep_mean_and_spread(cells):
    """Barycentres keep the mean; what variance they lose is the floor squared (cells count as uniform)."""
    pi = averaged(Gaussian([0.3, 0.0], [1.0, 0.5], dim=2), (cells, cells), [(-8, 8), (-6, 6)])
    atoms = gathered(pi)
    assert len(atoms.points) <= 2000
    assert atoms.weights @ atoms.points == pytest.approx([0.3, 0.0], abs=1e-10)
    spread = atoms.weights @ np.sum((atoms.points - [0.3, 0.0]) ** 2, axis=1)
    # averaging over cells adds h^2/12 an axis to the variance, and so does reading the cells as uniform
    whole = 1.25 + np.sum(pi.grid.widths**2) / 6
    assert spread + atoms.floor**2 == pytest.approx(whole, rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "exact"),
    [
        (Gaussian(0.0, 1.0, dim=2), Gaussian([0.6, 0.8], 1.0, dim=2), 1.0),
        pytest.param(
            Gaussian(0.0, 1.0, dim=2), Gaussian(0.0, [1.3, 1.4], dim=2), 0.5, marks=pytest.mark.slow, id="stretched"
        ),
        (Uniform(box([0, 0], [1, 1])), Uniform(box([0, 0], [1, 1])), 0.0),
    ],
    ids=["moved", None, "same"],
)
def test_w2_of_laws_on_the_plane_lies_within_its_floor(first, second, exact):
    """Translation |a|; diagonal Gaussians |s - s'| (Bures); and it is far nearer than the floor says."""
    found, floor = w2(first, second), w2_floor(first, second)
    assert abs(found - exact) <= floor
    assert abs(found - exact) <= 0.2 * floor


@pytest.mark.slow
def test_w2_takes_particles_against_a_density():
    """500 quantised particles of a uniform square lie within the sum of mesh sizes of it: W2 <= 0.05."""
    law = Uniform(box([0, 0], [1, 1]))
    near = averaged(law, (32, 32), [(0, 1), (0, 1)])
    cloud = Particles(law.domain, law.quantised(500))
    assert 0.5 / math.sqrt(12 * 500) < w2(cloud, near) < 0.05


def test_sheets_are_never_joined():
    """Gathering keeps the mass of each sheet exactly where it is."""
    sheets = Product(
        Atoms(interval(-2, 2), np.array([[-1.0], [1.0]]), [0.3, 0.7]), Uniform(interval(0, 1)), frozen=(True, False)
    )
    grid = Grid(sheets.domain, (2, 4000))
    atoms = gathered(Density(grid, sheets.averages(grid)))
    assert set(np.unique(atoms.points[:, 0])) == {-1.0, 1.0}
    assert atoms.weights[atoms.points[:, 0] < 0].sum() == pytest.approx(0.3, abs=1e-12)


@pytest.mark.parametrize("periodic", [False, True], ids=["walls", "torus"])
def test_dual_norm_of_one_mode(periodic):
    """(1 + eps cos k x)/|domain| against uniform: eps/(k sqrt 2), as W2 to first order; the symbol errs by O(h^2)."""
    length = 2 * math.pi if periodic else math.pi
    grid = Grid(Box((0.0, 0.0), (length,) * 2, (periodic,) * 2), (64, 32))
    base = np.full(grid.size, 1 / length**2)
    mode = 0.1 * base[0] * np.cos(2 * grid.centres[:, 0])
    found = dual_norm(Density(grid, base + mode), Density(grid, base))
    assert found == pytest.approx(0.1 / (2 * math.sqrt(2)), rel=2e-3)


def test_dual_norm_across_resolutions():
    """Averages of one law on 64 x 64 and 32 x 32 cells are at distance 0 on the coarser grid."""
    law = Uniform(box([0, 0], [1, 1]))
    fine, coarse = (averaged(law, (n, n), [(0, 1), (0, 1)]) for n in (64, 32))
    assert dual_norm(fine, coarse) < 1e-14
    with pytest.raises(Refused, match="do not match"):
        dual_norm(averaged(law, (48, 48), [(0, 1), (0, 1)]), coarse)
