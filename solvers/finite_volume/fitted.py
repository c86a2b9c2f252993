"""This file owns implicit finite volumes with exponentially fitted fluxes (Scharfetter and Gummel).

J_{i+1/2} = (s/h) [B(d/s) rho_i - B(-d/s) rho_{i+1}],   d = V_{i+1} - V_i,   B(x) = x/(e^x - 1)

s is the temperature, to which a Power term adds jump(U')/jump(log rho), the temperature that its pressure has at the
face. The flux vanishes exactly where V + T log rho + U'(rho) is constant.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells, space_order
from solvers.finite_volume.faces import Axis, axes_of
from solvers.finite_volume.sweeps import Sweep, sweep_of
from wflow.arrays import Array, count, positive
from wflow.errors import LostDensity, NotConverged
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.internal import Power
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Order, Promise, Recomputable, Solver, State, Step

_COLDEST = 1e-12
_LEVEL = 1e-6
_PECLET = 2.0
"""x = d/T a cell up to which the viscosity T ((x/2) coth(x/2) - 1) falls like h^2 (slope 1.88 there, 1.65 at 4)."""


@dataclass(frozen=True)
class ScharfetterGummel(Solver):
    """Implicit exponentially fitted fluxes for internal energies: keeps equilibria, backward Euler in time.

    V is taken at the mean of both ends of the step, (pi + pi_new)/2, by fixed point: for quadratic F the energy then
    decreases for every dt. On several axes the step is the product of one implicit step an axis (Lie splitting), each
    of which keeps e^{-V/T}, mass and sign and lowers the energy at that V: no sparse matrix is ever factored.
    Order (1, 2); splitting errors are of the order of the step too, and none where V is a sum of functions of one axis.
    Raises NotConverged if a fixed point misses `tolerance`.
    Sources: Scharfetter & Gummel 1969, IEEE Trans. Electron Devices 16, 64-77; Bessemoulin-Chatard 2012, Numer. Math.
    121, 637-670 (nonlinear diffusion); Schlichting & Seis 2022, IMA J. Numer. Anal. 42(3), 2361-2402 (mean of both
    ends).
    """

    cells: int
    window: Window | None = None
    tolerance: float = 1e-12
    limit: int = 400
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"

    def __post_init__(self) -> None:
        count("ScharfetterGummel cells", self.cells, least=4)
        positive("ScharfetterGummel tolerance", self.tolerance)
        count("ScharfetterGummel limit", self.limit)

    def order(self, flow: Flow) -> Order:
        """(1, 2); (1, 1) with a Power term, whose density has an edge, and from atoms: a cell forgets their place.

        (1, 1) too while V changes by more than 2 T a cell where the start has its mass (root mean square): the fluxes
        move the mean by V' and add the viscosity T ((x/2) coth(x/2) - 1), x = d/T, of upwind, |V'| h/2, for x >> 1 and
        T x^2/12 for x << 1 (derived). Order 2 is that of h -> 0, order 1 holds uniformly in T.
        """
        fitted = flow.energy.power is None and self._peclet(flow) <= _PECLET
        return Order(1.0, space_order(flow, 2.0 if fitted else 1.0, 1.0))

    def _peclet(self, flow: Flow) -> float:
        """Root mean square over the start of |jump V|/T, the largest of all axes; 0 for a flow that is refused."""
        if self.refusal(flow) is not None:
            return 0.0
        pi = averages_of(flow, self.cells, self.window)
        potential, found = flow.energy.potential(pi, pi.points), 0.0
        for axis in axes_of(pi.grid):
            left, right = axis.sides(axis.lined(pi.values))
            jump = axis.difference(axis.lined(potential)) / flow.energy.temperature
            mass = left + right
            found = max(found, float(np.sum(mass * jump**2) / np.sum(mass)))
        return math.sqrt(found)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and, for quadratic F, energy for every dt at which the fixed points converge."""
        return EVERY_PROMISE if flow.energy.quadratic else frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        """No internal energy (the fluxes fall back to first-order upwind), more than three axes, no window."""
        if not flow.energy.internal:
            return "the temperature is 0, where exponential fitting is plain upwind; use Upwind or Muscl"
        return refusal_of_cells(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Density)
        if not flow.energy.interacting and flow.energy.power is None:
            frozen = state.memory.get("frozen")
            if not (isinstance(frozen, _Frozen) and frozen.serves(flow, pi.grid, dt)):
                frozen = _Frozen.at(flow, pi, dt)
            legs = frozen.legs(pi)
            return Step(state.after(dt, legs[-1].end, frozen=frozen), _dissipated(flow, legs))
        new, change = pi, 0.0
        for _ in range(self.limit):
            middle = Density(pi.grid, 0.5 * (pi.values + new.values))
            legs, residual = self._legs(flow, pi, middle, dt)
            last, new = new, legs[-1].end
            change = _moved(last, new) if flow.energy.interacting else 0.0
            if change <= self.tolerance:
                return Step(state.after(dt, new), _dissipated(flow, legs), max(change, residual))
        raise self._stopped("V", change, state.time)

    def _legs(self, flow: Flow, pi: Density, at: Density, dt: float) -> tuple[list["_Leg"], float]:
        """The step with V = V[at], and the last change of its fixed points.

        With a Power term each axis' face temperatures belong to its own end; without one there is nothing to iterate.
        """
        if flow.energy.power is None:
            return _Frozen.at(flow, at, dt).legs(pi), 0.0
        potential, now, legs, residual = flow.energy.potential(at, at.points), pi, [], 0.0
        for axis in axes_of(pi.grid):
            end, change = now, np.inf
            for _ in range(self.limit):
                sweep = sweep_of(axis, potential, _face_temperature(flow, axis, end), dt)
                last, end = end, _kept(now, sweep.solve(now.values))
                change = _moved(last, end)
                if change <= self.tolerance:
                    break
            else:
                raise self._stopped("the face temperatures", change, None)
            legs.append(_Leg(sweep, end))
            now, residual = end, max(residual, change)
        return legs, residual

    def _stopped(self, what: str, change: float, time: float | None) -> NotConverged:
        where = "" if time is None else f" at t = {time:g}"
        return NotConverged(
            f"{self}: the fixed point for {what} stopped at a change of {change:.3g} > {self.tolerance:g} in L1 after "
            f"{self.limit} iterations{where}; halve dt or raise `limit`",
            change,
        )


