"""This file owns finite volumes in one dimension: cell averages moved by fluxes through faces.

rho_i' = -(J_{i+1/2} - J_{i-1/2}) / h,      v_{i+1/2} = -(V_{i+1} - V_i) / h,      V = V[pi] at the centres

|    0    |    1    |  ...  |   m-1   |      face f stands between cells f and f+1; m-1 inner faces (walls carry no
          f=0       f=1                      flux), or m faces on the circle, the last one between m-1 and 0
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers._tridiagonal import CyclicFactors, Factors, exchange
from wflow.arrays import Array, count, positive, rounded_down
from wflow.errors import LostDensity, NotConverged, StepTooLarge
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step, explicit_bound

_OUTSIDE = 1e-6
_WALL = np.zeros(1)


def _start(flow: Flow, cells: int, window: tuple[float, float] | None) -> Density:
    """Exact cell averages of the law; what lies outside a window (at most 1e-6) is scaled away."""
    grid = flow.grid(cells, window)
    values = flow.initial.averages(grid)
    outside = 1.0 - float(values.sum()) * grid.cell_volume
    if abs(outside) > _OUTSIDE:
        raise ValueError(
            f"window: {grid.domain.lower[0]:g}..{grid.domain.upper[0]:g} leaves {outside:.3g} of the mass outside, "
            f"allowed: {_OUTSIDE:g}; widen it"
        )
    return Density(grid, np.maximum(values, 0.0) / (1.0 - outside))


def _refusal(flow: Flow, window: tuple[float, float] | None) -> str | None:
    if flow.domain.dim != 1:
        return f"the domain has {flow.domain.dim} axes; this method takes one, use particles"
    if flow.domain.periodic[0] and not flow.domain.is_circle:
        return f"the periodic axis has length {flow.domain.lengths[0]:g}, not 2 pi; scale it to the circle"
    if not flow.initial.has_quantile:
        return "the initial law gives no cell masses; give one with a cdf"
    if flow.domain.bounded and window is not None:
        return f"window {window} belongs to an infinite axis and this domain is bounded; leave the window out"
    if not flow.domain.bounded and flow.window is None and window is None:
        return "an infinite axis needs a window; set Flow(window=(lower, upper)) or the solver's own"
    return None


def _difference(cells: Array, cyclic: bool) -> Array:
    """cell right of each face minus cell left of it."""
    left, right = _sides(cells, cyclic)
    return right - left


def _sides(cells: Array, cyclic: bool) -> tuple[Array, Array]:
    """Values left and right of each face."""
    return (cells, np.concatenate((cells[1:], cells[:1]))) if cyclic else (cells[:-1], cells[1:])


def _at_right(faces: Array, cyclic: bool) -> Array:
    """(m,) value at the face right of each cell, 0 at a wall."""
    return faces if cyclic else np.concatenate((faces, _WALL))


def _at_left(faces: Array, cyclic: bool) -> Array:
    """(m,) value at the face left of each cell, 0 at a wall."""
    return np.concatenate((faces[-1:], faces[:-1]) if cyclic else (_WALL, faces))


def _divergence(flux: Array, h: float, cyclic: bool) -> Array:
    """(J_{i+1/2} - J_{i-1/2}) / h; nothing passes a wall."""
    return (_at_right(flux, cyclic) - _at_left(flux, cyclic)) / h


def _outflow(velocity: Array, cyclic: bool) -> Array:
    """Speed at which each cell empties: v+ at its right face plus v- at its left face."""
    return _at_right(np.maximum(velocity, 0.0), cyclic) + _at_left(np.maximum(-velocity, 0.0), cyclic)


def _log_jump(pi: Density, cyclic: bool) -> Array:
    """log rho jump across each face; 0 beside an empty cell, whose flux is then given in full elsewhere."""
    jump = _difference(pi.logarithms, cyclic)
    if pi.least > 0.0:
        return jump
    left, right = _sides(pi.values, cyclic)
    return np.where((left > 0.0) & (right > 0.0), jump, 0.0)


@dataclass(frozen=True)
class _Explicit(Solver):
    """Common to explicit schemes: the drift by V alone, entropy as a centred diffusion flux."""

    cells: int
    window: tuple[float, float] | None = None
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    steepness: ClassVar[float] = 1.0
    """Largest ratio of a reconstructed face value to its cell average: divides the CFL bound."""

    def __post_init__(self) -> None:
        count(f"{type(self).__name__} cells", self.cells, least=4)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity under the CFL bound; without entropy energy too (the discrete V is F's gradient)."""
        return EVERY_PROMISE if not flow.energy.internal else frozenset({"mass", "positivity"})

    def refusal(self, flow: Flow) -> str | None:
        """Domains of more than one axis; an infinite axis without a window; laws without cell masses."""
        return _refusal(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, _start(flow, self.cells, self.window))

    def largest_step(self, flow: Flow, state: State) -> float:
        """min(positivity: 1/(2T/h^2 + outflow/h), 1/(max|V''| + coupling))."""
        pi = state.measure
        assert isinstance(pi, Density)
        return min(self._positive_step(flow, pi.grid, self._face_velocity(flow, pi)), explicit_bound(flow.energy, pi))

    def _face_velocity(self, flow: Flow, pi: Density) -> Array:
        cyclic = pi.domain.is_circle
        return -_difference(flow.energy.potential(pi, pi.points), cyclic) / float(pi.grid.widths[0])

    def _positive_step(self, flow: Flow, grid: Grid, velocity: Array) -> float:
        h = float(grid.widths[0])
        drain = float(np.max(_outflow(velocity, grid.domain.is_circle))) * self.steepness / h
        drain += 2.0 * flow.energy.temperature / h**2
        return 1.0 / drain if drain > 0.0 else math.inf

    def _euler(self, flow: Flow, pi: Density, dt: float) -> tuple[Density, float]:
        """One forward Euler stage and its dissipation sum h J (v - T jump(log rho)/h) dt."""
        h, cyclic = float(pi.grid.widths[0]), pi.domain.is_circle
        v = self._face_velocity(flow, pi)
        allowed = self._positive_step(flow, pi.grid, v)
        if dt > allowed * (1.0 + 1e-9):
            raise StepTooLarge(
                f"{self}: dt = {dt:.4g} is above the CFL bound {allowed:.4g}; pass dt <= {rounded_down(allowed)}",
                allowed,
            )
        temperature = flow.energy.temperature
        left, right = self._face_values(pi, cyclic)
        flux = np.maximum(v, 0.0) * left - np.maximum(-v, 0.0) * right
        force = v
        if temperature:
            flux = flux - temperature * _difference(pi.values, cyclic) / h
            force = v - temperature * _log_jump(pi, cyclic) / h
        new = pi.values - dt * _divergence(flux, h, cyclic)
        return Density(pi.grid, _nonnegative(new)), dt * h * float(flux @ force)

    def _face_values(self, pi: Density, cyclic: bool) -> tuple[Array, Array]:
        return _sides(pi.values, cyclic)


