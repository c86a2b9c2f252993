"""This file owns the orders that a study asks of refinements: in time, in space, and of the energy identity."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np

from solvers.particles import DormandPrince, GradientFlow
from solvers.stochastic import ModifiedEquation, StochasticGradient
from wflow.app.draws import of_steps
from wflow.app.levels import FINEST, LEVELS, sharper, space_factors
from wflow.app.observed import decayed, fitted_certificate, order_certificate
from wflow.certificates import Certificate
from wflow.convergence import (
    Laboratory,
    Refinement,
    dissipation_refinement,
    in_both,
    in_space,
    in_time,
    on_the_way,
    with_longer_steps,
)
from wflow.crossings import Owed, owed, traced
from wflow.fourier import FourierDensity
from wflow.held import held
from wflow.loop import solve
from wflow.problems import Problem
from wflow.scattered import fitted_identity, fitted_in_time
from wflow.solver import Order, Solver
from wflow.trajectory import Trajectory

SHORT = 100
"""Steps of an explicit method from which on its error in time is asymptotic (seen: 604; not yet at 51)."""
_SHORTER, _TIMES = 8, 2
"""Steps of an implicit method: a start that spreads in less than one of the first steps shows no order in them; and how
often at most, for its energy."""
_SLACK = 1e-9
"""Of a step: saved times that far apart but for rounding are one step apart."""
_MANY = 25600
_CUT = 1e-5
"""Of the last coefficients on the way: at 1e-2 the energy identity stops at 1e-6, at 1e-6 below 1e-9 (seen)."""


@dataclass(frozen=True)
class _Steps:
    """A refinement in time: of which solver, from how many steps, and how many levels."""

    solver: Solver
    first: int
    levels: int


@dataclass(frozen=True)
class Orders:
    """The refinements of one study.

    run: the base run.   quick: without the coarsest grid, on which a window's walls may be felt, and without the
    largest number of steps where it is not needed: on several axes, and where stability asks for steps so short that
    all show the order. So is it of a costly method. Where on one axis the order does not show so, quick takes the
    levels of the full run, and steps that stability does not bound are taken _SHORTER: an order is a limit, and too
    coarse levels refute none.
    found: the refinements by name, for pictures.
    """

    lab: Laboratory
    problem: Problem
    run: Trajectory
    quick: bool
    found: dict[str, Refinement] = field(default_factory=dict)

    @property
    def solver(self) -> Solver:
        """That of the base run."""
        return self.run.solver

    @property
    def order(self) -> Order:
        """Declared by it."""
        return self.solver.order(self.lab.flow)

    @property
    def several(self) -> bool:
        """The domain has several axes."""
        return self.lab.flow.domain.dim > 1

    @property
    def again(self) -> bool:
        """Whether finer levels are asked where the first show no order; in space, of a quick run alone."""
        return not (self.several or self.solver.costly or self.solver.remapping)

    @cached_property
    def finer(self) -> int | None:
        """How much finer than the study's resolution refinements begin, None where even FINEST is too coarse."""
        return sharper(self.lab, self.problem, self.run)

    def certificates(self) -> Iterator[Certificate]:
        """A row an order."""
        if isinstance(self.solver, StochasticGradient | ModifiedEquation):
            yield from of_steps(self.lab, self.solver, self.quick)
            return
        finer = self.finer
        if self.solver.judged or finer is None:
            return
        steps, seen = self._in_time(finer)
        yield seen
        if self.several and self.solver.needs != "density":
            pass  # clouds of different sizes on several axes: only their mean over draws has an order, `of_draws`
        elif np.isfinite(self.order.space):
            yield self._in_space(finer)
        else:
            yield from decayed(self.run.final)
        asked = not self.solver.variational and self.order.identity != 0.0
        if asked and self.no_identity() is None:
            yield self._of_identity(steps, finer)

    def refusals(self) -> Iterator[str]:
        """Why rows of orders are not there."""
        if isinstance(self.solver, StochasticGradient | ModifiedEquation) or self.solver.judged:
            return
        if self.finer is None:
            yield (
                f"orders, and errors by them: {FINEST} times as many cells are still wide beside the narrowest law on "
                "the way, or beside what a scheme smears of it; give the problem a narrower window, or the method one, "
                "or more cells"
            )
        elif reason := self.no_identity():
            yield reason

    def _in_time(self, finer: int) -> tuple[_Steps, Certificate]:
        """With the resolution where steps remap cells, else at half the resolution, or at the least that shows it."""
        declared, steps = self.order.time, self._steps(finer)
        refined = in_both if self.solver.remapping else in_time
        found = refined(self.lab, steps.solver, steps.first, steps.levels)
        if steps.solver.resolved(self.lab.flow) > 0.0:
            here = steps.solver
            few = self.several or self.quick
            finest = [here] if few else [here, self.solver, self.solver.refined(2.0), self.solver.refined(4.0)]
            found = with_longer_steps(self.lab, finest, found, declared)
        if self.again and not order_certificate("", found, declared).holds:
            if self._scattering:
                self.found["time"] = found
                fit = fitted_in_time(self.lab, steps.solver, steps.first)
                return steps, fitted_certificate("order in time", fit, declared)
            steps = self._more_steps(steps, finer)
            found = in_time(self.lab, steps.solver, steps.first, steps.levels)
        self.found["time"] = found
        return steps, order_certificate("order in time", found, declared)

    def _steps(self, finer: int) -> _Steps:
        """The levels asked first."""
        whole = self.several and self.solver.needs == "density"
        coarse = self._resolving(self.solver if whole else self.solver.refined(0.5 * finer))
        least = 10 if self.order.time > 2.0 else 20 * (1 + 2 * self.solver.remapping)
        first = self.lab.enough(coarse, least).steps
        fewer = self.solver.costly or (self.quick and (self.several or first >= SHORT))
        return _Steps(coarse, first, LEVELS - 1 if fewer else LEVELS)

    def _more_steps(self, steps: _Steps, finer: int) -> _Steps:
        """At the study's resolution; steps _SHORTER where they may be of any length."""
        coarse = self._resolving(self.solver.refined(finer))
        first = self.lab.enough(coarse, steps.first).steps
        return _Steps(coarse, _SHORTER * first if first == steps.first else first, LEVELS)

    def _in_space(self, finer: int) -> Certificate:
        """Asked by the order that the method declares at the last level but one.

        Of levels too coarse for the order of finer ones the lower order that the method has there is not asked.
        Where ends show none, the way of those runs is asked (wflow.convergence.on_the_way).
        """
        solver = self.solver
        seen = Certificate("", "equal", 0.0, 1.0)
        levels = self._levels(finer)
        orders = [solver.refined(factors[-2]).order(self.lab.flow).space for factors in levels]
        last = orders[1 if self.quick and self.again else 0]
        ways = (in_space, on_the_way) if solver.needs == "density" and not self.several else (in_space,)
        for (factors, order), refined in product(zip(levels, orders, strict=True), ways):
            found = refined(self.lab, solver, factors, _space_steps(self.lab, solver.refined(factors[-1])))
            self.found["space"], seen = found, order_certificate("order in space", found, order)
            if order_certificate("", found, max(last, order)).holds:
                break
        return seen

    def _levels(self, finer: int) -> list[list[float]]:
        """Factors of refinements in space, each asked where the one before shows no order.

        Points of an infinite tail err by m^(-1/2) times its length, which flows may draw out as m grows, up to their
        own: so up to _MANY points. Cells, up to FINEST times those of a quick run.
        """
        solver = self.solver
        levels = [[finer * k for k in space_factors(solver, self.problem, self.quick or solver.remapping)]]
        if self.quick and self.again:
            levels.append([2.0 * finer * k for k in space_factors(solver, self.problem, quick=False)])
        most = _MANY / getattr(solver, solver.resolution)
        if solver.needs == "density":
            most = FINEST / (1 if self.quick else 2) if self.again and not solver.variational else 0.0
        while not self.several and 2.0 * levels[-1][-1] <= most:
            levels.append([2.0 * k for k in levels[-1][-3:]])
        return levels

    def _of_identity(self, steps: _Steps, finer: int) -> Certificate:
        """In the steps of the order in time; where V'' jumps and none shows, less what crossings are known to cost."""
        seen = self._identity(steps)
        for _ in range(_TIMES):
            if seen.holds or not self.again or self._scattering or steps.first > _SHORTER * SHORT:
                break
            steps = self._more_steps(steps, finer)
            seen = self._identity(steps)
        return seen

    def _identity(self, steps: _Steps) -> Certificate:
        """By its order, or, where V bends, by what crossings leave or the order fitted to many numbers of steps."""
        declared = self.order.time if self.order.identity is None else self.order.identity
        found = dissipation_refinement(self.lab, steps.solver, steps.first, steps.levels)
        self.found["dissipation"] = found
        claim = "energy identity F_0 - F = dissipated, order"
        seen = order_certificate(claim, found, declared)
        if seen.holds or not self._scattering:
            return seen
        if (left := self._of_crossings(steps)) is not None:
            return left
        return fitted_certificate(claim, fitted_identity(self.lab, steps.solver, steps.first), declared)

    @property
    def _scattering(self) -> bool:
        """Bends of V leave the order in time, of errors whose size scatters (wflow.scattered)."""
        solver = self.solver
        return isinstance(solver, GradientFlow | DormandPrince) and self.lab.flow.energy.jumps < solver.stages

    def _of_crossings(self, steps: _Steps) -> Certificate | None:
        """The residual at the most steps less what it owes to jumps of V'': what is left falls at order 3.

        Allowed: an eighth of what was left at half as many, and what crossings may leave. None where V'' does not jump,
        or nothing crosses.
        """
        if not traced(self.lab.flow.energy):
            return None
        assert isinstance(steps.solver, GradientFlow | DormandPrince)
        n = steps.first * 2 ** (steps.levels - 1)
        before, now = (_owed(self.lab, steps.solver, k) for k in (n // 2, n))
        claim = f"energy identity: F_0 - F - dissipated less dt^2 K of {now.count} jumps of V'' crossed ({n} steps)"
        return Certificate(claim, "at most", now.left, before.left / 8.0, now.allowed) if now.count else None

    def no_identity(self) -> str | None:
        """Why F_0 - F = dissipated is not asked, or None: particles are held on kinks of V (wflow.held)."""
        if self.lab.flow.energy.jumps > 1.0 or self.solver.needs == "density" or self.solver.variational:
            return None
        count = held(self.run)
        if not count:
            return None
        return (
            f"energy identity: V has kinks, and {count} of {len(self.run.final.points)} particles are held on them at "
            "a saved time: they move along a kink, by less than grad V on either side, which is what counts as "
            "dissipated"
        )

    def _resolving(self, solver: Solver) -> Solver:
        """The solver, or twice or four times its resolution where that is not enough to see its order in time.

        The method says so itself, or modes are cut off on the way: then F falls by what they miss, whatever the step.
        """
        finer = [solver.refined(2.0**k) for k in range(3)]
        return next((s for s in finer if s.resolves(self.lab.flow) and _tail(self.lab, s) <= _CUT), solver)


def _owed(lab: Laboratory, solver: GradientFlow | DormandPrince, steps: int) -> Owed:
    """Of the run in so many steps, with every one saved."""
    dt = lab.flow.horizon / steps
    times = [dt * k for k in range(1, steps)] + [lab.flow.horizon]
    return owed(solve(lab.flow, solver, dt=(1.0 + _SLACK) * dt, times=times), *solver.quadrature)


def _tail(lab: Laboratory, solver: Solver) -> float:
    """Size of the last four coefficients, the largest of the way; 0 without modes."""
    if np.isfinite(solver.order(lab.flow).space):
        return 0.0
    ends = [pi for pi in lab.enough(solver, 10).measures if isinstance(pi, FourierDensity)]
    return max((float(np.max(np.abs(pi.coefficients[-4:]))) for pi in ends), default=0.0)


def _space_steps(lab: Laboratory, finest: Solver) -> int:
    """Steps of a refinement in space: four times those of the CFL bound from rough starts.

    Upwind smears by (h - |v| dt)|v|/2 in place of h|v|/2: from smooth data dt drops out of differences, but the root
    of that number, which atoms and jumps cost, is near h^(1/2) only where dt is much shorter than h/|v|. No costly
    method smears so.
    """
    return 20 if finest.costly or lab.flow.initial.regularity == "smooth" else 4 * lab.enough(finest, 20).steps
