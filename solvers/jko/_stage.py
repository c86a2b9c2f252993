"""This file owns one minimisation of F(rho) + W2^2(mu, rho)/(2 tau) on a grid by the spline dual, mu atoms anywhere."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
from scipy.ndimage import distance_transform_edt

from solvers.jko._atoms import FAINT, Atoms
from solvers.jko._climb import Climb
from solvers.jko._couplings import MOST, Coupled, couplings, kept_near, repaired
from solvers.jko._detours import Detours
from solvers.jko._minimum import Minimum
from solvers.jko._price import Price
from solvers.jko._warmed import warmed
from wflow.arrays import Array
from wflow.errors import NotConverged, Refused
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.measure import Density
from wflow.spline.ascent import Manner
from wflow.spline.dual import Reached, StepDual
from wflow.spline.lattice import Sides, averaged, carried, fitted, folded, moved, padded, read

_RISE = math.exp(3.0)
"""How often as much rho may be after a step of the ascent: with entropy, exp((p - V)/T - 1), it overflows soon."""
_WARM, _COLD, _CENTRED = 1e-6, 0.05, 1e-3
"""Floors of the metric (wflow.spline.ascent.Manner) with entropy, with a power alone, and with neither."""
_PULLED, _FENCED = 0.5, 1.5
"""Of the slope of V: the weight of a centre, over a cell and in the densest that mass can be; p's rise in obstacles."""
_REPAIRS = 4, 8
"""Parts of a cell on each axis whose map gives a coupling where that of Knothe is too dear."""
_THIN = 0.0, 1e-2
"""Of the largest density: whether fluxes of a repair pass between what is thinner and what is not."""
SETTLED = 1e-10
"""Mass that may still change from one V to the next."""
_BALANCED, _CORRECTIONS = 1e-14, 50
_FELT = 1e-13


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
        """V (n0, n1); Refused where it is no number."""
        field = self.flow.energy.potential(pi, pi.points)
        if len(wrong := np.flatnonzero(~np.isfinite(field))):
            raise Refused(
                f"V is {field[wrong[0]]:g} at {pi.points[wrong[0]].tolist()} and in {len(wrong)} cells of {len(field)}"
                "; give a potential that is finite at the middles of cells, or an Obstacle where nothing may be"
            )
        return field.reshape(self.shape)

    @cached_property
    def bound(self) -> Array | None:
        """(n0, n1) the largest density of each node; None without limits."""
        return self.flow.energy.bound(self.grid).reshape(self.shape) if self.flow.energy.limits else None

    def idle(self, pi: Density) -> bool:
        """Whether F is the same of all that limits allow: there are no terms but limits and a constant V."""
        if self.bound is None or self.flow.energy.internal or self.flow.energy.interacting:
            return False
        return float(np.ptp(self.potential(pi)[self.bound > 0.0])) == 0.0

    def atoms(self, pi: Density) -> Atoms:
        """Of a density; with entropy its faint cells are lifted."""
        closed = None if self.bound is None else self.bound.ravel() <= 0.0
        return Atoms.of(pi, self.temperature > 0.0, self.split, closed)

    def first_guess(self, start: Density) -> Array:
        """p = U'(rho) + V of a density at the nodes, its faint cells lifted."""
        rho = np.maximum(start.values, FAINT * start.values.max()) if self.temperature else start.values
        return self._slope(rho.reshape(self.shape)) + self.potential(start)

    def minimised(self, mu: Atoms, tau: float, start: Density, guess: Array, tolerance: float, limit: int) -> Minimum:
        """From p `guess` at the nodes; V first that of `start`, in the end that of the minimiser, by fixed point.

        Climbs until mass is off by a fifth of `tolerance` times the distance moved, or as far as it goes.
        """
        field, before = self.potential(start), start
        price, guesses, free = self.begun(mu, tau, field, guess)
        for _ in range(limit):
            mu, dual, climbed = self._climb(tau, price, tolerance, limit)(mu, guesses, self._well(start, price))
            end, c = self._balanced(dual, climbed.here, start.mass)
            change = float(np.abs(end.values - before.values).sum()) * self.grid.cell_volume
            if not self.flow.energy.interacting or change <= SETTLED:
                break
            before, last, field = end, field, self.potential(end)
            price = replace(price, field=field)
            guesses = [c + fitted(field - last, self.parts, self.sides)]
        else:
            raise NotConverged(
                f"JKO step: the fixed point for V moves {change:.3g} > {SETTLED:g} of mass after {limit} rounds, "
                f"tau = {tau:.3g}; shorten dt or raise `limit`",
                change,
            )
        here, length = climbed.here, math.sqrt(2.0 * tau)
        moved, off = length * math.sqrt(here.distance), length * climbed.residual
        return Minimum(end, c, price, here.value, moved, off, free, self._detours(mu, here))

    def begun(self, mu: Atoms, tau: float, field: Array, guess: Array) -> tuple[Price, Iterable[Array], float]:
        """U*, first guesses of p, and under limits what a step under V alone costs, which spreads mu to a density.

        Without entropy and power U has that density, cut at the bound, as its centre.
        """
        terms, bound = self.flow.energy.internal, self.bound
        if bound is None:
            price, slope, spent = Price(terms, field), 0.0, 0.0
        else:
            rho, spent = self._drifted(mu, tau, field)
            slope = math.sqrt(2.0 * spent / (float(mu.masses.sum()) * tau))
            price = Price(terms, field, bound)
        if not terms:
            assert bound is not None
            weight = _PULLED * slope * float(self.grid.widths.max()) / float(bound[np.isfinite(bound)].max())
            price = replace(price, centre=np.minimum(np.maximum(rho, 0.0), bound), weight=weight or 1.0)
            guess = field
        return price, self._guesses(mu, tau, field, self._fenced(guess, _FENCED * slope), _FENCED * slope), spent

    def _guesses(self, mu: Atoms, tau: float, field: Array, guess: Array, slope: float) -> Iterator[Array]:
        """Coefficients: of a guess at the nodes twice, then, dearer, of the step to first order."""
        yield fitted(guess, self.parts, self.sides)
        yield averaged(guess, self.parts)
        if self.flow.energy.internal:
            yield averaged(self._fenced(self._split_guess(mu, tau, field), slope), self.parts)

    def _well(self, start: Density, price: Price) -> float:
        """D with which a guess is good: with a power alone half of F less min V, which p = min V has; else none is."""
        if self.temperature or not self.flow.energy.internal:
            return math.inf
        return 0.5 * (self.priced(start, price) + start.mass * float(price.field.min()))

    def _fenced(self, p: Array, slope: float) -> Array:
        """p, where nothing may be as at the nearest node outside, and rising inwards: rho says nothing of it there."""
        if self.bound is None or np.all(self.bound > 0.0):
            return p
        depth, nearest = distance_transform_edt(self.bound <= 0.0, sampling=self.widths, return_indices=True)
        return np.asarray(p[tuple(nearest)] + slope * depth)

    def _detours(self, mu: Atoms, here: Reached) -> Detours | None:
        """Of atoms; None without obstacles."""
        if self.bound is None or np.all(self.bound > 0.0):
            return None
        ends = here.places * np.asarray(self.parts)
        return Detours.of(mu, ends, self.bound <= 0.0, self.flow.energy.limits, self.grid, self.sides)

    def priced(self, pi: Density, price: Price) -> float:
        """int U(rho) + int V dpi for a fixed V: what D speaks of, F but for constants where V is fixed."""
        own = sum(term.value(pi) for term in price.terms) + float(pi.weights.dot(price.field.ravel()))
        return own + price.pulled(pi.values.reshape(self.shape)) * self.grid.cell_volume

    def couplings(self, start: Density, end: Density, found: Minimum, tau: float) -> Iterator[Coupled]:
        """As wflow knows them, the dearest to compute last.

        Knothe's is far from the best where a density is rough in the plane; that of the step's own map is not.
        """
        limited = bool(self.flow.energy.limits)
        if found.square is not None:
            yield Coupled(start, end, found.square)
            yield Coupled(start, end, next(couplings(start, end)).square)
            return
        yield from islice(couplings(start, end), 1 if limited else None)
        if 1 in self.shape:
            return  # Knothe's is exact
        for split in _REPAIRS if limited else _REPAIRS[:1]:
            if self.grid.size * split**2 <= MOST:
                atoms = Atoms.exactly(start, split)
                ends = self._dual(atoms, tau, found.price).places(found.potential) * np.asarray(self.parts)
                ends = kept_near(atoms, ends, end)
                phi = tau * read(found.potential, (self.parts[0] * split, self.parts[1] * split), self.sides)
                for thin in _THIN:
                    yield Coupled(start, end, repaired(atoms, ends, end, split, phi, thin))

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

    def _dual(self, mu: Atoms, tau: float, price: Price) -> StepDual:
        n, r, h = self.shape, self.parts, self.widths
        places = mu.places / np.asarray(r, dtype=np.float64)
        cells, widths = (n[0] // r[0], n[1] // r[1]), (h[0] * r[0], h[1] * r[1])
        return StepDual(cells, r, self.sides, widths, places, mu.masses, tau, price)

    def _climb(self, tau: float, price: Price, tolerance: float, limit: int) -> Climb:
        if self.temperature:
            manner = Manner(_WARM, rise=self._rise, limit=limit)
        elif price.centre is not None:
            manner = Manner(_CENTRED, limit=limit)
        else:
            manner = Manner(_COLD, base=fitted(price.field, self.parts, self.sides), limit=limit)
        widest = float(self.grid.widths.max())
        return Climb(
            lambda mu: self._dual(mu, tau, price), manner, tolerance, widest, self.grid.size, price.centre is None
        )

    def _rise(self, here: Reached) -> Array:
        """(n0, n1) by how much p may rise: three temperatures, and more where there is a power and rho is large."""
        rho = np.maximum(here.end.rho, np.finfo(float).tiny)
        return averaged(self._slope(_RISE * rho) - self._slope(rho), self.parts)

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
        variances = 2.0 * tau / self.widths[0] ** 2, 2.0 * tau / self.widths[1] ** 2
        rho = warmed(self._drifted(mu, tau, field)[0], self.flow.energy.internal, variances, self.sides)
        return self._slope(rho + FAINT * rho.max()) + field

    def _drifted(self, mu: Atoms, tau: float, field: Array) -> tuple[Array, float]:
        """The density (n0, n1) of mu moved by a step under V alone, spread by splines, and what that costs."""
        pull = self.widths[0] ** 2 / tau, self.widths[1] ** 2 / tau
        ghosts, places = padded(field, self.sides), mu.places.copy()
        deposit = np.zeros_like(ghosts)
        move = moved(ghosts, mu.masses, mu.places, places, pull, self.sides, deposit, np.empty((len(places), 3)))
        return folded(deposit, self.sides) / (self.widths[0] * self.widths[1]), move.distance
