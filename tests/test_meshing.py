"""Meshes of domains and densities on them: volumes, neighbours, circumcentres, quadrature, the law's averages."""

import itertools
import math

import numpy as np
import pytest

from tests.meshes import Given
from wflow import (
    Mesh,
    MeshDensity,
    Refused,
    annulus,
    box,
    circle,
    cylinder,
    disk,
    interval,
    line,
    polygon,
    punched,
    space,
    sphere,
    torus,
)
from wflow.errors import LostDensity
from wflow.mesh_density import lifted
from wflow.meshing import icosphere, mesh_of
from wflow.simplex_rule import simplex_rule

DOMAINS = {
    "interval": interval(-1.0, 2.0),
    "circle": circle(),
    "box": box((0.0, 0.0), (1.0, 2.0)),
    "cylinder": cylinder(-1.0, 2.0),
    "torus": torus(2),
    "disk": disk(1.5, (0.2, -0.1)),
    "annulus": annulus(0.4, 1.0),
    "L": polygon((0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0)),
    "punched": punched((-1.0, -1.0), (1.0, 2.0), (0.2, 0.1), 0.3),
    "sphere": sphere(),
}
FLAT = [name for name in DOMAINS if name in ("interval", "circle", "box", "cylinder", "torus", "L")]
SMALLEST_ANGLE = 20.0


def volume(domain):
    """Exact."""
    return getattr(domain, "volume", None) or float(np.prod(domain.lengths))


def angles(mesh):
    """(m, 3) in degrees."""
    away = [mesh.corners[:, (k + 1) % 3] - mesh.corners[:, k] for k in range(3)]
    back = [mesh.corners[:, (k + 2) % 3] - mesh.corners[:, k] for k in range(3)]
    cosines = [
        np.sum(u * v, 1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
        for u, v in zip(away, back, strict=True)
    ]
    return np.degrees(np.arccos(np.stack(cosines, axis=1)))


@pytest.mark.parametrize("name", DOMAINS)
def test_cells_cover_the_domain(name):
    """Flat domains to rounding; curved ones with an error that falls four times as the sides are halved.

    A circle in parts of length h misses pi h^2/6 whatever its radius: of an annulus both circles miss the same.
    """
    domain = DOMAINS[name]
    missed = [mesh_of(domain, n).volumes.sum() / volume(domain) - 1.0 for n in (16, 32)]
    if name in FLAT:
        assert np.max(np.abs(missed)) <= 1e-13
    elif name == "annulus":
        assert np.max(np.abs(missed)) <= 1e-4
    else:
        assert 3.0 <= missed[0] / missed[1] <= 5.5


@pytest.mark.parametrize("name", DOMAINS)
def test_euler(name):
    """vertices - edges + cells: 1 for a disk, 0 with a hole or where it closes once, 2 on the sphere."""
    domain = DOMAINS[name]
    mesh = mesh_of(domain, 12)
    vertices = mesh.vertices[mesh.cells]
    edges = {
        tuple(sorted(pair))
        for a, b in itertools.combinations(range(vertices.shape[1]), 2)
        for pair in vertices[:, [a, b]].tolist()
    }
    count = len(np.unique(vertices)) - len(edges) + (mesh.size if vertices.shape[1] == 3 else 0)
    wanted = {"circle": 0, "cylinder": 0, "torus": 0, "annulus": 0, "punched": 0, "sphere": 2}.get(name, 1)
    assert count == wanted


@pytest.mark.parametrize("name", DOMAINS)
def test_no_bad_triangles(name):
    """Delaunay, and no angle below 20 degrees."""
    mesh = mesh_of(DOMAINS[name], 20)
    assert mesh.delaunay
    if mesh.cells.shape[1] == 3:
        assert angles(mesh).min() >= SMALLEST_ANGLE


@pytest.mark.parametrize("name", DOMAINS)
def test_facets(name):
    """Every cell has c facets but for those at walls; on closed domains the normals of a cell add up to 0."""
    domain = DOMAINS[name]
    mesh = mesh_of(domain, 12)
    facets = mesh.facets
    sides = np.bincount(facets.cells.ravel(), minlength=mesh.size)
    assert sides.max() <= mesh.cells.shape[1]
    closed = name in ("circle", "torus", "sphere")
    assert np.all(sides == mesh.cells.shape[1]) == closed
    if closed and name != "sphere":
        away = [np.bincount(facets.cells.T.ravel(), np.concatenate([n, -n]), mesh.size) for n in facets.normals.T]
        assert np.max(np.abs(away)) <= 1e-12


@pytest.mark.parametrize("name", [n for n in DOMAINS if n != "sphere"])
def test_gaps_are_distances_of_circumcentres(name):
    """Along the normals, in flat domains."""
    mesh = mesh_of(DOMAINS[name], 12)
    ends = mesh.circumcentres[mesh.facets.cells]
    apart = mesh.domain.distance(ends[:, 0], ends[:, 1])
    np.testing.assert_allclose(mesh.facets.gaps, apart, atol=1e-12 * mesh.width)
    every = mesh.circumcentres[:, None, :] - mesh.corners
    radii = np.linalg.norm(every, axis=2)
    np.testing.assert_allclose(radii, radii[:, :1] * np.ones(radii.shape[1]), rtol=1e-10)


@pytest.mark.parametrize("name", ["disk", "L", "punched"])
def test_circumcentres_stand_for_cells_as_barycentres_do(name):
    """|K| (b - c) = -sum_e |e|^3 n/12 over the three sides of each cell (Mesh.centres)."""
    mesh = mesh_of(DOMAINS[name], 12)
    apart = mesh.volumes[:, None] * (mesh.corners.mean(axis=1) - mesh.circumcentres)
    areas = np.linalg.norm(mesh.outward, axis=2) * mesh.volumes[:, None]
    by_sides = -np.sum(areas[:, :, None] ** 2 * mesh.outward * mesh.volumes[:, None, None], axis=1) / 12.0
    np.testing.assert_allclose(apart, by_sides, atol=1e-13)


@pytest.mark.parametrize(("dim", "n"), [(1, 4), (2, 4), (3, 3)])
def test_rules_on_a_simplex(dim, n):
    """Monomials of barycentric coordinates: dim! prod e_i!/(dim + sum e_i)!, up to degree 2n - 1."""
    points, weights = simplex_rule(dim, n)
    for powers in itertools.product(range(2 * n), repeat=dim + 1):
        if sum(powers) <= 2 * n - 1:
            exact = math.factorial(dim) * math.prod(map(math.factorial, powers)) / math.factorial(dim + sum(powers))
            assert weights @ np.prod(points ** np.array(powers), axis=1) == pytest.approx(exact, rel=1e-12)


def test_the_icosahedron():
    """20 f^2 triangles between 10 f^2 + 2 points, normals outwards; f = 1: all sides of one length."""
    for f in (1, 2, 5):
        mesh = icosphere(f)
        assert (mesh.size, len(mesh.nodes)) == (20 * f * f, 10 * f * f + 2)
        u, v = mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0]
        assert np.all(np.sum(np.cross(u, v) * mesh.corners[:, 0], axis=1) > 0.0)
    sides = np.linalg.norm(icosphere(1).corners - np.roll(icosphere(1).corners, 1, axis=1), axis=2)
    np.testing.assert_allclose(sides, 1.0 / math.sin(2.0 * math.pi / 5.0), rtol=1e-13)


