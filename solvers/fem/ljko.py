"""This file owns JKO steps in a linearised W2 metric on meshes: Ljko of first order, Ljko2 of second by two steps."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from solvers.cells import space_order
from solvers.fem.linearised import OnCells, OnMeshes, averages, like, movement, raised
from wflow.arrays import Array
from wflow.errors import EnergyRose
from wflow.flow import Flow
from wflow.measure import Density
from wflow.mesh_density import MeshDensity
from wflow.solver import EVERY_PROMISE, Order, Promise, State, Step

_SLACK = 1e-11
"""Of max(1, F_0): what rounding may take of the energy inequality."""
_FIRST = 4
"""Steps of first order of which the first step of the two-step formula is made."""
LARGEST_RATIO = 1.0 + math.sqrt(2.0)
"""A step longer than the last one by more than this starts afresh: beyond it the formula is not zero-stable."""
_MOST = 1.0
"""By which at most log rho is continued to where Newton begins."""


@dataclass(frozen=True)
class Ljko(OnMeshes):
    """JKO with W2 linearised about the end of the step, finite volumes on squares or simplices, upwind mobility.

    Minimises  F(rho) + (1/2 dt) sum_e J^2 gap abs(e)/rho_up  over rho and fluxes J with

        abs(K) (rho - rho_0) + sum_e +- abs(e) J = 0,

    rho_up in the cell that J leaves, gap between the centres (of simplices circumcentres: a mesh must be Delaunay).
    With the multiplier phi and d its jump across a facet:

        J = rho_up d/gap towards larger phi,   U'(rho) + V = (q - phi)/dt,   abs(K) q_K = sum abs(e) d^2/(2 gap),

    the sum over facets through which K empties. Newton (PETSc's SNES, L U by MUMPS) on log rho and phi. Density
    positive, mass kept, F never rises: F(rho) + dissipated <= F(rho_0), looked at in each step; `dissipated` is the
    second term above. V[pi] of an interacting energy is that of the end of the step, by fixed point.
    cells along the longest axis, window, triangles (simplices on boxes too), tolerance and limit: see OnMeshes.
    Order 1 in dt and in h.
    Raises NotConverged with SNES's reason, EnergyRose where the inequality fails.
    Source: Cances, Gallouet & Todeschi 2020, Numer. Math. 146, 437-480.
    """

    variational: ClassVar[bool] = True
    centred: ClassVar[bool] = False

    def order(self, flow: Flow) -> Order:
        """(1, 1); in space 1/2 from atoms, as for upwind."""
        return Order(1.0, space_order(flow, 1.0, 0.5))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and, where V does not depend on pi, energy for every dt."""
        return frozenset({"mass", "positivity"}) if flow.energy.interacting else EVERY_PROMISE

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Density | MeshDensity)
        end, found, residual = self.settled(flow, state.time, dt, [(start, 1.0 / dt)])
        spent = movement(start, found.potentials[0], end) / (2.0 * dt)
        if not flow.energy.interacting:
            self._looked_at(flow, start, end, spent, state.time)
        return Step(state.after(dt, end), spent, residual)

    def _looked_at(self, flow: Flow, start: OnCells, end: OnCells, spent: float, time: float) -> None:
        before, after = flow.energy.value(start), flow.energy.value(end)
        if not after + spent <= before + _SLACK * max(1.0, abs(before)):
            raise EnergyRose(
                f"{self}: F + dissipated = {after + spent:.15g} > {before:.15g} = F_0 at t = {time:g}; "
                "what was found is no minimiser: lower `tolerance`"
            )


@dataclass(frozen=True)
class Ljko2(OnMeshes):
    """The two-step backward differentiation formula as a minimising movement, in a linearised metric of second order.

    rho is stationary for  F(rho) + c_1 D_1(rho)/2 + c_2 D_2(rho)/2,  D_i its linearised squared distance to rho_k for
    i = 1 and rho_{k-1} for i = 2; for the ratio r of this step's length to the last one's

        c_1 = (1 + r)/dt,     c_2 = -r^2/((1 + r) dt)          (equal steps: 2/dt, -1/(2 dt))
        D_i = min sum_e J^2 gap abs(e)/m_i,     abs(K) (rho - rho_i) + sum_e +- abs(e) J = 0,

    m_i the mean of both cells, each by its share of the gap, and of rho and rho_i. That middle makes D_i = W2^2 to
    O(dt) more than an upwind end does (docs/mathematics.md); the mean of cells makes the space order 2. So

        U'(rho) + V + c_1 (phi_1 - q_1) + c_2 (phi_2 - q_2) = 0,    abs(K) q_K = sum abs(e) share_K d^2/(4 gap).

    The first step, and any longer than (1 + sqrt 2) times the last, is four of first order, c_1 = 4/dt, c_2 = 0.
    Density positive, mass kept; energy is not promised. dissipated: D_1/dt, dt abs(velocity)^2 at the middle.
    V[pi], the parameters and Newton as in Ljko. Order 2 in dt and in h.
    Raises NotConverged with SNES's reason.
    Sources: Matthes & Plazotta, arXiv:1711.02935 (the functional, with W2); Gallouet, Natale & Todeschi,
    arXiv:2209.14622 (by an extrapolated measure instead, on finite volumes). The linearisation here is derived.
    """

    centred: ClassVar[bool] = True
    multistep: ClassVar[bool] = True

    def order(self, flow: Flow) -> Order:
        """(2, 2), from atoms and jumps less in space."""
        return Order(2.0, space_order(flow, 2.0, 0.5))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        past = state.memory.get("length")
        if not isinstance(past, float) or dt > LARGEST_RATIO * past:
            return self._started(flow, state, dt)
        pi, kept, ratio = state.measure, state.memory["before"], dt / past
        assert isinstance(pi, Density | MeshDensity) and isinstance(kept, np.ndarray)
        before = like(pi, kept)
        earlier = [(pi, (1.0 + ratio) / dt), (before, -(ratio**2) / ((1.0 + ratio) * dt))]
        guess = self._ahead(flow, pi, before, ratio, dt)
        end, found, residual = self.settled(flow, state.time, dt, earlier, guess)
        spent = movement(pi, found.potentials[0], end) / dt
        return Step(state.after(dt, end, before=averages(pi), length=dt), spent, residual)

    def _started(self, flow: Flow, state: State, dt: float) -> Step:
        """A step that knows no past."""
        start = end = state.measure
        assert isinstance(start, Density | MeshDensity)
        spent, worst, short = 0.0, 0.0, dt / _FIRST
        for k in range(_FIRST):
            last = end
            assert isinstance(last, Density | MeshDensity)
            end, found, residual = self.settled(flow, state.time + k * short, short, [(last, 1.0 / short)])
            spent += movement(last, found.potentials[0], end) / short
            worst = max(worst, residual)
        return Step(state.after(dt, end, before=averages(start), length=dt), spent, worst)

    def _ahead(self, flow: Flow, pi: OnCells, before: OnCells, ratio: float, dt: float) -> Array:
        """log rho continued from both, and the potentials that fit it."""
        now = np.log(raised(pi))
        on = now + np.clip(ratio * (now - np.log(raised(before))), -_MOST, _MOST)
        slope = sum(term.slope(np.exp(on)) for term in flow.energy.internal) + flow.energy.potential(pi, pi.points)
        return np.array([on, -dt * slope, -dt * (1.0 + 1.0 / ratio) * slope])
