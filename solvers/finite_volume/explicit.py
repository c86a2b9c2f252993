"""This file owns explicit finite volumes: cell averages moved by upwind fluxes through faces.

rho' = -sum over axes (J_{i+1/2} - J_{i-1/2}) / h,     v_{i+1/2} = -(xi_{i+1} - xi_i) / h,     xi = V[pi] + U'(rho)

U is the Power term alone; entropy is a centred diffusion flux, since log rho in a velocity breaks the CFL bound in
tails. Domains of one to three axes; frozen axes carry no faces.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, compiled, refusal_of_cells, space_order
from solvers.finite_volume.faces import Axis, axes_of, nonnegative
from wflow.arrays import Array, count, rounded_down
from wflow.errors import StepTooLarge
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step, explicit_bound

if TYPE_CHECKING:
    from solvers.finite_volume.fused import Stage


@dataclass(frozen=True)
class _Explicit(Solver):
    """Common to explicit schemes."""

    cells: int
    window: Window | None = None
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    steepness: ClassVar[float] = 1.0
    """Largest ratio of a reconstructed face value to its cell average: divides the CFL bound."""
    reconstructed: ClassVar[bool] = False
    """Whether face values are those of limited slopes."""

    def __post_init__(self) -> None:
        count(f"{type(self).__name__} cells", self.cells, least=4)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity under the CFL bound; without an internal term energy too (V is F's discrete gradient)."""
        return EVERY_PROMISE if not flow.energy.internal else frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        """More than three axes; an infinite axis without a window; laws without cell masses."""
        return refusal_of_cells(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def largest_step(self, flow: Flow, state: State) -> float:
        """min(positivity: 1/(2T/h^2 + outflow/h), 1/(2 max p'/h^2) of the Power term, 1/(max|V''| + coupling))."""
        pi = state.measure
        assert isinstance(pi, Density)
        drain = self._in_one_pass(flow, pi, 0.0).drain if compiled(pi.grid.size) else _drift(flow, pi).drain
        return min(self._positive_step(flow, pi, drain), _diffusive_step(flow, pi), explicit_bound(flow.energy, pi))

    def _positive_step(self, flow: Flow, pi: Density, drain: float) -> float:
        """1/(2T/h^2 + outflow/h), the outflow by velocities alone being `drain`."""
        rate = drain * self.steepness
        rate += sum(2.0 * flow.energy.temperature / axis.width**2 for axis in axes_of(pi.grid))
        return 1.0 / rate if rate > 0.0 else math.inf

    def _euler(self, flow: Flow, pi: Density, dt: float) -> tuple[Array, float]:
        """New averages (m,) by one forward Euler stage, and its dissipation dt sum |cell| J (v - T jump(log rho)/h)."""
        if compiled(pi.grid.size):
            stage = self._in_one_pass(flow, pi, dt)
            self._check(flow, pi, dt, stage.drain)
            return nonnegative(stage.new, stage.least), dt * pi.grid.cell_volume * stage.work
        drift = _drift(flow, pi)
        self._check(flow, pi, dt, drift.drain)
        new, spent = pi.values, 0.0
        for axis, v in zip(axes_of(pi.grid), drift.velocities, strict=True):
            flux, force = self._flux(flow.energy.temperature, pi, axis, v)
            new = new - dt * axis.divergence(flux)
            spent += float(np.vdot(flux, force))
        return nonnegative(new, float(new.min())), dt * pi.grid.cell_volume * spent

    def _check(self, flow: Flow, pi: Density, dt: float, drain: float) -> None:
        allowed = self._positive_step(flow, pi, drain)
        if dt > allowed * (1.0 + 1e-9):
            raise StepTooLarge(
                f"{self}: dt = {dt:.4g} is above the CFL bound {allowed:.4g}; pass dt <= {rounded_down(allowed)}",
                allowed,
            )

    def _in_one_pass(self, flow: Flow, pi: Density, dt: float) -> "Stage":
        """The compiled stage."""
        from solvers.finite_volume.fused import stage

        warm = flow.energy.temperature if dt else 0.0
        log = pi.logarithms if warm else pi.values
        return stage(pi.grid, pi.values, _driving(flow, pi), log, warm, bool(dt) and self.reconstructed, dt)

    def _flux(self, temperature: float, pi: Density, axis: Axis, v: Array) -> tuple[Array, Array]:
        """J through the faces of an axis, and the force that drives it."""
        left, right = face_values(pi.values, axis, limited=self.reconstructed)
        flux = np.maximum(v, 0.0) * left - np.maximum(-v, 0.0) * right
        if not temperature:
            return flux, v
        diffusion = temperature * axis.difference(axis.lined(pi.values)) / axis.width
        return flux - diffusion, v - temperature * axis.log_jump(pi) / axis.width


@dataclass(frozen=True, eq=False)
class _Drift:
    """Velocities at the faces of each axis, and the largest rate at which they empty a cell."""

    velocities: tuple[Array, ...]
    drain: float

    @classmethod
    def of(cls, flow: Flow, pi: Density) -> "_Drift":
        """By xi = V[pi] + U'(rho)."""
        axes, xi = axes_of(pi.grid), _driving(flow, pi)
        velocities = tuple(-axis.difference(axis.lined(xi)) / axis.width for axis in axes)
        outflow = sum(axis.outflow(v) for axis, v in zip(axes, velocities, strict=True))
        return cls(velocities, float(np.max(outflow)))


def _drift(flow: Flow, pi: Density) -> _Drift:
    """Found once for a grid where V does not depend on pi."""
    if flow.energy.interacting or flow.energy.power is not None:
        return _Drift.of(flow, pi)
    return _lasting_drift(flow, pi.grid)


@lru_cache(maxsize=4)
def _lasting_drift(flow: Flow, grid: Grid) -> _Drift:
    # whatever pi: V does not depend on it
    return _Drift.of(flow, Density(grid, np.full(grid.size, 1.0 / (grid.size * grid.cell_volume))))


def _driving(flow: Flow, pi: Density) -> Array:
    """xi = V[pi] + U'(rho) (m,)."""
    potential = flow.energy.potential(pi, pi.points)
    return potential if flow.energy.power is None else potential + flow.energy.power.slope(pi.values)


def _diffusive_step(flow: Flow, pi: Density) -> float:
    if flow.energy.power is None:
        return math.inf
    stiffness = float(flow.energy.power.stiffness(np.array([pi.values.max()]))[0])
    return 1.0 / sum(2.0 * stiffness / axis.width**2 for axis in axes_of(pi.grid))


@dataclass(frozen=True)
class Upwind(_Explicit):
    """First-order upwind flux J = v+ rho_i - v- rho_{i+1} (v at the face), forward Euler. Order (1, 1).

    Positive for dt <= 1/(2T/h^2 + outflow/h). Its numerical diffusion, a layer of width sqrt(h t), makes the order in
    space 1/2 in W2 from atoms and 3/4 from a density that jumps (T = 0).
    Source: Carrillo, Chertock & Huang 2015, Commun. Comput. Phys. 17(1), 233-258, first order, with entropy as centred
    diffusion.
    """

    def order(self, flow: Flow) -> Order:
        """(1, 1); without heat (1, (3 + q)/4) from a density that ends like (distance)^q: 3/4 a jump, 1/2 atoms."""
        return Order(1.0, space_order(flow, 1.0, 0.5))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Density)
        new, spent = self._euler(flow, pi, dt)
        return Step(state.after(dt, Density(pi.grid, new)), dissipated=spent)