@pytest.mark.parametrize("name", ["interval", "cylinder", "disk", "sphere"])
@pytest.mark.parametrize("linear", [False, True])
def test_moments_of_a_density(name, linear):
    """int r dpi for linear r: order 2, and to rounding for a linear density on flat cells."""
    domain = DOMAINS[name]
    middle = 0.5 * (np.asarray(domain.lower) + domain.upper)
    slope = np.arange(1.0, domain.dim + 1.0) / (4.0 * domain.dim * np.max(domain.lengths))
    law = Given(domain, lambda w: (1.0 + (w - middle) @ slope) / volume(domain))
    make = MeshDensity.linear_of if linear else MeshDensity.averages_of
    meshes = [mesh_of(domain, n) for n in (16, 32)]
    found = [make(law, mesh) for mesh in meshes]
    assert all(pi.mass == pytest.approx(1.0, abs=1e-12) for pi in found)
    rule, share = simplex_rule(domain.intrinsic, 6)
    exact = []
    for mesh in meshes:
        points = mesh.at(rule)
        density = law.density(points.reshape(-1, domain.dim)).reshape(points.shape[:2])
        masses = density * share * mesh.volumes[:, None]
        exact.append(np.einsum("mq,mqd->d", masses / masses.sum(), points))
    errors = [float(np.abs(pi.weights @ pi.points - e).max()) for pi, e in zip(found, exact, strict=True)]
    if linear and name != "sphere":
        assert max(errors) <= 1e-13
    else:
        assert errors[1] <= max(errors[0] / 3.0, 1e-13)


def test_what_dips_below_zero_is_drawn_to_its_mean():
    """Means stay, corners are nonnegative, positive cells are untouched; a negative mean is refused."""
    rng = np.random.default_rng(6)
    corners = rng.standard_normal((500, 3)) + 0.8
    corners = corners[corners.mean(axis=1) > 0.0]
    new = lifted(corners)
    assert new.min() >= 0.0
    np.testing.assert_allclose(new.mean(axis=1), corners.mean(axis=1), rtol=1e-12)
    fine = corners.min(axis=1) >= 0.0
    np.testing.assert_array_equal(new[fine], corners[fine])
    assert np.all(new[~fine].min(axis=1) <= 1e-12)
    with pytest.raises(LostDensity, match="mean density"):
        lifted(np.array([[1.0, -2.0, 0.5]]))


def test_doors():
    """What the messages name."""
    triangle = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="Mesh cells: shape"):
        Mesh(disk(), triangle, np.array([[0, 1]]))
    with pytest.raises(ValueError, match="name nodes"):
        Mesh(disk(), triangle, np.array([[0, 1, 3]]))
    with pytest.raises(ValueError, match="no volume"):
        Mesh(disk(), triangle, np.array([[0, 1, 1]]))
    fan = Mesh(
        disk(), np.concatenate([triangle, [[0.5, -1.0], [0.5, 1.0]]]), np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]])
    )
    with pytest.raises(ValueError, match="three cells share"):
        _ = fan.facets
    mesh = mesh_of(disk(), 8)
    flat = np.full((mesh.size, 1), 1.0 / mesh.volumes.sum())
    with pytest.raises(ValueError, match="negative"):
        MeshDensity(mesh, np.where(np.arange(mesh.size)[:, None] == 3, -1.0, flat))
    with pytest.raises(ValueError, match="the mass is"):
        MeshDensity(mesh, 2.0 * flat)
    with pytest.raises(ValueError, match="give \\(m, 1\\)"):
        MeshDensity(mesh, np.repeat(flat, 2, axis=1))
    with pytest.raises(Refused, match="infinite"):
        mesh_of(line(), 8)
    with pytest.raises(Refused, match="no box with one or two"):
        mesh_of(torus(3), 8)
    with pytest.raises(Refused, match="sees the mass"):
        MeshDensity.averages_of(Given(disk(), lambda w: np.ones(len(w))), mesh)
    assert space(2).alike(disk())
