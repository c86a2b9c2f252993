"""This file owns implicit finite volumes with exponentially fitted fluxes (Scharfetter and Gummel).

J_{i+1/2} = (s/h) [B(d/s) rho_i - B(-d/s) rho_{i+1}],   d = V_{i+1} - V_i,   B(x) = x/(e^x - 1)

s is the temperature, to which a Power term adds jump(U')/jump(log rho), the temperature that its pressure has at the
face. The flux vanishes exactly where V + T log rho + U'(rho) is constant.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers._lines import CyclicLines, Lines, exchange_lines
from solvers._tridiagonal import CyclicFactors, Factors, exchange
from solvers.cells import averages_of, refusal_of_cells, space_order
from solvers.finite_volume.faces import Axis, axes_of
from wflow.arrays import Array, count, positive
from wflow.errors import LostDensity, NotConverged
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.internal import Power
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Order, Promise, Recomputable, Solver, State, Step

_COLDEST = 1e-12
_LEVEL = 1e-6


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
    limit: int = 100
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"

    def __post_init__(self) -> None:
        count("ScharfetterGummel cells", self.cells, least=4)
        positive("ScharfetterGummel tolerance", self.tolerance)
        count("ScharfetterGummel limit", self.limit)

    def order(self, flow: Flow) -> Order:
        """(1, 2); (1, 1) with a Power term, whose density has an edge, and from atoms: a cell forgets their place."""
        return Order(1.0, space_order(flow, 2.0 if flow.energy.power is None else 1.0, 1.0))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and, for quadratic F, energy for every dt at which the fixed points converge."""
        return EVERY_PROMISE if flow.energy.quadratic else frozenset({"mass", "positivity"})

    def refusal(self, flow: Flow) -> str | None:
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
            new, spent = frozen.moved(pi)
            return Step(state.after(dt, new, frozen=frozen), spent)
        new, change = pi, 0.0
        for _ in range(self.limit):
            middle = Density(pi.grid, 0.5 * (pi.values + new.values))
            last, (new, spent) = new, self._moved(flow, pi, middle, dt)
            change = float(np.sum(np.abs(new.values - last.values))) * pi.grid.cell_volume
            if change <= self.tolerance or not flow.energy.interacting:
                return Step(state.after(dt, new), spent, residual=change if flow.energy.interacting else 0.0)
        raise self._stopped("V", change, state.time)

    def _moved(self, flow: Flow, pi: Density, at: Density, dt: float) -> tuple[Density, float]:
        """The step with V = V[at]; with a Power term each axis' face temperatures belong to its own end."""
        if flow.energy.power is None:
            return _Frozen.at(flow, at, dt).moved(pi)
        potential, now, spent = flow.energy.potential(at, at.points), pi, 0.0
        for axis in axes_of(pi.grid):
            end, change = now, np.inf
            for _ in range(self.limit):
                sweep = _Sweep.of(axis, potential, _face_temperature(flow, axis, end), dt)
                last, end = end, _kept(now, sweep.solve(now.values))
                change = float(np.sum(np.abs(end.values - last.values))) * pi.grid.cell_volume
                if change <= self.tolerance:
                    break
            else:
                raise self._stopped("the face temperatures", change, None)
            spent += sweep.dissipated(flow, end)
            now = end
        return now, spent

    def _stopped(self, what: str, change: float, time: float | None) -> NotConverged:
        where = "" if time is None else f" at t = {time:g}"
        return NotConverged(
            f"{self}: the fixed point for {what} stopped at a change of {change:.3g} > {self.tolerance:g} in L1 after "
            f"{self.limit} iterations{where}; halve dt or raise `limit`",
            change,
        )


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
    """A density of the same mass; rounding of the solve (some 1e-16 a step) is scaled away, not more."""
    mass = float(values.sum()) * before.grid.cell_volume
    if abs(mass - before.mass) > 1e-12:
        raise LostDensity(
            f"ScharfetterGummel: the linear solve changed the mass by {mass - before.mass:.3g}; check V for overflow"
        )
    return Density(before.grid, values * (before.mass / mass))


