"""This file owns the time loop of residual networks, with the verbs of `wflow.deep.solve`, and what it returns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wflow.arrays import Array, count, positive
from wflow.deep.loop import SLACK, saved_times
from wflow.deep.residual.flow import ResidualFlow
from wflow.deep.residual.net import ResidualNet
from wflow.deep.residual.solver import ResidualSolver, ResidualState, ResidualStep
from wflow.errors import EnergyRose, NotConverged


@dataclass(frozen=True, eq=False)
class ResidualTrajectory:
    """Saved times (k,) with their networks, F (k,), dissipation summed since 0 (k,); residuals (k,) and crossed (k,).

    residuals: the largest since the last saved time.   crossed: atoms whose partner was another, since 0.
    """

    flow: ResidualFlow
    solver: ResidualSolver
    times: Array
    networks: tuple[ResidualNet, ...]
    energies: Array
    dissipated: Array
    residuals: Array
    crossed: Array
    steps: int

    @property
    def final(self) -> ResidualNet:
        """The last network."""
        return self.networks[-1]


@dataclass(frozen=True, eq=False)
class _Reached:
    state: ResidualState
    energy: float
    dissipated: float = 0.0
    residual: float = 0.0
    crossed: int = 0


def solve(
    flow: ResidualFlow,
    solver: ResidualSolver,
    *,
    steps: int | None = None,
    dt: float | None = None,
    times: Sequence[float] | None = None,
    until: Callable[[ResidualState], bool] | None = None,
) -> ResidualTrajectory:
    """Solve a residual flow by a method; exactly one of steps, equal ones over the horizon, and dt, an upper bound.

    times: saved times (0 is always saved); 64 equal stretches otherwise.   until: asked after every step, ends the run.
    Raises EnergyRose where F rose by more than 1e-13 max(1, |F_0|), nan included; NotConverged from inner iterations
    and where a JKO step misses F + COT^2/(2 tau) <= F.
    """
    if not isinstance(flow, ResidualFlow) or not isinstance(solver, ResidualSolver):
        raise TypeError(f"solve: got {type(flow).__name__}, {type(solver).__name__}; pass a ResidualFlow and a method")
    if (steps is None) == (dt is None):
        raise ValueError(f"solve: steps = {steps!r} and dt = {dt!r}; give exactly one of them")
    longest = flow.horizon / count("steps", steps) if steps is not None else positive("dt", dt or 0.0)
    state = solver.init(flow)
    now = _Reached(state, state.energy(flow))
    kept, slack = [now], SLACK * max(1.0, abs(now.energy))
    for target in saved_times(times, flow.horizon, longest):
        now = _Reached(now.state, now.energy, now.dissipated, 0.0, now.crossed)
        pieces = max(1, math.ceil((target - now.state.time) / longest * (1.0 - 1e-9)))
        for left in range(pieces, 0, -1):
            now = _after(flow, solver, now, (target - now.state.time) / left, slack)
            if until is not None and until(now.state):
                return _trajectory(flow, solver, [*kept, now])
        kept.append(now)
    return _trajectory(flow, solver, kept)


def _after(flow: ResidualFlow, solver: ResidualSolver, now: _Reached, dt: float, slack: float) -> _Reached:
    """One step further, its promises looked at."""
    step: ResidualStep = solver.step(flow, now.state, dt)
    energy = step.state.energy(flow)
    if not energy <= now.energy + slack:
        raise EnergyRose(
            f"{solver}: F rose from {now.energy:.15g} to {energy:.15g} in step {step.state.count} "
            f"(t = {now.state.time:g}, dt = {dt:.3g}); use a shorter step, say dt = {dt / 4:.2g}"
        )
    if solver.variational and not energy + step.dissipated <= now.energy + slack:
        raise NotConverged(
            f"{solver}: F + COT^2/(2 tau) = {energy + step.dissipated:.15g} is above F = {now.energy:.15g} before step "
            f"{step.state.count}; use a shorter step, say dt = {dt / 4:.2g}",
            step.residual,
        )
    return _Reached(
        step.state, energy, now.dissipated + step.dissipated, max(now.residual, step.residual),
        now.crossed + step.crossed,
    )  # fmt: skip


def _trajectory(flow: ResidualFlow, solver: ResidualSolver, kept: Sequence[_Reached]) -> ResidualTrajectory:
    return ResidualTrajectory(
        flow, solver, np.array([k.state.time for k in kept]), tuple(k.state.network for k in kept),
        np.array([k.energy for k in kept]), np.array([k.dissipated for k in kept]),
        np.array([k.residual for k in kept]), np.array([k.crossed for k in kept]), kept[-1].state.count,
    )  # fmt: skip
