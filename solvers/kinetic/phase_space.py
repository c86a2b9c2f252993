"""This file owns the kinetic equation on a grid of phase space: cells of (w, v), moved without a CFL bound."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells
from solvers.kinetic._equation import check, equation, largest_step, refusal, speed_of
from wflow.arrays import Array, count, positive
from wflow.errors import Truncated
from wflow.flow import Flow, Window
from wflow.law import Gaussian
from wflow.measure import Density
from wflow.remap import contracted, shifted
from wflow.risk_dual.heat import heat
from wflow.solver import Order, Promise, Solver, State, Step
from wflow.watch import EDGE

_TAILS = 8.5
"""Standard deviations of velocities that the default reach has room for."""
_ROOM = 1.25
_FEWEST = 8
_SEEN = 1e-14
"""Mass of a cell from which on its fall counts for the default reach."""


@dataclass(frozen=True)
class PhaseSpace(Solver):
    """d_t mu + v d_w mu - V'[pi] d_v mu = friction d_v(v mu + T d_v mu) on cells x cells of (w, v); pi its marginal.

    Kicks and drifts move each line of cells by monotone maps of its cumulative mass (wflow.remap), friction draws lines
    of velocities together, and noise is the heat of cells, exp(t Laplace_h): positive, mass to rounding, no CFL bound.
    Walls turn v: a line and its mirror image are one ring. Order 2 in time and space at T > 0.
    speed: standard deviation of velocities at the start, None for sqrt(T); not 0, as cells have no rest.
    reach: velocities are kept in [-reach, reach]; None takes what a fall through V[pi_0] or friction allows.
    Energies of the run are H = F + T KL(mu | pi x N(0, T)), at T = 0 F + int v^2/2; dissipated: what friction and
    noise take of it. `phase_of` makes a density of a state.
    Raises Truncated where velocities come near +-reach or w near the walls of a window.
    """

    cells: int
    friction: float = 1.0
    speed: float | None = None
    reach: float | None = None
    window: Window | None = None
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density"]] = "density"
    remapping: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("PhaseSpace cells", self.cells, least=_FEWEST)
        check("PhaseSpace", self.friction, self.speed)
        if self.cells % 2:
            raise ValueError(
                f"PhaseSpace cells: {self.cells} is odd, and velocities come in pairs +-v; give an even one"
            )
        if self.reach is not None:
            positive("PhaseSpace reach", self.reach)

    @property
    def equation(self) -> tuple[object, ...]:
        return equation(self.friction, self.speed)

    def refined(self, factor: float) -> "PhaseSpace":
        """An even number of cells."""
        return replace(self, cells=max(_FEWEST, 2 * round(0.5 * self.cells * factor)))

    def order(self, flow: Flow) -> Order:
        """2 and 2 at T > 0, in time with cells refined along. Without noise velocities gather on a curve: 1/2 and 1.

        A move spreads a curve by some h, and friction draws it together: a width of h/(friction dt)^(1/2) remains.
        No identity is claimed at fixed cells: what moves smear is energy that friction did not take.
        """
        if not flow.energy.temperature:
            return Order(0.5, 1.0, identity=0.0)
        return Order(min(2.0, flow.energy.jumps), 2.0, identity=0.0)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and positivity."""
        return frozenset({"mass", "positivity"})

    def _refusal(self, flow: Flow) -> str | None:
        if not speed_of(flow, self.speed) > 0.0:
            return "cells of velocities have no rest; give speed > 0, or use HeavyBall"
        return refusal(flow) or refusal_of_cells(flow, self.window, axes=1)

    def energy(self, flow: Flow, state: State) -> float:
        """F of the marginal and what velocities add."""
        return flow.energy.explicit(state.measure) + self._moving(flow, state, _masses(state))

    def init(self, flow: Flow) -> State:
        pi = averages_of(flow, self.cells, self.window)
        speed = speed_of(flow, self.speed)
        reach = self.reach or self._reach(flow, pi, speed)
        edges = np.linspace(-reach, reach, self.cells + 1)
        across = Gaussian(0.0, speed).cell_masses(edges)
        phase = pi.weights[:, None] * (across / across.sum())
        return self._state(State(0.0, pi), 0.0, pi, phase, reach)

    def _reach(self, flow: Flow, pi: Density, speed: float) -> float:
        """Tails, and the speed of a fall from where mass is to the bottom of V, or against friction if that is less."""
        w = pi.grid.centres
        v, slope = flow.energy.potential(pi, w), np.abs(flow.energy.velocity(pi, w)[:, 0])
        seen = pi.weights > _SEEN
        fall = math.sqrt(2.0 * max(float(v[seen].max() - v.min()), 0.0))
        against = float(slope[seen].max()) / self.friction
        needed = _TAILS * max(speed, math.sqrt(flow.energy.temperature)) + _ROOM * min(fall, against)
        return needed * self.cells / (self.cells - 4)  # two cells at either end are to stay empty

    def _state(self, before: State, dt: float, pi: Density, phase: Array, reach: float) -> State:
        """With the marginal of phase, or Truncated where velocities come near the reach."""
        edge = float(phase[:, :2].sum() + phase[:, -2:].sum())
        if not edge <= EDGE:
            raise Truncated(
                f"{self}: {edge:.3g} of the mass has velocities within two cells of +-{reach:.4g} at "
                f"t = {before.time + dt:g}; allowed: {EDGE:g}. Pass a larger PhaseSpace reach"
            )
        marginal = Density(pi.grid, phase.sum(axis=1) / pi.grid.cell_volume)
        if not dt:
            return State(before.time, marginal, memory={"phase": phase, "reach": reach})
        return before.after(dt, marginal, phase=phase, reach=reach)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi, phase, reach = state.measure, _masses(state), float(state.memory["reach"])  # type: ignore[arg-type]
        assert isinstance(pi, Density)
        phase = self._kicked(flow, pi, phase, reach, dt)
        phase = self._drifted(pi, phase, reach, dt)
        before = self._moving(flow, state, phase)
        phase = self._rubbed(flow, phase, reach, dt)
        spent = before - self._moving(flow, state, phase)
        phase = self._drifted(pi, phase, reach, dt)
        there = Density(pi.grid, phase.sum(axis=1) / pi.grid.cell_volume)
        phase = self._kicked(flow, there, phase, reach, dt)
        return Step(self._state(state, dt, pi, phase, reach), dissipated=spent)

    def _kicked(self, flow: Flow, pi: Density, phase: Array, reach: float, dt: float) -> Array:
        """Half a kick: each column of velocities moves by -V' dt/2."""
        force = flow.energy.velocity(pi, pi.grid.centres)[:, 0]
        return shifted(phase.T, 0.5 * dt * force / self._width(reach)).T

    def _drifted(self, pi: Density, phase: Array, reach: float, dt: float) -> Array:
        """Half a drift: each row of places moves by v dt/2, round the circle or, with its mirror image, in a box."""
        cells = 0.5 * dt * self._speeds(reach) / pi.grid.widths[0]
        if pi.domain.is_circle:
            return shifted(phase, cells)
        n, half = len(phase), self.cells // 2
        ring = shifted(np.concatenate([phase[:, half:], phase[::-1, half - 1 :: -1]]), cells[half:])
        return np.concatenate([ring[: n - 1 : -1, ::-1], ring[:n]], axis=1)

    def _rubbed(self, flow: Flow, phase: Array, reach: float, dt: float) -> Array:
        """Friction and noise for dt: v to e^(-friction dt) v, then heat of the variance T (1 - e^(-2 friction dt))."""
        slower = math.exp(-self.friction * dt)
        drawn = contracted(phase.T, slower).T
        temperature = flow.energy.temperature
        if not temperature:
            return drawn
        variance = temperature * (1.0 - slower * slower)
        return np.asarray(drawn @ heat(self.cells, False, 0.5 * variance / self._width(reach) ** 2).kernel)

    def _moving(self, flow: Flow, state: State, phase: Array) -> float:
        """int v^2/2 dmu, at T > 0 T int mu log(mu/M) with the Gaussian M = N(0, T) on the middles of cells.

        With sums for M's norm H >= F holds for cells as they are (Gibbs's inequality), with sqrt(2 pi T) but for h^2.
        """
        reach, pi = float(state.memory["reach"]), state.measure  # type: ignore[arg-type]
        assert isinstance(pi, Density)
        temperature, squares = flow.energy.temperature, self._speeds(reach) ** 2
        kinetic = 0.5 * float(phase.sum(axis=0) @ squares)
        if not temperature:
            return kinetic
        held = phase[phase > 0.0]
        entropy = float(held @ np.log(held / pi.grid.cell_volume))
        norm = float(np.sum(np.exp(-0.5 * squares / temperature)))
        return kinetic + temperature * (entropy + math.log(norm))

    def _width(self, reach: float) -> float:
        return 2.0 * reach / self.cells

    def _speeds(self, reach: float) -> Array:
        """The middles of cells of velocities."""
        return np.asarray((np.arange(self.cells) + 0.5) * self._width(reach) - reach)

    def largest_step(self, flow: Flow, state: State) -> float:
        """1.9/omega, omega^2 = max|V''| + coupling: of kicks and drifts, whatever the cells."""
        return largest_step(flow, state)


def _masses(state: State) -> Array:
    """The masses (n, n) of the cells of (w, v)."""
    phase = state.memory["phase"]
    assert isinstance(phase, np.ndarray)
    return phase
