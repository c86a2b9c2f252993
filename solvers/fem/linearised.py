"""This file owns what steps in a linearised W2 metric have in common: cells, refusals, where Newton begins, V's end.

Squares on boxes, simplices on other domains or where they are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from solvers.cells import averages_of, refusal_of_cells
from solvers.fem import toolchain
from solvers.fem.upwind import mesh_for, refusal_of_crossed, refusal_of_meshes
from wflow.arrays import Array, count, positive
from wflow.domain import Box
from wflow.errors import LostDensity, NotConverged
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.measure import Density
from wflow.mesh import Mesh
from wflow.mesh_density import MeshDensity
from wflow.ranks import current
from wflow.solver import Solver, State

if TYPE_CHECKING:
    from solvers.fem.linearised_step import Newton

OnCells = Density | MeshDensity
_FLOOR = 1e-14
"""Of the largest density: earlier densities below it are raised to it. What that adds is below the rounding of mass."""
_DEEPEST = 24
"""Times that dt is divided by four on the way from a step so short that rho is the start's."""

_TRIES = 20
"""Iterations from a guess that should be close; more are spent on a way that leads there more surely."""
_STAGES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Problem:
    """One step: the earlier densities (k, m), V (m,), c (k,), and T, strength m'/(m' - 1), m' - 1 of a power m'."""

    earlier: Array
    potential: Array
    shares: Array
    terms: tuple[float, float, float]

    def guess(self) -> Array:
        """(2, m) of a step from one density: it has not moved, and U' + V + c phi = 0."""
        rho = self.earlier[0]
        return np.array([np.log(rho), -self.driving(rho) / self.shares[0]])

    def driving(self, rho: Array) -> Array:
        """U'(rho) + V (m,)."""
        warm, scale, degree = self.terms
        return np.asarray(warm * (np.log(rho) + 1.0) + scale * rho**degree + self.potential)


@dataclass(frozen=True, eq=False)
class Solved:
    """log rho (m,) and potentials (k, m).

    residual: the mass that is in wrong cells, or the mean by rho of |U' + V + sum c_i (phi_i - q_i)|/T if that is more.
    reason: SNES's own.
    """

    logarithms: Array
    potentials: Array
    residual: float
    reason: str

    @property
    def whole(self) -> Array:
        """(k + 1, m), as guesses are."""
        return np.concatenate([self.logarithms[None], self.potentials])