def _moved(last: Density, now: Density) -> float:
    """L1 distance of two iterates."""
    return float(np.sum(np.abs(now.values - last.values))) * now.grid.cell_volume


def _face_temperature(flow: Flow, axis: Axis, pi: Density) -> Array:
    """s = T + jump(U')/jump(log rho) at the faces of an axis, at least 1e-12: a face beside an empty cell is upwind."""
    power, warm = flow.energy.power, flow.energy.temperature
    assert power is not None
    left, right = axis.sides(axis.lined(pi.values))
    return warm + np.maximum(_mean_stiffness(power, left, right), _COLDEST)


def _mean_stiffness(power: Power, left: Array, right: Array) -> Array:
    """jump(U')/jump(log rho), U' = strength m rho^(m-1)/(m-1): p' at the mean where the jump is small, 0 beside 0."""
    top, low = np.maximum(left, right), np.minimum(left, right)
    steep = low >= top * (1.0 - _LEVEL)  # equal ones too, down to the smallest numbers, whose ratio has no logarithm
    filled = (low > 0.0) & ~steep
    ratio = np.log(np.where(filled, top, 2.0)) - np.log(np.where(filled, low, 1.0))  # their quotient may overflow
    jump = power.slope(top) - power.slope(low)
    return np.where(steep, power.stiffness(0.5 * (left + right)), np.where(filled, jump / ratio, 0.0))


def _kept(before: Density, values: Array) -> Density:
    """A density of the same mass; rounding of the solve (some 1e-16 a step) is scaled away, not more.

    `values` is the caller's own and scaled in place: a new array of some hundred kilobytes costs more than the product.
    """
    mass = float(values.sum()) * before.grid.cell_volume
    if abs(mass - before.mass) > 1e-12:
        raise LostDensity(
            f"ScharfetterGummel: the linear solve changed the mass by {mass - before.mass:.3g}; check V for overflow"
        )
    values *= before.mass / mass
    return Density(before.grid, values)


@dataclass(frozen=True, eq=False)
class _Frozen(Recomputable):
    """The sweeps of all axes for one V, temperature and dt.

    Where V does not depend on pi one such object serves all steps of one length; made anew it has the same bits.
    """

    flow: Flow
    grid: Grid
    dt: float
    sweeps: tuple[Sweep, ...]

    @classmethod
    def at(cls, flow: Flow, pi: Density, dt: float) -> "_Frozen":
        """With V = V[pi]."""
        potential, warm = flow.energy.potential(pi, pi.points), flow.energy.temperature
        lasting = not flow.energy.interacting
        sweeps = tuple(sweep_of(axis, potential, warm, dt, lasting=lasting) for axis in axes_of(pi.grid))
        return cls(flow, pi.grid, dt, sweeps)

    def serves(self, flow: Flow, grid: Grid, dt: float) -> bool:
        """Whether these are the factors for that step, V being fixed."""
        return self.dt == dt and self.flow is flow and self.grid is grid

    def legs(self, pi: Density) -> list["_Leg"]:
        """From pi along one axis after the other."""
        out, now = [], pi
        for sweep in self.sweeps:
            now = _kept(now, sweep.solve(now.values))
            out.append(_Leg(sweep, now))
        return out


@dataclass(frozen=True, eq=False)
class _Leg:
    """One axis of a step: its sweep, and the density that it led to."""

    sweep: Sweep
    end: Density


def _dissipated(flow: Flow, legs: list[_Leg]) -> float:
    """dt sum J (-jump(V + T log rho + U')) |cell|/h, each summand nonnegative; V as the sweeps took it."""
    return sum(leg.sweep.dissipated(flow, leg.end) for leg in legs)
