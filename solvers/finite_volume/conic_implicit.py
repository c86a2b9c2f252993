"""This file owns the implicit reaction: masses that change by the potential of the step's end, for any dt.

    rho <- argmin F(rho) + KL(rho | rho_0)/(4 alpha dt),      rho_s = rho_s0 exp(-4 alpha dt (s V[rho] + lambda)),

on probability densities with V less a constant that keeps their mass: a minimising movement with the relative entropy
KL(rho | rho_0) = int rho log(rho/rho_0) - rho + rho_0 in place of W2^2/2. It is of first order in dt as the mirror step
is, and F falls for every dt (proved: the step does no worse than standing still). Over steps that add up to T

    F - F(mu) <= KL(mu | rho_0)/(4 alpha T)      for every mu                                                   (proved)

since with c = 4 alpha dt, by convexity and the three-point identity of KL, c (F(rho) - F(mu)) <= c int V d(rho - mu) =
KL(mu | rho_0) - KL(mu | rho) - KL(rho | rho_0); the sum telescopes and F falls.

F sees rho through n numbers B rho (data, or modes of the circle), F = |B rho - b|^2/2 + int phi drho + lambda |rho|
(phi: what a target has beyond the modes of the cells). The dual is

    min over p (n,) of   |p|^2/2 + p . b + (1/c) int rho_0 exp(-c (+-(B^T p + phi) + lambda)),

(its logarithm for rho of mass one), p = B rho - b: smooth, strictly convex, solved by Newton's method.
Source: Chen & Teboulle 1993, SIAM J. Optim. 3(3), 538-543 (proximal steps with a relative entropy).
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from solvers._conic_bound import largest_step
from solvers._conic_rates import Speeds
from solvers.finite_volume.conic import ConicCells
from solvers.finite_volume.sheets import SIGNS, OnCells, Sheets, charges_of, measure_of, on_cells, sheets_of
from wflow.arrays import Array
from wflow.duality.observed import OfModes, observed
from wflow.errors import NotConverged
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.loss import HalfSquare
from wflow.solver import State, Step

_ROWS = 512
_HALVINGS = 60
_ARMIJO = 1e-4
_LONGER = 4.0
_ROUGHLY = 0.1
_UNIT = 8.0 * 2.0**-53
_ROUNDED = 1e-6
_MOST = 1e100


@dataclass(frozen=True)
class ConicImplicit(ConicCells):
    """Upwind transport, then the implicit step of masses. Order (1, 1); beta = 0 is reaction alone, for any dt.

    tolerance: of |p - (B rho - b)|, as a share of 1 + |b| beside rounding; NotConverged above it after `limit` steps of
    Newton's method, and where c = 4 alpha dt is so large that rounding moves masses by more than 1e-6 of themselves.
    Refused for other losses than the half square, and above 512 rows.
    """

    tolerance: float = 1e-13
    limit: int = 200

    def _refusal(self, flow: Flow) -> str | None:
        reason = super()._refusal(flow)
        if reason is not None:
            return reason
        view = observed(flow.energy, flow.domain)
        count = 0 if view is None else self.cells if isinstance(view, OfModes) else len(view.weights)
        if view is None or not isinstance(view.loss, HalfSquare) or count > _ROWS:
            return f"the implicit step needs one half-square risk of at most {_ROWS} rows; use ConicMuscl"
        return None

    def largest_step(self, flow: Flow, state: State) -> float:
        """That of the transport; inf without."""
        if not self.beta:
            return math.inf
        nu = on_cells(state)
        drain = self.transported(Sheets.at(flow, nu, self.speeds), 0.0, at_once=False).drain
        return min(1.0 / drain if drain else math.inf, largest_step(flow, charges_of(nu), Speeds(0.0, self.beta)))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        """dissipated: of the transport, and (KL(rho | rho_0) + KL(rho_0 | rho))/(4 alpha dt) of the reaction."""
        sheets = Sheets.at(flow, on_cells(state), self.speeds)
        moved = self.transported(sheets, dt)
        spent = dt * moved.work / self.beta if self.beta else 0.0
        before = measure_of(flow, sheets.grid, moved.rho)
        if not self.alpha:
            return Step(state.after(dt, before), dissipated=spent)
        end, residual, gained = self._reacted(flow, before, 4.0 * self.alpha * dt)
        return Step(state.after(dt, end), dissipated=spent + gained, residual=residual)

    def _reacted(self, flow: Flow, nu: OnCells, c: float) -> tuple[OnCells, float, float]:
        """The end of a reaction, its residual, and what it dissipated."""
        rows, target = _rows(flow, nu.grid)
        rho = sheets_of(nu)
        p = rows @ (nu.values * nu.grid.cell_volume) - target
        # what V has besides: by the energy itself, of which the rows are the part that masses change
        fixed = flow.energy.unpenalised.potential(nu, nu.grid.centres) - p @ rows
        dual = _Dual(rows, target, fixed, rho * nu.grid.cell_volume, c, flow.energy.variation, flow.conserved)
        here = self._solved(dual, p)
        end = measure_of(flow, nu.grid, here.masses / nu.grid.cell_volume)
        # log(rho/rho_0) = exponent, known without dividing by empty cells
        change = (sheets_of(end) - rho) * nu.grid.cell_volume
        return end, here.residual, float(np.sum(change * here.exponent)) / c

    def _solved(self, dual: "_Dual", p: Array) -> "_Point":
        """The minimum from p: by steps of Newton's method for ever longer c, from one that moves little to the own.

        Each of them begins where those before lead, p = p_* + O(1/c), and only the last is solved to the tolerance.
        """
        bar = self.tolerance * (1.0 + float(np.linalg.norm(dual.target)))
        steepest = float(np.max(np.abs(p @ dual.rows + dual.fixed))) + dual.price
        stages = max(0, math.ceil(math.log(max(dual.c * steepest, 1.0), _LONGER)))
        last = p
        for k in range(stages, -1, -1):
            part = replace(dual, c=dual.c * _LONGER**-k)
            # p / _LONGER leaves exponents as they were, and is finite
            starts = [part.at(x) for x in (p, p + (p - last) / _LONGER, p / _LONGER)]
            here = min(starts, key=lambda point: point.value)
            enough = bar if k == 0 else max(bar, _ROUGHLY * here.residual)
            for _ in range(self.limit):
                before, here = here, part.improved(here) if here.residual > enough else here
                if here is before:  # solved, or as well as rounding lets it
                    break
            last, p = p, here.p
        rounded = dual.rounding(here)
        if rounded > _ROUNDED:
            raise NotConverged(
                f"{self}: dt = {dual.c / (4.0 * self.alpha):.3g} rounds masses by {rounded:.1g} of themselves, "
                f"allowed: {_ROUNDED:g}; take several steps",
                rounded,
            )
        if not here.residual <= bar + rounded * float(np.linalg.norm(dual.target)):
            raise NotConverged(
                f"{self}: the implicit step stopped at residual {here.residual:.3g} > {bar:.3g} after {self.limit} "
                "iterations; shorten dt or raise `limit`",
                here.residual,
            )
        return here


@dataclass(frozen=True, eq=False)
class _Point:
    """At p (n,): exponent log(rho/rho_0) and masses of the sheets (k, m), the dual's value and gradient."""

    p: Array
    exponent: Array
    masses: Array
    value: float
    gradient: Array

    @property
    def residual(self) -> float:
        """|p - (B rho - b)|."""
        return float(np.linalg.norm(self.gradient))


