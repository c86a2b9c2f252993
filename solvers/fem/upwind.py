"""This file owns what upwind transport on simplices asks of a flow: rates of change, the CFL bound, work."""

import math
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import TYPE_CHECKING

import numpy as np

from solvers.cells import box_of
from solvers.fem import toolchain
from wflow.arrays import Array, rounded_down
from wflow.errors import Refused, StepTooLarge
from wflow.flow import Flow, Window
from wflow.mesh import Mesh
from wflow.mesh_density import MeshDensity
from wflow.meshing import mesh_of
from wflow.part import part_of
from wflow.ranks import current
from wflow.solver import Solver

if TYPE_CHECKING:
    from solvers.fem.simplices import Transport

_LITTLE = 1.0 - 1e-12
"""At the bound itself rounding would empty a cell to either side of 0."""

_PAIRED = 1024.0


@dataclass(frozen=True, eq=False)
class Rates:
    """values (m, q): d rho/dt of the scheme; largest: the longest Euler step that leaves every average nonnegative.

    power: -int d rho/dt V, what the scheme takes from F by transport in a unit of time.
    """

    values: Array
    largest: float
    power: float


def mesh_for(flow: Flow, cells: int, window: Window | None) -> Mesh:
    """The mesh of the domain, or of the window of an infinite one; on several ranks this one's part of it."""
    return part_of(mesh_of(box_of(flow, window), cells), current())


def refusal_of_meshes(flow: Flow, window: Window | None) -> str | None:
    """Why no mesh of simplices can take this flow, or None."""
    if (lacking := toolchain.missing()) is not None:
        return lacking
    if not flow.initial.has_density:
        return "the initial law has no density to average over the cells of a mesh; use particles or finite volumes"
    try:
        mesh_of(box_of(flow, window), 4)
    except Refused as reason:
        return str(reason)
    return None


def refusal_of_crossed(mesh: Mesh) -> str | None:
    """Why no two-point fluxes stand on this mesh, or None."""
    if mesh.delaunay:
        return None
    return (
        f"the mesh is not Delaunay: across {mesh.crossed} facets circumcentres are crossed or in one place; "
        "mesh it anew, or refine it"
    )


@lru_cache(maxsize=2)
def rates_of(flow: Flow, pi: MeshDensity) -> Rates:
    """A bound and its step ask the same of one pi."""
    mesh, degree = pi.mesh, int(pi.linear)
    transport = _transport(mesh, degree)
    velocity, bound = _wind(flow, pi) if flow.energy.interacting else _fixed_wind(flow, mesh, degree)
    moments = transport.moments(pi.values, velocity)
    c = mesh.cells.shape[1]
    if degree:  # the inverse of the mass matrix (I + J)/(c (c + 1)) of the corners' hats, J all ones
        moments = moments @ (c * (c + 1) * np.eye(c) - c)
    values = moments / mesh.volumes[:, None]
    taken = pi.ranks.total(float(pi.weights_of(values) @ flow.energy.potential(pi, pi.points)))
    return Rates(values, bound, -taken)


def allowed_rates(solver: Solver, flow: Flow, pi: MeshDensity, dt: float) -> Rates:
    """The rates, or StepTooLarge for a step beyond the bound."""
    found = rates_of(flow, pi)
    if dt > found.largest:
        raise StepTooLarge(
            f"{solver}: dt = {dt:.4g} is above the CFL bound {found.largest:.4g}; "
            f"pass dt <= {rounded_down(found.largest)}",
            found.largest,
        )
    return found


def room_for(flow: Flow) -> float:
    """Most cells of a study: on a mesh of m cells kernels of pairs take m^2 sums a step, where grids have their FFT."""
    return _PAIRED if flow.energy.paired else math.inf


def _largest(mesh: Mesh, velocities: Array, degree: int) -> float:
    """Of dt, for velocities (s, d) at the nodes. A mean is the mean of its values at facets. (derived)

    None may lose more than its share. Degree 0: dt sum_e |e| (v.n)^+ <= |K|. Degree 1: dt |e| (v.n)^+ <= |K|/c at every
    point of each of its c facets.
    """
    facets = mesh.facets
    flows = [np.einsum("fd,fd->f", v, facets.normals) for v in np.moveaxis(velocities[facets.corners], 1, 0)]
    first, second = mesh.around[facets.cells.T]
    if degree:
        ahead, back = reduce(np.maximum, flows), -reduce(np.minimum, flows)
        fastest = mesh.cells.shape[1] * max(float(np.max(ahead / first)), float(np.max(back / second)))
    else:
        mean = sum(flows) / len(flows)
        out = np.concatenate([np.maximum(mean, 0.0), np.maximum(-mean, 0.0)])
        sent = np.bincount(facets.cells.T.ravel(), out, len(mesh.around))[: mesh.size]
        fastest = float(np.max(sent / mesh.volumes))
    fastest = mesh.ranks.most(fastest)
    return _LITTLE / fastest if fastest > 0.0 else math.inf


def _wind(flow: Flow, pi: MeshDensity) -> tuple[Array, float]:
    """-grad V[pi] (s, d) at the vertices, on a surface its tangent part, and the bound of dt."""
    transport = _transport(pi.mesh, int(pi.linear))
    velocity = flow.energy.velocity(pi, transport.points)
    if flow.domain.intrinsic < flow.domain.dim:
        velocity = flow.domain.slide(transport.points, velocity)
    return velocity, _largest(pi.mesh, transport.at_nodes(velocity), int(pi.linear))


@lru_cache(maxsize=4)
def _fixed_wind(flow: Flow, mesh: Mesh, degree: int) -> tuple[Array, float]:
    """Where V does not depend on pi: asked once a mesh."""
    c = mesh.cells.shape[1] if degree else 1
    return _wind(flow, MeshDensity(mesh, np.full((mesh.size, c), 1.0 / mesh.whole.volumes.sum())))


def _transport(mesh: Mesh, degree: int) -> "Transport":
    """DOLFINx is met here for the first time."""
    toolchain.start()
    from solvers.fem.simplices import transport_on

    return transport_on(mesh, degree)
