"""This file owns the linearised JKO step on cells (LJKO): W2 by a weighted H^-1 norm, solved by its concave dual."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array, eye_array, kron, vstack
from scipy.sparse.linalg import splu

from solvers.cells import averages_of, refusal_of_cells, space_order
from wflow.arrays import Array, count, positive
from wflow.errors import NotConverged
from wflow.flow import Flow, Window
from wflow.grid import Grid
from wflow.internal import conjugate_slope
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step

_FLOOR = 1e-14
"""Of the largest density: what the first guess of phi takes for an empty cell."""
_LEAST_SHIFT, _MOST_SHIFT, _STIFFER = 1e-11, 1e4, 1e3
_GOAL, _PATIENCE = 1e-13, 3
"""Mass that is left in wrong cells, and iterations in which it must halve once it is below the tolerance."""
_SHARES = (1.0, 0.5, 0.25, 0.125)
_DEEPEST = 24
"""Times that dt is divided by four on the way from a step so short that rho is the start's."""


@dataclass(frozen=True)
class Linearised(Solver):
    """JKO with W2 linearised about the end of the step, in finite volumes with upwind mobility (LJKO).

    Minimises  F(rho) + (1/2 dt) sum_faces J^2 h^2 / rho_up  over J and rho = rho_0 - div J, the total flow J of a step
    and rho_up in the cell that it leaves. With the multiplier phi, d its difference across a face and q the sum of
    d^2/2h^2 over the faces through which a cell empties:

        J = rho_up d/h per face, towards larger phi,      U'(rho) + V = (q - phi)/dt,      rho - rho_0 + div J = 0

    The dual in phi is concave; Newton's matrix is symmetric positive definite and factored anew in each iteration.
    Density positive, mass exact, F never rises: F(rho) + dissipated <= F(rho_0), `dissipated` the second term above.
    Order 1 in dt and in h. V[pi] of an interacting energy is that of the end of the step, by fixed point.
    Raises NotConverged if mass sum |rho - rho_0 + div J| of the cells stays above `tolerance`.
    Source: Cances, Gallouet & Todeschi 2020, Numer. Math. 146, 437-480.
    """

    cells: int
    window: Window | None = None
    tolerance: float = 1e-8
    limit: int = 100
    resolution: ClassVar[str] = "cells"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    variational: ClassVar[bool] = True
    most: ClassVar[float] = 1024.0
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("Linearised cells", self.cells, least=4)
        positive("Linearised tolerance", self.tolerance)
        count("Linearised limit", self.limit)

    def resolved(self, flow: Flow) -> float:
        """As if the mass in the wrong cells, at most the tolerance, were a length of one away from its own."""
        return self.tolerance

    def order(self, flow: Flow) -> Order:
        """(1, 1); in space 1/2 from atoms, as for upwind."""
        return Order(1.0, space_order(flow, 1.0, 0.5))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and, where V does not depend on pi, energy for every dt."""
        return frozenset({"mass", "positivity"}) if flow.energy.interacting else EVERY_PROMISE

    def _refusal(self, flow: Flow) -> str | None:
        """No entropy (a power alone has fronts, where Newton in phi stalls); more than three axes; no window."""
        if not flow.energy.temperature:
            return "the temperature is 0: without entropy rho is no smooth function of its potential, and Newton stalls"
        return refusal_of_cells(flow, self.window)

    def init(self, flow: Flow) -> State:
        return State(0.0, averages_of(flow, self.cells, self.window))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        start = state.measure
        assert isinstance(start, Density)
        end, change = start, 0.0
        for _ in range(self.limit):
            potential = flow.energy.potential(end, end.points)
            problem = _Problem(flow, start, potential, dt)
            phi, residual = self.solved(problem)
            if not residual <= self.tolerance:
                raise self._stopped("Newton's iteration", residual, state.time, dt)
            last, end = end, problem.density(phi)
            change = float(np.abs(end.values - last.values).sum()) * end.grid.cell_volume
            if not flow.energy.interacting or change <= self.tolerance:
                spent = problem.price(phi)
                residual = max(residual, change) if flow.energy.interacting else residual
                return Step(state.after(dt, end), dissipated=spent, residual=residual)
        raise self._stopped("the fixed point for V", change, state.time, dt)

    def solved(self, problem: "_Problem", deeper: int = _DEEPEST) -> tuple[Array, float]:
        """phi and its residual; where Newton's iteration fails, from the phi/dt of a step a quarter as long."""
        found, residual = problem.maximised(problem.guess(), self.tolerance, self.limit)
        if residual <= self.tolerance or not deeper:
            return found, residual
        shorter, residual = self.solved(problem.shortened(0.25), deeper - 1)
        if not residual <= self.tolerance:
            return shorter, residual
        return problem.maximised(4.0 * shorter, self.tolerance, self.limit)

    def _stopped(self, what: str, residual: float, time: float, dt: float) -> NotConverged:
        return NotConverged(
            f"{self}: {what} stopped at {residual:.3g} > {self.tolerance:g} at t = {time:g}, dt = {dt:.3g}; "
            "shorten dt or raise `limit`",
            residual,
        )


@lru_cache(maxsize=8)
def _differences(grid: Grid) -> csr_array:
    """(faces, cells): phi right of a face minus phi left of it, over h; no face at a wall or along a frozen axis."""
    found = []
    for axis in grid.domain.moving:
        n, h = grid.shape[axis], float(grid.widths[axis])
        ahead = eye_array(n, k=1, format="csr") - eye_array(n, format="csr")
        ahead = ahead + eye_array(n, k=1 - n, format="csr") if grid.domain.periodic[axis] else ahead[:-1]
        before, after = (eye_array(int(np.prod(part))) for part in (grid.shape[:axis], grid.shape[axis + 1 :]))
        found.append(kron(kron(before, ahead), after) / h)
    return csr_array(vstack(found, format="csr"))


