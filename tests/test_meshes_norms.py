"""Distances of densities on meshes that have no floor, and what is claimed of runs on meshes."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.meshes import constants, disk_mesh, line_mesh, linears, noise, sphere_mesh, square_mesh, uniform
from tests.mixing import Mixing, Tilted, mixing
from wflow import (
    Box,
    Concentrated,
    Density,
    Energy,
    Entropy,
    Flow,
    Gaussian,
    Grid,
    Mesh,
    MeshDensity,
    Particles,
    Refused,
    Truncated,
    box,
    circle,
    disk,
    plane,
    solve,
    sphere,
    torus,
)
from wflow.arrays import Array
from wflow.certificates import Certificate, distance_to_exact, distance_to_limit, kept, truncated
from wflow.convergence import Laboratory, distance, in_space, in_time, norm_of
from wflow.dual_norm import dual_norm
from wflow.estimates import estimated_error
from wflow.mesh_norm import comparable, mean_difference, mesh_distance, seen_on
from wflow.raster import raster
from wflow.watch import least

SQUARE = box((0.0, 0.0), (1.0, 1.0))


def wave(w: Array) -> Array:
    """1 + cos(pi x)/10."""
    return np.asarray(1.0 + 0.1 * np.cos(math.pi * w[:, 0]))


@pytest.mark.slow
def test_a_wave_in_the_square() -> None:
    """|cos(pi x)/10| in H^-1 at the density 1 is .1/(pi 2^(1/2)); linears of width 1/24 see it to 1/24^2."""
    a, b = linears(square_mesh(24, shake=0.5), wave), uniform(square_mesh(7))
    assert mesh_distance(a, b) == pytest.approx(0.1 / (math.pi * math.sqrt(2.0)), rel=2e-3)
    assert norm_of(a, b) == "H^-1"


@pytest.mark.slow
def test_a_wave_on_the_torus_and_on_a_grid() -> None:
    """No walls: cos x/10 in H^-1 on (0, 2 pi)^2 is .1/2^(1/2); a mesh against a grid, in either order.

    Linear between nodes h apart, the wave is lower by (sin(h/2)/(h/2))^2.
    """
    a = linears(square_mesh(24, torus(2)), lambda w: 1.0 + 0.1 * np.cos(w[:, 0]))
    b = Density(Grid(torus(2), (8, 8)), np.full(64, 1.0 / (4.0 * math.pi**2)))
    lower = (math.sin(math.pi / 24.0) / (math.pi / 24.0)) ** 2
    assert distance(a, b) == pytest.approx(lower * 0.1 / math.sqrt(2.0), rel=1e-4)
    assert distance(b, a) == pytest.approx(distance(a, b), rel=1e-2)
    assert norm_of(b, a) == "H^-1" == norm_of(a, b)


@pytest.mark.slow
def test_one_density_on_two_meshes_is_at_no_distance() -> None:
    """1 + x + 2y on two meshes of the square: to rounding, where W2 has a floor."""
    a, b = (linears(square_mesh(n, shake=0.9), lambda w: 1.0 + w[:, 0] + 2.0 * w[:, 1]) for n in (5, 8))
    assert distance(a, b) < 1e-13


@pytest.mark.slow
def test_jumps_from_cell_to_cell_are_seen() -> None:
    """Noise on triangles of width 1/6, by cells of 1/128: as by cells of 1/256, to a hundredth."""
    a, b = noise(disk_mesh(6)), uniform(disk_mesh(6))
    fine = Grid(box((-1.0, -1.0), (1.0, 1.0)), (512, 512))
    exact = dual_norm(raster(a, fine).density, raster(b, fine).density)
    assert mesh_distance(a, b) == pytest.approx(exact, rel=1e-2)


@pytest.mark.slow
def test_successive_refinements_show_their_order() -> None:
    """Constants at barycentres of a smooth density on disks: cell averages to h^2, the polygon too."""
    ends = [constants(disk_mesh(n), lambda w: 2.0 + np.sin(2.0 * w[:, 0]) + w[:, 1]) for n in (8, 16, 32)]
    first, second = (distance(a, b) for a, b in pairwise(ends))
    assert 1.7 < math.log2(first / second) < 2.3


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("degree", [1, 2, 5])
def test_a_harmonic_on_the_sphere(degree: int, axis: int) -> None:
    """(1 + e P_l(z))/4 pi, or of x: int P_l^2 = 4 pi/(2l + 1), so H^-1 is e/((2l + 1) l (l + 1))^(1/2).

    By linears on 5120 flat triangles, to l^2 h^2.
    """
    mesh, e = sphere_mesh(4), 0.1
    coefficients = np.eye(degree + 1)[degree]
    a = linears(mesh, lambda w: 1.0 + e * np.polynomial.legendre.legval(w[:, axis], coefficients))
    exact = e / math.sqrt((2 * degree + 1) * degree * (degree + 1.0))
    assert distance(a, uniform(sphere_mesh(3))) == pytest.approx(exact, rel=0.002 * (1 + degree**2))


def test_what_has_no_common_norm_is_refused() -> None:
    """On one axis W2 has no floor and is the distance."""
    a, atoms = uniform(disk_mesh(3)), Particles(disk(), np.zeros((1, 2)))
    assert not comparable(a, atoms)
    with pytest.raises(Refused, match="use w2"):
        mesh_distance(a, atoms)
    outside = Density(Grid(SQUARE, (4, 4)), np.ones(16))
    assert not comparable(a, outside) and not comparable(outside, outside)
    on_circle = uniform(line_mesh(circle(), np.linspace(0.0, 2.0 * math.pi, 9)))
    assert norm_of(on_circle, on_circle) == "W2" and distance(on_circle, on_circle) == 0.0


def test_the_mean_difference_to_a_law() -> None:
    """1 + x/2 on the disk against the uniform law: int |x|/2 = 2/3, over the area pi."""
    mesh = disk_mesh(20)
    pi = MeshDensity.averages_of(Tilted(disk(), math.pi, 0.5), mesh)
    assert mean_difference(pi, Tilted(disk(), math.pi, 0.5)) < 1e-15
    assert mean_difference(pi, Tilted(disk(), math.pi, 0.0)) == pytest.approx(2.0 / (3.0 * math.pi), rel=5e-3)
    assert seen_on(noise(mesh), Tilted(disk(), math.pi, 0.5)).linear


def test_the_least_density_is_that_of_corners() -> None:
    """Not the least weight, which is an area too."""
    pi = noise(disk_mesh(4))
    assert least(pi) == pi.values.min() != pi.weights.min()


PROBLEM = mixing(disk(), math.pi)
SPHERE = mixing(sphere(), 4.0 * math.pi, 0.5, lambda w: w[:, 2])


def held(found: list[Certificate]) -> dict[str, Certificate]:
    """By claim."""
    return {c.claim: c for c in found}


@pytest.mark.parametrize("linear", [False, True])
def test_what_a_method_on_meshes_keeps_is_measured(linear: bool) -> None:
    """Mass, positivity by the least corner, an entropy that falls."""
    run = solve(PROBLEM.flow, Mixing(6, disk_mesh, linear), steps=16)
    found = held(list(kept(run)))
    assert set(found) == {"mass is kept", "no negative density", "energy never rises (largest rise)"}
    assert all(c.holds for c in found.values())
    assert found["no negative density"].measured == min(pi.values.min() for pi in run.measures)  # type: ignore[attr-defined]
    assert np.all(np.diff(run.energies) < 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("problem,made", [(PROBLEM, disk_mesh), (SPHERE, sphere_mesh)], ids=["disk", "sphere"])
def test_a_right_run_meets_its_exact_answer_and_a_wrong_one_does_not(problem, made, linear: bool) -> None:  # type: ignore[no-untyped-def]
    """H^-1 to u + (rho_0 - u) e^-t within 1.25 times Richardson's estimate; not with a rate wrong by a twentieth."""
    right = Mixing(4 if made is sphere_mesh else 12, _Sizes(made), linear)
    for solver, true in ((right, True), (replace(right, fault=0.05), False)):
        lab = Laboratory(problem.flow)
        run = lab.run(solver, 32)
        (row,) = distance_to_exact(problem, run, estimated_error(lab, run))
        assert row.claim.startswith("H^-1") and row.floor == 0.0
        assert row.holds == true
    assert in_time(Laboratory(problem.flow), right, 8, 4).observed == pytest.approx(1.0, abs=0.1)