def _nonnegative(values: Array) -> Array:
    """Zero for negatives at rounding (a cell emptied exactly); anything more is refused."""
    lowest = float(values.min())
    if lowest >= 0.0:
        return values
    if lowest < -1e-14 * float(values.max()):
        worst = int(np.argmin(values))
        raise LostDensity(f"finite volumes: density {lowest:.3g} at cell {worst}, allowed: >= 0; shorten the step")
    return np.maximum(values, 0.0)


@dataclass(frozen=True)
class Upwind(_Explicit):
    """First-order upwind flux J = v+ rho_i - v- rho_{i+1} (v at the face), forward Euler. Order (1, 1).

    Positive for dt <= 1/(2T/h^2 + outflow/h). Source: Carrillo, Chertock & Huang 2015, Commun. Comput. Phys. 17(1),
    233-258, first order, with entropy as centred diffusion.
    """

    def order(self, flow: Flow) -> Order:
        """(1, 1)."""
        return Order(1.0, 1.0)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Density)
        new, spent = self._euler(flow, pi, dt)
        return Step(state.after(dt, new), dissipated=spent)


@dataclass(frozen=True)
class Muscl(_Explicit):
    """Second-order upwind: linear reconstruction limited by the monotonised central slope, SSP Runge-Kutta of order 2.

    V is recomputed at each stage (frozen, it costs the order). A limited face value is at most twice its cell, so the
    CFL bound is half the upwind one. Order (2, 2) on smooth positive densities; at extrema the limiter clips.
    Source: Carrillo, Chertock & Huang 2015; van Leer 1977, J. Comput. Phys. 23, 276-299 (limiter).
    """

    steepness: ClassVar[float] = 2.0

    def order(self, flow: Flow) -> Order:
        """(2, 2)."""
        return Order(2.0, 2.0)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Density)
        first, spent = self._euler(flow, pi, dt)
        second, again = self._euler(flow, first, dt)
        new = Density(pi.grid, 0.5 * (pi.values + second.values))
        return Step(state.after(dt, new), dissipated=0.5 * (spent + again))

    def _face_values(self, pi: Density, cyclic: bool) -> tuple[Array, Array]:
        half = 0.5 * limited_slopes(pi.values, cyclic)
        left, _ = _sides(pi.values + half, cyclic)
        _, right = _sides(pi.values - half, cyclic)
        return left, right


def limited_slopes(values: Array, cyclic: bool) -> Array:
    """Monotonised central differences a cell: minmod(2 back, centre, 2 forward); 0 at walls and extrema."""
    jump = _difference(values, cyclic)
    back, ahead = _at_left(jump, cyclic), _at_right(jump, cyclic)
    size = np.minimum(2.0 * np.minimum(np.abs(back), np.abs(ahead)), 0.5 * np.abs(back + ahead))
    return np.where(back * ahead > 0.0, np.sign(ahead) * size, 0.0)