@dataclass(frozen=True, eq=False)
class _At:
    """What one phi makes: its slope across faces, the cell each face empties, q, rho, and the mismatch of mass (m,)."""

    slope: Array
    up: "np.ndarray[tuple[int], np.dtype[np.intp]]"
    rho: Array
    force: Array
    mismatch: Array


class _Problem:
    """One step for a fixed V (m,)."""

    def __init__(self, flow: Flow, start: Density, potential: Array, dt: float) -> None:
        self.flow, self.start, self.dt, self.potential = flow, start, dt, potential
        self.grid = start.grid
        self.slopes = _differences(self.grid)
        places = self.slopes.indices.reshape(-1, 2)
        first = self.slopes.data.reshape(-1, 2)[:, 0] < 0.0
        self.left = np.where(first, places[:, 0], places[:, 1])
        self.right = np.where(first, places[:, 1], places[:, 0])

    def shortened(self, share: float) -> "_Problem":
        """The same with a shorter step."""
        return _Problem(self.flow, self.start, self.potential, share * self.dt)

    def guess(self) -> Array:
        """phi for which, but for q, the density is the start's."""
        rho = np.maximum(self.start.values, _FLOOR * self.start.values.max())
        return np.asarray(-self.dt * (sum(term.slope(rho) for term in self.flow.energy.internal) + self.potential))

    def at(self, phi: Array) -> _At:
        """Everything but the matrix; infinite or nan where phi is far from anything, which is asked of the mismatch."""
        with np.errstate(over="ignore", invalid="ignore"):
            slope = self.slopes @ phi
            up = np.where(slope > 0.0, self.left, self.right)
            q = np.bincount(up, 0.5 * slope**2, minlength=len(phi))
            force = (q - phi) / self.dt - self.potential
            rho = conjugate_slope(self.flow.energy.internal, force)
            return _At(slope, up, rho, force, rho - self.start.values - self.slopes.T @ (rho[up] * slope))

    def dual(self, phi: Array, at: _At) -> float:
        """-sum U*(force) - sum phi rho_0/dt, in units of a cell; U*(U'(rho)) is the pressure."""
        with np.errstate(over="ignore", invalid="ignore"):
            pressure = sum(term.pressure(at.rho) for term in self.flow.energy.internal)
            return -float(np.sum(pressure)) - float(phi @ self.start.values) / self.dt

    def ascent(self, at: _At, shift: float) -> Array | None:
        """Newton's direction: (B^T diag(rho'/dt) B + D^T diag(rho_up) D + shift) x = mismatch, B = I - S D.

        shift: a share of the mean diagonal.   None: the matrix is singular.
        """
        n, faces = len(at.rho), np.arange(len(at.slope))
        bend = at.rho / sum(term.stiffness(at.rho) for term in self.flow.energy.internal) / self.dt
        emptied = csr_array((at.slope, (at.up, faces)), shape=(n, len(faces)))
        inner = eye_array(n, format="csr") - emptied @ self.slopes
        matrix = inner.T @ diags_array(bend) @ inner + self.slopes.T @ diags_array(at.rho[at.up]) @ self.slopes
        matrix = matrix + shift * float(matrix.diagonal().mean()) * eye_array(n)
        try:
            factors = splu(csc_array(matrix), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        except RuntimeError:  # exactly singular
            return None
        return np.asarray(factors.solve(at.mismatch))

    def maximised(self, phi: Array, tolerance: float, limit: int) -> tuple[Array, float]:
        """phi and sum |mismatch| |cell|: Newton's steps, shortened and then shifted (Levenberg), as long as they gain.

        Not to a tolerance but to where rounding ends it, some 1e-12.
        """
        here, shift = self.at(phi), _LEAST_SHIFT
        if not np.all(np.isfinite(here.mismatch)):
            return phi, math.inf
        value, sizes = self.dual(phi, here), [self.size(here)]
        for _ in range(limit):
            residual = sizes[-1]
            stalls = residual <= tolerance and len(sizes) > _PATIENCE and residual > 0.5 * sizes[-1 - _PATIENCE]
            if residual <= _GOAL or stalls or shift > _MOST_SHIFT:
                break
            direction = self.ascent(here, shift)
            if direction is None:
                shift *= _STIFFER
                continue
            rise = float(direction @ here.mismatch) / self.dt
            for share in _SHARES:
                trial = phi + share * direction
                there = self.at(trial)
                if np.all(np.isfinite(there.mismatch)):
                    gained = self.dual(trial, there) - value
                    if gained >= 1e-4 * share * rise or self.size(there) < (1.0 - 0.1 * share) * residual:
                        phi, here, value = trial, there, value + gained
                        shift = max(0.1 * shift, _LEAST_SHIFT) if share == 1.0 else shift
                        break
            else:
                shift *= _STIFFER
            sizes.append(self.size(here))
        return phi, sizes[-1]

    def size(self, at: _At) -> float:
        """Mass that is in the wrong cell."""
        return float(np.abs(at.mismatch).sum()) * self.grid.cell_volume

    def density(self, phi: Array) -> Density:
        """rho, scaled to the start's mass but for the tolerance."""
        rho = self.at(phi).rho
        return Density(self.grid, rho * (self.start.mass / (float(rho.sum()) * self.grid.cell_volume)))

    def price(self, phi: Array) -> float:
        """sum rho_up d^2/2 dt over the faces, per area."""
        at = self.at(phi)
        return float(np.sum(at.rho[at.up] * at.slope**2)) * self.grid.cell_volume / (2.0 * self.dt)
