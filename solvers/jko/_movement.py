"""This file owns G, what a minimising movement of quantile edges minimises: its value, gradient and Hessian.

    G(x) = sum_i w_i |x_i - y_i|^2 / (2 tau) + F(x),   w the trapezoidal weights; a gap g has the density 1/(m g)

The anchor y may be any numbers, increasing or not: on one axis the quantile functions are a convex cone in L^2(0, 1),
W2 is the distance there, and G is defined on the cone whatever the anchor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from solvers._tridiagonal import CyclicFactors, DefiniteFactors, definite
from wflow.arrays import Array
from wflow.flow import Flow
from wflow.measure import Quantiles

_KEEP_GAP = 0.95
"""Share of the way to the first crossing that a step may go."""


@dataclass(frozen=True, eq=False)
class Point:
    """A measure with its gaps' densities rho (m,), G, its gradient with pinned ends removed, and the residual.

    residual = tau sqrt(sum_i g_i^2 / w_i) is a displacement: how far the edges would move if F were linear.
    """

    pi: Quantiles
    rho: Array
    objective: float
    gradient: Array
    free: NDArray[np.bool_]
    residual: float


@dataclass(frozen=True, eq=False)
class Hessian:
    """A + U diag(core) U^T with A tridiagonal and positive definite; U (m, q) has weights in its rows."""

    tridiagonal: DefiniteFactors | CyclicFactors
    wide: Array
    core: Array


@dataclass(frozen=True, eq=False)
class Movement:
    """G for one flow, anchor (m,) and tau > 0."""

    flow: Flow
    anchor: Array
    tau: float

    @property
    def cyclic(self) -> bool:
        """The last gap closes the turn."""
        return self.flow.domain.is_circle

    def at(self, pi: Quantiles) -> Point:
        """G and its gradient at a measure."""
        energy, weights = self.flow.energy, pi.weights
        away = pi.edges - self.anchor
        gradient = weights * (away / self.tau - energy.velocity(pi, pi.points)[:, 0])
        with np.errstate(over="ignore"):  # of a gap below 1e-308, where an atom forms and no internal term asks for rho
            rho = 1.0 / (len(pi.gaps) * pi.gaps)
        for term in energy.internal:
            self._push(gradient, term.pressure(rho))
        free = ~self._pinned(pi.edges, gradient)
        gradient = np.where(free, gradient, 0.0)
        residual = self.tau * float(np.sqrt(np.sum(gradient**2 / weights)))
        objective = float(weights @ away**2) / (2.0 * self.tau) + energy.value(pi)
        return Point(pi, rho, objective, gradient, free, residual)

    def hessian(self, here: Point) -> Hessian:
        """At a point; without the negative V'' where A with them is not positive definite."""
        pi, energy = here.pi, self.flow.energy
        curved = energy.curvature(pi, pi.points)[:, 0, 0] if energy.continuous else np.zeros(len(pi.edges))
        try:
            tridiagonal = self._tridiagonal(here, curved)
        except LinAlgError:
            tridiagonal = self._tridiagonal(here, np.maximum(curved, 0.0))
        factor, core = energy.coupling(pi, pi.points)
        used = core != 0.0
        wide = (pi.weights * here.free)[:, None] * (factor if used.all() else factor[:, used])
        return Hessian(tridiagonal, wide, core[used])

    def _tridiagonal(self, here: Point, curved: Array) -> DefiniteFactors | CyclicFactors:
        """w (1/tau + V'') on the diagonal, and between neighbours the springs d^2/dg^2 of the gaps' internal energy."""
        rho, free = here.rho, here.free
        diagonal = here.pi.weights * (1.0 / self.tau + curved)
        spring = np.zeros(len(rho))
        for term in self.flow.energy.internal:
            spring += len(rho) * term.stiffness(rho) * rho**2
        if self.cyclic:
            diagonal += spring + np.roll(spring, 1)
            return definite(diagonal, -spring, cyclic=True)
        diagonal[:-1] += spring
        diagonal[1:] += spring
        return definite(np.where(free, diagonal, 1.0), -spring * free[:-1] * free[1:], cyclic=False)

    def room(self, pi: Quantiles, direction: Array) -> float:
        """How far the direction can be followed before neighbours cross or an end meets its wall."""
        closing = -np.diff(direction, append=direction[:1]) if self.cyclic else -np.diff(direction)
        with np.errstate(over="ignore"):  # no room at all is left beside a gap that has closed
            fastest = float(np.max(closing / pi.gaps))
        rooms = [_KEEP_GAP / fastest if fastest > 0.0 else np.inf]
        if not self.cyclic:
            low, high = self.flow.domain.lower[0], self.flow.domain.upper[0]
            if direction[0] < 0.0:
                rooms.append((pi.edges[0] - low) / -direction[0])
            if direction[-1] > 0.0:
                rooms.append((high - pi.edges[-1]) / direction[-1])
        return float(min(rooms))

    def _push(self, gradient: Array, pressure: Array) -> None:
        """Add d/dx_i of the internal energy: the pressure of the gap after an edge less that of the gap before."""
        if self.cyclic:
            gradient += pressure
            gradient[1:] -= pressure[:-1]
            gradient[0] -= pressure[-1]
        else:
            gradient[:-1] += pressure
            gradient[1:] -= pressure

    def _pinned(self, edges: Array, gradient: Array) -> NDArray[np.bool_]:
        """Ends at a wall that G would push through it."""
        pinned = np.zeros(len(edges), dtype=bool)
        if not self.cyclic:
            low, high = self.flow.domain.lower[0], self.flow.domain.upper[0]
            pinned[0] = edges[0] <= low and gradient[0] > 0.0
            pinned[-1] = edges[-1] >= high and gradient[-1] < 0.0
        return pinned