@dataclass(frozen=True)
class ScharfetterGummel(Solver):
    """Implicit exponentially fitted fluxes for temperature T > 0: keeps the Gibbs density e^{-V/T} exactly.

    J_{i+1/2} = (T/h) [B(d) rho_i - B(-d) rho_{i+1}],  d = (V_{i+1} - V_i)/T,  B(x) = x/(e^x - 1),  backward Euler.
    V is taken at the mean of both ends of the step, (pi + pi_new)/2, by fixed point: for quadratic F the energy then
    decreases for every dt. Order (1, 2). Raises NotConverged if the fixed point misses `tolerance`.
    Sources: Scharfetter & Gummel 1969, IEEE Trans. Electron Devices 16, 64-77; Schlichting & Seis 2022, IMA J. Numer.
    Anal. 42(3), 2361-2402 (aggregation with the mean of both ends).
    """

    cells: int
    window: tuple[float, float] | None = None
    tolerance: float = 1e-12
    limit: int = 100
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"

    def __post_init__(self) -> None:
        count("ScharfetterGummel cells", self.cells, least=4)
        positive("ScharfetterGummel tolerance", self.tolerance)
        count("ScharfetterGummel limit", self.limit)

    def order(self, flow: Flow) -> Order:
        """(1, 2)."""
        return Order(1.0, 2.0)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and energy for every dt."""
        return EVERY_PROMISE

    def refusal(self, flow: Flow) -> str | None:
        """Temperature 0 (the fluxes fall back to first-order upwind), more than one axis, no window."""
        if not flow.energy.temperature:
            return "the temperature is 0, where exponential fitting is plain upwind; use Upwind or Muscl"
        return _refusal(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, _start(flow, self.cells, self.window))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Density)
        if not flow.energy.interacting:
            frozen = state.memory.get("frozen")
            if not (isinstance(frozen, _Frozen) and frozen.serves(flow, pi.grid, dt)):
                frozen = _Frozen.at(flow, pi, dt)
            new = frozen.moved(pi)
            return Step(state.after(dt, new, frozen=frozen), frozen.dissipated(new))
        new, change = pi, 0.0
        for _ in range(self.limit):
            frozen = _Frozen.at(flow, Density(pi.grid, 0.5 * (pi.values + new.values)), dt)
            last, new = new, frozen.moved(pi)
            change = float(np.sum(np.abs(new.values - last.values))) * pi.grid.cell_volume
            if change <= self.tolerance:
                return Step(state.after(dt, new), frozen.dissipated(new), residual=change)
        raise NotConverged(
            f"{self}: the fixed point for V stopped at a change of {change:.3g} > {self.tolerance:g} in L1 after "
            f"{self.limit} iterations at t = {state.time:g}; halve dt or raise `limit`",
            change,
        )


@dataclass(frozen=True, eq=False)
class _Frozen:
    """Backward Euler for frozen V: rho_new + dt div J[rho_new] = rho, an exchange between neighbours, in factors.

    rise: d = (V_{i+1} - V_i)/T at the faces.   out, back: dt (T/h) B(d) and dt (T/h) B(-d).
    Where V does not depend on pi one such object serves all steps of one length; made anew it has the same bits.
    """

    flow: Flow
    grid: Grid
    dt: float
    rise: Array
    out: Array
    back: Array
    matrix: Factors | CyclicFactors

    @classmethod
    def at(cls, flow: Flow, pi: Density, dt: float) -> "_Frozen":
        """With V = V[pi]."""
        grid, cyclic, temperature = pi.grid, pi.domain.is_circle, flow.energy.temperature
        h = float(grid.widths[0])
        rise = _difference(flow.energy.potential(pi, pi.points), cyclic) / temperature
        share = dt * temperature / h
        out, back = share * bernoulli(rise), share * bernoulli(-rise)
        return cls(flow, grid, dt, rise, out, back, exchange(out / h, back / h, cyclic))

    def serves(self, flow: Flow, grid: Grid, dt: float) -> bool:
        """Whether these are the factors for that step, V being fixed."""
        return self.dt == dt and self.flow is flow and self.grid is grid

    def moved(self, pi: Density) -> Density:
        """rho_new >= 0. Its mass is the old one; rounding of the solve (some 1e-16 a step) is scaled away, not more."""
        values = self.matrix.solve(pi.values)
        mass = float(values.sum()) * self.grid.cell_volume
        if abs(mass - pi.mass) > 1e-12:
            raise LostDensity(
                f"ScharfetterGummel: the linear solve changed the mass by {mass - pi.mass:.3g}; check V for overflow"
            )
        return Density(self.grid, values * (pi.mass / mass))

    def dissipated(self, new: Density) -> float:
        """dt sum J (-jump(V + T log rho)), each summand nonnegative."""
        cyclic = new.domain.is_circle
        left, right = _sides(new.values, cyclic)
        force = self.rise + _log_jump(new, cyclic)
        return self.flow.energy.temperature * float((self.back * right - self.out * left).dot(force))


def bernoulli(x: Array) -> Array:
    """x / (e^x - 1), 1 at 0, without cancellation or overflow (B(-x) = B(x) + x would cancel)."""
    small = np.abs(x) < 1e-8
    safe = np.where(small, 1.0, np.minimum(x, 700.0))
    return np.where(small, 1.0 - 0.5 * x, safe / np.expm1(safe))