@dataclass(frozen=True, eq=False)
class _Sweep:
    """Backward Euler along one axis for frozen V: rho_new + dt div J[rho_new] = rho, an exchange, in factors.

    rise: V_{i+1} - V_i at the faces.   out, back: dt (s/h^2) B(d/s) and dt (s/h^2) B(-d/s).
    """

    axis: Axis
    rise: Array
    out: Array
    back: Array
    matrix: Factors | CyclicFactors | Lines | CyclicLines

    @classmethod
    def of(cls, axis: Axis, potential: Array, warm: Array | float, dt: float) -> "_Sweep":
        """For V (m,) and face temperatures."""
        rise = axis.difference(axis.lined(potential))
        share, slope = dt / axis.width**2 * warm, rise / warm
        out, back = share * bernoulli(slope), share * bernoulli(-slope)
        if axis.before == axis.after == 1:
            return cls(axis, rise, out, back, exchange(out.ravel(), back.ravel(), axis.cyclic))
        along = exchange_lines(_rows(out), _rows(back), axis.cyclic)
        return cls(axis, rise, out, back, along)

    def solve(self, values: Array) -> Array:
        """rho_new (m,)."""
        if isinstance(self.matrix, Factors | CyclicFactors):
            return self.matrix.solve(values)
        lined = self.axis.lined(values)
        solved = self.matrix.solve(_rows(lined)).reshape(self.axis.cells, self.axis.before, self.axis.after)
        return np.ascontiguousarray(np.swapaxes(solved, 0, 1)).ravel()

    def dissipated(self, flow: Flow, new: Density) -> float:
        """dt sum J (-jump(V + T log rho + U')) |cell|/h, each summand nonnegative."""
        left, right = self.axis.sides(self.axis.lined(new.values))
        force = self.rise.copy()
        if flow.energy.temperature:
            force += flow.energy.temperature * self.axis.log_jump(new)
        if flow.energy.power is not None:
            force += self.axis.difference(self.axis.lined(flow.energy.power.slope(new.values)))
        return float(np.vdot(self.back * right - self.out * left, force)) * new.grid.cell_volume


def _rows(lined: Array) -> Array:
    """(before, k, after) as (k, before * after)."""
    return np.swapaxes(lined, 0, 1).reshape(lined.shape[1], -1)


@dataclass(frozen=True, eq=False)
class _Frozen(Recomputable):
    """The sweeps of all axes for one V, temperature and dt.

    Where V does not depend on pi one such object serves all steps of one length; made anew it has the same bits.
    """

    flow: Flow
    grid: Grid
    dt: float
    sweeps: tuple[_Sweep, ...]

    @classmethod
    def at(cls, flow: Flow, pi: Density, dt: float) -> "_Frozen":
        """With V = V[pi]."""
        potential, warm = flow.energy.potential(pi, pi.points), flow.energy.temperature
        return cls(flow, pi.grid, dt, tuple(_Sweep.of(axis, potential, warm, dt) for axis in axes_of(pi.grid)))

    def serves(self, flow: Flow, grid: Grid, dt: float) -> bool:
        """Whether these are the factors for that step, V being fixed."""
        return self.dt == dt and self.flow is flow and self.grid is grid

    def moved(self, pi: Density) -> tuple[Density, float]:
        """rho_new >= 0 and what the sweeps dissipated."""
        now, spent = pi, 0.0
        for sweep in self.sweeps:
            now = _kept(now, sweep.solve(now.values))
            spent += sweep.dissipated(self.flow, now)
        return now, spent


def bernoulli(x: Array) -> Array:
    """x / (e^x - 1), 1 at 0, without cancellation or overflow (B(-x) = B(x) + x would cancel)."""
    small = np.abs(x) < 1e-8
    safe = np.where(small, 1.0, np.minimum(x, 700.0))
    return np.where(small, 1.0 - 0.5 * x, safe / np.expm1(safe))
