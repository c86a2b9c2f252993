"""This file owns the JKO step of a network's own risk, by its concave dual in the residual."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from solvers.starts import Quantised, Sampled, check, first, refusal_of_start, space_order
from wflow.activation import piecewise_linear
from wflow.arrays import count, positive
from wflow.compiled import available
from wflow.energy import Energy
from wflow.errors import NotConverged
from wflow.flow import Flow
from wflow.forceless import Constant, TotalVariation
from wflow.loss import HalfSquare, Huber, Logistic
from wflow.measure import Particles
from wflow.risk_dual import LINE
from wflow.solver import EVERY_PROMISE, Order, Promise, Solver, State, Step
from wflow.terms import Potential, Risk

AXES = 2
_MOST = 1 << 23
"""Entries of a table of features (64 MB; the search has one twice as large, and some are kept)."""


@dataclass(frozen=True)
class RiskDual(Solver):
    """The JKO step of F(pi) = |f_pi - y|^2/2 + int r dpi itself, for any dt and for atoms, which may split.

    Also of the logistic loss and Huber's (wflow.risk_dual.losses): by such steps in turn, with D of the loss itself.

    Minimises F(pi) + W2^2(pi_0, pi)/(2 dt) by maximising, over the residual p (n,) of the n data,

        D(p) = -<p, y> - |p|^2/2 + sum_j mu_j min_w [ sum_i omega_i p_i psi(x_i; w) + r(w) + |w - w_j|^2/(2 dt) ],

    concave, with slope f_{pi+} - y - p: at the maximum p is the residual at the end of the step. Nothing is convex in
    w and nothing needs to be: a step jumps over what would trap the flow. One or two moving axes: line, interval,
    circle, plane, box, torus, cylinder; frozen axes. The table of features with `cells` an axis (8 times as many on one
    axis) says in which valley each atom's minimum lies; the features themselves then say where.

    Where an atom has two equally good places its mass splits, and one part follows each: at most n atoms split in a
    step, places of one atom nearer than 1e-6 are one, and a part of less than 1e-14 of its largest joins the nearest.
    So the number of atoms may grow by n a step; weights add up to what they were.
    step.dual: D at the end, by the best minima known.   residual: F(end) + cost - D as a share of what the step gains
    (of 1e-5 max(1, F) where it gains less), the minima in D being the least that an independent search of the true
    features finds (wflow.risk_dual.search: sampled densely, not proved); NotConverged where it is above `tolerance`.
    The model's own gap is |p - (f - y)|^2/2 whatever the minima, and says nothing of them. The search stays within the
    atoms' reach; on infinite axes within a
    window that is widened until no atom goes to its edge.
    dissipated: the cost of the step's coupling over 2 dt, which it minimises. Order 1 in dt.
    """

    particles: int
    start: Quantised | Sampled = field(default_factory=Quantised)
    cells: int = 128
    tolerance: float = 1e-6
    limit: int = 100
    resolution: ClassVar[str] = "particles"
    variational: ClassVar[bool] = True
    optimality: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        count("RiskDual particles", self.particles)
        check("RiskDual", self.start)
        count("RiskDual cells", self.cells, least=8)
        positive("RiskDual tolerance", self.tolerance)
        count("RiskDual limit", self.limit)

    @property
    def needs(self) -> Literal["quantile", "sample"]:  # type: ignore[override]
        """Quantiles, or samples."""
        return "quantile" if isinstance(self.start, Quantised) else "sample"

    def order(self, flow: Flow) -> Order:
        """Time 1; space as the start's."""
        return Order(1.0, space_order(flow, self.start))

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass, positivity and energy for every dt."""
        return EVERY_PROMISE

    def _refusal(self, flow: Flow) -> str | None:
        """No data or another loss; closed kernels; entropy; more than two moving axes; no numba."""
        return refusal_of_energy(flow.energy) or self._refusal_of_size(flow) or refusal_of_start(flow, self.start)

    def _refusal_of_size(self, flow: Flow) -> str | None:
        moving = len(flow.domain.moving)
        if moving > AXES:
            return f"{moving} axes move; features are tabulated on at most {AXES}, use particles"
        risk = flow.energy.risk
        assert risk is not None
        nodes = self.cells**AXES if moving == AXES else LINE * self.cells
        if len(risk.data) * nodes > _MOST:
            return f"{len(risk.data)} data on {nodes} nodes are more than {_MOST} numbers; use fewer cells or data"
        if not available():
            return "it needs numba, the extra `fast`: pip install 'wflow[fast]'"
        return None

    def init(self, flow: Flow) -> State:
        return first(flow, self.start, self.particles)

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        from wflow.risk_dual.losses import minimised
        from wflow.risk_dual.movement import Movement

        start = state.measure
        assert isinstance(start, Particles)
        try:
            with np.errstate(over="raise", invalid="raise"):
                found = minimised(Movement(flow.energy, start, dt), self.cells, self.tolerance, self.limit)
        except FloatingPointError as error:
            raise NotConverged(
                f"{self}: atoms went beyond all numbers ({error}) at t = {state.time:g}, dt = {dt:.3g}: psi grows too "
                "fast for so long a step; shorten dt",
                math.inf,
            ) from error
        if not found.gap <= self.tolerance:
            raise NotConverged(
                f"{self}: the step is certified to {found.gap:.3g} > {self.tolerance:g} of its gain (as the model of "
                f"features sees it {found.own:.3g}), at t = {state.time:g}, dt = {dt:.3g}; use more `cells`, raise "
                "`limit` or change dt",
                found.gap,
            )
        return Step(state.after(dt, found.end), found.spent, max(found.gap, 0.0), dual=found.dual)


def refusal_of_energy(energy: Energy) -> str | None:
    """Anything but one risk on data, of a loss whose parabolas are known, with potentials; kinks not to be rounded."""
    if energy.internal:
        return "atoms have no entropy and no power; use jko.SoftMin for a temperature, or a method with a density"
    if reason := refusal_of_data(energy):
        return reason
    if not isinstance(energy.risk and energy.risk.loss, HalfSquare | Logistic | Huber):
        return "the step goes by parabolas above the loss, known for HalfSquare, Logistic and Huber; take one of them"
    assert energy.risk is not None
    if not energy.curved and not piecewise_linear(energy.risk.neuron.activation):
        return f"the kinks of {energy.risk.neuron.activation} cannot be rounded; take relu or leaky_relu"
    return None


def refusal_of_risk(energy: Energy) -> str | None:
    """Anything but one half-square risk on data, with potentials and whatever internal term."""
    if reason := refusal_of_data(energy):
        return reason
    if not isinstance(energy.risk and energy.risk.loss, HalfSquare):
        return "the dual is that of one half-square loss; take Risk with HalfSquare()"
    return None


def refusal_of_data(energy: Energy) -> str | None:
    """Anything but one risk on data, of one loss, with potentials and whatever internal term."""
    others = [t for t in energy.terms if not isinstance(t, Risk | Potential | Constant | TotalVariation)]
    if energy.risk is None or others:
        return "the dual is in the residual at data: the energy must be one Risk(neuron, data), with potentials beside"
    if sum(isinstance(t, Risk) for t in energy.terms) > 1:
        return "the dual is that of one Risk; take one for all data"
    return None