class _Sizes:
    """Meshes by resolution: rings of a disk; 4 and 8 are an icosahedron halved three and four times."""

    def __init__(self, made) -> None:  # type: ignore[no-untyped-def]
        self.made = made

    def __call__(self, n: int) -> Mesh:
        """A new mesh."""
        return sphere_mesh(1 + round(math.log2(n))) if self.made is sphere_mesh else disk_mesh(n)


@pytest.mark.slow
def test_orders_in_space_are_seen_on_meshes() -> None:
    """Averages of a linear density on polygons: O(h^2)."""
    study = in_space(Laboratory(PROBLEM.flow), Mixing(16, disk_mesh), (0.25, 0.5, 1.0, 2.0), 8)
    assert study.norm == "H^-1" and study.observed > 1.7


@pytest.mark.slow
def test_the_way_to_the_limit_is_measured_without_a_floor() -> None:
    """To the uniform law: e^-1 of the start is left, by explicit steps (1 - 1/32)^32."""
    problem = replace(PROBLEM, limit=Tilted(disk(), math.pi, 0.0))
    run = solve(problem.flow, Mixing(12, disk_mesh), steps=32)
    (row,) = distance_to_limit(problem, run, 0.0)
    assert row.claim.startswith("H^-1")
    assert row.measured / row.expected == pytest.approx((1.0 - 1.0 / 32.0) ** 32, rel=2e-2)


