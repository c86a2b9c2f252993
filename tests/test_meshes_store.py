"""Runs on regions, the sphere and meshes are stored with their bits, a mesh once; files for ParaView say the same."""

import base64
import json
import math
import xml.etree.ElementTree as Xml
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from solvers.particles import GradientFlow
from tests.meshes import disk_mesh, line_mesh, noise, sphere_mesh, square_mesh, uniform
from tests.mixing import Mixing, Tilted, mixing
from wflow import (
    Atoms,
    Box,
    Domain,
    Energy,
    Entropy,
    Flow,
    Measure,
    Mesh,
    MeshDensity,
    Particles,
    Planar,
    Potential,
    Refused,
    Region,
    Trajectory,
    annulus,
    box,
    circle,
    disk,
    plane,
    polygon,
    punched,
    solve,
    sphere,
)
from wflow.arrays import Array
from wflow.curves import Ring
from wflow.errors import Damaged
from wflow.meshing import mesh_of
from wflow.reached import Reached
from wflow.store import Checkpoints, pack, unpack, write_vtk
from wflow.store.archive import packed, unpacked

ROOT3 = math.sqrt(3.0)
PLACES = [
    disk(1.0 / 3.0, (0.1, -0.2)),
    annulus(ROOT3 / 7.0, 0.9),
    polygon((0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)),
    punched((-1.0, -0.1), (1.0, 1.1), (0.3, 0.4), 0.2),
    Planar(Ring(2.0), (Ring(0.1, (1.0, 0.0)), Ring(0.1, (-1.0, 0.0)))),
    sphere(),
    Region(disk_mesh(3).nodes, disk_mesh(3).cells),
]


@dataclass(frozen=True)
class Sliding(GradientFlow):
    """Particles on domains with a shape: they slide along walls."""

    shaped: ClassVar[bool] = True


def slope(w: Array, derivative: int) -> Array:
    """-x + y^2/10."""
    if derivative == 0:
        return np.asarray(-w[:, 0] + 0.1 * w[:, 1] ** 2)
    if derivative == 1:
        return np.stack([np.full(len(w), -1.0), 0.2 * w[:, 1]], axis=1)
    return np.broadcast_to(np.diag([0.0, 0.2]), (len(w), 2, 2))


def run_of(measures: list[Any], flow: Flow | None = None) -> Trajectory:
    """Measures at times 0, 1/3, 2/3, ..., with energies that tell them apart."""
    domain = measures[0].domain
    home = flow or Flow(Energy(Entropy(1.0)), domain, Tilted(domain, 1.0, 0.0), 1.0)
    times = np.arange(len(measures)) / 3.0
    return Trajectory(home, GradientFlow(3), times, tuple(measures), -times, 0.0 * times, {}, len(measures))


def places(domain: Domain, m: int = 5) -> Array:
    """Points of a domain."""
    drawn = np.random.default_rng(m).normal(size=(m, domain.dim))
    return domain.retract(drawn)


def same(a: Measure, b: Measure) -> bool:
    """Kind, domain, points and weights, to the bit."""
    alike = type(a) is type(b) and a.domain == b.domain
    return alike and np.array_equal(a.points, b.points) and np.array_equal(a.weights, b.weights)


@pytest.mark.parametrize("domain", PLACES, ids=range(len(PLACES)))
def test_particles_on_shapes_come_back(domain: Domain) -> None:
    run = run_of([Particles(domain, places(domain)), Particles(domain, places(domain, 5)[::-1])])
    again = unpack(pack(run)).measures
    assert all(same(a, b) for a, b in zip(again, run.measures, strict=True))


MESHES = {
    "disk": disk_mesh(3),
    "torus": square_mesh(4, Box((0.0, 0.0), (1.0, 2.0), (True, True))),
    "plane": Mesh(plane(), disk_mesh(2).nodes, disk_mesh(2).cells),
    "circle": line_mesh(circle(), np.linspace(0.0, 2.0 * math.pi, 7)),
    "sphere": sphere_mesh(1),
    "region": mesh_of(Region(disk_mesh(2).nodes, disk_mesh(2).cells), 8),
}


