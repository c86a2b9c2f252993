"""This file owns one implicit step along one axis of a grid: exponentially fitted rates, solved as an exchange.

rho_new + dt div J[rho_new] = rho,      dt J/h = out rho_left - back rho_right at each face,
out = dt (s/h^2) B(d/s),   back = dt (s/h^2) B(-d/s),   d = jump(V),   B(x) = x/(e^x - 1),   s the temperature there
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from solvers._lines import CyclicLines, Lines, exchange_lines
from solvers._tridiagonal import CyclicFactors, Factors, exchange
from solvers.cells import compiled, lent
from solvers.finite_volume.faces import Axis
from wflow.arrays import Array
from wflow.flow import Flow
from wflow.measure import Density

if TYPE_CHECKING:
    from solvers import _strips


class Sweep(Protocol):
    """Backward Euler along one axis for frozen V."""

    def solve(self, values: Array) -> Array:
        """rho_new (m,)."""

    def dissipated(self, flow: Flow, new: Density) -> float:
        """dt sum J (-jump(V + T log rho + U')) |cell|/h, each summand nonnegative."""


def sweep_of(axis: Axis, potential: Array, warm: Array | float, dt: float, *, lasting: bool = False) -> Sweep:
    """For V (m,) and face temperatures; lasting: it will serve many steps."""
    single = axis.before == axis.after == 1
    if single or not compiled(potential.size):
        return _Plain.of(axis, potential, warm, dt)
    return _Compiled.of(axis, potential, warm, dt, lasting)


@dataclass(frozen=True, eq=False)
class _Plain:
    """By numpy: all lines at once, one cell after the other.   rise: V_{i+1} - V_i at the faces."""

    axis: Axis
    rise: Array
    out: Array
    back: Array
    matrix: Factors | CyclicFactors | Lines | CyclicLines

    @classmethod
    def of(cls, axis: Axis, potential: Array, warm: Array | float, dt: float) -> "_Plain":
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
class _Compiled:
    """By solvers._strips; factors only where they last, since they cost more to keep than to find again."""

    axis: Axis
    rates: "_strips.Rates"
    factors: "_strips.Factors | None"

    @classmethod
    def of(cls, axis: Axis, potential: Array, warm: Array | float, dt: float, lasting: bool) -> "_Compiled":
        """As `sweep_of`."""
        from solvers._strips import Rates, factored

        faces = np.asarray(warm) if np.ndim(warm) else np.full((1, 1, 1), warm)
        hot, cold = lent(faces, faces.shape), lent(1.0 / faces, faces.shape)
        rates = Rates(_lent(axis, potential), hot, cold, dt / axis.width**2, axis.cyclic)
        return cls(axis, rates, factored(rates) if lasting else None)

    def solve(self, values: Array) -> Array:
        from solvers._strips import solved, swept

        right = _lent(self.axis, values)
        if self.factors is None:
            return swept(self.rates, right).ravel()
        return solved(self.factors, self.axis.cyclic, right).ravel()

    def dissipated(self, flow: Flow, new: Density) -> float:
        from solvers._strips import work

        driving = self.rates.potential
        if flow.energy.power is not None:
            driving = _lent(self.axis, driving.ravel() + flow.energy.power.slope(new.values))
        temperature = flow.energy.temperature
        log = new.logarithms if temperature else new.values
        rho = _lent(self.axis, new.values)
        return work(self.rates, rho, driving, _lent(self.axis, log), temperature) * new.grid.cell_volume


def _lent(axis: Axis, values: Array) -> Array:
    return lent(values, (axis.before, axis.cells, axis.after))


def bernoulli(x: Array) -> Array:
    """x / (e^x - 1), 1 at 0, without cancellation or overflow (B(-x) = B(x) + x would cancel)."""
    small = np.abs(x) < 1e-8
    safe = np.where(small, 1.0, np.minimum(x, 700.0))
    return np.where(small, 1.0 - 0.5 * x, safe / np.expm1(safe))
