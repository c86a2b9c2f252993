"""This file owns TwoPoint: implicit two-point fluxes, exponentially fitted, on Delaunay meshes."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from solvers.cells import space_order
from solvers.fem import toolchain
from solvers.fem.upwind import mesh_for, refusal_of_crossed, refusal_of_meshes, room_for
from wflow.arrays import Array, count, positive
from wflow.errors import LostDensity, NotConverged
from wflow.flow import Flow, Window
from wflow.mesh import Mesh
from wflow.mesh_density import MeshDensity
from wflow.solver import EVERY_PROMISE, Order, Promise, Recomputable, Solver, State, Step

if TYPE_CHECKING:
    from solvers.fem.two_point import Factors, Fitted

_MASS = 1e-10


@dataclass(frozen=True)
class TwoPoint(Solver):
    """Finite volumes on intervals and triangles, also of the sphere: fitted two-point fluxes, backward Euler.

        |K| (rho_new - rho) + dt sum_e J_e |e| = 0,   J_e = (s/gap) [B(d/s) rho_K - B(-d/s) rho_L],   d = V_L - V_K

    between circumcentres, B(x) = x/(e^x - 1), s = T + jump(U')/jump(log rho) with a Power term: J vanishes exactly
    where V + T log rho + U'(rho) is constant. V is that of the mean of both ends of the step and s that of the new
    end, by PETSc's SNES with the M-matrix for a derivative (Picard's iteration): a solve with it keeps sign and mass.
    (Newton's method stops at fronts, where s has no derivative.) Beside an empty cell rho counts as 1e-18 of its
    neighbour's, so that fronts climb V into it as far as U' drives them. For quadratic F the energy decreases for
    every dt, as for finite_volume.ScharfetterGummel.
    Order (1, 2); (1, 1) with a Power term.
    Raises NotConverged with SNES's reason if it misses `tolerance` (mass that an iteration still moves), LostDensity
    where rounding in a solve is above what is expected.
    Sources: Eymard, Gallouet & Herbin 2000, Handbook of Numerical Analysis VII (two-point fluxes); Bessemoulin-Chatard
    2012, Numer. Math. 121, 637-670.
    """

    cells: int
    window: Window | None = None
    tolerance: float = 1e-11
    limit: int = 400
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    shaped: ClassVar[bool] = True
    distributed: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("TwoPoint cells", self.cells, least=4)
        positive("TwoPoint tolerance", self.tolerance)
        count("TwoPoint limit", self.limit)

    def order(self, flow: Flow) -> Order:
        """(1, 2); (1, 1) with a Power term, whose density has an edge; in space less beside corners that jut in."""
        return Order(1.0, space_order(flow, 2.0 if flow.energy.power is None else 1.0, 1.0))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and, for quadratic F, energy for every dt at which the fixed points converge."""
        return EVERY_PROMISE if flow.energy.quadratic else frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        """No internal energy; what no mesh can take; a mesh that is not Delaunay."""
        if not flow.energy.internal:
            return "the temperature is 0, where exponential fitting is plain upwind; use fem.DG0 or fem.DG1"
        if (reason := refusal_of_meshes(flow, self.window)) is not None:
            return reason
        return refusal_of_crossed(mesh_for(flow, self.cells, self.window))

    def room(self, flow: Flow) -> float:
        return room_for(flow)

    def init(self, flow: Flow) -> State:
        return State(0.0, MeshDensity.averages_of(flow.initial, mesh_for(flow, self.cells, self.window)))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, MeshDensity)
        if not flow.energy.interacting and flow.energy.power is None:
            factored = state.memory.get("factored")
            if not (isinstance(factored, _Factored) and factored.serves(flow, pi.mesh, dt)):
                factored = _Factored.at(flow, pi, dt)
            new = _kept(pi, factored.factors.solve(pi.averages))
            return Step(state.after(dt, new, factored=factored), _spent(flow, pi, new, pi))
        fitted = _fitted(pi.mesh)
        fitted.set(pi.averages, _numbers(flow, dt))
        found = fitted.settled(partial(_potential, flow, pi), pi.averages, self.tolerance, self.limit)
        if not found.converged:
            raise self._stopped(found.moved, found.reason, state.time, dt)
        new = _kept(pi, found.values)
        return Step(state.after(dt, new), _spent(flow, pi, new, _middle(pi, new.averages)), found.moved)

    def _stopped(self, moved: float, reason: str, time: float, dt: float) -> NotConverged:
        return NotConverged(
            f"{self}: SNES stopped ({reason}) where an iteration moves mass {moved:.3g} > {self.tolerance:g}, after at "
            f"most {self.limit}, at t = {time:g}, dt = {dt:.3g}; halve dt or raise `limit`",
            moved,
        )


