"""This file owns one minimisation of F(rho) + W2^2(mu, rho)/(2 tau) on a grid by the spline dual, mu atoms anywhere."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow.arrays import Array
from wflow.errors import NotConverged
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.internal import conjugate_slope
from wflow.knothe import squared_bound
from wflow.measure import Density
from wflow.spline.ascent import Climbed, Manner, ascend
from wflow.spline.dual import Conjugate, Reached, StepDual
from wflow.spline.lattice import (
    Sides,
    angles,
    averaged,
    carried,
    fitted,
    folded,
    moved,
    padded,
    read,
    refined,
    scaled,
)

FAINT = 1e-14
"""Of the largest density: below it a cell is empty, or with entropy counts as that."""
_RISE = 3.0
"""How much p may rise in a step of the ascent, in temperatures: rho = exp((p - V)/T - 1) overflows soon."""
_WARM, _COLD = 1e-6, 0.05
"""Floors of the metric (wflow.spline.ascent.Manner) with entropy and without."""
_CLOSER = 0.2
"""Of the tolerance: how far the ascent is asked to go."""
_ROUNDING = 1e-9
"""Residuals below it, in roots of energy, are rounding."""
_SETTLED = 1e-10
"""Mass that may still change from one V to the next."""
_BALANCED, _CORRECTIONS = 1e-14, 50
_FELT = 1e-13
_FINER, _MOST = 4, 1 << 23
"""How often cells are halved for a coupling's bound, and up to how many."""


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms (m, 2), in cells of a density's grid, of masses (m,)."""

    places: Array
    masses: Array

    @classmethod
    def of(cls, pi: Density, lifted: bool, split: int) -> "Atoms":
        """The middles of the cells of a density; faint cells are left out, or lifted to be faint, and the mass kept.

        split: each cell's mass is shared by the middles of as many parts of it along each axis.
        """
        least = FAINT * float(pi.values.max())
        masses = np.maximum(pi.values, least) if lifted else np.where(pi.values > least, pi.values, 0.0)
        masses = masses * (pi.mass / masses.sum())
        kept = masses > 0.0
        shape = pi.grid.plane
        parts = tuple(split if n > 1 else 1 for n in shape)
        shifts = middles(parts) / parts - 0.5
        places = (middles(shape)[kept][:, None, :] + shifts).reshape(-1, 2)
        return cls(places, np.repeat(masses[kept] / len(shifts), len(shifts)))


@dataclass(frozen=True, eq=False)
class Minimum:
    """The minimiser, its potential's coefficients (n0, n1), the maximum of D, how far mass moved and how far it is off.

    field (n0, n1): the V of D.   moved, off: lengths, roots of mean squares.
    """

    end: Density
    potential: Array
    field: Array
    dual: float
    moved: float
    off: float