@dataclass(frozen=True)
class OnMeshes(Solver):
    """Base of both methods.

    cells: along the longest axis. window: where an infinite axis is cut. triangles: simplices on boxes too.
    tolerance: of Solved.residual, and of the mass that V's fixed point still moves; limit: iterations of each.
    """

    cells: int
    window: Window | None = None
    triangles: bool = False
    tolerance: float = 1e-9
    limit: int = 100
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    shaped: ClassVar[bool] = True
    distributed: ClassVar[bool] = True
    most: ClassVar[float] = 1024.0
    costly: ClassVar[bool] = True
    centred: ClassVar[bool]
    """The mobility of a facet is the mean of both cells, at both ends of the step; otherwise upwind, at its end."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        count(f"{name} cells", self.cells, least=4)
        positive(f"{name} tolerance", self.tolerance)
        count(f"{name} limit", self.limit)

    def resolved(self, flow: Flow) -> float:
        """As if the mass in wrong cells, at most the tolerance, were a length of one away from its own."""
        return self.tolerance

    def _refusal(self, flow: Flow) -> str | None:
        """No entropy; no DOLFINx; what no cells can take; a mesh that is not Delaunay."""
        if not flow.energy.temperature:
            return (
                "the temperature is 0: the unknown is log rho, which has no value beyond a front; "
                "with a Power term use fem.TwoPoint, without one fem.DG0"
            )
        if (lacking := toolchain.missing()) is not None:
            return lacking
        if self._squares(flow):
            return refusal_of_cells(flow, self.window)
        if (reason := refusal_of_meshes(flow, self.window)) is not None:
            return reason
        return refusal_of_crossed(mesh_for(flow, self.cells, self.window))

    def _squares(self, flow: Flow) -> bool:
        return isinstance(flow.domain, Box) and not self.triangles

    def init(self, flow: Flow) -> State:
        if self._squares(flow):
            return State(0.0, averages_of(flow, self.cells, self.window))
        return State(0.0, MeshDensity.averages_of(flow.initial, mesh_for(flow, self.cells, self.window)))

    def settled(
        self, flow: Flow, time: float, dt: float, earlier: Sequence[tuple[OnCells, float]], guess: Array | None = None
    ) -> tuple[OnCells, Solved, float]:
        """The end of a step with the V of that end, by fixed point; what it needed, and where it stopped.

        earlier: densities with their c.   guess (k + 1, m): log rho and the potentials, None for one at rest.
        """
        end, change = earlier[0][0], np.inf
        past, shares = np.array([raised(pi) for pi, _ in earlier]), np.array([c for _, c in earlier])
        for _ in range(self.limit):
            problem = Problem(past, flow.energy.potential(end, end.points), shares, _terms(flow))
            found = self.solved(cells_of(end), problem, guess)
            if not found.residual <= self.tolerance:
                raise self._stopped(f"Newton's iteration ({found.reason})", found.residual, time, dt)
            last, end, guess = end, self._kept(end, found.logarithms), found.whole
            change = end.ranks.total(float(np.abs(end.weights - last.weights).sum()))
            if not flow.energy.interacting:
                return end, found, found.residual
            if change <= self.tolerance:
                return end, found, max(found.residual, change)
        raise self._stopped("the fixed point for V", change, time, dt)

    def solved(self, given: Grid | Mesh, problem: Problem, guess: Array | None) -> Solved:
        """Newton's answer; where it fails, from another beginning."""
        two = len(problem.earlier) > 1
        if guess is not None:
            found = _newton(given, len(problem.earlier), self.centred).solve(problem, guess, min(self.limit, _TRIES))
            if found.residual <= self.tolerance:
                return found
        return self._from_one(given, problem) if two else self._from_shorter(given, problem, _DEEPEST)

    def _from_shorter(self, given: Grid | Mesh, problem: Problem, deeper: int) -> Solved:
        """From one density: begun at rest or, where Newton fails, with the phi/dt of a step a quarter as long."""
        newton = _newton(given, 1, self.centred)
        found = newton.solve(problem, problem.guess(), self.limit)
        if found.residual <= self.tolerance or not deeper:
            return found
        begun = self._from_shorter(given, replace(problem, shares=4.0 * problem.shares), deeper - 1)
        if not begun.residual <= self.tolerance:
            return begun
        return newton.solve(problem, begun.whole * np.array([[1.0], [4.0]]), self.limit)

    def _from_one(self, given: Grid | Mesh, problem: Problem) -> Solved:
        """Newton for a step from two densities, begun at the end of one from the last of them alone.

        By c_1 + (1 - s) c_2 and s c_2 for a few s up to 1, c_1 + c_2 being as it is.
        """
        c, d = problem.shares
        found = self._from_shorter(
            given, replace(problem, earlier=problem.earlier[:1], shares=np.array([c + d])), _DEEPEST
        )
        # -c/d = ((1 + r)/r)^2, r the ratio of the steps: the way from the density before the last is so much longer
        guess = np.array([found.logarithms, found.potentials[0], np.sqrt(-c / d) * found.potentials[0]])
        for s in _STAGES:
            if not found.residual <= self.tolerance:
                break
            stage = replace(problem, shares=np.array([c + (1.0 - s) * d, s * d]))
            found = _newton(given, 2, self.centred).solve(stage, guess, self.limit)
            guess = found.whole
        return found

    def _kept(self, before: OnCells, logarithms: Array) -> OnCells:
        """The density, at the mass of the one before but for the tolerance."""
        weights = np.exp(logarithms) * _volumes(before)
        mass = before.ranks.total(float(weights.sum()))
        if not abs(mass - before.mass) <= 10.0 * self.tolerance:
            raise LostDensity(f"{self}: the mass became {mass:.12g}; it was {before.mass:.12g}; lower `tolerance`")
        return like(before, np.exp(logarithms) * (before.mass / mass))

    def _stopped(self, what: str, residual: float, time: float, dt: float) -> NotConverged:
        return NotConverged(
            f"{self}: {what} stopped at {residual:.3g} > {self.tolerance:g} at t = {time:g}, dt = {dt:.3g}; "
            "shorten dt or raise `limit`",
            residual,
        )


def averages(pi: OnCells) -> Array:
    """(m,) the densities of the cells."""
    return pi.values if isinstance(pi, Density) else pi.averages


def raised(pi: OnCells) -> Array:
    """(m,) the same, where it is almost empty a little more: log rho of a far tail has no meaning to a step."""
    rho = averages(pi)
    lifted = np.maximum(rho, _FLOOR * pi.ranks.most(float(rho.max())))
    mass, more = pi.ranks.total(np.array([np.sum(f * _volumes(pi)) for f in (rho, lifted)]))
    return np.asarray(lifted * (mass / more))


def cells_of(pi: OnCells) -> Grid | Mesh:
    """On what it lives."""
    return pi.grid if isinstance(pi, Density) else pi.mesh


def like(pi: OnCells, rho: Array) -> OnCells:
    """A density rho (m,) on the same cells."""
    return Density(pi.grid, rho) if isinstance(pi, Density) else MeshDensity(pi.mesh, rho[:, None])


def movement(before: OnCells, phi: Array, after: OnCells) -> float:
    """The square of the linearised distance: int (rho - rho_0) phi = sum_e m d^2 abs(e)/gap by the equation of mass."""
    return after.ranks.total(float((after.weights - before.weights) @ phi))


def _volumes(pi: OnCells) -> "Array | float":
    return pi.grid.cell_volume if isinstance(pi, Density) else pi.mesh.volumes


def _terms(flow: Flow) -> tuple[float, float, float]:
    """T, strength m/(m - 1), m - 1; without a power 0 and 1."""
    power, warm = flow.energy.power, flow.energy.temperature
    if power is None:
        return warm, 0.0, 0.0
    degree = power.exponent - 1.0
    return warm, power.strength * power.exponent / degree, degree


def _newton(given: Grid | Mesh, earlier: int, centred: bool) -> "Newton":
    """DOLFINx is met here for the first time."""
    toolchain.start()
    from solvers.fem.linearised_step import newton_on

    return newton_on(given, current(), earlier, centred)