@dataclass(frozen=True, eq=False)
class _Dual:
    """The dual of the step from masses (k, m) of k sheets."""

    rows: Array
    target: Array
    fixed: Array
    start: Array
    c: float
    price: float
    conserved: bool

    def at(self, p: Array) -> _Point:
        """Value and gradient at p; the value is infinite where masses overflow."""
        signs = np.array(SIGNS[: len(self.start)])[:, None]
        exponent = -self.c * (signs * (p @ self.rows + self.fixed) + self.price)
        if self.conserved:
            top = float(np.max(exponent[self.start > 0.0]))
            total = float(np.sum(self.start * np.exp(np.minimum(exponent - top, 0.0))))
            exponent = exponent - top - math.log(total)
            soft = (top + math.log(total)) / self.c
            masses = self.start * np.exp(exponent, where=self.start > 0.0, out=np.zeros_like(exponent))
        else:
            with np.errstate(over="ignore"):
                masses = self.start * np.exp(exponent, where=self.start > 0.0, out=np.zeros_like(exponent))
            soft = float(masses.sum()) / self.c
        if not soft < _MOST:
            return _Point(p, exponent, masses, math.inf, p)
        seen = self.rows @ (signs * masses).sum(axis=0)
        value = 0.5 * float(p @ p) + float(p @ self.target) + soft
        return _Point(p, exponent, masses, value, p + self.target - seen)

    def rounding(self, here: _Point) -> float:
        """How far exponents may be off: u of what they are sums of."""
        sizes = float(np.max(np.abs(here.p) @ np.abs(self.rows) + np.abs(self.fixed))) + self.price
        return _UNIT * self.c * sizes

    def improved(self, here: _Point) -> _Point:
        """A damped step of Newton's method, `here` itself where none leads down.

        The Hessian is 1 + c B diag(masses) B^T, of mass one with a covariance.
        """
        spread = (self.rows * here.masses.sum(axis=0)) @ self.rows.T
        if self.conserved:
            mean = self.rows @ here.masses[0]
            spread -= np.outer(mean, mean)
        try:
            factor = cho_factor(np.eye(len(here.p)) + self.c * spread)
        except np.linalg.LinAlgError:  # rounded away: what is solved says so
            return here
        step = -cho_solve(factor, here.gradient)
        slope, share = float(step @ here.gradient), 1.0
        for _ in range(_HALVINGS):
            there = self.at(here.p + share * step)
            # near the end the value is rounding, and the gradient judges
            lower = there.value <= here.value + _ARMIJO * share * slope
            if lower or (math.isfinite(there.value) and there.residual < 0.5 * here.residual):
                return there
            share *= 0.5
        return here


@lru_cache(maxsize=4)
def _rows(flow: Flow, grid: Grid) -> tuple[Array, Array]:
    """B (n, m) and b (n,): roots of the weights times what F sees of a unit mass in each cell, and of the targets."""
    view = observed(flow.energy, flow.domain)
    assert view is not None
    root = np.sqrt(view.weights)
    rows, target = root[:, None] * view.columns(grid.centres), root * view.targets
    if not isinstance(view, OfModes):
        return rows, target
    # cells have modes below m/2 alone
    n = np.arange(len(view.modes))
    seen = np.concatenate([n, n[1:]]) <= (grid.size - 1) // 2
    return rows[seen], target[seen]
