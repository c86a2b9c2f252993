"""This file owns the watch over a run: what is kept of it, and the promises checked as it goes."""

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np

from wflow.arrays import Array
from wflow.course import SLACK
from wflow.errors import Concentrated, EnergyRose, Truncated
from wflow.flow import Flow
from wflow.measure import Density, Measure, Quantiles
from wflow.mesh_density import MeshDensity
from wflow.pace import SHORTEST
from wflow.part import Part
from wflow.reached import Kept, Reached, parted
from wflow.signed_density import SignedDensity
from wflow.solver import Solver, State, Step
from wflow.trajectory import Trajectory

EDGE = 1e-10
"""Most mass within two cells of a wall that stands for infinity: beyond, the run is refused."""
_CORE = 0.1
"""Of all mass: what a cell may hold where a density is said to be the largest. Beyond, a peak is as wide as a cell."""


@dataclass(frozen=True, eq=False)
class Watch:
    """From one Reached to the next."""

    flow: Flow
    solver: Solver
    keeps_energy: bool
    slack: float
    start: Reached

    @classmethod
    def over(cls, flow: Flow, solver: Solver, plan: str) -> "Watch":
        """A run at its start, time 0 kept."""
        state = solver.init(flow)
        energy = solver.energy(flow, state)
        slack = SLACK * max(1.0, abs(energy) if math.isfinite(energy) else 1.0)
        first = Kept(state.measure, state.time, energy, 0.0, math.inf, 0.0, _edge(flow, solver, state))
        start = Reached(plan + _limits(flow, state.measure), state, energy, 0.0, math.inf, 0.0, first)
        watch = cls(flow, solver, "energy" in solver.keeps(flow), slack, start)
        watch._resolved(state)
        return watch

    def resumed(self, found: Reached | None) -> Reached:
        """Where the run is to go on: at what was found, ValueError if that is another run, or else at the start."""
        if found is None:
            return self.start
        start = self.start.state.measure
        if isinstance(start, MeshDensity) and isinstance(start.mesh, Part):
            found = parted(found, start.mesh)
        mine, its = self.start.last, found.kept[0]
        if found.plan != self.start.plan:
            raise ValueError(f"store: it keeps {found.plan}; this run is {self.start.plan}: give it a store of its own")
        pairs = [(mine.energy, its.energy)]
        pairs += [(getattr(mine.measure, name), getattr(its.measure, name)) for name in ("points", "weights")]
        if not all(_alike(a, b) for a, b in pairs):
            raise ValueError("store: it keeps a run with another start or energy; give this one a store of its own")
        return found

    def after(self, now: Reached, step: Step, target: float) -> Reached:
        """One accepted step further, the promised energy decrease checked first."""
        new = step.state
        if abs(new.time - target) <= SHORTEST * self.flow.horizon:
            new = replace(new, time=target)
        dt = new.time - now.state.time
        self._resolved(new)
        return Reached(
            now.plan,
            new,
            self._lowered(now, new, dt) if self.keeps_energy else now.energy,
            math.nan if step.dissipated is None else now.dissipated + step.dissipated,
            min(now.smallest, dt),
            max(now.residual, step.residual),
            now.last,
            step.dual,
            now.fallbacks + float(step.fallback),
            now.coarse + float(step.coarse),
        )

    def _resolved(self, new: State) -> None:
        """Concentrated where cells hold more than the flow allows, or where one holds too much of all mass."""
        pi, most = new.measure, self.flow.densest
        if not isinstance(pi, Density | MeshDensity) or not math.isfinite(most):
            return
        found = pi.ranks.most(float(pi.values.max()))
        grown = "starts at" if not new.count else "has grown to"
        if not found <= most:
            raise Concentrated(
                f"{self.solver}: the density {grown} {found:.4g} > {most:g} at t = {new.time:.6g}; it blows up, "
                "or raise Flow.densest and use more cells"
            )
        if isinstance(pi, Density) and found * pi.grid.cell_volume > _CORE * pi.mass:
            raise Concentrated(
                f"{self.solver}: the density {grown} {found:.4g} at t = {new.time:.6g}, more than a tenth of all mass "
                f"in one cell: {_CORE * pi.mass / pi.grid.cell_volume:.4g} is the most that cells of "
                f"{pi.grid.widths.tolist()} resolve; it blows up, use more cells to come nearer to {most:g}"
            )

    def _lowered(self, now: Reached, new: State, dt: float) -> float:
        """F at the new state, or EnergyRose."""
        energy = self.solver.energy(self.flow, new)
        if not energy <= now.energy + self.slack:
            raise EnergyRose(
                f"{self.solver}: the energy rose from {now.energy:.15g} to {energy:.15g} in step {new.count} "
                f"(t = {now.state.time:g}, dt = {dt:.3g}); use a shorter step, say dt = {dt / 4:.2g}"
            )
        return energy

    def saved(self, now: Reached) -> Reached:
        """The present state kept, a new stretch begun."""
        pi = now.state.measure
        energy = now.energy if self.keeps_energy else self.solver.energy(self.flow, now.state)
        edge = _edge(self.flow, self.solver, now.state)
        kept = Kept(
            pi, now.state.time, energy, now.dissipated, now.smallest, now.residual, edge, now.dual, now.fallbacks,
            now.coarse, now.last,
        )  # fmt: skip
        return replace(now, smallest=math.inf, residual=0.0, fallbacks=0.0, coarse=0.0, last=kept)

    def trajectory(self, now: Reached) -> Trajectory:
        """What `solve` returns."""
        kept = now.kept
        columns = {
            name: np.array([getattr(k, name) for k in kept])
            for name in ("time", "energy", "dissipated", "step", "residual", "edge", "dual", "fallbacks", "coarse")
        }
        diagnostics = {
            "step": columns["step"],
            "residual": columns["residual"],
            "edge": columns["edge"],
            "fallbacks": columns["fallbacks"],
            "coarse": columns["coarse"],
            "mass": np.array([k.measure.mass for k in kept]),
            "least": np.array([least(k.measure) for k in kept]),
        }
        if np.any(np.isfinite(columns["dual"])):
            diagnostics["dual"] = columns["dual"]
        return Trajectory(
            self.flow, self.solver, columns["time"], tuple(k.measure.whole() for k in kept), columns["energy"],
            columns["dissipated"], diagnostics, now.state.count,
        )  # fmt: skip


def _alike(a: Array | float, b: Array | float) -> bool:
    """Equal but for the rounding of another machine."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)


def _edge(flow: Flow, solver: Solver, state: State) -> float:
    """The mass at walls that stand for infinity, or Truncated."""
    edge = flow.at_edges(state.measure)
    if not edge <= EDGE:
        raise Truncated(
            f"{solver}: {edge:.3g} of the mass lies within two cells of a wall that stands for infinity, at "
            f"t = {state.time:g}; allowed: {EDGE:g}. Widen the window or use more cells"
        )
    return edge


def least(pi: Measure) -> float:
    """The smallest density (cells, quantile gaps) or weight of a measure."""
    if isinstance(pi, Density | MeshDensity | SignedDensity):
        return pi.least
    if isinstance(pi, Quantiles):
        return float(1.0 / (len(pi.gaps) * pi.gaps.max()))
    return float(pi.weights.min())


def _limits(flow: Flow, pi: Measure) -> str:
    """What limits allow each cell, as a digest: F of a start does not tell one limit from another."""
    if not flow.energy.limits or not isinstance(pi, Density):
        return ""
    return f", limits of cells ({hashlib.sha256(flow.energy.bound(pi.grid).tobytes()).hexdigest()[:16]})"
