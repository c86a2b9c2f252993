"""This file owns the JKO step with the Sinkhorn divergence in the place of W2^2/2, on grids of one or two axes."""

from dataclasses import dataclass
from typing import ClassVar

from solvers.jko._scaling import Divergence, Scaling, Swept, least_epsilon, narrow
from solvers.jko.entropic import Heated
from wflow.errors import NotConverged, Refused
from wflow.flow import Flow
from wflow.grid import Grid
from wflow.measure import Density
from wflow.solver import EVERY_PROMISE, Promise

_SHARE = 0.05
"""Of dt T: the default kernel's variance, where that is more than one cell's."""


@dataclass(frozen=True)
class Sinkhorn(Heated):
    """The JKO step on cells with S/dt for W2^2/2 dt, S the Sinkhorn divergence of the domain's heat kernel.

    With the entropic cost C(mu, nu) = min_gamma int |x - y|^2/2 dgamma + epsilon Ent(gamma), |x - y|^2/2 as the heat
    kernel has it:  S(mu, nu) = C(mu, nu) - C(mu, mu)/2 - C(nu, nu)/2.  S(mu, mu) = 0 and S >= 0, convex in each
    argument, since the kernel is positive. So the start stands for comparison in each step, as with W2: a minimiser of
    F stays for every epsilon and dt, and F(rho) + S/dt <= F(rho_0), checked to the tolerance; `dissipated` is S/dt. The
    bias O(epsilon^2) is one of the metric, relative to what moves: no step is too short. Iterated in log b and in
    log d, rho = d K d, by Anderson's mixing (jko.Entropic says what a, b and K are).

    epsilon: None for one cell squared, or dt T/20 where that is more. Refused below .6 cells squared.
    Mass to rounding, density positive; energy where V does not depend on pi or F is convex along mixtures. Order 1 in
    dt, 2 in h. Raises NotConverged if mass sum |rho - b K a| or sum |rho - d K d| stays above `tolerance`.
    Source: Feydy et al. 2019, AISTATS, PMLR 89, 2681-2690 (S); Janati, Cuturi & Gramfort 2020, ICML, PMLR 119,
    4692-4701 (the iteration for d).
    """

    scaling: ClassVar[type[Scaling]] = Divergence
    variational: ClassVar[bool] = True

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and, where V does not depend on pi or F is convex along mixtures, energy for every dt."""
        held = flow.energy.convex or not flow.energy.interacting
        return EVERY_PROMISE if held else frozenset({"mass", "positivity"})

    def smallest_step(self, flow: Flow) -> float:
        """0."""
        return 0.0

    def regularisation(self, flow: Flow, grid: Grid, dt: float) -> float:
        """epsilon of a step; Refused where it is too small for the cells."""
        least = least_epsilon(grid)
        chosen = max(float(grid.widths.max()) ** 2, _SHARE * dt * flow.energy.temperature)
        epsilon = chosen if self.epsilon is None else self.epsilon
        if epsilon < least:
            raise Refused(f"{self}: {narrow(epsilon, least)}")
        return epsilon

    def priced(self, problem: Scaling, found: Swept, end: Density, dt: float) -> float:
        """S/dt; NotConverged where F(end) + S/dt > F(start) by more than the tolerance, if the energy is promised."""
        assert isinstance(problem, Divergence)
        energy = problem.flow.energy
        before, after = energy.value(problem.start), energy.value(end)
        spent = problem.price(found, self.tolerance, self.limit)
        excess = after + spent - before
        if "energy" in self.keeps(problem.flow) and not excess <= self.tolerance * max(1.0, abs(before)):
            raise NotConverged(
                f"{self}: F fell from {before:.12g} to {after:.12g}, by less than the {spent:.3g} that the step costs, "
                f"dt = {dt:.3g}; lower `tolerance` or use more cells",
                excess,
            )
        return max(spent, 0.0)