@pytest.mark.parametrize("kind", MESHES)
@pytest.mark.parametrize("linear", [False, True])
def test_densities_on_meshes_come_back(kind: str, linear: bool) -> None:
    """With the mesh: nodes, cells, and which nodes are one vertex; one mesh for all times."""
    mesh = MESHES[kind]
    run = run_of([noise(mesh, k) if linear else uniform(mesh) for k in range(3)])
    again = unpack(pack(run)).measures
    for a, b in zip(again, run.measures, strict=True):
        assert isinstance(a, MeshDensity) and isinstance(b, MeshDensity)
        assert same(a, b) and np.array_equal(a.values, b.values) and a.linear == linear
        assert all(np.array_equal(getattr(a.mesh, n), getattr(b.mesh, n)) for n in ("nodes", "cells", "vertices"))
        assert a.mesh is again[0].mesh  # type: ignore[attr-defined]


def test_a_mesh_is_stored_once() -> None:
    """A hundred times cost a hundred rows of values and nothing else."""
    pi = noise(disk_mesh(8))
    one, many = (len(pack(run_of([pi] * k))) for k in (1, 101))
    assert abs(many - one - 100 * (pi.values.nbytes + 3 * 8)) < 64
    assert one > pi.mesh.nodes.nbytes + pi.mesh.cells.nbytes


def test_densities_on_two_meshes_are_no_run() -> None:
    """Equal meshes are one, whatever objects they are."""
    run = run_of([noise(disk_mesh(3)), noise(disk_mesh(3), 1)])
    assert all(same(a, b) for a, b in zip(unpack(pack(run)).measures, run.measures, strict=True))
    turned = Mesh(disk(), disk_mesh(3).nodes @ np.array([[0.0, 1.0], [-1.0, 0.0]]), disk_mesh(3).cells)
    with pytest.raises(TypeError, match="different meshes"):
        pack(run_of([noise(disk_mesh(3)), noise(turned)]))


def test_a_region_within_an_unknown_curve_is_not_stored() -> None:
    class Oval(Ring):
        """A curve of one's own, which a ring must not stand for."""

    with pytest.raises(TypeError, match="Oval cannot be stored"):
        pack(run_of([Particles(Planar(Oval(1.0)), np.zeros((1, 2)))]))


def test_a_damaged_place_is_damaged() -> None:
    """A radius below zero, a curve that is none, a text that is no JSON."""
    arrays = unpacked(pack(run_of([noise(disk_mesh(2))])))
    place = json.loads(str(arrays["place"]))
    for wrong in ({**place, "outer": {**place["outer"], "radius": -1.0}}, {**place, "outer": {"kind": "Oval"}}, 3):
        with pytest.raises(Damaged, match="no trajectory file"):
            unpack(packed(arrays | {"place": np.array(json.dumps(wrong))}))
    with pytest.raises(Damaged):
        unpack(packed(arrays | {"place": np.array("{")}))


def test_a_region_comes_back_with_its_triangles() -> None:
    """A finer mesh of it and the region itself; what is no region is damaged."""
    region = Region(disk_mesh(2).nodes, disk_mesh(2).cells)
    data = pack(run_of([noise(mesh_of(region, 8))]))
    again = unpack(data).measures[0]
    assert isinstance(again, MeshDensity) and again.mesh.size == 4 * len(region.cells)
    assert again.domain == region and isinstance(again.domain, Region)
    assert np.array_equal(again.domain.nodes, region.nodes) and np.array_equal(again.domain.cells, region.cells)
    assert mesh_of(again.domain, 8) is mesh_of(region, 8)
    wrong = {"region_cells": np.zeros((4, 3), dtype=int)}
    with pytest.raises(Damaged, match="no trajectory file"):
        unpack(packed(unpacked(data) | wrong))


class Interrupted(Exception):
    """The process ends here."""


class Until(Checkpoints):
    """Ends the process after a step."""

    last = 5

    def offer(self, now: Reached) -> None:
        """Keep it, then end."""
        self.keep(now)
        if now.state.count == self.last:
            raise Interrupted


def resumed(flow: Flow, solver: Any, folder: Path) -> tuple[Trajectory, Trajectory]:
    """A run that never stopped, and one that ended at step 5 and went on from its checkpoint."""
    whole = solve(flow, solver, steps=12)
    with pytest.raises(Interrupted):
        solve(flow, solver, steps=12, store=Until(folder, "a", every=0.0))
    return whole, solve(flow, solver, steps=12, store=Checkpoints(folder, "a"))


