"""This file owns one minimisation with entropic transport on a grid: scaling in the log domain, for a fixed V."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from solvers.jko._gibbs import Axis, Gibbs
from solvers.jko._mixing import Mixing
from wflow.arrays import Array
from wflow.errors import NotConverged
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.internal import Entropy, Internal, Power, conjugate_slope
from wflow.measure import Density

NARROWEST = 0.6
"""Cells: the least standard deviation of a kernel. Sums over cells are then integrals to 2 e^-7, 2e-3."""
_FAINTEST = 1e-300
_WORSE = 10.0
_BALANCED, _CORRECTIONS = 1e-13, 50

Costs = Callable[[int, float, bool], Array]


def least_epsilon(grid: Grid) -> float:
    """The square of .6 cells."""
    return (NARROWEST * float(grid.widths.max())) ** 2


def narrow(epsilon: float, least: float) -> str:
    """Why an epsilon is refused."""
    return (
        f"epsilon = {epsilon:.3g} is below {least:.3g}, the square of {NARROWEST:g} cells, and its kernel is not "
        "resolved; use more cells or a larger epsilon"
    )


def _per_axis(grid: Grid) -> list[tuple[int, float, bool]]:
    """Cells, width and whether it is periodic, an axis."""
    return list(zip(grid.shape, grid.widths.tolist(), grid.domain.periodic, strict=True))


@lru_cache(maxsize=4)
def gibbs_on(grid: Grid, costs: Costs, epsilon: float) -> Gibbs:
    """The kernel of variance epsilon on a grid; shared by steps of one length."""
    axes = [Axis.of(costs(n, epsilon / h**2, turns)) for n, h, turns in _per_axis(grid)]
    return Gibbs(axes[0], axes[1] if len(axes) > 1 else None)


def coupled(start: Density, end: Density) -> float:
    """A bound of W2^2 from above, by Knothe's coupling; exact on one axis."""
    from wflow.knothe import squared_bound

    shape, axes = start.grid.plane, [*_per_axis(start.grid), (1, 1.0, False)]
    (_, h0, first), (_, h1, second) = axes[:2]
    return squared_bound(start.values.reshape(shape), end.values.reshape(shape), (h0, h1), (first, second))


@dataclass(frozen=True, eq=False)
class Swept:
    """What the logarithms x (k, n0, n1) lead to: the next ones, log rho (n0, n1), and the mass that does not agree."""

    x: Array
    image: Array
    logarithm: Array
    residual: float


class Scaling(ABC):
    """The plan is a(x) K(x, y) b(y), log a = log rho_0 - log K b; with w = log K a its second marginal is b e^w."""

    def __init__(self, flow: Flow, start: Density, gibbs: Gibbs, epsilon: float, dt: float) -> None:
        self.flow, self.start, self.gibbs, self.pull = flow, start, gibbs, epsilon / dt
        self.shape, self.volume = start.grid.plane, start.grid.cell_volume
        self.power = flow.energy.power
        self.entropy = Entropy(self.temperature(flow.energy.temperature))
        with np.errstate(divide="ignore"):
            self.masses = np.log(start.values.reshape(self.shape))

    @abstractmethod
    def temperature(self, own: float) -> float:
        """Of all terms in log rho together."""

    @abstractmethod
    def first_guess(self) -> Array:
        """x (k, n0, n1)."""

    @abstractmethod
    def swept(self, x: Array, field: Array) -> Swept:
        """One sweep for V (n0, n1)."""

    def potential(self, pi: Density) -> Array:
        """V (n0, n1)."""
        return self.flow.energy.potential(pi, pi.points).reshape(self.shape)

    def half(self) -> Array:
        """log rho_0 / 2 (n0, n1), bounded: log b and log d of a measure to itself to first order in epsilon."""
        return np.asarray(0.5 * np.maximum(self.masses, math.log(_FAINTEST)))

    def solved(self, x: Array, field: Array, tolerance: float, limit: int) -> Swept:
        """From x for V (n0, n1); the best sweep, whose residual is for the caller to judge.

        Cells of faint mass count for nothing where iterates are mixed, and may be thrown far off: where that costs ten
        times the best residual, a plain sweep goes on from the best.
        """
        mixing = Mixing()
        here = best = self.swept(x, field)
        for _ in range(limit):
            if best.residual <= tolerance or not math.isfinite(best.residual):
                break
            weights = np.broadcast_to(np.exp(here.logarithm), here.x.shape)
            here = self.swept(mixing.after(here.x, here.image - here.x, weights), field)
            if not here.residual <= _WORSE * best.residual:
                mixing = Mixing()
                here = best = self.swept(best.image, field)
            elif here.residual < best.residual:
                best = here
        return best

    def density_of(self, force: Array) -> Array:
        """log rho (n0, n1) with temperature (log rho + 1) + U_power'(rho) = force + const, of the mass of the start."""
        heat = self.entropy.temperature
        found = force / heat
        top = float(found.max())
        found = found - top - math.log(float(np.exp(found - top).sum()) * self.volume / self.start.mass)
        return found if self.power is None else self._pressed(heat * (found + 1.0), self.power)

    def _pressed(self, force: Array, power: Power) -> Array:
        """The same with a power, by Newton for the constant from below: the mass's logarithm is concave in it."""
        terms: tuple[Internal, ...] = (self.entropy, power)
        rho = conjugate_slope(terms, force)
        for _ in range(_CORRECTIONS):
            mass = float(rho.sum()) * self.volume
            if abs(mass - self.start.mass) <= _BALANCED * self.start.mass:
                break
            slope = float(np.sum(rho / sum(term.stiffness(rho) for term in terms))) * self.volume
            force = force + math.log(self.start.mass / mass) * mass / slope
            rho = conjugate_slope(terms, force)
        # below the least number rho is 0, its logarithm is not
        return np.asarray((force - power.slope(rho)) / self.entropy.temperature - 1.0)

    def density(self, here: Swept) -> Density:
        """rho; its mass is the start's to the last bit."""
        rho = np.exp(here.logarithm).ravel()
        return Density(self.start.grid, rho * (self.start.mass / (float(rho.sum()) * self.volume)))

    def apart(self, logarithm: Array, rho: Array) -> float:
        """sum |e^logarithm - rho| |cell|."""
        with np.errstate(over="ignore"):
            return float(np.abs(np.exp(logarithm) - rho).sum()) * self.volume