@dataclass(frozen=True)
class Muscl(_Explicit):
    """Second-order upwind: linear reconstruction limited by the monotonised central slope, SSP Runge-Kutta of order 2.

    V is recomputed at each stage (frozen, it costs the order). A limited face value is at most twice its cell, so the
    CFL bound is half the upwind one. Order (2, 2) on smooth positive densities; at extrema the limiter clips. A layer
    is h^(2/3) t^(1/3) wide (the truncation error is a third derivative): order 1 in W2 from jumps, 2/3 from atoms.
    Source: Carrillo, Chertock & Huang 2015; van Leer 1977, J. Comput. Phys. 23, 276-299 (limiter).
    """

    steepness: ClassVar[float] = 2.0
    reconstructed: ClassVar[bool] = True

    def order(self, flow: Flow) -> Order:
        """(2, 2); without heat (2, (3 + q)/3) from a density that ends like (distance)^q: 1 a jump, 2/3 atoms.

        With a Power term and no heat space is 1 + min(1/2, 1/(m-1)): the density ends like (distance)^(1/(m-1)), and a
        scheme of second order is left 1 + 1/(m-1) there in L1.
        """
        power = None if flow.energy.temperature else flow.energy.power
        smooth = 2.0 if power is None else 1.0 + min(0.5, 1.0 / (power.exponent - 1.0))
        return Order(2.0, space_order(flow, smooth, 2.0 / 3.0))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, Density)
        first, spent = self._euler(flow, pi, dt)
        second, again = self._euler(flow, Density(pi.grid, first), dt)
        second += pi.values
        second *= 0.5
        return Step(state.after(dt, Density(pi.grid, second)), dissipated=0.5 * (spent + again))


def face_values(values: Array, axis: Axis, *, limited: bool) -> tuple[Array, Array]:
    """Of cell averages (m,) left and right of each face: the averages themselves, or with limited slopes."""
    lined = axis.lined(values)
    if not limited:
        return axis.sides(lined)
    half = 0.5 * limited_slopes(lined, axis)
    left, _ = axis.sides(lined + half)
    _, right = axis.sides(lined - half)
    return left, right


def limited_slopes(values: Array, axis: Axis) -> Array:
    """Monotonised central differences a lined cell: minmod(2 back, centre, 2 ahead); 0 at walls and extrema."""
    jump = axis.framed(axis.difference(values))
    back, ahead = jump[:, :-1], jump[:, 1:]
    # of the two bounds one is 0
    lowest = np.minimum(np.maximum(back, ahead), 0.0)
    highest = np.maximum(np.minimum(back, ahead), 0.0)
    return np.minimum(np.maximum(0.5 * (back + ahead), 2.0 * lowest), 2.0 * highest)
