"""This file owns explicit finite volumes: cell averages moved by upwind fluxes through faces.

rho' = -sum over axes (J_{i+1/2} - J_{i-1/2}) / h,     v_{i+1/2} = -(xi_{i+1} - xi_i) / h,     xi = V[pi] + U'(rho)

U is the Power term alone; entropy is a centred diffusion flux, since log rho in a velocity breaks the CFL bound in
tails. Domains of one to three axes; frozen axes carry no faces.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells, space_order
from solvers.finite_volume.faces import Axis, axes_of, nonnegative
from wflow.arrays import Array, count, rounded_down
from wflow.errors import StepTooLarge
from wflow.flow import Flow, Window
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step, explicit_bound


@dataclass(frozen=True)
class _Explicit(Solver):
    """Common to explicit schemes."""

    cells: int
    window: Window | None = None
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    steepness: ClassVar[float] = 1.0
    """Largest ratio of a reconstructed face value to its cell average: divides the CFL bound."""

    def __post_init__(self) -> None:
        count(f"{type(self).__name__} cells", self.cells, least=4)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity under the CFL bound; without an internal term energy too (V is F's discrete gradient)."""
        return EVERY_PROMISE if not flow.energy.internal else frozenset({"mass", "positivity"})

    def refusal(self, flow: Flow) -> str | None:
        """More than three axes; an infinite axis without a window; laws without cell masses."""
        return refusal_of_cells(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def largest_step(self, flow: Flow, state: State) -> float:
        """min(positivity: 1/(2T/h^2 + outflow/h), 1/(2 max p'/h^2) of the Power term, 1/(max|V''| + coupling))."""
        pi = state.measure
        assert isinstance(pi, Density)
        axes = axes_of(pi.grid)
        positive = self._positive_step(flow, axes, self._velocities(flow, pi, axes))
        return min(positive, self._diffusive_step(flow, pi, axes), explicit_bound(flow.energy, pi))

    def _velocities(self, flow: Flow, pi: Density, axes: tuple[Axis, ...]) -> list[Array]:
        """At the faces of each axis."""
        xi = flow.energy.potential(pi, pi.points)
        if flow.energy.power is not None:
            xi = xi + flow.energy.power.slope(pi.values)
        return [-axis.difference(axis.lined(xi)) / axis.width for axis in axes]

    def _positive_step(self, flow: Flow, axes: tuple[Axis, ...], velocities: list[Array]) -> float:
        outflow = sum(axis.outflow(v) for axis, v in zip(axes, velocities, strict=True))
        drain = float(np.max(outflow)) * self.steepness
        drain += sum(2.0 * flow.energy.temperature / axis.width**2 for axis in axes)
        return 1.0 / drain if drain > 0.0 else math.inf

    def _diffusive_step(self, flow: Flow, pi: Density, axes: tuple[Axis, ...]) -> float:
        if flow.energy.power is None:
            return math.inf
        stiffness = float(flow.energy.power.stiffness(np.array([pi.values.max()]))[0])
        return 1.0 / sum(2.0 * stiffness / axis.width**2 for axis in axes)

    def _euler(self, flow: Flow, pi: Density, dt: float) -> tuple[Density, float]:
        """One forward Euler stage and its dissipation dt sum |cell| J (v - T jump(log rho)/h)."""
        axes = axes_of(pi.grid)
        velocities = self._velocities(flow, pi, axes)
        allowed = self._positive_step(flow, axes, velocities)
        if dt > allowed * (1.0 + 1e-9):
            raise StepTooLarge(
                f"{self}: dt = {dt:.4g} is above the CFL bound {allowed:.4g}; pass dt <= {rounded_down(allowed)}",
                allowed,
            )
        new, spent = pi.values, 0.0
        for axis, v in zip(axes, velocities, strict=True):
            flux, force = self._flux(flow.energy.temperature, pi, axis, v)
            new = new - dt * axis.divergence(flux)
            spent += float(np.vdot(flux, force))
        return Density(pi.grid, nonnegative(new)), dt * pi.grid.cell_volume * spent

    def _flux(self, temperature: float, pi: Density, axis: Axis, v: Array) -> tuple[Array, Array]:
        """J through the faces of an axis, and the force that drives it."""
        left, right = self._face_values(axis.lined(pi.values), axis)
        flux = np.maximum(v, 0.0) * left - np.maximum(-v, 0.0) * right
        if not temperature:
            return flux, v
        diffusion = temperature * axis.difference(axis.lined(pi.values)) / axis.width
        return flux - diffusion, v - temperature * axis.log_jump(pi) / axis.width

    def _face_values(self, values: Array, axis: Axis) -> tuple[Array, Array]:
        return axis.sides(values)


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
        return Step(state.after(dt, new), dissipated=spent)


@dataclass(frozen=True)
class Muscl(_Explicit):
    """Second-order upwind: linear reconstruction limited by the monotonised central slope, SSP Runge-Kutta of order 2.

    V is recomputed at each stage (frozen, it costs the order). A limited face value is at most twice its cell, so the
    CFL bound is half the upwind one. Order (2, 2) on smooth positive densities; at extrema the limiter clips. A layer
    is h^(2/3) t^(1/3) wide (the truncation error is a third derivative): order 1 in W2 from jumps, 2/3 from atoms.
    Source: Carrillo, Chertock & Huang 2015; van Leer 1977, J. Comput. Phys. 23, 276-299 (limiter).
    """

    steepness: ClassVar[float] = 2.0

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
        second, again = self._euler(flow, first, dt)
        new = Density(pi.grid, 0.5 * (pi.values + second.values))
        return Step(state.after(dt, new), dissipated=0.5 * (spent + again))

    def _face_values(self, values: Array, axis: Axis) -> tuple[Array, Array]:
        half = 0.5 * limited_slopes(values, axis)
        left, _ = axis.sides(values + half)
        _, right = axis.sides(values - half)
        return left, right


def limited_slopes(values: Array, axis: Axis) -> Array:
    """Monotonised central differences a lined cell: minmod(2 back, centre, 2 forward); 0 at walls and extrema."""
    jump = axis.difference(values)
    back, ahead = axis.at_left(jump), axis.at_right(jump)
    size = np.minimum(2.0 * np.minimum(np.abs(back), np.abs(ahead)), 0.5 * np.abs(back + ahead))
    return np.where(back * ahead > 0.0, np.sign(ahead) * size, 0.0)
