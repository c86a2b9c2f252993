"""W2 and H^-1 on the sphere: brute force, laws about one axis by one dimension, floors, first order at uniform."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from test_sphere_kernel import octahedral, unit

from solvers.particles import GradientFlow
from wflow import (
    Drifted,
    Mesh,
    MeshDensity,
    Particles,
    Refused,
    Uniform,
    ZonalDensity,
    box,
    interval,
    line,
    problems,
    solve,
    sphere,
    w2,
)
from wflow.certificates import distance_to_exact
from wflow.clusters import clustered, of_mesh, of_zonal
from wflow.convergence import distance, norm_of
from wflow.harmonic_norm import harmonic_norm
from wflow.plans import MOST_ATOMS, _squares
from wflow.trajectory import Trajectory
from wflow.transport import w2_floor

AXIS = (1.0, 2.0, 2.0)
UNIFORM = Uniform(sphere())


def along_meridians(a, b, nodes=40_000):
    """W2 of two zonal laws about one axis: (int |theta_a(s) - theta_b(s)|^2 ds)^(1/2).

    Moving along meridians is optimal (proved: the one-dimensional potentials are dual feasible, as the angle between
    two points is at least the difference of their polar angles).
    """
    s = (np.arange(nodes) + 0.5) / nodes
    return math.sqrt(np.mean((np.arccos(a.heights.quantile(s)) - np.arccos(b.heights.quantile(s))) ** 2))


def test_atoms_by_brute_force():
    """Six atoms against six: the best of 720 permutations, at great-circle distances."""
    a, b = unit(6, 0), unit(6, 1)
    angle = np.arccos(np.clip(a @ b.T, -1.0, 1.0))
    best = min(sum(angle[i, j] ** 2 for i, j in enumerate(p)) for p in itertools.permutations(range(6)))
    assert w2(Particles(sphere(), a), Particles(sphere(), b)) == pytest.approx(math.sqrt(best / 6.0), rel=1e-9)


def test_antipodes_are_pi_apart():
    """And points 1e-9 apart are that."""
    north, near = np.array([[0.0, 0.0, 1.0]]), np.array([[1e-9, 0.0, 1.0]])
    assert w2(Particles(sphere(), north), Particles(sphere(), -north)) == pytest.approx(math.pi, rel=1e-15)
    assert w2(Particles(sphere(), north), Particles(sphere(), near)) == pytest.approx(1e-9, rel=1e-12, abs=0.0)


def test_costs_are_made_in_blocks():
    """(2000, 2000) squared distances take less than three times their own memory."""
    a, b = unit(MOST_ATOMS, 0), unit(MOST_ATOMS, 1)
    tracemalloc.start()
    cost = _squares(a, b, sphere())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * cost.nbytes
    np.testing.assert_allclose(cost[::97, ::89], np.arccos(np.clip(a[::97] @ b[::89].T, -1, 1)) ** 2, atol=1e-7)


PAIRS = {
    "two densities": (ZonalDensity({1: 0.5, 2: 0.3}, AXIS), ZonalDensity({1: -0.8}, AXIS)),
    "a drift": (ZonalDensity({2: 0.5}, AXIS), Drifted(ZonalDensity({2: 0.5}, AXIS), 1.0)),
    "uniform": (ZonalDensity({1: 0.9}), ZonalDensity({})),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_laws_about_one_axis_by_one_dimension(name):
    """Few atoms for speed (w2 takes 2000): within the sum of their floors of the exact distance."""
    a, b = PAIRS[name]
    left, right = of_zonal(a, 400), of_zonal(b, 400)
    measured = w2(Particles(sphere(), left.points, left.weights), Particles(sphere(), right.points, right.weights))
    assert abs(measured - along_meridians(a, b)) < left.floor + right.floor < 0.25
    # between evenly spread atoms the floors are far from reached
    assert measured == pytest.approx(along_meridians(a, b), rel=0.05)
    assert w2(a, b) == pytest.approx(along_meridians(a, b), abs=1e-6)


@pytest.mark.slow
def test_floors_bound_and_fall():
    """of_zonal and of_mesh: the floor with 4 times the atoms is about half; 2000 atoms: .05."""
    law, mesh = ZonalDensity({1: 0.5}), octahedral(4)
    for atoms in (lambda m: of_zonal(law, m), lambda m: of_mesh(MeshDensity.averages_of(law, mesh), m)):
        assert atoms(1000).floor < 0.7 * atoms(250).floor
        assert len(atoms(250).points) == 250
    assert w2_floor(law, Particles(sphere(), unit(5, 0))) < 0.05


def test_cells_of_a_law_are_as_long_as_wide(monkeypatch):
    """Every cell an atom: mass at most half a band h off, and uniform over h round the axis: h (1/4 + 1/12)^(1/2)."""
    monkeypatch.setattr("wflow.clusters._BANDS", 20)
    atoms = of_zonal.__wrapped__(UNIFORM, 10_000)
    assert atoms.floor == pytest.approx(math.pi / 20.0 * math.sqrt(1.0 / 3.0), rel=0.05)
    # what it bounds, by drawing: from a point to the nearest atom it is less
    drawn = UNIFORM.sample(2000, np.random.default_rng(0))
    assert math.sqrt(np.mean(np.min(_squares(drawn, atoms.points, sphere()), axis=1))) < atoms.floor


def test_w2_takes_meshes_and_laws():
    """A mesh of 2048 cells and particles against what they stand for: within w2_floor and the mesh's own error."""
    law, other = PAIRS["two densities"]
    pi = MeshDensity.averages_of(law, octahedral(3))
    points = Particles(sphere(), other.quantised(300))
    measured, floor = w2(pi, points), w2_floor(pi, points)
    # the particles are within .09 of their law, and a mesh of 512 cells moves mass within cells of .3
    assert abs(measured - along_meridians(law, other)) < floor + 0.09
    assert measured == pytest.approx(along_meridians(law, other), rel=0.05)