class Corrected(Scaling):
    """F - (epsilon/2 dt) Ent + (entropic cost)/dt: (epsilon/dt)(log rho - w) + (T - epsilon/2 dt) log rho + .. = const.

    x is log b.
    """

    def temperature(self, own: float) -> float:
        """epsilon/dt + T - epsilon/2 dt."""
        return own + 0.5 * self.pull

    def first_guess(self) -> Array:
        return self.half()[None]

    def swept(self, x: Array, field: Array) -> Swept:
        b = x[0]
        w = self.gibbs.smoothed(self.masses - self.gibbs.smoothed(b))
        logarithm = self.density_of(self.pull * w - field)
        return Swept(x, (logarithm - w)[None], logarithm, self.apart(b + w, np.exp(logarithm)))


class Divergence(Scaling):
    """F + (Sinkhorn divergence)/dt: (epsilon/dt)(log rho - w - log d) + T log rho + .. = const, rho = d K d.

    x is log b, log d; d of rho by the mean of log d and log rho - log K d.
    """

    def temperature(self, own: float) -> float:
        """epsilon/dt + T."""
        return own + self.pull

    def first_guess(self) -> Array:
        return np.stack([self.half(), self.half()])

    def swept(self, x: Array, field: Array) -> Swept:
        b, d = x
        w, own = self.gibbs.smoothed(self.masses - self.gibbs.smoothed(b)), self.gibbs.smoothed(d)
        logarithm = self.density_of(self.pull * (w + d) - field)
        rho = np.exp(logarithm)
        image = np.stack([logarithm - w, 0.5 * (d + logarithm - own)])
        return Swept(x, image, logarithm, max(self.apart(b + w, rho), self.apart(d + own, rho)))

    def price(self, here: Swept, tolerance: float, limit: int) -> float:
        """S/dt, S = epsilon (int log(a/d_0) drho_0 + int log(b/d) drho), with d_0 of the start; >= 0 for d_0 found."""
        b, d = here.x
        own = self._own(tolerance, limit)
        first = float(np.sum(np.exp(self.masses) * (own - self.gibbs.smoothed(b)))) * self.volume
        return self.pull * (first + float(np.sum(np.exp(here.logarithm) * (b - d))) * self.volume)

    def _own(self, tolerance: float, limit: int) -> Array:
        """log K d_0, d_0 K d_0 = rho_0: the error halves in each round at least."""
        d, off = self.half(), math.inf
        for _ in range(limit):
            own = self.gibbs.smoothed(d)
            off = self.apart(d + own, np.exp(self.masses))
            if off <= tolerance:
                return own
            d = 0.5 * (d + self.masses - own)
        raise NotConverged(f"JKO step: d K d is off by {off:.3g} > {tolerance:g} of mass; raise `limit`", off)