@dataclass(frozen=True, eq=False)
class _Factored(Recomputable):
    """The factors of a step with an entropy and a fixed V: one such object serves all steps of one length."""

    flow: Flow
    mesh: Mesh
    dt: float
    factors: "Factors"

    @classmethod
    def at(cls, flow: Flow, pi: MeshDensity, dt: float) -> "_Factored":
        """With V at the centres."""
        fitted = _fitted(pi.mesh)
        fitted.set(flow.energy.potential(pi, pi.points), _numbers(flow, dt))
        return cls(flow, pi.mesh, dt, fitted.factors(pi.averages))

    def serves(self, flow: Flow, mesh: Mesh, dt: float) -> bool:
        """Whether these are the factors for that step."""
        return self.dt == dt and self.flow is flow and self.mesh is mesh


def _middle(before: MeshDensity, values: Array) -> MeshDensity:
    """The mean of both ends of a step, of the mass before."""
    mean = 0.5 * (before.averages + values)
    mass = before.ranks.total(float(mean @ before.mesh.volumes))
    return MeshDensity(before.mesh, (mean * (before.mass / mass))[:, None])


def _potential(flow: Flow, before: MeshDensity, values: Array) -> Array:
    """V at the centres, of the mean of `before` and values (m,)."""
    middle = _middle(before, values)
    potential: Array = flow.energy.potential(middle, middle.points)
    return potential


def _numbers(flow: Flow, dt: float) -> tuple[float, float, float, float]:
    """dt, T, strength m/(m - 1), m - 1."""
    power, warm = flow.energy.power, flow.energy.temperature
    if power is None:
        return dt, warm, 0.0, 1.0
    degree = power.exponent - 1.0
    return dt, warm, power.strength * power.exponent / degree, degree


def _fitted(mesh: Mesh) -> "Fitted":
    """DOLFINx is met here for the first time."""
    toolchain.start()
    from solvers.fem.two_point import fitted_on

    return fitted_on(mesh)


def _kept(before: MeshDensity, values: Array) -> MeshDensity:
    """A density of the same mass; rounding of the solve is scaled away, not more."""
    mass = before.ranks.total(float(values @ before.mesh.volumes))
    if not (abs(mass - before.mass) <= _MASS and values.min() >= 0.0):  # nor where they are no numbers
        raise LostDensity(
            f"TwoPoint: the linear solve changed the mass by {mass - before.mass:.3g}, least density "
            f"{values.min():.3g}; check V for overflow"
        )
    return MeshDensity(before.mesh, (values * (before.mass / mass))[:, None])


def _spent(flow: Flow, before: MeshDensity, new: MeshDensity, at: MeshDensity) -> float:
    """-sum |K| (rho_new - rho) (V + U'(rho_new)), the scheme tested with its own potential: each facet gives J jump.

    Cells that stay empty move no mass; U' of an entropy is not asked there.
    """
    moved = (before.averages - new.averages) * new.mesh.volumes
    potential: Array = flow.energy.potential(at, at.points)
    filled = new.averages > 0.0
    rho = np.where(filled, new.averages, 1.0)
    slope = sum(term.slope(rho) for term in flow.energy.internal)
    return new.ranks.total(float(moved @ (potential + np.where(filled, slope, 0.0))))