def test_a_mesh_on_a_square_is_gathered_exactly():
    """Right triangles with legs h spread their mass by h/3 about the barycentre: the floor with every cell an atom."""
    pi = MeshDensity(square(8), np.ones((128, 1)))
    atoms = of_mesh(pi, 200)
    assert len(atoms.points) == 128 and atoms.floor == pytest.approx(1.0 / 24.0, rel=1e-12)
    assert of_mesh(pi, 32).floor > atoms.floor


@pytest.mark.slow
def test_w2_of_meshes_on_a_square():
    """rho = 2x against uniform: (int |s^(1/2) - s|^2 ds)^(1/2) = (1/30)^(1/2), within the floors."""
    mesh = square(16)
    ramp = MeshDensity(mesh, 2.0 * mesh.corners[:, :, 0])
    flat = MeshDensity(mesh, np.ones((mesh.size, 1)))
    assert abs(w2(ramp, flat) - math.sqrt(1.0 / 30.0)) < w2_floor(ramp, flat) < 0.06
    assert w2(ramp, flat) == pytest.approx(math.sqrt(1.0 / 30.0), rel=0.02)


def square(n):
    """2 n^2 right triangles of [0, 1]^2."""
    x = np.linspace(0.0, 1.0, n + 1)
    nodes = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    i, j = (k.ravel() for k in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    a, b, c, d = ((i + p) * (n + 1) + j + q for p, q in ((0, 0), (1, 0), (1, 1), (0, 1)))
    return Mesh(box([0, 0], [1, 1]), nodes, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))


def test_clusters_keep_mass_and_centre():
    """Blocks' barycentres have the mean of all; as many blocks as points cost nothing, weights without spread too."""
    points, weights = np.random.default_rng(0).standard_normal((300, 2)), np.full(300, 1 / 300)
    few = clustered(points, weights, box([-9, -9], [9, 9]), 20)
    assert len(few.points) == 20
    np.testing.assert_allclose(few.weights @ few.points, points.mean(axis=0), atol=1e-14)
    assert clustered(points, weights, box([-9, -9], [9, 9]), 300).floor == pytest.approx(0.0, abs=1e-14)
    same = clustered(np.ones((9, 2)), np.full(9, 1 / 9), box([-9, -9], [9, 9]), 4)
    np.testing.assert_allclose(same.weights @ same.points, [1.0, 1.0])


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_the_dual_norm_is_w2_to_first_order_at_uniform(degree):
    """eps P_l: |.| = eps/((2l + 1) l (l + 1))^(1/2), and W2 along meridians is that to a share of eps."""
    eps = 1e-3
    law = ZonalDensity({degree: eps}, AXIS)
    measured = harmonic_norm(law, UNIFORM)
    assert measured == pytest.approx(eps / math.sqrt((2 * degree + 1) * degree * (degree + 1)), rel=1e-12)
    assert measured == pytest.approx(along_meridians(law, ZonalDensity({}, AXIS)), rel=3 * eps, abs=0.0)


def test_the_dual_norm_does_not_see_how_the_sphere_is_turned():
    """Two clouds turned together: the same to rounding; symmetric; 0 of equal ones."""
    a, b = Particles(sphere(), unit(30, 0)), Particles(sphere(), unit(50, 1))
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    c, d = (Particles(sphere(), sphere().retract(x.points @ turn.T)) for x in (a, b))
    assert harmonic_norm(a, b) == pytest.approx(harmonic_norm(c, d), rel=1e-11)
    assert harmonic_norm(a, b) == harmonic_norm(b, a) and harmonic_norm(a, a) == 0.0


def test_between_meshes_and_particles_the_study_takes_the_dual_norm():
    """Errors of cell averages at barycentres fall like h^2; between clouds it stays the coupling, or W2."""
    law = ZonalDensity({1: 0.5, 2: 0.3}, AXIS)
    meshes = [MeshDensity.averages_of(law, octahedral(k)) for k in (3, 4)]
    gaps = [harmonic_norm(pi, law, 8) for pi in meshes]
    assert 3.4 < gaps[0] / gaps[1] < 4.6
    cloud = Particles(sphere(), law.quantised(200))
    assert norm_of(*meshes) == "H^-1" == norm_of(meshes[0], cloud)
    assert distance(meshes[0], cloud) == pytest.approx(harmonic_norm(meshes[0], cloud), rel=1e-15)
    moved = Particles(sphere(), Drifted(law, 0.01).quantised(200))
    assert norm_of(cloud, moved) == "coupled"


def test_certificates_ask_meshes_for_the_dual_norm():
    """distance_to_exact of a mesh on the sphere has no floor."""
    problem = problems.sphere_drift(horizon=0.1)
    run = solve(problem.flow, GradientFlow(20), steps=2)
    end, left, spent = run.times[-1:], run.energies[-1:], run.dissipated[-1:]
    mesh = MeshDensity.averages_of(problem.exact(0.1), octahedral(3))
    fake = Trajectory(run.flow, run.solver, end, (mesh,), left, spent, run.diagnostics, run.steps)
    (row,) = distance_to_exact(problem, fake, 0.01)
    assert "H^-1" in row.claim and row.floor == 0.0 and row.holds


def test_elsewhere_it_is_refused():
    """On a line there are no spherical harmonics."""
    pi = Particles(line(), np.zeros((1, 1)))
    with pytest.raises(Refused, match="needs the sphere"):
        harmonic_norm(pi, pi)
    with pytest.raises(Refused, match="different domains"):
        w2(Uniform(interval(0.0, 1.0)), UNIFORM)