def middles(shape: tuple[int, ...]) -> Array:
    """(m, 2) middles of cells, in cells."""
    return np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class Stage:
    """A minimisation for one flow on one grid.

    coarse: the spline has cells twice as wide. With as many coefficients as atoms it reproduces any density, and one
    that hardly moves hardly changes; but some splines then do not feel atoms move, those with a node at each.
    split: atoms a cell, on each axis. Where the map stretches, atoms of whole cells land too far apart for a spline.
    """

    flow: Flow
    grid: Grid
    coarse: bool
    split: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """(n0, n1), or (n, 1)."""
        return self.grid.plane

    @cached_property
    def parts(self) -> tuple[int, int]:
        """Cells of the density in a cell of the spline, on each axis: if coarse two where they are even in number."""
        return tuple(2 if self.coarse and n % 2 == 0 else 1 for n in self.shape)  # type: ignore[return-value]

    @cached_property
    def sides(self) -> Sides:
        """Which axes are periodic."""
        periodic = self.grid.domain.periodic
        return Sides(periodic[0], len(periodic) > 1 and periodic[1])

    @cached_property
    def widths(self) -> tuple[float, float]:
        """Of cells; 1 on the axis that one-dimensional grids lack, so that volumes are lengths."""
        h = self.grid.widths.tolist()
        return (h[0], h[1] if len(h) > 1 else 1.0)

    @property
    def temperature(self) -> float:
        """Of the entropy, 0 without."""
        return self.flow.energy.temperature

    def potential(self, pi: Density) -> Array:
        """V (n0, n1)."""
        return self.flow.energy.potential(pi, pi.points).reshape(self.shape)

    def atoms(self, pi: Density) -> Atoms:
        """Of a density; with entropy its faint cells are lifted."""
        return Atoms.of(pi, self.temperature > 0.0, self.split)

    def first_guess(self, start: Density) -> Array:
        """p = U'(rho) + V of a density at the nodes, its faint cells lifted."""
        rho = np.maximum(start.values, FAINT * start.values.max()) if self.temperature else start.values
        return self._slope(rho.reshape(self.shape)) + self.potential(start)

    def minimised(self, mu: Atoms, tau: float, start: Density, guess: Array, tolerance: float, limit: int) -> Minimum:
        """From p `guess` at the nodes; V first that of `start`, in the end that of the minimiser, by fixed point.

        Climbs until mass is off by a fifth of `tolerance` times the distance moved, or as far as it goes.
        """
        field, before = self.potential(start), start
        guesses = [fitted(guess, self.parts, self.sides), averaged(guess, self.parts)]
        if self.temperature:
            guesses.append(averaged(self._split_guess(mu, tau, field), self.parts))
        for _ in range(limit):
            dual = self._dual(mu, tau, field)
            climbed = self._climbed(dual, field, guesses, tolerance, limit)
            end, c = self._balanced(dual, climbed.here, start.mass)
            change = float(np.abs(end.values - before.values).sum()) * self.grid.cell_volume
            if not self.flow.energy.interacting or change <= _SETTLED:
                break
            before, last, field = end, field, self.potential(end)
            guesses = [c + fitted(field - last, self.parts, self.sides)]
        else:
            raise NotConverged(
                f"JKO step: the fixed point for V moves {change:.3g} > {_SETTLED:g} of mass after {limit} rounds, "
                f"tau = {tau:.3g}; shorten dt or raise `limit`",
                change,
            )
        here, length = climbed.here, math.sqrt(2.0 * tau)
        return Minimum(end, c, field, here.value, length * math.sqrt(here.distance), length * climbed.residual)

    def priced(self, pi: Density, field: Array) -> float:
        """int U(rho) + int V dpi for a fixed V (n0, n1): what D speaks of, F but for constants where V is fixed."""
        return sum(term.value(pi) for term in self.flow.energy.internal) + float(pi.weights.dot(field.ravel()))

    def couplings(self, start: Density, end: Density) -> Iterator[tuple[Density, Density, float]]:
        """Two densities and a bound of their W2^2 from above, exact on a line: those given, then smoother readings.

        A reading is sum rho_j B_j, B_j the spline, on cells half as wide each time (which is how to cut corners). It
        has the same mass, and away from walls the same mean.
        """
        yield start, end, self._square(start, end)
        for k in range(1, _FINER):
            if self.grid.size << (k * self.flow.domain.dim) > _MOST:
                return
            start, end = self._smoother(start), self._smoother(end)
            yield start, end, self._square(start, end)

    def _square(self, start: Density, end: Density) -> float:
        shape = start.grid.plane
        widths = start.grid.widths.tolist()
        h = (widths[0], widths[1] if len(widths) > 1 else 1.0)
        return squared_bound(start.values.reshape(shape), end.values.reshape(shape), h, self.sides)

    def _smoother(self, pi: Density) -> Density:
        values = refined(pi.values.reshape(pi.grid.plane), self.sides)
        return Density(Grid(pi.grid.domain, tuple(2 * n for n in pi.grid.shape)), values.ravel())

    def carried(self, found: Minimum, time: float) -> tuple[Atoms, float]:
        """Atoms of the end of a minimisation, moved on by time grad p, and the share of mass where that map folds."""
        cells, r = self.atoms(found.end), np.asarray(self.parts, dtype=np.float64)
        h = self.widths[0] * r[0], self.widths[1] * r[1]
        out = np.empty_like(cells.places)
        share = time / h[0] ** 2, time / h[1] ** 2
        ghosts = padded(found.potential, self.sides)
        lost = carried(ghosts, cells.masses, cells.places / r, share, self.sides, out)
        low = np.where(self.sides, -np.inf, 0.0)
        out = np.clip(out * r, low, np.where(self.sides, np.inf, self.shape))
        return Atoms(out, cells.masses), lost / found.end.mass

    def nodal(self, found: Minimum) -> Array:
        """p at the nodes."""
        return read(found.potential, self.parts, self.sides)

    def _slope(self, rho: Array) -> Array:
        """U'(rho)."""
        return np.asarray(sum(term.slope(rho) for term in self.flow.energy.internal))

    def _dual(self, mu: Atoms, tau: float, field: Array) -> StepDual:
        n, r, h = self.shape, self.parts, self.widths
        places = mu.places / np.asarray(r, dtype=np.float64)
        cells, widths = (n[0] // r[0], n[1] // r[1]), (h[0] * r[0], h[1] * r[1])
        return StepDual(cells, r, self.sides, widths, places, mu.masses, tau, self._conjugate(field))

    def _conjugate(self, field: Array) -> Conjugate:
        """U* of p - V: at rho = (U*)' it is the pressure, and (U*)'' = rho/p'(rho)."""
        terms = self.flow.energy.internal

        def conjugate(p: Array) -> tuple[float, Array, Array]:
            rho = conjugate_slope(terms, p - field)
            filled = rho > 0.0
            stiff = np.where(filled, sum(term.stiffness(np.where(filled, rho, 1.0)) for term in terms), 1.0)
            bend = rho / stiff
            return float(sum(term.pressure(rho).sum() for term in terms)), rho, bend

        return conjugate

    def _climbed(self, dual: StepDual, field: Array, guesses: list[Array], tolerance: float, limit: int) -> Climbed:
        """From the guess with the largest D."""
        if self.temperature:
            manner = Manner(_WARM, rise=_RISE * self.temperature, limit=limit)
        else:
            manner = Manner(_COLD, base=fitted(field, self.parts, self.sides), limit=limit)
        best = max((dual.at(c) for c in guesses), key=lambda one: one.value)
        if not math.isfinite(best.value):
            raise NotConverged(f"JKO step: D overflows at every guess, tau = {dual.tau:.3g}; shorten dt", math.inf)
        goal = max(_CLOSER * tolerance * math.sqrt(best.distance), _ROUNDING * math.sqrt(max(1.0, abs(best.value))))
        return ascend(dual, best, goal, manner)

    def _balanced(self, dual: StepDual, here: Reached, mass: float) -> tuple[Density, Array]:
        """The density of p plus the constant that makes its mass right, and p with it; the last bit by scaling."""
        reached = self._reached(dual, here)
        rho, bend, shift, p = here.end.rho * reached, here.end.bend * reached, 0.0, None
        for _ in range(_CORRECTIONS):
            missing = mass - float(rho.sum()) * dual.volume
            slope = float(bend.sum()) * dual.volume
            if abs(missing) <= _BALANCED * mass or not slope > 0.0:
                break
            if p is None:
                p = dual.nodal(here.c)
            shift += missing / slope
            with np.errstate(over="ignore", invalid="ignore"):
                _, rho, bend = dual.conjugate(p + shift)
            rho, bend = rho * reached, bend * reached
        total = float(rho.sum()) * dual.volume
        if not 0.0 < total < math.inf:
            raise NotConverged(f"JKO step: p has a mass of {total:.3g} above V, tau = {dual.tau:.3g}; shorten dt", mass)
        values = rho.ravel() * (mass / total)
        return Density(self.grid, values), here.c + shift

    def _reached(self, dual: StepDual, here: Reached) -> Array:
        """1 at nodes with a spline that feels mass, else 0: what rises above V there is noise."""
        felt = here.slope + here.end.moments
        return np.where(dual.nodal(np.where(felt > _FELT * felt.max(), 1.0, 0.0)) > 0.0, 1.0, 0.0)

    def _split_guess(self, mu: Atoms, tau: float, field: Array) -> Array:
        """p of mu drifted by -tau grad V, implicitly, and then warmed for a time tau: the step to first order in tau.

        Unlike p of the start it has the tails of the end, without which the ascent begins with density that overflows.
        """
        pull = self.widths[0] ** 2 / tau, self.widths[1] ** 2 / tau
        ghosts, places = padded(field, self.sides), mu.places.copy()
        deposit = np.zeros_like(ghosts)
        moved(ghosts, mu.masses, mu.places, places, pull, self.sides, deposit, np.empty((len(places), 3)))
        rho = folded(deposit, self.sides) / (self.widths[0] * self.widths[1])
        for axis, turns in enumerate(self.sides):
            if self.shape[axis] > 1:
                variance = 2.0 * self.temperature * tau / self.widths[axis] ** 2
                fade = np.exp(-0.5 * variance * angles(self.shape[axis], turns) ** 2)
                rho = scaled(rho, axis, turns, fade)
        rho = np.maximum(rho, 0.0)
        return self._slope(rho + FAINT * rho.max()) + field