def test_a_density_on_a_mesh_that_blows_up_ends_its_run() -> None:
    flow = replace(PROBLEM.flow, densest=0.4)
    with pytest.raises(Concentrated, match="starts at"):
        solve(flow, Mixing(6, disk_mesh), steps=4)


def test_mass_at_a_mesh_that_stands_for_the_plane_ends_its_run() -> None:
    """A Gaussian on a square of two standard deviations: its walls hold more than 1e-10; of ten, less."""
    for reach, refused in ((2.0, True), (10.0, False)):
        square = box((-reach, -reach), (reach, reach))
        flow = Flow(Energy(Entropy(1.0)), plane(), Gaussian(dim=2), 1.0)

        def made(n: int, square: Box = square) -> Mesh:
            return square_mesh(n, square)

        pi = MeshDensity.averages_of(Gaussian(dim=2), made(40)) if not refused else uniform(made(40))
        assert flow.at_edges(MeshDensity(Mesh(plane(), pi.mesh.nodes, pi.mesh.cells), pi.values)) == 0.0
        edge = flow.at_edges(pi)
        assert (edge > 1e-10) == refused
        if refused:
            # centres within twice the diagonal: three rows of squares of 40 on each side
            assert edge == pytest.approx(1.0 - (34.0 / 40.0) ** 2, rel=1e-12)


def test_a_run_on_a_window_says_what_its_walls_hold() -> None:
    square = box((-10.0, -10.0), (10.0, 10.0))
    flow = Flow(Energy(Entropy(1.0)), plane(), Gaussian(dim=2), 1e-10)
    run = solve(flow, Mixing(40, lambda n: square_mesh(n, square)), steps=1)
    (row,) = truncated(run)
    assert row.holds and row.measured < 1e-10
    with pytest.raises(Truncated):
        solve(replace(flow, horizon=1.0), Mixing(40, lambda n: square_mesh(n, square)), steps=1)