def assert_same_bits(a: Trajectory, b: Trajectory) -> None:
    """Times, energies and measures."""
    assert np.array_equal(a.times, b.times) and np.array_equal(a.energies, b.energies)
    assert all(same(x, y) for x, y in zip(a.measures, b.measures, strict=True))


def test_particles_on_a_disk_resume_with_their_bits(tmp_path: Path) -> None:
    """They fall to the right, reach the wall and slide along it."""
    start = Atoms(disk(), 0.9 * places(disk(), 7))
    whole, again = resumed(Flow(Energy(Potential(slope)), disk(), start, 1.5), Sliding(7), tmp_path / "c")
    assert_same_bits(whole, again)
    assert np.max(np.linalg.norm(whole.final.points, axis=1)) > 1.0 - 1e-9


@pytest.mark.parametrize("linear", [False, True])
def test_densities_on_a_mesh_resume_with_their_bits(tmp_path: Path, linear: bool) -> None:
    """The mesh that is read back is another object with the same arrays."""
    problem = mixing(disk(), math.pi)
    whole, again = resumed(problem.flow, Mixing(4, disk_mesh, linear), tmp_path / "c")
    assert_same_bits(whole, again)
    assert unpack(pack(again)).steps == 12
    region = Region(disk_mesh(4).nodes, disk_mesh(4).cells)
    posed = mixing(region, region.volume).flow
    whole, again = resumed(posed, Mixing(4, lambda _: mesh_of(region, 8), linear), tmp_path / "d")
    assert_same_bits(whole, again)


def arrays_of(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .vtu by name, decoded from base64 as the format says: 8 bytes of length, then the entries."""
    kinds = {"Float64": "<f8", "Int64": "<i8", "UInt8": "u1"}
    found = {}
    for node in Xml.parse(path).iter("DataArray"):
        raw = base64.b64decode(node.text or "")
        assert int.from_bytes(raw[:8], "little") == len(raw) - 8
        data = np.frombuffer(raw[8:], kinds[node.attrib["type"]])
        parts = int(node.attrib.get("NumberOfComponents", 1))
        found[node.attrib["Name"]] = data.reshape(-1, parts) if parts > 1 else data
    return found


@pytest.mark.parametrize("kind", MESHES)
@pytest.mark.parametrize("linear", [False, True])
def test_paraview_files_hold_the_densities(kind: str, linear: bool, tmp_path: Path) -> None:
    """Read back: corners of each cell where they are, VTK's number of the simplex, values, and the times."""
    mesh = MESHES[kind]
    run = run_of([noise(mesh, k) if linear else uniform(mesh) for k in range(3)])
    written = write_vtk(run, tmp_path / "new" / "flow.pvd")
    sets = list(Xml.parse(written).iter("DataSet"))
    assert [float(s.attrib["timestep"]) for s in sets] == run.times.tolist()
    for entry, pi in zip(sets, run.measures, strict=True):
        assert isinstance(pi, MeshDensity)
        path = written.parent / entry.attrib["file"]
        piece = next(Xml.parse(path).iter("Piece"))
        found = arrays_of(path)
        c = mesh.cells.shape[1]
        assert int(piece.attrib["NumberOfPoints"]) == len(found["points"])
        assert int(piece.attrib["NumberOfCells"]) == mesh.size
        assert np.array_equal(found["offsets"], c * np.arange(1, mesh.size + 1))
        assert set(found["types"]) == {{2: 3, 3: 5}[c]}
        corners = found["points"][found["connectivity"].reshape(-1, c)]
        assert (
            np.array_equal(corners[:, :, : mesh.domain.dim], mesh.corners)
            and not corners[:, :, mesh.domain.dim :].any()
        )
        assert np.array_equal(found["density"], pi.values.ravel())
        assert (piece.find("PointData") is not None) == linear


def test_paraview_files_are_refused_for_other_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.pvd"):
        write_vtk(run_of([noise(disk_mesh(2))]), tmp_path / "flow.vtu")
    with pytest.raises(Refused, match="no density on a mesh"):
        write_vtk(run_of([Particles(box((0, 0), (1, 1)), np.zeros((1, 2)))]), tmp_path / "flow.pvd")
