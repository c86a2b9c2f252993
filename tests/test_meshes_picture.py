"""Pictures of flows on meshes: what is drawn is what was computed, areas of the sphere are kept, frames move."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.patches import Circle, Polygon
from PIL import Image

from tests.meshes import constants, disk_mesh, line_mesh, linears, noise, sphere_mesh, square_mesh, uniform
from tests.mixing import Mixing, mixing
from wflow import (
    Box,
    Density,
    Grid,
    Measure,
    Mesh,
    MeshDensity,
    Particles,
    Refused,
    Trajectory,
    annulus,
    box,
    circle,
    disk,
    interval,
    picture,
    polygon,
    problems,
    solve,
    sphere,
)
from wflow.app.figures import of_runs
from wflow.arrays import Array
from wflow.picture.measures import outline, rug
from wflow.picture.sheet import lambert

DISK = mixing(disk(), math.pi)
SPHERE = mixing(sphere(), 4.0 * math.pi, 0.5, lambda w: w[:, 2])


def run_of(*measures: Measure) -> Trajectory:
    """These measures at times 0, 1, .. of some flow."""
    k = len(measures)
    flow = mixing(measures[0].domain, 1.0).flow
    return Trajectory(
        flow, Mixing(3, disk_mesh), np.arange(float(k)), measures, -np.arange(float(k)), np.zeros(k), {}, k
    )


def cloud(m: int = 30) -> Particles:
    """On the sphere."""
    return Particles(sphere(), sphere().retract(np.random.default_rng(m).normal(size=(m, 3))))


@pytest.mark.parametrize("linear", [False, True])
def test_a_panel_shows_the_triangles_and_their_values(linear: bool) -> None:
    """Their corners where they are; one colour each, or one a corner; scaled from 0 to the largest, per unit area."""
    pi = noise(disk_mesh(3)) if linear else constants(disk_mesh(3), lambda w: 1.5 + w[:, 0])
    figure = picture.regions(run_of(pi, uniform(disk_mesh(3))))
    axes, bar = figure.axes[0], figure.axes[2]
    (drawn,) = [c for c in axes.collections if c.get_array() is not None]
    assert np.array_equal(drawn.get_array(), pi.values.ravel())
    assert drawn.get_clim() == pytest.approx((0.0, pi.values.max()))
    if isinstance(drawn, PolyCollection):
        corners = np.array([path.vertices[:3] for path in drawn.get_paths()])
        assert np.array_equal(corners, pi.mesh.corners)
    assert axes.get_title() == "t = 0" and bar.get_ylabel() == "density (per unit area)"
    assert axes.get_aspect() == 1.0


def test_walls_are_drawn() -> None:
    """A ring is a circle, with its hole; a polygon one; a box four sides, dotted where it closes."""
    rings = disk_mesh(6)
    outer = np.linalg.norm(rings.corners, axis=2).min(axis=1) > 0.49
    axes = picture.regions(run_of(uniform(Mesh(annulus(0.5, 1.0), rings.nodes, rings.cells[outer])))).axes[0]
    assert [p.radius for p in axes.patches if isinstance(p, Circle)] == [1.0, 0.5]
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    axes = picture.regions(run_of(uniform(Mesh(polygon(*corners), square_mesh(3).nodes, square_mesh(3).cells)))).axes[0]
    (wall,) = [p for p in axes.patches if isinstance(p, Polygon)]
    assert np.array_equal(wall.get_xy()[:4], corners)
    home = Box((0.0, 0.0), (1.0, 2.0), (True, False))
    axes = picture.regions(run_of(uniform(square_mesh(3, home)))).axes[0]
    sides = [line for line in axes.get_lines() if len(line.get_xdata()) == 2]
    assert sorted(line.get_linestyle() for line in sides) == ["-", "-", ":", ":"]


def test_particles_are_drawn_on_top() -> None:
    """Those of another run, or of the run itself."""
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 2))
    density, atoms = run_of(uniform(disk_mesh(3)), uniform(disk_mesh(3))), run_of(*[Particles(disk(), points)] * 2)
    for figure in (picture.regions(density, atoms), picture.regions(atoms)):
        assert any(np.array_equal(np.transpose(line.get_data()), points) for line in figure.axes[0].get_lines())


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_map_of_a_hemisphere_keeps_areas(axis: int, sign: float) -> None:
    """Those of small triangles to h^2, turned as seen from outside; the equator is the rim, the pole the middle."""
    mesh = sphere_mesh(4)
    some = mesh.corners[np.all(sign * mesh.corners[:, :, axis] > 0.0, axis=1)]
    flat = lambert(some.reshape(-1, 3), axis, sign).reshape(-1, 3, 2)
    edges, sides = flat[:, 1:] - flat[:, :1], some[:, 1:] - some[:, :1]
    areas = np.linalg.det(edges)
    outward = np.einsum("ki,ki->k", np.cross(sides[:, 0], sides[:, 1]), some[:, 0])
    np.testing.assert_allclose(areas, outward, rtol=0.015)
    around = np.roll([[0.0, math.cos(a), math.sin(a)] for a in (0.0, 1.0, 4.0)], axis, axis=1)
    np.testing.assert_allclose(np.linalg.norm(lambert(around, axis, sign), axis=1), math.sqrt(2.0))
    assert np.array_equal(lambert(sign * np.eye(3)[[axis]], axis, sign), np.zeros((1, 2)))


def test_both_sides_show_the_whole_sphere() -> None:
    """Each triangle on the side of its corners, those across the equator on both, cut at the rim."""
    mesh = sphere_mesh(2)
    pi = constants(mesh, lambda w: 1.1 + w[:, 2])
    figure = picture.regions(run_of(pi, pi), axis=1)
    front, back = (axes.collections[0] for axes in figure.axes[:2])
    heights = mesh.corners[:, :, 1]
    assert np.array_equal(front.get_array(), pi.values[heights.max(axis=1) > 0.0, 0])
    assert np.array_equal(back.get_array(), pi.values[heights.min(axis=1) < 0.0, 0])
    assert front.get_clip_path() is not None
    assert "seen from +w_2" in figure.axes[0].get_title() and "seen from -w_2" in figure.axes[1].get_title()
    assert {text.get_text() for text in figure.axes[1].texts} == {"+w_3", "-w_3", "+w_1", "-w_1"}


def test_each_particle_of_the_sphere_is_on_one_side() -> None:
    pi = cloud()
    figure = picture.regions(run_of(pi, pi))
    dots = [[line for line in axes.get_lines() if line.get_marker() == "o"] for axes in figure.axes[:2]]
    counts = [sum(len(line.get_xdata()) for line in lines) for lines in dots]
    assert counts == [int(np.sum(pi.points[:, 2] >= 0.0)), int(np.sum(pi.points[:, 2] < 0.0))]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["disk", "sphere", "linear"])
def test_a_film_has_a_frame_for_each_saved_time(kind: str, tmp_path: Path) -> None:
    """And no two of them are alike, the density being drawn anew."""
    problem, made = (SPHERE, lambda n: sphere_mesh(2)) if kind == "sphere" else (DISK, disk_mesh)
    run = solve(problem.flow, Mixing(5, made, kind == "linear"), steps=4)
    atoms = cloud()
    on_top = Trajectory(run.flow, run.solver, run.times, (atoms,) * 5, run.energies, run.dissipated, {}, 4)
    path = picture.film(run, tmp_path / "new" / "a.gif", on_top if kind == "sphere" else None)
    with Image.open(path) as film:
        frames = []
        for k in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(k)
            upper = np.asarray(film.convert("RGB"))[: int(0.65 * film.height)]
            frames.append(upper)
    assert len(frames) == len(run.times)
    assert all(np.any(a != b) for a, b in pairwise(frames))


def test_what_is_no_region_is_refused(tmp_path: Path) -> None:
    cells = run_of(Density(Grid(box((0.0, 0.0), (1.0, 1.0)), (4, 4)), np.ones(16)))
    on_line = run_of(uniform(line_mesh(interval(0.0, 1.0), np.linspace(0.0, 1.0, 5))))
    for run in (cells, on_line):
        with pytest.raises(Refused, match=r"picture\.regions"):
            picture.regions(run)
    with pytest.raises(Refused, match="leave it out"):
        picture.regions(run_of(uniform(disk_mesh(2))), cells)
    with pytest.raises(ValueError, match=r"\.gif"):
        picture.film(on_line, tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="fewer than two"):
        picture.film(run_of(uniform(disk_mesh(2))), tmp_path / "a.gif")


def test_cells_of_an_axis_are_drawn_from_left_to_right() -> None:
    """Slopes and steps; no ticks below, as for cells of a grid."""
    mesh = line_mesh(circle(), np.linspace(0.0, 2.0 * math.pi, 6))
    for pi in (linears(mesh, lambda w: 2.0 + np.sin(w[:, 0])), uniform(mesh)):
        x, height = outline(pi)
        assert np.all(np.diff(x) >= 0.0) and (x[0], x[-1]) == (0.0, 2.0 * math.pi)
        area = float(np.sum(0.5 * (height[1:] + height[:-1]) * np.diff(x)))
        assert area == pytest.approx(1.0) and len(rug(pi)) == 0
    lifted = MeshDensity(Mesh(circle(), mesh.nodes + 2.0 * math.pi, mesh.cells, mesh.vertices), uniform(mesh).values)
    np.testing.assert_allclose(outline(lifted)[0], outline(uniform(mesh))[0], atol=1e-12)


@pytest.mark.slow
def test_the_app_draws_flows_on_shapes() -> None:
    """The density with the largest cloud on top; without a mesh the cloud; grids as before."""
    run = solve(DISK.flow, Mixing(4, disk_mesh), steps=4)
    points: Array = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 2))
    atoms = tuple(Particles(disk(), points) for _ in run.times)
    moved = Trajectory(run.flow, run.solver, run.times, atoms, run.energies, run.dissipated, {}, 4)
    names = [p.name for p in of_runs(DISK, {"mesh": run, "cloud": moved})]
    assert names == ["energies", "regions"]
    assert [p.name for p in of_runs(DISK, {"cloud": moved})] == ["energies", "regions"]
    plane = problems.two_layer_1d(horizon=0.1)
    from solvers.finite_volume import Muscl

    assert "maps" in [p.name for p in of_runs(plane, {"cells": solve(plane.flow, Muscl(16))})]
