"""This file owns DG1: densities linear on each cell of a mesh, moved by upwind fluxes, in Heun's steps of order 2."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from solvers.cells import space_order
from solvers.fem.upwind import allowed_rates, mesh_for, rates_of, refusal_of_meshes, room_for
from wflow.arrays import count
from wflow.flow import Flow, Window
from wflow.mesh_density import MeshDensity, flattened, lifted
from wflow.solver import Order, Promise, Solver, State, Step, explicit_bound

_FLAT = 1e-3
"""Mass that a limiter may move at the start where its order in time is studied."""


@dataclass(frozen=True)
class DG1(Solver):
    """Discontinuous elements of degree 1 by DOLFINx, upwind, with a limiter that keeps them positive; explicit.

    On each cell K of a mesh of intervals or triangles (also of the sphere), for every linear w:

        int_K rho' w = int_K rho v . grad w - sum_e int_e (rho_up v.n) w,      v = -grad V[pi] at the vertices, linear

    Heun's method, a mean of Euler steps (SSP), V[pi] recomputed at both stages; where a linear piece dips below 0 it is
    drawn towards its mean. Mass is kept; averages stay nonnegative for dt |e| (v.n)^+ <= |K|/3 (|K|/2 on intervals).
    Order (2, 2). No proof that F falls, which is not promised.
    Raises StepTooLarge above the bound.
    Sources: Cockburn & Shu 1998, J. Comput. Phys. 141, 199-224; Zhang, Xia & Shu 2012, J. Sci. Comput. 50, 29-62
    (triangles); Dedner, Madhavan & Stinner 2013, IMA J. Numer. Anal. 33, 952-973 (surfaces).
    """

    cells: int
    window: Window | None = None
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    shaped: ClassVar[bool] = True
    distributed: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("DG1 cells", self.cells, least=4)

    def order(self, flow: Flow) -> Order:
        """(2, 2); less in space where the start has edges or jumps; 1 in time from jumps and where the loss is kinked.

        Where rho jumps down to 0 the limiter, a projection after each stage, is at work in each step. At edges it moves
        F by O(h^3) (measured), in the tails on a window by what they weigh, whatever dt: the energy identity has no
        order in dt there.
        """
        space = space_order(flow, 2.0, 2.0 / 3.0)
        time = 1.0 if flow.energy.kinked or flow.initial.edge <= 0.0 else 2.0
        met = space == 2.0 and flow.domain.bounded
        return Order(time, space, identity=None if met else 0.0)

    def resolves(self, flow: Flow) -> bool:
        """Whether the limiter leaves the start alone: tails that fall by more than e within a cell are flattened."""
        return self.order(flow).time < 2.0 or flattened(flow.initial, mesh_for(flow, self.cells, self.window)) <= _FLAT

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity under the CFL bound."""
        return frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        """Internal energies; singular interactions; what no mesh can take."""
        if flow.energy.internal:
            return "DG1 has no flux for Entropy or Power terms; use fem.TwoPoint or finite volumes"
        if flow.energy.singular:
            return "a singular interaction has no velocity at the vertices, where the density jumps; use finite volumes"
        return refusal_of_meshes(flow, self.window)

    def room(self, flow: Flow) -> float:
        return room_for(flow)

    def init(self, flow: Flow) -> State:
        return State(0.0, MeshDensity.linear_of(flow.initial, mesh_for(flow, self.cells, self.window)))

    def largest_step(self, flow: Flow, state: State) -> float:
        """min(positivity, 1/(max|V''| + coupling))."""
        pi = state.measure
        assert isinstance(pi, MeshDensity)
        return min(rates_of(flow, pi).largest, explicit_bound(flow.energy, pi))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, MeshDensity)
        first = allowed_rates(self, flow, pi, dt)
        ahead = MeshDensity(pi.mesh, lifted(pi.values + dt * first.values))
        second = allowed_rates(self, flow, ahead, dt)
        end = lifted(0.5 * (pi.values + ahead.values + dt * second.values))
        new = MeshDensity(pi.mesh, end)
        return Step(state.after(dt, new), dissipated=0.5 * dt * (first.power + second.power))
